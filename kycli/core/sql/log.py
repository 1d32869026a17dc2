"""The log (``audit_log``): a row for each change of a key, in the order of the changes.

A *position* is the id of a row: the state at a position is what all rows up to it made.
Rows about the log itself (``BYPASS``: the caches must forget, or a scope was renamed) are
no changes, and are left out unless a function says otherwise.

SQLite is relied on for: ids that only grow and name a row without an index; recursive
queries, which follow the chain of a key (``prev``); ``json_each``, which takes a list of
ids as one binding.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from kycli.core.layout import BYPASS, EXPIRED, LIFETIME, NOTE_BYPASS, NOTE_RENAMED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from kycli.core.storage import Kycore

ChangeRow: TypeAlias = "tuple[Any, ...]"
"""A change with its author: id, scope, key, value, kind, op, version, timestamp, expires_at,
change, pid, user, host, command. The value of a change of the lifetime alone is None."""

MAX_ID = (1 << 63) - 1
"""The highest id, version and time that SQLite stores."""

PAGE_ROWS = 500
PAGE_BYTES = 1 << 20
SCAN_ROWS = 20_000
"""Rows of the log that one step searches for those of a scope."""


class Row(NamedTuple):
    """A value that a key had, as it is stored."""

    id: int
    value: Any
    kind: int
    op: int
    version: int
    timestamp: int
    expires_at: int | None


class KeyState(NamedTuple):
    """A key, and the row of the log that gave it its state; None when there was no key."""

    scope: str
    key: str
    id: int | None


class Part(NamedTuple):
    """A row of the log as a part of a change, which an expiry never is.

    Attributes:
        id: of the row.
        change: the id of the change, which is that of its first row.
        timestamp: of the row.
        is_alone: whether the change has no other row.
        command: the command that made the change; "" for a program, None if unknown.
    """

    id: int
    change: int
    timestamp: int
    is_alone: int
    command: str | None


# ---------------------------------------------------------------- rows

_NEWEST = "SELECT ifnull(max(id), 0) FROM audit_log"

_FIRST_TIME = f"SELECT timestamp FROM audit_log WHERE op <> {BYPASS} ORDER BY id LIMIT 1"

_ROW = "SELECT id, value, kind, op, version, timestamp, expires_at FROM audit_log WHERE id = ?1"

# From a row back to the one that holds its value: the nearest that does not change the
# lifetime alone, or the last that has not been pruned.
_VALUE = f"""
WITH RECURSIVE chain (id, prev, done) AS (
    SELECT id, prev, op <> {LIFETIME} OR value IS NOT NULL FROM audit_log WHERE id = ?1
    UNION ALL
    SELECT a.id, a.prev, a.op <> {LIFETIME} OR a.value IS NOT NULL
    FROM chain JOIN audit_log a ON a.id = chain.prev AND a.id < chain.id WHERE NOT done
)
SELECT id, value FROM audit_log WHERE id = (SELECT min(id) FROM chain)"""


def newest(store: Kycore) -> int:
    """Return the id of the newest row, of any kind; 0 for an empty log."""
    return int(store._query(_NEWEST)[0][0])


def first_time(store: Kycore) -> int | None:
    """Return the time of the first change that is retained, None if there is none."""
    rows = store._query(_FIRST_TIME)
    return rows[0][0] if rows else None


def row(store: Kycore, id: int | None) -> Row | None:
    """Return what a change made of its key, with the value; None when it removed the key."""
    rows = store._query(_ROW, (id,)) if id is not None else []
    if not rows or rows[0][2] is None:
        return None
    found = Row(*rows[0])
    if found.op == LIFETIME and found.value is None:
        return found._replace(value=value_of(store, found.id)[1])
    return found


def value_of(store: Kycore, id: int) -> tuple[int, Any]:
    """Return the row that holds the value of a row, and that value."""
    rows: list[tuple[int, Any]] = store._query(_VALUE, (id,))
    return rows[0] if rows else (id, None)


# ---------------------------------------------------------------- the chain of a key

_HEAD = """
SELECT k.seq, k.expires_at FROM kvstore k WHERE k.scope = ?1 AND k.key = ?2
UNION ALL
SELECT * FROM (SELECT seq, NULL FROM archive WHERE scope = ?1 AND key = ?2
               ORDER BY id DESC LIMIT 1)
