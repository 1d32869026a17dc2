"""The command line, cold: a process that starts, does one thing and ends."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import count, cycle
from pathlib import Path

from harness.measuring import Lab, Way, benchmark
from harness.workload import KEYS, value
from peers.programs import PROGRAMS, Program


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
