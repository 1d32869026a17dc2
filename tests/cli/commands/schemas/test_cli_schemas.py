"""create table and schema: declaring what values must be, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli.harness import Call

USER = '{"name": "str(1..80)", "age": "int(0..150)?"}'


@pytest.fixture
def file(tmp_path: Path) -> str:
    found = tmp_path / "users.json"
    found.write_text(USER)
    return str(found)


def test_a_table_is_made_and_held_to_its_schema(call: Call, file: str) -> None:
    made = call("kycli", "create", "table", "users", "--schema", file)
    assert (made.code, made.out) == (0, b"")
    assert made.err == "the schema of 'users' is at version 1\n"
    assert call("kys", "--scope", "users", "ada", "--json", '{"name": "Ada"}').code == 0
    assert call("kyg", "--scope", "users", "ada").lines == ['{"age":null,"name":"Ada"}']
    for words in (
        ["kys", "--scope", "users", "bob", "bob"],
        ["kys", "--scope", "users", "bob", "--json", '{"name": "", "x": 1}'],
        ["kypatch", "--scope", "users", "ada.age", "old"],
        ["ky", "incr", "--scope", "users", "n"],
        ["ky", "append", "--scope", "users", "text", "x"],
    ):
        refused = call(*words)
        assert refused.failed_clearly
        assert "does not meet the schema of 'users'" in refused.err
    assert call("kyl", "--scope", "users").lines == ["ada"]
    again = call("kycli", "create-table", "users", "--schema", file)
    assert again.failed_clearly
    assert "has a schema already" in again.err


def test_imports_reject_rows_with_the_reason(call: Call, file: str, tmp_path: Path) -> None:
    call("kycli", "create", "table", "users", "--schema", file)
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"key": "a", "value": {"name": "A"}}\n{"key": "b", "value": {"age": 1}}\n')
    stopped = call("kyi", str(rows), "--scope", "users")
    assert stopped.failed_clearly
    assert "line 2" in stopped.err
    assert "name: expected str(1..80), it is missing" in stopped.err
    rejects = tmp_path / "rejects.jsonl"
    assert call("kyi", str(rows), "--scope", "users", "--rejects", str(rejects)).code == 0
    assert "expected str(1..80)" in rejects.read_text()
    assert call("kyl", "--scope", "users").lines == ["a"]


def test_a_scope_with_keys(call: Call, file: str) -> None:
    call("kys", "--scope", "users", "bad", "text")
    call("kys", "--scope", "users", "good", "--json", '{"name": "A"}')
    refused = call("kycli", "schema", "set", "users", file)
    assert refused.failed_clearly
    assert "1 of 2 keys" in refused.err
    tried = call("kycli", "schema", "set", "users", file, "--dry-run")
    assert tried.lines == ["bad\tthe value: expected an object, given 'text'"]
    assert call("kycli", "schema", "set", "users", file, "--existing", "move").failed_clearly
    done = call("kycli", "schema", "set", "users", file, "--existing", "move", "--to", "rest")
    assert done.err == "the schema of 'users' is at version 1; checked 2 keys, moved 1\n"
    assert call("kyl", "--scope", "rest").lines == ["bad"]
    record = json.loads(call("kycli", "schema", "set", "users", file, "--json").out)
    assert record == {"version": 1, "checked": 0, "invalid": [], "reasons": []}


def test_undo_takes_back_a_schema_that_deleted_keys(call: Call, file: str) -> None:
    call("kys", "--scope", "users", "bad", "text")
    assert call("kycli", "schema", "set", "users", file, "--existing", "reject").code == 0
    assert call("kyl", "--scope", "users").lines == []
    assert call("kycli", "undo", "--scope", "users").code == 0
    assert call("kyg", "--scope", "users", "bad").lines == ["text"]
    assert call("kycli", "schema", "show").lines == []


def test_showing(call: Call, file: str) -> None:
    call("kycli", "create", "table", "users", "--schema", file, "--lax")
    assert call("kycli", "schema", "show").lines == ["users"]
    shown = call("kycli", "schema", "show", "users").lines
    assert shown[0] == "# keys *, lax, unknown members: forbid"
    assert json.loads("\n".join(shown[1:])) == json.loads(USER)
    (record,) = json.loads(call("kycli", "schema", "show", "users", "--json").out)
    assert record["definition"] == json.loads(USER)
    assert (record["version"], record["strict"]) == (1, False)
    exported = json.loads(call("kycli", "schema", "export", "users").out)
    assert exported["properties"]["name"] == {"type": "string", "minLength": 1, "maxLength": 80}
    call("kys", "--scope", "users", "ada", '{"name": "Ada", "age": "36"}')
    inferred = json.loads(call("kycli", "schema", "infer", "users").out)
    assert inferred == {"name": "str", "age": "int"}
    for part in ("show", "check", "export", "drop", "infer"):
        missing = call("kycli", "schema", part, "nobody")
        assert (missing.code, missing.out) == (2, b"")


def test_checking(call: Call, file: str) -> None:
    call("kys", "--scope", "users", "bad\t", "text")
    call("kycli", "schema", "set", "users", file, "--existing", "keep")
    found = call("kycli", "schema", "check", "users", "--jsonl")
    assert found.code == 1
    assert json.loads(found.out) == {
        "key": "bad\t",
        "problems": [{"field": "", "expected": "an object", "given": "'text'"}],
    }
    assert call("kycli", "schema", "drop", "users").code == 0
    assert call("kycli", "schema", "check", "users").code == 2


@pytest.mark.parametrize(
    "text", ["", "{", '{"a": "nope"}', '{"a": "int", "a": "str"}', "\xff", '{"$ref": "x.json"}']
)
def test_a_bad_file_is_refused(call: Call, tmp_path: Path, text: str) -> None:
    file = tmp_path / "bad.json"
    file.write_bytes(text.encode("latin-1"))
    assert call("kycli", "create", "table", "t", "--schema", str(file)).failed_clearly
    assert call("kycli", "schema", "show").lines == []


def test_a_large_or_missing_file_is_refused(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "large.json"
    with file.open("wb") as large:
        large.truncate(100 << 20)
    assert "larger than 1 MiB" in call("kycli", "schema", "set", "t", str(file)).err
    for words in (
        ["t", str(tmp_path / "none")],
        ["t", str(tmp_path)],
        ["t"],
        ["t", "x", "--model", "y"],
    ):
        assert call("kycli", "schema", "set", *words).failed_clearly


def test_a_model_is_imported_from_the_working_directory(run: Call, home: Path) -> None:
    (home / "shop.py").write_text(
        "from pydantic import BaseModel\n"
        "class Order(BaseModel):\n    item: str\n    count: int = 1\n"
    )
    assert run("kycli", "create", "table", "orders", "--model", "shop:Order").code == 0
    assert run("kys", "--scope", "orders", "1", "--json", '{"item": "bolt"}').code == 0
    assert run("kyg", "--scope", "orders", "1").lines == ['{"count":1,"item":"bolt"}']
    for wrong in ("shop", "shop:None", "nothing:Order", "json:JSONDecoder"):
        assert run("kycli", "schema", "set", "orders", "--model", wrong).failed_clearly


def test_dotenv_and_mirrors_are_held_to_a_schema(call: Call, home: Path) -> None:
    (home / "int.json").write_text('"int"')
    assert call("kycli", "create", "table", "conf", "--schema", "int.json").code == 0
    (home / "x.env").write_text("A=1\nB=two\n")
    done = call("kyi", "x.env", "--scope", "conf")
    assert done.failed_clearly
    assert "x.env, line 1: 'A' does not meet the schema of 'conf'" in done.err
    assert call("kycli", "schema", "set", "conf", "int.json", "--lax").code == 0
    assert call("kyi", "x.env", "--scope", "conf", "--rejects", "rejects.env").code == 0
    rejects = (home / "rejects.env").read_text().splitlines()
    assert rejects[0].startswith("# line 2: 'B' does not meet the schema")
    assert rejects[1:] == ["B=two"]
    assert call("kycli", "mirror", "export", "m").code == 0
    mirror = home / "m/conf/default"
    (mirror / "A").write_text("9")
    (mirror / "New").write_text("text")
    done = call("kycli", "mirror", "import", "m")
    assert (done.code, done.out) == (1, b"")
    assert "'New' does not meet the schema of 'conf'" in done.err
    assert call("kyg", "A", "--scope", "conf", "--json").out == b"1\n"  # all or nothing
    (mirror / "New").write_text("7")
    assert call("kycli", "mirror", "import", "m").code == 0
    assert call("kyg", "A", "New", "--scope", "conf", "--json").out == b'{"A":9,"New":7}\n'
    assert call("kycli", "schema", "check", "conf").code == 0
