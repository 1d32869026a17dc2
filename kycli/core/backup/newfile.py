"""New files that get their name last, when they are complete.

A process that is killed leaves no file, or one whose name ends in ``.partial``, which the next
process reuses.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from contextlib import contextmanager, suppress
from hashlib import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

ENDING = ".partial"

# What a name may have, so that SQLite can put "-journal" after it.
_LONGEST = 240

# What SQLite may leave beside a database that it was writing.
_SIDE_FILES = ("-journal", "-wal", "-shm")


@contextmanager
def unnamed(name: str, mode: int) -> Iterator[int]:
    """Open a new file that gets its name if the block succeeds, and is removed otherwise.

    Raises:
        FileExistsError: when there is a file of that name by then.
    """
    directory = os.open(os.path.dirname(name), os.O_RDONLY)
    try:
        try:
            file = os.open(os.path.dirname(name), os.O_TMPFILE | os.O_RDWR, mode)
        except (AttributeError, OSError):  # the system or the file system has no such files
            with partial(name, mode) as (path, file):
                yield file
                give_name(path, name)
            return
        try:
            os.fchmod(file, mode)
            yield file
            # Where a directory is given, Python calls the function that follows the link.
            os.link(f"/proc/self/fd/{file}", name, src_dir_fd=directory)
        finally:
            os.close(file)
    finally:
        os.close(directory)


@contextmanager
def partial(name: str, mode: int) -> Iterator[tuple[str, int]]:
    """Create ``NAME.partial``, for a writer that needs a path; give its path and descriptor.

    It is removed when the block ends, unless it has another name by then.
    """
    path = name + ENDING
    if len(os.fsencode(os.path.basename(path))) > _LONGEST:
        path = os.path.join(
            os.path.dirname(name), blake2b(name.encode(), digest_size=16).hexdigest()
        )
        path += ENDING
    file = -1
    try:
        # Ctrl-C must not come between the creation of the file and knowing its descriptor.
        held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            file = _take(path, mode)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
        os.fchmod(file, mode)
        yield path, file
    finally:
        if file >= 0:
            if _is_named(file, path):
                _remove_sides(path)
                with suppress(FileNotFoundError):
                    os.unlink(path)
            os.close(file)


def remove_abandoned(path: str) -> None:
    """Remove a partial file if no process writes it any more."""
    try:
        file = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_named(file, path):
            _remove_sides(path)
            with suppress(FileNotFoundError):
                os.unlink(path)
    except OSError:
        pass  # somebody writes it
    finally:
        os.close(file)


def give_name(path: str, name: str) -> None:
    """Give a file a name that does not exist yet.

    Raises:
        FileExistsError: when there is a file of that name.
    """
    try:
        os.link(path, name)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        # A file system without hard links, such as that of a USB stick.
        if os.path.lexists(name):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name) from None
        os.rename(path, name)


def write_at(file: int, data: bytes, offset: int) -> None:
    """Write all of some data at a place of a file."""
    view = memoryview(data)
    while view:
        count = os.pwrite(file, view, offset)
        view, offset = view[count:], offset + count


def _take(path: str, mode: int) -> int:
    """Open a partial file; empty what a killed process left of one."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, mode)
        try:
            # The writer of such a file holds this lock until the file has its name.
            fcntl.flock(file, fcntl.LOCK_EX)
            if _is_named(file, path):
                if os.fstat(file).st_nlink > 1:
                    # It is complete and has its name: its process was killed right after.
                    os.unlink(path)
                else:
                    # Else SQLite would bring into the new file what these hold of the old one.
                    _remove_sides(path)
                    os.ftruncate(file, 0)
                    return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _remove_sides(path: str) -> None:
    for side in _SIDE_FILES:
        with suppress(FileNotFoundError):
            os.unlink(path + side)


def _is_named(file: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.lstat(path))
    except FileNotFoundError:
        return False
