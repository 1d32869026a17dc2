"""Restoring: all of the backup or nothing of it, and not a write is lost on the way."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import apsw
import pytest

from kycli import Kycore
from kycli.core.backup import replacing
from kycli.errors import (
    BusyError,
    CannotOpenError,
    CorruptError,
    FileReplacedError,
    FormatError,
    KycliError,
    NewerFormatError,
    NotADatabaseError,
    StorageError,
    UsageError,
)
from kycli.transfer.backup.restoring import restore

FORMATS = Path(__file__).parents[1] / "formats"


@pytest.fixture
def backup(path: Path) -> Path:
    """A backup of a database that has changed since."""
    copy = path.with_name("backup.db")
    with Kycore(path) as store:
        store.save_many({f"k{n}": f"value {n}" for n in range(500)})
        store["state"] = "backed up"
        store.backup(copy)
        store["state"] = "newer"
        store["late"] = 1
    return copy


def asides(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}.before-restore-*"))


def is_untouched(path: Path) -> bool:
    """Whether the database is the newer one, and nothing is left of an attempt."""
    with Kycore(path) as store:
        newer = store.getkey("state") == "newer"
    return newer and not asides(path) and not list(path.parent.glob("*.partial*"))


@pytest.mark.parametrize("ending", ["", ".gz", ".xz", ".zst"])
def test_a_backup_comes_back_and_the_database_is_kept(
    path: Path, backup: Path, ending: str
) -> None:
    if ending:
        with Kycore(backup) as store:
            backup = Path(store.backup(f"{backup}{ending}"))
    path.chmod(0o640)
    done = restore(str(backup), str(path))
    assert [done.aside] == [str(file) for file in asides(path)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert not list(path.parent.glob("*.partial"))
    with Kycore(path) as store, Kycore(asides(path)[0]) as old:
        assert (store["state"], "late" in store) == ("backed up", False)
        assert (old["state"], old["late"]) == ("newer", 1)
        store["state"] = "goes on"
    with Kycore(path) as store:
        assert store["state"] == "goes on"
    # What was put aside can be restored, too.
    restore(done.aside or "", str(path))
    with Kycore(path) as store:
        assert store["late"] == 1
    assert len(asides(path)) == 2


def test_a_database_that_is_gone_comes_back(path: Path, backup: Path) -> None:
    path.unlink()
    Path(f"{path}-wal").write_bytes(b"of the one that is gone")
    done = restore(str(backup), str(path))
    assert done.aside is None
    with Kycore(path) as store:
        assert store["state"] == "backed up"
    other = path.parent / "new" / "directory" / "kycli.db"
    restore(str(backup), str(other))
    assert stat.S_IMODE(other.stat().st_mode) == 0o600
    assert stat.S_IMODE(other.parent.stat().st_mode) == 0o700


@pytest.mark.damages
@pytest.mark.parametrize("what", ["empty", "garbage", "damaged", "cut off", "foreign", "old"])
def test_whatever_was_there_is_kept(path: Path, backup: Path, what: str) -> None:
    data = bytearray(path.read_bytes())
    if what == "damaged":
        data[100:4096] = b"\xff" * 3996
    found = {
        "empty": b"",
        "garbage": b"x" * 9000,
        "cut off": bytes(data[:50]),
        "damaged": bytes(data),
    }
    if what == "foreign":
        path.unlink()
        connection = apsw.Connection(str(path))
        connection.execute("CREATE TABLE t (x)")
        connection.close()
    elif what == "old":
        shutil.copy(FORMATS / "format-1.sqlite", path)
    else:
        path.write_bytes(found[what])
    before = path.read_bytes()
    done = restore(str(backup), str(path))
    assert Path(done.aside or "").read_bytes() == before
    with Kycore(path) as store:
        assert store["state"] == "backed up"
        assert store.check() == []


def test_what_is_in_the_wal_is_put_aside_with_the_file(path: Path, backup: Path) -> None:
    program = """
