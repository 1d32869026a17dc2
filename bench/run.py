"""Run the benchmarks, save what they measure, and print it with the bars.

    python bench/run.py [--full | --smoke] [--keys N] [-k WORDS] [--peers A,B] [--strict]
                        [--save FILE]

Exits 1 when an answer was wrong or a benchmark failed.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path

import bars
import report
from harness.measuring import SIZES, Benchmark
from harness.results import ROOT, RUNS, Result, Run, save
from operations.programs import client, commands, completion, loops, shell
from operations.store import (
    calls,
    fields,
    growth,
    history,
    migration,
    opening,
    processes,
    reads,
    schemas,
    search,
    transfer,
    writes,
)

MODULES = (
    reads, writes, schemas, history, search, fields, opening, processes, commands, client, loops,
    calls, completion, shell, growth, migration, transfer,
)  # fmt: skip
"""In the order in which a reader asks for them."""
BENCHMARKS: tuple[Benchmark, ...] = tuple(
    found for module in MODULES for found in vars(module).values() if isinstance(found, Benchmark)
)


def chosen(words: str, peers: frozenset[str]) -> list[Benchmark]:
    """Return the benchmarks that have a group with all of the words in its name."""
    return [
        each
        for each in BENCHMARKS
        if any(all(word in group for word in words.split()) for group in each.groups)
        and (each.peers or not peers)
    ]


def machine() -> str:
    """Return what the times belong to."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            name = next(line.split(": ", 1)[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return (
        f"{name.strip()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
        f"{platform.python_implementation()} {platform.python_version()}"
    )


def commit() -> str:
    """Return the revision of the checkout, where git knows it."""
    try:
        command = ["git", "rev-parse", "HEAD"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()[:12]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_const", dest="size", const="full", default="quick",
                        help="ten times the rounds, and stores of 10,000,000 keys")  # fmt: skip
    parser.add_argument("--smoke", action="store_const", dest="size", const="smoke",
                        help="each once, as small as it can be; nothing is saved")  # fmt: skip
    parser.add_argument("--keys", type=int, default=0, help="of large stores")
    parser.add_argument("-k", dest="words", default="", help="only groups with these words")
    parser.add_argument("--peers", default="", help="only these peers, separated by commas")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a bar is missed")
    parser.add_argument("--save", type=Path, help="the file to save the run to")
    options = parser.parse_args()
    peers = frozenset(name for name in options.peers.split(",") if name)
    benchmarks = chosen(options.words, peers)
    if not benchmarks:
        parser.error(f"no benchmark has {options.words!r} in the name of its group")
    size = SIZES[options.size]
    size = replace(size, many=options.keys or size.many)
    when = time.strftime("%Y-%m-%d %H:%M:%S")
    results: list[Result] = []
    missing: set[str] = set()
    failed: list[str] = []
    for each in benchmarks:
        begin = time.perf_counter()
        try:
            lab = each.run(size, peers)
        except Exception:
            traceback.print_exc()
            failed += each.groups
        else:
            results += lab.results
            missing |= lab.missing
            failed += [result.group for result in lab.results if not result.correct]
        print(f"{time.perf_counter() - begin:5.1f} s  {', '.join(each.groups)}", flush=True)
    run = Run(when, commit(), machine(), size.name, size.many, tuple(results))
    file = options.save
    if file is None and size.factor:
        file = RUNS / f"{when.replace(' ', 'T').replace(':', '-')}-{run.commit}.json"
    if file is not None:
        save(run, file)
    print(*report.table(run), "", *bars.table(run), sep="\n")
    if missing:
        print(f"not installed: {', '.join(sorted(missing))}")
    if failed:
        print(f"FAILED, or answered wrongly: {', '.join(dict.fromkeys(failed))}")
    missed = any(verdict.word == "MISSED" for verdict in bars.judged(run))
    return 1 if failed or (options.strict and missed) else 0


if __name__ == "__main__":
    sys.exit(main())
