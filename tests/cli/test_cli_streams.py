"""Pipes, terminals and signals, with real processes."""

from __future__ import annotations

import base64
import io
import os
import pty
import resource
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest
from cli.harness import Call, call_command, program

from kycli.cli import env as env_module
from kycli.cli.env import Environment
from kycli.cli.output import write_texts
from kycli.core.storage import Kycore


@pytest.fixture(autouse=True)
def _interrupts_arrive() -> Iterator[None]:
    """Let programs be interrupted also where the tests run in the background of a script."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def many_keys() -> None:
    with Kycore() as store:
        store.save_many((f"key{n:06}", "v" * 50) for n in range(20_000))


@pytest.mark.parametrize("words", [["keys"], ["scan"], ["scan", "--json"], ["get", "key000001"]])
@pytest.mark.usefixtures("many_keys")
def test_a_closed_pipe_is_silent(words: list[str]) -> None:
    with subprocess.Popen(
        [program("kycli"), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.usefixtures("many_keys")
def test_head_gets_its_line() -> None:
    done = subprocess.run(
        f"{program('kycli')} scan | head -n 1; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        b"key000000=" + b"v" * 50 + b"\n",
        b"",
    )


@pytest.mark.parametrize("words", [["keys"], ["get", "key000001"], ["help"]])
@pytest.mark.usefixtures("many_keys")
def test_a_full_device_is_one_error(words: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [program("kycli"), *words], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 1
    assert done.stderr == b"kycli: cannot write to standard output: No space left on device\n"


@pytest.fixture(params=["", "1"], ids=["buffered", "unbuffered"])
def environ(request: pytest.FixtureRequest) -> dict[str, str]:
    """With and without PYTHONUNBUFFERED, which takes the buffer of standard output away."""
    return {**os.environ, "PYTHONUNBUFFERED": request.param}


BIG = b"0123456789" * 300_000


def test_a_write_that_the_system_cuts_short_is_an_error(
    run: Call, call: Call, home: Path, environ: dict[str, str]
) -> None:
    call("kys", "k", "-", stdin=BIG)

    def limit_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    with (home / "out").open("wb") as out:
        done = subprocess.run(
            [program("kyg"), "k"],
            stdout=out,
            stderr=subprocess.PIPE,
            env=environ,
            preexec_fn=limit_files,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == b"kycli: cannot write to standard output: File too large\n"


def test_a_non_blocking_pipe_that_is_full_is_an_error(
    run: Call, call: Call, environ: dict[str, str]
) -> None:
    call("kys", "k", "-", stdin=BIG)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    done = subprocess.run(
        [program("kyg"), "k"],
        stdout=writing,
        stderr=subprocess.PIPE,
        env=environ,
        timeout=60,
        check=False,
    )
    os.close(reading)
    os.close(writing)
    assert done.returncode == 1
    assert done.stderr.startswith(b"kycli: cannot write to standard output: ")
    assert done.stderr.count(b"\n") == 1


def test_being_stopped_in_the_middle_of_a_write_loses_nothing(
    call: Call, environ: dict[str, str]
) -> None:
    call("kys", "k", "-", stdin=BIG)
    with subprocess.Popen(
        [program("kyg"), "k", "--raw"], stdout=subprocess.PIPE, env=environ, bufsize=0
    ) as process:
        assert process.stdout is not None
        received = process.stdout.read(1)  # from now on it writes into a pipe that is full
        for _ in range(20):
            process.send_signal(signal.SIGSTOP)
            process.send_signal(signal.SIGCONT)
            received += process.stdout.read(10_000)
        while piece := process.stdout.read(1_000_000):
            received += piece
    assert process.returncode == 0
    assert received == BIG


def test_input_whose_end_cannot_be_told_is_refused(run: Call) -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.write(writing, b"the first half")
    done = subprocess.run(
        [program("kys"), "k", "-"], stdin=reading, capture_output=True, timeout=60, check=False
    )
    os.close(reading)
    os.close(writing)
    assert done.returncode == 1
    assert b"non-blocking" in done.stderr
    assert run("kyg", "k").code == 2


def test_closed_streams(run: Call, call: Call) -> None:
    call("kys", "k", "v")

    def shell(line: str) -> subprocess.CompletedProcess[bytes]:
        path = f"{os.path.dirname(program('kycli'))}:{os.environ['PATH']}"
        return subprocess.run(
            line,
            shell=True,
            executable="/bin/bash",
            capture_output=True,
            env={**os.environ, "PATH": path},
            check=False,
        )

    closed_output = shell("kyg k >&-")
    assert closed_output.returncode == 1
    assert closed_output.stderr == b"kycli: standard output is closed\n"
    assert shell("kys k w >&- 2>&-").returncode == 0
    assert shell("kyg gone 2>&-").returncode == 2
    assert shell("kys k - <&-").returncode == 1
    assert shell("kyg k <&-").stdout == b"w\n"


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal: the user's and the program's."""
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


