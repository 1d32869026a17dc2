"""copy and move: one key, or all keys with a prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kycli.cli.commands.values.reading import report_missing
from kycli.cli.output import keys_counted
from kycli.core.names import check_scope
from kycli.errors import UsageError

if TYPE_CHECKING:
    from kycli.cli.env import Environment

_POLICIES = ("error", "skip", "overwrite")


def copy(env: Environment, arguments: list[str]) -> int:
    """``copy SOURCE DESTINATION``, or ``copy --prefix PREFIX``: 2 when there is no such key."""
    return _transfer(env, arguments, remove=False)


def move(env: Environment, arguments: list[str]) -> int:
    """``move SOURCE DESTINATION``, or ``move --prefix PREFIX``: 2 when there is no such key."""
    return _transfer(env, arguments, remove=True)


def _transfer(env: Environment, arguments: list[str], *, remove: bool) -> int:
    prefix = env.flags.get("prefix")
    if prefix is not None:
        return _transfer_prefix(env, arguments, prefix, remove=remove)
    for flag in ("to", "to-prefix"):
        if flag in env.flags:
            raise UsageError(f"--{flag} goes with --prefix", hint="or name SOURCE and DESTINATION")
    if len(arguments) < 2:
        missing = "SOURCE and DESTINATION" if not arguments else "DESTINATION"
        name = "move" if remove else "copy"
        raise UsageError(f"'{name}' needs {missing}", hint="name them, or use --prefix PREFIX")
    (scope, key), (to_scope, to_key) = map(env.locate, arguments)
    store, policy = env.store(), _policy(env)
    with store.transaction():
        taken = policy == "skip" and store.exists(to_key, scope=to_scope)
        if taken and store.exists(key, scope=scope):
            env.note(f"skipped: the key {to_key!r} exists already in scope {to_scope!r}")
            return 0
        transfer = store.move if remove else store.copy
        overwrite = policy == "overwrite"
        if transfer(key, to_key, scope=scope, to_scope=to_scope, overwrite=overwrite):
            if not overwrite:
                env.created.append((to_scope, to_key))
            return 0
    report_missing(env, scope, key)
    return 2


def _transfer_prefix(env: Environment, arguments: list[str], prefix: str, *, remove: bool) -> int:
    if arguments:
        raise UsageError("--prefix goes with no SOURCE or DESTINATION", hint="give one of them")
    if not prefix:  # an unset variable in a script
        raise UsageError(
            "an empty prefix is every key",
            hint="'kycli copy-scope SCOPE TO-SCOPE' copies a scope",
        )
    to_scope = env.flags.get("to")
    if to_scope is None and "to-prefix" not in env.flags:
        raise UsageError("where to?", hint="--to SCOPE, or --to-prefix PREFIX, or both")
    to_scope = env.scope if to_scope is None else check_scope(to_scope)
    if transfer_all(env, prefix, env.scope, to_scope, env.flags.get("to-prefix"), remove=remove):
        return 0
    env.note(f"kycli: no key with the prefix {prefix!r} in scope {env.scope!r}")
    return 2


def transfer_all(
    env: Environment,
    prefix: str | None,
    scope: str,
    to_scope: str,
    to_prefix: str | None,
    *,
    remove: bool = False,
) -> bool:
    """Copy or move the keys with a prefix; return whether there were any."""
    store = env.store()
    transfer = store.move_many if remove else store.copy_many
    with store.transaction():
        found = store.count(prefix, scope=scope)
        done = transfer(
            prefix, scope=scope, to_scope=to_scope, to_prefix=to_prefix, on_conflict=_policy(env)
        )
    if found:
        skipped = f", skipped {found - done}" if found > done else ""
        env.note(f"{'moved' if remove else 'copied'} {keys_counted(done)}{skipped}")
    return found > 0


def _policy(env: Environment) -> str:
    env.choice("force", "on-conflict")
    policy = env.flags.get("on-conflict", "overwrite" if "force" in env.flags else "error")
    if policy not in _POLICIES:
        raise UsageError(f"unknown policy {policy!r}", hint="use error, skip or overwrite")
    return policy
