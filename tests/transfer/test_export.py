"""Exports: what is exported comes back as it was."""

from __future__ import annotations

import io
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import Clock
from hypothesis import given
from hypothesis import strategies as st
from transfer.samples import TYPES

from kycli import Kycore
from kycli.errors import InvalidValueError, MisuseError, UsageError

VALUES: dict[str, Any] = {
    **TYPES,
    "lines": 'a\r\nb\n"c",\td\0',
    'k,"\n\t': "key",
    "like a number": "007",
    "like a tag": '{"$base64": "eA=="}',
}
TYPED = ("csv", "tsv", "json", "jsonl")


def contents(store: Kycore) -> list[Any]:
    return [
        (scope, e.key, type(e.value), repr(e.value), e.expires_at)
        for scope in store.scopes()
        for e in store.entries(scope=scope)
    ]


@pytest.mark.parametrize("format", TYPED)
@pytest.mark.parametrize("ending", ["", ".gz", ".xz", ".zst"])
def test_what_was_exported_comes_back_equal(
    store: Kycore, clock: Clock, tmp_path: Path, format: str, ending: str
) -> None:
    store.save_many(VALUES)
    store.save("expires", 1, ttl=60)
    store.create_cache("p.cache", 60)
    store.save("cached", "x", scope="p.cache")
    store.save("plain", "x", scope="p")
    file = tmp_path / f"all.{format}{ending}"
    assert store.export_data(file, format, all_scopes=True) == len(VALUES) + 3
    clock.advance(1)
    with Kycore(tmp_path / "other.db", clock=clock) as other:
        other.create_cache("p.cache", 99)
        other.import_data(file)
        assert contents(other) == contents(store)


@pytest.mark.parametrize("format", [*TYPED, "nul", "dotenv"])
def test_text_comes_back_equal(store: Kycore, tmp_path: Path, format: str) -> None:
    store.save_many({"A": "x", "B": "a\nb'c\"$d\\n", "C": "", "D_1.x": "  ä # "})
    file = tmp_path / f"keys.{format}"
    assert store.export_data(file, format) == 4
    assert store.import_data(file, scope="copy", format=format).created == 4
    assert dict(store.scan(scope="copy")) == dict(store.items())


@given(st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1),
    st.text(st.characters(exclude_categories=["Cs"])) | st.binary() | st.integers() | st.none()
    | st.floats() | st.booleans(),
))  # fmt: skip
@pytest.mark.parametrize("format", TYPED)
def test_anything_comes_back_equal(format: str, pairs: dict[str, Any]) -> None:
    with Kycore(":memory:") as store:
        store.save_many(pairs)
        out = io.BytesIO()
        store.export_data(out, format)
        store.import_data(io.BytesIO(out.getvalue()), format=format, scope="copy")
        copied = [(k, type(v), repr(v)) for k, v in store.scan(scope="copy")]
        assert copied == [(k, type(v), repr(v)) for k, v in store.items()]


def exported(store: Kycore, format: str, **options: Any) -> str:
    out = io.BytesIO()
    store.export_data(out, format, **options)
    return out.getvalue().decode()


def test_what_it_looks_like(store: Kycore, clock: Clock) -> None:
    store.save_many({"a": "1", "b": "x y"})
    assert exported(store, "csv") == "key,value\na,1\nb,x y\n"
    assert exported(store, "tsv") == "key\tvalue\na\t1\nb\tx y\n"
    assert exported(store, "json") == '{\n"a":"1",\n"b":"x y"\n}\n'
    assert exported(store, "jsonl") == '{"key":"a","value":"1"}\n{"key":"b","value":"x y"}\n'
    assert exported(store, "nul") == "a\x001\0b\0x y\0"
    assert exported(store, "dotenv") == "a=1\nb='x y'\n"
    store.save("c", 5, ttl=1)
    at = clock.now + 1000
    assert exported(store, "csv", prefix="c") == f"key,value,type,expires_at\nc,5,int,{at}\n"
    assert exported(store, "csv", prefix="c", plain=True) == "key,value\nc,5\n"
    assert (
        exported(store, "json", prefix="c") == f'[\n{{"expires_at":{at},"key":"c","value":5}}\n]\n'
    )
    assert exported(store, "csv", scope=["default", "other"], prefix="a") == (
        "key,value,scope\na,1,default\n"
    )
    with Kycore(":memory:") as empty:
        assert exported(empty, "json") == "{\n}\n"
        assert exported(empty, "csv") == "key,value\n"


