"""Stored commands, and the keys of a scope as environment variables."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from cli.harness import Call, program
from conftest import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kycli.cli.commands.programs.command_text import read
from kycli.cli.commands.programs.running import (
    _command,
    _quoted,
    _quoted_for_dotenv,
    _quoted_for_fish,
)
from kycli.errors import InvalidValueError

SHELLS = [shell for shell in ("sh", "dash", "bash", "busybox", "ksh", "zsh") if shutil.which(shell)]
FISH = shutil.which("fish")
HOSTILE = [
    "plain",
    "",
    " ",
    "two words",
    "  blanks around  ",
    "it's",
    "'",
    "''",
    '"double"',
    "$HOME ${HOME} $(touch pwned) `touch pwned`",
    "'; touch pwned; '",
    "\\'; touch pwned; \\'",
    "\\",
    "a\\",
    "\\\\n\\t",
    "back\\slash 'and' quote",
    "line\nbreak",
    "\n",
    "ends with newlines\n\n",
    "\r\n\t\v\f\b\x1b[31m\x7f\x01",
    "!history !! #comment",
    "*?[a-z]{b,c}~ ~root",
    "-n",
    "--help",
    "=x",
    "a=b;c&d|e<f>g(h)",
    "%s %d %n",
    "größe 日本 🙂 \u2028 \u00a0",
]


def fill(call: Call, values: dict[str, str | bytes], scope: str = "vars") -> None:
    for name, value in values.items():
        data = value.encode() if isinstance(value, str) else value
        assert call("kys", "--scope", scope, name, "-", stdin=data).code == 0


def variables(count: int = len(HOSTILE)) -> dict[str, str | bytes]:
    return {f"V_{number}": value for number, value in enumerate(HOSTILE[:count])}


PRINT = """
import os, sys
sys.stdout.buffer.write(b"\\0".join(os.environb[name.encode()] for name in sys.argv[1:]))
"""


# Stored commands


FLAGS = ["-n", "--help", "-h", "--", "-0", "--dry-run", "-d"]


def test_arguments_arrive_as_they_are(run: Call, call: Call) -> None:
    call("kys", "show", "printf '[%s]'")
    words = [*HOSTILE, *FLAGS, "x" * 1000, "second one", *HOSTILE]
    shown = "".join(f"[{word}]" for word in words).encode()
    assert run("kyc", "show", *words) == (0, shown, "")
    assert run("kycli", "exec", "show", *words).out == shown
    assert run("kycli", "kyc", "show", *words).out == shown


@pytest.mark.parametrize("word", [*FLAGS, ""])
def test_what_looks_like_a_flag_arrives_as_it_is(run: Call, call: Call, word: str) -> None:
    call("kys", "show", "printf '[%s]'")
    assert run("kyc", "show", word) == (0, f"[{word}]".encode(), "")


def test_arguments_need_not_be_utf8(run: Call, call: Call) -> None:
    call("kys", "show", "printf '[%s]'")
    assert run("kyc", "show", b"\xff\xfe", "ü").out == b"[\xff\xfe][\xc3\xbc]"
    assert run("kycli", "run", "--", "printf", "[%s]", b"\xff").out == b"[\xff]"
    assert run("kyc", "--", "show", b"\xff").out == b"[\xff]"
    assert run("kyc", b"\xff").failed_clearly


def test_a_dry_run_prints_what_a_shell_would_run(run: Call, call: Call, home: Path) -> None:
    call("kys", "show", "printf '[%s]'")
    for words in ([word, "second"] for word in HOSTILE):
        shown = call("kyc", "--dry-run", "show", *words)
        assert (shown.code, shown.err) == (0, "")
        assert shown.out.startswith(b"printf '[%s]' ")
        again = subprocess.run(["sh", "-c", shown.out], capture_output=True, check=True)
        assert again.stdout == "".join(f"[{word}]" for word in words).encode()
    shown = call("kyc", "--dry-run", "show", *HOSTILE)
    again = subprocess.run(["sh", "-c", shown.out], capture_output=True, check=True)
    assert again.stdout == run("kyc", "show", *HOSTILE).out
    assert not (home / "pwned").exists()


def test_a_dry_run_runs_nothing(run: Call, home: Path) -> None:
    run("kys", "danger", "touch pwned")
    assert run("kyc", "--dry-run", "danger").out == b"touch pwned\n"
    assert run("kycli", "exec", "--dry-run", "danger", "a b").out == b"touch pwned 'a b'\n"
    assert run("kycli", "--dry-run", "exec", "danger").out == b"touch pwned\n"
    assert not (home / "pwned").exists()


@pytest.mark.parametrize("code", [0, 1, 2, 3, 42, 127, 255])
def test_exit_codes_are_passed_on(run: Call, call: Call, code: int) -> None:
    call("kys", "leave", f"exit {code}")
    assert run("kyc", "leave").code == code
    assert run("kycli", "run", "--scope", "none", "--", "sh", "-c", f"exit {code}").code == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGPIPE])
def test_signals_are_passed_on(run: Call, call: Call, number: signal.Signals) -> None:
    call("kys", "die", f"kill -{number.value} $$")
    assert run("kyc", "die").code == -number
    call("kys", "wait", "echo ready; exec sleep 60")
    with subprocess.Popen([program("kyc"), "wait"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        assert process.wait(30) == -number


def test_a_closed_pipe_ends_the_program_quietly(run: Call, call: Call) -> None:
    call("kys", "endless", "yes")
    for words in ("kyc endless", "kycli run -q --scope none -- yes"):
        done = subprocess.run(
            ["bash", "-c", f"{words} | head -n 1; echo ${{PIPESTATUS[0]}}"],
            env={**os.environ, "PATH": os.path.dirname(program("kyc")) + ":" + os.environ["PATH"]},
            capture_output=True,
            timeout=60,
            check=True,
        )
        assert (done.stdout, done.stderr) == (b"y\n141\n", b"")


def test_standard_input_is_the_programs(run: Call, call: Call) -> None:
    call("kys", "copy", "cat")
    assert run("kyc", "copy", stdin=b"\0\xff").out == b"\0\xff"
    assert run("kycli", "run", "cat", stdin=b"\0\xff").out == b"\0\xff"


def test_nothing_is_left_open(run: Call, call: Call) -> None:
    call("kys", "files", "ls /proc/self/fd | wc -l")
    bare = subprocess.run(["sh", "-c", "ls /proc/self/fd | wc -l"], stdin=subprocess.DEVNULL,
                          capture_output=True, check=True)  # fmt: skip
    assert run("kyc", "files").out == bare.stdout


@pytest.mark.parametrize(
    ("stored", "words", "out"),
    [
        ("echo a\n", ["b"], "a b\n"),
        ("echo a \r\n \t\n", ["b"], "a b\n"),
        ("echo a\\ ", ["b"], "a  b\n"),
        ("echo a \\\n\n", ["b"], "a b\n"),
        ("printf %s\\\\n 'a'\n", ["b"], "a\nb\n"),
        ("printf '%s\n' a\\\\ \n", ["b"], "a\\\nb\n"),
        ('f() { echo "$2-$1"; }; f "$@"', ["a", "b"], "b-a\n"),
        ('printf "%s-%s\\n" "$1" x', ["it's"], "it's-x\n"),
        ('if test "$1" = a; then echo "${2}"; fi', ["a", "; x"], "; x\n"),
        ('echo "$#";', ["a", "b"], "2\n"),
        ('for word do echo "$word"; done # of "$@"\necho "$*"', ["a", "b"], "a\nb\na b\n"),
        ("echo $(echo a; (echo b))", ["c"], "a b c\n"),
        ("echo $((1 + (2)))", ["c"], "3 c\n"),
        ("echo \\;", ["c"], "; c\n"),
        ('echo "\\$1" \\$1 fi a#b', ["c"], "$1 $1 fi a#b c\n"),
        ("A=1 B= env -i", ["echo", "x"], "x\n"),
        (">&1 2>/dev/null echo a >&1", ["b"], "a b\n"),
        ("echo a \\\n\t-n \\\n b", ["c"], "a -n b c\n"),
        ("ec\\\nho a", ["b"], "a b\n"),
        ("awk 'BEGIN {print ARGV[1]}'", ["x"], "x\n"),
        ('cat <<END\ndon\'t $1\nEND\necho "$2"', ["a", "b"], "don't a\nb\n"),
        ("printf '%s\\n' a | cat; echo $*", ["b"], "a\nb\n"),
        ('$NOTHING "$@"', ["echo", "mine"], "mine\n"),
        ("echo ';' \";\" '#' \"it's; # fi\"", ["c"], "; ; # it's; # fi c\n"),
        ('echo "$0: $#"', [], "k: 0\n"),
        ("printf %s", ["$HOME", ";", "x"], "$HOME;x"),
    ],
)
def test_arguments_go_to_the_end_of_the_command(
    run: Call, call: Call, stored: str, words: list[str], out: str
) -> None:
    call("kys", "k", "-", stdin=stored.encode())
    found = run("kyc", "k", *words)
    assert found == (0, out.encode(), "")
    assert (
        found.out
        == subprocess.run(
            ["sh", "-c", call("kyc", "--dry-run", "k", *words).out, "k"],
            capture_output=True,
            check=True,
        ).stdout
    )


@pytest.mark.parametrize(
    ("stored", "why"),
    [
        ("x=1", "names no command"),
        ("A=b C=$(true)", "names no command"),
        ("A+=b", "names no command"),
        ("2>/dev/null", "names no command"),
        ("</dev/null >&2", "names no command"),
        ("!", "begins with '!'"),
        ("!\\\n", "begins with '!'"),
        ("cd . && A=b", "holds '&'"),
        ("true; A=b", "holds ';'"),
        ("true |", "holds '|'"),
        ("true\nA=b", "several lines"),
        ("$NOTHING", "known only at run time"),
        ("$(true)", "known only at run time"),
        ("`true`", "known only at run time"),
        ("${NOTHING:-}$NOTHING", "known only at run time"),
        ("A=b $NOTHING", "known only at run time"),
        ("$\\\nNOTHING ", "goes on in the next line"),
        ("$NO\\\nTHING", "goes on in the next line"),
        ("$NOTHING{a,b}", "known only at run time"),
        ("echo a >", "ends in a redirection"),
        ("echo a 2>", "ends in a redirection"),
        ("echo 'a", "a quote in it is not closed"),
        ('echo "a', "a quote in it is not closed"),
        ("echo `true", "a quote in it is not closed"),
        ("echo ${A", "a quote in it is not closed"),
        ("echo $(true", "a parenthesis in it is not closed"),
        ("echo a\\", "ends in a backslash"),
        ("echo a;", "holds ';'"),
        ("echo a ; \n", "holds ';'"),
        ("sleep 0 &", "holds '&'"),
        ("echo a # comment", "a comment"),
        ("echo a\n# it's the end\n", "several lines"),
        ("cat <<END\ntext\nEND", "a here-document"),
        ("if true; then echo a; fi", "begins with 'if'"),
        ("for x in 1 2; do echo $x; done\n", "begins with 'for'"),
        ("case a in a) echo a;; esac", "begins with 'case'"),
        ("{ echo a; }", "begins with '{'"),
        ("f() { echo a; }", "holds '('"),
        ("(cd /; (echo $(pwd)))", "holds '('"),
        ("echo a b | awk '{print $2}'", "holds '|'"),
        ("echo '$1' # $1", "a comment"),
        ("echo $'a'", "which shells read differently"),
    ],
)
def test_arguments_that_no_text_can_take_are_refused(
    run: Call, call: Call, stored: str, why: str
) -> None:
    call("kys", "k", "-", stdin=stored.encode())
    for refused in (run("kyc", "k", "echo", "INJECTED"), call("kyc", "--dry-run", "k", "x")):
        assert refused.failed_clearly
        assert "takes no arguments: " in refused.err
        assert why in refused.err
        assert '"$@"' in refused.err
    if not stored.endswith("\\\n"):
        assert call("kyc", "--dry-run", "k").out == stored.rstrip(" \n").encode() + b"\n"


FRAGMENTS = [
    *" \t\n;&|(){}!#'\"`\\$<>=~*",
    *("\\\n", "&&", "||", "{ ", " }", "! ", "if ", "then ", "fi", "while ", "do ", "done", "case "),
    *(
        "esac",
        "for ",
        "in ",
        " # ",
        "\\ ",
        '""',
        "''",
        "$X",
        "${X}",
        "${X:-}",
        '"$X"',
        "$(",
        "$(:)",
    ),
    *(
        "`:`",
        "$((1+2))",
        "2>",
        ">>",
        ">&",
        "2>&1",
        ">/dev/null",
        "2>/dev/null",
        "<<E",
        "\nE\n",
        "A=",
    ),
    *("A=b ", "A+=c", "a[1]=x", "echo ", "true", ":", "x", "$'", "{,}", "{a,b}", "{fd}>", "[["),
    *("function ", "coproc ", "select ", '"${A[@]}"', "<<<", "\r"),
]


@pytest.fixture(scope="module")
def mark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that leaves a file behind where it is run, and which no text names."""
    script = tmp_path_factory.mktemp("bin") / "mark"
    script.write_text('#!/bin/sh\n: > "$MARK"\n')
    script.chmod(0o755)
    return script


