"""Backups: whole copies of one moment, or none; and which old ones may go."""

from __future__ import annotations

import gzip
import lzma
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
from conftest import Clock

from kycli import Kycore
from kycli.core.backup import verifying
from kycli.errors import (
    CannotOpenError,
    CorruptError,
    DiskFullError,
    FileReplacedError,
    InvalidValueError,
    KycliError,
    MisuseError,
    StorageError,
    UsageError,
)
from kycli.transfer.backup import making, names
from kycli.transfer.backup.making import make
from kycli.transfer.sources import load_zstd


@pytest.fixture
def filled(store: Kycore) -> Kycore:
    store.save_many({f"k{n}": f"value {n} " * 20 for n in range(2000)})
    store.save("large", "x" * 100_000)
    store.save("typed", {"a": [1, None, b"bytes"]}, scope="shop.prod", ttl=None)
    store.save("brief", 1, ttl=1000)
    store.delete("k1")
    return store


def content(store: Kycore) -> Any:
    return [
        (
            scope,
            [repr(entry) for entry in store.entries(scope=scope)],
            store.get_history(scope=scope),
        )
        for scope in store.scopes()
    ]


def content_of(path: str | Path, clock: Clock) -> Any:
    with Kycore(path, clock=clock) as store:
        return content(store)


@pytest.mark.parametrize("name", ["copy.db", "copy", "copy.db.zst", "copy.db.gz", "copy.db.xz"])
def test_a_backup_is_the_whole_database(
    filled: Kycore, tmp_path: Path, name: str, clock: Clock
) -> None:
    path = filled.backup(tmp_path / name)
    assert path == str(tmp_path / name)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    opened: dict[str, Callable[[str], Any]] = {"gz": gzip.open, "xz": lzma.open}
    ending = name.rpartition(".")[2]
    if ending == "zst":
        opened["zst"] = load_zstd().open
    if ending in opened:
        with opened[ending](path) as packed:
            (tmp_path / "unpacked.db").write_bytes(packed.read())
        path = str(tmp_path / "unpacked.db")
    assert content_of(path, clock) == content(filled)
    assert not list(tmp_path.glob("*.partial"))


def test_it_gets_a_name_beside_the_database(filled: Kycore, path: Path, clock: Clock) -> None:
    first, second = filled.backup(), filled.backup()
    assert first != second
    assert os.path.dirname(first) == str(path.parent / "backups")
    assert stat.S_IMODE(os.stat(os.path.dirname(first)).st_mode) == 0o700
    assert content_of(first, clock) == content(filled)
    listed = names.backups_in(os.path.dirname(first), str(path))
    assert [backup.path for backup in listed] == [first, second]
    assert all(b.is_own and b.format == 4 and b.problem is None for b in listed)


def test_a_database_in_memory_can_be_backed_up(tmp_path: Path) -> None:
    with Kycore(":memory:") as store:
        store["k"] = 1
        with Kycore(store.backup(tmp_path / "copy.db")) as copy:
            assert copy["k"] == 1
        with pytest.raises(MisuseError, match="no place"):
            store.backup()


def test_deferred_saves_are_in_it(path: Path) -> None:
    with Kycore(path, durability="async") as store:
        store.save("k", 1)
        with Kycore(store.backup()) as copy:
            assert copy["k"] == 1


def test_it_is_refused_inside_a_transaction(filled: Kycore) -> None:
    with filled.transaction(), pytest.raises(MisuseError, match="inside a transaction"):
        filled.backup()
    with filled.snapshot(), pytest.raises(MisuseError, match="inside a transaction"):
        filled.backup()


def test_a_database_that_only_can_be_read(filled: Kycore, path: Path, tmp_path: Path) -> None:
    before = content(filled)
    filled.close()
    path.chmod(0o400)
    with Kycore(path) as store:
        copy = store.backup(tmp_path / "copy.db")
    with Kycore(copy) as store:
        assert len(content(store)) == len(before)


def test_a_store_whose_file_was_replaced_backs_nothing_up(filled: Kycore, path: Path) -> None:
    path.rename(path.with_name("moved.db"))
    with pytest.raises(FileReplacedError):
        filled.backup(path.with_name("copy.db"))
    assert not path.exists()
    path.with_name("moved.db").rename(path)


# -- where it goes


