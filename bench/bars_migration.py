"""What migrating costs beside copying the same rows bare, and how much memory it takes."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import apsw
from timing import Figure

ROUNDS = 3

# Both are processes of their own: each prints the processor's seconds, and its memory in MiB.
_REPORT = """
import resource
print(time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
_MIGRATE = (
    """
import sys, time
from kycli.core.migration.formats import migrate
began = time.process_time()
assert migrate(sys.argv[1]) is not None
"""
    + _REPORT
)
# The rows of the same tables, as they are, in the order of the new keys; no search index,
# no triggers, one transaction and the same journal and cache.
_BARE = (
    """
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
"""
    + _REPORT
)


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
                (f"user:{n:08}", kinds[(n + again) % 5].format(n=n), place // 10)
                for place, n in enumerate(order)
                for again in range(1 + (n % 10 == 0))
            ),
        )
        connection.execute(
            "INSERT INTO kvstore SELECT key, value, NULL FROM audit_log WHERE id IN "
            "(SELECT max(id) FROM audit_log GROUP BY key) ORDER BY id"
        )
    connection.close()


def _run(program: str, old: Path) -> tuple[float, float]:
    path = old.with_name("run.db")
    shutil.copy(old, path)
    done = subprocess.run(
        [sys.executable, "-c", program, path],
        capture_output=True,
        text=True,
        check=True,
        cwd=old.parent,  # the checkout has a package of the same name, without its engine
    )
    path.unlink()
    seconds, memory = map(float, done.stdout.split())
    return seconds, memory


def migration(directory: Path, keys: int) -> Iterator[Figure]:
    old = directory / "old.db"
    fill(old, keys)
    bare, ours = [], []
    for _ in range(ROUNDS):
        bare.append(_run(_BARE, old))
        ours.append(_run(_MIGRATE, old))
    seconds = [median(seconds for seconds, _ in runs) for runs in (bare, ours)]
    memory = max(memory for _, memory in ours)
    ratio = seconds[0] / seconds[1]
    yield Figure(
        "migrating in place",
        f"{keys:,} keys in {seconds[1]:.1f} s, {ratio:.2f} x the rate of a bare copy",
        "at least 0.5",
        ratio >= 0.5,
    )
    yield Figure(
        "migrating, memory", f"{memory:.0f} MiB for {keys:,} keys", "under 300 MB", memory < 286
    )


BARS = {"migration": migration}
