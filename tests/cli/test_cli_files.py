"""Databases and config files: where they are, and what is wrong with them."""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import subprocess
from pathlib import Path

import pytest
from cli.harness import Call, program

as_root = os.geteuid() == 0


def test_the_database_is_private(call: Call, database: Path) -> None:
    call("kys", "k", "v")
    assert database.stat().st_mode & 0o777 == 0o600
    assert database.parent.stat().st_mode & 0o777 == 0o700


def test_which_database(call: Call, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "dir").mkdir()
    assert call("kys", "k", "flag", "-d", "one.db").code == 0
    assert call("kys", "k", "directory", "--db=dir").code == 0
    assert (home / "dir/kycli.db").exists()
    monkeypatch.setenv("KYCLI_DB_PATH", "env.db")
    assert call("kys", "k", "variable").code == 0
    assert (home / "env.db").exists()
    assert call("kyg", "k", "-d", "one.db").out == b"flag\n"
    assert call("kycli", "-d", "dir", "get", "k").out == b"directory\n"
    monkeypatch.delenv("KYCLI_DB_PATH")
    assert call("kycli", "config", "set", "db_path", "one.db").code == 0
    assert call("kyg", "k").out == b"flag\n"


def test_a_named_directory_is_not_made(
    call: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("kys", "k", "v", "-d", "no/such.db").failed_clearly
    assert call("kyg", "k", "-d", "no/such.db").failed_clearly
    monkeypatch.setenv("KYCLI_DB_PATH", "no/such.db")
    refused = call("kys", "k", "v")
    assert refused.failed_clearly
    assert "KYCLI_DB_PATH" in refused.err
    monkeypatch.delenv("KYCLI_DB_PATH")
    call("kycli", "config", "set", "db_path", "no/such.db")
    assert call("kys", "k", "v").failed_clearly
    assert not (home / "no").exists()


READS = [
    ["kyg", "k"],
    ["kyg", "k.x[0]", "--at", "1s ago"],
    ["kyl"],
    ["kyl", "k*"],
    ["kycli", "scan", "--json"],
    ["kycli", "nss"],
    ["kycli", "list-scopes", "-l"],
    ["kyv"],
    ["kycli", "blame", "k"],
    ["kycli", "search", "k"],
    ["kyg", "-s", "k"],
    ["kycli", "ttl", "k"],
    ["kycli", "env"],
    ["kycli", "admin", "list-caches"],
    ["kycli", "admin", "show-scope"],
    ["kyrt", "1s ago", "--dry-run"],
    ["kyc", "k"],
    ["kycli", "doctor"],
    ["kycli", "config"],
    ["kycli", "migrate"],
    ["kyd", "k"],
    ["kyfo"],
]


@pytest.mark.parametrize("words", READS, ids=" ".join)
def test_reading_makes_no_database_of_an_empty_file(
    run: Call, call: Call, home: Path, words: list[str]
) -> None:
    directory = home / "databases"
    directory.mkdir()
    empty = directory / "empty.db"
    empty.touch()
    read = run if words == READS[0] else call  # a process takes as long as ten calls
    as_missing = read(words[0], "-d", str(directory / "other.db"), *words[1:])
    result = read(words[0], "-d", str(empty), *words[1:])
    assert os.listdir(directory) == ["empty.db"]
    assert empty.read_bytes() == b""
    if words[1:] not in (["doctor"], ["config"], ["migrate"]):
        assert result == as_missing
    assert call("kys", "-d", str(empty), "k", "v").code == 0
    assert call("kyg", "-d", str(empty), "k").out == b"v\n"


def test_doctor_does_not_call_an_empty_file_sound(call: Call, database: Path) -> None:
    call("kys", "k", "v")
    database.write_bytes(b"")
    failed = call("kycli", "doctor")
    assert failed.failed_clearly
    assert "the file is empty" in failed.err
    assert "backup" in failed.err
    assert database.read_bytes() == b""


def test_a_failed_creation_leaves_nothing(run: Call, call: Call, home: Path) -> None:
    directory = home / "databases"
    directory.mkdir()
    script = f"ulimit -f 0; exec {program('kys')} -d {directory}/new.db k v"
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(b"kycli: ")
    assert call("kys", "-d", f"{directory}/{'x' * 250}", "k", "v").failed_clearly
    assert os.listdir(directory) == []


def test_the_name_of_a_config_need_not_be_utf8(run: Call, home: Path) -> None:
    name = os.fsencode(home / "c") + b"\xff.toml"
    with open(name, "w") as file:
        file.write('current_scope = "alpha"\n')
    environ = {"KYCLI_CONFIG": os.fsdecode(name)}
    assert run("kycli", "config", "path", environ=environ).out == name + b"\n"
    assert name in run("kycli", "config", environ=environ).out
    records = {
        r["name"]: r for r in json.loads(run("kycli", "config", "--json", environ=environ).out)
    }
    origin = records["current_scope"]["origin"]
    assert base64.b64decode(origin["$base64"]) == name


def test_an_unwritable_directory(call: Call) -> None:
    assert call("kys", "k", "v", "-d", "/proc/kycli.db").failed_clearly


@pytest.mark.skipif(as_root, reason="root may write everywhere")
def test_a_read_only_database_can_be_read(call: Call, database: Path) -> None:
    call("kys", "k", "v")
    database.chmod(0o400)
    assert call("kyg", "k").out == b"v\n"
    assert call("kys", "k", "w").failed_clearly
    assert call("kyg", "k").out == b"v\n"


@pytest.mark.parametrize("words", [["kyg", "k"], ["kys", "k", "v"], ["kyl"], ["kycli", "nss"]])
def test_a_file_that_is_not_a_database(call: Call, home: Path, words: list[str]) -> None:
    file = home / "notes.txt"
    file.write_text("this is no database\n" * 100)
    assert call(*words, "-d", str(file)).failed_clearly
    assert file.read_text() == "this is no database\n" * 100
    assert [path.name for path in home.iterdir()] == ["notes.txt"]


@pytest.mark.damages
def test_a_newer_format(call: Call, database: Path) -> None:
    call("kys", "k", "v")
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA user_version = 9999")
    connection.close()
    assert call("kyg", "k").failed_clearly
    assert call("kys", "k", "w").failed_clearly


@pytest.mark.damages
def test_a_corrupt_database(call: Call, database: Path) -> None:
    call("kys", "k", "v")
    size = database.stat().st_size
    with database.open("r+b") as file:
        file.seek(100)
        file.write(b"\xa5" * (size - 100))
    damaged = database.read_bytes()
    assert call("kyg", "k").failed_clearly
    assert call("kys", "k", "w").failed_clearly
    assert database.read_bytes() == damaged


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (".kyclirc", "current_scope = \n"),
        (".kyclirc.json", '{"ns_delim": "."\n'),
        (".kyclirc", 'ns_delim = "abc"\n'),
        (".kyclirc.json", '{"current_scope": "a b"}'),
    ],
)
def test_a_broken_config_names_the_file(call: Call, home: Path, name: str, text: str) -> None:
    file = home / name
    file.write_text(text)
    for words in (["kyg", "k"], ["kys", "k", "v"], ["kycli", "use"], ["kycli", "config"]):
        result = call(*words)
        assert result.failed_clearly
        assert str(file) in result.err
    assert call("kycli", "help").code == 0
    assert file.read_text() == text


