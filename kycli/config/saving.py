"""Changing a config file: a lock against other writers, and the atomic replacement."""

from __future__ import annotations

import errno
import fcntl
import os
import time

from kycli.core.location import make_private, sync_directory
from kycli.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_LOCK_SECONDS = 10


def rewrite(path: str, read: Callable[[str], str], edit: Callable[[str], str]) -> None:
    """Replace the text of a file by ``edit`` of its text, atomically and under a lock.

    Parameters:
        path: absolute path; the file and its directories are created if they are missing.
        read: returns the text of the file at a path.
        edit: returns the new text; the old one of a missing file is empty.

    Raises:
        ConfigError: when another process holds the lock for too long.
        OSError: when the file cannot be replaced; it is left unchanged.
    """
    # Replace the target of a symbolic link and not the link.
    target = os.path.realpath(path)
    make_private(os.path.dirname(target))
    _check_writable(target)
    with _Lock(target + ".lock"):
        old = read(target) if os.path.exists(target) else ""
        new = edit(old)
        if new != old:
            _replace(target, new)


class _Lock:
    """Excludes other writers of a config, by a lock file that exists only while it is held."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor: int | None = None

    def __enter__(self) -> None:
        deadline = time.monotonic() + _LOCK_SECONDS
        while not self._try_lock():
            if time.monotonic() > deadline:
                raise ConfigError(
                    f"{self._path}: another process has been saving for {_LOCK_SECONDS} s",
                    hint="remove that file if no kycli is running",
                )
            time.sleep(0.005)

    def __exit__(self, *_: object) -> None:
        # Remove the file before unlocking it, so that the next holder can tell it was removed.
        try:
            os.unlink(self._path)
        except FileNotFoundError:
            pass
        if self._descriptor is not None:
            os.close(self._descriptor)

    def _try_lock(self) -> bool:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(self._path)):
                self._descriptor = descriptor
                return True
        except (BlockingIOError, FileNotFoundError):
            pass
        finally:
            if self._descriptor is None:
                os.close(descriptor)
        return False


def _check_writable(path: str) -> None:
    """Refuse to replace a read-only file, or one that is not regular (``/dev/null``)."""
    if not os.path.exists(path):
        return
    if not os.path.isfile(path):
        raise OSError(errno.EINVAL, "it is not a regular file")
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, "it is read-only")


def _replace(path: str, text: str) -> None:
    """Replace a file atomically; the new one has the mode and owner of the old one."""
    directory, name = os.path.split(path)
    scratch = os.path.join(directory, f".{name[:200]}.{os.getpid()}-{os.urandom(6).hex()}.new")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            _copy_owner_and_mode(path, descriptor)
            os.fsync(descriptor)
        os.replace(scratch, path)
    except BaseException:
        os.unlink(scratch)
        raise
    sync_directory(directory)


def _copy_owner_and_mode(path: str, descriptor: int) -> None:
    """Give an open file the mode and, if permitted, the owner of the file at ``path``."""
    try:
        before = os.stat(path)
    except FileNotFoundError:
        return
    # After 'sudo kycli use' the user must still be able to read the config.
    try:
        os.fchown(descriptor, before.st_uid, before.st_gid)
    except PermissionError:
        pass
    os.fchmod(descriptor, before.st_mode & 0o777)
