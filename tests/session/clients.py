"""The native client, run as its users run it, beside servers that do what a test wants."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from kycli import __version__
from kycli.session import protocol

BIN = Path(sys.executable).parent
CLIENT = BIN / "kyg"

native = pytest.mark.skipif(
    CLIENT.read_bytes()[:2] == b"#!", reason="no native client could be built here"
)

STAND_IN = """#!/bin/sh
printf 'python:'
printf ' [%s]' "$@"
case "$*" in *input*) printf ' '; wc -c ;; *) echo ;; esac
exit 9
"""
"""What stands in for the Python command beside a copy of the client."""


class Result(NamedTuple):
    code: int
    out: bytes
    err: bytes


def run(
    *words: str | bytes | Path, stdin: bytes | None = None, environ: dict[str, str] | None = None
) -> Result:
    """Run a program to its end; ``environ`` is added to this process's variables."""
    done = subprocess.run(
        [os.fspath(word) for word in words],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        env={**os.environ, **(environ or {})},
        timeout=120,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def until(condition: Callable[[], object], what: str = "it") -> None:
    """Wait for a condition."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, f"waited too long for {what}"
        time.sleep(0.005)


@contextlib.contextmanager
def short_directory() -> Iterator[Path]:
    """A directory for a socket, whose path may have some hundred bytes."""
    directory = tempfile.mkdtemp(prefix="ky", dir="/tmp")
    try:
        yield Path(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def running_server(runtime: Path) -> Iterator[dict[str, str]]:
    """The user's server, in a directory; yields the variables by which it is found."""
    environ = {"XDG_RUNTIME_DIR": str(runtime)}
    started = run(BIN / "kycli", "server", "start", environ=environ)
    assert started.code == 0, started
    try:
        yield environ
    finally:
        run(BIN / "kycli", "server", "stop", environ=environ)


class Site:
    """A copy of the client, and a directory for the socket of a server.

    Attributes:
        environ: the variables by which that server is found.
    """

    def __init__(self, directory: Path) -> None:
        self.bin = directory / "bin"
        self.bin.mkdir()
        for name in ("kyg", "kys"):
            shutil.copy(CLIENT, self.bin / name)
        self.script = self.bin / "kycli"
        self.script.write_text(STAND_IN)
        self.script.chmod(0o755)
        self.sockets = directory / "kycli"
        self.sockets.mkdir(mode=0o700)
        self.path = self.sockets / self.path_name()
        self.environ = {"XDG_RUNTIME_DIR": str(directory), "TMPDIR": str(directory)}

    @staticmethod
    def path_name() -> str:
        return f"{__version__}.sock"

    def run(self, name: str, *words: str | bytes, stdin: bytes | None = None) -> Result:
        return run(self.bin / name, *words, stdin=stdin, environ=self.environ)

    def start(self, name: str, *words: str, **options: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
            [self.bin / name, *words],
            env={**os.environ, **self.environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **{"stdin": subprocess.DEVNULL, **options},
        )

    @contextlib.contextmanager
    def listening(self, backlog: int = 16) -> Iterator[socket.socket]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            self.path.unlink(missing_ok=True)
            listener.bind(str(self.path))
            listener.listen(backlog)
            yield listener

    @contextlib.contextmanager
    def serving(self, answer: Callable[[protocol.Request, socket.socket], bytes]) -> Iterator[None]:
        """Answer each request in a thread, until the block ends."""
        with self.listening() as listener:
            thread = threading.Thread(target=_serve, args=(listener, answer), daemon=True)
            thread.start()
            try:
                yield
            finally:
                listener.shutdown(socket.SHUT_RDWR)
                thread.join(60)


def _serve(
    listener: socket.socket, answer: Callable[[protocol.Request, socket.socket], bytes]
) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # the test is over
            return
        with connection, contextlib.suppress(OSError):
            data = connection.recv(1 << 20)
            while (found := protocol.length(data)) is None or len(data) < sum(found):
                data += connection.recv(1 << 20)
            connection.sendall(answer(protocol.parsed(data[found[0] :]), connection))


def shown(request: protocol.Request, _: socket.socket) -> bytes:
    """Answer by the arguments."""
    return protocol.reply(b"0", [(1, " ".join(request.arguments).encode() + b"\n")])
