"""Opening and creating databases, and files that are none."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import apsw
import pytest

from kycli import Kycore
from kycli.errors import (
    BusyError,
    CannotOpenError,
    CorruptError,
    InvalidValueError,
    MigrationNeeded,
    NewerFormatError,
    NotADatabaseError,
    ReadOnlyError,
)


def test_a_new_database_is_private_and_what_the_design_says(tmp_path: Path) -> None:
    path = tmp_path / "new" / "dirs" / "kycli.db"
    with Kycore(path) as store:
        store.save("k", 1)
        assert store._query("PRAGMA application_id") == [(0x4B59434C,)]
        assert store._query("PRAGMA user_version") == [(4,)]
        assert store._query("PRAGMA journal_mode") == [("wal",)]
        assert store._query("PRAGMA synchronous") == [(1,)]
        assert store._query("PRAGMA trusted_schema") == [(0,)]
        primary = store._query("SELECT name FROM pragma_table_info('kvstore') WHERE pk ORDER BY pk")
        assert primary == [("scope",), ("key",)]
        for suffix in ("", "-wal", "-shm"):
            assert stat.S_IMODE(os.stat(f"{path}{suffix}").st_mode) == 0o600
    for directory in (path.parent, path.parent.parent):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert os.listdir(path.parent) == ["kycli.db"]


def test_durability_is_a_choice(path: Path) -> None:
    with Kycore(path, durability="full") as store:
        assert store._query("PRAGMA synchronous") == [(2,)]
    with pytest.raises(InvalidValueError):
        Kycore(path, durability="later")  # type: ignore[arg-type]


def test_opening_an_existing_database_writes_nothing_and_takes_no_write_lock(path: Path) -> None:
    with Kycore(path) as store:
        store.save("k", 1)
    before = path.read_bytes()
    with Kycore(path) as writer, writer.transaction(), Kycore(path, busy_timeout_ms=0) as reader:
        assert list(reader) == ["k"]
        assert not os.path.exists(f"{path}-wal") or os.path.getsize(f"{path}-wal") == 0
    assert path.read_bytes() == before


def test_what_was_saved_is_there_when_it_is_opened_again(path: Path) -> None:
    with Kycore(path) as store:
        store.save("k", {"a": [1]})
    with Kycore(str(path)) as store:
        assert store["k"] == {"a": [1]}


def test_an_empty_file_becomes_a_database_in_place(path: Path) -> None:
    path.touch(mode=0o644)
    inode = path.stat().st_ino
    with Kycore(path) as store:
        store.save("k", 1)
    assert path.stat().st_ino == inode


FAIL_TO_CREATE = """
    import resource
    from kycli import Kycore
    from kycli.errors import KycliError
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
    try:
        Kycore(sys.argv[1])
    except KycliError as error:
        print(type(error).__name__)
"""


@pytest.mark.parametrize("allowed", [0, 600, 8192, 40_000])
def test_a_database_that_cannot_be_made_leaves_no_file(path: Path, allowed: int) -> None:
    path.parent.joinpath("other").touch()
    printed = subprocess.run(
        [sys.executable, "-c", "import sys" + textwrap.dedent(FAIL_TO_CREATE), path, str(allowed)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert printed.stdout.split() in (["StorageError"], ["DiskFullError"], ["CannotOpenError"])
    assert os.listdir(path.parent) == ["other"]


def test_a_name_that_leaves_no_room_for_the_other_files_leaves_none(tmp_path: Path) -> None:
    for length in (248, 250, 255):
        with pytest.raises(CannotOpenError):
            Kycore(tmp_path / ("x" * length))
    assert os.listdir(tmp_path) == []


def test_an_interrupted_creation_leaves_no_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kycli.core import create

    def interrupted(connection: apsw.Connection) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(create, "create_tables", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Kycore(path)
    assert os.listdir(path.parent) == []
    path.touch()  # somebody's own, which stays
    with pytest.raises(KeyboardInterrupt):
        Kycore(path)
    assert os.listdir(path.parent) == [path.name]


def test_a_file_that_somebody_else_has_open_is_not_taken_away(path: Path) -> None:
    from kycli.core.create import remove_if_empty

    path.touch()
    code = f"""
