"""The search index: catching up with the log, building and merging it.

Writes leave the index alone. Before a search, ``catch_up`` takes in what has changed: the
log above the watermark says which keys, and each of them is indexed as it is now, however
often it changed. The first time, or when a tool has changed rows behind the log's back,
the index is built from all keys, in their order.

All of it goes in steps of some 50 ms, each a transaction that starts from what is on file:
so it can be stopped and killed anywhere, several processes can do it at once, and others
can write in between.
"""

from __future__ import annotations

import time

from kycli.core.layout import BIGINT, BOOL, BYPASS, BYTES, FLOAT, INT, JSON, NONE, TEXT, TOKENIZER
from kycli.core.search.folding import fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import apsw

    from kycli.core.storage import Kycore

    Progress = Callable[[int, int], object]
    """Is told how many of how many keys or changes are done."""

STEP_SECONDS = 0.05
"""How long other writers have to wait for a step, about."""

# Longer than a waiting writer sleeps between two tries, so that it gets its turn.
_BREATH_SECONDS = 0.004

_STEP_ROWS = 2000
_STEP_BYTES = 1 << 20

TEXT_MAX = 4 << 20
"""How many characters of a value are indexed: as many as a step may take."""

_STATE = """
SELECT s.watermark, s.scope, s.key, l.newest
FROM (SELECT ifnull(max(id), 0) AS newest FROM audit_log) l LEFT JOIN fts_state s"""
_SET_STATE = "INSERT OR REPLACE INTO fts_state VALUES (1, ?1, ?2, ?3)"
_CLEAR = "INSERT INTO fts_kvstore (fts_kvstore) VALUES ('delete-all')"
_CLEAR_DOCS = "DELETE FROM fts_docs"
_COUNT = "SELECT count(*) FROM kvstore WHERE (scope, key) > (?1, ?2)"
_BULK_CACHE = "PRAGMA cache_size = -32768"  # KiB

# A key and its value: large ones are read one at a time.
COLUMNS = "k.kind, CASE WHEN k.home IS NULL THEN k.value END, k.home"
_CHANGED = f"""
SELECT c.scope, c.key, c.last, d.id, {COLUMNS}
FROM (
    SELECT scope, key, max(id) AS last FROM audit_log
    WHERE id > ?1 AND id <= ?2 AND op <> {BYPASS} GROUP BY scope, key
) c
LEFT JOIN kvstore k ON k.scope = c.scope AND k.key = c.key
LEFT JOIN fts_docs d ON d.scope = c.scope AND d.key = c.key
ORDER BY c.last"""
_IN_ORDER = f"""
SELECT k.scope, k.key, k.seq, d.id, {COLUMNS}
FROM kvstore k LEFT JOIN fts_docs d ON d.scope = k.scope AND d.key = k.key
WHERE (k.scope, k.key) > (?1, ?2) ORDER BY k.scope, k.key LIMIT ?3"""
_LARGE = f"SELECT substr(value, 1, {TEXT_MAX}) FROM audit_log WHERE id = ?1"

_LAST_DOC = "SELECT ifnull(max(id), 0) FROM fts_docs"
_ADD_DOC = "INSERT INTO fts_docs (id, scope, key) VALUES (?1, ?2, ?3)"
_REMOVE_DOC = "DELETE FROM fts_docs WHERE id = ?1"
_ADD = "INSERT INTO fts_kvstore (rowid, key, value) VALUES (?1, ?2, ?3)"
# Looks for what it replaces, which takes as long again.
_REPLACE = "INSERT OR REPLACE INTO fts_kvstore (rowid, key, value) VALUES (?1, ?2, ?3)"
_REMOVE = "DELETE FROM fts_kvstore WHERE rowid = ?1"

_MERGE = "INSERT INTO fts_kvstore (fts_kvstore, rank) VALUES ('merge', ?1)"
_MERGE_PAGES = 250
_TOTAL_CHANGES = "SELECT total_changes()"
_ORPHANS = """
SELECT id FROM fts_docs d
WHERE d.id > ?1
    AND NOT EXISTS (SELECT 1 FROM kvstore k WHERE k.scope = d.scope AND k.key = d.key)
ORDER BY d.id LIMIT 1000"""

SCRATCH_ADD = "INSERT INTO fts (rowid, key, value) VALUES (?, ?, ?)"


class State:
    """How far the index has got, and how far the log.

    Attributes:
        watermark: the id of the last change that it has seen; None before it is built.
        cursor: the scope and key that building it has got to, or None when it is built.
        newest: the id of the last change there is.
    """

    __slots__ = ("cursor", "newest", "watermark")

    def __init__(self, store: Kycore) -> None:
        self.watermark, scope, key, self.newest = store._query(_STATE)[0]
        self.cursor: tuple[str, str] | None = None if scope is None else (scope, key)

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
    store._query(_BULK_CACHE)
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
            time.sleep(_BREATH_SECONDS)


def rebuild(store: Kycore, progress: Progress | None = None) -> None:
    """Build the index anew."""
    with store.transaction():
        forget(store)
    catch_up(store, progress)


def forget(store: Kycore) -> None:
    """Have the index built anew by whoever needs it next."""
    store._query(_SET_STATE, (None, None, None))


