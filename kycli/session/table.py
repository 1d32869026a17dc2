"""A table in shared memory: the state of each worker of one server."""

from __future__ import annotations

import mmap
import os
from time import monotonic_ns

MOST_WORKERS = 16

_PID, _SINCE, _REQUESTS, _CALLER, _STORES, _CANCEL, _ASKED, _CHECKED = range(8)
_FIELDS = 8
_FLAGS = 64
_EVERYBODY = -1
_FREE, _IDLE, _BUSY = b" ", b"i", b"b"


class Table:
    """A line for each worker: whether it is busy, since when, for whom, and what it did so far.

    Make it before the workers are forked. Each worker writes its own line alone.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _FLAGS + MOST_WORKERS * _FIELDS * 8)
        self._memory[:MOST_WORKERS] = _FREE * MOST_WORKERS
        self._lines = memoryview(self._memory)[_FLAGS:].cast("q")

    def enter(self, number: int) -> None:
        """Begin the line of this process."""
        at = number * _FIELDS
        self._lines[at + _PID] = os.getpid()
        self._lines[at + _CALLER] = self._lines[at + _STORES] = self._lines[at + _CANCEL] = 0
        self._lines[at + _SINCE] = monotonic_ns()
        self._memory[number : number + 1] = _IDLE

    def reserve(self, number: int, pid: int) -> None:
        """Take note of a worker that was just started."""
        self._lines[number * _FIELDS + _PID] = pid
        if self._memory[number : number + 1] == _FREE:
            self._memory[number : number + 1] = _IDLE

    def free(self, number: int) -> None:
        """Take note that a worker has ended."""
        self._memory[number : number + 1] = _FREE
        self._lines[number * _FIELDS + _PID] = 0

    def begin(self, number: int, caller: int = 0) -> bool:
        """Note that a worker begins a request; return whether another one is idle."""
        at = number * _FIELDS
        self._memory[number] = 98  # _BUSY
        self._lines[at + _SINCE] = monotonic_ns()
        self._lines[at + _CALLER] = caller
        self._lines[at + _REQUESTS] += 1
        return self._memory.find(_IDLE, 0, MOST_WORKERS) >= 0

    def end(self, number: int, stores: int) -> None:
        """Note that a worker has ended a request, and how many databases it has open."""
        at = number * _FIELDS
        self._lines[at + _CALLER] = 0
        self._lines[at + _STORES] = stores
        self._lines[at + _SINCE] = monotonic_ns()
        self._memory[number] = 105  # _IDLE

    def note_stores(self, number: int, count: int) -> None:
        self._lines[number * _FIELDS + _STORES] = count

    def unused_line(self) -> int:
        """Return the number of a line that no worker has, -1 if there is none."""
        return self._memory.find(_FREE, 0, MOST_WORKERS)

    def is_busy(self) -> bool:
        """Whether any worker is busy."""
        return self._memory.find(_BUSY, 0, MOST_WORKERS) >= 0

    def last_use(self) -> int:
        """Return when a worker last began or ended a request, by ``monotonic_ns``."""
        return max(self._lines[n * _FIELDS + _SINCE] for n in range(MOST_WORKERS))

    def ask_to_check(self, number: int) -> list[tuple[int, int]]:
        """Ask idle workers that have databases open to look at the files.

        Returns:
            their processes, to be told by a signal, and the numbers of their lines.
        """
        lines = self._lines
        asked = []
        for line in range(MOST_WORKERS):
            at = line * _FIELDS
            if line != number and lines[at + _STORES] and self._is_idle(line):
                lines[at + _ASKED] = monotonic_ns()
                asked.append((lines[at + _PID], line))
        return asked

    def has_checked(self, number: int) -> bool:
        """Whether a worker has done so, or is busy and will before it uses a database again."""
        at = number * _FIELDS
        lines = self._lines
        return lines[at + _CHECKED] >= lines[at + _ASKED] or not self._is_idle(number)

    def note_check(self, number: int) -> None:
        """Note that this worker looks at its files."""
        self._lines[number * _FIELDS + _CHECKED] = monotonic_ns()

    def _is_idle(self, number: int) -> bool:
        return self._memory[number : number + 1] == _IDLE

    def cancel(self, caller: int) -> list[int]:
        """Mark what workers run for a caller as cancelled; return their processes."""
        lines = self._lines
        found = []
        for at in range(0, MOST_WORKERS * _FIELDS, _FIELDS):
            if lines[at + _CALLER] == caller and lines[at + _PID]:
                lines[at + _CANCEL] = caller
                found.append(lines[at + _PID])
        return found

    def is_cancelled(self, number: int) -> bool:
        """Whether what a worker runs is cancelled, and not what it ran before."""
        at = number * _FIELDS
        cancelled, self._lines[at + _CANCEL] = self._lines[at + _CANCEL], 0
        return cancelled == _EVERYBODY or 0 != cancelled == self._lines[at + _CALLER]

    def cancel_all(self) -> None:
        """Mark as cancelled whatever workers run."""
        for at in range(0, MOST_WORKERS * _FIELDS, _FIELDS):
            self._lines[at + _CANCEL] = _EVERYBODY

    def summary(self) -> dict[str, int]:
        """Return counts: workers, those that are busy, requests so far, databases open."""
        flags = self._memory[:MOST_WORKERS]
        lines = self._lines
        starts = range(0, MOST_WORKERS * _FIELDS, _FIELDS)
        return {
            "workers": MOST_WORKERS - flags.count(_FREE),
            "busy": flags.count(_BUSY),
            "requests": sum(lines[at + _REQUESTS] for at in starts),
            "stores": sum(lines[at + _STORES] for at in starts),
        }
