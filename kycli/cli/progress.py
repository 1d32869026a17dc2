"""How far something is that takes long, on a line of the terminal that comes and goes."""

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
def progress(env: Environment, what: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function to call with how much of how much is done; the line goes at the end."""
    due = time.monotonic() + _FIRST_SECONDS
    is_shown = False

    def show(done: int, total: int) -> None:
        nonlocal due, is_shown
        now = time.monotonic()
        if now >= due:
            due, is_shown = now + _PAUSE_SECONDS, True
            env.status(f"{what}: {done:,} of {total:,}")

    try:
        yield show
    finally:
        if is_shown:
            env.status("")
