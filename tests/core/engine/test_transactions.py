"""All or nothing, also when blocks nest and when SQLite gives up by itself."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw
import pytest
from conftest import Clock
from forks import in_child

from kycli import Kycore
from kycli.errors import BusyError, DiskFullError, MisuseError, StorageError

pytestmark = pytest.mark.usefixtures("_both_statements")


class Stop(BaseException):
    """Not an Exception: what Ctrl-C and exit look like."""


def test_a_block_commits_as_one(store: Kycore, path: Path) -> None:
    with Kycore(path) as other:
        with store.transaction() as same:
            assert same is store
            store.save("a", 1)
            store.save_many({"b": 2, "c": "x" * 600})
            store.delete("a")
            assert store["b"] == 2
            assert list(other) == []
        assert dict(other) == {"b": 2, "c": "x" * 600}


@pytest.mark.parametrize("error", [ValueError, Stop])
def test_a_block_that_raises_leaves_nothing(store: Kycore, error: type[BaseException]) -> None:
    store.save("a", 1)
    with pytest.raises(error), store.transaction():
        store.save("a", 2)
        store.save("b", "x" * 600)
        store.delete("a")
        store.create_cache("p.n", 5)
        raise error
    assert dict(store) == {"a": 1}
    assert store.caches() == {}
    assert store.save("a", 3) == "overwritten"


def test_an_inner_block_that_raises_undoes_only_itself(store: Kycore) -> None:
    with store.transaction():
        store.save("outer", 1)
        with pytest.raises(ValueError, match="inner"), store.transaction():
            store.save("inner", 1)
            with store.transaction():
                store.save("innermost", 1)
            raise ValueError("inner")
        with store.transaction():
            store.save("second", 1)
    assert list(store) == ["outer", "second"]


def test_an_outer_block_that_raises_undoes_what_inner_blocks_committed(store: Kycore) -> None:
    with pytest.raises(ValueError, match="outer"), store.transaction():
        with store.transaction():
            store.save("inner", 1)
        raise ValueError("outer")
    assert list(store) == []


def test_a_call_that_fails_inside_a_block_undoes_only_itself(store: Kycore) -> None:
    with store.transaction():
        store.save("a", 1)
        with pytest.raises(TypeError):
            store.save_many([("b", 1), ("c", object())])
        store.save("d", 1)
    assert list(store) == ["a", "d"]


def test_the_store_cannot_be_closed_inside_its_block(store: Kycore) -> None:
    with store.transaction():
        store.save("a", 1)
        with pytest.raises(MisuseError):
            store.close()
    assert list(store) == ["a"]


def test_another_thread_waits_for_the_block_to_end(store: Kycore) -> None:
    seen: list[object] = []
    thread = threading.Thread(target=lambda: seen.append(store.getkey("a")))
    with store.transaction():
        store.save("a", 1)
        thread.start()
        thread.join(0.2)
        assert seen == []
        store.save("a", 2)
    thread.join()
    assert seen == [2]


def test_a_writer_that_waits_too_long_is_told_who_holds_the_lock(path: Path) -> None:
    with Kycore(path) as first, Kycore(path, busy_timeout_ms=50) as second:
        with first.transaction():
            first.save("a", 1)
            for call in (
                lambda: second.save("a", 2),
                lambda: second.incr("n"),
                lambda: second.save_many({"a": 3}),
                lambda: second.delete("a"),
            ):
                with pytest.raises(BusyError, match=r"locked by .+ for over 0\.05 s") as caught:
                    call()
                assert caught.value.hint
            assert second.getkey("a") is None
        assert second["a"] == 1
        assert second.save("a", 2) == "overwritten"


@pytest.mark.skipif(sys.platform != "linux", reason="the holder is read from /proc")
def test_the_command_that_holds_the_lock_is_shown_on_one_line(path: Path) -> None:
    script = """
import sys
from kycli import Kycore

