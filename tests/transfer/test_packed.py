"""Tables that the engine splits itself, and lines that it writes itself."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from transfer.samples import Pieces

from kycli import Kycore
from kycli.core.storage import Packs, _use_native_statements
from kycli.errors import ConflictError, InvalidKeyError, InvalidValueError, KycliError
from kycli.transfer.importing import Import, ImportOptions
from kycli.transfer.reading import ReadOptions


def outcome(data: bytes, size: int, options: ReadOptions, *, packs: bool) -> Any:
    """Return what an import leaves, or its error; with or without packs."""
    with Kycore(":memory:") as kv:
        work = Import(kv, Pieces(data, size), ImportOptions("csv", options))  # type: ignore[arg-type]
        assert work._reader.takes_packs
        work._reader.takes_packs = packs
        try:
            done = work.run()
        except KycliError as error:
            return type(error), str(error), error.hint
        return done._replace(change=None), sorted(kv.items())


TEXT = st.text(st.sampled_from("ab,;\"'\r\n\0 é😀"), max_size=40)
DATA = st.one_of(
    TEXT.map(str.encode),
    st.binary(max_size=30),
    st.lists(st.lists(TEXT, min_size=2, max_size=2), max_size=20).map(
        lambda rows: "".join(
            ",".join(f'"{field.replace(chr(34), chr(34) * 2)}"' for field in row) + "\n"
            for row in rows
        ).encode()
    ),
)
OPTIONS = st.sampled_from(
    [
        ReadOptions(),
        ReadOptions(header=False),
        ReadOptions(delimiter=";", quote="'"),
        ReadOptions(quote=""),
        ReadOptions(key_column="value", value_column="key"),
        ReadOptions(key_column="key", value_column="key"),
    ]
)


@given(DATA, st.integers(1, 9), OPTIONS)
@example(b"a,1\r\n\r\nb,2\r\n", 3, ReadOptions())
@example(b'a,1\n"b""c","x\ny"\nd\n', 4, ReadOptions())
@example(b"a,1\nb,2\n\xc3", 100, ReadOptions())
@example(b"a,1\nb\xff,2\nc,3\n", 100, ReadOptions())
@example(b"a,1\n\xed\xa0\x80,2\nc,3\n", 100, ReadOptions())
@example(b'a,1\nb,"2', 100, ReadOptions())
@example(b"a,1\nb,2\rc,3\n", 100, ReadOptions())
@example(b"a,1\nb,2\n,3\n", 100, ReadOptions())
def test_a_table_is_read_as_the_csv_module_reads_it(
    data: bytes, size: int, options: ReadOptions
) -> None:
    head = (options.delimiter or ",").join(("key", "value")).encode() + b"\n"
    data = head + data if options.header else data
    packed = outcome(data, size, options, packs=True)
    assert packed == outcome(data, size, options, packs=False)


def table(count: int) -> bytes:
    """Return rows in no order, of which some keys occur again."""
    lines = [f'key {n * 7919 % count % 9000},"value, {n}"\n' for n in range(count)]
    return ("key,value\n" + "".join(lines)).encode()


def test_a_key_given_twice_keeps_its_last_value() -> None:
    data = table(20_000)
    expected = {row[0]: row[1] for row in csv.reader(data.decode().splitlines())}
    del expected["key"]
    with Kycore(":memory:") as kv:
        done = kv.import_data(io.BytesIO(data), format="csv")
        assert dict(kv.items()) == expected
        assert (done.created, done.overwritten) == (9000, 11_000)
        assert {c.operation for c in kv.get_history("key 7", limit=9)} == {"imported"}
        newest, before = kv.get_history("key 7", limit=2)
        assert newest.value == expected["key 7"] != before.value
        kv.undo()
        assert len(kv) == 0


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"a": "new", "b": "2", "C": "3"}),
        ({"on_conflict": "skip"}, {"a": "old", "b": "2", "C": "3"}),
        ({"scope": "folding"}, {"a": "new", "b": "2", "c": "3"}),
        ({"prefix": "x:"}, {"a": "old", "x:a": "new", "x:b": "2", "x:C": "3"}),
    ],
)
def test_packs_do_what_their_rows_would(
    native: bool, options: dict[str, Any], expected: dict[str, str]
) -> None:
    _use_native_statements(native)
    try:
        with Kycore(":memory:") as kv:
            kv.save("a", "old")
            kv.save("gone", 1)
            kv.delete("gone")
            if "scope" in options:
                kv._query(
                    "INSERT INTO sys_namespaces (scope, fold_keys, created_at) "
                    "VALUES ('folding', 1, 1)"
                )
            kv.import_data(io.BytesIO(b"key,value\na,new\nb,2\nC,3\n"), format="csv", **options)
            assert dict(kv.scan(scope=options.get("scope"))) == expected
    finally:
        _use_native_statements(True)


def test_packs_are_written_where_keys_were_deleted_and_values_are_large() -> None:
    rows = {f"key {n}": "x" * (600 if n % 50 == 0 else 3) for n in range(1000)}
    data = "key,value\n" + "".join(f"{key},{value}\n" for key, value in rows.items())
    with Kycore(":memory:") as kv:
        kv.save_many((key, 1) for key in list(rows)[:40])
        kv.delete("key 3")
        done = kv.import_data(io.BytesIO(data.encode()), format="csv", ttl=100)
        assert (done.created, done.overwritten) == (961, 39)
        assert dict(kv.items()) == rows
        deleted, new = kv.get_entry("key 3"), kv.get_entry("key 900")
        assert deleted is not None
        assert deleted.version == 2
        assert new is not None
        assert new.expires_at is not None


def test_an_error_is_that_of_the_first_row_in_the_file() -> None:
    lines = [f"{n},x" for n in range(5000, 0, -1)]
    lines[3000] = ",x"
    lines[4000] = "k" * 5000 + ",x"
    data = "\n".join(["key,value", *lines, ""]).encode()
    with Kycore(":memory:") as kv:
        with pytest.raises(InvalidKeyError, match=r"line 3002: the key is empty"):
            kv.import_data(io.BytesIO(data), format="csv")
        with pytest.raises(ConflictError, match=r"line 2: the key '5000' exists"):
            kv.save("5000", 1)
            kv.import_data(io.BytesIO(data), format="csv", on_conflict="error")


def test_a_record_longer_than_what_is_read_at_once() -> None:
    value = 'a "line"\n' * 1_500_000
    quoted = value.replace('"', '""')
    data = f'key,value\na,1\nb,"{quoted}"\nc,3\n'.encode()
    with Kycore(":memory:") as kv:
        kv.import_data(io.BytesIO(data), format="csv")
        assert dict(kv.items()) == {"a": "1", "b": value, "c": "3"}


def test_packs_refuse_columns_and_characters_that_cannot_be() -> None:
    stream = io.BufferedReader(Pieces(b"", 1))
    for arguments in ((-1, 0, 2), (0, 2, 2), (0, 1, 2, "é"), (0, 1, 2, ",", "''"), (0, 1, 2, "\n")):
        with pytest.raises(InvalidValueError):
            Packs(stream, *arguments)


# Lines

PLAIN = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from('",\r\n\t\\\x08\x0c\x1f')
)
PAIRS = st.dictionaries(PLAIN.filter(lambda key: key and "\0" not in key), PLAIN)


@pytest.mark.parametrize("native", [True, False])
@given(pairs=PAIRS)
def test_lines_are_what_csv_and_json_write(native: bool, pairs: dict[str, str]) -> None:
    _use_native_statements(native)
    try:
        with Kycore(":memory:") as kv:
            kv.save_many(pairs)
            jsonl, csv_text, tsv = (
                b"".join(lines for lines, _ in kv.scan_lines(format) if isinstance(lines, bytes))
                for format in ("jsonl", "csv", "tsv")
            )
    finally:
        _use_native_statements(True)
    ordered = sorted(pairs.items())
    assert jsonl.decode() == "".join(
        json.dumps({"key": key, "value": value}, ensure_ascii=False, separators=(",", ":")) + "\n"
        for key, value in ordered
    )
    for text, delimiter in ((csv_text, ","), (tsv, "\t")):
        read = csv.reader(io.StringIO(text.decode(), newline=""), delimiter=delimiter, strict=True)
        assert [tuple(fields) for fields in read] == ordered
    if not any("\r" in text for pair in ordered for text in pair):
        out = io.StringIO(newline="")
        csv.writer(out, lineterminator="\n").writerows(ordered)
        assert csv_text.decode() == out.getvalue()


def test_lines_come_in_blocks_of_whole_lines() -> None:
    with Kycore(":memory:") as kv:
        kv.save_many((f"{n:05}", "x" * (n % 2000)) for n in range(10_000))
        kv.save("other", "x", scope="other")
        blocks = list(kv.scan_lines("csv"))
        assert len(blocks) > 5
        assert all(isinstance(lines, bytes) and lines.count(b"\n") == n for lines, n in blocks)
        assert sum(int(count) for _, count in blocks) == 10_000
        assert sum(int(count) for _, count in kv.scan_lines("csv", "0001")) == 10
        assert list(kv.scan_lines("csv", scope="none")) == []


@pytest.mark.parametrize("native", [True, False])
def test_a_large_value_comes_by_itself(native: bool) -> None:
    large = 'a "line"\n' * 200_000
    _use_native_statements(native)
    try:
        with Kycore(":memory:") as kv:
            kv.save_many({"a": large, "b": "x", "c": large, "d": large, "e": "y"})
            found = list(kv.scan_lines("csv"))
            assert found == [("a", large), (b"b,x\n", 1), ("c", large), ("d", large), (b"e,y\n", 1)]
            for format in ("csv", "tsv", "jsonl"):
                out = io.BytesIO()
                assert kv.export_data(out, format) == 5
                out.seek(0)
                assert kv.import_data(out, format=format, scope=format).created == 5
                assert dict(kv.scan(scope=format)) == dict(kv.items())
    finally:
        _use_native_statements(True)


def test_lines_are_of_text_alone(tmp_path: Path) -> None:
    with Kycore(tmp_path / "kv.db") as kv:
        kv.save_many({"a": "x", "b": 1})
        with pytest.raises(InvalidValueError, match="is no text"):
            list(kv.scan_lines("csv"))
        with pytest.raises(InvalidValueError, match="unknown format 'xml'"):
            kv.scan_lines("xml")
        kv.save("b", "y", ttl=1)
        with pytest.raises(KycliError):
            kv.scan_lines("csv", scope="no scope!")