LIMIT 1"""

# The part of a chain after ?2, and the row before it, oldest first.
_CHAIN_AT = """
WITH RECURSIVE chain (id, prev) AS (
    SELECT id, prev FROM audit_log WHERE id = ?1
    UNION ALL
    SELECT a.id, a.prev FROM chain JOIN audit_log a ON a.id = chain.prev AND a.id < chain.id
    WHERE chain.id > ?2
)
SELECT id FROM chain ORDER BY id LIMIT 1"""

# The nearest row of a chain, from ?1 on, that gave its key a value, of version ?2 if given.
_EARLIER = f"""
WITH RECURSIVE chain (id, prev, done) AS (
    SELECT id, prev, kind IS NOT NULL AND op <> {LIFETIME} AND version = ifnull(?2, version)
    FROM audit_log WHERE id = ?1
    UNION ALL
    SELECT a.id, a.prev,
        a.kind IS NOT NULL AND a.op <> {LIFETIME} AND a.version = ifnull(?2, a.version)
    FROM chain JOIN audit_log a ON a.id = chain.prev AND a.id < chain.id
    WHERE NOT done AND a.version >= ifnull(?2, 0)
)
SELECT id, prev FROM chain WHERE done"""

_CHANGE_OF_HEAD = f"""
SELECT coalesce(a.change, a.id) FROM audit_log a
WHERE a.id = (SELECT iif(h.op = {EXPIRED}, h.prev, h.id) FROM audit_log h WHERE h.id = ?1)"""


def head(store: Kycore, scope: str, key: str) -> tuple[int, int | None] | None:
    """Return id and expiry of a key's newest change; None for a key that never was."""
    rows: list[tuple[int, int | None]] = store._query(_HEAD, (scope, key))
    return rows[0] if rows else None


def chain(
    store: Kycore, id: int, since: int, until: int, most: int
) -> tuple[list[ChangeRow], int | None]:
    """Return a page of one key's changes from ``id`` back, and where the next page begins.

    Parameters:
        since, until: values of changes outside of these times are not read.
        most: how many changes at most; fewer where they are large.
    """
    found: tuple[list[ChangeRow], int | None] = store._changes_of_key(id, since, until, most)
    return found


def chain_at(store: Kycore, id: int, position: int) -> int | None:
    """Return the row of a chain that was its newest at a position, None for none.

    Parameters:
        id: the newest row of the chain.
    """
    rows = store._query(_CHAIN_AT, (id, position))
    return rows[0][0] if rows and rows[0][0] <= position else None


def earlier(store: Kycore, id: int | None, version: int | None) -> tuple[int, int | None] | None:
    """Return the first row of a chain, from ``id`` back, that gave its key a value.

    Parameters:
        version: the version of the value, or None for any.

    Returns:
        The id of the row and of the one before it in the chain.
    """
    rows: list[tuple[int, int | None]] = store._query(_EARLIER, (id, version))
    return rows[0] if rows else None


def change_of_head(store: Kycore, id: int | None) -> int | None:
    """Return the change that made the newest row of a key; an expiry is nobody's, and skipped."""
    rows = store._query(_CHANGE_OF_HEAD, (id,))
    return rows[0][0] if rows else None


# ---------------------------------------------------------------- the changes of a scope

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

# The ends of large values are in pages of their own, which are not read.
_HEAD_COLUMNS = """
a.id, a.key, a.kind, a.op, a.version, a.timestamp, a.expires_at, coalesce(a.change, a.id),
a.pid, w.user, w.host, w.command, ifnull(octet_length(a.value), 0),
CASE WHEN octet_length(a.value) > ?5 THEN x'' ELSE a.value END, a.prev"""

_HEADS = f"""
SELECT {_HEAD_COLUMNS}
FROM audit_log a LEFT JOIN authors w ON w.id = a.author
WHERE a.id > ?1 AND a.id <= ?2 AND a.scope = ?3 AND a.op <> {BYPASS}
ORDER BY a.id DESC LIMIT ?4"""

# CROSS: the few rows of the chain are looked up in the log, not the log in the chain.
_HEADS_OF_KEY = f"""
WITH RECURSIVE chain (id, prev, number) AS (
    SELECT id, prev, 1 FROM audit_log WHERE id = ?2 AND id > ?1 AND scope = ?3
    UNION ALL
    SELECT a.id, a.prev, number + 1
    FROM chain CROSS JOIN audit_log a ON a.id = chain.prev AND a.id < chain.id AND a.id > ?1
    WHERE number < ?4
)
SELECT {_HEAD_COLUMNS}
FROM chain c CROSS JOIN audit_log a ON a.id = c.id LEFT JOIN authors w ON w.id = a.author
ORDER BY c.number"""

