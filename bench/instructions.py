"""Instructions that an operation takes, counted by callgrind: the same on a busy machine.

    python bench/instructions.py [NAME ...]     count, and compare with the baseline
    python bench/instructions.py --accept       count, and make that the baseline

An operation is done so many times in one process and many more times in another; what
the second took more, divided by how many more, is one operation, without starting and
warming up. The baseline, instructions.json, belongs to versions of Python, SQLite, the
compiler and so on; where they are others, counts say nothing and are not compared.
Exits 1 when a count rose by more than 10 %.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from itertools import cycle, islice
from pathlib import Path
from typing import Any

BASELINE = Path(__file__).with_name("instructions.json")
MOST = 1.10
"""How many times the baseline a count may be."""


@dataclass(frozen=True)
class Operation:
    """What is counted; the work is told how many times to do it."""

    work: Callable[[Any, int], None]
    few: int
    many: int
    rows: int = 1
    """How many rows one time has; the count is for one."""
    cached: bool = True
    deferred: bool = False


def get_hit(store: Any, times: int) -> None:
    from harness.workload import KEYS

    get = store.getkey
    for key in islice(cycle(KEYS[:100]), times):
        get(key)


def save_over(store: Any, times: int) -> None:
    from harness.workload import KEYS, value

    for number, key in enumerate(islice(cycle(KEYS), times)):
        store.save(key, value(key, number + 1))


def save_in_cache(store: Any, times: int) -> None:
    from harness.workload import KEYS, value

    store.create_cache("bench.cache", "1w")
    for number, key in enumerate(islice(cycle(KEYS), times)):
        store.save(key, value(key, number + 1), scope="bench.cache")


def save_upper(store: Any, times: int) -> None:
    from harness.workload import KEYS, value

    keys = [key.upper() for key in KEYS]
    for number, key in enumerate(islice(cycle(keys), times)):
        store.save(key, value(key, number + 1))


def get_upper(store: Any, times: int) -> None:
    from harness.workload import KEYS

    keys = [key.upper() for key in KEYS[:100]]
    for key in islice(cycle(keys), times):
        store.getkey(key)


def save_new(store: Any, times: int) -> None:
    from harness.workload import new_pairs

    for key, text in new_pairs(times):
        store.save(key, text)


def delete(store: Any, times: int) -> None:
    from harness.workload import KEYS

    for key in KEYS[:times]:
        store.delete(key)


def incr(store: Any, times: int) -> None:
    for _ in range(times):
        store.incr("n")


def save_many(store: Any, times: int) -> None:
    from harness.workload import new_pairs

    for number in range(times):
        store.save_many(new_pairs(1_000, f"batch {number}"))


def get_many(store: Any, times: int) -> None:
    from harness.workload import KEYS

    for _ in range(times):
        store.get_many(KEYS[:1_000])


def newest_changes(store: Any, times: int) -> None:
    from harness.workload import KEYS, value

    for generation in range(20):
        store.save_many((key, value(key, generation)) for key in KEYS[:10])
    for key in islice(cycle(KEYS[:10]), times):
        store.get_history(key, limit=10)


def scan(store: Any, times: int) -> None:
    for _ in range(times):
        for _pair in store.scan("user:", limit=1_000):
            pass


def opening(store: Any, times: int) -> None:
    from kycli import Kycore

    for _ in range(times):
        Kycore(store.path).close()


OPERATIONS = {
    "get, hit": Operation(get_hit, 2_000, 12_000),
    "get, uncached": Operation(get_hit, 2_000, 7_000, cached=False),
    "get upper case, uncached": Operation(get_upper, 2_000, 7_000, cached=False),
    "save over": Operation(save_over, 500, 2_500),
    "save in a cache": Operation(save_in_cache, 500, 2_500),
    "save upper case": Operation(save_upper, 500, 2_500),
    "save new": Operation(save_new, 500, 2_500),
    "save over, deferred": Operation(save_over, 500, 5_500, deferred=True),
    "save new, deferred": Operation(save_new, 500, 5_500, deferred=True),
    "delete": Operation(delete, 500, 2_500),
    "incr": Operation(incr, 500, 2_500),
    "save_many, per row": Operation(save_many, 2, 10, rows=1_000),
    "get_many, per row": Operation(get_many, 10, 40, rows=1_000),
    "history, newest 10": Operation(newest_changes, 100, 500),
    "scan, per row": Operation(scan, 2, 12, rows=1_000),
    "open and close": Operation(opening, 5, 45),
}


def drive(name: str, database: Path, times: int) -> None:
    """Do one operation; this is what runs under callgrind."""
    from peers.stores import kycore

    operation = OPERATIONS[name]
    with kycore(database, cached=operation.cached, deferred=operation.deferred) as store:
        operation.work(store, times)


def environment() -> dict[str, str]:
    """Return what counts depend on."""
    import apsw

    compiler = sysconfig.get_config_var("CC").split()[0]
    return {
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()),
        "python": platform.python_version(),
        "apsw": apsw.apsw_version(),
        "sqlite": apsw.sqlite_lib_version(),
        "cython": version("cython"),
        "compiler": _first_line(compiler, "--version"),
        "valgrind": _first_line("valgrind", "--version"),
    }


def _first_line(*command: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return done.stdout.splitlines()[0]


def collected(output: str) -> int:
    """Return the number of instructions in what callgrind says.

    Raises:
        ValueError: when it says none.
    """
    found = re.search(r"^==\d+== Collected : (\d+)$", output, re.MULTILINE)
    if found is None:
        raise ValueError(f"callgrind counted nothing:\n{output}")
    return int(found[1])


def one(few: tuple[int, int], many: tuple[int, int], rows: int) -> int:
    """Return the count for one row of one operation, from two (times, count)."""
    return round((many[1] - few[1]) / (many[0] - few[0]) / rows)


def count(name: str, template: Path) -> int:
    """Return how many instructions an operation takes."""
    operation = OPERATIONS[name]

    def run(times: int) -> tuple[int, int]:
        with tempfile.TemporaryDirectory() as directory:
            # The same length for each, as even the name of a file is read byte by byte.
            database = Path(directory) / "count.db"
            shutil.copy(template, database)
            command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
            command += [sys.executable, __file__, "--drive", name, str(database), str(times)]
            done = subprocess.run(
                command,
                env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            if done.returncode:
                raise RuntimeError(done.stdout)
            return times, collected(done.stdout)

    return one(run(operation.few), run(operation.many), operation.rows)


def count_all(names: list[str]) -> dict[str, int]:
    """Count the operations, as many at a time as there are processors."""
    from harness.workload import PAIRS
    from peers.stores import kycore

    with tempfile.TemporaryDirectory() as directory:
        template = Path(directory) / "template.db"
        with kycore(template) as store:
            store.save_many(PAIRS)
            store.save("n", 0)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return dict(zip(names, pool.map(lambda n: count(n, template), names), strict=True))


def differences(current: Mapping[str, str], accepted: Mapping[str, str]) -> list[str]:
    """Return in what the environment is not the baseline's."""
    return [
        f"{name} is {current.get(name)}, the baseline's {accepted.get(name)}"
        for name in {**current, **accepted}
        if current.get(name) != accepted.get(name)
    ]


