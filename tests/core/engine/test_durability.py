"""Saves that are acknowledged before they are committed, and what is left of them.

What is killed here are processes: that shows what a crash of the program leaves behind,
and not what a power loss does.
"""

from __future__ import annotations

import gc
import mmap
import multiprocessing
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import invariants
import pytest
from conftest import Clock, examples
from forks import in_child
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kycli import Kycore
from kycli.errors import (
    BusyError,
    ClosedError,
    DiskFullError,
    ForkError,
    InvalidKeyError,
    InvalidTTLError,
    InvalidValueError,
    KycliError,
    MisuseError,
    WrongTypeError,
)

pytestmark = pytest.mark.usefixtures("_both_statements")

WINDOW = 500  # saves that wait at most


@pytest.fixture
def later(path: Path, clock: Clock) -> Iterator[Kycore]:
    """A store that commits by itself only when the test lets time pass."""
    with Kycore(path, durability="async", busy_timeout_ms=50, clock=clock) as store:
        yield store


@pytest.fixture
def other(path: Path, later: Kycore, clock: Clock) -> Iterator[Kycore]:
    """A second store on the same database, as another process would have it."""
    with Kycore(path, clock=clock) as other:
        yield other


def eventually(condition: Callable[[], object]) -> bool:
    for _ in range(3000):
        if condition():
            return True
        time.sleep(0.01)
    return False


def shows(store: Kycore, value: int) -> bool:
    return bool(store.getkey("k") == value)


# -- what the program itself sees


def test_a_save_is_acknowledged_while_another_writes_and_seen_at_once(
    later: Kycore, other: Kycore
) -> None:
    later.save("old", 1)
    later.flush()
    with other.transaction():  # nobody can commit
        assert later.save("new", "a") == "created"
        assert later.save("new", "a") == "nochange"
        assert later.save("new", b"a") == "overwritten"
        assert later.save("old", 1) == "nochange"
        assert later.save("old", True) == "overwritten"
        assert later.save("list", [1]) == "created"
        later["list"].append(2)
        assert (later["new"], later["old"], later["list"]) == (b"a", True, [1])
        assert "new" in later
        assert later.getkey("new", scope="elsewhere") is None
        assert (other.getkey("new"), other.getkey("old")) == (None, 1)
    later.flush()
    assert (other["new"], other["old"], other["list"]) == (b"a", True, [1])


def test_what_waits_is_committed_before_any_other_call(later: Kycore, other: Kycore) -> None:
    calls: list[Callable[[], object]] = [
        lambda: later.delete("nothing"),
        lambda: later.incr("n"),
        lambda: later.listkeys(),
        lambda: later.get_entry("k"),
        lambda: later.get_many(["k"]),
        lambda: later.scopes(),
        lambda: later.ttl("k"),
        lambda: later.save_many({"m": 1}),
        lambda: later.append("t", "x"),
        lambda: later.save("k", "never", if_absent=True),
        lambda: later.save("large", "x" * 100_000),
    ]
    for number, call in enumerate(calls, 1):
        later.save("k", number)
        call()
        assert other["k"] == number
    later.save("k", "before a block")
    with later.transaction():
        assert other["k"] == "before a block"
        later.save("k", "in a block")
    assert other["k"] == "in a block"
    later.save("k", "before a snapshot")
    with later.snapshot():
        assert other["k"] == later["k"] == "before a snapshot"
        with pytest.raises(MisuseError):
            later.save("k", 1)


def test_bad_input_is_refused_at_once(later: Kycore) -> None:
    calls: list[tuple[type[KycliError], Callable[[], object]]] = [
        (InvalidKeyError, lambda: later.save("", 1)),
        (InvalidValueError, lambda: later.save("k", "\ud800")),
        (InvalidTTLError, lambda: later.save("k", 1, ttl=0)),
        (InvalidTTLError, lambda: later.save("k", 1, ttl=1, scope="alpha.plain")),
        (WrongTypeError, lambda: later.save("k", object())),
    ]
    for error, call in calls:
        with pytest.raises(error):
            call()
    assert len(later) == 0