@settings(max_examples=examples(400), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=7).map("".join))
def test_no_argument_becomes_a_command(mark: Path, tmp_path: Path, text: str) -> None:
    try:
        command = _command("k", text)
    except InvalidValueError:
        return
    reading = read(command)
    if reading.obstacle or reading.uses_arguments:
        return
    trace = tmp_path / "trace"
    environ = {"PATH": f"{mark.parent}:/usr/bin:/bin", "MARK": str(trace)}
    for shell in (["sh"], *([["bash"], ["bash", "--posix"]] if shutil.which("bash") else [])):
        subprocess.run(
            [*shell, "-c", command + b' "$@"', "k", "mark"], env=environ, cwd=tmp_path,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False,
        )  # fmt: skip
        assert not trace.exists()
        assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("piece", ["(", "$(", "`", "${", "$((", "<<E\n", '"$('])
def test_reading_a_command_does_not_recurse_without_end(piece: str) -> None:
    assert read(piece.encode() * 100_001).obstacle


def test_a_dry_run_shows_where_the_arguments_go(run: Call, call: Call) -> None:
    call("kys", "k", 'echo "$1, hi"')
    assert call("kyc", "--dry-run", "k", "it's").out == b"set -- 'it'\\''s'\necho \"$1, hi\"\n"
    assert call("kyc", "--dry-run", "k").out == b'echo "$1, hi"\n'


