"""The cache of values: never stale, whoever writes, and off where that cannot be known."""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
from conftest import Clock

from kycli import Kycore
from kycli.core.values import Opaque

pytestmark = pytest.mark.usefixtures("_both_statements")

ENOUGH = 20  # reads after which a store has set up its cache


def warm(store: Kycore) -> Kycore:
    for _ in range(ENOUGH):
        store.getkey("warm")
    return store


def hits(store: Kycore) -> int:
    return store.cache_stats()["hits"]


@pytest.fixture
def other(path: Path, clock: Clock, store: Kycore) -> Any:
    """A second store on the same database, as another process would have it."""
    with Kycore(path, clock=clock) as other:
        yield other


@pytest.mark.parametrize("value", ["text", b"bytes", 7, 2.5, True, None, 2**70, "x" * 600])
def test_a_second_read_is_a_hit_and_the_same_value(store: Kycore, value: Any) -> None:
    store.save("k", value)
    warm(store)
    first = store.getkey("k", "missing")
    before = hits(store)
    second = store.getkey("k", "missing")
    assert hits(store) == before + 1
    assert (type(first), first) == (type(second), second) == (type(value), value)


def test_a_missing_key_is_cached_too(store: Kycore, other: Kycore) -> None:
    warm(store)
    store.getkey("k")
    before = hits(store)
    assert store.getkey("k", "default") == "default"
    assert "k" not in store
    assert hits(store) == before + 2
    other.save("k", 1)
    assert store["k"] == 1


def test_documents_are_never_shared(store: Kycore) -> None:
    store.save("k", {"list": [1]})
    warm(store)
    store["k"]["list"].append(2)
    assert store["k"] == {"list": [1]}


def test_every_kind_of_change_by_another_is_seen(
    store: Kycore, other: Kycore, clock: Clock
) -> None:
    warm(store)

    def both_ways(change: Callable[[], object], expected: Any) -> None:
        store.getkey("k")
        change()
        assert store.getkey("k") == expected
        assert store.getkey("k") == expected

    both_ways(lambda: other.save("k", 1), 1)
    both_ways(lambda: other.incr("k"), 2)
    both_ways(lambda: other.save_many({"k": "many"}), "many")
    both_ways(lambda: other.append("k", "y" * 600), "many" + "y" * 600)
    both_ways(lambda: other.delete("k"), None)
    both_ways(lambda: other.save("k", 3, ttl=5), 3)
    both_ways(lambda: other.persist("k"), 3)
    both_ways(lambda: clock.advance(5), 3)
    both_ways(lambda: other.expire("k", 5), 3)
    both_ways(lambda: clock.advance(5), None)
    both_ways(lambda: other.copy("source", "k"), None)
    both_ways(lambda: other.save("source", "s") and other.move("source", "k"), "s")
    both_ways(lambda: other.drop_scope("default"), None)
    both_ways(lambda: other.save("k", 9, scope="elsewhere"), None)
    both_ways(lambda: other.rename_scope("elsewhere", "default2"), None)
    assert store.getkey("k", scope="default2") == 9
    with other.transaction():
        other.save("k", "in a block")
        assert store.getkey("k") is None
    assert store.getkey("k") == "in a block"


def test_renaming_a_scope_empties_the_cache_of_its_names(store: Kycore, other: Kycore) -> None:
    store.save("k", 1, scope="a")
    warm(store)
    for _ in range(3):
        assert store.getkey("k", scope="a") == 1
        assert store.getkey("k", scope="b") is None
    other.rename_scope("a", "b")
    assert store.getkey("k", scope="a") is None
    assert store.getkey("k", scope="b") == 1


def test_many_changes_at_once_empty_the_cache(store: Kycore, other: Kycore) -> None:
    store.save("k", 1)
    warm(store)
    assert store["k"] == 1
    other.save_many((f"n{i}", i) for i in range(5000))
    other.save("k", 2)
    before = store.cache_stats()["flushes"]
    assert store["k"] == 2
    assert store.cache_stats()["flushes"] == before + 1
    assert store["n7"] == 7


def test_changes_of_other_keys_leave_entries_alone(store: Kycore, other: Kycore) -> None:
    store.save_many((f"k{i}", i) for i in range(100))
    warm(store)
    for i in range(100):
        store.getkey(f"k{i}")
    other.save("unrelated", 1)
    misses = store.cache_stats()["misses"]
    for i in range(100):
        assert store.getkey(f"k{i}") == i
    assert store.cache_stats()["misses"] == misses + 1


