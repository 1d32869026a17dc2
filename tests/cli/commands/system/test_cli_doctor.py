"""doctor: a sound database, one that it mends, and one that it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import apsw
import pytest
from cli.harness import Call


@pytest.fixture(autouse=True)
def _keys(call: Call) -> None:
    call("kys", "k", "apple")
    call("kys", "m", "pear")
    call("kycli", "search", "apple")


def damage(path: Path, statement: str) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(statement)
    connection.close()


def test_a_sound_database_has_nothing_to_print(call: Call, database: Path) -> None:
    found = call("kycli", "doctor")
    assert (found.code, found.err) == (0, f"{database} is sound\n")
    assert [line.split("\t")[:2] for line in found.lines] == [
        [part, "ok"] for part in ("permissions", "format", "wal", "filesystem", "pages")
    ]
    facts = {fact["part"]: fact for fact in json.loads(call("kycli", "doctor", "--json").out)}
    assert facts["permissions"]["mode"] == "0600"
    assert facts["pages"]["page_size"] == 4096
    assert facts["filesystem"]["free"] > 0


def test_a_database_that_others_can_read_is_pointed_out(call: Call, database: Path) -> None:
    database.chmod(0o644)
    database.parent.chmod(0o755)
    found = call("kycli", "doctor")
    assert found.code == 0
    assert found.lines[0].startswith("permissions\twarning\t")
    assert found.lines[0].endswith("others can read it")


def test_a_damaged_index_is_mended(call: Call, database: Path) -> None:
    damage(database, "DELETE FROM fts_kvstore_data")
    failed = call("kycli", "search", "apple")
    assert failed.failed_clearly
    assert "hint: keys and values are not affected; 'kycli doctor'" in failed.err
    mended = call("kycli", "doctor")
    assert mended.code == 0
    assert all(line.startswith("index\tmended\t") for line in mended.lines[5:])
    assert len(mended.lines) > 5
    assert mended.err == f"{database} is sound again\n"
    assert call("kycli", "search", "apple").lines == ["k\tapple"]
    assert len(call("kycli", "doctor").lines) == 5


@pytest.mark.damages
def test_what_cannot_be_mended_is_an_error(call: Call, database: Path) -> None:
    damage(database, "UPDATE audit_log SET prev = 99 WHERE key = 'm'")
    found = call("kycli", "doctor")
    assert (found.code, found.lines[5:]) == (
        1, ["history\tdamaged\t1 changes follow one that is not there"],
    )  # fmt: skip
    assert found.err.splitlines()[0] == f"kycli: {database}: 1 of 1 problems cannot be mended"
    assert "restore a backup" in found.err
    *_, problem = json.loads(call("kycli", "doctor", "--json").out)
    assert problem == {
        "part": "history", "repaired": False, "state": "damaged", "what": problem["what"]
    }  # fmt: skip
    assert call("kycli", "doctor", "--repair", "-y").code == 1  # there is nothing to save it from


def damage_page(database: Path) -> None:
    with database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)


@pytest.mark.damages
def test_what_can_be_read_is_saved_and_replaces_the_file_if_wanted(
    call: Call, database: Path
) -> None:
    damage_page(database)
    before = database.read_bytes()
    assert "kycli doctor --repair" in call("kyg", "k").err
    saved = call("kycli", "doctor", "--repair")
    assert saved.code == 1
    assert "saved\t2 keys in 1 scopes" in saved.lines
    (new,) = database.parent.glob("*.salvaged-*")
    assert saved.err.splitlines()[-1] == f"to use it: kycli backup --restore {new}"
    assert database.read_bytes() == before
    assert call("kyg", "-d", str(new), "k").out == b"apple\n"
    done = call("kycli", "doctor", "--repair", "-y", "--json")
    (record,) = json.loads(done.out)
    assert (done.code, record["keys"], record["lost_keys"]) == (0, 2, [])
    assert call("kyg", "k").out == b"apple\n"
    (aside,) = database.parent.glob("*.damaged-*")
    assert aside.read_bytes() == before


@pytest.mark.damages
def test_a_file_with_nothing_of_ours_in_it_is_left_alone(call: Call, database: Path) -> None:
    database.write_bytes(b"x" * 10_000)
    failed = call("kycli", "doctor", "--repair", "-y")
    assert (failed.code, failed.out) == (1, b"")
    assert "nothing of a kycli database" in failed.err
    assert database.read_bytes() == b"x" * 10_000
    assert not list(database.parent.glob("*.salvaged*"))


def test_a_database_that_is_not_there_is_an_error(call: Call) -> None:
    failed = call("kycli", "doctor", "--db", "none.db")
    assert failed.failed_clearly
    assert "none.db: no such file" in failed.err


@pytest.mark.damages
def test_what_a_killed_repair_left_is_removed(call: Call, database: Path) -> None:
    damage_page(database)
    left = Path(f"{database}.salvaged-20200101T000000Z.partial")
    left.write_bytes(b"x")
    others = Path(f"{database}.salvaged-20200101T000000Z"), database.with_name("other.partial")
    for other in others:
        other.write_bytes(b"x")
    call("kycli", "doctor", "--repair")
    assert not left.exists()
    assert all(other.exists() for other in others)
