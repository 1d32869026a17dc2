"""How far back the history and the archive go, and giving back the space.

Who prunes. ``compact`` prunes everything that is older than so many days. What is declared
of a scope (``set_scope``) is enforced by writes, in steps of a few hundred rows, once in a
while and outside of the write itself; a scope of which nothing is declared keeps its
history until it is compacted.

What goes. For each key a row of the log is the *boundary*: with ``history_days`` the newest
one that is older than that, with ``history_versions`` the last of so many. The rows before
it in the key's chain go, so that the state at the time of the boundary, and all that came
later, stays exact; ``horizon`` is moved up to that time in the same transaction. What stays
is thus always the newer end of a chain, and a ``prev`` that names no row says that the rest
was pruned. Three things follow from how rows refer to each other:

- The newest row of a live key is the boundary or newer than it, so it stays. It may be a
  change of the lifetime alone, whose value is that of an older row; then that row stays,
  the boundary's ``prev`` is set to it, and the rows between the two go. Otherwise a key
  whose lifetime is renewed for ever would grow for ever. So the row that ``kvstore.home``
  names, where a large value is kept, always stays.
- A removal that is older than the limit says nothing any more, and goes itself.
- The newest row of the log stays, whatever it is: its id must not be given again. Where it
  is a removal that is to go, ``compact`` first adds a note, which names nothing, behind it.

A change of which a part goes is noted (``core.history.wholeness``): it cannot be undone any
more, and still counts from when it ended.

How it is found. There is no index on the log for it, which every write would pay for. But
ids are in the order of time: walking from the oldest id upwards, each row that is old
enough makes those before it in its chain superfluous, and these are a few, because the walk
has already been where they are. ``sweeps`` remembers how far it has come: once for each
number of days, as scopes with the same number walk together, and once for the numbers of
versions, where it follows the end of the log and looks at the keys that were written since.
The walk stops at the first row that is too young. Changing what is declared starts it anew.

The archive is walked in the same way. A removed key that leaves it cannot be found any
more, so the horizon moves up to its removal.

Caches learn of changes from the log. Where a row goes, a newer one of the same key is there
to be noticed, except for a removal or a note; if one of these goes so soon that a cache may
not have seen it, a newer note tells all caches to forget everything.

Giving back. SQLite reuses the pages that became free, and only ``VACUUM`` makes the file
smaller. It holds up writers for as long as it takes, about a second for 100 MB that stay,
needs twice their space meanwhile, and leaves the file as it was when it is interrupted. So
it is done where it takes no more than some two seconds, or when asked for. Giving pages
back in small steps needs ``auto_vacuum``, which was tried: it made ``save_many`` 20 to
60 % slower, also where nothing is ever pruned.
"""

from __future__ import annotations

import json
import time
from math import ceil
from typing import Any, NamedTuple

from kycli.core.codec import check_scope
from kycli.core.expiry import shown
from kycli.core.history.wholeness import change_around, end_of, note_dropped, parts_among
from kycli.core.layout import BYPASS, CATCH_UP_ROWS, EXPIRED, LIFETIME, NOTE_BYPASS
from kycli.core.operations.scopes import forget_undeclared, start_anew
from kycli.errors import CorruptError, InvalidValueError, MisuseError, StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kycli.core.storage import Kycore

    Progress = Callable[[int, int], object]
    """Is told how many of how many ids have been looked at."""

DAY_MS = 86_400_000
MAX_DAYS = 3_650_000

SWEEP_SPAN = 1024
"""Ids that a write's sweep looks at, beside as many as were written since the last one."""

STEP_SECONDS = 0.03
"""How long a step of ``compact`` makes other writers wait, about."""
# Longer than a waiting writer sleeps between two tries, so that it gets its turn.
_BREATH_SECONDS = 0.004

VACUUM_BYTES = 128 << 20
"""Up to how much that stays a file is made smaller without being asked: some two seconds."""
_WORTH_IT = 16  # at least one page in so many must be free

_BULK_CACHE = "PRAGMA cache_size = -32768"  # KiB

# -- where the walks are

