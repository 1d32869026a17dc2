"""Pipes, terminals and signals, with real processes."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from collections.abc import Iterator

import pytest
from cli.harness import Call, program

from kycli.core.storage import Kycore


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


def test_closed_streams(run: Call) -> None:
    run("kys", "k", "v")

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
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    prompt = b""
    while not prompt.endswith(b"[y/N] "):
        piece = process.stderr.read(1)
        assert piece, prompt
        prompt += piece
    return process


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"\n", 1)])
def test_prompts_on_a_real_terminal(
    run: Call, terminal: tuple[int, int], answer: bytes, code: int
) -> None:
    run("kys", "k", "v", "-p", "alpha")
    with prompted(terminal) as process:
        os.write(terminal[0], answer)
        assert process.communicate(timeout=60)[0] == b""
    assert process.returncode == code
    assert run("kyg", "k", "-p", "alpha").code == (2 if code == 0 else 0)


def test_interrupting_is_130_and_quiet(run: Call, terminal: tuple[int, int]) -> None:
    run("kys", "k", "v", "-p", "alpha")
    with prompted(terminal) as process:
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == (b"", b"")
    assert process.returncode == 130
    assert run("kyg", "k", "-p", "alpha").out == b"v\n"


def test_set_waits_for_nobody_at_a_terminal(terminal: tuple[int, int]) -> None:
    done = subprocess.run(
        [program("kys"), "k"], stdin=terminal[1], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert b"VALUE is missing" in done.stderr
