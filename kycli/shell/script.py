"""Running commands from a file or a pipe, one per line, until one fails."""

from __future__ import annotations

import io
import subprocess
from typing import TYPE_CHECKING, BinaryIO

from kycli.cli.commands.programs.frames import Lines
from kycli.cli.env import INTERRUPTED, Environment
from kycli.cli.failure import report
from kycli.errors import KycliError, UsageError
from kycli.shell.session import SessionEnvironment

if TYPE_CHECKING:
    from kycli.cli.commands.programs.frames import Request
    from kycli.shell.session import Session

_BLOCK = 1 << 16


def run_script(session: Session, env: Environment) -> int:
    """Run the commands on standard input, and return the exit code of the last one.

    That is the first one whose exit code is not 0. What a transaction has changed that is still
    open at the end is undone, which is an error.
    """
    stream = env.input_stream("the commands are read from it")
    framing = Lines()
    began = 0  # the line of 'begin', when a transaction is open
    while True:
        block = stream.read1(_BLOCK)  # type: ignore[attr-defined]
        for request in framing.requests(block):
            code = _run(session, request)
            if code or session.leaving:
                return code or _unfinished(session, began)
            began = (began or request.number) if session.transaction is not None else 0
        if not block:
            return _unfinished(session, began)


def _run(session: Session, request: Request) -> int:
    env = _ScriptEnvironment(session, request.number)
    if request.error is not None:
        return report(request.error, env)
    code = session.run(request.words, env)
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if code and not env.has_said:
        env.error_line(f"kycli: exit code {code}")
    return code


def _unfinished(session: Session, began: int) -> int:
    if session.transaction is None:
        return 0
    session.rollback()
    env = _ScriptEnvironment(session, began)
    error = KycliError(
        "the transaction that begins here was not committed; nothing of it was kept",
        hint="'commit' keeps it",
    )
    return report(error, env)


class _ScriptEnvironment(SessionEnvironment):
    """What one command of a script works with.

    Attributes:
        has_said: whether it has said what went wrong.
    """

    child_input = subprocess.DEVNULL

    def __init__(self, session: Session, line: int) -> None:
        super().__init__(session, stdin=io.BytesIO())
        self._line = line
        self.has_said = False

    def error_line(self, text: str) -> None:
        if text.startswith("kycli: "):
            self.has_said = True
            text = f"kycli: line {self._line}: {text[7:].removeprefix(f'line {self._line}: ')}"
        super().error_line(text)

    def input_stream(self, hint: str = "") -> BinaryIO:
        raise UsageError(
            "there is no standard input for this command",
            hint="in a script that is the commands themselves",
        )