@pytest.mark.parametrize(
    ("format", "key", "value", "what"),
    [
        ("nul", "a", 5, "has a value of type int"),
        ("nul", "a", "x\0y", "has a value with a NUL"),
        ("nul", "a", b"text", "has a value of bytes"),
        ("dotenv", "a b", "x", "is no name of a variable"),
        ("dotenv", "a", None, "has a value of None"),
        ("dotenv", "a", b"\xff", "has a value of bytes"),
    ],
)
def test_what_a_format_cannot_say_is_refused(
    store: Kycore, tmp_path: Path, format: str, key: str, value: Any, what: str
) -> None:
    store.save(key, value)
    file = tmp_path / "keys"
    file.write_text("before")
    with pytest.raises(InvalidValueError, match=what):
        store.export_data(file, format)
    assert file.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir() if "db" not in p.name] == ["keys"]


def test_several_scopes_need_a_format_that_holds_them(store: Kycore, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        store.export_data(tmp_path / "x", "nul", all_scopes=True)
    with pytest.raises(UsageError):
        store.export_data(tmp_path / "x", "csv", all_scopes=True, plain=True)
    with pytest.raises(MisuseError):
        store.export_data(tmp_path / "x", all_scopes=True, scope="a")


def test_an_export_is_of_one_moment(path: Path, tmp_path: Path) -> None:
    with Kycore(path) as store, Kycore(path) as writer:
        store.save_many((f"k{n:05}", "before") for n in range(5000))

        def write(_: int) -> None:
            writer.save_many((f"k{n:05}", "after") for n in range(0, 5000, 7))
            writer["new"] = "after"

        store.export_data(tmp_path / "keys.csv", progress=write)
        assert "after" not in (tmp_path / "keys.csv").read_text()
        assert writer["new"] == "after"


def test_permissions_and_links_stay(store: Kycore, tmp_path: Path) -> None:
    store["a"] = "1"
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_text("")
    real.chmod(0o640)
    link.symlink_to(real)
    store.export_data(link)
    assert link.is_symlink()
    assert real.read_text() == "key,value\na,1\n"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    before = os.umask(0o027)
    try:
        store.export_data(tmp_path / "new.csv")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new.csv").stat().st_mode) == 0o640


def test_an_export_that_fails_leaves_what_was_there(store: Kycore, tmp_path: Path) -> None:
    store.save_many((f"k{n}", "x" * 100) for n in range(5000))
    file = tmp_path / "keys.csv"
    file.write_text("before")

    def fail(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.export_data(file, progress=fail)
    assert file.read_text() == "before"
    assert not list(tmp_path.glob(".*part"))
    with pytest.raises(FileNotFoundError, match="missing/keys"):
        store.export_data(tmp_path / "missing" / "keys.csv")


def test_an_export_into_a_pipe(store: Kycore, tmp_path: Path) -> None:
    store["a"] = "1"
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(["cat", fifo], stdout=subprocess.PIPE) as reader:
        store.export_data(fifo)
        assert reader.communicate()[0] == b"key,value\na,1\n"
    assert stat.S_ISFIFO(fifo.stat().st_mode)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk(store: Kycore) -> None:
    store["a"] = "1"
    with pytest.raises(OSError, match="/dev/full: No space left"):
        store.export_data("/dev/full")