def test_the_last_writer_to_commit_wins(later: Kycore, other: Kycore) -> None:
    for _ in range(20):
        later.getkey("k")  # sets up the cache
    later.save("k", 1)
    later.flush()
    assert (later["k"], later["k"]) == (1, 1)
    other.save("k", 2)
    assert later["k"] == 2
    with other.transaction():
        later.save("k", 3)
        other.save("k", 4)
        assert later["k"] == 3
    assert later["k"] == 3
    later.flush()
    assert (later["k"], other["k"]) == (3, 3)
    entry = other.get_entry("k")
    assert entry is not None
    assert entry.version == 4


def test_what_was_committed_stays_in_the_cache(later: Kycore) -> None:
    for _ in range(20):
        later.getkey("warm")
    for number in range(3):
        later.save("k", number)
        later.flush()
        hits = later.cache_stats()["hits"]
        assert later["k"] == number
        assert later.cache_stats()["hits"] == hits + 1


def test_threads_see_their_own_saves(path: Path) -> None:
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for i in range(2000):
                key = f"{number}:{i % 100}"
                store.save(key, i)
                assert store[key] == i
                if i % 500 == 0:
                    assert f"{number}:0" in store.listkeys()
        except BaseException as error:
            errors.append(error)

    with Kycore(path, durability="async") as store:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert sorted(store.values()) == sorted([*range(1900, 2000)] * 4)


# -- when it is committed


def test_what_waits_is_committed_though_the_program_does_nothing_more(path: Path) -> None:
    with Kycore(path, durability="async") as later, Kycore(path) as other:
        for number in range(3):
            later.save("k", number)
            assert eventually(partial(shows, other, number))


def test_a_save_that_finds_others_waiting_for_long_commits_them(
    later: Kycore, other: Kycore, clock: Clock
) -> None:
    later.save("first", 1)  # also looks for what has expired
    later.save("a", 1)
    later.save("b", 1)
    assert other.getkey("a") is None
    clock.advance(0.02)
    later.save("c", 1)
    assert (other.getkey("a"), other.getkey("b"), other.getkey("c")) == (1, 1, None)


def test_only_so_many_wait(later: Kycore, other: Kycore) -> None:
    with other.transaction():
        for number in range(WINDOW):
            later.save(f"k{number}", number)
        with pytest.raises(BusyError):
            later.save("one too many", 1)
        assert later.getkey("one too many") is None
    assert later.count() == WINDOW


