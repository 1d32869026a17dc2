"""Dumping: everything that a store has of some scopes, as records.

A dump without history has the current state: settings of scopes, keys, and the archived values
that can be restored. A dump with history also has every retained change, and always the archive,
because the history of a deleted key ends there.

Schemas are keys of a hidden scope, and dumped as such.
"""

from __future__ import annotations

from kycli.core.codec import check_scope, decode, range_of
from kycli.core.dump.records import (
    MISSING,
    ArchivedRecord,
    AuthorRecord,
    ChangeRecord,
    IncompleteRecord,
    KeyRecord,
    NoteRecord,
    ScopeRecord,
)
from kycli.core.layout import BYPASS, LIFETIME, OPERATIONS, SCHEMAS
from kycli.core.sql import dump as sql
from kycli.core.sql import retained

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kycli.core.dump.records import Record
    from kycli.core.storage import Kycore


def dump(
    store: Kycore,
    scopes: Iterable[str] | None,
    prefix: str | None,
    history: bool,
    archive: bool,
) -> Iterator[Record]:
    """Return an iterator over records; bad arguments raise at once."""
    given = sql.scopes(store, history) if scopes is None else scopes
    chosen = list(dict.fromkeys(map(check_scope, given)))
    return _records(store, chosen, range_of(prefix), history, archive or history)


def _records(
    store: Kycore, scopes: list[str], keys: sql.Range, history: bool, archive: bool
) -> Iterator[Record]:
    now = store._now()
    # Schemas first, so that whoever reads values knows them.
    with_schemas = [SCHEMAS, *scopes] if sql.has_schemas(store, scopes, history) else scopes
    for scope in with_schemas:
        since = retained.retained_since(store, scope) if history else None
        yield ScopeRecord(scope, sql.declared(store, scope), since)
    if history:
        yield from _history(store, scopes, keys)
    all_keys = range_of(None)
    for scope in with_schemas:
        # With its history, a key that has expired unnoticed is the end of a chain.
        wanted = all_keys if scope == SCHEMAS else keys
        for row in sql.live_rows(store, -1 if history else now, scope, wanted):
            key, value, kind, version, time, expires_at, seq = row
            if scope == SCHEMAS and key not in scopes:
                continue
            yield KeyRecord(
                *(scope, key, decode(value, kind), version, time, expires_at),
                seq if history else None,
            )
    if archive:
        for row in sql.archived_rows(store, scopes, keys, history):
            scope, key, value, kind, op, version, time, gone, expires_at, seq, prev = row
            if not history:
                seq = prev = None
            yield ArchivedRecord(
                *(scope, key, decode(value, kind), OPERATIONS[op], version),
                *(time, gone, expires_at, seq, prev),
            )


def _history(store: Kycore, scopes: list[str], keys: sql.Range) -> Iterator[Record]:
    known: dict[int | None, int | None] = {None: None}
    last = 0
    for row in sql.log_rows(store, scopes, keys):
        id, scope, key, value, kind, op, version, prev, at, expires_at, change, author, pid = row
        if author not in known:
            named = sql.author(store, author)
            known[author] = None if named is None else author
            if named is not None:
                yield AuthorRecord(author, *named)
        author, last = known[author], id
        if op == BYPASS:
            if change == id or value in scopes or key in scopes:
                old = value if key else None
                yield NoteRecord(id, at, change, key or None, old, author, pid)
            continue
        has_none = kind is None or (op == LIFETIME and value is None)
        value = MISSING if has_none else decode(value, kind)
        yield ChangeRecord(
            *(id, scope, key, OPERATIONS[op], version, at, value),
            *(prev, expires_at, change, author, pid),
        )
    ends = sql.incomplete(store)
    for change, end in sql.torn(store, scopes, keys).items():
        ends[change] = max(end, ends.get(change, 0))
    for change, end in sorted(ends.items()):
        if change <= last:
            yield IncompleteRecord(change, end)
