"""Handling Ctrl-C in the main thread."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


class Interrupts:
    """The handler of SIGINT: raises KeyboardInterrupt in a command, and nowhere else.

    Attributes:
        are_allowed: whether a command runs.
        is_pending: whether one waits for the end of ``delayed``.
    """

    def __init__(self) -> None:
        self.are_allowed = False
        self.is_pending = False
        self._delays = 0

    def handle(self, number: int, frame: FrameType | None) -> None:
        if not self.are_allowed:
            return
        if self._delays:
            self.is_pending = True
        else:
            raise KeyboardInterrupt

    @contextmanager
    def delayed(self) -> Iterator[None]:
        """Put the exception off to the end of the block, which waits for another thread.

        Conditions and events are Python code: an exception in them may leave a lock held for
        good, or released once too often. Do not wait long without a look at ``is_pending``.
        """
        self._delays += 1
        try:
            yield
        finally:
            self._delays -= 1
            if self.is_pending and not self._delays:
                self.is_pending = False
                if self.are_allowed:
                    raise KeyboardInterrupt
