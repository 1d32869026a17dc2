"""The health of a database: the file, its tables, the rows and how they refer to each other,
the search index.

Each part is read in one snapshot, so other processes can go on writing. Only what can be rebuilt
is repaired: the search index from the keys, an index of SQLite from its table, a trigger from
``layout``, and unused pages by rewriting the file. The rest needs a backup.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import NamedTuple

from kycli.core.doctor import consistency
from kycli.core.history.retention import VACUUM_BYTES
from kycli.core.layout import SEARCH_SCHEMA
from kycli.core.layout.triggers import WHOLE
from kycli.core.operations import selecting
from kycli.core.search import checking as index_check
from kycli.core.search import indexing
from kycli.core.sql import fields
from kycli.core.sql.pruning import restart_sweeps
from kycli.errors import BusyError, CorruptError, StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    import apsw

    from kycli.core.batches import Progress
    from kycli.core.sql.fields import FieldIndex
    from kycli.core.storage import Kycore


class Problem(NamedTuple):
    """Something that is not as it should be.

    Attributes:
        part: ``"file"``, ``"keys"``, ``"history"``, ``"archive"``, ``"settings"`` or
            ``"index"``.
        what: what is wrong.
        repaired: whether it was put right.
    """

    part: str
    what: str
    repaired: bool = False


_SIZE = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
_FIRST_NAME = "SELECT type FROM pragma_table_list WHERE schema = 'main' LIMIT 1"
_NAMES_TRIED = 40
_INTEGRITY = "PRAGMA integrity_check(100)"
_QUICK = "PRAGMA quick_check(1)"  # a damaged file is not written to
_TABLE_INTEGRITY = "PRAGMA integrity_check('{}')"
_TABLES = """
SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'
UNION ALL SELECT 'sqlite_schema'"""
_HEADING = "*** in database main ***"
# What SQLite says of an index that does not go with its table, where both can be read.
_OF_ENTRIES = re.compile(
    r"(?:row \d+ missing from|wrong # of entries in|non-unique entry in) index (.+)"
)
_OF_FREE_PAGES = "Freelist: "
_UNUSED = re.compile(r"Page \d+: never used")
# Said of the words, which are in no tree of SQLite's.
_OF_WORDS = re.compile(r"table main\.fts_kvstore|\bfts5\b", re.IGNORECASE)

# The table that triggers use while they run; it is empty between writes.
_SCRATCH = "sql_before"

_SEARCH = ("fts_kvstore", "fts_docs", "fts_state")
_SHADOWS = tuple(f"fts_kvstore_{name}" for name in ("data", "idx", "docsize", "content", "config"))
_OF_SEARCH = frozenset(_SEARCH + _SHADOWS)
# What these say the rows of other tables say, too, so it can be known who is wrong.
_INDEXES = frozenset(("kvstore_expiry", "archive_key"))

_OF_VIEW = """
SELECT type, name, sql FROM sqlite_schema
WHERE tbl_name = ?1 AND name NOT GLOB 'sqlite_*' ORDER BY rowid"""
_OBJECTS = "SELECT type, name, sql FROM sqlite_schema WHERE name NOT GLOB 'sqlite_*'"
_COLUMNS = 'SELECT name, type, "notnull", pk FROM pragma_table_xinfo(?1)'

_FORGET = "DELETE FROM sqlite_schema WHERE tbl_name IN (SELECT value FROM json_each(?1))"


class _Findings:
    """The problems, and the repairs that would fix them.

    Attributes:
        problems: all of it.
        hopeless: a table that nothing else can be made from is damaged.
        rewrite: the trees of search, or pages of no table, are damaged in a way that only
            rewriting the file gets rid of.
        rebuild: the search index does not hold what it should.
        reindex: the indexes that do not go with their tables.
        remake: SQL of triggers, views and indexes that are missing or others, and of a table
            that holds nothing, by what they are.
        outdated: indexes on fields that are not used, as another kycli made them.
        sweeps: what is kept of the sweeps cannot be.
        refusal: why SQLite could not check the file as a whole.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.hopeless = False
        self.rewrite = False
        self.rebuild = False
        self.reindex: set[str] = set()
        self.remake: dict[tuple[str, str], str] = {}
        self.outdated: list[FieldIndex] = []
        self.sweeps = False
        self.refusal = ""

    def add(self, part: str, lines: Iterable[str]) -> None:
        self.problems += [Problem(part, line) for line in lines]

    def has(self, *parts: str) -> bool:
        return any(problem.part in parts for problem in self.problems)