def test_config_commands(call: Call, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = str(home / ".config/kycli/config.json")
    assert call("kycli", "config", "path").code == 2
    assert call("kycli", "config", "get", "ns_delim").out == b".\n"
    set_delimiter = call("kycli", "config", "set", "ns_delim", "|")
    assert set_delimiter == (0, b"", "written to ~/.config/kycli/config.json\n")
    assert call("kycli", "config", "path").out == f"{config}\n".encode()
    assert call("kycli", "config", "set", "busy_timeout_ms", "250", "-q") == (0, b"", "")
    assert call("kycli", "config", "set", "durability", "full").code == 0
    rows = [line.split("\t") for line in call("kycli", "config").lines]
    monkeypatch.setenv("KYCLI_SCOPE", "alpha")
    assert ["ns_delim", "|", config] in rows
    assert ["busy_timeout_ms", "250", config] in rows
    assert ["current_scope", "default", "default"] in rows
    listed = json.loads(call("kycli", "config", "--json", "-d", "x.db").out)
    by_name = {setting["name"]: setting for setting in listed}
    assert by_name["busy_timeout_ms"]["value"] == 250
    assert by_name["current_scope"] == {
        "name": "current_scope",
        "value": "alpha",
        "origin": "KYCLI_SCOPE",
    }
    assert by_name["db_path"] == {
        "name": "db_path",
        "value": str(home / "x.db"),
        "origin": "--db",
    }
    call("kycli", "set", "a|b|k", "v")
    assert call("kycli", "get", "a.b.k", "--ns-delim", ".").out == b"v\n"
    removed = call("kycli", "config", "unset", "ns_delim")
    assert removed == (0, b"", "removed from ~/.config/kycli/config.json\n")
    assert call("kycli", "config", "get", "ns_delim").out == b".\n"
    again = call("kycli", "config", "unset", "ns_delim")
    assert again == (2, b"", "kycli: ns_delim is not set\n")


def test_unsetting_what_is_not_set_writes_nothing(call: Call, home: Path) -> None:
    assert call("kycli", "config", "unset", "ns_delim").code == 2
    assert list(home.iterdir()) == []


def test_a_database_in_memory_can_be_configured(call: Call, home: Path) -> None:
    assert call("kycli", "config", "set", "db_path", ":memory:").code == 0
    config = home / ".config/kycli/config.json"
    assert json.loads(config.read_text()) == {"db_path": ":memory:"}
    assert call("kycli", "config", "get", "db_path").out == b":memory:\n"
    assert call("kys", "k", "v").code == 0
    assert call("kyg", "k").code == 2
    assert [path.name for path in home.iterdir()] == [".config"]


def test_settings_show_what_flags_do(call: Call) -> None:
    flags = ["--scope", "alpha.prod", "--ns-delim", "|", "-d", "x.db"]
    rows = json.loads(call("kycli", "config", "--json", *flags).out)
    assert {row["name"]: row["origin"] for row in rows} == {
        "db_path": "--db",
        "current_scope": "command line",
        "ns_delim": "--ns-delim",
        "durability": "default",
        "busy_timeout_ms": "default",
        "shell_keys": "default",
        "shell_pager": "default",
    }
    assert call("kycli", "config", "get", "current_scope", *flags).out == b"alpha.prod\n"
    assert call("kycli", "config", "get", "ns_delim", *flags).out == b"|\n"
    assert call("kycli", "config", "get", "current_scope", "-p", "beta").out == b"beta\n"


@pytest.mark.parametrize(
    "words",
    [
        ["get"],
        ["get", "nope"],
        ["set", "nope", "x"],
        ["set", "durability", "maybe"],
        ["set", "busy_timeout_ms", "soon"],
        ["set", "busy_timeout_ms", "-1"],
        ["set", "ns_delim", "a"],
        ["set", "current_scope", "a b"],
        ["set", "durability"],
        ["unset", "nope"],
        ["unset"],
    ],
)
def test_bad_config_commands(call: Call, home: Path, words: list[str]) -> None:
    assert call("kycli", "config", *words).failed_clearly
    assert list(home.iterdir()) == []


def test_config_names_what_is_no_setting(call: Call) -> None:
    Path(".kyclirc").write_text('curent_scope = "a"\nzzz = 1\ndurability = "full"\n')
    done = call("kycli", "config")
    assert done.code == 0
    assert len(done.lines) == 7
    first, second = done.err.splitlines()
    assert first.endswith(
        "/.kyclirc: there is no setting 'curent_scope', so it is ignored; "
        "did you mean current_scope?"
    )
    assert second.endswith("there is no setting 'zzz', so it is ignored")
    assert call("kycli", "config", "-q").err == ""
    assert call("kys", "k", "v") == (0, b"", "")  # commands that run all the time say nothing
