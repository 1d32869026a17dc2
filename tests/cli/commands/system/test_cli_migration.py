"""``kycli migrate``: what earlier versions left, in place and as scopes of another database."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from cli.harness import Call
from legacy.old_release import KEY, OTHER_KEY
from legacy.reading import open_old, read_rows

from kycli import Kycore
from kycli.core.migration import legacy
from kycli.core.migration import workspaces as migration_import
from kycli.core.values import Opaque

FIXTURES = Path(__file__).parents[3] / "legacy" / "fixtures"
FORMATS = Path(__file__).parents[3] / "formats"
BLOBS = sorted(path.stem for path in FIXTURES.glob("0.*.db") if path.read_bytes()[:5] == b"KYCLI")


def taken(name: str, to: Path) -> Path:
    """Copy a fixture, with what is beside it, to where a user has it."""
    for file in FIXTURES.glob(f"{name}.*"):
        if file.suffix != ".json":
            shutil.copy(file, f"{to}{file.name[len(f'{name}.db') :]}")
    return to


@pytest.fixture
def old(home: Path) -> Path:
    return taken("0.1.8-plain", home / "kydata.db")


def state(directory: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()
    }


def test_every_command_says_what_it_found_and_changes_nothing(call: Call, old: Path) -> None:
    before = state(old.parent)
    for words in (["kyg", "name"], ["kys", "name", "v"], ["kyl"], ["kycli", "list-scopes"]):
        result = call(*words, "-d", str(old))
        assert result.failed_clearly, result
        assert "a database of an earlier KyCLI, 0.1.7 or 0.1.8" in result.err
        assert "kycli migrate" in result.err
    assert state(old.parent) == before


def test_in_place_with_a_copy_beside_it(call: Call, old: Path) -> None:
    before = old.read_bytes()
    result = call("kycli", "migrate", str(old))
    assert result.code == 0
    assert result.out == b""
    assert "51 keys, 68 changes in the history, 6 removed values" in result.err
    copy = old.with_name("kydata.db.before-migration")
    assert copy.read_bytes()[100:] == before[100:]
    assert call("kyg", "name", "-d", str(old)).out == b"Alice\n"
    again = call("kycli", "migrate", str(old))
    assert again.code == 0
    assert "is of this version already" in again.err


def test_keys_that_came_over_are_the_same_in_any_case(call: Call, old: Path) -> None:
    assert call("kycli", "migrate", str(old), "--no-backup", "-q").code == 0
    assert call("kyg", "API_KEY", "api_key", "-d", str(old)).lines == ["was typed in capitals"] * 2
    assert call("kys", "Api_Key", "changed", "-d", str(old)).code == 0
    assert call("kyg", "api_key", "-d", str(old)).out == b"changed\n"
    for key in ("Api_Key", "api_key"):
        assert call("kys", "--scope", "new", key, key, "-d", str(old)).code == 0
    assert call("kyg", "--scope", "new", "Api_Key", "-d", str(old)).out == b"Api_Key\n"


def test_the_copy_goes_where_it_is_wanted_or_nowhere(call: Call, old: Path, home: Path) -> None:
    assert call("kycli", "migrate", str(old), "--backup", "copies", "-q") == (0, b"", "")
    assert (home / "copies").exists()
    other = taken("0.1.6-plain", home / "other.db")
    assert call("kycli", "migrate", str(other), "--backup", "copies").failed_clearly
    assert call("kycli", "migrate", str(other), "--no-backup").code == 0
    assert sorted(os.listdir(home)) == ["copies", "kydata.db", "other.db"]


def test_the_database_in_effect_is_migrated_when_none_is_named(
    call: Call, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KYCLI_DB_PATH", str(old))
    assert call("kycli", "migrate", "--no-backup").code == 0
    assert call("kyg", "name").out == b"Alice\n"


def test_a_dry_run_counts_and_changes_nothing(call: Call, old: Path) -> None:
    before = state(old.parent)
    assert b"51 keys, 67 changes" in call("kycli", "migrate", str(old), "--dry-run").out
    (told,) = json.loads(call("kycli", "migrate", str(old), "--dry-run", "--json").out)
    assert (told["keys"], told["changes"], told["removed"]) == (51, 67, 6)
    assert call("kycli", "migrate", "--from", str(old), "--dry-run").code == 0
    assert state(old.parent) == before


def test_an_earlier_format_of_ours(call: Call, home: Path) -> None:
    path = home / "kycli.db"
    shutil.copy(FORMATS / "format-1.sqlite", path)
    assert b"format 1" in call("kycli", "migrate", str(path), "--dry-run").out
    assert "format 1" in call("kyg", "text", "-d", str(path)).err
    assert call("kycli", "migrate", str(path)).code == 0
    assert call("kyg", "Case", "case", "-d", str(path)).out == b"upper\nlower\n"


def test_nothing_named_and_nothing_there(call: Call, home: Path) -> None:
    result = call("kycli", "migrate")
    assert result.code == 0
    assert "nothing to migrate" in result.err
    assert os.listdir(home) == []


@pytest.fixture
def workspaces(home: Path) -> Path:
    shutil.copytree(FIXTURES / "homes/workspaces-of-0.4.0", home, dirs_exist_ok=True)
    return home


def test_what_is_in_the_usual_places_is_said(call: Call, workspaces: Path) -> None:
    before = state(workspaces)
    result = call("kycli", "migrate")
    assert result.code == 0
    for name in ("kydata.pkl", "default.db", "jobs.db", "work-2.db"):
        assert name in result.err
    assert "kycli migrate --from" in result.err
    assert state(workspaces) == before


def test_workspaces_become_scopes(call: Call, workspaces: Path, database: Path) -> None:
    assert call("kys", "mine", "kept").code == 0
    before = state(workspaces / ".kycli")
    refused = call("kycli", "migrate", "--from")
    assert refused.failed_clearly
    assert "'default' is in use" in refused.err
    with Kycore(database) as kv:
        assert kv.scopes() == ["default"]
    assert call("kycli", "migrate", "--from", "--map", "default=old,kydata=older").code == 0
    with Kycore(database) as kv:
        assert kv.scopes() == ["default", "jobs", "jobs.queue", "old", "older", "work-2"]
        items = dict(kv.scan(scope="jobs.queue"))
        assert list(items) == sorted(items)
        assert all(
            {"value", "priority", "attempts", "created_at"} <= i.keys() for i in items.values()
        )
    assert state(workspaces / ".kycli") == before
    assert call("kycli", "migrate", "--from", "--map", "default=old,kydata=older").failed_clearly


def test_into_another_database(call: Call, old: Path, home: Path) -> None:
    result = call("kycli", "migrate", "--from", str(old), "--into", "new.db", "--map", "kydata=old")
    assert result.code == 0
    assert call("kyg", "name", "--scope", "old", "-d", "new.db").out == b"Alice\n"
    assert legacy.identify(str(old)) is not None


@pytest.mark.parametrize("name", BLOBS)
def test_every_workspace_comes_over(
    name: str, call: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = taken(name, home / "source.db")
    with open_old(str(source), [KEY, OTHER_KEY]) as opened:
        keys = [KEY, OTHER_KEY]
        rows = {row.key: row for row in read_rows(opened)}
        items = list(opened.queue())
    for key in keys:  # it was rotated, or not
        monkeypatch.setenv("KYCLI_MASTER_KEY", key)
        result = call("kycli", "migrate", "--from", str(source), "--into", "new.db", "--decrypt")
        if result.code == 0:
            break
    assert result.code == 0, result
    with Kycore("new.db") as kv:
        for entry in kv.entries(scope="source", include_expired=True):
            row = rows.pop(entry.key)
            assert entry.expires_at == row.expires_at
            if not isinstance(entry.value, Opaque):
                assert repr(entry.value) == repr(row.value)
        assert rows == {}
        stored = list(kv.entries(scope="source.queue"))
        assert [(e.value["priority"], e.value["attempts"]) for e in stored] == [
            (item.priority, item.attempts) for item in items
        ]
        assert [e.value["created_at"] for e in stored] == [item.created_at for item in items]


def test_encrypted_values_stay_so_unless_they_may_be_plain(
    call: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = taken("0.4.0-encrypted", home / "vault.db")
    call_it = ("kycli", "migrate", "--from", str(source), "--into")
    without = call(*call_it, "sealed.db")
    assert without.failed_clearly
    assert "KYCLI_MASTER_KEY" in without.err
    monkeypatch.setenv("KYCLI_MASTER_KEY", "wrong")
    assert call(*call_it, "sealed.db").failed_clearly
    assert not (home / "sealed.db").exists()
    monkeypatch.setenv("KYCLI_MASTER_KEY", KEY)
    assert call(*call_it, "sealed.db").code == 0
    assert call(*call_it, "open.db", "--decrypt").code == 0
    with Kycore("sealed.db", scope="vault") as sealed, Kycore("open.db", scope="vault") as opened:
        values = dict(sealed.scan())
        assert values.keys() == dict(opened.scan()).keys()
        hidden = [key for key, value in values.items() if isinstance(value, Opaque)]
        assert hidden
        assert not [key for key, value in opened.scan() if key in hidden and value == values[key]]
    told = json.loads(call("kyg", hidden[0], "--scope", "vault", "-d", "sealed.db", "--json").out)
    assert told["$opaque"].startswith("enc:")


def test_decrypting_in_place(call: Call, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = taken("0.1.8-encrypted", home / "old.db")
    before = path.read_bytes()
    asked = call("kycli", "migrate", str(path), "--decrypt")
    assert asked.failed_clearly
    monkeypatch.setenv("KYCLI_MASTER_KEY", "wrong")
    assert call("kycli", "migrate", str(path)).failed_clearly
    assert path.read_bytes() == before
    monkeypatch.setenv("KYCLI_MASTER_KEY", KEY)
    with open_old(str(path), KEY) as old:
        rows = {row.key: row.value for row in read_rows(old) if row.kind is not None}
    assert call("kycli", "migrate", str(path), "--decrypt", "--no-backup").code == 0
    with Kycore(path) as kv:
        assert {key: kv.getkey(key) for key in rows if key in kv} == rows


@pytest.mark.parametrize(
    "words",
    [
        ["a", "b"],
        ["--into", "x"],
        ["--map", "a=b"],
        ["--from", "--backup", "x"],
        ["--backup", "x", "--no-backup", "kydata.db"],
        ["--from", "kydata.db", "--map", "nobody=b"],
        ["--from", "kydata.db", "--map", "kydata"],
        ["--from", "kydata.db", "--map", "kydata=a.b.c"],
        ["--from", "nowhere.db"],
        ["--from", "text"],
        ["nowhere.db"],
        ["text"],
        ["workspace.db"],
        ["--from", "kydata.db", "kydata.db"],
    ],
)
def test_what_cannot_be_done_is_one_error_and_changes_nothing(
    call: Call, old: Path, home: Path, words: list[str]
) -> None:
    (home / "text").write_text("no database" * 20)
    taken("0.2.0-plain", home / "workspace.db")
    before = state(home)
    assert call("kycli", "migrate", *words).failed_clearly
    assert state(home) == before


def test_of_several_files_all_come_or_none(
    call: Call, workspaces: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("kys", "--scope", "mine", "k", "v").code == 0
    one = migration_import._one

    def stopped(connection: Any, arrival: Any, *more: Any) -> Any:
        if arrival.scope == "work-2":
            raise KeyboardInterrupt
        return one(connection, arrival, *more)

    monkeypatch.setattr(migration_import, "_one", stopped)
    assert call("kycli", "migrate", "--from").code == 130
    monkeypatch.undo()
    with Kycore(database) as kv:
        assert kv.scopes() == ["mine"]
        assert len(kv.get_history(scope="default")) == 0
    assert call("kycli", "migrate", "--from").code == 0


def test_progress_is_for_a_terminal_alone(call: Call, old: Path) -> None:
    assert "\r" not in call("kycli", "migrate", str(old)).err


def queued(database: str) -> list[object]:
    with Kycore(database) as kv:
        return [entry.value["value"] for entry in kv.entries(scope="source.queue")]


def test_queue_items_stay_encrypted_unless_they_may_be_plain(
    call: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = taken("0.4.0-queue", home / "source.db")
    with open_old(str(source), KEY) as opened:
        plain = [item.value for item in opened.queue()]
    assert plain
    monkeypatch.setenv("KYCLI_MASTER_KEY", KEY)
    sealed = call("kycli", "migrate", "--from", str(source), "--into", "sealed.db")
    assert sealed.code == 0, sealed
    assert all(isinstance(value, Opaque) for value in queued("sealed.db"))
    secrets = [value.encode() for value in plain if isinstance(value, str) and len(value) > 8]
    assert secrets
    kept = Path("sealed.db").read_bytes()
    assert [secret for secret in secrets if secret in kept] == []
    opened_too = call("kycli", "migrate", "--from", str(source), "--into", "open.db", "--decrypt")
    assert opened_too.code == 0, opened_too
    assert queued("open.db") == plain


def test_a_queue_whose_key_was_changed_is_opened_with_both_keys(
    call: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = taken("0.4.0-rotated", home / "source.db")
    monkeypatch.setenv("KYCLI_MASTER_KEY", f"{OTHER_KEY}\n{KEY}")
    result = call("kycli", "migrate", "--from", str(source), "--into", "new.db", "--decrypt")
    assert result.code == 0, result
    assert queued("new.db") == ["under the old key", "under the new key"]
