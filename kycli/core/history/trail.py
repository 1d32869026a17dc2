"""Following the changes of a scope: the newest first, then new ones as they are committed.

A reader that follows the log must not write or wait for long. So, unlike ``changes``, this module
does not archive expired keys first, does not read large values, and reads a bounded part of the
log for each page.
"""

from __future__ import annotations

from typing import NamedTuple

from kycli.core.layout import OPERATIONS
from kycli.core.operations.excerpts import Excerpt, excerpt_of
from kycli.core.sql import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kycli.core.sql.log import ChangeRow
    from kycli.core.storage import Kycore

LONGEST = 4096
"""The largest value, in bytes, of which an event has more than the size."""


class Event(NamedTuple):
    """One change of a key, without the value if that is large.

    Attributes:
        position: in the log; later changes have higher ones.
        key: the key.
        operation: as of a ``Change``.
        version: how often the value had changed by then.
        time: milliseconds since the epoch.
        change: the id of the whole change that this was a part of.
        value: what it became; None where the key was removed, or only its lifetime changed.
        expires_at: when it was to expire, in milliseconds since the epoch, or None.
        user, host, pid, command: who did it; None where that is not known, as of an expiry.
    """

    position: int
    key: str
    operation: str
    version: int
    time: int
    change: int
    value: Excerpt | None
    expires_at: int | None
    user: str | None
    host: str | None
    pid: int | None
    command: str | None


class Trail(NamedTuple):
    """A page of the changes of a scope.

    Attributes:
        events: newest first.
        newest: the position of the newest change of all scopes.
        rest: the position from which older changes follow; None where all were looked through.
        is_rewritten: whether what was read up to ``seen`` may not hold any more.
    """

    events: list[Event]
    newest: int
    rest: int | None
    is_rewritten: bool


def page(
    store: Kycore, scope: str, key: str | None, seen: int, upto: int | None, limit: int | None
) -> Trail:
    """Return the newest changes of a scope, or a key, after one position and up to another."""
    if key is not None:
        key = store._key(scope, key)
    with store.snapshot():
        newest = log.newest(store)
        # A database that was restored from a backup may have a shorter log.
        is_rewritten = seen > newest or (seen > 0 and log.is_rewritten_since(store, seen))
        most = log.SCAN_ROWS if limit is None else limit
        start = newest if upto is None else min(upto, newest)
        if key is None:
            rows, rest = log.heads_of_scope(store, scope, seen, start, most, LONGEST)
        else:
            head = log.head(store, scope, key)
            start = 0 if head is None else head[0] if upto is None else upto
            rows, rest = log.heads_of_key(store, scope, seen, start, most, LONGEST)
    events = [_event(row) for row in rows]
    return Trail(events, newest, rest if rest > seen else None, is_rewritten)


def _event(row: ChangeRow) -> Event:
    id, key, kind, op, version, time, expires_at, change, *author, size, value, _ = row
    is_shown = kind is not None and not (value is None and OPERATIONS[op] == "lifetime")
    excerpt = excerpt_of(value, kind, size) if is_shown else None
    pid, user, host, command = author
    return Event(
        id, key, OPERATIONS[op], version, time, change, excerpt, expires_at, user, host, pid,
        command,
    )  # fmt: skip
