"""A pool of workers: starting, adding, replacing and ending processes that serve requests."""

from __future__ import annotations

import os
import select
import signal
import sys
from time import monotonic, sleep

from kycli.session.table import MOST_WORKERS, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from kycli.session.loop import Loop

_WORKERS = 2
_DRAIN_SECONDS = 5
_GRACE_SECONDS = 3
_MOST_FAILURES = 5


class Pool:
    """The workers of one server, and the process that looks after them.

    Parameters:
        worker: returns the worker of a process that was just forked, for the descriptors
            ``lifeline`` and ``more``, the table, the number of its line and ``spare``.
        private: the descriptors that a worker has to close.

    Attributes:
        table: what the workers share.
        is_ending: whether a signal said to end.
    """

    def __init__(self, worker: Callable[..., Loop], private: tuple[int, ...] = ()) -> None:
        self.table = Table()
        self.is_ending = False
        self._worker = worker
        self._workers: dict[int, int] = {}  # process -> line of the table
        self._failures: list[float] = []
        self._lifeline, self._life = os.pipe2(os.O_CLOEXEC)
        self._needs, self._more = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._woken, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._private = (*private, self._life, self._needs, self._woken, self._wake)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._on_sigterm)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def start(self, count: int = _WORKERS) -> None:
        """Start workers until there are so many."""
        while len(self._workers) < count and self._start_worker():
            pass

    def wait(self, seconds: float, *descriptors: int) -> bool:
        """Look after the workers for a time; return whether another descriptor can be read."""
        poller = select.poll()
        for descriptor in (self._woken, self._needs, *descriptors):
            poller.register(descriptor, select.POLLIN)
        found = False
        for descriptor, _ in poller.poll(seconds * 1000 + 1):
            if descriptor in descriptors:
                found = True
                continue
            os.read(descriptor, 4096)
            if descriptor == self._needs and len(self._workers) < MOST_WORKERS:
                self._start_worker()
        self._replace_ended()
        return found

    def renew(self) -> None:
        """Have others take the place of the workers, which end when they have done their work."""
        for pid in self._workers:
            os.kill(pid, signal.SIGTERM)

    def end(self) -> None:
        """Let the workers end what they do, for a time; then cancel it, then kill them."""
        os.close(self._life)
        if self._ended_within(_DRAIN_SECONDS):
            return
        self.table.cancel_all()
        self._kill(signal.SIGUSR1)
        if not self._ended_within(_GRACE_SECONDS):
            self._kill(signal.SIGKILL)
            self._ended_within(_GRACE_SECONDS)

    def _on_sigterm(self, *_: object) -> None:
        self.is_ending = True

    def _start_worker(self) -> bool:
        number = self.table.unused_line()
        if number < 0:
            return False
        try:
            pid = os.fork()
        except OSError:  # too many processes: those that are there go on
            return False
        if not pid:
            self._work(number)
        self._workers[pid] = number
        self.table.reserve(number, pid)
        return True

    def _work(self, number: int) -> NoReturn:
        """Be a worker, in a process that was just forked."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            # The lifeline ends with the server, and so does what it has locked.
            for descriptor in self._private:
                os.close(descriptor)
            code = self._worker(
                self._lifeline, self._more, self.table, number, spare=number >= _WORKERS
            ).run()
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _replace_ended(self) -> None:
        """Start workers in the place of those that have ended and are not spare."""
        for pid in _ended():
            number = self._workers.pop(pid, -1)
            if number < 0:
                continue
            self.table.free(number)
            if number < _WORKERS and not self.is_ending:
                now = monotonic()
                self._failures = [*(t for t in self._failures if now - t < 1), now]
                if len(self._failures) > _MOST_FAILURES:
                    sleep(1)  # they cannot work, for whatever reason
                self._start_worker()

    def _ended_within(self, seconds: float) -> bool:
        """Wait until all workers have ended; return whether they have."""
        end = monotonic() + seconds
        while True:
            for pid in _ended():
                self._workers.pop(pid, None)
            left = end - monotonic()
            if not self._workers or left <= 0:
                return not self._workers
            if select.select([self._woken], [], [], min(left, 0.1))[0]:
                os.read(self._woken, 4096)

    def _kill(self, number: int) -> None:
        for pid in self._workers:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass


def _ended() -> list[int]:
    """Return the children that have ended since the last call."""
    ended: list[int] = []
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if not pid:
            return ended
        ended.append(pid)
