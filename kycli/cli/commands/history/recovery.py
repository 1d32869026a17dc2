"""restore, restore-to and undo: bringing back earlier values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kycli.cli.env import whole_number
from kycli.cli.output import keys_counted, write_listing
from kycli.core.durations import shown
from kycli.errors import MissingKeyError, UsageError

if TYPE_CHECKING:
    from kycli.cli.env import Environment
    from kycli.core.history.recovery import Difference


def restore(env: Environment, arguments: list[str]) -> int:
    """``restore ADDRESS``: 2 when there is nothing to restore."""
    env.choice("at", "at-version")
    scope, key = env.locate(arguments[0])
    status = env.store().restore(
        key, env.flags.get("at"), version=env.count("at-version", 1), scope=scope
    )
    env.note(f"restored {key!r}" if status == "restored" else f"{key!r} has that value already")
    return 0


def restore_to(env: Environment, arguments: list[str]) -> int:
    """``restore-to TIME``: take a scope, or all, to its state at a time."""
    all_scopes = "all-scopes" in env.flags
    if all_scopes and env.scope_is_fixed:
        raise UsageError("--all-scopes goes with no scope", hint="give one of them")
    scope = None if all_scopes else env.scope
    form = env.choice("null", "json", "jsonl")
    if form and "dry-run" not in env.flags:
        raise UsageError(f"--{form} is for the list that --dry-run prints")
    store = env.store()
    if "dry-run" not in env.flags:
        count = store.restore_to(arguments[0], scope, all_scopes)
        env.note(f"restored {keys_counted(count)}" if count else "nothing had changed")
        return 0
    differences = store.differences(arguments[0], scope, all_scopes)

    def plain(found: Difference) -> bytes:
        where = (found.scope, found.key) if all_scopes else (found.key,)
        return b"\t".join((found.operation.encode(), *map(env.shown, where)))

    write_listing(env, differences, plain, lambda found: found._asdict())
    return 0


def undo(env: Environment, arguments: list[str]) -> int:
    """``undo [CHANGE]``: revert one change; 2 when the scope has none."""
    change = None
    if arguments:
        change = whole_number(arguments[0])
        if change is None:
            raise UsageError(
                f"{shown(arguments[0])} is not the id of a change",
                hint="'kycli history' shows them",
            )
    store = env.store()
    if change is None and next(store.iter_history(scope=env.scope, limit=1), None) is None:
        raise MissingKeyError(f"there is nothing to undo in scope {env.scope!r}")
    count = store.undo(change, scope=env.scope, force="force" in env.flags)
    # For example, when the only key that the change created has expired.
    done = "nothing to revert: everything is as it was before that change"
    env.note(f"reverted {keys_counted(count)}" if count else done)
    return 0
