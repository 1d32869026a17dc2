"""Migrations that are killed, or that the disk fails, at any moment.

They show what a killed process or a refused write leaves behind; not what the loss of
power does to a disk that has not written what it said it had.
"""

from __future__ import annotations

import hashlib
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
from kycli.core.layout import FORMAT
from kycli.core.migration.formats import examine, migrate
from kycli.errors import MigrationNeeded

FORMAT_2 = Path(__file__).parent.parent / "formats" / "format-2.sqlite"
# With so many a migration writes before it commits, because SQLite's cache overflows.
KEYS = 10_000
MANY_KEYS = 100_000
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
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return bool(version == FORMAT)
    finally:
        connection.close()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "old.db"
    fill(path, KEYS)
    return path


@pytest.fixture
def huge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("huge") / "old.db"
    fill(path, MANY_KEYS)
    return path


@pytest.fixture(scope="module")
def formatted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A large database of format 2, every tenth value of which is in the log."""
    path = tmp_path_factory.mktemp("formatted") / "old.db"
    shutil.copy(FORMAT_2, path)
    connection = sqlite3.connect(path)
    (last,) = connection.execute("SELECT max(id) FROM audit_log").fetchone()
    log, live = [], []
    for id in range(last + 1, last + 1 + KEYS // 2):
        value = f"value {id} " * (80 if id % 10 == 0 else 3)
        digest = hashlib.blake2b(value.encode(), digest_size=16).digest()
        log.append((id, f"key {id}", value))
        shown = (digest, id) if id % 10 == 0 else (value, None)
        live.append((f"key {id}", *shown, id))
    connection.executemany(
        "INSERT INTO audit_log (id, scope, key, value, kind, op, version, timestamp) "
        "VALUES (?, 'many', ?, ?, 0, 1, 1, 1)",
        log,
    )
    connection.executemany(
        "INSERT INTO kvstore (scope, key, value, kind, home, version, seq, updated_at) "
        "VALUES ('many', ?, ?, 0, ?, 1, ?, 1)",
        live,
    )
    connection.commit()
    connection.close()
    return path


PROGRAM = """
import sys
from kycli.core.migration.formats import examine, migrate
from kycli.errors import MigrationNeeded
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
            assert kv._query("SELECT count(*) FROM kvstore") == [(len(before[0]),)]
    if not is_migrated(path):
        migrate(str(path))
    return old


@pytest.mark.soak
def test_two_hundred_migrations_that_are_killed(huge: Path, tmp_path: Path) -> None:
    old = kill_at_random(huge, tmp_path, 200, again=1)
    assert old > 50


LIMITED = """
import resource, sys
from kycli.core.migration.formats import examine, migrate
from kycli.errors import MigrationNeeded
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


# Migrates the databases that it is told, each in a child of its own: starting Python takes
# longer than the migration of a small database.
FAILING = """
import os, signal, sys
import apsw
from kycli.core.migration.formats import examine, migrate
from kycli.errors import MigrationNeeded
from kycli.errors import KycliError

left = 0

def refuse(error):
    raise error("injected")

HOW = {
    "full": lambda: refuse(apsw.FullError),
    "io": lambda: refuse(apsw.IOError),
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
}

def count():
    global left
    left -= 1
    if left < 0:
        HOW[how]()

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
for line in sys.stdin:
    count_of_line, how, path = line.rstrip("\\n").split(" ", 2)
    child = os.fork()
    if child:
        if os.waitpid(child, 0)[1] == signal.SIGKILL:
            print("killed", flush=True)
        continue
    left = int(count_of_line)
    try:
        migrate(path)
    except (KycliError, apsw.Error) as failure:  # the latter when closing fails, too
        print("refused", failure, flush=True)
    else:
        print("done", left, flush=True)
    os._exit(0)
