"""Partly pruned changes, and when they ended.

Pruning works key by key and scope by scope, so a change of many rows may lose some of them: a
transaction over two scopes of which one limits its history, or a deletion that is pruned while
other rows stay. Such a change cannot be undone, because the log no longer lists everything that it
did. Its last remaining row does not give the time when the change ended, which is when reads of
the past see it (``changes.position_at``).

So pruning marks such a change as incomplete and records when it ended. The mark is removed with
the last row of the change. A change whose first row is gone needs no mark: the id of a change is
the id of its first row.
"""

from __future__ import annotations

from math import inf

from kycli.core.sql import log, retained

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kycli.core.sql.log import Part
    from kycli.core.storage import Kycore


def mark_incomplete(store: Kycore, dropped: list[tuple[int, int]]) -> None:
    """Mark the changes that lost rows, after these were dropped.

    Parameters:
        dropped: each change with the latest time of the dropped rows, in the order of ids.
    """
    gone = []
    nearest: Part | None = None
    reached: float = 0
    for change, time in dropped:
        if change > reached:  # else the first row that is left is the same as before
            nearest = log.first_part(store, change)
            reached = inf if nearest is None else nearest.id
        if nearest is not None and nearest.change == change:
            end = end_of(store, change, nearest.id, max(time, nearest.timestamp))
            retained.mark_incomplete(store, change, end)
        else:
            gone.append(change)
    retained.forget_changes(store, gone)


def end_of(store: Kycore, change: int, last: int, time: int) -> int:
    """Return when a change of many rows ended.

    Its rows follow each other, except those of a command that others interrupted; then it
    may be the end of a later run of them.

    Parameters:
        last, time: id and time of one of its rows, or of a row among them.
    """
    time = max(time, retained.end_of_incomplete(store, change) or 0)
    step, low, high = 1, last, last + 1
    while (part := _next_of(store, change, high)) is not None:
        low, time, step = part.id, max(time, part.timestamp), step * 2
        high = low + step
    while high - low > 1:
        middle = (low + high) // 2
        part = _next_of(store, change, middle)
        if part is None:
            high = middle
        else:
            low, time = part.id, max(time, part.timestamp)
    return time


def change_around(store: Kycore, id: int) -> int | None:
    """Return the change that a row is part of, or lies among the rows of; None for none."""
    part = log.first_part(store, id)
    return part.change if part is not None and part.change <= id else None


def _next_of(store: Kycore, change: int, id: int) -> Part | None:
    """Return the first part of any change from an id on, if it is of this one."""
    part = log.first_part(store, id)
    return part if part is not None and part.change == change else None
