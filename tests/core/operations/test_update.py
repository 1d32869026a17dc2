"""Changing a value by a function, and taking a key out."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from conftest import Clock

from kycli import Kycore
from kycli.errors import (
    ConflictError,
    InvalidKeyError,
    InvalidValueError,
    MissingKeyError,
    MisuseError,
    WrongTypeError,
)


def test_a_function_makes_the_new_value(store: Kycore) -> None:
    store.save("k", [1, 2])
    assert store.update("k", lambda value: [*value, 3]) == [1, 2, 3]
    assert store["k"] == [1, 2, 3]
    change = store.get_history("k")[0]
    assert (change.operation, change.version) == ("overwritten", 2)


def test_the_same_value_again_is_no_event(store: Kycore) -> None:
    store.save("k", "v")
    assert store.update("k", lambda value: value) == "v"
    assert len(store.get_history("k")) == 1


def test_a_missing_key_needs_a_default(store: Kycore, clock: Clock) -> None:
    store.save("gone", 1, ttl=5)
    clock.advance(5)
    for key in ("k", "gone"):
        with pytest.raises(MissingKeyError, match=f"no key '{key}'"):
            store.update(key, lambda value: value)
    assert store.update("k", lambda value: value + 1, 0) == 1
    assert store.update("k", lambda value: value + 1, 0) == 2
    assert store.update("none", lambda value: value, None) is None
    assert "none" in store


def test_the_default_is_never_the_one_that_was_given(store: Kycore) -> None:
    default: dict[str, int] = {}

    def count(value: dict[str, int]) -> dict[str, int]:
        value["n"] = value.get("n", 0) + 1
        return value

    assert store.update("a", count, default) == {"n": 1}
    assert default == {}


def test_the_lifetime_stays(store: Kycore, clock: Clock) -> None:
    store.create_cache("shop.cache", 60)
    store.save("k", 1, ttl=30)
    clock.advance(10)
    store.update("k", lambda value: value + 1)
    assert store.ttl("k") == 20
    store.update("new", lambda value: value, 1)
    assert store.ttl("new") == math.inf
    store.update("new", lambda value: value, 1, scope="shop.cache")
    assert store.ttl("new", scope="shop.cache") == 60


def test_a_function_that_raises_changes_nothing(store: Kycore) -> None:
    store.save("k", 1)
    with pytest.raises(ZeroDivisionError):
        store.update("k", lambda value: value / 0)
    with pytest.raises(WrongTypeError):
        store.update("k", lambda value: object())
    with pytest.raises(InvalidValueError):
        store.update("k", lambda value: "\ud800")
    assert len(store.get_history("k")) == 1


def test_a_value_that_has_changed_meanwhile_is_read_again(path: Path) -> None:
    with Kycore(path) as store, Kycore(path) as other:
        store.save("k", 1)
        seen = []

        def slowly(value: int) -> int:
            seen.append(value)
            if len(seen) < 4:
                other.save("k", value * 10)
            return value + 1

        assert store.update("k", slowly) == 1001
        assert seen == [1, 10, 100, 1000]
        assert store["k"] == 1001


def test_no_lock_is_held_while_the_function_runs(path: Path) -> None:
    with Kycore(path) as store, Kycore(path, busy_timeout_ms=0) as other:
        store.save("k", 1)

        def write_elsewhere(value: int) -> int:
            assert other.save("other", value) == "created"
            return value + 1

        assert store.update("k", write_elsewhere) == 2


def test_a_key_that_comes_or_goes_meanwhile_counts_as_changed(path: Path) -> None:
    with Kycore(path) as store, Kycore(path) as other:
        seen: list[Any] = []

        def create(value: int) -> int:
            seen.append(value)
            other.save("k", 5, if_absent=True)
            return value + 1

        assert store.update("k", create, 0) == 6
        assert seen == [0, 5]

        def remove(value: int) -> int:
            other.delete("k")
            return value + 1

        with pytest.raises(MissingKeyError):
            store.update("k", remove)
        assert "k" not in store


def test_a_value_put_back_under_the_same_version_is_not_taken_for_the_old_one(path: Path) -> None:
    with Kycore(path) as store, Kycore(path) as other:
        store.save("k", "old")
        seen: list[str] = []

        def replaced(value: str) -> str:
            seen.append(value)
            if len(seen) == 1:
                other.delete("k")
                other.compact(0)  # so that the version begins anew
                other.save("k", "new")
            return value + "!"

        assert store.update("k", replaced) == "new!"
        assert seen == ["old", "new"]


def test_another_lifetime_is_no_other_value(store: Kycore) -> None:
    store.save("k", 1)
    calls = []

    def renewed(value: int) -> int:
        calls.append(value)
        store.expire("k", 60 + len(calls))
        return value + 1

    assert store.update("k", renewed) == 2
    assert calls == [1]
    assert store.ttl("k") == 61


def test_attempts_are_bounded(path: Path) -> None:
    with Kycore(path) as store, Kycore(path) as other:
        store.save("k", 0)
        calls = []

        def never(value: int) -> int:
            calls.append(value)
            other.incr("k")
            return -1

        with pytest.raises(ConflictError, match="'k' has changed during each of 3 attempts"):
            store.update("k", never, attempts=3)
        assert (len(calls), store["k"]) == (3, 3)


def test_inside_a_transaction_and_inside_a_snapshot(store: Kycore) -> None:
    store.save("k", 1)
    with store.transaction():
        store.update("k", lambda value: value + 1)
        store.update("k", lambda value: value + 1)
    assert store["k"] == 3
    assert store.undo() == 1
    assert store["k"] == 1
    calls: list[int] = []
    with store.snapshot(), pytest.raises(MisuseError):
        store.update("k", calls.append)
    assert calls == []


@pytest.mark.parametrize("attempts", [0, -1, 1.5, True, None])
def test_what_makes_no_sense_is_refused(store: Kycore, attempts: Any) -> None:
    store.save("k", 1)
    with pytest.raises((WrongTypeError, InvalidValueError)):
        store.update("k", str, attempts=attempts)
    with pytest.raises(WrongTypeError):
        store.update("k", "text")  # type: ignore[arg-type]
    with pytest.raises(InvalidKeyError):
        store.update("", str)


WORKER = """
import sys
from kycli import Kycore
with Kycore(sys.argv[1]) as store:
    for _ in range(50):
        store.update("n", lambda n: n + 1, 0)
"""


def test_no_update_is_lost_among_threads_and_processes(path: Path) -> None:
    workers = [subprocess.Popen([sys.executable, "-c", WORKER, str(path)]) for _ in range(3)]
    with Kycore(path) as store:

        def count() -> None:
            for _ in range(50):
                store.update("n", lambda n: n + 1, 0)

        threads = [threading.Thread(target=count) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [worker.wait(60) for worker in workers] == [0, 0, 0]
        assert store["n"] == 300


def test_pop_takes_the_key_and_returns_its_value(store: Kycore, clock: Clock) -> None:
    store.save_many({"a": [1], "none": None})
    assert store.pop("a") == [1]
    assert "a" not in store
    assert store.pop("none") is None
    assert store.get_history("a")[0].operation == "deleted"
    assert store.restore("a") == "restored"
    store.save("b", 1, ttl=5)
    clock.advance(5)
    with pytest.raises(MissingKeyError, match="no key 'b'"):
        store.pop("b")
    assert store.pop("b", 7) == 7
    assert store.pop("b", None) is None
    store.save("c", 1, scope="x.y")
    assert store.pop("c", None) is None
    assert store.pop("c", scope="x.y") == 1
