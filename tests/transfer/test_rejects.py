"""Rejected records: what is written of them is rejected again as it is, and imports when mended."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from kycli import Kycore
from kycli.errors import FormatError, InputError


def rejects_of(data: str | bytes, path: Path, **options: Any) -> tuple[bytes, dict[str, Any]]:
    """Import, and import the rejects as they are; return these, and what was imported."""
    given = data if isinstance(data, bytes) else data.encode()
    with Kycore(":memory:") as store:
        count = store.import_data(io.BytesIO(given), rejects=path, **options).rejected
        kept = dict(store.items())
        written = path.read_bytes()
        again = store.import_data(io.BytesIO(written), rejects=path, **options)
        assert (again.created, again.overwritten, again.rejected) == (0, 0, count)
        assert path.read_bytes().count(b"_reason") == written.count(b"_reason")
        return written, kept


def imported(data: bytes, **options: Any) -> dict[str, Any]:
    with Kycore(":memory:") as store:
        store.import_data(io.BytesIO(data), **options)
        return dict(store.items())


def test_without_a_header_every_record_has_as_many_fields_as_the_first(tmp_path: Path) -> None:
    text = "a,1\nb,2,3\n\nc\nd,4\n"
    options: dict[str, Any] = {"format": "csv", "header": False}
    with Kycore(":memory:") as store:
        with pytest.raises(FormatError) as caught:
            store.import_data(io.BytesIO(text.encode()), **options)
        assert "line 2: 3 fields, and the first record has 2" in str(caught.value)
    written, kept = rejects_of(text, tmp_path / "r", **options)
    assert kept == {"a": "1", "d": "4"}
    assert written.decode().splitlines() == [
        "1,2,_line,_reason",
        'b,2,3,2,"3 fields, and the first record has 2"',
        'c,4,"1 field, and the first record has 2"',
    ]
    mended = written.replace(b"b,2,3,2", b"b,2,2").replace(b"c,4", b"c,,4")
    assert imported(mended, **options) == {"b": "2", "c": ""}


def test_a_first_record_that_is_broken_hides_no_column(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "format": "csv", "header": False, "key_column": "3", "value_column": "1",
    }  # fmt: skip
    written, kept = rejects_of('"x"y,2,b\n1,2,a\n', tmp_path / "r", **options)
    assert kept == {"a": "1"}
    assert written.startswith(b"1,2,3,_line,_reason\n")


@pytest.mark.parametrize("header", [True, False])
def test_a_file_without_quotes_has_rejects_without_quotes(tmp_path: Path, header: bool) -> None:
    options: dict[str, Any] = {
        "format": "csv", "quote": "", "delimiter": ";", "header": header, "columns": ("2", "3"),
        "key_column": "1",
    }  # fmt: skip
    lines = [b'a;"x;y', b';"z";3', b'e;"\xff;1', b"f;1\r2;3", b'd;"""";1']
    if header:
        lines.insert(0, b"1;2;3")
    else:
        lines.insert(0, b"z;2;3")
    written, kept = rejects_of(b"\n".join(lines) + b"\n", tmp_path / "r", **options)
    rest = {} if header else {"z": {"2": "2", "3": "3"}}
    assert kept == {"a": {"2": '"x', "3": "y"}, "d": {"2": '""""', "3": "1"}, **rest}
    found = written.decode().splitlines()
    assert found[0] == "1;2;3;_line;_reason"
    assert found[1] == ';"z";3;3;the key is empty'
    assert found[2].startswith('e;"\\xff;1;;4;the byte 0xff')
    assert found[3].startswith("f;1\\r2;3;;5;")
    mended = written.replace(b';"z"', b'k;"z"', 1).replace(b'"\\xff;1;;', b'"x;1;')
    mended = mended.replace(b"\\r2;3;;", b"2;3;")
    assert imported(mended, **options) == {
        "k": {"2": '"z"', "3": "3"},
        "e": {"2": '"x', "3": "1"},
        "f": {"2": "12", "3": "3"},
    }


WIDE = ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be", "cp1252", "cp037"]


@pytest.mark.parametrize("encoding", WIDE)
@pytest.mark.parametrize("format", ["csv", "jsonl", "json", "dotenv"])
def test_rejects_are_in_the_encoding_of_the_input(
    tmp_path: Path, format: str, encoding: str
) -> None:
    text = {
        "csv": "key,value\na,é\n,1\nb,2,3\nd,4\n",
        "jsonl": '["a","é"]\n["","1"]\n["d"]\n',
        "json": '[["a","é"],\n["","1"],\n["d"]]',
        "dotenv": "a=é\nb\nd='\n'x\n",
    }[format]
    options: dict[str, Any] = {"format": format, "encoding": encoding}
    written, kept = rejects_of(text.encode(encoding), tmp_path / "r", **options)
    assert kept["a"] == "é"
    assert "\ufeff" not in written.decode(encoding)
    if format == "csv":
        mended = written.decode(encoding).replace("\n,1", "\né,1").replace("b,2,3", "b,2")
        assert imported(mended.encode(encoding), **options) == {"é": "1", "b": "2"}