@pytest.mark.parametrize("name", ["copy.db", "copy.gz", ""])
def test_it_does_not_go_where_sqlite_cannot_write(
    filled: Kycore, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = os.fsdecode(os.fsencode(tmp_path) + b"/d\xff")
    os.mkdir(directory)
    with pytest.raises(CannotOpenError, match="cannot be the path of a database"):
        filled.backup(os.path.join(directory, name))
    monkeypatch.chdir(directory)
    with pytest.raises(CannotOpenError if name else UsageError):
        filled.backup(name)
    assert os.listdir(directory) == []


def test_a_file_that_is_there_is_replaced_only_if_asked(filled: Kycore, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_text("mine")
    with pytest.raises(CannotOpenError, match="file of that name"):
        filled.backup(copy)
    assert copy.read_text() == "mine"
    filled.backup(copy, overwrite=True)
    assert copy.read_bytes().startswith(b"SQLite")


@pytest.mark.parametrize("overwrite", [False, True])
def test_the_database_is_never_the_target(filled: Kycore, path: Path, overwrite: bool) -> None:
    before = path.read_bytes()
    other, link = path.with_name("hard"), path.with_name("soft")
    os.link(path, other)
    link.symlink_to(path)
    for target in (path, other, link, Path(f"{path}-wal"), Path(f"{path}-shm")):
        with pytest.raises(UsageError, match="is the database itself"):
            filled.backup(target, overwrite=overwrite)
    other.unlink()
    assert path.read_bytes() == before


def test_a_symbolic_link_keeps_its_name(filled: Kycore, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "elsewhere" / "copy.db")
    assert filled.backup(link) == str(tmp_path / "elsewhere" / "copy.db")
    assert link.is_symlink()
    with pytest.raises(CannotOpenError):
        filled.backup(link)


@pytest.mark.parametrize("name", ["/dev/full", "/dev/null", "pipe"])
def test_what_is_no_file_is_refused(filled: Kycore, tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    if name == "pipe":
        os.mkfifo(target)
    for overwrite in (False, True):
        with pytest.raises(CannotOpenError, match="not a regular file"):
            filled.backup(target, overwrite=overwrite)


@pytest.mark.parametrize("name", ["no/such/x.db", "a\nb\x1b[31m.db", "☃.db", "x" * 300])
def test_odd_names_work_or_are_refused(filled: Kycore, tmp_path: Path, name: str) -> None:
    refused = "no/" in name or len(name) > 255
    if refused:
        with pytest.raises(CannotOpenError):
            filled.backup(tmp_path / name)
    else:
        assert Path(filled.backup(tmp_path / name)).exists()
    assert not list(tmp_path.glob("*.partial"))


# -- nothing half-done


def test_a_disk_that_is_too_small_is_known_before(
    filled: Kycore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = os.statvfs(tmp_path)
    few = os.statvfs_result((*about[:4], 3, *about[5:]))
    monkeypatch.setattr(os, "statvfs", lambda path: few)
    with pytest.raises(DiskFullError, match="are free"):
        filled.backup(tmp_path / "copy.db")
    assert not list(tmp_path.glob("copy*"))


@pytest.mark.parametrize("name", ["copy.db", "copy.db.gz"])
def test_a_disk_that_gets_full_leaves_nothing(filled: Kycore, tmp_path: Path, name: str) -> None:
    before = content(filled)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limit[1]))
    try:
        with pytest.raises(StorageError, match=r"copy\.db.*: writing failed"):
            filled.backup(tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert not list(tmp_path.glob("copy*"))
    assert content(filled) == before


@pytest.mark.parametrize("when", [1, 3, 500_000, 10**9])
def test_an_interrupted_backup_leaves_nothing(filled: Kycore, tmp_path: Path, when: int) -> None:
    def interrupt(done: int, total: int) -> None:
        if done >= min(when, total):
            raise KeyboardInterrupt

    for name in ("copy.db", "copy.db.gz"):
        with pytest.raises(KeyboardInterrupt):
            filled.backup(tmp_path / name, progress=interrupt)
        assert not list(tmp_path.glob("copy*"))


def test_progress_comes_to_its_end(filled: Kycore, tmp_path: Path) -> None:
    for name in ("copy.db", "copy.db.gz"):
        seen: list[tuple[int, int]] = []
        filled.backup(tmp_path / name, progress=lambda *so_far, seen=seen: seen.append(so_far))
        assert seen == sorted(seen)
        assert seen[-1][0] == seen[-1][1]
        assert len({total for _, total in seen}) == 1


KILLED = """
import os, signal, sys
from kycli import Kycore
from kycli.core.backup import verifying
from kycli.transfer.backup import making
def killed(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)
setattr(making, sys.argv[3], killed)
with Kycore(sys.argv[1]) as store:
    store.backup(sys.argv[2])
"""


@pytest.mark.parametrize("step", ["check_file", "_compress", "give_name", "sync_directory"])
def test_what_a_killed_backup_leaves_is_cleaned_up(
    filled: Kycore, path: Path, tmp_path: Path, step: str
) -> None:
    directory = tmp_path / "backups"
    directory.mkdir()
    for target in (directory / "copy.gz", directory):
        done = subprocess.run([sys.executable, "-c", KILLED, path, target, step], check=False)
        if step == "_compress" and target == directory:
            assert done.returncode == 0
            continue
        assert done.returncode == -signal.SIGKILL
    left = [file.name for file in directory.iterdir()]
    complete = [name for name in left if not name.endswith(".partial")]
    assert bool(complete) == (step == "sync_directory" or step == "_compress")
    filled.backup(directory / "copy.gz", overwrite=True)
    filled.backup(directory)
    assert not list(directory.glob("*.partial"))


def test_a_partial_file_that_somebody_writes_stays(filled: Kycore, path: Path) -> None:
    filled.backup()
    name = f"{next(names.new_names(str(path), ''))}.partial"
    other = path.parent / "backups" / name
    with other.open("w") as file:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)
        filled.backup()
        assert other.exists()
    filled.backup()
    assert not other.exists()


def test_a_backup_that_kept_its_partial_name_is_not_emptied_by_the_next(
    filled: Kycore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(filled.backup(tmp_path / "copy.db"))
    # As if it had been killed just after it gave the file its name.
    os.link(copy, f"{copy}.partial")
    whole = copy.read_bytes()

    def full(*arguments: object) -> None:
        raise DiskFullError("no space")

    with monkeypatch.context() as patched, pytest.raises(DiskFullError):
        patched.setattr(making, "copy_store", full)
        filled.backup(copy, overwrite=True)
    assert copy.read_bytes() == whole
    assert not os.path.exists(f"{copy}.partial")


# -- verified


@pytest.mark.damages
def test_a_damaged_database_is_not_backed_up(filled: Kycore, path: Path, tmp_path: Path) -> None:
    filled.close()
    connection = apsw.Connection(str(path))
    root = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'archive'").get
    connection.close()
    good = tmp_path / "good.db"
    good.write_bytes(path.read_bytes())
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)
    with Kycore(path) as store:
        with pytest.raises(CorruptError, match="damaged"):
            store.backup(tmp_path / "copy.db")
        with pytest.raises(CorruptError):
            store.backup(keep=1)
    assert not (tmp_path / "copy.db").exists()


@pytest.mark.damages
@pytest.mark.parametrize(
    "statement", ["DELETE FROM fts_kvstore_data", "DROP TABLE fts_kvstore_config"]
)
def test_a_damaged_search_index_keeps_nobody_from_a_backup(
    filled: Kycore, path: Path, tmp_path: Path, statement: str, clock: Clock
) -> None:
    filled.search("value")
    before = content(filled)
    filled.close()
    connection = apsw.Connection(str(path))
    connection.execute(statement)
    connection.close()
    with Kycore(path, clock=clock) as store:
        copy = store.backup(tmp_path / "copy.db")
    assert content_of(copy, clock) == before


def test_compressed_data_that_comes_out_otherwise_is_no_backup(
    filled: Kycore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = making._pass

    def another(source: Any, target: Any, *rest: Any) -> bytes:
        return real(source, target, *rest) if target is not None else b"another"

    monkeypatch.setattr(making, "_pass", another)
    with pytest.raises(StorageError, match="not the same"):
        filled.backup(tmp_path / "copy.gz")
    assert not list(tmp_path.glob("copy*"))


# -- which old ones go


def test_only_the_newest_own_backups_are_kept(filled: Kycore, path: Path, tmp_path: Path) -> None:
    directory = tmp_path / "backups"
    directory.mkdir()
    with Kycore(tmp_path / "other" / "kycli.db") as other:
        other["k"] = 1
        of_other = other.backup(directory)
    mine = directory / "notes.db"
    mine.write_text("mine")
    ours = [make(filled, str(directory)).path for _ in range(3)]
    # Of our name, and not ours by what is in it.
    alien = Path(ours[0].replace("Z-", "Z-").replace(".db", "-9.db"))
    alien.write_text("not a database")
    linked = Path(ours[0].replace(".db", "-8.db"))
    linked.symlink_to(path)
    done = make(filled, str(directory), keep=2)
    assert done.removed == ours[:2]
    left = {str(file) for file in directory.iterdir()}
    assert left == {of_other, str(mine), ours[2], done.path, str(alien), str(linked)}
    assert path.exists()
    last = make(filled, str(directory), keep=1, compression="gzip")
    assert set(last.removed) == {ours[2], done.path}
    # The clock was put back: the new one looks older than the one that is there.
    assert make(filled, str(directory), keep=1).removed == [last.path]


def test_a_backup_that_fails_removes_none(filled: Kycore, monkeypatch: pytest.MonkeyPatch) -> None:
    before = filled.backup()

    def fail(*arguments: Any) -> None:
        raise CorruptError("damaged")

    monkeypatch.setattr(making, "check_file", fail)
    with pytest.raises(CorruptError):
        filled.backup(keep=1)
    assert os.path.exists(before)


def test_how_many_are_kept_cannot_be_said_of_a_file(filled: Kycore, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="of a directory"):
        filled.backup(tmp_path / "copy.db", keep=1)
    with pytest.raises(InvalidValueError):
        filled.backup(keep=0)


@pytest.mark.damages
def test_what_cannot_be_restored_is_listed_with_the_reason(filled: Kycore, path: Path) -> None:
    backups = Path(filled.backup()).parent
    whole = next(backups.iterdir()).read_bytes()
    name = next(names.new_names(str(path), "")).replace(".db", "-{}.db{}")
    newer = bytearray(whole)
    newer[60:64] = (99).to_bytes(4, "big")
    packed = gzip.compress(whole)
    broken: list[tuple[bytes, str]] = [
        (b"", ""),
        (b"x" * 500, ""),
        (whole[:9000], ""),
        (bytes(newer), ""),
    ]
    for number, (data, ending) in enumerate([*broken, (packed, ".gz"), (packed[:9], ".gz")], 3):
        (backups / name.format(number, ending)).write_bytes(data)
    problems = [b.problem for b in names.backups_in(str(backups), str(path))]
    assert problems[0] is None
    assert [
        found
        and next(w for w in ("not a kycli", "cut off", "format 99", "too early") if w in found)
        for found in problems[1:]
    ] == ["not a kycli", "not a kycli", "cut off", "format 99", None, "too early"]


def test_a_backup_that_is_too_short_is_no_backup() -> None:
    with pytest.raises(KycliError):
        verifying.read_header(b"SQLite format 3\0", "x")


# -- beside others

WRITER = """
import sys
from kycli import Kycore
with Kycore(sys.argv[1]) as store:
    number = 0
    while True:
        number += 1
        with store.transaction():
            store.save("left", number)
            store.save(f"k{number % 2000}", "another " * 20)
            store.save("right", number)
        if number == 1:
            print("goes", flush=True)
"""


def back_up_beside_a_writer(store: Kycore, path: Path, times: int) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    writer.stdout.readline()
    try:
        seen = []
        for number in range(times):
            with Kycore(store.backup(path.with_name(f"copy-{number}.db"))) as copy:
                assert copy["left"] == copy["right"]
                assert copy.check() == []
                seen.append(copy["left"])
        assert sorted(set(seen)) == seen  # the writer has gone on between them
        assert writer.poll() is None
    finally:
        writer.kill()
        writer.wait()
        writer.stdout.close()


def test_a_backup_beside_a_busy_writer_is_of_one_moment(filled: Kycore, path: Path) -> None:
    back_up_beside_a_writer(filled, path, 3)


@pytest.mark.soak
@pytest.mark.alone
def test_backups_beside_a_busy_writer_are_of_one_moment(filled: Kycore, path: Path) -> None:
    filled.save_many({f"more {n}": "x" * 300 for n in range(200_000)})
    back_up_beside_a_writer(filled, path, 30)


def test_threads_go_on_meanwhile(filled: Kycore, tmp_path: Path) -> None:
    saved = threading.Event()

    def meanwhile() -> None:
        filled.save("meanwhile", 1)
        saved.set()

    def save(done: int, total: int) -> None:
        if not saved.is_set():
            thread = threading.Thread(target=meanwhile)
            thread.start()
            thread.join(30)
            assert saved.is_set()

    with Kycore(filled.backup(tmp_path / "copy.db", progress=save)) as copy:
        assert "meanwhile" not in copy
    assert filled["meanwhile"] == 1


def test_two_backups_at_once_are_two(filled: Kycore, path: Path) -> None:
    program = (
        "import sys; from kycli import Kycore\nwith Kycore(sys.argv[1]) as s: print(s.backup())"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    made = {process.communicate()[0] for process in running}
    assert len(made) == 4
    assert len(list((path.parent / "backups").iterdir())) == 4


@pytest.mark.alone
def test_a_backup_killed_at_any_moment_is_whole_or_none(filled: Kycore, path: Path) -> None:
    program = (
        "import sys; from kycli import Kycore\nwith Kycore(sys.argv[1]) as s: s.backup(sys.argv[2])"
    )
    for number in range(8):
        target = path.with_name(f"copy-{number}.gz")
        process = subprocess.Popen([sys.executable, "-c", program, path, target])
        time.sleep(0.1 + number * 0.03)
        process.kill()
        process.wait()
        if target.exists():
            assert gzip.decompress(target.read_bytes()).startswith(b"SQLite")
        target.unlink(missing_ok=True)
        filled.backup(target)
    assert not list(path.parent.glob("*.partial"))
