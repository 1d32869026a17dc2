"""Pruning the log and the archive: what may go, and deleting it; positions of sweeps; space.

Functions that take a ``table`` work on the log and on the archive alike. A span is the ids
from ``first`` to ``last``, both included.

SQLite is relied on for: ids in the order of time; recursive queries that follow many chains
at once and go through rows that they share only once (``UNION``); ``max()`` in a query with
``GROUP BY``, which takes the other columns from the same row; ``json_each``; ``VACUUM`` and
``wal_checkpoint``, which give the space back.
"""

from __future__ import annotations

import json
from typing import Literal, NamedTuple, NewType, TypeAlias

from kycli.core.layout import BYPASS, EXPIRED, LIFETIME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from kycli.core.storage import Kycore

    Table = Literal["audit_log", "archive"]

LOG: Table = "audit_log"
ARCHIVE: Table = "archive"

_LIMITS = {LOG: "history_days", ARCHIVE: "archive_days"}
_TIMES = {LOG: "timestamp", ARCHIVE: "deleted_at"}


ChainRow: TypeAlias = "tuple[int | None, int, int]"
"""A row of a chain, from its boundary on: the boundary, whose state stays exact, or None where
the chain goes as a whole; the id of this row; whether it stays, as it holds the value of the
boundary."""

PrunedRow: TypeAlias = "tuple[int, str, int | None, int, int]"
"""A row of the log: id; scope; change of many rows that it is part of, or None; whether it is
an expiry; when it entered this database, which for imported rows is the import."""

LastTrace: TypeAlias = "tuple[str, int, int]"
"""A removed key that only the archive remembers: scope, when it was removed, its newest row
in the log."""

IdList = NewType("IdList", str)
"""Ids as one binding: a JSON list, made once however many statements take it."""


class Dropped(NamedTuple):
    """What was deleted from the log.

    Attributes:
        changes: the changes of many rows that lost some, with the latest time of these, in
            the order of their ids.
        last_removal: the newest of the rows that gave no value: a removal or a note.
    """

    changes: list[tuple[int, int]]
    last_removal: int | None


def id_list(ids: Collection[int]) -> IdList:
    return IdList(json.dumps([*ids]))


# ---------------------------------------------------------------- positions of sweeps

_POSITION = "SELECT position FROM sweeps WHERE name = ?1"
_SET_POSITION = """
INSERT INTO sweeps (name, position) VALUES (?1, ?2)
ON CONFLICT (name) DO UPDATE SET position = excluded.position"""
_RESTART = "DELETE FROM sweeps"


def position(store: Kycore, name: str) -> int:
    """Return the id up to which a sweep has come."""
    rows = store._query(_POSITION, (name,))
    return rows[0][0] if rows else 0


def set_position(store: Kycore, name: str, id: int) -> None:
    store._query(_SET_POSITION, (name, id))


def restart_sweeps(store: Kycore) -> None:
    """Have all sweeps begin again: other limits hold for the rows that they have seen."""
    store._query(_RESTART)


# ---------------------------------------------------------------- which ids to look at

_DAYS = {
    table: f"SELECT DISTINCT {days} FROM sys_namespaces WHERE {days} IS NOT NULL"
    for table, days in _LIMITS.items()
}
_ANY_VERSIONS = "SELECT 1 FROM sys_namespaces WHERE history_versions IS NOT NULL LIMIT 1"
_CONCERNS = {
    table: f"""
SELECT 1 FROM {table} x JOIN sys_namespaces n ON n.scope = x.scope
WHERE x.id >= ?1 AND x.id <= ?2
    AND iif(?3 IS NULL, n.history_versions IS NOT NULL, n.{days} = ?3) LIMIT 1"""
    for table, days in _LIMITS.items()
}
_NEXT_ID = {table: f"SELECT min(id) FROM {table} WHERE id > ?1" for table in _LIMITS}
# And whether that is, or is of, the newest row of the log.
_NEWEST = {
    LOG: "SELECT ifnull(max(id), 0), 1 FROM audit_log",
    ARCHIVE: """
SELECT ifnull(max(id), 0), ifnull(max(seq), 0) = (SELECT ifnull(max(id), 0) FROM audit_log)
FROM archive""",
}
# The first row that is too young; one from the future is of a clock that was wrong.
_TOO_YOUNG = {
    table: f"""
SELECT min(id) FROM {table} WHERE id >= ?1 AND id <= ?2 AND {time} >= ?3 AND {time} <= ?4"""
    for table, time in _TIMES.items()
}


