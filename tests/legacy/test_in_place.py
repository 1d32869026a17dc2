"""Every plain database of every release, migrated in place: all of it has arrived."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import apsw
import pytest
from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from legacy.making import old_database
from legacy.old_release import KEY, OTHER_KEY
from legacy.reading import open_old, read_archive, read_history, read_rows

from kycli import Kycore
from kycli.core import layout
from kycli.core.codec import check_key, decode, encode
from kycli.core.migration import legacy
from kycli.core.migration import plain as migration_plain
from kycli.core.migration.formats import migrate
from kycli.core.migration.legacy import Decoder, Keyring
from kycli.core.migration.legacy.variant import of_plain
from kycli.core.migration.oldvalues import add_functions
from kycli.core.migration.plain import key_for
from kycli.core.values import Opaque
from kycli.errors import CorruptError, InvalidKeyError, KycliError, MigrationNeeded

FIXTURES = Path(__file__).parent / "fixtures"
NAMES = sorted(path.stem for path in FIXTURES.glob("0.*.db") if path.read_bytes()[:6] == b"SQLite")
ENCRYPTED = [name for name in NAMES if "encrypted" in name]


def copied(name: str, directory: Path) -> Path:
    directory.mkdir()
    for file in FIXTURES.glob(f"{name}.db*"):
        shutil.copy(file, directory)
    return directory / f"{name}.db"


def renamed(key: str) -> str:
    try:
        return check_key(key)
    except InvalidKeyError:
        return key_for(key)


def kept(value: Any, kind: int | None) -> tuple[int, Any]:
    """Return the kind and what our column holds of a value that a reader gave."""
    if kind is None:
        return layout.OPAQUE, value
    told, stored, _ = encode(value)
    assert told == kind
    return kind, None if stored != stored else stored  # NaN


def rows(path: Path, sql: str) -> list[Any]:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def is_part_of(some: list[Any], more: list[Any]) -> bool:
    """Whether all of a list is in another, in its order."""
    rest = iter(more)
    return all(item in rest for item in some)


def check_all(path: Path, old: legacy.OldStore, added: int) -> None:
    """Hold a migrated database to what the readers say of the one it was."""
    live = {
        key: ((kind, value), expires_at)
        for key, value, kind, expires_at in rows(
            path,
            f"SELECT k.key, {layout.VALUE}, k.kind, k.expires_at FROM kvstore k "
            "WHERE k.scope = 'default'",
        )
    }
    assert live == {
        renamed(key): (kept(value, kind), expires_at)
        for key, value, kind, expires_at, _ in read_rows(old)
    }
    log = defaultdict(list)
    for key, value, kind, op, time in rows(
        path,
        "SELECT key, value, kind, op, timestamp FROM audit_log WHERE scope = 'default' ORDER BY id",
    ):
        # NULL in the old history is a deletion, or the value None of a key that lives.
        gone = op in (layout.DELETED, layout.EXPIRED) or kind == layout.NONE
        log[key].append((None if gone else (kind, value), time))
    changes = defaultdict(list)
    for change in read_history(old):
        gone = change.operation == layout.DELETED or change.kind == layout.NONE
        value = None if gone else kept(change.value, change.kind)
        changes[renamed(change.key)].append((value, change.timestamp))
    for key, told in changes.items():
        assert is_part_of(told, log[key]), key
    assert sum(map(len, log.values())) == sum(map(len, changes.values())) + added
    archive = Counter(
        (key, kind, repr(value), op, time)
        for key, value, kind, op, time in rows(
            path, "SELECT key, value, kind, op, deleted_at FROM archive"
        )
    )
    removed_before = Counter(
        (renamed(key), *kept(value, kind)[:1], repr(kept(value, kind)[1]), op, time)
        for key, value, kind, op, time in read_archive(old)
    )
    assert removed_before <= archive


@pytest.mark.parametrize("name", NAMES)
def test_all_of_every_release_has_arrived(name: str, tmp_path: Path) -> None:
    path = copied(name, tmp_path / "new")
    done = migrate(str(path))
    assert done is not None
    assert done.moved is not None
    with open_old(str(copied(name, tmp_path / "old"))) as old:
        check_all(path, old, done.moved.added)
    with Kycore(path) as kv:
        for entry in kv.entries(include_expired=True):
            assert kv.getkey(entry.key, include_expired=True) == entry.value or (
                entry.value != entry.value
            )


@pytest.mark.parametrize("name", NAMES)
def test_so_it_has_where_sqlite_loads_no_extensions(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration_plain, "add_functions", lambda connection: False)
    test_all_of_every_release_has_arrived(name, tmp_path)


@pytest.mark.parametrize("name", ENCRYPTED)
@pytest.mark.parametrize("keys", [[KEY], [KEY, OTHER_KEY]])
def test_with_its_key_a_database_is_decrypted(name: str, keys: list[str], tmp_path: Path) -> None:
    path = copied(name, tmp_path / "new")
    done = migrate(str(path), keyring=Keyring(keys))
    assert done is not None
    assert done.moved is not None
    with open_old(str(copied(name, tmp_path / "old")), keys) as old:
        check_all(path, old, done.moved.added)


@pytest.mark.parametrize("name", ENCRYPTED)
def test_without_a_key_a_value_stays_as_it_is_and_can_be_handled(name: str, tmp_path: Path) -> None:
    path = copied(name, tmp_path / "new")
    with Kycore(path, migrate=True) as kv:
        sealed = {e.key: e.value for e in kv.entries() if isinstance(e.value, Opaque)}
        assert sealed
        for key, value in sealed.items():
            assert value.ciphertext.startswith("enc:")
            assert kv.copy(key, "a copy of " + key, scope="default")
            assert kv.getkey("a copy of " + key) == value
            assert kv.delete(key)
            kv.save(key, "anew")
            kv.restore(key)


def test_an_old_database_is_never_migrated_unasked(tmp_path: Path) -> None:
    path = copied("0.1.8-plain", tmp_path / "new")
    before = path.read_bytes()
    with pytest.raises(MigrationNeeded, match=r"earlier KyCLI, 0\.1\.7 or 0\.1\.8") as caught:
        Kycore(path)
    assert "kycli migrate" in str(caught.value.hint)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("name", ["0.1.8-plain", "0.1.7-wal", "0.0.2-plain"])
def test_a_migrated_database_is_one_like_any_other(name: str, tmp_path: Path) -> None:
    path = copied(name, tmp_path / "new")
    new = tmp_path / "new.db"
    Kycore(new).close()
    with Kycore(path, migrate=True) as kv:
        kv.save("name", "changed")
        kv.delete("name")
        kv.save("name", "created again", ttl=60)
        kv.delete_many(prefix="")
    sql = (
        "SELECT type, name, tbl_name, sql FROM sqlite_schema "
        "WHERE sql IS NOT NULL AND name <> 'sqlite_sequence' ORDER BY 1, 2"
    )
    assert rows(path, sql) == rows(new, sql)


# Values


RAW = st.one_of(
    st.text(),
    st.from_regex(r"-?[0-9]{0,20}(\.[0-9]{0,20})?([eE][-+]?[0-9]{1,3})?", fullmatch=True),
    st.sampled_from(
        ["true", "false", "null", "NaN", "-Infinity", "Infinity", "nil", "true ", " 1"]
    ),
    st.sampled_from(
        ["enc:", "enc:aGk=", "enc:" + "A" * 40, "cmp:zlib:x", '"x"', '"\\ud800"', "[", "é"]
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    ).map(lambda value: __import__("json").dumps(value)),
    st.text(alphabet='{}[]",:0123456789.eE-+ \t\n$base64\0é', max_size=30),
    st.sampled_from([b"", b"bytes", b"\xff", None]),
)


@settings(max_examples=examples(400))
@given(st.lists(RAW, min_size=1, max_size=20), st.booleans())
def test_sql_tells_a_value_as_the_reader_does(raws: list[Any], is_json: bool) -> None:
    """Most values never leave SQL, so what SQL makes of them is held to the reader."""
    variant = of_plain({"audit_log", "archive"} if is_json else set(), is_json, is_json)
    decoder = Decoder(variant)
    connection = apsw.Connection(":memory:")
    values: Any = migration_plain._Values(decoder)
    connection.create_scalar_function("kycli_kind", values.kind, 1)
    connection.create_scalar_function("kycli_stored", values.stored, 1)
    connection.execute("CREATE TABLE old (id INTEGER PRIMARY KEY, value TEXT)")
    connection.executemany("INSERT INTO old (value) VALUES (?)", [(raw,) for raw in raws])
    assert add_functions(connection)
    told = connection.execute(
        f"SELECT {migration_plain._stored('value', is_json)} FROM old ORDER BY id"
    )
    rows: list[Any] = told.fetchall()
    for raw, (stored, kind) in zip(raws, rows, strict=True):
        expected, expected_kind = decoder.stored(raw)
        assert kind == (layout.OPAQUE if expected_kind is None else expected_kind), raw
        one = decode(stored, kind)
        other = decode(expected, kind)
        assert type(one) is type(other), raw
        assert one == other or one != one, raw


# Tables that do not agree


_TIMES = st.integers(0, 5000).map(lambda ms: f"2026-01-01 00:00:{ms // 1000:02}.{ms % 1000:03}")
_KEYS = st.sampled_from("abcd")
_SAVED = st.sampled_from(["1", "2", "text", "x" * 600, None])


@settings(max_examples=examples(60), deadline=None)
@given(
    st.dictionaries(_KEYS, st.tuples(_SAVED, st.none() | _TIMES)),
    st.lists(st.tuples(_KEYS, _SAVED, _TIMES), max_size=12),
    st.lists(st.tuples(_KEYS, _SAVED.filter(bool), _TIMES), max_size=6),
    st.sets(st.integers(1, 12), max_size=3),
)
def test_tables_that_do_not_agree_still_make_one_history(
    tmp_path_factory: pytest.TempPathFactory,
    live: dict[str, Any],
    history: list[Any],
    archive: list[Any],
    gaps: set[int],
) -> None:
    import invariants

    path = tmp_path_factory.mktemp("old") / "old.db"
    old_database(path, "")
    connection = apsw.Connection(str(path))
    connection.executemany(
        "INSERT INTO kvstore VALUES (?, ?, ?)", [(key, *row) for key, row in live.items()]
    )
    history.sort(key=lambda row: row[2])
    connection.executemany(
        "INSERT INTO audit_log (key, value, timestamp) VALUES (?, ?, ?)", history
    )
    connection.executemany(
        "INSERT INTO archive (key, value, deleted_at) VALUES (?, ?, substr(?, 1, 19))", archive
    )
    connection.executemany("DELETE FROM audit_log WHERE id = ?", [(id,) for id in gaps])
    connection.close()
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    migrate(str(path))
    found = invariants.check(path)
    with open_old(str(copy)) as old:
        assert {key: row[1::-1] for (scope, key), row in found.items() if scope == "default"} == {
            row.key: kept(row.value, row.kind) for row in read_rows(old)
        }
        wanted = Counter((r.key, repr(r.value), r.deleted_at) for r in read_archive(old))
    removed = rows(path, "SELECT key, value, kind, deleted_at FROM archive")
    assert wanted <= Counter((k, repr(decode(v, kind)), time) for k, v, kind, time in removed)
    times = rows(path, "SELECT timestamp FROM audit_log ORDER BY id")
    assert times == sorted(times) or archive


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("ALTER TABLE kvstore ADD COLUMN mine", "columns"),
        ("ALTER TABLE archive DROP COLUMN deleted_at", "columns"),
        ("INSERT INTO audit_log (key, value, timestamp) VALUES ('k', 'v', 'soon')", "no time"),
        ("INSERT INTO kvstore VALUES ('k', 'v', 'never')", "no time"),
        ("INSERT INTO kvstore VALUES ('k', CAST(x'c328' AS TEXT), NULL)", "UTF-8"),
        ("INSERT INTO kvstore VALUES (CAST(x'ff' AS TEXT), 'v', NULL)", "UTF-8"),
    ],
)
def test_what_makes_no_sense_is_refused_and_left_as_it_was(
    tmp_path: Path, script: str, said: str
) -> None:
    path = tmp_path / "old.db"
    old_database(path, f"INSERT INTO kvstore VALUES ('fine', 'v', NULL); {script}")
    before = path.read_bytes()
    with pytest.raises(KycliError, match=said):
        migrate(str(path))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("name", ["0.1.8-plain", "0.0.4-plain", "0.1.6-plain"])
def test_a_file_that_was_cut_off_is_refused_and_left_as_it_was(name: str, tmp_path: Path) -> None:
    path = copied(name, tmp_path / "new")
    os.truncate(path, path.stat().st_size // 8192 * 4096)
    before = path.read_bytes()
    with pytest.raises(CorruptError, match="damaged"):
        migrate(str(path))
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_keys_that_cannot_be_ours_get_another_name(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    long = "k" * 5000
    old_database(
        path,
        f"""INSERT INTO kvstore VALUES ('', 'empty', NULL), ('{long}', 'long', NULL);
        INSERT INTO audit_log (key, value) VALUES ('', 'before'), ('', 'empty')""",
    )
    with Kycore(path, migrate=True) as kv:
        assert dict(kv.scan()) == {key_for(""): "empty", key_for(long): "long"}
        assert [row.value for row in kv.get_history(key_for(""))] == ["empty", "before"]


@pytest.mark.parametrize("jumps", [[0], [0] * 20 + [-300, 300]])
def test_what_was_added_stands_behind_the_newest_row_that_is_not_later(
    tmp_path: Path, jumps: list[int]
) -> None:
    path = tmp_path / "old.db"
    old_database(path, "")
    connection = apsw.Connection(str(path))
    chance = random.Random(7)
    # With jumps, the clock was put back and ahead meanwhile.
    seconds = [n + chance.choice(jumps) for n in range(1, 1001)]
    moments = [f"2026-01-01 00:{s // 60 % 60:02}:{s % 60:02}.500" for s in map(abs, seconds)]
    connection.executemany(
        "INSERT INTO audit_log (key, value, timestamp) VALUES (?, 'v', ?)",
        ((f"k{n}", moment) for n, moment in enumerate(moments)),
    )
    connection.execute("INSERT INTO kvstore SELECT key, value, NULL FROM audit_log")
    connection.executemany(
        "INSERT INTO archive (key, value, deleted_at) VALUES (?, 'gone', ?)",
        ((f"gone{n}", chance.choice(moments)[:19]) for n in range(200)),
    )
    source = migration_plain.Source(Decoder(of_plain({"archive"}, True, True)), True, True, "it")
    move = migration_plain.Move(connection, source, "default", 1 << 50)
    move.plan()
    times: dict[Any, Any] = dict(
        connection.execute(f"SELECT id, {migration_plain._ms('timestamp')} FROM audit_log")
    )
    placed: list[Any] = connection.execute(
        "SELECT follows, at FROM event WHERE row IS NULL"
    ).fetchall()
    assert len(placed) == 400
    for follows, at in placed:
        earlier = [id for id, time in times.items() if time <= at]
        newest = max(earlier, default=0)
        assert follows in (0, *earlier)
        # Among the rows between two that are remembered, a clock may have jumped.
        assert follows == newest if len(jumps) == 1 else newest - follows < 400
    connection.close()
