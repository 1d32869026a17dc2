"""Opening a database: identifying the file, and configuring the connection."""

from __future__ import annotations

import os
import time
from stat import S_ISREG

import apsw

from kycli.core.layout import APPLICATION_ID, FORMAT
from kycli.core.location import MEMORY
from kycli.errors import CannotOpenError, CorruptError, KycliError, NotADatabaseError, ReadOnlyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class BusyHandler(Protocol):
        def __call__(self, tries: int) -> bool: ...
        def check_signals(self) -> bool: ...


# As many as the first block of the WAL index holds. A checkpoint writes each changed page
# once and syncs twice, so less frequent checkpoints make small writes cheaper. The -wal file
# grows to 16 MB.
_PAGES_BETWEEN_CHECKPOINTS = 4000

# About 10 ms of a running statement.
_STEPS_BETWEEN_SIGNALS = 500_000

# A session lets only one thread at a time use its connection, so SQLite's own mutex, which
# it takes dozens of times in a call, is not needed.
_NO_MUTEX = apsw.SQLITE_OPEN_NOMUTEX

_ANY_KVSTORE = "SELECT count(*) FROM sqlite_schema WHERE name = 'kvstore'"

_TRIES = 10
_CHECKS = 100
_SECONDS_BETWEEN_CHECKS = 0.01

_ANOTHER = "choose another file with --db or KYCLI_DB_PATH"


def identity_of(path: str) -> tuple[int, int] | None:
    """Return the device and inode of a file, or None if there is no file."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def connect(path: str, durability: str, busy: BusyHandler) -> apsw.Connection:
    """Open a kycli database, or create it if there is no file.

    Opening an existing database writes nothing and takes no write lock. A file that cannot
    be used is left unchanged.

    Parameters:
        path: absolute, or ``":memory:"``.
        durability: ``"normal"``, ``"full"`` or ``"async"``; the last commits like the first.
        busy: called by SQLite when it meets a lock; ``check_signals`` handles Ctrl-C.

    Raises:
        CannotOpenError, NotADatabaseError, NewerFormatError, DiskFullError: when the file
            cannot be used.
        MigrationNeeded: when the file has an earlier format; ``migration.migrate`` changes that.
        apsw.Error: any other error of SQLite.
    """
    for _ in range(_TRIES):
        created = path != MEMORY and _prepare_file(path)
        file = identity_of(path)
        try:
            connection = _connect(path, durability, busy, file)
        except BaseException:
            is_replaced = identity_of(path) != file
            if created:
                from kycli.core.create import remove_if_empty

                remove_if_empty(os.path.realpath(path))
            if not is_replaced:
                raise
            continue
        if path == MEMORY or identity_of(path) == file:
            return connection
        # It was replaced meanwhile, such as by a restored backup. What is open is the old file,
        # perhaps with the -wal of the new one.
        _keep_wal_on_close(connection, True)
        connection.close()
    raise CannotOpenError(f"{path}: the file was replaced while it was opened", hint="try it again")


def _connect(
    path: str, durability: str, busy: BusyHandler, file: tuple[int, int] | None
) -> apsw.Connection:
    wal_exists = path != MEMORY and os.path.exists(path + "-wal")
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE | _NO_MUTEX)
    try:
        # Until the file is known to be a kycli database, its -wal may belong to another one.
        _keep_wal_on_close(connection, wal_exists)
        try:
            _set_up(connection, path, durability, busy)
        except apsw.NotADBError:
            raise _no_database(path) from None
        except (apsw.CantOpenError, apsw.ReadOnlyError):
            if os.access(os.path.dirname(path), os.W_OK):
                raise
            connection.close()
            connection = open_immutable(path)
            _set_up(connection, path, durability, busy)
        _keep_wal_on_close(connection, False)
    except BaseException:
        if path != MEMORY and identity_of(path) != file:
            _keep_wal_on_close(connection, True)
        connection.close()
        raise
    return connection


def _prepare_file(path: str) -> bool:
    """Create an empty file if there is none; refuse a file that cannot be a database.

    Returns:
        whether the file was created.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        from kycli.core.create import create_file

        return create_file(os.path.realpath(path))
    except OSError as error:
        from kycli.core.sqlite_errors import cannot_open

        raise cannot_open(path, error) from error
    else:
        if not S_ISREG(status.st_mode):
            raise NotADatabaseError(f"{path}: not a regular file", hint=_ANOTHER)
        # SQLite treats a file that is too short for a header as an empty one.
        if 0 < status.st_size < 100:
            raise _no_database(path)
        if status.st_size == 0:
            _check_truncated(path)
    return False


def _no_database(path: str) -> KycliError:
    """Return the error for a file that is no database; an earlier kycli may have written it."""
    from kycli.core.migration.formats import old_file

    return old_file(path) or NotADatabaseError(
        f"{path}: the file is not a kycli database", hint=_ANOTHER
    )