def limits_in_days(store: Kycore, table: Table) -> dict[str, float]:
    """Return the different limits in days that scopes have, by the name of their sweep."""
    return {f"{_LIMITS[table]} {days!r}": days for (days,) in store._query(_DAYS[table])}


def any_limit_in_versions(store: Kycore) -> bool:
    """Whether any scope limits its history to a number of versions."""
    return bool(store._query(_ANY_VERSIONS))


def concerns(store: Kycore, table: Table, first: int, last: int, days: float | None) -> bool:
    """Whether a span has rows of scopes with a limit of ``days``; None: with one in versions."""
    return bool(store._query(_CONCERNS[table], (first, last, days)))


def next_id(store: Kycore, table: Table, position: int) -> int | None:
    """Return the first id after a position."""
    found: int | None = store._query(_NEXT_ID[table], (position,))[0][0]
    return found


def newest(store: Kycore, table: Table) -> tuple[int, bool]:
    """Return the newest id, and whether it belongs to the newest row of the log."""
    id, is_newest = store._query(_NEWEST[table])[0]
    return id, bool(is_newest)


def first_younger(
    store: Kycore, table: Table, first: int, last: int, time: int, now: int
) -> int | None:  # fmt: skip
    """Return the first id of a span whose time is in ``[time, now]``, None for none."""
    found: int | None = store._query(_TOO_YOUNG[table], (first, last, time, now))[0][0]
    return found


# ---------------------------------------------------------------- what may go

# The limit for the scope of a row x: its own, or else ?4. With ?5, only the rows of scopes
# with just that limit of their own. ?3 is the time now.
_OLD = """
LEFT JOIN sys_namespaces n ON n.scope = x.scope
WHERE x.id >= ?1 AND x.id <= ?2 AND (?5 IS NULL OR n.{days} = ?5)
    AND x.{time} <= ?3 - 86400000 * coalesce(n.{days}, ?4)"""
_OLD_CHANGES = _OLD.format(days=_LIMITS[LOG], time=_TIMES[LOG])
_OLD_REMOVED = "SELECT x.id FROM archive x" + _OLD.format(
    days=_LIMITS[ARCHIVE], time=_TIMES[ARCHIVE]
)

# From where to walk a chain, and how many rows of it to keep.
_FROM_OLD = f"""
SELECT max(x.id), x.prev, x.op, x.kind IS NOT NULL OR x.id = (SELECT max(id) FROM audit_log)
FROM audit_log x {_OLD_CHANGES} AND x.op <> {BYPASS} GROUP BY x.scope, x.key
-- Removals of keys that the archive has forgotten are in no chain any more.
UNION ALL
SELECT x.id, x.prev, x.op, 0
FROM audit_log x {_OLD_CHANGES} AND x.op <> {BYPASS} AND x.kind IS NULL
    AND x.id < (SELECT max(id) FROM audit_log)"""
# Where many versions are kept, only some of them make a step walk through all of them.
_FROM_NEW = f"""
SELECT max(x.id), x.prev, x.op, n.history_versions
FROM audit_log x JOIN sys_namespaces n ON n.scope = x.scope
WHERE x.id >= ?1 AND x.id <= ?2 AND n.history_versions IS NOT NULL
    AND (?3 OR iif(x.op = {LIFETIME}, x.id, x.version) % (n.history_versions / 16 + 1) = 0)
GROUP BY x.scope, x.key"""

# Where neither a live key nor a later removal of the key remembers its chain.
_IS_LAST_TRACE = """
NOT EXISTS (SELECT 1 FROM kvstore k WHERE k.scope = a.scope AND k.key = a.key)
    AND NOT EXISTS (SELECT 1 FROM archive b WHERE b.scope = a.scope AND b.key = a.key
                    AND b.id > a.id)"""
_IDS = "(SELECT value FROM json_each(?1))"

