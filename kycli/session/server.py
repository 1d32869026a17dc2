"""The user's server: the process that listens, and looks after the workers."""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import signal
import socket
from time import monotonic_ns
from typing import TYPE_CHECKING

from kycli.errors import KycliError
from kycli.session import places
from kycli.session.loading import load_everything
from kycli.session.pool import Pool
from kycli.session.sockets import SocketWorker

if TYPE_CHECKING:
    from collections.abc import Callable

IDLE_SECONDS = 600
"""How long the server waits for a request before it ends."""

_BACKLOG = 128
_CHECK_SECONDS = 60


class AlreadyRunning(Exception):
    """Another server of this version runs, or is about to."""


class Server:
    """Listens on the user's socket, and keeps workers that accept from it.

    Parameters:
        idle: the seconds without a request after which it ends.

    Raises:
        AlreadyRunning: when there is one.
        KycliError: when the directory of the socket cannot be used.
    """

    def __init__(self, idle: float = IDLE_SECONDS) -> None:
        self._idle = idle
        places.check_directory(places.directory(), create=True)
        self._path = places.socket_path()
        self._lock = _locked(places.lock_path())

    def run(self, ready: Callable[[], None]) -> None:
        """Serve until it is told to end, or nobody has asked for anything for long.

        Parameters:
            ready: called once callers can connect.
        """
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        load_everything()
        gc.collect()
        gc.freeze()  # what is there stays, and workers share its memory
        gc.disable()
        listener = self._listen()
        known = _identity(self._path)
        pool = Pool(
            lambda *given, **options: SocketWorker(listener, *given, **options), (self._lock,)
        )
        ready()
        pool.start()
        try:
            self._watch(pool, known)
        finally:
            if _identity(self._path) == known:
                os.unlink(self._path)
            listener.close()
            pool.end()

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.setblocking(False)
        # Whoever has the lock owns the name: what it names is left of a server that died.
        try:
            os.unlink(self._path)
        except FileNotFoundError:
            pass
        mask = os.umask(0o177)
        try:
            listener.bind(self._path)
        finally:
            os.umask(mask)
        listener.listen(_BACKLOG)
        return listener

    def _watch(self, pool: Pool, known: tuple[int, int] | None) -> None:
        """Look after the workers until it is time to end."""
        began = monotonic_ns()
        while not pool.is_ending and _identity(self._path) == known:
            left = self._idle - (monotonic_ns() - max(began, pool.table.last_use())) / 1e9
            if pool.table.is_busy():
                left = _CHECK_SECONDS
            elif left <= 0:
                return
            pool.wait(min(left, _CHECK_SECONDS))


def _locked(path: str) -> int:
    """Return the descriptor of a file that this process has locked, until it ends.

    Raises:
        AlreadyRunning: when another process has.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise AlreadyRunning from None
        raise KycliError(f"{path}: cannot be locked: {error.strerror}") from error
    return descriptor


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
