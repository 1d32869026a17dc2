"""What migrating costs beside copying the same rows bare, and how much memory it takes."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path

import apsw
from harness.measuring import PEAK_MEMORY, Lab, Way, benchmark

# Both are processes of their own: each prints the processor's seconds.
_MIGRATE = f"""{PEAK_MEMORY}
import sys, time
from kycli.core.migration.formats import migrate
began = time.process_time()
assert migrate(sys.argv[1]) is not None
print(time.process_time() - began)
if sys.platform == "linux":
    print(peak_memory())
"""
# The rows of the same tables, as they are, in the order of the new keys; no search index,
# no triggers, one transaction and the same journal and cache.
_BARE = """
import sys, time
import apsw
from kycli.core import layout
began = time.process_time()
db = apsw.Connection(sys.argv[1])
db.execute("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = DELETE").fetchall()
db.execute("PRAGMA cache_size = -65536")
tables = layout.SCHEMA[:layout.SCHEMA.index("CREATE TABLE authors")]
for name in ("kvstore", "audit_log", "archive"):
    tables = tables.replace(f"CREATE TABLE {name} ", f"CREATE TABLE new_{name} ")
    tables = tables.replace(f" ON {name} ", f" ON new_{name} ")
db.execute("BEGIN EXCLUSIVE")
db.execute(tables)
db.execute('''INSERT INTO new_audit_log (id, scope, key, value, kind, op, version, timestamp)
    SELECT id, 'default', key, value, 0, 1, 1, 0 FROM audit_log''')
db.execute('''INSERT INTO new_kvstore (scope, key, value, kind, version, seq, updated_at)
    SELECT 'default', key, value, 0, 1, rowid, 0 FROM kvstore ORDER BY key''')
db.execute("COMMIT")
print(time.process_time() - began)
"""


def fill(path: Path, keys: int) -> None:
    """Make a database as KyCLI 0.1.8 leaves it: every tenth key was written twice."""
    connection = apsw.Connection(str(path))
    connection.execute(
        """PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
        CREATE TABLE kvstore (key TEXT PRIMARY KEY, value TEXT, expires_at DATETIME);
        CREATE TABLE audit_log (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT, value TEXT,
            timestamp DATETIME DEFAULT (STRFTIME('%Y-%m-%d %H:%M:%f', 'NOW')));
        CREATE TABLE archive (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT, value TEXT,
            deleted_at DATETIME DEFAULT CURRENT_TIMESTAMP);
        CREATE INDEX idx_audit_key ON audit_log (key);"""
    ).fetchall()
    order = list(range(keys))
    random.Random(keys).shuffle(order)
    kinds = ("value of key {n}, some words long", "{n}", "true", "{n}.5", "user {n}")
    with connection:
        connection.executemany(
            "INSERT INTO audit_log (key, value, timestamp) "
            "VALUES (?, ?, datetime(1767225600 + ?, 'unixepoch'))",
            (
                (f"user:{n:08}", kinds[(n + again) % 5].format(n=n), index // 10)
                for index, n in enumerate(order)
                for again in range(1 + (n % 10 == 0))
            ),
        )
        connection.execute(
            "INSERT INTO kvstore SELECT key, value, NULL FROM audit_log WHERE id IN "
            "(SELECT max(id) FROM audit_log GROUP BY key) ORDER BY id"
        )
    connection.close()


def run(program: str, old: Path) -> list[float]:
    """Return what a program prints that works on a copy of a database."""
    path = old.with_name("run.db")
    shutil.copy(old, path)
    command = [sys.executable, "-P", "-c", program, str(path)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    path.unlink()
    return [float(word) for word in done.stdout.split()]


@benchmark("migrating in place, per key", "migrating in place: memory", peers=False)
def migration(lab: Lab) -> None:
    """A database of 0.1.8; the processor's time, as the disk's is the same for both."""
    old = lab.directory / "old.db"
    fill(old, lab.size.many)
    keys = lab.size.many
    memory: list[float] = []

    def migrated() -> float:
        seconds, *used = run(_MIGRATE, old)
        memory.extend(used)
        return seconds / keys

    bare = Way("apsw", lambda: run(_BARE, old)[0] / keys, figure=True)
    ways = [bare, Way("kycli", migrated, figure=True)]
    lab.measure("migrating in place, per key", ways, rounds=3, warmup=0, scaled=False)
    if memory:
        most = Way("kycli", lambda: max(memory), figure=True)
        lab.once("migrating in place: memory", most, unit="MiB")
