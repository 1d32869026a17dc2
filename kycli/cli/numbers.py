"""Counting: incr."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kycli.cli.values import plain
from kycli.errors import UsageError

if TYPE_CHECKING:
    from kycli.cli.env import Environment


def increment(env: Environment, arguments: list[str]) -> int:
    """``incr ADDRESS [BY]``: add to a number and print the result."""
    scope, key = env.locate(arguments[0])
    by = _number(arguments[1]) if len(arguments) > 1 else 1
    env.write(plain(env.store(create=True).incr(key, by, scope=scope)) + b"\n")
    return 0


def _number(text: str) -> int | float:
    """Read a decimal number; an int stays an int, whatever its size."""
    # Python's own reading would also take 'nan', '1_000', blanks and other scripts' digits.
    if text and all(char in "0123456789.eE+-" for char in text):
        for kind in (int, float):
            try:
                return kind(text)
            except ValueError:
                pass
    raise UsageError(f"{text!r} is not a number", hint="write it like 5, -5 or 0.25")
