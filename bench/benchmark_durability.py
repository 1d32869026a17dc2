"""A save of a new key, at other durabilities than normal; see benchmark_writes.py for that."""

from __future__ import annotations

import pytest
from benchmark_writes import holds
from conftest import Measure
from peers import Peer
from peers_durability import ASYNC, FULL
from workload import KEYS, PAIRS, new_pairs, value


@pytest.mark.benchmark(group="save, durability full")
@pytest.mark.parametrize("peer", FULL)
def test_save_full(measure: Measure, store: Peer, scale: int) -> None:
    rounds = 100  # each waits for the disk
    pairs = list(new_pairs(rounds * scale + 5))
    measure(
        store, store.save, pairs, rounds=rounds, right_after=lambda: holds(store, pairs + PAIRS)
    )


@pytest.mark.benchmark(group="save, durability async, per save")
@pytest.mark.parametrize("peer", ASYNC)
def test_save_async(measure: Measure, store: Peer, scale: int) -> None:
    """A round is 2,000 saves over keys, so that the commits that come later are in it."""
    size, rounds = 2_000, 15
    batches = [
        ([(key, value(key, number + 1)) for key in KEYS[number % 5 :: 5]],)
        for number in range(rounds * scale + 5)
    ]
    final = list(dict(pair for (batch,) in batches for pair in batch).items())
    save = store.save

    def saves(pairs: list[tuple[str, str]]) -> None:
        for key, text in pairs:
            save(key, text)

    measure(
        store, saves, batches, rounds=rounds, size=size, right_after=lambda: holds(store, final)
    )
