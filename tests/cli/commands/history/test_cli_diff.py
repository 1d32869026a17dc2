"""Differences as text for people, and as data."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
from cli.harness import Call

from kycli import Kycore
from kycli.cli.commands.history.diff import hunks


@pytest.fixture(autouse=True)
def _filled(call: Call) -> None:
    for scope, data in {
        "shop.prod": {"url": "https://shop.example", "gone": "x", "same": "s"},
        "shop.test": {"url": "http://localhost", "new": "two\nlines", "same": "s"},
    }.items():
        for key, value in data.items():
            call("kys", "--scope", scope, key, value)


TEXT = """\
--- shop.prod
+++ shop.test
@@ -1 +0,0 @@ gone
-x
@@ -0,0 +1,2 @@ new
+two
+lines
@@ -1 +1 @@ url
-https://shop.example
+http://localhost
"""


def test_two_scopes(call: Call) -> None:
    assert call("kycli", "diff", "shop.prod", "shop.test") == (0, TEXT.encode(), "")
    assert call("kycli", "diff", "shop.test", "--scope", "shop.prod").out == TEXT.encode()
    call("kycli", "use", "shop.prod")
    assert call("kycli", "diff", "shop.test").out == TEXT.encode()
    only = call("kycli", "diff", "shop.prod", "shop.test", "--prefix", "u").lines
    assert only[2:] == ["@@ -1 +1 @@ url", "-https://shop.example", "+http://localhost"]


def test_no_difference_prints_nothing(call: Call) -> None:
    assert call("kycli", "diff", "shop.prod", "shop.prod") == (0, b"", "")
    assert call("kycli", "diff", "shop.prod", "shop.prod", "--exit-code") == (0, b"", "")
    assert call("kycli", "diff", "shop.prod", "shop.prod", "--json").out == b"[]\n"
    assert call("kycli", "diff", "shop.prod", "shop.prod", "--jsonl").out == b""
    assert call("kycli", "diff", "shop.prod", "shop.test", "--exit-code") == (
        1, TEXT.encode(), "",
    )  # fmt: skip


def test_a_scope_that_there_is_not_is_said_to_be_none(call: Call) -> None:
    result = call("kycli", "diff", "shop.prod", "shop.tset")
    assert result.code == 0
    assert result.err == "kycli: no scope 'shop.tset'\n"
    assert [line[0] for line in result.lines[2:]] == ["@", "-"] * 3


def test_data_loses_nothing(call: Call, database: Path) -> None:
    with Kycore(database) as store:
        store.save("url", b"\xff", scope="shop.test", ttl=None)
        before, after = (store.get_entry("url", scope=f"shop.{name}") for name in ("prod", "test"))
    assert before is not None
    assert after is not None
    records = json.loads(call("kycli", "diff", "shop.prod", "shop.test", "--json").out)
    assert [(record["key"], record["operation"]) for record in records] == [
        ("gone", "removed"), ("new", "added"), ("url", "changed"),
    ]  # fmt: skip
    assert "after" not in records[0]
    assert "before" not in records[1]
    assert records[2]["before"] == {
        "value": "https://shop.example", "version": 1, "updated_at": before.updated_at,
    }  # fmt: skip
    assert base64.b64decode(records[2]["after"]["value"]["$base64"]) == b"\xff"
    assert records[2]["after"]["version"] == after.version == 2
    lines = call("kycli", "diff", "shop.prod", "shop.test", "--jsonl").lines
    assert [json.loads(line) for line in lines] == records


def test_two_times(call: Call) -> None:
    time.sleep(0.01)
    since = str(time.time())
    time.sleep(0.01)
    call("kys", "--scope", "shop.prod", "url", "https://shop.new")
    call("kyd", "--scope", "shop.prod", "gone")
    time.sleep(0.01)
    until = str(time.time())
    time.sleep(0.01)
    call("kys", "--scope", "shop.prod", "later", "l")
    body = ["@@ -1 +0,0 @@ gone", "-x"]
    url = ["@@ -1 +1 @@ url", "-https://shop.example", "+https://shop.new"]
    shown = call("kycli", "diff", "--since", since, "shop.prod").lines
    assert shown[0].startswith("--- shop.prod at 20")
    assert shown[1] == "+++ shop.prod now"
    assert shown[2:] == [*body, "@@ -0,0 +1 @@ later", "+l", *url]
    both = call("kycli", "diff", "--since", since, "--until", until, "--scope", "shop.prod").lines
    assert both[1].startswith("+++ shop.prod at 20")
    assert both[2:] == [*body, *url]
    assert call("kycli", "diff", "--since", until, "shop.prod", "--exit-code").code == 1


def test_two_versions(call: Call) -> None:
    for value in ("one", "two", "three"):
        call("kys", "k", value)
    shown = call("kycli", "diff", "k", "--versions", "1..2").lines
    assert shown == ["--- k version 1", "+++ k version 2", "@@ -1 +1 @@ k", "-one", "+two"]
    shown = call("kycli", "diff", "--versions", "2", "k").lines
    assert shown == ["--- k version 2", "+++ k now", "@@ -1 +1 @@ k", "-two", "+three"]
    assert call("kycli", "diff", "k", "--versions", "3") == (0, b"", "")
    call("kys", "user.name", "Ada")
    assert call("ky", "diff", "user.name", "--versions", "1") == (0, b"", "")
    assert call("kycli", "diff", "shop.prod.url", "--versions", "1..1") == (0, b"", "")
    (record,) = json.loads(call("kycli", "diff", "k", "--versions", "1..3", "--json").out)
    assert [record[side]["value"] for side in ("before", "after")] == ["one", "three"]
    missing = call("kycli", "diff", "k", "--versions", "1..9")
    assert (missing.code, missing.out) == (2, b"")
    assert "no version 9" in missing.err


def test_documents_show_which_member_it_is(call: Call) -> None:
    document = {"name": "Ada", "tags": ["x", "y"], "age": 36, "at": {"city": "London"}}
    call("kys", "k", "--json", json.dumps(document))
    call("kypatch", "k.at.city", "Paris")
    shown = call("kycli", "diff", "k", "--versions", "1..2").lines
    assert [line for line in shown[3:] if line[0] in "-+"] == [
        '-    "city": "London"', '+    "city": "Paris"',
    ]  # fmt: skip


def test_long_texts_show_what_is_around(call: Call) -> None:
    lines = [f"line {n}" for n in range(1, 21)]
    call("kys", "k", "\n".join(lines))
    lines[9] = "changed"
    call("kys", "k", "\n".join(lines))
    assert call("kycli", "diff", "k", "--versions", "1").lines[2:] == [
        "@@ -7,7 +7,7 @@ k", " line 7", " line 8", " line 9", "-line 10", "+changed",
        " line 11", " line 12", " line 13",
    ]  # fmt: skip


def test_types_that_look_the_same_are_told_apart(call: Call) -> None:
    call("kys", "k", "1")
    call("kys", "k", "--json", "1")
    assert call("kycli", "diff", "k", "--versions", "1").lines[3:] == ['-"1"', "+1"]


def test_a_last_newline_is_a_difference(call: Call) -> None:
    call("kys", "k", "a")
    call("kys", "k", "a\n")
    assert call("kycli", "diff", "k", "--versions", "1").lines[3:] == [" a", "+"]


def test_another_lifetime_is_said(call: Call) -> None:
    call("kys", "--scope", "one", "k", "v")
    call("kys", "--scope", "two", "k", "v", "--ttl", "1h")
    (title,) = call("kycli", "diff", "one", "two").lines[2:]
    assert title.startswith("@@ -0,0 +0,0 @@ k (expires never -> 20")
    (record,) = json.loads(call("kycli", "diff", "one", "two", "--json").out)
    assert record["operation"] == "lifetime"
    assert "expires_at" in record["after"]


def test_a_terminal_gets_colours_and_no_control_characters(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAGER", "cat")
    call("kys", "--scope", "one", "k\t1", "a\033[31m")
    shown = call("kycli", "diff", "one", "two", tty=True)
    assert b"\033[31m-a\\x1b[31m\033[m\n" in shown.out
    assert b"\033[36m@@ -1 +0,0 @@ k\\t1\033[m\n" in shown.out
    assert b"-a\033[31m\n" in call("kycli", "diff", "one", "two").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing to compare"),
        (["a", "b", "c"], "'c'"),
        (["a", "b", "--scope", "c"], "--scope"),
        (["a b", "c"], "'a b'"),
        (["--until", "1h ago"], "--since"),
        (["a", "b", "--since", "1h ago"], "one scope"),
        (["a", "--scope", "b", "--since", "1h ago"], "one scope"),
        (["--since", "tomorrow"], "'tomorrow'"),
        (["--since", "1h ago", "--until", "2h ago"], "later"),
        (["k", "--versions", "1..x"], "'1..x'"),
        (["k", "--versions", "0"], "'0'"),
        (["k", "--versions", "1..2..3"], "'1..2..3'"),
        (["--versions", "1..2"], "one key"),
        (["k", "--versions", "1", "--since", "1h ago"], "--versions and --since"),
        (["a", "b", "--json", "--jsonl"], "--json and --jsonl"),
    ],
)
def test_bad_command_lines(call: Call, words: list[str], said: str) -> None:
    result = call("kycli", "diff", *words)
    assert result.failed_clearly
    assert said in result.err


# Hunks


def applied(before: list[str], hunks: list[tuple[str, list[str]]]) -> list[str]:
    """Return what the hunks make of a text, and hold them to it on the way."""
    after, at = [], 0
    for ranges, lines in hunks:
        old, new = ranges.split(" ")
        start, _, length = old[1:].partition(",")
        begin = int(start) - (length != "0")
        after += before[at:begin]
        at = begin
        assert len(after) == int(new[1:].partition(",")[0]) - (new[1:].partition(",")[2] != "0")
        for line in lines:
            if line[0] in " -":
                assert before[at] == line[1:]
                at += 1
            if line[0] in " +":
                after.append(line[1:])
        assert at - begin == int(length or 1)
    return [*after, *before[at:]]


@pytest.mark.parametrize("most", [2000, 3])
@pytest.mark.parametrize("seed", range(30))
def testhunks_say_how_to_get_from_one_text_to_the_other(
    monkeypatch: pytest.MonkeyPatch, seed: int, most: int
) -> None:
    import random

    monkeypatch.setattr("kycli.cli.commands.history.diff._MAX_LINES", most)
    chance = random.Random(seed)
    before: list[Any] = [chance.choice("abc") for _ in range(chance.randrange(40))]
    after = list(before)
    for _ in range(chance.randrange(6)):
        at = chance.randrange(len(after) + 1)
        after[at : at + chance.randrange(3)] = [chance.choice("abc")] * chance.randrange(3)
    assert applied(before, list(hunks(before, after))) == after
