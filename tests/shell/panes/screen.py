"""A program in a pseudo-terminal, and what is on its screen."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Sequence

import pyte

PATIENCE = 20.0
"""How many seconds a test waits for what must come."""


class Terminal:
    """A program that runs in a terminal of its own.

    Attributes:
        screen: what is on the screen.
        raw: all that the program has written.
    """

    def __init__(
        self, argv: Sequence[str], env: dict[str, str], columns: int = 100, rows: int = 30
    ) -> None:
        self.screen = pyte.Screen(columns, rows)
        self.raw = b""
        self._stream = pyte.ByteStream(self.screen)
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            try:
                os.execve(argv[0], list(argv), env)
            finally:
                os._exit(127)
        self.resize(columns, rows)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def send(self, *keys: str) -> None:
        """Type keys one after the other, each once the program has dealt with the one before."""
        for key in keys:
            os.write(self._fd, key.encode())
            self.read(0.05)

    def read(self, seconds: float) -> None:
        """Take in what the program writes, until it has been silent for so long."""
        while select.select([self._fd], [], [], seconds)[0]:
            try:
                data = os.read(self._fd, 65536)
            except OSError:
                return
            if not data:
                return
            self.raw += data
            self._stream.feed(data)

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display)

    def wait_for(self, wanted: str | Callable[[str], bool], seconds: float = PATIENCE) -> str:
        """Wait until the screen has a text, or is as a function says; return what is on it."""
        end = time.monotonic() + seconds
        test = wanted if callable(wanted) else lambda text: wanted in text
        while not test(self.text):
            if time.monotonic() > end:
                raise AssertionError(f"no {wanted!r} on the screen:\n{self.text}")
            self.read(0.02)
        return self.text

    def close(self) -> None:
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.waitpid(self.pid, 0)
        os.close(self._fd)