import sys, apsw
connection = apsw.Connection({str(path)!r})
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == b"locked\n"
        remove_if_empty(str(path))
        assert path.exists()
        other.stdin.close()
        other.wait(60)
    remove_if_empty(str(path))
    assert not path.exists()
    with Kycore(path) as store:
        store.save("k", 1)
        remove_if_empty(str(path))
    remove_if_empty(str(path))
    with Kycore(path) as store:
        assert store["k"] == 1


def test_an_empty_file_beside_a_wal_is_not_written(path: Path) -> None:
    with Kycore(path) as store:
        store.save("k", "x" * 5000)
        wal = Path(f"{path}-wal").read_bytes()
    assert wal
    path.write_bytes(b"")
    Path(f"{path}-wal").write_bytes(wal)
    with pytest.raises(CorruptError, match="truncated to 0 bytes"):
        Kycore(path)
    assert (path.read_bytes(), Path(f"{path}-wal").read_bytes()) == (b"", wal)
    Path(f"{path}-wal").unlink()


def test_an_sqlite_file_without_tables_is_not_ours(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("VACUUM; PRAGMA journal_mode = wal")
    connection.close()
    before = path.read_bytes()
    assert before
    with pytest.raises(NotADatabaseError, match="not a kycli database"):
        Kycore(path)
    assert path.read_bytes() == before


def test_what_an_earlier_database_of_the_name_left_behind_is_thrown_away(path: Path) -> None:
    with Kycore(path) as store:
        store.save_many((f"old{i}", "x" * 300) for i in range(500))
        left_behind = {s: Path(f"{path}{s}").read_bytes() for s in ("-wal", "-shm")}
    path.unlink()
    for suffix, content in left_behind.items():
        Path(f"{path}{suffix}").write_bytes(content)
    with Kycore(path) as store:
        assert list(store) == []
        store.save("new", 1)
    with Kycore(path) as store:
        assert dict(store) == {"new": 1}


def test_a_new_database_waits_no_longer_than_it_was_told(path: Path) -> None:
    path.touch()
    with (
        Kycore(path, busy_timeout_ms=50) as store,
        Kycore(path) as other,
        other.transaction(),
        pytest.raises(BusyError),
    ):
        store.save("k", 1)


@pytest.mark.damages
def test_a_damaged_text_is_an_error(path: Path) -> None:
    with Kycore(path) as store:
        store.save("k", "text")
        store.save("d", [1])
    tool = apsw.Connection(str(path))
    tool.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)  # which would refuse it
    tool.execute("UPDATE kvstore SET value = CAST(x'ff' AS TEXT) WHERE key = 'k'")
    tool.execute("UPDATE kvstore SET value = '[1' WHERE key = 'd'")
    with Kycore(path) as store:
        for _ in range(20):
            for call in (
                lambda: store["k"],
                lambda: store["d"],
                lambda: list(store.scan()),
                lambda: store.get_entry("k"),
            ):
                with pytest.raises(CorruptError):
                    call()
    tool.execute("UPDATE kvstore SET value = 'text' WHERE key = 'k'")
    tool.execute("UPDATE kvstore SET value = '[1]' WHERE key = 'd'")
    tool.close()


def test_in_memory() -> None:
    with Kycore(":memory:") as store:
        store.save("k", 1)
        with store.transaction():
            store.save("k", 2)
        assert dict(store) == {"k": 2}
        assert store.path == ":memory:"


def test_a_symlink_is_followed_also_to_a_file_that_is_not_there_yet(tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "real.db")
    with Kycore(link) as store:
        store.save("k", 1)
    assert link.is_symlink()
    with Kycore(tmp_path / "real.db") as store:
        assert store["k"] == 1


def test_names_that_look_like_something_else(tmp_path: Path) -> None:
    for name in ("file:x.db?mode=ro", "a b%20c.db", "é.db", "-x.db", "?.db", "#.db"):
        path = tmp_path / name
        with Kycore(path) as store:
            store.save("k", name)
        assert path.exists()
        with Kycore(path) as store:
            assert store["k"] == name


