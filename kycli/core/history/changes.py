"""The past: every change, and the store as it was at a time.

The log is read newest first and in pages, and no transaction is open between two of
them. The changes of one key are a chain (see ``kycli.core.layout``); those of a scope are
found by walking the log.

The state at a time is the state at one position of the log, the same for all keys, which
``position_at`` finds. Where a clock was set back, it may have shown a time twice; the
position is then one of the two, near the end of the log the later one. A transaction counts
from its end. A command may commit several times, and each commit counts by itself.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from kycli.core.codec import decode
from kycli.core.history.times import Time, parse_time, time_text
from kycli.core.layout import LIFETIME, OPERATIONS
from kycli.core.operations.entry import Entry
from kycli.core.operations.expiry_rules import has_expired
from kycli.core.sql import log, retained
from kycli.errors import InvalidTimeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kycli.core.sql.log import ChangeRow, Row
    from kycli.core.storage import Kycore

EMPTY_STORE_MS = 86_400_000
"""How long before its first change a store counts as empty; an earlier time is a mistake."""


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
    """Return an iterator over changes, newest first; bad arguments raise at once."""
    scope = store._checked_scope(scope)
    now = store._now()
    first = None if since is None else parse_time(since, now)
    last = None if until is None else parse_time(until, now)
    if first is not None and last is not None:
        check_order(first, last)
    if key is not None:
        key = store._key(scope, key)
    return _changes(store, scope, key, first, last, limit)


def check_order(first: int, last: int) -> None:
    """Refuse two times that are in the wrong order."""
    if first > last:
        raise InvalidTimeError(
            f"{time_text(first)} is later than {time_text(last)}",
            hint="'since' is the earlier of the two times",
        )


def _changes(
    store: Kycore, scope: str, key: str | None, since: int | None, until: int | None,
    limit: int | None,
) -> Iterator[Change]:  # fmt: skip
    # Expired keys that nobody has noticed are archived first, so the list has their expiry.
    store._sweep_after(0)
    start = log.newest(store) if key is None else head(store, scope, key)
    # Rows at or before this position are earlier than ``since``; imported ones may be
    # earlier than their position says.
    oldest = 0 if since is None or since == 0 else position_at(store, since - 1)
    times = since or 0, log.MAX_ID if until is None else until
    values = _Values(store)
    few = log.PAGE_ROWS if limit is None else min(log.PAGE_ROWS, limit)
    while start is not None and start > oldest and limit != 0:
        if key is None:
            rows, start = log.page_of_scope(store, scope, oldest, start, times, few)
        else:  # the first changes may all be later than ``until``
            most = few if until is None else log.PAGE_ROWS
            rows, start = log.chain(store, start, *times, most)
            rows = [row for row in rows if row[0] > oldest and times[0] <= row[7] <= times[1]]
        rows = rows[:limit]
        for row in rows:
            yield _change(row, values)
        if limit is not None:
            limit -= len(rows)


def head(store: Kycore, scope: str, key: str) -> int | None:
    """Return the id of a key's newest change; an expired key is archived first."""
    found = log.head(store, scope, key)
    if found is not None and found[1] is not None and found[1] <= store._now():
        store.getkey(key, scope=scope)
        found = log.head(store, scope, key)
    return found and found[0]


def _change(row: ChangeRow, values: _Values) -> Change:
    id, scope, key, value, kind, op, version, at, expires_at, change, pid, user, host, command = row
    if kind is not None:
        value = decode(values.of(id, scope, key, op, value), kind)
    return Change(
        key, value, time_text(at), OPERATIONS[op], version, change, scope, expires_at,
        user, host, pid, command,
    )  # fmt: skip


