"""Signals that arrive at any step of any statement, also while transactions begin and end."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import apsw
import pytest

from kycli import Kycore
from kycli.core import opening, storage
from kycli.errors import InvalidValueError, MisuseError


class Alarm(Exception):
    """Raised by the handler of the signal, wherever the program is."""


def raise_alarm(number: int, frame: FrameType | None) -> None:
    raise Alarm


@pytest.fixture(autouse=True)
def alarmed(monkeypatch: pytest.MonkeyPatch, no_collector: None) -> Iterator[None]:
    """Signals are heeded at each step of SQLite's, and raise."""
    monkeypatch.setattr(opening, "_STEPS_BETWEEN_SIGNALS", 1)
    before = signal.signal(signal.SIGALRM, raise_alarm)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def interrupted(work: Callable[[], Any], seconds: float) -> bool:
    """Do the work, with a signal after some time; return whether it came before the end."""
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        work()
        signal.setitimer(signal.ITIMER_REAL, 0)
    except Alarm:
        return True
    return False


@pytest.mark.alone
@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("durability", ["normal", "async"])
def test_a_signal_leaves_all_or_nothing_and_a_store_to_go_on_with(
    path: Path, native: bool, durability: Any
) -> None:
    storage._use_native_statements(native)
    chance = random.Random(1)
    stopped = 0
    try:
        with Kycore(path, durability=durability) as store, Kycore(path) as other:
            for number in range(20):
                store.save("warm", number)

            def nested(number: int) -> None:
                with store.transaction():
                    store.save("outer", number)
                    try:
                        with store.transaction():
                            store.save("inner", number)
                            raise LookupError
                    except LookupError:
                        pass
                    store.save("last", number)

            began = time.perf_counter()
            for number in range(20):
                nested(number)
            usual = (time.perf_counter() - began) / 20
            for number in range(400):
                if interrupted(partial(nested, number), chance.uniform(1e-5, usual)):
                    stopped += 1
                    usual *= 1.1
                else:  # the machine may have been busier when it was measured
                    usual *= 0.95
                signal.setitimer(signal.ITIMER_REAL, 0)
                found = dict(other.items())
                assert "inner" not in found
                assert found.get("outer") == found.get("last")
                assert store.save("after", number) in ("created", "overwritten")
                store.flush()
                assert other["after"] == number
                assert store.delete("after")
    finally:
        storage._use_native_statements(True)
    assert stopped > 40


@pytest.mark.parametrize("value", [bytes(1_000_000_001), {"a": 1}])
def test_what_is_too_large_is_refused_and_changes_nothing(store: Kycore, value: Any) -> None:
    store.save("k", "precious")
    if type(value) is bytes:
        with pytest.raises(InvalidValueError, match="too large"):
            store.save("k", value)
        assert store["k"] == "precious"
    else:
        assert store.save("k", value) == "overwritten"


def test_a_snapshot_inside_a_transaction_reads_only(store: Kycore) -> None:
    with store.transaction():
        store.save("k", 1)
        with store.snapshot():
            assert store["k"] == 1
            with pytest.raises(MisuseError):
                store.save("k", 2)
        store.save("k", 3)
    assert store["k"] == 3


@pytest.mark.damages
def test_a_damaged_value_does_not_stop_the_sweeping(path: Path) -> None:
    now = 1_000_000
    with Kycore(path, clock=lambda: now) as store:
        store.save_many(((f"k{n}", "v") for n in range(50)), ttl=1)
    connection = apsw.Connection(str(path))
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)  # which would refuse it
    connection.execute(
        "UPDATE kvstore SET value = CAST(x'ff' AS TEXT), expires_at = 1 WHERE key = 'k7'"
    )
    connection.close()
    now += 10_000
    with Kycore(path, clock=lambda: now) as store:
        for number in range(5):
            now += 2_000
            store.save("new", number)
        assert store._query("SELECT count(*) FROM kvstore WHERE key <> 'new'") == [(0,)]