def test_own_writes_stay_cached(store: Kycore) -> None:
    warm(store)
    store.save("k", 1)
    store.save("other", 1)
    store.getkey("other")
    before = hits(store)
    assert store["k"] == 1
    assert hits(store) == before + 1


def test_an_expired_entry_is_archived_by_the_read_that_meets_it(
    store: Kycore, clock: Clock
) -> None:
    store.save("k", 1, ttl=5)
    warm(store)
    assert store["k"] == 1
    assert store["k"] == 1
    clock.advance(5)
    assert store.getkey("k") is None
    assert store.getkey("k", include_expired=True) is None
    assert store._query("SELECT key FROM archive") == [("k",)]


def test_inside_a_transaction_the_cache_is_passed_by(store: Kycore) -> None:
    store.save("k", 1)
    warm(store)
    assert store["k"] == 1
    with pytest.raises(ValueError, match="undo"), store.transaction():
        store.save("k", 2)
        assert store["k"] == 2
        assert store["k"] == 2
        raise ValueError("undo")
    assert store["k"] == 1


def test_limits_hold(path: Path) -> None:
    with Kycore(path, cache_entries=10, cache_bytes=100_000) as store:
        store.save_many((f"k{i}", "x" * 5000) for i in range(50))
        store.save_many(((f"k{i}", i) for i in range(50)), scope="other")
        store.save("huge", "x" * 50_000)
        warm(store)
        for scope in ("default", "other"):
            for i in range(50):
                store.getkey(f"k{i}", scope=scope)
                stats = store.cache_stats()
                assert stats["entries"] <= 10
                assert stats["bytes"] <= 100_000
        for _ in range(3):
            assert len(store["huge"]) == 50_000
        store.drop_scope("default")
        store.drop_scope("other")
        for _ in range(2):  # the second read finds the entry of the first, and looks at the log
            store.getkey("k1")
        assert store.cache_stats()["entries"] == 1


@pytest.mark.parametrize(
    "value",
    [
        *("", "x" * 1000, "é" * 1000, "ж" * 1000, "\U0001f511" * 1000, "x" * 999 + "\U0001f511"),
        *(b"x" * 1000, 10**3000, 10**18, 1.5, None),
    ],
    ids=lambda value: f"{type(value).__name__} {str(value)[-1:]!a}",
)
@pytest.mark.native_only
@pytest.mark.parametrize("saved", [True, False], ids=["saved", "read"])
def test_what_is_held_is_counted_at_least_at_what_it_takes(
    path: Path, value: Any, saved: bool
) -> None:
    def another(number: int) -> Any:
        """Return an object of its own that takes as much as the value."""
        if isinstance(value, str):
            return value[1:] + value[:1] if value else str(number)
        if isinstance(value, bytes):
            return value[1:] + value[:1]
        return value + number if isinstance(value, (int, float)) else value

    keys = [f"ключ {number}" for number in range(100)]
    with Kycore(path) as store:
        store.save_many((key, another(number)) for number, key in enumerate(keys))
        warm(store)
        for _ in range(2):  # what is set up at the first use is not the cache's
            for number, key in enumerate(keys[:2]):
                store.save(key, another(number + 1))
                store.getkey(key)
        gc.collect()
        tracemalloc.start()
        try:
            held, counted = tracemalloc.get_traced_memory()[0], store.cache_stats()
            for number, key in enumerate(keys[2:]):
                if saved:
                    store.save(key.upper(), another(number + 1))
                else:
                    store.getkey(key.lower())
            held = tracemalloc.get_traced_memory()[0] - held
        finally:
            tracemalloc.stop()
        stats = store.cache_stats()
        assert stats["entries"] - counted["entries"] >= len(keys) - 3
        assert stats["bytes"] - counted["bytes"] >= held


def test_what_the_store_wrote_itself_is_within_the_limits(path: Path) -> None:
    most = 1 << 20
    with Kycore(path, cache_bytes=most, cache_entries=20) as store:
        warm(store)
        tracemalloc.start()
        try:
            for number in range(300):
                store.save("k", bytes([number % 256]) * 100_000)
                assert store.cache_stats()["bytes"] <= most
            for number in range(300):
                store.save("k", number)
                assert store.cache_stats()["entries"] <= 20
            for number in range(20):
                store.save("k", bytes([number]) * 100_000)
            # One value more is kept by the statement that wrote it.
            assert tracemalloc.get_traced_memory()[0] < most + 200_000
        finally:
            tracemalloc.stop()
        assert store.cache_stats()["bytes"] > 100_000
        assert store["k"] == bytes([19]) * 100_000


