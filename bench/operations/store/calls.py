"""Calls of the Python API that have no peers: listing scopes, and an awaited get."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import apsw
from harness.measuring import Lab, Way, benchmark

from kycli import Kycore


@benchmark("scopes: list 20", peers=False)
def scopes(lab: Lab) -> None:
    """With many keys in them, and with a hundredth as many."""

    def listing(title: str, keys: int) -> Way:
        store = lab.stack.enter_context(Kycore(lab.directory / title))
        for number in range(20):
            pairs = ((f"key {i}", i) for i in range(keys // 20))
            store.save_many(pairs, scope=f"project{number}.data")
        return Way(title, store.scopes, right=lambda answer, _: len(answer) == 20)

    ways = [listing("few keys", lab.size.many // 100), listing("many keys", lab.size.many)]
    lab.measure("scopes: list 20", ways, rounds=200, scaled=False)


@benchmark("get: awaited", peers=False)
def awaited(lab: Lab) -> None:
    """A get in the ways that APSW and asyncio offer."""
    path = lab.directory / "async.db"
    store = lab.stack.enter_context(Kycore(path))
    store.save("key", "value")
    loop = asyncio.new_event_loop()
    lab.stack.callback(loop.close)
    lab.stack.callback(lambda: loop.run_until_complete(loop.shutdown_default_executor()))
    pool = lab.stack.enter_context(ThreadPoolExecutor(1))
    sql = "SELECT value FROM kvstore WHERE scope = 'default' AND key = ?"

    async def connect() -> Any:
        return await apsw.Connection.as_async(str(path))

    async def close() -> None:
        await connection.aclose()

    connection = loop.run_until_complete(connect())
    lab.stack.callback(lambda: loop.run_until_complete(close()))
    calls = lab.at_most(200)

    async def plain() -> object:
        return store.getkey("key")

    async def by_apsw() -> object:
        cursor = await connection.execute(sql, ("key",))
        return await cursor.get

    async def by_pool() -> object:
        return await loop.run_in_executor(pool, store.getkey, "key")

    def waiting(title: str, get: Callable[[], Awaitable[object]]) -> Way:
        async def repeated() -> list[object]:
            return [await get() for _ in range(calls)]

        return Way(
            title,
            lambda: loop.run_until_complete(repeated()),
            right=lambda answer, _: answer == ["value"] * calls,
        )

    ways = [
        waiting("getkey, not awaited", plain),
        waiting("getkey_async (asyncio.to_thread)", lambda: store.getkey_async("key")),
        waiting("a thread of its own", by_pool),
        waiting("apsw's async connection", by_apsw),
    ]
    lab.measure("get: awaited", ways, rounds=10, size=calls)