_SIZED = """
SELECT kind, version, expires_at, timestamp, ifnull(octet_length(value), 0) FROM audit_log
WHERE id = ?1"""

_BYPASSED = f"SELECT 1 FROM audit_log WHERE id > ?1 AND scope = '' AND op = {BYPASS} LIMIT 1"

# The first change of each key after ?1: the one whose predecessor is not after it, or was
# pruned. Where the log was pruned, the row at the position may be gone too.
_CHANGED_SINCE = f"""
SELECT id, scope, key, prev FROM audit_log a
WHERE id > ?4 AND id <= ?2 AND op <> {BYPASS} AND (?3 IS NULL OR scope = ?3)
    AND (prev IS NULL OR prev <= ?1
         OR NOT EXISTS (SELECT 1 FROM audit_log p WHERE p.id = a.prev))
ORDER BY id LIMIT {PAGE_ROWS}"""

_CHANGED_KEYS = f"""
SELECT key, id, ifnull(prev, 0) FROM audit_log
WHERE id > ?1 AND id <= ?2 AND scope = ?3 AND key >= ?4 AND key < ?5 AND op <> {BYPASS}
ORDER BY id"""

_EXPIRED_KEYS = f"""
SELECT key, prev FROM audit_log
WHERE id > ?1 AND id <= ?2 AND scope = ?3 AND key >= ?4 AND key < ?5 AND op = {EXPIRED}"""

# Renaming changes no key: a row says which scope became which.
_RENAMED_SINCE = f"""
SELECT value, key FROM audit_log
WHERE id > ?2 AND timestamp > ?3 AND op = {BYPASS} AND ?1 IN (key, value)
ORDER BY id DESC LIMIT 1"""


def page_of_scope(
    store: Kycore, scope: str, after: int, upto: int, times: tuple[int, int], most: int
) -> tuple[list[ChangeRow], int]:
    """Return a page of a scope's changes up to a position, newest first.

    Looks through at most ``SCAN_ROWS`` rows, so the page may be empty before the end.

    Parameters:
        after: where to end.
        times: the first and the last time of the changes.
        most: how many changes at most; fewer where they are large.

    Returns:
        The changes, and the position from which to go on.
    """
    start = max(after, upto - SCAN_ROWS)
    rows = store._query(_SLICE, (start, upto, scope, most, *times))
    ids = [id for number, (id, total) in enumerate(rows) if number == 0 or total <= PAGE_BYTES]
    if not ids:
        return [], start
    is_cut = len(ids) < len(rows) or len(rows) == most
    return store._query(_ROWS, (json.dumps(ids),)), ids[-1] - 1 if is_cut else start


def heads_of_scope(
    store: Kycore, scope: str, after: int, upto: int, most: int, longest: int
) -> tuple[list[ChangeRow], int]:
    """Return a page of a scope's changes up to a position, newest first, with short values only.

    Looks through at most ``SCAN_ROWS`` rows, so the page may be empty before the end.

    Parameters:
        longest: in place of a value of more bytes there is an empty BLOB.

    Returns:
        The changes (id, key, kind, op, version, timestamp, expires_at, change, pid, user, host,
        command, size, value, previous id), and the position from which to go on.
    """
    start = max(after, upto - SCAN_ROWS)
    rows = store._query(_HEADS, (start, upto, scope, most, longest))
    return rows, rows[-1][0] - 1 if rows and len(rows) == most else start


def heads_of_key(
    store: Kycore, scope: str, after: int, id: int, most: int, longest: int
) -> tuple[list[ChangeRow], int]:
    """Return a page of the chain of a key from a row back, as ``heads_of_scope`` does."""
    rows = store._query(_HEADS_OF_KEY, (after, id, scope, most, longest))
    return rows, rows[-1][-1] or 0 if rows and len(rows) == most else 0


def sized(store: Kycore, id: int) -> tuple[int, int, int | None, int, int]:
    """Return kind, version, expiry, time and size of the value of a row."""
    rows: list[tuple[int, int, int | None, int, int]] = store._query(_SIZED, (id,))
    return rows[0]


