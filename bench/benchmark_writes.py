"""Writing: one call is one commit, and a round is one call, so that the 99th percentile
is a caller's own: it has the checkpoints in it.
"""

from __future__ import annotations

from itertools import count, repeat

import pytest
from conftest import Measure
from peers import HistoryPeer, Peer, offering
from workload import KEYS, PAIRS, new_pairs, value

ROUNDS = 1500


def holds(store: Peer, pairs: list[tuple[str, str]]) -> bool:
    return all(store.get(key) == value for key, value in pairs)


@pytest.mark.benchmark(group="save: new key")
@pytest.mark.parametrize("peer", offering("save", HistoryPeer))
def test_save_new(measure: Measure, store: Peer, scale: int) -> None:
    pairs = list(new_pairs(ROUNDS * scale + 5))
    measure(
        store, store.save, pairs, rounds=ROUNDS, right_after=lambda: holds(store, pairs + PAIRS)
    )


@pytest.mark.benchmark(group="save: over")
@pytest.mark.parametrize("peer", offering("save", HistoryPeer))
def test_save_over(measure: Measure, store: Peer, scale: int) -> None:
    pairs = [
        (KEYS[number % len(KEYS)], value(KEYS[number % len(KEYS)], number + 1))
        for number in range(ROUNDS * scale + 5)
    ]
    final = list(dict(pairs).items())
    measure(store, store.save, pairs, rounds=ROUNDS, right_after=lambda: holds(store, final))


@pytest.mark.benchmark(group="history: append")
@pytest.mark.parametrize("peer", offering("save", HistoryPeer))
def test_history_append(measure: Measure, store: Peer, scale: int) -> None:
    """One more change of a key that has changed 10,000 times."""
    store.save_many((KEYS[0], value(KEYS[0], number)) for number in range(1, 10_001))
    pairs = [(KEYS[0], value(KEYS[0], 10_001 + number)) for number in range(ROUNDS * scale + 5)]
    measure(store, store.save, pairs, rounds=ROUNDS, right_after=lambda: holds(store, pairs[-1:]))


@pytest.mark.benchmark(group="save_many, per row")
@pytest.mark.parametrize("peer", offering("save_many", HistoryPeer))
def test_save_many(measure: Measure, store: Peer) -> None:
    """10,000 new keys in one transaction."""
    rows = 10_000
    batches = ((list(new_pairs(rows, f"batch {number}")),) for number in count())
    measure(
        store,
        store.save_many,
        batches,
        rounds=10,
        size=rows,
        warmup=1,
        right=lambda _, batch: holds(store, batch[0]),
    )


@pytest.mark.benchmark(group="delete")
@pytest.mark.parametrize("peer", offering("delete"))
def test_delete(measure: Measure, store: Peer, scale: int) -> None:
    pairs = list(new_pairs(ROUNDS * scale + 5))
    store.save_many(pairs)
    gone = [(key,) for key, _ in pairs]

    def right_after() -> bool:
        return all(store.get(key) is None for (key,) in gone) and holds(store, PAIRS)

    measure(store, store.delete, gone, rounds=ROUNDS, right_after=right_after)


@pytest.mark.benchmark(group="incr")
@pytest.mark.parametrize("peer", offering("incr"))
def test_incr(measure: Measure, store: Peer) -> None:
    totals = count(1)
    measure(
        store,
        store.incr,
        repeat(("n",)),
        rounds=ROUNDS,
        right=lambda answer, _: answer == next(totals),
    )