with Kycore(sys.argv[1]) as store, store.transaction():
    print("held", flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", script, str(path), "\x1b[2J", "long" * 100]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with Kycore(path, busy_timeout_ms=50) as store, pytest.raises(BusyError) as caught:
            store.save("a", 1)
        holder.communicate()
    shown = str(caught.value)
    assert f"process {holder.pid} ({sys.executable} -c import sys from kycli import Ky" in shown
    assert shown.isprintable()
    assert shown.endswith("…) for over 0.05 s")


def test_after_sqlite_rolled_back_by_itself_nothing_more_is_written(path: Path) -> None:
    """A full disk can roll back the whole transaction under an open block."""
    with Kycore(path) as store:
        store.save("before", 1)
        store._query("PRAGMA max_page_count = 30")
        with pytest.raises(StorageError), store.transaction():
            store.save("small", 1)
            with pytest.raises(DiskFullError):
                store.save("large", b"x" * 1_000_000)
            if not _in_transaction(store):
                with pytest.raises(StorageError, match="rolled back"):
                    store.save("after", 1)
            raise StorageError("leave")
        store._query("PRAGMA max_page_count = 100000")
        assert list(store) == ["before"]
        store.save("again", 1)


def _in_transaction(store: Kycore) -> bool:
    try:
        store._query("SAVEPOINT probe")
        store._query("RELEASE probe")
    except StorageError:
        return False
    return True


def test_a_full_disk_refuses_the_write_and_changes_nothing(path: Path) -> None:
    with Kycore(path) as store:
        store.save("before", "v")
        store._query("PRAGMA max_page_count = 30")
        for call in (
            lambda: store.save("large", b"x" * 1_000_000),
            lambda: store.save_many((f"k{i}", "x" * 400) for i in range(2000)),
            lambda: store.append("before", "x" * 1_000_000),
        ):
            with pytest.raises(DiskFullError, match="no space"):
                call()
            assert dict(store) == {"before": "v"}
        store._query("PRAGMA max_page_count = 100000")
        store.save("after", "x" * 1000)


def test_blocks_of_tasks_that_interleave_are_refused_and_leave_nothing(store: Kycore) -> None:
    async def one(first: asyncio.Event, second: asyncio.Event) -> None:
        with store.transaction():
            store.save("one", 1)
            first.set()
            await second.wait()

    async def other(first: asyncio.Event, second: asyncio.Event) -> None:
        await first.wait()
        with store.transaction():
            store.save("other", 1)
            second.set()
            await asyncio.sleep(0)

    async def both() -> Sequence[BaseException | None]:
        events = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(one(*events), other(*events), return_exceptions=True)

    results = asyncio.run(both())
    assert [type(result) for result in results] == [MisuseError, MisuseError]
    assert list(store) == []
    with store.transaction():
        store.save("after", 1)
    assert list(store) == ["after"]


def test_what_comes_between_blocks_left_in_the_wrong_order_is_refused(store: Kycore) -> None:
    first, second = store.transaction(), store.transaction()
    first.__enter__()
    second.__enter__()
    with pytest.raises(MisuseError):
        first.__exit__(None, None, None)
    with pytest.raises(MisuseError, match="rolled back"):
        store.save("between", 1)
    with pytest.raises(MisuseError):
        second.__exit__(None, None, None)
    store.save("after", 1)
    assert list(store) == ["after"]


def test_a_block_ends_in_the_thread_in_which_it_began(path: Path) -> None:
    with Kycore(path, busy_timeout_ms=50) as store:
        errors: list[BaseException] = []

        def work() -> None:
            for call in (lambda: store.save("k", 2), lambda: block.__exit__(None, None, None)):
                try:
                    call()
                except BaseException as error:
                    errors.append(error)

        block = store.transaction()
        block.__enter__()
        store.save("k", 1)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert [type(error) for error in errors] == [BusyError, MisuseError]
        assert "another thread" in str(errors[0])
        block.__exit__(None, None, None)
        assert store["k"] == 1


def in_thread(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def end_thread_inside(store: Kycore, *, snapshot: bool = False) -> Any:
    """Have a thread end inside a transaction or a snapshot; return the block."""
    block = store.snapshot() if snapshot else store.transaction()

    def work() -> None:
        block.__enter__()
        if not snapshot:
            store.save("k", "never committed")

    in_thread(work)
    return block


def in_a_transaction(store: Kycore) -> None:
    with store.transaction():
        store.save("k", 2)


@pytest.mark.parametrize("snapshot", [True, False], ids=["snapshot", "transaction"])
@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.getkey("k"),
        lambda store: store.save("k", 2),
        lambda store: store.save_many({"k": 2}),
        lambda store: store.listkeys(),
        lambda store: store.get_many(["k"]),
        in_a_transaction,
        lambda store: store.close(),
    ],
    ids=["get", "save", "save_many", "list", "get_many", "transaction", "close"],
)
def test_what_a_thread_was_in_when_it_ended_is_rolled_back_by_the_next_call(
    path: Path, call: Callable[[Kycore], object], snapshot: bool
) -> None:
    with Kycore(path, busy_timeout_ms=50) as store, Kycore(path) as other:
        store.save("k", 1)
        block = end_thread_inside(store, snapshot=snapshot)
        assert not store._in_transaction()
        with pytest.warns(RuntimeWarning, match="ended inside a transaction"):
            call(store)
        assert other["k"] in (1, 2)
        with pytest.raises(MisuseError, match="thread in which it began has ended"):
            block.__exit__(None, None, None)
        with pytest.raises(MisuseError, match="not begun, or is over"):
            block.__exit__(None, None, None)


def test_the_block_of_a_thread_that_has_ended_cannot_be_kept(path: Path) -> None:
    with Kycore(path, busy_timeout_ms=50) as store, Kycore(path, busy_timeout_ms=50) as other:
        block = end_thread_inside(store)
        with pytest.raises(MisuseError, match="thread in which it began has ended"):
            block.__exit__(None, None, None)
        assert other.save("k", 1) == "created"
        assert store["k"] == 1


def end_all(threads: list[threading.Thread], end: threading.Event) -> None:
    end.set()
    for thread in threads:
        thread.join()


def test_who_waits_for_a_thread_that_ends_inside_a_transaction_goes_on(path: Path) -> None:
    with Kycore(path, busy_timeout_ms=60_000) as store:
        begun, end = threading.Event(), threading.Event()

        def hold() -> None:
            store.transaction().__enter__()
            begun.set()
            end.wait()

        answers: list[float] = []
        threads = [threading.Thread(target=hold)]
        threads[0].start()
        begun.wait()
        for _ in range(5):
            threads.append(threading.Thread(target=lambda: answers.append(store.incr("n"))))
            threads[-1].start()
        with pytest.warns(RuntimeWarning, match="ended inside a transaction"):
            end_all(threads, end)
        assert sorted(answers) == [1, 2, 3, 4, 5]


def test_a_new_thread_is_not_in_the_transaction_of_the_one_before(path: Path) -> None:
    """Though the system may give it the same number."""
    with Kycore(path, busy_timeout_ms=50) as store:
        store.save("k", 1)
        end_thread_inside(store)
        seen: list[object] = []

        with pytest.warns(RuntimeWarning, match="ended inside a transaction"):
            in_thread(lambda: seen.extend((store._in_transaction(), store.incr("k"))))
        assert seen == [False, 2]


def test_blocks_left_in_the_wrong_order_concern_their_thread_alone(path: Path) -> None:
    def work() -> None:
        first, second = store.transaction(), store.transaction()
        first.__enter__()
        second.__enter__()
        with pytest.raises(MisuseError):
            first.__exit__(None, None, None)
        with pytest.raises(MisuseError, match="another order"):
            store.save("k", 1)

    with Kycore(path) as store:
        in_thread(work)
        assert store.save("k", 2) == "created"


def test_a_fork_after_a_thread_ended_inside_a_transaction(path: Path) -> None:
    with Kycore(path, busy_timeout_ms=50) as store:
        store.save("k", 1)
        end_thread_inside(store)
        with pytest.warns(RuntimeWarning, match="ended inside a transaction"):
            assert in_child(lambda: store.save("k", 2)) == 0
        assert store["k"] == 2


def test_a_block_is_entered_once_and_left_once(store: Kycore) -> None:
    block = store.transaction()
    with pytest.raises(MisuseError):
        block.__exit__(None, None, None)
    with block:
        store.save("k", 1)
        with pytest.raises(MisuseError):
            block.__enter__()
    with pytest.raises(MisuseError):
        block.__exit__(None, None, None)
    assert store["k"] == 1


def test_two_stores_locked_the_other_way_round_do_not_hang(tmp_path: Path) -> None:
    with (
        Kycore(tmp_path / "a.db", busy_timeout_ms=50) as a,
        Kycore(tmp_path / "b.db", busy_timeout_ms=50) as b,
    ):
        barrier = threading.Barrier(2)
        errors: list[BaseException] = []

        def work(first: Kycore, second: Kycore) -> None:
            try:
                with first.transaction():
                    barrier.wait()
                    second.save("k", 1)
                    barrier.wait()
            except BaseException as error:
                errors.append(error)
                barrier.abort()

        threads = [threading.Thread(target=work, args=pair) for pair in ((a, b), (b, a))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert any(isinstance(error, BusyError) for error in errors)


def test_a_signal_handler_cannot_use_the_store_it_interrupted(path: Path) -> None:
    with Kycore(path) as store, Kycore(path) as other:
        errors: list[BaseException] = []
        waiting = threading.Event()
        release = threading.Event()

        def hold() -> None:
            with other.transaction():
                waiting.set()
                release.wait()

        def handle(number: int, frame: object) -> None:
            for call in (store.close, lambda: store.getkey("k"), lambda: store.save("k", 0)):
                try:
                    call()
                except BaseException as error:
                    errors.append(error)
            release.set()

        thread = threading.Thread(target=hold)
        thread.start()
        waiting.wait()
        before = signal.signal(signal.SIGALRM, handle)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            assert store.save("k", 1) == "created"
        finally:
            signal.signal(signal.SIGALRM, before)
            thread.join()
        assert [type(error) for error in errors] == [MisuseError] * 3
        assert store["k"] == 1


@pytest.mark.usefixtures("no_collector")
def test_ctrl_c_stops_a_long_statement_and_undoes_it(path: Path) -> None:
    with Kycore(path) as store:
        store.save_many((f"k{i}", i) for i in range(100_000))

        def interrupt(number: int, frame: object) -> None:
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.03)
            with pytest.raises(KeyboardInterrupt):
                store.delete_many(prefix="")
        finally:
            signal.signal(signal.SIGALRM, before)
        assert len(store) == 100_000


@pytest.mark.usefixtures("no_collector")
def test_ctrl_c_while_many_are_saved_undoes_them(store: Kycore) -> None:
    pairs = [(f"k{i}", i) for i in range(100_000)]

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        raise ValueError("so that the interrupt comes while an error is handled")
    except ValueError:
        signal.setitimer(signal.ITIMER_REAL, 0.03)
        with pytest.raises(KeyboardInterrupt):
            store.save_many(pairs)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert list(store) == []


@pytest.mark.native_only
def test_a_write_that_the_system_cuts_off_leaves_nothing(path: Path) -> None:
    code = """
        import resource, signal, sys
        from kycli import Kycore
        from kycli.errors import StorageError
        store = Kycore(sys.argv[1])
        store.save("before", 1)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, resource.RLIM_INFINITY))
        pairs = [(f"k{i}", "x" * 400) for i in range(100_000)]
        for work in (lambda: store.save_many(pairs), lambda: [store.save(*p) for p in pairs]):
            try:
                with store.transaction():
                    work()
            except StorageError as error:
                print("failed" in str(error), list(store))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        store.save("after", 1)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stderr == ""
    assert result.stdout.splitlines() == ["True ['before']"] * 2
    with Kycore(path) as store:
        assert list(store) == ["after", "before"]


def test_an_iterable_may_use_the_store_that_saves_it(store: Kycore) -> None:
    def pairs() -> Iterator[tuple[str, int]]:
        yield "k", 1
        assert store["k"] == 1
        store.save("k", 2)
        store.save_many({"inner": 1})
        yield "l", 1

    assert store.save_many(pairs()) == 2
    assert dict(store) == {"inner": 1, "k": 2, "l": 1}


def test_a_snapshot_reads_as_of_one_moment_and_holds_nobody_up(store: Kycore, path: Path) -> None:
    store.save_many({"a": 1, "b": 1})
    with Kycore(path) as other:
        with store.snapshot() as same:
            assert same is store
            assert other.save_many({"a": 2, "b": 2, "c": 2}) == 3
            assert dict(store) == {"a": 1, "b": 1}
            with store.snapshot():
                assert store.get_many(["a", "b", "c"]) == {"a": 1, "b": 1}
        assert dict(store) == {"a": 2, "b": 2, "c": 2}


def test_a_snapshot_is_not_for_writing(store: Kycore, clock: Clock) -> None:
    store.save("a", 1, ttl=5)
    with store.snapshot():
        clock.advance(5)
        assert store.getkey("a") is None
        for call in (
            lambda: store.save("b", 1),
            lambda: store.incr("b"),
            lambda: store.delete("a"),
            lambda: store.save_many({"b": 1}),
            lambda: store.transaction().__enter__(),
        ):
            with pytest.raises(MisuseError, match="snapshot"):
                call()
    assert store.save("b", 1) == "created"
    with store.transaction(), store.snapshot():
        assert store["b"] == 1


def test_a_rollback_does_not_forget_to_sweep(store: Kycore, clock: Clock, path: Path) -> None:
    store.save("old", 1, ttl=1)
    clock.advance(5)
    with pytest.raises(ValueError, match="undo"), store.transaction():
        store.save("new", 1)
        raise ValueError("undo")
    store.save("later", 1)
    connection = apsw.Connection(str(path))
    assert connection.execute("SELECT key FROM kvstore").fetchall() == [("later",)]
    connection.close()


@pytest.mark.parametrize("warm", [True, False])
def test_nothing_of_a_snapshot_stays_when_it_ends(path: Path, warm: bool) -> None:
    with Kycore(path) as store, Kycore(path) as other:
        store.create_cache("some.cache", 60)  # a row of the table that fixes a snapshot
        store.save("k", 0)
        for _ in range(20 * warm):
            store.getkey("k")
        for number in range(1, 4):
            assert store.get_many(["k"]) == {"k": number - 1}
            with store.snapshot():
                other.save("k", number)
                assert store["k"] == number - 1
            assert store["k"] == number
            assert store.save("mine", number) in ("created", "overwritten")
