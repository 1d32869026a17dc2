"""The user's server: the process that listens, and starts, replaces and ends the workers."""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import select
import signal
import socket
import sys
import traceback
from time import monotonic, monotonic_ns, sleep
from typing import TYPE_CHECKING, NoReturn

from kycli.errors import KycliError
from kycli.session import places
from kycli.session.table import MOST_WORKERS, Table

if TYPE_CHECKING:
    from collections.abc import Callable

IDLE_SECONDS = 600
"""How long the server waits for a request before it ends."""

_WORKERS = 2
_BACKLOG = 128
_CHECK_SECONDS = 60
_DRAIN_SECONDS = 5
_GRACE_SECONDS = 3


class AlreadyRunning(Exception):
    """Another server of this version runs, or is about to."""


class Server:
    """Listens on the user's socket, and keeps workers that accept from it.

    Parameters:
        idle: the seconds without a request after which it ends.
    """

    def __init__(self, idle: float = IDLE_SECONDS) -> None:
        self._idle = idle
        self._workers: dict[int, int] = {}  # process -> line of the table
        self._failures: list[float] = []
        self._table = Table()
        self._is_ending = False
        directory = places.directory()
        places.check_directory(directory, create=True)
        self._path = places.socket_path()
        self._lock = _locked(places.lock_path())
        self._listener: socket.socket | None = None
        self._socket_is: tuple[int, int] | None = None

    def run(self, ready: Callable[[], None]) -> None:
        """Serve until it is told to end, or nobody has asked for anything for long.

        Parameters:
            ready: called once callers can connect.
        """
        self._signals()
        self._lifeline, self._life = os.pipe2(os.O_CLOEXEC)
        self._needs, self._more = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._listen()
        gc.collect()
        gc.freeze()  # what is there stays, and workers share its memory
        ready()
        for _ in range(_WORKERS):
            self._start_worker()
        try:
            self._watch()
        finally:
            self._end()

    def _listen(self) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        # Whoever holds the lock owns the name: what has it is left of a server that died.
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
        self._listener = listener
        self._socket_is = _identity(self._path)

    def _signals(self) -> None:
        self._woken, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._told_to_end)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _told_to_end(self, *_: object) -> None:
        self._is_ending = True

    def _watch(self) -> None:
        poller = select.poll()
        poller.register(self._woken, select.POLLIN)
        poller.register(self._needs, select.POLLIN)
        began = monotonic_ns()
        while not self._is_ending:
            unused = (monotonic_ns() - max(began, self._table.last_use())) / 1e9
            if not self._table.is_busy() and unused >= self._idle:
                return
            if _identity(self._path) != self._socket_is:  # nobody finds it any more
                return
            left = self._idle - unused
            if self._table.is_busy() or left > _CHECK_SECONDS:
                left = _CHECK_SECONDS
            for descriptor, _ in poller.poll(left * 1000 + 1):
                try:
                    os.read(descriptor, 4096)
                except BlockingIOError:
                    continue
                if descriptor == self._needs and len(self._workers) < MOST_WORKERS:
                    self._start_worker()
            self._replace_ended()

    # Workers

    def _start_worker(self) -> None:
        number = self._table.unused_line()
        if number < 0:
            return
        spare = number >= _WORKERS
        try:
            pid = os.fork()
        except OSError:  # too many processes: those that are there go on
            return
        if pid:
            self._workers[pid] = number
            self._table.reserve(number, pid)
            return
        self._work(number, spare)

    def _work(self, number: int, spare: bool) -> NoReturn:
        """Be a worker, in a process that was just forked."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for name in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
                signal.signal(name, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            # The lock is the server's alone, and ends with it; so does the lifeline.
            for descriptor in (self._lock, self._life, self._woken, self._needs):
                os.close(descriptor)
            from kycli.session.sockets import SocketWorker

            assert self._listener is not None
            SocketWorker(
                *(self._listener, self._lifeline, self._more, self._table, number), spare=spare
            ).run()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _replace_ended(self) -> None:
        """Start workers in the place of those that have died."""
        for pid in _ended():
            number = self._workers.pop(pid, -1)
            if number < 0:
                continue
            self._table.free(number)
            if number < _WORKERS and not self._is_ending:
                now = monotonic()
                self._failures = [*(t for t in self._failures if now - t < 1), now]
                if len(self._failures) > 5:
                    sleep(1)  # it cannot work, for whatever reason
                self._start_worker()

    def _end(self) -> None:
        """Let the workers end what they do, and no longer than that."""
        if self._socket_is is not None and _identity(self._path) == self._socket_is:
            os.unlink(self._path)
        if self._listener is not None:
            self._listener.close()
        os.close(self._life)
        for seconds, number in (
            (_DRAIN_SECONDS, signal.SIGUSR1),
            (_GRACE_SECONDS, signal.SIGKILL),
            (_GRACE_SECONDS, 0),
        ):
            end = monotonic() + seconds
            while self._workers and monotonic() < end:
                for pid in _ended():
                    self._workers.pop(pid, None)
                if self._workers:
                    select.select([self._woken], [], [], 0.1)
            for pid in self._workers if number else ():
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass


def _ended() -> list[int]:
    """Return the children that have ended since the last call."""
    ended = []
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if not pid:
            return ended
        ended.append(pid)


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
