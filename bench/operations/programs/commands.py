"""The command line, cold: a process that starts, does one thing and ends."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count, cycle
from pathlib import Path

from harness.measuring import Lab, Way, benchmark
from harness.workload import KEYS, new_pairs, value
from peers.programs import PROGRAMS, Program, ShortProgram

from kycli import Kycore


def programs(lab: Lab) -> Iterator[Program]:
    for kind in lab.wanted(PROGRAMS):
        program: Program = kind(Path(tempfile.mkdtemp(dir=lab.directory)))
        lab.stack.callback(program.stop)
        yield program


@benchmark("command line: get")
def get(lab: Lab) -> None:
    def getting(program: Program) -> Way:
        return Way(
            program,
            lambda command, _: program.run(command),
            ((program.get(key), key) for key in cycle(KEYS[:100])),
            right=lambda answer, batch: answer == ("" if program.silent else value(batch[1])),
        )

    lab.measure("command line: get", map(getting, programs(lab)), rounds=40)


@benchmark("command line: save")
def save(lab: Lab) -> None:
    def saving(program: Program) -> Way:
        def batches() -> Iterator[tuple[list[str], str, str]]:
            for number in count():
                key = KEYS[number % 30]
                yield program.save(key, value(key, number)), key, value(key, number)

        def right(_: str, batch: tuple[list[str], str, str]) -> bool:
            return program.silent or program.run(program.get(batch[1])) == batch[2]

        return Way(program, lambda command, *_: program.run(command), batches(), right=right)

    lab.measure("command line: save", map(saving, programs(lab)), rounds=30)


BATCH = "command line: many sets, per set"


@benchmark(BATCH, peers=False)
def batch(lab: Lab) -> None:
    """20,000 sets by one `kycli batch`, and some by a process each; every value is new."""

    def by_batch(program: ShortProgram, pairs: list[tuple[str, str]]) -> None:
        lines = "".join(f"set {key} {text}\n" for key, text in pairs)
        command = program.command("kycli", "batch")
        done = subprocess.run(
            command, input=lines, env=program.environment, stdout=subprocess.PIPE, text=True
        )
        assert done.stdout == "0 0 0\n" * len(pairs)

    def by_processes(program: ShortProgram, pairs: list[tuple[str, str]]) -> None:
        for pair in pairs:
            program.run(program.save(*pair))

    def saving(
        name: str, sets: int, save: Callable[[ShortProgram, list[tuple[str, str]]], None]
    ) -> Way:
        program = ShortProgram(Path(tempfile.mkdtemp(dir=lab.directory)))

        def pairs(number: int) -> list[tuple[str, str]]:
            return [(key, value(key, number)) for key, _ in new_pairs(sets)]

        def work(number: int) -> float:
            given = pairs(number)
            begin = time.perf_counter()
            save(program, given)
            return (time.perf_counter() - begin) / sets

        def right(_: float, batch: tuple[int]) -> bool:
            with Kycore(program.path) as store:
                return all(store[key] == text for key, text in pairs(*batch))

        return Way(name, work, ((number,) for number in count(1)), right=right, figure=True)

    ways = [
        saving("kycli batch", lab.at_most(20_000), by_batch),
        saving("a process each", lab.at_most(50), by_processes),
    ]
    lab.measure(BATCH, ways, rounds=5)
