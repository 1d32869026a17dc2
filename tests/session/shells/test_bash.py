"""The functions of bash do what the commands do, whatever the options of the shell."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cli.harness import run_program
from session.bashes import BASH, INIT, check, environment, needs_bash, script, servers, wait_for

from kycli.session.shells import names

pytestmark = needs_bash


def printed() -> str:
    return run_program("kycli", "init", "bash").out.decode()


# The script


def test_the_script_is_as_shellcheck_wants_it() -> None:
    if not shutil.which("shellcheck"):
        pytest.skip("needs shellcheck")
    for flags in ([], ["--export"]):
        text = run_program("kycli", "init", "bash", *flags).out
        done = subprocess.run(
            ["shellcheck", "--shell=bash", "-"], input=text, capture_output=True, check=False
        )
        assert done.stdout.decode() == ""


def test_all_programs_become_functions_and_nothing_is_started() -> None:
    said = check(
        """
        type -t """
        + " ".join(names())
        + """
        before=$(compgen -v __kycli_)
        eval "$(command kycli init bash)"
        [[ $before == "$(compgen -v __kycli_)" ]] || echo more variables
        read -t 0 -u 65 && echo no server
        jobs; echo "${!-none}"
        kyg nothing || echo $?
        read -t 0 -u 65 || echo a server
        eval "$(kycli init bash)"
        read -t 0 -u 65 || echo the same server
        """
    )
    assert said == [
        *["function"] * len(names()),
        "no server",
        "none",
        "kycli: no key 'nothing' in scope 'default'",
        "2",
        "a server",
        "the same server",
    ]


def test_aliases_do_not_get_into_the_definitions() -> None:
    said = check(
        """
        shopt -s expand_aliases
        alias kyg='kyg -q' read='false' printf='false' local='false'
        eval "$(kycli init bash)"
        shopt -q expand_aliases && echo still on
        eval 'kyg nothing || echo $?'
        """,
        init="",
    )
    assert said == ["still on", "2"]


@pytest.mark.parametrize(
    ("old", "new"), [("501", "9901"), ("== linux*", "== other*"), ("65<&", "65<&9")]
)
def test_where_functions_cannot_work_there_are_none(old: str, new: str) -> None:
    text = printed()
    assert old in text
    said = check(text.replace(old, new) + "\ntype -t kyg kycli; kys k v; kyg k", init="")
    assert said == ["file", "file", "v"]


def test_in_a_restricted_shell_there_are_none() -> None:
    done = subprocess.run(
        [BASH, "--norc", "-r", "-c", printed() + "type -t kyg"],
        env=environment(),
        capture_output=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == (b"file\n", b"")


def test_without_proc_there_are_none() -> None:
    text = printed() + "kys k v\nkyg k\ntype -t kyg\n"
    done = subprocess.run(
        ["unshare", "-m", BASH, "--norc", "-c", f"mount -t tmpfs none /proc || exit 99\n{text}"],
        env=environment(),
        capture_output=True,
        check=False,
    )
    if done.returncode == 99 or b"unshare" in done.stderr:
        pytest.skip("needs to hide /proc")
    assert done.stdout == b"v\nfile\n"
    assert done.stderr == b""


def test_functions_of_another_version_run_the_commands() -> None:
    text = printed().replace("__kycli_version='", "__kycli_version='0")
    said = check(
        text + "\nkys k v; kyg -v x k; echo $x; read -t 0 -u 65 && echo no server", init=""
    )
    assert said == ["v", "no server"]


def test_a_python_that_is_gone_leaves_the_commands() -> None:
    text = printed().replace("__kycli_python='", "__kycli_python='/gone")
    assert check(text + "\nkys k v; kyg -v x k; echo $x; x=$(kyg k); echo $x", init="") == [
        "v",
        "v",
    ]


# Values

SAME = r"""
same() { [[ $x == "$want" ]] || { printf '%s: %q is not %q\n' "$1" "${x:0:99}" "${want:0:99}"; }; }
stored() {
    want=$1
    kys -- k "$want"
    kyg -v x -- k; same 'kyg -v'
    x=$(kyg --raw k; printf .); x=${x%.}; same '$(kyg)'
    kyg -a list k k; x=${list[1]}; same 'kyg -a'
}
for round in 1 2 3; do
    stored ''
    stored $'two\nlines'
    stored $'ends in newlines\n\n\n'
    stored $'\n'
    stored ' blanks  around '
    stored '* ? [a-z] ~ $HOME `id` $(id) \ \\ " '\'
    stored -v
    stored '--'
    stored "$(printf '%2000s' x)"
    stored "${big}"
