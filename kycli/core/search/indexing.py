"""The search index: bringing it up to date from the log, and building it.

Writes do not touch the index. Before a search, ``catch_up`` indexes what has changed: the log
above the watermark names the keys, and each of them is indexed once, with its current value,
however often it changed. The index is built from all keys, in key order, the first time and after
another program has changed rows without logging it.

The work is done in steps of some 50 ms, each a transaction that starts from what is on file.
So it can be stopped or killed at any point, several processes can do it at once, and others
can write in between.
"""

from __future__ import annotations

import time
from itertools import count

from kycli.core.batches import let_others_write
from kycli.core.layout import BIGINT, BOOL, BYTES, FLOAT, INT, JSON, NONE, TEXT
from kycli.core.search.folding import fold
from kycli.core.search.merging import merge
from kycli.core.sql import index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kycli.core.batches import Progress
    from kycli.core.storage import Kycore

STEP_SECONDS = 0.05
"""About how long other writers wait for a step."""

_TOO_SHORT = 0.1
"""The part of a step in which no other changes are begun."""

_STEP_ROWS = 2000
_SPAN_MAX = 1 << 16

_BULK = 20_000
"""From how many changes on merging waits for the end."""

_STEPS_BETWEEN_MERGES = 128
"""Far fewer parts than FTS5 can have."""


class State:
    """How far the index has got, and how far the log.

    Attributes:
        watermark: the id of the last change that it has seen; None before it is built.
        cursor: the scope and key that building it has got to, or None when it is built.
        newest: the id of the last change there is.
    """

    __slots__ = ("cursor", "newest", "watermark")

    def __init__(self, store: Kycore) -> None:
        self.watermark, self.cursor, self.newest = index.state(store)

    @property
    def is_built(self) -> bool:
        return self.watermark is not None and self.cursor is None

    @property
    def is_current(self) -> bool:
        return self.has_reached(self.newest)

    def has_reached(self, id: int) -> bool:
        """Whether it is built and has seen the change with this id."""
        return self.cursor is None and self.watermark is not None and self.watermark >= id


# Catching up


def catch_up(store: Kycore, progress: Progress | None = None) -> None:
    """Take in every change that is committed by now.

    Inside a transaction the whole of it is part of that; otherwise it goes in steps. When
    there is much to take in, each step leaves parts of the index, which are merged when there
    are many, and at the end: all at once, and not two or three times by and by.
    """
    state = State(store)
    if state.is_current:
        return
    goal = state.newest
    store._enlarge_page_cache()
    done, total = 0, _left(store, state)
    bulk = not state.is_built or total > _BULK
    pace = _Pace()
    for step in count(1):
        with store.transaction():
            state = State(store)
            done += _step(store, state, goal, pace, bulk)
        if progress is not None:
            progress(min(done, total), total)
        reached = state.has_reached(goal)
        if bulk and (reached or step % _STEPS_BETWEEN_MERGES == 0):
            merge(store)
        if reached:
            return
        if not store._in_transaction():
            let_others_write()


def backlog(store: Kycore) -> int:
    """Return how many changes it is yet to take in, without taking them in."""
    state = State(store)
    return 0 if state.is_current else max(1, state.newest - (state.watermark or 0))


def update(store: Kycore, progress: Progress | None = None) -> int:
    """Catch up; return how many keys are indexed."""
    catch_up(store, progress)
    return index.count(store)


def rebuild(store: Kycore, progress: Progress | None = None) -> None:
    """Rebuild the index."""
    with store.transaction():
        forget(store)
    catch_up(store, progress)


def forget(store: Kycore) -> None:
    """Drop the state of the index; the next search rebuilds it."""
    index.set_state(store, None, None)


def rename(store: Kycore, scope: str, to_scope: str) -> None:
    """Rename a scope in the index, as its keys and log are renamed in the same transaction."""
    if State(store).cursor is not None:
        # It is being built in the order of scopes, which changes now.
        forget(store)
    else:
        index.rename(store, scope, to_scope)


def drop_orphans(store: Kycore) -> None:
    """Remove keys from the index whose removal was pruned before the index had seen it."""
    last = 0
    while orphans := index.orphans(store, last):  # most often there is none
        with store.transaction():
            for number in index.orphans(store, last):
                index.remove(store, number)
        last = orphans[-1]


