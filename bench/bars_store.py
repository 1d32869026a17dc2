"""The bars of the engine, each beside what it is measured by.

What is compared is written out in the timed loop, without a function around it: against
a get of 50 ns, or beside a bare cursor, the call of a function would be the difference.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from timeit import Timer
from typing import Any

import apsw
from mixed import Load
from peers import (
    ALL,
    GET,
    UPSERT,
    DiskcachePeer,
    KycliPeer,
    LmdbPeer,
    Peer,
    SqlitedictPeer,
    bare,
    kycore,
)
from timing import Figure, limit, medians, timed
from workload import KEYS, PAIRS, new_pairs, value

from kycli import Kycore
from kycli.core import storage

BARE = "a bare apsw cursor"


def loops(
    statements: Mapping[str, str], names: Mapping[str, Any], number: int = 1
) -> dict[str, Callable[[], float]]:
    """Return a timer for each statement; it answers seconds for one pass."""

    def timer(statement: str) -> Callable[[], float]:
        compiled = Timer(statement, globals=dict(names))
        return lambda: compiled.timeit(number) / number

    return {name: timer(statement) for name, statement in statements.items()}


def filled(path: Path, *, cached: bool = True) -> Kycore:
    """Return an open store of ``PAIRS``."""
    store = kycore(path, cached=cached)
    store.save_many(PAIRS)
    return store


def without_own_statements(path: Path) -> Kycore:
    """Return an open store that leaves all statements to APSW, and has no cache."""
    storage._use_native_statements(False)
    try:
        store = kycore(path, cached=False)
        for key in KEYS[:20]:
            store.getkey(key)  # after some reads a store sets up its statements
    finally:
        storage._use_native_statements(True)
    return store


def filled_bare(path: Path, store: Kycore) -> apsw.Connection:
    """Return a plain key table of ``PAIRS``, with the pragmas of a store."""
    page_size = apsw.Connection(store.path).pragma("page_size")
    connection = apsw.Connection(str(path))
    connection.pragma("page_size", page_size)
    connection.close()
    connection = bare(path)
    with connection:
        connection.executemany(UPSERT, PAIRS)
    return connection


class AroundDict:
    """The least that a store written in Python costs."""

    def __init__(self) -> None:
        self.data = dict(PAIRS)

    def get(self, key: str) -> str | None:
        return self.data.get(key)


def cached(directory: Path, keys: int) -> Iterator[Figure]:
    """A get of a key that was read before, and that nobody has changed."""
    store = filled(directory / "kycli")
    hot = KEYS[:100]
    names = {
        "keys": hot,
        "bytes_keys": [key.encode() for key in hot],
        "get": store.getkey,
        "method": AroundDict().get,
        "found": AroundDict().data.get,
    }
    statements = {
        "kycli": "for key in keys: get(key)",
        "method": "for key in keys: method(key)",
        "dict": "for key in keys: found(key)",
    }
    if LmdbPeer.installed():
        lmdb = LmdbPeer(directory)
        lmdb.save_many(PAIRS)
        names["begin"] = lmdb.begin
        # Its own best case: bytes in, bytes out.
        statements["lmdb"] = (
            "for key in bytes_keys:\n with begin() as transaction: transaction.get(key)"
        )
    took = medians(loops(statements, names, 20), 101)
    assert [store.getkey(key) for key in hot] == [value(key) for key in hot]
    store.close()
    each = {name: f"{seconds / len(hot) * 1e9:.0f} ns" for name, seconds in took.items()}
    operation = "get, cached and current"
    yield Figure(operation, ", ".join(f"{name} {text}" for name, text in each.items()))
    if "lmdb" in took:
        yield limit(operation, took["kycli"] / took["lmdb"], "py-lmdb, a transaction per get", 0.5)
    yield limit(operation, took["kycli"] / took["method"], "a method around dict.get", 2)


def uncached(directory: Path, keys: int) -> Iterator[Figure]:
    """A get that the cache of values has no part in; all pages are in SQLite's own.

    Beside it, the same by APSW alone, as where an APSW cannot load extensions.
    """
    store = filled(directory / "kycli", cached=False)
    fallback = without_own_statements(directory / "kycli")
    connection = filled_bare(directory / "bare", store)
    sample = random.Random(0).sample(KEYS, 500)
    names = {
        "keys": sample,
        "get": store.getkey,
        "get_by_apsw": fallback.getkey,
        "execute": connection.cursor().execute,
        "sql": GET,
    }
    statements = {
        "kycli": "for key in keys: get(key)",
        "fallback": "for key in keys: get_by_apsw(key)",
        "bare": "for key in keys: execute(sql, (key,)).get",
    }
    took = medians(loops(statements, names), 101)
    for each in (store, fallback):
        assert [each.getkey(key) for key in sample] == [value(key) for key in sample]
        each.close()
    connection.close()
    operation = "get, uncached"
    each_get = {name: f"{seconds / 500 * 1e6:.2f} µs" for name, seconds in took.items()}
    yield Figure(operation, ", ".join(f"{name} {text}" for name, text in each_get.items()))
    yield limit(operation, took["kycli"] / took["bare"], BARE, 0.9)
    yield limit(f"{operation}, by APSW alone", took["fallback"] / took["bare"], BARE, 1.15)


WRITER = """
import sys
from kycli import Kycore
with Kycore(sys.argv[1]) as store:
    for line in sys.stdin:
        store.save(*line.split())
        print(flush=True)