def rename(store: Kycore, scope: str, to_scope: str) -> None:
    """Follow a scope that gets another name, whose keys and log are renamed alike."""
    if State(store).cursor is not None:
        # It is being built in the order of names, which is another one now.
        forget(store)
        return
    docs = "SELECT id FROM fts_docs WHERE scope = ?1"
    store._query(f"DELETE FROM fts_kvstore WHERE rowid IN ({docs})", (to_scope,))
    store._query("DELETE FROM fts_docs WHERE scope = ?1", (to_scope,))
    store._query("UPDATE fts_docs SET scope = ?2 WHERE scope = ?1", (scope, to_scope))


def _left(store: Kycore, state: State) -> int:
    """Return about how many keys or changes there are to look at."""
    if state.is_built:
        return int(state.newest - state.watermark)
    return int(store._query(_COUNT, state.cursor or ("", ""))[0][0])


def _step(store: Kycore, state: State, goal: int) -> int:
    """Do what can be done in a while; return how many keys or changes that was."""
    end = time.monotonic() + STEP_SECONDS
    done = 0
    if state.watermark is None:
        store._query(_CLEAR)
        store._query(_CLEAR_DOCS)
        state.watermark, state.cursor = state.newest, ("", "")
    while not state.has_reached(goal):
        if state.cursor is not None:
            done += _build_on(store, state, end)
        else:
            done += _follow_log(store, state, end)
        if time.monotonic() > end:
            break
    store._query(_SET_STATE, (state.watermark, *(state.cursor or (None, None))))
    return done


def _build_on(store: Kycore, state: State, end: float) -> int:
    """Index the next keys in their order."""
    rows = store._query(_IN_ORDER, (*(state.cursor or ()), _STEP_ROWS))
    count = _index(store, rows, end)
    state.cursor = rows[count - 1][:2] if rows else None
    return count


def _follow_log(store: Kycore, state: State, end: float) -> int:
    """Index the keys that changed next."""
    before = state.watermark
    upto = min(before + _STEP_ROWS, state.newest)
    rows = store._query(_CHANGED, (before, upto))
    count = _index(store, rows, end)
    # A key that comes later has its last change later, so it will be met again.
    state.watermark = upto if count == len(rows) else rows[count - 1][2]
    return int(state.watermark - before)


def _index(store: Kycore, rows: list[tuple[Any, ...]], end: float) -> int:
    """Index keys as they are now until it is time to end; return how many."""
    size = 0
    last = store._query(_LAST_DOC)[0][0]
    for count, (scope, key, _, doc, kind, value, home) in enumerate(rows, 1):
        if kind is None:
            if doc is not None:
                store._query(_REMOVE, (doc,))
                store._query(_REMOVE_DOC, (doc,))
        else:
            text = searchable(store, kind, value, home)
            if doc is None:
                last += 1
                store._query(_ADD_DOC, (last, scope, key))
                store._query(_ADD, (last, fold(key), fold(text)))
            else:
                store._query(_REPLACE, (doc, fold(key), fold(text)))
            size += len(text)
        if size > _STEP_BYTES or time.monotonic() > end:
            return count
    return len(rows)


# Merging


def optimize(store: Kycore, progress: Progress | None = None) -> int:
    """Catch up, check, merge all parts into one; return how many keys are indexed."""
    catch_up(store, progress)
    drop_orphans(store)
    from kycli.core.search.checking import check

    if check(store):
        rebuild(store, progress)
    pages = -_MERGE_PAGES  # below 0 it begins to merge everything, above it goes on
    while _merge(store, pages):
        pages = _MERGE_PAGES
        if not store._in_transaction():
            time.sleep(_BREATH_SECONDS)
    return int(store._query("SELECT count(*) FROM fts_docs")[0][0])


def _merge(store: Kycore, pages: int) -> bool:
    """Merge for a while; return whether there is more to merge."""
    with store.transaction():
        before = store._query(_TOTAL_CHANGES)[0][0]
        store._query(_MERGE, (pages,))
        # By FTS5's documentation, less than 2 says that there was nothing to do.
        return bool(store._query(_TOTAL_CHANGES)[0][0] - before >= 2)


def drop_orphans(store: Kycore) -> None:
    """Remove what is left of keys whose removal was pruned before the index has seen it."""
    last = 0
    while orphans := store._query(_ORPHANS, (last,)):  # most often there is none
        with store.transaction():
            for (doc,) in store._query(_ORPHANS, (last,)):
                store._query(_REMOVE, (doc,))
                store._query(_REMOVE_DOC, (doc,))
        last = orphans[-1][0]


def scratch(options: str = "") -> apsw.Connection:
    """Return an index ``fts`` of its own, in memory; in a temporary file when it gets large."""
    import apsw

    connection = apsw.Connection("")
    connection.execute(
        f'CREATE VIRTUAL TABLE fts USING fts5 (key, value, {options} tokenize = "{TOKENIZER}")'
    )
    return connection


# The text of a value


def searchable(store: Kycore, kind: int, value: Any, home: int | None) -> str:
    """Return the text by which a value is found; that of a large one is read first."""
    if home is not None and kind != BYTES:
        rows = store._query(_LARGE, (home,))
        value = rows[0][0] if rows else ""
    elif isinstance(value, str):
        value = value[:TEXT_MAX]
    if kind == JSON and len(value) >= TEXT_MAX:
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
