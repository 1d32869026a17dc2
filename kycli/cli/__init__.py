"""The command line: one process, one command, one exit code.

Start-up is part of every command's price, so what is imported here, in
``env``, ``parse``, ``registry`` and ``values``, and by them in turn, is what
``kyg key`` needs and nothing else. Everything rarer is imported where it is used.
"""

from __future__ import annotations

import os
import sys

from kycli.cli.env import Environment
from kycli.cli.parse import parse
from kycli.cli.registry import KY, PROGRAMS

INTERRUPTED = 130
"""The exit code of a command that the user interrupted, as shells count it."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def program() -> NoReturn:
    """Run the command line of this process and end it.

    Raises:
        KeyboardInterrupt: when the user interrupted it, for the script to die of.
    """
    if sys.getfilesystemencoding() != "utf-8":
        _restart_in_utf8()
    code = main()
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    # All is flushed and closed by now. To take the interpreter down in order would
    # make a get a sixth dearer, for nothing.
    os._exit(code)


def _restart_in_utf8() -> None:
    """Start over with UTF-8 for all names, whatever the locale.

    In an encoding of the locale that is not UTF-8, Python would open another file than
    SQLite does under the same name, or none at all.
    """
    try:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
    except OSError:
        pass  # most names are ASCII, which is the same everywhere


def main(argv: list[str] | None = None, program: str | None = None) -> int:
    """Run one command line and return its exit code.

    Parameters:
        argv: the arguments after the program's name; those of the process by default.
        program: the name it was called by, ``kycli``, ``ky`` or a short command; by
            default that of the process. Any other name counts as ``kycli``.
    """
    if program is None:
        program = os.path.basename(sys.argv[0])
    return run(Environment(), sys.argv[1:] if argv is None else argv, program)


def run(env: Environment, argv: list[str], program: str = "kycli") -> int:
    """Run ``argv`` in an environment; never raises, whatever happens."""
    try:
        try:
            known = program in PROGRAMS or program == KY
            command, env.flags, arguments = parse(argv, program if known else None)
            env.short = command.is_short
            env.command = command.full_name()
            code = command.load()(env, arguments)
            env.flush()
        finally:
            env.close()
    except BaseException as error:
        from kycli.cli.failure import report

        code = report(error, env)
    return code
