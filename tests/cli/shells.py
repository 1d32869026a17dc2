"""Interactive shells in terminals of their own."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest
from cli.harness import BIN

SECONDS = 30
"""How long to wait for what has to come."""

_COMMANDS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
_SEQUENCE = re.compile(r"\x1b(\[[0-9;?>]*[a-zA-Z]|\][^\x07\x1b]*(\x07|\x1b\\)|[()].|[=>78])|\x0f")


def _version_of_bash() -> int:
    words = ["bash", "-c", "echo ${BASH_VERSINFO[0]}"]
    return int(subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout)


class Shell:
    """A shell on a terminal.

    Parameters:
        name: ``bash``, ``zsh`` or ``fish``; the test is skipped where it is not installed.
        configured: whether it reads its configuration in the home directory.
    """

    def __init__(self, name: str, *, configured: bool = False) -> None:
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
        if name == "bash" and _version_of_bash() < 4:
            pytest.skip("this bash is older than 4")
        self.name = name
        words = [name, "-i"] if configured else _COMMANDS[name]
        self.terminal, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        environment = {
            **os.environ,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PS1": "READY ",
            "LC_ALL": "C.UTF-8",
            "TERM": "xterm",
            "SHELL_SESSIONS_DISABLE": "1",
        }
        self.process = subprocess.Popen(
            words, stdin=theirs, stdout=theirs, stderr=theirs, env=environment,
            start_new_session=True, close_fds=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(theirs)
        self.shown = ""
        self._number = 0
        self.run("true")

    def type(self, text: str) -> None:
        """Send what a user types."""
        os.write(self.terminal, text.encode())

    def wait_for(self, pattern: str) -> str:
        """Wait until a pattern is shown; return what was shown up to its end since the last."""
        deadline = time.monotonic() + SECONDS
        while not (found := re.search(pattern, self.shown)):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.terminal], [], [], left)[0]:
                raise AssertionError(f"{self.name} showed no {pattern!r}: {self.shown!r}")
            try:
                block = os.read(self.terminal, 65536)
            except OSError:
                block = b""
            if not block:
                raise AssertionError(f"{self.name} ended: {self.shown!r}")
            self.shown = _SEQUENCE.sub("", self.shown + block.decode("utf-8", "replace"))
        before, self.shown = self.shown[: found.end()], self.shown[found.end() :]
        return before

    def run(self, line: str) -> str:
        """Run a line; return what the terminal showed meanwhile."""
        self._number += 1
        # What is typed is shown, too, so it is not what is waited for.
        self.type(f"{line}\n echo END''ED{self._number}\n")
        return self.wait_for(f"ENDED{self._number}\r?\n")

    def take_arguments(self, *programs: str) -> None:
        """Have programs note their arguments, which ``completed`` returns."""
        for program in programs:
            if self.name == "fish":
                note = "printf '%s\\0' $argv >$HOME/noted; echo NO''TED >/dev/tty"
                self.run(f"function {program}; {note}; end")
            else:
                note = "printf '%s\\0' \"$@\" >$HOME/noted; echo NO''TED >/dev/tty"
                self.run(f"{program}() {{ {note}; }}")

    def completed(self, line: str) -> list[str]:
        """Type a line and run it; return the arguments that its command got."""
        noted = Path(os.environ["HOME"], "noted")
        noted.unlink(missing_ok=True)
        self.type(f"{line}\n")
        self.wait_for("NOTED\r?\n")
        return noted.read_text().split("\0")[:-1]

    def close(self) -> None:
        os.close(self.terminal)
        self.process.send_signal(signal.SIGHUP)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
