"""Checking the search index: whether its words match the keys that it has indexed.

``check`` checks the structure, and some thousand keys. ``compare`` indexes everything again in a
temporary file and compares word by word, which takes as long as building the index. Both skip
removed keys and keys that are not indexed yet.
"""

from __future__ import annotations

from kycli.core.search.folding import fold, words
from kycli.core.search.indexing import State, searchable
from kycli.core.search.queries import AllOf, InColumn, Phrase
from kycli.core.sql import index, index_checks
from kycli.core.sql.fts import TextIndex
from kycli.errors import StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from kycli.core.batches import Progress
    from kycli.core.search.queries import Query
    from kycli.core.storage import Kycore

_GLANCE = 400
"""How many characters of a value are looked at for its first words."""


def check(store: Kycore) -> list[str]:
    """Compare the index with the store; return what is wrong with it, one line each."""
    try:
        with store.snapshot():
            return _problems(store)
    except StorageError as error:  # some of which end the snapshot
        return [str(error)]


def _problems(store: Kycore) -> list[str]:
    problems = index_checks.structure(store)
    watermark = State(store).watermark if not problems else None
    if watermark is None:
        return problems
    sample = index_checks.sample(store, watermark)
    by_words = [(_by_words(store, *row), number) for number, *row in sample]
    queries = [(query, number) for query, number in by_words if query is not None]
    missed = sum(not index_checks.finds(store, *query) for query in queries)
    if missed:
        return [f"{missed} of {len(sample)} keys are not found by their words"]
    if queries:
        index_checks.rank(store, *queries[0])
    return []


def _by_words(store: Kycore, key: str, kind: int, value: Any, home: int | None) -> Query | None:
    """Return a query that finds a key by itself and by the first words of its value."""
    text = searchable(store, kind, value, home)
    # The last word of a text that is cut off may be half a word, which finds nothing.
    first = words(text) if len(text) <= _GLANCE else words(text[:_GLANCE])[:-1]
    parts = tuple(
        InColumn(column, Phrase(tuple(some)))
        for column, some in (("key", words(key)[:32]), ("value", first[:8]))
        if some
    )
    return AllOf(parts) if parts else None


def compare(store: Kycore, progress: Progress | None = None) -> list[str]:
    """Index the keys once more and compare that with the index; return what is wrong with it.

    For an index whose structure ``check`` has found sound.
    """
    again = TextIndex()
    try:
        with store.snapshot():
            return _differences(store, again, progress)
    except StorageError as error:
        return [str(error)]
    finally:
        again.close()
        index_checks.close_words(store)


def _differences(store: Kycore, again: TextIndex, progress: Progress | None) -> list[str]:
    watermark = State(store).watermark
    if watermark is None:
        return []
    some_stale = index_checks.open_words(store, watermark)
    again.add(_indexed(store, watermark, progress))
    return index_checks.word_differences(store, again, some_stale)


def _indexed(
    store: Kycore, watermark: int, progress: Progress | None
) -> Iterator[tuple[int, str, str]]:
    """Yield number and folded texts of the keys that are indexed."""
    total = index.count(store)
    done, last = 0, -1
    while rows := index_checks.indexed(store, last, watermark):
        for number, key, kind, value, home in rows:
            yield number, fold(key), fold(searchable(store, kind, value, home))
        last = rows[-1][0]
        done += len(rows)
        if progress is not None:
            progress(min(done, total), total)
