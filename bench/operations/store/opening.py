"""Opening and closing a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import apsw
from harness.measuring import Lab, Way, benchmark
from harness.workload import value
from peers.stores import Peer

from kycli import Kycore


@benchmark("open", peers=False)
def alone(lab: Lab) -> None:
    """Open an existing store and know that it is one; beside it, the same pragmas by APSW."""
    path = lab.directory / "kycli.db"
    with Kycore(path) as store:
        store.save_many(lab.pairs)

    def by_apsw() -> apsw.Connection:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        connection.set_busy_timeout(5000)
        connection.pragma("application_id")
        connection.pragma("user_version")
        connection.pragma("journal_mode")
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    def opening(name: str, work: Callable[[], Any]) -> Way:
        """Return a way that closes, outside the clock, what it has opened."""
        return Way(name, work, right=lambda answer, _: answer.close() is None)

    ways = [opening("kycli", lambda: Kycore(path)), opening("apsw", by_apsw)]
    lab.measure("open", ways, rounds=301, warmup=5)


@benchmark("open, with the first get")
def with_the_first_get(lab: Lab) -> None:
    key = lab.keys[0]

    def opening(store: Peer) -> Way:
        def opened() -> object:
            store.open()
            return store.get(key)

        def closings() -> Iterator[tuple[()]]:
            while True:
                store.close()
                yield ()

        return Way(store, opened, closings(), right=lambda answer, _: answer == value(key))

    ways = map(opening, lab.stores("open"))
    lab.measure("open, with the first get", ways, rounds=100, warmup=2)


@benchmark("close, after a save")
def close(lab: Lab) -> None:
    """What was saved is still there when the store is opened again."""
    key = lab.keys[0]

    def closing(store: Peer) -> Way:
        def savings() -> Iterator[tuple[()]]:
            for number in count(1):
                store.save(key, value(key, number))
                yield ()

        numbers = count(1)

        def kept(_: object, __: object) -> bool:
            store.open()
            return store.get(key) == value(key, next(numbers))

        return Way(store, lambda: store.close(), savings(), right=kept)

    ways = map(closing, lab.stores("close"))
    lab.measure("close, after a save", ways, rounds=100, warmup=2)