_POSITION = "SELECT position FROM sweeps WHERE name = ?1"
_SET_POSITION = """
INSERT INTO sweeps (name, position) VALUES (?1, ?2)
ON CONFLICT (name) DO UPDATE SET position = excluded.position"""
_DAYS = "SELECT DISTINCT {name} FROM sys_namespaces WHERE {name} IS NOT NULL"
_ANY_VERSIONS = "SELECT 1 FROM sys_namespaces WHERE history_versions IS NOT NULL LIMIT 1"
_CONCERNS = """
SELECT 1 FROM {table} x JOIN sys_namespaces n ON n.scope = x.scope
WHERE x.id >= ?1 AND x.id <= ?2
    AND iif(?3 IS NULL, n.history_versions IS NOT NULL, n.{days} = ?3) LIMIT 1"""
_NEXT_ID = "SELECT min(id) FROM {table} WHERE id > ?1"
# And whether that is, or is of, the newest row of the log.
_NEWEST_CHANGE = "SELECT ifnull(max(id), 0), 1 FROM audit_log"
_NEWEST_REMOVED = """
SELECT ifnull(max(id), 0), ifnull(max(seq), 0) = (SELECT ifnull(max(id), 0) FROM audit_log)
FROM archive"""
# The first row that is too young; one from the future is of a clock that was wrong.
_TOO_YOUNG = """
SELECT min(id) FROM {table} WHERE id >= ?1 AND id <= ?2 AND {time} >= ?3 AND {time} <= ?4"""

# -- what a step prunes, among the ids from ?1 to ?2

# The days that hold for the scope of a row x: its own, or else ?4. With ?5, only the rows
# of scopes with just so many of their own. ?3 is the time now.
_OLD = """
LEFT JOIN sys_namespaces n ON n.scope = x.scope
WHERE x.id >= ?1 AND x.id <= ?2 AND (?5 IS NULL OR n.{days} = ?5)
    AND x.{time} <= ?3 - 86400000 * coalesce(n.{days}, ?4)"""
_OLD_CHANGES = _OLD.format(days="history_days", time="timestamp")
_OLD_VALUES = _OLD.format(days="archive_days", time="deleted_at")

# From where to walk a chain, and how many rows of it to keep.
_FROM_OLD = f"""
SELECT max(x.id), x.prev, x.op, x.kind IS NOT NULL OR x.id = (SELECT max(id) FROM audit_log)
FROM audit_log x {_OLD_CHANGES} AND x.op <> {BYPASS} GROUP BY x.scope, x.key
-- Removals of keys that the archive has forgotten are in no chain any more.
UNION ALL
SELECT x.id, x.prev, x.op, 0
FROM audit_log x {_OLD_CHANGES} AND x.op <> {BYPASS} AND x.kind IS NULL
    AND x.id < (SELECT max(id) FROM audit_log)"""
# Where many versions are kept, not every one makes a step walk through all of them.
_FROM_NEW = f"""
SELECT max(x.id), x.prev, x.op, n.history_versions
FROM audit_log x JOIN sys_namespaces n ON n.scope = x.scope
WHERE x.id >= ?1 AND x.id <= ?2 AND n.history_versions IS NOT NULL
    AND (?3 OR iif(x.op = {LIFETIME}, x.id, x.version) % (n.history_versions / 16 + 1) = 0)
GROUP BY x.scope, x.key"""

# Of keys that the archive forgets, in scopes that limit the length of a chain: without it
# the chain would not be found when the key is created again, and add up.
_FROM_FORGOTTEN = """
SELECT x.id, x.prev, x.op, x.id = (SELECT max(id) FROM audit_log)
FROM archive a JOIN audit_log x ON x.id = a.seq JOIN sys_namespaces n ON n.scope = a.scope
WHERE a.id IN (SELECT value FROM json_each(?1)) AND n.history_versions IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM kvstore k WHERE k.scope = a.scope AND k.key = a.key)
    AND NOT EXISTS (SELECT 1 FROM archive b WHERE b.scope = a.scope AND b.key = a.key
                    AND b.id > a.id)"""

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

