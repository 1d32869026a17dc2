"""Imports: what becomes of rows, of bad ones, and of an import that is interrupted."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import Clock

from kycli import Kycore
from kycli.errors import (
    ConflictError,
    FormatError,
    InputError,
    InvalidScopeError,
    InvalidTTLError,
    InvalidValueError,
    UsageError,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "data.csv"
    file.write_text("key,value\n" + "".join(f"k{n:03},{n}\n" for n in range(100)))
    return file


def test_an_import_is_one_change_of_the_history(store: Kycore, file: Path) -> None:
    store["k001"] = "old"
    done = store.import_data(file)
    assert done[:6] == (100, 99, 1, 0, 0, 0)
    change = store.get_history("k001")[0]
    assert (change.operation, change.command) == ("imported", f"import {file}")
    assert change.change == done.change
    assert store.undo() == 100
    assert dict(store.items()) == {"k001": "old"}
    assert store.import_data(file).overwritten == 1
    assert store.import_data(file)[:6] == (100, 0, 0, 100, 0, 0)
    store["after"] = 1
    assert store.get_history("after")[0].command == ""
    assert store.get_history("after")[0].change != done.change


def test_an_import_inside_a_transaction_is_part_of_it(store: Kycore, file: Path) -> None:
    with store.transaction():
        store["a"] = 1
        store.import_data(file)
        store["b"] = 1
    assert len({change.change for change in store.get_history()}) == 1
    assert {change.command for change in store.get_history()} == {"", f"import {file}"}
    assert store.undo() == 102


@pytest.mark.parametrize(
    ("policy", "value", "counts"),
    [
        ("overwrite", "2", (2, 1, 1, 0, 0, 0)),
        ("skip", "old", (2, 1, 0, 0, 1, 0)),
    ],
)
def test_conflicts(
    store: Kycore, tmp_path: Path, policy: str, value: str, counts: tuple[int, ...]
) -> None:
    store["b"] = "old"
    (tmp_path / "a.csv").write_text("key,value\na,1\nb,2\n")
    assert store.import_data(tmp_path / "a.csv", on_conflict=policy)[:6] == counts
    assert store["b"] == value


def test_a_conflict_can_be_an_error(store: Kycore, tmp_path: Path) -> None:
    store["b"] = "old"
    (tmp_path / "a.csv").write_text("key,value\na,1\nb,2\n")
    with pytest.raises(ConflictError, match=r"a\.csv, line 3: the key 'b' exists already"):
        store.import_data(tmp_path / "a.csv", on_conflict="error")
    assert dict(store.items()) == {"b": "old"}
    with pytest.raises(InvalidValueError, match="unknown policy"):
        store.import_data(tmp_path / "a.csv", on_conflict="what")


def test_newer_rows_overwrite(store: Kycore, clock: Clock, tmp_path: Path) -> None:
    store["old"] = store["new"] = "here"
    rows = [
        {"key": "old", "value": 1, "updated_at": clock.now + 1},
        {"key": "new", "value": 1, "updated_at": clock.now - 1},
        {"key": "other", "value": 1},
    ]
    file = tmp_path / "a.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert store.import_data(file, on_conflict="newer")[:6] == (3, 1, 1, 0, 1, 0)
    assert dict(store.items()) == {"new": "here", "old": 1, "other": 1}
    (tmp_path / "b.csv").write_text("key,value\nold,2\n")
    os.utime(tmp_path / "b.csv", (1, 1))
    assert store.import_data(tmp_path / "b.csv", on_conflict="newer").skipped == 1
    os.utime(tmp_path / "b.csv", (4e9, 4e9))
    assert store.import_data(tmp_path / "b.csv", on_conflict="newer").overwritten == 1


def test_a_key_twice_in_a_file_keeps_its_last_value(store: Kycore, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("key,value\na,1\na,2\n")
    assert store.import_data(tmp_path / "a.csv")[:6] == (2, 1, 1, 0, 0, 0)
    assert store["a"] == "2"
    with pytest.raises(ConflictError, match="line 2"):
        store.import_data(tmp_path / "a.csv", on_conflict="error")
    del store["a"]
    with pytest.raises(ConflictError, match="line 3"):
        store.import_data(tmp_path / "a.csv", on_conflict="error")


def test_scopes_prefix_and_lifetimes(store: Kycore, clock: Clock, tmp_path: Path) -> None:
    store.create_cache("p.cache", 60)
    file = tmp_path / "a.csv"
    file.write_text("id,where,v\na,p.cache,1\nb,other,2\nc,,3\n")
    columns: dict[str, Any] = {"key_column": "id", "scope_column": "where", "value_column": "v"}
    store.import_data(file, scope="here", prefix="x:", **columns)
    assert store.scopes() == ["here", "other", "p.cache"]
    assert store.ttl("x:a", scope="p.cache") == 60
    assert store.getkey("x:b", scope="other") == "2"
    assert store.getkey("x:c", scope="here") == "3"
    file.write_text("key,value\na,1\n")
    store.import_data(file, ttl="5s")
    assert store.ttl("a") == 5
    with pytest.raises(InvalidTTLError):
        store.import_data(file, ttl=5, scope="p.plain")
    with pytest.raises(InvalidScopeError):
        store.import_data(file, scope="p/x")
    file.write_text(f"key,value,expires_at\na,1,{clock.now + 1000}\nb,1,{clock.now}\n")
    assert store.import_data(file, scope="new")[:6] == (2, 1, 0, 0, 1, 0)
    assert store.ttl("a", scope="new") == 1


def test_a_dry_run_changes_nothing(store: Kycore, file: Path, tmp_path: Path) -> None:
    store["k001"] = "old"
    rejects = tmp_path / "rejects.csv"
    assert store.import_data(file, dry_run=True)[:6] == (100, 99, 1, 0, 0, 0)
    assert dict(store.items()) == {"k001": "old"}
    assert len(store.get_history()) == 1
    with file.open("a") as out:
        out.write(",\n")
    assert store.import_data(file, dry_run=True, rejects=rejects).rejected == 1
    assert not rejects.exists()
    assert store.import_data(file, on_error="skip").rejected == 1
    assert len(store) == 100


BAD = {
    "csv": 'key,value\na,1\n,2\n"b"x,3\nc\nd,4\n',
    "tsv": 'key\tvalue\na\t1\n\t2\n"b"x\t3\nc\nd\t4\n',
    "jsonl": '["a","1"]\n["",2]\n{"key":\n["c"]\n["d","4"]\n',
    "json": '[["a","1"],\n["",2],\n{"key":5.5},\n["c"],\n["d","4"]]',
    "dotenv": "A=1\n=2\nB\nC='x'y\nD=4\n",
    "nul": "a\x001\x00\x002\x00\x00\x00" + "x" * 5000 + "\x003\x00d\x004\x00",
}
LINES = {"csv": [3, 4, 5], "tsv": [3, 4, 5], "jsonl": [2, 3, 4], "json": [2, 3, 4]}


@pytest.mark.parametrize("format", BAD)
def test_bad_rows_can_be_skipped_and_mended(store: Kycore, tmp_path: Path, format: str) -> None:
    file, rejects = tmp_path / f"data.{format}", tmp_path / "rejects"
    file.write_text(BAD[format])
    with pytest.raises(InputError):
        store.import_data(file, format=format)
    assert len(store) == 0
    done = store.import_data(file, format=format, on_error="skip", rejects=rejects)
    assert (done.read, done.created, done.rejected) == (5, 2, 3)
    assert {key.lower(): value for key, value in store.items()} == {"a": "1", "d": "4"}
    text = rejects.read_text()
    if format in ("csv", "tsv", "jsonl", "json"):
        for line in LINES[format]:
            assert str(line) in text
        assert "the key is empty" in text
    # As it is, it is rejected again, into the same file; mended, it is imported.
    again = store.import_data(rejects, format=format, rejects=rejects)
    assert (again.created, again.rejected) == (0, 3)
    if format == "csv":
        assert rejects.read_text().splitlines()[0] == "key,value,_line,_reason"
        mended = "key,value,_line,_reason\nx,2,3,the key is empty\nb,3,4,text\nc,5,5,only\n"
        rejects.write_text(mended)
        assert store.import_data(rejects, format="csv").created == 3
        assert store["x"] == "2"
    if format == "jsonl":
        first = json.loads(rejects.read_text().splitlines()[0])
        assert (first["_line"], first["value"]) == (1, 2)
        rejects.write_text(json.dumps({**first, "key": "x"}))
        assert store.import_data(rejects, format="jsonl").created == 1


def test_nothing_rejected_makes_no_file(store: Kycore, file: Path, tmp_path: Path) -> None:
    store.import_data(file, rejects=tmp_path / "rejects.csv")
    assert sorted(p.name for p in tmp_path.iterdir() if "db" not in p.name) == ["data.csv"]


def test_conflicts_are_rejected_like_bad_rows(store: Kycore, file: Path, tmp_path: Path) -> None:
    store["k005"] = "mine"
    rejects = tmp_path / "rejects.csv"
    done = store.import_data(file, on_conflict="error", rejects=rejects)
    assert (done.created, done.rejected, store["k005"]) == (99, 1, "mine")
    assert "k005,5,7,the key 'k005' exists already" in rejects.read_text()


def test_a_file_that_changes_while_it_is_read(store: Kycore, file: Path) -> None:
    def grow(*_: object) -> None:
        with file.open("a") as out:
            out.write("late,1\n")

    with pytest.raises(FormatError, match="was changed while it was read"):
        store.import_data(file, progress=grow)
    assert len(store) == 0


def test_progress(store: Kycore, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("key,value\n" + "".join(f"{n},x\n" for n in range(10_000)))
    seen: list[tuple[int, int, int | None]] = []
    store.import_data(file, progress=lambda *so_far: seen.append(so_far))
    size = file.stat().st_size
    assert [rows for rows, _, _ in seen] == [0, 4096, 8192, 10_000]
    assert seen[-1] == (10_000, size, size)


# Batches, and going on


class Stop(Exception):
    """Interrupts an import."""


def interrupted(store: Kycore, file: Path, rows: int, **options: Any) -> None:
    """Import in batches of ten and stop after some rows."""

    def stop(read: int, *_: object) -> None:
        if read >= rows:
            raise Stop

    with pytest.raises(Stop):
        store.import_data(file, batch=10, progress=stop, **options)


def test_an_interrupted_import_goes_on_where_it_stopped(store: Kycore, file: Path) -> None:
    interrupted(store, file, 30)
    assert len(store) == 20
    change = store.get_history()[0].change
    done = store.import_data(file, resume=True)
    assert done[:6] == (80, 80, 0, 0, 0, 0)
    assert [store[f"k{n:03}"] for n in range(100)] == [str(n) for n in range(100)]
    assert {c.change for c in store.get_history()} == {change}
    assert store.undo() == 100
    assert len(store) == 0
    # It is done, so that to resume it is to begin anew.
    assert store.import_data(file, resume=True, batch=10).created == 100


def test_what_imports_keep_is_shown_by_nothing(store: Kycore, clock: Clock, file: Path) -> None:
    interrupted(store, file, 30, scope="here")
    assert store.scopes() == ["here"]
    assert len(store.search_hits("k001 OR import OR data", all_scopes=True)) == 1
    store.optimize_index()
    assert len(store.search_hits("k001 OR import OR data", all_scopes=True)) == 1
    assert {d.scope for d in store.differences(clock.now / 1000 - 60, all_scopes=True)} == {"here"}
    assert store.check() == []
    assert store.undo(scope="here") == 20
    assert store.import_data(file, scope="here", resume=True, batch=9).created == 100


def test_batches_of_a_file_whose_path_is_not_utf8(store: Kycore, tmp_path: Path) -> None:
    directory = Path(os.fsdecode(os.fsencode(tmp_path) + b"/d\xff"))
    directory.mkdir()
    file, rejects = directory / "x.csv", directory / "rejects"
    file.write_text("key,value\n,x\n" + "".join(f"k{n:03},{n}\n" for n in range(100)))
    options: dict[str, Any] = {"on_error": "skip", "rejects": str(rejects)}
    interrupted(store, file, 30, **options)
    with pytest.raises(UsageError, match="wrote rejects to"):
        store.import_data(file, resume=True, on_error="skip")
    assert store.import_data(file, resume=True, **options).created > 0
    assert len(store) == 100
    assert len(rejects.read_text().splitlines()) == 2


def test_rejects_go_on_too(store: Kycore, file: Path, tmp_path: Path) -> None:
    lines = file.read_text().splitlines(keepends=True)
    for at in (5, 25, 45):
        lines.insert(at, "bad\n")
    file.write_text("".join(lines))
    rejects = tmp_path / "rejects.csv"
    interrupted(store, file, 35, rejects=rejects)
    store.import_data(file, resume=True, rejects=rejects)
    assert [line.split(",")[1] for line in rejects.read_text().splitlines()[1:]] == [
        "6",
        "26",
        "46",
    ]
    assert len(store) == 100


def test_a_changed_file_is_not_gone_on_with(store: Kycore, file: Path) -> None:
    interrupted(store, file, 30)
    status, text = file.stat(), file.read_text()
    file.write_text(text.replace("k001,1", "k001,9"))
    with pytest.raises(ConflictError, match="has changed since"):
        store.import_data(file, resume=True)
    os.utime(file, ns=(status.st_mtime_ns, status.st_mtime_ns))
    with pytest.raises(ConflictError, match="has changed since"):
        store.import_data(file, resume=True)
    file.write_text(text)
    os.utime(file, ns=(status.st_mtime_ns, status.st_mtime_ns))
    with pytest.raises(UsageError, match="other options"):
        store.import_data(file, resume=True, prefix="x")
    assert store.import_data(file, resume=True).created == 80


def test_a_batch_that_fails_leaves_those_before(store: Kycore, file: Path) -> None:
    file.write_text(file.read_text().replace("k025,25", "k025"))
    with pytest.raises(FormatError, match="line 27"):
        store.import_data(file, batch=10)
    assert len(store) == 20


def test_resuming_needs_a_file(store: Kycore, file: Path) -> None:
    with file.open("rb") as stream, pytest.raises(UsageError, match="can be resumed"):
        store.import_data(stream, format="csv", resume=True)
    with file.open("rb") as stream:
        assert store.import_data(stream, format="csv", batch=10).created == 100


PROGRAM = """
import sys
from kycli import Kycore
with Kycore(sys.argv[1]) as kv:
    kv.import_data(sys.argv[2], batch=int(sys.argv[3]) or None, resume=True)
