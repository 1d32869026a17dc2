"""Changing one setting in a config file: who may do so when, and how the file is replaced."""

from __future__ import annotations

import os
import time

from kycli.config import HINT, read_config
from kycli.config_text import edited
from kycli.core.location import make_private, sync_directory
from kycli.errors import ConfigError

_LOCK_SECONDS = 10


def edit_file(path: str, key: str, value: str | int | None) -> None:
    """Set ``key`` in the config at ``path``, or take it out when ``value`` is None.

    Atomic, and safe against other processes that do the same; see ``save_config``.

    Parameters:
        path: absolute path; the file and its directories are made when they are missing.
        key: the name of a setting.
        value: a value that the setting can have.

    Raises:
        ConfigError: when the file is broken or cannot be written; it stays as it was.
    """
    # What is replaced is the file itself, so that a symbolic link to it stays one.
    target = os.path.realpath(path)
    try:
        make_private(os.path.dirname(target))
        _check_writable(target)
        with _Lock(target + ".lock"):
            old = read_config(target) if os.path.exists(target) else ""
            new = edited(old, path, key, value)
            if new != old:
                _replace(target, new)
    except OSError as error:
        raise ConfigError(
            f"{path}: the config cannot be saved: {error.strerror or error}", hint=HINT
        ) from error


class _Lock:
    """Keeps other savers of a config out, by a file that is there for as long as it is held."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor: int | None = None

    def __enter__(self) -> None:
        deadline = time.monotonic() + _LOCK_SECONDS
        while not self._take():
            if time.monotonic() > deadline:
                raise ConfigError(
                    f"{self._path}: another process has been saving for {_LOCK_SECONDS} s",
                    hint="remove that file if no kycli is running",
                )
            time.sleep(0.005)

    def __exit__(self, *_: object) -> None:
        # Removed while still held, so that who takes it next can see that it is gone.
        try:
            os.unlink(self._path)
        except FileNotFoundError:
            pass
        if self._descriptor is not None:
            os.close(self._descriptor)

    def _take(self) -> bool:
        try:
            import fcntl
        except ImportError:
            return self._take_by_creating()
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

    def _take_by_creating(self) -> bool:
        """Do without flock: who creates the file has the lock."""
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return False
        return True


def _check_writable(path: str) -> None:
    """Refuse to replace what the user protects, or what is no plain file (``/dev/null``)."""
    if not os.path.exists(path):
        return
    if not os.path.isfile(path):
        raise ConfigError(f"{path}: the config cannot be saved: it is no file", hint=HINT)
    if not os.access(path, os.W_OK):
        raise ConfigError(f"{path}: the config cannot be saved: it is read-only", hint=HINT)


def _replace(path: str, text: str) -> None:
    """Put ``text`` in the place of a file, at once, with the file's mode and owner."""
    directory, name = os.path.split(path)
    scratch = os.path.join(directory, f".{name[:200]}.{os.getpid()}-{os.urandom(6).hex()}.new")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            _take_after(path, descriptor)
            os.fsync(descriptor)
        os.replace(scratch, path)
    except BaseException:
        os.unlink(scratch)
        raise
    sync_directory(directory)


def _take_after(path: str, descriptor: int) -> None:
    """Give an open file the mode and, where allowed, the owner of the one at ``path``."""
    try:
        before = os.stat(path)
    except FileNotFoundError:
        return
    if hasattr(os, "fchown"):
        # 'sudo kycli use' must not leave the user with a config that only root can read.
        try:
            os.fchown(descriptor, before.st_uid, before.st_gid)
        except PermissionError:
            pass
        os.fchmod(descriptor, before.st_mode & 0o777)