@pytest.mark.native_only
@pytest.mark.parametrize("end", ["close", "forget", "exit", "exit of a thread's"])
def test_what_waits_is_committed_at_the_end(path: Path, end: str) -> None:
    code = """
        import sys, threading, atexit
        from kycli import Kycore
        path, end = sys.argv[1:]
        def save():
            global store
            store = Kycore(path, durability="async")
            for number in range(300):
                store.save("k", number)
        @atexit.register
        def last():  # runs after the store has seen the end coming
            if "exit" in end:
                store.save("last", 1)
        if "thread" in end:
            threading.Thread(target=save).start()
        else:
            save()
            if end == "close":
                store.close()
            elif end == "forget":
                del store
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(path), end],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    with Kycore(path) as store:
        assert store["k"] == 299
        assert store.getkey("last") == (1 if "exit" in end else None)


def save_in_a_worker(path: str) -> None:
    store = Kycore(path, durability="async")
    for number in range(100):
        store.save("k", number)
    saved_in_workers.append(store)  # neither closed nor forgotten


saved_in_workers: list[Kycore] = []


def test_a_worker_commits_what_waits_when_it_ends(path: Path) -> None:
    worker = multiprocessing.get_context("fork").Process(target=save_in_a_worker, args=[str(path)])
    worker.start()
    worker.join(60)
    assert worker.exitcode == 0
    with Kycore(path) as store:
        assert store["k"] == 99


def test_a_store_that_is_forgotten_commits_and_goes(path: Path) -> None:
    store = Kycore(path, durability="async")
    store.save("k", 1)
    del store
    with Kycore(path) as other:
        assert eventually(lambda: other.getkey("k") == 1)
    gc.collect()
    assert eventually(lambda: not path.with_name("kycli.db-wal").exists())


def test_a_closed_store_takes_no_more(path: Path) -> None:
    store = Kycore(path, durability="async")
    store.save("k", 1)
    store.close()
    calls: list[Callable[[], object]] = [
        lambda: store.save("k", 2),
        lambda: store.getkey("k"),
        store.flush,
    ]
    for call in calls:
        with pytest.raises(ClosedError):
            call()


def test_a_store_of_another_durability_has_nothing_to_flush(store: Kycore) -> None:
    store.save("k", 1)
    store.flush()
    with store.transaction():
        store.flush()
    assert store["k"] == 1


# -- when it cannot be committed


def test_what_cannot_be_committed_is_kept_and_the_call_that_tried_raises(
    later: Kycore, other: Kycore, clock: Clock
) -> None:
    with other.transaction():
        assert later.save("k", 1) == "created"
        for call in (later.flush, later.listkeys, later.close, lambda: later.incr("n")):
            with pytest.raises(BusyError):
                call()
        assert not later.closed
        assert later["k"] == 1
        assert later.save("k", 2) == "overwritten"
        clock.advance(0.02)
        with pytest.raises(BusyError):
            later.save("k", 3)
        assert later["k"] == 2
    later.flush()
    entry = other.get_entry("k")
    assert entry is not None
    assert (entry.value, entry.version) == (2, 2)
    assert "n" not in later


def test_a_full_disk_is_told_late_and_loses_nothing(path: Path) -> None:
    with Kycore(path, durability="async") as store:
        store._query("PRAGMA max_page_count = 40")
        acknowledged = 0
        with pytest.raises(DiskFullError):
            while True:
                store.save(f"k{acknowledged}", "x" * 500)
                acknowledged += 1
        with pytest.raises(DiskFullError):
            store.flush()
        with pytest.raises(DiskFullError):
            store.close()
        assert store[f"k{acknowledged - 1}"] == "x" * 500
        # The limit is the connection's, and a fork gives the store another connection.
        assert in_child(lambda: None) == 0
        store.flush()
        assert store.count() == acknowledged


class Interrupted(Exception):
    """What a signal handler raises."""


@pytest.mark.usefixtures("no_collector")
def test_a_commit_that_is_interrupted_is_tried_again(path: Path, clock: Clock) -> None:
    def interrupt(number: int, frame: object) -> None:
        raise Interrupted

    with Kycore(path, durability="async", clock=clock) as later, Kycore(path) as other:
        later.save("first", 1)  # also looks for what has expired, and so is committed
        later.save("k", 1)
        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            with other.transaction():
                signal.setitimer(signal.ITIMER_REAL, 0.1)
                with pytest.raises(Interrupted):
                    later.flush()
                assert later["k"] == 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        later.flush()
        entry = other.get_entry("k")
        assert entry is not None
        assert (entry.value, entry.version) == (1, 1)


# -- beside other writers

LOOP = """
    import sys
    from kycli import Kycore
    with Kycore(sys.argv[1], durability="async") as store:
        number = 0
        while not store.getkey("stop"):
            number += 1
            store.save("k", number)
            store.save(f"{number % 1000}", number)
            if number % 100 == 0:
                print(flush=True)
        print(number)
    """


def test_a_loop_of_saves_that_wait_leaves_others_their_turn(path: Path) -> None:
    loop = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(LOOP), str(path)], stdout=subprocess.PIPE, text=True
    )
    assert loop.stdout is not None
    loop.stdout.readline()
    with Kycore(path) as store:
        for _ in range(300):
            store.incr("n")  # a BusyError would fail the test
        store.save("stop", True)
        last = loop.stdout.read().split()[-1]
        loop.stdout.close()
        assert loop.wait(60) == 0
        assert (store["n"], store["k"]) == (300, int(last))


# -- forks


def test_a_child_neither_has_nor_repeats_what_its_parent_was_told(
    later: Kycore, other: Kycore
) -> None:
    def work() -> None:
        assert later.save("child", 1) == "created"
        later.flush()
        later.save("child", 2)  # lost, as the child ends in os._exit

    later.save("k", 1)
    later.save("k", 2)
    assert in_child(work) == 0
    later.save("k", 3)
    later.flush()
    entry = other.get_entry("k")
    assert entry is not None
    assert (entry.value, entry.version) == (3, 3)
    assert other["child"] == 1


def test_a_fork_while_nothing_can_be_committed_keeps_it_in_the_parent(
    later: Kycore, other: Kycore
) -> None:
    def work() -> None:
        for call in (lambda: later.getkey("k"), later.flush, lambda: later.save("k", 2)):
            with pytest.raises(ForkError):
                call()

    with other.transaction():
        later.save("k", 1)
        assert in_child(work) == 0
        assert later["k"] == 1
    later.flush()
    assert other["k"] == 1


# -- the same as committing at once

KEYS = st.sampled_from(["a", "b", "é"])
SCOPES = st.sampled_from(["default", "alpha.cache", "alpha.plain"])
VALUES = st.one_of(
    st.integers(-2, 2),
    st.sampled_from(
        ["", "0", "x\0y", b"", b"x", None, True, False, 0.0, -0.0, 1.5, float("nan"),
         [1], {"k": b"v"}, 2**70, "L" * 600, b"M" * 600, "H" * 70_000]
    ),
)  # fmt: skip
CALLS = st.one_of(
    st.tuples(st.just("save"), KEYS, VALUES, st.sampled_from([None, None, 1, 3]), SCOPES),
    st.tuples(st.just("getkey"), KEYS, SCOPES),
    st.tuples(st.just("getkey"), KEYS, SCOPES),
    st.tuples(st.just("delete"), KEYS, SCOPES),
    st.tuples(st.just("incr"), KEYS, SCOPES),
    st.tuples(st.just("save_many"), KEYS, VALUES, SCOPES),
    st.tuples(st.just("time"), st.sampled_from([1, 500, 1000, 5000])),
    st.tuples(st.just("list"), SCOPES),
)


def do(store: Kycore, call: tuple[Any, ...]) -> Any:
    name, *arguments = call
    try:
        match name, arguments:
            case "save", (key, value, ttl, scope):
                return store.save(key, value, ttl=ttl, scope=scope)
            case "getkey", (key, scope):
                return repr(store.getkey(key, scope=scope))
            case "delete", (key, scope):
                return store.delete(key, scope=scope)
            case "incr", (key, scope):
                return repr(store.incr(key, scope=scope))
            case "save_many", (key, value, scope):
                return store.save_many({key: value, "z": value}, scope=scope)
            case "list", (scope,):
                return store.listkeys(scope=scope)
    except KycliError as error:
        return type(error)


def everything(path: Path) -> list[Any]:
    """All rows of all tables, without who wrote them: a process, as part of what."""
    connection = apsw.Connection(str(path))
    rows = []
    for table in ("kvstore", "audit_log", "archive"):
        cursor = connection.execute(f"SELECT * FROM {table} ORDER BY seq" if table != "audit_log"
                                    else "SELECT * FROM audit_log ORDER BY id")  # fmt: skip
        for row in cursor:
            names = [column[0] for column in cursor.get_description()]
            rows.append(
                {n: repr(v) for n, v in zip(names, row, strict=True) if n not in ("pid", "change")}
            )
    connection.close()
    return rows


@given(calls=st.lists(CALLS, max_size=60), warm=st.booleans())
@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_answers_and_tables_are_those_of_committing_at_once(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[Any, ...]], warm: bool
) -> None:
    directory = tmp_path_factory.mktemp("twins")
    clock = Clock()
    twins = []
    for durability in ("normal", "async"):
        store = Kycore(directory / durability, durability=durability, clock=clock)
        store.create_cache("alpha.cache", 2)
        for _ in range(20 * warm):
            store.getkey("warm")
        twins.append(store)
    for call in calls:
        if call[0] == "time":
            clock.now += call[1]
        else:
            at_once, later = (do(store, call) for store in twins)
            assert later == at_once, call
    for store in twins:
        store.close()
    assert everything(directory / "async") == everything(directory / "normal")
    invariants.check(directory / "async")


def test_each_save_is_a_change_of_its_own(later: Kycore, path: Path) -> None:
    later.save("a", 1)
    later.save("b", "L" * 600)
    later.flush()
    connection = apsw.Connection(str(path))
    changes = connection.execute("SELECT ifnull(change, id) FROM audit_log").fetchall()
    connection.close()
    assert changes == [(1,), (2,)]


def test_the_history_stays_in_order_when_others_write_in_between(path: Path, clock: Clock) -> None:
    # Who waits for another writer waits longer than any test does.
    with (
        Kycore(path, durability="async", clock=clock, busy_timeout_ms=10_000_000) as later,
        Kycore(path, clock=clock) as other,
    ):
        with other.transaction():
            later.save("a", 1)
            clock.advance(1)
            other.save("b", 1)
            clock.advance(1)
        later.flush()
    connection = apsw.Connection(str(path))
    log = connection.execute("SELECT key, timestamp FROM audit_log ORDER BY id").fetchall()
    connection.close()
    assert [key for key, _ in log] == ["b", "a"]
    assert log[0][1] == log[1][1]


# -- a process that is killed

WRITER = """
    import mmap, random, sys
    from kycli import Kycore
    path, acknowledged, seed, first = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    with open(acknowledged, "r+b") as file:
        memory = mmap.mmap(file.fileno(), 16)
    store = Kycore(path, durability="async")
    number = first
    synced = 0
    while True:
        number += 1
        if number % 997 == 0:
            with store.transaction():
                store.save("left", number)
                store.save("right", number)
            synced = number
        elif number % 1009 == 0:
            store.save_many((f"b{i}", number) for i in range(20))
            synced = number
        else:
            store.save(f"k{number % 50}", number)
        if number % 300 == 0:
            store.getkey("k1")
        memory[:] = number.to_bytes(8, "little") + synced.to_bytes(8, "little")
    """


def rows_of(number: int) -> int:
    """How many rows of the history one call of the writer makes."""
    return 2 if number % 997 == 0 else 20 if number % 1009 == 0 else 1


def has_begun(told: mmap.mmap) -> bool:
    return any(told[:8])


def kill_writers(path: Path, rounds: int, seed: int) -> None:
    """What is left after a kill is what was acknowledged, up to a point within the window."""
    print(f"seed {seed}")
    chance = random.Random(seed)
    Kycore(path).close()
    told = path.with_name("acknowledged")
    first = 0
    lost = 0
    for _ in range(rounds):
        told.write_bytes(bytes(16))
        writer = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WRITER), str(path), str(told), "0", str(first)]
        )
        with told.open("r+b") as file, mmap.mmap(file.fileno(), 16) as memory:
            assert eventually(partial(has_begun, memory))
            time.sleep(chance.uniform(0, 0.2))
            writer.send_signal(signal.SIGKILL)
            writer.wait()
            acknowledged = int.from_bytes(memory[:8], "little")
            synced = int.from_bytes(memory[8:], "little")

        invariants.check(path)
        connection = apsw.Connection(str(path))
        log: list[Any] = connection.execute(
            "SELECT value FROM audit_log WHERE value > ?1 ORDER BY id", (first,)
        ).fetchall()
        connection.close()
        survived = log[-1][0] if log else first
        expected = [number for number in range(first + 1, survived + 1)
                    for _ in range(rows_of(number))]  # fmt: skip
        assert [value for (value,) in log] == expected, "not a prefix, or a torn transaction"
        assert survived >= synced, "a transaction was acknowledged and is lost"
        assert survived <= acknowledged + 1
        assert acknowledged - survived <= WINDOW
        lost += acknowledged - survived
        first = acknowledged + 1000
    print(f"{lost} of the acknowledged saves were lost in {rounds} kills")


@pytest.mark.alone
@pytest.mark.native_only
def test_a_killed_writer_leaves_a_prefix_of_what_it_was_told(path: Path) -> None:
    kill_writers(path, 6, random.randrange(2**32))


@pytest.mark.native_only
@pytest.mark.soak
def test_a_killed_writer_leaves_a_prefix_of_what_it_was_told_in_200_rounds(tmp_path: Path) -> None:
    for number in range(20):  # each check replays the whole history
        kill_writers(tmp_path / str(number) / "kycli.db", 10, random.randrange(2**32))
