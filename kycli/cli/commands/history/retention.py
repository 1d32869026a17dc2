"""compact: purging old history and archived values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kycli.cli.progress import progress
from kycli.core.durations import shown
from kycli.core.history.retention import check_days
from kycli.core.operations.numbers import parse_number
from kycli.errors import UsageError

if TYPE_CHECKING:
    from kycli.cli.env import Environment

_MB = 1 << 20


def compact(env: Environment, arguments: list[str]) -> int:
    """``compact [DAYS]``: purge what is older, 15 days by default."""
    days = parsed_number(arguments[0], "DAYS") if arguments else 15
    check_days(days, "DAYS")  # the engine would name its own parameter in the error
    vacuum = True if "vacuum" in env.flags else None
    with progress(env, "compacting") as show:
        done = env.store().compact(days, vacuum=vacuum, progress=show)
    env.note(
        f"purged {_counted(done.changes, 'change')} and {_counted(done.values, 'archived value')}"
    )
    if done.freed_bytes:
        env.note(f"the database is {done.freed_bytes / _MB:.1f} MB smaller")
    if done.free_bytes >= _MB:
        env.note(
            f"{done.free_bytes / _MB:.1f} MB of it are free for later writes; --vacuum shrinks the "
            "file, and blocks other writers meanwhile"
        )
    return 0


def parsed_number(text: str, name: str) -> float | int:
    number = parse_number(text)
    if number is None:
        raise UsageError(f"{name}: {shown(text)} is not a number")
    return number


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
