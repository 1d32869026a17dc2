"""How far back history is retained, and which changes were pruned in part (``horizon``).

The table holds a time for each scope whose history was pruned, under the empty name one for
all scopes, and under ``#ID``, which no scope is called, the end of a change of which a part
was pruned.

SQLite is relied on for: upserts, and text that sorts by its bytes.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kycli.core.storage import Kycore

_OF_SCOPE = "SELECT max(reaches_to) FROM horizon WHERE scope IN ('', ?1)"
_OF_ALL = "SELECT max(reaches_to) FROM horizon WHERE scope < '#' OR scope >= '$'"
_OWN = "SELECT reaches_to FROM horizon WHERE scope = ?1"
_ADVANCE = """
INSERT INTO horizon (scope, reaches_to) VALUES (?1, ?2)
ON CONFLICT (scope) DO UPDATE SET reaches_to = max(reaches_to, excluded.reaches_to)"""
_FORGET_CHANGES = "DELETE FROM horizon WHERE scope IN (SELECT '#' || value FROM json_each(?1))"


def retained_since(store: Kycore, scope: str | None) -> int | None:
    """Return the time from which on all history of a scope, or of all, is retained.

    In milliseconds since the epoch; None when nothing was ever pruned.
    """
    rows = store._query(_OF_ALL) if scope is None else store._query(_OF_SCOPE, (scope,))
    time: int | None = rows[0][0]
    return time


def advance(store: Kycore, scope: str, time: int) -> None:
    """Note that the history of a scope before a time is not complete any more."""
    store._query(_ADVANCE, (scope, time))


def follow_rename(store: Kycore, scope: str, to_scope: str) -> None:
    """Retain as much of a scope under its new name."""
    for (time,) in store._query(_OWN, (scope,)):
        advance(store, to_scope, time)


def end_of_incomplete(store: Kycore, change: int) -> int | None:
    """Return when a change ended of which a part was pruned; None when it is complete."""
    rows = store._query(_OWN, (f"#{change}",))
    return rows[0][0] if rows else None


def mark_incomplete(store: Kycore, change: int, end: int) -> None:
    """Note that a part of a change was pruned, and when the change ended."""
    advance(store, f"#{change}", end)


def forget_changes(store: Kycore, changes: list[int]) -> None:
    """Forget changes of which nothing is left."""
    if changes:
        store._query(_FORGET_CHANGES, (json.dumps(changes),))
