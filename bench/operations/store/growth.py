"""What must not grow with the number of keys: time and memory."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness.measuring import PEAK_MEMORY, Lab, Way, benchmark
from harness.workload import value
from peers.stores import kycore

from kycli import Kycore

SAMPLE = 100
"""How many keys are used again and again."""


def name(number: int) -> str:
    """Return a key; neighbouring numbers are not neighbours in the tree."""
    return f"user:{number * 2654435761 % (1 << 32):010d}"


class Grown:
    """A store of so many keys, with no cache of values, and some of its keys."""

    def __init__(self, lab: Lab, title: str, keys: int) -> None:
        self.title = title
        self.keys = keys
        self.path = lab.directory / f"{keys}.db"
        self.sample = [name(n) for n in random.Random(0).sample(range(keys), lab.at_most(SAMPLE))]
        self.names = [(key,) for key in self.sample]
        self.before = [(key, value(key, 1)) for key in self.sample]
        self.after = [(key, value(key, 2)) for key in self.sample]
        with kycore(self.path) as store:
            store.save_many((key, value(key)) for key in sorted(map(name, range(keys))))
        self.store: Kycore = lab.stack.enter_context(kycore(self.path, cached=False))

    def way(self, work: Callable[..., Any], batch: list[Any], left: list[Any]) -> Way:
        """Return the way to do an operation on the same keys again, each call for itself.

        So a median leaves out the checkpoints, whose time is the disk's: it depends on
        how far apart the pages are that go there. ``left`` is what the keys hold then.
        """

        def batches() -> Iterator[list[Any]]:
            while True:
                self.store.save_many(self.before)
                for key in self.sample:
                    self.store.getkey(key)
                yield batch

        def right(_: object, __: object) -> bool:
            return [self.store.getkey(key) for key in self.sample] == left

        return Way(self.title, work, batches(), each=True, right=right)


RESIDENT = f"""{PEAK_MEMORY}
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
print(peak_memory())
"""


def resident(path: Path, each: int) -> float:
    """Return the MiB that a process takes at most that reads all keys and writes some."""
    command = [sys.executable, "-P", "-c", RESIDENT, str(path), str(each)]
    return float(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


@benchmark("growth: get", "growth: save", "growth: delete", "growth: memory", peers=False)
def growth(lab: Lab) -> None:
    """The same keys again and again, in a store of few keys and in one of many."""
    few = Grown(lab, "few keys", lab.size.few)
    many = Grown(lab, "many keys", lab.size.many)
    both = (few, many)
    operations: dict[str, Callable[[Grown], Way]] = {
        "growth: get": lambda at: at.way(at.store.getkey, at.names, list(dict(at.before).values())),
        "growth: save": lambda at: at.way(at.store.save, at.after, list(dict(at.after).values())),
        "growth: delete": lambda at: at.way(at.store.delete, at.names, [None] * len(at.names)),
    }
    for group, way in operations.items():
        lab.measure(group, map(way, both), rounds=61, scaled=False)
    if sys.platform != "linux":
        return
    for grown in both:
        grown.store.close()
    took = [resident(grown.path, max(1, grown.keys // few.keys)) for grown in both]
    lab.once(
        "growth: memory",
        Way("few keys", lambda: took[0], figure=True),
        Way("many keys", lambda: took[1], figure=True),
        Way("the difference", lambda: took[1] - took[0], figure=True),
        unit="MiB",
    )
