"""Copying a database that is in use, by SQLite's backup API.

The pages are read inside one read transaction of a connection of our own. Without it, each step
would begin one of its own, and the copy would start again whenever another process has
committed in between: beside a writer of 1,000 commits a second, steps of 100 pages never
got beyond the second of 16,000. One step for all pages holds the same snapshot, and cannot be
interrupted or show how far it is. ``VACUUM INTO`` is interruptible as well, but took 1.7 times
as long, shows no progress either, and its copy is another file than the database, with
none of its damage to be found. Nobody waits for a backup; the ``-wal`` grows meanwhile,
because what others write cannot be moved into the database.
"""

from __future__ import annotations

import os
from contextlib import closing, contextmanager

import apsw

from kycli.core.backup.newfile import ENDING
from kycli.core.location import MEMORY
from kycli.core.sqlite_errors import translate
from kycli.errors import CannotOpenError, DiskFullError, KycliError, MisuseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kycli.core.batches import Progress
    from kycli.core.storage import Kycore

_PAGES_AT_A_TIME = 512

# Nobody else knows the file, and it is synced when it is complete.
_NO_LOCKS = "unix-none"

_BEGIN = "BEGIN"
_FIRST_READ = "SELECT count(*) FROM sqlite_schema"

# A reader waits only while others open or repair the database.
_WAIT_MS = 5000


def copy_store(store: Kycore, path: str, progress: Progress | None = None) -> int:
    """Copy a snapshot of the database of a store into an empty file; return its size.

    Parameters:
        path: the file, which is not synced.
        progress: called with how many bytes of how many are written.

    Raises:
        MisuseError: inside a transaction or snapshot of the store.
        FileReplacedError: when the store's file is not in its place any more.
        DiskFullError, StorageError: when the copy cannot be written.
    """
    if store._in_transaction():
        raise MisuseError(
            "a backup cannot be made inside a transaction", hint="end the transaction first"
        )
    store.flush()
    if store.path == MEMORY:
        with store.snapshot():
            return copy_pages(store._connection(), path, progress)
    store._check_files()
    if not os.path.exists(store.path):
        raise CannotOpenError(f"{store.path}: no such file")
    try:
        with closing(store._another_connection(_WAIT_MS)) as source, reading(source):
            return copy_pages(source, path, progress)
    except apsw.Error as error:
        raise translate(error, store.path, _WAIT_MS) from error


@contextmanager
def reading(source: apsw.Connection) -> Iterator[None]:
    """Hold a read transaction on a database."""
    source.execute(_BEGIN)
    try:
        source.execute(_FIRST_READ).fetchall()
        yield
    finally:
        source.execute("ROLLBACK")


def copy_pages(source: apsw.Connection, path: str, progress: Progress | None = None) -> int:
    """Copy all pages of a database that nobody can change meanwhile; return the size."""
    page_size: int = source.pragma("page_size")
    size: int = page_size * source.pragma("page_count")
    check_space(os.path.dirname(path), size)
    try:
        with closing(apsw.Connection(path, vfs=_NO_LOCKS)) as copy:
            copy.pragma("journal_mode", "off")
            copy.pragma("synchronous", 0)
            with copy.backup("main", source, "main") as work:
                while not work.done:
                    work.step(_PAGES_AT_A_TIME)
                    if progress is not None:
                        progress((work.page_count - work.remaining) * page_size, size)
    except apsw.CorruptError:
        raise  # of the source
    except apsw.Error as error:
        raise cannot_write(path, error) from error
    return size


def check_space(directory: str, needed: int) -> None:
    """Refuse to begin what would fill the disk.

    Raises:
        DiskFullError: when less is free.
    """
    about = os.statvfs(directory)
    free = about.f_bavail * about.f_frsize
    if free < needed:
        raise DiskFullError(
            f"{directory}: this takes {needed / 1e6:,.1f} MB, and {free / 1e6:,.1f} MB are free",
            hint="nothing was changed; free some space, or choose another place",
        )


def cannot_write(path: str, error: apsw.Error) -> KycliError:
    """Return the error for a file that SQLite could not write."""
    path = path.removesuffix(ENDING)
    found = translate(error, path, 0)
    if isinstance(error, apsw.IOError):
        return type(found)(
            f"{path}: writing failed", hint="the disk may be full, or the size of files limited"
        )
    return found
