"""Bringing a database file of an earlier kycli to the format of this one, in place.

A file is taken for itself, checked, copied if that is wanted, and then changed in one
transaction, whose last two writes are the format number and the application id. So
whoever opens it finds either the old file or the new one, complete, whatever happens
in between: a rollback journal undoes what a crash cut short. The journal is a rollback
journal and no write-ahead log because almost everything that is written is new pages,
which such a journal need not hold; with a log all would be written twice.

Formats of ours go through ``STEPS``, each from one number to the next. A step changes
tables and their rows alone; indexes, triggers and views hold no data, so at the end of
the chain they are made as ``layout`` has them. Files from before there were formats
(KyCLI 0.0 and 0.1) are laid out anew by ``kycli.core.migration.plain``.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import NamedTuple

import apsw

from kycli.core import layout
from kycli.core.faults import cannot_open, translate
from kycli.core.layout.triggers import WHOLE
from kycli.core.location import sync_directory
from kycli.core.migration.legacy.aside import Aside
from kycli.core.migration.legacy.identify import has_journal, identify, variant_of
from kycli.core.migration.legacy.store import open_old
from kycli.core.migration.legacy.values import Decoder, Keyring
from kycli.core.migration.legacy.variant import PLAIN, Variant
from kycli.core.migration.plain import Move, Moved, Source
from kycli.core.migration.steps import STEPS
from kycli.core.names import DEFAULT
from kycli.errors import (
    BusyError,
    CannotOpenError,
    CorruptError,
    DiskFullError,
    KycliError,
    MigrationNeeded,
    NewerFormatError,
    NotADatabaseError,
    ReadOnlyError,
    StorageError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Progress = Callable[[int, int], None]

BUSY_TIMEOUT_MS = 5000

_MAGIC = b"SQLite format 3\0"

_CACHE = "PRAGMA cache_size = -81920"  # KiB; a sort takes as much once more
_STEPS_BETWEEN_SIGNALS = 500_000
_CHUNK = 1 << 20
# What a copy counts for itself: which change the version of SQLite belongs to, changes of
# the schema, changes (SQLite file format, 1.3); from the end of the header backwards.
_COUNTERS = (slice(92, 100), slice(40, 44), slice(24, 28))
_HOW = (
    "'kycli migrate' changes it in place, all or nothing, and keeps a copy beside it; "
    "in Python, Kycore(path, migrate=True) does so without a copy"
)


# ---------------------------------------------------------------- formats


def bring_up(connection: apsw.Connection, version: int) -> None:
    """Take a database of ours from one format to the newest, inside a transaction."""
    _drop_objects(connection)
    for number in range(version, layout.FORMAT):
        STEPS[number](connection)
    make_objects(connection)


def make_objects(connection: apsw.Connection) -> None:
    """Make what holds no data of its own, as the layout has it: indexes, triggers, views."""
    present = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    for kind, name, sql in objects_of_layout():
        if kind != "table" or (name == "fts_kvstore" and name not in present):
            connection.execute(sql)


def _drop_objects(connection: apsw.Connection) -> None:
    """Drop the indexes, triggers and views, and a search index of another make."""
    made = connection.execute(
        "SELECT type, name FROM sqlite_schema WHERE type <> 'table' AND sql IS NOT NULL"
    )
    for kind, name in made.fetchall():
        connection.execute(f'DROP {kind} "{name}"')
    search = "SELECT sql FROM sqlite_schema WHERE name = 'fts_kvstore'"
    wanted = {name: sql for _, name, sql in objects_of_layout()}["fts_kvstore"]
    if connection.execute(search).get not in (None, wanted):
        connection.execute("DROP TABLE fts_kvstore")


def objects_of_layout() -> list[tuple[str, str, str]]:
    """Return the type, name and SQL of all that the layout makes, in its order."""
    made = _new_database().execute(
        "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL "
        r"AND name NOT LIKE 'fts\_kvstore\__%' ESCAPE '\' ORDER BY rowid"
    )
    return [(kind, name, sql) for kind, name, sql in made]


def _tables_of_layout() -> dict[str, str]:
    return {
        name: sql
        for kind, name, sql in objects_of_layout()
        if kind == "table" and name != "fts_kvstore"
    }


def _columns_of_layout(table: str) -> list[tuple[Any, ...]]:
    return _columns(_new_database(), table)


def _columns(connection: apsw.Connection, table: str) -> list[tuple[Any, ...]]:
    return connection.execute(
        'SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_xinfo(?1)', (table,)
    ).fetchall()


def _new_database() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    connection.execute(WHOLE)
    return connection


def check_schema(connection: apsw.Connection) -> None:
    """Make sure that a migrated database has the tables of a new one.

    Raises:
        StorageError: when a step is missing; nothing was changed.
    """
    for name in _tables_of_layout():
        if _columns(connection, name) != _columns_of_layout(name):
            raise StorageError(f"the table {name!r} did not migrate", hint="this is a bug in kycli")


# ---------------------------------------------------------------- before there were formats

_OLD_TABLES = {
    "kvstore": ("key", "value", "expires_at"),
    "audit_log": ("id", "key", "value", "timestamp"),
    "archive": ("id", "key", "value", "deleted_at"),
}


def _plan(
    connection: apsw.Connection, path: str, keyring: Keyring | None, progress: Progress | None
) -> Move:
    """Look through a database of KyCLI 0.0 or 0.1; nothing of it is changed."""
    source = source_of(_variant(connection, path), keyring)
    for name in ("audit_log", "archive"):
        if name not in _tables(connection):
            columns = ", ".join(_OLD_TABLES[name]).replace("id,", "id INTEGER PRIMARY KEY,")
            connection.execute(f"CREATE TEMP TABLE {name} ({columns})")
    now = time.time_ns() // 1_000_000
    move = Move(connection, source, DEFAULT, now, progress)
    move.plan()
    return move


def _lay_out_anew(connection: apsw.Connection, move: Move) -> Moved:
    """Move a database of KyCLI 0.0 or 0.1 to the newest format, inside a transaction."""
    if move.misnamed:
        move.rename_keys()
        move.plan()
    present = _tables(connection)
    triggers = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
    for (name,) in triggers.fetchall():
        connection.execute(f'DROP TRIGGER "{name}"')
    # Dropped at the end: what is freed now and written again would go through the journal.
    for name in (*_OLD_TABLES, "fts_kvstore"):
        schema = "main" if name in present else "temp"
        if name in present or name in _OLD_TABLES:
            connection.execute(f"ALTER TABLE {schema}.{name} RENAME TO old_{name}")
    for sql in _tables_of_layout().values():
        connection.execute(sql)
    moved = move.run()
    connection.execute(
        "INSERT INTO sys_namespaces (scope, fold_keys, created_at) VALUES (?, 1, ?)",
        (move.scope, move.now),
    )
    for name in (*_OLD_TABLES, "fts_kvstore"):
        connection.execute(f"DROP TABLE IF EXISTS old_{name}")
    connection.execute("DROP TABLE IF EXISTS sqlite_stat1")
    make_objects(connection)
    return moved


def source_of(variant: Variant, keyring: Keyring | None = None) -> Source:
    """Return how an old database keeps its values.

    Parameters:
        variant: of the database.
        keyring: what opens its encrypted values; without, they stay as they are.
    """
    return Source(Decoder(variant, keyring), variant.is_json, variant.may_encrypt)


def _variant(connection: apsw.Connection, path: str) -> Variant:
    variant = variant_of(connection, path)
    if variant is None:
        raise NotADatabaseError(f"{path}: no kycli made this database")
    return variant


# ---------------------------------------------------------------- a file


class Examined(NamedTuple):
    """What a database of an earlier kycli is.

    Attributes:
        version: its format, 0 before there were formats.
        description: what it is, in words.
        counts: how much is in it: ``keys``, ``changes``, ``removed`` and ``encrypted``.
    """

    version: int
    description: str
    counts: dict[str, int]


def examine(path: str) -> Examined | None:
    """Look at a database; nothing is changed.

    Returns:
        What it is, or None when it is of this format, or no database of ours that can be
        migrated in place.

    Raises:
        CannotOpenError, NewerFormatError, CorruptError: when it cannot be read.
    """
    found = identify(path)
    if found is not None:
        if found.variant.family != PLAIN:
            return None
        with open_old(path) as old:
            counts = old.counts()
        told = {"changes": counts.history, "removed": counts.archive, "encrypted": counts.sealed}
        return Examined(0, found.description, {"keys": counts.keys, **told})
    if _format_of(path) in (None, layout.FORMAT):
        return None
    aside = Aside(path)
    connection = aside.connection
    try:
        version = version_of(connection, path)
        tables = (("keys", "kvstore"), ("changes", "audit_log"), ("removed", "archive"))
        counted = {
            name: connection.execute(f"SELECT count(*) FROM {table}").get for name, table in tables
        }
        what = f"a database of format {version}, which becomes format {layout.FORMAT}"
        return Examined(version, what, counted)
    except apsw.Error as error:
        raise translate(error, path, 0) from error
    finally:
        aside.close()


def is_current(path: str) -> bool:
    """Whether a file is a database of this format; it stays as it is."""
    return _format_of(path) == layout.FORMAT


def _format_of(path: str) -> int | None:
    """Return the format of a database of ours, or None when the file is none.

    By its header; where a crash has left a rollback journal, by that of a copy into which
    the journal is played back, since the header in the file was never committed.
    """
    try:
        with open(path, "rb") as file:
            header = file.read(100)
    except OSError as error:
        raise cannot_open(path, error) from error
    if not header.startswith(_MAGIC):
        return None
    if has_journal(path):
        aside = Aside(path)
        try:
            mark = aside.connection.pragma("application_id")
            version = aside.connection.pragma("user_version")
        except apsw.Error as error:
            raise translate(error, path, 0) from error
        finally:
            aside.close()
    else:
        mark, version = (int.from_bytes(header[at : at + 4], "big") for at in (68, 60))
    return int(version) if mark == layout.APPLICATION_ID else None


class Migrated(NamedTuple):
    """What was done.

    Attributes:
        version: the format that the file had; 0 before there were formats.
        moved: what was moved out of a file of version 0.
    """

    version: int
    moved: Moved | None


def migrate(
    path: str,
    *,
    backup: str | None = None,
    keyring: Keyring | None = None,
    progress: Progress | None = None,
    busy_timeout_ms: int = BUSY_TIMEOUT_MS,
) -> Migrated | None:
    """Bring a database file to the format of this kycli: all of it or nothing.

    Of several processes that do it at once, one does it; the others wait and find it done.

    Parameters:
        path: the file, absolute.
        backup: where to put a verified copy first, or None for none.
        keyring: what opens values that an earlier kycli encrypted, which are then kept
            decrypted; without, they stay as they are.
        progress: called with the rows done and all rows, now and then.
        busy_timeout_ms: how long to wait for other programs to close the file.

    Returns:
        What was done, or None when the file is of this format already.

    Raises:
        BusyError: when another program has the file open.
        NotADatabaseError, NewerFormatError, CorruptError: when there is nothing to migrate.
        ReadOnlyError, DiskFullError, CannotOpenError: nothing was changed.
    """
    _check_file(path)
    with _alone_in(os.path.dirname(path)):
        connection = _take(path, busy_timeout_ms)
        try:
            return _migrate(connection, path, backup, keyring, progress)
        except (apsw.Error, UnicodeError) as error:
            raise translate(error, path, busy_timeout_ms) from error
        finally:
            connection.close()


def _migrate(
    connection: apsw.Connection,
    path: str,
    backup: str | None,
    keyring: Keyring | None,
    progress: Progress | None,
) -> Migrated | None:
    version = version_of(connection, path)
    if version == layout.FORMAT:
        return None
    connection.execute(_CACHE)
    move = None
    if version:
        _check_sound(connection, path)
    else:
        # Reads every row, so whatever is damaged shows now.
        _check_size(connection, path)
        move = _plan(connection, path, keyring, progress)
    _check_space(connection, path, backup)
    # From here on the file may be written.
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
    if connection.pragma("journal_mode", "delete") != "delete":
        raise _in_use(path)
    if backup is not None:
        _back_up(connection, path, backup)
    moved = None
    connection.execute("BEGIN EXCLUSIVE")
    try:
        if move is not None:
            moved = _lay_out_anew(connection, move)
        else:
            bring_up(connection, version)
        check_schema(connection)
        connection.execute(f"PRAGMA user_version = {layout.FORMAT}")
        connection.execute(f"PRAGMA application_id = {layout.APPLICATION_ID}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.pragma("journal_mode", "wal")
    return Migrated(version, moved)


def needed(connection: apsw.Connection, path: str) -> KycliError:
    """Return the error for a database that was opened and is not of this format.

    It says what was found, and what can be done about it.
    """
    try:
        version = version_of(connection, path)
    except KycliError as error:
        return error
    if version:
        what = f"the database has format {version}, and this kycli uses format {layout.FORMAT}"
    else:
        variant = variant_of(connection, path)
        releases = variant.releases if variant else "0.0 or 0.1"
        what = f"this is a database of an earlier KyCLI, {releases}"
    return MigrationNeeded(f"{path}: {what}", hint=_HOW)


def version_of(connection: apsw.Connection, path: str) -> int:
    """Return the format of a database, 0 for one of the releases that had no number.

    Raises:
        NotADatabaseError: when it is not one of ours.
        NewerFormatError: when it is one of a later kycli.
    """
    mark = connection.pragma("application_id")
    if mark == 0 and "kvstore" in _tables(connection):
        return 0
    if mark != layout.APPLICATION_ID:
        raise NotADatabaseError(f"{path}: this is no kycli database")
    version: int = connection.pragma("user_version")
    check_version(version, path)
    return version


def check_version(version: int, path: str) -> None:
    """Refuse a format number that this kycli neither reads nor migrates."""
    if version > layout.FORMAT:
        raise NewerFormatError(
            f"{path}: the database has format {version}, this kycli reads format {layout.FORMAT}",
            hint="upgrade kycli",
        )
    if version != layout.FORMAT and version not in STEPS:
        raise CorruptError(
            f"{path}: there is no database format {version}", hint="restore a backup"
        )


def _tables(connection: apsw.Connection) -> set[str]:
    rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
    return {name for (name,) in rows}


def _check_file(path: str) -> None:
    """Refuse what cannot be migrated in place, before it is opened."""
    directory = os.path.dirname(path)
    if os.path.islink(path):
        raise CannotOpenError(
            f"{path}: this is a symbolic link",
            hint=f"migrate the file that it means: {os.path.realpath(path)}",
        )
    try:
        with open(path, "rb") as file:
            magic = file.read(16)
    except OSError as error:
        raise cannot_open(path, error) from error
    if magic != _MAGIC:
        raise NotADatabaseError(f"{path}: this is no SQLite database")
    if not (os.access(path, os.W_OK) and os.access(directory, os.W_OK)):
        raise ReadOnlyError(
            f"{path}: the file and its directory must be writable to migrate it",
            hint="copy it to a directory of yours and migrate that",
        )


@contextmanager
def _alone_in(directory: str) -> Iterator[None]:
    """Wait until nobody else migrates a file of a directory, and keep others waiting."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _take(path: str, busy_timeout_ms: int) -> apsw.Connection:
    """Open a file and keep all other programs out of it, having written nothing."""
    wal = path + "-wal"
    has_wal = os.path.exists(wal) and os.path.getsize(wal) > 0
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, int(has_wal))
        connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
        connection.set_busy_timeout(busy_timeout_ms)
        # Being called is enough: Python then sees to Ctrl-C.
        connection.set_progress_handler(lambda: False, _STEPS_BETWEEN_SIGNALS)
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("ROLLBACK")
    except BaseException as error:
        connection.close()
        if isinstance(error, apsw.BusyError):
            raise _in_use(path) from error
        if isinstance(error, apsw.Error):
            raise translate(error, path, busy_timeout_ms) from error
        raise
    return connection


