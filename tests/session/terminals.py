"""Real shells, zsh and fish: scripts, and interactive ones in a terminal of their own."""

from __future__ import annotations

import os
import pty
import random
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cli.harness import BIN, Result
from session.clients import until

SECONDS = 60
"""How long a test waits for what must happen."""

wait_for = until

FLAGS = {
    "zsh": ["-f", "-o", "no_zle", "-o", "no_prompt_sp", "-i"],
    "fish": ["--no-config", "--features", "no-stderr-nocaret", "-i"],
}
PROMPTS = {
    "zsh": "PS1='@@''%#@@ ' PS2= RPS1=",
    "fish": "function fish_prompt; echo '@@''#@@ '; end",
}
INITS = {"zsh": 'eval "$(kycli init zsh)"', "fish": "kycli init fish | source"}

_PROMPT = re.compile(rb"@@[%#]@@ ")
_NOISE = re.compile(r"\x1b(\[[0-9;?>=]*[ -/]*[@-~]|\][^\x07]*\x07|[=>()][0B]?)|\r|\x07")


def needs(shell: str) -> pytest.MarkDecorator:
    """Skip a module where the shell is not installed."""
    return pytest.mark.skipif(not shutil.which(shell), reason=f"{shell} is not installed")


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", **more}


def script(shell: str, text: str, *, init: bool = True, **variables: str) -> Result:
    """Run a script, which defines the functions first."""
    flag = {"zsh": "-f", "fish": "--no-config"}[shell]
    done = subprocess.run(
        [shell, flag, "-c", f"{INITS[shell]}\n{text}" if init else text],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment(**variables),
        timeout=SECONDS * 4,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr.decode(errors="replace"))


def servers(shell: str, pid: int | None = None) -> list[int]:
    """Return the processes that are servers of a shell, or of all."""
    found = []
    for name in os.listdir("/proc"):
        try:
            words = Path("/proc", name, "cmdline").read_bytes().split(b"\0")
            inherited = Path("/proc", name, "environ").read_bytes()
        except OSError:
            continue
        ours = b"XDG_RUNTIME_DIR=" + os.environb[b"XDG_RUNTIME_DIR"] in inherited.split(b"\0")
        is_server = ours and f"kycli.session.shells.{shell}".encode() in words
        if is_server and (pid is None or words[-2] == b"%d" % pid):
            found.append(int(name))
    return found


class Terminal:
    """An interactive shell in a terminal."""

    def __init__(self, shell: str, **variables: str) -> None:
        self.shell = shell
        self.number = 0
        self.unread = b""
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # which Python ignores
            os.execvpe(shell, [shell, *FLAGS[shell]], environment(TERM="dumb", **variables))
        self.send(f"{PROMPTS[shell]}\n")
        self.read()
        self.run(INITS[shell])

    def send(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def read(self, until: re.Pattern[bytes] = _PROMPT) -> str:
        """Return what is shown before the next prompt, or something else."""
        data = self.unread
        end = time.monotonic() + SECONDS
        while True:
            found = until.search(data)
            if found:
                self.unread = data[found.end() :]
                return _NOISE.sub("", data[: found.start()].decode(errors="replace"))
            ready, _, _ = select.select([self.terminal], [], [], max(0, end - time.monotonic()))
            assert ready, f"no {until.pattern!r} after {data[-500:]!r}"
            try:
                data += os.read(self.terminal, 1 << 16)
            except OSError:
                raise AssertionError(f"the shell ended after {data[-500:]!r}") from None

    def run(self, line: str) -> str:
        """Type a line, and return what it prints, between two marks."""
        self.number += 1
        self.send(f"echo '<''{self.number}<'; {line}; echo '>''{self.number}>'\n")
        self.read(re.compile(rb"<%d<\r?\n" % self.number))
        shown = self.read(re.compile(rb">%d>\r?\n" % self.number))
        self.read()
        return shown

    def interrupt(self) -> str:
        """Type Ctrl-C; return what is shown until the prompt is back."""
        self.unread = b""
        self.send("\x03")
        return self.read()

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


@contextmanager
def terminal(shell: str, **variables: str) -> Iterator[Terminal]:
    shown = Terminal(shell, **variables)
    try:
        yield shown
    finally:
        shown.close()


def interrupt_often(shown: Terminal, loop: str, times: int, seed: int = 1) -> None:
    """Type Ctrl-C into a loop at random moments, and look each time whether all is well."""
    chance = random.Random(seed)
    for number in range(times):
        # Ctrl-C while a line is being typed would be something else.
        shown.send(f"echo 'go''ing{number}'; {loop}\n")
        shown.read(re.compile(rb"going%d\r?\n" % number))
        time.sleep(chance.random() * 0.15)
        said = shown.interrupt()
        assert "Traceback" not in said, said
        assert "not known" not in said, said
        answer = shown.run(f"kys check {number}; kyg check")
        assert answer == f"{number}\n", (number, said, answer)
