"""scan with fields, indexes and stats, from the command line."""

from __future__ import annotations

import csv
import io
import json

import pytest
from cli.harness import Call, on_a_terminal

USERS = {
    "ada": {"name": "Ada", "age": 36, "tags": ["vip"], "at": {"zip": "75001"}},
    "bob": {"name": "Bob", "age": 17},
    "eve": {"name": "E\tv\ne\x1b[31m, \"x\"", "age": None, "photo": {"$base64": "/w=="}},
}  # fmt: skip


@pytest.fixture(autouse=True)
def users(call: Call) -> None:
    for key, value in USERS.items():
        assert call("kys", "--scope", "users", key, "--json", json.dumps(value)).code == 0
    call("kys", "users-by-name", "1")
    call("kys", "user.x", "1")


def test_columns_in_a_pipe_are_cells_with_tabs(call: Call) -> None:
    shown = call("kycli", "scan", "users", "--columns", "name,age,at.zip", "--order", "-age")
    assert shown.lines == ["Ada\t36\t75001", "Bob\t17\t", 'E\\tv\\ne\x1b[31m, "x"\tnull\t']
    assert call("kycli", "scan", "users", "--columns", "age", "-0").out == b"36\x0017\x00null\x00"
    limited = call(
        *("kycli", "scan", "users", "--columns", "name,age"),
        *("--where", "age > 16", "--order", "-age", "--limit", "1"),
    )
    assert limited.lines == ["Ada\t36"]


@pytest.mark.parametrize(("form", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_delimited_output_is_read_back(call: Call, form: str, delimiter: str) -> None:
    shown = call("kycli", "scan", "users", "--columns", "@key,name,photo", "--format", form)
    rows = list(csv.reader(io.StringIO(shown.out.decode(), newline=""), delimiter=delimiter))
    assert rows[0] == ["@key", "name", "photo"]
    assert rows[3] == ["eve", "E\tv\ne\x1b[31m, \"x\"", '{"$base64":"/w=="}']  # fmt: skip


def test_json_has_what_is_there(call: Call) -> None:
    shown = call("kycli", "scan", "users", "--columns", "@key,age,at", "--jsonl")
    assert [json.loads(line) for line in shown.lines] == [
        {"@key": "ada", "age": 36, "at": {"zip": "75001"}},
        {"@key": "bob", "age": 17},
        {"@key": "eve", "age": None},
    ]
    same = call("kycli", "scan", "users", "--columns", "@key,age,at", "--format", "jsonl")
    assert same == shown
    record = json.loads(call("kycli", "scan", "users", "--where", "age = 17", "--json").out)
    assert record[0]["value"] == USERS["bob"]


def test_without_columns_a_listing_is_as_ever(call: Call) -> None:
    assert call("kycli", "scan", "users", "--where", "age = 17", "--separator", ": ").lines == [
        'bob: {"age":17,"name":"Bob"}'
    ]
    assert call("kycli", "scan", "users", "b", "--where", "age > 0", "--values-only").lines == [
        '{"age":17,"name":"Bob"}'
    ]
    assert call("kycli", "scan", "users").lines == ["users-by-name=1"]  # a prefix, as ever
    assert call("ky", "scan", "users", "--where", "@value = '1'").lines == ["users-by-name=1"]
    assert call("kycli", "scan", "--scope", "users", "a", "--where", "age > 0").lines


def test_a_table_fits_the_terminal() -> None:
    words = ("kycli", "scan", "users", "--columns", "@key,name,age,tags,at")
    wide = on_a_terminal(*words, environ={"NO_COLOR": "1"})
    assert wide.splitlines()[0].split() == ["@key", "name", "age", "tags", "at"]
    assert r"E\tv\ne\x1b[31m" in wide
    assert "\x1b" not in wide
    narrow = on_a_terminal(*words, environ={"NO_COLOR": "1", "COLUMNS": "28"})
    assert max(map(len, narrow.splitlines())) <= 28
    assert "…" in narrow


@pytest.mark.parametrize(
    "words",
    [
        ["--where", "age >"],
        ["--where", "age > 1", "--glob", "a*"],
        ["--where", "age > 1", "--reverse"],
        ["--order", "-"],
        ["--columns", "name,"],
        ["--columns", "name", "--values-only"],
        ["--columns", "name", "--separator", ":"],
        ["--format", "xml"],
        ["--format", "csv", "--json"],
        ["--columns", "name", "--json", "--jsonl"],
        ["--where", "age > 1", "--limit", "x"],
    ],
)
def test_what_cannot_be_is_refused(call: Call, words: list[str]) -> None:
    assert call("kycli", "scan", "users", *words).failed_clearly


def test_an_index_from_the_command_line(call: Call) -> None:
    explained = ["kycli", "scan", "users", "--where", "age > 30", "--explain"]
    assert call(*explained).lines[0] == "reads all keys of users"
    assert call("kycli", "create", "index", "users", "age").code == 0
    again = call("kycli", "create", "index", "users", ".age")
    assert (again.code, again.err) == (0, "there is an index on .age of 'users'\n")
    assert call(*explained).lines[0] == "uses the index on age"
    assert call("kycli", "indexes").lines == ["users\tage"]
    assert call("kycli", "indexes", "other").lines == []
    assert json.loads(call("kycli", "indexes", "--json").out) == [
        {"scope": "users", "field": "age"}
    ]
    assert call("kycli", "drop", "index", "users", "age").code == 0
    assert call("kycli", "drop", "index", "users", "age").code == 2
    assert call("kycli", "create", "index", "users", "a[0:2]").failed_clearly
    assert call("kycli", "create", "index", "no scope", "a").failed_clearly


def test_stats(call: Call) -> None:
    shown = call("kycli", "stats", "users")
    rows = {line.split("\t")[0]: line.split("\t")[1:] for line in shown.lines}
    assert rows["age"] == ["int", "3", "1", "2", "17", "36", ""]
    assert rows["at.zip"] == ["str", "1", "0", "1", "75001", "75001", "5"]
    assert rows["tags[]"][0] == "str"
    assert rows["photo"][0] == "bytes"
    assert shown.err == "3 keys in users\n"
    found = json.loads(call("kycli", "stats", "users", "--json").out)
    assert found["keys"] == 3
    assert {each["field"] for each in found["fields"]} == rows.keys() - {"field"}
    whole = call("kycli", "stats")
    assert whole.lines == ["scope\tkeys", "default\t2", "users\t3"]
    assert json.loads(call("kycli", "stats", "--json").out)["keys"] == 5
    assert call("kycli", "stats", "none").lines == [shown.lines[0]]
    assert call("kycli", "stats", "--prefix", "a").failed_clearly
