"""Ctrl-C, Ctrl-Z and other signals at the native client, and in loops of shells."""

from __future__ import annotations

import functools
import os
import pty
import random
import select
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from session.clients import (
    BIN,
    Site,
    native,
    run,
    running_server,
    short_directory,
    until,
)

from kycli import Kycore
from kycli.session import protocol

pytestmark = native


class Waiting:
    """A server whose command runs until the caller cancels it; then it needs a moment to end."""

    def __init__(self, delay: float = 0.1) -> None:
        self.delay = delay
        self.taken = threading.Event()
        self.heard = b"nothing"
        self.ended = 0.0

    def __call__(self, request: protocol.Request, connection: socket.socket) -> bytes:
        self.taken.set()
        self.heard = connection.recv(10)
        time.sleep(self.delay)
        self.ended = time.monotonic()
        return protocol.reply(b"130", [])


class Held:
    """A server whose command ends when the test says so."""

    def __init__(self) -> None:
        self.taken = threading.Event()
        self.released = threading.Event()

    def __call__(self, request: protocol.Request, _: socket.socket) -> bytes:
        self.taken.set()
        self.released.wait(60)
        return protocol.reply(b"0", [(1, b"done\n")])


def interrupted(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (-signal.SIGINT, b"", b"")


def test_an_interrupt_cancels_the_command_and_ends_the_client_after_it(
    site: Site,
) -> None:
    server = Waiting()
    with site.serving(server):
        process = site.start("kys", "a")
        server.taken.wait(60)
        interrupted(process)
        assert server.heard == b"\0"
        assert 0 < server.ended < time.monotonic()


def test_an_interrupt_ends_the_client_even_if_the_server_never_answers(
    site: Site,
) -> None:
    with site.listening() as listener:
        unaccepted = site.start("kys", "a")
        until(lambda: select.select([listener], [], [], 0)[0])
        interrupted(unaccepted)
        silent = site.start("kys", "a")
        connections = [listener.accept()[0], listener.accept()[0]]
        until(lambda: connections[1].recv(1000))
        interrupted(silent)
        for connection in connections:
            connection.close()


def test_an_interrupt_while_standard_input_is_read(site: Site) -> None:
    ours, theirs = os.pipe()
    asked = threading.Event()

    def asking(request: protocol.Request, _: socket.socket) -> bytes:
        asked.set()
        return protocol.reply(protocol.WANTS_INPUT, [])

    with site.serving(asking):
        process = site.start("kys", "a", stdin=ours)
        asked.wait(60)
        os.write(theirs, b"x")
        interrupted(process)
    os.close(ours)
    os.close(theirs)


def test_a_second_interrupt_does_no_harm(site: Site) -> None:
    server = Waiting(0.3)
    with site.serving(server):
        process = site.start("kys", "a")
        server.taken.wait(60)
        for _ in range(20):
            process.send_signal(signal.SIGINT)
            time.sleep(0.005)
        interrupted(process)


def test_an_interrupt_that_the_server_reports_ends_the_client_too(
    site: Site,
) -> None:
    with site.serving(lambda *_: protocol.reply(b"130", [(1, b"so far\n")])):
        done = site.run("kys", "a")
    assert done == (-signal.SIGINT, b"so far\n", b"")


@pytest.mark.parametrize("how", ["ignored", "blocked"])
def test_an_interrupt_that_the_caller_does_not_want_is_none(site: Site, how: str) -> None:
    command = f"exec {site.bin}/kys a"
    prefix = "trap '' INT" if how == "ignored" else ":"
    if how == "blocked":
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    server = Held()
    try:
        with site.serving(server):
            process = subprocess.Popen(
                ["sh", "-c", f"{prefix}; {command}"], stdin=-3, stdout=-1, stderr=-1,
                env={**os.environ, **site.environ},
            )  # fmt: skip
            server.taken.wait(60)
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)
            server.released.set()
            assert process.communicate(timeout=60) == (b"done\n", b"")
            assert process.returncode == 0
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