_IDS = "(SELECT value FROM json_each(?1))"
# Rows count from when they came into this database: an import brings old times along.
_ABOUT = f"""
SELECT a.id, a.scope, a.change, a.op = {EXPIRED}, max(a.timestamp, ifnull(c.timestamp, 0))
FROM audit_log a LEFT JOIN audit_log c ON c.id = a.change
WHERE a.id IN {_IDS} AND a.op <> {BYPASS} ORDER BY a.id DESC"""
_NEWEST_TIMES = f"SELECT scope, max(timestamp) FROM audit_log WHERE id IN {_IDS} GROUP BY scope"
_MOVE_HORIZON = """
INSERT INTO horizon (scope, reaches_to) VALUES (?1, ?2)
ON CONFLICT (scope) DO UPDATE SET reaches_to = max(reaches_to, excluded.reaches_to)"""
_LAST_REMOVAL = f"SELECT max(id) FROM audit_log WHERE id IN {_IDS} AND kind IS NULL"
_TOLD_SINCE = f"SELECT 1 FROM audit_log WHERE id > ?1 AND op = {BYPASS} LIMIT 1"
_RELINK = "UPDATE audit_log SET prev = ?2 WHERE id = ?1 AND prev <> ?2"
_DROP = f"DELETE FROM audit_log WHERE id IN {_IDS}"

# Notes to the caches; the first row of an import is one that its other rows name. A log
# that nothing else was taken from keeps them, and so has no gaps. That a scope was renamed
# is kept for good: undo must know of it.
_OLD_NOTES = f"""
SELECT id FROM audit_log x WHERE id >= ?1 AND id <= ?2 AND op = {BYPASS} AND key = ''
    AND (SELECT change FROM audit_log a WHERE a.id > x.id AND a.op <> {EXPIRED}
         ORDER BY a.id LIMIT 1) IS NOT x.id
    AND timestamp <= ?3 - 86400000 * ?4
    AND id < (SELECT max(id) FROM audit_log) AND EXISTS (SELECT 1 FROM horizon)"""

_OLD_REMOVED = f"SELECT x.id FROM archive x {_OLD_VALUES}"
# The newest row is a removal that would go if it were not the newest.
_NEWEST_MUST_GO = f"""
SELECT 1 FROM audit_log x LEFT JOIN sys_namespaces n ON n.scope = x.scope
WHERE x.id = (SELECT max(id) FROM audit_log) AND x.kind IS NULL AND x.op <> {BYPASS}
    AND x.timestamp <= ?1 - 86400000 * iif(
        n.history_versions IS NULL, coalesce(n.history_days, ?2),
        min(coalesce(n.history_days, ?2), coalesce(n.archive_days, ?2)))"""

# What the archive knows and nobody else: where the history of a key that is gone ends.
_LAST_TRACES = f"""
SELECT scope, deleted_at, seq FROM archive a
WHERE id IN {_IDS}
    AND NOT EXISTS (SELECT 1 FROM kvstore k WHERE k.scope = a.scope AND k.key = a.key)
    AND NOT EXISTS (SELECT 1 FROM archive b WHERE b.scope = a.scope AND b.key = a.key
                    AND b.id > a.id)"""
_DROP_REMOVED = f"DELETE FROM archive WHERE id IN {_IDS}"

# -- what is declared

SETTINGS = ("history_days", "history_versions", "archive_days")
_SETTINGS = "SELECT scope, history_days, history_versions, archive_days FROM sys_namespaces"
_DECLARE = "INSERT INTO sys_namespaces (scope, created_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING"
_SET = {name: f"UPDATE sys_namespaces SET {name} = ?2 WHERE scope = ?1" for name in SETTINGS}


class Compaction(NamedTuple):
    """What ``compact`` did.

    Attributes:
        changes: how many changes it took from the history.
        values: how many deleted and expired values it took from the archive.
        freed_bytes: by how much the database got smaller.
        free_bytes: how much of it is free for what is written later.
    """

    changes: int
    values: int
    freed_bytes: int
    free_bytes: int


# ---------------------------------------------------------------- what is declared


