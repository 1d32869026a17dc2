"""Identifying files of old releases, and the places where the old programs kept them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from stat import S_ISREG
from typing import Any

import apsw

from kycli.core.layout import APPLICATION_ID
from kycli.core.location import check_path
from kycli.core.migration.legacy import variant as variants
from kycli.core.migration.legacy.aside import Aside
from kycli.core.migration.legacy.blob import is_blob, is_encrypted
from kycli.core.migration.legacy.pickled import looks_pickled
from kycli.core.migration.legacy.values import is_ciphertext
from kycli.core.migration.legacy.variant import (
    EXPIRES,
    KVSTORE,
    PICKLE,
    PLAIN,
    TABLES,
    Variant,
)
from kycli.core.sqlite_errors import cannot_open, translate
from kycli.errors import CorruptError, KycliError

_SQLITE = b"SQLite format 3\0"
_START = 512


@dataclass(frozen=True, slots=True)
class Found:
    """A file that an old release wrote.

    Attributes:
        path: as it was given.
        variant: how it was written.
        size: bytes, with those of the ``-wal`` file.
        encrypted: whether it holds anything encrypted; None when nobody looked.
        wal: the ``-wal`` file that belongs to it, where that is not beside it.
        note: what else there is to say about it, or None.
        damage: why it cannot be read, where that is known already, or None.
    """

    path: str
    variant: Variant
    size: int
    encrypted: bool | None = None
    wal: str | None = None
    note: str | None = None
    damage: str | None = None

    @property
    def workspace(self) -> str:
        """The name of its workspace, or what is like one: the file's name."""
        name = os.path.basename(self.path).partition(".legacy.sqlite")[0]
        return name.removesuffix(".db").removesuffix(".pkl")

    @property
    def description(self) -> str:
        """What the file is, in words: ``a database of KyCLI 0.1.7 or 0.1.8``."""
        releases = f"KyCLI {self.variant.releases}"
        if self.variant.family == PICKLE:
            return f"the pickle of {releases}"
        if self.variant.family == PLAIN:
            return f"a database of {releases}"
        return f"{'an encrypted' if self.encrypted else 'a'} workspace of {releases}"


def identify(path: str, *, wal: str | None = None) -> Found | None:
    """Return what an old release's file is, or None when no old release wrote it.

    Reads some hundred bytes, and of a plain database its schema; the file and what is
    beside it stay as they are.

    Parameters:
        path: of the file.
        wal: its ``-wal`` file, when it is not beside it.

    Raises:
        CannotOpenError: when it cannot be read.
        CorruptError: when an old release began it, but it is damaged.
    """
    path = check_path(os.fspath(path))
    try:
        status = os.stat(path)
        if not S_ISREG(status.st_mode):
            return None
        with open(path, "rb") as file:
            start = file.read(_START)
    except OSError as error:
        raise cannot_open(path, error) from error
    if is_blob(start):
        return Found(path, variants.BLOBBED, status.st_size, encrypted=is_encrypted(start))
    if looks_pickled(start):
        return Found(path, variants.PICKLED, status.st_size, encrypted=False)
    # With a journal that a crash left behind, the header is of a change that never was.
    marked = start[68:72] == APPLICATION_ID.to_bytes(4, "big") and not has_journal(path)
    if start.startswith(_SQLITE) and not marked:
        _check_not_truncated(path, start, status.st_size)
        return _identify_plain(path, status.st_size, wal)
    return None


def has_journal(path: str) -> bool:
    """Whether a database has a hot rollback journal.

    One that is done with may be left there, and then begins with zeros.
    """
    try:
        with open(os.path.realpath(path) + "-journal", "rb") as file:
            return file.read(1) not in (b"", b"\0")
    except OSError:
        return False


def _check_not_truncated(path: str, start: bytes, size: int) -> None:
    """SQLite itself takes half a page at the end for a page that ends in zeros."""
    page = int.from_bytes(start[16:18], "big")
    page = 65_536 if page == 1 else page
    if page and size % page and not has_journal(path):
        raise CorruptError(
            f"{path}: the database is cut off in the middle of a page, after {size} bytes",
            hint="look for a whole copy of it",
        )


def _identify_plain(path: str, size: int, wal: str | None) -> Found | None:
    aside = Aside(path, wal)
    try:
        connection = aside.connection
        variant = variant_of(connection, path)
        if variant is None:
            return None
        encrypted = None if variant.may_encrypt else False
        beside = wal or os.path.realpath(path) + "-wal"
        size += os.path.getsize(beside) if os.path.exists(beside) else 0
        return Found(path, variant, size, encrypted, wal)
    except apsw.Error as error:
        raise translate(error, path, 0) from error
    finally:
        aside.close()


