"""expire, ttl and persist: the time to live of existing keys."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from kycli.cli.commands.values.reading import report_missing

if TYPE_CHECKING:
    from kycli.cli.env import Environment


def expire(env: Environment, arguments: list[str]) -> int:
    """``expire ADDRESS TTL``: 2 when there is no such key."""
    scope, key = env.locate(arguments[0])
    if env.store().expire(key, arguments[1], scope=scope):
        return 0
    report_missing(env, scope, key)
    return 2


def print_ttl(env: Environment, arguments: list[str]) -> int:
    """``ttl ADDRESS``: whole seconds left, rounded up; -1 when permanent."""
    scope, key = env.locate(arguments[0])
    left = env.store().ttl(key, scope=scope)
    if left is None:
        report_missing(env, scope, key)
        return 2
    env.write(b"-1\n" if left == math.inf else b"%d\n" % math.ceil(left))
    return 0


def persist(env: Environment, arguments: list[str]) -> int:
    """``persist ADDRESS``: 2 when there is no such key."""
    scope, key = env.locate(arguments[0])
    if env.store().persist(key, scope=scope):
        return 0
    report_missing(env, scope, key)
    return 2