def set_scope(store: Kycore, scope: str, settings: dict[str, Any]) -> None:
    """Declare how far back a scope goes; None takes back what was declared."""
    scope = check_scope(scope)
    for name, value in settings.items():
        if value is not None:
            _check_setting(name, value)
    with store.transaction():
        store._query(_DECLARE, (scope, store._now()))
        for name, value in settings.items():
            store._query(_SET[name], (scope, value))
        forget_undeclared(store, scope)
        start_anew(store)
    store._sweep_after(0, True)


def _check_setting(name: str, value: Any) -> None:
    if name == "history_versions":
        if type(value) is not int or not 1 <= value < 1 << 40:
            raise InvalidValueError(f"{name} is a whole number from 1 up, not {shown(value)}")
    else:
        check_days(value, name)


def check_days(days: Any, name: str) -> None:
    """Refuse what is no number of days.

    Raises:
        InvalidValueError: naming what is wrong.
    """
    if type(days) not in (int, float) or not 0 <= days <= MAX_DAYS:
        raise InvalidValueError(
            f"{name} is a number of days from 0 to {MAX_DAYS}, not {shown(days)}"
        )


def scope_settings(store: Kycore, scope: str) -> dict[str, float | int | None]:
    """Return what is declared of a scope; None where nothing is."""
    scope = check_scope(scope)
    rows = store._query(_SETTINGS + " WHERE scope = ?1", (scope,))
    return dict(zip(SETTINGS, rows[0][1:] if rows else (None,) * 3, strict=True))


def all_settings(store: Kycore) -> dict[str, dict[str, float | int | None]]:
    """Return what is declared of each scope of which anything is."""
    rows = store._query(_SETTINGS + " ORDER BY scope")
    return {
        scope: dict(zip(SETTINGS, values, strict=True))
        for scope, *values in rows
        if any(value is not None for value in values)
    }


# ---------------------------------------------------------------- steps


class _Walk(NamedTuple):
    """A way through the log or the archive.

    Attributes:
        name: what ``sweeps`` calls it.
        table: what it goes through.
        days: how old a row must be to be looked at; None for any age.
        only: whether it is about scopes that have declared just these days.
        every: whether each version counts, see ``_FROM_NEW``.
    """

    name: str
    table: str
    days: float | None
    only: bool = True
    every: bool = False

    @property
    def time(self) -> str:
        return "timestamp" if self.table == "audit_log" else "deleted_at"

    def concerns(self, store: Kycore, first: int, last: int) -> bool:
        """Whether a span has rows of scopes that the walk is about."""
        days = "history_days" if self.table == "audit_log" else "archive_days"
        sql = _CONCERNS.format(table=self.table, days=days)
        return bool(store._query(sql, (first, last, self.days)))

    def end(self, store: Kycore, first: int, span: int, now: int) -> int:
        """Return the last id of a span that is old enough, or less than ``first``."""
        last = min(first + span - 1, self.newest(store))
        if self.days is not None and self.only:
            sql = _TOO_YOUNG.format(table=self.table, time=self.time)
            # As old as the limit is old enough.
            rows = store._query(sql, (first, last, now - ceil(DAY_MS * self.days) + 1, now))
            if rows[0][0] is not None:
                return int(rows[0][0]) - 1
        return last

    def newest(self, store: Kycore) -> int:
        """Return the newest id that may be looked at."""
        newest, waits = store._query(
            _NEWEST_CHANGE if self.table == "audit_log" else _NEWEST_REMOVED
        )[0]
        # A removal that is the newest row of the log must wait until it no longer is.
        return int(newest - (waits and self.only and self.days is not None))

    def next(self, store: Kycore, position: int) -> int | None:
        """Return the first id after a position."""
        found: int | None = store._query(_NEXT_ID.format(table=self.table), (position,))[0][0]
        return found

    def prune(self, store: Kycore, first: int, last: int, now: int) -> int:
        """Prune what ids of a span make superfluous, in a transaction; return how many rows."""
        which = (first, last, now, None if self.only else self.days)
        only = self.days if self.only else None
        if self.table == "archive":
            return _drop_removed(store, store._query(_OLD_REMOVED, (*which, only)), now)
        if self.days is None:
            return _drop_chains(store, store._query(_OUTNUMBERED, (first, last, self.every)), now)
        count = _drop_chains(store, store._query(_OUTDATED, (*which, only)), now)
        if not self.only:
            _drop(store, [id for (id,) in store._query(_OLD_NOTES, which)], now)
        return count


