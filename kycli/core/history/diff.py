"""What is different: between two scopes, two times, or two versions of a key.

Differences come sorted by key, and memory does not grow with their number. Two scopes are
read side by side, in pages; large values are compared by their digests and read only where
they differ. Between two times, the log names the keys; they are sorted in a temporary
database of their own, which goes to the disk when it gets large.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import apsw

from kycli.core.codec import check_scope, decode, range_of
from kycli.core.expiry import shown
from kycli.core.faults import translate
from kycli.core.history.changes import Row, head, moment, reach, row
from kycli.core.history.recovery import _EARLIER, _alive, _earlier, _time_to_go_back_to
from kycli.core.history.times import Time, time_text
from kycli.core.layout import BYPASS, EXPIRED, FLOAT, LIVE
from kycli.core.operations.entry import Entry
from kycli.core.values import canonical
from kycli.errors import InvalidTimeError, InvalidValueError, WrongTypeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kycli.core.storage import Kycore

PAGE_ROWS = 500
PAGE_BYTES = 1 << 20
SCAN_ROWS = 20_000
"""Rows of the log that one step looks through."""

# What a key is, without reading a large value: the value or its digest. A large value that
# plain SQL wrote is in the row, and differs here from the digest of the same value.
_STATES = f"""
SELECT key, ifnull(digest, value), kind, home IS NULL, expires_at FROM kvstore
WHERE scope = ?2 AND key >= ?3 AND key < ?4 AND {LIVE} ORDER BY key LIMIT {PAGE_ROWS}"""

_NEWEST = "SELECT ifnull(max(id), 0) FROM audit_log"
_CHANGED = f"""
SELECT key, id, ifnull(prev, 0) FROM audit_log
WHERE id > ?1 AND id <= ?2 AND scope = ?3 AND key >= ?4 AND key < ?5 AND op <> {BYPASS}
ORDER BY id"""
# Keys that had expired by then, as was noticed later; and those of which nobody has.
_NOTICED = f"""
SELECT key, prev FROM audit_log
WHERE id > ?1 AND id <= ?2 AND scope = ?3 AND key >= ?4 AND key < ?5 AND op = {EXPIRED}"""
_UNNOTICED = f"""
SELECT expires_at, key, seq FROM kvstore
WHERE (expires_at, scope, key) > (?1, ?2, ?3) AND expires_at <= ?4
    AND scope = ?2 AND key >= ?5 AND key < ?6 AND seq <= ?7
ORDER BY expires_at, scope, key LIMIT {PAGE_ROWS}"""

_SCRATCH = """
CREATE TABLE changed (
    key    TEXT PRIMARY KEY,
    before INTEGER NOT NULL,
    after  INTEGER NOT NULL
) STRICT, WITHOUT ROWID"""
_NOTE_CHANGED = """
INSERT INTO changed VALUES (?1, ?3, ?2) ON CONFLICT (key) DO UPDATE SET after = excluded.after"""
_NOTE_EXPIRED = "INSERT INTO changed VALUES (?1, ?2, ?2) ON CONFLICT (key) DO NOTHING"
_CHANGES = f"""
SELECT key, before, after FROM changed WHERE key > ?1 ORDER BY key LIMIT {PAGE_ROWS}"""


class Diff(NamedTuple):
    """A key that is not the same on two sides: in two scopes, or at two times.

    Attributes:
        key: the key.
        operation: ``"added"``, ``"removed"``, ``"changed"``, or ``"lifetime"`` where the
            value is the same and only the expiry is another.
        before, after: the key on the one side and on the other, or None.
    """

    key: str
    operation: str
    before: Entry | None
    after: Entry | None


def _diff(key: str, before: Entry | None, after: Entry | None) -> Diff | None:
    """Return how the two differ, or None when they do not."""
    if before is None or after is None:
        if before is after:
            return None
        return Diff(key, "added" if before is None else "removed", before, after)
    if not _same_value(before.value, after.value):
        return Diff(key, "changed", before, after)
    if before.expires_at != after.expires_at:
        return Diff(key, "lifetime", before, after)
    return None


def _same_value(one: Any, other: Any) -> bool:
    """Whether two values are equal and of the same types; the order of members is no matter."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (str, bytes)):
        return bool(one == other)
    return canonical(one) == canonical(other)


def _size(entry: Entry | None) -> int:
    if entry is None or not isinstance(entry.value, (str, bytes)):
        return 256
    return len(entry.value)


# ---------------------------------------------------------------- scopes


def diff_scopes(store: Kycore, scope: str, other: str, prefix: str | None) -> Iterator[Diff]:
    """Return an iterator over the keys in which two scopes differ."""
    return _between_scopes(store, check_scope(scope), check_scope(other), *range_of(prefix))


def _between_scopes(
    store: Kycore, scope: str, other: str, first: str | None, past: str | bytes
) -> Iterator[Diff]:
    while first is not None:
        with store.snapshot():
            found, first = _page_of_scopes(store, scope, other, first, past)
        yield from found


def _page_of_scopes(
    store: Kycore, scope: str, other: str, first: str, past: str | bytes
) -> tuple[list[Diff], str | None]:
    """Return the differences of a page, and where the next one begins, None for the end."""
    now = store._now()
    pages = [store._query(_STATES, (now, place, first, past)) for place in (scope, other)]
    # Behind the last key of a full page nobody knows what that side holds.
    full = [page[-1][0] for page in pages if len(page) == PAGE_ROWS]
    last = min(full) if full else None
    left, right = ({state[0]: state for state in page} for page in pages)
    found: list[Diff] = []
    size = 0
    for key in sorted(left.keys() | right.keys()):
        if last is not None and key > last:
            break
        if _is_same(left.get(key), right.get(key)):
            continue
        before, after = (_entry(store, now, place, key) for place in (scope, other))
        diff = _diff(key, before, after)
        if diff is not None:
            found.append(diff)
            size += _size(before) + _size(after)
            if size > PAGE_BYTES:
                return found, key + "\0"
    return found, None if last is None else last + "\0"