def test_commands_inside_documents(run: Call, call: Call) -> None:
    call("kys", "tasks", "--json", '{"hi": "echo hi", "number": 5}')
    assert run("kyc", "tasks.hi", "there").out == b"hi there\n"
    assert run("kyc", "tasks.number").failed_clearly


def test_addresses_and_scopes(run: Call) -> None:
    run("kycli", "set", "a.tools.hi", "echo hi")
    assert run("kycli", "exec", "a.tools.hi", "-n", "--scope").out == b"hi -n --scope\n"
    assert run("kyc", "--scope", "a.tools", "hi", "--scope", "b").out == b"hi --scope b\n"


@pytest.mark.parametrize("name", ["nobody", "nobody.x"])
def test_a_missing_command_is_2(call: Call, name: str) -> None:
    result = call("kyc", name, "argument")
    assert (result.code, result.out) == (2, b"")
    assert f"no key '{name}'" in result.err


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"--json 5", "a number"),
        (b"--json [1]", "a list"),
        (b"a\0b", "NUL"),
        (b"", "empty"),
        (b" \n\t\r\n", "empty"),
    ],
)
def test_what_is_no_command_is_refused(call: Call, value: bytes, said: str) -> None:
    if value.startswith(b"--json"):
        call("kys", "k", *value.decode().split())
    else:
        call("kys", "k", "-", stdin=value)
    for words in (["kyc", "k"], ["kyc", "k", "rm", "-rf"], ["kyc", "--dry-run", "k"]):
        result = call(*words)
        assert result.failed_clearly
        assert said in result.err