def _left(store: Kycore, state: State) -> int:
    """Return about how many keys or changes there are to look at."""
    if state.watermark is not None and state.cursor is None:
        return state.newest - state.watermark
    return index.count_keys(store, state.cursor or ("", ""))


class _Pace:
    """How much of the log a step can take in, by how long it took before."""

    _GROWTH = 4

    def __init__(self) -> None:
        self._rate = 10_000.0

    def span(self, seconds: float) -> int:
        """Return how many changes to take in, in somewhat less than some time."""
        return max(1, min(int(self._rate * 0.7 * seconds), _SPAN_MAX))

    def note(self, count: int, seconds: float, finished: bool) -> None:
        """Note how long it took to take in some changes, or to find that they are too many."""
        if finished:
            self._rate = min(count / max(seconds, 1e-6), self._rate * self._GROWTH)
        else:
            self._rate = max(1.0, self._rate / self._GROWTH)


def _step(store: Kycore, state: State, goal: int, pace: _Pace, bulk: bool) -> int:
    """Index for about ``STEP_SECONDS``; return how many keys or changes that were."""
    end = time.monotonic() + STEP_SECONDS
    done = 0
    if state.watermark is None:
        index.clear(store)  # also what is damaged
        state.watermark, state.cursor = state.newest, ("", "")
    if bulk:
        index.defer_merging(store)
    while not state.has_reached(goal):
        now = time.monotonic()
        if state.cursor is not None:
            taken = index.take_in_order(store, state.cursor, _STEP_ROWS, end, searchable, fold)
            state.cursor = taken.last
            done += taken.keys
        else:
            before = state.watermark
            upto = min(before + pace.span(end - now), state.newest)
            taken = index.take_changed(store, before, upto, end, searchable, fold)
            # What was taken in behind what is left will be taken in once more.
            state.watermark = upto if taken.left is None else taken.left - 1
            pace.note(upto - before, time.monotonic() - now, taken.left is None)
            done += state.watermark - before
        if time.monotonic() > end - _TOO_SHORT * STEP_SECONDS:
            break
    if bulk:
        index.merge_as_usual(store)
    index.set_state(store, state.watermark, state.cursor)
    return done


# The text of a value


def searchable(store: Kycore, kind: int, value: Any, home: int | None) -> str:
    """Return the text by which a value is found; that of a large one is read first."""
    if home is not None and kind != BYTES:
        value = index.large_text(store, home)
    elif isinstance(value, str):
        value = value[: index.TEXT_MAX]
    if kind == JSON and len(value) >= index.TEXT_MAX:
        return str(value)  # cut off, so it is no JSON any more, but still text
    return text_of(kind, value)


def text_of(kind: int, value: Any) -> str:
    """Return the text of a value as SQLite keeps it: what ``kyg`` would print; none of bytes."""
    if kind in (TEXT, BIGINT):
        return str(value)
    if kind == JSON:
        if "\\" not in value and '"$' not in value:
            return str(value)
        try:
            return "".join(_pieces(_document(value)))
        except RecursionError:  # nested more deeply than what the engine writes
            return str(value)
    if kind in (INT, FLOAT):
        return "NaN" if value is None else repr(value)
    if kind == BOOL:
        return "true" if value else "false"
    return "null" if kind == NONE else ""


def _document(text: str) -> Any:
    from kycli.core.values import loads

    try:
        return loads(text)
    except ValueError:
        return text


def _pieces(data: Any) -> list[str]:
    """Return a document as JSON with its strings as they are, to be read and not parsed."""
    if type(data) is dict:
        pieces = []
        for name, item in data.items():
            pieces += [",", f'"{name}":', *_pieces(item)]
        return ["{", *pieces[1:], "}"]
    if type(data) is list:
        pieces = []
        for item in data:
            pieces += [",", *_pieces(item)]
        return ["[", *pieces[1:], "]"]
    if type(data) is str:
        return [f'"{data}"']
    if type(data) is bytes:
        return ['""']
    if data is None or type(data) is bool:
        return [{None: "null", True: "true", False: "false"}[data]]
    return [repr(data)]
