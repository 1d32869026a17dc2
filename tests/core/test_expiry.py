"""Keys that expire: gone to the millisecond, swept a few at a time."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import apsw
import pytest
from conftest import Clock

from kycli import Kycore
from kycli.core import layout, storage
from kycli.errors import ConflictError, InvalidScopeError, InvalidTTLError, MissingKeyError


def rows(path: Path, sql: str) -> list[Any]:
    connection = apsw.Connection(str(path))
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def test_a_key_is_gone_the_millisecond_it_expires_in_every_way_of_looking(
    store: Kycore, clock: Clock
) -> None:
    store.save("key", "v", ttl=1)
    store.save("stays", 1)
    clock.advance(0.999)
    assert store["key"] == "v"
    assert store.ttl("key") == 0.001
    assert len(store) == 2
    clock.advance(0.001)
    assert len(store) == 1
    assert list(store) == ["stays"]
    assert list(store.scan()) == [("stays", 1)]
    assert [entry.key for entry in store.entries()] == ["stays"]
    assert store.get_many(["key", "stays"]) == {"stays": 1}
    assert store.ttl("key") is None
    assert store.expire("key", 5) is False
    assert store.persist("key") is False
    assert store.copy("key", "other") is False
    assert store.get_entry("key") is None
    assert "key" not in store
    assert store.delete("key") is False


def test_an_expired_key_does_not_count_as_there_for_writes(store: Kycore, clock: Clock) -> None:
    for key in ("a", "b", "c", "d", "e"):
        store.save(key, 5, ttl=1)
    clock.advance(1)
    assert store.save("a", 5) == "created"
    assert store.incr("b") == 1
    assert store.append("c", "x") == 1
    assert store.getset("d", 1, "none") == "none"
    assert store.save("e", 1, if_version=0) == "created"
    assert store.delete_many(["a", "b"]) == 2


def test_a_read_that_meets_an_expired_key_archives_it(
    store: Kycore, clock: Clock, path: Path
) -> None:
    store.save("key", "x" * 600, ttl=1)
    clock.advance(1)
    assert store.getkey("key", include_expired=True) == "x" * 600
    assert [e.key for e in store.entries(include_expired=True)] == ["key"]
    entry = store.get_entry("key", include_expired=True)
    assert entry is not None
    assert entry.expires_at == clock.now
    assert store.getkey("key") is None
    assert store.getkey("key", include_expired=True) is None
    assert rows(path, "SELECT key, value, op, deleted_at FROM archive") == [
        ("key", "x" * 600, 4, clock.now)
    ]


def test_writes_sweep_a_bounded_number_of_expired_rows(
    store: Kycore, clock: Clock, path: Path
) -> None:
    store.save_many(((f"old{i:04}", i) for i in range(1000)), ttl=1)
    clock.advance(2)
    left = []
    for i in range(20):
        store.save("new", i)
        left.append(rows(path, "SELECT count(*) FROM kvstore")[0][0] - 1)
    assert left[0] >= 900
    assert all(before - after <= 66 for before, after in pairwise(left))
    assert left[-1] == 0


def test_a_write_of_many_rows_sweeps_as_many(store: Kycore, clock: Clock, path: Path) -> None:
    store.save_many(((f"old{i}", i) for i in range(500)), ttl=1)
    clock.advance(2)
    store.save_many((f"new{i}", i) for i in range(500))
    assert rows(path, "SELECT count(*) FROM kvstore WHERE key LIKE 'old%'") == [(0,)]


def test_sweeping_uses_the_index_of_what_expires(store: Kycore, path: Path) -> None:
    sql = storage._EXPIRED  # type: ignore[attr-defined]
    plan = [row[3] for row in store._query(f"EXPLAIN QUERY PLAN {sql}", (5, 9))]
    assert any("INDEX kvstore_expiry" in line for line in plan)
    assert not any("TEMP B-TREE" in line for line in plan)


def test_sweeping_costs_what_is_swept_not_what_has_expired(store: Kycore, clock: Clock) -> None:
    """Counts SQLite's own steps, which do not depend on the machine."""

    def steps(expired: int) -> int:
        with Kycore(":memory:", clock=clock) as memory:
            memory.save_many(((f"k{i}", i) for i in range(expired)), ttl=1)
            plan = storage._EXPIRED  # type: ignore[attr-defined]
            connection = apsw.Connection(":memory:")
            connection.execute(layout.SCHEMA)
            for row in memory._query("SELECT * FROM kvstore"):
                connection.execute(f"INSERT INTO kvstore VALUES ({', '.join('?' * len(row))})", row)
        total = 0

        def count() -> bool:
            nonlocal total
            total += 1
            return False

        connection.set_progress_handler(count, 1)
        assert len(connection.execute(plan, (clock.now + 5000, 10)).fetchall()) == 10
        connection.close()
        return total

    assert steps(2000) < steps(100) * 1.2