# Of keys that the archive forgets, in scopes that limit the length of a chain: without it
# the chain would not be found when the key is created again, and add up.
_FROM_FORGOTTEN = f"""
SELECT x.id, x.prev, x.op, x.id = (SELECT max(id) FROM audit_log)
FROM archive a JOIN audit_log x ON x.id = a.seq JOIN sys_namespaces n ON n.scope = a.scope
WHERE a.id IN {_IDS} AND n.history_versions IS NOT NULL AND {_IS_LAST_TRACE}"""

# The rows of a chain from the boundary on. ``left``: how many are still to be kept;
# ``seeking``: all between here and the boundary change the lifetime alone.
_CHAINS = f"""
WITH RECURSIVE start (id, prev, op, many) AS ({{starts}}),
chain (boundary, id, prev, op, left, seeking, stays) AS (
    SELECT iif(many, id, NULL), id, prev, op, many, many = 1 AND op = {LIFETIME}, many > 0
    FROM start
    UNION
    SELECT iif(c.left > 1, a.id, c.boundary), a.id, a.prev, a.op, max(c.left - 1, 0),
        a.op = {LIFETIME} AND (c.left = 2 OR c.left <= 1 AND c.seeking),
        c.left > 1 OR c.seeking AND a.op <> {LIFETIME}
    FROM chain c JOIN audit_log a ON a.id = c.prev
)
SELECT boundary, id, stays FROM chain WHERE NOT stays OR left = 0"""
_OUTDATED = _CHAINS.format(starts=_FROM_OLD)
_OUTNUMBERED = _CHAINS.format(starts=_FROM_NEW)
_FORGOTTEN = _CHAINS.format(starts=_FROM_FORGOTTEN)

# Notes to the caches; the first row of an import is one that its other rows name. A log
# that nothing else was taken from keeps them, and so has no gaps. That a scope was renamed
# is kept for good: undo must know of it.
_OLD_NOTES = f"""
SELECT id FROM audit_log x WHERE id >= ?1 AND id <= ?2 AND op = {BYPASS} AND key = ''
    AND (SELECT change FROM audit_log a WHERE a.id > x.id AND a.op <> {EXPIRED}
         ORDER BY a.id LIMIT 1) IS NOT x.id
    AND timestamp <= ?3 - 86400000 * ?4
    AND id < (SELECT max(id) FROM audit_log) AND EXISTS (SELECT 1 FROM horizon)"""

# The newest row is a removal that would go if it were not the newest.
_NEWEST_MUST_GO = f"""
SELECT 1 FROM audit_log x LEFT JOIN sys_namespaces n ON n.scope = x.scope
WHERE x.id = (SELECT max(id) FROM audit_log) AND x.kind IS NULL AND x.op <> {BYPASS}
    AND x.timestamp <= ?1 - 86400000 * iif(
        n.history_versions IS NULL, coalesce(n.history_days, ?2),
        min(coalesce(n.history_days, ?2), coalesce(n.archive_days, ?2)))"""

_LAST_TRACES = f"""
SELECT scope, deleted_at, seq FROM archive a WHERE id IN {_IDS} AND {_IS_LAST_TRACE}"""


def outdated(
    store: Kycore, first: int, last: int, now: int, days: float | None, only: float | None
) -> list[ChainRow]:
    """Return the chains of what is too old, from the rows of a span.

    Parameters:
        days: the limit of scopes without one of their own; None leaves these out.
        only: leave out scopes with another limit than this; None leaves out none.
    """
    return store._query(_OUTDATED, (first, last, now, days, only))


def outnumbered(store: Kycore, first: int, last: int, every: bool) -> list[ChainRow]:
    """Return the chains of keys with too many versions, from the rows of a span.

    Parameters:
        every: look at the chain of each row; or of one in so many, as is enough for a sweep.
    """
    return store._query(_OUTNUMBERED, (first, last, every))


def forgotten_chains(store: Kycore, ids: IdList) -> list[ChainRow]:
    """Return the chains that nothing leads to once these rows of the archive are dropped."""
    return store._query(_FORGOTTEN, (ids,))


def old_notes(store: Kycore, first: int, last: int, now: int, days: float | None) -> list[int]:
    """Return the notes to caches in a span of the log that are older than so many days."""
    return [id for (id,) in store._query(_OLD_NOTES, (first, last, now, days))]