"""


@pytest.mark.soak
@pytest.mark.parametrize("batch", [0, 500])
def test_a_hundred_killed_imports(tmp_path: Path, batch: int) -> None:
    """Each is killed at a random moment, until it ends with exactly the input."""
    chance = random.Random(batch)
    file = tmp_path / "a.csv"
    wanted = {str(n): str(n * n) for n in range(60_000)}
    file.write_text("key,value\n" + "".join(f"{key},{text}\n" for key, text in wanted.items()))
    kills = 0
    while kills < 100:
        path = tmp_path / f"{kills}.db"
        code, waiting = -1, 0.6
        while code != 0:
            process = subprocess.Popen([sys.executable, "-c", PROGRAM, path, file, str(batch)])
            time.sleep(chance.uniform(0.1, waiting))
            process.send_signal(signal.SIGKILL)
            code = process.wait()
            kills += code != 0
            waiting *= 1.1  # or a slow machine would never get to the end
        with Kycore(path) as store:
            assert dict(store.items()) == wanted
            assert sum(c.operation == "imported" for c in store.iter_history()) == len(wanted)


@pytest.mark.alone
@pytest.mark.parametrize("batch", [0, 500])
def test_a_killed_import(path: Path, tmp_path: Path, batch: int) -> None:
    file = tmp_path / "a.csv"
    count = 30_000
    file.write_text("key,value\n" + "".join(f"{n},{n * n}\n" for n in range(count)))
    kept = 0
    for attempt in range(40):
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, path, file, str(batch)])
        time.sleep(0.15 + attempt * 0.013)
        process.send_signal(signal.SIGKILL)
        code = process.wait()
        with Kycore(path) as store:
            found = len(store)
            assert found >= kept
            assert found in (0, count) if batch == 0 else found % 500 == 0
            kept = found
        if code == 0 or found == count:
            break
    else:
        subprocess.run([sys.executable, "-c", PROGRAM, path, file, str(batch)], check=True)
    with Kycore(path) as store:
        assert dict(store.items()) == {str(n): str(n * n) for n in range(count)}
        assert sum(c.operation == "imported" for c in store.iter_history()) == count
        assert store.scopes() == ["default"]
