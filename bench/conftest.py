"""How a benchmark is run: each peer in turn, every answer checked outside of the clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from peers import Peer
from results import percentile
from workload import PAIRS

LAST = (
    "benchmark_durability.py",
    "benchmark_opening.py",
    "benchmark_mixed.py",
    "benchmark_commands.py",
)
Work = Callable[..., object]
Batch = tuple[Any, ...]


class Measured(Protocol):
    """What is measured: a store, a kind of store or a program."""

    @property
    def name(self) -> str: ...

    @property
    def durability(self) -> str: ...


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="ten times the rounds and the keys")
    parser.addoption("--peers", default="", help="only these peers, separated by commas")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the peers that are not wanted, and skip those that are not installed.

    The groups come in the order in which a reader asks for them.
    """
    items.sort(key=lambda item: LAST.index(item.path.name) if item.path.name in LAST else -1)
    wanted = {name for name in config.getoption("peers").split(",") if name}
    for item in list(items):
        assert isinstance(item, pytest.Function)
        peer: Any = item.callspec.params["peer"]
        if wanted and peer.name not in wanted:
            items.remove(item)
        elif not peer.installed():
            item.add_marker(pytest.mark.skip(reason=f"{peer.name} is not there"))


@pytest.fixture
def scale(request: pytest.FixtureRequest) -> int:
    """What the number of rounds and keys is multiplied with."""
    return 10 if request.config.getoption("full") else 1


class Measure:
    """Measure one operation of one peer, round by round."""

    def __init__(self, benchmark: Any, scale: int) -> None:
        self.benchmark = benchmark
        self.scale = scale

    def __call__(
        self,
        peer: Measured,
        work: Work,
        batches: Iterable[Batch],
        *,
        rounds: int,
        size: int = 1,
        warmup: int = 5,
        right: Callable[[object, Batch], bool] = lambda answer, batch: True,
        right_after: Callable[[], bool] = lambda: True,
    ) -> None:
        """Time ``work(*batch)`` for each batch, and store whether all of it was right.

        Parameters:
            batches: the arguments of each round; as many as there are rounds, at least.
            rounds: how many, before scaling.
            size: how many operations a round has.
            warmup: rounds that come first and do not count.
            right: whether the answer to a batch is right; asked between the rounds.
            right_after: whether the store is as it should be, in the end.
        """
        given = iter(batches)
        last: Batch | None = None
        answer: object = None
        wrong = 0

        def check() -> None:
            nonlocal wrong
            wrong += last is not None and not right(answer, last)

        def next_round() -> tuple[Batch, dict[str, Any]]:
            nonlocal last
            check()
            last = next(given)
            return last, {}

        def timed(*batch: Any) -> None:
            nonlocal answer
            answer = work(*batch)

        self.benchmark.extra_info.update(
            peer=peer.name, durability=peer.durability, size=size, correct=False
        )
        self.benchmark.pedantic(
            timed, setup=next_round, rounds=rounds * self.scale, warmup_rounds=warmup
        )
        check()
        self.benchmark.extra_info["correct"] = wrong == 0 and right_after()
        assert self.benchmark.extra_info["correct"], f"{wrong} wrong answers"


@pytest.fixture
def measure(benchmark: Any, scale: int) -> Measure:
    return Measure(benchmark, scale)


@pytest.fixture
def store(peer: type[Peer], tmp_path: Path) -> Iterator[Peer]:
    """The peer's store, open and filled with ``PAIRS``."""
    store = peer(tmp_path)
    store.save_many(PAIRS)
    yield store
    store.close()


def pytest_benchmark_update_json(benchmarks: list[Any], output_json: dict[str, Any]) -> None:
    """Add what the report shows, for one operation: the median and the 99th percentile."""
    times = {benchmark.fullname: benchmark.stats.sorted_data for benchmark in benchmarks}
    for entry in output_json["benchmarks"]:
        extra = entry["extra_info"]
        per_operation = [seconds / extra["size"] for seconds in times[entry["fullname"]]]
        extra["median"] = percentile(per_operation, 50)
        extra["p99"] = percentile(per_operation, 99) if len(per_operation) >= 100 else None
