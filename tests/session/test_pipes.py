"""The server of one shell: requests from a pipe, each reply into its caller's own."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from session.callers import SECONDS, Answer, children, request, until
from session.test_server import is_alive, kill, locked

from kycli.session import protocol

pytestmark = pytest.mark.alone


class Shell:
    """What a shell holds of its server."""

    def __init__(self) -> None:
        requests, self.requests = os.pipe()
        life, self.life = os.pipe()
        self.ready, ready = os.pipe()
        words = [sys.executable, "-P", "-X", "utf8", "-m", "kycli.session", "pipe"]
        words += ["--requests", str(requests), "--life", str(life), "--ready", str(ready)]
        self.process = subprocess.Popen(words, pass_fds=(requests, life, ready))
        for descriptor in (requests, life, ready):
            os.close(descriptor)

    def end(self) -> None:
        for descriptor in (self.requests, self.life, self.ready):
            if descriptor >= 0:
                os.close(descriptor)
        self.requests = self.life = self.ready = -1
        self.process.wait(SECONDS)


class Caller:
    """A process of the shell, with a pipe for its replies."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.reading, self.writing = os.pipe()

    def send(self, program: str, *words: str | bytes, **options: object) -> None:
        data = request(program, *words, reply_to=str(self.writing), **options)
        if len(data) > protocol.MAX_PIPED:
            reading, writing = os.pipe()
            fields = f"{self.writing}\0{os.getpid()}\0{reading}\0".encode()
            os.write(self.shell.requests, b"KYCLI1\0%d\0%b" % (len(fields), fields))
            with os.fdopen(writing, "wb") as large:
                large.write(request(program, *words, **options))
            os.close(reading)
        else:
            assert os.write(self.shell.requests, data) == len(data)

    def has_cancelled(self) -> bool:
        """Cancel what was asked for; return whether there is a reply."""
        fields = f"-\0{os.getpid()}\0".encode()
        os.write(self.shell.requests, b"KYCLI1\0%d\0%b" % (len(fields), fields))
        return bool(select.select([self.reading], [], [], 0.05)[0])

    def read(self) -> Answer:
        data = b""
        while True:
            assert select.select([self.reading], [], [], SECONDS)[0], "no reply"
            data += os.read(self.reading, 1 << 16)
            found = protocol.read_reply(data)
            if found is not None:
                return Answer(found[0].decode(), found[1])

    def ask(self, program: str, *words: str | bytes, **options: object) -> Answer:
        self.send(program, *words, **options)
        return self.read()

    def close(self) -> None:
        os.close(self.reading)
        if self.writing >= 0:
            os.close(self.writing)


@pytest.fixture
def shell() -> Iterator[Shell]:
    shell = Shell()
    yield shell
    shell.end()


@pytest.fixture
def caller(shell: Shell) -> Iterator[Caller]:
    caller = Caller(shell)
    yield caller
    caller.close()


def test_the_first_request_may_come_before_the_server_is_ready(
    shell: Shell, caller: Caller
) -> None:
    caller.send("kys", "key", "value")
    assert caller.read() == ("0", [])
    assert os.read(shell.ready, 1) == b"\0"
    assert caller.ask("kyg", "key").out == b"value\n"
    assert caller.ask("kyg", "none").status == "2"
    assert caller.ask("kys", "key", "-").status == "<"
    assert caller.ask("kyc", "key").status == "?"


def test_large_requests_and_replies(caller: Caller) -> None:
    value = "x" * 1_000_000
    assert caller.ask("kys", "key", value) == ("0", [])
    assert caller.ask("kyg", "key").out == value.encode() + b"\n"
    data = bytes(range(256)) * 3000
    assert caller.ask("kys", "bytes", "-", input=data) == ("0", [])
    assert caller.ask("kyg", "--raw", "bytes").out == data


