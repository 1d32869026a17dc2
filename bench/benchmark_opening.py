"""Opening and closing a store of 10,000 keys; the first answer counts as a part of opening."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import Measure
from peers import Peer, offering
from workload import KEYS, value


@pytest.mark.benchmark(group="open, with the first get")
@pytest.mark.parametrize("peer", offering("open"))
def test_open(measure: Measure, store: Peer) -> None:
    def opened() -> object:
        store.open()
        return store.get(KEYS[0])

    def closings() -> Iterator[tuple[()]]:
        while True:
            store.close()
            yield ()

    measure(store, opened, closings(), rounds=100, right=lambda answer, _: answer == value(KEYS[0]))


@pytest.mark.benchmark(group="close, after a save")
@pytest.mark.parametrize("peer", offering("close"))
def test_close(measure: Measure, store: Peer) -> None:
    """What was saved is still there when the store is opened again."""
    store.close()
    saved = 0
    lost = 0

    def openings() -> Iterator[tuple[()]]:
        nonlocal saved, lost
        while True:
            store.open()
            lost += saved > 0 and store.get(KEYS[0]) != value(KEYS[0], saved)
            saved += 1
            store.save(KEYS[0], value(KEYS[0], saved))
            yield ()

    # The fixture closes the store once more, which each peer takes calmly or is opened for.
    measure(store, lambda: store.close(), openings(), rounds=100, right_after=lambda: lost == 0)
    store.open()
