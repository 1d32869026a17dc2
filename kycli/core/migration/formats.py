"""Bringing a database file of an earlier kycli to the format of this one, in place.

A file is locked exclusively, checked, copied if requested, and then changed in one transaction,
whose last two writes are the format number and the application id. So a process that opens it
finds either the old file or the new one, complete, whatever happens in between: a rollback journal
undoes what a crash cut short. A rollback journal is used, and not a write-ahead log, because almost
all writes go to new pages, which such a journal does not hold; a log would write them twice.

The numbered formats go through ``STEPS``, each from one number to the next. A step changes only
tables and their rows; indexes, triggers and views hold no data, so they are created at the end as
``layout`` has them. Files from before there were formats
(KyCLI 0.0 and 0.1) are converted by ``kycli.core.migration.plain``.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import time
from contextlib import closing, contextmanager
from stat import S_ISREG
from typing import NamedTuple

import apsw

from kycli.core import layout
from kycli.core.layout.triggers import WHOLE
from kycli.core.migration.backup import back_up
from kycli.core.migration.legacy.aside import Aside
from kycli.core.migration.legacy.identify import Found, damage, has_journal, identify, variant_of
from kycli.core.migration.legacy.store import OldStore
from kycli.core.migration.legacy.values import Decoder, Keyring
from kycli.core.migration.legacy.variant import PLAIN, Variant
from kycli.core.migration.notes import Note, keep
from kycli.core.migration.plain import Move, Moved, Source
from kycli.core.migration.steps import NEW_NAMES, STEPS
from kycli.core.names import DEFAULT, check_name
from kycli.core.sqlite_errors import cannot_open, translate
from kycli.errors import (
    BusyError,
    CannotOpenError,
    ConflictError,
    CorruptError,
    DiskFullError,
    InvalidScopeError,
    KycliError,
    MigrationNeeded,
    NewerFormatError,
    NotADatabaseError,
    ReadOnlyError,
    StorageError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    Progress = Callable[[int, int], None]

BUSY_TIMEOUT_MS = 5000

_MAGIC = b"SQLite format 3\0"

_CACHE = "PRAGMA cache_size = -81920"  # KiB; a sort takes as much once more
_STEPS_BETWEEN_SIGNALS = 500_000


# ---------------------------------------------------------------- formats


def bring_up(connection: apsw.Connection, version: int) -> list[Note]:
    """Take a database of ours from one format to the newest, inside a transaction.

    Returns:
        notes on what other programs had made in it, and that cannot be made again.

    Raises:
        ConflictError: when another program has made something of a name that a newer format takes.
    """
    _check_new_names(connection, version)
    dropped = _drop_objects(connection)
    for number in range(version, layout.FORMAT):
        STEPS[number](connection)
    make_objects(connection)
    return _make_again(connection, dropped)


def _check_new_names(connection: apsw.Connection, version: int) -> None:
    wanted = {name for number in range(version, layout.FORMAT)
              for name in NEW_NAMES.get(number + 1, ())}  # fmt: skip
    for kind, name in connection.execute("SELECT type, name FROM sqlite_schema"):
        if str(name).lower() in wanted:
            raise _name_is_taken(connection.filename, str(kind), str(name))


def _name_is_taken(path: str, kind: str, name: str) -> ConflictError:
    return ConflictError(
        f"{path}: another program has made the {kind} {name!r} in it, "
        "and kycli makes one of that name",
        hint=f"rename or drop the {kind} in a copy with sqlite3, and migrate that",
    )


def make_objects(connection: apsw.Connection) -> None:
    """Create the objects of the layout that hold no data: indexes, triggers, views."""
    present = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    for kind, name, sql in objects_of_layout():
        if kind != "table" or (name == "fts_kvstore" and name not in present):
            connection.execute(sql)


# What earlier formats had made, and is not to be taken for another program's.
_FORMER_OBJECTS = {
    *("kvstore_created", "kvstore_changed", "kvstore_replaced", "archive_moved"),  # of format 1
    *("kvstore_bypassed", "kvstore_lost"),  # of format 2
}


def _drop_objects(connection: apsw.Connection) -> list[tuple[str, str, str]]:
    """Drop the indexes, triggers and views, and a search index of another make.

    Returns:
        type, name and SQL of those that another program had made.
    """
    ours = _FORMER_OBJECTS | {name for _, name, _ in objects_of_layout()}
    made: list[Any] = connection.execute(
        "SELECT type, name, sql FROM sqlite_schema WHERE type <> 'table' AND sql IS NOT NULL"
    ).fetchall()
    for kind, name, _ in made:
        # The triggers of a view go with it.
        connection.execute(f"DROP {kind} IF EXISTS {_quoted(name)}")
    search = "SELECT sql FROM sqlite_schema WHERE name = 'fts_kvstore'"
    wanted = {name: sql for _, name, sql in objects_of_layout()}["fts_kvstore"]
    if connection.execute(search).get not in (None, wanted):
        connection.execute("DROP TABLE fts_kvstore")
    return [(kind, name, sql) for kind, name, sql in made if name not in ours]


def _make_again(connection: apsw.Connection, objects: list[tuple[str, str, str]]) -> list[Note]:
    """Make what another program had made; return notes on what cannot be made any more."""
    notes = []
    for kind, name, sql in objects:
        try:
            connection.execute(sql)
        except apsw.SQLError:  # of a column or table that is gone, or a name that is taken
            notes.append(Note(kind, name, {"sql": sql}))
    return notes


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


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
_OLD_OBJECTS = {"fts_kvstore", "idx_audit_key", "trg_kv_ai", "trg_kv_ad", "trg_kv_au"}


def _plan(
    connection: apsw.Connection, path: str, keyring: Keyring | None, progress: Progress | None
) -> Move:
    """Look through a database of KyCLI 0.0 or 0.1; nothing of it is changed."""
    source = source_of(_variant(connection, path), keyring, path)
    wanted = {name for _, name, _ in objects_of_layout()} - _OLD_TABLES.keys() - _OLD_OBJECTS
    for kind, name in connection.execute("SELECT type, name FROM sqlite_schema"):
        if name in wanted:
            raise _name_is_taken(path, str(kind), str(name))
    for name in ("audit_log", "archive"):
        if name not in _tables(connection):
            columns = ", ".join(_OLD_TABLES[name]).replace("id,", "id INTEGER PRIMARY KEY,")
            connection.execute(f"CREATE TEMP TABLE {name} ({columns})")
    now = time.time_ns() // 1_000_000
    move = Move(connection, source, DEFAULT, now, progress)
    move.plan()
    return move


def _lay_out_anew(connection: apsw.Connection, move: Move) -> tuple[Moved, list[Note]]:
    """Move a database of KyCLI 0.0 or 0.1 to the newest format, inside a transaction.

    Returns:
        what was moved, and notes on what could not be moved as it was.
    """
    present = _tables(connection)
    notes = _drop_dependents(connection)
    if move.misnamed:
        move.rename_keys()
        move.plan()
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
    notes += move.notes()
    for name in (*_OLD_TABLES, "fts_kvstore"):
        connection.execute(f"DROP TABLE IF EXISTS old_{name}")
    connection.execute("DROP TABLE IF EXISTS sqlite_stat1")
    make_objects(connection)
    return moved, notes


def _drop_dependents(connection: apsw.Connection) -> list[Note]:
    """Drop the triggers on the old tables; return notes on what is lost with the tables."""
    made = connection.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema "
        "WHERE type IN ('trigger', 'index') AND sql IS NOT NULL"
    )
    notes = []
    for kind, name, table, sql in made.fetchall():
        if str(table).lower() not in _OLD_TABLES:
            continue
        if kind == "trigger":
            connection.execute(f"DROP TRIGGER {_quoted(str(name))}")
        if name not in _OLD_OBJECTS:
            notes.append(Note(str(kind), str(name), {"sql": sql}))
    return notes


def source_of(variant: Variant, keyring: Keyring | None, path: str) -> Source:
    """Return how an old database keeps its values.

    Parameters:
        variant: of the database.
        keyring: what opens its encrypted values; without, they stay as they are.
        path: what to call it in errors.
    """
    return Source(Decoder(variant, keyring), variant.is_json, variant.may_encrypt, path)


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
        found: what the readers of old files know of it, where the version is 0.
    """

    version: int
    description: str
    found: Found | None


