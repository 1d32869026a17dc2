"""Creating a database, so that no process ever sees a part of one.

First an empty file is created; then the first process that opens it creates the tables in one
transaction. So SQLite's locks decide every race. For an empty file SQLite also discards the
``-wal`` or ``-journal`` that an earlier database of that name left behind. If creating the
tables fails, the empty file is removed. After a crash the empty file stays, and the next
process that opens it creates the tables.
"""

from __future__ import annotations

import os

import apsw

from kycli.core import layout
from kycli.core.layout.triggers import WHOLE
from kycli.core.location import make_private, sync_directory
from kycli.core.sqlite_errors import cannot_open

_LOCKS = (apsw.SQLITE_LOCK_SHARED, apsw.SQLITE_LOCK_RESERVED, apsw.SQLITE_LOCK_EXCLUSIVE)


def create_file(path: str) -> bool:
    """Create an empty file for a database; return False if there is a file already.

    Parameters:
        path: absolute path. The file gets mode 0600, and new directories 0700.

    Raises:
        CannotOpenError: when the directory cannot be created or written.
        DiskFullError: when no space is left.
    """
    directory = os.path.dirname(path)
    try:
        make_private(directory)
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return False
        sync_directory(directory)
    except OSError as error:
        raise cannot_open(path, error) from error
    return True


def remove_if_empty(path: str) -> None:
    """Remove the empty file of a database that could not be created.

    The file stays if another process has it open, or has created the tables meanwhile.
    SQLite's own locks keep other processes from starting to use the file at that moment.
    """
    try:
        file = apsw.VFSFile("", path, [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READWRITE, 0])
        try:
            for lock in _LOCKS:
                file.xLock(lock)
            if file.xFileSize() == 0:
                os.unlink(path)
        finally:
            file.xUnlock(apsw.SQLITE_LOCK_NONE)
            file.xClose()
    except (apsw.Error, OSError):
        pass  # the caller reports why the database could not be created


def remove_if_unused(path: str) -> None:
    """Remove a database that was created for something that failed.

    It stays where another process has it open, or where anything was ever written to it.
    """
    try:
        connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            # In this mode the first access takes an exclusive lock, or fails.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
            if not connection.execute(_ANYTHING).get:
                # SQLite would not remove it once the database is gone. Under the lock nobody
                # else can have created one.
                if os.path.exists(path + "-wal"):
                    os.unlink(path + "-wal")
                os.unlink(path)
            connection.execute("ROLLBACK")
        finally:
            connection.close()
    except (apsw.Error, OSError):
        pass  # the caller reports what failed


_ANYTHING = "SELECT EXISTS (SELECT 1 FROM audit_log) OR EXISTS (SELECT 1 FROM sys_namespaces)"


def create_tables(connection: apsw.Connection) -> None:
    """Create the tables of an empty database in one transaction, unless they exist by now."""
    connection.execute(f"PRAGMA page_size = {layout.PAGE_SIZE}")
    connection.execute("BEGIN EXCLUSIVE")
    try:
        if connection.pragma("application_id") == 0:
            connection.execute(WHOLE)
            connection.execute(f"PRAGMA user_version = {layout.FORMAT}")
            connection.execute(f"PRAGMA application_id = {layout.APPLICATION_ID}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
