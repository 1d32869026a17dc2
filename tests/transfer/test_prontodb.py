"""Databases of ProntoDB, in each of its schemas."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import Clock

from kycli import Kycore
from kycli.errors import FormatError, InvalidScopeError, InvalidTTLError, UsageError

# As ProntoDB's own sources make them; see kycli.transfer.formats.prontodb.
RELEASED = """
CREATE TABLE IF NOT EXISTS kv (
    project TEXT NOT NULL, namespace TEXT NOT NULL, key TEXT NOT NULL, context TEXT,
    value TEXT NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
    expires_at INTEGER, PRIMARY KEY (project, namespace, key, context)
);
CREATE TABLE IF NOT EXISTS sys_namespaces (
    project TEXT NOT NULL, namespace TEXT NOT NULL, is_ttl BOOLEAN NOT NULL DEFAULT 0,
    default_ttl INTEGER, created_at INTEGER NOT NULL, PRIMARY KEY (project, namespace)
);
CREATE INDEX IF NOT EXISTS idx_kv_expiry ON kv(expires_at) WHERE expires_at IS NOT NULL;
"""
SET = """
INSERT OR REPLACE INTO kv (
    project, namespace, key, context, value, created_at, updated_at, expires_at
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7)"""
BY_PROJECT = """
CREATE TABLE sys_namespaces(
    project TEXT NOT NULL, namespace TEXT NOT NULL,
    kind TEXT NOT NULL CHECK(kind IN ('std','ttl')), table_name TEXT NOT NULL,
    delim TEXT DEFAULT '.', PRIMARY KEY(project, namespace)
);
CREATE TABLE sys_caches(
    project TEXT NOT NULL, namespace TEXT NOT NULL, timeout_sec INTEGER NOT NULL,
    evict_on_read INTEGER DEFAULT 1, max_items INTEGER NULL, PRIMARY KEY(project, namespace)
);
CREATE TABLE sec_users(user TEXT PRIMARY KEY, pass TEXT NOT NULL);
CREATE TABLE ns_app_conf(k TEXT PRIMARY KEY, v BLOB NOT NULL);
CREATE TABLE ns_app_sess__ttl(
    k TEXT PRIMARY KEY, v BLOB NOT NULL, created_at INTEGER NOT NULL, ttl_sec INTEGER NOT NULL
);
INSERT INTO sys_namespaces VALUES ('app', 'conf', 'std', 'ns_app_conf', '.');
INSERT INTO sys_namespaces VALUES ('app', 'sess', 'ttl', 'ns_app_sess__ttl', '.');
INSERT INTO sys_caches (project, namespace, timeout_sec) VALUES ('app', 'sess', 60);
"""
BY_NAME = """
CREATE TABLE sys_namespaces(
    ns TEXT PRIMARY KEY, kind TEXT CHECK(kind IN ('std','ttl')) NOT NULL,
    table_name TEXT NOT NULL, delim TEXT DEFAULT ':'
);
CREATE TABLE sys_caches(
    ns TEXT PRIMARY KEY, timeout_sec INTEGER NOT NULL, evict_on_read INTEGER DEFAULT 1,
    max_items INTEGER NULL
);
CREATE TABLE ns_app__conf(k TEXT PRIMARY KEY, v BLOB NOT NULL);
CREATE TABLE ns_app__sess__ttl(
    k TEXT PRIMARY KEY, v BLOB NOT NULL, created_at INTEGER NOT NULL, ttl_sec INTEGER NOT NULL
);
INSERT INTO sys_namespaces VALUES ('app:conf', 'std', 'ns_app__conf', ':');
INSERT INTO sys_namespaces VALUES ('app:sess', 'ttl', 'ns_app__sess__ttl', ':');
INSERT INTO sys_caches (ns, timeout_sec) VALUES ('app:sess', 60);
"""
HIERARCHY = """
CREATE TABLE meta_registry (
    meta_name TEXT PRIMARY KEY, description TEXT, created_at INTEGER NOT NULL
);
CREATE TABLE namespace_registry (
    meta_name TEXT NOT NULL, project_name TEXT NOT NULL, namespace_name TEXT NOT NULL,
    table_hash TEXT NOT NULL, is_ttl BOOLEAN NOT NULL DEFAULT 0, ttl_seconds INTEGER,
    created_at INTEGER NOT NULL, PRIMARY KEY (meta_name, project_name, namespace_name)
);
CREATE TABLE keys_1 (
    key_name TEXT PRIMARY KEY, context TEXT, value TEXT NOT NULL, created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL, expires_at INTEGER
);
CREATE TABLE keys_2 (
    key_name TEXT PRIMARY KEY, context TEXT, value TEXT NOT NULL, created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL, expires_at INTEGER
);
INSERT INTO namespace_registry VALUES ('default', 'app', 'conf', 'keys_1', 0, NULL, 1);
INSERT INTO namespace_registry VALUES ('work', 'app', 'sess', 'keys_2', 1, 60, 1);
"""


@pytest.fixture
def now(clock: Clock) -> int:
    return clock.now // 1000


def database(path: Path, schema: str, rows: Any = (), *more: tuple[str, tuple[Any, ...]]) -> Path:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(schema)
        for row in rows:
            db.execute(SET, row)
        for sql, bindings in more:
            db.execute(sql, bindings)
    return path


def released(path: Path, now: int, rows: Any = ()) -> Path:
    caches = "INSERT INTO sys_namespaces VALUES ('app', 'sess', 1, 60, 5)"
    return database(path, RELEASED, rows, (caches, ()))


@pytest.mark.parametrize("name", ["pronto.main.prdb", "pronto.db", "prontodb.sqlite3"])
def test_a_released_database(store: Kycore, tmp_path: Path, now: int, name: str) -> None:
    file = released(tmp_path / name, now, [
        ("app", "conf", "url", None, "http://x", now - 9, None),
        ("app", "conf", "url", "prod", "http://y", now - 8, None),
        ("app", "default", "name", None, "line\nbreak", now - 7, None),
        ("default", "default", "k", None, "", now - 6, None),
        ("app", "sess", "token", None, "abc", now - 5, now + 30),
        ("app", "sess", "old", None, "gone", now - 99, now - 39),
    ])  # fmt: skip
    before = file.read_bytes()
    done = store.import_data(file)
    assert (done.read, done.created, done.skipped) == (6, 5, 1)
    assert dict(store.scan(scope="app.conf")) == {"url": "http://x", "url__prod": "http://y"}
    assert store.getkey("name", scope="app") == "line\nbreak"
    assert store["k"] == ""
    assert store.caches() == {"app.sess": 60.0}
    assert store.ttl("token", scope="app.sess") == 30
    assert store.getkey("old", scope="app.sess") is None
    assert file.read_bytes() == before
    assert store.undo(done.change) == 5


def test_of_a_key_that_was_written_again_the_last_value_counts(
    store: Kycore, tmp_path: Path, now: int
) -> None:
    file = released(tmp_path / "p.db", now, [
        ("a", "b", "k", None, "second", now - 5, None),
        ("a", "b", "k", None, "first", now - 9, None),
        ("a", "b", "k", None, "third", now - 5, None),
    ])  # fmt: skip
    store.import_data(file)
    assert [change.value for change in store.get_history("k", scope="a.b")] == [
        "third", "second", "first",
    ]  # fmt: skip


def test_tables_by_project(store: Kycore, tmp_path: Path, now: int) -> None:
    check_tables(store, tmp_path, now, BY_PROJECT, "ns_app_conf", "ns_app_sess__ttl")


def test_tables_by_name(store: Kycore, tmp_path: Path, now: int) -> None:
    check_tables(store, tmp_path, now, BY_NAME, "ns_app__conf", "ns_app__sess__ttl")


def check_tables(
    store: Kycore, tmp_path: Path, now: int, schema: str, plain: str, cache: str
) -> None:
    file = database(
        tmp_path / "prontodb.sqlite", schema, (),
        (f"INSERT INTO {plain} VALUES (?, ?)", ("a__ctx", b"text")),
        (f"INSERT INTO {plain} VALUES (?, ?)", ("raw", b"\xff")),
        (f"INSERT INTO {cache} VALUES (?, ?, ?, ?)", ("t", b"x", now - 10, 25)),
        (f"INSERT INTO {cache} VALUES (?, ?, ?, ?)", ("old", b"x", now - 10, 5)),
    )  # fmt: skip
    done = store.import_data(file)
    assert (done.created, done.skipped) == (3, 1)
    assert dict(store.scan(scope="app.conf")) == {"a__ctx": "text", "raw": b"\xff"}
    assert store.ttl("t", scope="app.sess") == 15
    assert store.caches() == {"app.sess": 60.0}


def test_the_hierarchy(store: Kycore, tmp_path: Path, now: int) -> None:
    file = database(
        tmp_path / "p.db", HIERARCHY, (),
        ("INSERT INTO keys_1 VALUES ('k', 'x', 'v', 1, 2, NULL)", ()),
        ("INSERT INTO keys_2 VALUES ('t', NULL, 'w', 1, 2, ?)", (now + 5,)),
    )  # fmt: skip
    assert store.import_data(file, format="prontodb").created == 2
    assert store.getkey("k__x", scope="app.conf") == "v"
    assert store.ttl("t", scope="work_app.sess") == 5


@pytest.fixture
def odd(tmp_path: Path, now: int) -> Path:
    return released(tmp_path / "odd.prdb", now, [
        ("my app", "b", "k", None, "v", now, None),
        ("a.b", "default", "k", None, "v", now, None),
        ("ok", "b", "", None, "v", now, None),
        ("ok", "b", "k", None, "v", now, None),
        ("ok", "b", "number", None, 5, now, None),
    ])  # fmt: skip


def test_names_that_are_not_ours_are_rejected_with_a_reason(
    store: Kycore, tmp_path: Path, odd: Path
) -> None:
    with pytest.raises(InvalidScopeError, match=r"odd\.prdb, row 1: bad project name 'a\.b'"):
        store.import_data(odd)
    assert store.scopes() == []
    done = store.import_data(odd, rejects=tmp_path / "bad.jsonl")
    assert (done.created, done.rejected) == (2, 3)
    rejects = [json.loads(line) for line in (tmp_path / "bad.jsonl").read_text().splitlines()]
    assert [(record["scope"], record["_reason"]) for record in rejects] == [
        ("a.b.default", "bad project name 'a.b'"),
        ("my app.b", "bad project name 'my app'"),
        ("ok.b", "the key is empty"),
    ]
    # What was mended comes in.
    rejects[1]["scope"] = "my_app.b"
    (tmp_path / "mended.jsonl").write_text(json.dumps(rejects[1]) + "\n")
    store.import_data(tmp_path / "mended.jsonl")
    assert store.getkey("k", scope="my_app.b") == "v"


def test_a_cache_that_is_there_keeps_its_timeout(store: Kycore, tmp_path: Path, now: int) -> None:
    store.create_cache("app.sess", 7)
    file = released(tmp_path / "p.prdb", now, [("app", "sess", "k", None, "v", now, now + 3)])
    store.import_data(file, dry_run=True)
    assert store.scopes() == ["app.sess"]
    store.import_data(file)
    assert store.caches() == {"app.sess": 7.0}
    assert store.ttl("k", scope="app.sess") == 3


def test_a_key_that_expires_where_no_cache_is_declared(
    store: Kycore, tmp_path: Path, now: int
) -> None:
    file = released(tmp_path / "p.prdb", now, [("app", "x", "k", None, "v", now, now + 3)])
    with pytest.raises(InvalidTTLError, match=r"row 1: 'app\.x' is not a cache"):
        store.import_data(file)


def test_other_databases_and_options_are_refused(store: Kycore, tmp_path: Path, now: int) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db")) as db, db:
        db.execute("CREATE TABLE kv (key, value)")
    with pytest.raises(FormatError, match="no database of ProntoDB"):
        store.import_data(tmp_path / "x.db", format="prontodb")
    assert store.import_data(tmp_path / "x.db").read == 0
    (tmp_path / "bad.prdb").write_text("no database")
    with pytest.raises(FormatError, match=r"bad\.prdb: SQLite cannot read it"):
        store.import_data(tmp_path / "bad.prdb")
    file = released(tmp_path / "p.prdb", now)
    with pytest.raises(UsageError):
        store.import_data(file, key_column="k")
    with pytest.raises(UsageError, match="text can be resumed"):
        store.import_data(file, resume=True)
    with pytest.raises(FormatError, match="for imports alone"):
        store.export_data(tmp_path / "out", "prontodb")
    assert store.import_data(file).read == 0
    assert store.caches() == {"app.sess": 60.0}
