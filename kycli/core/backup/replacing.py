"""Replacing a database with another one while other processes may have it open.

The path always names a complete database, the old one or the new one, and no write to the old one
is acknowledged afterwards:

1. A write transaction on the old database blocks all writers. When it ends, each of them finds
   that its file was replaced, because every commit checks that first.
2. The old ``-wal`` is checkpointed into the old file, which is then complete without it.
3. A lock on the old file (PENDING) keeps other processes from opening it, so that none creates a
   ``-wal`` that the new file would inherit. A process that waits for that lock then sees that the
   path names another file, and opens that one.
4. The old file gets its second name; ``-wal`` and ``-shm`` are removed; the new file gets the name.

If the process is killed in between, the path still names the old database, and it is complete.
Readers in the middle of a read go on with the old file.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from contextlib import ExitStack, closing, contextmanager, suppress

import apsw

from kycli.core.backup.newfile import give_name
from kycli.core.location import sync_directory
from kycli.core.migration.backup import back_up
from kycli.core.sqlite_errors import cannot_open, translate
from kycli.errors import BusyError, CannotOpenError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_MAIN = [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READWRITE, 0]
_SIDE_FILES = ("-wal", "-journal")
_LOCKS = (apsw.SQLITE_LOCK_SHARED, apsw.SQLITE_LOCK_RESERVED, apsw.SQLITE_LOCK_EXCLUSIVE)
_TRIES = 20
_PAUSE_SECONDS = 0.005

_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def put_in_place(new: str, path: str, aside: str, timeout_ms: int) -> bool:
    """Move a complete and synced database to the path of another, and that one to ``aside``.

    Parameters:
        new: the file, in the same directory, and nobody knows it.
        path: the place, with no symbolic link at its end.
        aside: a name that is free, in the same directory.
        timeout_ms: how long to wait for those who write or read.

    Returns:
        Whether there was a database, which is now called ``aside``.

    Raises:
        BusyError: when others do not get done in time, or have a damaged database open.
        CannotOpenError, ReadOnlyError: nothing was changed.
    """
    try:
        if not os.path.lexists(path):
            _move_side_files(path, aside)
            give_name(new, path)
            sync_directory(os.path.dirname(path))
            return False
        if not os.path.isfile(path):
            raise CannotOpenError(f"{path}: not a regular file")
        with _kept_from_others(path, timeout_ms) as is_sound, _without_signals():
            _swap(new, path, aside, is_sound)
    except OSError as error:
        raise cannot_open(path, error) from error
    except apsw.Error as error:
        raise translate(error, path, timeout_ms) from error
    return True


def _swap(new: str, path: str, aside: str, is_sound: bool) -> None:
    directory = os.path.dirname(path)
    try:
        try:
            give_second_name(path, aside)
            if is_sound:
                for side in ("-wal", "-shm"):
                    with suppress(FileNotFoundError):
                        os.unlink(path + side)
            else:
                _move_side_files(path, aside)
            sync_directory(directory)
            os.rename(new, path)
        except BaseException:
            if is_sound:
                with suppress(FileNotFoundError):
                    os.unlink(aside)
            raise
    finally:
        sync_directory(directory)


def give_second_name(path: str, name: str) -> None:
    """Give a file a second name (a hard link); copy it if that is impossible."""
    try:
        os.link(path, name)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        back_up(path, [name])


def _move_side_files(path: str, aside: str) -> None:
    """Move the side files of a database with it; remove those that belong to no database."""
    for side in _SIDE_FILES:
        with suppress(FileNotFoundError):
            os.rename(path + side, aside + side)
    with suppress(FileNotFoundError):
        os.unlink(path + "-shm")


@contextmanager
def _kept_from_others(path: str, timeout_ms: int) -> Iterator[bool]:
    """Prevent other processes from writing to a database and from opening it.

    Gives whether it is sound as far as the locks need it. Then all of it is in its file; if not,
    nobody else has it open.
    """
    with ExitStack() as stack:
        try:
            is_wal = _take(stack, path, timeout_ms)
        except (apsw.CorruptError, apsw.NotADBError):
            stack.close()
            stack.enter_context(locked(path, wait_ms=timeout_ms))
            yield False
            return
        if is_wal:
            _bring_in_wal(path, timeout_ms)
            stack.enter_context(locked(path, wait_ms=None))
        yield True


def _take(stack: ExitStack, path: str, timeout_ms: int) -> bool:
    """Begin a transaction that keeps writers waiting; it ends with the stack.

    Returns:
        Whether the database has a ``-wal``.
    """
    connection = _connection(path, timeout_ms)
    stack.callback(connection.close)
    connection.execute("BEGIN EXCLUSIVE")
    stack.callback(connection.execute, "ROLLBACK")
    return bool(connection.pragma("journal_mode") == "wal")


def _connection(path: str, timeout_ms: int) -> apsw.Connection:
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE)
    # At the end its path names another file, whose -wal must be left alone.
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    # SQLite's own handler is enough for one wait of milliseconds. The engine's has shorter pauses,
    # for the microseconds that a save holds the lock.
    connection.set_busy_timeout(timeout_ms)
    return connection


def _bring_in_wal(path: str, timeout_ms: int) -> None:
    """Move all of the ``-wal`` into the file, while nobody can write to it.

    Raises:
        BusyError: when somebody goes on reading an earlier state for too long.
    """
    deadline = time.monotonic() + timeout_ms / 1000
    with closing(_connection(path, timeout_ms)) as connection:
        # Before its first read a connection knows of no -wal, and would move nothing.
        connection.pragma("schema_version")
        while True:
            with suppress(apsw.BusyError):  # another process is just doing it
                frames, moved = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                if 0 <= frames <= moved:
                    return
            if time.monotonic() > deadline:
                raise BusyError(
                    f"{path}: another program has been reading it for over {timeout_ms / 1000:g} s",
                    hint="nothing was changed; end that program, or wait for it",
                )
            time.sleep(_PAUSE_SECONDS)


@contextmanager
def locked(path: str, wait_ms: int | None) -> Iterator[apsw.VFSFile]:
    """Hold SQLite's own lock on a file, which can be read through what this gives.

    Parameters:
        wait_ms: how long to wait until nobody else has it open; None where others may, and only
            nobody else shall open it from now on.
    """
    file = apsw.VFSFile("", path, list(_MAIN))
    try:
        deadline = time.monotonic() + (wait_ms or 0) / 1000
        for lock in _LOCKS:
            tries = 0
            while True:
                try:
                    file.xLock(lock)
                    break
                except apsw.BusyError:
                    tries += 1
                    # Having asked for EXCLUSIVE leaves the lock PENDING, unless somebody was
                    # just opening the file.
                    if wait_ms is None and tries >= _TRIES:
                        break
                    if wait_ms is not None and time.monotonic() > deadline:
                        raise BusyError(
                            f"{path}: another program has the database open",
                            hint="nothing was changed; end that program first",
                        ) from None
                    time.sleep(_PAUSE_SECONDS / 5)
        yield file
    finally:
        file.xUnlock(apsw.SQLITE_LOCK_NONE)
        file.xClose()


@contextmanager
def _without_signals() -> Iterator[None]:
    """Delay signals until the block has ended."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
