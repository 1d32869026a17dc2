"""The functions of zsh do what the commands do, whatever the options of the shell."""
# ruff: noqa: E501 - lines of shell scripts

from __future__ import annotations

import os
import re
import socket
import subprocess
from pathlib import Path

import pytest
from cli.harness import run_program
from session.terminals import (
    INITS,
    SECONDS,
    environment,
    interrupt_often,
    needs,
    script,
    servers,
    terminal,
    wait_for,
)

pytestmark = [needs("zsh"), pytest.mark.alone]


def check(text: str) -> list[str]:
    """Run a script that must not fail; return the lines that it prints, on both streams."""
    done = script("zsh", f"exec 2>&1\nsetopt err_exit pipefail\n{text}")
    assert done.code == 0, done.out.decode(errors="replace")
    return done.out.decode(errors="replace").splitlines()


def test_values_of_any_content_reach_variables_arrays_and_substitutions() -> None:
    said = check(
        r"""
        values=('' ' a  b ' $'two\nlines' $'end\n\n' '*' '-n' '--' $'\\\e\x1f' 'ä€😀' $'\xff\xfe' "${(l:100000::äx\n:)}")
        for value in "$values[@]"; do
            print -rn -- "$value" | kys key -
            kyg -v got key; [[ $got == "$value" ]] || print "v: ${(qqqq)value} ${(qqqq)got}"
            got="$(kyg --raw key; print x)"; [[ $got == "${value}x" ]] || print "sub: ${(qqqq)value}"
            kyg -a list key nothing key 2>/dev/null && print 'no error' || [[ $? == 2 ]]
            [[ $#list == 2 && $list[1] == "$value" && $list[2] == "$value" ]] ||
                print "a: ${(qqqq)value} $#list"
            kys -- again "$value" 2>/dev/null && { kyg -v got again; [[ $got == "$value" ]] || print set $value } ||
                print "not set: ${#value}"
        done
        printf 'a\0b\n' | kys nul -
        kyg -v --raw got nul 2>/dev/null || print no name
        kyg -v got --raw nul; print ${(qqqq)got}
        kyg -v got nul; print ${(qqqq)got}
        kyg nul | od -An -c
        kyg -v got missing || print $? ${(qqqq)got}
        kyg -a list missing missing 2>/dev/null || print $? $#list
        kys k $'a\0b' || print $?
        """
    )
    assert said == [
        "not set: 2",
        "no name",
        *("$'a\0b", "'", "$'a\0b", "'"),
        "   a  \\0   b  \\n  \\n",
        "kycli: no key 'missing' in scope 'default'",
        "2 $''",
        "2 0",
        "kycli: an argument holds a NUL byte",
        "hint: give bytes on standard input: printf … | kys KEY -",
        "1",
    ]


def test_what_cannot_be_set_is_named_and_nothing_is_evaluated() -> None:
    said = check(
        r"""
        kys evil 'a[$(touch evil)]'
        typeset -r fixed=1; integer number; typeset -A map; float real; list=(1)
        for name in fixed number map real list '' 1x 'a b' 'a[$(touch evil)]' _kycli_text REPLY; do
            kyg -v "$name" evil && print set || print $?
        done
        kyg -a fixed evil || print $?
        kyg -v || print $?
        kyg -v name || print $?
        [[ ! -e evil ]] && print nothing
        f() { local mine; kyg -v mine evil; print -r $mine }; f; print ${mine-unset}
        """
    )
    assert [line for line in said if line.startswith("kycli")] == [
        "kycli: -v: the variable fixed is read-only",
        "kycli: -v: number is integer, and cannot take every value",
        "kycli: -v: map is association, and cannot take every value",
        "kycli: -v: real is float, and cannot take every value",
        "kycli: -v: list is array, and cannot take every value",
        "kycli: -v: $'' is no name of a variable that can be set",
        "kycli: -v: $'1x' is no name of a variable that can be set",
        "kycli: -v: $'a b' is no name of a variable that can be set",
        "kycli: -v: $'a[$(touch evil)]' is no name of a variable that can be set",
        "kycli: -v: $'_kycli_text' is no name of a variable that can be set",
        "kycli: -v: $'REPLY' is no name of a variable that can be set",
        "kycli: -a: the variable fixed is read-only",
        "kycli: -v needs a value: -v NAME",
        "kycli: 'kyg' needs KEY",
    ]
    assert "set" not in said
    assert said[-3:] == ["nothing", "a[$(touch evil)]", "unset"]