def variant_of(connection: apsw.Connection, path: str) -> Variant | None:
    """Return how a plain database was written, or None when no old release did.

    Raises:
        CorruptError: when its tables are not quite those that a release made.
    """
    objects = dict(connection.execute("SELECT name, type FROM sqlite_schema"))
    if objects.get("kvstore") != "table":
        return None
    columns = _columns(connection, "kvstore")
    if "scope" in columns:
        return None
    if columns not in (KVSTORE, (*KVSTORE, EXPIRES)):
        raise _strange(path, "kvstore", columns)
    for table, known in TABLES.items():
        if table in objects and _columns(connection, table) != known:
            raise _strange(path, table, _columns(connection, table))
    unique = connection.execute(
        "SELECT count(*) FROM pragma_table_info('kvstore') WHERE name = 'key' AND pk = 1"
    ).get
    if not unique:
        raise CorruptError(f"{path}: nothing in its table kvstore keeps a key from occurring twice")
    tables = {name for name in TABLES if name in objects}
    return variants.of_plain(tables, EXPIRES in columns, "idx_audit_key" in objects)


def _columns(connection: apsw.Connection, table: str) -> tuple[str, ...]:
    rows = connection.execute("SELECT name FROM pragma_table_xinfo(?) ORDER BY cid", (table,))
    return tuple(name for (name,) in rows)


def _strange(path: str, table: str, columns: tuple[str, ...]) -> CorruptError:
    return CorruptError(
        f"{path}: its table {table} has the columns {', '.join(columns)}, as in no release",
        hint="another program changed it; bring the table back to what a release makes",
    )


def tables_with_values(connection: apsw.Connection) -> list[str]:
    """Return those of its tables that can hold encrypted values, the newest values first."""
    present = {n for (n,) in connection.execute("SELECT name FROM sqlite_schema")}
    return [t for t in ("kvstore", "queue_items", "archive", "audit_log") if t in present]


def holds_ciphertext(connection: apsw.Connection) -> bool:
    """Whether any value of a database is encrypted."""
    for table in tables_with_values(connection):
        rows = connection.execute(
            f"SELECT value FROM {table} WHERE typeof(value) = 'text' AND value GLOB 'enc:*'"
        )
        if any(is_ciphertext(text) for (text,) in rows):
            return True
    return False


def damage(connection: apsw.Connection, *, with_search: bool = False) -> str | None:
    """Return what SQLite finds wrong with a database, or None.

    Parameters:
        with_search: whether a search index that does not go with the rows is damage, too. In
            old databases it often does not, and it is not brought over.
    """
    try:
        found: list[Any] = connection.execute(f"PRAGMA quick_check({_MOST_FINDINGS})").fetchall()
    except apsw.CorruptError as error:
        found = [(str(error),)]
    for (line,) in found:
        if line != "ok" and (with_search or not OF_SEARCH.search(line)):
            return " ".join(line.split())
    return None


_MOST_FINDINGS = 100
OF_SEARCH = re.compile(r"table (main\.)?fts_kvstore|\bfts5\b", re.IGNORECASE)


def find_in(directory: str) -> list[Found]:
    """Return the workspaces in a data directory of 0.2 to 0.4, in order of their names.

    Among them are the plain databases that 0.2.2 to 0.4 took for the live values of, and
    set aside as ``NAME.db.legacy.sqlite``: these are whole, with history and archive.
    """
    found: list[Found] = []
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return []
    for name in names:
        if name.endswith(".db") or (".db.legacy.sqlite" in name and not name.endswith(_SIDE_FILES)):
            found += _look(os.path.join(directory, name))
    return found


_SIDE_FILES = ("-wal", "-shm", "-journal")


def find_defaults(home: str) -> list[Found]:
    """Return what the old programs left in a home directory where they kept it by default.

    The first run of 0.2 or later moved ``~/kydata.db`` into its data directory, and left
    its ``-wal`` file, often with all the data, where it was. They are brought together
    again here.
    """
    found = _look(os.path.join(home, ".kycli", "kydata.pkl"))
    database = os.path.join(home, "kydata.db")
    own = _look(database)
    found += own
    moved = find_in(os.path.join(home, ".kycli", "data"))
    wal = database + "-wal"
    if not (own and own[0].variant.family == PLAIN) and _has_content(wal):
        together = _brought_together(home, wal)
        moved = [one for one in moved if one.path not in {t.path for t in together}] + together
    return found + moved


def _brought_together(home: str, wal: str) -> list[Found]:
    """Return the database that a ``-wal`` file without one belongs to, if it is there."""
    moved = os.path.join(home, ".kycli", "data", "default.db")
    candidates = [moved, f"{moved}.legacy.sqlite"]
    candidates += [f"{moved}.legacy.sqlite.{number}" for number in range(1, 10)]
    for path in candidates:
        found = _look(path, wal)
        if found and found[0].variant.family == PLAIN:
            note = f"with {wal}, which KyCLI 0.2 or later left behind when it moved the database"
            return [replace(found[0], note=note)]
    return []


def _look(path: str, wal: str | None = None) -> list[Found]:
    """Return what is at a path. Damage is said, and does not hide what else there is."""
    if not os.path.exists(path):
        return []
    try:
        found = identify(path, wal=wal)
    except KycliError as error:
        try:
            size = os.path.getsize(path)
        except OSError:
            size = 0
        return [Found(path, variants.UNKNOWN, size, wal=wal, damage=str(error))]
    return [found] if found else []


def _has_content(path: str) -> bool:
    return os.path.exists(path) and os.path.getsize(path) > 0
