"""Opening a database: whose file it is, and how its connection is set up."""

from __future__ import annotations

import os
import time
from stat import S_ISREG

import apsw

from kycli.core.layout import APPLICATION_ID, FORMAT
from kycli.core.location import MEMORY
from kycli.errors import CorruptError, NotADatabaseError, ReadOnlyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class BusyHandler(Protocol):
        def __call__(self, tries: int) -> bool: ...
        def check_signals(self) -> bool: ...


# As many as the first block of the WAL's index holds. A checkpoint writes each changed
# page once and syncs twice, so fewer of them make small writes cheaper; the -wal file
# grows to 16 MB.
_PAGES_BETWEEN_CHECKPOINTS = 4000

# Some 10 ms of a statement's work.
_STEPS_BETWEEN_SIGNALS = 500_000

# A session lets one thread at a time use its connection, so that SQLite's own lock on it
# would be taken dozens of times a call for nothing.
_ONE_AT_A_TIME = apsw.SQLITE_OPEN_NOMUTEX

_ANY_KVSTORE = "SELECT count(*) FROM sqlite_schema WHERE name = 'kvstore'"

_LOOKS = 100
_SECONDS_BETWEEN_LOOKS = 0.01

_ANOTHER = "choose another file with --db or KYCLI_DB_PATH"


def identity_of(path: str) -> tuple[int, int] | None:
    """Return what tells a file apart whatever it is called; None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def connect(path: str, durability: str, busy: BusyHandler) -> apsw.Connection:
    """Open a database of ours; make it when there is none.

    An existing one is only read: nothing is written and no write lock taken. A file
    that cannot be used is left as it was.

    Parameters:
        path: absolute, or ``":memory:"``.
        durability: ``"normal"``, ``"full"`` or ``"async"``, which commits as normal does.
        busy: SQLite's busy handler, which also checks for signals.

    Raises:
        CannotOpenError, NotADatabaseError, NewerFormatError, DiskFullError: ours.
        MigrationNeeded: when it is of an earlier format; ``migration.migrate`` changes that.
        apsw.Error: whatever else SQLite says.
    """
    placed = path != MEMORY and _prepare_file(path)
    try:
        return _connect(path, durability, busy)
    except BaseException:
        if placed:
            from kycli.core.create import take_away

            take_away(os.path.realpath(path))
        raise


def _connect(path: str, durability: str, busy: BusyHandler) -> apsw.Connection:
    strangers_wal = path != MEMORY and os.path.exists(path + "-wal")
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE | _ONE_AT_A_TIME)
    try:
        _leave_wal_alone(connection, strangers_wal)
        try:
            _set_up(connection, path, durability, busy)
        except (apsw.CantOpenError, apsw.ReadOnlyError):
            if os.access(os.path.dirname(path), os.W_OK):
                raise
            connection.close()
            connection = _open_immutable(path)
            _set_up(connection, path, durability, busy)
        _leave_wal_alone(connection, False)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare_file(path: str) -> bool:
    """Put an empty file in place if there is none; refuse what cannot be a database.

    Returns:
        whether there was none.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        from kycli.core.create import place

        return place(os.path.realpath(path))
    except OSError as error:
        from kycli.core.faults import cannot_open

        raise cannot_open(path, error) from error
    else:
        if not S_ISREG(status.st_mode):
            raise NotADatabaseError(f"{path}: not a regular file", hint=_ANOTHER)
        # SQLite takes a file that is too short for a header for an empty one.
        if 0 < status.st_size < 100:
            raise NotADatabaseError(f"{path}: the file is not a kycli database", hint=_ANOTHER)
        if status.st_size == 0:
            _check_truncated(path)
    return False


def _check_truncated(path: str) -> None:
    """Refuse an empty file with a -wal that is not: SQLite would throw that away.

    Where a database was just removed and another is being made, that is what happens, so a
    moment is given for it.
    """
    for _ in range(_LOOKS):
        if not (_size(path) == 0 and _size(path + "-wal") > 0):
            return
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    raise CorruptError(
        f"{path}: the file was cut to nothing, and what is left of it is its -wal",
        hint="keep a copy of both and restore a backup; where nothing in them is wanted, "
        "remove both",
    )


