"""The calls for asyncio."""

from __future__ import annotations

import asyncio

import pytest

from kycli import Kycore
from kycli.errors import InvalidKeyError, MisuseError


def test_saving_and_reading(store: Kycore) -> None:
    async def work() -> None:
        assert await store.save_async("k", [1], ttl=5) == "created"
        assert await store.getkey_async("k") == [1]
        assert await store.getkey_async("missing", "none") == "none"
        assert await store.save_async("k", 2, scope="other", if_absent=True) == "created"
        assert await store.getkey_async("k", scope="other") == 2
        with pytest.raises(InvalidKeyError):
            await store.save_async("", 1)

    asyncio.run(work())


def test_many_at_once(store: Kycore) -> None:
    async def work() -> None:
        statuses = await asyncio.gather(*(store.save_async(f"k{i}", i) for i in range(200)))
        assert statuses == ["created"] * 200
        values = await asyncio.gather(*(store.getkey_async(f"k{i}") for i in range(200)))
        assert values == list(range(200))

    asyncio.run(work())


def test_the_event_loop_goes_on_while_a_call_waits_for_a_lock(store: Kycore) -> None:
    async def work() -> None:
        with Kycore(store.path) as other:
            with other.transaction():
                waiting = asyncio.create_task(store.save_async("k", 1))
                ticks = 0
                for _ in range(10):
                    await asyncio.sleep(0.01)
                    ticks += 1
                assert not waiting.done()
            assert await waiting == "created"
            assert ticks == 10

    asyncio.run(work())


def test_inside_a_transaction_of_the_store_they_are_refused(store: Kycore) -> None:
    async def work() -> None:
        with store.transaction():
            with pytest.raises(MisuseError):
                await store.save_async("k", 1)
            store.save("k", 2)
        assert await store.getkey_async("k") == 2

    asyncio.run(work())