def _in_use(path: str) -> BusyError:
    return BusyError(
        f"{path}: another program has the database open",
        hint="nobody may use it while it is migrated; end that program first",
    )


def _check_size(connection: apsw.Connection, path: str) -> None:
    """Refuse a file that was cut off, which SQLite tells only of a page that it reads."""
    size = connection.pragma("page_count") * connection.pragma("page_size")
    if os.path.getsize(path) < size and not os.path.exists(path + "-wal"):
        raise CorruptError(
            f"{path}: the database is damaged: it was cut off at {os.path.getsize(path)} bytes",
            hint="keep it, and try sqlite3's .recover command on a copy",
        )


def _check_sound(connection: apsw.Connection, path: str) -> None:
    """Refuse a damaged database."""
    _check_size(connection, path)
    try:
        verdict = connection.execute("PRAGMA quick_check(1)").get
    except apsw.CorruptError as error:
        verdict = str(error)
    if verdict != "ok":
        raise CorruptError(
            f"{path}: the database is damaged: {' '.join(verdict.split())}",
            hint="keep it, and try sqlite3's .recover command on a copy",
        )


def _check_space(connection: apsw.Connection, path: str, backup: str | None) -> None:
    """Refuse to begin what would fill the disk.

    The new tables stand beside the old ones until the end, and take about as much again,
    half of it once more for sorting.
    """
    size = connection.pragma("page_count") * connection.pragma("page_size")
    needed = {os.path.dirname(path): 2 * size}
    if backup is not None:
        directory = os.path.dirname(backup)
        needed[directory] = needed.get(directory, 0) + size
    for directory, count in needed.items():
        about = os.statvfs(directory)
        free = about.f_bavail * about.f_frsize
        if free < count:
            raise DiskFullError(
                f"{path}: migrating takes about {count >> 20} MB in {directory}, "
                f"and {free >> 20} MB are free",
                hint="nothing was changed; free some space and try again",
            )