# Variables


@pytest.fixture
def scope(call: Call) -> dict[str, str | bytes]:
    fill(call, variables())
    fill(call, {"BYTES": b"\xff\xfe'\x80\\"})
    call("kys", "--scope", "vars", "NUMBER", "--json", "5")
    call("kys", "--scope", "vars", "DOCUMENT", "--json", '{"b": [1, "x"], "a": null}')
    call("kys", "--scope", "other", "ELSE", "where")
    return {
        **variables(),
        "BYTES": b"\xff\xfe'\x80\\",
        "NUMBER": "5",
        "DOCUMENT": '{"a":null,"b":[1,"x"]}',
    }


def joined(values: dict[str, str | bytes]) -> bytes:
    return b"\0".join(v.encode() if isinstance(v, str) else v for v in values.values())


def test_a_program_gets_the_keys_as_variables(run: Call, scope: dict[str, str | bytes]) -> None:
    words = ["kycli", "run", "--scope", "vars", "--", "python3", "-c", PRINT, *scope]
    assert run(*words) == (0, joined(scope), "")
    printed = run("kycli", "run", "--scope", "vars", "env", "-0").out.split(b"\0")
    assert f"HOME={os.environ['HOME']}".encode() in printed
    assert not any(line.startswith(b"ELSE=") for line in printed)


