"""The one place where an error becomes a message and an exit code."""

from __future__ import annotations

import os

from kycli.cli.commands import NoCommandError
from kycli.cli.env import INTERRUPTED
from kycli.errors import KycliError, MissingKeyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kycli.cli.env import Environment

ERROR = 1
MISSING = 2


def report(error: BaseException, env: Environment) -> int:
    """Report an error on standard error, and return the exit code."""
    if os.environ.get("KYCLI_DEBUG") == "1":
        import traceback

        for line in "".join(traceback.format_exception(error)).splitlines():
            env.error_line(line)
    _flush(env)
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, NoCommandError):
        from kycli.cli.help import overview, screen

        text = overview(program=error.program) if error.program else screen()
        for line in text.splitlines():
            env.error_line(line)
        return ERROR
    message, hint = _explained(error)
    env.error_line(f"kycli: {message}")
    if hint:
        env.error_line(f"hint: {hint}")
    return MISSING if isinstance(error, MissingKeyError) else ERROR


def _explained(error: BaseException) -> tuple[str, str | None]:
    if isinstance(error, KycliError):
        return str(error), error.hint
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}", None
    if isinstance(error, MemoryError):
        return "not enough memory", None
    return (
        f"unexpected {type(error).__name__}: {error}",
        "this is a bug in kycli; KYCLI_DEBUG=1 shows where it happened",
    )


def _flush(env: Environment) -> None:
    """Print what the command wrote before it failed, unless writing is what failed."""
    try:
        env.flush()
    except (KycliError, OSError):
        pass