def check(store: Kycore, repair: bool = False, progress: Progress | None = None) -> list[Problem]:
    """Return the problems of a database; repair them where possible, if asked to."""
    found = _examined(store, progress)
    if not repair or store.read_only or not _is_mendable(found):
        return found.problems
    failure = None
    try:
        _mend(store, found, progress)
    except StorageError as error:  # such as no space for it
        failure = str(error)
    left = _examined(store, progress).problems
    problems = [problem._replace(repaired=problem not in left) for problem in found.problems]
    problems += [problem for problem in left if problem not in found.problems]
    if left and failure is not None and not any(failure == what for _, what, _ in problems):
        problems.append(Problem(left[0].part, failure))
    return problems


def _examined(store: Kycore, progress: Progress | None) -> _Findings:
    found = _Findings()
    _look_at_file(store, found)
    if not found.hopeless:
        _look_at_schema(store, found)
    if found.hopeless:
        return found  # what else does not fit follows from that
    _look_at_rows(store, found)
    _look_at_index(store, found, progress)
    if found.refusal and not found.problems:  # so it is not the index
        found.add("file", [found.refusal])
    return found


def _is_mendable(found: _Findings) -> bool:
    remedies = (
        *(found.rewrite, found.rebuild, found.reindex, found.remake, found.sweeps),
        found.outdated,
    )
    return any(remedies) and not found.hopeless


# ---------------------------------------------------------------- what is wrong


def _look_at_file(store: Kycore, found: _Findings) -> None:
    """Check the file page by page; where that finds anything, each table by itself."""
    try:
        lines = [line for line in _of_all_pages(store) if not _OF_WORDS.search(line)]
        if not lines:
            return
    except StorageError as error:  # often because the search index cannot even be opened
        _reraise_unless_damage(error)
        lines, found.refusal = [], str(error)
    reported = set()
    for (table,) in store._query(_TABLES):
        try:
            of_table = _verdicts(store, _TABLE_INTEGRITY.format(table))
        except StorageError as error:
            _reraise_unless_damage(error)
            of_table = [str(error)]
        # What is said of free pages is said of no table.
        of_table = [line for line in of_table if not line.startswith(_OF_FREE_PAGES)]
        reported.update(of_table)
        if not of_table:
            continue
        found.add(
            "index" if table in _OF_SEARCH else "file",
            [line if table in line else f"{table}: {line}" for line in of_table],
        )
        entries = [_OF_ENTRIES.fullmatch(line) for line in of_table]
        indexes = {entry.group(1) for entry in entries if entry is not None}
        if table in _OF_SEARCH:
            found.rebuild = True
            found.rewrite |= None in entries
        elif None not in entries and indexes <= _INDEXES | {*_of_fields(store)}:
            found.reindex |= indexes
        else:
            found.hopeless = True
    loose = [line for line in lines if line not in reported]
    unused = [line for line in loose if _UNUSED.fullmatch(line)]
    if unused:
        found.add("file", [f"{len(unused)} pages or more belong to nothing"])
    if loose:  # such as pages that belong to two, of which one is of search, or free
        found.add("file", [line for line in loose if line not in unused])
        found.rewrite = True


def _of_fields(store: Kycore) -> list[str]:
    """Return the names of the indexes on fields."""
    return [name for _, name, _ in fields.recorded(store)]


def _of_all_pages(store: Kycore) -> list[str]:
    """Return what SQLite finds in the whole file.

    It does not look for pages that nobody uses, or that are both free and used, where the
    first name in its hash table of names is that of a view or a virtual table. A name that
    is new comes first unless it shares its place in that table with another. So tables are
    made that are not to stay, until one is the first. Others wait for that with their
    writes, which is why a large file is not looked at in this way.
    """
    size = store._query(_SIZE)[0][0]
    if (
        store.read_only
        or store._in_transaction()
        or size > VACUUM_BYTES
        or _verdicts(store, _QUICK)
    ):
        return _verdicts(store, _INTEGRITY)
    lines: list[str] = []
    try:
        with store.transaction():
            for number in range(_NAMES_TRIED):
                if store._query(_FIRST_NAME)[0][0] not in ("view", "virtual"):
                    break
                store._query(f"CREATE TABLE first_name_{number} (x)")
            lines = _verdicts(store, _INTEGRITY)
            raise _TakeBack
    except _TakeBack:
        return lines
    except BusyError:
        return _verdicts(store, _INTEGRITY)


class _TakeBack(Exception):
    """Ends a transaction that is not to be kept."""


def _verdicts(store: Kycore, sql: str) -> list[str]:
    """Return what SQLite finds, one line each."""
    lines = [line for (text,) in store._query(sql) for line in text.split("\n")]
    return [line for line in lines if line not in ("ok", _HEADING)]


