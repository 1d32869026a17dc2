"""What commands say of files that earlier versions wrote, and of what cannot be brought over."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

import apsw
import pytest
from cli.harness import Call
from legacy.making import old_database
from legacy.old_release import KEY, OTHER_KEY

from kycli import Kycore
from kycli.core.migration.plain import key_for
from kycli.errors import MigrationNeeded

FIXTURES = Path(__file__).parents[3] / "legacy" / "fixtures"

BLOBS = ["0.4.0-plain.db", "0.2.0-encrypted.db", "0.0.1-plain.pkl"]


def taken(name: str, to: Path) -> Path:
    shutil.copy(FIXTURES / name, to)
    return to


def command_in(hint: str) -> list[str]:
    """Return the words of the command that a hint ends with, as a shell has them."""
    return shlex.split(hint[hint.index("kycli ") :].splitlines()[0])


# Files that are no databases


@pytest.mark.parametrize("name", BLOBS)
def test_a_command_that_meets_an_old_file_says_what_it_is_and_what_to_do(
    call: Call, home: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = taken(name, home / "my old $file")
    before = path.read_bytes()
    for words in (
        ["kyg", "name", "-d", str(path)],
        ["kys", "name", "v", "-d", str(path)],
        ["kycli", "doctor", "-d", str(path)],
        ["kycli", "migrate", str(path)],
        ["kycli", "migrate", str(path), "--dry-run"],
    ):
        result = call(*words)
        assert result.failed_clearly, result
        assert " of KyCLI 0." in result.err
        assert command_in(result.err)[:4] == ["kycli", "migrate", "--from", str(path)]
    with monkeypatch.context() as patch:
        patch.setenv("KYCLI_DB_PATH", str(path))
        result = call("kycli", "migrate")
        assert result.failed_clearly, result
        into_itself = call(*command_in(result.err))
        assert into_itself.failed_clearly
        assert "--into" in into_itself.err
    assert path.read_bytes() == before
    monkeypatch.setenv("KYCLI_MASTER_KEY", KEY)
    assert call(*command_in(result.err)).code == 0
    assert call("kyl", "--scope", "old").lines


@pytest.mark.parametrize("migrate", [False, True])
@pytest.mark.parametrize("name", BLOBS)
def test_so_does_a_store_in_python(tmp_path: Path, name: str, migrate: bool) -> None:
    path = taken(name, tmp_path / "old.db")
    before = path.read_bytes()
    with pytest.raises(MigrationNeeded, match=r"of KyCLI 0\.") as caught:
        Kycore(path, migrate=migrate)
    assert f"kycli migrate --from {path}" in str(caught.value.hint)
    assert path.read_bytes() == before
    assert [file for file in os.listdir(tmp_path) if file.startswith("old")] == ["old.db"]
    path.unlink()


def test_the_command_for_an_old_database_can_be_pasted(call: Call, home: Path) -> None:
    path = taken("0.1.6-plain.db", home / "it's old.db")
    hint = call("kyg", "name", "-d", str(path)).err
    words = command_in(hint)[:3]
    assert words == ["kycli", "migrate", str(path)]
    assert call(*words).code == 0


def test_a_pipe_is_not_waited_for(call: Call, home: Path) -> None:
    pipe = home / "pipe"
    os.mkfifo(pipe)
    for words in (["migrate", str(pipe)], ["migrate", "--from", str(pipe)]):
        result = call("kycli", *words)
        assert result.failed_clearly
        assert "not a regular file" in result.err


def test_an_empty_file_is_not_taken_for_a_database(
    call: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = home / "empty.db"
    empty.touch()
    for words in (["migrate", str(empty)], ["migrate", "--from", str(empty)]):
        result = call("kycli", *words)
        assert result.failed_clearly
        assert "empty" in result.err
    monkeypatch.setenv("KYCLI_DB_PATH", str(empty))
    result = call("kycli", "migrate")
    assert (result.code, result.out) == (0, b"")
    assert "empty.db is empty" in result.err
    assert empty.read_bytes() == b""


# Damage


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 8192 * 4096)


def scribble(path: Path) -> None:
    """Write over the page that holds the root of the index of the history."""
    connection = apsw.Connection(str(path))
    root = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'idx_audit_key'").get
    connection.close()
    with path.open("r+b") as file:
        file.seek(4096 * (root - 1))
        file.write(b"\xff" * 4096)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def spoil(script: str, path: Path) -> None:
    path.unlink()
    old_database(path, script)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("0.1.8-plain.db", cut),
        ("0.1.8-plain.db", scribble),
        ("0.4.0-plain.db", flip),
        ("0.4.0-plain.db", cut),
        (
            "0.1.8-plain.db",
            "INSERT INTO audit_log (key, value, timestamp) VALUES ('k', 'v', 'soon')",
        ),
        ("0.1.8-plain.db", "INSERT INTO kvstore VALUES ('k', CAST(x'c328' AS TEXT), NULL)"),
        ("0.1.8-plain.db", "INSERT INTO kvstore VALUES (CAST(x'ff' AS TEXT), 'v', NULL)"),
    ],
)
@pytest.mark.parametrize("there", [False, True])
def test_damage_in_a_source_is_said_of_the_source(
    call: Call, home: Path, name: str, damage: object, there: bool
) -> None:
    path = taken(name, home / "source.db")
    if callable(damage):
        damage(path)
    else:
        spoil(str(damage), path)
    target = home / "target.db"
    if there:
        assert call("kys", "k", "v", "-d", str(target)).code == 0
    before = path.read_bytes()
    sound = taken("0.1.6-plain.db", home / "sound.db")
    result = call("kycli", "migrate", "--from", str(sound), str(path), "--into", str(target))
    assert result.failed_clearly, result
    assert str(path) in result.err
    assert str(target) not in result.err
    assert path.read_bytes() == before
    assert target.exists() == there
    if there:
        with Kycore(target) as kv:
            assert kv.scopes() == ["default"]


# What does not come over as it was


def test_nothing_is_renamed_or_left_out_without_a_line(call: Call, home: Path) -> None:
    long = "k" * 5000
    path = old_database(
        home / "old.db",
        f"""INSERT INTO kvstore VALUES ('', 'empty', NULL), ('{long}', 'long', NULL);
        INSERT INTO audit_log (key, value, timestamp) VALUES
            ('gone', NULL, '2026-01-02 03:04:05.678'), ('k', 'v', '2026-01-02 03:04:06.000');
        INSERT INTO kvstore VALUES ('k', 'v', NULL);
        CREATE TABLE mine (x); INSERT INTO mine VALUES (1), (2);
        CREATE INDEX by_value ON kvstore (value);
        CREATE VIEW see AS SELECT key FROM kvstore;
        CREATE TRIGGER count_up AFTER INSERT ON kvstore BEGIN INSERT INTO mine VALUES (3); END;
        CREATE TRIGGER other AFTER INSERT ON mine BEGIN SELECT 1; END;""",
    )
    shutil.copy(path, home / "copy.db")
    result = call("kycli", "migrate", str(path))
    assert result.code == 0, result
    said = result.err
    assert "the key '' cannot be a key here; it is renamed-empty-key now" in said
    assert f"it is {key_for(long)} now" in said
    assert "a deletion of 'gone' at '2026-01-02 03:04:05.678' is not in the history" in said
    assert "the index by_value was on a table that is replaced; it is dropped" in said
    assert "the trigger count_up was on a table that is replaced; it is dropped" in said
    (line,) = [line for line in said.splitlines() if "kycli scan" in line]
    listed = call(*command_in(line))
    assert len(listed.lines) == 5
    with Kycore(path, scope="default.migration") as kv:
        assert kv[f"renamed/{key_for(long)}"] == {"was": long}
        assert kv["deletion/0000000000000000001"] == {
            "key": "gone",
            "at": "2026-01-02 03:04:05.678",
        }
        assert kv["trigger/count_up"]["sql"].startswith("CREATE TRIGGER count_up")
    connection = apsw.Connection(str(path))
    assert connection.execute("SELECT count(*) FROM mine").get == 2
    assert connection.execute("SELECT count(*) FROM see WHERE key = 'k'").get == 1
    left = connection.execute("SELECT name FROM sqlite_schema WHERE tbl_name = 'mine' ORDER BY 1")
    assert [name for (name,) in left] == ["mine", "other"]
    connection.close()
    brought = call("kycli", "migrate", "--from", str(home / "copy.db"), "--into", "new.db")
    assert brought.code == 0, brought
    assert "the table mine is another program's and stays in the old file" in brought.err
    with Kycore("new.db", scope="copy.migration") as kv:
        assert kv["table/mine"] == {"rows": 2}
        assert kv["renamed/renamed-empty-key"] == {"was": ""}


def test_many_lines_of_a_kind_are_cut_short_and_all_kept(call: Call, home: Path) -> None:
    rows = ", ".join(f"('gone {n}', NULL)" for n in range(30))
    path = old_database(home / "old.db", f"INSERT INTO audit_log (key, value) VALUES {rows}")
    result = call("kycli", "migrate", str(path), "--no-backup")
    assert result.code == 0, result
    assert result.err.count("a deletion of") == 20
    assert "and 10 more" in result.err
    with Kycore(path, scope="default.migration") as kv:
        assert len(kv) == 30


def test_settings_without_a_counterpart_are_said(call: Call, home: Path) -> None:
    path = taken("0.4.0-settings.db", home / "work.db")
    result = call("kycli", "migrate", "--from", str(path))
    assert result.code == 0, result
    for name in ("access_key", "compression_threshold", "readonly"):
        assert f"the setting {name} has no counterpart" in result.err
    listed = call("kycli", "scan", "--scope", "work.migration")
    assert [line.partition("=")[0] for line in listed.lines] == [
        "setting/access_key",
        "setting/compression_threshold",
        "setting/default_ttl",
        "setting/readonly",
    ]


# Keys


def test_workspaces_with_different_keys_come_in_one_run(
    call: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = home / ".kycli" / "data"
    data.mkdir(parents=True)
    taken("0.4.0-encrypted.db", data / "one.db")
    taken("0.4.0-rotated.db", data / "two.db")
    monkeypatch.setenv("KYCLI_MASTER_KEY", KEY)
    refused = call("kycli", "migrate", "--from")
    assert refused.failed_clearly
    assert str(data / "two.db") in refused.err
    assert "one a line" in refused.err
    for keys in (f"{KEY}\n{OTHER_KEY}", f"{OTHER_KEY}\n{KEY}\n"):
        monkeypatch.setenv("KYCLI_MASTER_KEY", keys)
        for decrypt in ([], ["--decrypt"]):
            result = call("kycli", "migrate", "--from", "--into", "new.db", *decrypt)
            assert result.code == 0, result
            with Kycore("new.db") as kv:
                assert {"one", "two"} <= set(kv.scopes())
            os.unlink("new.db")


@pytest.mark.parametrize("words", [["old.db"], ["--from", "old.db"]])
def test_a_key_is_not_asked_for_where_nothing_is_encrypted(
    call: Call, home: Path, words: list[str]
) -> None:
    taken("0.1.8-plain.db", home / "old.db")
    result = call("kycli", "migrate", *words, "--decrypt")
    assert result.code == 0, result
    assert "nothing is encrypted" in result.err


# Afterwards


def test_the_free_pages_are_mentioned_with_the_command_that_returns_them(
    call: Call, home: Path
) -> None:
    path = taken("0.1.8-plain.db", home / "my old.db")
    result = call("kycli", "migrate", str(path), "--no-backup")
    assert result.code == 0, result
    (line,) = [line for line in result.err.splitlines() if "are free" in line]
    with Kycore(path) as kv:
        before = repr(kv.get_history())
    assert call(*command_in(line)).code == 0
    connection = apsw.Connection(str(path))
    assert connection.pragma("freelist_count") == 0
    connection.close()
    with Kycore(path) as kv:
        assert repr(kv.get_history()) == before
