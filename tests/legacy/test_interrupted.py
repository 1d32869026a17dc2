"""Migrations that are killed, or that the disk fails, at any moment.

They show what a killed process or a refused write leaves behind; not what the loss of
power does to a disk that has not written what it said it had.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import invariants
import pytest

from kycli import Kycore
from kycli.core.migration import migrate

KEYS = 100_000
OLD = ("kvstore", "audit_log", "archive")


def fill(path: Path, keys: int) -> None:
    """Make a database as KyCLI 0.1.8 leaves it: overwritten, deleted and expiring keys."""
    connection = sqlite3.connect(path)
    connection.executescript(
        """PRAGMA journal_mode = WAL;
        CREATE TABLE kvstore (key TEXT PRIMARY KEY, value TEXT, expires_at DATETIME);
        CREATE TABLE audit_log (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT, value TEXT,
            timestamp DATETIME DEFAULT (STRFTIME('%Y-%m-%d %H:%M:%f', 'NOW')));
        CREATE TABLE archive (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT, value TEXT,
            deleted_at DATETIME DEFAULT CURRENT_TIMESTAMP);
        CREATE INDEX idx_audit_key ON audit_log (key);
        CREATE VIRTUAL TABLE fts_kvstore USING fts5(key, value, content='kvstore');
        CREATE TRIGGER trg_kv_ai AFTER INSERT ON kvstore BEGIN
            INSERT INTO fts_kvstore(rowid, key, value) VALUES (new.rowid, new.key, new.value);
        END;"""
    )
    order = random.Random(keys).sample(range(keys), keys)
    live: list[tuple[str, str, str | None]]
    live = [(f"key {n}", f"value {n} " * (1 + n % 7), None) for n in order]
    live[::50] = [(key, value * 30, "2999-01-01 00:00:00.000000") for key, value, _ in live[::50]]
    history = [
        (key, kept, f"2026-01-01 00:00:{n * 60 // keys:02}.000")
        for n, (key, value, _) in enumerate(live)
        for kept in ((f"{n}", value) if n % 5 == 0 else (value,))
    ]
    connection.executemany("INSERT INTO kvstore VALUES (?, ?, ?)", live)
    connection.executemany(
        "INSERT INTO audit_log (key, value, timestamp) VALUES (?, ?, ?)", history
    )
    gone = [(f"gone {n}", f"{n}") for n in range(keys // 100)]
    connection.executemany("INSERT INTO archive (key, value) VALUES (?, ?)", gone)
    connection.commit()
    connection.close()


def contents(path: Path) -> list[list[Any]]:
    """Return what an old database holds, by a reader that knows nothing of ours."""
    connection = sqlite3.connect(path)
    try:
        return [connection.execute(f"SELECT * FROM {name}").fetchall() for name in OLD]
    finally:
        connection.close()


def is_migrated(path: Path) -> bool:
    """Whether a database is a new one, after whatever a journal beside it undoes."""
    connection = sqlite3.connect(path)
    try:
        (mark,) = connection.execute("PRAGMA application_id").fetchone()
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return bool(mark)
    finally:
        connection.close()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "old.db"
    fill(path, KEYS)
    return path


PROGRAM = """
import sys
from kycli.core.migration import migrate
print("begun", flush=True)
migrate(sys.argv[1])
"""


def start(path: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, path], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    process.stdout.close()
    return process


def kill_at_random(large: Path, directory: Path, rounds: int, again: int) -> int:
    """Kill as many migrations; return how many left the old database.

    Of these every so many is migrated again, to the end.
    """
    path = directory / "old.db"
    before = contents(large)
    shutil.copy(large, path)
    began = time.monotonic()
    assert start(path).wait() == 0
    longest = time.monotonic() - began
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    moments = random.Random(seed)
    old = 0
    for _ in range(rounds):
        for file in directory.iterdir():
            file.unlink()
        shutil.copy(large, path)
        process = start(path)
        time.sleep(moments.random() * longest)
        process.kill()
        process.wait()
        done = is_migrated(path)
        if not done:
            assert contents(path) == before
            old += 1
            if old % again:
                continue
            assert migrate(str(path)) is not None
        assert migrate(str(path)) is None
        with Kycore(path) as kv:
            assert kv.count() == len(before[0])
    if not is_migrated(path):
        migrate(str(path))
    return old


def test_a_migration_that_is_killed_leaves_the_old_database_or_the_new_one(
    large: Path, tmp_path: Path
) -> None:
    old = kill_at_random(large, tmp_path, 20, again=5)
    assert old > 5


@pytest.mark.soak
def test_two_hundred_migrations_that_are_killed(large: Path, tmp_path: Path) -> None:
    old = kill_at_random(large, tmp_path, 200, again=1)
    assert old > 50


LIMITED = """
import resource, sys
from kycli.core.migration import migrate
from kycli.errors import StorageError
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    migrate(sys.argv[1])
except StorageError as error:
    print(error)
else:
    print("done")
"""


@pytest.mark.parametrize("part", [0.3, 1.0, 1.2, 1.5])
def test_a_file_that_cannot_grow_leaves_the_old_database(
    large: Path, tmp_path: Path, part: float
) -> None:
    path = tmp_path / "old.db"
    shutil.copy(large, path)
    limit = int(path.stat().st_size * part)
    said = subprocess.run(
        [sys.executable, "-c", LIMITED, path, str(limit)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said.startswith(f"{path}: "), said
    assert contents(path) == contents(large)
    assert migrate(str(path)) is not None
    invariants.check(path)


FAILING = """
import sys
import apsw
from kycli.core.migration import migrate
from kycli.errors import KycliError

left = int(sys.argv[2])
error = {"full": apsw.FullError, "io": apsw.IOError}[sys.argv[3]]

def count():
    global left
    left -= 1
    if left < 0:
        raise error("injected")

base = apsw.vfs_names()[0]

class File(apsw.VFSFile):
    def xWrite(self, data, offset):
        count()
        super().xWrite(data, offset)
    def xSync(self, flags):
        count()
        super().xSync(flags)
    def xTruncate(self, size):
        count()
        super().xTruncate(size)

class Failing(apsw.VFS):
    def __init__(self):
        super().__init__("failing", base, makedefault=True)
    def xOpen(self, name, flags):
        return File(base, name, flags)
    def xDelete(self, name, sync):
        count()
        super().xDelete(name, sync)

vfs = Failing()
sys.unraisablehook = lambda _: None
try:
    migrate(sys.argv[1])
except (KycliError, apsw.Error) as failure:  # the latter when closing fails, too
    print("refused", failure)
else:
    print("done", left)
"""


def failing(path: Path, count: int, error: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", FAILING, path, str(count), error],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.mark.parametrize("error", ["full", "io"])
def test_a_write_that_fails_leaves_the_old_database_or_the_new_one(
    tmp_path: Path, error: str
) -> None:
    small = tmp_path / "small.db"
    fill(small, 300)
    before = contents(small)
    path = tmp_path / "old.db"
    shutil.copy(small, path)
    done, left = failing(path, 1 << 30, error).split()
    assert done == "done"
    writes = (1 << 30) - int(left)
    refused = 0
    for count in sorted({*range(0, writes, max(1, writes // 40)), writes - 2, writes - 1}):
        for file in tmp_path.glob("old.db*"):
            file.unlink()
        shutil.copy(small, path)
        said = failing(path, count, error)
        if is_migrated(path):
            invariants.check(path)
            continue
        refused += said.startswith("refused")
        assert contents(path) == before
        assert migrate(str(path)) is not None
        invariants.check(path)
    assert refused > 20
    os.unlink(small)
