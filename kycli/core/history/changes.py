"""What was: every change, and the store as it was at a time.

The log is read newest first and in pages, and no transaction is open between two of
them. One key's changes are a chain (see ``kycli.core.layout``), a scope's are found by
walking the log.

*The state at a time* is the state after a prefix of the log, the same for all keys:
``moment`` says which. Where a clock was set back, it may have shown a time twice; the
moment is then one of the two, near the end of the log the later one. A transaction that
was under way counts from its end; of a command, which may have several, what it had done.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from kycli.core.codec import check_scope, decode
from kycli.core.history.times import Time, parse_time, time_text
from kycli.core.history.wholeness import ended_at
from kycli.core.layout import BYPASS, EXPIRED, LIFETIME, OPERATIONS
from kycli.core.operations.entry import Entry
from kycli.errors import InvalidTimeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from kycli.core.storage import Kycore

LogRow: TypeAlias = "tuple[Any, ...]"  # of _ROWS

PAGE_ROWS = 500
PAGE_BYTES = 1 << 20
SCAN_ROWS = 20_000
"""Rows of the log that one step looks through for those of a scope."""
MAX_TIME = (1 << 63) - 1
FORGIVEN_MS = 86_400_000
"""How long before its first change a store counts as empty, rather than the time as a mistake."""

_HEAD = """
SELECT k.seq, k.expires_at FROM kvstore k WHERE k.scope = ?1 AND k.key = ?2
UNION ALL
SELECT * FROM (SELECT seq, NULL FROM archive WHERE scope = ?1 AND key = ?2
               ORDER BY id DESC LIMIT 1)
LIMIT 1"""

# Of a part of the log, newest first.
_SLICE = f"""
SELECT id, sum(ifnull(octet_length(value), 0)) OVER (ORDER BY id DESC ROWS UNBOUNDED PRECEDING)
FROM (SELECT id, value FROM audit_log
      WHERE id > ?1 AND id <= ?2 AND scope = ?3 AND op <> {BYPASS}
          AND timestamp BETWEEN ?5 AND ?6
      ORDER BY id DESC LIMIT ?4)
ORDER BY id DESC"""

_ROWS = """
SELECT a.id, a.scope, a.key, a.value, a.kind, a.op, a.version, a.timestamp, a.expires_at,
    coalesce(a.change, a.id), a.pid, w.user, w.host, w.command
