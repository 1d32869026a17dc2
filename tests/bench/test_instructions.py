"""Instruction counts: what is read from callgrind, and when a baseline applies."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import instructions
import pytest

OUTPUT = """==71== Callgrind, a call-graph generating cache profiler
==71== Events    : Ir
==71== Collected : 83743926
==71==
==71== I   refs:      83,743,926
"""


def test_the_count_is_read_from_what_callgrind_prints() -> None:
    assert instructions.collected(OUTPUT) == 83743926
    with pytest.raises(ValueError, match="counted nothing"):
        instructions.collected("==71== valgrind: no such tool")


def test_starting_up_cancels_out() -> None:
    start, each = 40_000_000, 5_770
    assert instructions.one((100, start + 100 * each), (900, start + 900 * each), rows=1) == each
    assert instructions.one((1, start + 1_000 * each), (3, start + 3_000 * each), 1_000) == each


def test_a_rise_is_reported_from_ten_percent_on() -> None:
    baseline = {"get": 1000, "save": 1000, "open": 1000}
    lines, risen = instructions.table({"get": 1100, "save": 1101, "new": 5}, baseline)
    assert risen == ["save"]
    assert [("TOO MUCH" in line) for line in lines] == [False, True, False]


def test_only_the_same_environment_is_compared() -> None:
    here = {"python": "3.11.7", "apsw": "3.54.1.0"}
    assert instructions.differences(here, dict(here)) == []
    assert instructions.differences(here, {**here, "apsw": "3.55.0.0"}) == [
        "apsw is 3.54.1.0, the baseline's 3.55.0.0"
    ]
    assert instructions.differences(here, {}) == [
        "python is 3.11.7, the baseline's None",
        "apsw is 3.54.1.0, the baseline's None",
    ]


def test_the_committed_baseline_is_of_the_operations_there_are() -> None:
    baseline = json.loads(instructions.BASELINE.read_text(encoding="utf-8"))
    assert list(baseline["instructions"]) == list(instructions.OPERATIONS)
    assert {"python", "apsw", "sqlite", "valgrind"} <= set(baseline["environment"])


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(sys, "argv", ["instructions.py"])
    return monkeypatch


def test_without_valgrind_it_is_skipped_and_says_so(
    main: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main.setattr(shutil, "which", lambda name: None)
    assert instructions.main() == 0
    assert capsys.readouterr().out == "instructions: SKIPPED, valgrind is not installed\n"


@pytest.mark.parametrize(
    ("python", "counted", "status", "said"),
    [
        ("3.11.7", 1050, 0, "within 10 % of the baseline"),
        ("3.11.7", 1200, 1, "risen by more than 10 %: get"),
        ("3.12.0", 9999, 0, "NOT COMPARED"),
    ],
)
def test_the_check_fails_on_a_rise_in_the_same_environment_alone(
    main: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    python: str,
    counted: int,
    status: int,
    said: str,
) -> None:
    baseline = tmp_path / "baseline.json"
    baseline.write_text(
        json.dumps({"environment": {"python": "3.11.7"}, "instructions": {"get": 1000}})
    )
    main.setattr(instructions, "BASELINE", baseline)
    main.setattr(shutil, "which", lambda name: name)
    main.setattr(instructions, "environment", lambda: {"python": python})
    main.setattr(instructions, "count_all", lambda names: {"get": counted})
    assert instructions.main() == status
    assert said in capsys.readouterr().out