def prompted(terminal: tuple[int, int]) -> subprocess.Popen[bytes]:
    """Start a command that asks, on the terminal, and wait for its prompt."""
    process = subprocess.Popen(
        [program("kycli"), "drop-scope", "alpha"],
        stdin=terminal[1],
        stdout=subprocess.PIPE,
        stderr=terminal[1],
    )
    prompt = b""
    while not prompt.endswith(b"[y/N] "):
        prompt += os.read(terminal[0], 1)
    return process


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"\n", 1)])
def test_prompts_on_a_real_terminal(
    run: Call, call: Call, terminal: tuple[int, int], answer: bytes, code: int
) -> None:
    call("kys", "k", "v", "-p", "alpha")
    with prompted(terminal) as process:
        os.write(terminal[0], answer)
        assert process.communicate(timeout=60)[0] == b""
    assert process.returncode == code
    assert run("kyg", "k", "-p", "alpha").code == (2 if code == 0 else 0)


def test_interrupting_a_prompt_ends_its_line_and_nothing_else(
    run: Call, call: Call, terminal: tuple[int, int]
) -> None:
    call("kys", "k", "v", "-p", "alpha")
    with prompted(terminal) as process:
        time.sleep(0.1)  # so that it is surely waiting, and not about to
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[0] == b""
    assert process.returncode == -signal.SIGINT
    os.set_blocking(terminal[0], False)
    assert os.read(terminal[0], 1000) == b"\r\n"
    assert run("kyg", "k", "-p", "alpha").out == b"v\n"


