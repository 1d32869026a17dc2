"""Search: the index and what it has yet to see, read as of one moment.

A search first has the index catch up. What somebody else commits between that and the
reading, and all that is new where nothing can be written (a read-only file, a snapshot, a
database that another process keeps locked), is searched as well: in a scratch index, which
lasts for the one search. The order of results is by BM25, which weighs a word by how rare
it is; the scratch index knows only its own keys, so among those the order is approximate.
"""

from __future__ import annotations

from typing import NamedTuple

from kycli.core.codec import decode, encode
from kycli.core.layout import KEY_WEIGHT, LIVE, VALUE
from kycli.core.search import indexing
from kycli.core.search.folding import fold
from kycli.core.search.queries import to_fts
from kycli.errors import BusyError, DiskFullError, WrongTypeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from kycli.core.search.indexing import Progress, State
    from kycli.core.storage import Kycore

    _Found = tuple[Any, ...]  # rank, scope, key, value as SQLite keeps it, kind

_PAGE = 500

# ?1 the time, ?2 the query, ?3 the scope or NULL, ?4 the watermark, ?5 the limit.
# Ranked by FTS5 first, so that only the best rows are looked at and the value read.
# A key that has changed since the watermark is found by what it is now, or not at all.
_FIND = f"""
SELECT f.rank, k.scope, k.key, %s
FROM fts_kvstore (?2) f
CROSS JOIN fts_docs d ON d.id = f.rowid
CROSS JOIN kvstore k ON k.scope = d.scope AND k.key = d.key
WHERE f.rank MATCH 'bm25({KEY_WEIGHT}, 1.0)'
AND (?3 IS NULL OR d.scope = ?3) AND {LIVE} AND k.seq <= ?4
ORDER BY f.rank LIMIT ?5"""
_FIND_ENTRIES = _FIND % f"{VALUE}, k.kind"
_FIND_KEYS = _FIND % "NULL, NULL"

# What the scratch index takes in: what has changed since the watermark, or all there is.
# The newest change of a key that lives is the one that kvstore.seq names.
_TEXTS = "SELECT %s, k.scope, k.key, k.kind, CASE WHEN k.home IS NULL THEN k.value END, k.home"
_TAIL = f"""
{_TEXTS % "a.id, NULL"} FROM audit_log a
CROSS JOIN kvstore k ON k.scope = a.scope AND k.key = a.key AND k.seq = a.id
WHERE a.id > ?3 AND (?2 IS NULL OR k.scope = ?2) AND {LIVE.replace("expires_at", "k.expires_at")}
ORDER BY a.id LIMIT {_PAGE}"""
_ALL = f"""
{_TEXTS % "k.scope, k.key"} FROM kvstore k
WHERE (k.scope, k.key) > (?3, ?4) AND (?2 IS NULL OR k.scope = ?2) AND {LIVE}
ORDER BY k.scope, k.key LIMIT {_PAGE}"""
_ENTRY = f"SELECT {VALUE}, k.kind FROM kvstore k WHERE k.scope = ?1 AND k.key = ?2"

_SCRATCH_FIND = f"""
SELECT bm25(fts, {KEY_WEIGHT}, 1.0) AS score, docs.scope, docs.key
FROM fts (?1) CROSS JOIN docs ON docs.id = fts.rowid ORDER BY score LIMIT ?2"""


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
    """Return what is found in a scope, or in all when it is None; best first."""
    if not isinstance(query, str):
        raise WrongTypeError(f"a query is text, not {type(query).__name__}")
    match = to_fts(str.__str__(query))  # exactly, also for a member of a StrEnum
    if match is None or limit == 0:
        return []
    _catch_up(store, progress)
    most = -1 if limit is None else limit
    with store.snapshot():
        # Where it was current a moment ago, it most often still is.
        state = indexing.State(store)
        found = _indexed(store, match, scope, most, keys_only, state) if state.is_built else []
        if not state.is_current:
            found = _merged(found, _unindexed(store, match, scope, most, keys_only, state), limit)
    hits = [
        Hit(place, key, None if keys_only else decode(value, kind), rank)
        for rank, place, key, value, kind in found
    ]
    if not snippets:
        return hits
    from kycli.core.search.snippets import mark

    texts = [(hit.key, "" if hit.value is None else _text(hit.value)) for hit in hits]
    return [
        hit._replace(marked_key=key, snippet=snippet)
        for hit, (key, snippet) in zip(hits, mark(texts, match), strict=True)
    ]


def _text(value: Any) -> str:
    kind, stored, _ = encode(value)
    return indexing.text_of(kind, stored)


def _catch_up(store: Kycore, progress: Progress | None) -> None:
    """Have the index catch up, where that can be done now."""
    if store.read_only or store._in_snapshot():
        return
    try:
        indexing.catch_up(store, progress)
    except (BusyError, DiskFullError):
        pass  # reading does not depend on it


def _indexed(
    store: Kycore, match: str, scope: str | None, most: int, keys_only: bool, state: State
) -> list[_Found]:
    sql = _FIND_KEYS if keys_only else _FIND_ENTRIES
    return store._query(sql, (store._now(), match, scope, state.watermark, most))


def _merged(found: list[_Found], more: list[_Found], limit: int | None) -> list[_Found]:
    return sorted(found + more, key=lambda row: row[0])[:limit]


# What the index has yet to see


def _unindexed(
    store: Kycore, match: str, scope: str | None, most: int, keys_only: bool, state: State
) -> list[_Found]:
    """Return what is found among the keys that the index does not know as they are now."""
    scratch = indexing.scratch("content = '', ")
    try:
        with scratch:
            scratch.execute("CREATE TABLE docs (id INTEGER PRIMARY KEY, scope, key)")
            for id, (place, key, text) in enumerate(_texts(store, scope, state)):
                scratch.execute(indexing.SCRATCH_ADD, (id, fold(key), fold(text)))
                scratch.execute("INSERT INTO docs VALUES (?, ?, ?)", (id, place, key))
        best = scratch.execute(_SCRATCH_FIND, (match, most)).fetchall()
    finally:
        scratch.close()
    if keys_only:
        return [(*row, None, None) for row in best]
    return [(*row, *store._query(_ENTRY, row[1:])[0]) for row in best]


def _texts(store: Kycore, scope: str | None, state: State) -> Iterator[tuple[str, str, str]]:
    """Yield scope, key and text of each live key that has changed since the watermark."""
    now = store._now()
    sql, after = (_TAIL, (state.watermark,)) if state.is_built else (_ALL, ("", ""))
    while rows := store._query(sql, (now, scope, *after)):
        for *_, place, key, kind, value, home in rows:
            yield place, key, indexing.searchable(store, kind, value, home)
        after = rows[-1][: len(after)]
        if len(rows) < _PAGE:
            return