def table(counts: Mapping[str, int], baseline: Mapping[str, int]) -> tuple[list[str], list[str]]:
    """Return a line for each operation, and which of them rose too much."""
    lines, risen = [], []
    for name, instructions in counts.items():
        line = f"{name:24} {instructions:>10,}"
        if name in baseline:
            ratio = instructions / baseline[name]
            line += f"  {ratio:.3f} x {baseline[name]:,}"
            if ratio > MOST:
                risen.append(name)
                line += f"  TOO MUCH, at most {MOST:g}"
        lines.append(line)
    return lines, risen


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="operations; all if none")
    parser.add_argument("--accept", action="store_true", help="write the baseline")
    parser.add_argument("--drive", nargs=3, metavar=("NAME", "DB", "TIMES"), help="for callgrind")
    options = parser.parse_args()
    if options.drive:
        name, database, times = options.drive
        drive(name, Path(database), int(times))
        return 0
    unknown = [name for name in options.names if name not in OPERATIONS]
    if unknown:
        parser.error(f"no such operation: {unknown}; there are {list(OPERATIONS)}")
    if options.accept and options.names:
        parser.error("a baseline is of all operations")
    if shutil.which("valgrind") is None:
        print("instructions: SKIPPED, valgrind is not installed")
        return 0

    baseline = json.loads(BASELINE.read_text(encoding="utf-8")) if BASELINE.exists() else {}
    current = environment()
    others = differences(current, baseline.get("environment", {}))
    if others and not options.accept:
        print("instructions: NOT COMPARED, the baseline is of another environment:")
        print(*(f"  {other}" for other in others), sep="\n")
        return 0
    counts = count_all(options.names or list(OPERATIONS))
    lines, risen = table(counts, {} if others else baseline.get("instructions", {}))
    print(*lines, sep="\n")
    if options.accept:
        text = json.dumps({"environment": current, "instructions": counts}, indent=2)
        BASELINE.write_text(text + "\n", encoding="utf-8")
        print(f"accepted: {BASELINE.name} is written")
        return 0
    if risen:
        print(f"instructions: FAILED, risen by more than 10 %: {', '.join(risen)}")
        print("if that is worth it, say why in the commit and run: make instructions-accept")
        return 1
    print("instructions: within 10 % of the baseline")
    return 0


if __name__ == "__main__":
    sys.exit(main())