def test_the_question_is_not_asked_where_nobody_sees_it(
    run: Call, call: Call, terminal: tuple[int, int]
) -> None:
    call("kys", "k", "v", "-p", "alpha")
    done = subprocess.run(
        [program("kycli"), "drop-scope", "alpha"],
        stdin=terminal[1],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert b"-y answers yes" in done.stderr


@pytest.fixture
def reading_input() -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Start a line of shell with the commands on PATH, and wait until one reads its input."""
    started: list[subprocess.Popen[bytes]] = []

    def start(line: str) -> subprocess.Popen[bytes]:
        path = f"{os.path.dirname(program('kycli'))}:{os.environ['PATH']}"
        process = subprocess.Popen(
            ["bash", "-c", line],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PATH": path},
            start_new_session=True,
        )
        started.append(process)
        assert process.stdin is not None
        # More than a pipe holds, so that it is all written only when somebody reads.
        process.stdin.write(b"x" * 100_000)
        process.stdin.flush()
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_interrupting_stops_a_loop_of_the_shell(
    run: Call, reading_input: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    with reading_input("for n in 1 2 3; do kys k -; echo $?; done") as process:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.communicate(timeout=60) == (b"", b"")
    assert process.returncode == -signal.SIGINT
    assert run("kyg", "k").code == 2


def test_a_shell_reports_130_for_what_was_interrupted(
    reading_input: Callable[[str], subprocess.Popen[bytes]],
) -> None:
    with reading_input("trap : INT; kys k -; echo $?") as process:
        os.killpg(process.pid, signal.SIGINT)
        assert process.communicate(timeout=60) == (b"130\n", b"")


def test_interrupting_the_import_is_quiet_too(home: Path, tmp_path: Path) -> None:
    package = tmp_path / "early" / "kycli"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise KeyboardInterrupt\n")
    done = subprocess.run(
        [program("kycli"), "get", "k"],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(package.parent)},
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


FORGOTTEN = [
    "kys k",
    "kys k --json",
    "kys k --b64 --ttl 5m",
    "kycli set k",
    "kycli append k",
    "ky set k",
    "ky push list",
    "kys k --get",
    "kypush list",
    "kycli push list --unique",
    "kypatch doc.a",
    "kycli patch doc --path '$.a'",
    "kyrem list",
    "kycli remove list",
]


@pytest.mark.parametrize("line", FORGOTTEN)
def test_a_forgotten_value_is_not_read_from_standard_input(
    run: Call, call: Call, line: str, database: Path, terminal: tuple[int, int]
) -> None:
    call("kys", "k", "old")
    call("kys", "list", "--json", '["x"]')
    call("kys", "doc", "--json", '{"a": 1}')
    before = database.read_bytes()
    words = shlex.split(line)
    for stdin in (b"", b"x", b"next line\n"):
        result = run(*words, stdin=stdin)
        assert result.failed_clearly
        assert "VALUE" in result.err or "SUFFIX" in result.err
        assert "- to read it from standard input" in result.err
    asked = subprocess.run(
        [program(words[0]), *words[1:]], stdin=terminal[1], capture_output=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert asked.returncode == 1
    assert database.read_bytes() == before


def in_bash(line: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    path = f"{os.path.dirname(program('kycli'))}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", line], input=stdin, capture_output=True, timeout=60,
        env={**os.environ, "PATH": path}, check=False,
    )  # fmt: skip


def test_a_line_without_a_value_does_not_swallow_the_lines_behind_it(run: Call) -> None:
    loop = 'while read -r k v; do kys $k $v || echo "not $k"; done'
    done = in_bash(loop, b"a 1\nb\nc 3\n")
    assert done.stdout == b"not b\n"
    assert run("kyl").lines == ["a", "c"]


@pytest.mark.parametrize(
    "line",
    [
        "kys token $E",
        "kys $E value",
        'kys "$E" value',
        'kycli set "alpha.prod.$E" value',
        'kycli set "$E" value',
        "kys --ttl $E token value",
        'kys --ttl "$E" token value',
        'kys --scope "$E" token value',
        'kys -p "$E" token value',
        "kycli set -p $E token value",
        'kys --context "$E" token value',
        'kys --if-version "$E" token value',
        'kys -d "$E" token value',
        "kyd $E",
        'kyd "$E"',
        "kycli del $E",
        'kyd --prefix "$E" -y',
        "kyd --prefix $E",
        "kypush list $E",
        "kypatch token $E",
        "kypatch token --merge $E",
        'kypatch token --merge "$E"',
        'kypatch token --json-patch "$E"',
        "kyrem list $E",
        "kyc $E",
        'kyc "$E"',
        "kycli append token $E",
        "kycli expire token $E",
        'kycli expire token "$E"',
        'kycli incr number "$E"',
        "kycli update token $E",
        'kycli update token "$E"',
        "ky set token $E",
        "kycli move token $E",
        "kyrt $E",
        'kyrt "$E"',
        'kyr token --version "$E"',
        'kycli undo "$E"',
        'kyco "$E"',
        "kycli drop-scope $E -y",
        'kycli drop-scope "$E" -y',
        "kycli rename-scope default $E",
    ],
)
def test_an_empty_variable_changes_nothing(call: Call, line: str) -> None:
    call("kys", "token", "old")
    call("kys", "list", "--json", '["x"]')
    before = call("kycli", "history", "--json"), call("kycli", "list-scopes")
    done = in_bash(f"E=; {line}", b"the rest of a file\n")
    assert done.returncode == 1
    assert done.stderr.startswith(b"kycli: ")
    assert (call("kycli", "history", "--json"), call("kycli", "list-scopes")) == before


class Endless(io.RawIOBase):
    """What is read without an end, and how much of it was."""

    taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.taken += len(buffer)
        buffer[:] = b"0" * len(buffer)
        return len(buffer)


@pytest.mark.parametrize(
    "words",
    [
        ["kys", "k", "-"],
        ["kys", "k", "-", "--json"],
        ["kycli", "append", "k", "-"],
        ["kypush", "k", "-", "--b64"],
        ["kypatch", "k", "--merge", "-"],
        ["kypatch", "k", "--json-patch", "-"],
    ],
)
def test_input_that_does_not_end_is_read_up_to_the_limit(
    monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setattr(env_module, "MAX_INPUT", 4_000_000)
    source = Endless()
    result = call_command(*words, stdin=cast(BinaryIO, io.BufferedReader(source)))
    assert result.failed_clearly
    assert "standard input holds more than" in result.err
    assert "at most 1 GB" in result.err
    assert source.taken < 8_000_000


@pytest.mark.parametrize("patch", ["/dev/zero", "pipe"])
def test_a_patch_that_does_not_end_is_read_up_to_the_limit(
    home: Path, monkeypatch: pytest.MonkeyPatch, patch: str
) -> None:
    monkeypatch.setattr(env_module, "MAX_INPUT", 4_000_000)
    call_command("kys", "k", "--json", "{}")
    if patch == "pipe":
        os.mkfifo(home / patch)
        writer = subprocess.Popen(["sh", "-c", f"cat /dev/zero > {home / patch}"])
    result = call_command("kypatch", "k", "--json-patch", patch)
    assert result.failed_clearly
    assert f"{patch} holds more than 4,000,000 bytes" in result.err
    if patch == "pipe":
        assert writer.wait(60) != 0


def test_a_value_of_just_the_limit_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env_module, "MAX_INPUT", 3_000_000)
    data = os.urandom(3_000_000)
    assert call_command("kys", "k", "-", stdin=data).code == 0
    assert call_command("kys", "k", "-", stdin=data + b"x").failed_clearly
    encoded = call_command("kyg", "k", "--b64").out
    assert call_command("kys", "again", "--b64", "-", stdin=base64.encodebytes(data)).code == 0
    assert call_command("kyg", "again", "--b64").out == encoded


@pytest.mark.parametrize("words", [["kyg", "a", "gone", "b"], ["kyg", "big", "gone"]])
@pytest.mark.parametrize("reader", ["true", "head -c 1", "head -n 1"])
def test_a_closed_pipe_does_not_hide_a_missing_key(
    call: Call, words: list[str], reader: str
) -> None:
    for key in ("a", "b"):
        call("kys", key, "v")
    call("kys", "big", "-", stdin=BIG)
    done = in_bash(f"{shlex.join(words)} | {reader} >/dev/null; exit ${{PIPESTATUS[0]}}")
    assert done.returncode == 2
    assert done.stderr == b"kycli: no key 'gone' in scope 'default'\n"


def test_a_listing_ends_when_its_reader_does() -> None:
    class Closed(io.BytesIO):
        def write(self, data: Any, /) -> int:
            raise BrokenPipeError

    taken = []

    def keys() -> Iterator[str]:
        for number in range(100_000):
            taken.append(number)
            yield f"k{number}"

    env = Environment(stdin=io.BytesIO(), stdout=Closed(), stderr=io.StringIO())
    write_texts(env, keys())
    assert env.unread
    assert len(taken) < 5_000