def _size(path: str) -> int:
    """Return how many bytes a file has; -1 where there is none."""
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
    _identify(connection, path)
    if path != MEMORY and not connection.readonly("main"):
        _use_wal(connection, busy)
        connection.execute(f"PRAGMA wal_autocheckpoint = {_PAGES_BETWEEN_CHECKPOINTS}")
    _set_durability(connection, durability)


def _leave_wal_alone(connection: apsw.Connection, alone: bool) -> None:
    """Whether closing leaves a ``-wal`` file as it is, which may turn out to be a stranger's."""
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, int(alone))


def _check_signals(connection: apsw.Connection, busy: BusyHandler) -> None:
    """Ctrl-C stops a long statement, and not only what comes after it."""
    connection.set_progress_handler(busy.check_signals, _STEPS_BETWEEN_SIGNALS)


def _keep_plans(connection: apsw.Connection) -> None:
    """Never prepare a statement anew because of the values bound to it.

    With STAT4 compiled in, SQLite otherwise does so on every execution of some of
    our statements, which makes them 20 times dearer.
    """
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)


def _refuse_double_quoted_strings(connection: apsw.Connection) -> None:
    """A misspelt column name is an error, not a text."""
    connection.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
    connection.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 0)


def _distrust_schema(connection: apsw.Connection) -> None:
    """A crafted file cannot call functions with side effects from its schema."""
    connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)


def _use_wal(connection: apsw.Connection, busy: BusyHandler) -> None:
    """Readers and a writer at the same time; the mode is kept in the file."""
    refusals = 0
    while connection.pragma("journal_mode") != "wal":
        try:
            connection.pragma("journal_mode", "wal")
        except apsw.BusyError:
            # Changing the mode takes the file for itself and does not ask the busy handler.
            if not busy(refusals):
                raise
            refusals += 1


def _set_durability(connection: apsw.Connection, durability: str) -> None:
    """NORMAL syncs at checkpoints, FULL at each commit too."""
    connection.execute(
        "PRAGMA synchronous = FULL" if durability == "full" else "PRAGMA synchronous = NORMAL"
    )


def _identify(connection: apsw.Connection, path: str) -> None:
    """Make sure that the database is ours; lay out an empty one."""
    mark = connection.pragma("application_id")
    if mark == 0:
        if _is_empty(connection) and not connection.readonly("main"):
            from kycli.core.create import lay_out

            lay_out(connection)
        # Also where it was not empty: another process may just have laid it out.
        mark = connection.pragma("application_id")
    if mark != APPLICATION_ID:
        if mark == 0 and connection.execute(_ANY_KVSTORE).get:
            from kycli.core.migration.formats import needed

            raise needed(connection, path)
        raise NotADatabaseError(
            f"{path}: this is an SQLite database, but not one of kycli", hint=_ANOTHER
        )
    version = connection.pragma("user_version")
    if version != FORMAT:
        from kycli.core.migration.formats import needed

        raise needed(connection, path)


def _is_empty(connection: apsw.Connection) -> bool:
    """Whether nothing was ever written into the file; if something was, it is not for us."""
    return bool(connection.pragma("page_count") == 0)


def _open_immutable(path: str) -> apsw.Connection:
    """Open a database whose directory cannot be written, where no one can change it."""
    wal = path + "-wal"
    if os.path.exists(wal) and os.path.getsize(wal) > 0:
        raise ReadOnlyError(
            f"{path}: its -wal file holds changes, and its directory cannot be written",
            hint="make the directory writable, or copy both files to one that is",
        )
    plain = b"/-_.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    name = "".join(chr(c) if c in plain else f"%{c:02X}" for c in path.encode())
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI | _ONE_AT_A_TIME
    return apsw.Connection(f"file:{name}?immutable=1", flags=flags)