"""


class Migrations:
    """Migrations of which one write, and all after it, fail or kill the process."""

    def __init__(self, old: Path, directory: Path) -> None:
        self.old = old
        self.path = directory / "old.db"
        self.program = subprocess.Popen(
            [sys.executable, "-c", FAILING],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Migrations:
        return self

    def __exit__(self, *_: object) -> None:
        self.program.communicate()
        assert self.program.returncode == 0

    def run(self, writes: int, how: str) -> str:
        """Migrate a new copy, up to so many writes; return what became of it."""
        assert self.program.stdin
        assert self.program.stdout
        for file in self.path.parent.glob(f"{self.path.name}*"):
            file.unlink()
        shutil.copy(self.old, self.path)
        print(writes, how, self.path, file=self.program.stdin, flush=True)
        return self.program.stdout.readline()

    def count(self) -> int:
        """Return how many writes a migration takes."""
        done, left = self.run(1 << 30, "full").split()
        assert done == "done"
        return (1 << 30) - int(left)


@pytest.mark.parametrize("how", ["full", "io", "killed"])
def test_a_write_that_fails_leaves_the_old_database_or_the_new_one(
    tmp_path: Path, how: str
) -> None:
    small = tmp_path / "small.db"
    fill(small, 300)
    before = contents(small)
    failed = 0
    with Migrations(small, tmp_path) as migrations:
        path = migrations.path
        writes = migrations.count()
        for number in sorted({*range(0, writes, max(1, writes // 9)), writes - 2, writes - 1}):
            said = migrations.run(number, how)
            if is_migrated(path):
                invariants.check(path)
                continue
            failed += said.startswith("killed" if how == "killed" else "refused")
            assert contents(path) == before
            assert migrate(str(path)) is not None
            invariants.check(path)
    assert failed > 5
    os.unlink(small)


@pytest.mark.parametrize("of", ["large", "formatted"])
def test_a_migration_that_is_killed_leaves_the_old_database_or_the_new_one(
    request: pytest.FixtureRequest, tmp_path: Path, of: str
) -> None:
    source: Path = request.getfixturevalue(of)
    before = contents(source)
    old = new = 0
    with Migrations(source, tmp_path) as migrations:
        path = migrations.path
        writes = migrations.count()
        for number in [*range(0, writes, writes // 5), *range(writes - 4, writes)]:
            assert migrations.run(number, "killed") == "killed\n"
            if is_migrated(path):
                new += 1
                assert migrate(str(path)) is None
            else:
                old += 1
                assert contents(path) == before
                if number % 2:
                    continue
                assert migrate(str(path)) is not None
            with Kycore(path) as kv:
                assert kv._query("SELECT count(*) FROM kvstore") == [(len(before[0]),)]
        if not is_migrated(path):
            migrate(str(path))
        invariants.check(path)
    assert old > 3
    assert new > 0


# Kills itself when SQLite is about to commit by making the journal void: all of the new
# database is in the file by then, its header too, and nothing is committed.
KILLED_IN_COMMIT = """
import os, signal, sys
import apsw
from kycli.core.migration.formats import migrate

def kill_if_written():
    with open(sys.argv[1], "rb") as file:
        if file.read(100)[68:72] == b"KYCL":
            os.kill(os.getpid(), signal.SIGKILL)

class Journal(apsw.VFSFile):
    def xWrite(self, data, offset):
        if offset == 0 and not any(data):
            kill_if_written()
        super().xWrite(data, offset)

    def xTruncate(self, size):
        kill_if_written()
        super().xTruncate(size)

class Killing(apsw.VFS):
    def __init__(self):
        super().__init__("killing", "unix", makedefault=True)

    def xOpen(self, name, flags):
        kind = Journal if flags[0] & apsw.SQLITE_OPEN_MAIN_JOURNAL else apsw.VFSFile
        return kind("unix", name, flags)

    def xDelete(self, name, sync):
        if name.endswith("-journal"):
            kill_if_written()
        super().xDelete(name, sync)

killing = Killing()
migrate(sys.argv[1])
"""


@pytest.fixture
def killed(large: Path, tmp_path: Path) -> Path:
    """An old database whose migration was killed inside of its commit."""
    path = tmp_path / "old.db"
    shutil.copy(large, path)
    done = subprocess.run([sys.executable, "-c", KILLED_IN_COMMIT, path])
    assert done.returncode == -9
    header = path.read_bytes()[:100]
    assert header[68:72] == b"KYCL"
    assert path.with_name("old.db-journal").stat().st_size > 0
    return path


def test_a_migration_that_was_killed_in_its_commit_is_not_taken_for_finished(
    large: Path, killed: Path
) -> None:
    assert examine(str(killed)) is not None
    before = killed.read_bytes()
    found = examine(str(killed))
    assert found is not None
    assert found.version == 0
    assert killed.read_bytes() == before
    with pytest.raises(MigrationNeeded):
        Kycore(killed)
    assert migrate(str(killed)) is not None
    assert examine(str(killed)) is None
    with Kycore(killed) as store:
        assert store.count() == len(contents(large)[0])


def test_the_commands_know_it_too(large: Path, killed: Path, tmp_path: Path) -> None:
    def kycli(*words: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "kycli", *map(str, words)]
        environment = {**os.environ, "HOME": str(tmp_path), "KYCLI_DB_PATH": str(tmp_path / "n.db")}
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    said = kycli("migrate", "--from", killed, "--into", tmp_path / "target.db")
    assert said.returncode == 0, said.stderr
    with Kycore(tmp_path / "target.db") as target:
        assert target.count(scope="old") == len(contents(large)[0])
    said = kycli("migrate", "--no-backup", killed)
    assert (said.returncode, "already" in said.stderr) == (0, False), said.stderr
    assert examine(str(killed)) is None
