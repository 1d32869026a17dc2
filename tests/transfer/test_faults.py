"""Pipes, failures, large values, times and what was deleted: what imports once did wrong there."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Clock

from kycli import Kycore
from kycli.errors import BusyError, ConflictError, FormatError, UsageError
from kycli.transfer.formats.large_fields import large_record
from kycli.transfer.importing import BusyWait, Import, ImportOptions


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "data.csv"
    file.write_text("key,value\n" + "".join(f"k{n:03},{n}\n" for n in range(100)))
    return file


# Pipes


def slowly(*pieces: bytes) -> Iterator[Any]:
    """A pipe and a function that writes the next piece; without one it is closed."""
    left = iter(pieces)
    reading, writing = os.pipe()
    out = os.fdopen(writing, "wb")

    def write() -> None:
        piece = next(left, None)
        if piece is None:
            out.close()
        else:
            out.write(piece)
            out.flush()

    yield os.fdopen(reading, "rb")
    while True:
        yield write


@pytest.mark.parametrize("batch", [None, 2])
def test_a_slow_pipe_holds_no_writer_up(path: Path, batch: int | None) -> None:
    steps = slowly(b"key,value\na,1\nb,2\n", b"c,3\nd", b",4\ne,5\n")
    stream = next(steps)
    with Kycore(path) as store, Kycore(path, busy_timeout_ms=0) as other:
        done: list[Any] = []
        thread = threading.Thread(
            target=lambda: done.append(store.import_data(stream, format="csv", batch=batch))
        )
        thread.start()
        for count in range(3):
            next(steps)()
            if batch and count == 0:
                while other.count(prefix="b") == 0:
                    thread.join(0.01)
            other.save("other", count)  # which fails at once if somebody has the lock
        next(steps)()
        thread.join(60)
        assert done[0].created == 5
        assert len(store.get_history("e")) == 1
    stream.close()


@pytest.mark.parametrize("format", ["csv", "jsonl", "dotenv", "nul"])
def test_a_bad_row_of_a_batch_of_a_pipe_has_its_line(
    store: Kycore, tmp_path: Path, format: str
) -> None:
    rows = {
        "csv": ("key,value\n", "k%d,1\n", ",%d\n"),
        "jsonl": ("\n", '["k%d","1"]\n', '["","%d"]\n'),
        "dotenv": ("#\n", "k%d=1\n", "k" * 5000 + "=%d\n"),
        "nul": ("x\0y\0", "k%d\0y\0", "\0%d\0"),
    }[format]
    data = rows[0] + "".join(rows[2 if n == 7 else 1] % n for n in range(2, 12))
    options: dict[str, Any] = {"format": format, "batch": 4}
    unit = "record" if format == "nul" else "line"

    def given() -> Any:
        steps = slowly(data.encode())
        stream = next(steps)
        next(steps)()
        next(steps)()
        return stream

    with given() as stream, pytest.raises(ValueError, match=f"{unit} 7: "):
        store.import_data(stream, **options)
    rejects = tmp_path / "rejects"
    with given() as stream:
        assert store.import_data(stream, rejects=rejects, **options).rejected == 1
    again = store.import_data(rejects, rejects=rejects, format=format)
    assert (again.created, again.rejected) == (0, 1)


def test_a_pipe_that_cannot_be_kept_says_where_it_was(
    store: Kycore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = """
import io, resource, sys, tempfile
from kycli import Kycore
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with Kycore(":memory:") as kv:
    kv.import_data(sys.stdin.buffer, format="csv")
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=b"key,value\na," + b"x" * 20_000_000, capture_output=True, check=False,
    )  # fmt: skip
    assert b"standard input: cannot keep it in" in done.stderr


# Times


