"""Changes that depend on the current value: counting, appending, lifetimes, copying.

Each is one transaction that takes the write lock before it reads. ``update`` is the
exception, because it calls a function of the caller's: it reads and computes without the
lock, then takes it, and begins again if the key has changed meanwhile.
"""

from __future__ import annotations

import math
import random
import time

from kycli.core.codec import decode, encode
from kycli.core.durations import parse_ttl, shown
from kycli.core.operations.expiry_rules import is_cache, is_plain, not_a_cache
from kycli.core.operations.numbers import parse_number
from kycli.errors import (
    ConflictError,
    InvalidKeyError,
    InvalidValueError,
    MissingKeyError,
    MisuseError,
    WrongTypeError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from kycli.core.storage import Kycore

_MAX_PAUSE = 0.5
"""Longest pause between two attempts of ``update``, in seconds."""


def _checked(store: Kycore, key: str, scope: str | None) -> tuple[str, str]:
    """Return the scope of a call, and the key as it is in that scope."""
    scope = store._checked_scope(scope)
    return scope, store._key(scope, key)


def _rewrite(
    store: Kycore, now: int, scope: str, key: str, row: tuple[Any, ...] | None, value: Any
) -> None:
    """Write a new value and keep the lifetime of the row; a new key gets the scope's."""
    kind, stored, size = encode(value)
    if row is None:
        store._put(now, scope, key, kind, stored, size, None)
    else:
        store._write(now, scope, key, kind, stored, size, row[4])


def getset(
    store: Kycore, key: str, value: Any, default: Any, ttl: float | str | None, scope: str | None
) -> Any:
    """Save a value and return the one before, or ``default``."""
    scope, key = _checked(store, key, scope)
    lifetime = None if ttl is None else parse_ttl(ttl)
    kind, stored, size = encode(value)
    with store.transaction():
        now = store._now()
        row = store._live_row(now, scope, key)
        store._put(now, scope, key, kind, stored, size, lifetime)
    store._sweep_after(1)
    return default if row is None else decode(row[1], row[2])


def pop(store: Kycore, key: str, default: Any, scope: str | None) -> Any:
    """Delete a key and return its value, or ``default`` unless that is ``...``."""
    scope, key = _checked(store, key, scope)
    with store.transaction():
        row = store._live_row(store._now(), scope, key)
        if row is not None:
            store._remove(scope, key)
    store._sweep_after(1)
    if row is not None:
        return decode(row[1], row[2])
    if default is ...:
        raise _missing(scope, key)
    return default


def update(
    store: Kycore,
    key: str,
    function: Callable[[Any], Any],
    default: Any,
    attempts: int,
    scope: str | None,
) -> Any:
    """Save what a function makes of the value, unless the key has changed meanwhile."""
    scope, key = _checked(store, key, scope)
    if not callable(function):
        raise WrongTypeError(f"update takes a function, not {type(function).__name__}")
    if type(attempts) is not int:
        raise WrongTypeError(f"attempts is a whole number, not {shown(attempts)}")
    if attempts < 1:
        raise InvalidValueError(f"attempts is a whole number from 1 up, not {shown(attempts)}")
    if store._in_snapshot():
        raise MisuseError("a snapshot is for reading, not for writing")
    kind, stored, _ = (0, None, 0) if default is ... else encode(default)
    for attempt in range(1, attempts + 1):
        started = time.monotonic()
        seen = store._live_row(store._now(), scope, key)
        if seen is None and default is ...:
            raise _missing(scope, key)
        # The function may change what it is given, so it gets a copy, of the default too.
        value = function(decode(stored, kind) if seen is None else decode(seen[1], seen[2]))
        encoded = encode(value)
        with store.transaction():
            now = store._now()
            row = store._live_row(now, scope, key)
            if _is_same(row, seen):
                if row is None:
                    store._put(now, scope, key, *encoded, None)
                else:
                    store._write(now, scope, key, *encoded, row[4])
                break
        if attempt == attempts:
            raise ConflictError(
                f"the key {key!r} has changed during each of {attempts} attempts to update it",
                hint="try again when fewer others write to it",
            )
        # In proportion to the time of an attempt, so that competing writers drift apart.
        pause = (time.monotonic() - started) * attempt
        time.sleep(random.uniform(0, min(pause, _MAX_PAUSE)))
    store._sweep_after(1)
    return value


def _is_same(row: tuple[Any, ...] | None, seen: tuple[Any, ...] | None) -> bool:
    """Whether a key still has the value that was seen; its lifetime may be another."""
    if row is None or seen is None:
        return row is seen
    return row[6] == seen[6] or row[1:4] == seen[1:4]


def _missing(scope: str, key: str) -> MissingKeyError:
    return MissingKeyError(f"no key {key!r} in scope {scope!r}")


def incr(store: Kycore, key: str, by: float, scope: str | None) -> int | float:
    """Add to a number and return the sum."""
    scope, key = _checked(store, key, scope)
    if type(by) is not int and type(by) is not float:
        raise WrongTypeError(f"cannot add {shown(by)}", hint="an increment is a number")
    with store.transaction():
        now = store._now()
        row = store._live_row(now, scope, key)
        total = by if row is None else _sum(_number(key, decode(row[1], row[2])), by)
        if isinstance(total, float) and not math.isfinite(total):
            raise InvalidValueError(f"the sum is {total}, no finite number")
        _rewrite(store, now, scope, key, row, total)
    store._sweep_after(1)
    return total


def _number(key: str, value: Any) -> int | float:
    """Return the number that a value is or spells."""
    if type(value) is int or type(value) is float:
        return value
    number = parse_number(value) if type(value) is str else None
    if number is None:
        raise WrongTypeError(f"the value of {key!r} is not a number")
    return number


def _sum(value: float, by: float) -> int | float:
    try:
        return value + by
    except OverflowError:
        raise InvalidValueError("an int this large and a float have no sum") from None


def append(store: Kycore, key: str, suffix: str | bytes, scope: str | None) -> int:
    """Append text or bytes to a value and return its new length."""
    scope, key = _checked(store, key, scope)
    if isinstance(suffix, str):
        suffix = str.__str__(suffix)  # exactly, also for a member of a StrEnum
    elif type(suffix) is not bytes:
        raise WrongTypeError(f"cannot append a value of type {type(suffix).__name__}")
    encode(suffix)  # refuses text that could not be stored
    with store.transaction():
        now = store._now()
        row = store._live_row(now, scope, key)
        whole = suffix if row is None else _joined(key, decode(row[1], row[2]), suffix)
        _rewrite(store, now, scope, key, row, whole)
    store._sweep_after(1)
    return len(whole)


def _joined(key: str, value: Any, suffix: str | bytes) -> str | bytes:
    if type(value) is not str and type(value) is not bytes:
        from kycli.core.documents.paths import kind_of

        raise WrongTypeError(f"the value of {key!r} is {kind_of(value)}, neither text nor bytes")
    if isinstance(value, str) and isinstance(suffix, str):
        return value + suffix
    return _as_bytes(value) + _as_bytes(suffix)


def _as_bytes(part: str | bytes) -> bytes:
    return part.encode() if isinstance(part, str) else part


def expire(store: Kycore, key: str, ttl: float | str, scope: str | None) -> bool:
    """Give an existing key a new time to live, from now."""
    scope, key = _checked(store, key, scope)
    lifetime = parse_ttl(ttl)
    with store.transaction():
        if not is_plain(scope) and not is_cache(store, scope):
            raise not_a_cache(scope)
        now = store._now()
        return _set_lifetime(store, now, scope, key, now + lifetime)


def persist(store: Kycore, key: str, scope: str | None) -> bool:
    """Make a key permanent."""
    scope, key = _checked(store, key, scope)
    with store.transaction():
        return _set_lifetime(store, store._now(), scope, key, None)


def _set_lifetime(store: Kycore, now: int, scope: str, key: str, expires_at: int | None) -> bool:
    row = store._live_row(now, scope, key)
    if row is None:
        return False
    kind, stored, size = encode(decode(row[1], row[2]))
    store._write(now, scope, key, kind, stored, size, expires_at)
    return True


def ttl(store: Kycore, key: str, scope: str | None) -> float | None:
    """Return the seconds that a key has left, infinity if permanent, None if missing."""
    scope, key = _checked(store, key, scope)
    now = store._now()
    row = store._live_row(now, scope, key)
    if row is None:
        return None
    return math.inf if row[4] is None else (row[4] - now) / 1000


def transfer(
    store: Kycore,
    key: str,
    to_key: str | None,
    scope: str | None,
    to_scope: str | None,
    overwrite: bool,
    remove: bool,
) -> bool:
    """Copy a key to another name or scope and, with ``remove``, delete it where it was."""
    source, key = _checked(store, key, scope)
    to_key = key if to_key is None else to_key
    target, to_key = _checked(store, to_key, source if to_scope is None else to_scope)
    if source == target and key == to_key:
        raise InvalidKeyError(f"{key!r} is both source and destination")
    with store.transaction():
        now = store._now()
        row = store._live_row(now, source, key)
        if row is None:
            return False
        if not overwrite and store._live_row(now, target, to_key) is not None:
            raise ConflictError(
                f"the key {to_key!r} exists already in scope {target!r}",
                hint="delete it first, or overwrite it (--force)",
            )
        kind, stored, size = encode(decode(row[1], row[2]))
        lifetime = None if row[4] is None else row[4] - now
        store._put(now, target, to_key, kind, stored, size, lifetime)
        if remove:
            store._remove(source, key)
    store._sweep_after(1)
    return True
