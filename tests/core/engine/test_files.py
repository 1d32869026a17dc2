"""Files that are removed or replaced under an open store: no write into them is acknowledged."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kycli import Kycore
from kycli.errors import FileReplacedError

SIDES = ("", "-wal", "-shm")


def in_another_process(program: str, *arguments: object) -> str:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


OPEN_AND_CLOSE = """
import sys
from kycli import Kycore
with Kycore(sys.argv[1]) as store:
    store.save("another", "value")
"""


def remove_all(path: Path) -> None:
    for side in SIDES:
        Path(f"{path}{side}").unlink()


def remove_database(path: Path) -> None:
    path.unlink()


def remove_wal(path: Path) -> None:
    Path(f"{path}-wal").unlink()


def move_away(path: Path) -> None:
    path.rename(path.with_name("moved.db"))


def replace(path: Path) -> None:
    """Put another database in its place, with the old -wal left behind."""
    new = path.with_name("new.db")
    with Kycore(new) as store:
        store.save("new", "value")
    new.rename(path)
    Path(f"{path}-shm").unlink()


def replace_directory(path: Path) -> None:
    path.parent.rename(path.parent.with_name("old"))
    path.parent.mkdir()
    with Kycore(path) as store:
        store.save("new", "value")


def copy_in_this_process(path: Path) -> None:
    """Drop this process's locks; another process then takes the -wal for its own."""
    for side in SIDES:
        shutil.copy(f"{path}{side}", path.with_name(f"copy.db{side}"))
    in_another_process(OPEN_AND_CLOSE, path)


MISHAPS = [
    remove_all, remove_database, remove_wal, move_away, replace, replace_directory,
    copy_in_this_process,
]  # fmt: skip


def mend(path: Path) -> None:
    """Leave no database behind that is damaged by what the test did."""
    for file in path.parent.iterdir():
        if file.is_file():
            file.unlink()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    directory = tmp_path / "directory"
    directory.mkdir()
    return directory / "kycli.db"


WRITES: dict[str, Callable[[Kycore], object]] = {
    "save": lambda store: store.save("k", "later"),
    "save, large": lambda store: store.save("k", "later" * 1000),
    "save if": lambda store: store.save("k", "later", if_version=1),
    "save_many": lambda store: store.save_many([("k", "later")]),
    "delete": lambda store: store.delete("k"),
    "incr": lambda store: store.incr("n"),
    "push": lambda store: store.push("list", 1),
    "set_cache": lambda store: store.create_cache("p.n", 60),
}


@pytest.mark.parametrize("mishap", MISHAPS)
@pytest.mark.parametrize("warm", [False, True])
def test_a_save_is_refused(path: Path, mishap: Callable[[Path], None], warm: bool) -> None:
    store = Kycore(path)
    store.save("k", "before")
    if warm:
        for _ in range(20):
            store.getkey("k")
    mishap(path)
    for _ in range(2):  # and not only the first time
        with pytest.raises(FileReplacedError, match="while this store had it open") as failure:
            store.save("k", "after")
        assert failure.value.hint
    store.close()
    mend(path)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_every_kind_of_write_is_refused(path: Path, write: Callable[[Kycore], object]) -> None:
    store = Kycore(path)
    store.save("k", "before")
    remove_all(path)
    with pytest.raises(FileReplacedError):
        write(store)
    store.close()
    assert not path.exists()


def test_a_transaction_is_refused_at_its_end(path: Path) -> None:
    store = Kycore(path)
    store.save("k", "before")
    with pytest.raises(FileReplacedError), store.transaction():
        store.save("k", "after")
        remove_all(path)
    assert store.getkey("k") == "before"
    store.close()


def test_closing_leaves_the_files_of_the_new_database_alone(path: Path) -> None:
    store = Kycore(path)
    store.save("k", "before")
    remove_all(path)
    with Kycore(path) as another:
        another.save("k", "another's")
        with pytest.raises(FileReplacedError):
            store.save("k", "after")
        store.close()
        assert Path(f"{path}-wal").exists()
        another.save("k", "another's again")
    with Kycore(path) as another:
        assert another.getkey("k") == "another's again"


def test_closing_without_a_write_leaves_them_alone_too(path: Path) -> None:
    store = Kycore(path)
    store.save("k", "before")
    remove_all(path)
    with Kycore(path) as another:
        another.save("k", "another's")
        store.close()
        assert Path(f"{path}-wal").exists()
        assert in_another_process(
            "import sys; from kycli import Kycore; print(Kycore(sys.argv[1]).getkey('k'))", path
        ) == "another's\n"  # fmt: skip


def test_no_write_is_lost_without_a_word_when_the_locks_of_the_database_are_dropped(
    path: Path,
) -> None:
    """Whether the next process removes the -wal then depends on its SQLite."""
    store = Kycore(path)
    store.save("k", "before")
    sqlite3.connect(path).close()
    with open(path, "rb"):
        pass
    in_another_process(
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); "
        "print(c.execute('SELECT count(*) FROM kvstore').fetchall()); c.close()", path
    )  # fmt: skip
    try:
        store.save("k", "after")
        saved = "after"
    except FileReplacedError:
        saved = "before"
    reading = "import sys; from kycli import Kycore; print(Kycore(sys.argv[1]).getkey('k'))"
    assert in_another_process(reading, path) == f"{saved}\n"
    store.close()


def test_what_another_process_brought_in_is_not_undone_by_closing(path: Path) -> None:
    store = Kycore(path)
    store.save("k", "before")
    copy_in_this_process(path)
    store.close()
    remove_copies(path)
    with Kycore(path) as again:
        assert (again.getkey("k"), again.getkey("another")) == ("before", "value")


def remove_copies(path: Path) -> None:
    for side in SIDES:
        path.with_name(f"copy.db{side}").unlink(missing_ok=True)


def test_a_link_that_names_another_file_is_noticed(path: Path) -> None:
    with Kycore(path.with_name("one.db")), Kycore(path.with_name("two.db")):
        pass
    path.symlink_to("one.db")
    store = Kycore(path)
    store.save("k", "one")
    path.unlink()
    path.symlink_to("two.db")
    with pytest.raises(FileReplacedError):
        store.save("k", "later")
    store.close()


def test_deferred_writes_that_are_lost_are_counted_once(path: Path) -> None:
    store = Kycore(path, durability="async")
    store.save("k", "committed")
    store.flush()
    store.save("k", "deferred")
    store.save("l", "deferred")
    remove_all(path)
    with pytest.raises(FileReplacedError, match="2 deferred writes are lost"):
        store.flush()
    store.close()


def test_a_read_archives_nothing_and_raises_nothing(path: Path) -> None:
    now = 1_700_000_000_000
    store = Kycore(path, clock=lambda: now)
    store.save("k", "v", ttl=1)
    remove_all(path)
    now += 5000
    assert store.getkey("k") is None
    store.close()


def test_a_store_goes_on_after_a_hard_link_and_a_rename_back(path: Path) -> None:
    with Kycore(path) as store:
        store.save("k", "v")
        os.link(path, path.with_name("link"))
        path.unlink()
        path.with_name("link").rename(path)
        assert store.save("k", "w") == "overwritten"
