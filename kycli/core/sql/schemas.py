"""Stored schemas: rows of ``kvstore`` in a scope of their own, under the names of scopes.

SQLite is relied on for nothing that the live keys do not need.
"""

from __future__ import annotations

from typing import Any

from kycli.core.codec import decode, encode
from kycli.core.layout import SCHEMAS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kycli.core.storage import Kycore

_NAMES = f"SELECT key FROM kvstore WHERE scope = '{SCHEMAS}' ORDER BY key"


def names(store: Kycore) -> list[str]:
    """Return the scopes that have a schema, sorted."""
    return [scope for (scope,) in store._query(_NAMES)]


def stored(store: Kycore, scope: str) -> tuple[Any, int, int] | None:
    """Return the stored schema of a scope, its version and when it was set, or None."""
    row = store._live_row(0, SCHEMAS, scope)
    return None if row is None else (decode(row[1], row[2]), row[3], row[5])


def stored_version(store: Kycore, scope: str) -> int:
    """Return the version of the schema of a scope, without reading it; 0 when there is none."""
    row = store._live_row(0, SCHEMAS, scope)
    return 0 if row is None else row[3]


def store_schema(store: Kycore, scope: str, document: Any) -> None:
    """Store the schema of a scope, inside a transaction; None removes it."""
    if document is None:
        store._remove(SCHEMAS, scope)
    else:
        store._put(store._now(), SCHEMAS, scope, *encode(document), None)


def rename(store: Kycore, scope: str, to_scope: str) -> None:
    """Give the schema of a scope to another one, inside a transaction."""
    found = stored(store, scope)
    if found is not None:
        store_schema(store, to_scope, found[0])
        store_schema(store, scope, None)
