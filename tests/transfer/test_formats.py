"""Reading each format: what its records become, and how what is wrong is reported."""

from __future__ import annotations

import csv
import gzip
import io
import json
import lzma
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transfer.samples import Pieces

from kycli import Kycore
from kycli.errors import FormatError, InputError, UsageError
from kycli.transfer.formats.dotenv import _quote
from kycli.transfer.formats.json_text import Elements
from kycli.transfer.sources import load_zstd


def imported(text: str | bytes, format: str, **options: Any) -> dict[str, Any]:
    """Return the keys and values that a file becomes."""
    data = text.encode() if isinstance(text, str) else text
    with Kycore(":memory:") as kv:
        kv.import_data(io.BytesIO(data), format=format, **options)
        return dict(kv.items())


@pytest.mark.parametrize(
    ("text", "options", "found"),
    [
        ("key,value\na,1\nb,007\n", {}, {"a": "1", "b": "007"}),
        ("value,key\r\n1,a\r\n", {}, {"a": "1"}),
        ("key,name\na,Ada\n", {}, {"a": "Ada"}),
        ("\ufeffkey,value\na,1", {}, {"a": "1"}),
        ('key,value\na,"x,\n""y"""\n\nb,2\n', {}, {"a": 'x,\n"y"', "b": "2"}),
        ("key,value,type\na,1,int\nb,true,bool\nc,,null\n", {}, {"a": 1, "b": True, "c": None}),
        ("a,1\nb,2\n", {"header": False}, {"a": "1", "b": "2"}),
        ("x,a,1\n", {"header": False, "key_column": "2", "value_column": "3"}, {"a": "1"}),
        ("id,n,m\na,1,2\n", {"key_column": "id", "value_column": "m"}, {"a": "2"}),
        ("id,n,m\na,1,2\n", {"key_column": "id", "columns": "*"}, {"a": {"n": "1", "m": "2"}}),
        ("id,n,m\na,1,2\n", {"key_column": "id", "columns": ["m"]}, {"a": {"m": "2"}}),
        ("key;value\na;'x;y'\n", {"delimiter": ";", "quote": "'"}, {"a": "x;y"}),
        ('key,value\na,"x\n', {"quote": ""}, {"a": '"x'}),
        ("key,value\na,é\n".encode("latin-1"), {"encoding": "latin-1"}, {"a": "é"}),
        ("key,value\na,é\n".encode("utf-16"), {"encoding": "utf-16"}, {"a": "é"}),
        ("key,value\na,x\0y\n", {}, {"a": "x\0y"}),
        ("", {}, {}),
        ("key,value\n", {}, {}),
    ],
)
def test_csv(text: str | bytes, options: dict[str, Any], found: dict[str, Any]) -> None:
    assert imported(text, "csv", **options) == found


def test_tsv() -> None:
    assert imported('key\tvalue\na\t"x\ty"\n', "tsv") == {"a": "x\ty"}


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ('key,value\na,1\nb,"2\nc,3\n', {}, "line 3: a quoted field begins here and never ends"),
        ('key,value\na,"1"2\n', {}, "line 2: text behind the closing quote of a field"),
        ("key,value\na,1\nb\n", {}, "line 3: 1 field, and the header has 2"),
        ('key,value\na,"x\ny"\nb,1,2\n', {}, "line 4: 3 fields, and the header has 2"),
        ("a,1\n", {}, "line 1: no column is called 'key'"),
        ("key,a,b\nx,1,2\n", {}, "line 1: which columns are the value: 'a', 'b'?"),
        ("key,key\n", {}, "line 1: two columns are called 'key'"),
        ("key,value,type\na,x,int\n", {}, "line 2: 'x' is not of type 'int'"),
        ("key,value,type\na,x,fruit\n", {}, "line 2: unknown type 'fruit'"),
        (b"key,value\na,1\nb,\xe9\n", {}, "line 3: the byte 0xe9 is not UTF-8"),
        (b"key,value\ra,1\rb,2\r", {}, "line 1: a carriage return without a newline"),
        ("key,value\na,1\n,2\n", {}, "line 3: the key is empty"),
        ("key,value\na,1\n", {"key_column": "id"}, "line 1: there is no column 'id'"),
        ('key,value\na,"1\n2"\n\n,2\n', {}, "line 5: the key is empty"),
        ("key,value\n" + 'a,"1\n2"\n' * 600 + ",2\n", {}, "line 1202: the key is empty"),
        (
            "key,value\n" + 'a,"1\n2"\n' * 600 + "b\n",
            {},
            "line 1202: 1 field, and the header has 2",
        ),
        (
            "key,value\n" + 'a,"1\n2"\n' * 600 + 'b,"x\n',
            {},
            "line 1202: a quoted field begins here and never ends",
        ),
    ],
)
def test_csv_that_is_wrong(text: str | bytes, options: dict[str, Any], message: str) -> None:
    data = text.encode() if isinstance(text, str) else text
    with Kycore(":memory:") as kv:
        with pytest.raises(InputError) as caught:
            kv.import_data(io.BytesIO(data), format="csv", **options)
        assert str(caught.value) == f"standard input, {message}"
        assert len(kv) == 0