def _drop_chains(store: Kycore, rows: list[tuple[int | None, int, int]], now: int) -> int:
    """Drop what lies behind boundaries; return how many rows."""
    doomed = {id for _, id, stays in rows if not stays}
    if not doomed:
        return 0
    limits = {boundary or id for boundary, id, stays in rows if not stays}
    # Where a clock was set back, what goes may seem newer than what it goes for.
    reached = dict(store._query(_NEWEST_TIMES, (json.dumps([*doomed]),)))
    _move_horizon(store, limits, reached)
    for boundary, id, stays in rows:
        if stays:  # it has the value of the boundary, which has none itself
            store._query(_RELINK, (boundary, id))
    _drop(store, [*doomed], now)
    return len(doomed)


def _move_horizon(store: Kycore, ids: set[int], reached: dict[str, int] | None = None) -> None:
    """Note that the history is not whole before the changes with these ids.

    Parameters:
        reached: how far it is moved anyway, by scope.
    """
    reached = reached or {}
    ends: dict[int, int] = {}
    around, above = None, 0
    for id, scope, change, expired, at in store._query(_ABOUT, (json.dumps([*ids]),)):
        if expired:
            if above != id + 1:
                # It is no part of a change that it is in the middle of, but counts from its end.
                around = change_around(store, id)
            above, change = id, around
        if change is not None:
            if change not in ends:
                ends[change] = end_of(store, change, id, at)
            at = max(at, ends[change])
        reached[scope] = max(at, reached.get(scope, 0))
    for scope, at in reached.items():
        store._query(_MOVE_HORIZON, (scope, at))


def _drop(store: Kycore, ids: list[int], now: int) -> None:
    """Delete rows of the log; the one place that does."""
    if not ids:
        return
    text = json.dumps(ids)
    newest = store._query(_NEWEST_CHANGE)[0][0]
    removal = store._query(_LAST_REMOVAL, (text,))[0][0]
    parts = parts_among(store, text)
    store._query(_DROP, (text,))
    note_dropped(store, parts)
    if (
        removal is not None
        and removal >= newest - CATCH_UP_ROWS
        and not store._query(_TOLD_SINCE, (removal,))
    ):
        store._query(NOTE_BYPASS, (now,))


def _drop_removed(store: Kycore, rows: list[tuple[int]], now: int) -> int:
    """Drop rows of the archive; return how many."""
    if rows:
        text = json.dumps([id for (id,) in rows])
        reached: dict[str, int] = {}
        traces = store._query(_LAST_TRACES, (text,))
        for scope, at, _ in traces:
            reached[scope] = max(at, reached.get(scope, 0))
        _move_horizon(store, {seq for _, _, seq in traces}, reached)
        _drop_chains(store, store._query(_FORGOTTEN, (text,)), now)
        store._query(_DROP_REMOVED, (text,))
    return len(rows)


# ---------------------------------------------------------------- by writes


def sweep(store: Kycore, written: int) -> bool:
    """Enforce what is declared of scopes for a bounded number of rows.

    Parameters:
        written: how many rows were written since the last time.

    Returns:
        Whether there is more to do at once.
    """
    more = False
    for walk in _declared_walks(store):
        more |= _sweep(store, walk, SWEEP_SPAN + 2 * written)
    return more


def _declared_walks(store: Kycore) -> list[_Walk]:
    """Return the walks that keep to what is declared, at this moment, of scopes."""
    walks = [
        _Walk(f"{name} {days!r}", table, days)
        for name, table in (("history_days", "audit_log"), ("archive_days", "archive"))
        for (days,) in store._query(_DAYS.format(name=name))
    ]
    if store._query(_ANY_VERSIONS):
        walks.append(_Walk("history_versions", "audit_log", None))
    return walks