FROM audit_log a LEFT JOIN authors w ON w.id = a.author
WHERE a.id IN (SELECT value FROM json_each(?1)) ORDER BY a.id DESC"""

# From a row on to the one that holds its value: the nearest that is no change of the
# lifetime alone, or the last that has not been pruned.
_HOME = f"""
WITH RECURSIVE chain (id, prev, done) AS (
    SELECT id, prev, op <> {LIFETIME} OR value IS NOT NULL FROM audit_log WHERE id = ?1
    UNION ALL
    SELECT a.id, a.prev, a.op <> {LIFETIME} OR a.value IS NOT NULL
    FROM chain JOIN audit_log a ON a.id = chain.prev AND a.id < chain.id WHERE NOT done
)
SELECT id, value FROM audit_log WHERE id = (SELECT min(id) FROM chain)"""

# The part of a chain after ?2, and the row before it, oldest first.
_AT = """
WITH RECURSIVE chain (id, prev) AS (
    SELECT id, prev FROM audit_log WHERE id = ?1
    UNION ALL
    SELECT a.id, a.prev FROM chain JOIN audit_log a ON a.id = chain.prev AND a.id < chain.id
    WHERE chain.id > ?2
)
SELECT id, prev FROM chain ORDER BY id LIMIT 1"""

_ROW = "SELECT id, value, kind, op, version, timestamp, expires_at FROM audit_log WHERE id = ?1"

_NEWEST = "SELECT ifnull(max(id), 0) FROM audit_log"

# When a change entered this database. That is its own time, unless it was imported with
# its past: the first row of the import has the time of that.
_ENTERED = """
max(timestamp, ifnull((SELECT b.timestamp FROM audit_log b WHERE b.id = a.change), timestamp))"""
_PROBE = f"""
SELECT id, {_ENTERED} FROM audit_log a
WHERE id <= ?1 AND op <> {BYPASS} ORDER BY id DESC LIMIT 1"""
_LATER = f"""
SELECT max(id) FROM audit_log a
WHERE id > ?1 AND id <= ?1 + 1000 AND {_ENTERED} <= ?2 AND op <> {BYPASS}"""
# What expires in the middle of a change is no part of it; nor does it matter to a moment.
_NEXT_CHANGE = f"""
SELECT coalesce(a.change, a.id), w.command FROM audit_log a LEFT JOIN authors w ON w.id = a.author
WHERE a.id > ?1 AND a.op NOT IN ({BYPASS}, {EXPIRED}) ORDER BY a.id LIMIT 1"""
_CHANGE_AT = f"""
SELECT coalesce(a.change, a.id), w.command FROM audit_log a LEFT JOIN authors w ON w.id = a.author
WHERE a.id <= ?1 AND a.op NOT IN ({BYPASS}, {EXPIRED}) ORDER BY a.id DESC LIMIT 1"""
_BEFORE_CHANGE = f"""
SELECT id FROM audit_log
WHERE id <= ?1 AND coalesce(change, id) <> ?2 AND op NOT IN ({BYPASS}, {EXPIRED})
ORDER BY id DESC LIMIT 1"""
_FIRST = f"SELECT timestamp FROM audit_log WHERE op <> {BYPASS} ORDER BY id LIMIT 1"
# Names that begin with # are not of scopes, see core.history.wholeness.
_HORIZON = "SELECT max(reaches_to) FROM horizon WHERE scope IN ('', ?1)"
_HORIZON_OF_ALL = "SELECT max(reaches_to) FROM horizon WHERE scope < '#' OR scope >= '$'"


class Change(NamedTuple):
    """One change of a key.

    Attributes:
        key: the key.
        value: the value that it got, with its type; None where it was removed.
        timestamp: when, in UTC: ``YYYY-MM-DD HH:MM:SS.mmm``.
        operation: ``"created"``, ``"overwritten"``, ``"deleted"``, ``"expired"`` (when that
            was noticed), ``"restored"``, ``"imported"`` or ``"lifetime"``: the same value, to
            live for another time.
        version: how often the value had changed by then.
        change: the id of the whole change that this was a part of; for ``undo``.
        scope: the scope.
        expires_at: when it was to expire, in milliseconds since the epoch, or None.
        user, host, pid, command: who did it; None where that is not known, as of an expiry.
    """

    key: str
    value: Any
    timestamp: str
    operation: str
    version: int
    change: int
    scope: str
    expires_at: int | None
    user: str | None
    host: str | None
    pid: int | None
    command: str | None


# ---------------------------------------------------------------- listing changes


def iter_history(
    store: Kycore,
    key: str | None,
    scope: str | None,
    since: Time | None,
    until: Time | None,
    limit: int | None,
) -> Iterator[Change]:
    """Return an iterator over changes, newest first; what is wrong is raised at once."""
    place = store.scope if scope is None else check_scope(scope)
    now = store._now()
    first = None if since is None else parse_time(since, now)
    last = None if until is None else parse_time(until, now)
    if first is not None and last is not None and first > last:
        raise InvalidTimeError(
            f"{time_text(first)} is later than {time_text(last)}",
            hint="'since' is the earlier of the two times",
        )
    if key is not None:
        key = store._key(place, key)
    return _changes(store, place, key, first, last, limit)


def _changes(
    store: Kycore, scope: str, key: str | None, since: int | None, until: int | None,
    limit: int | None,
) -> Iterator[Change]:  # fmt: skip
    # What has expired by now, and nobody has met, is first seen to.
    store._sweep_after(0)
    start = None if key is None else head(store, scope, key)
    # Nothing that was there before has a later time; what was imported has an earlier one.
    oldest = 0 if since is None or since == 0 else moment(store, since - 1)
    times = since or 0, MAX_TIME if until is None else until
    pages = (
        _pages_of_scope(store, scope, oldest, times, limit)
        if key is None
        else _pages_of_key(store, start, oldest, times, limit)
    )
    values = _Values(store)
    for rows in pages:
        for row in rows:
            yield _change(row, values)
            if limit is not None:
                limit -= 1
                if limit == 0:
                    return


def _pages_of_key(
    store: Kycore, id: int | None, oldest: int, times: tuple[int, int], limit: int | None
) -> Iterator[list[LogRow]]:
    since, until = times
    size = PAGE_ROWS if limit is None or until < MAX_TIME else min(PAGE_ROWS, limit)
    while id is not None and id > oldest and limit != 0:
        rows, id = store._changes_of_key(id, since, until, size)
        yield [row for row in rows if row[0] > oldest and since <= row[7] <= until]


def _pages_of_scope(
    store: Kycore, scope: str, oldest: int, times: tuple[int, int], limit: int | None
) -> Iterator[list[LogRow]]:
    newest = store._query(_NEWEST)[0][0]
    size = PAGE_ROWS if limit is None else min(PAGE_ROWS, limit)
    while newest > oldest and limit != 0:
        start = max(oldest, newest - SCAN_ROWS)
        rows = store._query(_SLICE, (start, newest, scope, size, *times))
        ids = [id for place, (id, total) in enumerate(rows) if place == 0 or total <= PAGE_BYTES]
        if ids:
            yield store._query(_ROWS, (json.dumps(ids),))
        newest = ids[-1] - 1 if len(ids) < len(rows) or len(rows) == size else start


def head(store: Kycore, scope: str, key: str) -> int | None:
    """Return the id of a key's newest change; an expired key is first seen to have expired."""
    rows = store._query(_HEAD, (scope, key))
    if rows and rows[0][1] is not None and rows[0][1] <= store._now():
        store.getkey(key, scope=scope)
        rows = store._query(_HEAD, (scope, key))
    return rows[0][0] if rows else None


