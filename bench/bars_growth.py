"""What grows with the number of keys: neither time nor memory should."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from peers import kycore
from timing import Figure, limit
from workload import value

from kycli import Kycore

FEW = 10_000
SAMPLE = 100  # as many as are read again and again elsewhere
ROUNDS = 61


def name(number: int) -> str:
    """Return a key; neighbouring numbers are not neighbours in the tree."""
    return f"user:{number * 2654435761 % (1 << 32):010d}"


def grown(path: Path, keys: int) -> Kycore:
    """Return an open store of so many keys, with no cache of values."""
    with kycore(path) as store:
        store.save_many((key, value(key)) for key in sorted(map(name, range(keys))))
    return kycore(path, cached=False)


class Work:
    """Operations on the same keys of one store again and again, each call timed for itself.

    So a median leaves out the checkpoints, whose time is the disk's: it hangs on how far
    apart the pages are that go there.
    """

    def __init__(self, store: Kycore, keys: int) -> None:
        self.store = store
        self.generations = count(1)
        self.sample = [name(number) for number in random.Random(0).sample(range(keys), SAMPLE)]
        self.times: dict[str, list[float]] = {"get": [], "save": [], "delete": []}

    def run(self) -> None:
        """One round; the deleted keys are put back outside of the clock."""
        generation = next(self.generations)
        pairs = [(key, value(key, generation)) for key in self.sample]
        for key in self.sample:
            self.store.getkey(key)
        for key in self.sample:
            self.clock("get", self.store.getkey, key)
        for pair in pairs:
            self.clock("save", self.store.save, *pair)
        for key in self.sample:
            self.clock("delete", self.store.delete, key)
        self.store.save_many(pairs)

    def clock(self, operation: str, call: Callable[..., object], *arguments: str) -> None:
        begin = time.perf_counter()
        call(*arguments)
        self.times[operation].append(time.perf_counter() - begin)


RESIDENT = """
import sys
from kycli import Kycore
with Kycore(sys.argv[1]) as store:
    sample = []
    for number, key in enumerate(store):
        if number % int(sys.argv[2]) == 0:
            sample.append(key)
    for key in sample:
        store.getkey(key)
        store.save(key, "changed")
with open("/proc/self/status") as status:
    print(*(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


def resident(path: str, keys: int) -> float:
    """Return the MiB that a process takes at most that reads all keys and writes some.

    From proc(5), as the getrusage of a child begins with its parent's.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-c", RESIDENT, path, str(keys // FEW)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(done.stdout) / 1024


def growth(directory: Path, keys: int) -> Iterator[Figure]:
    """A get, a save and a delete of the same keys again and again, of few and of many."""
    stores = {number: grown(directory / str(number), number) for number in (FEW, keys)}
    work = {number: Work(store, number) for number, store in stores.items()}
    for _ in range(ROUNDS):
        for each in work.values():
            each.run()
    for operation in ("get", "save", "delete"):
        few, many = (statistics.median(work[n].times[operation]) for n in (FEW, keys))
        mean_few, mean = (statistics.fmean(work[n].times[operation]) for n in (FEW, keys))
        title = f"{operation}, {keys:,} keys"
        yield Figure(
            title,
            f"{many * 1e6:.1f} µs, of {FEW:,} {few * 1e6:.1f}; "
            f"means {mean * 1e6:.1f} and {mean_few * 1e6:.1f}",
        )
        yield limit(title, many / few, f"that of {FEW:,} keys", 1.5)
    for store in stores.values():
        store.close()
    if sys.platform == "linux":
        small, large = (resident(str(directory / str(number)), number) for number in stores)
        yield Figure(
            f"memory, {keys:,} keys",
            f"{large:.0f} MiB, of {FEW:,} {small:.0f} MiB",
            "at most 32 MiB more",  # SQLite's page cache, when it is full
            large - small <= 32,
        )
    for number in stores:
        os.unlink(directory / str(number))


BARS = {"growth": growth}
