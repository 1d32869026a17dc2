"""The search index: the texts of keys by their words (``fts_kvstore``), and how far it has got.

Keys are numbered (``fts_docs``); the index holds words and numbers, and no text.

SQLite is relied on for: FTS5, with contentless tables from which a text is deleted by its
number; BM25, by which results come in their order before a value is read; merging in steps.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from kycli.core.layout import BYPASS, FIRST_SCOPE, KEY_WEIGHT, LIVE, LIVE_K, VALUE
from kycli.core.sql.fts import render
from kycli.core.sql.log import PAGE_ROWS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kycli.core.search.queries import Query
    from kycli.core.storage import Kycore

    Searchable = Callable[[Kycore, int, Any, int | None], str]
    """Returns the text of a value by kind, value and home; see ``Doc``."""

    Fold = Callable[[str], str]
    """Returns a text as the index takes it; is not asked about ASCII, which stays as it is."""

TEXT_MAX = 4 << 20
"""How many characters of a value are indexed: as many as a step may take."""

_PARTS_MAX = 1999
"""FTS5's own limit."""

_TAKEN_AT_ONCE = 1 << 20
"""After how many characters ``take_changed`` and ``take_in_order`` end."""

Found: TypeAlias = "tuple[Any, ...]"
"""A key that was found: rank, scope, key; stored value and kind, or None for both."""


class Doc(NamedTuple):
    """A key as the index is to have it.

    Attributes:
        id: of the key's newest change.
        number: of its text in the index; None when the index does not have it.
        kind, value, home: as they are stored; the value of a large one is in the row
            ``home`` of the log. The kind is None when the key is gone.
    """

    scope: str
    key: str
    id: int
    number: int | None
    kind: int | None
    value: Any
    home: int | None


class Taken(NamedTuple):
    """What was taken into the index.

    Attributes:
        keys: how many.
        last: scope and key of the last of them, or None.
        left: the first change of those that are left; None when all were taken.
    """

    keys: int
    last: tuple[str, str] | None
    left: int | None


# ---------------------------------------------------------------- how far it has got

_STATE = """
SELECT s.watermark, s.scope, s.key, l.newest
FROM (SELECT ifnull(max(id), 0) AS newest FROM audit_log) l LEFT JOIN fts_state s"""
_SET_STATE = "INSERT OR REPLACE INTO fts_state VALUES (1, ?1, ?2, ?3)"
_COUNT_KEYS = "SELECT count(*) FROM kvstore WHERE (scope, key) > (?1, ?2)"


def state(store: Kycore) -> tuple[int | None, tuple[str, str] | None, int]:
    """Return the watermark, the key that building has got to, and the newest id of the log."""
    watermark, scope, key, newest = store._query(_STATE)[0]
    return watermark, None if scope is None else (scope, key), newest


def set_state(store: Kycore, watermark: int | None, cursor: tuple[str, str] | None) -> None:
    store._query(_SET_STATE, (watermark, *(cursor or (None, None))))


def count_keys(store: Kycore, after: tuple[str, str]) -> int:
    """Return how many live keys come after a scope and key."""
    return int(store._query(_COUNT_KEYS, after)[0][0])


# ---------------------------------------------------------------- what it has to take in

# Large values are read one at a time.
VALUE_COLUMNS = "k.kind, CASE WHEN k.home IS NULL THEN k.value END, k.home"
# The newest change of each key, and each change of keys that are gone. FTS5 writes a part of
# the index whenever a number is not above the one before, so they come by their numbers.
_CHANGED = f"""
SELECT a.scope, a.key, a.id, d.id, {VALUE_COLUMNS}
FROM audit_log a
LEFT JOIN kvstore k ON k.scope = a.scope AND k.key = a.key
LEFT JOIN fts_docs d ON d.scope = a.scope AND d.key = a.key
WHERE a.id > ?1 AND a.id <= ?2 AND a.op <> {BYPASS} AND (k.seq = a.id OR k.seq IS NULL)
ORDER BY d.id IS NULL, d.id, a.id"""
# While the index is built it has none of these keys.
_IN_ORDER = f"""
SELECT k.scope, k.key, k.seq, NULL, {VALUE_COLUMNS}
FROM kvstore k WHERE (k.scope, k.key) > (?1, ?2) ORDER BY k.scope, k.key LIMIT ?3"""
_LARGE = f"SELECT substr(value, 1, {TEXT_MAX}) FROM audit_log WHERE id = ?1"


