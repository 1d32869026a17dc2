"""Search: beside the same MATCH on an FTS5 table of the same text."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import apsw
from harness.measuring import Lab, Way, benchmark
from harness.workload import log_lines
from peers.stores import bare

from kycli import Kycore

RARE = "needle"
MATCHES = 20
MATCH = "SELECT key, value FROM fts WHERE fts MATCH ? ORDER BY rank LIMIT 100"
INDEX_MB = "SELECT sum(pgsize) / 1e6 FROM dbstat WHERE name GLOB '*fts_*'"
ALL_MB = "SELECT page_count * page_size / 1e6 FROM pragma_page_count, pragma_page_size"


class Writer:
    """Another connection that saves again and again; how long each save took."""

    def __init__(self, path: Path) -> None:
        self.store = Kycore(path, busy_timeout_ms=60_000)
        self.times: list[float] = []
        self.stopped = False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        while not (self.stopped and self.times):
            begin = time.perf_counter()
            self.store.save("clock", time.monotonic())
            self.times.append(time.perf_counter() - begin)
            time.sleep(0.02)

    def stop(self) -> None:
        self.stopped = True
        self.thread.join()
        self.store.close()
        self.times.sort()


@benchmark(
    "search: building the index, per row",
    "search: a save meanwhile",
    "search: size on disk",
    "search: a rare word",
    "search: catching up, per row",
    peers=False,
)
def search(lab: Lab) -> None:
    """20 of up to 1,000,000 log lines hold a word that is rare."""
    rows = min(5 * lab.size.many, 1_000_000)
    with_it = set(random.Random(0).sample(range(rows), MATCHES))
    pairs = [
        (f"log:{number:07d}", f"{line} {RARE}" if number in with_it else line)
        for number, line in enumerate(log_lines(rows))
    ]
    path = lab.directory / "kycli.db"
    store = lab.stack.enter_context(Kycore(path))
    store.save_many(pairs)
    direct = bare(lab.directory / "direct.db")
    lab.stack.callback(direct.close)
    direct.execute("CREATE VIRTUAL TABLE fts USING fts5 (key, value)")

    def match() -> int:
        return len(direct.execute(MATCH, (RARE,)).fetchall())

    def build_bare() -> int:
        with direct:
            direct.executemany("INSERT INTO fts (key, value) VALUES (?, ?)", pairs)
        return match()

    def found() -> int:
        return len(store.search(RARE))

    def all_found(answer: int, _: object) -> bool:
        return answer == MATCHES

    busy = Writer(path)
    lab.stack.callback(busy.stop)
    lab.once(
        "search: building the index, per row",
        Way("kycli", found, right=all_found),
        Way("apsw", build_bare, right=all_found),
        size=rows,
    )
    busy.stop()

    lab.once(
        "search: a save meanwhile",
        Way("the usual", lambda: busy.times[len(busy.times) // 2], figure=True),
        Way("the longest", lambda: busy.times[-1], figure=True),
    )
    if "ENABLE_DBSTAT_VTAB" in apsw.compile_options:
        sizes = apsw.Connection(str(path))
        lab.stack.callback(sizes.close)
        lab.once(
            "search: size on disk",
            Way("index", lambda: sizes.execute(INDEX_MB).get, figure=True),
            Way("database", lambda: sizes.execute(ALL_MB).get, figure=True),
            unit="MB",
        )
    ways = [
        Way("kycli", found, right=all_found),
        Way("apsw", match, right=all_found),
    ]
    lab.measure("search: a rare word", ways, rounds=501, warmup=20, scaled=False)

    changed = rows // 10
    store.save_many((f"log:{number:07d}", f"changed {number}") for number in range(changed))
    left = sum(number >= changed for number in with_it)
    catching_up = Way("kycli", found, right=lambda answer, _: answer == left)
    lab.once("search: catching up, per row", catching_up, size=changed)
