"""Whether the search index holds what it should: each key that it has seen, by its words.

``check`` looks at the structure, and at some thousand keys. ``compare`` indexes everything
once more, in a temporary file, and compares word by word; that takes as long as building
the index. What the index has not seen yet, or is of keys that are gone, is left out.
"""

from __future__ import annotations

from kycli.core.search.folding import fold, words
from kycli.core.search.indexing import COLUMNS, SCRATCH_ADD, State, scratch, searchable
from kycli.errors import StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import apsw

    from kycli.core.search.indexing import Progress
    from kycli.core.storage import Kycore

_INTEGRITY = "PRAGMA integrity_check('fts_kvstore')"
_DOCS = "fts_docs", "fts_kvstore_docsize"
_MISFITS = {
    what: f"SELECT count(*) FROM {one} WHERE id NOT IN (SELECT id FROM {other})"
    for what, one, other in (
        ("keys have no text in the index", *_DOCS),
        ("texts in the index have no key", *reversed(_DOCS)),
    )
}
_STATES = """
SELECT count(*) FROM fts_state WHERE id <> 1 OR (scope IS NULL) <> (key IS NULL)
OR watermark > (SELECT ifnull(max(id), 0) FROM audit_log) OR watermark < 0"""
# How many words a text has in each column: two varints, of 28 bits at most for a text that
# is not longer than TEXT_MAX. Without them nothing is ranked.
_VARINTS = ["[89A-F]?" * more + "[0-7]?" for more in range(4)]
_BAD_SIZES = f"""
SELECT count(*) FROM fts_kvstore_docsize WHERE NOT (
    {" OR ".join(f"hex(sz) GLOB '{a}{b}'" for a in _VARINTS for b in _VARINTS)}
)"""
_LEFT_OUT = """
SELECT count(*) FROM kvstore k
WHERE k.seq <= ?1 AND (?2 IS NULL OR (k.scope, k.key) <= (?2, ?3))
AND NOT EXISTS (SELECT 1 FROM fts_docs d WHERE d.scope = k.scope AND d.key = k.key)"""
_SAMPLE = f"""
SELECT d.id, d.key, {COLUMNS}
FROM fts_docs d CROSS JOIN kvstore k ON k.scope = d.scope AND k.key = d.key
WHERE d.id % (1 + (SELECT max(id) FROM fts_docs) / 1000) = 0 AND k.seq <= ?1"""
_FOUND = "SELECT 1 FROM fts_kvstore (?1) WHERE rowid = ?2"
# Counts whatever has these words anywhere, so it is not for each of a thousand.
_RANKED = "SELECT bm25(fts_kvstore) FROM fts_kvstore (?1) WHERE rowid = ?2"

_GLANCE = 400
"""How many characters of a value are looked at for its first words."""

# -- word by word

_SEEN = f"""
SELECT d.id, d.key, {COLUMNS}
FROM fts_docs d CROSS JOIN kvstore k ON k.scope = d.scope AND k.key = d.key
WHERE d.id > ?1 AND k.seq <= ?2 ORDER BY d.id LIMIT 500"""
_COUNT_DOCS = "SELECT count(*) FROM fts_docs"
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
_SCRATCH_OPEN = "CREATE VIRTUAL TABLE words USING fts5vocab(fts, instance)"
# For each word how often it is there, and sums that tell in which texts and places.
_WORDS = """
SELECT term, count(*), sum(doc % 1000003), sum((doc % 1009) * (offset % 1013 + 1) + (col = 'key'))
FROM {0} WHERE term > ?1 {1} GROUP BY term LIMIT 20000"""
_SIZES = "SELECT id, sz FROM {0} WHERE id > ?1 {1} ORDER BY id LIMIT 20000"
_NOT_STALE = "AND {0} NOT IN (SELECT id FROM temp.index_stale)"
# How many texts and words there are in all.
_AVERAGES = "SELECT block FROM {0} WHERE id = 1"


def check(store: Kycore) -> list[str]:
    """Compare the index with the store; return what is wrong with it, one line each."""
    try:
        with store.snapshot():
            return _problems(store)
    except StorageError as error:  # some of which end the snapshot
        return [str(error)]