def test_a_relative_path_means_the_directory_at_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Kycore("kycli.db") as store:
        monkeypatch.chdir("/")
        assert store.path == str(tmp_path / "kycli.db")


@pytest.mark.damages
@pytest.mark.parametrize(
    "content",
    [b"not a database at all\n" * 100, b"x", b"SQLite format 3\0" + b"\xff" * 4080, b"\0" * 8192],
    ids=["text", "one byte", "bad header", "zeros"],
)
def test_a_file_that_is_no_database_is_refused_and_left_as_it_was(
    path: Path, content: bytes
) -> None:
    path.write_bytes(content)
    with pytest.raises((NotADatabaseError, CorruptError)) as caught:
        Kycore(path)
    assert str(path) in str(caught.value)
    assert caught.value.hint
    assert path.read_bytes() == content
    assert os.listdir(path.parent) == [path.name]


def test_somebody_elses_database_is_refused_and_left_as_it_was(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "wal")
    connection.execute("CREATE TABLE mine (x); INSERT INTO mine VALUES (1)")
    wal = Path(f"{path}-wal")
    before = path.read_bytes(), wal.read_bytes()
    with pytest.raises(NotADatabaseError, match="not a kycli database"):
        Kycore(path)
    assert (path.read_bytes(), wal.read_bytes()) == before
    connection.close()
    with pytest.raises(NotADatabaseError, match="not a kycli database"):
        Kycore(path)
    assert os.listdir(path.parent) == [path.name]


