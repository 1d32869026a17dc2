"""What a saved run says, and how two runs are compared."""

from __future__ import annotations

import json
import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
RUNS = ROOT / ".benchmarks"

ANCHORS = (
    "apsw",
    "apsw full",
    "apsw batched",
    "apsw + indexed trigger",
    "python -c pass",
    "few keys",
    "few rows",
)
"""What a machine's speed is measured by: the first of them that is in a group."""


@dataclass(frozen=True)
class Result:
    """One peer in one group; times are seconds for one operation."""

    group: str
    peer: str
    median: float
    mean: float
    """The median over rounds of a round's mean: rare and costly calls count in it."""
    p99: float | None
    correct: bool
    durability: str
    size: int
    rounds: int
    unit: str = "s"


@dataclass(frozen=True)
class Run:
    """One saved run of the benchmarks."""

    when: str
    commit: str
    machine: str
    size: str
    many: int
    """How many keys "many keys" are."""
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


def save(run: Run, path: Path) -> None:
    """Write a run to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(run), indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def load(path: Path) -> Run:
    """Read a run that was saved.

    Raises:
        ValueError: when the file is none.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        results = tuple(Result(**entry) for entry in data.pop("results"))
        return Run(**data, results=results)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not a run of these benchmarks ({error!r})") from error


def saved_runs(directory: Path = RUNS) -> list[Run]:
    """Return all runs that are saved there, oldest first; files that are none are left out."""
    runs = []
    for path in directory.rglob("*.json"):
        try:
            runs.append(load(path))
        except ValueError as error:
            print(f"left out: {error}", file=sys.stderr)
    return sorted(runs, key=lambda run: run.when)


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
    own, other = _medians(ours), _medians(theirs)
    return [
        Comparison(group, peer, ratio, other[group, peer])
        for (group, peer), ratio in own.items()
        if peer.startswith("ky") and (group, peer) in other
    ]


def _medians(runs: Sequence[Run]) -> dict[tuple[str, str], float]:
    each: dict[tuple[str, str], list[float]] = {}
    for run in runs:
        for name, ratio in run.ratios().items():
            each.setdefault(name, []).append(ratio)
    return {name: statistics.median(ratios) for name, ratios in each.items()}


def spoken(figure: float, unit: str = "s") -> str:
    """Return a figure with three digits and its unit; a time in what suits its length."""
    if unit != "s":
        return f"{figure:,.0f} {unit}"
    units = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))
    name, scale = next((u for u in units if figure >= u[1]), units[-1])
    number = figure / scale
    digits = 0 if number >= 99.95 else 1 if number >= 9.995 else 2
    return f"{number:.{digits}f} {name}"
