"""The interactive shell: how long somebody waits for its prompt, and for what is typed."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from statistics import median

from harness.measuring import Lab, Way, benchmark
from peers.programs import ShortProgram

from kycli import Kycore

START = "shell: from the start to the prompt"
ECHO = "shell: echo of a key while 1,000,000 rows stream"

_LETTERS = "αβγδεζηθικλμνξοπρστυφχψω"
"""What is typed: nothing else on the screen has these."""

_PAUSE = 0.05
_MOST = 5.0
"""How long an echo may take before it counts as lost."""


class Typist:
    """A program on a terminal, and somebody who types there.

    Parameters:
        last: what the program prints last of something.

    Attributes:
        is_over: whether it has printed that.
    """

    def __init__(self, command: list[str], environment: dict[str, str], last: str) -> None:
        self.is_over = False
        self._last = last.encode()
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("4H", 40, 120, 0, 0))
            os.execve(command[0], command, environment)

    def close(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.close(self._terminal)
        os.waitpid(self._pid, 0)

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def reads(self, text: str, seconds: float = 60) -> bool:
        """Read until something is printed, or the program or the time has ended."""
        wanted, seen = text.encode(), b""
        end = time.perf_counter() + seconds
        while not wanted or wanted not in seen:
            left = end - time.perf_counter()
            if left <= 0 or not select.select([self._terminal], [], [], left)[0]:
                return False
            try:
                piece = os.read(self._terminal, 1 << 16)
            except OSError:  # the end of a terminal
                return False
            if not piece:
                return False
            seen = seen[-100:] + piece
            self.is_over |= self._last in seen
        return True


@contextmanager
def typing(command: list[str], environment: dict[str, str], last: str = "\0") -> Iterator[Typist]:
    typist = Typist(command, environment, last)
    try:
        yield typist
    finally:
        typist.close()


@benchmark(START, peers=False)
def start(lab: Lab) -> None:
    program = ShortProgram(Path(tempfile.mkdtemp(dir=lab.directory)))
    with Kycore(program.path) as store:
        store.save("key", "value")
    environment = {**program.environment, "TERM": "xterm-256color"}

    def on_a_terminal(command: list[str], until: str) -> bool:
        """Run a program on a terminal until it has printed something, or has ended."""
        with typing(command, environment) as typist:
            return typist.reads(until)

    shell = program.command("kyshell")
    python = [sys.executable, "-c", "import prompt_toolkit; print('imported')"]
    ways = [
        Way("kyshell", lambda: on_a_terminal(shell, "[Scope: "), right=lambda seen, _: seen),
        Way(
            "import prompt_toolkit",
            lambda: on_a_terminal(python, "imported"),
            right=lambda seen, _: seen,
        ),
    ]
    lab.measure(START, ways, rounds=20)


@benchmark(ECHO, peers=False)
def echo(lab: Lab) -> None:
    many = 1_000_000 if lab.size.factor else 20_000
    program = ShortProgram(Path(tempfile.mkdtemp(dir=lab.directory)))
    with Kycore(program.path) as store:
        rows = ((f"key{number:07}", number) for number in range(many))
        store.save_many(rows, scope="many")
    program.run(program.command("kycli", "config", "set", "-q", "shell_pager", "off"))
    environment = {**program.environment, "TERM": "xterm-256color"}
    took: list[float] = []

    def typed_while_rows_stream() -> bool:
        """Type, and take down how long each echo took; return whether all went well."""
        last = f"key{many - 1:07}"
        with typing(program.command("kyshell"), environment, last) as typist:
            if not typist.reads("[Scope: "):
                return False
            typist.type("scan --scope many\r")
            if not typist.reads("key0000000"):
                return False
            for letter in cycle(_LETTERS):
                if letter == _LETTERS[0]:
                    typist.type("\x15")  # Ctrl-U clears the line
                    typist.reads("", 4 * _PAUSE)
                began = time.perf_counter()
                typist.type(letter)
                if not typist.reads(letter, _MOST):
                    return False
                took.append(time.perf_counter() - began)
                typist.reads("", _PAUSE)
                if typist.is_over:
                    return True
        return False

    is_whole = typed_while_rows_stream()
    ways = [
        Way("median", lambda: median(took), figure=True, right=lambda *_: is_whole),
        Way("slowest", lambda: max(took), figure=True),
    ]
    lab.once(ECHO, *ways)
