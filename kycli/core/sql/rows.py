"""The live keys (``kvstore``) and the removed ones (``archive``).

What each call needs is done by methods of the store, in native code: ``_live_row``,
``_put``, ``_write``, ``_remove``, and the listings. These are the rest.

SQLite is relied on for: a primary key that is the table, so a range of keys is read in
order without a sort; comparing rows, ``(a, b) > (x, y)``, by an index; text sorting by its
bytes and before every BLOB, so ``b""`` is past all keys.
"""

from __future__ import annotations

from typing import Any

from kycli.core.layout import LIVE
from kycli.core.sql.log import PAGE_ROWS, KeyState, Row, beginning, sized

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from kycli.core.storage import Kycore

Outline: TypeAlias = "tuple[str, Any, int, int, int | None]"
"""A live key: its name, its value or the digest of a large one, the kind, whether that is
the value, and the expiry. Two that are equal have the same value."""

_ARCHIVED = """
SELECT seq, value, kind, op, version, deleted_at, expires_at FROM archive
WHERE scope = ?1 AND key = ?2 ORDER BY id DESC LIMIT 1"""

# A large value that plain SQL wrote is in the row, and differs here from the digest of the same
# value in the log.
_OUTLINES = f"""
SELECT key, ifnull(digest, value), kind, home IS NULL, expires_at FROM kvstore
WHERE scope = ?2 AND key >= ?3 AND key < ?4 AND {LIVE} ORDER BY key LIMIT ?5"""

_EXPIRED_BETWEEN = f"""
SELECT expires_at, scope, key, seq FROM kvstore
WHERE (expires_at, scope, key) > (?1, ?2, ?3) AND expires_at <= ?4 AND seq <= ?5
    AND (?6 IS NULL OR scope = ?6) AND key >= ?7 AND key < ?8
ORDER BY expires_at, scope, key LIMIT {PAGE_ROWS}"""


_TRAITS = f"""
SELECT DISTINCT kind, expires_at IS NOT NULL FROM kvstore
WHERE scope = ?2 AND key >= ?3 AND key < ?4 AND {LIVE}"""


# A value of more than ?4 bytes is not read: only its beginning, and only where it is in the row.
_OUTLINE = f"""
SELECT CASE WHEN k.home IS NOT NULL THEN NULL WHEN octet_length(k.value) > ?4
            THEN substr(CAST(k.value AS BLOB), 1, ?4) ELSE k.value END,
    k.kind, ifnull(octet_length(k.value), 0), k.version, k.expires_at, k.updated_at, k.home
FROM kvstore k WHERE k.scope = ?2 AND k.key = ?3 AND {LIVE}"""

_REMOVED = [
    f"""
SELECT a.key FROM archive a
WHERE a.scope = ?2 AND a.key >= ?3 AND a.key < ?4 AND NOT EXISTS (
    SELECT 1 FROM kvstore WHERE scope = a.scope AND key = a.key AND {LIVE}
) GROUP BY a.key ORDER BY a.key {direction} LIMIT ?5"""
    for direction in ("", "DESC")
]


def traits(store: Kycore, scope: str, first: str, past: str | bytes) -> list[tuple[int, int]]:
    """Return the kinds of the live keys of a range, each with whether such keys expire."""
    return store._query(_TRAITS, (store._now(), scope, first, past))


def archived(store: Kycore, scope: str, key: str) -> Row | None:
    """Return the value that a key had when it was last removed, as of the removal."""
    rows = store._query(_ARCHIVED, (scope, key))
    return Row(*rows[0]) if rows else None


def outlines(
    store: Kycore, now: int, scope: str, first: str, past: str | bytes, most: int
) -> list[Outline]:
    """Return a page of the live keys from ``first`` on, without reading large values."""
    return store._query(_OUTLINES, (now, scope, first, past, most))


def outline(
    store: Kycore, now: int, scope: str, key: str, most: int
) -> tuple[Any, int, int, int, int | None, int] | None:
    """Return value, kind, size, version, expiry and time of change of a live key.

    Call it inside a snapshot.

    Parameters:
        most: of a value of more bytes only so many are read, and returned as bytes.
    """
    found = store._query(_OUTLINE, (now, scope, key, most))
    if not found:
        return None
    value, kind, size, version, expires_at, updated_at, home = found[0]
    if home is not None:
        size = sized(store, home)[-1]
        value = beginning(store, home, size, most)
    return value, kind, size, version, expires_at, updated_at


def removed(
    store: Kycore, now: int, scope: str, bounds: tuple[str, str | bytes], reverse: bool,
    limit: int | None,
) -> list[str]:  # fmt: skip
    """Return the keys of a range that are in the archive and not live, sorted."""
    most = -1 if limit is None else limit
    return [key for (key,) in store._query(_REMOVED[reverse], (now, scope, *bounds, most))]


def expired_between(
    store: Kycore, after: int, upto: int, position: int, scope: str | None,
    bounds: tuple[str, str | bytes] = ("", b""),
) -> Iterator[KeyState]:  # fmt: skip
    """Yield the keys that expired after one time and up to another and are not archived yet.

    Reads in pages, between which the caller may write.

    Parameters:
        position: keys that changed after it are left out.
        scope: None for all.
        bounds: the first key, and the text or BLOB that is past the last.
    """
    last: tuple[int, str, str] = (after + 1, "", "")
    while rows := store._query(_EXPIRED_BETWEEN, (*last, upto, position, scope, *bounds)):
        for _, *state in rows:
            yield KeyState(*state)
        last = rows[-1][:3]
