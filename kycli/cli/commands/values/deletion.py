"""del: deleting keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kycli.cli.commands.values.reading import FORMS, MISSING, print_found, report_missing
from kycli.cli.output import keys_counted
from kycli.errors import UsageError

if TYPE_CHECKING:
    from kycli.cli.env import Environment


def delete(env: Environment, arguments: list[str]) -> int:
    """``del ADDRESS...`` or ``del --prefix PREFIX``: 2 when there was nothing to delete."""
    prefix = env.flags.get("prefix")
    env.choice("get", "prefix")
    form = env.choice(*FORMS)
    if form and "get" not in env.flags:
        raise UsageError(f"--{form} goes with --get", hint="--get prints the values")
    if prefix is None:
        return _delete_keys(env, arguments, form)
    if arguments or "context" in env.flags:
        raise UsageError("--prefix goes with neither keys nor --context", hint="give one of them")
    return _delete_prefix(env, prefix)


def _delete_keys(env: Environment, arguments: list[str], form: str) -> int:
    if not arguments:
        raise UsageError("which keys?", hint="name them, or use --prefix PREFIX")
    targets = [env.locate(argument) for argument in arguments]
    store = env.store()
    found: list[Any] = []
    with store.transaction():
        for scope, key in targets:
            if "get" in env.flags:
                found.append(store.pop(key, MISSING, scope=scope))
            else:
                found.append(store.delete(key, scope=scope) or MISSING)
    missing = found.count(MISSING)
    if "get" in env.flags:
        print_found(env, form, arguments, targets, found)
        env.flush()
    else:
        for target, value in zip(targets, found, strict=True):
            if value is MISSING:
                report_missing(env, *target)
    _note_deleted(env, len(targets) - missing)
    return 2 if missing else 0


def _delete_prefix(env: Environment, prefix: str) -> int:
    if not prefix:  # an unset variable in a script
        raise UsageError(
            "an empty prefix would delete every key",
            hint=f"to delete them all: kycli drop-scope {env.scope}",
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
    _note_deleted(env, count)
    return 0


def _note_deleted(env: Environment, count: int) -> None:
    if count:
        env.note(f"deleted {keys_counted(count)}")