def test_a_value_that_the_caller_could_change_is_not_cached(path: Path) -> None:
    with Kycore(path) as store:
        store.save("k", Opaque("enc:aGk="))
        warm(store)
        for _ in range(3):
            found = store["k"]
            assert found == Opaque("enc:aGk=")
            found.ciphertext = "enc:changed"


def test_an_own_write_that_is_too_large_to_cache_is_not_hidden_by_the_old_one(path: Path) -> None:
    with Kycore(path, cache_bytes=4000) as store:
        warm(store)
        for value in ("small", "x" * 400, "small", None, "x" * 600):
            if value is None:
                store.delete("k")
            else:
                store.save("k", value)
            for _ in range(3):
                assert store.getkey("k") == value


def test_the_accounts_are_exact(path: Path) -> None:
    with Kycore(path, cache_entries=200) as store:
        store.save_many(((f"k{i}", "x" * i) for i in range(150)), scope="a")
        store.save_many((f"k{i}", "y") for i in range(150))
        warm(store)
        for i in [*range(150), *range(50), *range(150)]:
            store.getkey(f"k{i}", scope="a")
            store.getkey(f"k{i}")
        assert 100 < store.cache_stats()["entries"] <= 200
        for scope in ("a", "default"):
            with store.transaction():
                for i in range(150):
                    store.save(f"k{i}", {"not": "cached"}, scope=scope)
            store.getkey("other")
        for i in range(150):
            store.getkey(f"k{i}", scope="a")
        stats = store.cache_stats()
        store.delete_many(["other"])
        assert stats["entries"] == 1  # of "other", which does not exist
        assert 0 < stats["bytes"] < 1000


def test_empty_values_are_not_none(store: Kycore) -> None:
    warm(store)
    for value in ("", b"", None, False, 0, 0.0):
        store.save("k", value)
        other = [store.getkey("k", "missing") for _ in range(2)]
        assert [(type(found), found) for found in other] == [(type(value), value)] * 2
    store.save_many({"a": b"", "b": ""})
    assert (store["a"], store["b"]) == (b"", "")


@pytest.mark.parametrize("where", ["off", "memory", "no bytes"])
def test_where_it_is_off_it_is_off(path: Path, where: str) -> None:
    choices: dict[str, dict[str, Any]] = {
        "off": {"db_path": path, "cache_entries": 0},
        "memory": {"db_path": ":memory:"},
        "no bytes": {"db_path": path, "cache_bytes": 0},
    }
    with Kycore(**choices[where]) as store:
        store.save("k", 1)
        warm(store)
        store.getkey("k")
        store.getkey("k")
        assert store.cache_stats()["entries"] == 0
        assert hits(store) == 0


def test_it_works_again_after_a_fork(store: Kycore) -> None:
    store.save("k", 1)
    warm(store)
    pid = os.fork()
    if pid == 0:
        try:
            store.save("k", 2)
            ok = store["k"] == 2 and not store.cache_stats()["enabled"]
            os._exit(0 if ok else 1)
        except BaseException:
            os._exit(2)
    assert os.waitpid(pid, 0)[1] == 0
    assert store["k"] == 2
    warm(store)
    assert store.cache_stats()["enabled"]


# -- the stress test: every commit is announced, and nobody may read less than announced

KEYS = [f"key{i}" for i in range(16)]


def write(path: str, announced: Any, number: int) -> None:
    """Count keys of one's own up; announce each number once its commit has returned."""
    chance = random.Random()
    mine = range(number, len(KEYS), 3)
    with Kycore(path) as store:
        value = max(announced[i] for i in mine)
        while True:
            for i in mine:
                value += 1
                way = chance.random()
                if way < 0.6:
                    store.save(KEYS[i], value)
                elif way < 0.8:
                    with store.transaction():
                        store.save(KEYS[i], value - 1)
                        store.save(KEYS[i], value)
                elif way < 0.9:
                    store.save_many([(KEYS[i], value), *((f"n{j}", j) for j in range(300))])
                else:
                    store.delete(KEYS[i])
                    store.save(KEYS[i], value)
                announced[i] = value