import os, signal, sys
from kycli import Kycore
store = Kycore(sys.argv[1])
for number in range(200):
    store.save(f"in the wal {number}", number)
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program, path], check=False)
    assert Path(f"{path}-wal").stat().st_size > 0
    restore(str(backup), str(path))
    assert not Path(f"{path}-wal").exists()
    with Kycore(asides(path)[0]) as old, Kycore(path) as store:
        assert sum(1 for _ in old.iterkeys("in the wal")) == 200
        assert sum(1 for _ in store.iterkeys("in the wal")) == 0


def test_a_copy_with_its_wal_is_restored_with_what_is_in_it(path: Path, backup: Path) -> None:
    with Kycore(path) as store:
        store["in the wal"] = 1
        for side in ("", "-wal"):
            shutil.copy(f"{path}{side}", f"{backup}{side}")
    before = backup.read_bytes(), Path(f"{backup}-wal").read_bytes()
    restore(str(backup), str(path))
    with Kycore(path) as store:
        assert store["in the wal"] == 1
    assert (backup.read_bytes(), Path(f"{backup}-wal").read_bytes()) == before


@pytest.mark.damages
def test_a_database_that_kept_its_partial_name_is_not_emptied(path: Path, backup: Path) -> None:
    # What a restore leaves that was killed just after it gave the name to the new file.
    os.link(path, f"{path}.partial")
    with pytest.raises(CorruptError):
        backup.write_bytes(backup.read_bytes()[:-4096])
        restore(str(backup), str(path))
    assert is_untouched(path)


def test_what_a_killed_restore_leaves_in_a_wal_is_not_brought_in(path: Path, backup: Path) -> None:
    other = path.with_name("other.db")
    shutil.copy(FORMATS / "format-1.sqlite", other)
    connection = apsw.Connection(str(other))
    connection.pragma("journal_mode", "wal")
    connection.execute("UPDATE kvstore SET value = 'of another restore'")
    connection.execute("CREATE TABLE of_another_restore (x)")
    for side in ("", "-wal"):
        shutil.copy(f"{other}{side}", f"{path}.partial{side}")
    connection.close()
    restore(str(FORMATS / "format-1.sqlite"), str(path))
    with Kycore(path) as store:
        assert store.check() == []
        assert "of another restore" not in [value for _, value in store.items()]
    assert not list(path.parent.glob("*.partial*"))


@pytest.mark.parametrize("number", [1, 2])
def test_a_backup_of_an_earlier_format_becomes_one_of_this(
    path: Path, backup: Path, number: int
) -> None:
    earlier = FORMATS / f"format-{number}.sqlite"
    before = earlier.read_bytes()
    done = restore(str(earlier), str(path))
    assert done.format == number
    with Kycore(path) as store:
        assert store.check() == []
        assert list(store.scopes())
    assert earlier.read_bytes() == before
    assert not list(path.parent.glob("*.partial*"))