@pytest.mark.parametrize(
    ("given", "is_newer"),
    [
        ("2001-01-01", False),
        ("2099-01-01T00:00:00Z", True),
        ("4000000000", True),
        ("4000000000000", True),
        ("1000000000", False),
        ("1000000000000", False),
        ("", None),
    ],
)
@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_newer_takes_the_time_of_the_row(
    store: Kycore, tmp_path: Path, format: str, given: str, is_newer: bool | None
) -> None:
    store["a"] = "old"
    text = f"key,value,at\na,new,{given}\n"
    if format == "jsonl":
        text = json.dumps({"key": "a", "value": "new", "at": given}) + "\n"
    options: dict[str, Any] = {"format": format, "on_conflict": "newer", "time_column": "at"}
    if is_newer is None:
        with pytest.raises(FormatError, match="the row has no time that could be newer"):
            store.import_data(io.BytesIO(text.encode()), **options)
        file = tmp_path / "a"
        file.write_text(text)
        os.utime(file, (4e9, 4e9))
        assert store.import_data(file, **options).overwritten == 1
    else:
        store.import_data(io.BytesIO(text.encode()), **options)
        assert store["a"] == ("new" if is_newer else "old")


def test_a_time_that_is_none_is_a_bad_row(store: Kycore) -> None:
    data = b"key,value,updated_at\na,1,yesterday\nb,2,2020-01-01\n"
    with pytest.raises(FormatError, match="line 2: 'yesterday' is not a time of change"):
        store.import_data(io.BytesIO(data), format="csv", on_conflict="newer")
    with pytest.raises(FormatError, match="there is no column 'at'"):
        store.import_data(io.BytesIO(data), format="csv", time_column="at")


@pytest.mark.parametrize("format", ["csv", "tsv", "json", "jsonl"])
@pytest.mark.parametrize("mixed", [False, True])
def test_a_key_that_never_expires_does_not_in_a_cache_either(
    store: Kycore, clock: Clock, format: str, mixed: bool
) -> None:
    store.create_cache("p.cache", 60)
    store.save("forever", "x", scope="p.cache")
    store.persist("forever", scope="p.cache")
    if mixed:
        store.save("cached", "x", scope="p.cache")
    out = io.BytesIO()
    store.export_data(out, format, scope="p.cache")
    for key in store.listkeys(scope="p.cache"):
        store.delete(key, scope="p.cache")
    store.import_data(io.BytesIO(out.getvalue()), format=format, scope="p.cache")
    assert store.ttl("forever", scope="p.cache") == math.inf
    assert store.exists("forever", scope="p.cache")
    if mixed:
        assert store.ttl("cached", scope="p.cache") == 60
    store.import_data(io.BytesIO(out.getvalue()), format=format, scope="p.cache", ttl=5)
    assert store.ttl("forever", scope="p.cache") == 5
    store.import_rows([("a", 1, "p.cache", math.inf), ("b", 1, "p.cache")])
    assert store.ttl("a", scope="p.cache") == math.inf
    assert store.ttl("b", scope="p.cache") == 60


# Dry runs


def test_a_dry_run_leaves_the_file_as_it_is(path: Path, file: Path) -> None:
    with Kycore(path) as store:
        store["k001"] = "old"
    before = path.read_bytes()
    for options in ({}, {"on_conflict": "error"}, {"scope": "new"}):
        with Kycore(path, command="another") as store:
            try:
                done = store.import_data(file, dry_run=True, **options)  # type: ignore[arg-type]
            except ConflictError:
                pass
            else:
                assert done.change is None

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with Kycore(path) as store, pytest.raises(KeyboardInterrupt):
        store.import_data(file, dry_run=True, progress=interrupt)
    assert path.read_bytes() == before
    with Kycore(path) as store:
        store.import_data(file, dry_run=True)
        store["after"] = 1
        assert store.get_history("after")[0].user
        assert store.import_data(file).change is not None


# Going on


class Stop(Exception):
    """Interrupts an import."""


def interrupted(store: Kycore, file: Path, rows: int, **options: Any) -> None:
    def stop(read: int, *_: object) -> None:
        if read >= rows:
            raise Stop

    with pytest.raises(Stop):
        store.import_data(file, batch=10, progress=stop, **options)