def old_removed(
    store: Kycore, first: int, last: int, now: int, days: float | None, only: float | None
) -> list[int]:
    """Return the rows of a span of the archive that are too old; parameters as ``outdated``."""
    return [id for (id,) in store._query(_OLD_REMOVED, (first, last, now, days, only))]


def newest_must_go(store: Kycore, now: int, days: float) -> bool:
    """Whether the newest row of the log is a removal that is too old."""
    return bool(store._query(_NEWEST_MUST_GO, (now, days)))


def last_traces(store: Kycore, ids: IdList) -> list[LastTrace]:
    """Return those rows of the archive that are all that is known of a key."""
    return store._query(_LAST_TRACES, (ids,))


# ---------------------------------------------------------------- what rows of the log say

_ABOUT = f"""
SELECT a.id, a.scope, a.change, a.op = {EXPIRED}, max(a.timestamp, ifnull(c.timestamp, 0))
FROM audit_log a LEFT JOIN audit_log c ON c.id = a.change
WHERE a.id IN {_IDS} AND a.op <> {BYPASS} ORDER BY a.id DESC"""
_NEWEST_TIMES = f"SELECT scope, max(timestamp) FROM audit_log WHERE id IN {_IDS} GROUP BY scope"
_CHANGES_OF = f"""
SELECT a.change, max(max(a.timestamp, ifnull(c.timestamp, 0)))
FROM audit_log a LEFT JOIN audit_log c ON c.id = a.change
WHERE a.id IN {_IDS} AND a.change IS NOT NULL AND a.op NOT IN ({BYPASS}, {EXPIRED})
GROUP BY a.change ORDER BY a.change"""
_LAST_REMOVAL = f"SELECT max(id) FROM audit_log WHERE id IN {_IDS} AND kind IS NULL"
_NOTED_SINCE = f"SELECT 1 FROM audit_log WHERE id > ?1 AND op = {BYPASS} LIMIT 1"


def pruned_rows(store: Kycore, ids: IdList) -> list[PrunedRow]:
    """Return what some rows of the log say, newest first; notes are left out."""
    return store._query(_ABOUT, (ids,))


def newest_times(store: Kycore, ids: IdList) -> dict[str, int]:
    """Return for each scope the latest time of some rows of the log."""
    return dict(store._query(_NEWEST_TIMES, (ids,)))


def has_note_since(store: Kycore, id: int) -> bool:
    """Whether caches are told to forget by a row of the log after an id."""
    return bool(store._query(_NOTED_SINCE, (id,)))


# ---------------------------------------------------------------- deleting

_RELINK = "UPDATE audit_log SET prev = ?2 WHERE id = ?1 AND prev <> ?2"
_DROP = {table: f"DELETE FROM {table} WHERE id IN {_IDS}" for table in _LIMITS}


def relink(store: Kycore, id: int | None, prev: int) -> None:
    """Have a row of the log follow another one in its chain."""
    store._query(_RELINK, (id, prev))


def drop_changes(store: Kycore, ids: IdList) -> Dropped:
    """Delete rows of the log."""
    changes = store._query(_CHANGES_OF, (ids,))
    last_removal = store._query(_LAST_REMOVAL, (ids,))[0][0]
    store._query(_DROP[LOG], (ids,))
    return Dropped(changes, last_removal)


def drop_removed(store: Kycore, ids: IdList) -> None:
    """Delete rows of the archive."""
    store._query(_DROP[ARCHIVE], (ids,))


# ---------------------------------------------------------------- space


class Space(NamedTuple):
    """How large the file is, in pages of ``page_bytes``, and how many of these are free."""

    pages: int
    free: int
    page_bytes: int

    @property
    def bytes(self) -> int:
        return self.pages * self.page_bytes


def space(store: Kycore) -> Space:
    """Return how large the file is."""
    names = ("page_count", "freelist_count", "page_size")
    return Space(*(store._query(f"PRAGMA {name}")[0][0] for name in names))


def vacuum(store: Kycore) -> None:
    """Rewrite the file without its free pages."""
    store._query("VACUUM")


def checkpoint(store: Kycore) -> None:
    """Move commits from the -wal file into the database, without waiting for readers."""
    store._query("PRAGMA wal_checkpoint(PASSIVE)")
