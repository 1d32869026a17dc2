"""The command line, cold: a process that starts, does one thing and ends."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import pytest
from conftest import Measure
from programs import PROGRAMS, Program, PythonProgram
from workload import KEYS, value


@pytest.fixture
def program(peer: type[Program], tmp_path: Path) -> Iterator[Program]:
    program = peer(tmp_path)
    yield program
    program.stop()


@pytest.mark.benchmark(group="command line: get")
@pytest.mark.parametrize("peer", PROGRAMS)
def test_get(measure: Measure, program: Program) -> None:
    commands = ((program.get(key), key) for key in cycle(KEYS[:100]))
    silent = isinstance(program, PythonProgram)
    measure(
        program,
        lambda command, _: program.run(command),
        commands,
        rounds=30,
        warmup=2,
        right=lambda answer, batch: answer == ("" if silent else value(batch[1])),
    )


@pytest.mark.benchmark(group="command line: save")
@pytest.mark.parametrize("peer", PROGRAMS)
def test_save(measure: Measure, program: Program, scale: int) -> None:
    rounds, warmup = 30, 2
    pairs = [
        (KEYS[number % 100], value(KEYS[number % 100], number))
        for number in range(rounds * scale + warmup)
    ]
    silent = isinstance(program, PythonProgram)

    def right_after() -> bool:
        final = list(dict(pairs).items())[:30]
        return silent or all(program.run(program.get(key)) == text for key, text in final)

    measure(
        program,
        program.run,
        ((program.save(key, text),) for key, text in pairs),
        rounds=rounds,
        warmup=warmup,
        right_after=right_after,
    )