def resumed(store: Kycore, file: Path, **options: Any) -> Import:
    work = Import(store, file, ImportOptions(resume=True, **options))
    work.run()
    return work


def test_what_was_imported_is_gone(store: Kycore, file: Path) -> None:
    ways: list[Callable[[], object]] = [
        lambda: store.drop_scope("p"),
        lambda: store.rename_scope("p", "q"),
        lambda: store.delete_many(prefix="", scope="p"),
    ]
    for remove in ways:
        interrupted(store, file, 50, scope="p")
        remove()
        work = resumed(store, file, scope="p")
        assert (work.missing, work.resumed_at) == ("all", None)
        assert store.count(scope="p") == 100
        store.drop_scope("p")


def test_some_of_what_was_imported_is_gone(store: Kycore, file: Path) -> None:
    interrupted(store, file, 50)
    store.delete("k010")
    work = resumed(store, file)
    assert (work.missing, work.resumed_at) == ("some", 40)
    assert len(store) == 99


def test_an_import_goes_on_without_its_bad_rows(store: Kycore, file: Path, tmp_path: Path) -> None:
    lines = file.read_text().splitlines(keepends=True)
    lines.insert(35, "bad\n")
    file.write_text("".join(lines))
    with pytest.raises(FormatError, match="line 36"):
        store.import_data(file, batch=10)
    rejects = tmp_path / "rejects.csv"
    interrupted(store, file, 30, resume=True, rejects=str(rejects))
    with pytest.raises(UsageError, match=r"wrote rejects to .*rejects\.csv"):
        store.import_data(file, resume=True, on_error="skip")
    store.import_data(file, resume=True, rejects=str(rejects))
    assert len(store) == 100
    assert rejects.read_text().splitlines()[1].startswith("bad,36,")


def test_an_import_waits_for_others_who_write(path: Path, file: Path) -> None:
    with Kycore(path) as other, Kycore(path, busy_timeout_ms=1) as store:
        block = other.transaction()
        block.__enter__()
        waited: list[BusyError] = []

        def waiting(error: BusyError) -> None:
            waited.append(error)
            if len(waited) == 3:
                block.__exit__(None, None, None)

        work = Import(store, file, ImportOptions(), busy_wait=BusyWait(60, waiting))
        assert work.run().created == 100
        assert len(waited) == 3
        with other.transaction(), pytest.raises(BusyError):
            store.import_data(file)


# Large values


LONG = "x" * 200_000


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("quote", ['"', "'"])
def test_large_fields_are_split_like_small_ones(ending: str, quote: str) -> None:
    small = ["a", f"b{quote},\n{quote}{quote}", "", "c\r\nd", quote, "é"]
    out = io.StringIO()
    csv.writer(out, lineterminator=ending, quotechar=quote).writerow(small)
    lines = iter(io.StringIO(out.getvalue() + "next\n", newline="\n"))
    assert large_record(lines, ",", quote) == small
    assert next(lines) == "next\n"


@pytest.mark.parametrize("mode", ["pairs", "typed", "skip", "no header"])
def test_a_table_with_large_fields_among_small_ones(
    store: Kycore, tmp_path: Path, mode: str
) -> None:
    values = [LONG, "small", f'{LONG}"\n,' * 3, "", "a\nb", LONG + "\n" * 9000, "end"]
    rejects = tmp_path / "rejects"
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    typed = mode == "typed"
    if mode != "no header":
        writer.writerow(["key", "value", "type"][: 3 if typed else 2])
    for number, value in enumerate(values * 3):
        writer.writerow([f"k{number:02}", value, *[""] * typed])
    lines = out.getvalue().count("\n")
    text = out.getvalue() + f'bad,{LONG}"\nbad,"{LONG}"x\nlast,1{"," * typed}\n'
    options: dict[str, Any] = {"format": "csv", "header": mode != "no header"}
    if mode == "skip":
        options["rejects"] = rejects
        text = text.replace(f'bad,{LONG}"\n', f"{LONG}\n")
        assert store.import_data(io.BytesIO(text.encode()), **options).rejected == 2
        assert all(f",{line}," in rejects.read_text() for line in (lines + 1, lines + 2))
        assert store.pop("last") == "1"
    else:
        with pytest.raises(FormatError) as caught:
            store.import_data(io.BytesIO(text.encode()), **options)
        bad = lines + 1 if typed else lines + 2
        assert f"standard input, line {bad}: " in str(caught.value)
        store.import_data(io.BytesIO(out.getvalue().encode()), **options)
    assert list(store.values()) == values * 3


