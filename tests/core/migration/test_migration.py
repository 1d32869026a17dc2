"""Databases of earlier formats of ours become those of this one, whole and in place."""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import apsw
import pytest

from kycli import Kycore
from kycli.core import layout
from kycli.core.migration.formats import migrate
from kycli.core.migration.steps import STEPS
from kycli.core.values import canonical
from kycli.errors import (
    BusyError,
    CannotOpenError,
    ConflictError,
    CorruptError,
    DiskFullError,
    KycliError,
    MigrationNeeded,
    NewerFormatError,
    NotADatabaseError,
)

FORMATS = Path(__file__).parents[2] / "formats"
CURRENT = FORMATS / f"format-{layout.FORMAT}.sqlite"
EARLIER = sorted(file for file in FORMATS.glob("format-*.sqlite") if file != CURRENT)

make: Any = None
if spec := importlib.util.spec_from_file_location("make_format", FORMATS / "make.py"):
    make = importlib.util.module_from_spec(spec)
    assert spec.loader is not None
    spec.loader.exec_module(make)


@pytest.fixture(params=EARLIER, ids=lambda file: file.stem)
def earlier(request: pytest.FixtureRequest, path: Path) -> Path:
    """A database of an earlier format, in the place of the store; its JSON says what is in it."""
    shutil.copy(request.param, path)
    shutil.copy(request.param.with_suffix(".json"), path.with_suffix(".json"))
    return path


def schema(path: Path) -> dict[str, Any]:
    """Return what a database is made of: columns of tables, and the SQL of everything else."""
    connection = apsw.Connection(str(path))
    try:
        made: dict[str, Any] = {}
        sql = "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL"
        for kind, name, text in connection.execute(sql):
            made[name] = (kind, text)
            if kind == "table" and "VIRTUAL" not in text:
                columns = connection.execute(f"PRAGMA table_xinfo({name})").fetchall()
                about = connection.execute(f"PRAGMA table_list({name})").fetchall()
                made[name] = (kind, columns, about)
        marks = [connection.pragma(mark) for mark in ("application_id", "user_version")]
        return {**made, "marks": marks, "journal": connection.pragma("journal_mode")}
    finally:
        connection.close()


def test_each_earlier_format_has_a_step_and_a_committed_file() -> None:
    numbers = list(range(1, layout.FORMAT))
    assert sorted(STEPS) == numbers
    assert [file.stem for file in EARLIER] == [f"format-{number}" for number in numbers]


def test_the_committed_file_of_this_format_is_as_databases_are_made_today(
    path: Path, tmp_path: Path
) -> None:
    shutil.copy(CURRENT, path)
    expected = json.loads(CURRENT.with_suffix(".json").read_text())
    clock = expected.pop("clock")
    assert migrate(str(path)) is None
    with Kycore(path, clock=lambda: clock) as kv:
        assert json.loads(canonical(make.said(kv))) == expected
        assert kv.check() == []
    Kycore(tmp_path / "new.db").close()
    assert schema(path) == schema(tmp_path / "new.db")


def test_all_that_was_in_it_is_in_it(earlier: Path) -> None:
    expected = json.loads(earlier.with_suffix(".json").read_text())
    clock = expected.pop("clock")
    with Kycore(earlier, migrate=True, clock=lambda: clock) as kv:
        said = json.loads(canonical(make.said(kv)))
        assert {part: said[part] for part in expected} == expected  # as much as it then had
        assert kv.getkey("document") == make.VALUES["document"]


