"""Which changes are still whole.

Pruning works key by key and scope by scope, and a change of many rows may lose some of them
and keep others: a transaction over two scopes of which one limits its history, or a deletion
that is forgotten beside a value that stays. Such a change cannot be taken back, because
nobody knows what else it did, and its last row that is left does not say when it ended, from
when on it counts in the past (see ``history.moment``).

So whoever drops a row of a change of which others stay puts it down in ``horizon``, under a
name that no scope can have, with the time when it ended. That is forgotten when the last row
of the change goes. A change of which the first row is gone needs no mark to be known: its id
is that row's.
"""

from __future__ import annotations

import json
from math import inf

from kycli.core.layout import BYPASS, EXPIRED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kycli.core.storage import Kycore

# Expiries are nobody's change, and notes are none.
_OF_CHANGE = f"op NOT IN ({BYPASS}, {EXPIRED})"
_ENDED_AT = "SELECT reaches_to FROM horizon WHERE scope = '#' || ?1"
# Rows count from when they came into this database: an import brings old times along.
_PARTS = f"""
SELECT a.change, max(max(a.timestamp, ifnull(c.timestamp, 0)))
FROM audit_log a LEFT JOIN audit_log c ON c.id = a.change
WHERE a.id IN (SELECT value FROM json_each(?1)) AND a.change IS NOT NULL AND a.{_OF_CHANGE}
GROUP BY a.change ORDER BY a.change"""
_FIRST_FROM = f"""
SELECT coalesce(change, id), id, timestamp FROM audit_log
WHERE id >= ?1 AND {_OF_CHANGE} ORDER BY id LIMIT 1"""
_NOTE = """
INSERT INTO horizon (scope, reaches_to) VALUES ('#' || ?1, ?2)
ON CONFLICT (scope) DO UPDATE SET reaches_to = max(reaches_to, excluded.reaches_to)"""
_FORGET = "DELETE FROM horizon WHERE scope IN (SELECT '#' || value FROM json_each(?1))"


def ended_at(store: Kycore, change: int) -> int | None:
    """Return when a change ended of which a part was pruned; None when it is whole."""
    rows = store._query(_ENDED_AT, (change,))
    return rows[0][0] if rows else None


def parts_among(store: Kycore, ids: str) -> list[tuple[int, int]]:
    """Return the changes of several rows that some rows of the log are of.

    Parameters:
        ids: the rows, as a JSON list.

    Returns:
        Each change with the latest time of these rows of it, in the order of their ids.
    """
    return store._query(_PARTS, (ids,))


def note_dropped(store: Kycore, parts: list[tuple[int, int]]) -> None:
    """Put down that parts of changes were dropped, when that is done.

    Parameters:
        parts: what ``parts_among`` said of the rows before.
    """
    gone = []
    nearest: tuple[int, int, int] | None = None
    reached: float = 0
    for change, at in parts:
        if change > reached:  # else the first row that is left is the same as before
            nearest = _first_from(store, change)
            reached = inf if nearest is None else nearest[1]
        if nearest is not None and nearest[0] == change:
            ended = end_of(store, change, nearest[1], max(at, nearest[2]))
            store._query(_NOTE, (change, ended))
        else:
            gone.append(change)
    if gone:
        store._query(_FORGET, (json.dumps(gone),))


def end_of(store: Kycore, change: int, last: int, at: int) -> int:
    """Return when a change of many ended, which is when it counts from.

    Its rows follow each other, but for those of a command that was interrupted by others;
    then it may be the end of a later part.

    Parameters:
        last, at: id and time of a row of it, or amidst it.
    """
    at = max(at, ended_at(store, change) or 0)
    step, low, high = 1, last, last + 1
    while (part := _part(store, change, high)) is not None:
        low, at, step = part[0], max(at, part[1]), step * 2
        high = low + step
    while high - low > 1:
        middle = (low + high) // 2
        part = _part(store, change, middle)
        if part is None:
            high = middle
        else:
            low, at = part[0], max(at, part[1])
    return at


def change_around(store: Kycore, id: int) -> int | None:
    """Return the change that a row is of or in the middle of; None when it is in none."""
    found = _first_from(store, id)
    return found[0] if found is not None and found[0] <= id else None


def _part(store: Kycore, change: int, id: int) -> tuple[int, int] | None:
    """Return id and time of the first row from an id on, if it is of a change."""
    found = _first_from(store, id)
    return found[1:] if found is not None and found[0] == change else None


def _first_from(store: Kycore, id: int) -> tuple[int, int, int] | None:
    """Return change, id and time of the first row from an id on."""
    rows = store._query(_FIRST_FROM, (id,))
    return rows[0] if rows else None