def test_directory_variables_umask_and_scope_are_those_of_the_call(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    said = check(
        """
        cd ../one; kys -d here.db key one; ls here.db; cd ..; mv one two; cd two
        kyg -d here.db key; cd .; command mv ../two ../three; kyg -d here.db key
        KYCLI_SCOPE=a.b kys key scoped; kyg key || print $?
        export KYCLI_SCOPE=a.b; kyg key; unset KYCLI_SCOPE
        KYCLI_SCOPE=a.b; kyg key || print $?; unset KYCLI_SCOPE
        kyuse --here a.b; kyg key; (kycli use --here c.d; print $KYCLI_SCOPE); print $KYCLI_SCOPE
        kycli use --here 'no scope' || print $? $KYCLI_SCOPE
        command kyg key; unset KYCLI_SCOPE
        kyuse a.b; kyg key; command kyg key
        umask 027; kycli export out.csv; umask 077; kycli export private.csv; stat -c %a out.csv private.csv
        kys -q key "$PWD"; kycli history -n 1 --json key | grep -o '"pid": *[0-9]*' | tr -dc 0-9 | grep -qx $$ || print pid
        """
    )
    assert [
        line for line in said if "current scope" not in line and not line.startswith("hint")
    ] == [
        *("here.db", "one", "one", "kycli: no key 'key' in scope 'default'", "2", "scoped"),
        *("kycli: no key 'key' in scope 'default'", "2", "scoped", "c.d", "a.b"),
        "kycli: bad project name 'no scope'",
        *("1 a.b", "scoped", "scoped", "scoped"),
        *[line for line in said if "exported" in line],
        *("640", "600"),
    ]


def test_subshells_pipelines_jobs_and_options() -> None:
    said = check(
        r"""
        alias print='echo alias' kyg='echo alias' local=false
        alias -g REPLY=false
        eval "$(command kycli init zsh)"
        unalias print kyg local; unalias REPLY
        sleep 0 & before=$!
        kys key value; print $(( $! == before )) ${(k)jobstates}
        setopt no_unset warn_create_global ksh_arrays sh_word_split glob_subst null_glob
        kyg key; kyg -v got key; print $got; kyg -a list key key; print ${#list[@]} ${list[0]}
        setopt no_ksh_arrays no_sh_word_split no_glob_subst no_null_glob
        print $(kyg key) "$(print $(kyg key))"; (kyg key); kyg key | cat; { kyg key } always { kyg key }
        kyg key & wait $!; kyg key >out; cat out
        print -l key key key | while read k; do kyg $k; done
        set -x; kyg key >out 2>&1; set +x 2>/dev/null
        grep -c _kycli out || true
        kyg missing 2>/dev/null || print not left
        trap 'print ERR' ZERR; kyg key; trap - ZERR
        kyg key | head -c 1; kyg key >&- 2>/dev/null || print closed $?
        kyg key >/dev/full || print full $?
        print ${options[errexit]} ${options[multibyte]} ${#${:-ä}}
        """
    )
    value = "value"
    assert said[0] == "1"
    assert said[1:] == [
        *(value, value, "2 value", "value value", *[value] * 9),
        *("+zsh:17> kyg key", "+zsh:17> set +x", "0", "not left", value, "vclosed 1"),
        *("kycli: cannot write to standard output: No space left on device", "full 1"),
        "on on 1",
    ]


def test_replies_are_never_mixed_up() -> None:
    many(40)


@pytest.mark.soak
def test_replies_are_never_mixed_up_in_thousands() -> None:
    many(1000)


def many(calls: int) -> None:
    said = check(
        f"""
        for i in {{1..8}}; do kys key$i "value $i ${{(pl:$(( i * i * 400 ))::x:)}}"; done
        for i in {{1..8}}; do
            (
                kyg -v mine key$i
                repeat {calls}; do
                    kyg -v got key$i; [[ $got == $mine && $got == "value $i "* ]] || print mixed up $i
                    [[ "$(kyg key$i)" == $mine ]] || print mixed up $i
                done
                print done
            ) &
        done
        wait
        """
    )
    assert said == ["done"] * 8


def test_a_trap_may_call_within_a_call() -> None:
    said = check(
        """
        kys outer outer; kys inner inner; bad=0 count=0 shell=$$
        TRAPUSR1() { kyg -v inside inner; [[ $inside == inner ]] || bad=1; count=$(( count + 1 )) }
        (repeat 30; do kill -USR1 $shell; sleep 0.01; done; touch ended) &
        until [[ -e ended ]]; do kyg -v got outer; [[ $got == outer ]] || bad=1; done
        print $bad $(( count > 3 ))
        """
    )
    assert said == ["0 1"]


def test_a_server_that_is_killed_is_started_again_and_no_write_is_repeated() -> None:
    said = check(
        """
        kys key value
        kill -9 $(pgrep -f "shells[.]zsh [^ ]* $$"); sleep 0.1
        kyg key; kycli incr n >/dev/null
        (while kill -0 $$; do sleep 0.11; kill -9 $(pgrep -f "shells[.]zsh [^ ]* $$") || :; done) &>/dev/null &
        killer=$! done=0
        repeat 60; do
            if kycli incr n >/dev/null 2>>said; then (( ++done )); fi
        done
        kill $killer
        print $(( $(command kyg n) >= done )) $(( $(command kyg n) <= 61 ))
        sort -u said | head -3
        """
    )
    assert said[:2] == ["value", "1 1"]
    assert set(said[2:]) <= {
        "kycli: the server ended before it answered, so whether 'kycli' was done is not known",
        "hint: look, and do it again if it was not",
    }


STATES = {
    "before it reads": (False, b""),
    "before it answers": (True, b""),
    "in the status": (True, b"0"),
    "in the head": (True, b"0\x001\x001\x0000"),
    "in the text": (True, b"0\x001\x001\x0000000010\x00the"),
    "in a long text": (True, b"0\x001\x001\x0000100000\x00" + b"x" * 20_000),
    "between texts": (True, b"0\x002\x001\x003\x00abc"),
    "without a status": (True, b"\x001\x001\x00"),
    "with no numbers": (True, b"0\x00x\x00y\x00z\x00"),
}


@pytest.mark.parametrize("state", STATES)
def test_a_call_ends_when_the_server_ends(state: str) -> None:
    reads, said = STATES[state]
    runtime = Path(os.environ["XDG_RUNTIME_DIR"], "kycli")
    runtime.mkdir(mode=0o700, exist_ok=True)
    text = (
        f"{INITS['zsh']}; _kycli_python=/nowhere; command kys k v; print -r $_kycli_socket; read go"
    )
    with (
        socket.socket(socket.AF_UNIX) as listener,
        subprocess.Popen(
            ["zsh", "-f", "-c", f"{text}; kyg k; kys k w; print $?"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(),
        ) as shell,
    ):
        assert shell.stdin is not None
        assert shell.stdout is not None
        listener.bind(shell.stdout.readline().rstrip())
        listener.listen()
        shell.stdin.write(b"\n")
        shell.stdin.flush()
        for _ in range(2):
            caller, _ = listener.accept()
            with caller:
                if reads:
                    caller.recv(4096)
                caller.sendall(said)
        lines = shell.communicate(timeout=SECONDS)[0].decode().splitlines()
    assert lines[0] == "v"
    assert lines[1:] in (
        [
            "kycli: the server ended before it answered, so whether 'kys' was done is not known",
            "hint: look, and do it again if it was not",
            "1",
        ],
        # It ended before it was sent all.
        ["0"],
    )


def test_a_server_that_is_stopped_does_not_stop_the_shell() -> None:
    said = check(
        """
        kys key value; _kycli_patience=0.5
        stop() { kill -STOP $(pgrep -f "shells[.]zsh [^ ]* $$") }
        stop; kyg key; kyg key
        stop; kyg -v got key; print $got; kyg key
        stop; kys key other || print $?
        """
    )
    assert said == [
        *["value"] * 4,
        "kycli: the server ended before it answered, so whether 'kys' was done is not known",
        "hint: look, and do it again if it was not",
        "1",
    ]


def test_what_a_server_cannot_do_is_done_by_the_command() -> None:
    said = check(
        """
        print -n in | kys key -; kyg key
        print 'kys batched 1' | kycli batch; kyg batched
        kycli -v got set x 1; kycli get -v got x; print $got; ky get -a list x x; print $#list
        kycli set big "$(printf '%0120000d' 7)"; kyg -v got big; print $#got
        head -c 6000000 /dev/zero | tr '\\0' x | kys huge -; kyg -v got huge; print $#got; kyg huge | wc -c
        chmod 755 $XDG_RUNTIME_DIR/kycli; mv $XDG_RUNTIME_DIR/kycli{,.away}; ln -s /tmp $XDG_RUNTIME_DIR/kycli
        kyg key; kyg -v got key; print $got; kyg -a list key key; print $#list; kyg -v got none || print $?
        _kycli_python=/nowhere; kyg key
        rm $XDG_RUNTIME_DIR/kycli; touch $XDG_RUNTIME_DIR/kycli; kyg key
        """
    )
    assert said == [
        *("in", "0 0 0", "1", "1", "2", "120000", "6000000", "6000001", "in", "in", "2"),
        "kycli: no key 'none' in scope 'default'",
        *("2", "in", "in"),
    ]


def test_a_package_that_was_upgraded_brings_its_own_script() -> None:
    said = check("_kycli_version=0.0.1; kys key value; kyg key; print $_kycli_version$_kycli_off")
    assert said == ["value", run_program("kycli", "version").out.decode().split()[-1]]


def test_a_server_ends_with_its_shell_and_each_shell_has_its_own() -> None:
    with terminal("zsh") as one, terminal("zsh") as other:
        assert servers("zsh") == []
        assert (
            one.run("kys key value; kyuse --here one")
            == "the current scope of this shell is 'one'\n"
        )
        assert other.run("kyg key") == "value\n"
        mine, others = servers("zsh", one.pid), servers("zsh", other.pid)
        assert mine
        assert others
        assert not set(mine) & set(others)
    wait_for(lambda: not servers("zsh"), "the servers have ended")
    assert [p.name for p in Path(os.environ["XDG_RUNTIME_DIR"], "kycli").iterdir()] == []


def test_ctrl_c_and_ctrl_z_leave_the_shell_as_it_was() -> None:
    with terminal("zsh") as shown:
        shown.run("kys key value; kyg -v first key")
        before = shown.run("open=(/proc/$$/fd/*); print $#open")
        interrupt_often(shown, "while true; do kyg -v got key; got=$(kyg key); done", 12)
        assert shown.run("open=(/proc/$$/fd/*); print $#open") == before
        shown.send("(print 'go''ing'; while true; do kyg key >/dev/null; done)\n")
        shown.read(re.compile(rb"going\r?\n"))
        shown.send("\x1a")
        assert "suspended" in shown.read()
        assert shown.run("kyg key") == "value\n"
        shown.run("kill %1; wait")  # which says that it ended
        assert shown.run("stty -a | grep -o ' echo '") == " echo \n"
        assert shown.run("kys evil $'\\e[31m'; kyg evil") == "\\x1b[31m\n"


@pytest.mark.soak
def test_ctrl_c_hundreds_of_times() -> None:
    with terminal("zsh") as shown:
        shown.run("kys key value")
        interrupt_often(
            shown, "while true; do kyg -v got key; got=$(kyg key); kys key value; done", 300
        )
