"""Taking keys away and putting them elsewhere: del, copy and move."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kycli.cli.output import keys_counted
from kycli.cli.values import report_missing
from kycli.errors import UsageError

if TYPE_CHECKING:
    from kycli.cli.env import Environment


def delete(env: Environment, arguments: list[str]) -> int:
    """``del ADDRESS...`` or ``del --prefix PREFIX``: 2 when there was nothing to delete."""
    prefix = env.flags.get("prefix")
    if prefix is None:
        return _delete_keys(env, arguments)
    if arguments or "context" in env.flags:
        raise UsageError("--prefix goes with neither keys nor --context", hint="give one of them")
    return _delete_prefix(env, prefix)


def _delete_keys(env: Environment, arguments: list[str]) -> int:
    if not arguments:
        raise UsageError("which keys?", hint="name them, or use --prefix PREFIX")
    targets = [env.locate(argument) for argument in arguments]
    store = env.store()
    missing: list[tuple[str, str]] = []
    with store.transaction():
        for scope, key in targets:
            if not store.delete(key, scope=scope):
                missing.append((scope, key))
    for scope, key in missing:
        report_missing(env, scope, key)
    _say_deleted(env, len(targets) - len(missing))
    return 2 if missing else 0


def _delete_prefix(env: Environment, prefix: str) -> int:
    if not prefix:  # which is what an unset variable in a script gives
        raise UsageError(
            "an empty prefix would delete every key",
            hint=f"if that is meant: kycli drop-scope {env.scope}",
        )
    store = env.store()
    count = store.count(prefix, scope=env.scope)
    if count:
        question = (
            f"delete {keys_counted(count)} with the prefix {prefix!r} in scope {env.scope!r}?"
        )
        if not env.confirm(question):
            return 1
        count = store.delete_many(prefix=prefix, scope=env.scope)
    if not count:
        env.note(f"kycli: no key with the prefix {prefix!r} in scope {env.scope!r}")
        return 2
    _say_deleted(env, count)
    return 0


def copy(env: Environment, arguments: list[str]) -> int:
    """``copy SOURCE DESTINATION``: 2 when there is no such key."""
    return _transfer(env, arguments, env.store().copy)


def move(env: Environment, arguments: list[str]) -> int:
    """``move SOURCE DESTINATION``: 2 when there is no such key."""
    return _transfer(env, arguments, env.store().move)


def _transfer(env: Environment, arguments: list[str], transfer: Callable[..., bool]) -> int:
    (scope, key), (to_scope, to_key) = map(env.locate, arguments)
    if transfer(key, to_key, scope=scope, to_scope=to_scope, overwrite="force" in env.flags):
        if "force" not in env.flags:
            env.created.append((to_scope, to_key))
        return 0
    report_missing(env, scope, key)
    return 2


def _say_deleted(env: Environment, count: int) -> None:
    if count:
        env.note(f"deleted {keys_counted(count)}")