@pytest.mark.parametrize(
    ("text", "options", "found"),
    [
        ('{"key":"a","value":1}\n["b",[1]]\n\n', {}, {"a": 1, "b": [1]}),
        ('{"id":7,"n":1,"m":null}\n', {"key_column": "id", "columns": "*"},
         {"7": {"n": 1, "m": None}}),
        ('{"id":"a","n":1}\n', {"key_column": "id", "value_column": "n"}, {"a": 1}),
        ('{"key":"a","value":{"$base64":"/w=="}}', {}, {"a": b"\xff"}),
        ('{"key":"a","value":2.0,"version":3,"updated_at":5,"expires_at":null}', {}, {"a": 2.0}),
    ],
)  # fmt: skip
def test_jsonl(text: str, options: dict[str, Any], found: dict[str, Any]) -> None:
    got = imported(text, "jsonl", **options)
    assert got == found
    assert json.dumps(got, default=repr) == json.dumps(found, default=repr)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('["a",1]\n{"key":\n', "line 2: not JSON: Expecting value at column 8"),
        ('{"value":1}\n', "line 1: there is no member 'key'"),
        ('{"key":"a","value":1,"b":2}\n', "line 1: the member 'b' is neither key nor value"),
        ('["a",{"b":1,"b":2}]\n', "line 1: the member 'b' occurs twice in one object"),
        ('{"key":1.5,"value":1}\n', "line 1: the key is of type float, not text"),
        ("[1,2,3]\n", "line 1: a list of 3 items is no pair of key and value"),
        ('\n7\n', "line 2: neither an object nor a pair of key and value"),
        ('{"key":"a","value":NaN}\n', "line 1: NaN is not JSON"),
    ],
)  # fmt: skip
def test_jsonl_that_is_wrong(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        imported(text, "jsonl")
    assert str(caught.value) == f"standard input, {message}"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{}", {}),
        ("[]", {}),
        (' {"a": 1, "b": {"c": [true]}}\n', {"a": 1, "b": {"c": [True]}}),
        ('[["a",1],["b","x"]]', {"a": 1, "b": "x"}),
        ('[{"key":"a","value":{"$base64":"/w=="}}]', {"a": b"\xff"}),
        ('{"$base64": "/w=="}', {"$base64": "/w=="}),
        ('\ufeff{"a": "é"}', {"a": "é"}),
    ],
)
def test_json(text: str, found: dict[str, Any]) -> None:
    assert imported(text, "json") == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: not JSON: neither an object nor a list, but nothing"),
        ("5", "line 1: not JSON: neither an object nor a list, but '5'"),
        ('{\n"a": 1,\n"b": 2', "line 3: not JSON: expected ',' or '}', not the end of the file"),
        ('{\n"a": 1,\n"b": nope}', "line 3: not JSON: no value"),
        ('{\n"a": "x', "line 2: not JSON: Unterminated string starting at"),
        ("{\n'a': 1}", "line 2: not JSON: expected the name of a member in double quotes"),
        ('{"a" 1}', "line 1: not JSON: expected ':' behind the name of a member"),
        ('[["a",1],\n5]', "line 2: neither an object nor a pair of key and value"),
        ('{"a": 1}\n\n{}', "line 3: not JSON: text behind the end"),
    ],
)
def test_json_that_is_wrong(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        imported(text, "json")
    assert str(caught.value) == f"standard input, {message}"


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
)


