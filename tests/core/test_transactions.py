"""All or nothing, also when blocks nest and when SQLite gives up by itself."""

from __future__ import annotations

import threading
from pathlib import Path

import apsw
import pytest
from conftest import Clock

from kycli import Kycore
from kycli.errors import BusyError, DiskFullError, MisuseError, StorageError


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
