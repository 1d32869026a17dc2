"""The report: a page and its pictures, from the runs that are saved."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import report
from harness.results import Result, Run, save, saved_runs


def result(group: str, peer: str, median: float, **other: Any) -> Result:
    fine = Result(group, peer, median, median, median * 3, True, "none <at all>", 10, 100)
    return replace(fine, **other)


def saved(path: Path, when: str, *results: Result) -> None:
    save(Run(when, "0123456789ab", "a processor", "quick", 1_000, results), path)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    directory = tmp_path / "runs"
    directory.mkdir()
    new = [
        result("get: hit", "kycli", 5e-8),
        result("get: hit", "kycli uncached", 2e-6, p99=None),
        result("get: hit", "apsw", 3e-6),
        result("get: hit", "peer & co", 9e-6, correct=False),
        result("open", "kycli", 3e-4),
    ]
    saved(directory / "1.json", "2026-01-02 00:00:00", *new)
    saved(directory / "2.json", "2026-01-01 00:00:00", result("get: hit", "kycli", 1e-6))
    (directory / "3.json").write_text("{}")
    return directory


def test_runs_are_read_oldest_first_and_other_files_named(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [run.when[:10] for run in saved_runs(runs)] == ["2026-01-01", "2026-01-02"]
    assert "3.json: not a run" in capsys.readouterr().err


def test_the_table_has_the_fastest_first_and_marks_wrong_answers(runs: Path) -> None:
    lines = list(report.table(saved_runs(runs)[-1]))
    assert [line.split() for line in lines if line] == [
        ["get:", "hit", "median", "p99", "x", "apsw"],
        ["kycli", "50.0", "ns", "150", "ns", "0.02"],
        ["kycli", "uncached", "2.00", "µs", "0.67"],
        ["apsw", "3.00", "µs", "9.00", "µs", "1.00"],
        ["peer", "&", "co", "9.00", "µs", "27.0", "µs", "3.00", "WRONG", "ANSWERS"],
        ["open", "median", "p99", "x", "-"],
        ["kycli", "300", "µs", "900", "µs"],
    ]


def test_the_page_holds_all_it_shows(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "matplotlib"))
    pytest.importorskip("matplotlib")
    page = report.write(saved_runs(runs), tmp_path / "page")
    text = page.read_text(encoding="utf-8")
    assert text.count('src="data:image/svg+xml;base64,') == text.count("<img") == 3
    assert "http" not in text.replace("http://www.w3.org", "")
    assert "1 gave wrong answers" in text
    assert "none &lt;at all&gt;" in text
    assert "peer &amp; co 9.00 µs" in text
    assert "<td>get: hit: kycli uncached</td><td>apsw</td><td>0.67 x</td>" in text
    pictures = {path.name: path.read_bytes() for path in page.parent.glob("*.png")}
    assert set(pictures) == {"get-hit.png", "open.png", "trend.png"}
    assert all(picture.startswith(b"\x89PNG") for picture in pictures.values())


def test_without_a_run_it_says_how_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["report.py", "--runs", str(tmp_path)])
    assert report.main() == 1
    assert "`make bench` saves one" in capsys.readouterr().err
