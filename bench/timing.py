"""How ways of doing the same are timed: in turn, round after round, compared by medians."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple


class Figure(NamedTuple):
    """One line of the table of bars; without a bar, it is there to judge the others by."""

    operation: str
    figure: str
    bar: str = ""
    met: bool = True


def limit(operation: str, ratio: float, beside: str, most: float) -> Figure:
    """Return the figure of a ratio that may be so high at most."""
    return Figure(operation, f"{ratio:.2f} x {beside}", f"at most {most:g}", ratio <= most)


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def medians(ways: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Return the median for each way of so many rounds, after one that does not count.

    A round takes each way once, as what else a machine does comes and goes. The ways
    return seconds themselves, so that they can prepare and check outside of the clock.
    """
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            seconds = way()
            if number:
                times[name].append(seconds)
    return {name: statistics.median(samples) for name, samples in times.items()}
