"""Looking whether the search index fits the keys, and its words those of another index.

SQLite is relied on for: FTS5's own check, its vocabulary tables (``fts5vocab``), and how it
stores the sizes of texts.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import apsw

from kycli.core.sql import index
from kycli.core.sql.fts import render
from kycli.core.sql.index import VALUE_COLUMNS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kycli.core.search.queries import Query
    from kycli.core.sql.fts import TextIndex
    from kycli.core.storage import Kycore

    Rows = list[tuple[Any, ...]]

# ---------------------------------------------------------------- the structure

_INTEGRITY = "PRAGMA integrity_check('fts_kvstore')"
_UNMATCHED = "SELECT count(*) FROM {} WHERE id NOT IN (SELECT id FROM {})"
# How many words a text has in each column: two varints, of 28 bits at most for a text that
# is not longer than TEXT_MAX. Without them nothing is ranked.
_VARINTS = ["[89A-F]?" * more + "[0-7]?" for more in range(4)]
_BAD_SIZES = f"""
SELECT count(*) FROM fts_kvstore_docsize WHERE NOT (
    {" OR ".join(f"hex(sz) GLOB '{a}{b}'" for a in _VARINTS for b in _VARINTS)}
)"""
_BAD_STATES = """
SELECT count(*) FROM fts_state WHERE id <> 1 OR (scope IS NULL) <> (key IS NULL)
OR watermark > (SELECT ifnull(max(id), 0) FROM audit_log) OR watermark < 0"""
_COUNTS = {
    "texts in the index have no size to rank them by": _BAD_SIZES,
    "keys have no text in the index": _UNMATCHED.format("fts_docs", "fts_kvstore_docsize"),
    "texts in the index have no key": _UNMATCHED.format("fts_kvstore_docsize", "fts_docs"),
}
_LEFT_OUT = """
SELECT count(*) FROM kvstore k
WHERE k.seq <= ?1 AND (?2 IS NULL OR (k.scope, k.key) <= (?2, ?3))
AND NOT EXISTS (SELECT 1 FROM fts_docs d WHERE d.scope = k.scope AND d.key = k.key)"""
_INDEXED = f"""
SELECT d.id, d.key, {VALUE_COLUMNS}
FROM fts_docs d CROSS JOIN kvstore k ON k.scope = d.scope AND k.key = d.key WHERE """
_SAMPLE = _INDEXED + "d.id % (1 + (SELECT max(id) FROM fts_docs) / 1000) = 0 AND k.seq <= ?1"
_INDEXED_KEYS = _INDEXED + "d.id > ?1 AND k.seq <= ?2 ORDER BY d.id LIMIT 500"
_FOUND = "SELECT 1 FROM fts_kvstore (?1) WHERE rowid = ?2"
# Counts whatever has these words anywhere, so it is not for each of a thousand.
_RANKED = "SELECT bm25(fts_kvstore) FROM fts_kvstore (?1) WHERE rowid = ?2"


def structure(store: Kycore) -> list[str]:
    """Return what is wrong with the tables of the index, or missing there, one line each."""
    problems = [text for (text,) in store._query(_INTEGRITY) if text != "ok"]
    if problems:
        return problems
    if store._query(_BAD_STATES)[0][0]:
        problems.append("how far the index has got cannot be")
    counts = {what: store._query(sql)[0][0] for what, sql in _COUNTS.items()}
    watermark, cursor, _ = index.state(store)
    if watermark is not None:
        indexed = (watermark, *(cursor or (None, None)))
        counts["keys are not in the index"] = store._query(_LEFT_OUT, indexed)[0][0]
    return problems + [f"{count} {what}" for what, count in counts.items() if count]


def sample(store: Kycore, watermark: int) -> Rows:
    """Return number, key, kind, value and home of some thousand keys that the index has seen."""
    return store._query(_SAMPLE, (watermark,))


def indexed(store: Kycore, after: int, watermark: int) -> Rows:
    """Return the next keys that the index has seen, by their number; as ``sample``."""
    return store._query(_INDEXED_KEYS, (after, watermark))


def finds(store: Kycore, query: Query, number: int) -> bool:
    """Whether a text of the index matches a query."""
    return bool(store._query(_FOUND, (render(query), number)))


def rank(store: Kycore, query: Query, number: int) -> None:
    """Rank a text; an error if what it is ranked by is damaged."""
    store._query(_RANKED, (render(query), number))


# ---------------------------------------------------------------- word by word

_OPEN = (
    "CREATE VIRTUAL TABLE temp.index_words USING fts5vocab(main, fts_kvstore, instance)",
    "CREATE TEMP TABLE index_stale (id INTEGER PRIMARY KEY)",
)
_NOTE_STALE = """
INSERT INTO temp.index_stale
SELECT d.id FROM fts_docs d LEFT JOIN kvstore k ON k.scope = d.scope AND k.key = d.key
WHERE k.seq IS NULL OR k.seq > ?1"""
_ANY_STALE = "SELECT 1 FROM temp.index_stale LIMIT 1"
_CLOSE = ("DROP TABLE IF EXISTS temp.index_words", "DROP TABLE IF EXISTS temp.index_stale")
_OPEN_OTHER = "CREATE VIRTUAL TABLE words USING fts5vocab(fts, instance)"
# For each word how often it is there, and sums that tell in which texts and places.
_WORDS = """
SELECT term, count(*), sum(doc % 1000003), sum((doc % 1009) * (offset % 1013 + 1) + (col = 'key'))
FROM {0} WHERE term > ?1 {1} GROUP BY term LIMIT 20000"""
_SIZES = "SELECT id, sz FROM {0} WHERE id > ?1 {1} ORDER BY id LIMIT 20000"
_NOT_STALE = "AND {0} NOT IN (SELECT id FROM temp.index_stale)"
# How many texts and words there are in all.
_TOTALS = "SELECT block FROM {0} WHERE id = 1"
# Before SQLite 3.54, FTS5 does not subtract what is deleted from a table that keeps no texts.
KEEPS_TOTALS = tuple(map(int, apsw.sqlite_lib_version().split("."))) >= (3, 54)


def open_words(store: Kycore, watermark: int) -> bool:
    """Prepare for reading words; return whether any text is older than its key."""
    for sql in _OPEN:
        store._query(sql)
    store._query(_NOTE_STALE, (watermark,))
    return bool(store._query(_ANY_STALE))


def close_words(store: Kycore) -> None:
    """Undo ``open_words``, where that was done."""
    for sql in _CLOSE:
        store._query(sql)


def word_differences(store: Kycore, other: TextIndex, some_stale: bool) -> list[str]:
    """Compare the index with another one that holds the same texts; return what differs.

    Parameters:
        some_stale: leave out what ``open_words`` has found to be stale.
    """
    other.query(_OPEN_OTHER)

    def differ(sql: str, table: str, other_table: str, number: str, first: Any) -> bool:
        ours = sql.format(table, _NOT_STALE.format(number) if some_stale else "")
        pages = (
            _pages(store._query, ours, first),
            _pages(other.query, sql.format(other_table, ""), first),
        )
        return any(one != another for one, another in zip_longest(*pages))

    problems = []
    if differ(_WORDS, "temp.index_words", "words", "doc", ""):
        problems.append("the index has other words than the keys")
    if differ(_SIZES, "fts_kvstore_docsize", "fts_docsize", "id", -1):
        problems.append("the index has other sizes of texts than the keys")
    if not some_stale and KEEPS_TOTALS:
        totals = (
            store._query(_TOTALS.format("fts_kvstore_data")),
            other.query(_TOTALS.format("fts_data")),
        )
        # Zeros at the end are there or not, where no text is left.
        one, another = ([block.rstrip(b"\0") for (block,) in rows] for rows in totals)
        if one != another:
            problems.append("the index counts other words than the keys have")
    return problems


def _pages(query: Callable[..., Rows], sql: str, after: Any) -> Iterator[Rows]:
    while rows := query(sql, (after,)):
        yield rows
        after = rows[-1][0]
