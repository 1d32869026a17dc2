"""Pipes, terminals and signals, with real processes."""

from __future__ import annotations

import os
import pty
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli.harness import Call, program

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
    run: Call, home: Path, environ: dict[str, str]
) -> None:
    run("kys", "k", stdin=BIG)

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


def test_a_non_blocking_pipe_that_is_full_is_an_error(run: Call, environ: dict[str, str]) -> None:
    run("kys", "k", stdin=BIG)
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
    run: Call, environ: dict[str, str]
) -> None:
    run("kys", "k", stdin=BIG)
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
        [program("kys"), "k"], stdin=reading, capture_output=True, timeout=60, check=False
    )
    os.close(reading)
    os.close(writing)
    assert done.returncode == 1
    assert b"non-blocking" in done.stderr
    assert run("kyg", "k").code == 2


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
        stderr=terminal[1],
    )
    prompt = b""
    while not prompt.endswith(b"[y/N] "):
        prompt += os.read(terminal[0], 1)
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


def test_interrupting_a_prompt_ends_its_line_and_nothing_else(
    run: Call, terminal: tuple[int, int]
) -> None:
    run("kys", "k", "v", "-p", "alpha")
    with prompted(terminal) as process:
        time.sleep(0.1)  # so that it is surely waiting, and not about to
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[0] == b""
    assert process.returncode == -signal.SIGINT
    os.set_blocking(terminal[0], False)
    assert os.read(terminal[0], 1000) == b"\r\n"
    assert run("kyg", "k", "-p", "alpha").out == b"v\n"


def test_the_question_is_not_asked_where_nobody_sees_it(
    run: Call, terminal: tuple[int, int]
) -> None:
    run("kys", "k", "v", "-p", "alpha")
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
        [program("kyg"), "k"],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(package.parent)},
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


def test_set_waits_for_nobody_at_a_terminal(terminal: tuple[int, int]) -> None:
    done = subprocess.run(
        [program("kys"), "k"], stdin=terminal[1], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert b"VALUE is missing" in done.stderr