def _check_truncated(path: str) -> None:
    """Refuse an empty file whose ``-wal`` is not empty, because SQLite would discard the ``-wal``.

    This state also exists for a moment while a database is removed and created again, so wait
    for that to end.
    """
    for _ in range(_CHECKS):
        if not (_size(path) == 0 and _size(path + "-wal") > 0):
            return
        time.sleep(_SECONDS_BETWEEN_CHECKS)
    raise CorruptError(
        f"{path}: the file was truncated to 0 bytes; only its -wal still holds data",
        hint="keep a copy of both files and restore a backup; if you do not need the data, "
        "remove both files",
    )


def _size(path: str) -> int:
    """Return the size of a file in bytes, or -1 if there is no file."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def _set_up(connection: apsw.Connection, path: str, durability: str, busy: BusyHandler) -> None:
    connection.set_busy_handler(busy)
    _check_signals(connection, busy)
    _keep_plans(connection)
    _refuse_double_quoted_strings(connection)
    _distrust_schema(connection)
    _execute_no_triggers(connection)
    _identify(connection, path)
    if path != MEMORY and not connection.readonly("main"):
        _use_wal(connection, busy)
        connection.execute(f"PRAGMA wal_autocheckpoint = {_PAGES_BETWEEN_CHECKPOINTS}")
    _set_durability(connection, durability)


def _keep_wal_on_close(connection: apsw.Connection, keep: bool) -> None:
    """Set whether closing the connection leaves the ``-wal`` file unchanged."""
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, int(keep))


def _check_signals(connection: apsw.Connection, busy: BusyHandler) -> None:
    """Let Ctrl-C stop a long statement while it runs."""
    connection.set_progress_handler(busy.check_signals, _STEPS_BETWEEN_SIGNALS)


def _keep_plans(connection: apsw.Connection) -> None:
    """Never prepare a statement again because of the values bound to it.

    With STAT4 compiled in, SQLite otherwise does so at every execution of some of the
    engine's statements, which makes them 20 times slower.
    """
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)


def _refuse_double_quoted_strings(connection: apsw.Connection) -> None:
    """Make a misspelt column name an error instead of a string."""
    connection.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
    connection.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 0)


def _distrust_schema(connection: apsw.Connection) -> None:
    """Keep a crafted file from calling functions with side effects in its schema."""
    connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)


def _execute_no_triggers(connection: apsw.Connection) -> None:
    """The triggers do for other programs what the engine does itself (``layout.triggers``)."""
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)


def _use_wal(connection: apsw.Connection, busy: BusyHandler) -> None:
    """Switch to WAL mode, which lets readers and a writer work at the same time.

    The mode is stored in the file.
    """
    tries = 0
    while connection.pragma("journal_mode") != "wal":
        try:
            connection.pragma("journal_mode", "wal")
        except apsw.BusyError:
            # SQLite does not call the busy handler when it changes the mode.
            if not busy(tries):
                raise
            tries += 1


def _set_durability(connection: apsw.Connection, durability: str) -> None:
    """Set how often SQLite syncs: NORMAL at checkpoints, FULL also at each commit."""
    connection.execute(
        "PRAGMA synchronous = FULL" if durability == "full" else "PRAGMA synchronous = NORMAL"
    )


def _identify(connection: apsw.Connection, path: str) -> None:
    """Check that this is a kycli database; create the tables in an empty one."""
    mark = connection.pragma("application_id")
    if mark == 0:
        if _is_empty(connection) and not connection.readonly("main"):
            from kycli.core.create import create_tables

            create_tables(connection)
        # Read it again in any case: another process may have just created the tables.
        mark = connection.pragma("application_id")
    if mark != APPLICATION_ID:
        if mark == 0 and connection.execute(_ANY_KVSTORE).get:
            from kycli.core.migration.formats import needed

            raise needed(connection, path)
        raise NotADatabaseError(
            f"{path}: this is an SQLite database, but not a kycli database", hint=_ANOTHER
        )
    version = connection.pragma("user_version")
    if version != FORMAT:
        from kycli.core.migration.formats import needed

        raise needed(connection, path)


def _is_empty(connection: apsw.Connection) -> bool:
    """Return whether nothing was ever written to the file; otherwise leave it alone."""
    return bool(connection.pragma("page_count") == 0)


def open_immutable(path: str) -> apsw.Connection:
    """Open a database in a directory that cannot be written, so that nobody can change it."""
    wal = path + "-wal"
    if os.path.exists(wal) and os.path.getsize(wal) > 0:
        raise ReadOnlyError(
            f"{path}: its -wal file holds changes, and its directory cannot be written",
            hint="make the directory writable, or copy both files to one that is",
        )
    plain = b"/-_.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    name = "".join(chr(c) if c in plain else f"%{c:02X}" for c in path.encode())
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI | _NO_MUTEX
    return apsw.Connection(f"file:{name}?immutable=1", flags=flags)
