"""A store that is kept open, and what other programs do to its file meanwhile."""

from __future__ import annotations

import os
import select
import shutil
from pathlib import Path

import pytest

from kycli import Kycore
from kycli.errors import InvalidValueError, WrongTypeError


@pytest.fixture
def other(tmp_path: Path) -> Path:
    path = tmp_path / "other.db"
    with Kycore(path) as store:
        store.save_many([(f"k{number}", "x" * 100) for number in range(200)])
        store["key"] = "other"
    return path


def is_told(store: Kycore) -> bool:
    watch = store.watch()
    assert watch is not None
    return bool(select.select([watch], [], [], 0)[0])


@pytest.mark.native_only
@pytest.mark.parametrize("told", [False, True])
def test_a_file_that_was_copied_over(tmp_path: Path, other: Path, told: bool) -> None:
    path = tmp_path / "kycli.db"
    with Kycore(path) as store, Kycore(path) as second:
        for each in (store, second):
            assert each.watch() is not None
            each.save("key", "mine")
            assert not each.close_if_replaced(told=told)
        shutil.copyfile(other, path)
        assert is_told(store)
        assert store.close_if_replaced(told=told)
        assert store.closed
        assert second.close_if_replaced(told=told)  # the first has removed the log
        with Kycore(path) as fresh:
            assert fresh["key"] == "other"
            fresh["new"] = "value"
    with Kycore(path) as store:
        assert (store["key"], store["new"]) == ("other", "value")


@pytest.mark.native_only
def test_a_file_that_was_copied_over_in_the_same_moment(tmp_path: Path) -> None:
    """Times in an inode are those of the clock's last tick, so two writes may have the same."""
    path, copy = tmp_path / "kycli.db", tmp_path / "copy.db"
    for file, value in ((path, "mine"), (copy, "copy")):
        with Kycore(file) as store:
            store["key"] = value
    with Kycore(path) as store:
        store.watch()
        store["key"] = "new"
        before = os.stat(path)
        assert before.st_size == os.path.getsize(copy)
        shutil.copyfile(copy, path)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert store.close_if_replaced(told=True)
    with Kycore(path) as store:
        assert store["key"] == "copy"


@pytest.mark.native_only
def test_a_file_that_was_replaced_or_removed(tmp_path: Path, other: Path) -> None:
    path = tmp_path / "kycli.db"
    store = Kycore(path)
    store.watch()
    store["key"] = "mine"
    os.replace(other, path)
    assert is_told(store)
    assert store.close_if_replaced()
    store = Kycore(path)
    assert store["key"] == "other"
    store.watch()
    path.unlink()
    assert store.close_if_replaced()
    assert store.close_if_replaced()  # it is closed already
    assert not path.with_name("kycli.db-wal").exists()


@pytest.mark.native_only
def test_what_sqlite_writes_is_no_replacement(tmp_path: Path) -> None:
    path = tmp_path / "kycli.db"
    with Kycore(path) as store, Kycore(path) as writer:
        store.watch()
        for number in range(12):
            # More than the log holds before it is brought into the database.
            writer.save_many([(f"k{key}", f"{number}" * 2000) for key in range(2500)])
            assert not store.close_if_replaced(told=is_told(store))
            assert store["k7"] == f"{number}" * 2000
            os.utime(path)
            os.chmod(path, 0o600)
            assert not store.close_if_replaced(told=is_told(store))
            assert not is_told(store)


@pytest.mark.native_only
def test_nothing_is_done_in_a_transaction_or_unwatched(tmp_path: Path, other: Path) -> None:
    path = tmp_path / "kycli.db"
    store = Kycore(path)
    os.replace(other, path)
    assert not store.close_if_replaced()
    store.watch()
    assert store.close_if_replaced()
    with Kycore(tmp_path / "two.db") as store:
        store.watch()
        with store.transaction():
            assert not store.close_if_replaced(told=True)


def test_the_history_names_the_process_that_is_given(tmp_path: Path) -> None:
    with Kycore(tmp_path / "kycli.db") as store:
        store.write_as("kys", pid=4711)
        store["key"] = "one"
        store.write_as("kys")
        store["key"] = "two"
        newest, oldest = store.get_history("key")
        assert (oldest.pid, newest.pid) == (4711, os.getpid())
        with pytest.raises(InvalidValueError):
            store.write_as("kys", pid=-1)
        with pytest.raises(WrongTypeError):
            store.write_as("kys", pid="1")  # type: ignore[arg-type]