@pytest.mark.parametrize("shell", SHELLS)
def test_what_env_prints_is_safe_to_eval(
    run: Call, home: Path, scope: dict[str, str | bytes], shell: str
) -> None:
    command = [shell, "sh"] if shell == "busybox" else [shell]
    script = 'eval "$("$0" env --scope vars)"; exec python3 -c "$@"'
    done = subprocess.run(
        [*command, "-c", script, program("kycli"), PRINT, *scope],
        capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == (joined(scope), b"")
    assert not (home / "pwned").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_a_dotenv_file_is_safe_to_source(
    run: Call, call: Call, home: Path, scope: dict[str, str | bytes], shell: str
) -> None:
    command = [shell, "sh"] if shell == "busybox" else [shell]
    (home / "dotenv").write_bytes(call("kycli", "env", "--scope", "vars", "--format", "dotenv").out)
    script = 'set -a; . ./dotenv; exec python3 -c "$@"'
    done = subprocess.run(
        [*command, "-c", script, "sh", PRINT, *scope], capture_output=True, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == (joined(scope), b"")
    assert not (home / "pwned").exists()


@pytest.mark.skipif(FISH is None, reason="fish is not installed")
def test_what_env_prints_for_fish_is_safe(
    run: Call, home: Path, scope: dict[str, str | bytes]
) -> None:
    script = f"{program('kycli')} env --scope vars --format fish | source; exec python3 -c $argv"
    done = subprocess.run(
        [FISH or "", "--no-config", "-c", script, PRINT, *scope],
        capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == (joined(scope), b"")
    assert not (home / "pwned").exists()


def test_json_has_the_exact_values(call: Call, scope: dict[str, str | bytes]) -> None:
    found = json.loads(call("kycli", "env", "--scope", "vars", "--format", "json").out)
    for name, value in scope.items():
        if isinstance(value, bytes):
            assert base64.b64decode(found[name]["$base64"]) == value
        else:
            assert found[name] == value
    assert found.keys() == scope.keys()


def unquoted_by_sh(data: bytes) -> bytes:
    done = subprocess.run(["sh"], input=b"printf %s " + data, capture_output=True, check=True)
    assert done.stderr == b""
    return done.stdout


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=12).map(lambda data: data.replace(b"\0", b"")))
def test_any_bytes_survive_quoting(data: bytes) -> None:
    assert unquoted_by_sh(_quoted(data)) == data
    assert unquoted_by_sh(_quoted_for_dotenv(data) or b"''") == data


@given(st.text("'\\$`\"\n ax", max_size=8))
def test_quoting_for_fish_leaves_only_two_escapes(text: str) -> None:
    quoted = _quoted_for_fish(text.encode()).decode()
    inside = quoted[1:-1]
    read, at = "", 0
    while at < len(inside):
        if inside[at] == "\\":
            at += 1
            assert inside[at] in "'\\"
        else:
            assert inside[at] != "'"
        read += inside[at]
        at += 1
    assert (quoted[0], read, quoted[-1]) == ("'", text, "'")


def test_dotenv_quotes_only_what_needs_it(call: Call) -> None:
    fill(call, {"A": "plain-1.0", "B": "two words", "C": "it's $x", "D": ""})
    assert call("kycli", "env", "--scope", "vars", "--format", "dotenv").lines == [
        "A=plain-1.0",
        "B='two words'",
        'C="it\'s \\$x"',
        "D=",
    ]


def test_a_prefix_chooses_keys(run: Call, call: Call) -> None:
    fill(call, {"DB_HOST": "h", "DB_PORT": "1", "OTHER": "o", "not.a.name": "x"})
    shown = call("kycli", "env", "--scope", "vars", "--prefix", "DB_")
    assert shown.lines == ["export DB_HOST=h", "export DB_PORT=1"]
    words = ["--scope", "vars", "--prefix", "DB_", "--", "sh", "-c", "echo $DB_HOST,$OTHER"]
    assert run("kycli", "run", *words).out == b"h,\n"


def test_a_scope_that_is_empty(run: Call, call: Call) -> None:
    assert call("kycli", "env", "--scope", "nothing") == (0, b"", "kycli: no scope 'nothing'\n")
    assert call("kycli", "env", "-q", "--scope", "nothing", "--format", "json") == (0, b"{}\n", "")
    assert run("kycli", "run", "-q", "--scope", "nothing", "echo", "x") == (0, b"x\n", "")


def test_path_is_that_of_the_new_environment(run: Call, call: Call, home: Path) -> None:
    (home / "bin").mkdir()
    script = home / "bin" / "only-here"
    script.write_text("#!/bin/sh\necho found\n")
    script.chmod(0o755)
    call("kys", "--scope", "vars", "PATH", f"{home}/bin")
    assert run("kycli", "run", "--scope", "vars", "only-here").out == b"found\n"


@pytest.mark.parametrize(
    "name", ["a.b", "1st", "with space", "a-b", "größe", "a=b", "x;touch pwned"]
)
def test_a_key_that_is_no_name_is_skipped_and_named(
    run: Call, call: Call, home: Path, name: str
) -> None:
    call("kys", "--scope", "vars", "GOOD", "v")
    call("kys", "--scope", "vars", "--", name, "w")
    for words, out in (
        (["env"], b"export GOOD=v\n"),
        (["env", "--format", "json"], b'{"GOOD":"v"}\n'),
        (["run", "--", "sh", "-c", "echo $GOOD"], b"v\n"),
    ):
        result = run("kycli", words[0], "--scope", "vars", *words[1:])
        assert (result.code, result.out) == (0, out)
        assert repr(name) in result.err
        assert "--upper" in result.err.splitlines()[1]
        assert (call if words[0] == "env" else run)(
            "kycli", words[0], "-q", "--scope", "vars", *words[1:]
        ) == (0, out, "")
    assert not (home / "pwned").exists()


def test_names_in_upper_case(call: Call) -> None:
    fill(call, {"db.host": "h", "1st": "1", "größe": "g", "PORT": "p"})
    shown = call("kycli", "env", "--scope", "vars", "--upper")
    assert shown == (
        0, b"export _1ST=1\nexport PORT=p\nexport DB_HOST=h\nexport GR__E=g\n", "",
    )  # fmt: skip


def test_names_of_ones_own(call: Call) -> None:
    fill(call, {"db.host": "h", "a=b": "x", "PORT": "p", "other.one": "o"})
    words = ["env", "--scope", "vars", "--map", "db.host=HOST,PORT=DB_PORT", "--map", "a=b=AB"]
    result = call("kycli", *words)
    assert result.out == b"export DB_PORT=p\nexport AB=x\nexport HOST=h\n"
    assert "'other.one'" in result.err
    assert call("kycli", *words, "--upper").lines[-1] == "export OTHER_ONE=o"
    unknown = call("kycli", "env", "--scope", "none", "--map", "x=Y")
    assert (unknown.code, unknown.out) == (0, b"")
    assert "'x'" in unknown.err


def test_two_keys_under_one_name_are_refused(run: Call, call: Call, home: Path) -> None:
    for key in ("db.host", "db-host"):
        call("kys", "--scope", "vars", key, "v")
    for words in (["env"], ["run", "--", "touch", "ran"]):
        result = run("kycli", words[0], "--upper", "--scope", "vars", *words[1:])
        assert result.failed_clearly
        assert "'db-host' and 'db.host' in scope 'vars' would both be DB_HOST" in result.err
    assert not (home / "ran").exists()


def test_of_several_scopes_the_last_one_holds(run: Call, call: Call) -> None:
    for scope, data in {
        "app": {"HOST": "localhost", "PORT": "80", "log.level": "info"},
        "app.prod": {"HOST": "example.org", "log-level": "warn"},
    }.items():
        for key, value in data.items():
            call("kys", "--scope", scope, key, value)
    print_them = ["--", "sh", "-c", "echo $HOST,$PORT,$LOG_LEVEL"]
    both = ["--scope", "app", "--scope", "app.prod", "--upper"]
    assert run("kycli", "run", *both, *print_them).out == b"example.org,80,warn\n"
    other = ["--scope", "app.prod,app", "--upper"]
    assert run("kycli", "run", *other, *print_them).out == b"localhost,80,info\n"
    assert call("kycli", "env", *both, "--prefix", "P").lines == ["export PORT=80"]


def test_a_value_with_a_nul_is_refused(run: Call, call: Call, home: Path) -> None:
    call("kys", "--scope", "vars", "NUL", "-", stdin=b"a\0b")
    for words in (["env"], ["env", "--format", "json"], ["run", "--", "touch", "ran"]):
        result = run("kycli", words[0], "--scope", "vars", *words[1:])
        assert result.failed_clearly
        assert "'NUL'" in result.err
    assert not (home / "ran").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["env", "--format", "csh"], "'csh'"),
        (["env", "more"], "'more'"),
        (["run"], "COMMAND"),
        (["run", "--"], "COMMAND"),
        (["run", "--", "no-such-program"], "'no-such-program': No such file"),
        (["run", "--", ""], "name of the command is empty"),
        (["run", "/"], "'/': Permission denied"),
        (["run", "--format", "sh", "x"], "--format"),
        (["env", "--scope", "a", "--scope", "b c"], "'b c'"),
        (["env", "--scope", "a,b", "-n", "c"], "-p or -n"),
        (["env", "--scope", "a,", "--upper"], "empty"),
        (["env", "--map", "a"], "KEY=NAME"),
        (["env", "--map", "a=1x"], "'1x'"),
        (["env", "--map", "a=B,a=C"], "twice"),
        (["env", "--prefix", "a", "--prefix", "b"], "twice"),
        (["exec"], "ADDRESS"),
        (["kyc", "--json", "k"], "--json"),
    ],
)
def test_bad_command_lines(run: Call, words: list[str], said: str) -> None:
    result = run("kycli", *words)
    assert result.failed_clearly
    assert said in result.err


def test_variables_that_are_too_large(run: Call, call: Call) -> None:
    call("kys", "LARGE", "-", stdin=b"x" * 200_000)
    result = run("kycli", "run", "true")
    assert result.failed_clearly
    assert "Argument list too long" in result.err


def test_flags_behind_the_command_are_its_own(run: Call, call: Call) -> None:
    call("kys", "show", "printf '[%s]'")
    assert run("kyc", "show", "-q", "--help", "--", "--version", "-d").out == (
        b"[-q][--help][--][--version][-d]"
    )
    assert run("kycli", "-q", "exec", "show", "-h").out == b"[-h]"
    assert run("kycli", "run", "echo", "-h", "--", "--version").out == b"-h -- --version\n"
    assert run("kycli", "run", "--", "--", "x").failed_clearly
    assert b"Usage: kyc" in run("kyc", "-h", "show").out
