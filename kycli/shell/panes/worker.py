"""A thread for slow work of a pane, such as full-text search and listing scopes."""

from __future__ import annotations

import asyncio
from threading import Condition, RLock, Thread
from typing import TYPE_CHECKING, Any

from kycli.errors import KycliError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kycli.core.storage import Kycore
    from kycli.shell.state import State

    Work = Callable[[Kycore], Any]
    Done = Callable[[Any], None]


_MOST_SECONDS = 10
"""How long a command that wants the database to itself waits for work to end."""


class Cancelled(Exception):
    """What a progress function raises to end work that nobody wants any more."""


class Worker:
    """Does one piece of work after the other in a thread, with a store of its own.

    Used in the thread of the user interface, to which results come back. Where that has no event
    loop, as in tests, work is done at once.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._waiting: dict[str, tuple[Work, Done, int, asyncio.AbstractEventLoop]] = {}
        self._numbers: dict[str, int] = {}
        # Entering a Condition is Python code: Ctrl-C in it would leave the lock held for good.
        self._lock = RLock()
        self._changed = Condition(self._lock)
        self._thread: Thread | None = None
        self._closed = False
        self._paused = False
        self._works = False

    def ask(self, name: str, work: Work, done: Done, *, is_staged: bool = False) -> None:
        """Have work done; it replaces what was asked for by the same name before.

        Parameters:
            work: called with a store, in the thread.
            done: called with the result, or the KycliError, unless it was replaced meanwhile.
            is_staged: whether the store is that of the transaction, if one is open. Then the
                main thread does the work, so it must be short.
        """
        if is_staged:
            work = self._in_transaction(work)
        number = self._numbers[name] = self._numbers.get(name, 0) + 1
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            done(self._result(work))
            return
        with self._lock:
            self._waiting[name] = work, done, number, loop
            self._changed.notify_all()
        if self._thread is None:
            # A daemon: leaving the shell does not wait for a search.
            self._thread = Thread(target=self._run, name="kycli-panes", daemon=True)
            self._thread.start()

    def forget(self, name: str) -> None:
        """Drop what was asked for by a name: its result is not wanted any more."""
        self._numbers[name] = self._numbers.get(name, 0) + 1
        with self._lock:
            self._waiting.pop(name, None)

    def is_wanted(self, name: str, number: int) -> bool:
        return self._numbers.get(name) == number and not self._closed

    def checker(self, name: str) -> Callable[..., None]:
        """Return a progress function that ends the work asked for next once it is not wanted."""
        number = self._numbers.get(name, 0) + 1

        def check(*progress: object) -> None:
            if self._paused or not self.is_wanted(name, number):
                raise Cancelled

        return check

    def pause(self) -> None:
        """Have the work under way end, and begin none until ``resume``; waits for its end."""
        with self._lock:
            self._paused = True
            self._changed.wait_for(lambda: not self._works, _MOST_SECONDS)

    def resume(self) -> None:
        with self._lock:
            self._paused = False
            self._changed.notify_all()

    def close(self) -> None:
        """End the thread; work that is under way ends at its next step."""
        with self._lock:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._lock:
                while (self._paused or not self._waiting) and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                name = next(iter(self._waiting))
                work, done, number, loop = self._waiting.pop(name)
                self._works = True
            result = self._result(work)
            with self._lock:
                self._works = False
                self._changed.notify_all()
            try:
                loop.call_soon_threadsafe(self._deliver, name, number, done, result)
            except RuntimeError:
                return  # the loop has ended, and with it the user interface

    def _deliver(self, name: str, number: int, done: Done, result: Any) -> None:
        if self.is_wanted(name, number):
            done(result)

    def _in_transaction(self, work: Work) -> Work:
        return lambda store: work(self._state.staged or store)

    def _result(self, work: Work) -> Any:
        try:
            store = self._state.open_reader()
            try:
                return work(store)
            finally:
                store.close()
        except (KycliError, Cancelled) as error:
            return error