def _back_up(connection: apsw.Connection, path: str, backup: str) -> None:
    """Copy a database page by page, and compare the copy with it.

    Raises:
        CannotOpenError: when there is a file of that name, or it cannot be made.
        StorageError: when the copy is not the same.
    """
    try:
        mode = os.stat(path).st_mode & 0o777
        os.close(os.open(backup, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode))
    except FileExistsError:
        raise CannotOpenError(
            f"{backup}: there is a file of that name already",
            hint="name another one with --backup",
        ) from None
    except OSError as error:
        raise cannot_open(backup, error) from error
    try:
        copy = apsw.Connection(backup, flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            with copy.backup("main", connection, "main") as work:
                while not work.done:
                    work.step(10_000)
        finally:
            copy.close()
        if not _same(path, backup):
            raise StorageError(f"{backup}: the copy is not the same as the database")
        sync_directory(os.path.dirname(backup))
    except BaseException as error:
        os.unlink(backup)
        if isinstance(error, apsw.Error):
            raise translate(error, backup, 0) from error
        raise


def _same(path: str, copy: str) -> bool:
    """Whether two files are the same, byte for byte, but for the counters of changes.

    Read through SQLite's own file objects: to close a file that was opened in another way
    would drop the locks that this process has on it.
    """
    flags = apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY
    files = [apsw.VFSFile("", name, [flags, 0]) for name in (path, copy)]
    try:
        size = files[0].xFileSize()
        if size != files[1].xFileSize():
            return False
        for offset in range(0, size, _CHUNK):
            count = min(_CHUNK, size - offset)
            one, other = (bytearray(file.xRead(count, offset)) for file in files)
            if offset == 0:
                for counter in _COUNTERS:
                    one[counter] = other[counter] = b""
            if one != other:
                return False
        return True
    finally:
        for file in files:
            file.xClose()