class _Values:
    """The values of rows that change the lifetime alone, which are those of older rows.

    Remembers a few: a key whose lifetime is renewed again and again has long runs of such
    rows, and each of them would walk through the rest.
    """

    def __init__(self, store: Kycore) -> None:
        self._store = store
        self._found: dict[tuple[str, str], tuple[int, Any]] = {}

    def of(self, id: int, scope: str, key: str, op: int, value: Any) -> Any:
        """Return the value of a row, as it is stored."""
        if op != LIFETIME or value is not None:
            return value
        holder, found = self._found.get((scope, key), (id, None))
        if not holder < id:
            holder, found = log.value_of(self._store, id)
            if len(self._found) == 64:
                self._found.clear()
            self._found[scope, key] = holder, found
        return found


# ---------------------------------------------------------------- a time in the past


def position_at(store: Kycore, time: int) -> int:
    """Return the id of the last change that was complete at a time, 0 if there was none.

    Parameters:
        time: milliseconds since the epoch.
    """
    position = log.position_at(store, time)
    while (change := _under_way(store, position, time)) is not None:
        last = log.last_part(store, position, other_than=change)
        before = 0 if last is None else last.id
        if before >= position:
            break
        position = before  # the change before may be under way too, if it was pruned in part
    return position


def _under_way(store: Kycore, position: int, time: int) -> int | None:
    """Return the change that had begun at a position and not ended at a time, if any.

    A program's change is one transaction; a command may have committed part of its own.
    """
    following = log.first_part(store, position + 1)
    if following is not None and following.change <= position and not following.command:
        return following.change
    before = log.last_part(store, position)
    if before is not None and not before.command:
        end = retained.end_of_incomplete(store, before.change)
        if end is not None and end > time:
            return before.change
    return None


def time_in_history(store: Kycore, scope: str | None, time: Time) -> int:
    """Return a time in milliseconds, if the history of a scope, or of all, reaches back to it.

    Raises:
        InvalidTimeError: when it does not, saying how far it does; or as ``parse_time``.
    """
    at = parse_time(time, store._now())
    oldest = retained.retained_since(store, scope)
    if oldest is None:
        first = log.first_time(store)
        if first is None or at >= first - EMPTY_STORE_MS:
            return at
        oldest = first
    if at >= oldest:
        return at
    whose = "the history" if scope is None else f"the history of scope {scope!r}"
    raise InvalidTimeError(
        f"{time_text(at)} is too long ago: {whose} reaches back to {time_text(oldest)}"
    )


def time_before_renaming(store: Kycore, scope: str | None, time: Time) -> int:
    """Return a time in milliseconds, if the scope has the history that it had then.

    A scope keeps its history when it is renamed. The old name is left without one.

    Raises:
        InvalidTimeError: when the scope was renamed to another name since; or as
            ``time_in_history``.
    """
    at = time_in_history(store, scope, time)
    if scope is not None:
        renamed = log.renamed_since(store, scope, position_at(store, at), at)
        if renamed is not None and renamed[0] == scope:
            new = renamed[1]
            raise InvalidTimeError(
                f"scope {scope!r} was renamed to {new!r} after {time_text(at)}, "
                "and its history went with it",
                hint=f"go back in scope {new!r}, or first 'kycli rename-scope {new} {scope}'",
            )
    return at


def past_entry(
    store: Kycore, scope: str, key: str, time: Time, include_expired: bool
) -> Entry | None:
    """Return a key as it was at a time, or None when there was no such key.

    Raises:
        InvalidTimeError: when the history does not reach back so far, or as ``parse_time``.
    """
    at = time_in_history(store, scope, time)
    row = row_at(store, scope, key, position_at(store, at))
    return entry_of(key, row if include_expired else alive(row, at))


def row_at(store: Kycore, scope: str, key: str, position: int) -> Row | None:
    """Return what a key was at a position, or None when there was no such key."""
    found = log.head(store, scope, key)
    return found and log.row(store, log.chain_at(store, found[0], position))


def alive(row: Row | None, at: int) -> Row | None:
    """Return a row unless it had expired at a time."""
    return None if row is None or has_expired(row.expires_at, at) else row


def entry_of(key: str, row: Row | None) -> Entry | None:
    """Return a key as a row of the log says that it was."""
    if row is None:
        return None
    return Entry(key, decode(row.value, row.kind), row.version, row.expires_at, row.timestamp)