done
all=''
for ((i = 1; i < 256; i++)); do printf -v c "\\x$(printf %x "$i")"; all+=$c; done
printf %s "$all" | command kys bytes -
want=$all
for lc in C C.UTF-8; do
    LC_ALL=$lc
    kyg -v x bytes; same "$lc"
    x=$(kyg bytes); same "$lc"
    x=$(kyg bytes | cat); same "$lc"
done
kys "$all" key || echo no such key
kys $'a\037b' $'c\037d'; kyg -v x $'a\037b'; want=$'c\037d'; same separators
"""


@pytest.mark.usefixtures("with_and_without_builtin")
@pytest.mark.parametrize("size", [70_000, 1_000_000])
def test_values_of_any_size_and_content(size: int) -> None:
    big = f"big=$(printf %{size}s \"'\" | tr ' ' \"a'\")\n"
    said = check(big + SAME)
    assert said == [
        "kycli: argument 1 is not valid UTF-8",
        "hint: give bytes on standard input: printf … | kys KEY -",
        "no such key",
    ]


@pytest.mark.usefixtures("with_and_without_builtin")
def test_a_nul_is_printed_and_refused_in_a_variable() -> None:
    done = script(
        """
        printf 'a\\0b\\n' | command kys nul -
        x=before
        kyg -v x nul; echo "$? <$x>"
        kyg --raw nul
        kyl -0
        kyg -a list nul; echo "$? ${#list[@]}"
        """
    )
    # An array is made of what is printed with NUL at the end of each item.
    assert done.out == b"1 <>\na\0b\nnul\0000 2\n"
    assert done.err == (
        "kycli: the value has a NUL byte, which a variable of bash cannot hold\n"
        "hint: --b64 prints it as text, --raw as it is\n"
    )


@pytest.mark.usefixtures("with_and_without_builtin")
def test_what_is_not_exported_is_the_shells_alone() -> None:
    said = check(
        """
        unset KYCLI_CONFIG XDG_CONFIG_HOME; export HOME=$PWD
        mkdir kycli; echo '{"current_scope": "other"}' > kycli/config.json
        kys k default --scope default; kys k other --scope other
        kyg k
        XDG_CONFIG_HOME=$PWD; kyg k; kyg -v x k; echo "$x"
        export XDG_CONFIG_HOME; kyg k; kyg -v x k; echo "$x"
        export -n XDG_CONFIG_HOME; kyg k
        """
    )
    assert said == ["default", "default", "default", "other", "other", "default"]


@pytest.mark.usefixtures("with_and_without_builtin")
def test_variables_and_arrays() -> None:
    said = check(
        """
        for key in a b 'c d'; do kys "$key" "<$key>"; done
        kyg -v 'elements[3]' a; declare -p elements
        declare -A map; kyg -v 'map[x y]' b; declare -p map
        f() { local x REPLY; kyg -v x a; kyg -v REPLY b; echo "$x$REPLY"; }; f
        kyg -v REPLY a; echo "$REPLY"
        kyl -a list; declare -p list
        kyg -a list a nothing b || echo "$?: ${list[*]}"
        kyg -a list --default '' a nothing b; declare -p list
        kyl -a list --prefix zz; declare -p list
        kycli get -v x 'c d'; ky -v y get b; ky get -v z a; echo "$x$y$z"
        kyg -v x nothing || echo "$? <$x>"
        kyg -v x nothing --default 1; echo "$x"
        (set +e; readonly fixed=1; kyg -v fixed a 2>/dev/null || echo failed "$fixed")
        for bad in '' 1a a-b 'a[1' __kycli_fd; do
            kyg -v "$bad" a 2>/dev/null || echo "bad $bad"
        done
        kyg -v x || echo $?
        shopt -s nocasematch; kyg -V x | sed 's/ .*//'
        """
    )
    assert said == [
        'declare -a elements=([3]="<a>")',
        'declare -A map=(["x y"]="<b>" )',
        "<a><b>",
        "<a>",
        'declare -a list=([0]="a" [1]="b" [2]="c d")',
        "kycli: no key 'nothing' in scope 'default'",
        "2: <a> <b>",
        'declare -a list=([0]="<a>" [1]="" [2]="<b>")',
        "declare -a list=()",
        "<c d><b><a>",
        "kycli: no key 'nothing' in scope 'default'",
        "2 <>",
        "1",
        "failed 1",
        *(f"bad {name}" for name in ("", "1a", "a-b", "a[1", "__kycli_fd")),
        "kycli: 'kyg' needs KEY",
        "hint: usage: kyg [FLAGS] KEY...",
        "1",
        "kycli",
    ]


# The same as the commands


@pytest.mark.usefixtures("with_and_without_builtin")
def test_standard_output_and_error_keep_their_order() -> None:
    said = check("kys a 1; kys c 3; for i in 1 2 3; do kyg a nothing c || :; done")
    assert said == ["1", "kycli: no key 'nothing' in scope 'default'", "3"] * 3


@pytest.mark.usefixtures("with_and_without_builtin")
def test_directory_variables_and_scope_are_those_of_each_call(home: Path) -> None:
    (home / "there").mkdir()
    (home / "there/.kyclirc").write_text('current_scope = "there"\n')
    said = check(
        """
        kyg nothing 2>/dev/null || :
        kyuse; cd there; kyuse; cd ..; kyuse
        KYCLI_SCOPE=one kyuse; kyuse
        KYCLI_SCOPE=two; kyuse; export KYCLI_SCOPE; kyuse; unset KYCLI_SCOPE
        (cd there; KYCLI_DB_PATH=other.db kys k v); ls there/other.db
        kyg -d there/other.db k --scope there
        export KYCLI_DB_PATH=$PWD/there; kys k w; (cd there; echo *.db)
        kyuse later; kyuse; kyuse default
        cd there; rm -r ../there; kyg k || :
        """
    )
    assert [line for line in said if not line.startswith(("from", "the current"))] == [
        *("default", "there", "default", "one", "default", "default", "two"),
        "there/other.db",
        "v",
        "kycli.db other.db",
        "later",
        said[-1],
    ]
    assert said[-1].startswith("kycli: ")


def test_use_here_changes_this_shell_alone() -> None:
    said = check(
        """
        kycli use --here alpha.prod; echo "$KYCLI_SCOPE"
        (kyuse --here beta; kys k 1; kyuse)
        kyuse; command kyuse
        kycli use gamma --here -q; kyuse
        kycli use --here 'no scope' || echo $?
        echo "$KYCLI_SCOPE"; unset KYCLI_SCOPE; kyuse
        command kycli use --here x || echo $?
        """
    )
    assert [line for line in said if not line.startswith(("from", "hint"))] == [
        "the current scope of this shell is 'alpha.prod'",
        "alpha.prod",
        "the current scope of this shell is 'beta'",
        "beta",
        "alpha.prod",
        "alpha.prod",
        "gamma",
        "kycli: bad project name 'no scope'",
        "1",
        "gamma",
        "default",
        "kycli: --here is for a shell that runs the commands itself",
        "1",
    ]


# Processes


def test_exported_functions() -> None:
    said = check(
        """
        for i in {1..24}; do kys "k$i" "v$i"; done
        kyl --prefix k | xargs -P 4 -n 1 "$BASH" -c '
            kyg -v x "$1"; y=$(kyg "$1")
            [[ $x == "v${1#k}" && $y == "$x" && $__kycli_link == 1 ]] || echo "bad: $1 $x $y"' _
        "$BASH" -c '(kyg k1) | cat; kyg k2 & wait'
        env -i PATH="$PATH" HOME="$HOME" "$BASH" -c 'kyg k3'
        "$BASH" -c 'exec 64>&- 65>&-; kyg k4'
        "$BASH" -c 'exec 64>file 65<file; kyg k5; cat file'
        """,
        init='eval "$(kycli init bash --export)"\n',
    )
    assert said == ["v1", "v2", "v3", "v4", "v5"]
    # One that is exported alone is the command.
    said = check("""export -f kyg; kys k v; "$BASH" -c 'type -t kyg; kyg k'""")
    assert said == ["function", "v"]


LOAD = """
cd "$HOME"
work() {
    local me=$1 i x
    for ((i = 0; i < count; i++)); do
        kys "key $me" "value $me $i"
        kyg -v x "key $me"
        [[ $x == "value $me $i" ]] || echo "$me: $x is not $i"
        if ((i % 10 == 0)); then
            x=$(kyg "key $me")
            [[ $x == "value $me $i" ]] || echo "$me: $x is not $i"
        fi
    done
    echo "done $me"
}
for me in {1..8}; do work "$me" & done
wait
"""


@pytest.mark.usefixtures("with_and_without_builtin")
def test_eight_subshells_at_once_get_their_own_replies() -> None:
    said = check(f"count=40\n{LOAD}")
    assert sorted(said) == [f"done {n}" for n in range(1, 9)]


@pytest.mark.soak
def test_eight_subshells_with_a_thousand_calls_each() -> None:
    said = check(f"count=1000\n{LOAD}")
    assert sorted(said) == [f"done {n}" for n in range(1, 9)]


@pytest.mark.usefixtures("with_and_without_builtin")
@pytest.mark.parametrize(
    "options", ["", "set -m", "set -o posix", "set -TE; trap : DEBUG ERR RETURN"]
)
def test_jobs_wait_and_dollar_bang_are_left_alone(options: str) -> None:
    said = check(
        f"""
        {options}
        sleep 0.1 & first=$!
        kys k v; kyg k; kyg -v x k; x=$(kyg k)
        [[ $! == "$first" ]] && echo same
        wait; jobs; echo "$x"
        IFS=0123456789_
        kyg k; kyg -v x k
        unset IFS
        """
    )
    # A shell with job control says itself that a job is done.
    assert [line for line in said if "sleep" not in line] == ["v", "same", "v", "v"]


@pytest.mark.usefixtures("with_and_without_builtin")
def test_words_are_split_as_the_caller_likes() -> None:
    said = check(
        """
        for IFS in 0123456789 : '' $'\\n' K1p $'\\037'; do
            kys k "a 1:2"; kys n 1; kyg n; kyg n n; kyg k; kyg -v x k; kyg -v x -- k; echo "$x"
            x=$(kyg k n); echo "$x"
        done
        """
    )
    assert said == [*("1", "1", "1"), *("a 1:2", "a 1:2"), *("a 1:2", "1")] * 6


@pytest.mark.parametrize("options", [":", "shopt -s localvar_inherit"])
@pytest.mark.parametrize("given", ["-r REPLY=1", "-i REPLY=1", "-u REPLY=1", "-a REPLY=(a)"])
def test_a_variable_of_the_callers_with_the_name_of_one_of_ours(options: str, given: str) -> None:
    said = check(
        f"""
        {options}
        kys k v; kys K wrong
        declare {given} __kycli_mine=1
        kyg k; kyg k; kyg k; kyg -v x k; kyg -v x k; echo "$x $(kyg k) $(kyg k k)"
        """
    )
    assert said == ["v", "v", "v", "v v v", "v"]


@pytest.mark.parametrize("init", [INIT, "source <(kycli init bash)\n"])
def test_process_substitutions_and_coprocesses_keep_their_descriptors(init: str) -> None:
    """Also those that are there before the functions, and before the first call."""
    said = check(
        """
        while read -r key; do
            kyg "$key"; kyg -v x "$key"; echo "$x"
        done < <(printf 'k\\nl\\nk\\n')
        both() { kyg k; echo "$(kyg k) $(cat "$1")"; kyg l; cat "$2"; }
        both <(echo one) <(kyg k; kyg l)
        (both <(echo one) <(echo two)) | cat
        kyg k
        """,
        init=f"kys k v; kys l w\n{init}",
    )
    assert said == [
        *("v", "v", "w", "w", "v", "v"),
        *("v", "v one", "w", "v", "w"),
        *("v", "v one", "w", "two"),
        "v",
    ]
    said = check(
        f"""
        coproc cat
        {init}
        for n in 1 2 3; do
            kys k "v$n"; kyg k >&"${{COPROC[1]}}"; read -r x <&"${{COPROC[0]}}"; echo "$x"
        done
        """,
        init="",
    )
    assert said == ["v1", "v2", "v3"]


@pytest.mark.usefixtures("with_and_without_builtin")
def test_what_subshells_print_to_pipes() -> None:
    said = check(
        """
        kys k v; kys big "$(printf %5000s x)"; kys two $'a\\nb'
        for i in {1..100}; do [[ $(kyg k) == v ]] || echo wrong; done
        echo "$(kyg two; kyg k; kyg big | wc -c; kyg k)"
        { printf %65536s x; kyg k; kyg k; } | { sleep 0.3; tail -c 4; } # the pipe is full
        (kyg k; kyg k) | true; echo "unread ${PIPESTATUS[*]}"
        x=$(kyg nothing 2>&1) || echo "$? $x"
        x=$(kys new 1); echo "<$x>"
        (exec >/dev/null; kyg k)
        (trap 'echo left' EXIT; kyg k; kyg two) | cat
        """
    )
    assert said == [
        *("a", "b", "v", "5001", "v"),
        *("v", "v"),
        "unread 0 0",
        "2 kycli: no key 'nothing' in scope 'default'",
        "<>",
        *("v", "a", "b", "left"),
    ]


def test_a_trap_in_a_subshell_prints_where_the_subshell_prints() -> None:
    """While a call is under way, the pipe of requests takes nothing else."""
    said = check(
        """
        kys k v
        set -o functrace
        trap '[[ ! /dev/fd/1 -ef /dev/fd/64 ]] || echo "printed to the requests" >&2' DEBUG
        text=$(kyg k)
        kyg k | cat
        trap - DEBUG
        echo "$text"
        """
    )
    assert said == ["v", "v"]


@pytest.mark.usefixtures("with_and_without_builtin")
def test_traps_that_call_while_a_call_is_under_way() -> None:
    said = check(
        """
        kys k v; kys t 0
        mkfifo pipe; exec 8<>pipe
        trap 'kyg -v y k; [[ $y == v ]] || echo "trap: $y"; hits=$((hits + 1)); echo >&8' USR1
        hits=0
        # A trap inside of a trap inside of a trap, and bash has no stack left. It may lose a signal
        # that comes at the end of a trap.
        (while kill -USR1 $$ 2>/dev/null; do read -r -t 1 -u 8 _ || :; sleep 0.002; done) & other=$!
        for ((i = 0; i < 400 || hits < 30; i++)); do
            kys n "$i"; kyg -v x n
            [[ $x == "$i" ]] || echo "$x is not $i"
        done
        kill "$other"; wait "$other" || :
        echo done
        """
    )
    assert said == ["done"]


@pytest.mark.usefixtures("with_and_without_builtin")
def test_a_call_in_a_trap_has_a_status_of_its_own() -> None:
    """Bash gives a bare `return` in a trap the status of what the trap interrupted."""
    said = check(
        """
        kys k v; kys t 0
        statuses() { kyg -v x k; echo $?; kyg k >/dev/null; echo $?; kyg -v 1 k || echo $?; }
        trap statuses USR1
        ! { sh -c "kill -USR1 $$"; false; }
        trap 'kyg -v x no || echo $?; ky -v x get no || echo $?' USR1
        sh -c "kill -USR1 $$"
        """
    )
    assert [line for line in said if line.isdigit()] == ["0", "0", "1", "2", "2"]


@pytest.mark.usefixtures("with_and_without_builtin")
def test_a_trap_on_errors_sees_one_error_at_the_line_of_the_call() -> None:
    """Not one for each function inside of the other, each with a line of the functions."""
    body = """set -E +e; trap 'echo "error $? at $((LINENO - first))"' ERR; first=$LINENO
        for call in first second third; do kyg -q nothing; done
        x=$(kyg -q nothing)
        kyg --nonsense; ky get -q nothing; kyuse 'a b'; kys in </dev/null; kycli exec nonsense
        kyg k >/dev/full
        :
        """
    more = """
        for call in first second third; do kyg -v x -q nothing; done
        ky -v x get -q nothing; ky get -v x -q nothing; kyg -a x -q nothing; kyg -v 1 k
        :
        """
    said, plain = (
        [line for line in check("kys k v\n" + text, init=init) if line.startswith("error")]
        for text, init in ((body + more, INIT), (body, ""))
    )
    assert said[: len(plain)] == plain
    assert len(plain) == 10
    assert said[len(plain) :] == [*["error 2 at 7"] * 3, *["error 2 at 8"] * 3, "error 1 at 8"]


def test_two_shells_have_a_server_each_which_ends_with_the_shell() -> None:
    shells = [
        subprocess.Popen(
            [BASH, "--norc", "-c", INIT + "kys k v; sleep 1000 & echo; read -r; kill $!"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
        )
        for _ in range(2)
    ]
    for shell in shells:
        assert shell.stdout is not None
        assert shell.stdout.readline() == b"\n"
    found = [servers(shell.pid) for shell in shells]
    assert [len(each) for each in found] == [1, 1]
    for shell in shells:
        shell.communicate(b"\n")
    wait_for(lambda: not any(servers(shell.pid) for shell in shells), "the servers are there still")


def test_a_server_ends_though_a_program_of_the_shell_runs_on() -> None:
    shell = subprocess.Popen(
        [BASH, "--norc", "-c", INIT + "kys k v; sleep 1000 >/dev/null & echo $!"],
        stdout=subprocess.PIPE,
        env=environment(),
    )
    out, _ = shell.communicate()
    try:
        wait_for(lambda: not servers(shell.pid), "the server is there still")
    finally:
        os.kill(int(out), 9)