def beginning(store: Kycore, id: int, size: int, most: int) -> Any:
    """Return the value of a row; of one of more bytes only the first ones, as bytes.

    Call it inside a snapshot. Other than by ``substr()``, what comes behind is not read.
    """
    if size <= most:
        return store._query("SELECT value FROM audit_log WHERE id = ?1", (id,))[0][0]
    with store._connection().blob_open("main", "audit_log", "value", id, False) as blob:
        return blob.read(most)


def is_rewritten_since(store: Kycore, position: int) -> bool:
    """Whether rows up to a position may have changed; also if that takes long to tell."""
    return newest(store) - position > SCAN_ROWS or bool(store._query(_BYPASSED, (position,)))


def changed_since(
    store: Kycore, position: int, upto: int, scope: str | None
) -> Iterator[KeyState]:  # fmt: skip
    """Yield each key that changed after one position and up to another, with its state before.

    Reads in pages, between which the caller may write. ``scope`` None means all scopes.
    """
    done = position
    while rows := store._query(_CHANGED_SINCE, (position, upto, scope, done)):
        for _, *state in rows:
            yield KeyState(*state)
        done = rows[-1][0]


def changed_keys(
    store: Kycore, after: int, upto: int, scope: str, bounds: tuple[str, str | bytes]
) -> list[tuple[str, int, int]]:
    """Return key, id and previous id (or 0) of each change between two positions, in order.

    Parameters:
        bounds: the first key, and the text or BLOB that is past the last.
    """
    return store._query(_CHANGED_KEYS, (after, upto, scope, *bounds))


def expired_keys(
    store: Kycore, after: int, upto: int, scope: str, bounds: tuple[str, str | bytes]
) -> list[tuple[str, int | None]]:
    """Return key and previous id of each expiry that was noted between two positions."""
    return store._query(_EXPIRED_KEYS, (after, upto, scope, *bounds))


def renamed_since(
    store: Kycore, scope: str, position: int, time: int = -1
) -> tuple[str, str] | None:
    """Return the last renaming of or to a scope after a position and a time: old and new name."""
    rows: list[tuple[str, str]] = store._query(_RENAMED_SINCE, (scope, position, time))
    return rows[0] if rows else None


# ---------------------------------------------------------------- the parts of a change

_PART = f"""
SELECT a.id, coalesce(a.change, a.id), a.timestamp, a.change IS NULL, w.command
FROM audit_log a LEFT JOIN authors w ON w.id = a.author
WHERE a.op NOT IN ({BYPASS}, {EXPIRED}) AND (?2 IS NULL OR coalesce(a.change, a.id) <> ?2)"""
_FIRST_PART = f"{_PART} AND a.id >= ?1 ORDER BY a.id LIMIT 1"
_LAST_PART = f"""{_PART} AND a.id <= ?1 AND (?3 IS NULL OR a.scope = ?3)
ORDER BY a.id DESC LIMIT 1"""

# An import begins with a row that tells the caches of it.
_PART_OF = f"SELECT op, change FROM audit_log WHERE id = ?1 AND (op <> {BYPASS} OR change = id)"

_PARTS_OF = f"""
SELECT id, scope, key, prev, max(timestamp, (SELECT timestamp FROM audit_log WHERE id = ?1))
FROM audit_log
WHERE id > ?3 AND id <= ?2 AND coalesce(change, id) = ?1 AND op NOT IN ({BYPASS}, {EXPIRED})
ORDER BY id LIMIT {PAGE_ROWS}"""

# From ?1 back along a chain, no further than the beginning of the change ?2: whether
# it is met, and how many changes by others come before that.
_BACK_TO_CHANGE = f"""
WITH RECURSIVE chain (id, prev, own, others) AS (
    SELECT id, prev, coalesce(change, id) = ?2 AND op <> {EXPIRED},
        coalesce(change, id) <> ?2 AND op <> {EXPIRED}
    FROM audit_log WHERE id = ?1
    UNION ALL
    SELECT a.id, a.prev, coalesce(a.change, a.id) = ?2 AND a.op <> {EXPIRED},
        others + (coalesce(a.change, a.id) <> ?2 AND a.op <> {EXPIRED})
    FROM chain JOIN audit_log a ON a.id = chain.prev AND a.id < chain.id
    WHERE NOT own AND a.id >= ?2
)
SELECT max(own), max(others) FROM chain"""


