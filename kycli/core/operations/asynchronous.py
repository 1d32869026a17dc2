"""The store's calls for asyncio.

A whole call runs in a thread of the event loop's pool, which is one hop to another
thread and back. APSW's own asynchronous connections hop for every statement and for
every row, which is dearer than that (``make bench ARGS='-k awaited'`` shows both), and
each is a second connection, whose transactions would not be the store's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from kycli.errors import MisuseError

if TYPE_CHECKING:
    from kycli.core.storage import Kycore

T = TypeVar("T")


async def call(store: Kycore, function: Callable[[], T]) -> T:
    """Run ``function`` in another thread, while the event loop goes on.

    Raises:
        MisuseError: inside a transaction of the store: the other thread would wait
            for the end of the block, which waits for it.
    """
    if store._in_transaction():
        raise MisuseError(
            "asynchronous calls do not work inside a transaction of the same store",
            hint="use the plain calls inside of it",
        )
    return await asyncio.to_thread(function)