def _problems(store: Kycore) -> list[str]:
    problems = [text for (text,) in store._query(_INTEGRITY) if text != "ok"]
    if problems:
        return problems
    state = State(store)
    if store._query(_STATES)[0][0]:
        problems.append("how far the index has got cannot be")
    count = store._query(_BAD_SIZES)[0][0]
    if count:
        problems.append(f"{count} texts in the index have no size to rank them by")
    for what, sql in _MISFITS.items():
        count = store._query(sql)[0][0]
        if count:
            problems.append(f"{count} {what}")
    if state.watermark is None:
        return problems
    count = store._query(_LEFT_OUT, (state.watermark, *(state.cursor or (None, None))))[0][0]
    if count:
        problems.append(f"{count} keys are not in the index")
    if not problems:
        sample = store._query(_SAMPLE, (state.watermark,))
        queries = [(_by_words(store, *row), doc) for doc, *row in sample]
        queries = [query for query in queries if query[0]]
        missed = sum(not store._query(_FOUND, query) for query in queries)
        if missed:
            problems.append(f"{missed} of {len(sample)} keys are not found by their words")
        elif queries:
            store._query(_RANKED, queries[0])  # an error if what it ranks by is damaged
    return problems


def _by_words(store: Kycore, key: str, kind: int, value: Any, home: int | None) -> str:
    """Return a query that finds a key by itself and by the first words of its value."""
    text = searchable(store, kind, value, home)
    # The last word of a text that is cut off may be half a word, which finds nothing.
    first = words(text) if len(text) <= _GLANCE else words(text[:_GLANCE])[:-1]
    return " AND ".join(
        f'{{{column}}} : "{" ".join(some)}"'
        for column, some in (("key", words(key)[:32]), ("value", first[:8]))
        if some
    )


def compare(store: Kycore, progress: Progress | None = None) -> list[str]:
    """Index the keys once more and compare that with the index; return what is wrong with it.

    For an index whose structure ``check`` has found sound.
    """
    again = scratch("content = '', ")
    try:
        with store.snapshot():
            return _differences(store, again, progress)
    except StorageError as error:
        return [str(error)]
    finally:
        again.close()
        for sql in _CLOSE:
            store._query(sql)


def _differences(
    store: Kycore, again: apsw.Connection, progress: Progress | None
) -> list[str]:  # fmt: skip
    watermark = State(store).watermark
    if watermark is None:
        return []
    for sql in _OPEN:
        store._query(sql)
    store._query(_NOTE_STALE, (watermark,))
    _index_again(store, again, watermark, progress)
    some_stale = bool(store._query(_ANY_STALE))

    def differ(sql: str, here: str, there: str, id: str, first: Any) -> bool:
        """Whether two tables differ, which are read side by side in pages."""
        ours = sql.format(here, _NOT_STALE.format(id) if some_stale else "")
        theirs = sql.format(there, "")
        last = first
        while True:
            rows = store._query(ours, (last,))
            if rows != again.execute(theirs, (last,)).fetchall():
                return True
            if not rows:
                return False
            last = rows[-1][0]

    problems = []
    if differ(_WORDS, "temp.index_words", "words", "doc", ""):
        problems.append("the index has other words than the keys")
    if differ(_SIZES, "fts_kvstore_docsize", "fts_docsize", "id", -1):
        problems.append("the index has other sizes of texts than the keys")
    if not some_stale:
        theirs: list[tuple[Any]] = list(again.execute(_AVERAGES.format("fts_data")))
        ours = store._query(_AVERAGES.format("fts_kvstore_data"))
        # Zeros at the end are there or not, where no text is left.
        if [block.rstrip(b"\0") for (block,) in ours] != [b.rstrip(b"\0") for (b,) in theirs]:
            problems.append("the index counts other words than the keys have")
    return problems


def _index_again(
    store: Kycore, again: apsw.Connection, watermark: int, progress: Progress | None
) -> None:
    total = store._query(_COUNT_DOCS)[0][0]
    done, last = 0, -1
    with again:
        while rows := store._query(_SEEN, (last, watermark)):
            for id, key, kind, value, home in rows:
                text = searchable(store, kind, value, home)
                again.execute(SCRATCH_ADD, (id, fold(key), fold(text)))
            last = rows[-1][0]
            done += len(rows)
            if progress is not None:
                progress(min(done, total), total)
    again.execute(_SCRATCH_OPEN)
