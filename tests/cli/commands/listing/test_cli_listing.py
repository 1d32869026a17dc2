"""Listings on the command line: where they go on, their order, what they print; counting."""

from __future__ import annotations

import json

import pytest
from cli.harness import Call

VALUES = {"a": "1", "b.1": "two words", "b.2": "", "b.3": "x=y", "c": "line\nline"}


@pytest.fixture(autouse=True)
def _filled(call: Call) -> None:
    for key, value in VALUES.items():
        call("kys", key, value)
    call("kys", "number", "--json", "5")
    call("kys", "other", "z", "--scope", "s.t")


@pytest.mark.parametrize("command", [["kycli", "keys"], ["kyl"]])
def test_keys_go_on_behind_a_key_and_in_reverse(call: Call, command: list[str]) -> None:
    assert call(*command).lines == ["a", "b.1", "b.2", "b.3", "c", "number"]
    assert call(*command, "--after", "b.2").lines == ["b.3", "c", "number"]
    assert call(*command, "--after", "b").lines == ["b.1", "b.2", "b.3", "c", "number"]
    assert call(*command, "--after", "").lines == call(*command).lines
    assert call(*command, "--reverse", "--limit", "2").lines == ["number", "c"]
    assert call(*command, "--reverse", "--after", "b.2").lines == ["b.1", "a"]
    assert call(*command, "--glob", "b*", "--reverse", "--after", "b.3").lines == ["b.2", "b.1"]
    assert call(*command, "--after", "number") == (0, b"", "")


def test_kyl_goes_on_within_a_prefix_and_a_pattern(call: Call) -> None:
    assert call("kyl", "--prefix", "b.", "--after", "b.1").lines == ["b.2", "b.3"]
    assert call("kyl", "--prefix", "b.", "--reverse").lines == ["b.3", "b.2", "b.1"]
    assert call("kyl", r".*\d", "--reverse", "--limit", "2").lines == ["b.3", "b.2"]
    assert call("kyl", r".*\d", "--after", "b.1", "--json").out == b'["b.2","b.3"]\n'
    assert call("kyl", "a", "--glob", "a").failed_clearly


def test_a_loop_over_pages_sees_every_key_once(call: Call) -> None:
    for order in ([], ["--reverse"]):
        last, seen = "", []
        while page := call("kycli", "keys", "--limit", "2", "--after", last, *order).lines:
            seen += page
            last = page[-1]
        assert sorted(seen) == [*VALUES, "number"]


def test_values_alone(call: Call) -> None:
    for command in (["kycli", "scan"], ["kycli", "keys"], ["kyl"]):
        shown = call(*command, "--values-only")
        assert shown.out == b"1\ntwo words\n\nx=y\nline\nline\n5\n"
        assert (
            call(*command, "--values-only", "-0").out == b"1\0two words\0\0x=y\0line\nline\0005\0"
        )
        data = json.loads(call(*command, "--values-only", "--json").out)
        assert data == [*VALUES.values(), 5]
        assert call(*command, "--values-only", "--jsonl", "--reverse").lines[0] == "5"
        assert call(*command, "--values-only", "--glob", "b.[13]").lines == ["two words", "x=y"]
    assert call("kyl", "b.*", "--values-only", "--after", "b.2").lines == ["x=y"]


def test_a_separator_of_ones_own(call: Call) -> None:
    assert call("kycli", "scan", "b", "--separator", "\t").lines == [
        "b.1\ttwo words", "b.2\t", "b.3\tx=y",
    ]  # fmt: skip
    assert call("kycli", "scan", "a", "--separator", "").lines == ["a1"]
    assert call("kycli", "scan", "a", "--separator", " => ", "-0").out == b"a => 1\0"
    for other in ("--json", "--jsonl", "--values-only"):
        assert call("kycli", "scan", "--separator", ":", other).failed_clearly


def test_scan_takes_what_keys_takes(call: Call) -> None:
    assert call("kycli", "scan", "--after", "b.2", "--limit", "1").lines == ["b.3=x=y"]
    assert call("kycli", "scan", "--reverse", "--glob", "b*").lines == [
        "b.3=x=y", "b.2=", "b.1=two words",
    ]  # fmt: skip
    records = call("kycli", "scan", "--reverse", "--jsonl", "--limit", "1").lines
    assert [json.loads(line)["key"] for line in records] == ["number"]


def test_exists_answers_by_its_exit_code(call: Call) -> None:
    assert call("kycli", "exists", "a") == (0, b"", "")
    assert call("kycli", "exists", "none") == (2, b"", "")
    assert call("kycli", "exists", "a", "c", "s.t.other") == (0, b"", "")
    result = call("kycli", "exists", "a", "none", "s.t.none", "c")
    assert (result.code, result.out) == (2, b"")
    assert result.err.splitlines() == [
        "kycli: no key 'none' in scope 'default'",
        "kycli: no key 'none' in scope 's.t'",
    ]
    assert call("kycli", "exists", "--scope", "s.t", "other").code == 0
    assert call("kycli", "exists", "").failed_clearly
    assert call("kycli", "exists").failed_clearly


def test_keys_of_the_current_scope_may_hold_dots(call: Call) -> None:
    assert call("ky", "exists", "b.1") == (0, b"", "")
    assert call("ky", "count", "b.").out == b"3\n"
    assert call("ky", "scan", "b.", "--after", "b.2").lines == ["b.3=x=y"]
    call("kys", "doc", "--json", '{"name": "Ada"}')
    assert call("ky", "exists", "doc.name").code == 0
    assert call("ky", "exists", "doc.age").code == 2
    assert ": ky exists b.1" in call("kycli", "exists", "b.1").err


def test_exists_in_json_says_it_of_each(call: Call) -> None:
    assert call("kycli", "exists", "--json", "none") == (2, b'{"none":false}\n', "")
    assert call("kycli", "exists", "--json", "a", "none") == (
        2, b'{"a":true,"none":false}\n', "",
    )  # fmt: skip


def test_exists_inside_a_value(call: Call) -> None:
    call("kys", "doc", "--json", '{"name": "Ada", "nothing": null}')
    assert call("kycli", "exists", "doc", "--path", "$.name").code == 0
    assert call("kycli", "exists", "doc", "--path", "$.nothing").code == 0
    assert call("kycli", "exists", "doc", "--path", "$.age").code == 2


def test_an_expired_key_does_not_exist(call: Call) -> None:
    call("kys", "short", "v", "--ttl", "0.001")
    assert call("kycli", "exists", "short").code == 2
    assert call("kycli", "count", "short").out == b"0\n"


def test_count(call: Call) -> None:
    assert call("kycli", "count") == (0, b"6\n", "")
    assert call("kycli", "count", "b.", "--scope", "default").out == b"3\n"
    assert call("kycli", "count", "--prefix", "b.").out == b"3\n"
    assert call("kycli", "count", "s.t").out == b"1\n"
    assert call("kycli", "count", "s.t", "no").out == b"0\n"
    assert call("kycli", "count", "--glob", "*.[12]").out == b"2\n"
    assert call("kycli", "count", "--json").out == b"6\n"
    assert call("kycli", "count", "none.such") == (0, b"0\n", "")


def test_without_a_database_nothing_is_made(call: Call, tmp_path: object) -> None:
    missing = ["-d", "elsewhere.db"]
    assert call("kycli", "exists", "a", *missing) == (2, b"", "")
    assert call("kycli", "count", *missing) == (0, b"0\n", "")
    assert call("kycli", "keys", "--reverse", *missing) == (0, b"", "")
    import os

    assert not os.path.exists("elsewhere.db")
