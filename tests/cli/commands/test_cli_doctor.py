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
    assert call("kycli", "doctor") == (0, b"", f"{database} is sound\n")
    assert call("kycli", "doctor", "--json", "-q") == (0, b"[]\n", "")


def test_a_damaged_index_is_mended(call: Call, database: Path) -> None:
    damage(database, "DELETE FROM fts_kvstore_data")
    failed = call("kycli", "search", "apple")
    assert failed.failed_clearly
    assert "hint: keys and values are not affected; 'kycli doctor'" in failed.err
    mended = call("kycli", "doctor")
    assert mended.code == 0
    assert all(line.startswith("index\tmended\t") for line in mended.lines)
    assert mended.err == f"{database} is sound again\n"
    assert call("kycli", "search", "apple").lines == ["k\tapple"]
    assert call("kycli", "doctor").out == b""


@pytest.mark.damages
def test_what_cannot_be_mended_is_an_error(call: Call, database: Path) -> None:
    damage(database, "UPDATE audit_log SET prev = 99 WHERE key = 'm'")
    found = call("kycli", "doctor")
    assert (found.code, found.lines) == (
        1, ["history\tdamaged\t1 changes follow one that is not there"],
    )  # fmt: skip
    assert found.err.splitlines()[0] == f"kycli: {database}: 1 of 1 problems cannot be mended"
    assert "restore a backup" in found.err
    (problem,) = json.loads(call("kycli", "doctor", "--json").out)
    assert problem == {"part": "history", "repaired": False, "what": problem["what"]}


def test_a_database_that_is_not_there_is_an_error(call: Call) -> None:
    failed = call("kycli", "doctor", "--db", "none.db")
    assert failed.failed_clearly
    assert "none.db: no such file" in failed.err
