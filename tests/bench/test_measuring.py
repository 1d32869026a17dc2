"""How benchmarks are run: in turn, with every answer checked; and each of them once."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import bars
import pytest
import run
from harness.measuring import SIZES, Benchmark, Lab, Way
from harness.results import Run, load

SMOKE, QUICK = SIZES["smoke"], SIZES["quick"]
OPTIONAL = {"lmdb", "rocksdict", "diskcache", "sqlitedict", "sqlite3", "redis-cli"}
OPTIONAL |= {"sqlite-utils", "KyCLI"}

ELSEWHERE = {
    "growth: memory",
    "migrating in place: memory",
    "import and export: memory",
    "search: size on disk",
}
"""What is measured on Linux only, or where SQLite offers it."""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path, ExitStack(), QUICK)


def test_ways_take_turns_and_the_first_round_does_not_count(lab: Lab) -> None:
    turns: list[str] = []
    figures = {"a": iter([99.0, 1.0, 2.0, 9.0]), "b": iter([0.0, 5.0, 4.0, 6.0])}

    def work(name: str) -> float:
        turns.append(name)
        return next(figures[name])

    ways = [
        Way("a", lambda: work("a"), figure=True),
        Way("b", lambda: work("b"), figure=True),
    ]
    lab.measure("group", ways, rounds=3, unit="MiB")
    assert turns == ["a", "b"] * 4
    assert [(r.peer, r.median, r.rounds, r.unit) for r in lab.results] == [
        ("a", 2.0, 3, "MiB"),
        ("b", 5.0, 3, "MiB"),
    ]


def test_calls_of_a_round_are_timed_one_by_one(lab: Lab) -> None:
    given: list[int] = []
    batches = iter([[(1,), (2,)], [(3,), (4,)], [(5,), (6,)]])
    answers: list[list[None]] = []

    def right(answer: list[None], batch: object) -> bool:
        answers.append(answer)
        return True

    lab.measure("group", [Way("a", given.append, batches, each=True, right=right)], rounds=2)
    assert given == [1, 2, 3, 4, 5, 6]
    assert answers == [[None, None]] * 3
    assert (lab.results[0].rounds, lab.results[0].size) == (4, 1)


@pytest.mark.parametrize(("wrong", "wrong_after"), [(True, False), (False, True)])
def test_a_wrong_answer_is_recorded(lab: Lab, wrong: bool, wrong_after: bool) -> None:
    way = Way("a", int, right=lambda *_: not wrong, right_after=lambda: not wrong_after)
    lab.measure("group", [way, Way("b", int)], rounds=1)
    assert [result.correct for result in lab.results] == [False, True]


LONG = ("mixed load", "client: kyg without", "client: xargs", "shell loop: $(get) in zsh")
"""What takes seconds even at its smallest, and is run like others that do not."""


def parameter(benchmark: Benchmark) -> Any:
    """Return a benchmark as a parameter; those that start many processes run alone."""
    name = benchmark.groups[0]
    many = name.startswith(("mixed load", "command line", "incr: 8 processes"))
    marks = [pytest.mark.alone] if many else []
    marks += [pytest.mark.soak] if name.startswith(LONG) else []
    return pytest.param(benchmark, id=name, marks=marks)


@pytest.mark.parametrize("benchmark", [parameter(each) for each in run.BENCHMARKS])
def test_each_benchmark_runs_and_its_answers_are_right(benchmark: Benchmark) -> None:
    lab = benchmark.run(SMOKE)
    groups = {result.group for result in lab.results}
    assert groups <= set(benchmark.groups)
    assert set(benchmark.groups) - groups <= (set() if sys.platform == "linux" else ELSEWHERE)
    assert [(r.group, r.peer) for r in lab.results if not r.correct] == []
    of = bars.judged(
        Run("", "", "", SMOKE.name, SMOKE.many, tuple(lab.results)),
        [bar for bar in bars.BARS if bar.group in benchmark.groups],
    )
    absent = {
        name
        for verdict in of
        if verdict.word == "not measured"
        for name in (verdict.bar.way, verdict.bar.beside)
        if name not in {result.peer for result in lab.results}
    }
    assert {name.partition(" ")[0] for name in absent if name} <= lab.missing & OPTIONAL
    if lab.missing:
        pytest.skip(f"ran without {', '.join(sorted(lab.missing))}, not installed")


def test_a_run_is_saved_and_fails_if_a_benchmark_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(lab: Lab) -> None:
        raise RuntimeError("broken")

    fine = Benchmark(("fine",), lambda lab: lab.once("fine", Way("kycli", int)), peers=True)
    monkeypatch.setattr(run, "BENCHMARKS", (Benchmark(("broken",), broken, peers=True), fine))
    file = tmp_path / "run.json"
    monkeypatch.setattr("sys.argv", ["run.py", "--smoke", f"--save={file}"])
    assert run.main() == 1
    said = capsys.readouterr()
    assert "RuntimeError: broken" in said.err
    assert "FAILED, or answered wrongly: broken\n" in said.out
    assert [result.group for result in load(file).results] == ["fine"]
    assert json.loads(file.read_text())["size"] == "smoke"
    monkeypatch.setattr("sys.argv", ["run.py", "--smoke", "-k", "fine"])
    assert run.main() == 0
