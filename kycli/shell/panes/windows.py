"""Scrolling windows on lists of any length, which are read a part at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_Item = TypeVar("_Item")

READ = 200
"""How many keys are read at once."""
KEPT = 5 * READ
"""How many are kept, at most, before those far from the selected one are forgotten."""


class Window(Generic[_Item]):
    """A list of which some lines are visible, one of them selected.

    Attributes:
        items: what is there, in the order of the list.
        at: the index of the selected item; 0 where there is none.
        top: the index of the first visible item.
    """

    def __init__(self, items: Sequence[_Item] = ()) -> None:
        self.items: list[_Item] = list(items)
        self.at = 0
        self.top = 0

    @property
    def selected(self) -> _Item | None:
        return self.items[self.at] if self.items else None

    def replace(self, items: Sequence[_Item], at: int) -> None:
        """Take other items, and select one of them in the line in which the last one was."""
        line = self.at - self.top
        self.items = list(items)
        self.at = max(0, min(at, len(self.items) - 1))
        self.top = max(0, self.at - line)

    def move(self, lines: int) -> None:
        """Select the item that is so many lines further down."""
        self.at = max(0, min(self.at + lines, len(self.items) - 1))

    def go_first(self) -> None:
        self.at = 0

    def go_last(self) -> None:
        self.at = max(0, len(self.items) - 1)

    def view(self, height: int) -> list[_Item]:
        """Return the visible items of a window of so many lines; the selected one is visible."""
        height = max(1, height)
        self.top = max(min(self.top, self.at), self.at - height + 1, 0)
        # No blank lines at the end while there is something before the beginning.
        self.top = max(0, min(self.top, len(self.items) - height))
        return self.items[self.top : self.top + height]


class KeyWindow(Window[str]):
    """A window on sorted keys, of which only those around the selected one are read.

    Parameters:
        read: returns keys: those after a key or from the start, in the order of the listing or
            against it, and at most so many.
        exists: returns whether there is a key.
    """

    def __init__(
        self,
        read: Callable[[str | None, bool, int], list[str]],
        exists: Callable[[str], bool],
    ) -> None:
        super().__init__()
        self._read = read
        self._exists = exists
        self._has_before = self._has_after = False

    def load(self, around: str | None = None) -> None:
        """Read the keys around one, or the first ones; what is gone gives way to the next one."""
        if around is None:
            self.go_first()
            return
        before = self._read(around, True, READ)
        after = self._read(around, False, READ)
        self._has_before, self._has_after = len(before) == READ, len(after) == READ
        middle = [around] if self._exists(around) else []
        self.replace([*reversed(before), *middle, *after], len(before))

    def go_first(self) -> None:
        keys = self._read(None, False, READ)
        self._has_before, self._has_after = False, len(keys) == READ
        self.items, self.at, self.top = keys, 0, 0

    def go_last(self) -> None:
        keys = self._read(None, True, READ)
        self._has_before, self._has_after = len(keys) == READ, False
        self.items, self.at = keys[::-1], max(0, len(keys) - 1)

    def move(self, lines: int) -> None:
        while self._has_after and self.at + lines >= len(self.items):
            self._read_after()
        while self._has_before and self.at + lines < 0:
            self._read_before()
        super().move(lines)

    def view(self, height: int) -> list[str]:
        while self._has_after and self.at + height > len(self.items):
            self._read_after()
        if self._has_before and self.at - height < 0:
            self._read_before()
        return super().view(height)

    def _read_after(self) -> None:
        more = self._read(self.items[-1], False, READ)
        self._has_after = len(more) == READ
        self.items += more
        extra = min(len(self.items) - KEPT, self.at - READ)
        if extra > 0:
            del self.items[:extra]
            self.at -= extra
            self.top = max(0, self.top - extra)
            self._has_before = True

    def _read_before(self) -> None:
        more = self._read(self.items[0], True, READ)
        self._has_before = len(more) == READ
        self.items[:0] = more[::-1]
        self.at += len(more)
        self.top += len(more)
        if len(self.items) > KEPT and self.at < KEPT - READ:
            del self.items[KEPT:]
            self._has_after = True
