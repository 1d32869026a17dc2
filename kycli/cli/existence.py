"""Whether keys are there, and how many: exists and count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kycli.cli.listing import range_of
from kycli.cli.values import MISSING, may_be_path, read_value, report_missing, write_json

if TYPE_CHECKING:
    from kycli.cli.env import Environment


def exist(env: Environment, arguments: list[str]) -> int:
    """``exists ADDRESS...``: 2 when one of the keys is missing; nothing on standard output."""
    targets = [env.locate(argument) for argument in arguments]
    with env.store().snapshot():
        found = [_exists(env, *target) for target in targets]
    if "json" in env.flags:
        write_json(env, dict(zip(arguments, found, strict=True)))
    elif len(targets) > 1:
        for target, there in zip(targets, found, strict=True):
            if not there:
                report_missing(env, *target)
    return 0 if all(found) else 2


def _exists(env: Environment, scope: str, key: str) -> bool:
    """Whether there is such a key or, where a path is meant, something at the path."""
    if "path" not in env.flags:
        if env.store().exists(key, scope=scope):
            return True
        if not may_be_path(env, key):
            return False
    return read_value(env, scope, key, MISSING) is not MISSING


def count(env: Environment, arguments: list[str]) -> int:
    """``count [PROJECT.NAMESPACE] [PREFIX]``: print how many keys there are."""
    scope, prefix = range_of(env, arguments)
    glob = env.flags.get("glob")
    if glob is None:
        number = env.store().count(prefix, scope=scope)
    else:
        number = sum(1 for _ in env.store().iterkeys(prefix, glob=glob, scope=scope))
    env.write(b"%d\n" % number)
    return 0
