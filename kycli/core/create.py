"""Making a new database, so that no process ever sees half of one.

An empty file is put in place first, and laid out by the first who opens it, in one
transaction. So the races are SQLite's to decide; and SQLite itself throws away a
``-wal`` or ``-journal`` file that an earlier database of that name left behind, which
it does for an empty file only. A crash leaves an empty file, which the next one to
open it lays out.
"""

from __future__ import annotations

import os

import apsw

from kycli.core import layout
from kycli.core.faults import cannot_open
from kycli.core.location import make_private, sync_directory


def place(path: str) -> None:
    """Put an empty file in the place of a database, unless there is a file by now.

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
            return
        sync_directory(directory)
    except OSError as error:
        raise cannot_open(path, error) from error


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
