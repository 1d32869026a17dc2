"""Files that are cut off, changed, or in the way: read if they can be, else one clear error."""

from __future__ import annotations

import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from legacy.old_release import KEY, OTHER_KEY
from legacy.reading import open_old, read_archive, read_history, read_rows

from kycli.core.layout import BYTES, DELETED, TEXT
from kycli.core.migration import legacy
from kycli.core.migration.legacy import values as legacy_values
from kycli.errors import (
    BusyError,
    CannotOpenError,
    CorruptError,
    KycliError,
    MasterKeyError,
    MissingLibraryError,
    NotADatabaseError,
)

FIXTURES = Path(__file__).parent / "fixtures"

Taking = Callable[[str], Path]


@pytest.fixture
def taken(tmp_path: Path) -> Taking:
    """Copies of fixtures in a directory of their own, which the test must leave as it is."""
    directory = tmp_path / "old"
    directory.mkdir()

    def take(name: str) -> Path:
        for file in FIXTURES.glob(f"{name}*"):
            if file.suffix != ".json":
                shutil.copy(file, directory)
        return directory / name

    return take


def everything(path: Path, key: Any = None) -> dict[str, Any]:
    """Read all there is, and check that reading changed nothing."""
    before = {file: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}
    try:
        with open_old(str(path), key) as old:
            old.check()
            return {
                "rows": list(read_rows(old)),
                "history": list(read_history(old)),
                "archive": list(read_archive(old)),
                "queue": list(old.queue()),
                "counts": old.counts(),
            }
    finally:
        after = {file: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}
        assert after == before


def changed(path: Path, *statements: str) -> Path:
    """Change a plain database with SQL, as another program might have."""
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
    return path


# Cut off or overwritten


@pytest.mark.parametrize("name", ["0.1.1-plain.db", "0.1.8-plain.db"])
@pytest.mark.parametrize("kept", [150, 4096, 4097, -4096, -1])
def test_a_truncated_database_is_one_clear_error(taken: Taking, name: str, kept: int) -> None:
    path = taken(name)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CorruptError) as caught:
        everything(path)
    assert str(path) in str(caught.value)