def _is_same(one: tuple[Any, ...] | None, other: tuple[Any, ...] | None) -> bool:
    """Whether two states are certainly the same; 0.0 and -0.0 are equal and are not."""
    return one == other and one is not None and one[2] != FLOAT


def _entry(store: Kycore, now: int, scope: str, key: str) -> Entry | None:
    found = store._live_row(now, scope, key)
    return None if found is None else Entry(key, decode(found[1], found[2]), *found[3:6])


# ---------------------------------------------------------------- times


def diff_times(
    store: Kycore, since: Time, until: Time | None, prefix: str | None, scope: str | None
) -> Iterator[Diff]:
    """Return an iterator over the keys in which a scope at two times differs."""
    place = store.scope if scope is None else check_scope(scope)
    first = _time_to_go_back_to(store, place, since)
    last = store._now() if until is None else _time_to_go_back_to(store, place, until)
    if first > last:
        raise InvalidTimeError(
            f"{time_text(first)} is later than {time_text(last)}",
            hint="'since' is the earlier of the two times",
        )
    start = moment(store, first)
    end = store._query(_NEWEST)[0][0] if until is None else moment(store, last)
    return _between_times(store, place, first, last, start, end, range_of(prefix))


def _between_times(
    store: Kycore, scope: str, since: int, until: int, start: int, end: int,
    bounds: tuple[str, str | bytes],
) -> Iterator[Diff]:  # fmt: skip
    scratch = apsw.Connection("")  # a temporary file, which no other can see
    try:
        scratch.pragma("journal_mode", "off")
        scratch.pragma("synchronous", "off")
        scratch.execute(_SCRATCH)
        _collect(store, scratch, scope, since, until, start, end, bounds)
        key = ""
        rows: list[tuple[Any, ...]]
        while rows := scratch.execute(_CHANGES, (key,)).fetchall():
            found: list[Diff] = []
            size = 0
            with store.snapshot():
                _check_reach(store, scope, since)
                for key, *ids in rows:
                    before, after = (
                        _past_entry(key, _alive(row(store, id), at))
                        for id, at in zip(ids, (since, until), strict=True)
                    )
                    diff = _diff(key, before, after)
                    if diff is not None:
                        found.append(diff)
                        size += _size(before) + _size(after)
                        if size > PAGE_BYTES:
                            break
            yield from found
    except apsw.Error as error:  # the store's own are translated by itself
        raise translate(error, "a temporary database", 0) from error
    finally:
        scratch.close()


def _collect(
    store: Kycore, scratch: apsw.Connection, scope: str, since: int, until: int,
    start: int, end: int, bounds: tuple[str, str | bytes],
) -> None:  # fmt: skip
    """Note each key that may differ, with the rows of the log that say what it was."""
    for low, high in _steps(start, end):
        scratch.executemany(_NOTE_CHANGED, store._query(_CHANGED, (low, high, scope, *bounds)))
    # First those that nobody has noticed: what is noticed meanwhile is in the log by then.
    past: tuple[int, str, str] = (since, scope, "\U0010ffff")
    while rows := store._query(_UNNOTICED, (*past, until, *bounds, end)):
        scratch.executemany(_NOTE_EXPIRED, [(key, seq) for _, key, seq in rows])
        past = (rows[-1][0], scope, rows[-1][1])
    for low, high in _steps(end, store._query(_NEWEST)[0][0]):
        rows = store._query(_NOTICED, (low, high, scope, *bounds))
        scratch.executemany(_NOTE_EXPIRED, [(key, id) for key, id in rows if id and id <= end])


def _steps(start: int, end: int) -> Iterator[tuple[int, int]]:
    for low in range(start, end, SCAN_ROWS):
        yield low, min(low + SCAN_ROWS, end)


def _past_entry(key: str, found: Row | None) -> Entry | None:
    if found is None:
        return None
    return Entry(
        key, decode(found.value, found.kind), found.version, found.expires_at, found.timestamp
    )


def _check_reach(store: Kycore, scope: str, since: int) -> None:
    back_to = reach(store, scope)
    if back_to is not None and since < back_to:
        raise InvalidTimeError(
            f"the history was pruned meanwhile: it reaches back to {time_text(back_to)}"
        )


# ---------------------------------------------------------------- versions


def diff_versions(
    store: Kycore, key: str, version: int, other: int | None, scope: str | None
) -> Diff | None:
    """Return how two versions of a key differ, or None when they do not."""
    place = store.scope if scope is None else check_scope(scope)
    key = store._key(place, key)
    for number in (version, 1 if other is None else other):
        if type(number) is not int:
            raise WrongTypeError(f"a version is a whole number, not {shown(number)}")
        if number < 1:
            raise InvalidValueError(f"a version is a whole number from 1 up, not {shown(number)}")
    with store.snapshot():
        before = _of_version(store, place, key, version)
        if other is None:
            return _diff(key, before, _entry(store, store._now(), place, key))
        return _diff(key, before, _of_version(store, place, key, other))


def _of_version(store: Kycore, scope: str, key: str, version: int) -> Entry | None:
    known = version < 1 << 63  # which is what SQLite can be asked for
    rows = store._query(_EARLIER, (head(store, scope, key), version)) if known else []
    # Where the log was pruned, the archive may still hold it.
    found = row(store, rows[0][0]) if rows else _earlier(store, scope, key, None, version)
    return _past_entry(key, found)
