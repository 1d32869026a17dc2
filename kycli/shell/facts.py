"""The facts about the database in the status bar, read in a separate thread.

Counting the keys of a large scope would delay keystrokes.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from kycli.errors import KycliError
from kycli.shell.state import OccupiedError, identity, is_database

if TYPE_CHECKING:
    from collections.abc import Callable

    from kycli.core.storage import Kycore
    from kycli.shell.state import State

_SECONDS = 0.25
"""How often to look whether something was committed, by anybody."""

_FEW = 1000
"""How many staged changes are looked at one by one, before the keys are counted again."""

_SHARE = 10
"""Counting may take one part in so many of the time."""

_EXPIRY_SECONDS = 1.0
_EXPIRY_SHARE = 100
"""The same if nothing was committed: keys expire, of which nothing tells."""


class Facts(NamedTuple):
    """What there is in the current scope.

    Attributes:
        keys: how many keys; None before they are counted, or if they cannot be.
        has_schema: whether values must meet a schema.
        cache: the default time to live in seconds, None if it is no cache.
        backlog: how many changes the search index is yet to take in.
        problem: what is wrong with the database, or "".
    """

    keys: int | None = None
    has_schema: bool = False
    cache: float | None = None
    backlog: int = 0
    problem: str = ""


class FactFinder:
    """Keeps the facts up to date.

    Parameters:
        state: what to look at.
        found: called in the thread of its own when the facts are others.

    Attributes:
        facts: the newest ones.
    """

    def __init__(self, state: State, found: Callable[[], object]) -> None:
        self.facts = Facts()
        self._state = state
        self._found = found
        self._wake = threading.Event()
        self._ends = False
        self._paused = False
        self._lock = threading.Lock()  # held while the store is used
        self._store: Kycore | None = None
        self._open: object = None
        self._last: object = None
        self._next_count = 0.0
        self._next_expiry = 0.0
        self._thread = threading.Thread(target=self._run, name="facts", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def look(self) -> None:
        """Look at once, because something has happened."""
        self._last = None
        self._next_count = 0.0
        self._wake.set()

    def pause(self) -> None:
        """Close the store, and use none until ``resume``."""
        with self._lock:
            self._paused = True
            self._close()

    def resume(self) -> None:
        self._paused = False
        self.look()

    def end(self) -> None:
        self._ends = True
        self.pause()
        self._wake.set()

    def _run(self) -> None:
        while not self._ends:
            with self._lock:
                facts = self.facts if self._paused else self._looked()
            if facts != self.facts:
                self.facts = facts
                self._found()
            self._wake.wait(_SECONDS)
            self._wake.clear()

    def _looked(self) -> Facts:
        state = self._state
        scope, path = state.scope, state.database
        try:
            file = (path, identity(path))
            if self._open != file:
                self._close()
                self._store, self._open, self._last = state.open_reader(), file, None
            store = self._store
            assert store is not None
            # The transaction that is open tells of each of its changes; nobody else commits.
            transaction, staged = state.transaction, state.staged
            now = (file, scope, transaction or store.commit_mark())
            began = time.monotonic()
            if began < (self._next_expiry if now == self._last else self._next_count):
                return self.facts
            self._last = now
            keys = store.count(scope=scope) if is_database(path) else 0
            read = store
            if transaction is not None and staged is not None:
                keys = _keys_staged(store, keys, staged, transaction.before, scope)
                read = staged
            facts = Facts(
                keys,
                read.schema(scope=scope) is not None,
                read.caches().get(scope),
                read.index_backlog() if is_database(path) else 0,
                "" if is_database(path) else "no database yet",
            )
            took = time.monotonic() - began
            self._next_count = began + took * _SHARE
            self._next_expiry = began + max(_EXPIRY_SECONDS, took * _EXPIRY_SHARE)
            return facts
        except OccupiedError:
            self._last = None
            return self.facts
        except KycliError as error:
            self._close()
            return Facts(problem=str(error).replace(f"{path}: ", ""))

    def _close(self) -> None:
        store, self._store, self._open = self._store, None, None
        if store is not None:
            try:
                store.close()
            except KycliError:
                pass


def _keys_staged(store: Kycore, keys: int, staged: Kycore, before: int, scope: str) -> int:
    """Return how many keys a scope has in the open transaction.

    Parameters:
        store, keys: what is committed, and how many keys that are.
        before: the position of the log at the beginning of the transaction.
    """
    page = staged.trail(seen=before, limit=_FEW, scope=scope)
    if page.rest is not None:
        return staged.count(scope=scope)  # on the main thread, where a command would wait for it
    changed = {event.key for event in page.events}
    return keys + sum(
        staged.exists(key, scope=scope) - store.exists(key, scope=scope) for key in changed
    )