def examine(path: str) -> Examined | None:
    """Look at a database, as it is when a journal beside it has been played back.

    Nothing is changed.

    Returns:
        What it is, or None when it is of this format.

    Raises:
        CannotOpenError, CorruptError: when it cannot be read.
        MigrationNeeded: when it is an old file that is not migrated in place; the hint says
            what to do.
        NotADatabaseError, NewerFormatError: when there is nothing to migrate.
    """
    header = _header(path)
    found = identify(path)
    if found is not None:
        if found.variant.family != PLAIN:
            raise _to_bring_in(found)
        return Examined(0, found.description, found)
    version = _format_of(path, header)
    if version is None:
        raise NotADatabaseError(f"{path}: {_file_type(header)}")
    if version == layout.FORMAT:
        return None
    check_version(version, path)
    what = f"a database of format {version}, which becomes format {layout.FORMAT}"
    return Examined(version, what, None)


def count_rows(path: str, examined: Examined) -> dict[str, int]:
    """Return how much is in a database: ``keys``, ``changes``, ``removed``, ``encrypted``."""
    if examined.found is not None:
        with OldStore(examined.found, Keyring()) as old:
            counts = old.counts()
        others = {"changes": counts.history, "removed": counts.archive, "encrypted": counts.sealed}
        return {"keys": counts.keys, **others}
    tables = (("keys", "kvstore"), ("changes", "audit_log"), ("removed", "archive"))
    with closing(Aside(path)) as aside:
        try:
            return {
                name: aside.connection.execute(f"SELECT count(*) FROM {table}").get
                for name, table in tables
            }
        except apsw.Error as error:
            raise translate(error, path, 0) from error


