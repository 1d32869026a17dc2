"""Driving the installed shell in a terminal: typing, and reading the screen."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable
from typing import Any

import pyte

BIN = os.path.dirname(sys.executable)
SECONDS = 60

KEYS = {
    "enter": "\r",
    "tab": "\t",
    "esc": "\x1b",
    "end": "\x1b[F",
    "up": "\x1b[A",
    "right": "\x1b[C",
    "F1": "\x1bOP",
    "F2": "\x1bOQ",
    "F3": "\x1bOR",
    **{f"c-{letter}": chr(ord(letter) - 96) for letter in "abcdefghijklmnopqrstuvwxyz"},
}


class Terminal:
    """A program on a terminal of its own, and what its screen shows.

    Parameters:
        command: the program and its arguments.
        variables: of its environment, beside those of this process; None removes one.

    Attributes:
        sent: every byte that the program has sent.
        is_drawing: whether the screen is drawn, which takes a second a megabyte.
    """

    def __init__(
        self,
        *command: str,
        columns: int = 100,
        rows: int = 24,
        variables: dict[str, str | None] | None = None,
    ) -> None:
        self.sent = b""
        self.is_drawing = True
        self._is_over = False
        self._screen = pyte.HistoryScreen(columns, rows, history=100_000)
        self._stream = pyte.ByteStream(self._screen)
        environment = {**os.environ, "TERM": "xterm-256color", **(variables or {})}
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
            kept = {name: value for name, value in environment.items() if value is not None}
            os.execve(os.path.join(BIN, command[0]), [*command], kept)

    # What is on it

    @property
    def lines(self) -> list[str]:
        """The lines of the screen, without blanks at their ends."""
        lines = [line.rstrip() for line in self._screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def cells(self) -> list[list[Any]]:
        """The characters of the screen with their styles, down to the last line in use."""
        rows = [self._screen.buffer[y] for y in range(len(self.lines))]
        columns = range(self._screen.columns)
        return [[row[x] for x in columns if row[x].data] for row in rows]

    @property
    def bar(self) -> str:
        """The last line, which is the status bar."""
        return self.lines[-1] if self.lines else ""

    @property
    def everything(self) -> str:
        """What has left the screen at its top, and the screen."""
        above = (
            "".join(row[column].data for column in range(self._screen.columns)).rstrip()
            for row in self._screen.history.top
        )
        return "\n".join([*above, self.text])

    @property
    def cursor_line(self) -> str:
        return self._screen.display[self._screen.cursor.y].rstrip()

    # What happens

    def type(self, *texts: str) -> None:
        """Type texts, or keys by their names."""
        for text in texts:
            data = KEYS.get(text, text).encode("utf-8", "surrogateescape")
            while data:
                self._read(0)
                data = data[os.write(self._fd, data[:1000]) :]

    def enter(self, line: str) -> None:
        self.type(line, "enter")

    def wait(self, what: str | Callable[[], object]) -> None:
        """Wait until a regular expression is on the screen, or a condition is met."""
        condition = what if callable(what) else lambda: re.search(what, self.text, re.M)
        end = time.monotonic() + SECONDS
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"waited in vain for {what!r}; the screen is\n{self.text}")
            self._read(0.05)

    def ask(self, line: str, answer: str) -> None:
        """Enter a line, and wait for an answer below it."""
        self.enter(line)

        def answered() -> bool:
            _, echo, below = self.text.rpartition(f"> {line}\n")
            return bool(echo and re.search(answer, below, re.M))

        self.wait(answered)

    def settle(self, most: float = 3) -> None:
        """Wait until nothing more comes for a moment, or for so long."""
        end = time.monotonic() + most
        while time.monotonic() < end and self._read(0.5):
            pass

    def resize(self, columns: int, rows: int) -> None:
        self._screen.resize(rows, columns)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def finish(self) -> int:
        """Read to the end; return the exit code, or the negative signal."""
        end = time.monotonic() + SECONDS
        while not self._is_over:
            if time.monotonic() > end:
                raise AssertionError(f"it does not end; the screen is\n{self.text}")
            self._read(0.2)
        return self.end()

    def end(self) -> int:
        """Let go of the program, whatever it does."""
        if self.pid == 0:
            return 0
        os.close(self._fd)
        for _ in range(100):
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                break
            time.sleep(0.05)
        else:
            os.kill(self.pid, signal.SIGKILL)
            _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def _read(self, seconds: float) -> bool:
        """Take in what comes within a time; return whether something did."""
        if not select.select([self._fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._fd, 1 << 16)
        except OSError:  # how a terminal says that nobody is left on its other side
            data = b""
        self._is_over = not data
        self.sent += data
        if self.is_drawing:
            self._stream.feed(data)
        return bool(data)
