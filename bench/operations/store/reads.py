"""Reading: keys that were read before, keys that were not, missing keys, ranges."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count, repeat
from pathlib import Path
from typing import Any

from harness.measuring import Lab, Way, benchmark
from harness.workload import PREFIX, new_pairs, value
from peers.stores import (
    ApswPeer,
    BytesLmdbPeer,
    FallbackPeer,
    KycliPeer,
    MethodPeer,
    Peer,
    UncachedPeer,
    kycore,
)

from kycli import Kycore


def reading(store: Peer, work: Callable[..., Any], expected: object, *arguments: object) -> Way:
    """Return the way of a store that must give the same answer in each round."""
    return Way(store, work, repeat(arguments), right=lambda answer, _: answer == expected)


@benchmark("get: hit")
def hit(lab: Lab) -> None:
    """The same 100 keys again and again, so often that they are in the processor's cache."""
    keys = lab.keys[:100] * lab.at_most(20)

    def getting(store: Peer) -> Way:
        expected = [store.native(value(key)) for key in keys]
        return reading(store, store.get_each, expected, [store.native(key) for key in keys])

    stores = lab.stores("get", UncachedPeer, FallbackPeer, MethodPeer, BytesLmdbPeer)
    lab.measure("get: hit", map(getting, stores), rounds=100, warmup=5, size=len(keys))


@benchmark("get: miss")
def miss(lab: Lab) -> None:
    """Keys of a large set, each read once, so that no cache of values can help."""
    size, rounds, warmup = lab.at_most(100), 200, 5
    read = (lab.rounds(rounds) + warmup) * size
    pairs = list(new_pairs(2 * read))
    keys = random.Random(0).sample([key for key, _ in pairs], read)

    def getting(store: Peer) -> Way:
        store.save_many(pairs)
        return Way(
            store,
            store.get_each,
            ((keys[start : start + size],) for start in range(0, read, size)),
            right=lambda answer, batch: answer == [value(key) for key in batch[0]],
        )

    ways = map(getting, lab.stores("get", fill=False))
    lab.measure("get: miss", ways, rounds=rounds, size=size, warmup=warmup)


@benchmark("get: missing key")
def missing_key(lab: Lab) -> None:
    """Keys that do not exist, again and again."""
    keys = [f"{key}?" for key in lab.keys[:100]] * 5

    def getting(store: Peer) -> Way:
        return reading(store, store.get_each, [None] * len(keys), keys)

    ways = map(getting, lab.stores("get", UncachedPeer, MethodPeer))
    lab.measure("get: missing key", ways, rounds=100, warmup=5, size=len(keys))


@benchmark("get_many, per row")
def get_many(lab: Lab) -> None:
    """1,000 keys by one call."""
    keys = random.Random(0).sample(lab.keys, lab.at_most(1_000))
    expected = {key: value(key) for key in keys}
    stores = lab.stores("get_many", UncachedPeer)
    ways = [reading(store, store.get_many, expected, keys) for store in stores]
    lab.measure("get_many, per row", ways, rounds=50, size=len(keys))


@benchmark("scan, per row")
def scan(lab: Lab) -> None:
    """All pairs."""

    def scanning(store: Peer) -> Way:
        def right(answer: list[tuple[str, str]], _: object) -> bool:
            return sorted(answer) == lab.pairs

        return Way(store, lambda: list(store.scan()), right=right)

    lab.measure("scan, per row", map(scanning, lab.stores("scan")), rounds=25, size=len(lab.pairs))


@benchmark("keys, per row")
def keys(lab: Lab) -> None:
    """All keys."""
    rows = [(key,) for key in lab.keys]
    ways = [reading(store, store.keys, lab.keys) for store in lab.opened(KycliPeer)]
    ways += [reading(store, store.keys, rows) for store in lab.opened(ApswPeer)]
    lab.measure("keys, per row", ways, rounds=31, size=len(lab.keys))


@benchmark("prefix, per row")
def prefix(lab: Lab) -> None:
    """100 pairs, by the beginning of their keys."""
    expected = [pair for pair in lab.pairs if pair[0].startswith(PREFIX)]

    def finding(store: Peer) -> Way:
        return reading(store, lambda: list(store.prefix(PREFIX)), expected)

    ways = map(finding, lab.stores("prefix"))
    lab.measure("prefix, per row", ways, rounds=200, warmup=5, size=len(expected))


WRITER = """
import sys
from kycli import Kycore
with Kycore(sys.argv[1]) as store:
    for line in sys.stdin:
        store.save(*line.split())
        print(flush=True)
"""


class Writer:
    """Another process that commits what it is given."""

    def __init__(self, path: Path) -> None:
        self.current: dict[str, str] = {}
        self.generations = count(1)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", WRITER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def commit(self, key: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.current[key] = f"{key}/{next(self.generations)}"
        print(key, self.current[key], file=self.process.stdin, flush=True)
        self.process.stdout.readline()


@benchmark("get: after another process commits", peers=False)
def after_a_commit(lab: Lab) -> None:
    """A key that was read before, right after a commit that changed it or another.

    Beside it, the same with the cache off: SQLite too has to look at the file again.
    """
    path = lab.directory / "kycli.db"
    cached = lab.stack.enter_context(kycore(path))
    uncached = lab.stack.enter_context(kycore(path, cached=False))
    this, another = lab.keys[:2]
    writer = Writer(path)
    lab.stack.callback(writer.process.communicate)
    for key in (this, another):
        writer.commit(key)

    def getting(title: str, store: Kycore, changed: str | None) -> Way:
        def commits() -> Iterator[tuple[str]]:
            while True:
                for _ in range(3):
                    store.getkey(this)
                if changed is not None:
                    writer.commit(changed)
                yield (this,)

        def right(answer: object, _: object) -> bool:
            return answer == writer.current[this]

        return Way(title, store.getkey, commits(), right=right)

    ways = [
        getting("kycli, this key", cached, this),
        getting("kycli uncached, this key", uncached, this),
        getting("kycli, another key", cached, another),
        getting("kycli uncached, another key", uncached, another),
        getting("kycli uncached, no commit", uncached, None),
    ]
    lab.measure("get: after another process commits", ways, rounds=301)