def old_file(path: str) -> KycliError | None:
    """Return the error for a file that is no database, if an earlier kycli wrote it."""
    found = identify(path)
    if found is None or found.variant.family == PLAIN:
        return None
    return _to_bring_in(found)


def _to_bring_in(found: Found) -> MigrationNeeded:
    what = shlex.quote(found.path)
    try:
        check_name(found.workspace)
    except InvalidScopeError:  # its name is no name of a scope
        what += f" --map {shlex.quote(f'{found.workspace}=old')}"
    return MigrationNeeded(
        f"{found.path}: this is {found.description}",
        hint=f"bring it into a database of this version: kycli migrate --from {what}",
    )


def _header(path: str) -> bytes:
    """Return the first 100 bytes of a file.

    Raises:
        CannotOpenError: when it cannot be read.
        NotADatabaseError: when it is no file, such as a pipe, which would be waited for.
    """
    try:
        if not S_ISREG(os.stat(path).st_mode):
            raise NotADatabaseError(f"{path}: not a regular file")
        with open(path, "rb") as file:
            return file.read(100)
    except OSError as error:
        raise cannot_open(path, error) from error


def _file_type(header: bytes) -> str:
    """Say of a file that is not one of ours what it is."""
    if not header:
        return "the file is empty, so there is nothing to migrate"
    if header.startswith(_MAGIC):
        return "this is no kycli database"
    return "this is no SQLite database"


def _format_of(path: str, header: bytes) -> int | None:
    """Return the format of a database of ours, or None when the file is none.

    By its header; where a crash has left a rollback journal, by that of a copy into which
    the journal is played back, since the header in the file was never committed.
    """
    if not header.startswith(_MAGIC):
        return None
    if has_journal(path):
        with closing(Aside(path)) as aside:
            try:
                mark = aside.connection.pragma("application_id")
                version = aside.connection.pragma("user_version")
            except apsw.Error as error:
                raise translate(error, path, 0) from error
    else:
        mark, version = (int.from_bytes(header[at : at + 4], "big") for at in (68, 60))
    return int(version) if mark == layout.APPLICATION_ID else None


class Migrated(NamedTuple):
    """What was done.

    Attributes:
        version: the format that the file had; 0 before there were formats.
        moved: what was moved out of a file of version 0.
        notes: how many notes of each kind there are on what could not be kept as it was; they
            are in the scope that ``notes.notes_scope`` gives for the default one.
        backup: the copy of the file as it was, or None.
        free_bytes: how much of the file is free for what is written later.
    """

    version: int
    moved: Moved | None
    notes: dict[str, int]
    backup: str | None
    free_bytes: int