def first_part(store: Kycore, id: int, other_than: int | None = None) -> Part | None:
    """Return the first part of any change from an id on, or of any but one."""
    rows = store._query(_FIRST_PART, (id, other_than))
    return Part(*rows[0]) if rows else None


def last_part(
    store: Kycore, id: int, other_than: int | None = None, scope: str | None = None
) -> Part | None:
    """Return the last part of any change up to an id, or of any but one; in a scope or all."""
    rows = store._query(_LAST_PART, (id, other_than, scope))
    return Part(*rows[0]) if rows else None


def part_of(store: Kycore, id: int) -> tuple[int, int | None] | None:
    """Return operation and change of a row of any kind but notes; None if there is none.

    The change is None for a change of one row, and for an expiry.
    """
    rows: list[tuple[int, int | None]] = store._query(_PART_OF, (id,))
    return rows[0] if rows else None


def parts_of(store: Kycore, change: int, upto: int) -> Iterator[tuple[str, str, int | None, int]]:
    """Yield the parts of a change up to a position: scope, key, previous row, time.

    The time is the change's own where that is later, as it is for an import. Reads in
    pages, between which the caller may write.
    """
    done = change - 1
    while rows := store._query(_PARTS_OF, (change, upto, done)):
        for _, scope, key, prev, time in rows:
            yield scope, key, prev, time
        done = rows[-1][0]


def back_to_change(store: Kycore, id: int, change: int) -> tuple[bool, int]:
    """Follow a chain from a row back to a change.

    Returns:
        Whether the change is met, and how many changes by others come before it.
    """
    own, others = store._query(_BACK_TO_CHANGE, (id, change))[0]
    return bool(own), others or 0


# ---------------------------------------------------------------- times

# When a change entered this database. That is its own time, unless it was imported with
# its history: the first row of the import has the time of that.
_ENTERED = """
max(timestamp, ifnull((SELECT b.timestamp FROM audit_log b WHERE b.id = a.change), timestamp))"""
_LAST_ENTERED = f"""
SELECT id, {_ENTERED} FROM audit_log a
WHERE id <= ?1 AND op <> {BYPASS} ORDER BY id DESC LIMIT 1"""
_ENTERED_LATER = f"""
SELECT max(id) FROM audit_log a
WHERE id > ?1 AND id <= ?1 + 1000 AND {_ENTERED} <= ?2 AND op <> {BYPASS}"""


def position_at(store: Kycore, time: int) -> int:
    """Return the id of the last change that was in the log at a time, 0 if there was none.

    The log has no index on times. Ids are in the order of time, but where a clock was set
    back; so this is a binary search, with a few reads for each doubling of the log.

    Parameters:
        time: milliseconds since the epoch.
    """
    low, high, step = 0, newest(store) + 1, 1
    # Doubling steps back from the end find recent times sooner and, where a clock was set
    # back, the later of two positions.
    while low < (guess := high - step):
        entered = _last_entered(store, guess)
        if entered is None:
            break
        if entered[1] <= time:
            low = guess
        else:
            high, step = entered[0], step * 2
    while high - low > 1:
        middle = (low + high) // 2
        entered = _last_entered(store, middle)
        if entered is None or entered[0] <= low or entered[1] <= time:
            low = middle
        else:
            high = entered[0]
    while (later := store._query(_ENTERED_LATER, (low, time))[0][0]) is not None:
        low = later
    # What follows the change is none, such as a renaming, and may be of a later time.
    entered = _last_entered(store, low)
    return entered[0] if entered is not None else 0


def _last_entered(store: Kycore, id: int) -> tuple[int, int] | None:
    """Return the last change up to an id, and when it entered the log."""
    rows: list[tuple[int, int]] = store._query(_LAST_ENTERED, (id,))
    return rows[0] if rows else None


# ---------------------------------------------------------------- notes


def note_bypass(store: Kycore, now: int) -> None:
    """Make all value caches drop everything, after changes that the log does not list."""
    store._query(NOTE_BYPASS, (now,))


def note_renamed(store: Kycore, scope: str, to_scope: str, now: int) -> None:
    """Note that a scope was renamed, which makes all value caches drop everything."""
    store._query(NOTE_RENAMED, (scope, to_scope, now))
