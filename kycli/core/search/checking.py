"""Whether the search index holds what it should: each key that it has seen, by its words.

``check`` looks at the structure, and at some thousand keys. ``compare`` indexes everything
once more, in a temporary file, and compares word by word; that takes as long as building
the index. What the index has not seen yet, or is of keys that are gone, is left out.
"""

from __future__ import annotations

from itertools import zip_longest

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

    from kycli.core.search.queries import Query
    from kycli.core.steps import Progress
    from kycli.core.storage import Kycore

_COUNTS = {
    "texts in the index have no size to rank them by": index_checks.bad_sizes,
    "keys have no text in the index": index_checks.keys_without_text,
    "texts in the index have no key": index_checks.texts_without_key,
}

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
    problems = index_checks.integrity(store)
    if problems:
        return problems
    state = State(store)
    if index_checks.has_bad_state(store):
        problems.append("how far the index has got cannot be")
    for what, counted in _COUNTS.items():
        count = counted(store)
        if count:
            problems.append(f"{count} {what}")
    if state.watermark is None:
        return problems
    count = index_checks.left_out(store, state.watermark, state.cursor)
    if count:
        problems.append(f"{count} keys are not in the index")
    if not problems:
        sample = index_checks.sample(store, state.watermark)
        queries = [(_by_words(store, *row), number) for number, *row in sample]
        found = [index_checks.finds(store, query, number) for query, number in queries if query]
        if not all(found):
            missed = found.count(False)
            problems.append(f"{missed} of {len(sample)} keys are not found by their words")
        else:
            for query, number in queries:
                if query:
                    index_checks.rank(store, query, number)
                    break
    return problems


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
    again.add(_seen(store, watermark, progress))
    index_checks.open_other(again)
    problems = []
    if _differ(*index_checks.words(store, again, some_stale)):
        problems.append("the index has other words than the keys")
    if _differ(*index_checks.sizes(store, again, some_stale)):
        problems.append("the index has other sizes of texts than the keys")
    if not some_stale:
        ours, theirs = index_checks.totals(store, again)
        if ours != theirs:
            problems.append("the index counts other words than the keys have")
    return problems


def _differ(*pages: Iterator[list[tuple[Any, ...]]]) -> bool:
    """Whether two tables differ, which are read side by side in pages."""
    return any(ours != theirs for ours, theirs in zip_longest(*pages))


def _seen(
    store: Kycore, watermark: int, progress: Progress | None
) -> Iterator[tuple[int, str, str]]:
    """Yield number and folded texts of what the index has seen."""
    total = index.count(store)
    done, last = 0, -1
    while rows := index_checks.seen(store, last, watermark):
        for number, key, kind, value, home in rows:
            yield number, fold(key), fold(searchable(store, kind, value, home))
        last = rows[-1][0]
        done += len(rows)
        if progress is not None:
            progress(min(done, total), total)
