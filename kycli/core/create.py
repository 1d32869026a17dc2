"""Making a new database, so that no process ever sees half of one."""

from __future__ import annotations

import errno
import os

import apsw

from kycli.core import layout
from kycli.core.faults import cannot_open, translate
from kycli.core.location import make_private, sync_directory

_CREATE_TIMEOUT_MS = 30_000


def create(path: str) -> None:
    """Create the database ``path`` and its missing directories.

    The file is built beside its place and linked into it when it is complete and
    on the disk, so a crash leaves either no database or a whole one. When several
    processes create the same one, the first link wins and the others use it.

    Parameters:
        path: absolute path; the file gets mode 0600 and new directories 0700.

    Raises:
        CannotOpenError: when the directory cannot be made or written.
        DiskFullError: when there is no space for it.
    """
    directory, name = os.path.split(path)
    scratch = os.path.join(directory, f".{name[:200]}.{os.getpid()}-{os.urandom(6).hex()}.new")
    try:
        make_private(directory)
        os.close(os.open(scratch, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            _build(scratch)
            _publish(scratch, path)
        finally:
            for suffix in ("", "-wal", "-shm", "-journal"):
                try:
                    os.unlink(scratch + suffix)
                except FileNotFoundError:
                    pass
        sync_directory(directory)
    except OSError as error:
        raise cannot_open(path, error) from error
    except apsw.Error as error:
        raise translate(error, path, _CREATE_TIMEOUT_MS) from error


def initialise(connection: apsw.Connection) -> None:
    """Lay out an empty database in place, unless another process was faster.

    For a file that exists and is empty (made by ``touch`` or ``mktemp``), and for
    databases in memory. One transaction; the layout is complete or not there.
    """
    connection.execute(f"PRAGMA page_size = {layout.PAGE_SIZE}")
    connection.set_busy_timeout(_CREATE_TIMEOUT_MS)
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


def _build(path: str) -> None:
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        initialise(connection)
        connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()


def _publish(scratch: str, path: str) -> None:
    try:
        os.link(scratch, path)
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        # A file system without hard links. A rename would overwrite a database that
        # another process made meanwhile, so take the place with an empty file, which
        # openers lay out in place.
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            pass