def test_a_save_without_ttl_makes_a_key_permanent(store: Kycore, clock: Clock) -> None:
    store.save("key", "v", ttl=5)
    assert store.save("key", "v") == "nochange"
    assert store.ttl("key") == math.inf
    assert store.save("key", "v", ttl="1m") == "nochange"
    assert store.ttl("key") == 60
    clock.advance(60)
    assert "key" not in store


def test_expire_and_persist_change_the_lifetime_and_not_the_version(
    store: Kycore, clock: Clock
) -> None:
    store.save("key", "x" * 600)
    assert store.expire("key", "2h") is True
    assert store.ttl("key") == 7200
    assert store.persist("key") is True
    assert store.persist("key") is True
    assert store.ttl("key") == math.inf
    entry = store.get_entry("key")
    assert entry is not None
    assert (entry.value, entry.version, entry.expires_at) == ("x" * 600, 1, None)


@pytest.mark.parametrize(
    "ttl", [0, -1, "0", "-5s", "", "s", "soon", "5 s", "1d2h", math.nan, math.inf, "nan", "1_0",
            "1e400", True, b"5", [5], "٣s", 10**15]
)  # fmt: skip
def test_a_bad_ttl_is_refused_and_changes_nothing(store: Kycore, ttl: Any) -> None:
    store.save("key", "old")
    for call in (
        lambda: store.save("key", "new", ttl=ttl),
        lambda: store.save_many({"key": "new"}, ttl=ttl),
        lambda: store.getset("key", "new", ttl=ttl),
        lambda: store.expire("key", ttl),
        lambda: store.create_cache("p.n", ttl),
    ):
        with pytest.raises(InvalidTTLError) as caught:
            call()
        assert isinstance(caught.value, ValueError)
        assert caught.value.hint
    assert store["key"] == "old"
    assert store.ttl("key") == math.inf


@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [(1, 1), (0.0001, 0.001), ("30s", 30), ("5m", 300), ("2h", 7200), ("1d", 86400),
     ("1w", 604800), ("1M", 30 * 86400), ("1y", 365 * 86400), ("1.5m", 90), ("0.25", 0.25)],
)  # fmt: skip
def test_ways_to_write_a_ttl(store: Kycore, ttl: Any, seconds: float) -> None:
    store.save("key", 1, ttl=ttl)
    assert store.ttl("key") == seconds


def test_in_a_namespace_the_lifetime_is_the_namespaces(store: Kycore, clock: Clock) -> None:
    calls: list[Callable[[], object]] = [
        lambda: store.save("key", 1, ttl=5, scope="p.n"),
        lambda: store.save("key", 1, ttl=5, scope="p.n", if_absent=True),
        lambda: store.save_many({"key": 1}, ttl=5, scope="p.n"),
        lambda: store.getset("key", 1, ttl=5, scope="p.n"),
    ]
    for call in calls:
        with pytest.raises(InvalidTTLError) as caught:
            call()
        assert "kycli admin create-cache p.n timeout=SEC" in str(caught.value.hint)
    assert store.scopes() == []
    store.save("key", 1, scope="p.n")
    with pytest.raises(InvalidTTLError):
        store.expire("key", 5, scope="p.n")
    assert store.ttl("key", scope="p.n") == math.inf

    store.create_cache("p.n", 30)
    assert store.ttl("key", scope="p.n") == math.inf
    store.save("key", 2, scope="p.n")
    store.save("own", 1, ttl=5, scope="p.n")
    store.save_many({"many": 1}, scope="p.n")
    store.incr("count", scope="p.n")
    assert [store.ttl(k, scope="p.n") for k in ("key", "own", "many", "count")] == [30, 5, 30, 30]
    clock.advance(30)
    assert store.listkeys(scope="p.n") == []