def disturb(path: str) -> None:
    """Checkpoint, restart the log, vacuum, change the schema, open and close."""
    chance = random.Random()
    while True:
        with Kycore(path) as store:
            store.getkey(KEYS[0])
        connection = apsw.Connection(path)
        connection.set_busy_timeout(10_000)
        way = chance.randrange(5)
        try:
            if way == 0:
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            elif way == 1:
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
            elif way == 2:
                connection.execute("VACUUM")
            elif way == 3:
                connection.execute("CREATE TABLE IF NOT EXISTS scratch (x); DROP TABLE scratch")
            else:
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except (apsw.BusyError, apsw.LockedError, apsw.SQLError):
            pass
        connection.close()
        time.sleep(chance.random() / 50)


def count_stale_reads(
    read: Callable[[str], Any], announced: Any, seconds: float
) -> tuple[int, int]:
    """Read keys; return how many reads there were and how many were less than announced."""
    chance = random.Random()
    last = [0] * len(KEYS)
    reads = stale = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(200):
            i = chance.randrange(len(KEYS))
            at_least = announced[i]
            value = read(KEYS[i]) or 0
            reads += 1
            # A key may be gone for a moment, between its deletion and its next save.
            if value and (value < at_least or value < last[i]):
                stale += 1
            last[i] = max(last[i], value)
    return reads, stale


def read_for(path: str, announced: Any, seconds: float, answer: Any) -> None:
    """Read through the cache, through a small one, and through a control that is wrong."""
    with Kycore(path) as store, Kycore(path, cache_entries=8) as small:
        wrong: dict[str, Any] = {}

        def read_wrongly(key: str) -> Any:
            if random.random() < 0.01:
                wrong.clear()
            if key not in wrong:
                wrong[key] = store.getkey(key)
            return wrong[key]

        for _ in range(60):  # on a busy machine writers may not get a turn for a while
            control = count_stale_reads(read_wrongly, announced, seconds / 4)
            if control[1]:
                break
        for _ in range(60):
            normal = count_stale_reads(store.getkey, announced, seconds / 2)
            if normal[1] or store.cache_stats()["catch_ups"] > 10:
                break
        tight = count_stale_reads(small.getkey, announced, seconds / 4)
        answer.send((control, normal, tight, store.cache_stats()))


def stress(path: Path, seconds: float) -> None:
    """Read beside writers of which one is killed every third of a second."""
    context = multiprocessing.get_context("fork")
    announced = context.Array("q", len(KEYS), lock=False)
    Kycore(path).close()

    def start(target: Callable[..., None], *arguments: Any) -> Any:
        process = context.Process(target=target, args=(str(path), *arguments), daemon=True)
        process.start()
        return process

    writers = [start(write, announced, number) for number in range(3)]
    receiver, sender = context.Pipe(duplex=False)
    reader = start(read_for, announced, seconds, sender)
    disturber = start(disturb)
    try:
        while not receiver.poll(0.3):
            assert reader.is_alive()
            victim = random.randrange(len(writers))
            writers[victim].kill()
            writers[victim].join()
            writers[victim] = start(write, announced, victim)
        control, normal, tight, stats = receiver.recv()
    finally:
        for process in (*writers, reader, disturber):
            process.kill()
            process.join()
    print(f"reads and stale ones: {normal}, small {tight}, control {control}; {stats}")
    assert control[1] > 0, "the control is stale, and the test did not see it"
    assert (normal[1], tight[1]) == (0, 0)
    assert stats["hits"] > normal[0] / 20
    assert stats["catch_ups"] > 10


@pytest.mark.alone
def test_no_read_is_ever_stale(path: Path) -> None:
    stress(path, 1)


@pytest.mark.soak
def test_no_read_is_ever_stale_for_long(path: Path) -> None:
    stress(path, 300)


RESTORE = """
import sqlite3, sys
source, target = (sqlite3.connect(path) for path in sys.argv[1:])
source.backup(target)
"""


def restore(backup: Path, path: Path) -> None:
    """Copy a database over another one by SQLite's backup API, as another process."""
    subprocess.run([sys.executable, "-c", RESTORE, backup, path], check=True)


@pytest.fixture
def restored(path: Path, store: Kycore, clock: Clock) -> Kycore:
    """A store with a warm cache, whose database was restored from a backup and written again.

    The log of the restored database is by now longer than the one that the cache has seen.
    """
    for number in range(20):
        store.save(f"k{number}", "before")
    backup = path.with_name("backup.db")
    restore(path, backup)
    for number in range(20):
        store.save(f"k{number}", "later")
    warm(store)
    for number in range(20):
        assert store[f"k{number}"] == "later"
    restore(backup, path)
    with Kycore(path, clock=clock) as other:
        for number in range(60):
            other.save(f"other{number}", number)
    return store


