"""Saving what can be read of a damaged database into a new one.

The tables are read page by page (``pages``), each tree from its root. If a page of a tree is
damaged, the pages below it are recognised by their content: no other page points to them, and they
are not on the list of free pages. Facts that are stored twice replace lost ones: a key whose row
is unreadable gets its value from the history, and an unreadable change is reconstructed from its
key. If a value is lost, its key is reported, and deleted in the history, so that the new database
is consistent. As changes may be missing, the history counts as complete only from now on.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, closing
from typing import NamedTuple

import apsw

from kycli.core.authors import number_of
from kycli.core.backup.newfile import give_name, partial
from kycli.core.backup.replacing import locked
from kycli.core.codec import digest
from kycli.core.create import create_tables
from kycli.core.doctor.pages import (
    INTERIOR_INDEX,
    LEAF_INDEX,
    LEAF_TABLE,
    UNREADABLE,
    DamagedError,
    Page,
    Pages,
)
from kycli.core.layout import (
    APPLICATION_ID,
    BYPASS,
    DELETED,
    FORMAT,
    IMPORTED,
    INLINE_MAX,
    LIFETIME,
)
from kycli.core.layout.triggers import WHOLE
from kycli.core.location import sync_directory
from kycli.core.sqlite_errors import cannot_open, translate
from kycli.errors import KycliError, NotADatabaseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from kycli.core.batches import Progress

_WAIT_MS = 1000
_OLDEST = 3  # the first format whose tables are those of now
_TABLES = ("authors", "sys_namespaces", "horizon", "audit_log", "archive", "kvstore")
_WITHOUT_ROWID = ("sys_namespaces", "horizon", "kvstore")
# A page that nothing leads to can be recognized by its rows, if no other table has such rows.
_RECOGNIZABLE = ("audit_log", "archive", "kvstore", "sys_namespaces")

_COLUMNS = 'SELECT name, type, "notnull", pk FROM pragma_table_xinfo(?1) ORDER BY cid'
_STAGES = """
CREATE TEMP TABLE seen_keys AS SELECT * FROM kvstore WHERE 0;
CREATE UNIQUE INDEX temp.seen_keys_key ON seen_keys (scope, key);
CREATE TEMP TABLE lost_changes AS SELECT * FROM audit_log WHERE 0;
CREATE UNIQUE INDEX temp.lost_changes_id ON lost_changes (id)"""
_INDEX_LOG = "CREATE INDEX by_key ON audit_log (scope, key, id)"
_UNINDEX_LOG = "DROP INDEX by_key"
_NEWER_KEY = """
INSERT INTO seen_keys VALUES ({}) ON CONFLICT DO UPDATE SET ({}) = ({}) WHERE excluded.seq > seq"""
_INSERT = "INSERT OR IGNORE INTO {} ({}) VALUES ({})"
_NAMES = f"""
SELECT scope, key FROM seen_keys
UNION SELECT scope, key FROM audit_log WHERE op <> {BYPASS}
UNION SELECT scope, key FROM lost_changes"""
_LIVE = "SELECT * FROM seen_keys WHERE scope = ?1 AND key = ?2"
_NEWEST = f"""
SELECT * FROM audit_log WHERE scope = ?1 AND key = ?2 AND op <> {BYPASS}
ORDER BY id DESC LIMIT 1"""
_NEWEST_LOST = """
SELECT * FROM lost_changes WHERE scope = ?1 AND key = ?2 ORDER BY id DESC LIMIT 1"""
_CHANGE = "SELECT * FROM audit_log WHERE id = ?1"
_DROP_CHANGE = "DELETE FROM audit_log WHERE id = ?1"
_MAKE_WHOLE = "UPDATE audit_log SET op = ?2, value = ?3, prev = NULL WHERE id = ?1"
# The lifetime of a value that is lost.
_DROP_EMPTY = f"""
DELETE FROM audit_log WHERE op = {LIFETIME} AND value IS NULL
AND (prev IS NULL OR prev NOT IN (SELECT id FROM audit_log))"""
_INDEX_CHANGES = "CREATE INDEX by_change ON audit_log (change)"
_UNINDEX_CHANGES = "DROP INDEX by_change"
# Who made a change that was made up, if it is known of its other parts.
_SET_AUTHORS = """
UPDATE audit_log AS c SET (author, pid) = (
    SELECT a.author, a.pid FROM audit_log a WHERE a.change = c.id LIMIT 1
) WHERE c.author = ?1 AND EXISTS (SELECT 1 FROM audit_log a WHERE a.change = c.id)"""
_DROP_LOST_AUTHORS = """
UPDATE audit_log SET author = NULL
WHERE author IS NOT NULL AND author NOT IN (SELECT id FROM authors)"""
_MARK_INCOMPLETE = "INSERT OR REPLACE INTO horizon VALUES ('', ?1)"
_NEXT_ID = "SELECT ifnull(max(id), 0) + 1 FROM audit_log"
_COUNT = "SELECT count(*) FROM {}"
_SCOPES = "SELECT count(DISTINCT scope) FROM kvstore"


class LostKey(NamedTuple):
    """A key whose value cannot be read."""

    scope: str
    key: str


class Salvaged(NamedTuple):
    """The number of rows that were saved, and the known losses.

    Attributes:
        path: of the new database.
        keys: how many keys it has.
        from_history: how many of them have their value from the history; it may be older than
            the last one, where changes are lost as well.
        scopes, changes, archived: how many it has.
        damaged_pages: how many pages of its tables could not be read, or not all their rows.
        lost_changes: how many changes are known to be lost.
        lost_keys: the keys that are known and have lost their value.
        other_tables: the tables of other programs, which were not saved.
    """

    path: str
    keys: int
    from_history: int
    scopes: int
    changes: int
    archived: int
    damaged_pages: int
    lost_changes: int
    lost_keys: list[LostKey]
    other_tables: list[str]


def salvage(path: str, new: str, progress: Progress | None = None, command: str = "") -> Salvaged:
    """Save what can be read of a damaged database, which is not changed, into a new one.

    Parameters:
        path: of the damaged database.
        new: the path of the new one, which no file has.
        progress: called with how many pages of how many were read.
        command: who the history says has made up what is lost.

    Raises:
        BusyError: when another program has the database open.
        NotADatabaseError: when there is nothing of a kycli database of this format in it.
        DiskFullError, CannotOpenError: when the new one cannot be written.
    """
    try:
        with ExitStack() as stack:
            pages = _pages(stack, path)
            _check_format(pages, path)
            target, file = stack.enter_context(partial(new, 0o600))
            with closing(apsw.Connection(target, vfs="unix-none")) as connection:
                connection.pragma("journal_mode", "off")
                connection.pragma("synchronous", 0)
                connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
                create_tables(connection)
                with connection:
                    done = _Salvage(connection, pages, progress, command).run(new)
            if not done.keys and not done.changes and not done.archived:
                raise NotADatabaseError(f"{path}: nothing of a kycli database can be read in it")
            os.fsync(file)
            give_name(target, new)
        sync_directory(os.path.dirname(new))
    except OSError as error:
        raise cannot_open(new, error) from error
    except apsw.Error as error:
        raise translate(error, new, _WAIT_MS) from error
    return done


def _pages(stack: ExitStack, path: str) -> Pages:
    """Return the pages of a file, which nobody changes before the stack ends."""
    real = os.path.realpath(path)
    size = os.path.getsize(real)
    wal = f"{real}-wal"
    if not os.access(real, os.W_OK):  # then no program of ours writes to it
        plain = os.open(real, os.O_RDONLY)
        stack.callback(os.close, plain)
        return Pages(lambda count, at: os.pread(plain, count, at), size, wal)
    file = stack.enter_context(locked(real, _WAIT_MS))
    return Pages(file.xRead, size, wal)


def _check_format(pages: Pages, path: str) -> None:
    header = pages.header()
    if not header.startswith(b"SQLite format 3\0"):
        return  # it is damaged as well
    mark, version = (int.from_bytes(header[at : at + 4], "big") for at in (68, 60))
    if mark == APPLICATION_ID and not _OLDEST <= version <= FORMAT:
        raise NotADatabaseError(
            f"{path}: a damaged database of format {version} cannot be salvaged",
            hint="restore a backup, or try sqlite3's .recover command on a copy",
        )


class _Salvage:
    """The work on one database."""

    def __init__(
        self,
        connection: apsw.Connection,
        pages: Pages,
        progress: Progress | None,
        command: str,
    ) -> None:
        self._new = connection
        self._pages = pages
        self._progress = progress
        self._command = command
        self._now = time.time_ns() // 1_000_000
        self._columns: dict[str, list[str]] = {}
        self._wider: set[str] = set()  # the tables that another program has added columns to
        for table in _TABLES:
            found: list[Any] = connection.execute(_COLUMNS, (table,)).fetchall()
            self._columns[table] = [name for name, *_ in found]
        self._used: set[int] = set()
        self._damaged: dict[str, set[int]] = {table: set() for table in _TABLES}
        self._lost_changes = 0
        self._from_history = 0
        self._lost_keys: list[LostKey] = []
        self._author = 0

    def run(self, path: str) -> Salvaged:
        self._new.execute(_STAGES)
        roots, others = self._roots()
        for table in _TABLES:
            self._walk(table, roots.get(table, 0))
        if any(self._damaged.values()):
            self._look_for_lost_pages()
        self._new.execute(_INDEX_LOG)
        self._author = number_of(self._new, self._command)
        names: list[Any] = self._new.execute(_NAMES).fetchall()
        for scope, key in names:
            self._settle(scope, key)
        self._new.execute(_UNINDEX_LOG)
        if self._is_log_damaged():
            self._new.execute(_DROP_EMPTY)
            while self._new.changes():
                self._new.execute(_DROP_EMPTY)
        self._new.execute(_INDEX_CHANGES)
        self._new.execute(_SET_AUTHORS, (self._author,))
        self._new.execute(_UNINDEX_CHANGES)
        self._new.execute(_DROP_LOST_AUTHORS)
        if self._is_log_damaged():
            self._new.execute(_MARK_INCOMPLETE, (self._now,))
        keys, changes, archived = (
            self._new.execute(_COUNT.format(table)).get
            for table in ("kvstore", "audit_log", "archive")
        )
        damaged = set[int]().union(*self._damaged.values())
        return Salvaged(
            path, keys, self._from_history, self._new.execute(_SCOPES).get, changes, archived,
            len(damaged), self._lost_changes, self._lost_keys, others,
        )  # fmt: skip

    def _is_log_damaged(self) -> bool:
        return bool(self._damaged["audit_log"] or self._damaged["archive"] or self._lost_changes)

    # -- reading

    def _roots(self) -> tuple[dict[str, int], list[str]]:
        """Return the root pages of our tables, and the tables of other programs."""
        roots: dict[str, int] = {}
        others = []
        with closing(apsw.Connection(":memory:")) as model:
            model.execute(WHOLE)
            ours: dict[Any, Any] = dict(model.execute("SELECT name, sql FROM sqlite_schema"))
        for _, page in self._tree(1, self._damaged["kvstore"]):
            for row in page.rows:
                if len(row.values) != 5 or row.values[0] != "table":
                    continue
                name, root = row.values[1], row.values[3]
                if name in _TABLES and type(root) is int:
                    roots[name] = root
                    if str(row.values[4]).split() != ours[name].split():
                        self._wider.add(name)
                elif type(name) is str and name not in ours and name[:7] != "sqlite_":
                    others.append(name)
        return roots, others

    def _tree(
        self, root: int, damaged: set[int], is_index: bool = False
    ) -> Iterator[tuple[int, Page]]:
        """Yield the pages of a tree that can be read; note the others."""
        waiting = [root]
        seen: set[int] = set()
        while waiting:
            number = waiting.pop()
            if number in seen:
                damaged.add(number)
                continue
            seen.add(number)
            if self._progress is not None:
                done = min(len(self._used) + len(seen), self._pages.count)
                self._progress(done, self._pages.count)
            try:
                page = self._pages.page(number)
                if (page.kind in (INTERIOR_INDEX, LEAF_INDEX)) != is_index:
                    raise DamagedError  # it is of another tree
            except DamagedError:
                damaged.add(number)
                continue
            if not page.is_whole:
                damaged.add(number)
            waiting += reversed(page.children)
            yield number, page

    def _walk(self, table: str, root: int) -> None:
        damaged = self._damaged[table]
        for number, page in self._tree(root, damaged, table in _WITHOUT_ROWID):
            taken = [self._take(table, row.id, row.values) for row in page.rows]
            if any(taken) or not taken:
                self._used.add(number)
            if not all(taken):
                damaged.add(number)

    def _look_for_lost_pages(self) -> None:
        """Collect the rows of pages that no other page points to."""
        left = set(range(2, self._pages.count + 1)) - self._used - self._pages.free()
        for number in sorted(left):
            try:
                page = self._pages.page(number)
            except DamagedError:
                continue
            is_index = page.kind in (INTERIOR_INDEX, LEAF_INDEX)
            if not is_index and page.kind != LEAF_TABLE:
                continue
            for table in _RECOGNIZABLE:
                if is_index == (table in _WITHOUT_ROWID):
                    for row in page.rows:
                        if len(row.values) == len(self._columns[table]):
                            self._take(table, row.id, row.values)

    def _take(self, table: str, id: int | None, values: list[Any]) -> bool:
        """Keep a row; return whether all of it could be read and can be true."""
        names = self._columns[table]
        if len(values) < len(names) or (len(values) > len(names) and table not in self._wider):
            return False
        values = values[: len(names)]
        if names[0] == "id":
            values[0] = id
        row = dict(zip(names, values, strict=True))
        if any(value is UNREADABLE for name, value in row.items() if name != "value"):
            return False
        if "key" in row and not (type(row["scope"]) is str and type(row["key"]) is str):
            return False
        if row.get("value") is UNREADABLE:
            if table == "audit_log":
                self._put("lost_changes", {**row, "value": None})
                self._lost_changes += 1
            return False
        try:
            self._put("seen_keys" if table == "kvstore" else table, row)
        except (apsw.ConstraintError, apsw.MismatchError):
            return False
        return self._new.changes() > 0  # else it is there twice

    def _put(self, table: str, row: dict[str, Any]) -> None:
        placeholders = ", ".join("?" * len(row))
        names = ", ".join(row)
        if table == "seen_keys":
            if not all(type(row[name]) is int for name in ("kind", "seq", "version", "updated_at")):
                raise apsw.MismatchError
            newer = ", ".join(f"excluded.{name}" for name in row)
            sql = _NEWER_KEY.format(placeholders, names, newer)
        else:
            sql = _INSERT.format(table, names, placeholders)
        self._new.execute(sql, tuple(row.values()))

    # -- what each key is

    def _one(self, table: str, sql: str, *bindings: Any) -> dict[str, Any] | None:
        found: Any = self._new.execute(sql, bindings).fetchall()
        return dict(zip(self._columns[table], found[0], strict=True)) if found else None

    def _settle(self, scope: str, key: str) -> None:
        """Write the row of a key, from itself or its history, or remove it in the history."""
        row = self._one("kvstore", _LIVE, scope, key)
        last = self._one("audit_log", _NEWEST, scope, key)
        lost = self._one("audit_log", _NEWEST_LOST, scope, key)
        newest = last
        if lost is not None and (last is None or lost["id"] > last["id"]):
            newest = lost
        if row is not None and newest is not None and row["seq"] < newest["id"]:
            row = None  # as it was before
        if row is not None:
            if self._complete(row, last, newest):
                self._put_key(row)
                return
        elif newest is not None and newest["kind"] is None:
            return  # it was removed
        elif newest is not None and newest is last and self._damaged["kvstore"]:
            found = self._from_log(newest)
            if found is not None:
                self._from_history += 1
                self._put_key(found)
                return
        if row is not None or self._damaged["kvstore"]:
            self._lost_keys.append(LostKey(scope, key))
        last = self._one("audit_log", _NEWEST, scope, key)
        if last is not None and last["kind"] is not None:
            self._remove(last)

    def _complete(
        self, row: dict[str, Any], last: dict[str, Any] | None, newest: dict[str, Any] | None
    ) -> bool:
        """Make sure that a key has its value and its change; return whether it has."""
        is_logged = last is not None and last["id"] == row["seq"]
        if row["home"] is None:
            if not is_logged:
                was_lost = newest is not None and newest["id"] == row["seq"]
                self._lost_changes -= was_lost
                self._log(row, IMPORTED, None, row["value"])
            elif last is not None and self._from_log(last) is None:
                self._new.execute(_MAKE_WHOLE, (last["id"], IMPORTED, row["value"]))
            return True
        home = self._one("audit_log", _CHANGE, row["home"])
        if home is not None and not _is_value(home["value"], row["digest"]):
            # The end of a value that stands on several pages is gone, and cannot be told.
            self._new.execute(_DROP_CHANGE, (row["home"],))
            self._lost_changes += 1
            home = None
        if home is None:
            return False
        if not is_logged:
            self._log(row, LIFETIME, row["home"], None)
        return True

    def _from_log(self, change: dict[str, Any]) -> dict[str, Any] | None:
        """Return the row of a key as its newest change says, or None where that has no value."""
        home: dict[str, Any] | None = change
        while home is not None and home["op"] == LIFETIME and home["value"] is None:
            before = home["prev"]
            is_earlier = type(before) is int and before < home["id"]
            home = self._one("audit_log", _CHANGE, before) if is_earlier else None
        if home is None or (home["scope"], home["key"]) != (change["scope"], change["key"]):
            return None
        value = home["value"]
        data = value.encode() if isinstance(value, str) else value
        is_large = isinstance(data, bytes) and len(data) > INLINE_MAX
        return {
            "scope": change["scope"],
            "key": change["key"],
            "value": None if is_large else value,
            "kind": change["kind"],
            "expires_at": change["expires_at"],
            "home": home["id"] if is_large else None,
            "digest": digest(value) if is_large else None,
            "version": change["version"],
            "seq": change["id"],
            "updated_at": change["timestamp"],
        }

    def _put_key(self, row: dict[str, Any]) -> None:
        self._put("kvstore", row)

    def _log(self, row: dict[str, Any], op: int, prev: int | None, value: Any) -> None:
        """Write a lost change again, from the row of its key."""
        self._put(
            "audit_log",
            {
                "id": row["seq"], "scope": row["scope"], "key": row["key"], "kind": row["kind"],
                "op": op, "version": row["version"], "prev": prev,
                "timestamp": row["updated_at"], "expires_at": row["expires_at"],
                "author": self._author, "pid": os.getpid(), "value": value,
            },
        )  # fmt: skip

    def _remove(self, last: dict[str, Any]) -> None:
        """Note in the history that a key is gone."""
        self._put(
            "audit_log",
            {
                "id": self._new.execute(_NEXT_ID).get, "scope": last["scope"], "key": last["key"],
                "op": DELETED, "version": last["version"], "prev": last["id"],
                "timestamp": self._now, "author": self._author, "pid": os.getpid(),
            },
        )  # fmt: skip


def _is_value(value: Any, wanted: Any) -> bool:
    try:
        return isinstance(value, (str, bytes)) and digest(value) == wanted
    except (KycliError, UnicodeError):
        return False
