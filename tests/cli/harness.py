"""Running commands: as programs of their own, or in this process with other streams."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

from kycli.cli import run
from kycli.cli.commands import KY, short_names
from kycli.cli.env import Environment

BIN = os.path.dirname(sys.executable)


class Result(NamedTuple):
    """What a command did: its exit code and what it wrote."""

    code: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.decode().splitlines()

    @property
    def failed_clearly(self) -> bool:
        """One error line, at most one hint after it, no data, exit code 1."""
        said = self.err.splitlines()
        return (
            self.code == 1
            and self.out == b""
            and said[0].startswith("kycli: ")
            and "unexpected" not in said[0]
            and [line[:6] for line in said[1:]] in ([], ["hint: "])
        )


class Terminal(io.BytesIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Screen(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


Call = Callable[..., Result]


def program(name: str) -> str:
    """Return the path of an installed program."""
    return os.path.join(BIN, name)


def run_program(
    *words: str | bytes, stdin: bytes = b"", environ: dict[str, str] | None = None
) -> Result:
    """Run an installed command as a process: its name, then its arguments."""
    name, *arguments = words
    assert isinstance(name, str)
    done = subprocess.run(
        [program(name), *arguments],
        input=stdin,
        capture_output=True,
        env={**os.environ, **(environ or {})},
        timeout=60,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr.decode())


def call_command(*words: str, stdin: bytes | BinaryIO = b"", tty: bool = False) -> Result:
    """Run a command in this process: its name, then its arguments.

    Parameters:
        stdin: standard input, or the stream to take it from.
        tty: whether standard output and standard error are a terminal.
    """
    name, *arguments = words
    assert name in ("kycli", KY, *short_names())
    out = Terminal() if tty else io.BytesIO()
    err = Screen() if tty else io.StringIO()
    source = io.BytesIO(stdin) if isinstance(stdin, bytes) else stdin
    code = run(Environment(stdin=source, stdout=out, stderr=err), arguments, name)
    return Result(code, out.getvalue(), err.getvalue())


def on_a_terminal(*words: str, environ: dict[str, str] | None = None, keys: bytes = b"") -> str:
    """Run an installed command on a terminal of its own and return what it showed there."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "100", "LINES": "10", **(environ or {})}
    process = subprocess.Popen(
        [program(words[0]), *words[1:]], stdin=theirs, stdout=theirs, stderr=theirs,
        env=environment, close_fds=True, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, keys)
    shown = b""
    while True:
        try:
            block = os.read(ours, 4096)
        except OSError:  # how a terminal says that nobody is left on its other side
            break
        if not block:
            break
        shown += block
    os.close(ours)
    assert process.wait(30) == 0
    return shown.decode().replace("\r\n", "\n")
