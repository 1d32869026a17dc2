"""How operations are measured: all ways of doing one take turns, and every answer is checked.

A benchmark is a function that prepares something and calls `Lab.measure`. What else a
machine does comes and goes, so a round takes each way once, and medians over the rounds
are compared.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from statistics import fmean, median
from typing import Any, Protocol, TypeVar

from harness.results import Result, percentile
from harness.workload import PAIRS
from peers.stores import Peer, offering

P = TypeVar("P", bound=Peer)


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    name: str
    factor: int
    """What the number of rounds is multiplied by; 0 for as few as possible."""
    few: int
    """The keys of an ordinary store."""
    many: int
    """The keys of a large one."""


SIZES = {
    size.name: size
    for size in (
        Size("smoke", 0, 200, 2_000),
        Size("quick", 1, len(PAIRS), 200_000),
        Size("full", 10, len(PAIRS), 10_000_000),
    )
}
NO_ARGUMENTS: Iterable[Any] = repeat(())

PEAK_MEMORY = """
def peak_memory():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
"""
"""For programs: the MiB that a process has taken at most, from proc(5) on Linux. What
getrusage says of a child begins with its parent's.
"""


class Named(Protocol):
    """What is measured: a store, a kind of store or a program."""

    @property
    def name(self) -> str: ...

    @property
    def durability(self) -> str: ...


@dataclass
class Way:
    """One way of doing what is measured."""

    of: Named | str
    work: Callable[..., Any]
    batches: Iterable[Any] = NO_ARGUMENTS
    """The arguments of each round, made outside the clock; as many as rounds, at least."""
    each: bool = False
    """Whether a batch is a list of arguments, for calls that are timed one by one."""
    right: Callable[[Any, Any], bool] = lambda answer, batch: True
    """Whether the answer to a batch is right; with ``each``, the list of answers."""
    right_after: Callable[[], bool] = lambda: True
    """Whether the store is as it should be after all rounds."""
    figure: bool = False
    """Whether the answer is what is recorded, and not the time."""


class Lab:
    """Where a benchmark runs: a directory, a size, stores, and the results."""

    def __init__(
        self, directory: Path, stack: ExitStack, size: Size, peers: frozenset[str] = frozenset()
    ) -> None:
        self.directory = directory
        self.stack = stack
        self.size = size
        self.peers = peers
        self.results: list[Result] = []
        self.missing: set[str] = set()
        """The peers that are not installed."""
        self.pairs = PAIRS[: size.few]
        self.keys = [key for key, _ in self.pairs]

    def rounds(self, number: int) -> int:
        """Return how many rounds this size has, of those that a quick run has."""
        return number * self.size.factor or min(number, 2)

    def at_most(self, number: int) -> int:
        """Return a number that does not grow with the size, but is small in a smoke run."""
        return number if self.size.factor else min(number, 20)

    def wanted(self, peers: Iterable[type[Any]]) -> Iterator[type[Any]]:
        """Yield the peers that were asked for and are installed."""
        for peer in peers:
            if not self.peers or peer.name in self.peers:
                if peer.installed():
                    yield peer
                else:
                    self.missing.add(peer.name)

    def opened(self, *peers: type[P], fill: bool = True) -> Iterator[P]:
        """Yield the stores of peers, filled with ``pairs`` unless told otherwise."""
        home = Path(tempfile.mkdtemp(dir=self.directory))
        for peer in self.wanted(peers):
            store: P = peer(home)
            self.stack.callback(store.close)
            if fill:
                store.save_many(self.pairs)
            yield store

    def stores(self, operation: str, *variants: type[Peer], fill: bool = True) -> Iterator[Peer]:
        """Yield the stores of all peers that offer an operation, and of some variants."""
        return self.opened(*offering(operation, *variants), fill=fill)

    def measure(
        self,
        group: str,
        ways: Iterable[Way],
        *,
        rounds: int,
        size: int = 1,
        warmup: int = 1,
        scaled: bool = True,
        unit: str = "s",
    ) -> None:
        """Measure ways in turn and store the results of a group.

        Parameters:
            rounds: how many, before scaling.
            size: how many operations a round has, unless its calls are timed one by one.
            warmup: rounds that come first and do not count.
            scaled: whether a larger size has more rounds.
            unit: that of the figures.
        """
        rounds = self.rounds(rounds) if scaled or not self.size.factor else rounds
        warmup = warmup if self.size.factor else min(warmup, 1)
        running = [_Running(way, size) for way in ways]
        gc.collect()
        gc.disable()
        try:
            for number in range(warmup + rounds):
                for way in running:
                    way.round(counts=number >= warmup)
        finally:
            gc.enable()
        self.results += [way.result(group, unit) for way in running]

    def once(self, group: str, *ways: Way, size: int = 1, unit: str = "s") -> None:
        """Measure what can be done only once, or takes too long to be done again."""
        self.measure(group, ways, rounds=1, size=size, warmup=0, scaled=False, unit=unit)


class _Running:
    """A way that is being measured."""

    def __init__(self, way: Way, size: int) -> None:
        self.way = way
        self.size = size
        self.batches = iter(way.batches)
        self.samples: list[float] = []
        self.means: list[float] = []
        self.wrong = 0

    def round(self, counts: bool) -> None:
        way, batch = self.way, next(self.batches)
        timed = _calls if way.each else _call
        samples, answer = timed(way.work, batch)
        if way.figure:
            samples = [answer]
        elif not way.each:
            samples = [samples[0] / self.size]
        self.wrong += not way.right(answer, batch)
        if counts:
            self.samples += samples
            self.means.append(fmean(samples))

    def result(self, group: str, unit: str) -> Result:
        ordered, of = sorted(self.samples), self.way.of
        return Result(
            group=group,
            peer=of if isinstance(of, str) else of.name,
            median=percentile(ordered, 50),
            mean=median(self.means),
            p99=percentile(ordered, 99) if len(ordered) >= 100 else None,
            correct=self.wrong == 0 and self.way.right_after(),
            durability="" if isinstance(of, str) else of.durability,
            size=1 if self.way.each else self.size,
            rounds=len(ordered),
            unit=unit,
        )


def _call(work: Callable[..., Any], batch: Any) -> tuple[list[float], Any]:
    begin = time.perf_counter()
    answer = work(*batch)
    return [time.perf_counter() - begin], answer


def _calls(work: Callable[..., Any], batch: Any) -> tuple[list[float], Any]:
    clock = time.perf_counter
    samples, answers = [], []
    for arguments in batch:
        begin = clock()
        answer = work(*arguments)
        samples.append(clock() - begin)
        answers.append(answer)
    return samples, answers


Function = Callable[[Lab], None]


@dataclass(frozen=True)
class Benchmark:
    """A function that measures one group, or several that share what they are measured on."""

    groups: tuple[str, ...]
    function: Function
    peers: bool
    """Whether it compares stores or programs; it is left out of a choice of peers if not."""

    def run(self, size: Size, peers: frozenset[str] = frozenset(), at: Path | None = None) -> Lab:
        """Run it in a temporary directory, or in one that is given."""
        temporary = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        with temporary if at is None else nullcontext(at) as directory, ExitStack() as stack:
            lab = Lab(Path(directory), stack, size, peers)
            self.function(lab)
        return lab


def benchmark(*groups: str, peers: bool = True) -> Callable[[Function], Benchmark]:
    """Make a benchmark of the function that measures these groups."""
    return lambda function: Benchmark(groups, function, peers)
