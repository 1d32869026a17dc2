"""The first bytes of values, and removed keys: for programs that display a store."""

from __future__ import annotations

from typing import Any, NamedTuple

from kycli.core.codec import decode
from kycli.core.layout import BIGINT, BOOL, BYTES, FLOAT, INT, JSON, NONE, OPAQUE, TEXT
from kycli.core.sql import log, rows
from kycli.errors import CorruptError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kycli.core.storage import Kycore

_TYPES = {
    TEXT: "text", BYTES: "bytes", INT: "int", FLOAT: "float", BOOL: "bool", NONE: "null",
    JSON: "json", BIGINT: "int", OPAQUE: "opaque",
}  # fmt: skip


class Excerpt(NamedTuple):
    """A value, or the beginning of a large one.

    Attributes:
        type: ``"text"``, ``"bytes"``, ``"int"``, ``"float"``, ``"bool"``, ``"null"``, ``"json"``,
            ``"opaque"`` (encrypted by an earlier kycli) or ``"unreadable"``.
        head: the value, with its type, if it is whole. Otherwise its beginning: bytes, or text,
            also of a JSON document; empty where a value was too large to be looked at.
        size: of the value in bytes, as it is stored.
        is_whole: whether ``head`` is all of it.
    """

    type: str
    head: Any
    size: int
    is_whole: bool


class Preview(NamedTuple):
    """One key, with no more than the beginning of a large value.

    Attributes:
        key: the key.
        value: what there is of the value.
        version, expires_at, updated_at: as of an ``Entry``.
    """

    key: str
    value: Excerpt
    version: int
    expires_at: int | None
    updated_at: int


def excerpt_of(stored: Any, kind: int, size: int) -> Excerpt:
    """Return a value as it is stored, or its first bytes, for people to read.

    Parameters:
        size: of the whole value.
    """
    type = _TYPES.get(kind, "unreadable")
    if isinstance(stored, bytes) and len(stored) < size:
        head = stored if kind == BYTES else stored.decode("utf-8", "ignore")
        return Excerpt(type, head, size, False)
    try:
        value = decode(stored, kind)
    except (CorruptError, ValueError):
        return Excerpt("unreadable", stored, size, True)
    return Excerpt(type, stored if kind == OPAQUE else value, size, True)


def preview(store: Kycore, scope: str, key: str, most: int, version: int | None) -> Preview | None:
    """Return what there is of a key, now or at a version, with so many bytes of its value."""
    key = store._key(scope, key)
    with store.snapshot():
        if version is None:
            found = rows.outline(store, store._now(), scope, key, most)
        else:
            found = _past_outline(store, scope, key, most, version)
    if found is None:
        return None
    value, kind, size, at, expires_at, updated_at = found
    return Preview(key, excerpt_of(value, kind, size), at, expires_at, updated_at)


def _past_outline(
    store: Kycore, scope: str, key: str, most: int, version: int
) -> tuple[Any, int, int, int, int | None, int] | None:
    head = log.head(store, scope, key)
    row = log.earlier(store, head and head[0], version) if version <= log.MAX_ID else None
    if row is None:
        return None
    kind, _, expires_at, time, size = log.sized(store, row[0])
    return log.beginning(store, row[0], size, most), kind, size, version, expires_at, time


def removed_keys(
    store: Kycore, scope: str, first: str, past: str | bytes, reverse: bool, limit: int | None
) -> list[str]:
    """Return the keys of a range that were removed and can be restored, sorted."""
    return rows.removed(store, store._now(), scope, (first, past), reverse, limit)