MASK = """#!/usr/bin/env python3
import os, signal
blocked = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
print(os.environ.get("_KYCLI_CLIENT"), blocked, signal.getsignal(signal.SIGINT) is signal.SIG_IGN)
"""


def test_python_is_told_whether_an_interrupt_is_only_held(site: Site) -> None:
    site.script.write_text(MASK)
    assert site.run("kys", "a").out == b"held True False\n"
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        assert site.run("kys", "a").out == b" True False\n"
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    done = run("sh", "-c", f"trap '' INT; {site.bin}/kys a", environ=site.environ)
    assert done.out == b"held True True\n"


def test_the_python_command_releases_it_and_tells_no_program_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nowhere")
    shows = "grep SigBlk: /proc/self/status; echo ${_KYCLI_CLIENT-unset}; echo $0"
    assert run(BIN / "kys", "show", shows).code == 0
    done = run(BIN / "kyc", "show")
    assert done.out.split() == [b"SigBlk:", b"0" * 16, b"unset", *done.out.split()[3:]]
    assert run(BIN / "kyg", "show", environ={"PYTHONUTF8": "0", "LC_ALL": "de_DE.ISO-8859-1"}).out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_other_signals_end_it_and_so_the_request(site: Site, number: signal.Signals) -> None:
    server = Waiting()
    with site.serving(server):
        restored = functools.partial(signal.signal, number, signal.SIG_DFL)
        process = site.start("kys", "a", preexec_fn=restored)  # whoever runs the tests ignores it
        server.taken.wait(60)
        process.send_signal(number)
        assert process.wait(60) == -number
        process.communicate()
        until(lambda: server.ended)
        assert server.heard == b""


def test_stopping_and_going_on_changes_nothing(site: Site) -> None:
    server = Held()
    with site.serving(server):
        process = site.start("kys", "a")
        server.taken.wait(60)
        for _ in range(20):
            process.send_signal(signal.SIGSTOP)
            process.send_signal(signal.SIGCONT)
            time.sleep(0.001)
        process.send_signal(signal.SIGSTOP)
        server.released.set()
        time.sleep(0.05)
        process.send_signal(signal.SIGCONT)
        assert process.communicate(timeout=60) == (b"done\n", b"")


# Loops


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    monkeypatch.setenv("HOME", str(tmp_path))
    with short_directory() as directory, running_server(directory) as environ:
        assert run(BIN / "kys", "k", "v", environ=environ).code == 0
        yield environ


