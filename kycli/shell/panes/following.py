"""The newest changes of a scope, updated from the log without reading all of it again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kycli.core.history.trail import Event
from kycli.shell.panes.windows import Window

if TYPE_CHECKING:
    from kycli.core.storage import Kycore

PAGE = 200
"""How many changes are read at once."""
MOST = 5_000
"""How many changes can be scrolled through."""
_SECONDS = 0.015
"""How long the log is looked through at once: a key waits for it."""


class Follower(Window[Event]):
    """The changes of one scope, newest first.

    Attributes:
        scope: the scope.
        has_newer: whether there are newer changes, too many to be shown above the selected one.
        rest: where older changes follow, or None when there are none.
    """

    def __init__(self, scope: str) -> None:
        super().__init__()
        self.scope = scope
        self.has_newer = False
        self.rest: int | None = None
        self._newest = 0
        self._is_read = False

    def follow(self, scope: str) -> None:
        """Forget everything, and show another scope."""
        self.scope = scope
        self.forget()

    def forget(self) -> None:
        """Have everything read again."""
        self.items, self.at, self.top = [], 0, 0
        self.has_newer = self._is_read = False
        self.rest = None

    def take_in(self, store: Kycore) -> int:
        """Read what is new; return how many changes were added at the top."""
        if not self._is_read:
            self._read_newest(store)
            return 0
        page = store.trail(seen=self._newest, limit=PAGE, scope=self.scope)
        if page.is_rewritten or page.rest is not None:
            if self.at and not page.is_rewritten:
                self.has_newer = True  # somebody reads further down
            else:
                self._read_newest(store)
            return 0
        self._newest = page.newest
        if not self.has_newer and page.events:
            self.items[:0] = page.events
            if self.at:
                self.at += len(page.events)
                self.top += len(page.events)
            if len(self.items) > MOST:
                self.rest = self.items[MOST - 1].position - 1
                del self.items[MOST:]
                self.at = min(self.at, MOST - 1)
        return len(page.events)

    def read_older(self, store: Kycore, wanted: int) -> bool:
        """Read older changes until there are so many; return whether more are to be looked for.

        Looks through a part of the log: call it again for the next one.
        """
        wanted = min(wanted, MOST)
        end = time.monotonic() + _SECONDS
        while time.monotonic() < end:
            if self.rest is None or len(self.items) >= wanted:
                return False
            page = store.trail(upto=self.rest, limit=PAGE, scope=self.scope)
            self.items += page.events
            self.rest = page.rest
        return self.rest is not None and len(self.items) < wanted

    def _read_newest(self, store: Kycore) -> None:
        page = store.trail(limit=PAGE, scope=self.scope)
        self.forget()
        self._is_read = True
        self._newest, self.rest = page.newest, page.rest
        self.items = list(page.events)
