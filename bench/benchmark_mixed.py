"""The mixed load of 90 % get, 9 % save and 1 % delete, by 1, 2 and 4 processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Measure
from mixed import Load
from peers import Peer, offering

CALLS = 2_000


@pytest.mark.parametrize("peer", offering("mixed"))
@pytest.mark.parametrize(
    "processes",
    [
        pytest.param(1, marks=pytest.mark.benchmark(group="mixed load, 1 process")),
        pytest.param(2, marks=pytest.mark.benchmark(group="mixed load, 2 processes")),
        pytest.param(4, marks=pytest.mark.benchmark(group="mixed load, 4 processes")),
    ],
)
def test_mixed(measure: Measure, peer: type[Peer], processes: int, tmp_path: Path) -> None:
    if processes > 1 and not peer.shared:
        pytest.skip(f"{peer.name} is for one process")
    load = Load(peer, tmp_path, processes)

    def preparations() -> Iterator[tuple[()]]:
        while True:
            load.prepare(CALLS)
            yield ()

    measure(
        peer,
        load.run,
        preparations(),
        rounds=10,
        size=processes * CALLS,
        warmup=1,
        right_after=lambda: load.finish() == (0, 0),
    )