def migrate(
    path: str,
    *,
    backup: str | Sequence[str] = (),
    keyring: Keyring | None = None,
    progress: Progress | None = None,
    busy_timeout_ms: int = BUSY_TIMEOUT_MS,
) -> Migrated | None:
    """Bring a database file to the format of this kycli: all of it or nothing.

    Of several processes that do it at once, one does it; the others wait and find it done.

    Parameters:
        path: the file, absolute.
        backup: where to put a verified copy first: the first of several names that is free, or
            that such a copy has; none for no copy. A copy that was made is removed again when
            the migration fails.
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
    with _locked_directory(os.path.dirname(path)):
        connection = _take(path, busy_timeout_ms)
        names = [backup] if isinstance(backup, str) else backup
        try:
            return _migrate(connection, path, names, keyring, progress)
        except (apsw.Error, UnicodeError) as error:
            raise translate(error, path, busy_timeout_ms) from error
        finally:
            connection.close()


def _migrate(
    connection: apsw.Connection,
    path: str,
    names: Sequence[str],
    keyring: Keyring | None,
    progress: Progress | None,
) -> Migrated | None:
    version = version_of(connection, path)
    if version == layout.FORMAT:
        return None
    connection.execute(_CACHE)
    _check_sound(connection, path, version)
    move = None if version else _plan(connection, path, keyring, progress)
    _check_space(connection, path, names)
    # From here on the file may be written.
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
    if connection.pragma("journal_mode", "delete") != "delete":
        raise _in_use(path)
    copy = back_up(path, names) if names else None
    try:
        moved, notes = _change(connection, version, move)
    except BaseException:
        # Where the file could not be put back, the copy is what is left of it.
        if copy is not None and copy.is_new and not has_journal(path):
            os.unlink(copy.path)
        raise
    free_bytes = connection.pragma("freelist_count") * connection.pragma("page_size")
    connection.pragma("journal_mode", "wal")
    return Migrated(version, moved, notes, None if copy is None else copy.path, free_bytes)


def _change(
    connection: apsw.Connection, version: int, move: Move | None
) -> tuple[Moved | None, dict[str, int]]:
    """Bring a database to the newest format in one transaction."""
    moved = None
    # What other programs have made in the file goes on meaning what it says.
    connection.execute("PRAGMA legacy_alter_table = ON")
    connection.execute("BEGIN EXCLUSIVE")
    try:
        if move is not None:
            moved, notes = _lay_out_anew(connection, move)
        else:
            notes = bring_up(connection, version)
        check_schema(connection)
        now = move.now if move is not None else time.time_ns() // 1_000_000
        kept = keep(connection, DEFAULT, notes, now)
        connection.execute(f"PRAGMA user_version = {layout.FORMAT}")
        connection.execute(f"PRAGMA application_id = {layout.APPLICATION_ID}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return moved, kept


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
    return MigrationNeeded(
        f"{path}: {what}",
        hint=f"migrate it in place, all or nothing: kycli migrate {shlex.quote(path)} "
        "(keeps a copy beside it); in Python, Kycore(path, migrate=True) does so without a copy",
    )


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
    header = _header(path)
    if not header.startswith(_MAGIC):
        raise old_file(path) or NotADatabaseError(f"{path}: {_file_type(header)}")
    if not (os.access(path, os.W_OK) and os.access(directory, os.W_OK)):
        raise ReadOnlyError(
            f"{path}: the file and its directory must be writable to migrate it",
            hint="copy it to a directory of yours and migrate that",
        )


@contextmanager
def _locked_directory(directory: str) -> Iterator[None]:
    """Lock a directory for migrating: wait for other migrations, and block later ones."""
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
        # Triggers, of other programs too, are for what people write.
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
        # The engine's handler is for short locks. This one waits for programs to end.
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


def _check_sound(connection: apsw.Connection, path: str, version: int) -> None:
    """Refuse a damaged database; of an old one the search index, which is not kept, may be."""
    _check_size(connection, path)
    wrong = damage(connection, with_search=bool(version))
    if wrong is not None:
        raise CorruptError(
            f"{path}: the database is damaged: {wrong}",
            hint="keep it, and try sqlite3's .recover command on a copy",
        )


def _check_space(connection: apsw.Connection, path: str, names: Sequence[str]) -> None:
    """Refuse to begin what would fill the disk.

    The new tables stand beside the old ones until the end, and take about as much again,
    half of it once more for sorting.
    """
    size = connection.pragma("page_count") * connection.pragma("page_size")
    needed = {os.path.dirname(path): 2 * size}
    if names:
        directory = os.path.dirname(names[0])
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