def test_a_restored_database_empties_the_cache(restored: Kycore) -> None:
    assert [restored[f"k{number}"] for number in range(20)] == ["before"] * 20
    assert restored["other59"] == 59


def test_get_many_sees_a_restored_database(restored: Kycore) -> None:
    keys = [f"k{number}" for number in range(20)]
    assert restored.get_many(keys) == dict.fromkeys(keys, "before")


def test_a_change_of_the_schema_does_not_split_what_is_one_change(store: Kycore) -> None:
    """Two statements notice another schema, each when it is executed: one after the other."""
    store.save("a", 1)
    store.save("large", "x" * 700)
    assert store.search("x") == {}  # makes the index
    assert store.check() == []
    change = store.import_rows([("k", "L" * 600), ("new", 2)]).change
    assert store.undo(change) == 2
    assert list(store.keys()) == ["a", "large"]


def test_the_author_is_looked_up_anew_in_a_restored_database(path: Path, clock: Clock) -> None:
    """A number of an author means another one, or nobody, in another lineage."""
    with Kycore(path, clock=clock) as first:
        first.save("k", "v")
    backup = path.with_name("backup.db")
    shutil.copy(path, backup)
    with Kycore(path, clock=clock, command="tested") as store:
        warm(store)
        for number in range(10):
            store.save("k", number)
        restore(backup, path)
        with Kycore(path, clock=clock, command="another") as other:
            other.save("k", "another")
        store.save("k", "again")
        assert store.get_history("k")[0].command == "tested"


def test_a_cached_read_does_not_wait_for_the_transaction_of_another_thread(store: Kycore) -> None:
    store.save("k", "v")
    warm(store)
    store.getkey("k")
    store.getkey("k")
    inside, done = threading.Event(), threading.Event()

    def transact() -> None:
        with store.transaction():
            store.save("k", "w")
            inside.set()
            assert done.wait(30)

    thread = threading.Thread(target=transact)
    thread.start()
    assert inside.wait(30)
    try:
        before = hits(store)
        assert (store["k"], store.get_many(["k"])) == ("v", {"k": "v"})
        assert hits(store) == before + 2
    finally:
        done.set()
        thread.join()
    assert store["k"] == "w"


def test_get_many_takes_what_is_cached_and_caches_what_it_reads(store: Kycore) -> None:
    keys = [f"k{number}" for number in range(10)]
    store.save_many((key, key.upper()) for key in keys)
    warm(store)
    expected = {key: key.upper() for key in keys}
    assert store.get_many([*keys, "missing"]) == expected
    before = hits(store)
    assert store.get_many([*keys, "missing"]) == expected
    assert hits(store) == before + 11
    assert store["k3"] == "K3"
    assert hits(store) == before + 12


def test_get_many_is_of_one_moment_whatever_is_cached(store: Kycore, other: Kycore) -> None:
    with other.transaction():
        other.save_many([("left", 0), ("right", 0)])
    warm(store)
    for number in range(1, 30):
        store.getkey("left" if number % 2 else "right")  # one of them is cached
        with other.transaction():
            other.save_many([("left", number), ("right", number)])
        assert store.get_many(["left", "right"]) == {"left": number, "right": number}


def test_get_many_hides_cached_keys_that_have_expired(store: Kycore, clock: Clock) -> None:
    store.save("k", "v", ttl=5)
    store.save("l", "w")
    warm(store)
    for _ in range(2):
        assert store.get_many(["k", "l"]) == {"k": "v", "l": "w"}
    clock.advance(5)
    assert store.get_many(["k", "l"]) == {"l": "w"}


def test_get_many_in_a_transaction_reads_what_it_wrote(store: Kycore) -> None:
    store.save("k", "v")
    warm(store)
    store.get_many(["k"])
    with store.transaction():
        store.save("k", "w")
        assert store.get_many(["k"]) == {"k": "w"}
    assert store.get_many(["k"]) == {"k": "w"}
    with store.snapshot():
        assert store.get_many(["k"]) == {"k": "w"}


def test_get_many_sees_deferred_writes(path: Path) -> None:
    with Kycore(path, durability="async") as store:
        store.save("k", "v")
        warm(store)
        store.get_many(["k"])
        store.save("k", "w")
        assert store.get_many(["k"]) == {"k": "w"}