PROGRAM = """
import re, sys
from kycli import Kycore
with Kycore(sys.argv[1]) as kv:
    getattr(kv, sys.argv[2])(sys.argv[3], format=sys.argv[4])
# Unlike ru_maxrss, this is not what the process before exec had.
print(int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]) >> 10)
"""


LARGE_FORMATS = ("csv", "jsonl", "nul")


def soak(*values: Any) -> Any:
    return pytest.param(*values, marks=pytest.mark.soak)


@pytest.mark.parametrize(
    ("format", "count", "size", "most"),
    [
        *((name, 1, 20_000_000, 125) for name in LARGE_FORMATS),
        ("csv", 30, 2_000_000, 110),
        *(soak(name, 30, 2_000_000, 110) for name in LARGE_FORMATS[1:]),
        *(soak(name, 1, 100_000_000, 380) for name in LARGE_FORMATS),
        *(soak(name, 200, 1_000_000, 150) for name in LARGE_FORMATS),
    ],
)
def test_the_memory_that_large_values_take(
    path: Path, tmp_path: Path, format: str, count: int, size: int, most: int
) -> None:
    file, again = tmp_path / f"a.{format}", tmp_path / f"b.{format}"
    with file.open("w") as out:
        out.write("key,value\n" if format == "csv" else "")
        for number in range(count):
            value = f"{number:010}" * (size // 10)
            out.write({
                "csv": f"k{number:03},{value}\n",
                "jsonl": f'{{"key":"k{number:03}","value":"{value}"}}\n',
                "nul": f"k{number:03}\0{value}\0",
            }[format])  # fmt: skip
    for call, name in (("import_data", file), ("export_data", again)):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, path, call, name, format],
            capture_output=True, check=True,
        )  # fmt: skip
        assert int(done.stdout) < most
    if format == "csv" and size > 1 << 18:
        with again.open(newline="") as lines:
            assert sum(len(line) for line in lines) == file.stat().st_size + 2 * count
    else:
        assert again.read_bytes() == file.read_bytes()


@pytest.mark.parametrize("format", ["csv", "tsv", "json", "jsonl"])
@pytest.mark.parametrize("expires", [False, True])
def test_large_values_come_back_equal(
    store: Kycore, clock: Clock, format: str, expires: bool
) -> None:
    value = 'é"\\\n\t日\r\n' * 60_000
    store.save("a", value, ttl=60 if expires else None)
    store.save("b", "small")
    store.save("c", value + "x")
    if expires:
        store.save("d", 5)
    out = io.BytesIO()
    store.export_data(out, format, all_scopes=expires)
    before = [(e.key, e.value, e.expires_at) for e in store.entries()]
    store.undo()
    with Kycore(":memory:", clock=clock) as other:
        other.import_data(io.BytesIO(out.getvalue()), format=format)
        assert [(e.key, e.value, e.expires_at) for e in other.entries()] == before


# Broken inputs


def test_a_gzip_that_ends_too_early_says_what_a_batch_kept(store: Kycore, tmp_path: Path) -> None:
    file = tmp_path / "a.csv.gz"
    text = "key,value\n" + "".join(f"{n},{os.urandom(8).hex()}\n" for n in range(90_000))
    file.write_bytes(gzip.compress(text.encode())[:-9])
    work = Import(store, file, ImportOptions(batch=1000))
    with pytest.raises(FormatError, match="the gzip data ends too early") as caught:
        work.run()
    assert not work.could_skip(caught.value)
    assert work.committed == len(store) > 0
