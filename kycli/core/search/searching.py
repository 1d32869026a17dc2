"""Search: read the index, and the keys that it lacks, in one snapshot.

A search first brings the index up to date. Some keys may still be missing: keys that another
process changes in between, and all new keys if the database cannot be written (a read-only file, a
snapshot, a lock that another process holds). They are searched in a temporary index for this one
search. Results are ordered by BM25, which weighs a word by how rare it is; the temporary index
knows only its own keys, so their order is approximate.
"""

from __future__ import annotations

from typing import NamedTuple

from kycli.core.codec import decode, encode
from kycli.core.search import indexing
from kycli.core.search.folding import fold
from kycli.core.search.queries import parse
from kycli.core.sql import index
from kycli.core.sql.fts import TextIndex
from kycli.core.sql.log import PAGE_ROWS
from kycli.errors import BusyError, DiskFullError, WrongTypeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from kycli.core.batches import Progress
    from kycli.core.search.indexing import State
    from kycli.core.search.queries import Query
    from kycli.core.sql.index import Doc, Found
    from kycli.core.storage import Kycore


class Hit(NamedTuple):
    """A key that a search has found.

    Attributes:
        scope, key, value: of the key, as it is now; the value is None when only keys
            were asked for.
        rank: FTS5's BM25; the lower, the better.
        marked_key, snippet: the key, and a line of the value around the first match; in
            pieces, each with whether it is a match. Empty unless asked for.
    """

    scope: str
    key: str
    value: Any
    rank: float
    marked_key: tuple[tuple[str, bool], ...] = ()
    snippet: tuple[tuple[str, bool], ...] = ()


def search(
    store: Kycore,
    query: str,
    scope: str | None,
    limit: int | None,
    *,
    keys_only: bool = False,
    snippets: bool = False,
    progress: Progress | None = None,
) -> list[Hit]:
    """Return the matches in a scope, or in all scopes if it is None; best first."""
    if not isinstance(query, str):
        raise WrongTypeError(f"a query is text, not {type(query).__name__}")
    parsed = parse(str.__str__(query))  # exactly, also for a member of a StrEnum
    if parsed is None or limit == 0:
        return []
    _catch_up(store, progress)
    most = -1 if limit is None else limit
    with store.snapshot():
        # It was current a moment ago, and most often still is.
        state = indexing.State(store)
        now = store._now()
        found: list[Found] = []
        if state.is_built:
            found = index.find(store, parsed, now, scope, state.watermark, most, keys_only)
        if not state.is_current:
            found += _unindexed(store, parsed, scope, most, keys_only, state)
            found = sorted(found, key=lambda row: row[0])[:limit]
    hits = [
        Hit(key_scope, key, None if keys_only else decode(value, kind), rank)
        for rank, key_scope, key, value, kind in found
    ]
    if not snippets:
        return hits
    from kycli.core.search.snippets import mark

    texts = [(hit.key, "" if hit.value is None else _text(hit.value)) for hit in hits]
    return [
        hit._replace(marked_key=key, snippet=snippet)
        for hit, (key, snippet) in zip(hits, mark(texts, parsed), strict=True)
    ]


def _text(value: Any) -> str:
    kind, stored, _ = encode(value)
    return indexing.text_of(kind, stored)


def _catch_up(store: Kycore, progress: Progress | None) -> None:
    """Let the index catch up, where that is possible now."""
    if store.read_only or store._in_snapshot():
        return
    try:
        indexing.catch_up(store, progress)
    except (BusyError, DiskFullError):
        pass  # reading does not depend on it


# What the index does not have yet


def _unindexed(
    store: Kycore, query: Query, scope: str | None, most: int, keys_only: bool, state: State
) -> list[Found]:
    """Return the matches among the keys whose current values are not indexed."""
    scratch = TextIndex()
    try:
        scratch.add_keys(_texts(store, scope, state))
        best = scratch.find(query, most)
    finally:
        scratch.close()
    if keys_only:
        return [(*row, None, None) for row in best]
    return [(*row, *index.stored(store, *row[1:])) for row in best]


def _texts(store: Kycore, scope: str | None, state: State) -> Iterator[tuple[str, str, str, str]]:
    """Yield scope, key and folded texts of each live key that has changed since the watermark."""
    for doc in _unseen(store, scope, state):
        if doc.kind is not None:
            text = indexing.searchable(store, doc.kind, doc.value, doc.home)
            yield doc.scope, doc.key, fold(doc.key), fold(text)


def _unseen(store: Kycore, scope: str | None, state: State) -> Iterator[Doc]:
    """Yield the live keys that have changed since the watermark, or all without an index."""
    now = store._now()
    after, last = state.watermark or 0, ("", "")
    while True:
        if state.is_built:
            docs = index.changed_live(store, now, scope, after)
        else:
            docs = index.all_live(store, now, scope, last)
        yield from docs
        if len(docs) < PAGE_ROWS:
            return
        after, last = docs[-1].id, docs[-1][:2]