@pytest.mark.damages
def test_what_is_no_whole_backup_changes_nothing(path: Path, backup: Path) -> None:
    whole = backup.read_bytes()
    with Kycore(backup) as store:
        packed = Path(store.backup(path.with_name("packed.gz"))).read_bytes()
    newer, foreign, damaged, flipped = (bytearray(whole) for _ in range(4))
    newer[60:64] = (99).to_bytes(4, "big")
    foreign[68:72] = b"ABCD"
    damaged[4096 * 3 : 4096 * 4] = b"\xff" * 4096
    flipped[4096 + 5] ^= 0x10
    bad_packed = bytearray(packed)
    bad_packed[len(packed) // 2] ^= 0xFF
    wrong: dict[str, tuple[bytes, type[KycliError]]] = {
        "empty": (b"", NotADatabaseError),
        "text": (b"hello " * 100, NotADatabaseError),
        "cut": (whole[:9000], CorruptError),
        "cut in the header": (whole[:50], NotADatabaseError),
        "newer": (bytes(newer), NewerFormatError),
        "foreign": (bytes(foreign), NotADatabaseError),
        "damaged": (bytes(damaged), CorruptError),
        "cut.gz": (packed[: len(packed) // 2], FormatError),
        "cut early.gz": (packed[:15], FormatError),
        "cut late.gz": (packed[:-3], FormatError),
        "bad.gz": (bytes(bad_packed), FormatError),
    }
    for name, (data, kind) in wrong.items():
        file = path.with_name(name)
        file.write_bytes(data)
        with pytest.raises(kind, match=name):
            restore(str(file), str(path))
        assert is_untouched(path), name
    for name, kind in (("nowhere", CannotOpenError), (".", CannotOpenError)):
        with pytest.raises(kind):
            restore(str(path.parent / name), str(path))
    os.mkfifo(path.parent / "pipe")
    with pytest.raises(CannotOpenError, match="not a regular file"):
        restore(str(path.parent / "pipe"), str(path))
    os.link(path, path.parent / "link")
    for name in (str(path), str(path.parent / "link")):
        with pytest.raises(UsageError, match="itself"):
            restore(name, str(path))
    (path.parent / "link").unlink()
    assert is_untouched(path)


def test_an_interrupted_restore_changes_nothing(path: Path, backup: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore(str(backup), str(path), progress=interrupt)
    assert is_untouched(path)


def test_a_full_disk_changes_nothing(path: Path, backup: Path) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limit[1]))
    try:
        with pytest.raises(StorageError):
            restore(str(backup), str(path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert is_untouched(path)


def test_a_symbolic_link_stays_one(path: Path, backup: Path) -> None:
    link = path.with_name("link.db")
    link.symlink_to(path)
    restore(str(backup), str(link))
    assert link.is_symlink()
    with Kycore(link) as store:
        assert store["state"] == "backed up"
    assert len(asides(path)) == 1


def test_without_hard_links_the_old_file_is_copied(
    path: Path, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.link

    def refuse(source: Any, target: Any, **more: Any) -> None:
        if str(source).startswith("/proc/"):
            real(source, target, **more)
            return
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    restore(str(backup), str(path))
    with Kycore(asides(path)[0]) as old:
        assert old["late"] == 1


# -- beside others


def test_a_store_that_has_the_database_open_notices(path: Path, backup: Path) -> None:
    with Kycore(path) as store:
        store["before"] = 1
        assert store["state"] == "newer"
        restore(str(backup), str(path))
        assert store["state"] == "newer"  # it reads the file that it has open
        for _ in range(2):
            with pytest.raises(FileReplacedError, match="replaced"):
                store["after"] = 1
        with pytest.raises(FileReplacedError):
            store.backup(path.with_name("copy.db"))
    with Kycore(path) as store, Kycore(asides(path)[0]) as old:
        assert store["state"] == "backed up"
        assert ("before" in old, "after" in old, "after" in store) == (True, False, False)


def test_a_reader_goes_on_and_a_transaction_is_waited_for(path: Path, backup: Path) -> None:
    with Kycore(path) as reader:
        with reader.snapshot():
            reader["state"]
            with Kycore(path) as writer:
                writer["state"] = "newest"
            with pytest.raises(BusyError, match="reading it"):
                restore(str(backup), str(path), timeout_ms=100)
            assert reader["state"] == "newer"
        assert not asides(path)
        with reader.transaction():
            with pytest.raises(BusyError):
                restore(str(backup), str(path), timeout_ms=100)
            reader["in it"] = 1
        thread = threading.Thread(target=restore, args=(str(backup), str(path)))
        with reader.transaction():
            reader["in it"] = 2
            thread.start()
        thread.join(60)
    with Kycore(asides(path)[0]) as old:
        assert (old["in it"], old["state"]) == (2, "newest")


WRITER = """
import sys
from kycli import Kycore
from kycli.errors import FileReplacedError
path, me, times = sys.argv[1:]
number = replaced = 0
while replaced < int(times):
    with Kycore(path) as store:
        try:
            while True:
                store.save(f"{me}-{number}", number)
                print(number, flush=True)
                number += 1
        except FileReplacedError:
            replaced += 1
print("done", flush=True)
"""


def restore_beside_writers(path: Path, backup: Path, times: int) -> None:
    """What was acknowledged is in the database or in one that was put aside."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, path, name, str(times)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in "ab"
    ]
    outputs: list[list[str]] = [[], []]

    def collect(number: int) -> None:
        stream = writers[number].stdout
        assert stream is not None
        outputs[number] += stream.read().split()
        stream.close()

    readers = [threading.Thread(target=collect, args=(n,)) for n in range(2)]
    for reader in readers:
        reader.start()
    pause = threading.Event()
    try:
        while any(writer.poll() is None for writer in writers):
            pause.wait(0.15)
            restore(str(backup), str(path), timeout_ms=30_000)
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
        for reader in readers:
            reader.join(60)
    found: set[str] = set()
    for file in [path, *asides(path)]:
        with Kycore(file) as store:
            assert store["state"] in ("backed up", "newer")
            found |= {key for key in store if key[:2] in ("a-", "b-")}
            assert store.check() == []
    for name, output in zip("ab", outputs, strict=True):
        assert output[-1] == "done"
        acknowledged = {f"{name}-{number}" for number in output[:-1]}
        assert acknowledged <= found
        assert len(acknowledged) > 10


@pytest.mark.alone
def test_no_write_beside_a_restore_is_lost(path: Path, backup: Path) -> None:
    restore_beside_writers(path, backup, 4)


@pytest.mark.soak
@pytest.mark.alone
def test_no_write_beside_many_restores_is_lost(path: Path, backup: Path) -> None:
    restore_beside_writers(path, backup, 60)


KILLED = """
import os, signal, sys
from kycli.core.backup import replacing
from kycli.transfer.backup.restoring import restore
owner, name = (os, sys.argv[3]) if hasattr(os, sys.argv[3]) else (replacing, sys.argv[3])
real, left = getattr(owner, name), int(sys.argv[4])
def killed(*arguments, **more):
    global left
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return real(*arguments, **more)
replacing.os = type("os", (), {**vars(os), **({name: staticmethod(killed)} if owner is os else {})})
if owner is replacing:
    setattr(replacing, name, killed)
restore(sys.argv[1], sys.argv[2])
"""
STEPS = [
    ("_take", 0), ("_bring_in_wal", 0), ("locked", 0), ("give_second_name", 0), ("unlink", 0),
    ("unlink", 1), ("sync_directory", 0), ("rename", 0), ("sync_directory", 1),
]  # fmt: skip


@pytest.mark.parametrize("is_open", [False, True])
@pytest.mark.parametrize(("step", "times"), STEPS)
def test_a_restore_killed_at_any_step_leaves_one_database_or_the_other(
    path: Path, backup: Path, step: str, times: int, is_open: bool
) -> None:
    store = Kycore(path)
    store["acknowledged"] = 1
    if not is_open:
        store.close()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, backup, path, step, str(times)], check=False
    )
    assert done.returncode == -signal.SIGKILL
    is_new = step == "sync_directory" and times == 1
    with Kycore(path) as found:
        assert found["state"] == ("backed up" if is_new else "newer")
        assert ("acknowledged" in found) != is_new
        found["then"] = 1
    if is_open:
        try:
            store["after"] = 1
        except FileReplacedError:
            store.close()
            store = Kycore(path)
            store["after"] = 1
        store.close()
        with Kycore(path) as found:
            assert found["after"] == found["then"] == 1
    if is_new:
        with Kycore(asides(path)[0]) as old:
            assert old["acknowledged"] == 1
    # What was left over is no obstacle.
    restore(str(backup), str(path))
    assert not list(path.parent.glob("*.partial*"))


def test_who_waits_to_open_it_opens_the_new_one(path: Path, backup: Path) -> None:
    """Between the open file and the first read stands the lock of a restore."""
    part = path.with_name("part")
    shutil.copy(backup, part)
    opened: list[str] = []

    def open_it() -> None:
        with Kycore(path) as store:
            opened.append(store["state"])
            store["mine"] = 1

    thread = threading.Thread(target=open_it)
    with replacing._kept_from_others(str(path), 5000) as is_sound:
        thread.start()
        threading.Event().wait(0.3)
        assert not opened
        replacing._swap(str(part), str(path), f"{path}.before-restore-x", is_sound)
    thread.join(30)
    assert opened == ["backed up"]
    with Kycore(path) as store:
        assert store["mine"] == 1
        assert store.check() == []