@pytest.mark.parametrize(
    ("encoding", "bad"),
    [
        ("utf-8", b"\xff"),
        ("utf-16", b"\x00\xd8"),
        ("utf-16-be", b"\xd8\x00"),
        ("utf-32-le", b"\xff\xff\xff\xff"),
        ("cp1252", b"\x81"),
    ],
)
@pytest.mark.parametrize("format", ["csv", "jsonl", "dotenv"])
def test_every_line_of_bytes_that_are_no_text_is_named(
    store: Kycore, tmp_path: Path, format: str, encoding: str, bad: bytes
) -> None:
    row = {"csv": "k%d,", "jsonl": '["k%d","', "dotenv": "k%d="}[format]
    end = {"csv": "\n", "jsonl": '"]\n', "dotenv": "\n"}[format]
    data = "key,value\n".encode(encoding) if format == "csv" else "\n".encode(encoding)
    plain = {"utf-16": "utf-16-le"}.get(encoding, encoding)
    if plain != encoding:
        data = data if data[:2] == b"\xff\xfe" else b"\xff\xfe" + data
    for number in range(2, 9):
        middle = bad if number in (3, 4, 7) else "ਊĀ".encode(plain) if "utf" in plain else b"x"
        data += (row % number).encode(plain) + middle + end.encode(plain)
    options: dict[str, Any] = {"format": format, "encoding": encoding}
    with pytest.raises(FormatError, match=r"line 3: the byte 0x.. is not"):
        store.import_data(io.BytesIO(data), **options)
    rejects = tmp_path / "rejects"
    done = store.import_data(io.BytesIO(data), rejects=rejects, **options)
    assert (done.created, done.rejected) == (4, 3)
    assert list(store) == ["k2", "k5", "k6", "k8"]
    text = rejects.read_bytes().decode(encoding)
    for number in (3, 4, 7):
        assert f"k{number}" in text
    if format == "csv":
        assert [line.split(",")[-2] for line in text.splitlines() if "the byte" in line] == [
            "3", "4", "7",
        ]  # fmt: skip


@pytest.mark.parametrize("format", ["json", "jsonl"])
def test_json_that_is_no_value_is_rejected_and_no_more(tmp_path: Path, format: str) -> None:
    items = [
        '["a",1]',
        '["b",{"$base64":"!"}]',
        '{"key":"c","value":NaN}',
        '["d",{"x":1,"x":2}]',
        '{"key":"e","value":1e999}',
        '["\\ud800",1]',
        '{"key":"f","value":{"$float":3}}',
        f'["i",{"9" * 5000}]',
        '["g","\\ud800"]',
        '["h",2.0]',
    ]
    text = "\n".join(items) if format == "jsonl" else "[" + ",\n".join(items) + "]"
    written, kept = rejects_of(text, tmp_path / "r", format=format)
    assert kept == {"a": 1, "h": 2.0}
    found = [json.loads(line.strip(",")) for line in written.decode().splitlines() if "{" in line]
    assert [record["_line"] for record in found] == list(range(2, 10))
    assert found[0]["value"] == {"$base64": "!"}
    with Kycore(":memory:") as store, pytest.raises(InputError) as caught:
        store.import_data(io.BytesIO(text.encode()), format=format)
    assert str(caught.value) == "standard input, line 2: not valid base64"


def test_a_member_of_an_object_that_is_no_value(tmp_path: Path) -> None:
    text = '{"a": 1,\n"b": NaN,\n"c": {"$base64": 5},\n"d": 2}'
    written, kept = rejects_of(text, tmp_path / "r", format="json")
    assert kept == {"a": 1, "d": 2}
    first, second = json.loads(written)
    assert (first["_text"], first["_line"]) == ('"b": NaN', 2)
    assert (second["key"], second["value"], second["_line"]) == ("c", {"$base64": 5}, 3)
    mended = [{**first, "key": "b", "value": 5}, {**second, "value": {"$base64": "eA=="}}]
    del mended[0]["_text"]
    assert imported(json.dumps(mended).encode(), format="json") == {"b": 5, "c": b"x"}


def test_an_element_that_cannot_be_used_wherever_the_text_is_cut(tmp_path: Path) -> None:
    text = '[["a",[NaN,' + " " * 300_000 + '1]],\n["b",1]]'
    written, kept = rejects_of(text, tmp_path / "r", format="json")
    assert kept == {"b": 1}
    assert json.loads(written)[0]["_text"].startswith('["a",[NaN,  ')
