"""Reading: keys that were read before, keys that were not, keys that are not there, ranges."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import cycle, repeat
from pathlib import Path
from typing import cast

import pytest
from conftest import Measure
from peers import IndexedHistoryPeer, KycliPeer, MethodPeer, Peer, UncachedPeer, offering
from workload import KEYS, PAIRS, PREFIX, new_pairs, value


def getting(peer: Peer) -> Callable[[list[str]], list[object]]:
    get = peer.get
    return lambda keys: [get(key) for key in keys]


@pytest.mark.benchmark(group="get: hit")
@pytest.mark.parametrize("peer", offering("get", UncachedPeer, MethodPeer))
def test_hit(measure: Measure, store: Peer) -> None:
    """The same 100 keys again and again."""
    keys = KEYS[:100] * 10
    expected = [value(key) for key in keys]
    measure(
        store,
        getting(store),
        repeat((keys,)),
        rounds=200,
        size=len(keys),
        right=lambda answer, _: answer == expected,
    )


@pytest.mark.benchmark(group="get: miss")
@pytest.mark.parametrize("peer", offering("get"))
def test_miss(measure: Measure, peer: type[Peer], tmp_path: Path, scale: int) -> None:
    """Keys of a large set, each read once, so that no cache of values can help."""
    size, rounds = 100, 300
    pairs = list(new_pairs(50_000 * scale))
    store = peer(tmp_path)
    store.save_many(pairs)
    random.Random(0).shuffle(pairs)
    batches = (
        ([key for key, _ in pairs[start : start + size]],) for start in range(0, len(pairs), size)
    )
    measure(
        store,
        getting(store),
        batches,
        rounds=rounds,
        size=size,
        right=lambda answer, batch: answer == [value(key) for key in batch[0]],
    )
    store.close()


@pytest.mark.benchmark(group="get: missing key")
@pytest.mark.parametrize("peer", offering("get", UncachedPeer, MethodPeer))
def test_missing_key(measure: Measure, store: Peer) -> None:
    """100 keys that do not exist, again and again."""
    keys = [f"{key}?" for key in KEYS[:100]] * 5
    measure(
        store,
        getting(store),
        repeat((keys,)),
        rounds=100,
        size=len(keys),
        right=lambda answer, _: answer == [None] * len(keys),
    )


@pytest.mark.benchmark(group="get_many, per row")
@pytest.mark.parametrize("peer", offering("get_many", UncachedPeer))
def test_get_many(measure: Measure, store: Peer) -> None:
    """1,000 of 10,000 keys by one call."""
    keys = random.Random(0).sample(KEYS, 1_000)
    expected = {key: value(key) for key in keys}
    measure(
        store,
        store.get_many,
        repeat((keys,)),
        rounds=50,
        size=len(keys),
        right=lambda answer, _: answer == expected,
    )


@pytest.mark.benchmark(group="scan, per row")
@pytest.mark.parametrize("peer", offering("scan"))
def test_scan(measure: Measure, store: Peer) -> None:
    """All 10,000 pairs."""
    measure(
        store,
        lambda: list(store.scan()),
        repeat(()),
        rounds=20,
        size=len(KEYS),
        right=lambda answer, _: sorted(cast(list[tuple[str, str]], answer)) == PAIRS,
    )


@pytest.mark.benchmark(group="prefix, per row")
@pytest.mark.parametrize("peer", offering("prefix"))
def test_prefix(measure: Measure, store: Peer) -> None:
    """100 of 10,000 pairs, by the beginning of their keys."""
    expected = [pair for pair in PAIRS if pair[0].startswith(PREFIX)]
    measure(
        store,
        lambda: list(store.prefix(PREFIX)),
        repeat(()),
        rounds=200,
        size=len(expected),
        right=lambda answer, _: answer == expected,
    )


@pytest.mark.benchmark(group="history: newest 10 of a key")
@pytest.mark.parametrize("peer", [KycliPeer, IndexedHistoryPeer])
def test_newest(
    measure: Measure, peer: type[KycliPeer | IndexedHistoryPeer], tmp_path: Path
) -> None:
    """Of 100 keys that have changed 100 times each."""
    store = peer(tmp_path)
    for generation in range(100):
        store.save_many((key, value(key, generation)) for key in KEYS[:100])
    measure(
        store,
        lambda key: store.newest(key, 10),
        ((key,) for key in cycle(KEYS[:100])),
        rounds=500,
        right=lambda answer, batch: answer == [value(batch[0], 99 - ago) for ago in range(10)],
    )
    store.close()
