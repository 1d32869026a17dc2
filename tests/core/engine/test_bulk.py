"""``save_many`` writes many new keys with one statement: the seams where it does not."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Clock

from kycli import Kycore
from kycli.errors import StorageError


def test_keys_that_exist_stand_among_new_ones(store: Kycore) -> None:
    store.save_many((f"k{n:04}", "old") for n in range(0, 1000, 37))
    assert store.save_many((f"k{n:04}", n) for n in range(1000)) == 1000
    assert list(store.values()) == list(range(1000))
    for n in range(1000):
        entry = store.get_entry(f"k{n:04}")
        assert entry is not None
        assert entry.version == (1 if n % 37 else 2)
        assert len(store.get_history(f"k{n:04}")) == entry.version


def test_a_key_given_twice_keeps_its_last_value(store: Kycore) -> None:
    chance = random.Random(1)
    pairs = [(f"k{chance.randrange(200)}", n) for n in range(2000)]
    assert store.save_many(pairs) == 2000
    assert dict(store.items()) == dict(pairs)


def test_keys_that_were_deleted_go_on_where_they_left_off(store: Kycore) -> None:
    store.save_many((f"k{n}", n) for n in range(100))
    store.delete("k50")
    store.delete_many(f"k{n}" for n in range(0, 100, 10) if n != 50)
    store.save_many((f"k{n}", str(n)) for n in range(100))
    for n in range(100):
        entry = store.get_entry(f"k{n}")
        assert entry is not None
        assert entry.version == 2


def test_expired_keys_are_archived_first(store: Kycore, clock: Clock) -> None:
    store.save_many(((f"k{n}", "old") for n in range(100)), ttl=1)
    clock.advance(2)
    store.save_many((f"k{n}", "new") for n in range(100))
    assert [row.operation for row in store.get_history("k7")][:2] == ["created", "expired"]


def test_the_iterable_finds_what_it_has_yielded(store: Kycore) -> None:
    def pairs() -> Iterator[tuple[str, int]]:
        yield "k0", 1
        for n in range(1, 100):
            yield f"k{n}", store[f"k{n - 1}"] + 1

    assert store.save_many(pairs()) == 100
    assert store["k99"] == 100


def test_the_iterable_may_write(store: Kycore) -> None:
    def pairs() -> Iterator[tuple[str, Any]]:
        for n in range(100):
            store.save("last", n)
            store.save_many([(f"inner{n}", n)])
            yield f"k{n}", store.incr("count")

    assert store.save_many(pairs()) == 100
    assert (store["last"], store["count"], store["k99"], len(store)) == (99, 100, 100, 202)


def test_all_kinds_of_values_and_sizes(store: Kycore) -> None:
    chance = random.Random(2)
    values: list[Any] = ["text", "ü" * 300, b"\0\xff", 7, 2**80, -0.0, True, None, {"a": [1]}]
    values += ["x" * size for size in (511, 512, 513, 5000)]
    pairs = [(f"k{n}", chance.choice(values)) for n in range(1000)]
    store.save_many(pairs)
    assert {key: repr(value) for key, value in store.items()} == {
        key: repr(value) for key, value in pairs
    }


@pytest.mark.parametrize("at", [0, 31, 32, 33, 999])
def test_all_or_none(store: Kycore, at: int) -> None:
    def pairs() -> Iterator[tuple[str, int]]:
        for n in range(1000):
            if n == at:
                raise LookupError
            yield f"k{n}", n

    store.save("before", 1)
    with pytest.raises(LookupError):
        store.save_many(pairs())
    assert dict(store.items()) == {"before": 1}
    assert len(store.get_history()) == 1


def test_it_is_one_change(store: Kycore) -> None:
    store.save_many((f"k{n}", n) for n in range(100))
    assert len({row.change for row in store.get_history()}) == 1
    store.undo()
    assert len(store) == 0


def test_a_full_disk_leaves_nothing(path: Path) -> None:
    with Kycore(path) as store:
        store.save("before", 1)
        store._query("PRAGMA max_page_count = 200")
        with pytest.raises(StorageError):
            store.save_many((f"k{n}", "x" * 100) for n in range(100_000))
        assert list(store) == ["before"]
        store._query("PRAGMA max_page_count = 1000000")
        assert store.save_many((f"k{n}", "x" * 100) for n in range(1000)) == 1000


@pytest.mark.parametrize("fails", [True, False])
def test_a_transaction_within_the_iterable_is_kept_or_undone_whole(
    store: Kycore, fails: bool
) -> None:
    def pairs() -> Iterator[tuple[str, int]]:
        yield "first", 0
        try:
            with store.transaction():
                for n in range(40):
                    yield f"k{n}", n
                if fails:
                    raise KeyError
        except KeyError:
            pass
        yield "last", 0

    store.save_many(pairs())
    assert len(store) == (2 if fails else 42)
