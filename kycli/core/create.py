"""Making a new database, so that no process ever sees half of one.

An empty file is put in place first, and laid out by the first who opens it, in one
transaction. So the races are SQLite's to decide; and SQLite itself throws away a
``-wal`` or ``-journal`` file that an earlier database of that name left behind, which
it does for an empty file only. Where laying it out fails, the empty file is removed
again. A crash leaves it, and the next one to open it as a store lays it out.
"""

from __future__ import annotations

import os

import apsw

from kycli.core import layout
from kycli.core.faults import cannot_open
from kycli.core.location import make_private, sync_directory

_LOCKS = (apsw.SQLITE_LOCK_SHARED, apsw.SQLITE_LOCK_RESERVED, apsw.SQLITE_LOCK_EXCLUSIVE)


def place(path: str) -> bool:
    """Put an empty file in the place of a database; return False when there is a file by now.

    Parameters:
        path: absolute path; the file gets mode 0600 and new directories 0700.

    Raises:
        CannotOpenError: when the directory cannot be made or written.
        DiskFullError: when there is no space for it.
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


def take_away(path: str) -> None:
    """Remove the empty file of a database that could not be made.

    It stays where another process has it open or has laid it out meanwhile. The locks are
    SQLite's own, so that nobody begins to use it just then.
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
        pass  # what is to be told is why the database could not be made


def lay_out(connection: apsw.Connection) -> None:
    """Lay out an empty database, unless another process was faster: all of it or nothing."""
    connection.execute(f"PRAGMA page_size = {layout.PAGE_SIZE}")
    connection.execute("BEGIN EXCLUSIVE")
    try:
        if connection.pragma("application_id") == 0:
            connection.execute(layout.SCHEMA)
            connection.execute(f"PRAGMA user_version = {layout.FORMAT}")
            connection.execute(f"PRAGMA application_id = {layout.APPLICATION_ID}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
