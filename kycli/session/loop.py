"""The main loop of a worker: wait for requests, close idle stores, exit in time."""

from __future__ import annotations

import os
import select
import signal
from time import monotonic, sleep

from kycli.session import protocol
from kycli.session.waiting import Waiter
from kycli.session.worker import DECLINE, Worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from kycli.session.protocol import Request
    from kycli.session.table import Table

IDLE_SECONDS = 1.0
"""After so long without a command a database is closed, so that its file is whole."""

_UNUSED_SECONDS = 30
"""After so long with nothing to do a spare worker ends."""

_CALLER_SECONDS = 5

_CHECK_SECONDS = 0.05
_CHECK_PAUSE = 0.0001

READABLE = select.POLLIN
EXCLUSIVE = getattr(select, "EPOLLEXCLUSIVE", 0)
"""With ``READABLE``: wake one worker for an event, and not all."""


class Loop:
    """A worker's process, from its begin to its end.

    Parameters:
        lifeline: a descriptor that can be read, or is at its end, when the server ends.
        more: a descriptor that takes a byte when another worker is needed.
        table: what the workers of the server share.
        number: this worker's line of the table.
        spare: whether it ends when it has nothing to do.
    """

    def __init__(self, lifeline: int, more: int, table: Table, number: int, *, spare: bool) -> None:
        self.table = table
        self.number = number
        self.worker = Worker()
        self.worker.is_cancelled = self.is_cancelled
        self.poller = _poller()
        self._lifeline = lifeline
        self._more = more
        self._spare = spare
        self._is_ending = False
        self._code = 0

    def watch(self) -> None:
        """Register with the poller what requests come from."""
        raise NotImplementedError

    def handle(self, descriptor: int) -> None:
        """Do what an event asks for."""
        raise NotImplementedError

    def has_callers(self) -> bool:
        """Whether callers are connected that have asked for nothing yet."""
        return False

    def look_after_callers(self) -> None:
        """Close what was silent for too long."""

    def drain(self) -> None:
        """Answer, before the end, what was asked already."""

    def is_cancelled(self) -> bool:
        """Whether the caller of what runs wants it no longer; asked in a signal handler."""
        return False

    def end(self, code: int = 0) -> None:
        """Serve nothing more after what is being served."""
        self._is_ending = True
        self._code = self._code or code

    def run(self) -> int:
        """Serve until the server ends; return the exit code."""
        woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGTERM, lambda *_: os.write(wake, b"t"))
        signal.signal(signal.SIGUSR2, lambda *_: os.write(wake, b"c"))
        self.worker.calls.before_open = self._have_others_check
        self.worker.calls.after_open = self._watch_file
        self._interrupt_on(signal.SIGIO, self.is_cancelled)
        self._interrupt_on(signal.SIGUSR1, self._is_asked_to_cancel)
        self.poller.register(self._lifeline, READABLE)
        self.poller.register(woken, READABLE)
        self.watch()
        self.table.enter(self.number)
        waiter = Waiter(self.poller.poll)
        has_stores = False
        rested = monotonic()
        while not self._is_ending:
            if has_stores:
                timeout = IDLE_SECONDS
            elif self.has_callers():
                timeout = _CALLER_SECONDS
            else:
                timeout = _UNUSED_SECONDS if self._spare else -1
            events = waiter.wait(timeout)
            for descriptor, _ in events:
                if descriptor == self._lifeline:
                    self.end()
                elif descriptor == woken:
                    if b"t" in os.read(woken, 4096):
                        self.end()
                    self._check_files()
                elif self.worker.calls.watches(descriptor):
                    self._check_files()
                else:
                    has_stores = True
                    self.handle(descriptor)
            now = monotonic()
            if not events or now - rested >= IDLE_SECONDS:
                rested = now
                was_unused = not events and not has_stores
                has_stores = self.worker.rest(IDLE_SECONDS)
                self.table.note_stores(self.number, self.worker.stores)
                self.look_after_callers()
                if was_unused and self._spare and not self.has_callers():
                    break
        self.drain()
        self.worker.rest(0)
        return self._code

    def answer(self, request: Request) -> bytes:
        """Run one request; return the reply, b"" to one about the server itself."""
        if request.program == protocol.SERVER:
            return b"" if request.arguments == ["status"] else DECLINE
        if not self.table.begin(self.number, request.pid):
            try:
                os.write(self._more, b"m")
            except OSError:  # enough were asked for already
                pass
        try:
            return self.worker.answer(request)
        finally:
            self.table.end(self.number, self.worker.stores)

    # The user may replace a database file at any time. A process that opens the new file must not
    # find the -wal that another worker has written for the old one.

    def _watch_file(self, descriptor: int) -> None:
        self.poller.register(descriptor, READABLE)

    def _check_files(self) -> None:
        self.table.note_check(self.number)
        self.worker.calls.check_replaced()
        self.table.note_stores(self.number, self.worker.stores)
        self.table.note_check(self.number)

    def _have_others_check(self) -> None:
        for pid, number in self.table.ask_to_check(self.number):
            try:
                os.kill(pid, signal.SIGUSR2)
            except ProcessLookupError:
                continue
            end = monotonic() + _CHECK_SECONDS
            while not self.table.has_checked(number) and monotonic() < end:
                sleep(_CHECK_PAUSE)

    def _is_asked_to_cancel(self) -> bool:
        return self.table.is_cancelled(self.number)

    def _interrupt_on(self, number: int, wanted: Callable[[], bool]) -> None:
        def handler(_: int, frame: FrameType | None) -> None:
            if self.worker.is_running and wanted():
                self.worker.is_running = False  # once is enough
                raise KeyboardInterrupt

        signal.signal(number, handler)


class _Poll:
    """``select.poll`` with the interface of ``select.epoll``, where that is missing."""

    def __init__(self) -> None:
        self._poll = select.poll()

    def register(self, descriptor: int, events: int) -> None:
        self._poll.register(descriptor, events)

    def unregister(self, descriptor: int) -> None:
        self._poll.unregister(descriptor)

    def poll(self, seconds: float) -> list[tuple[int, int]]:
        return self._poll.poll(None if seconds < 0 else seconds * 1000)


def _poller() -> _Poll:
    return select.epoll() if hasattr(select, "epoll") else _Poll()  # type: ignore[return-value]
