"""Differences between two scopes, two times, or two versions of a key.

Differences come sorted by key, and memory does not grow with their number. Two scopes are
read side by side, in pages; large values are compared by their digests and read only where
they differ. Between two times, the log names the keys, in the order of changes; they are
sorted first (``sql.changed_keys``).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from kycli.core.codec import check_scope, decode, range_of
from kycli.core.history.changes import (
    alive,
    check_order,
    entry_of,
    head,
    position_at,
    time_before_renaming,
)  # fmt: skip
from kycli.core.history.recovery import check_version, earlier_value
from kycli.core.history.times import Time, time_text
from kycli.core.layout import FLOAT
from kycli.core.operations.entry import Entry
from kycli.core.sql import log, retained, rows
from kycli.core.values import canonical
from kycli.errors import InvalidTimeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kycli.core.sql.changed_keys import ChangedKeys
    from kycli.core.sql.rows import Outline
    from kycli.core.storage import Kycore

    Bounds = tuple[str, str | bytes]

PAGE_ROWS = 500


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


def compare(key: str, before: Entry | None, after: Entry | None) -> Diff | None:
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
    pages = [rows.outlines(store, now, side, first, past, PAGE_ROWS) for side in (scope, other)]
    # What a side holds behind the last key of a full page is not known yet.
    full = [page[-1][0] for page in pages if len(page) == PAGE_ROWS]
    last = min(full) if full else None
    left, right = ({outline[0]: outline for outline in page} for page in pages)
    found: list[Diff] = []
    size = 0
    for key in sorted(left.keys() | right.keys()):
        if last is not None and key > last:
            break
        if _is_same(left.get(key), right.get(key)):
            continue
        before, after = (_entry(store, now, side, key) for side in (scope, other))
        diff = compare(key, before, after)
        if diff is not None:
            found.append(diff)
            size += _size(before) + _size(after)
            if size > log.PAGE_BYTES:
                return found, key + "\0"
    return found, None if last is None else last + "\0"


def _is_same(one: Outline | None, other: Outline | None) -> bool:
    """Whether two keys are certainly the same; 0.0 equals -0.0 and is another value."""
    return one == other and one is not None and one[2] != FLOAT


def _entry(store: Kycore, now: int, scope: str, key: str) -> Entry | None:
    found = store._live_row(now, scope, key)
    return None if found is None else Entry(key, decode(found[1], found[2]), *found[3:6])


# ---------------------------------------------------------------- times


def diff_times(
    store: Kycore, since: Time, until: Time | None, prefix: str | None, scope: str | None
) -> Iterator[Diff]:
    """Return an iterator over the keys in which a scope at two times differs."""
    scope = store._checked_scope(scope)
    times = (
        time_before_renaming(store, scope, since),
        store._now() if until is None else time_before_renaming(store, scope, until),
    )
    check_order(*times)
    start = position_at(store, times[0])
    end = log.newest(store) if until is None else position_at(store, times[1])
    return _between_times(store, scope, times, start, end, range_of(prefix))


def _between_times(
    store: Kycore, scope: str, times: tuple[int, int], start: int, end: int, bounds: Bounds
) -> Iterator[Diff]:
    from kycli.core.sql.changed_keys import ChangedKeys

    changed = ChangedKeys()
    try:
        _collect(store, changed, scope, times, start, end, bounds)
        key = ""
        while page := changed.page(key):
            found: list[Diff] = []
            size = 0
            with store.snapshot():
                _check_retained(store, scope, times[0])
                for key, *ids in page:
                    before, after = (
                        entry_of(key, alive(log.row(store, id), at))
                        for id, at in zip(ids, times, strict=True)
                    )
                    diff = compare(key, before, after)
                    if diff is not None:
                        found.append(diff)
                        size += _size(before) + _size(after)
                        if size > log.PAGE_BYTES:
                            break
            yield from found
    finally:
        changed.close()


def _collect(
    store: Kycore, changed: ChangedKeys, scope: str, times: tuple[int, int], start: int, end: int,
    bounds: Bounds,
) -> None:  # fmt: skip
    """Collect each key that may differ, with the rows of the log that say what it was."""
    for after, upto in _steps(start, end):
        changed.add_changed(log.changed_keys(store, after, upto, scope, bounds))
    # Expiries that nobody has noted come first: what is noted meanwhile is in the log by then.
    expired = rows.expired_between(store, *times, end, scope, bounds)
    changed.add_expired((key, id) for _, key, id in expired if id is not None)
    for after, upto in _steps(end, log.newest(store)):
        noted = log.expired_keys(store, after, upto, scope, bounds)
        changed.add_expired((key, id) for key, id in noted if id and id <= end)


def _steps(start: int, end: int) -> Iterator[tuple[int, int]]:
    for after in range(start, end, log.SCAN_ROWS):
        yield after, min(after + log.SCAN_ROWS, end)


def _check_retained(store: Kycore, scope: str, since: int) -> None:
    oldest = retained.retained_since(store, scope)
    if oldest is not None and since < oldest:
        raise InvalidTimeError(
            f"the history was pruned meanwhile: it reaches back to {time_text(oldest)}"
        )


# ---------------------------------------------------------------- versions


def diff_versions(
    store: Kycore, key: str, version: int, other: int | None, scope: str | None
) -> Diff | None:
    """Return how two versions of a key differ, or None when they do not."""
    scope = store._checked_scope(scope)
    key = store._key(scope, key)
    for number in (version, 1 if other is None else other):
        check_version(number)
    with store.snapshot():
        before = _of_version(store, scope, key, version)
        if other is None:
            return compare(key, before, _entry(store, store._now(), scope, key))
        return compare(key, before, _of_version(store, scope, key, other))


def _of_version(store: Kycore, scope: str, key: str, version: int) -> Entry | None:
    known = version <= log.MAX_ID
    found = log.earlier(store, head(store, scope, key), version) if known else None
    # Where the log was pruned, the archive may still hold it.
    value = log.row(store, found[0]) if found else earlier_value(store, scope, key, None, version)
    return entry_of(key, value)
