"""The shell on a dumb terminal: lines in, lines out, and no escape sequence."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from kycli.cli.commands.programs.words import Words
from kycli.cli.failure import report
from kycli.cli.terminal import escaped
from kycli.errors import FormatError
from kycli.shell.leaving import may_leave
from kycli.shell.session import SessionEnvironment

if TYPE_CHECKING:
    from kycli.cli.env import Environment
    from kycli.shell.session import Session


def run_lines(session: Session, env: Environment) -> int:
    """Read lines and run them, until the end of the input; return the exit code."""
    reader = Words()
    goes_on = False
    while True:
        try:
            _prompt(session, goes_on)
            line = sys.stdin.buffer.readline()
            if not line:
                _say("\n")
                if goes_on:
                    reader, goes_on = Words(), False
                    continue
                session.leaving = True
            else:
                words = reader.read(line.removesuffix(b"\n"))
                goes_on = words is None
                if words:
                    _run(session, words)
            if session.leaving and may_leave(session, SessionEnvironment(session)):
                return 0
        except KeyboardInterrupt:
            session.settle()
            _say("\n")
            reader, goes_on = Words(), False


def _run(session: Session, words: list[bytes]) -> None:
    env = SessionEnvironment(session)
    texts = [os.fsdecode(word) for word in words]
    if any("\0" in text for text in texts):
        report(FormatError("a NUL, which no word holds"), env)
    else:
        session.run(texts, env)


def _prompt(session: Session, goes_on: bool) -> None:
    mark = "*" if session.transaction is not None else ""
    scope = session.scope[0] if session.scope else ""
    _say("... " if goes_on else f"{escaped(scope)}{mark}> ")


def _say(text: str) -> None:
    sys.stdout.flush()
    sys.stderr.write(text)
    sys.stderr.flush()