def _change(row: LogRow, values: _Values) -> Change:
    id, scope, key, value, kind, op, version, at, expires_at, change, pid, *who = row
    if kind is not None:
        value = decode(values.of(id, scope, key, op, value), kind)
    return Change(
        key, value, time_text(at), OPERATIONS[op], version, change, scope, expires_at,
        who[0], who[1], pid, who[2],
    )  # fmt: skip


class _Values:
    """The values of rows that change the lifetime alone, which are those of older rows.

    Remembers a few, since a key whose lifetime is renewed again and again has long runs
    of such rows and would be walked through from each of them.
    """

    def __init__(self, store: Kycore) -> None:
        self._store = store
        self._found: dict[tuple[str, str], tuple[int, Any]] = {}

    def of(self, id: int, scope: str, key: str, op: int, value: Any) -> Any:
        """Return the value of a row, as it is stored."""
        if op != LIFETIME or value is not None:
            return value
        home, found = self._found.get((scope, key), (id, None))
        if not home < id:
            ((home, found),) = self._store._query(_HOME, (id,)) or [(id, None)]
            if len(self._found) == 64:
                self._found.clear()
            self._found[scope, key] = home, found
        return found


# ---------------------------------------------------------------- a time in the past


def moment(store: Kycore, time: int) -> int:
    """Return the id of the last change that was complete at a time, 0 if there was none.

    Costs a few reads for each doubling of the log.

    Parameters:
        time: milliseconds since the epoch.
    """
    low, high, step = 0, store._query(_NEWEST)[0][0] + 1, 1
    # Doubling steps back from the end, so that where a clock was set back the later of
    # the two moments is found, and what is recent is found sooner.
    while low < (guess := high - step):
        row = _probe(store, guess)
        if row is None:
            break
        if row[1] <= time:
            low = guess
        else:
            high, step = row[0], step * 2
    while high - low > 1:
        middle = (low + high) // 2
        row = _probe(store, middle)
        if row is None or row[0] <= low or row[1] <= time:
            low = middle
        else:
            high = row[0]
    while (later := store._query(_LATER, (low, time))[0][0]) is not None:
        low = later
    while (change := _under_way(store, low, time)) is not None:
        rows = store._query(_BEFORE_CHANGE, (low, change))
        before = rows[0][0] if rows else 0
        if before >= low:
            break
        low = before  # and so may be the change before, of which only some rows are left
    return low