"""


def others(directory: Path, keys: int) -> Iterator[Figure]:
    """A get of a cached key right after another process has committed.

    Beside it, the same with the cache off: SQLite too has to look at the file again.
    """
    path = directory / "kycli"
    stores = {"cached": filled(path), "cache off": kycore(path, cached=False)}
    writer = subprocess.Popen(
        [sys.executable, "-P", "-c", WRITER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdin is not None
    assert writer.stdout is not None
    to_writer, from_writer = writer.stdin, writer.stdout
    generations = count(1)
    hot = KEYS[:100]
    stale = 0

    def commit(key: str) -> str:
        text = f"{key}/{next(generations)}"
        print(key, text, file=to_writer, flush=True)
        from_writer.readline()
        return text

    def after_a_commit(store: Kycore, changed: str) -> float:
        """Time a get of the first key, after a commit that changed it or another."""
        nonlocal stale
        get, key = store.getkey, hot[0]
        expected = get(key)
        text = commit(changed)
        if changed == key:
            expected = text
        begin = time.perf_counter()
        found = get(key)
        seconds = time.perf_counter() - begin
        stale += found != expected
        return seconds

    for store in stores.values():
        for key in hot * 3:
            store.getkey(key)
    ways = {
        (name, changed): (lambda store=store, key=key: after_a_commit(store, key))
        for name, store in stores.items()
        for changed, key in (("this key", hot[0]), ("another", hot[1]))
    }
    took = medians(
        {f"{name}, {changed}": way for (name, changed), way in ways.items()}
        | {"quiet": lambda: timed(lambda: stores["cache off"].getkey(hot[2]))},
        301,
    )
    writer.communicate()
    for store in stores.values():
        store.close()
    operation = "get after another process commits"
    yield Figure(operation, f"{stale} stale of {302 * 4}", "none", stale == 0)
    for changed in ("this key", "another"):
        yield limit(
            operation,
            took[f"cached, {changed}"] / took[f"cache off, {changed}"],
            f"an uncached get then ({changed} changed)",
            1.5,
        )
    quiet = took["cached, this key"] / took["quiet"]
    yield Figure(operation, f"{quiet:.2f} x an uncached get when nobody commits")


def save(directory: Path, keys: int) -> Iterator[Figure]:
    """A save in its own transaction, with all that kycli keeps of it.

    Rounds are so long that both sides checkpoint in each of them: with short ones, the
    median would leave out the checkpoints of the side that has fewer.
    """
    store = filled(directory / "kycli")
    connection = filled_bare(directory / "bare", store)
    rounds, size = 15, 2_000
    generations = count(1)
    names: dict[str, Any] = {
        "save": store.save,
        "execute": connection.cursor().execute,
        "sql": UPSERT,
    }
    sample = random.Random(0).sample(KEYS, size)

    def over() -> list[tuple[str, str]]:
        generation = next(generations)
        return [(key, value(key, generation)) for key in sample]

    def new() -> list[tuple[str, str]]:
        pairs = list(new_pairs(size, f"new {next(generations)}"))
        random.Random(0).shuffle(pairs)
        return pairs

    for kind, make in (("over", over), ("new", new)):
        ways = {
            "kycli": _on_new_pairs("for key, value in pairs: save(key, value)", names, make),
            "bare": _on_new_pairs("for pair in pairs: execute(sql, pair)", names, make),
        }
        took = medians(ways, rounds)
        yield Figure(
            f"save {kind}",
            f"kycli {took['kycli'] / size * 1e6:.1f} µs, bare {took['bare'] / size * 1e6:.1f} µs",
        )
        yield limit(
            f"save {kind}", took["kycli"] / took["bare"], "a bare apsw upsert, plain table", 1.5
        )
    assert store.getkey(sample[0]) != value(sample[0])
    store.close()
    connection.close()


def save_many(directory: Path, keys: int) -> Iterator[Figure]:
    """10,000 new rows in one transaction."""
    store = filled(directory / "kycli")
    connection = filled_bare(directory / "bare", store)
    rows, rounds = 10_000, 15
    numbers = count()
    names = {
        "save_many": store.save_many,
        "connection": connection,
        "executemany": connection.executemany,
        "sql": UPSERT,
    }

    def make() -> list[tuple[str, str]]:
        return list(new_pairs(rows, f"batch {next(numbers)}"))

    ways = {
        "kycli": _on_new_pairs("save_many(pairs)", names, make),
        "bare": _on_new_pairs("with connection: executemany(sql, pairs)", names, make),
    }
    took = medians(ways, rounds)
    assert len(store) == len(PAIRS) + (rounds + 1) * rows
    store.close()
    connection.close()
    yield Figure(
        "save_many, per row",
        f"kycli {took['kycli'] / rows * 1e6:.2f} µs, bare {took['bare'] / rows * 1e6:.2f} µs",
    )
    yield limit("save_many, per row", took["kycli"] / took["bare"], "raw executemany", 1.6)


def _on_new_pairs(
    statement: str, names: Mapping[str, Any], make: Callable[[], list[tuple[str, str]]]
) -> Callable[[], float]:
    """Return a way to time a statement on pairs that are made before each round."""
    given = dict(names)
    timer = Timer(statement, globals=given)

    def way() -> float:
        given["pairs"] = make()
        return timer.timeit(1)

    return way


def rows(directory: Path, keys: int) -> Iterator[Figure]:
    """Many rows by one call: pairs, keys, and the values of 1,000 keys as of one moment."""
    store = filled(directory / "kycli", cached=False)
    connection = filled_bare(directory / "bare", store)
    names = {
        "store": store,
        "connection": connection,
        "execute": connection.cursor().execute,
        "keys": random.Random(0).sample(KEYS, 1_000),
        "ALL": ALL,
        "KEYS": "SELECT key FROM kv ORDER BY key",
        "GET": GET,
    }
    operations = {
        "scan, per row": (len(KEYS), "list(store.scan())", "list(execute(ALL))"),
        "keys, per row": (len(KEYS), "store.listkeys()", "list(execute(KEYS))"),
        "get_many, per row": (
            1_000,
            "store.get_many(keys)",
            "with connection: found = {key: execute(GET, (key,)).get for key in keys}",
        ),
    }
    assert list(store.scan()) == PAIRS
    for operation, (size, ours, theirs) in operations.items():
        took = medians(loops({"kycli": ours, "bare": theirs}, names), 31)
        each = {name: f"{seconds / size * 1e6:.2f} µs" for name, seconds in took.items()}
        yield Figure(operation, ", ".join(f"{name} {text}" for name, text in each.items()))
        yield limit(operation, took["kycli"] / took["bare"], "apsw's own rows", 1)
    store.close()
    connection.close()


def opening(directory: Path, keys: int) -> Iterator[Figure]:
    """Open an existing store and know that it is one; closing it is outside of the clock."""
    path = directory / "kycli"
    filled(path).close()

    def ours() -> float:
        begin = time.perf_counter()
        store = Kycore(path)
        seconds = time.perf_counter() - begin
        store.close()
        return seconds

    def theirs() -> float:
        begin = time.perf_counter()
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        connection.set_busy_timeout(5000)
        connection.pragma("application_id")
        connection.pragma("user_version")
        connection.pragma("journal_mode")
        connection.execute("PRAGMA synchronous = NORMAL")
        seconds = time.perf_counter() - begin
        connection.close()
        return seconds

    took = medians({"kycli": ours, "bare": theirs}, 301)
    yield Figure("open", f"kycli {took['kycli'] * 1e6:.0f} µs, bare {took['bare'] * 1e6:.0f} µs")
    yield limit("open", took["kycli"] / took["bare"], "bare apsw with the same pragmas", 1.5)


def mixed(directory: Path, keys: int) -> Iterator[Figure]:
    """90 % get, 9 % save and 1 % delete by 4 processes at once."""
    processes, each = 4, 2_000
    peers: list[type[Peer]] = [KycliPeer, DiskcachePeer, SqlitedictPeer]
    loads = {peer.name: Load(peer, directory, processes) for peer in peers if peer.installed()}

    def way(load: Load) -> Callable[[], float]:
        def run() -> float:
            load.prepare(each)
            return load.run()

        return run

    took = medians({name: way(load) for name, load in loads.items()}, 7)
    operation = f"mixed load, {processes} processes"
    for name, load in loads.items():
        failed, lost = load.finish()
        if name == "kycli":
            yield Figure(
                operation, f"{failed} failed, {lost} writes lost", "none", not failed and not lost
            )
        speed = processes * each / took[name]
        yield Figure(operation, f"{name}: {speed:,.0f} calls/s")
    for name in [name for name in loads if name != "kycli"]:
        times = took[name] / took["kycli"]
        yield Figure(operation, f"{times:.2f} x {name}'s throughput", "at least 5", times >= 5)


BARS = {
    "cached": cached,
    "uncached": uncached,
    "others": others,
    "save": save,
    "save_many": save_many,
    "rows": rows,
    "open": opening,
    "mixed": mixed,
}
