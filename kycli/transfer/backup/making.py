"""Making a backup: copy, verify, perhaps compress, and only then give the file its name."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import ExitStack
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from kycli.core.backup.copying import check_space, copy_store
from kycli.core.backup.newfile import give_name, partial
from kycli.core.backup.verifying import check_file
from kycli.core.location import MEMORY, check_path, make_private, sync_directory
from kycli.core.sqlite_errors import cannot_open
from kycli.errors import (
    CannotOpenError,
    CorruptError,
    FormatError,
    KycliError,
    MisuseError,
    StorageError,
    UsageError,
)
from kycli.transfer.backup import names
from kycli.transfer.formats import COMPRESSIONS
from kycli.transfer.sources import BLOCK, Source, load_zstd
from kycli.transfer.targets import compressed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from kycli.core.storage import Kycore

    Progress = Callable[[int, int], object]

_MODE = 0o600
ENDINGS = {"zstd": ".zst", "gzip": ".gz", "xz": ".xz"}
"""The endings of compressed backups, by what compresses them."""


class Made(NamedTuple):
    """A backup that was made.

    Attributes:
        path: of the file.
        size: of the file, in bytes.
        removed: the paths of older backups that were removed.
    """

    path: str
    size: int
    removed: list[str]


def make(
    store: Kycore,
    path: str | None = None,
    *,
    compression: str | None = None,
    keep: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Made:
    """Back a database up while others use it.

    Parameters:
        path: a file, or a directory in which it gets a name; None for ``backups`` beside the
            database.
        compression: ``"zstd"``, ``"gzip"`` or ``"xz"``; by default what the ending says.
        keep: how many of the database's own backups to keep in the directory; the oldest
            others are removed when the new one is complete.
        overwrite: whether a file that is there may be replaced.
        progress: called with how much of how much is done, in bytes of the database.

    Raises:
        CannotOpenError: when the name is taken, or there is no such directory.
        DiskFullError, StorageError: there is no new file.
        CorruptError: when the database is damaged.
    """
    candidates, is_named = _candidates(store, path, compression)
    if is_named and keep is not None:
        raise UsageError(
            "how many backups are kept can be said of a directory, not of a file",
            hint="name a directory, or none",
        )
    for name in candidates:
        try:
            if not is_named and os.path.lexists(name):
                continue
            _check_free(store, name, overwrite)
            size = _make(store, name, compression, overwrite, progress)
        except FileExistsError as error:
            if is_named:
                raise cannot_open(name, error) from error
            continue
        except OSError as error:
            raise _cannot_write(name, error) from error
        removed = _rotate(store, name, keep) if keep is not None else []
        return Made(name, size, removed)
    raise AssertionError  # the names do not end


def _candidates(
    store: Kycore, path: str | None, compression: str | None
) -> tuple[Iterator[str], bool]:
    """Return what the file may be called, and whether the caller has named it."""
    if compression == "zstd":
        load_zstd()  # which may not be installed
    if path is None and store.path == MEMORY:
        raise MisuseError("a database in memory has no place for backups", hint="name a file")
    if path is not None:
        if not path:
            raise UsageError("the name of the backup is empty", hint="name a file or a directory")
        check_path(os.path.realpath(path))  # SQLite writes the copy
    if path is not None and not (path.endswith("/") or os.path.isdir(path)):
        name = os.path.realpath(path)
        ending = COMPRESSIONS.get(os.path.splitext(name)[1].lower())
        if compression and ending and compression != ending:
            raise UsageError(
                f"{path}: its ending says {ending}, and not {compression}",
                hint="choose another ending, or leave it to the ending",
            )
        return iter([name]), True
    directory = names.default_directory(store.path) if path is None else os.path.realpath(path)
    try:
        if path is None:
            make_private(directory)
        names.remove_abandoned_in(directory, store.path)
    except OSError as error:
        raise cannot_open(directory, error) from error
    ending = ENDINGS[compression] if compression else ""
    found = names.new_names(store.path, ending)
    return (os.path.join(directory, name) for name in found), False


def _check_free(store: Kycore, name: str, overwrite: bool) -> None:
    """Refuse a name that must not be written to."""
    if not os.path.lexists(name):
        return
    if is_of(store.path, name):
        raise UsageError(f"{name} is the database itself", hint="choose another file")
    if not os.path.isfile(name):
        raise CannotOpenError(f"{name}: not a regular file", hint="choose another name")
    if not overwrite:
        raise CannotOpenError(
            f"{name}: there is a file of that name already",
            hint="choose another name, or replace it (--force)",
        )


def is_of(database: str, path: str) -> bool:
    """Whether a path is one of the files of a database, by whatever name."""
    return any(
        os.path.exists(file) and os.path.exists(path) and os.path.samefile(file, path)
        for file in (database, f"{database}-wal", f"{database}-shm")
    )


def _make(
    store: Kycore,
    name: str,
    compression: str | None,
    overwrite: bool,
    progress: Progress | None,
) -> int:
    compression = compression or COMPRESSIONS.get(os.path.splitext(name)[1].lower())
    parts = 1 if compression is None else 3
    with ExitStack() as stack:
        plain = name if compression is None else f"{name}.copy"
        path, file = stack.enter_context(partial(plain, _MODE))
        size = copy_store(store, path, _part(progress, 0, parts))
        try:
            check_file(path, store.path)
        except CorruptError as error:
            raise CorruptError(
                str(error), hint="no backup was made; 'kycli doctor' checks the database"
            ) from None
        if compression is not None:
            copy = path
            path, file = stack.enter_context(partial(name, _MODE))
            check_space(os.path.dirname(name), size // 2)
            _compress(copy, file, f"x{ENDINGS[compression]}", progress)
        os.fsync(file)
        size = os.fstat(file).st_size
        if overwrite:
            os.replace(path, name)
        else:
            give_name(path, name)
    sync_directory(os.path.dirname(name))
    return size


def _compress(copy: str, file: int, ending: str, progress: Progress | None) -> None:
    """Compress a file, and make sure that the same comes out again.

    Raises:
        StorageError: when it does not.
    """
    total = os.path.getsize(copy)
    with (
        open(copy, "rb") as source,
        open(file, "wb", BLOCK, closefd=False) as raw,
        compressed(raw, ending) as stream,
    ):
        wanted = _pass(source, stream, _part(progress, 1, 3), total)
    with open(os.dup(file), "rb", BLOCK) as again:
        again.seek(0)
        try:
            found = _pass(Source(again).stream, None, _part(progress, 2, 3), total)
        except FormatError as error:
            raise StorageError(f"the compressed backup cannot be read: {error}") from None
    if found != wanted:
        raise StorageError("the compressed backup is not the same as the database")


def _pass(
    source: BinaryIO, target: BinaryIO | None, progress: Progress | None, total: int
) -> bytes:
    """Read a stream to its end, write it to another, and return the hash of it."""
    digest = blake2b()
    done = 0
    while block := source.read(BLOCK):
        digest.update(block)
        if target is not None:
            target.write(block)
        done += len(block)
        if progress is not None:
            progress(done, total)
    return digest.digest()


def _part(progress: Progress | None, number: int, of: int) -> Progress | None:
    """Return the progress of one of several parts that take the same bytes."""
    if progress is None:
        return None
    show = progress
    return lambda done, total: show(number * total + done, of * total)


def _rotate(store: Kycore, newest: str, keep: int) -> list[str]:
    """Remove the oldest of a database's own backups, but for the newest; return their paths."""
    own = names.own_backups(os.path.dirname(newest), store.path)
    others = [path for path in own if path != newest]
    too_many = others[: max(0, len(others) - keep + 1)]
    for path in too_many:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass  # another process has done it
        except OSError as error:
            raise StorageError(
                f"{path}: the backup cannot be removed: {error.strerror}",
                hint=f"the new backup is complete: {newest}",
            ) from error
    return too_many


def _cannot_write(name: str, error: OSError) -> KycliError:
    if error.errno in (errno.EFBIG, errno.EIO):
        return StorageError(f"{name}: writing failed: {error.strerror}")
    return cannot_open(name, error)