@given(st.lists(_VALUES), st.integers(1, 9), st.booleans(), st.none() | st.integers(0, 3))
def test_elements_of_json_wherever_the_text_is_cut(
    items: list[Any], size: int, ascii: bool, indent: int | None
) -> None:
    text = json.dumps(items, ensure_ascii=ascii, indent=indent)
    try:
        data = text.encode()
    except UnicodeEncodeError:
        return  # half of a surrogate pair
    expected = json.loads(text)
    if any(_is_tagged(item) for item in expected):
        return
    assert list(Elements(Pieces(data, size), None)) == expected  # type: ignore[arg-type]


def _is_tagged(item: Any) -> bool:
    return '"$' in json.dumps(item)


def test_a_syntax_error_is_found_without_reading_all_of_the_file() -> None:
    stream = io.BytesIO(b'[{"key": "a", "value": nope}' + b" " * 50_000_000)
    with pytest.raises(FormatError):
        list(Elements(stream, None))
    assert stream.tell() < 1_000_000


def test_nul() -> None:
    assert imported(b"a\0x\ny\0b\0\0c\0\xff\0", "nul") == {"a": "x\ny", "b": "", "c": b"\xff"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a\0x\0b\0", "record 2: a key without a value, at the end of the file"),
        (b"a\0x\0b", "record 2: b'b' is not followed by a NUL, at the end of the file"),
        (b"\xff\0x\0", "record 1: the key is not UTF-8"),
    ],
)
def test_nul_that_is_wrong(data: bytes, message: str) -> None:
    with pytest.raises(FormatError) as caught:
        imported(data, "nul")
    assert str(caught.value) == f"standard input, {message}"


def test_dotenv() -> None:
    text = r"""
# a comment
A=plain
export B = with blanks   # and a comment
C='single $HOME \n # kept'
D="double \"quoted\" \$HOME \n\t\\ \x"
E=
F='several
lines'  # of one value
G=a#b
H="#"
"""
    assert imported(text, "dotenv") == {
        "A": "plain",
        "B": "with blanks",
        "C": r"single $HOME \n # kept",
        "D": 'double "quoted" $HOME \n\t\\ \\x',
        "E": "",
        "F": "several\nlines",
        "G": "a#b",
        "H": "#",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A=1\nnothing\n", "line 2: this is not NAME=value"),
        ("A=1\nB='x\ny\n", "line 2: the quote begins here and never ends"),
        ("A='x'y\n", "line 1: text behind the closing quote"),
    ],
)
def test_dotenv_that_is_wrong(text: str, message: str) -> None:
    with pytest.raises(FormatError) as caught:
        imported(text, "dotenv")
    assert str(caught.value) == f"standard input, {message}"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_dotenv_quotes_so_that_it_reads_the_same(text: str) -> None:
    if "\0" not in text:
        assert imported(f"A={_quote(text)}\n", "dotenv") == {"A": text}


def make_sqlite(path: Path, journal: str = "delete") -> None:
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA journal_mode = {journal}")
        db.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, age, photo)")
        db.execute("INSERT INTO people VALUES (1, 'Ada', 36, x'ff'), (2, 'Grace', 1.5, NULL)")
    db.close()


