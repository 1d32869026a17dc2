"""Counting: incr."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kycli.cli.values import plain
from kycli.core.operations.numbers import parse_number
from kycli.errors import UsageError

if TYPE_CHECKING:
    from kycli.cli.env import Environment


def increment(env: Environment, arguments: list[str]) -> int:
    """``incr ADDRESS [BY]``: add to a number and print the result."""
    scope, key = env.locate(arguments[0])
    by = parse_number(arguments[1]) if len(arguments) > 1 else 1
    if by is None:
        raise UsageError(f"{arguments[1]!r} is not a number", hint="write it like 5, -5 or 0.25")
    total = env.store(create=True).incr(key, by, scope=scope)
    if total == by:
        env.created.append((scope, key))
    env.write(plain(total) + b"\n")
    return 0
