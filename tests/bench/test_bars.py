"""The table of bars, and how what is compared is timed."""

from __future__ import annotations

from bars import line, verdict
from compare import report
from results import Comparison
from timing import Figure, limit, medians


def test_a_limit_is_met_up_to_the_bar() -> None:
    assert limit("get", 1.5, "bare apsw", 1.5) == ("get", "1.50 x bare apsw", "at most 1.5", True)
    assert not limit("get", 1.51, "bare apsw", 1.5).met


def test_a_missed_bar_is_shown_in_its_line_and_in_the_verdict() -> None:
    figures = [
        Figure("get", "3 µs"),
        Figure("get", "1.2 x", "at most 1.5", True),
        Figure("save", "2.1 x", "at most 1.5", False),
    ]
    assert [line(figure).split()[-1] for figure in figures] == ["µs", "met", "MISSED"]
    assert verdict(figures) == "1 of 2 bars met; MISSED: save"
    assert verdict(figures[:2]) == "1 of 1 bars met"


def test_ways_take_turns_and_the_first_round_does_not_count() -> None:
    turns: list[str] = []
    times = {"a": iter([99.0, 1.0, 2.0, 9.0]), "b": iter([0.0, 5.0, 4.0, 6.0])}

    def way(name: str) -> float:
        turns.append(name)
        return next(times[name])

    assert medians({"a": lambda: way("a"), "b": lambda: way("b")}, 3) == {"a": 2.0, "b": 5.0}
    assert turns == ["a", "b"] * 4


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
