"""Reconstructing the history of a key of KyCLI 0.0 or 0.1 whose three tables do not agree.

``Past`` combines the rows of the key in these tables, and adds what must have happened and was not
recorded: an ``IMPORTED`` value that no row of the history has, or a removal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from kycli.core import layout

IN_HISTORY, IN_ARCHIVE, IN_KVSTORE = range(3)
"""The tables that the value of an event can be in."""


class Event(NamedTuple):
    """One change of an odd key, in the order in which they happened.

    Attributes:
        first: whether the key had none before it.
        op, version: as in ``audit_log``.
        row: the row of the old history that it is, or None when it was added.
        at: its time.
        after, before: between which rows of the old history it stands.
        source, value: the table, by its place among the three, and the row there of the
            value that it set or removed.
    """

    key: str
    first: bool
    op: int
    version: int
    row: int | None
    at: int
    after: int
    before: int | None
    source: int
    value: int


class Past:
    """What happened to one key, put together from what the three tables know of it.

    Parameters:
        key: the key.
        history: its rows, oldest first: id, time, and whether the value is NULL.
        archive: its rows, oldest first: id and time.
        live: the row that lives, or None.
        expires: whether keys can expire.
        now: the time of what has no known time.
        same: whether the values of two rows, each a table and a row of it, are the same.
    """

    def __init__(
        self,
        key: str,
        history: list[tuple[int, int, bool]],
        archive: list[tuple[int, int]],
        live: int | None,
        *,
        expires: bool,
        now: int,
        same: Callable[[tuple[int, int], tuple[int, int]], bool],
    ) -> None:
        self.key = key
        self.events: list[Event] = []
        self.dropped: list[int] = []
        self._same = same
        self._value: tuple[int, int] | None = None
        self._version = 0
        self._rows = [id for id, _, _ in history]
        self._passed = 0
        self._tell(history, archive, live, expires, now)

    def _tell(
        self,
        history: list[tuple[int, int, bool]],
        archive: list[tuple[int, int]],
        live: int | None,
        expires: bool,
        now: int,
    ) -> None:
        removal, loose = self._matched(history, archive, expires)
        inserted = self._inserted(history, loose)
        gone = layout.EXPIRED if expires else layout.DELETED
        for index in range(len(history) + 1):
            for id, at in inserted.get(index, ()):
                self._hold((IN_ARCHIVE, id), at)
                self._remove(gone, (IN_ARCHIVE, id), at)
            if index == len(history):
                break
            row, at, is_null = history[index]
            is_value = not (is_null and expires)
            if live is not None and index == len(history) - 1 and row not in removal:
                # Also what lives with NULL for its value, which is None.
                is_value = is_value or self._same((IN_HISTORY, row), (IN_KVSTORE, live))
            if is_value:
                self._set(None, (IN_HISTORY, row), at, row)
            elif row in removal:
                self._hold((IN_ARCHIVE, removal[row]), at)
                self._remove(layout.DELETED, (IN_ARCHIVE, removal[row]), at, row)
            elif self._value is not None:
                self._remove(layout.DELETED, self._value, at, row)
            else:  # the value that was deleted is not known any more
                self.dropped.append(row)
            self._passed = index + 1
        if live is not None:
            self._hold((IN_KVSTORE, live), now)
        elif self._value is not None:
            self._remove(layout.DELETED, self._value, now)

    @staticmethod
    def _matched(
        history: list[tuple[int, int, bool]], archive: list[tuple[int, int]], expires: bool
    ) -> tuple[dict[int, int], list[tuple[int, int]]]:
        """Return which row of the archive each deletion made, and the rows that none did."""
        removal: dict[int, int] = {}
        loose = list(archive)
        for row, at, is_null in reversed(history):
            if not (is_null and expires):
                continue
            for index in range(len(loose) - 1, -1, -1):
                # The archive knows whole seconds, and may have been written just before.
                if -1000 <= at - loose[index][1] < 2000:
                    removal[row] = loose.pop(index)[0]
                    break
        return removal, loose

    def _inserted(
        self, history: list[tuple[int, int, bool]], loose: list[tuple[int, int]]
    ) -> dict[int, list[tuple[int, int]]]:
        """Return before which row of the history each of these rows of the archive belongs."""
        inserted: dict[int, list[tuple[int, int]]] = {}
        lowest = 0
        for id, at in loose:
            index = lowest
            while index < len(history) and history[index][1] < at:
                index += 1
            highest = index
            while highest < len(history) and history[highest][1] < at + 1000:
                highest += 1
            # Within its second, it is behind the value that it removed.
            for candidate in range(highest, index, -1):
                if self._same((IN_HISTORY, history[candidate - 1][0]), (IN_ARCHIVE, id)):
                    index = candidate
                    break
            inserted.setdefault(index, []).append((id, at))
            lowest = index
        return inserted

    def _hold(self, value: tuple[int, int], at: int) -> None:
        """Make sure that the key has this value now."""
        if self._value is None or not self._same(self._value, value):
            self._set(layout.IMPORTED, value, at)

    def _set(self, op: int | None, value: tuple[int, int], at: int, row: int | None = None) -> None:
        if op is None:
            op = layout.CREATED if self._value is None else layout.OVERWRITTEN
        self._version += 1
        self._value = value
        self._add(op, value, at, row)

    def _remove(self, op: int, value: tuple[int, int], at: int, row: int | None = None) -> None:
        self._value = None
        self._add(op, value, at, row)

    def _add(self, op: int, value: tuple[int, int], at: int, row: int | None) -> None:
        if row is None and self.events:
            at = max(at, self.events[-1].at)
        after = self._rows[self._passed - 1] if self._passed else 0
        before = self._rows[self._passed] if self._passed < len(self._rows) else None
        event = Event(self.key, not self.events, op, self._version, row, at, after, before, *value)
        self.events.append(event)
