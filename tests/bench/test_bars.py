"""The bars: what a saved run says of them, and what of a comparison of two."""

from __future__ import annotations

import bars
import pytest
from bars import Bar
from compare import report
from harness.results import Comparison, Result, Run
from run import BENCHMARKS


def result(group: str, peer: str, median: float, mean: float = 0.0, unit: str = "s") -> Result:
    return Result(group, peer, median, mean, None, True, "none", 1, 10, unit)


RUN = Run(
    *("2026-01-01 00:00:00", "abc", "a machine", "quick", 2_000),
    results=(
        result("get", "kycli", 3.0, mean=9.0),
        result("get", "apsw", 2.0, mean=3.0),
        result("memory", "kycli", 40.0, unit="MiB"),
    ),
)


@pytest.mark.parametrize(
    ("bar", "figure", "word"),
    [
        (Bar("get", "kycli", "apsw", 1.5), 1.5, "met"),
        (Bar("get", "kycli", "apsw", 1.49), 1.5, "MISSED"),
        (Bar("get", "kycli", "apsw", 2, statistic="mean"), 3.0, "MISSED"),
        (Bar("get", "kycli", "apsw", 1.5, at_least=True), 1.5, "met"),
        (Bar("get", "kycli", "apsw", 1.51, at_least=True), 1.5, "MISSED"),
        (Bar("memory", "kycli", None, 39), 40.0, "MISSED"),
        (Bar("get", "kycli", "lmdb", 2), None, "not measured"),
        (Bar("set", "kycli", "apsw", 2), None, "not measured"),
        (Bar("set", "kycli", None, 2), None, "not measured"),
    ],
)
def test_a_bar_is_judged_by_the_results_of_a_run(bar: Bar, figure: float | None, word: str) -> None:
    (verdict,) = bars.judged(RUN, [bar])
    assert (verdict.figure, verdict.word) == (figure, word)


def test_the_table_shows_each_bar_and_how_many_are_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        bars,
        "BARS",
        (
            Bar("get", "kycli", "apsw", 1.2, promised="issue 0"),
            Bar("memory", "kycli", None, 32, promised="issue 0"),
            Bar("memory", "kycli", None, 64),
            Bar("get", "kycli", "lmdb", 2),
            Bar("of a group that was not run", "kycli", None, 64),
        ),
    )
    first, *rows, last = bars.table(RUN)
    assert first == "bars, quick run: many keys are 2,000"
    assert [row.split() for row in rows] == [
        ["get:", "kycli", "1.50", "x", "apsw", "at", "most", "1.2", "MISSED", "issue", "0"],
        ["memory:", "kycli", "40", "MiB", "at", "most", "32", "MiB", "MISSED", "issue", "0"],
        ["memory:", "kycli", "40", "MiB", "at", "most", "64", "MiB", "met"],
        ["get:", "kycli", "lmdb", "at", "most", "2", "not", "measured"],
    ]
    assert last == "1 met, 2 missed, 2 not measured"


def test_each_bar_is_of_a_group_that_a_benchmark_measures() -> None:
    groups = [group for each in BENCHMARKS for group in each.groups]
    assert len(groups) == len(set(groups))
    assert {bar.group for bar in bars.BARS} <= set(groups)


def test_a_comparison_fails_past_the_ratio_and_shows_the_slowest_first() -> None:
    faster, same, slower = (
        Comparison("get", "kycli", 1.0, 2.0),
        Comparison("open", "kycli", 1.25, 1.0),
        Comparison("save", "kycli", 1.3, 1.0),
    )
    lines, fine = report([faster, same, slower], 1.25)
    assert not fine
    assert [row.split(",")[0] for row in lines[1:]] == ["save", "open", "get"]
    assert [row.endswith("SLOWER") for row in lines[1:]] == [True, False, False]
    assert report([faster, same], 1.25)[1]
