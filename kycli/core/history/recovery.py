"""Bringing back what was: one key, a whole scope, or what one change did.

Each is one transaction, and a change of its own in the history, so it can be undone.
Looks at the log after a moment and at nothing else, so it costs what has changed since,
not what there is.

Lifetimes: an expiry that is still to come is kept as it was. One that has passed since
is put off: the key gets the time that it had left then, from now on.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from kycli.core.codec import check_scope, is_same
from kycli.core.expiry import shown
from kycli.core.history.changes import Row, head, moment, reach, row, row_at, time_within_reach
from kycli.core.history.times import Time, time_text
from kycli.core.history.wholeness import ended_at
from kycli.core.layout import (
    BYPASS,
    DELETED,
    EXPIRED,
    LIFETIME,
    OPERATIONS,
    RESTORED,
)  # fmt: skip
from kycli.core.operations.scopes import default_lifetime
from kycli.errors import (
    ConflictError,
    InvalidTimeError,
    InvalidValueError,
    MissingKeyError,
    MisuseError,
    UnknownChangeError,
    WrongTypeError,
)  # fmt: skip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kycli.core.storage import Kycore

PAGE_ROWS = 500
_MAX_ID = (1 << 63) - 1  # and the highest version

_NEWEST = "SELECT ifnull(max(id), 0) FROM audit_log"

# The first change of each key after ?1: the one whose predecessor is not after it, or was
# pruned. The change before a transaction may be gone, so that ?1 is older than what was.
_CHANGED_SINCE = f"""
SELECT id, scope, key, prev FROM audit_log a
WHERE id > ?4 AND id <= ?2 AND op <> {BYPASS} AND (?3 IS NULL OR scope = ?3)
    AND (prev IS NULL OR prev <= ?1
         OR NOT EXISTS (SELECT 1 FROM audit_log p WHERE p.id = a.prev))
ORDER BY id LIMIT {PAGE_ROWS}"""

# Keys that have expired since, that nobody has met, and that nothing else has changed.
_EXPIRED_SINCE = f"""
SELECT expires_at, scope, key, seq FROM kvstore
WHERE expires_at <= ?4 AND (expires_at, scope, key) > (?1, ?2, ?3) AND seq <= ?5
    AND (?6 IS NULL OR scope = ?6)
