"""Bringing back earlier values: of one key, of a whole scope, or from before one change.

Each is one transaction, and a change of its own in the history, so it can be undone.
Restoring reads the log from the chosen position on and nothing else, so it costs what has
changed since, not what there is.

Lifetimes: an expiry that is still to come is kept as it was. Where it has passed since, the
key gets the time that it had left then, from now on.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from kycli.core.codec import decode, is_same
from kycli.core.durations import listed, shown
from kycli.core.history.changes import (
    alive,
    head,
    position_at,
    row_at,
    time_before_renaming,
    time_in_history,
)
from kycli.core.history.times import Time, time_text
from kycli.core.layout import (
    DELETED,
    EXPIRED,
    IMPORTS,
    LIFETIME,
    OPERATIONS,
    RESERVED,
    RESTORED,
    SCHEMAS,
)
from kycli.core.operations.expiry_rules import has_expired
from kycli.core.sql import log, retained, rows
from kycli.errors import (
    ConflictError,
    InvalidValueError,
    MissingKeyError,
    MisuseError,
    UnknownChangeError,
    WrongTypeError,
)  # fmt: skip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kycli.core.sql.log import Row
    from kycli.core.storage import Kycore


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
    scope = store._checked_scope(scope)
    key = store._key(scope, key)
    if timestamp is not None and version is not None:
        raise MisuseError("restore takes a time or a version, not both")
    if version is not None:
        check_version(version)
    with store.transaction():
        now = store._now()
        if timestamp is not None:
            at = time_in_history(store, scope, timestamp)
            found = alive(row_at(store, scope, key, position_at(store, at)), at)
            if found is None:
                raise MissingKeyError(f"no key {key!r} in scope {scope!r} at {time_text(at)}")
            expires_at = _postponed(found, at, now)
        else:
            live = store._live_row(now, scope, key)
            if live is None:
                store._remove(scope, key)  # into the archive, if it has expired unnoticed
            found = earlier_value(store, scope, key, live, version)
            expires_at = live[4] if live else _expiry_of_removed(store, scope, found, now)
        changed = _bring_back(store, now, scope, key, found, expires_at)
    store._sweep_after(1)
    return "restored" if changed else "nochange"


def check_version(version: Any) -> None:
    """Refuse an invalid version number."""
    if type(version) is not int:
        raise WrongTypeError(f"a version is a whole number, not {shown(version)}")
    if version < 1:
        raise InvalidValueError(f"a version is a whole number from 1 up, not {shown(version)}")


def earlier_value(
    store: Kycore, scope: str, key: str, live: tuple[Any, ...] | None, version: int | None
) -> Row:
    """Return the newest value that a key had before the one it has, or that of a version.

    Parameters:
        live: the live row of the key, None when there is none.

    Raises:
        MissingKeyError: when there is no such value.
    """
    archived = rows.archived(store, scope, key)
    if live is None and archived is not None and version in (None, archived.version):
        return archived
    start = live[6] if live else archived.id if archived else None
    while start is not None and (version is None or version <= log.MAX_ID):
        found = log.earlier(store, start, version)
        value = found and log.row(store, found[0])
        if found is None or value is None:
            break
        id, start = found
        if version is not None or not live or not _is_value(value, live):
            return value
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


def _expiry_of_removed(store: Kycore, scope: str, found: Row, now: int) -> int | None:
    """Return when a removed key is to expire after its value was brought back.

    The archive says when it was removed, and so what time it had left. A key that had none
    left, or whose value is older, gets the lifetime of a key that is saved now.
    """
    if not has_expired(found.expires_at, now):
        return found.expires_at
    if found.op == DELETED and found.expires_at > found.timestamp:
        return now + found.expires_at - found.timestamp
    lifetime = store._lifetime_in(scope, None)
    return None if lifetime is None else now + lifetime


# ---------------------------------------------------------------- a scope, or all


def restore_to(
    store: Kycore, time: Time, scope: str | None, all_scopes: bool, dry_run: bool
) -> int:
    """Take a scope, or all, back to a time; return how many keys that changes."""
    if dry_run:
        return sum(1 for _ in differences(store, time, scope, all_scopes))
    scope = _scope_or_all(store, scope, all_scopes)
    count = 0
    with store.transaction():
        now = store._now()
        at = time_before_renaming(store, scope, time)
        for key_scope, key, found, expires_at in _earlier_states(store, scope, at, now):
            if key_scope == SCHEMAS:
                continue  # what is declared stays as it is
            changed = _bring_back(store, now, key_scope, key, found, expires_at)
            count += changed and key_scope != IMPORTS
    store._sweep_after(count)
    return count


def differences(
    store: Kycore, time: Time, scope: str | None, all_scopes: bool
) -> Iterator[Difference]:
    """Return an iterator over what ``restore_to`` would do; bad arguments raise at once."""
    scope = _scope_or_all(store, scope, all_scopes)
    return _differences(store, scope, time_before_renaming(store, scope, time))


def _differences(store: Kycore, scope: str | None, at: int) -> Iterator[Difference]:
    now = store._now()
    for key_scope, key, found, expires_at in _earlier_states(store, scope, at, now):
        op = _needed(store._live_row(now, key_scope, key), found, expires_at)
        if op is not None and not key_scope.startswith(RESERVED):
            yield Difference(key, OPERATIONS[op], key_scope)


def _scope_or_all(store: Kycore, scope: str | None, all_scopes: bool) -> str | None:
    if not all_scopes:
        return store._checked_scope(scope)
    if scope is not None:
        raise MisuseError("restore_to takes a scope or all of them, not both")
    return None


def _earlier_states(
    store: Kycore, scope: str | None, at: int, now: int
) -> Iterator[tuple[str, str, Row | None, int | None]]:
    """Yield scope and key of what may have changed since a time, its value then, and its expiry."""
    position, newest = position_at(store, at), log.newest(store)
    for states in (
        log.changed_since(store, position, newest, scope),
        rows.expired_between(store, at, now, position, scope),
    ):
        for key_scope, key, id in states:
            found = alive(log.row(store, id), at)
            yield key_scope, key, found, _postponed(found, at, now)


# ---------------------------------------------------------------- one change


def undo(store: Kycore, change: int | None, scope: str | None, force: bool) -> int:
    """Take back what one change did; return how many keys that changes."""
    scope = store._checked_scope(scope)
    if change is not None and type(change) is not int:
        raise WrongTypeError(f"a change is a whole number, not {shown(change)}")
    count = 0
    conflicts: list[str] = []
    with store.transaction():
        now = store._now()
        number = _newest_change(store, scope) if change is None else change
        for key_scope, key, prev, at in _first_parts(store, number, conflicts):
            if key_scope == IMPORTS:
                store._remove(key_scope, key)  # an import that was undone is not gone on with
                continue
            _check_retained(store, key_scope, number, at)
            if log.change_of_head(store, head(store, key_scope, key)) != number:
                conflicts.append(key)
            if not conflicts or force:
                found = alive(log.row(store, prev), at)
                expires_at = _postponed(found, at, now)
                count += _bring_back(store, now, key_scope, key, found, expires_at)
        if conflicts and not force:
            raise _conflict(number, conflicts)
    store._sweep_after(count)
    return count


def _newest_change(store: Kycore, scope: str) -> int:
    part = log.last_part(store, log.MAX_ID, scope=scope)
    renamed = log.renamed_since(store, scope, 0 if part is None else part.id)
    if renamed is not None:
        old, new = renamed
        raise UnknownChangeError(
            f"the newest change is that scope {old!r} was renamed to {new!r}, "
            "which undo does not take back",
            hint=f"'kycli rename-scope {new} {old}' does; or undo a change by its id, "
            f"which 'kycli history --scope {new}' shows",
        )
    if part is None:
        raise UnknownChangeError(f"there is nothing to undo in scope {scope!r}")
    return part.change


def _first_parts(
    store: Kycore, change: int, conflicts: list[str]
) -> Iterator[tuple[str, str, int | None, int]]:
    """Yield each key of a change: scope, key, the row before the change, the time.

    Keys that others changed between two parts of the change are added to ``conflicts``.
    """
    for scope, key, prev, at in log.parts_of(store, change, _last_row(store, change)):
        is_met, others = False, 0
        if prev is not None and prev >= change:
            is_met, others = log.back_to_change(store, prev, change)
        if not is_met:
            yield scope, key, prev, at
        elif others:
            conflicts.append(key)


def _last_row(store: Kycore, change: int) -> int:
    """Return the position up to which the parts of a change are.

    Raises:
        UnknownChangeError: when there is no such change, or a part of it was pruned.
    """
    is_id = 0 < change <= log.MAX_ID
    known = log.part_of(store, change) if is_id else None
    is_incomplete = is_id and retained.end_of_incomplete(store, change) is not None
    if known is None and not is_incomplete:
        oldest = retained.retained_since(store, None)
        if 0 < change <= log.newest(store) and oldest is not None:
            raise _pruned(change, oldest)
        raise UnknownChangeError(
            f"there is no change {shown(change)}", hint="'kycli history' shows the changes"
        )
    first = log.first_part(store, change)
    if known is not None and (first is None or first.change != change):
        operation, whole = known
        if operation == EXPIRED:
            raise UnknownChangeError(
                f"change {change} is the expiry of a key, which cannot be undone",
                hint="'kyr KEY' brings back its value",
            )
        raise UnknownChangeError(f"{change} is no change but a part of change {whole}")
    if first is not None and first.is_alone:
        return first.id
    if first is None or is_incomplete:
        raise UnknownChangeError(
            f"a part of change {change} was pruned, so it cannot be undone",
            hint="to bring back the value of one key: kyr KEY",
        )
    # Nothing interrupts a transaction of a program. Of a command, later transactions may
    # be parts of the change, too.
    other = None if first.command else log.first_part(store, first.id + 1, other_than=change)
    return log.newest(store) if other is None else other.id - 1


def _check_retained(store: Kycore, scope: str, change: int, at: int) -> None:
    oldest = retained.retained_since(store, scope)
    # What was there before a change of that very time may have been pruned.
    if oldest is not None and at <= oldest:
        raise _pruned(change, oldest)


def _pruned(change: int, oldest: int) -> UnknownChangeError:
    return UnknownChangeError(
        f"change {change} is too long ago: the history reaches back to {time_text(oldest)}"
    )


def _conflict(change: int, keys: list[str]) -> ConflictError:
    what = "the key has" if len(keys) == 1 else "keys have"
    return ConflictError(
        f"{what} changed since change {change}: {listed(keys)}",
        hint="to undo it all the same: --force, or force=True",
    )


# ---------------------------------------------------------------- one row


def _postponed(found: Row | None, at: int, now: int) -> int | None:
    """Return when a key is to expire that is brought back as it was at a time."""
    if found is None or not has_expired(found.expires_at, now):
        return found and found.expires_at
    return now + found.expires_at - at


def _is_value(found: Row, live: tuple[Any, ...]) -> bool:
    """Whether a live row has the value that was found."""
    return found.kind == live[2] and is_same(found.kind, found.value, live[1])


def _needed(live: tuple[Any, ...] | None, found: Row | None, expires_at: int | None) -> int | None:
    """Return the operation that brings a key back, or None when it is as it was."""
    if found is None:
        return None if live is None else DELETED
    if live is None or not _is_value(found, live):
        return RESTORED
    return None if live[4] == expires_at else LIFETIME


def _bring_back(
    store: Kycore, now: int, scope: str, key: str, found: Row | None, expires_at: int | None
) -> bool:
    """Make a key, inside a transaction, what it was; return whether that changed anything."""
    op = _needed(store._live_row(now, scope, key), found, expires_at)
    if op is None:
        return False
    if found is None:
        store._remove(scope, key)
    elif scope == SCHEMAS:
        from kycli.core.schemas import registry

        registry.bring_back(store, key, decode(found.value, found.kind))
    else:
        size = len(found.value.encode()) if isinstance(found.value, str) else 0
        size = len(found.value) if isinstance(found.value, bytes) else size
        store._write(now, scope, key, found.kind, found.value, size, expires_at, RESTORED)
    return True
