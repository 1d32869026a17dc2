"""The builtin that makes the calls of bash. What functions do without it: test_bash.py."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli.harness import run_program
from examples import ROOT
from session.bashes import (
    BASH,
    INIT,
    check,
    environment,
    initial,
    needs_bash,
    script,
    servers,
    wait_for,
)

from kycli.session.shells import OF_LOGIN, VARIABLES

pytestmark = needs_bash


def printed() -> str:
    return run_program("kycli", "init", "bash").out.decode()


def test_it_is_loaded() -> None:
    said = check('type -t __kycli_ask; [[ $__kycli_native == "$$" ]] && echo ours')
    assert said == ["builtin", "ours"]


def test_it_sends_the_variables_that_the_functions_send() -> None:
    source = (ROOT / "kycli/session/shells/builtin.c").read_text()
    rows = re.findall(r'\{ "(\w+)", (\d), (\d) \}', source)
    assert tuple(name for name, _, _ in rows) == VARIABLES
    assert tuple(name for name, always, _ in rows if always == "1") == OF_LOGIN


@pytest.mark.parametrize(("old", "new"), [("/builtin.", "/nothing."), ("<= 503", "<= 500")])
def test_where_it_cannot_be_loaded_the_functions_do_all(old: str, new: str) -> None:
    text = printed()
    assert old in text
    said = check(
        text.replace(old, new)
        + """
        type -t __kycli_ask || echo none
        kys k v; kyg k; kyg -v x k; echo "$x $(kyg k)"
        """,
        init="",
    )
    assert said == ["none", "v", "v v"]


def test_a_shell_that_takes_the_place_of_this_one_does_without_it() -> None:
    """It has the same process number, and perhaps the same variables."""
    said = check(
        """
        set -a
        eval "$(kycli init bash --export)"
        kys k v
        exec bash --norc -c 'kyg k; kyg -v x k; echo "$x"; type -t __kycli_ask || echo none'
        """
    )
    assert said == ["v", "v", "none"]


DECLARED = (
    "unset x",
    "x=before",
    "declare -u x=A",
    "declare -l x=a",
    "declare -c x",
    "declare -a x=(1 2 3)",
    "declare -A x=([a]=b)",
    "declare -n x=other; other=1",
    "declare -n x=other; readonly other=1",
    "declare -n x",
    "readonly x=1",
    "declare -x x=1",
    "declare -x x",
    "declare -t x=1",
    "set -a; unset x",
    "set -o posix; readonly x=1",
)


@pytest.mark.parametrize("value", ["Two words", "7+1", "", "1/0"])
def test_it_sets_a_variable_as_printf_does(value: str) -> None:
    program = """
    f() { local x; TRY; declare -p x; }
    g() { local -r x=2; TRY; declare -p x; }
    for declared in f g "${list[@]}"; do
        echo "== $declared"
        (set +e; eval "$declared"; TRY; echo $?; declare -p x other; bash -c 'echo "${x-}"')
    done
    """
    define = "list=(" + " ".join(f"'{text}'" for text in DECLARED) + ")\n"
    said = [
        script(f"{define}kys key -- '{value}'\nkyg -v y key\n{program.replace('TRY', how)}")
        for how in ("kyg -v x key", f"printf -v x %s '{value}'")
    ]
    assert said[0].lines == said[1].lines
    assert len(said[0].lines) > 60


@pytest.mark.usefixtures("with_and_without_builtin")
@pytest.mark.parametrize(
    "declared",
    ["-i x", "-i x=1", "-ai x", "-ai x=(1 2)", "-i y; declare -n x=y", "-ai y; declare -n x=y[1]"],
)
def test_an_integer_variable_takes_numbers_as_bash_would_evaluate_the_rest(declared: str) -> None:
    """Such a value may be ``a[$(command)]``."""
    done = script(
        f"""
        kys evil 'q[$(echo run >&2)]'; kyg -v z evil; kyg -v z evil
        declare {declared}
        kyg -v x evil; echo $?
        [[ ${{x@a}} != *a* ]] || {{ kyg -v 'x[1]' evil; echo $?; kyg -a x evil evil; echo $?; }}
        f() {{ local -i x; kyg -v x evil; echo $?; }}; f
        kyg -v z evil; echo "$z"
        kys number -- -40; ky -v x incr number; echo "$? $x"
        [[ ${{x@a}} != *a* ]] || {{ kyg -a x number number; echo "$? ${{x[*]}}"; }}
        """
    )
    numbers = done.lines[-2:] if "-39 -39" in done.lines[-1] else done.lines[-1:]
    assert numbers in (["0 -39"], ["0 -39", "0 -39 -39"])
    *codes, last = done.lines[: -len(numbers)]
    assert set(codes) == {"1"}
    assert last == "q[$(echo run >&2)]"
    assert "run\n" not in done.err
    assert "takes decimal numbers alone" in done.err


@pytest.mark.parametrize(
    "declared", ["readonly x", "declare -n x=x", "declare -n x=y y=x", "declare -n x='y[@]'"]
)
def test_bash_says_once_why_it_cannot_set_a_variable(declared: str) -> None:
    said = [
        script(f"kys k v\nkyg -v y k\nunset y\n{declared}\n{how}; echo $?")
        for how in ("kyg -v x k", "printf -v x %s v")
    ]
    assert said[0].out == said[1].out
    errors = [re.sub(r"^.* line \d+: ", "", done.err, flags=re.MULTILINE) for done in said]
    assert errors[0] == errors[1] != ""


@pytest.mark.parametrize(
    ("name", "look"),
    [
        ("IFS", "set -- $text; echo $#"),
        ("PATH", "hash -l; type -P ls || echo none"),
        ("OPTIND", "getopts a opt -a -b; echo $OPTIND"),
        ("SECONDS", "echo $((SECONDS < 100))"),
        ("BASHPID", "[[ $BASHPID == 1 ]] || echo not set"),
        ("POSIXLY_CORRECT", "shopt -o posix"),
        ("LC_ALL", "printf %.1f 1"),
        ("TZ", "printf '%(%H)T' 0"),
    ],
)
def test_it_sets_the_variables_of_bash_as_printf_does(name: str, look: str) -> None:
    said = [
        script(f"text=a1b1c\nkys key 1\nkyg -v x key\nls >/dev/null\n{how}; {look}").lines
        for how in (f"kyg -v {name} key", f"printf -v {name} %s 1")
    ]
    assert said[0] == said[1] != []


def test_variables_are_those_of_the_function_that_calls() -> None:
    said = check(
        """
        kys k inner; kyg -v x k
        f() { local x; kyg -v x k; echo "$x"; KYCLI_SCOPE=other kyg -q k || echo $?; }
        x=outer; f; echo "$x"
        g() { local KYCLI_SCOPE=other; kyg -v x k || echo "$?"; }
        g 2>&1
        export KYCLI_SCOPE=default
        g 2>&1
        """
    )
    missing = "kycli: no key 'k' in scope 'other'"
    # A local variable is exported if the one that it hides is.
    assert said == ["inner", "2", "outer", missing, "2"]


@pytest.mark.usefixtures("with_and_without_builtin")
def test_an_array_is_not_exported() -> None:
    said = check(
        """
        kys k v; kyg -v x k
        declare -ax KYCLI_SCOPE=(other); kyg k; command kyg k; unset KYCLI_SCOPE
        declare -Ax KYCLI_SCOPE=([0]=other); kyg k; command kyg k
        """
    )
    assert said == ["v"] * 4


def test_requests_of_all_sizes_around_the_limit() -> None:
    said = check(
        """
        kys k 0
        text=$(printf %4200s x)
        for n in {900..1100..9} {3600..4100}; do
            kys k "${text: -n}"; kyg -v x k; [[ $x == "${text: -n}" ]] || echo "$n: ${#x}"
        done
        newlines=${text// /$'\\n'}
        kys k "$newlines"; kyg -v x k; [[ $x == "$newlines" ]] && echo same
        """
    )
    assert said == ["same"]


def test_a_reply_to_another_request_is_skipped() -> None:
    """Bash leaves a call by Ctrl-C at any command."""
    said = check(
        """
        kys k v; kyg -v x k; kyg -v x k
        for stale in '99=old' '99:2:o:old' '98:never' 'nonsense' ''; do
            printf '%s\\0' "$stale" >/dev/fd/67
            kyg -v x k; echo "$x"
            printf '%s\\0%s\\0' "$stale" "$stale" >/dev/fd/67
            kyg k
        done
        """
    )
    assert said == ["v"] * 10


def test_signals_while_it_waits() -> None:
    said = check(
        """
        kys k v; kyg -v x k
        mkfifo pipe; exec 8<>pipe
        trap 'hits=$((hits + 1)); echo >&8' USR1
        hits=0
        # A trap inside of a trap inside of a trap, and bash has no stack left. It may lose a signal
        # that comes at the end of a trap.
        (while kill -USR1 $$ 2>/dev/null; do read -r -t 1 -u 8 _ || :; sleep 0.001; done) & other=$!
        for ((i = 0; i < 300; i++)); do
            : & kyg -v x k
            [[ $x == v ]] || echo "$i: $x"
            # No $( ), which bash 5.2 cannot read while a trap runs.
            (kyg k) >file; read -r x <file
            [[ $x == v ]] || echo "$i: $x"
        done
        kill "$other"; wait "$other" || :
        ((hits > 20)) && echo interrupted
        """
    )
    assert said == ["interrupted"]


def test_a_request_that_takes_long() -> None:
    """After 0.2 seconds the functions wait."""
    code = (
        "import sqlite3, sys, time\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('BEGIN IMMEDIATE'); print(flush=True)\n"
        "time.sleep(0.6); c.execute('COMMIT')\n"
    )
    Path("lock.py").write_text(code)
    said = check(
        f"""
        export KYCLI_DB_PATH=$PWD/store.db
        kys k v; kyg -v x k; kyg -v x k
        for way in here there; do
            exec {{lock}}< <({sys.executable} lock.py store.db); read -r -u $lock _
            if [[ $way == here ]]; then kys k $way; else (kys k $way); fi
            kyg -v x k; echo "$x"
            exec {{lock}}<&-
        done
        """
    )
    assert said == ["here", "there"]


@pytest.mark.usefixtures("with_and_without_builtin")
def test_nothing_is_in_doubt_where_the_server_had_ended_and_none_can_be_started() -> None:
    """After an upgrade, say."""
    shell = subprocess.Popen(
        [
            *(BASH, "--norc", "-c"),
            initial()
            + """
            kys k v; kyg -v x k; kyg -v x k; echo ready; read -r _
            until read -r -t 0 -u 65; do sleep 0.02; done # the server has ended
            __kycli_version=other
            kys k w; echo $?; kyg k; (kys k x; echo $?); kyg -v x k; echo "$x"
            """,
        ],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert shell.stdout is not None
    assert shell.stdout.readline() == "ready\n"
    for pid in servers(shell.pid):
        os.kill(pid, signal.SIGKILL)
    out, _ = shell.communicate("\n", timeout=60)
    assert out.split() == ["0", "w", "0", "x"]


def test_many_subshells_leave_no_descriptor_and_no_process() -> None:
    said = check(
        """
        kys k v; kyg -v x k; kyg -v x k
        before=(/proc/$$/fd/*)
        for i in {1..50}; do x=$(kyg k; kyg k; (kyg k)); (kyg -v x k; kyg k) | cat >/dev/null; done
        after=(/proc/$$/fd/*)
        echo "$((${#after[@]} - ${#before[@]}))"; echo "$x"
        """
    )
    assert said == ["0", "v", "v", "v"]


def test_the_number_of_the_pipe_of_replies_is_given_to_nothing_else() -> None:
    """Not even to that pipe while it is made, where all below it are in use."""
    said = check(
        """
        kys k v; kyg -v x k; kyg -v x k
        for n in {3..63}; do [[ -e /dev/fd/$n ]] || eval "exec $n</dev/null"; done
        echo mine >file
        (
            kyg k; exec {one}<file; kyg k; exec {two}<file; kyg k
            read -r -u "$one" text; echo "$text"; read -r -u "$two" text; echo "$text"
            echo "$((one > 67)) $((two > 67))"
        )
        (exec 67<&-; kyg k; exec {one}<file; kyg k; read -r -u "$one" text; echo "$text")
        """
    )
    assert said == ["v", "v", "v", "mine", "mine", "1 1", "v", "v", "mine"]


@pytest.mark.usefixtures("with_and_without_builtin")
def test_a_file_in_place_of_the_pipe_of_requests() -> None:
    said = check(
        """
        kys k v; kyg -v x k; kyg -v x k
        exec 64>file
        kyg k; kys k w; kyg k; (kyg k); kyg -v x k; echo "$x"
        [[ -s file ]] || echo empty
        """
    )
    assert said == ["v", "w", "w", "w", "empty"]


def test_a_full_pipe_that_does_not_block() -> None:
    """Another program may have set this, for all that share the pipe."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    loop = "kys k v; kyg -v x k; for i in {1..1000}; do kyg k || exit; done; : >half"
    again = "; for i in {1..1000}; do kyg k || exit; done"
    os.write(write, bytes(65536 - 2000))
    command = [BASH, "--norc", "-c", INIT + loop + again]
    with (
        open(read, "rb") as pipe,
        subprocess.Popen(command, stdout=write, env=environment()) as shell,
    ):
        os.close(write)
        wait_for(lambda: os.path.exists("half"), "nothing is printed")
        time.sleep(0.1)  # it waits, as the pipe is full
        assert pipe.read().count(b"v\n") == 2000
    assert shell.returncode == 0
