"""Writing: one call is one commit, and is timed for itself. The 99th percentile is a
caller's own, and the mean has the checkpoints in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count, repeat
from random import Random
from typing import Any

from harness.measuring import Lab, Way, benchmark
from harness.workload import new_pairs, value
from peers.durability import ASYNC, FULL
from peers.stores import HistoryPeer, Peer

Pairs = list[tuple[str, str]]

CALLS = 4_000
"""Calls of a round: so many that each store checkpoints in each round."""


def holds(store: Peer, pairs: dict[str, str]) -> bool:
    return all(store.get(key) == text for key, text in pairs.items())


def saving(
    store: Peer, made: Iterable[Pairs], at_once: Callable[[Pairs], object] | None = None
) -> Way:
    """Return the way of a store that saves pairs one by one, or by one call for all."""
    saved: dict[str, str] = {}

    def batches() -> Iterator[Any]:
        for pairs in made:
            saved.update(pairs)
            yield (pairs,) if at_once else pairs

    def right_after() -> bool:
        return holds(store, saved)

    work = at_once or store.save
    return Way(store, work, batches(), each=at_once is None, right_after=right_after)


def new(calls: int) -> Iterator[Pairs]:
    """Yield new pairs, in no order."""
    for number in count():
        pairs = list(new_pairs(calls, f"new {number}"))
        Random(0).shuffle(pairs)
        yield pairs


def over(keys: list[str], calls: int) -> Iterator[Pairs]:
    """Yield new values of keys, in no order."""
    chance = Random(0)
    for generation in count(1):
        yield [(key, value(key, generation)) for key in chance.sample(keys, calls)]


@benchmark("save: new key")
def save_new(lab: Lab) -> None:
    stores = lab.stores("save", HistoryPeer)
    ways = [saving(store, new(lab.at_most(CALLS))) for store in stores]
    lab.measure("save: new key", ways, rounds=7)


@benchmark("save: over")
def save_over(lab: Lab) -> None:
    stores = lab.stores("save", HistoryPeer)
    ways = [saving(store, over(lab.keys, lab.at_most(CALLS))) for store in stores]
    lab.measure("save: over", ways, rounds=7)


@benchmark("history: append")
def append(lab: Lab) -> None:
    """One more change of a key that has changed 10,000 times."""
    key, calls = lab.keys[0], lab.at_most(300)

    def changes() -> Iterator[Pairs]:
        for first in count(10_000, calls):
            yield [(key, value(key, number)) for number in range(first, first + calls)]

    def appending(store: Peer) -> Way:
        store.save_many((key, value(key, number)) for number in range(lab.at_most(10_000)))
        return saving(store, changes())

    lab.measure("history: append", map(appending, lab.stores("save", HistoryPeer)), rounds=5)


@benchmark("save: durability full")
def save_full(lab: Lab) -> None:
    """A new key; each save waits for the disk."""
    ways = [saving(store, new(lab.at_most(20))) for store in lab.opened(*FULL)]
    lab.measure("save: durability full", ways, rounds=5)


@benchmark("save: durability async, per save")
def save_async(lab: Lab) -> None:
    """2,000 saves over keys by a round, so that the commits that come later are in it."""
    size = lab.at_most(2_000)

    def repeating(store: Peer) -> Way:
        save = store.save

        def work(pairs: Pairs) -> None:
            for key, text in pairs:
                save(key, text)

        return saving(store, over(lab.keys, size), work)

    ways = map(repeating, lab.opened(*ASYNC))
    lab.measure("save: durability async, per save", ways, rounds=15, size=size)


@benchmark("save_many, per row")
def save_many(lab: Lab) -> None:
    """10,000 new keys in one transaction."""
    rows = lab.at_most(10_000)

    def made() -> Iterator[Pairs]:
        return (list(new_pairs(rows, f"batch {number}")) for number in count())

    stores = lab.stores("save_many", HistoryPeer)
    ways = [saving(store, made(), store.save_many) for store in stores]
    lab.measure("save_many, per row", ways, rounds=11, size=rows)


@benchmark("delete")
def delete(lab: Lab) -> None:
    calls = lab.at_most(500)

    def deleting(store: Peer) -> Way:
        def batches() -> Iterator[list[tuple[str]]]:
            for number in count():
                pairs = list(new_pairs(calls, f"gone {number}"))
                store.save_many(pairs)
                yield [(key,) for key, _ in pairs]

        def right(_: object, batch: list[tuple[str]]) -> bool:
            return all(store.get(key) is None for (key,) in batch)

        def right_after() -> bool:
            return holds(store, dict(lab.pairs))

        return Way(store, store.delete, batches(), each=True, right=right, right_after=right_after)

    lab.measure("delete", map(deleting, lab.stores("delete")), rounds=5)


@benchmark("incr")
def incr(lab: Lab) -> None:
    calls = [("n",)] * lab.at_most(500)

    def counting(store: Peer) -> Way:
        totals = count(1)

        def right(answers: list[object], _: object) -> bool:
            return answers == [next(totals) for _ in answers]

        return Way(store, store.incr, repeat(calls), each=True, right=right)

    lab.measure("incr", map(counting, lab.stores("incr")), rounds=5)