ORDER BY expires_at, scope, key LIMIT {PAGE_ROWS}"""

_ARCHIVED = """
SELECT seq, value, kind, op, version, deleted_at, expires_at FROM archive
WHERE scope = ?1 AND key = ?2 ORDER BY id DESC LIMIT 1"""

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

# The first row of a change: expiries, which nobody did, may come before it.
_BEGINNING = f"""
SELECT a.id, coalesce(a.change, a.id), a.change IS NULL, w.command
FROM audit_log a LEFT JOIN authors w ON w.id = a.author
WHERE a.id >= ?1 AND a.op NOT IN ({BYPASS}, {EXPIRED}) ORDER BY a.id LIMIT 1"""
# An import begins with a row that tells the caches of it.
_EXISTS = f"SELECT op FROM audit_log WHERE id = ?1 AND (op <> {BYPASS} OR change = id)"
_NEWEST_CHANGE = f"""
SELECT coalesce(change, id), id FROM audit_log
WHERE op NOT IN ({BYPASS}, {EXPIRED}) AND scope = ?1 ORDER BY id DESC LIMIT 1"""
# Renaming is no change of any key: a note says which scope became which.
_RENAMED_SINCE = f"""
SELECT value, key FROM audit_log
WHERE id > ?2 AND timestamp > ?3 AND op = {BYPASS} AND ?1 IN (key, value)
ORDER BY id DESC LIMIT 1"""
_NEXT_FOREIGN = f"""
SELECT id FROM audit_log
WHERE id > ?1 AND ifnull(change, 0) <> ?2 AND op NOT IN ({BYPASS}, {EXPIRED})
ORDER BY id LIMIT 1"""
_PART_OF_CHANGE = f"""
SELECT id, scope, key, prev, max(timestamp, (SELECT timestamp FROM audit_log WHERE id = ?1))
FROM audit_log
WHERE id > ?3 AND id <= ?2 AND coalesce(change, id) = ?1 AND op NOT IN ({BYPASS}, {EXPIRED})
ORDER BY id LIMIT {PAGE_ROWS}"""

# From ?1 back along a chain, no further than the beginning of the change ?2: whether
# it is met, and how many changes by others come before that.
_BACK_TO_CHANGE = f"""
WITH RECURSIVE chain (id, prev, mine, others) AS (
    SELECT id, prev, coalesce(change, id) = ?2 AND op <> {EXPIRED},
        coalesce(change, id) <> ?2 AND op <> {EXPIRED}
    FROM audit_log WHERE id = ?1
    UNION ALL
    SELECT a.id, a.prev, coalesce(a.change, a.id) = ?2 AND a.op <> {EXPIRED},
        others + (coalesce(a.change, a.id) <> ?2 AND a.op <> {EXPIRED})
    FROM chain JOIN audit_log a ON a.id = chain.prev AND a.id < chain.id
    WHERE NOT mine AND a.id >= ?2
)
SELECT max(mine), max(others) FROM chain"""
_NEWEST_OF_KEY = f"""
SELECT coalesce(a.change, a.id) FROM audit_log a
WHERE a.id = (SELECT iif(h.op = {EXPIRED}, h.prev, h.id) FROM audit_log h WHERE h.id = ?1)"""


class Difference(NamedTuple):
    """What ``restore_to`` does to one key.

    Attributes:
        key: the key.
        operation: ``"restored"``, ``"deleted"``, or ``"lifetime"`` where only the time that
            it has to live is another.
        scope: the scope.
    """

    key: str
    operation: str
    scope: str


# ---------------------------------------------------------------- one key


def restore(
    store: Kycore, key: str, timestamp: Time | None, version: int | None, scope: str | None
) -> str:
    """Bring back an earlier value of a key."""
    place = store.scope if scope is None else check_scope(scope)
    key = store._key(place, key)
    if timestamp is not None and version is not None:
        raise MisuseError("restore takes a time or a version, not both")
    if version is not None:
        if type(version) is not int:
            raise WrongTypeError(f"a version is a whole number, not {shown(version)}")
        if version < 1:
            raise InvalidValueError(f"a version is a whole number from 1 up, not {shown(version)}")
    with store.transaction():
        now = store._now()
        if timestamp is not None:
            at = time_within_reach(store, place, timestamp)
            found = _alive(row_at(store, place, key, moment(store, at)), at)
            if found is None:
                raise MissingKeyError(f"no key {key!r} in scope {place!r} at {time_text(at)}")
            expires_at = _expiry_again(found.expires_at, at, now)
        else:
            live = store._live_row(now, place, key)
            if live is None:
                store._remove(place, key)  # into the archive, if it has expired unnoticed
            found = _earlier(store, place, key, live, version)
            expires_at = live[4] if live else _expiry_anew(store, place, found, now)
        changed = _become(store, now, place, key, found, expires_at)
    store._sweep_after(1)
    return "restored" if changed else "nochange"


def _earlier(
    store: Kycore, scope: str, key: str, live: tuple[Any, ...] | None, version: int | None
) -> Row:
    """Return the newest value that a key had before the one it has, or that of a version."""
    archived = store._query(_ARCHIVED, (scope, key))
    if live is None and archived:
        found = Row(*archived[0])
        if version is None or version == found.version:
            return found
    start = live[6] if live else archived[0][0] if archived else None
    while start is not None and (version is None or version <= _MAX_ID):
        rows = store._query(_EARLIER, (start, version))
        if not rows:
            break
        id, start = rows[0]
        earlier = row(store, id)
        if earlier is None:
            break
        if version is not None or not live or not _same_value(earlier, live):
            return earlier
        if start is not None and start >= id:
            break  # a damaged chain
    where = f"{key!r} in scope {scope!r}"
    if version is not None:
        from shlex import quote

        raise MissingKeyError(
            f"no version {shown(version)} of {where}",
            hint=f"to see those there are: kyv --scope {scope} -- {quote(key)}",
        )
    raise MissingKeyError(
        f"no earlier value of {where}" if live else f"nothing to restore: no key {where}"
    )


def _expiry_anew(store: Kycore, scope: str, found: Row, now: int) -> int | None:
    """Return when a key that is gone is to expire when its value comes back.

    The archive says when it went, and so what time it had left. What had none left, or
    is older, lives on as if it were saved anew.
    """
    if found.expires_at is None or found.expires_at > now:
        return found.expires_at
    if found.op == DELETED and found.expires_at > found.timestamp:
        return now + found.expires_at - found.timestamp
    lifetime = default_lifetime(store, scope)
    return None if lifetime is None else now + lifetime


# ---------------------------------------------------------------- a scope, or all


def restore_to(
    store: Kycore, time: Time, scope: str | None, all_scopes: bool, dry_run: bool
) -> int:
    """Take a scope, or all, back to a time; return how many keys that changes."""
    place = _scope_or_all(store, scope, all_scopes)
    if dry_run:
        return sum(1 for _ in differences(store, time, scope, all_scopes))
    count = 0
    with store.transaction():
        now = store._now()
        at = _time_to_go_back_to(store, place, time)
        for scope_of_key, key, found, expires_at in _then(store, place, at, now):
            count += _become(store, now, scope_of_key, key, found, expires_at)
    store._sweep_after(count)
    return count


def differences(
    store: Kycore, time: Time, scope: str | None, all_scopes: bool
) -> Iterator[Difference]:
    """Return an iterator over what ``restore_to`` would do; what is wrong is raised at once."""
    place = _scope_or_all(store, scope, all_scopes)
    return _differences(store, place, _time_to_go_back_to(store, place, time))


def _time_to_go_back_to(store: Kycore, scope: str | None, time: Time) -> int:
    """Return a time in milliseconds at which the scope had the past that it has now.

    A scope that got its name since took its past along. One that gave it away has none.
    """
    at = time_within_reach(store, scope, time)
    if scope is not None:
        renamed = store._query(_RENAMED_SINCE, (scope, moment(store, at), at))
        if renamed and renamed[0][0] == scope:
            new = renamed[0][1]
            raise InvalidTimeError(
                f"scope {scope!r} was renamed to {new!r} after {time_text(at)}, "
                "and its past with it",
                hint=f"go back in scope {new!r}, or first 'kycli rename-scope {new} {scope}'",
            )
    return at


def _differences(store: Kycore, scope: str | None, at: int) -> Iterator[Difference]:
    now = store._now()
    for place, key, found, expires_at in _then(store, scope, at, now):
        op = _needed(store._live_row(now, place, key), found, expires_at)
        if op is not None:
            yield Difference(key, OPERATIONS[op], place)


def _scope_or_all(store: Kycore, scope: str | None, all_scopes: bool) -> str | None:
    if all_scopes:
        if scope is not None:
            raise MisuseError("restore_to takes a scope or all of them, not both")
        return None
    return store.scope if scope is None else check_scope(scope)


def _then(
    store: Kycore, scope: str | None, at: int, now: int
) -> Iterator[tuple[str, str, Row | None, int | None]]:
    """Yield each key that may have changed since, with what it was and is to expire at."""
    last = moment(store, at)
    newest = store._query(_NEWEST)[0][0]
    done = last
    while rows := store._query(_CHANGED_SINCE, (last, newest, scope, done)):
        for id, place, key, prev in rows:
            done = id
            found = _alive(row(store, prev), at)
            yield place, key, found, found and _expiry_again(found.expires_at, at, now)
    past: tuple[int, str, str] = (at, "", "")
    while rows := store._query(_EXPIRED_SINCE, (*past, now, last, scope)):
        for expires_at, place, key, seq in rows:
            past = (expires_at, place, key)
            found = _alive(row(store, seq), at)
            yield place, key, found, found and _expiry_again(found.expires_at, at, now)


# ---------------------------------------------------------------- one change


def undo(store: Kycore, change: int | None, scope: str | None, force: bool) -> int:
    """Take back what one change did; return how many keys that changes."""
    place = store.scope if scope is None else check_scope(scope)
    if change is not None and type(change) is not int:
        raise WrongTypeError(f"a change is a whole number, not {shown(change)}")
    count = 0
    conflicts: list[str] = []
    with store.transaction():
        now = store._now()
        number = _newest_change(store, place) if change is None else change
        for place, key, prev, at in _firsts_of_change(store, number, conflicts):
            _check_reach(store, place, number, at)
            newest = store._query(_NEWEST_OF_KEY, (head(store, place, key),))
            if not newest or newest[0][0] != number:
                conflicts.append(key)
            if not conflicts or force:
                found = _alive(row(store, prev), at)
                expires_at = found and _expiry_again(found.expires_at, at, now)
                count += _become(store, now, place, key, found, expires_at)
        if conflicts and not force:
            raise _changed_since(number, conflicts)
    store._sweep_after(count)
    return count


def _newest_change(store: Kycore, scope: str) -> int:
    rows = store._query(_NEWEST_CHANGE, (scope,))
    renamed = store._query(_RENAMED_SINCE, (scope, rows[0][1] if rows else 0, -1))
    if renamed:
        old, new = renamed[0]
        raise UnknownChangeError(
            f"the newest change is that scope {old!r} was renamed to {new!r}, "
            "which undo does not take back",
            hint=f"'kycli rename-scope {new} {old}' does; or undo a change by its id, "
            f"which 'kycli history --scope {new}' shows",
        )
    if not rows:
        raise UnknownChangeError(f"there is nothing to undo in scope {scope!r}")
    return int(rows[0][0])


def _firsts_of_change(
    store: Kycore, change: int, conflicts: list[str]
) -> Iterator[tuple[str, str, int | None, int]]:
    """Yield each key of a change with its row before that and the time it was changed.

    Keys that others changed between two parts of the change are added to ``conflicts``.
    """
    first, last = _extent(store, change)
    done = first - 1
    while rows := store._query(_PART_OF_CHANGE, (change, last, done)):
        for id, scope, key, prev, at in rows:
            done = id
            mine = others = 0
            if prev is not None and prev >= change:
                mine, others = store._query(_BACK_TO_CHANGE, (prev, change))[0]
            if not mine:
                yield scope, key, prev, at
            elif others:
                conflicts.append(key)


def _extent(store: Kycore, change: int) -> tuple[int, int]:
    """Return the first and the last row of the log among which those of a change are.

    Raises:
        UnknownChangeError: when there is no such change, or it is no longer whole.
    """
    known = store._query(_EXISTS, (change,)) if 0 < change <= _MAX_ID else []
    if not known:
        newest = store._query(_NEWEST)[0][0]
        back_to = reach(store, None)
        if 0 < change <= newest and back_to is not None:
            raise _pruned(change, back_to)
        raise UnknownChangeError(
            f"there is no change {shown(change)}", hint="'kycli history' shows the changes"
        )
    beginning = store._query(_BEGINNING, (change,))
    if not beginning or beginning[0][1] != change:
        if known[0][0] == EXPIRED:
            raise UnknownChangeError(
                f"change {change} is the expiry of a key, which nobody did",
                hint="'kyr KEY' brings back its value",
            )
        raise _part_of(store, change)
    first, _, alone, command = beginning[0]
    if alone:
        return first, first
    if ended_at(store, change) is not None:
        raise UnknownChangeError(
            f"a part of change {change} was pruned, so nobody knows all that it did",
            hint="to bring back the value of one key: kyr KEY",
        )
    # Without a command's name it was a transaction, which nobody can interrupt; the parts
    # of a command may be anywhere.
    foreign = [] if command else store._query(_NEXT_FOREIGN, (first, change))
    return first, foreign[0][0] - 1 if foreign else store._query(_NEWEST)[0][0]


def _part_of(store: Kycore, id: int) -> UnknownChangeError:
    whole = store._query("SELECT change FROM audit_log WHERE id = ?1", (id,))[0][0]
    return UnknownChangeError(f"{id} is no change but a part of change {whole}")


def _check_reach(store: Kycore, scope: str, change: int, at: int) -> None:
    back_to = reach(store, scope)
    # What was before a change of that very time may be gone.
    if back_to is not None and at <= back_to:
        raise _pruned(change, back_to)


def _pruned(change: int, back_to: int) -> UnknownChangeError:
    return UnknownChangeError(
        f"change {change} is too long ago: the history reaches back to {time_text(back_to)}"
    )


def _changed_since(change: int, keys: list[str]) -> ConflictError:
    names = ", ".join(map(repr, keys[:3]))
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    what = "the key has" if len(keys) == 1 else "keys have"
    return ConflictError(
        f"{what} changed since change {change}: {names}{more}",
        hint="to undo it all the same: --force, or force=True",
    )


# ---------------------------------------------------------------- one row


def _alive(found: Row | None, at: int) -> Row | None:
    """Return the row unless it had expired at a time."""
    if found is None or (found.expires_at is not None and found.expires_at <= at):
        return None
    return found


def _expiry_again(expires_at: int | None, then: int, now: int) -> int | None:
    """Return when a key is to expire that is brought back as it was ``then``."""
    if expires_at is None or expires_at > now:
        return expires_at
    return now + expires_at - then


def _same_value(found: Row, live: tuple[Any, ...]) -> bool:
    return found.kind == live[2] and is_same(found.kind, found.value, live[1])


def _needed(live: tuple[Any, ...] | None, found: Row | None, expires_at: int | None) -> int | None:
    """Return the operation that makes a key what it was, or None when it is that already."""
    if found is None:
        return None if live is None else DELETED
    if live is None or not _same_value(found, live):
        return RESTORED
    return None if live[4] == expires_at else LIFETIME


def _become(
    store: Kycore, now: int, scope: str, key: str, found: Row | None, expires_at: int | None
) -> bool:
    """Make a key, inside a transaction, what it was; return whether that changed anything."""
    op = _needed(store._live_row(now, scope, key), found, expires_at)
    if op is None:
        return False
    if found is None:
        store._remove(scope, key)
    else:
        size = len(found.value.encode()) if isinstance(found.value, str) else 0
        size = len(found.value) if isinstance(found.value, bytes) else size
        store._write(now, scope, key, found.kind, found.value, size, expires_at, RESTORED)
    return True
