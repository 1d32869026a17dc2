"""The arithmetic on benchmark results: percentiles, ratios to an anchor, comparisons."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness.results import Result, Run, compare, load, percentile, save, spoken


def result(group: str, peer: str, median: float) -> Result:
    return Result(group, peer, median, median, None, True, "none", 1, 10)


def run(*results: Result) -> Run:
    return Run("2026-01-01 00:00:00", "abc", "a machine", "quick", 1_000, results)


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 1), (1, 1), (50, 50), (99, 99), (99.5, 100), (100, 100)]
)
def test_percentile_is_a_value_that_was_measured(percent: float, expected: float) -> None:
    assert percentile(range(1, 101), percent) == expected
    assert percentile([7.0], percent) == 7


def test_ratios_are_to_the_anchor_of_the_same_group() -> None:
    measured = run(
        result("get", "kycli", 2.0),
        result("get", "apsw", 4.0),
        result("start", "kyg", 15.0),
        result("start", "python -c pass", 10.0),
        result("no anchor", "kycli", 1.0),
    )
    assert measured.ratios() == {
        ("get", "kycli"): 0.5,
        ("get", "apsw"): 1.0,
        ("start", "kyg"): 1.5,
        ("start", "python -c pass"): 1.0,
    }


def test_sides_are_compared_by_the_medians_of_their_ratios() -> None:
    def side(*times: float) -> list[Run]:
        return [run(result("get", "kycli", t), result("get", "apsw", 2.0)) for t in times]

    (found,) = compare(side(3.0, 3.0, 90.0), side(2.0, 0.1, 2.0))
    assert (found.group, found.peer) == ("get", "kycli")
    assert (found.ours, found.theirs, found.ratio) == (1.5, 1.0, 1.5)


def test_a_slower_machine_is_no_slower_kycli() -> None:
    before = run(result("get", "kycli", 2.0), result("get", "apsw", 4.0))
    now = run(result("get", "kycli", 6.0), result("get", "apsw", 12.0))
    assert [c.ratio for c in compare([now], [before])] == [1.0]


def test_what_only_one_side_measured_is_not_compared() -> None:
    before = run(result("get", "apsw", 1.0))
    now = run(result("get", "kycli", 1.0), result("get", "apsw", 1.0))
    assert compare([now], [before]) == []


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0.00 ns"),
        (4.6e-8, "46.0 ns"),
        (9.996e-7, "1000 ns"),
        (2.345e-6, "2.35 µs"),
        (1e-3, "1.00 ms"),
        (0.1234, "123 ms"),
        (12.34, "12.3 s"),
    ],
)
def test_times_are_spoken_with_their_unit(seconds: float, expected: str) -> None:
    assert spoken(seconds) == expected


def test_figures_that_are_no_times_have_their_own_unit() -> None:
    assert spoken(1234.5, "MiB") == "1,234 MiB"


def test_a_run_is_read_as_it_was_saved(tmp_path: Path) -> None:
    measured = run(result("get", "kycli", 2.0))
    save(measured, tmp_path / "runs" / "run.json")
    assert load(tmp_path / "runs" / "run.json") == measured


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"datetime": None})])
def test_a_file_that_is_no_run_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"run\.json: not a run"):
        load(path)
