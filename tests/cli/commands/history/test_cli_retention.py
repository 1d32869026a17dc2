"""Compacting, and declaring how far back scopes go, on the command line."""

from __future__ import annotations

import pytest
from cli.harness import Call


def test_compact_says_what_it_did(call: Call) -> None:
    for number in range(3):
        call("kys", "k", str(number))
    call("kyd", "k")
    call("kys", "other", "v")
    assert call("kyco") == (0, b"", "purged 0 changes and 0 archived values\n")
    done = call("kycli", "compact", "0")
    assert (done.code, done.out) == (0, b"")
    assert done.err.startswith("purged 4 changes and 1 archived value\n")
    assert call("kyco", "0.5", "-q") == (0, b"", "")
    assert call("kyr", "k").code == 2
    assert call("kyg", "other").lines == ["v"]


def test_compact_0_forgets_the_key_that_was_deleted_last(call: Call) -> None:
    call("kys", "stays", "v")
    call("kys", "gone", "v")
    call("kyd", "gone")
    assert call("kyco", "0").err.startswith("purged 2 changes and 1 archived value\n")
    assert [line.split()[-2] for line in call("kyv").lines] == ["stays"]
    assert call("kyv", "gone").out == b""


@pytest.mark.parametrize("days", ["-1", "soon", "15d", "", "1e9", "nan"])
def test_what_is_no_number_of_days_is_refused(call: Call, days: str) -> None:
    call("kys", "k", "1")
    call("kys", "k", "2")
    assert call("kyco", days).failed_clearly
    assert len(call("kyv", "k", "--jsonl").lines) == 2


def test_settings_of_a_scope(call: Call) -> None:
    call("kys", "k", "v")
    assert call("kycli", "admin", "show-scope") == (0, b"", "")
    words = ("history_days=2.5", "history_versions=3")
    assert call("kycli", "admin", "set-scope", "a.b", *words) == (0, b"", "")
    call("kycli", "admin", "set-scope", "default", "archive_days=90")
    assert call("kycli", "admin", "show-scope", "a.b").lines == [
        "a.b\thistory_days=2.5",
        "a.b\thistory_versions=3",
    ]
    assert call("kycli", "admin", "show-scope", "--jsonl").lines == [
        '{"name":"history_days","scope":"a.b","value":2.5}',
        '{"name":"history_versions","scope":"a.b","value":3}',
        '{"name":"archive_days","scope":"default","value":90.0}',
    ]
    assert call("kycli", "admin", "set-scope", "a.b", "history_days=").code == 0
    assert call("kycli", "admin", "show-scope", "a.b").lines == ["a.b\thistory_versions=3"]


def test_a_limited_history_stays_short(call: Call) -> None:
    call("kycli", "admin", "set-scope", "default", "history_versions=2")
    for _ in range(6):
        call("kycli", "incr", "n")
    assert len(call("kyv", "n", "--jsonl").lines) == 2
    assert call("kyg", "n").lines == ["6"]


@pytest.mark.parametrize(
    "words",
    [
        ["a"],
        ["a", "history=3"],
        ["a", "history_days"],
        ["a", "history_days=x"],
        ["a", "history_days=-1"],
        ["a", "history_versions=0"],
        ["a", "history_versions=1.5"],
        ["a", "history_days=1", "history_days=2"],
        ["a/b", "history_days=1"],
    ],
)
def test_bad_settings_are_refused(call: Call, words: list[str]) -> None:
    assert call("kycli", "admin", "set-scope", *words).failed_clearly
    assert call("kycli", "admin", "show-scope").out == b""