def test_sqlite(tmp_path: Path) -> None:
    file = tmp_path / "people.sqlite"
    make_sqlite(file)
    before = file.read_bytes()
    with Kycore(":memory:") as kv:
        kv.import_data(file, key_column="name", value_column="age")
        assert dict(kv.items()) == {"Ada": 36, "Grace": 1.5}
        kv.import_data(file, key_column="id", columns="*", scope="all", table="people")
        assert kv.getkey("1", scope="all") == {"name": "Ada", "age": 36, "photo": b"\xff"}
        with pytest.raises(FormatError, match="there is no table 'x'"):
            kv.import_data(file, table="x")
        with pytest.raises(FormatError, match="there is no column 'key'"):
            kv.import_data(file)
    assert file.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["people.sqlite"]


def test_sqlite_in_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    directory = tmp_path / "ro"
    directory.mkdir()
    make_sqlite(directory / "people.db", "wal")
    directory.chmod(0o500)
    try:
        with Kycore(":memory:") as kv:
            kv.import_data(directory / "people.db", key_column="name", value_column="age")
            assert len(kv) == 2
    finally:
        directory.chmod(0o700)


def test_sqlite_asks_which_table(tmp_path: Path) -> None:
    file = tmp_path / "people.db"
    make_sqlite(file)
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE places (key, value)")
    db.close()
    with Kycore(":memory:") as kv, pytest.raises(UsageError, match="which table"):
        kv.import_data(file)


def test_a_kycli_database_is_not_read_as_any_sqlite_file(tmp_path: Path) -> None:
    with Kycore(tmp_path / "other.db") as other:
        other["a"] = 1
    with Kycore(":memory:") as kv, pytest.raises(FormatError, match="this is a kycli database"):
        kv.import_data(tmp_path / "other.db")
    with Kycore(":memory:") as kv, pytest.raises(FormatError, match="this is a kycli database"):
        kv.import_data(tmp_path / "other.db", table="kvstore")


@pytest.mark.parametrize("source", ["people", "seen"])
def test_sqlite_text_that_is_none_costs_its_row(tmp_path: Path, source: str) -> None:
    file, rejects = tmp_path / "people.db", tmp_path / "rejects.jsonl"
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE people (key, value)")
        db.executemany(
            "INSERT INTO people VALUES (CAST(? AS TEXT), CAST(? AS TEXT))",
            [(b"a", b"1"), (b"b", b"\xe9"), (b"c", b"\xe8"), (b"\xff", b"4"), (b"e", "é".encode())],
        )
        db.execute("UPDATE people SET rowid = rowid * 10")
        db.execute("CREATE VIEW seen AS SELECT * FROM people")
    db.close()
    row = "rowid 20: " if source == "people" else ""
    with Kycore(":memory:") as kv:
        with pytest.raises(FormatError) as caught:
            kv.import_data(file, table=source)
        said = f"{row}the column 'value' holds text that is not UTF-8"
        assert str(caught.value) == f"{file}, row 2: {said}"
        done = kv.import_data(file, table=source, rejects=rejects)
        assert (done.created, done.rejected) == (2, 3)
        assert dict(kv.items()) == {"a": "1", "e": "é"}
        again = kv.import_data(rejects, rejects=rejects)
        assert (again.created, again.rejected) == (0, 3)
        kv.import_data(file, table=source, encoding="latin-1", scope="latin")
        assert dict(kv.scan(scope="latin")) == {
            "a": "1", "b": "é", "c": "è", "ÿ": "4", "e": "Ã©",
        }  # fmt: skip


def _zstd(data: bytes) -> bytes:
    zstd = load_zstd()
    compressed: bytes = zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1})
    return compressed


COMPRESSIONS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "gz": (gzip.compress, "gzip"),
    "xz": (lzma.compress, "xz"),
    "zst": (_zstd, "zstd"),
}
ROWS = "key,value\n" + "".join(f"k{n},{n * n}\n" for n in range(20_000))


@pytest.mark.parametrize("ending", COMPRESSIONS)
def test_compressed_files_are_read_whatever_their_name(tmp_path: Path, ending: str) -> None:
    file = tmp_path / "data.csv"
    file.write_bytes(COMPRESSIONS[ending][0](ROWS.encode()))
    with Kycore(":memory:") as kv:
        assert kv.import_data(file).created == 20_000


