"""What a saved run says, and how two runs are compared."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ANCHORS = (
    "apsw",
    "apsw full",
    "apsw batched",
    "apsw + indexed trigger",
    "python -c pass",
)
"""What a machine's speed is measured by: the first of them that is in a group."""


@dataclass(frozen=True)
class Result:
    """One peer in one group; times are seconds for one operation."""

    group: str
    peer: str
    median: float
    p99: float | None
    correct: bool
    durability: str
    size: int
    rounds: int


@dataclass(frozen=True)
class Run:
    """One saved run of the benchmarks."""

    when: str
    commit: str
    machine: str
    results: tuple[Result, ...]

    def groups(self) -> dict[str, list[Result]]:
        """Return the results by group, in the order in which they were measured."""
        groups: dict[str, list[Result]] = {}
        for result in self.results:
            groups.setdefault(result.group, []).append(result)
        return groups

    def ratios(self) -> dict[tuple[str, str], float]:
        """Return how many times as long as its group's anchor each peer took."""
        ratios = {}
        for group, results in self.groups().items():
            anchor = anchor_of(results)
            if anchor is not None:
                for result in results:
                    ratios[group, result.peer] = result.median / anchor.median
        return ratios


def anchor_of(results: Sequence[Result]) -> Result | None:
    """Return what the others of a group are measured by."""
    by_name = {result.peer: result for result in results}
    return next((by_name[name] for name in ANCHORS if name in by_name), None)


def load(path: Path) -> Run:
    """Read a run as pytest-benchmark saved it.

    Raises:
        ValueError: when the file is none.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        machine = data["machine_info"]
        return Run(
            when=data["datetime"][:19].replace("T", " "),
            commit=str(data["commit_info"].get("id"))[:12],
            machine=f"{machine['cpu'].get('brand_raw', machine['machine'])}, "
            f"{machine['cpu'].get('count')} cores, {machine['system']} {machine['release']}, "
            f"{machine['python_implementation']} {machine['python_version']}",
            results=tuple(
                Result(
                    entry["group"],
                    entry["extra_info"]["peer"],
                    entry["extra_info"]["median"],
                    entry["extra_info"]["p99"],
                    entry["extra_info"]["correct"],
                    entry["extra_info"]["durability"],
                    entry["extra_info"]["size"],
                    entry["stats"]["rounds"],
                )
                for entry in data["benchmarks"]
            ),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not a run of these benchmarks ({error!r})") from error


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the smallest value that so many percent of them do not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


@dataclass(frozen=True)
class Comparison:
    """One operation of kycli on two sides, each as a multiple of its own anchor."""

    group: str
    peer: str
    ours: float
    theirs: float

    @property
    def ratio(self) -> float:
        """How many times as long ours takes."""
        return self.ours / self.theirs


def compare(ours: Sequence[Run], theirs: Sequence[Run]) -> list[Comparison]:
    """Compare what both sides measured of kycli, by the medians over their runs."""
    mine, other = _medians(ours), _medians(theirs)
    return [
        Comparison(group, peer, ratio, other[group, peer])
        for (group, peer), ratio in mine.items()
        if peer.startswith("ky") and (group, peer) in other
    ]


def _medians(runs: Sequence[Run]) -> dict[tuple[str, str], float]:
    each: dict[tuple[str, str], list[float]] = {}
    for run in runs:
        for name, ratio in run.ratios().items():
            each.setdefault(name, []).append(ratio)
    return {name: statistics.median(ratios) for name, ratios in each.items()}


def spoken(seconds: float) -> str:
    """Return a length of time with three digits and its unit."""
    units = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))
    name, unit = next((u for u in units if seconds >= u[1]), units[-1])
    number = seconds / unit
    digits = 0 if number >= 99.95 else 1 if number >= 9.995 else 2
    return f"{number:.{digits}f} {name}"