def test_a_database_with_a_damaged_page_is_one_clear_error(taken: Taking) -> None:
    path = taken("0.1.8-plain.db")
    data = bytearray(path.read_bytes())
    for page in range(2, len(data) // 4096):
        data[page * 4096 : page * 4096 + 200] = b"\xa5" * 200
    path.write_bytes(data)
    with pytest.raises(CorruptError):
        everything(path)


@pytest.mark.parametrize("name", ["0.2.0-plain.db", "0.4.0-queue.db"])
def test_a_blob_cut_off_anywhere_is_one_clear_error(taken: Taking, name: str) -> None:
    path = taken(name)
    whole = path.read_bytes()
    for kept in [*range(7, 60), *range(60, len(whole), 37), len(whole) - 1]:
        path.write_bytes(whole[:kept])
        with pytest.raises((CorruptError, MasterKeyError)) as caught:
            everything(path, KEY)
        assert str(path) in str(caught.value), kept


@pytest.mark.parametrize("name", ["0.2.0-plain.db", "0.4.0-encrypted.db"])
def test_a_blob_with_one_other_byte_is_one_clear_error(taken: Taking, name: str) -> None:
    path = taken(name)
    whole = path.read_bytes()
    for index in range(6, len(whole), 11):
        path.write_bytes(whole[:index] + bytes([whole[index] ^ 0x55]) + whole[index + 1 :])
        with pytest.raises((CorruptError, MasterKeyError)):
            everything(path, KEY)


def test_a_half_written_pickle_is_one_clear_error(taken: Taking) -> None:
    path = taken("0.0.1-plain.pkl")
    whole = path.read_bytes()
    for kept in range(12, len(whole)):
        path.write_bytes(whole[:kept])
        with pytest.raises(CorruptError, match="incomplete"):
            everything(path)


@pytest.mark.parametrize(
    "content", [b"", b"K", b"KYCLI", b"KYCLI\x02x", b"hello", b"\x80", b"SQLi"]
)
def test_what_no_release_wrote_is_not_taken_for_an_old_store(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert legacy.identify(str(path)) is None
    with pytest.raises(NotADatabaseError):
        open_old(str(path))


def test_other_sqlite_databases_are_not_taken_for_old_stores(tmp_path: Path) -> None:
    path = changed(tmp_path / "other.db", "CREATE TABLE notes (key TEXT PRIMARY KEY, value TEXT)")
    assert legacy.identify(str(path)) is None
    path = changed(tmp_path / "view.db", "CREATE VIEW kvstore AS SELECT 1 AS key, 2 AS value")
    assert legacy.identify(str(path)) is None


# Changed by others


@pytest.mark.parametrize(
    ("statement", "names"),
    [
        ("ALTER TABLE kvstore ADD COLUMN owner TEXT", "owner"),
        ("ALTER TABLE audit_log ADD COLUMN host TEXT", "host"),
        ("ALTER TABLE audit_log DROP COLUMN timestamp", "audit_log"),
        ("ALTER TABLE archive RENAME COLUMN value TO content", "content"),
    ],
)
def test_extra_or_missing_columns_are_named(taken: Taking, statement: str, names: str) -> None:
    path = changed(taken("0.1.8-plain.db"), statement)
    with pytest.raises(CorruptError, match=names):
        everything(path)


def test_keys_that_could_occur_twice_are_refused(taken: Taking) -> None:
    path = changed(
        taken("0.0.2-plain.db"),
        "ALTER TABLE kvstore RENAME TO before",
        "CREATE TABLE kvstore (key TEXT, value TEXT)",
        "INSERT INTO kvstore SELECT * FROM before",
        "INSERT INTO kvstore SELECT * FROM before",
    )
    with pytest.raises(CorruptError, match="twice"):
        everything(path)


def test_a_history_with_the_same_id_twice_keeps_its_order(taken: Taking) -> None:
    path = changed(
        taken("0.1.1-plain.db"),
        "DROP TABLE audit_log",
        "CREATE TABLE audit_log (id INTEGER, key TEXT, value TEXT, timestamp TEXT)",
        "INSERT INTO audit_log VALUES (1, 'name', 'a', '2026-01-02 03:04:05')",
        "INSERT INTO audit_log VALUES (1, 'name', 'b', '2026-01-02 03:04:05')",
    )
    read = everything(path)
    assert [change.value for change in read["history"]] == ["a", "b"]
    assert len(read["rows"]) == len({row.key for row in read["rows"]}) == 36


def test_a_value_that_is_not_utf8_comes_as_its_bytes(taken: Taking) -> None:
    path = changed(
        taken("0.1.8-plain.db"),
        "UPDATE kvstore SET value = CAST(x'63616fe9' AS TEXT) WHERE key = 'name'",
        "UPDATE audit_log SET value = CAST(x'ff' AS TEXT) WHERE key = 'name'",
    )
    read = everything(path)
    assert [r[1:3] for r in read["rows"] if r.key == "name"] == [(b"cao\xe9", BYTES)]
    assert [c[1:3] for c in read["history"] if c.key == "name"] == [(b"\xff", BYTES)]


@pytest.mark.parametrize("key", ["CAST(x'ff61' AS TEXT)", "NULL"])
def test_a_key_that_is_no_text_is_one_clear_error(taken: Taking, key: str) -> None:
    path = changed(taken("0.1.1-plain.db"), f"INSERT INTO kvstore (key, value) VALUES ({key}, 'x')")
    with pytest.raises(CorruptError, match="no text"):
        everything(path)


@pytest.mark.parametrize("time", ["'yesterday'", "1700000000", "'2026-01-02 03:04:05+02:00'", "''"])
def test_a_time_that_cannot_be_read_is_one_clear_error(taken: Taking, time: str) -> None:
    path = changed(
        taken("0.1.8-plain.db"), f"UPDATE kvstore SET expires_at = {time} WHERE key = 'name'"
    )
    with pytest.raises(CorruptError, match="time"):
        everything(path)


def test_a_crafted_schema_cannot_do_anything(taken: Taking, tmp_path: Path) -> None:
    path = changed(
        taken("0.0.2-plain.db"),
        "CREATE VIEW evil AS SELECT writefile('x', key) FROM kvstore",
        "CREATE TRIGGER evil2 AFTER INSERT ON kvstore BEGIN DELETE FROM kvstore; END",
    )
    assert len(everything(path)["rows"]) == 40


# Dumps that no release wrote


def blob(path: Path, *statements: str) -> Path:
    dump = "\n".join(["BEGIN TRANSACTION;", *statements, "COMMIT;"])
    path.write_bytes(b"KYCLI\x01" + zlib.compress(dump.encode("utf-8", "surrogateescape")))
    return path


@pytest.mark.parametrize(
    "statement",
    [
        "ATTACH DATABASE 'x' AS x;",
        "DROP TABLE kvstore;",
        "INSERT INTO other (key, value) VALUES ('a', 'b');",
        "INSERT INTO kvstore (key, value) VALUES ('a', 'b');",
        "INSERT INTO archive (key, value, deleted_at) VALUES (load_extension('x'), '', '');",
        "INSERT INTO archive (key, value, deleted_at) VALUES ('a', 'b', '2026-01-01') ;",
        "INSERT INTO sqlite_schema (type) VALUES ('x');",
        "INSERT INTO workspace_meta (key, value) VALUES ('a', 'b'), ('c', 'd');",
        "INSERT INTO workspace_meta (key, value) VALUES ('a', 'b', 'c');",
    ],
)
def test_only_what_a_release_writes_is_understood(tmp_path: Path, statement: str) -> None:
    (tmp_path / "old").mkdir()
    path = blob(tmp_path / "old" / "old.db", statement)
    with pytest.raises(CorruptError):
        everything(path)


def test_a_dump_that_is_not_utf8_is_one_clear_error(tmp_path: Path) -> None:
    path = blob(tmp_path / "old.db", "INSERT INTO workspace_meta VALUES ('\udcff');")
    with pytest.raises(CorruptError, match="UTF-8"):
        everything(path)


def quoted(text: str | None) -> str:
    return "NULL" if text is None else "'" + text.replace("'", "''") + "'"


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)


@settings(max_examples=60, deadline=None)
@given(
    pairs=st.dictionaries(texts, texts | st.just("');\nCOMMIT;"), max_size=8),
    long=st.integers(0, 700_000),
)
def test_whatever_a_dump_holds_comes_back(
    tmp_path_factory: pytest.TempPathFactory, pairs: dict[str, str], long: int
) -> None:
    pairs["long"] = "'é" * (long // 2)
    path = tmp_path_factory.mktemp("old") / "old.db"
    blob(
        path,
        *(
            "INSERT OR REPLACE INTO kvstore (key, value, expires_at) "
            f"VALUES ({quoted(k)}, {quoted(v)}, NULL);"
            for k, v in pairs.items()
        ),
        *(
            "INSERT INTO audit_log (key, value, timestamp) "
            f"VALUES ({quoted(k)}, {quoted(v or None)}, '2026-01-02 03:04:05.678');"
            for k, v in pairs.items()
        ),
    )
    decoder = legacy.Decoder(legacy.Variant("blob", "0.2", is_json=True, may_encrypt=True))
    expected = {key: decoder.value(value) for key, value in pairs.items()}
    read = everything(path)
    assert repr({r.key: (r.value, r.kind) for r in read["rows"]}) == repr(
        {key: expected[key] for key in sorted(expected)}
    )
    assert repr([(c.key, (c.value, c.kind)) for c in read["history"]]) == repr(
        list(expected.items())
    )


def test_a_deletion_whose_archive_row_was_compacted_away_stays_a_deletion(tmp_path: Path) -> None:
    history = "INSERT INTO audit_log (key, value, timestamp) VALUES "
    path = blob(
        tmp_path / "old.db",
        history + "('a', 'x', '2026-01-01 00:00:00.000');",
        history + "('a', NULL, '2026-01-02 00:00:00.000');",
        history + "('b', 'y', '2026-03-01 00:00:00.000');",
        history + "('b', NULL, '2026-03-01 00:00:01.900');",
        history + "('b', 'z', '2026-03-01 00:00:02.100');",
        history + "('b', NULL, '2026-03-01 00:00:02.500');",
        "INSERT INTO archive (key, value, deleted_at) VALUES ('c', 'c', '2026-02-20 00:00:00');",
        "INSERT INTO archive (key, value, deleted_at) VALUES ('b', 'z', '2026-03-01 00:00:02');",
    )
    moment = 1_775_000_000  # 2026-03-31, more than 15 days after all of it
    os.utime(path, (moment, moment))
    assert [(c.key, c.value) for c in everything(path)["history"]] == [
        ("a", "x"),
        ("a", None),
        ("b", "y"),
        ("b", ""),
        ("b", "z"),
        ("b", None),
    ]


@pytest.mark.parametrize(
    ("changes", "archive", "live", "told"),
    [
        # What agrees in the value is told from what agrees in the time alone.
        ("x 0.1 - 0.2 x 0.3 - 0.5", "x 0", None, "x '' x -"),
        ("1 0.1 - 0.7 10 0.76 - 0.77 1 0.78", "1 0", "1", "1 - 10 '' 1"),
        ("1 0.1 - 1.07 x 1.08 - 2.19 1 2.3", "1 1", "1", "1 - x '' 1"),
        # Those that follow each other take turns.
        ("- 0.1 - 0.2 - 0.3", "'' 0", "''", "'' - ''"),
        ("a 0.1 - 0.2 - 0.3 - 0.4", "a 0 '' 0", None, "a - '' -"),
        ("22 0.1 - 1.5 - 5.2 - 5.3", "'' 5", "''", "22 '' - ''"),
        # Gone back in time to the 1, which was then deleted.
        ("1 0.1 2 0.2 - 3.5", "1 3", None, "1 2 -"),
        # On both sides of a second.
        ("1 0.1 - 3.01", "1 2", None, "1 -"),
    ],
)
def test_nulls_of_the_history_are_told_apart_by_the_archive(
    tmp_path: Path, changes: str, archive: str, live: str | None, told: str
) -> None:
    def pairs(text: str) -> list[tuple[str, str]]:
        words = text.split()
        return list(zip(words[::2], words[1::2], strict=True))

    def literal(word: str) -> str:
        return {"-": "NULL", "''": "''"}.get(word, f"'{word}'")

    statements = [
        "INSERT INTO audit_log (key, value, timestamp) "
        f"VALUES ('k', {literal(value)}, '2026-01-01 00:00:0{time:<05}');"
        for value, time in pairs(changes)
    ]
    statements += [
        "INSERT INTO archive (key, value, deleted_at) "
        f"VALUES ('k', {literal(value)}, '2026-01-01 00:00:0{time}');"
        for value, time in pairs(archive)
    ]
    if live is not None:
        statements.append(
            "INSERT OR REPLACE INTO kvstore (key, value, expires_at) "
            f"VALUES ('k', {literal(live)}, NULL);"
        )
    path = blob(tmp_path / "old.db", *statements)
    os.utime(path, (1_767_226_000, 1_767_226_000))  # some minutes later
    marks = [
        "-" if change.operation == DELETED else str(change.value) or "''"
        for change in everything(path)["history"]
    ]
    assert marks == told.split()


# Pickles that are programs


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch evil",)


@pytest.mark.parametrize(
    "content",
    [
        {"a": _Evil()},
        {"a": 1},
        {"a": ["b"]},
        {"a": {"b": "c"}},
        {b"a": "b"},
        {("a",): "b"},
        {"a": b"b"},
        {None: "b"},
        {"a": {1, 2}},
        {"a": _Evil},
    ],
)
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_nothing_but_a_dict_of_texts_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any, protocol: int
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "kydata.pkl"
    path.write_bytes(pickle.dumps(content, protocol))
    with pytest.raises(CorruptError, match="something else"):
        everything(path)
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("size", [0, 1, 2, 999, 1000, 1001, 2500])
def test_pickles_of_every_size_and_protocol_are_read(
    tmp_path: Path, protocol: int, size: int
) -> None:
    shared = "the same text many times"
    content = {f"key {i}": shared if i % 3 else f"ž{i}" * (i % 300) for i in range(size)}
    path = tmp_path / "kydata.pkl"
    path.write_bytes(pickle.dumps(content, protocol))
    assert {row.key: row.value for row in everything(path)["rows"]} == content


# Keys


def test_a_wrong_key_is_an_error_before_anything(taken: Taking) -> None:
    for name in ("0.1.8-encrypted.db", "0.4.0-encrypted.db"):
        path = taken(name)
        with pytest.raises(MasterKeyError):
            open_old(str(path), "wrong")
        with pytest.raises(MasterKeyError):
            open_old(str(path), ["wrong", "wrong again"])
        with open_old(str(path), ["wrong", KEY]) as old:
            assert {row.key: row.value for row in read_rows(old)}["secret"] == "s3cret: ключ"


def test_without_a_key_values_stay_what_they_are(taken: Taking) -> None:
    path = taken("0.1.8-encrypted.db")
    no_keys: list[Any] = [None, "", []]
    for no_key in no_keys:
        read = everything(path, no_key)
        sealed = {row.key: row.value for row in read["rows"] if row.kind is None}
        assert len(sealed) == 9
        assert all(legacy.is_ciphertext(value) for value in sealed.values())
        assert read["counts"].sealed == sum(
            c.kind is None and c.operation != DELETED for c in read["history"]
        ) + len(sealed) + len(read["archive"])


def test_a_key_is_not_needed_where_nothing_is_encrypted(taken: Taking) -> None:
    for name in ("0.0.1-plain.pkl", "0.1.1-plain.db", "0.1.8-plain.db", "0.3.0-plain.db"):
        assert everything(taken(name), "any key")["counts"].keys > 30


def test_a_missing_library_is_said(taken: Taking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers", None)
    monkeypatch.setattr(legacy_values, "_loaded", None)
    for name in ("0.1.8-encrypted.db", "0.2.0-encrypted.db"):
        with pytest.raises(MissingLibraryError) as caught:
            open_old(str(taken(name)), KEY)
        # The package of the name kycli on PyPI is the earlier program.
        assert "pip install cryptography" in str(caught.value.hint)
        assert "install 'kycli" not in str(caught.value.hint)
    # Nothing else needs it.
    assert everything(taken("0.1.8-encrypted.db"))["counts"].sealed == 20
    assert everything(taken("0.4.0-plain.db"), KEY)["counts"].sealed == 0


@pytest.mark.parametrize("text", ["enc:", "enc:hello", "enc:aGVsbG8=", "enc:" + "A" * 36])
def test_text_that_only_looks_encrypted_is_text(taken: Taking, text: str) -> None:
    path = changed(taken("0.1.8-plain.db"), f"UPDATE kvstore SET value = '{text}'")
    rows = everything(path, OTHER_KEY)["rows"]
    assert {(row.value, row.kind) for row in rows} == {(text, TEXT)}


# In the way


def test_a_link_is_followed_with_the_wal_of_what_it_leads_to(taken: Taking, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(taken("0.1.7-wal.db"))
    assert {r.key: r.value for r in everything(link)["rows"]} == {"name": "Alice", "counter": 2}
    link.unlink()
    link.symlink_to(tmp_path / "nowhere")
    with pytest.raises(CannotOpenError):
        legacy.identify(str(link))


@pytest.mark.parametrize("name", ["a b.db", "a?mode=ro#x%20.db", "žluťoučký 🐍.db", "file:x.db"])
def test_names_that_mean_something_elsewhere_are_just_names(
    taken: Taking, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = taken("0.1.2-wal.db")
    target = tmp_path / "named" / name
    target.parent.mkdir()
    for ending in ("", "-wal"):
        shutil.move(f"{path}{ending}", f"{target}{ending}")
    assert [row.key for row in everything(target)["rows"]] == ["counter", "name"]
    monkeypatch.chdir(target.parent)
    with open_old(name) as old:
        assert old.counts().keys == 2


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    assert legacy.identify(str(tmp_path)) is None
    os.mkfifo(tmp_path / "fifo")
    assert legacy.identify(str(tmp_path / "fifo")) is None
    for path in (tmp_path / "none", tmp_path / "file" / "x", "a\0b", "\udcff"):
        with pytest.raises(CannotOpenError):
            legacy.identify(str(path))


def test_the_journal_of_a_crash_is_played_back_into_a_copy(taken: Taking) -> None:
    path = taken("0.1.1-plain.db")
    whole = everything(path)
    # Killed in the middle of a commit, when pages are in the database already.
    program = (
        "import os, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('PRAGMA cache_size = 1'); c.execute('PRAGMA cache_spill = 1')\n"
        "c.execute('BEGIN')\n"
        'c.execute("UPDATE kvstore SET value = hex(zeroblob(3000))")\n'
        "c.execute('DELETE FROM audit_log')\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)
    assert path.with_name(path.name + "-journal").stat().st_size > 512
    assert everything(path) == whole


def test_a_database_that_another_program_writes_to_is_not_mixed_up(taken: Taking) -> None:
    path = taken("0.1.8-plain.db")
    with open_old(str(path)) as old:
        rows = read_rows(old)
        next(rows)
        changed(path, "UPDATE kvstore SET value = 'other'")
        with pytest.raises(BusyError, match="another program"):
            list(rows)


def test_a_database_that_is_locked_is_one_clear_error(taken: Taking) -> None:
    path = taken("0.1.1-plain.db")
    program = (
        "import sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('BEGIN EXCLUSIVE')\n"
        "print('locked', flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"locked\n"
        with pytest.raises(BusyError):
            open_old(str(path))


def test_a_store_can_be_closed_in_the_middle_and_again(taken: Taking) -> None:
    old = open_old(str(taken("0.1.8-plain.db")))
    rows = read_rows(old)
    next(rows)
    old.close()
    old.close()
    with pytest.raises(KycliError):
        list(read_rows(old))