def test_a_reply_into_a_named_pipe(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "reply"
    os.mkfifo(path, 0o600)
    reading = os.open(path, os.O_RDWR)
    os.write(shell.requests, request("kyg", "none", reply_to=str(path)))
    assert os.read(reading, 100).startswith(b"2\0")
    os.close(reading)


def test_many_callers_at_once_never_get_the_reply_of_another(shell: Shell) -> None:
    wrong: list[object] = []

    def call(name: int) -> None:
        caller = Caller(shell)
        for number in range(60):
            size = 3000 if number % 10 == 0 else 10
            value = f"{name}-{number}-" + "x" * size
            if caller.ask("kys", f"k{name}", value).status != "0":
                wrong.append((name, number))
            answer = caller.ask("kyg", f"k{name}")
            if answer.out != value.encode() + b"\n":
                wrong.append((name, number, answer))
        caller.close()

    threads = [threading.Thread(target=call, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_cancelling_a_wait_for_a_lock(caller: Caller, database: Path) -> None:
    caller.ask("kys", "key", "value")
    with locked(database):
        caller.send("kys", "key", "cancelled")
        until(caller.has_cancelled)
        assert caller.read().status == "130"
    assert caller.ask("kyg", "key").out == b"value\n"


def test_a_caller_that_goes_away_cancels(shell: Shell, caller: Caller, database: Path) -> None:
    caller.ask("kys", "key", "value")
    with locked(database):
        other = Caller(shell)
        other.send("kys", "key", "cancelled")
        until(lambda: any(_waits(pid) for pid in children(shell.process.pid)))
        other.close()
        until(lambda: not any(_waits(pid) for pid in children(shell.process.pid)))
    assert caller.ask("kyg", "key").out == b"value\n"


def _waits(pid: int) -> bool:
    """Whether a worker has a reply pipe open, so that a request is under way."""
    try:
        names = os.listdir(f"/proc/{pid}/fd")
        return any(
            os.readlink(f"/proc/{pid}/fd/{name}").startswith("pipe:")
            and _flags(pid, name) & 0o20000
            for name in names
        )
    except OSError:
        return False


def _flags(pid: int, name: str) -> int:
    with open(f"/proc/{pid}/fdinfo/{name}") as file:
        return next(int(line.split()[1], 8) for line in file if line.startswith("flags"))


@pytest.mark.parametrize("how", ["life", "requests"])
def test_the_server_ends_with_its_shell(shell: Shell, caller: Caller, how: str) -> None:
    caller.ask("kys", "key", "value")
    pids = [shell.process.pid, *children(shell.process.pid)]
    os.close(getattr(shell, how))
    setattr(shell, how, -1)
    assert shell.process.wait(SECONDS) == 0
    assert not any(map(is_alive, pids))


def test_signals_of_the_terminal_do_not_reach_it(shell: Shell, caller: Caller) -> None:
    caller.ask("kys", "key", "value")
    for pid in (shell.process.pid, *children(shell.process.pid)):
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTSTP):
            os.kill(pid, number)
    assert os.getsid(shell.process.pid) == shell.process.pid
    assert caller.ask("kyg", "key").out == b"value\n"


def test_a_worker_that_is_killed_is_replaced(shell: Shell, caller: Caller) -> None:
    os.read(shell.ready, 1)
    for _ in range(5):
        assert caller.ask("kys", "key", "value").status == "0"
        kill(*children(shell.process.pid))
        until(lambda: len(children(shell.process.pid)) >= 2)
        assert caller.ask("kyg", "key").out == b"value\n"


def test_junk_ends_the_server(shell: Shell) -> None:
    os.write(shell.requests, b"junk of every kind\n" * 5)
    assert shell.process.wait(SECONDS) == 0


def test_a_caller_that_is_gone_or_lies_is_not_answered(shell: Shell, caller: Caller) -> None:
    for where in ("999", "/nowhere", "/etc/passwd", "x", "0"):
        os.write(shell.requests, request("kys", "key", "none", reply_to=where))
    os.write(shell.requests, request("kys", "key", "none", reply_to="1", pid=999_999_999))
    assert caller.ask("kyg", "key").status == "2"
