"""Real bash: scripts, and interactive shells in a terminal of their own."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cli.harness import BIN, Result

SECONDS = 60
"""How long a test waits for what must happen."""

BASH = shutil.which("bash") or "bash"
INIT = 'eval "$(kycli init bash)"\n'

WITHOUT_BUILTIN = "enable -d __kycli_ask; __kycli_native=\n"
has_builtin = True
"""Whether the functions have it in ``INIT``: see the fixture ``with_and_without_builtin``."""

_PROMPT = re.compile(rb"@@\d+@@ $")


def has_functions() -> bool:
    """Whether there is a bash that can have the functions."""
    if not shutil.which("bash"):
        return False
    ask = "((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 501)) && [[ $OSTYPE == linux* ]]"
    return subprocess.run([BASH, "-c", ask], check=False).returncode == 0


needs_bash = pytest.mark.skipif(not has_functions(), reason="needs bash 5.1 and Linux")


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", **more}


def initial(init: str = INIT) -> str:
    """Return what defines the functions."""
    return init if has_builtin or init != INIT else init + WITHOUT_BUILTIN


def script(text: str, *, init: str = INIT, stdin: bytes = b"", home: str = "") -> Result:
    """Run a script that defines the functions first."""
    done = subprocess.run(
        [BASH, "--norc", "-c", initial(init) + text],
        input=stdin,
        capture_output=True,
        env=environment(**({"HOME": home} if home else {})),
        timeout=SECONDS * 4,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr.decode(errors="replace"))


def check(text: str, *, init: str = INIT) -> list[str]:
    """Run a script that must not fail; return the lines that it prints, on both streams."""
    done = script(f"set -euo pipefail\nexec 2>&1\n{text}", init=init)
    assert done.code == 0, done.out.decode(errors="replace")
    return done.lines


def servers(shell: int) -> list[int]:
    """Return the processes that are the server of a shell."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            words = Path("/proc", name, "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"kycli.session.shells.bash" in words and words[-3] == b"%d" % shell:
            found.append(int(name))
    return found


def wait_for(condition: object, what: str) -> None:
    """Wait until a function returns something true."""
    assert callable(condition)
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


class Terminal:
    """An interactive bash in a terminal. What is typed is not echoed."""

    def __init__(self, init: str = INIT, **variables: str) -> None:
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            # Before bash begins: it restores what it has found when a job dies of a signal.
            settings = termios.tcgetattr(0)
            settings[3] &= ~termios.ECHO
            settings[1] &= ~termios.OPOST
            termios.tcsetattr(0, termios.TCSANOW, settings)
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # which Python ignores
            os.execve(
                BASH,
                [BASH, "--norc", "--noprofile", "--noediting", "-i"],
                environment(PS1="@@\\#@@ ", **variables),
            )
        self._data = b""
        self.again = 0
        self.read()
        for line in initial(init).splitlines():
            assert self.run(line) == ""

    def send(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def read(self, until: re.Pattern[bytes] = _PROMPT) -> str:
        """Return what is printed before the next prompt."""
        said = self._read(until, SECONDS)
        assert said is not None, f"no prompt after {self._data[-500:]!r}"
        return said

    def _read(self, until: re.Pattern[bytes], seconds: float) -> str | None:
        """The same; None if it does not come in time, and then the next call goes on."""
        end = time.monotonic() + seconds
        while True:
            found = until.search(self._data)
            if found:
                self._data = b""
                return found.string[: found.start()].decode(errors="replace")
            left = end - time.monotonic()
            if left < 0 or not select.select([self.terminal], [], [], left)[0]:
                return None
            try:
                self._data += os.read(self.terminal, 1 << 16)
            except OSError:
                raise AssertionError(f"the shell ended after {self._data[-500:]!r}") from None

    def run(self, line: str) -> str:
        """Type a line, and return what it prints."""
        self.send(line.strip("\n") + "\n")
        return self.read()

    def interrupt(self) -> str:
        """Type Ctrl-C; return what is printed until the prompt is back.

        Where it meets a program in a loop, bash may go on with the loop, whatever the program is.
        """
        end = time.monotonic() + SECONDS
        again = False
        while time.monotonic() < end:
            self.send("\x03")
            said = self._read(_PROMPT, 3)
            if said is not None:
                while again and self._read(_PROMPT, 0.3) is not None:
                    pass  # the prompt that another Ctrl-C brought
                return said
            again = True
            self.again += 1
        raise AssertionError("Ctrl-C does not end it")

    def close(self) -> None:
        os.kill(self.pid, signal.SIGHUP)
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


@contextmanager
def terminal(init: str = INIT, **variables: str) -> Iterator[Terminal]:
    shell = Terminal(init, **variables)
    try:
        yield shell
    finally:
        shell.close()
