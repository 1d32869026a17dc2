"""A server on a socket: the process that listens and supervises the workers.

It serves all of the user's processes, or one shell and exits with that shell.
"""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import signal
import socket
from time import monotonic_ns

from kycli.errors import KycliError
from kycli.session import endpoint
from kycli.session.pool import Pool
from kycli.session.sockets import SocketWorker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

IDLE_SECONDS = 600
"""How long the server waits for a request before it ends."""

_BACKLOG = 128
_CHECK_SECONDS = 60
_LOOK_SECONDS = 2
"""How often a server looks whether its shell is there, where the system does not say it."""

_SETTLING_SECONDS = 1
_QUIET_SECONDS = 0.3


class AlreadyRunning(Exception):
    """Another server of this version runs, or is about to."""


class Shell:
    """A shell that a server ends with.

    Raises:
        ProcessLookupError: when it has ended.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._end: tuple[int, ...] = ()
        try:
            self._end = (os.pidfd_open(pid),)
        except ProcessLookupError:
            raise
        except (AttributeError, OSError):  # the system has no such thing
            os.kill(pid, 0)

    def has_ended_within(self, seconds: float, pool: Pool) -> bool:
        """Look after the workers for a time, or until the shell ends; return whether it has."""
        if self._end:
            return pool.wait(seconds, *self._end)
        pool.wait(min(seconds, _LOOK_SECONDS))
        return not endpoint.is_alive(self._pid)


class Server:
    """Listens on the user's socket, and keeps workers that accept from it.

    Parameters:
        idle: the seconds without a request after which it ends.
        shell: the process of the shell that it belongs to; 0 for the user's server.

    Raises:
        AlreadyRunning: when there is one.
        ProcessLookupError: when the shell has ended.
        KycliError: when the directory of the socket cannot be used.
    """

    def __init__(self, idle: float = IDLE_SECONDS, shell: int = 0) -> None:
        self._idle = idle
        self._shell = Shell(shell) if shell else None
        endpoint.check_directory(endpoint.directory(), create=True)
        self._path = endpoint.socket_path(shell)
        self._lock_path = endpoint.lock_path(shell)
        self._lock = _locked(self._lock_path)

    def run(self, ready: Callable[[], None]) -> None:
        """Serve until a signal, or until there was no request for ``idle`` seconds.

        Parameters:
            ready: called once callers can connect.
        """
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        gc.disable()
        if self._shell is None:
            _load()
        listener = self._listen()
        known = _identity(self._path)
        pool = Pool(
            lambda *given, **options: SocketWorker(listener, *given, **options), (self._lock,)
        )
        ready()
        pool.start(1 if self._shell else 2)
        try:
            if self._shell is not None:
                settle(pool, self._shell)
            self._watch(pool, known)
        finally:
            if _identity(self._path) == known:
                os.unlink(self._path)
                if self._shell is not None:
                    os.unlink(self._lock_path)
            listener.close()
            pool.end()

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.setblocking(False)
        # The holder of the lock owns the name: an existing socket was left by a server that died.
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
                left = self._idle
            elif left <= 0:
                return
            if self._shell is None:
                pool.wait(min(left, _CHECK_SECONDS))
            elif self._shell.has_ended_within(min(left, _CHECK_SECONDS), pool):
                return


def settle(pool: Pool, shell: Shell) -> None:
    """Import what later commands may need, then replace the first worker by one that has it.

    The shell waits for the first command, so nothing is imported before that. The worker is
    replaced when the shell pauses.
    """
    if shell.has_ended_within(_SETTLING_SECONDS, pool):
        return
    _load()
    while pool.table.is_busy() or monotonic_ns() - pool.table.last_use() < _QUIET_SECONDS * 1e9:
        if pool.is_ending or shell.has_ended_within(_QUIET_SECONDS, pool):
            return
    pool.renew()


def _load() -> None:
    from kycli.session.loading import load_everything

    load_everything()
    gc.collect()
    gc.freeze()  # what is there stays, and workers share its memory


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
