"""A line on the terminal that shows how far a long operation is."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kycli.cli.env import Environment

_FIRST_SECONDS = 0.5
_PAUSE_SECONDS = 0.1


@contextmanager
def progress(env: Environment, what: str) -> Iterator[Callable[[int, int], None] | None]:
    """Yield a function of how much is done of how much; None if nobody would see it.

    The line appears after half a second, and is removed at the end.
    """
    if not env.is_watched():
        yield None
        return
    start = time.monotonic()
    due = start + _FIRST_SECONDS
    is_shown = False

    def show(done: int, total: int) -> None:
        nonlocal due, is_shown
        now = time.monotonic()
        if now >= due and done:
            due, is_shown = now + _PAUSE_SECONDS, True
            left = (now - start) / done * (total - done)
            env.status(f"{what}: {done:,} of {total:,}, {left:.0f} s left")

    try:
        yield show
    finally:
        if is_shown:
            env.status("")