def _sweep(store: Kycore, walk: _Walk, span: int) -> bool:
    # Looks without taking the write lock, which most often is all.
    now = store._now()
    first = walk.next(store, _position(store, walk))
    if first is None:
        return False
    last = walk.end(store, first, span, now)
    if last - first + 1 < span and not walk.concerns(store, first, last):
        return False
    with store.transaction():
        first = walk.next(store, _position(store, walk))
        if first is None:
            return False
        last = walk.end(store, first, span, now)
        if last < first:
            return False
        walk.prune(store, first, last, now)
        store._query(_SET_POSITION, (walk.name, last))
    return last == first + span - 1


def _position(store: Kycore, walk: _Walk) -> int:
    rows = store._query(_POSITION, (walk.name,))
    return rows[0][0] if rows else 0


# ---------------------------------------------------------------- at once


def compact(
    store: Kycore, retention_days: float, vacuum: bool | None, progress: Progress | None
) -> Compaction:
    """Prune history and archive, and give the space back."""
    check_days(retention_days, "retention_days")
    if store._in_transaction():
        raise MisuseError(
            "compact cannot be part of a transaction", hint="call it outside: it makes many"
        )
    before = _size(store)
    store._query(_BULK_CACHE)
    with store.transaction():
        now = store._now()
        if store._query(_NEWEST_MUST_GO, (now, retention_days)):
            store._query(NOTE_BYPASS, (now,))
    walks = [_Walk("", "audit_log", retention_days, only=False)]
    if store._query(_ANY_VERSIONS):
        walks.append(_Walk("", "audit_log", None, every=True))
    changes = sum(_walk_through(store, walk, progress) for walk in walks)
    values = _walk_through(store, _Walk("", "archive", retention_days, only=False), progress)
    if changes or values:
        _drop_orphans(store)
    _give_back(store, vacuum)
    after, free = _size(store), _pragma(store, "freelist_count") * _pragma(store, "page_size")
    return Compaction(changes, values, max(0, before - after), free)


def _walk_through(store: Kycore, walk: _Walk, progress: Progress | None) -> int:
    """Take a walk to its end, in steps of about the same time; return how many rows went."""
    now = store._now()
    goal = walk.newest(store)
    position, span, count = 0, SWEEP_SPAN, 0
    while position < goal:
        began = time.monotonic()
        with store.transaction():
            first = walk.next(store, position)
            if first is None:
                break
            position = min(first + span - 1, goal)
            count += walk.prune(store, first, position, now)
        if progress is not None:
            progress(position, goal)
        took = time.monotonic() - began
        span = max(64, min(round(span * STEP_SECONDS / max(took, 1e-6)), span * 2, 1 << 20))
        if position < goal:
            time.sleep(_BREATH_SECONDS)
    return count


def _drop_orphans(store: Kycore) -> None:
    """Take the names of keys from the search index that it has not seen the removal of."""
    from kycli.core.search import indexing

    try:
        indexing.drop_orphans(store)
    except (CorruptError, StorageError):
        pass  # search and doctor say that it is damaged


def _give_back(store: Kycore, vacuum: bool | None) -> None:
    """Make the file smaller where that is worth it and does not hold up others for long."""
    pages, free = _pragma(store, "page_count"), _pragma(store, "freelist_count")
    if vacuum is None:
        stays = (pages - free) * _pragma(store, "page_size")
        vacuum = free * _WORTH_IT >= pages and free > 0 and stays <= VACUUM_BYTES
        wanted = False
    else:
        wanted = vacuum
    if vacuum:
        try:
            store._query("VACUUM")
        except StorageError:
            if wanted:
                raise
            return  # busy, or no space for it: what is free is used by what is written later
    # The log holds what VACUUM wrote until it is moved into the file, which then ends
    # earlier. Neither waits for readers of older states; who closes last finishes it.
    store._query("PRAGMA wal_checkpoint(PASSIVE)")


def _size(store: Kycore) -> int:
    return _pragma(store, "page_count") * _pragma(store, "page_size")


def _pragma(store: Kycore, name: str) -> int:
    return int(store._query(f"PRAGMA {name}")[0][0])
