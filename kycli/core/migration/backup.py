"""A copy of a database that is about to be migrated: complete and verified, or absent.

The file gets its name last. Until then it has no name, if the system supports that, so a process
that is killed leaves no incomplete copy. A complete copy that a killed migration left is reused.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import apsw

from kycli.core.backup.newfile import unnamed, write_at
from kycli.core.location import sync_directory
from kycli.core.sqlite_errors import cannot_open
from kycli.errors import CannotOpenError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CHUNK = 1 << 20


class Backup(NamedTuple):
    """A verified copy: its path, and whether it was made just now."""

    path: str
    is_new: bool


def back_up(path: str, names: Sequence[str]) -> Backup:
    """Copy a database that nobody can write to, byte for byte, and compare the copy with it.

    Parameters:
        path: the database.
        names: what the copy may be called. The first is taken that no file has, or that is
            such a copy already.

    Raises:
        CannotOpenError, DiskFullError: when no name can be had, or the copy not be made.
        StorageError: when the copy is not the same.
    """
    # Read through SQLite's own file objects: to close a file that was opened in another way
    # would drop the locks that this process has on it.
    source = apsw.VFSFile("", path, [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY, 0])
    name = names[0]
    try:
        for name in names:
            if not os.path.lexists(name):
                _copy(source, name, os.stat(path).st_mode & 0o777)
                return Backup(name, True)
            if _is_copy(source, name):
                return Backup(name, False)
    except OSError as error:
        raise cannot_open(name, error) from error
    finally:
        source.xClose()
    raise CannotOpenError(
        f"{name}: there is a file of that name already", hint="name another one with --backup"
    )


def _is_copy(source: apsw.VFSFile, name: str) -> bool:
    if not os.path.isfile(name):
        return False
    with open(name, "rb") as file:
        return _is_same(source, file.fileno())


def _copy(source: apsw.VFSFile, name: str, mode: int) -> None:
    with unnamed(name, mode) as file:
        for offset, data in _pieces(source):
            write_at(file, data, offset)
        os.fsync(file)
        if not _is_same(source, file):
            raise StorageError(f"{name}: the copy is not the same as the database")
    sync_directory(os.path.dirname(name))


def _is_same(source: apsw.VFSFile, file: int) -> bool:
    if os.fstat(file).st_size != source.xFileSize():
        return False
    return all(os.pread(file, len(data), offset) == data for offset, data in _pieces(source))


def _pieces(source: apsw.VFSFile) -> Iterator[tuple[int, bytes]]:
    size = source.xFileSize()
    for offset in range(0, size, _CHUNK):
        yield offset, source.xRead(min(_CHUNK, size - offset), offset)
