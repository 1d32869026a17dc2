"""The history: what reading it and going back costs, and does not cost."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from itertools import count, repeat
from pathlib import Path

from harness.measuring import Lab, Way, benchmark
from harness.workload import new_pairs, value
from peers.stores import IndexedHistoryPeer, KycliPeer, kycore


@benchmark("history: newest 10 of a key")
def newest(lab: Lab) -> None:
    """Of 100 keys that have changed 100 times each."""
    keys = lab.keys[:100]
    expected = [[value(key, 99 - ago) for ago in range(10)] for key in keys]

    def reading(store: KycliPeer | IndexedHistoryPeer) -> Way:
        for generation in range(100):
            store.save_many((key, value(key, generation)) for key in keys)
        calls = repeat([(key, 10) for key in keys])
        return Way(store, store.newest, calls, each=True, right=lambda found, _: found == expected)

    stores: Iterator[KycliPeer | IndexedHistoryPeer]
    stores = lab.opened(KycliPeer, IndexedHistoryPeer, fill=False)
    lab.measure("history: newest 10 of a key", map(reading, stores), rounds=10)


@benchmark("history: newest 10, by its length", peers=False)
def by_length(lab: Lab) -> None:
    """In a history of 20 rows and in one of many, half of which are the key's own."""

    def reading(title: str, rows: int) -> Way:
        store = lab.stack.enter_context(kycore(lab.directory / title))
        others = enumerate(new_pairs(rows // 2))
        store.save_many(pair for number, other in others for pair in (("key", number), other))

        def read() -> object:
            return store.get_history("key", limit=10)[0].version

        calls = repeat([()] * lab.at_most(50))
        return Way(title, read, calls, each=True, right=lambda found, _: {*found} == {rows // 2})

    ways = [reading("few rows", 20), reading("many rows", lab.size.many)]
    lab.measure("history: newest 10, by its length", ways, rounds=101, scaled=False)


class Changing:
    """A store in which some keys change and are taken back."""

    def __init__(self, lab: Lab, path: Path, keys: int) -> None:
        self.changed = lab.size.many // 100
        self.keys = keys
        self.change_took = 0.0
        self.random = random.Random(0)
        self.store = lab.stack.enter_context(kycore(path))
        self.store.save_many(new_pairs(keys))

    def changes(self) -> Iterator[tuple[float]]:
        """Change some keys before each round; yield the time before."""
        for generation in count(1):
            then = time.time()
            time.sleep(0.002)
            numbers = self.random.sample(range(self.keys), self.changed)
            self.names = [f"new:{number:07d}" for number in numbers]
            pairs = [(name, value(name, generation)) for name in self.names]
            begin = time.perf_counter()
            self.store.save_many(pairs)
            self.change_took = time.perf_counter() - begin
            yield (then,)

    def way(self, title: str) -> Way:
        def right(count: int, _: object) -> bool:
            found = self.store.get_many(self.names)
            return count == self.changed and found == {name: value(name) for name in self.names}

        return Way(title, self.store.restore_to, self.changes(), right=right)


@benchmark("restore_to: 1 % of the keys", peers=False)
def restoring(lab: Lab) -> None:
    """Where as many keys have changed in a store of many keys and in one of a tenth.

    Beside it, what it cost to change them: they are spread over the whole store, whose
    pages must be read and written by both.
    """
    large = Changing(lab, lab.directory / "large.db", lab.size.many)
    small = Changing(lab, lab.directory / "small.db", lab.size.many // 10)
    took = Way("making the changes", lambda: large.change_took, figure=True)
    ways = [large.way("many keys"), small.way("a tenth of the keys"), took]
    lab.measure("restore_to: 1 % of the keys", ways, rounds=9, scaled=False)
