"""The store's calls for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from kycli.errors import MisuseError

if TYPE_CHECKING:
    from kycli.core.storage import Kycore

T = TypeVar("T")


def call(store: Kycore, function: Callable[[], T]) -> Coroutine[Any, Any, T]:
    """Return an awaitable that runs ``function`` in a thread of the event loop's pool.

    Raises:
        MisuseError: inside a transaction of the store: the other thread would wait
            for the end of the block, which waits for it.
    """
    if store._in_transaction():
        raise MisuseError(
            "asynchronous calls do not work inside a transaction of the same store",
            hint="use the plain calls inside of it",
        )
    return asyncio.to_thread(function)
