"""The bars of the history: what reading it and going back costs, and what it does not."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from peers import kycore
from timing import Figure, limit, medians, timed
from workload import new_pairs, value

from kycli import Kycore


def history(directory: Path, keys: int) -> Iterator[Figure]:
    """The newest ten changes of one key, in a long history and in one of ten changes.

    Half of the long one is the key's own, the other half is that of others.
    """
    few, many = kycore(directory / "few"), kycore(directory / "many")
    for store, rows in ((few, 20), (many, keys)):
        others = new_pairs(rows // 2)
        store.save_many(
            pair for number, other in enumerate(others) for pair in (("key", number), other)
        )

    def newest(store: Kycore) -> Callable[[], float]:
        def read() -> None:
            for _ in range(50):
                store.get_history("key", limit=10)

        return lambda: timed(read) / 50

    took = medians({"few": newest(few), "many": newest(many)}, 101)
    assert [store.get_history("key", limit=1)[0].version for store in (few, many)] == [
        10,
        keys // 2,
    ]
    few.close()
    many.close()
    operation = "newest 10 changes of one key"
    each = ", ".join(f"{name} rows {seconds * 1e6:.0f} µs" for name, seconds in took.items())
    yield Figure(operation, each)
    yield limit(operation, took["many"] / took["few"], f"of {keys:,} rows beside 20 rows", 1.5)


def going_back(directory: Path, keys: int) -> Iterator[Figure]:
    """restore_to where 1 % of the keys have changed, and where as many have in a smaller store.

    Beside it, what it cost to change them: they are spread over the whole store, whose
    pages must be read and written by both.
    """
    changed = keys // 100
    large, small = Changing(directory / "large", keys), Changing(directory / "small", keys // 10)
    took = medians(
        {
            "large": lambda: large.go_back(changed),
            "small": lambda: small.go_back(changed),
            "change": lambda: large.change_took,
        },
        9,
    )
    large.store.close()
    small.store.close()
    operation = f"restore_to, {changed:,} of {keys:,} keys"
    each = ", ".join(f"{name} {seconds * 1e3:.0f} ms" for name, seconds in took.items())
    yield Figure(operation, each)
    yield limit(operation, took["large"] / took["change"], "what it cost to change them", 3)
    beside = f"as many of {keys // 10:,} keys"
    yield limit(operation, took["large"] / took["small"], beside, 3)


class Changing:
    """A store in which some keys change and are taken back."""

    def __init__(self, path: Path, keys: int) -> None:
        self.keys = keys
        self.generation = 0
        self.change_took = 0.0
        self.random = random.Random(0)
        self.store = kycore(path)
        self.store.save_many(new_pairs(keys))

    def go_back(self, changed: int) -> float:
        """Change some keys and take them back; return how long the latter took."""
        then = time.time()
        time.sleep(0.002)
        self.generation += 1
        names = [f"new:{number:07d}" for number in self.random.sample(range(self.keys), changed)]
        pairs = [(name, value(name, self.generation)) for name in names]
        self.change_took = timed(lambda: self.store.save_many(pairs))
        begin = time.perf_counter()
        count = self.store.restore_to(then)
        seconds = time.perf_counter() - begin
        assert count == changed
        assert self.store.get_many(names) == {name: value(name) for name in names}
        return seconds


BARS = {"history": history, "restore_to": going_back}