@pytest.mark.parametrize("ending", COMPRESSIONS)
def test_a_compressed_file_that_is_cut_off(tmp_path: Path, ending: str) -> None:
    compress, name = COMPRESSIONS[ending]
    file = tmp_path / f"data.csv.{ending}"
    file.write_bytes(compress(ROWS.encode())[:-9])
    with Kycore(":memory:") as kv:
        with pytest.raises(FormatError) as caught:
            kv.import_data(file)
        assert f"the {name} data ends too early" in str(caught.value)
        assert len(kv) == 0


@pytest.mark.parametrize("ending", COMPRESSIONS)
def test_a_compressed_file_with_something_behind_it(tmp_path: Path, ending: str) -> None:
    compress, name = COMPRESSIONS[ending]
    file = tmp_path / f"data.csv.{ending}"
    file.write_bytes(compress(ROWS.encode()) + compress(b"more,1\n") + b"\0" * 8)
    with Kycore(":memory:") as kv:
        assert kv.import_data(file).created == 20_001
    for rest in (b"junk", b"\0\0\0\0junk", b"x"):
        file.write_bytes(compress(ROWS.encode()) + rest)
        with Kycore(":memory:") as kv:
            with pytest.raises(FormatError, match=f"the {name} data "):
                kv.import_data(file)
            assert len(kv) == 0


@pytest.mark.parametrize("ending", COMPRESSIONS)
def test_a_compressed_file_that_is_damaged(tmp_path: Path, ending: str) -> None:
    compress, name = COMPRESSIONS[ending]
    data = bytearray(compress(ROWS.encode()))
    for at in range(200, 300):
        data[at] ^= 0xFF
    file = tmp_path / f"data.csv.{ending}"
    file.write_bytes(data)
    with Kycore(":memory:") as kv:
        with pytest.raises(FormatError) as caught:
            kv.import_data(file)
        assert f"the {name} data is damaged" in str(caught.value)
        assert len(kv) == 0


@pytest.mark.parametrize("size", [10_000_000, pytest.param(100_000_000, marks=pytest.mark.soak)])
def test_a_large_value(tmp_path: Path, size: int) -> None:
    text = "x" * (size - 1) + "\n"
    for name in ("big.csv", "big.jsonl", "big.json"):
        file = tmp_path / name
        with file.open("w", newline="") as out:
            if name == "big.csv":
                csv.writer(out).writerows([("key", "value"), ("a", text)])
            elif name == "big.json":
                json.dump({"a": text}, out)
            else:
                json.dump({"key": "a", "value": text}, out)
        with Kycore(":memory:") as kv:
            kv.import_data(file)
            assert kv["a"] == text


@pytest.mark.parametrize(
    ("name", "format"),
    [("a.csv", "csv"), ("a.CSV.gz", "csv"), ("a.ndjson.zst", "jsonl"), (".env", "dotenv"),
     (".env.local", "dotenv"), ("a.tab", "tsv")],
)  # fmt: skip
def test_the_name_says_the_format(name: str, format: str) -> None:
    from kycli.transfer.formats import of_file

    assert of_file(f"/dir/{name}").name == format


def test_an_unknown_format(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text("")
    with Kycore(":memory:") as kv:
        with pytest.raises(ValueError, match="does not say what format"):
            kv.import_data(tmp_path / "a.xyz")
        with pytest.raises(ValueError, match="unknown format 'xml'"):
            kv.import_data(tmp_path / "a.xyz", format="xml")
        with pytest.raises(ValueError, match="unknown format 'xml'"):
            kv.export_data(tmp_path / "b.xyz", "xml")
        with pytest.raises(FileNotFoundError):
            kv.import_data(tmp_path / "missing.csv")
        with pytest.raises(FormatError, match="imports alone"):
            kv.export_data(tmp_path / "b.db", "sqlite")