def large_text(store: Kycore, home: int) -> str:
    """Return the beginning of a large value that is text."""
    rows: list[tuple[str]] = store._query(_LARGE, (home,))
    return rows[0][0] if rows else ""


# ---------------------------------------------------------------- taking in

_CLEAR = "INSERT INTO fts_kvstore (fts_kvstore) VALUES ('delete-all')"
_CLEAR_DOCS = "DELETE FROM fts_docs"
_LAST_NUMBER = "SELECT ifnull(max(id), 0) FROM fts_docs"
_ADD_DOC = "INSERT INTO fts_docs (id, scope, key) VALUES (?1, ?2, ?3)"
_ADD_DOCS = "INSERT INTO fts_docs (id, scope, key) VALUES " + ", ".join(
    f"(?1 + {row}, ?{2 * row + 2}, ?{2 * row + 3})" for row in range(32)
)
_REMOVE_DOC = "DELETE FROM fts_docs WHERE id = ?1"
_ADD = "INSERT INTO fts_kvstore (rowid, key, value) VALUES (?1, ?2, ?3)"
# Looks for what it replaces, which takes as long again.
_REPLACE = "INSERT OR REPLACE INTO fts_kvstore (rowid, key, value) VALUES (?1, ?2, ?3)"
_REMOVE = "DELETE FROM fts_kvstore WHERE rowid = ?1"
_REMOVE_SCOPE = (
    "DELETE FROM fts_kvstore WHERE rowid IN (SELECT id FROM fts_docs WHERE scope = ?1)",
    "DELETE FROM fts_docs WHERE scope = ?1",
)
_RENAME = "UPDATE fts_docs SET scope = ?2 WHERE scope = ?1"
_ORPHANS = """
SELECT id FROM fts_docs d
WHERE d.id > ?1
    AND NOT EXISTS (SELECT 1 FROM kvstore k WHERE k.scope = d.scope AND k.key = d.key)
ORDER BY d.id LIMIT 1000"""
_COUNT = "SELECT count(*) FROM fts_docs"
_MERGE = "INSERT INTO fts_kvstore (fts_kvstore, rank) VALUES ('merge', ?1)"
_TOTAL_CHANGES = "SELECT total_changes()"
_CONFIGURE = "INSERT INTO fts_kvstore (fts_kvstore, rank) VALUES (?1, ?2)"


def clear(store: Kycore) -> None:
    """Remove all texts."""
    store._query(_CLEAR)
    store._query(_CLEAR_DOCS)


def take_changed(
    store: Kycore, after: int, upto: int, end: float, searchable: Searchable, fold: Fold
) -> Taken:
    """Take in the keys that changed between two positions of the log.

    Takes at least one; what follows it is left at ``end`` (by ``time.monotonic``), or when
    there was much text.
    """
    return _take_in(store, _CHANGED, (after, upto), end, searchable, fold)


def take_in_order(
    store: Kycore,
    after: tuple[str, str],
    most: int,
    end: float,
    searchable: Searchable,
    fold: Fold,
) -> Taken:
    """Take in the next live keys after a scope and key, as ``take_changed``."""
    return _take_in(store, _IN_ORDER, (*after, most), end, searchable, fold)


def _take_in(
    store: Kycore, rows: str, bindings: tuple[Any, ...], end: float, searchable: Searchable,
    fold: Fold,
) -> Taken:  # fmt: skip
    last = store._query(_LAST_NUMBER)[0][0]
    statements = (rows, _ADD_DOCS, _ADD_DOC, _ADD, _REPLACE, _REMOVE, _REMOVE_DOC)
    return Taken(*store._take_in(statements, bindings, last, end, _TAKEN_AT_ONCE, searchable, fold))


def remove(store: Kycore, number: int) -> None:
    """Remove a text from the index."""
    store._query(_REMOVE, (number,))
    store._query(_REMOVE_DOC, (number,))


def rename(store: Kycore, scope: str, to_scope: str) -> None:
    """Give the keys of a scope to another one, in place of those that it had."""
    for sql in _REMOVE_SCOPE:
        store._query(sql, (to_scope,))
    store._query(_RENAME, (scope, to_scope))


def orphans(store: Kycore, after: int) -> list[int]:
    """Return the next numbers of texts whose key is gone."""
    return [number for (number,) in store._query(_ORPHANS, (after,))]


def count(store: Kycore) -> int:
    """Return how many keys are indexed."""
    return int(store._query(_COUNT)[0][0])


