"""history, kyv, blame, and reading the past."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest
from cli.harness import Call, on_a_terminal

from kycli import Kycore


def pause() -> str:
    """Return a time between what was done before and what is done after, as text."""
    time.sleep(0.005)
    now = f"{time.time():.3f}"
    time.sleep(0.005)
    return now


def test_a_history_is_printed_newest_first(call: Call) -> None:
    call("kys", "k", "one")
    call("kys", "k", "two\tlines\nand more")
    call("kyd", "k")
    call("kys", "other", "--json", '{"b": [1, null]}')
    lines = [line.split("\t") for line in call("kyv", "k").lines]
    assert [line[1:] for line in lines] == [
        ["deleted", "2", "3", ""],
        ["overwritten", "2", "2", "two\\tlines\\nand more"],
        ["created", "1", "1", "one"],
    ]
    assert all(len(line[0]) == 23 for line in lines)
    assert call("kycli", "history", "k").out == call("kyv", "k").out
    assert call("kycli", "kyv", "k").out == call("kyv", "k").out
    first, *_ = call("kyv").lines
    assert first.split("\t")[1:] == ["created", "1", "4", "other", '{"b":[1,null]}']


def test_json_holds_all_and_loses_nothing(call: Call) -> None:
    call("kys", "k", "-", stdin=b"\xff\x00")
    call("kyd", "k")
    records = json.loads(call("kyv", "k", "--json").out)
    assert [json.loads(line) for line in call("kyv", "--jsonl").lines] == records
    deleted, created = records
    assert "value" not in deleted
    assert created["value"] == {"$base64": "/wA="}
    assert created["command"] == "kys"
    assert created["pid"] == os.getpid()
    assert (created["key"], created["scope"], created["change"]) == ("k", "default", 1)


def test_the_number_and_the_times_of_changes_are_limited(call: Call) -> None:
    for number in range(3):
        call("kys", "k", str(number))
    middle = pause()
    for number in range(3, 6):
        call("kys", "k", str(number))

    def values(*words: str) -> list[str]:
        return [line.split("\t")[-1] for line in call(*words).lines]

    assert values("kyv", "k", "-n", "2") == ["5", "4"]
    assert values("kyv", "-n2") == ["5", "4"]
    assert values("kycli", "-n", "2", "history") == ["5", "4"]
    assert values("kyv", "--limit", "1") == ["5"]
    assert values("kyv", "k", "--since", middle) == ["5", "4", "3"]
    assert values("kyv", "k", "--until", middle) == ["2", "1", "0"]
    assert values("kyv", "k", "--until", middle, "-n", "1") == ["2"]
    assert values("kyv", "k", "--until", "1h ago") == []


def test_the_letter_n_is_a_namespace_elsewhere(call: Call) -> None:
    call("kycli", "set", "-p", "alpha", "-n", "prod", "k", "v")
    call("kycli", "set", "-p", "alpha", "-n", "7", "k", "seven")
    assert len(call("kycli", "history", "-p", "alpha", "--namespace", "prod").lines) == 1
    assert call("kycli", "get", "-p", "alpha", "-n", "7", "k").out == b"seven\n"
    assert len(call("kycli", "history", "-p", "alpha", "--namespace", "prod", "-n", "1").lines) == 1
    assert call("kycli", "history", "-n", "1", "--limit", "1").failed_clearly
    assert call("kycli", "keys", "-p", "alpha", "-n", "7").out == b"k\n"


def test_scopes_and_addresses_are_those_of_other_commands(call: Call) -> None:
    call("kycli", "set", "alpha.prod.k", "v")
    assert len(call("kycli", "history", "alpha.prod.k").lines) == 1
    assert len(call("kycli", "history", "--scope", "alpha.prod").lines) == 1
    assert len(call("kyv", "--scope", "alpha.prod", "k").lines) == 1
    assert call("kyv").out == b""


def test_a_key_without_a_history_is_missing(call: Call) -> None:
    assert call("kyv", "k") == (2, b"", "kycli: no history of key 'k' in scope 'default'\n")
    assert call("kycli", "blame", "k").code == 2
    for limits in (["-n", "1"], ["--since", "1h ago"], ["--until", "1h ago", "--json"]):
        result = call("kyv", "k", *limits)
        assert result == (2, b"", "kycli: no history of key 'k' in scope 'default'\n")
    assert call("kycli", "blame", "k", "-n", "5").code == 2
    assert call("kyv") == (0, b"", "")
    assert call("kyv", "--json") == (0, b"[]\n", "")
    call("kys", "known", "v")
    assert call("kyv", "known", "--until", "1h ago") == (0, b"", "")
    assert call("kyv", "known", "--until", "1h ago", "--json") == (0, b"[]\n", "")


def test_blame_says_who_it_was(call: Call, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    monkeypatch.setenv("KYCLI_DB_PATH", str(path))
    call("kycli", "set", "k", "one")
    with Kycore(path) as store:
        store.save("k", "two", ttl=0.001)
    time.sleep(0.01)
    assert call("kyg", "k").code == 2
    lines = [line.split("\t")[1:] for line in call("kycli", "blame", "k").lines]
    me, host = os.getpid(), os.uname().nodename
    assert lines == [
        ["expired", "2", "-", "-", "3"],
        ["overwritten", "2", f"ada@{host}", f"python[{me}]", "2"],
        ["created", "1", f"ada@{host}", f"kycli set[{me}]", "1"],
    ]
    assert len(call("kycli", "blame", "k", "-n", "1").lines) == 1
    assert len(json.loads(call("kycli", "blame", "k", "--json").out)) == 3


@pytest.mark.parametrize(
    "words",
    [
        ["kyv", "--since", "yesterday"],
        ["kyv", "--until", "2999-01-01"],
        ["kyv", "--since", "1m ago", "--until", "2m ago"],
        ["kyv", "--limit", "-1"],
        ["kyv", "--json", "--jsonl"],
        ["kyv", "a", "b"],
        ["kyv", ""],
        ["kyg", "--at", "tomorrow", "k"],
        ["kyg", "--at", "2999-01-01", "k"],
        ["kyg", "--at", "1980-01-01", "k"],
    ],
)
def test_bad_input_is_one_clear_line(call: Call, words: list[str]) -> None:
    call("kys", "k", "v")
    assert call(*words).failed_clearly


def test_the_past_is_read_without_restoring_it(call: Call) -> None:
    call("kys", "k", "--json", "[1]")
    then = pause()
    call("kys", "k", "two")
    call("kys", "new", "2")
    assert call("kyg", "--at", then, "k") == (0, b"[1]\n", "")
    assert call("kyg", "k", "--at", then, "--json").out == b"[1]\n"
    assert call("kycli", "get", "k", "new", "--at", then) == (
        2, b"[1]\n", "kycli: no key 'new' in scope 'default'\n",
    )  # fmt: skip
    assert json.loads(call("kyg", "k", "--at", then, "--meta").out)["version"] == 1
    assert call("kyg", "new", "--at", then, "--default", "none").out == b"none\n"
    assert call("kyg", "k").out == b"two\n"


def test_a_time_ago_is_one_moment_for_all_keys(call: Call) -> None:
    """Each key of many takes a while to read; the last is to be as of then all the same."""
    names = [f"k{number}" for number in range(300)]
    for generation in range(2):
        with Kycore() as store:
            store.save_many({name: str(generation) for name in names})
        if not generation:
            time.sleep(0.3)
    time.sleep(0.2)
    for ago in (0.2, 0.21, 0.22, 0.23, 0.24, 0.25):
        assert len(set(call("kyg", "--at", f"{ago}s ago", *names).lines)) == 1


# ---------------------------------------------------------------- on a terminal


def test_a_terminal_shows_a_table_that_fits(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    call("kys", "k", "x" * 200)
    call("kys", "a" * 100, "\x1b[31m")
    title, newest, oldest = call("kyv", tty=True).lines
    assert title.split() == ["time", "(UTC)", "operation", "version", "change", "key", "value"]
    assert "\x1b" not in newest
    assert newest.split()[2:] == ["created", "1", "2", "a" * 11 + "…", "\\x1b[31m"]
    assert oldest.endswith("xx…")
    assert max(map(len, [title, newest, oldest])) == 80
    title, row = call("kyv", "k", tty=True).lines
    assert len(row) == 80
    assert title.index("value") == row.index("xxx")
    monkeypatch.delenv("NO_COLOR")
    assert "\x1b[32mcreated" in call("kyv", "k", tty=True).out.decode()


@pytest.mark.parametrize("screen", [20, 40, 60])
def test_a_narrow_terminal_shows_the_value_on_a_line_of_its_own(
    call: Call, monkeypatch: pytest.MonkeyPatch, screen: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(screen))
    call("kys", "name", "value " * 50)
    call("kyd", "name")
    call("kys", "name", "short")
    for words in (("kyv",), ("kyv", "name")):
        lines = call(*words, tty=True).lines
        plain = [re.sub("\x1b\\[[0-9;]*m", "", line) for line in lines]
        assert max(map(len, plain)) <= screen
        assert sum("short" in line for line in plain) == 1
        assert sum("value val" in line and "…" in line for line in plain) == 1


def test_a_terminal_is_paged_by_the_users_pager(run: Call) -> None:
    run("kys", "k", "v")
    shown = on_a_terminal("kyv", "k", environ={"PAGER": "sed 's/^/paged: /'"})
    assert [line[:7] for line in shown.splitlines()] == ["paged: ", "paged: "]
    assert "created" in shown


@pytest.mark.parametrize("pager", ["", "cat", "no-such-pager --x", "'"])
def test_without_a_pager_the_table_is_printed(run: Call, pager: str) -> None:
    run("kys", "k", "v")
    shown = on_a_terminal("kyv", "k", environ={"PAGER": pager})
    assert len(shown.splitlines()) == 2
    assert "created" in shown


def test_a_pager_that_is_left_early_ends_it_quietly(run: Call) -> None:
    with Kycore() as store:
        store.save_many((f"k{number}", "x" * 100) for number in range(20_000))
    shown = on_a_terminal("kyv", environ={"PAGER": "head -n 3"})
    assert len(shown.splitlines()) == 3


@pytest.mark.parametrize(
    "words",
    [
        ["kyv", "-n", "x"],
        ["kycli", "search", "v", "-n", "-1"],
        ["kycli", "blame", "k", "-n", ""],
        ["kyg", "-s", "v", "-nprod"],
        ["kyv", "-n", "1", "-n", "1"],
        ["kyv", "-n", "1", "--limit", "1"],
    ],
)
def test_what_is_no_limit_is_refused(call: Call, words: list[str]) -> None:
    call("kys", "k", "v")
    result = call(*words)
    assert result.failed_clearly
    assert "-n" in result.err or "--limit" in result.err
