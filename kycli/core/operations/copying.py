"""Copying and moving many keys: all that begin with a prefix, or a whole scope."""

from __future__ import annotations

from kycli.core.codec import check_scope, encode, range_of
from kycli.core.durations import listed, shown
from kycli.errors import ConflictError, InvalidKeyError, InvalidValueError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kycli.core.operations.entry import Entry
    from kycli.core.storage import Kycore

POLICIES = ("error", "skip", "overwrite")
"""What may be done with a key that is at the destination already."""


def copy_many(
    store: Kycore,
    prefix: str | None,
    scope: str | None,
    to_scope: str | None,
    to_prefix: str | None,
    on_conflict: str,
    *,
    remove: bool,
) -> int:
    """Copy the keys with a prefix and, with ``remove``, delete them where they were."""
    if isinstance(on_conflict, str):
        on_conflict = str.__str__(on_conflict)  # exactly, also for a member of a StrEnum
    if on_conflict not in POLICIES:
        raise InvalidValueError(
            f"unknown policy {shown(on_conflict)} for conflicts",
            hint="use error, skip or overwrite",
        )
    source = store._checked_scope(scope)
    target = source if to_scope is None else check_scope(to_scope)
    first, _ = range_of(prefix)
    to_first = first if to_prefix is None else range_of(to_prefix)[0]
    # One range inside the other would be read while it is written.
    if source == target and (first.startswith(to_first) or to_first.startswith(first)):
        if first == to_first:
            raise InvalidKeyError(f"scope {source!r} is both source and destination")
        raise InvalidKeyError(
            f"source and destination overlap: {first!r} and {to_first!r} in scope {source!r}",
            hint="neither prefix may begin with the other",
        )
    count = 0
    taken: list[str] = []
    with store.transaction():
        for entry in store.entries(first, scope=source):
            now = store._now()
            lifetime = None if entry.expires_at is None else entry.expires_at - now
            if lifetime is not None and lifetime <= 0:
                continue
            to_key = store._key(target, to_first + entry.key[len(first) :])
            if on_conflict != "overwrite" and store.exists(to_key, scope=target):
                if on_conflict == "error":
                    taken.append(to_key)
                continue
            if taken:
                continue  # nothing will be kept; what else is in the way is still said
            store._put(now, target, to_key, *_encoded(entry), lifetime)
            if remove:
                store._remove(source, entry.key)
            count += 1
        if taken:
            raise _conflict(target, taken)
    store._sweep_after(count)
    return count


def _encoded(entry: Entry) -> tuple[int, Any, int]:
    """Return a value as it is stored; plain SQL may have stored what kycli cannot."""
    try:
        stored: tuple[int, Any, int] = encode(entry.value)
    except InvalidValueError as error:
        raise InvalidValueError(
            f"the value of {shown(entry.key)} cannot be copied: {error}",
            hint="store it again without that; 'kycli get --json KEY' prints it",
        ) from None
    return stored


def _conflict(scope: str, keys: list[str]) -> ConflictError:
    what = "the key exists" if len(keys) == 1 else "keys exist"
    return ConflictError(
        f"{what} already in scope {scope!r}: {listed(keys)}",
        hint="skip or overwrite them (--on-conflict skip, --on-conflict overwrite)",
    )