def test_a_migrated_database_is_made_as_a_new_one_is(earlier: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.db"
    Kycore(new).close()
    Kycore(earlier, migrate=True).close()
    assert schema(earlier) == schema(new)


def test_a_migrated_database_takes_every_kind_of_change(earlier: Path) -> None:
    clock = make.Clock()
    clock.now = json.loads(earlier.with_suffix(".json").read_text())["clock"] + 86_400_000
    with Kycore(earlier, migrate=True, clock=clock) as kv:
        for scope in kv.scopes():
            kv.drop_scope(scope)
        make.fill(kv, clock)


def test_a_migrated_database_takes_plain_sql(earlier: Path) -> None:
    expected = json.loads(earlier.with_suffix(".json").read_text())
    migrate(str(earlier))
    tool = apsw.Connection(str(earlier))
    keys = tool.execute("SELECT count(*) FROM kvstore").get
    tool.execute("UPDATE kvstore SET value = value || '!' WHERE home IS NULL AND kind = 0")
    tool.execute(
        "UPDATE kvstore SET key = key || '?' "
        "WHERE scope NOT IN ('folds', '#schemas') AND length(key) < 1000"
    )
    tool.execute("DELETE FROM kvstore WHERE scope <> 'default'")
    tool.close()
    with Kycore(earlier) as kv:
        assert kv.check() == []
        assert kv.getkey("text?") == make.VALUES["text"] + "!"
        assert kv.getkey("large bytes?") == make.VALUES["large bytes"]
        assert len(kv) < keys
        assert kv.restore_to(expected["clock"] / 1000, all_scopes=True) > keys


def test_it_is_never_migrated_unasked(earlier: Path) -> None:
    before = earlier.read_bytes()
    with pytest.raises(MigrationNeeded, match=rf"format \d.*format {layout.FORMAT}") as caught:
        Kycore(earlier)
    assert caught.value.hint is not None
    assert "kycli migrate" in caught.value.hint
    assert earlier.read_bytes() == before
    assert migrate(str(earlier)) is not None
    after = earlier.read_bytes()
    assert migrate(str(earlier)) is None
    assert earlier.read_bytes() == after


def test_migrating_keeps_the_mode_and_leaves_nothing_beside_it(earlier: Path) -> None:
    earlier.chmod(0o640)
    beside = sorted(os.listdir(earlier.parent))
    migrate(str(earlier))
    assert sorted(os.listdir(earlier.parent)) == beside
    assert earlier.stat().st_mode & 0o777 == 0o640


def test_a_copy_is_the_file_as_it_was(earlier: Path, tmp_path: Path) -> None:
    before = earlier.read_bytes()
    copy = tmp_path / "copy.db"
    migrate(str(earlier), backup=str(copy))
    counters = [slice(92, 100), slice(40, 44), slice(24, 28)]
    one, other = bytearray(before), bytearray(copy.read_bytes())
    for counter in counters:
        one[counter] = other[counter] = b""
    assert one == other
    copy.unlink()


def test_a_copy_never_replaces_a_file(earlier: Path, tmp_path: Path) -> None:
    before = earlier.read_bytes()
    copy = tmp_path / "precious"
    copy.write_text("mine")
    with pytest.raises(CannotOpenError, match="already"):
        migrate(str(earlier), backup=str(copy))
    assert copy.read_text() == "mine"
    assert earlier.read_bytes() == before


def _migrate_too(path: str, start: Any, answers: Any) -> None:
    start.wait()
    try:
        answers.put(migrate(path) is not None)
    except KycliError as error:
        answers.put(repr(error))


def test_of_several_processes_one_migrates_and_the_others_find_it_done(earlier: Path) -> None:
    context = multiprocessing.get_context("fork")
    start, answers = context.Event(), context.Queue()
    processes = [
        context.Process(target=_migrate_too, args=(str(earlier), start, answers)) for _ in range(4)
    ]
    for process in processes:
        process.start()
    start.set()
    said = sorted(str(answers.get(timeout=60)) for _ in processes)
    for process in processes:
        process.join()
    assert said == ["False", "False", "False", "True"]


def test_nothing_is_migrated_while_another_program_has_it_open(earlier: Path) -> None:
    before = earlier.read_bytes()
    other = apsw.Connection(str(earlier))
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM kvstore").fetchall()
    with pytest.raises(BusyError, match="another program"):
        migrate(str(earlier), busy_timeout_ms=50)
    other.close()
    assert earlier.read_bytes() == before


def test_a_disk_that_would_not_hold_it_is_said_before(
    earlier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = earlier.read_bytes()
    about = os.statvfs(earlier.parent)

    class Full:
        f_bavail = earlier.stat().st_size // about.f_frsize
        f_frsize = about.f_frsize

    monkeypatch.setattr(os, "statvfs", lambda directory: Full)
    with pytest.raises(DiskFullError, match=r"takes about \d+ MB"):
        migrate(str(earlier))
    assert earlier.read_bytes() == before


def _newer(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA user_version = 99")
    connection.close()


def _numberless(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA user_version = 0")
    connection.close()


def _foreign(path: Path) -> None:
    path.unlink()
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE mine (x)")
    connection.close()


def _text(path: Path) -> None:
    path.write_text("no database, and longer than the header of one" * 10)


def _truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 8192 * 4096)


def _scribbled(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096)


@pytest.mark.damages
@pytest.mark.parametrize(
    ("spoil", "error", "said"),
    [
        (_newer, NewerFormatError, "format 99"),
        (_numberless, CorruptError, "no database format 0"),
        (_foreign, NotADatabaseError, "no kycli database"),
        (_text, NotADatabaseError, "no SQLite database"),
        (_truncated, CorruptError, "damaged"),
        (_scribbled, CorruptError, "damaged"),
    ],
)
def test_what_cannot_be_migrated_is_refused_and_left_as_it_was(
    earlier: Path, spoil: Any, error: type[KycliError], said: str
) -> None:
    spoil(earlier)
    before = earlier.read_bytes()
    beside = sorted(os.listdir(earlier.parent))
    with pytest.raises(error, match=said):
        migrate(str(earlier))
    assert earlier.read_bytes() == before
    assert sorted(os.listdir(earlier.parent)) == beside


@pytest.mark.parametrize(
    "kind", ["TABLE {} (x)", "VIEW {} AS SELECT 1", "INDEX {} ON archive (op)"]
)
def test_a_name_that_is_taken_is_said_before_anything_is_changed(earlier: Path, kind: str) -> None:
    connection = apsw.Connection(str(earlier))
    connection.execute("CREATE " + kind.format("_Schemas"))
    connection.close()
    before = earlier.read_bytes()
    with pytest.raises(ConflictError, match=r"another program has made the \w+ '_Schemas'"):
        migrate(str(earlier))
    assert earlier.read_bytes() == before
    with pytest.raises(MigrationNeeded):
        Kycore(earlier)


def test_a_symbolic_link_is_refused_and_says_what_it_means(earlier: Path, tmp_path: Path) -> None:
    before = earlier.read_bytes()
    link = tmp_path / "link.db"
    link.symlink_to(earlier)
    with pytest.raises(CannotOpenError, match="symbolic link") as caught:
        migrate(str(link))
    assert str(earlier) in str(caught.value.hint)
    assert earlier.read_bytes() == before
    link.unlink()


# Programs from before there were formats


# What KyCLI 0.1.8 executes when it opens a database, as it was seen to do; 0.1.2 to 0.1.7
# do a part of it. Failing to add the column is not minded, since it may be there.
OPENING_OF_0_1 = [
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=NORMAL",
    "CREATE TABLE IF NOT EXISTS kvstore (key TEXT PRIMARY KEY, value TEXT, expires_at DATETIME)",
    "ALTER TABLE kvstore ADD COLUMN expires_at DATETIME",
    "CREATE TABLE IF NOT EXISTS audit_log (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT, "
    "value TEXT, timestamp DATETIME DEFAULT (STRFTIME('%Y-%m-%d %H:%M:%f', 'NOW')))",
    "CREATE TABLE IF NOT EXISTS archive (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT, "
    "value TEXT, deleted_at DATETIME DEFAULT CURRENT_TIMESTAMP)",
    "CREATE INDEX IF NOT EXISTS idx_audit_key ON audit_log(key)",
]


def test_what_kycli_0_1_does_first_fails_before_it_has_written(earlier: Path) -> None:
    migrate(str(earlier))
    before = earlier.read_bytes()
    connection = sqlite3.connect(earlier, isolation_level=None)
    *first, last = OPENING_OF_0_1
    for statement in first:
        if statement.startswith("ALTER"):
            with pytest.raises(sqlite3.OperationalError, match="duplicate column"):
                connection.execute(statement)
        else:
            connection.execute(statement)
    with pytest.raises(sqlite3.OperationalError, match="already a table named idx_audit_key"):
        connection.execute(last)
    connection.close()
    assert earlier.read_bytes() == before


@pytest.mark.skipif("KYCLI_OLD" not in os.environ, reason="KYCLI_OLD: a Python with KyCLI 0.1.8")
def test_kycli_0_1_8_gives_up_before_it_writes(earlier: Path) -> None:
    migrate(str(earlier))
    before = earlier.read_bytes()
    program = (
        "import sys, kycli; kv = kycli.Kycore(db_path=sys.argv[1]); "
        "kv.save('text', 'new'); kv.delete('text')"
    )
    done = subprocess.run(
        [os.environ["KYCLI_OLD"], "-c", program, str(earlier)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "already a table named idx_audit_key" in done.stderr
    assert earlier.read_bytes() == before
