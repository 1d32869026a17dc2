"""The bars of the command line, of scopes, of counting together and of asyncio."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import apsw
from timing import Figure, limit, medians, timed

from kycli import Kycore


def start(directory: Path, keys: int) -> Iterator[Figure]:
    """`kyg key` and `kys key value` as whole processes, against `python -c pass`."""
    path = directory / "start.db"
    with Kycore(path) as store:
        store.save("key", "value")
    environment = {**os.environ, "KYCLI_DB_PATH": str(path), "HOME": str(directory)}
    environment.pop("KYCLI_CONFIG", None)
    programs = Path(sys.executable).parent
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "python -c 'import apsw'": [sys.executable, "-c", "import apsw"],
        "kyg key": [str(programs / "kyg"), "key"],
        "kys key value": [str(programs / "kys"), "key", "value"],
    }
    quiet = subprocess.DEVNULL

    def way(command: list[str]) -> Callable[[], float]:
        run = partial(subprocess.run, command, env=environment, stdout=quiet, check=True)
        return lambda: timed(run)

    took = medians({name: way(command) for name, command in commands.items()}, 40)
    base = took.pop("python -c pass")
    yield Figure("start", f"python -c pass: {base * 1e3:.1f} ms")
    for name, seconds in took.items():
        if name == "kyg key":
            yield limit(f"start: {name}", seconds / base, "python -c pass", 1.6)
        else:
            yield Figure(f"start: {name}", f"{seconds / base:.2f} x python -c pass")


def scopes(directory: Path, keys: int) -> Iterator[Figure]:
    """Listing 20 scopes costs the same with few keys and with many."""
    times = {}
    for count in (keys // 100, keys):
        with Kycore(directory / f"scopes{count}.db") as store:
            for number in range(20):
                pairs = ((f"key {i}", i) for i in range(count // 20))
                store.save_many(pairs, scope=f"project{number}.data")
            assert len(store.scopes()) == 20
            times[count] = statistics.median(timed(store.scopes) for _ in range(200))
        os.unlink(directory / f"scopes{count}.db")
    few, many = times.values()
    yield Figure(
        f"listing 20 scopes, {keys:,} keys",
        f"{many * 1e3:.3f} ms, {many / few:.2f} x that of {keys // 100:,} keys",
        "at most 10 ms",
        many <= 0.010,
    )


def count(directory: Path, keys: int) -> Iterator[Figure]:
    """8 processes add 1 to the same key 1,000 times each."""
    path = directory / "count.db"
    code = (
        "import sys; from kycli import Kycore; store = Kycore(sys.argv[1])\n"
        "for _ in range(1000): store.incr('n')"
    )
    begin = time.perf_counter()
    processes = [subprocess.Popen([sys.executable, "-P", "-c", code, str(path)]) for _ in range(8)]
    failed = sum(process.wait() != 0 for process in processes)
    seconds = time.perf_counter() - begin
    with Kycore(path) as store:
        total = store["n"]
    yield Figure(
        "8 processes, 1,000 incr each",
        f"sum {total}, {failed} failed, in {seconds:.2f} s",
        "8000 and none",
        total == 8000 and failed == 0,
    )


def asynchronous(directory: Path, keys: int) -> Iterator[Figure]:
    """An awaited get, in the ways that APSW and asyncio offer."""
    path = directory / "async.db"
    with Kycore(path) as store:
        store.save("key", "value")
        times = asyncio.run(_awaited(path, store))
    for name, samples in times.items():
        yield Figure("awaited get", f"{name}: {statistics.median(samples) * 1e6:.1f} µs")


async def _awaited(path: Path, store: Kycore) -> dict[str, list[float]]:
    loop = asyncio.get_running_loop()
    sql = "SELECT value FROM kvstore WHERE scope = 'default' AND key = ?"
    connection = await apsw.Connection.as_async(str(path))
    pool = ThreadPoolExecutor(1)

    async def plain() -> object:
        return store.getkey("key")

    async def by_apsw() -> object:
        cursor = await connection.execute(sql, ("key",))
        return await cursor.get

    async def by_pool() -> object:
        return await loop.run_in_executor(pool, store.getkey, "key")

    ways: dict[str, Callable[[], Awaitable[object]]] = {
        "getkey, not awaited": plain,
        "getkey_async (asyncio.to_thread)": lambda: store.getkey_async("key"),
        "a thread of its own": by_pool,
        "apsw's async connection": by_apsw,
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(10):
        for name, way in ways.items():
            begin = time.perf_counter()
            for _ in range(200):
                assert await way() == "value"
            times[name].append((time.perf_counter() - begin) / 200)
    await connection.aclose()
    pool.shutdown()
    return times


BARS = {"start": start, "scopes": scopes, "count": count, "async": asynchronous}
