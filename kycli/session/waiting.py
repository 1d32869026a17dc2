"""Waiting for the next request: poll briefly before sleeping.

Waking a process on an idle CPU takes longer than a short command, much longer on virtual machines.
A shell loop sends its next request right after the last reply. So after two such requests in a row,
a server polls for a short time before it sleeps, provided that there is a CPU for every process.
Only Linux reports that.
"""

from __future__ import annotations

import os
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_AWAKE = 0.001
"""How many seconds to poll: what a shell needs between two calls, with a fork for each."""

_FAST_TURNS = 2
"""How many short waits in a row start polling; one may be between a connection and its request."""

_LOOK_TURNS = 16
"""How many requests to serve before checking again whether a CPU is free."""

_BUSY_SECONDS = 0.02
"""How many seconds to wait before checking again if none is."""


class Waiter:
    """Waits for events.

    Parameters:
        poll: returns the events that there are within so many seconds; at once for 0, and with no
            limit for -1.
        has_free_cpu: whether this process and its caller take no CPU from others; for tests.
        clock: for tests.
    """

    def __init__(
        self,
        poll: Callable[[float], list[tuple[int, int]]],
        has_free_cpu: Callable[[], bool] | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._poll = poll
        self._has_free_cpu = has_free_cpu or Load().has_free_cpu
        self._clock = clock
        self._fast = 0
        self._turns = 0
        self._sleeps_until = 0.0

    def wait(self, seconds: float) -> list[tuple[int, int]]:
        """Return the events that there are within so many seconds; -1 for no limit."""
        began = self._clock()
        if self._fast >= _FAST_TURNS and self._may_look(began):
            while self._clock() < began + _AWAKE:
                events = self._poll(0)
                if events:
                    return events
        events = self._poll(seconds)
        is_fast = bool(events) and self._clock() < began + _AWAKE
        self._fast = self._fast + 1 if is_fast else 0
        return events

    def _may_look(self, now: float) -> bool:
        if now < self._sleeps_until:
            return False
        self._turns -= 1
        if self._turns < 0:
            if not self._has_free_cpu():
                self._sleeps_until = now + _BUSY_SECONDS
                return False
            self._turns = _LOOK_TURNS
        return True


class Load:
    """How many processes of the system have use for a CPU."""

    def __init__(self) -> None:
        self._file = -1
        self._cpus = 0
        try:
            self._cpus = len(os.sched_getaffinity(0))
            self._file = os.open("/proc/loadavg", os.O_RDONLY | os.O_CLOEXEC)
        except (AttributeError, OSError):
            pass

    def has_free_cpu(self) -> bool:
        """Whether there is a CPU for each of them; False if that is not known."""
        if self._file < 0:
            return False
        try:
            return int(os.pread(self._file, 80, 0).split()[3].partition(b"/")[0]) <= self._cpus
        except (OSError, ValueError, IndexError):
            return False