def test_a_database_of_an_earlier_kycli_is_told_apart(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE kvstore (key TEXT PRIMARY KEY, value TEXT)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(MigrationNeeded, match="earlier KyCLI"):
        Kycore(path)
    assert path.read_bytes() == before


def test_a_newer_format_is_refused_with_both_numbers(path: Path) -> None:
    Kycore(path).close()
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(NewerFormatError, match=r"format 99.*format 4"):
        Kycore(path)
    assert path.read_bytes() == before


@pytest.mark.damages
def test_a_damaged_database_is_an_error_and_not_an_answer(path: Path) -> None:
    with Kycore(path) as store:
        store.save_many((f"k{i}", "x" * 400) for i in range(500))
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xa5" * (len(content) - 8192)
    path.write_bytes(content)
    for call in (
        lambda store: list(store.scan()),
        lambda store: store.save("k1", "y"),
        lambda store: store.getkey("k1"),
        lambda store: store.delete("k1"),
    ):
        with pytest.raises(CorruptError, match="damaged"), Kycore(path) as store:
            call(store)


@pytest.mark.damages
def test_a_truncated_database_is_an_error(path: Path) -> None:
    with Kycore(path) as store:
        store.save_many((f"k{i}", "x" * 400) for i in range(500))
    with path.open("r+b") as file:
        file.truncate(6000)
    with pytest.raises(CorruptError), Kycore(path) as store:
        list(store.scan())


def test_a_database_with_other_tables_is_an_error(path: Path) -> None:
    Kycore(path).close()
    other = path.with_suffix(".other")
    path.rename(other)
    connection = apsw.Connection(str(other))
    connection.execute("DROP TABLE kvstore; PRAGMA wal_checkpoint")
    connection.close()
    with Kycore(other) as store, pytest.raises(CorruptError, match="tables"):
        store.getkey("k")
    other.unlink()


def test_paths_that_cannot_be_a_database(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotADatabaseError, match="not a regular file"):
        Kycore(tmp_path)
    with pytest.raises(NotADatabaseError, match="not a regular file"):
        Kycore("/dev/null")
    with pytest.raises(CannotOpenError):
        Kycore(tmp_path / "file" / "kycli.db")
    with pytest.raises(CannotOpenError):
        Kycore(tmp_path / ("x" * 300))
    for bad in ("", "a\0b"):
        with pytest.raises(CannotOpenError):
            Kycore(bad)
    assert sorted(os.listdir(tmp_path)) == ["file"]


def as_nobody(code: str, *arguments: object) -> str:
    """Run Python code without root's power to write everywhere; return what it printed."""
    # The modules first: they may be where only root can read.
    drop = """
import importlib, os, pkgutil, sys, traceback
import kycli.core
for module in pkgutil.walk_packages(kycli.core.__path__, "kycli.core."):
    importlib.import_module(module.name)
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
"""
    result = subprocess.run(
        [sys.executable, "-c", drop + textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


READ = """
    from kycli import Kycore
    from kycli.errors import *
    with Kycore(sys.argv[1]) as store:
        print(store["k"], store.read_only)
        for call in (store.delete, store.incr, store.persist):
            try:
                call("k")
            except ReadOnlyError as error:
                print("refused:", error.hint is not None)
"""


@pytest.fixture
def open_to_all(tmp_path: Path) -> Path:
    """A directory that any user can reach, with a database in it."""
    for directory in (tmp_path, *tmp_path.parents):
        if directory != Path("/") and os.access(directory, os.W_OK) and directory != Path("/tmp"):
            directory.chmod(directory.stat().st_mode | 0o755)
    path = tmp_path / "kycli.db"
    with Kycore(path) as store:
        store.save("k", 1)
    return path


@pytest.mark.parametrize("directory_mode", [0o777, 0o555])
def test_a_read_only_file_can_be_read(open_to_all: Path, directory_mode: int) -> None:
    open_to_all.chmod(0o444)
    open_to_all.parent.chmod(directory_mode)
    before = open_to_all.read_bytes()
    try:
        printed = as_nobody(READ, open_to_all)
    finally:
        open_to_all.parent.chmod(0o755)
    assert printed.splitlines() == ["1 True"] + ["refused: True"] * 3
    assert open_to_all.read_bytes() == before


def test_a_read_only_directory_with_changes_beside_the_file_is_refused(open_to_all: Path) -> None:
    with Kycore(open_to_all) as store:
        store.save("k", 2)
        copy = open_to_all.with_name("copy.db")
        copy.write_bytes(open_to_all.read_bytes())
        wal = Path(f"{copy}-wal")
        wal.write_bytes(Path(f"{open_to_all}-wal").read_bytes())
    copy.chmod(0o444)
    wal.chmod(0o444)
    open_to_all.parent.chmod(0o555)
    try:
        printed = as_nobody(
            """
            from kycli import Kycore
            from kycli.errors import *
            try:
                with Kycore(sys.argv[1]) as store:
                    print(store["k"])
            except (ReadOnlyError, CannotOpenError) as error:
                print(type(error).__name__)
            """,
            copy,
        )
    finally:
        open_to_all.parent.chmod(0o755)
        wal.unlink()
        copy.unlink()
    assert printed.split() in (["2"], ["ReadOnlyError"])


def test_a_directory_that_cannot_be_written_is_an_error(open_to_all: Path) -> None:
    open_to_all.parent.chmod(0o555)
    try:
        printed = as_nobody(
            """
            from kycli import Kycore
            from kycli.errors import *
            for name in ("new.db", "sub/new.db"):
                try:
                    Kycore(os.path.join(sys.argv[1], name))
                except CannotOpenError as error:
                    print(error)
            """,
            open_to_all.parent,
        )
    finally:
        open_to_all.parent.chmod(0o755)
    assert printed.count("Permission denied") == 2
    assert os.listdir(open_to_all.parent) == ["kycli.db"]


def test_opening_twice_is_a_misuse(store: Kycore) -> None:
    from kycli.errors import MisuseError

    with pytest.raises(MisuseError):
        store.__init__(":memory:")  # type: ignore[misc]


def test_a_write_that_sqlite_refuses_is_an_error(path: Path) -> None:
    with Kycore(path) as store:
        store.save("k", 1)
    with Kycore(path) as store:
        assert store.read_only is False
        store._query("PRAGMA query_only = 1")
        with pytest.raises(ReadOnlyError):
            store.save("k", 2)
