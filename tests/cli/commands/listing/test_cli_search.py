"""search, kyg -s, and optimize."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli.harness import Call

from kycli import Kycore


@pytest.fixture(autouse=True)
def _notes(call: Call) -> None:
    call("kys", "note:1", "Crème brûlée and apple pie")
    call("kys", "note:2", "--json", '{"fruit": ["apple", "fig"]}')
    call("kycli", "set", "shop.prod.item", "apple juice")


def test_search_prints_keys_and_what_matched(call: Call) -> None:
    assert call("kycli", "search", "creme").out == "note:1\tCrème brûlée and apple pie\n".encode()
    assert call("kyg", "-s", "creme") == call("kycli", "search", "creme")
    assert set(call("kycli", "search", "apple").lines) == {
        "note:1\tCrème brûlée and apple pie",
        'note:2\t{"fruit":["apple","fig"]}',
    }
    assert call("kycli", "search", "apple", "fig", "--keys-only").lines == ["note:2"]
    assert call("kycli", "search", "key:note NOT fig", "--keys-only", "-0").out == b"note:1\0"


def test_nothing_found_prints_nothing_and_succeeds(call: Call) -> None:
    for query in ("pear", "", "---", '"', "("):
        assert call("kycli", "search", "--", query) == (0, b"", "")
    assert call("kycli", "search", "x", "--db", "none.db") == (0, b"", "")
    assert not Path("none.db").exists()


def test_search_keeps_to_a_scope_unless_told_otherwise(call: Call) -> None:
    assert call("kycli", "search", "juice").out == b""
    assert call("kycli", "search", "juice", "-p", "shop", "--namespace", "prod").lines == [
        "item\tapple juice"
    ]
    assert call("kyg", "-s", "juice", "--scope", "shop.prod").lines == ["item\tapple juice"]
    assert call("kycli", "search", "juice", "--all-scopes").lines == [
        "shop.prod\titem\tapple juice"
    ]
    assert call("kycli", "search", "x", "--all-scopes", "--scope", "a").failed_clearly


def test_search_in_json_loses_nothing(call: Call) -> None:
    (found,) = json.loads(call("kycli", "search", "fig", "--json").out)
    assert found == {"key": "note:2", "value": {"fruit": ["apple", "fig"]}, "rank": found["rank"]}
    lines = call("kycli", "search", "apple", "--all-scopes", "--jsonl").lines
    assert {json.loads(line)["scope"] for line in lines} == {"default", "shop.prod"}
    assert call("kyg", "-s", "fig", "--json", "--keys-only").out == b'["note:2"]\n'
    (found,) = json.loads(
        call("kycli", "search", "juice", "--all-scopes", "--keys-only", "--json").out
    )
    assert found == {"scope": "shop.prod", "key": "item"}


def test_so_many_keys_are_printed_as_were_asked_for(call: Call, database: Path) -> None:
    with Kycore(database) as store:
        store.save_many((f"k{n}", "banana") for n in range(150))
    assert len(call("kycli", "search", "banana").lines) == 100
    assert len(call("kycli", "search", "banana", "-n", "120").lines) == 120
    assert len(call("kyg", "-s", "banana", "--limit", "7").lines) == 7
    assert call("kycli", "search", "banana", "-n", "0").lines == []
    assert call("kycli", "search", "banana", "--limit", "x").failed_clearly


def test_matches_are_marked_on_a_terminal_only(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = call("kycli", "search", "BRULEE", tty=True).out.decode()
    assert shown == "note:1\tCrème \033[1;31mbrûlée\033[m and apple pie\n"
    assert call("kycli", "search", "key:note creme", tty=True).out.startswith(
        b"\033[1;31mnote\033[m:1"
    )
    monkeypatch.setenv("NO_COLOR", "1")
    assert b"\033" not in call("kycli", "search", "brulee", tty=True).out


def test_a_terminal_gets_no_control_characters_of_values(call: Call) -> None:
    call("kys", "evil\x1b[2J", "apple \x1b[31m red")
    shown = call("kycli", "search", "evil", tty=True).out.decode()
    assert "\x1b[2J" not in shown
    assert "\x1b[31m" not in shown


@pytest.mark.parametrize("flag", ["--raw", "--b64", "--meta", "--default=x", "--context=x"])
def test_flags_of_values_are_refused_in_a_search(call: Call, flag: str) -> None:
    assert call("kyg", "-s", "apple", flag).failed_clearly


def test_progress_is_shown_on_a_terminal_when_it_takes_long(
    call: Call, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kycli.cli.progress._FIRST_SECONDS", 0)
    call("kys", "more", "apple")
    shown = call("kycli", "search", "apple", tty=True).err
    assert "indexing: " in shown
    assert shown.endswith("\r\033[K")
    call("kys", "more", "pear")
    assert call("kycli", "search", "apple", "-q", tty=True).err == ""
    call("kys", "more", "fig")
    assert call("kycli", "search", "apple").err == ""


@pytest.mark.parametrize("command", [("kyfo",), ("kycli", "optimize")])
def test_optimize_says_how_much_is_indexed(call: Call, command: tuple[str, ...]) -> None:
    assert call(*command) == (0, b"", "the search index holds 3 keys\n")
    assert call(*command, "-q") == (0, b"", "")


def test_the_programs_search(run: Call) -> None:
    assert run("kyg", "-s", "creme").lines == ["note:1\tCrème brûlée and apple pie"]
    assert run("kyfo").code == 0


def test_n_is_the_limit_of_a_search(call: Call) -> None:
    for key in ("a", "b", "c"):
        call("kys", key, "word")
    assert len(call("kyg", "-s", "word", "-n", "2").lines) == 2
    assert len(call("kyg", "-n", "1", "-s", "word").lines) == 1
    assert len(call("kycli", "kyg", "word", "-n2", "--search").lines) == 2