class Terminal:
    """A shell on a terminal of its own."""

    def __init__(self, words: list[str], environ: dict[str, str]) -> None:
        self.ours, theirs = pty.openpty()
        path = f"{BIN}:{os.environ['PATH']}"
        self.process = subprocess.Popen(
            ["setsid", "-c", "-w", *words], stdin=theirs, stdout=theirs, stderr=theirs,
            env={**os.environ, "PATH": path, **environ},
        )  # fmt: skip
        os.close(theirs)
        self.shown = b""

    def read(self, seconds: float) -> bool:
        """Read for so long; return False when the other side has ended."""
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            if not select.select([self.ours], [], [], max(0, left))[0]:
                return True
            try:
                block = os.read(self.ours, 65536)
            except OSError:
                return False
            self.shown += block

    def press(self, key: bytes = b"\x03") -> None:
        os.write(self.ours, key)

    def ends_within(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not self.read(min(0.2, max(0, end - time.monotonic()))):
                return True
        return False

    def close(self) -> int:
        code = self.process.wait(60)
        os.close(self.ours)
        return code


LOOP = "while [ $((i += 1)) -lt 100000 ]; do kys k $i; kyg k >/dev/null; done; echo ran on"


def interrupt_loops(shell: str, environ: dict[str, str], times: int, longest: float) -> int:
    """Press Ctrl-C at random moments of loops; return how many ended at the first."""
    chance = random.Random(shell)
    first = 0
    for _ in range(times):
        terminal = Terminal([shell, "-c", f"echo begun; {LOOP}"], environ)
        while b"begun" not in terminal.shown:
            assert terminal.read(0.01), terminal.shown
        terminal.read(chance.uniform(0, longest))
        terminal.press()
        seconds = 1 if shell == "bash" else 30
        ended = terminal.ends_within(seconds)
        first += ended
        while not ended:  # bash goes on when it sees the interrupt after the command's end
            terminal.press()
            ended = terminal.ends_within(seconds)
        terminal.close()
        shown = terminal.shown.replace(b"begun", b"").replace(b"^C", b"").strip()
        assert shown == b"", shown
    return first


@pytest.mark.alone
@pytest.mark.parametrize("times", [20, pytest.param(150, marks=pytest.mark.soak)])
@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_loops_end_at_a_ctrl_c_and_say_nothing(
    server: dict[str, str], shell: str, times: int
) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    first = interrupt_loops(shell, server, times, 0.1)
    assert int(run(BIN / "kyg", "k", environ=server).out) > 0  # they got somewhere
    if shell == "dash":
        assert first == times
    else:
        assert first > 0  # the others are bash's own race, which /bin/echo shows too


@pytest.mark.alone
@pytest.mark.parametrize("times", [10, pytest.param(60, marks=pytest.mark.soak)])
@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_loops_end_without_a_server_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str, times: int
) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    monkeypatch.setenv("HOME", str(tmp_path))
    environ = {"XDG_RUNTIME_DIR": "/nowhere"}
    assert run(BIN / "kys", "k", "v", environ=environ).code == 0
    first = interrupt_loops(shell, environ, times, 0.15)
    if shell == "dash":
        assert first == times


def test_a_wait_for_a_lock_ends_at_a_ctrl_c(server: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / ".local/share/kycli/kycli.db"
    with Kycore(path) as store, store.transaction():
        store.save("other", "1")
        terminal = Terminal(["bash", "-c", "echo begun; kys k w; echo went on"], server)
        while b"begun" not in terminal.shown:
            assert terminal.read(0.01)
        terminal.read(0.3)
        began = time.monotonic()
        terminal.press()
        assert terminal.ends_within(4), "it waits 5 seconds for a lock"
        assert time.monotonic() - began < 4
        terminal.close()
    assert b"went on" not in terminal.shown
    assert run(BIN / "kyg", "k", environ=server).out == b"v\n"


def test_ctrl_z_and_fg_in_an_interactive_bash(server: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / ".local/share/kycli/kycli.db"
    terminal = Terminal(["bash", "--norc", "-i"], {**server, "PS1": "ready$ "})

    def see(text: bytes) -> None:
        until(lambda: not terminal.read(0.01) or text in terminal.shown, repr(text))
        terminal.shown = terminal.shown.partition(text)[2]

    see(b"ready$")
    with Kycore(path) as store, store.transaction():
        store.save("other", "1")
        terminal.press(b"kys k resumed\n")
        terminal.read(0.3)
        terminal.press(b"\x1a")
        see(b"Stopped")
        see(b"ready$")
    terminal.press(b"fg\n")
    see(b"ready$")
    terminal.press(b"kyg k\n")
    see(b"resumed")
    terminal.press(b"exit\n")
    assert terminal.ends_within(10)
    terminal.close()


def test_a_trap_runs_when_the_interrupted_command_is_over(server: dict[str, str]) -> None:
    script = "trap 'kys k trapped; exit 3' INT; echo begun; while :; do kys k loop; done"
    for _ in range(20):
        terminal = Terminal(["dash", "-c", script], server)
        while b"begun" not in terminal.shown:
            assert terminal.read(0.01)
        terminal.read(random.uniform(0, 0.02))
        terminal.press()
        assert terminal.ends_within(10)
        assert terminal.close() == 3
        assert run(BIN / "kyg", "k", environ=server).out == b"trapped\n"
