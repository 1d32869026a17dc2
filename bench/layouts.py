"""What a save costs in each way that the tables could be laid out: the evidence of LAYOUT.md.

    python bench/layouts.py [--saves N]

Prints tables in Markdown. The layouts are written out here on bare APSW cursors, all
with the same keys and values, so that they differ in nothing but what is compared. They
take turns, and each save is timed for itself: the median leaves out the checkpoints,
the mean has them. The bytes that a save adds to the write-ahead log repeat exactly.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import apsw
from harness.workload import KEYS, value

ROUNDS = 12

KV = "CREATE TABLE kv (scope TEXT, key TEXT, value, at INTEGER, PRIMARY KEY (scope, key))"
WITHOUT_ROWID = f"{KV} WITHOUT ROWID"
LOG = "CREATE TABLE log (id INTEGER PRIMARY KEY, scope TEXT, key TEXT, value, at INTEGER)"
INDEX = "CREATE INDEX log_key ON log (scope, key, id)"
NOTES = "CREATE TABLE notes (id INTEGER PRIMARY KEY, scope TEXT, key TEXT)"
FTS = (
    "CREATE VIRTUAL TABLE fts USING fts5 (scope UNINDEXED, key, value, content = '')",
    "CREATE TRIGGER indexed AFTER INSERT ON log BEGIN "
    "INSERT INTO fts (rowid, scope, key, value) "
    "VALUES (new.id, new.scope, new.key, new.value); END",
)
UPSERT = """
INSERT INTO kv VALUES ('default', ?1, ?2, 0)
ON CONFLICT (scope, key) DO UPDATE SET value = excluded.value, at = at + 1"""
REPLACE = "REPLACE INTO kv VALUES ('default', ?1, ?2, 0)"
APPEND = "INSERT INTO log (scope, key, value, at) VALUES ('default', ?1, ?2, 0)"
BEFORE = "SELECT at FROM kv WHERE scope = 'default' AND key = ?1"
GET = "SELECT value FROM kv WHERE scope = 'default' AND key = ?1"


def on_save(what: str) -> tuple[str, ...]:
    """Return triggers that do something for each row that is saved."""
    table = what.split()[2]
    return tuple(
        f"CREATE TRIGGER {table}_{event} AFTER {event} ON kv BEGIN {what}; END"
        for event in ("INSERT", "UPDATE")
    )


TRIGGERS = on_save(
    "INSERT INTO log (scope, key, value, at) VALUES (new.scope, new.key, new.value, new.at)"
)
NOTING = on_save("INSERT INTO notes (scope, key) VALUES (new.scope, new.key)")


@dataclass(frozen=True)
class Layout:
    """Tables, and how a save is written to them."""

    name: str
    tables: tuple[str, ...]
    at_once: bool = True
    """By one statement and its triggers; or by a transaction of several."""
    page_size: int = 4096
    checkpoint: int = 1000
    """After how many pages of the log; wal_autocheckpoint."""


BY_TRIGGER = Layout("WITHOUT ROWID, and history by trigger", (WITHOUT_ROWID, LOG, *TRIGGERS))
BY_HAND = Layout("WITHOUT ROWID, and history by statements", (WITHOUT_ROWID, LOG), at_once=False)

TABLES = (
    Layout("key table alone, rowid", (KV,)),
    Layout("key table alone, WITHOUT ROWID", (WITHOUT_ROWID,)),
    replace(BY_TRIGGER, name="rowid, and history by trigger", tables=(KV, LOG, *TRIGGERS)),
    BY_TRIGGER,
    BY_HAND,
    replace(
        BY_TRIGGER,
        name="... by trigger, with an index on the history",
        tables=(*BY_TRIGGER.tables, INDEX),
    ),
    replace(
        BY_TRIGGER,
        name="... by trigger, with a table of notes for the search",
        tables=(*BY_TRIGGER.tables, NOTES, *NOTING),
    ),
    replace(
        BY_TRIGGER,
        name="... by trigger, with FTS5 kept up by trigger",
        tables=(*BY_TRIGGER.tables, *FTS),
    ),
)
PAGES = tuple(
    replace(BY_HAND, name=f"{size:,} bytes", page_size=size) for size in (1024, 2048, 4096, 8192)
)
CHECKPOINTS = tuple(
    replace(BY_HAND, name=f"{pages:,} pages", checkpoint=pages)
    for pages in (250, 1000, 4000, 16000)
)


class Candidate:
    """A database of a layout, and what its saves took."""

    def __init__(self, layout: Layout, path: Path) -> None:
        self.layout = layout
        self.path = path
        self.over: list[float] = []
        self.new: list[float] = []
        self.connection = apsw.Connection(str(self.path))
        self.connection.pragma("page_size", layout.page_size)
        self.connection.pragma("journal_mode", "wal")
        self.execute = self.connection.cursor().execute
        self.execute("PRAGMA synchronous = NORMAL")
        self.execute(f"PRAGMA wal_autocheckpoint = {layout.checkpoint}")
        for statement in layout.tables:
            self.execute(statement)
        with self.connection:
            for key in KEYS:
                self.execute(UPSERT, (key, value(key)))
                if not layout.at_once:
                    self.execute(APPEND, (key, value(key)))

    def save(self, pairs: list[tuple[str, str]], took: list[float]) -> None:
        """Save pairs one by one, and note how long each took."""
        execute, clock = self.execute, time.perf_counter
        if self.layout.at_once:
            for pair in pairs:
                begin = clock()
                execute(UPSERT, pair)
                took.append(clock() - begin)
            return
        for pair in pairs:
            begin = clock()
            execute("BEGIN IMMEDIATE")
            _ = execute(BEFORE, pair[:1]).get
            execute(APPEND, pair)
            execute(REPLACE, pair)
            execute("COMMIT")
            took.append(clock() - begin)

    def logged(self, pairs: list[tuple[str, str]]) -> float:
        """Return how many bytes a save adds to the write-ahead log."""
        self.execute("PRAGMA wal_autocheckpoint = 0")
        self.execute("PRAGMA wal_checkpoint(TRUNCATE)").get  # noqa: B018
        self.save(pairs, [])
        return self.path.with_name(f"{self.path.name}-wal").stat().st_size / len(pairs)

    def close(self) -> None:
        self.connection.close()


def compared(layouts: tuple[Layout, ...], saves: int, directory: Path) -> Iterator[str]:
    """Yield a table of layouts."""
    candidates = [
        Candidate(layout, directory / f"{number}.db") for number, layout in enumerate(layouts)
    ]
    shuffle = random.Random(0)
    for number in range(ROUNDS):
        over = [(key, value(key, number + 1)) for key in shuffle.sample(KEYS, saves)]
        new = [(f"{key}/{number}", value(key)) for key in shuffle.sample(KEYS, saves)]
        for candidate in shuffle.sample(candidates, len(candidates)):
            candidate.save(over, candidate.over)
            candidate.save(new, candidate.new)
    yield "| layout | save over, µs | new, µs | over, mean | bytes logged | file, MB |"
    yield "|---|---|---|---|---|---|"
    pairs = [(key, value(key, ROUNDS + 1)) for key in shuffle.sample(KEYS, saves)]
    for candidate in candidates:
        logged = candidate.logged(pairs)
        candidate.close()
        yield (
            f"| {candidate.layout.name} | {statistics.median(candidate.over) * 1e6:.1f} "
            f"| {statistics.median(candidate.new) * 1e6:.1f} "
            f"| {statistics.fmean(candidate.over) * 1e6:.1f} "
            f"| {logged:,.0f} | {candidate.path.stat().st_size / 1e6:.1f} |"
        )
        candidate.path.unlink()


def beside_large(directory: Path) -> Iterator[str]:
    """Yield what a get takes of a key whose neighbour in the tree is large."""
    yield "| neighbour | rowid, µs | WITHOUT ROWID, µs |"
    yield "|---|---|---|"
    for size in (60, 4_000, 100_000, 1_000_000):
        times = []
        for table in (KV, WITHOUT_ROWID):
            connection = apsw.Connection(str(directory / "large.db"))
            connection.pragma("journal_mode", "wal")
            execute = connection.cursor().execute
            execute("DROP TABLE IF EXISTS kv")
            execute(table)
            for key in ("a", "b", "c"):
                execute(UPSERT, (key, "x" * (size if key == "b" else 60)))

            def get(execute: Callable[..., apsw.Cursor] = execute) -> float:
                begin = time.perf_counter()
                for key in ("a", "c"):
                    assert len(execute(GET, (key,)).get) == 60
                return (time.perf_counter() - begin) / 2

            times.append(statistics.median(get() for _ in range(200)))
            connection.close()
        yield f"| {size:,} bytes | {times[0] * 1e6:.1f} | {times[1] * 1e6:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--saves", type=int, default=500, help="of each layout, in each round")
    options = parser.parse_args()
    print(f"SQLite {apsw.sqlite_lib_version()}, WAL, synchronous=NORMAL, values of 60 bytes.")
    parts = {"Tables": TABLES, "Page sizes": PAGES, "Checkpoints after": CHECKPOINTS}
    with tempfile.TemporaryDirectory() as directory:
        for title, layouts in parts.items():
            print(f"\n{title}:\n")
            for line in compared(layouts, options.saves, Path(directory)):
                print(line, flush=True)
        print("\nA get of a key beside a large one:\n")
        for line in beside_large(Path(directory)):
            print(line, flush=True)


if __name__ == "__main__":
    main()
