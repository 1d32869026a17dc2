"""The search index: catching up with the log, and building it.

Writes leave the index alone. Before a search, ``catch_up`` takes in what has changed: the
log above the watermark names the keys, and each of them is indexed as it is now, however
often it changed. The index is built from all keys, in their order, the first time and when
another program has changed rows without the log.

The work is done in steps of some 50 ms, each a transaction that starts from what is on file.
So it can be stopped or killed at any point, several processes can do it at once, and others
can write in between.
"""

from __future__ import annotations

import time

from kycli.core.layout import BIGINT, BOOL, BYTES, FLOAT, INT, JSON, NONE, TEXT
from kycli.core.search.folding import fold
from kycli.core.sql import index
from kycli.core.steps import let_others_write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kycli.core.sql.index import Doc
    from kycli.core.steps import Progress
    from kycli.core.storage import Kycore

STEP_SECONDS = 0.05
"""About how long other writers wait for a step."""

_STEP_ROWS = 2000
_STEP_BYTES = 1 << 20


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

    Inside a transaction the whole of it is part of that; otherwise it goes in steps.
    """
    state = State(store)
    if state.is_current:
        return
    goal = state.newest
    store._enlarge_page_cache()
    done, total = 0, _left(store, state)
    while True:
        with store.transaction():
            state = State(store)
            done += _step(store, state, goal)
        if progress is not None:
            progress(min(done, total), total)
        if state.has_reached(goal):
            return
        if not store._in_transaction():
            let_others_write()


def rebuild(store: Kycore, progress: Progress | None = None) -> None:
    """Build the index anew."""
    with store.transaction():
        forget(store)
    catch_up(store, progress)


def forget(store: Kycore) -> None:
    """Drop the state of the index; the next search builds it anew."""
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


def _step(store: Kycore, state: State, goal: int) -> int:
    """Index for about ``STEP_SECONDS``; return how many keys or changes that were."""
    end = time.monotonic() + STEP_SECONDS
    done = 0
    if state.watermark is None:
        index.clear(store)
        state.watermark, state.cursor = state.newest, ("", "")
    while not state.has_reached(goal):
        if state.cursor is not None:
            docs = index.in_order(store, state.cursor, _STEP_ROWS)
            count = _index(store, docs, end)
            state.cursor = docs[count - 1][:2] if docs else None
            done += count
        else:
            before = state.watermark
            upto = min(before + _STEP_ROWS, state.newest)
            docs = index.changed(store, before, upto)
            count = _index(store, docs, end)
            # A key that comes later has its last change later, so it will be met again.
            state.watermark = upto if count == len(docs) else docs[count - 1].id
            done += state.watermark - before
        if time.monotonic() > end:
            break
    index.set_state(store, state.watermark, state.cursor)
    return done


def _index(store: Kycore, docs: list[Doc], end: float) -> int:
    """Index keys as they are now until it is time to end; return how many."""
    size = 0
    last = index.last_number(store)
    for count, doc in enumerate(docs, 1):
        if doc.kind is not None:
            text = searchable(store, doc.kind, doc.value, doc.home)
            if doc.number is None:
                last += 1
                index.add(store, last, doc.scope, doc.key, fold(doc.key), fold(text))
            else:
                index.replace(store, doc.number, fold(doc.key), fold(text))
            size += len(text)
        elif doc.number is not None:
            index.remove(store, doc.number)
        if size > _STEP_BYTES or time.monotonic() > end:
            return count
    return len(docs)


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
