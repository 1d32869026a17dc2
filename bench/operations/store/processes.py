"""Several processes at once: a mixed load of 90 % get, 9 % save and 1 % delete, and counting."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.measuring import Lab, Way, benchmark
from peers.load import Load
from peers.stores import Peer, offering

from kycli import Kycore

MIXED = {
    "mixed load, 1 process": 1,
    "mixed load, 2 processes": 2,
    "mixed load, 4 processes": 4,
}


@benchmark(*MIXED)
def mixed(lab: Lab) -> None:
    calls = lab.at_most(2_000)

    def loaded(peer: type[Peer], processes: int) -> Way:
        load = Load(peer, Path(tempfile.mkdtemp(dir=lab.directory)), processes)
        lab.stack.callback(load.stop)

        def preparations() -> Iterator[tuple[()]]:
            while True:
                load.prepare(calls)
                yield ()

        return Way(peer, load.run, preparations(), right_after=lambda: load.finish() == (0, 0))

    for group, processes in MIXED.items():
        if not lab.size.factor:
            processes = 2 if processes == 2 else 1
        peers = [peer for peer in offering("mixed") if peer.shared or processes == 1]
        ways = [loaded(peer, processes) for peer in lab.wanted(peers)]
        lab.measure(group, ways, rounds=7, size=processes * calls)


COUNTING = """
import sys
from kycli import Kycore
store = Kycore(sys.argv[1])
for _ in range(int(sys.argv[2])):
    store.incr("n")
"""
COUNT = "incr: 8 processes, whole programs"


@benchmark(COUNT, peers=False)
def counting(lab: Lab) -> None:
    """8 processes add 1 to the same key 1,000 times each; none fails, and none is lost."""
    path, calls = lab.directory / "count.db", lab.at_most(1_000)
    command = [sys.executable, "-P", "-c", COUNTING, str(path), str(calls)]

    def work() -> int:
        processes = [subprocess.Popen(command) for _ in range(8)]
        return sum(process.wait() != 0 for process in processes)

    def right(failed: int, _: object) -> bool:
        with Kycore(path) as store:
            return failed == 0 and store["n"] == 8 * calls

    lab.once(COUNT, Way("kycli", work, right=right), size=8 * calls)