def _reraise_unless_damage(error: StorageError) -> None:
    """Raise errors that do not mean damage: the database is busy, or the disk is full."""
    if type(error) not in (CorruptError, StorageError):
        raise error


def _look_at_schema(store: Kycore, found: _Findings) -> None:
    """Compare tables, indexes and triggers with the layout; ignore those of other programs."""
    there = {(type, name): sql for type, name, sql in store._query(_OBJECTS)}
    for type, name, sql in _objects_of_layout():
        if name in _SHADOWS:
            continue  # a part of fts_kvstore, and looked at with it
        present = there.get((type, name))
        if type != "table":
            if present is None or present.split() != sql.split():
                found.remake[type, name] = sql
                if type == "view":  # its triggers are dropped with it
                    of_view: list[Any] = _model().execute(_OF_VIEW, (name,)).fetchall()
                    found.remake.update({(made, its): text for made, its, text in of_view})
                state = "is missing" if present is None else "is not as kycli makes it"
                found.add("file", [f"the {type} {name} {state}"])
            continue
        if present is not None and _is_that_table(store, name, present, sql):
            continue
        state = "is missing" if present is None else "is not as kycli makes it"
        found.add("index" if name in _SEARCH else "file", [f"the table {name} {state}"])
        if name in _SEARCH:
            found.rewrite = True
        elif name == _SCRATCH and present is None:
            found.remake[type, name] = sql
        else:
            found.hopeless = True
    for index in selecting.outdated(store):
        found.outdated.append(index)
        what = f"the index on {index.field} of {index.scope} is not as kycli makes it"
        found.add("file", [what])


@cache
def _objects_of_layout() -> list[tuple[Any, ...]]:
    """Return type, name and SQL of all that the layout makes."""
    return _model().execute(_OBJECTS).fetchall()


def _model() -> apsw.Connection:
    """Return an empty database as the layout makes it, in memory."""
    import apsw

    model = apsw.Connection(":memory:")
    model.execute(WHOLE)
    return model


def _is_that_table(store: Kycore, name: str, sql: str, wanted: str) -> bool:
    if sql.split() == wanted.split():
        return True
    # It may have columns more, and one that was added is written in another way; but the
    # columns of a virtual table cannot be asked for where it is damaged.
    columns = _model().execute(_COLUMNS, (name,)).fetchall()
    return name != "fts_kvstore" and {*columns} <= {*store._query(_COLUMNS, (name,))}


def _look_at_rows(store: Kycore, found: _Findings) -> None:
    try:
        for part, what in consistency.misfits(store):
            found.add(part, [what])
        sweeps = consistency.wrong_sweeps(store)
    except StorageError as error:  # a row that SQLite cannot take apart
        _reraise_unless_damage(error)
        found.add("file", [str(error)])
        found.hopeless = True
        return
    if sweeps:
        found.add("settings", sweeps)
        found.sweeps = True
    if found.has("keys", "history", "archive"):
        found.reindex.clear()  # the index may be what is right


def _look_at_index(store: Kycore, found: _Findings, progress: Progress | None) -> None:
    if found.hopeless or found.rewrite:
        return
    lines = index_check.check(store) or index_check.compare(store, progress)
    if lines:
        found.add("index", lines)
        found.rebuild = True


# ---------------------------------------------------------------- what can be done


def _mend(store: Kycore, found: _Findings, progress: Progress | None) -> None:
    if found.sweeps:
        restart_sweeps(store)
    with store.transaction():
        for (type, name), sql in found.remake.items():
            store._query(f"DROP {type} IF EXISTS {name}")
            store._query(sql)
        for index in found.outdated:
            selecting.renew_index(store, index)
        for name in found.reindex:
            store._query(f"REINDEX {fields.quoted(name)}")
    if found.rewrite:
        _rewrite(store)
    elif found.rebuild:
        try:
            indexing.rebuild(store, progress)
            if not index_check.check(store):
                return
        except StorageError:
            pass
        _rewrite(store)
    else:
        return
    indexing.rebuild(store, progress)


def _rewrite(store: Kycore) -> None:
    """Rewrite the file without pages that belong to no table, and with an empty search index.

    The tables of search are not dropped, as any others would be: what SQLite finds through
    damaged pages, and then takes for free, may be pages of other tables. So they are
    forgotten, and what is left of them stays behind when the rest is written anew.
    """
    store._query("PRAGMA writable_schema = ON")
    try:
        store._query(_FORGET, (json.dumps(sorted(_OF_SEARCH)),))
    finally:
        store._query("PRAGMA writable_schema = RESET")
    store._query("VACUUM")
    with store.transaction():
        for statement in SEARCH_SCHEMA.split(";\n"):
            store._query(statement)
