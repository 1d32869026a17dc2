"""Opening an old SQLite database without changing or creating any file.

SQLite makes or changes the ``-wal`` and ``-shm`` files of a database in WAL mode even to
read it, and needs a writable directory for that. Yet releases from 0.1.2 to 0.1.7 left all
their data in the ``-wal``. So the database is opened where it is, for reading, while its
side files are copies in a private directory: a virtual file system of our own tells SQLite
that the database is there. A rollback journal, left by a crash of a release before 0.1.2,
has to be played back into the database; then that is a copy too.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

import apsw

from kycli.core.sqlite_errors import cannot_open, translate
from kycli.errors import BusyError

_NAME = "old.db"
_CACHE_KIB = 32_000


class _ReadOnlyFile(apsw.VFSFile):
    """A database that SQLite may lock to read it, and believes to own otherwise.

    Told to own it, SQLite keeps the index of the ``-wal`` in memory instead of in a
    ``-shm`` file beside the database.
    """

    def xLock(self, level: int) -> None:
        if level <= apsw.SQLITE_LOCK_SHARED:
            super().xLock(level)

    def xCheckReservedLock(self) -> bool:
        return False


class _Aside(apsw.VFS):
    """A file system in which one database is at another place than its side files."""

    def __init__(self, name: str, database: str) -> None:
        self._database = database
        super().__init__(name, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        if not flags[0] & apsw.SQLITE_OPEN_MAIN_DB:
            return super().xOpen(name, flags)
        writing = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        flags[0] = flags[0] & ~writing | apsw.SQLITE_OPEN_READONLY
        return _ReadOnlyFile("", self._database, flags)


class Aside:
    """A connection to a database that stays as it is.

    Parameters:
        path: of the database; links are followed.
        wal: the ``-wal`` that belongs to it, by default the one beside it, if any.
    """

    connection: apsw.Connection

    def __init__(self, path: str, wal: str | None = None) -> None:
        self._path = os.path.realpath(path)
        self._wal = self._path + "-wal" if wal is None else wal
        self._vfs: _Aside | None = None
        try:
            # What is open can be read without having a name, and nothing is left by a crash.
            with tempfile.TemporaryDirectory(prefix="kycli-") as directory:
                self._before = self._state()
                self.connection = self._open(os.path.join(directory, _NAME))
        except OSError as error:
            self._unregister()
            raise cannot_open(path, error) from error
        except apsw.Error as error:
            self._unregister()
            raise translate(error, path, 0) from error
        except BaseException:
            self._unregister()
            raise

    def _open(self, name: str) -> apsw.Connection:
        if _size(self._path + "-journal"):
            shutil.copyfile(self._path, name)
            shutil.copyfile(self._path + "-journal", name + "-journal")
            connection = apsw.Connection(name, flags=apsw.SQLITE_OPEN_READWRITE)
        else:
            open(name, "wb").close()  # SQLite gives side files the mode of this one
            if _size(self._wal):
                shutil.copyfile(self._wal, name + "-wal")
            self._vfs = _Aside(f"kycli-{id(self)}", self._path)
            flags = apsw.SQLITE_OPEN_READONLY
            connection = apsw.Connection(name, flags=flags, vfs=f"kycli-{id(self)}")
        try:
            connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            connection.pragma("locking_mode", "exclusive")
            connection.pragma("temp_store", "file")
            connection.pragma("cache_size", -_CACHE_KIB)
            connection.pragma("schema_version")  # the first to read the file
        except BaseException:
            connection.close()
            raise
        return connection

    def _state(self) -> list[Any]:
        """Return what changes when another program writes to the database."""
        files = (self._path, self._wal, self._path + "-journal")
        return [(s.st_mtime_ns, s.st_size) if (s := _stat(f)) else None for f in files]

    def make_sure_that_it_is_unchanged(self) -> None:
        """Raise unless all that was read belongs together.

        Raises:
            BusyError: another program wrote to the database meanwhile.
        """
        if self._state() != self._before:
            raise BusyError(
                f"{self._path}: another program has written to it meanwhile",
                hint="end what still uses the old database, and try again",
            )

    def close(self) -> None:
        self.connection.close()
        self._unregister()

    def _unregister(self) -> None:
        if self._vfs is not None:
            self._vfs.unregister()
            self._vfs = None


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _size(path: str) -> int:
    status = _stat(path)
    return status.st_size if status else 0


def scratch(fill: Callable[[apsw.Connection], None]) -> apsw.Connection:
    """Return a private database with the tables of the newest old release, filled.

    It has no name, and is on the disk only as far as memory does not suffice.
    """
    connection = apsw.Connection("")
    try:
        connection.pragma("journal_mode", "off")
        connection.pragma("temp_store", "file")
        connection.pragma("cache_size", -_CACHE_KIB)
        connection.execute(_SCRATCH)
        with connection:
            fill(connection)
    except BaseException:
        connection.close()
        raise
    return connection


_SCRATCH = """
CREATE TABLE kvstore (key TEXT PRIMARY KEY, value, expires_at TEXT);
CREATE TABLE audit_log (id INTEGER PRIMARY KEY, key TEXT, value, timestamp TEXT);
CREATE TABLE archive (id INTEGER PRIMARY KEY, key TEXT, value, deleted_at TEXT);
CREATE TABLE workspace_meta (key TEXT PRIMARY KEY, value);
CREATE TABLE queue_items (
    id INTEGER PRIMARY KEY, value, priority INTEGER, created_at TEXT,
    available_at TEXT, lease_until TEXT, receipt_id TEXT, attempts INTEGER
);
"""