def _under_way(store: Kycore, id: int, time: int) -> int | None:
    """Return the change that was begun by the row ``id`` and not ended at a time, if any.

    A program's change is a transaction; a command may have committed part of its own.
    """
    following = store._query(_NEXT_CHANGE, (id,))
    if following and following[0][0] <= id and not following[0][1]:
        return int(following[0][0])
    before = store._query(_CHANGE_AT, (id,))
    if before and not before[0][1]:
        ended = ended_at(store, before[0][0])  # its end may have been pruned
        if ended is not None and ended > time:
            return int(before[0][0])
    return None


def _probe(store: Kycore, id: int) -> tuple[int, int] | None:
    """Return the id and time of the newest change up to an id."""
    rows = store._query(_PROBE, (id,))
    return (rows[0][0], rows[0][1]) if rows else None


def reach(store: Kycore, scope: str | None) -> int | None:
    """Return the time from which on the history of a scope, or all, is whole.

    None when nothing was ever taken from it. In milliseconds since the epoch.
    """
    rows = store._query(_HORIZON_OF_ALL) if scope is None else store._query(_HORIZON, (scope,))
    found: int | None = rows[0][0]
    return found


def time_within_reach(store: Kycore, scope: str | None, time: Time) -> int:
    """Return a time in milliseconds, if the history of a scope, or all, reaches back to it.

    Raises:
        InvalidTimeError: when it does not, saying how far it does; or as ``parse_time``.
    """
    at = parse_time(time, store._now())
    back_to = reach(store, scope)
    if back_to is None:
        first = store._query(_FIRST)
        if not first or at >= first[0][0] - FORGIVEN_MS:
            return at
        back_to = first[0][0]
    if at >= back_to:
        return at
    whose = "the history" if scope is None else f"the history of scope {scope!r}"
    raise InvalidTimeError(
        f"{time_text(at)} is too long ago: {whose} reaches back to {time_text(back_to)}"
    )


def past_entry(
    store: Kycore, scope: str, key: str, time: Time, include_expired: bool
) -> Entry | None:
    """Return a key as it was at a time, or None when there was no such key.

    Raises:
        InvalidTimeError: when the history does not reach back so far, or as ``parse_time``.
    """
    at = time_within_reach(store, scope, time)
    row = row_at(store, scope, key, moment(store, at))
    if row is None or (row.expires_at is not None and row.expires_at <= at and not include_expired):
        return None
    return Entry(key, decode(row.value, row.kind), row.version, row.expires_at, row.timestamp)


class Row(NamedTuple):
    """A value that a key had, as it is stored."""

    id: int
    value: Any
    kind: int
    op: int
    version: int
    timestamp: int
    expires_at: int | None


def row_at(store: Kycore, scope: str, key: str, id: int) -> Row | None:
    """Return what a key was after the change ``id``, or None when it was not there."""
    start = store._query(_HEAD, (scope, key))
    rows = store._query(_AT, (start[0][0], id)) if start else []
    if not rows or rows[0][0] > id:
        return None
    return row(store, rows[0][0])


def row(store: Kycore, id: int | None) -> Row | None:
    """Return what a row of the log says that its key became; None when it was removed."""
    rows = store._query(_ROW, (id,)) if id is not None else []
    if not rows or rows[0][2] is None:
        return None
    found = Row(*rows[0])
    if found.op == LIFETIME and found.value is None:
        return found._replace(value=store._query(_HOME, (id,))[0][1])
    return found