def test_caches_are_declared_changed_and_dropped(store: Kycore) -> None:
    store.create_cache("p.a", "1m")
    store.create_cache("b.c", 0.5)
    assert store.caches() == {"b.c": 0.5, "p.a": 60}
    with pytest.raises(ConflictError, match="already"):
        store.create_cache("p.a", 5)
    store.set_cache("p.a", 5)
    store.drop_cache("b.c")
    assert store.caches() == {"p.a": 5}
    refused: list[Callable[[], object]] = [
        lambda: store.set_cache("b.c", 5),
        lambda: store.drop_cache("b.c"),
    ]
    for call in refused:
        with pytest.raises(MissingKeyError, match="not a cache"):
            call()
    for plain in ("p", "p.default"):
        with pytest.raises(InvalidScopeError, match="no namespace"):
            store.create_cache(plain, 5)


def test_another_process_sees_a_cache_declared_after_it_opened(path: Path, clock: Clock) -> None:
    with Kycore(path, clock=clock) as first, Kycore(path, clock=clock) as second:
        second.save("key", 1, scope="p.n")
        first.create_cache("p.n", 5)
        second.save("key", 2, scope="p.n")
        assert first.ttl("key", scope="p.n") == 5


def test_a_read_is_answered_also_when_nothing_can_be_archived(store: Kycore, clock: Clock) -> None:
    store.save("k", 1, ttl=1)
    clock.advance(1)
    store._query("PRAGMA query_only = 1")
    assert store.getkey("k", "gone") == "gone"
    assert "k" not in store
    assert store.get_entry("k") is None
    store._query("PRAGMA query_only = 0")
    store.save("l", 1)
    assert list(store) == ["l"]


def test_a_key_that_had_expired_is_archived_as_expired_also_by_its_deletion(
    store: Kycore, clock: Clock
) -> None:
    store.save_many({"a": 1, "ab": 2}, ttl=1)
    clock.advance(1)
    assert store.delete("a") is False
    assert store.delete_many(prefix="a") == 0
    assert store._query("SELECT key, op FROM archive ORDER BY key") == [("a", 4), ("ab", 4)]


def test_the_lifetime_of_many_counts_from_when_each_was_given(store: Kycore, clock: Clock) -> None:
    def slowly() -> Iterator[tuple[str, int]]:
        for i in range(3):
            clock.advance(1)
            yield f"k{i}", i

    store.save_many(slowly(), ttl=1.5)
    assert list(store) == ["k1", "k2"]
    assert store.ttl("k2") == 1.5


def test_a_new_lifetime_writes_no_large_value_again(store: Kycore) -> None:
    store.create_cache("p.cache", 60)
    store.save("k", "x" * 100_000, scope="p.cache")
    for i in range(20):
        store.expire("k", 60 + i, scope="p.cache")
    assert store.save("k", "x" * 100_000, ttl=5, scope="p.cache") == "nochange"
    assert store.getkey("k", scope="p.cache") == "x" * 100_000
    assert store._query("SELECT sum(length(value)) FROM audit_log") == [(100_000,)]
    store.delete("k", scope="p.cache")
    assert store._query("SELECT length(value) FROM archive") == [(100_000,)]


def test_the_clock_is_read_after_the_lock_was_waited_for(path: Path, clock: Clock) -> None:
    with Kycore(path, clock=clock) as store, Kycore(path, clock=clock) as other:
        store.save("k", "old", ttl=1)
        for value, writes in (("a", lambda: other.save("k", "a")), ("b", lambda: other.incr("n"))):
            thread = threading.Thread(target=writes)
            with store.transaction():
                thread.start()
                time.sleep(0.05)
                clock.advance(10)
                store.save("other", value)
            thread.join()
        entry = store.get_entry("k")
        assert entry is not None
        assert entry.updated_at == clock.now - 10_000
        assert store._query("SELECT count(*) FROM audit_log WHERE op = 4") == [(1,)]


def test_a_clock_set_back_does_not_stop_the_sweep(store: Kycore, clock: Clock, path: Path) -> None:
    store.save("key", 1, ttl=1)
    clock.advance(10_000)
    store.save("other", 1)
    clock.advance(-9_000)
    store.save("later", 1, ttl=1)
    clock.advance(2)
    store.save("other", 2)
    assert rows(path, "SELECT key FROM kvstore") == [("other",)]