def defer_merging(store: Kycore) -> None:
    """Switch merging off until ``merge_as_usual`` in the same transaction."""
    store._query(_CONFIGURE, ("automerge", 0))
    # Else the next to write would merge all parts at once. This stays.
    store._query(_CONFIGURE, ("crisismerge", _PARTS_MAX))


def merge_as_usual(store: Kycore) -> None:
    """Switch merging on: FTS5 merges parts gradually as they are added, its default."""
    store._query(_CONFIGURE, ("automerge", 4))


def merge(store: Kycore, pages: int) -> bool:
    """Merge some pages of the index; return whether there is more to merge.

    Parameters:
        pages: how many; below 0 it begins to merge everything, above it goes on, or merges
            where four parts of about the same size are.
    """
    before = store._query(_TOTAL_CHANGES)[0][0]
    store._query(_MERGE, (pages,))
    # By FTS5's documentation, less than 2 says that there was nothing to do.
    return bool(store._query(_TOTAL_CHANGES)[0][0] - before >= 2)


# ---------------------------------------------------------------- finding

# ?1 the time, ?2 the query, ?3 the scope or NULL, ?4 the watermark, ?5 the limit.
# Ranked by FTS5 first, so that only the best rows are looked at and the value read.
# A key that has changed since the watermark is found by what it is now, or not at all.
_FIND = f"""
SELECT f.rank, k.scope, k.key, %s
FROM fts_kvstore (?2) f
CROSS JOIN fts_docs d ON d.id = f.rowid
CROSS JOIN kvstore k ON k.scope = d.scope AND k.key = d.key
WHERE f.rank MATCH 'bm25({KEY_WEIGHT}, 1.0)'
AND (d.scope = ?3 OR ?3 IS NULL AND d.scope >= '{FIRST_SCOPE}') AND {LIVE} AND k.seq <= ?4
ORDER BY f.rank LIMIT ?5"""
_FIND_ENTRIES = _FIND % f"{VALUE}, k.kind"
_FIND_KEYS = _FIND % "NULL, NULL"

# What has changed since the watermark, or all there is. The newest change of a key that
# lives is the one that kvstore.seq names.
_CHANGED_LIVE = f"""
SELECT k.scope, k.key, a.id, NULL, {VALUE_COLUMNS} FROM audit_log a
CROSS JOIN kvstore k ON k.scope = a.scope AND k.key = a.key AND k.seq = a.id
WHERE a.id > ?3 AND (k.scope = ?2 OR ?2 IS NULL AND k.scope >= '{FIRST_SCOPE}') AND {LIVE_K}
ORDER BY a.id LIMIT {PAGE_ROWS}"""
_ALL_LIVE = f"""
SELECT k.scope, k.key, k.seq, NULL, {VALUE_COLUMNS} FROM kvstore k
WHERE (k.scope, k.key) > (?3, ?4) AND (k.scope = ?2 OR ?2 IS NULL AND k.scope >= '{FIRST_SCOPE}')
AND {LIVE}
ORDER BY k.scope, k.key LIMIT {PAGE_ROWS}"""
_STORED = f"SELECT {VALUE}, k.kind FROM kvstore k WHERE k.scope = ?1 AND k.key = ?2"


def find(
    store: Kycore, query: Query, now: int, scope: str | None, watermark: int | None, most: int,
    keys_only: bool,
) -> list[Found]:  # fmt: skip
    """Return the live keys that match a query and have not changed since the watermark.

    Parameters:
        scope: None for all.
        most: how many of the best; -1 for all.
        keys_only: leave out values and kinds.
    """
    sql = _FIND_KEYS if keys_only else _FIND_ENTRIES
    return store._query(sql, (now, render(query), scope, watermark, most))


def changed_live(store: Kycore, now: int, scope: str | None, after: int) -> list[Doc]:
    """Return the next live keys whose newest change is after a position of the log."""
    return [Doc(*row) for row in store._query(_CHANGED_LIVE, (now, scope, after))]


def all_live(store: Kycore, now: int, scope: str | None, after: tuple[str, str]) -> list[Doc]:
    """Return the next live keys after a scope and key."""
    return [Doc(*row) for row in store._query(_ALL_LIVE, (now, scope, *after))]


def stored(store: Kycore, scope: str, key: str) -> tuple[Any, int]:
    """Return value and kind of a key that exists."""
    value, kind = store._query(_STORED, (scope, key))[0]
    return value, kind
