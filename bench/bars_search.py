"""The bars of search: beside the same MATCH on an FTS5 table of the same text."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
from peers import bare
from timing import Figure, limit, medians, timed
from tokenizers import lines

from kycli import Kycore

RARE = "needle"
MATCHES = 20
INDEX_BYTES = "SELECT sum(pgsize) FROM dbstat WHERE name GLOB '*fts_*'"


def texts(rows: int) -> Iterator[tuple[str, str]]:
    """Yield keys and log lines; a few of them hold a word that is rare."""
    with_it = set(random.Random(0).sample(range(rows), MATCHES))
    for number, text in enumerate(lines(rows)):
        yield f"log:{number:07d}", f"{text} {RARE}" if number in with_it else text


def search(directory: Path, keys: int) -> Iterator[Figure]:
    """A rare word among 1,000,000 rows (five times ``keys``, at most), and catching up."""
    rows = min(5 * keys, 1_000_000)
    pairs = list(texts(rows))
    store = Kycore(directory / "kycli.db")
    store.save_many(pairs)
    busy = Waits(directory / "kycli.db")
    seconds = timed(lambda: store.search(RARE))
    waits = busy.stop()
    yield Figure(f"building the index, {rows:,} rows", f"{rows / seconds:,.0f} rows/s")
    yield Figure(
        "a save of another connection meanwhile",
        f"median {waits[len(waits) // 2] * 1e3:.1f} ms, most {waits[-1] * 1e3:.0f} ms",
        "at most 2.5 s, half of the usual patience",
        waits[-1] < 2.5,
    )
    direct = bare(directory / "direct.db")
    direct.execute("CREATE VIRTUAL TABLE fts USING fts5 (key, value)")
    insert = "INSERT INTO fts (key, value) VALUES (?, ?)"
    with direct:
        seconds = timed(lambda: direct.executemany(insert, pairs))
    yield Figure("a bare FTS5 table of it, in one transaction", f"{rows / seconds:,.0f} rows/s")
    if "ENABLE_DBSTAT_VTAB" in apsw.compile_options:
        of_index = store._query(INDEX_BYTES)[0][0]
        whole = Path(store.path).stat().st_size
        yield Figure("size", f"index {of_index / 1e6:.0f} MB of {whole / 1e6:.0f} MB")

    sql = "SELECT key, value FROM fts WHERE fts MATCH ? ORDER BY rank LIMIT 100"

    def ours() -> float:
        return timed(lambda: [store.search(RARE) for _ in range(20)]) / 20

    def theirs() -> float:
        return timed(lambda: [direct.execute(sql, (RARE,)).fetchall() for _ in range(20)]) / 20

    assert len(store.search(RARE)) == len(direct.execute(sql, (RARE,)).fetchall()) == MATCHES
    took = medians({"kycli": ours, "apsw": theirs}, 51)
    yield Figure(
        "search for a rare word", f"{took['kycli'] * 1e6:.0f} µs, {MATCHES} of {rows:,} rows"
    )
    yield limit("search for a rare word", took["kycli"] / took["apsw"], "the same MATCH by APSW", 3)

    # What the index learns from the log.
    changed = rows // 10
    store.save_many((f"log:{number:07d}", f"changed {number}") for number in range(changed))
    seconds = timed(lambda: store.search(RARE))
    yield Figure(f"catching up with {changed:,} changes", f"{changed / seconds:,.0f} rows/s")
    store.close()
    direct.close()


class Waits:
    """Another connection that saves again and again; how long each save took."""

    def __init__(self, path: Path) -> None:
        self.store = Kycore(path, busy_timeout_ms=60_000)
        self.times: list[float] = []
        self.stopped = False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        while not self.stopped:
            self.times.append(timed(lambda: self.store.save("clock", time.monotonic())))
            time.sleep(0.02)

    def stop(self) -> list[float]:
        self.stopped = True
        self.thread.join()
        self.store.close()
        return sorted(self.times)


BARS = {"search": search}
