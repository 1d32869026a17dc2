"""backup: made, listed and restored on the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from cli.harness import Call, on_a_terminal, program


@pytest.fixture(autouse=True)
def _keys(call: Call) -> None:
    call("kys", "k", "apple")


def test_a_backup_is_made_listed_and_restored(call: Call, database: Path) -> None:
    made = call("kycli", "backup")
    assert (made.code, len(made.lines)) == (0, 1)
    assert made.lines[0].startswith(str(database.parent / "backups" / "kycli-"))
    assert made.err.startswith("backed up ~/.local/share/kycli/kycli.db, ")
    second = json.loads(call("kycli", "backup", "--zstd", "--json", "-q").out)
    assert second["path"].endswith(".db.zst")
    assert second["removed"] == []
    listed = json.loads(call("kycli", "backup", "--list", "--json").out)
    assert [record["path"] for record in listed] == [made.lines[0], second["path"]]
    assert all(record["own"] and record["format"] == 4 for record in listed)
    (first, _) = call("kycli", "backup", "--list").lines
    assert first.split("\t")[2:] == ["format 4", made.lines[0]]
    call("kys", "k", "pear")
    done = call("kycli", "backup", "--restore", second["path"], "-y", "--json")
    restored = json.loads(done.out)
    assert restored["path"] == str(database)
    assert call("kyg", "k").out == b"apple\n"
    assert call("kycli", "backup", "--restore", restored["aside"], "-y").code == 0
    assert call("kyg", "k").out == b"pear\n"


def test_the_oldest_go(call: Call) -> None:
    paths = [call("kycli", "backup", "-q").lines[0] for _ in range(3)]
    done = call("kycli", "backup", "--keep", "2")
    assert [line for line in done.err.splitlines() if line.startswith("removed")]
    assert [os.path.exists(path) for path in paths] == [False, False, True]


@pytest.mark.parametrize(
    "words",
    [
        ["--keep", "0"], ["--keep", "x"], ["copy.db", "--keep", "2"], ["-"], ["--restore"],
        ["--list", "--restore"], ["--restore", "nowhere"], ["--list", "nowhere"], ["--jsonl"],
        ["--restore", "x", "--force"], ["no/such/copy.db"], ["", ""], ["x.gz", "--zstd"],
        ["--restore", "."], ["/dev/full"],
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(call: Call, home: Path, words: list[str]) -> None:
    assert call("kycli", "backup", *words, "-y").failed_clearly
    assert not list(home.glob("*.db*"))


def test_without_a_database_there_is_nothing_to_back_up(call: Call, home: Path) -> None:
    failed = call("kycli", "backup", "-d", "none.db")
    assert failed.failed_clearly
    assert "there is no database" in failed.err
    assert call("kycli", "backup", "--list", "-d", "none.db") == (0, b"", "")
    assert not (home / "none.db").exists()


def test_a_restore_asks_on_a_terminal_alone(call: Call, database: Path, home: Path) -> None:
    call("kycli", "backup", "copy.db")
    call("kys", "k", "pear")
    assert "no terminal to ask on" in call("kycli", "backup", "--restore", "copy.db").err
    shown = on_a_terminal("kycli", "backup", "--restore", "copy.db", keys=b"y\n")
    assert "replace ~/.local/share/kycli/kycli.db by the backup copy.db?" in shown
    assert call("kyg", "k").out == b"apple\n"
    database.unlink()
    assert call("kycli", "backup", "--restore", "copy.db").code == 0
    assert call("kyg", "k").out == b"apple\n"


def test_hostile_names_are_no_danger(call: Call, home: Path) -> None:
    for name in ("a\nb", "\x1b[31m", "-- x", "☃", "x" * 240):
        (made,) = [call("kycli", "backup", "--", f"{name}.db").out]
        assert made == os.fsencode(home / f"{name}.db") + b"\n"
        assert call("kycli", "backup", "--restore", "-y", "--", f"{name}.db").code == 0


def test_an_interrupted_backup_leaves_nothing(call: Call, home: Path) -> None:
    with subprocess.Popen([program("kycli"), "import", "--format", "nul", "-"], stdin=-1) as work:
        work.communicate(b"".join(b"k%d\0%s\0" % (n, b"x" * 400) for n in range(60_000)))
    process = subprocess.Popen([program("kycli"), "backup", "copy.xz"], stderr=-1)
    while not list(home.glob("*.partial")):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode in (-signal.SIGINT, 130)
    assert b"Traceback" not in said
    assert not list(home.glob("copy*"))
