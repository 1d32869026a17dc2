"""Any SQLite program may write ``kvstore``: history, search, caches and versions follow."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import apsw
import invariants
import pytest

from kycli import Kycore
from kycli.errors import KycliError

SHELL = shutil.which("sqlite3")
LARGE = "large " * 200


class Refused(Exception):
    """What the other program says when SQLite refuses a statement."""


class Sql(Protocol):
    def __call__(self, script: str) -> str: ...


def by_shell(path: Path, script: str) -> str:
    """Execute statements by the ``sqlite3`` shell; return what it prints."""
    assert SHELL is not None
    done = subprocess.run(
        [SHELL, "-bail", "-batch", "-cmd", ".timeout 5000", str(path)],
        input=script,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    if done.returncode:
        raise Refused(done.stderr)
    return done.stdout.rstrip("\n")


PROGRAM = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=5)
statement = ""
try:
    for part in sys.stdin.read().split(";"):
        statement += part + ";"
        if sqlite3.complete_statement(statement):
            cursor = connection.execute(statement)
            for row in cursor:
                print(*("" if cell is None else cell for cell in row), sep="|")
            if "-c" in sys.argv[2:]:
                print(cursor.rowcount)
            statement = ""
except sqlite3.Error as error:
    sys.exit(str(error))
"""


def by_python(path: Path, script: str, *options: str) -> str:
    """Execute statements by Python's own sqlite3.

    In a process of its own: to close the file by another SQLite than the store's would drop
    the locks that this process has on it.

    Parameters:
        options: ``-c`` to print how many rows each statement has changed.
    """
    done = subprocess.run(
        [sys.executable, "-S", "-c", PROGRAM, str(path), *options],
        input=script,
        capture_output=True,
        encoding="utf-8",
        timeout=600,
    )
    if done.returncode:
        raise Refused(done.stderr)
    return done.stdout.rstrip("\n")


@pytest.fixture(
    params=[
        pytest.param(
            by_shell,
            marks=pytest.mark.skipif(SHELL is None, reason="the sqlite3 shell is not installed"),
            id="shell",
        ),
        pytest.param(by_python, id="python"),
    ]
)
def sql(request: pytest.FixtureRequest, path: Path) -> Sql:
    """Write to the database as another program does."""
    return lambda script: str(request.param(path, script))


@pytest.fixture
def store(path: Path) -> Iterator[Kycore]:
    """A store of the real time, which is what other programs have, with a warm cache."""
    with Kycore(path) as store:
        for _ in range(20):
            store.getkey("warm")
        yield store
        assert store.check() == []


def told(store: Kycore, key: str, scope: str = "default") -> list[tuple[Any, ...]]:
    """Return the history of a key, oldest first: what happened, the version, the value."""
    return [
        (change.operation, change.version, change.value)
        for change in reversed(store.get_history(key, scope=scope))
    ]


def version(store: Kycore, key: str, scope: str = "default") -> int | None:
    entry = store.get_entry(key, scope=scope)
    return None if entry is None else entry.version


# -- inserting


@pytest.mark.usefixtures("_both_statements")
def test_an_inserted_row_is_a_key_with_all_that_belongs_to_it(store: Kycore, sql: Sql) -> None:
    assert store.getkey("k") is None
    before = time.time() * 1000
    sql("INSERT INTO kvstore (scope, key, value) VALUES ('default', 'k', 'an apple')")
    assert store["k"] == "an apple"
    entry = store.get_entry("k")
    assert entry is not None
    assert (entry.version, entry.expires_at) == (1, None)
    assert before - 5 <= entry.updated_at <= time.time() * 1000 + 5
    assert told(store, "k") == [("created", 1, "an apple")]
    assert store.search("apple") == {"k": "an apple"}
    (change,) = store.get_history("k")
    assert (change.user, change.host, change.pid, change.command) == (None, None, None, None)
    assert store.undo() == 1
    assert "k" not in store


def test_a_row_without_a_scope_is_in_the_default_one(store: Kycore, sql: Sql) -> None:
    sql("INSERT INTO kvstore (key, value) VALUES ('k', 1); "
        "INSERT INTO kvstore (scope, key, value) VALUES (NULL, 'l', 2);"
        "REPLACE INTO kvstore (scope, key, value) VALUES (NULL, 'l', 3)")  # fmt: skip
    assert dict(store.items()) == {"k": 1, "l": 3}
    assert told(store, "l") == [("created", 1, 2), ("overwritten", 2, 3)]


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("'text'", "text"),
        ("''", ""),
        ("x'00ff'", b"\x00\xff"),
        ("x''", b""),
        ("-7", -7),
        ("9223372036854775807", 2**63 - 1),
        ("2.0", 2.0),
        ("9e999", float("inf")),
        ("NULL", None),
        ("'[1]'", "[1]"),
    ],
)
def test_a_value_has_the_kind_of_its_type(
    store: Kycore, sql: Sql, literal: str, value: object
) -> None:
    sql(f"INSERT INTO kvstore (key, value) VALUES ('k', {literal}), ('l', 'other');"
        f"UPDATE kvstore SET value = {literal} WHERE key = 'l'")  # fmt: skip
    for key in "kl":
        found = store.getkey(key, "missing")
        assert (type(found), found) == (type(value), value)
        assert store.save(key, value) == "nochange"


@pytest.mark.parametrize(
    ("literal", "kind", "value"),
    [
        ("'{\"a\": [1, 2.0, null]}'", 6, {"a": [1, 2.0, None]}),
        ("'[]'", 6, []),
        ("1", 4, True),
        ("0", 4, False),
        ("'text'", 0, "text"),
        ("1.5", 3, 1.5),
        ("NULL", 5, None),
        ("' [1] '", 6, " [1] "),
        # Not of the kind that is given, so of its type's.
        ("'{\"a\": '", 6, '{"a": '),
        ("x'5b5d'", 6, b"[]"),
        ("'5'", 6, "5"),
        ("5", 6, 5),
        ("'text'", 1, "text"),
        ("'text'", 2, "text"),
        ("1", 3, 1),
        ("5", 4, 5),
        ("1.0", 4, 1.0),
        ("'1'", 4, "1"),
        ("'1'", 5, "1"),
        ("'12345678901234567890'", 7, 12345678901234567890),
        ("'-12345678901234567890'", 7, -12345678901234567890),
        ("'many'", 7, "many"),
        ("'--5'", 7, "--5"),
        ("'-'", 7, "-"),
        ("''", 7, ""),
        ("x'35'", 7, b"5"),
        ("'no ciphertext'", 8, "no ciphertext"),
        ("'text'", 99, "text"),
        ("'text'", -5, "text"),
        ("'text'", "NULL", "text"),
    ],
)
def test_a_kind_may_be_given(
    store: Kycore, sql: Sql, literal: str, kind: object, value: object
) -> None:
    sql(f"INSERT INTO kvstore (key, value, kind) VALUES ('k', {literal}, {kind}), ('l', 'x', 0);"
        f"UPDATE kvstore SET value = {literal}, kind = {kind} WHERE key = 'l'")  # fmt: skip
    for key in "kl":
        found = store.getkey(key, "missing")
        assert (type(found), found) == (type(value), value)
        assert store.get_history(key)[0].value == value


def test_many_rows_of_a_statement_are_changes_each(store: Kycore, sql: Sql) -> None:
    store.save("old", "o", scope="from")
    sql("INSERT INTO kvstore (scope, key, value) VALUES ('from', 'a', 1), ('from', 'b', 2);"
        "INSERT INTO kvstore (scope, key, value) SELECT 'to', key, value FROM kvstore "
        "WHERE scope = 'from'")  # fmt: skip
    assert dict(store.scan(scope="to")) == {"a": 1, "b": 2, "old": "o"}
    assert [change.change for change in store.get_history(scope="to")] == [6, 5, 4]


def test_a_row_of_a_key_that_was_deleted_goes_on_where_it_was(store: Kycore, sql: Sql) -> None:
    store.save_many([("k", 1), ("k", 2)])
    store.delete("k")
    sql("INSERT INTO kvstore (key, value) VALUES ('k', 3)")
    assert told(store, "k") == [
        ("created", 1, 1), ("overwritten", 2, 2), ("deleted", 2, None), ("created", 3, 3),
    ]  # fmt: skip
    assert store.restore("k") == "restored"
    assert store["k"] == 2


@pytest.mark.parametrize("recursive", ["OFF", "ON"])
def test_a_row_that_is_replaced_goes_on_where_it_was(
    store: Kycore, sql: Sql, recursive: str
) -> None:
    store.save("k", 1)
    store.save("large", LARGE)
    sql(f"PRAGMA recursive_triggers = {recursive};"
        "INSERT OR REPLACE INTO kvstore (key, value) VALUES ('k', 2), ('large', 'small');"
        "REPLACE INTO kvstore (key, value) VALUES ('k', 'three'), ('new', 1)")  # fmt: skip
    assert dict(store.items()) == {"k": "three", "large": "small", "new": 1}
    if recursive == "OFF":
        assert told(store, "k") == [
            ("created", 1, 1), ("overwritten", 2, 2), ("overwritten", 3, "three")]  # fmt: skip
    else:  # SQLite tells of the removal, too
        assert told(store, "k") == [
            ("created", 1, 1), ("deleted", 1, None), ("created", 2, 2),
            ("deleted", 2, None), ("created", 3, "three"),
        ]  # fmt: skip
    assert version(store, "k") == 3
    assert store.search("small") == {"large": "small"}
    assert store.restore("large") == "restored"
    assert store["large"] == LARGE


def test_what_a_conflict_leaves_out_is_not_logged(store: Kycore, sql: Sql) -> None:
    store.save("k", 1)
    sql("INSERT OR IGNORE INTO kvstore (key, value) VALUES ('k', 2), ('l', 1);"
        "INSERT INTO kvstore (key, value) VALUES ('k', 3) ON CONFLICT DO NOTHING")  # fmt: skip
    with pytest.raises(Refused, match="UNIQUE"):
        sql("INSERT INTO kvstore (key, value) VALUES ('m', 1), ('k', 4)")
    with pytest.raises(Refused, match="UNIQUE"):
        sql("INSERT OR FAIL INTO kvstore (key, value) VALUES ('n', 1), ('k', 5)")
    assert dict(store.items()) == {"k": 1, "l": 1, "n": 1}
    assert told(store, "k") == [("created", 1, 1)]
    # What was looked at for nothing is no part of what comes next.
    store.delete("k")
    sql("INSERT INTO kvstore (key, value) VALUES ('k', 6)")
    assert told(store, "k") == [("created", 1, 1), ("deleted", 1, None), ("created", 2, 6)]


def test_an_upsert_is_an_insert_or_an_update(store: Kycore, sql: Sql) -> None:
    store.save("k", "a")
    upsert = "ON CONFLICT (scope, key) DO UPDATE SET value = value || excluded.value"
    sql(f"INSERT INTO kvstore (key, value) VALUES ('k', 'b'), ('l', 'c') {upsert};"
        f"INSERT INTO kvstore (key, value) VALUES ('l', '') {upsert}")  # fmt: skip
    assert told(store, "k") == [("created", 1, "a"), ("overwritten", 2, "ab")]
    assert told(store, "l") == [("created", 1, "c")]


def test_an_insert_over_a_key_that_has_expired_creates_it(store: Kycore, sql: Sql) -> None:
    store.save("k", "old", ttl=0.001)
    time.sleep(0.01)
    sql("INSERT INTO kvstore (key, value) VALUES ('k', 'new')")
    assert told(store, "k") == [("created", 1, "old"), ("expired", 1, None), ("created", 2, "new")]
    assert store.get_history("k")[1].user is None


# -- updating


@pytest.mark.usefixtures("_both_statements")
def test_an_updated_row_is_another_version(store: Kycore, sql: Sql) -> None:
    store.save_many({"k": "apple", "l": "apple", "m": 1})
    store.search("apple")
    sql("UPDATE kvstore SET value = 'pear' WHERE key = 'k'; "
        "UPDATE kvstore SET value = value || 's' WHERE value = 'apple'")  # fmt: skip
    assert dict(store.items()) == {"k": "pear", "l": "apples", "m": 1}
    assert told(store, "k") == [("created", 1, "apple"), ("overwritten", 2, "pear")]
    assert version(store, "l") == 2
    assert version(store, "m") == 1
    assert (store.search("apple"), store.search("pear")) == ({}, {"k": "pear"})
    assert store.undo() == 1
    assert store["l"] == "apple"


def test_an_update_that_changes_nothing_is_no_event(store: Kycore, sql: Sql) -> None:
    store.save_many({"k": "a", "doc": [1], "true": True, "nan": float("nan")})
    store.save("brief", 1, ttl=60)
    sql("UPDATE kvstore SET value = value, kind = kind, expires_at = expires_at, key = key")
    assert len(store.get_history()) == 5
    assert store["true"] is True


def test_types_tell_equal_values_apart(store: Kycore, sql: Sql) -> None:
    store.save("k", 1)
    sql("UPDATE kvstore SET value = 1.0")
    assert repr(store["k"]) == "1.0"
    sql("UPDATE kvstore SET value = '1.0'")
    assert repr(store["k"]) == "'1.0'"
    assert version(store, "k") == 3


def test_a_document_stays_one_as_long_as_it_is_one(store: Kycore, sql: Sql) -> None:
    store.save("doc", {"a": 1, "b": [1, 2]})
    store.save("flag", True)
    sql("UPDATE kvstore SET value = json_set(value, '$.a', 5) WHERE key = 'doc';"
        "UPDATE kvstore SET value = 0 WHERE key = 'flag'")  # fmt: skip
    assert store["doc"] == {"a": 5, "b": [1, 2]}
    assert repr(store["flag"]) == "False"
    assert store.patch("doc.b[0]", 7) == "overwritten"
    sql("UPDATE kvstore SET value = '{a' WHERE key = 'doc'; "
        "UPDATE kvstore SET value = 'no' WHERE key = 'flag'")  # fmt: skip
    assert (store["doc"], store["flag"]) == ("{a", "no")
    sql("UPDATE kvstore SET value = '{}' WHERE key = 'doc'")
    assert store["doc"] == "{}"
    sql("UPDATE kvstore SET kind = 6 WHERE key = 'doc'")
    assert store["doc"] == {}
    assert [change.version for change in store.get_history("doc")] == [6, 5, 4, 3, 2, 1]


def test_another_lifetime_is_no_new_version(store: Kycore, sql: Sql) -> None:
    at = round(time.time() * 1000) + 60_000
    store.save("k", "v")
    store.save("large", LARGE)
    sql(f"UPDATE kvstore SET expires_at = {at}")
    assert told(store, "k") == [("created", 1, "v"), ("lifetime", 1, "v")]
    assert told(store, "large") == [("created", 1, LARGE), ("lifetime", 1, LARGE)]
    entry = store.get_entry("k")
    assert entry is not None
    assert (entry.version, entry.expires_at) == (1, at)
    sql("UPDATE kvstore SET expires_at = NULL, value = 'w' WHERE key = 'k'")
    assert told(store, "k")[2:] == [("overwritten", 2, "w")]
    assert store.ttl("k") == float("inf")
    sql("UPDATE kvstore SET expires_at = 1700000000000 WHERE key = 'k'")  # in the past
    assert "k" not in store
    assert told(store, "k")[3:] == [("lifetime", 2, "w"), ("expired", 2, None)]


# -- renaming


@pytest.mark.usefixtures("_both_statements")
def test_a_row_that_is_renamed_is_moved(store: Kycore, sql: Sql) -> None:
    store.save_many({"k": "apple", "large": LARGE, "doc": [1]})
    store.search("apple")
    sql(
        "UPDATE kvstore SET key = 'new ' || key; UPDATE kvstore SET scope = 's' WHERE value = '[1]'"
    )
    assert dict(store.items()) == {"new k": "apple", "new large": LARGE}
    assert dict(store.scan(scope="s")) == {"new doc": [1]}
    assert told(store, "k") == [("created", 1, "apple"), ("deleted", 1, None)]
    assert told(store, "new k") == [("created", 1, "apple")]
    assert told(store, "new doc", "s") == [("created", 1, [1])]
    assert store.search("apple") == {"new k": "apple"}
    assert store.save("new large", LARGE) == "nochange"
    assert store.undo(store.get_history("new k")[0].change) == 2
    assert store["k"] == "apple"
    assert "new k" not in store


def test_a_row_is_renamed_and_changed_at_once(store: Kycore, sql: Sql) -> None:
    store.save_many({"k": "a", "large": LARGE, "doc": [1]})
    sql("UPDATE kvstore SET key = 'l', value = 'b' WHERE key = 'k';"
        "UPDATE kvstore SET key = 'small', value = 'now' WHERE key = 'large';"
        "UPDATE kvstore SET key = 'text', value = 'now' WHERE key = 'doc'")  # fmt: skip
    assert dict(store.items()) == {"l": "b", "small": "now", "text": "now"}
    assert store.restore("k") == "restored"
    assert store["k"] == "a"
    assert store.restore("large") == "restored"
    assert store["large"] == LARGE


@pytest.mark.parametrize("recursive", ["OFF", "ON"])
def test_a_row_is_renamed_over_another(store: Kycore, sql: Sql, recursive: str) -> None:
    store.save_many({"k": "of k", "l": LARGE})
    with pytest.raises(Refused, match="UNIQUE"):
        sql("UPDATE kvstore SET key = 'l' WHERE key = 'k'")
    sql("UPDATE OR IGNORE kvstore SET key = 'l' WHERE key = 'k'")
    assert dict(store.items()) == {"k": "of k", "l": LARGE}
    sql(f"PRAGMA recursive_triggers = {recursive};"
        "UPDATE OR REPLACE kvstore SET key = 'l' WHERE key = 'k'")  # fmt: skip
    assert dict(store.items()) == {"l": "of k"}
    assert version(store, "l") == 2
    assert told(store, "k") == [("created", 1, "of k"), ("deleted", 1, None)]
    assert told(store, "l")[-1] == ("overwritten" if recursive == "OFF" else "created", 2, "of k")
    assert store.restore("l", version=1) == "restored"
    assert store["l"] == LARGE


# -- deleting


@pytest.mark.usefixtures("_both_statements")
def test_a_deleted_row_is_in_the_archive(store: Kycore, sql: Sql) -> None:
    store.save_many({"k": "apple", "large": LARGE, "stays": "apple"})
    store.search("apple")
    sql("DELETE FROM kvstore WHERE key <> 'stays'")
    assert list(store) == ["stays"]
    assert told(store, "k") == [("created", 1, "apple"), ("deleted", 1, None)]
    assert store.search("apple") == {"stays": "apple"}
    assert (store.restore("k"), store.restore("large")) == ("restored", "restored")
    assert (store["k"], store["large"]) == ("apple", LARGE)
    assert version(store, "k") == 2
    sql("DELETE FROM kvstore")
    assert (len(store), bool(store)) == (0, False)
    assert store.restore_to(store.get_history("large", limit=2)[1].timestamp) == 3


def test_an_expired_row_that_is_deleted_has_expired(store: Kycore, sql: Sql) -> None:
    store.save("k", "v", ttl=0.001)
    time.sleep(0.01)
    sql("DELETE FROM kvstore")
    assert told(store, "k") == [("created", 1, "v"), ("expired", 1, None)]


# -- large values


@pytest.mark.usefixtures("_both_statements")
def test_a_large_value_is_read_compared_overwritten_and_found(store: Kycore, sql: Sql) -> None:
    text = "apple " * 300
    sql(f"INSERT INTO kvstore (key, value) VALUES ('k', '{text}'), ('l', x'{'00ff' * 500}')")
    assert store["k"] == text
    assert store.search("apple", keys_only=True) == ["k"]
    assert store.save("k", text) == "nochange"
    assert store.save("l", b"\x00\xff" * 500) == "nochange"
    assert store.expire("k", 60)
    assert told(store, "k") == [("created", 1, text), ("lifetime", 1, text)]
    sql("UPDATE kvstore SET value = value || 'pear' WHERE key = 'k'")
    assert store["k"] == text + "pear"
    assert store.save("k", text * 2) == "overwritten"
    assert store.append("k", "!") == len(text) * 2 + 1
    assert version(store, "k") == 4
    assert store.save("l", b"\x00\xff" * 500 + b"!") == "overwritten"
    assert store.delete("k")
    assert store.restore("k", version=2) == "restored"
    assert store["k"] == text + "pear"


def test_a_large_value_is_the_same_wherever_it_is_kept(store: Kycore, sql: Sql) -> None:
    store.save("k", LARGE, scope="a")
    sql(f"INSERT INTO kvstore (scope, key, value) VALUES ('b', 'k', '{LARGE}'), ('b', 'l', 1)")
    assert [diff.key for diff in store.diff_scopes("a", "b")] == ["l"]
    assert store.copy("k", scope="b", to_scope="c")
    assert list(store.diff_scopes("a", "c")) == []


def test_a_large_value_of_the_engine_is_overwritten(store: Kycore, sql: Sql) -> None:
    store.save("k", LARGE)
    store.save("l", LARGE)
    assert sql("SELECT value, typeof(value), home FROM kvstore WHERE key = 'k'") == "|null|1"
    sql(f"UPDATE kvstore SET value = '{LARGE}'")
    assert (version(store, "k"), version(store, "l")) == (1, 1)
    sql(f"UPDATE kvstore SET value = 'small' WHERE key = 'k';"
        f"UPDATE kvstore SET value = '{LARGE}!' WHERE key = 'l'")  # fmt: skip
    assert (store["k"], store["l"]) == ("small", LARGE + "!")
    assert store.restore("k") == "restored"
    assert store["k"] == LARGE


def test_an_expression_of_a_large_value_that_is_not_there_is_refused(
    store: Kycore, sql: Sql
) -> None:
    store.save("k", LARGE)
    for expression in ("value || '!'", "upper(value)", "json_set(value, '$.a', 1)", "NULL"):
        with pytest.raises(Refused, match="kycli: this value is large"):
            sql(f"UPDATE kvstore SET value = {expression}")
    sql("UPDATE kvstore SET value = (SELECT upper(a.value) FROM audit_log a WHERE a.id = home)")
    assert store["k"] == LARGE.upper()


@pytest.mark.parametrize("text", ["{a}", "[1}]", '{"a": }'])
def test_what_only_looks_like_a_document_is_refused(store: Kycore, sql: Sql, text: str) -> None:
    store.save("k", [1])
    for statement in (
        f"UPDATE kvstore SET value = '{text}'",
        f"REPLACE INTO kvstore (key, value, kind) VALUES ('k', '{text}', 6)",
    ):
        with pytest.raises(Refused, match="malformed JSON"):
            sql(statement)
    sql(f"UPDATE kvstore SET value = '{text}', kind = 0")
    assert store["k"] == text


def test_a_large_value_cannot_be_of_any_kind(store: Kycore, sql: Sql) -> None:
    store.save("k", LARGE)
    sql("UPDATE kvstore SET kind = 2")
    assert told(store, "k") == [("created", 1, LARGE)]
    store.save("k", "[" + "x" * 600 + "]")
    with pytest.raises(Refused, match="malformed JSON"):
        sql("UPDATE kvstore SET kind = 6")
    assert store["k"] == "[" + "x" * 600 + "]"


@pytest.mark.parametrize("document", ["{a: 1}", '{"$float": 5}', "[" * 900 + "]" * 900])
def test_what_is_json_to_sqlite_alone_is_a_text(store: Kycore, path: Path, document: str) -> None:
    store.save("k", [0])
    tool = apsw.Connection(str(path))  # of an SQLite that knows JSON5
    tool.execute("UPDATE kvstore SET value = ?", (document,))
    tool.close()
    assert store["k"] == (json.loads(document) if document[0] == "[" else document)
    assert store.check() == []
    assert store.save("k", [1]) == "overwritten"


def test_a_large_value_gets_another_kind(store: Kycore, sql: Sql) -> None:
    text = "[" + ",".join("1" * 400) + "]"
    store.save("k", text)
    sql("UPDATE kvstore SET kind = 6")
    assert store["k"] == [1] * 400
    assert store.save("k", [1] * 400) == "nochange"
    assert told(store, "k") == [("created", 1, text), ("overwritten", 2, [1] * 400)]


# -- caches, folding, limits


def test_in_a_cache_a_new_row_expires(store: Kycore, sql: Sql) -> None:
    store.create_cache("web.sessions", 60)
    sql("INSERT INTO kvstore (scope, key, value) VALUES ('web.sessions', 'k', 1);"
        "REPLACE INTO kvstore (scope, key, value) VALUES ('web.sessions', 'l', 1);"
        "INSERT INTO kvstore (key, value) VALUES ('m', 1);"
        "UPDATE kvstore SET scope = 'web.sessions' WHERE key = 'm'")  # fmt: skip
    for key in "klm":
        left = store.ttl(key, scope="web.sessions")
        assert left is not None
        assert 50 < left <= 60
    sql("UPDATE kvstore SET expires_at = NULL WHERE key = 'k'")
    assert store.ttl("k", scope="web.sessions") == float("inf")


def test_keys_of_a_namespace_that_is_no_cache_do_not_expire(store: Kycore, sql: Sql) -> None:
    at = round(time.time() * 1000) + 90_000
    store.create_cache("web.sessions", 60)
    store.save("k", 1, scope="web.sessions")
    store.drop_cache("web.sessions")
    for statement in (
        f"INSERT INTO kvstore (scope, key, value, expires_at) VALUES ('web.s', 'k', 1, {at})",
        f"UPDATE kvstore SET expires_at = {at}",
    ):
        with pytest.raises(Refused, match="kycli: in a namespace that is no cache"):
            sql(statement)
    sql("UPDATE kvstore SET value = 2")  # it may still expire
    assert store.getkey("k", scope="web.sessions") == 2


def test_keys_that_are_the_same_in_any_case_are_in_lower_case(store: Kycore, sql: Sql) -> None:
    sql("INSERT INTO kvstore (scope, key, value) VALUES ('folds', 'Old', 1)")
    store._query("INSERT INTO sys_namespaces (scope, fold_keys, created_at) VALUES ('folds', 1, 1)")
    with pytest.raises(Refused, match="kycli: keys of this scope are in lower case"):
        sql("INSERT INTO kvstore (scope, key, value) VALUES ('folds', 'New', 1)")
    sql("INSERT INTO kvstore (scope, key, value) VALUES ('folds', 'new', 1);"
        "REPLACE INTO kvstore (scope, key, value) VALUES ('folds', 'Old', 2);"
        "UPDATE kvstore SET value = 3 WHERE key = 'Old'")  # fmt: skip
    assert store.getkey("NEW", scope="folds") == 1
    assert store.getkey("Old", scope="folds") == 3


def test_limits_hold_for_what_plain_sql_wrote(store: Kycore, sql: Sql) -> None:
    store.set_scope("s", history_versions=2)
    for number in range(6):
        sql(f"REPLACE INTO kvstore (scope, key, value) VALUES ('s', 'k', {number})")
    for number in range(100):
        store.save("other", number, scope="s")
    assert [change.value for change in store.get_history("k", scope="s")] == [5, 4]
    store.compact(0, vacuum=False)
    assert store.getkey("k", scope="s") == 5


# -- bad input


@pytest.mark.parametrize(
    ("columns", "values", "said"),
    [
        ("key", "''", "a key has 1 to 4096 bytes"),
        ("key", f"'{'é' * 2049}'", "a key has 1 to 4096 bytes"),
        ("key", "'a' || char(0) || 'b'", "no NUL"),
        ("key", "NULL", "NOT NULL"),
        ("key", "x'ff'", "cannot store BLOB"),
        ("scope, key", "'', 'k'", "a scope is PROJECT"),
        ("scope, key", "'a.b.c', 'k'", "a scope is PROJECT"),
        ("scope, key", "'a.', 'k'", "a scope is PROJECT"),
        ("scope, key", "'.b', 'k'", "a scope is PROJECT"),
        ("scope, key", "'a b', 'k'", "a scope is PROJECT"),
        ("scope, key", "'a/b', 'k'", "a scope is PROJECT"),
        ("scope, key", "'a.default', 'k'", "the namespace default is left out"),
        ("scope, key", "'a' || char(0), 'k'", "no NUL"),
        ("scope, key", f"'{'a' * 129}', 'k'", "a scope is PROJECT"),
        ("scope, key", f"'a.{'b' * 129}', 'k'", "a scope is PROJECT"),
        ("key, expires_at", "'k', 1800000000", "expires_at is in milliseconds"),
        ("key, expires_at", "'k', 1800000000000000", "expires_at is in milliseconds"),
        ("key, expires_at", "'k', -1", "expires_at is in milliseconds"),
        ("key, expires_at", "'k', '2030-01-01'", "cannot store TEXT"),
        ("key, seq", "'k', 5", "leave out home, digest"),
        ("key, home", "'k', 5", "leave out home, digest"),
        ("key, digest", "'k', x'00'", "leave out home, digest"),
        ("key, kind", "'k', 'text'", "cannot store TEXT"),
    ],
)
def test_bad_input_is_refused_in_words(
    store: Kycore, sql: Sql, columns: str, values: str, said: str
) -> None:
    store.save("before", 1)
    with pytest.raises(Refused, match=said):
        sql(f"BEGIN; DELETE FROM kvstore; INSERT INTO kvstore ({columns}) VALUES ({values})")
    with pytest.raises(Refused, match=said):
        sql(f"UPDATE kvstore SET ({columns}, value) = ({values}, 1)")
    assert dict(store.items()) == {"before": 1}
    assert len(store.get_history()) == 1


@pytest.mark.parametrize(
    "change",
    ["seq = 1", "seq = seq + 1", "seq = NULL", "version = 9", "updated_at = 1", "home = 1",
     "digest = x''", "value = 2, version = version + 1"],
)  # fmt: skip
def test_what_kycli_keeps_is_not_for_others_to_write(store: Kycore, sql: Sql, change: str) -> None:
    store.save_many({"a": 1, "b": 1, "c": 1})
    with pytest.raises(Refused, match="kycli: leave out home, digest, version"):
        sql(f"UPDATE kvstore SET {change}")


def test_columns_that_kycli_keeps_may_be_written_as_they_are(store: Kycore, sql: Sql) -> None:
    """As programs with a form for a row do."""
    store.save("k", 1)
    sql("UPDATE kvstore SET value = 2, kind = kind, expires_at = NULL, home = home,"
        "digest = digest, version = 1, seq = seq, updated_at = updated_at")  # fmt: skip
    assert told(store, "k") == [("created", 1, 1), ("overwritten", 2, 2)]


def test_scopes_of_other_scripts_are_taken(store: Kycore, sql: Sql) -> None:
    sql("INSERT INTO kvstore (scope, key, value) VALUES ('größe.東京', 'ключ', 'ü')")
    assert store.getkey("ключ", scope="größe.東京") == "ü"


# -- settings and circumstances of the other program


OWN_TRIGGERS = """
CREATE TABLE own (key, value);
CREATE TRIGGER own_count AFTER INSERT ON kvstore WHEN new.key <> 'count' BEGIN
    UPDATE kvstore SET value = value + 1 WHERE key = 'count';
    REPLACE INTO kvstore (key, value) VALUES ('last', new.key);
END;
CREATE TRIGGER own_change AFTER UPDATE OF value ON kvstore BEGIN
    INSERT INTO own VALUES (new.key, new.value);
END;
CREATE TRIGGER own_upper AFTER INSERT ON kvstore WHEN new.key GLOB 'up*' BEGIN
    UPDATE kvstore SET value = upper(value) WHERE scope = new.scope AND key = new.key;
END;
"""


def test_triggers_of_another_program_write_too(store: Kycore, path: Path, sql: Sql) -> None:
    store.save("count", 0)
    store.save("k", "a")
    store.save("up", "a")
    store.save("gone", "a")
    store.delete("gone")
    tool = apsw.Connection(str(path))
    tool.execute(OWN_TRIGGERS)
    tool.close()
    sql("REPLACE INTO kvstore (key, value) VALUES ('k', 'b'), ('up', 'b');"
        "INSERT INTO kvstore (key, value) VALUES ('upper', 'c'), ('gone', 'c');"
        "UPDATE kvstore SET value = 'd' WHERE key = 'k'")  # fmt: skip
    assert dict(store.items()) == {
        "count": 4, "k": "d", "up": "B", "upper": "C", "gone": "c", "last": "gone"
    }  # fmt: skip
    assert told(store, "k") == [
        ("created", 1, "a"), ("overwritten", 2, "b"), ("overwritten", 3, "d")]  # fmt: skip
    assert version(store, "up") in (2, 3)  # by which trigger comes first
    assert told(store, "gone")[-1] == ("created", 2, "c")
    assert version(store, "count") == 5
    assert sql("SELECT count(*) FROM own WHERE key = 'k'") == "1"
    assert store.check() == []
    store.save("k", "e")  # the engine's own do not set them off
    assert store["count"] == 4


@pytest.mark.parametrize(
    "settings",
    [
        "",
        "PRAGMA recursive_triggers = ON;",
        "PRAGMA foreign_keys = ON;",
        "PRAGMA trusted_schema = OFF;",
        "PRAGMA case_sensitive_like = ON;",
    ],
)
def test_settings_of_the_other_program_do_not_matter(
    store: Kycore, sql: Sql, settings: str
) -> None:
    store.save_many({"a": 1, "b": 2, "c": LARGE})
    sql(f"""{settings}
        BEGIN;
        INSERT INTO kvstore (key, value) VALUES ('d', 1);
        UPDATE kvstore SET value = 5 WHERE key = 'a';
        REPLACE INTO kvstore (key, value) VALUES ('a', 6);
        UPDATE kvstore SET key = 'e' WHERE key = 'd';
        DELETE FROM kvstore WHERE key IN ('b', 'c');
        INSERT INTO kvstore (key, value) VALUES ('b', 3);
        COMMIT""")
    assert dict(store.items()) == {"a": 6, "b": 3, "e": 1}
    assert (version(store, "a"), version(store, "b")) == (3, 2)


def test_what_is_rolled_back_never_was(store: Kycore, sql: Sql) -> None:
    store.save("k", 1)
    sql("BEGIN; UPDATE kvstore SET value = 2; INSERT INTO kvstore (key, value) VALUES ('l', 1); "
        "SAVEPOINT s; DELETE FROM kvstore; ROLLBACK TO s; ROLLBACK")  # fmt: skip
    assert dict(store.items()) == {"k": 1}
    assert len(store.get_history()) == 1


def test_a_database_is_written_where_it_is_attached(
    store: Kycore, path: Path, tmp_path: Path
) -> None:
    store.save("k", 1)
    sql = f"""ATTACH '{path}' AS kycli;
        INSERT INTO kycli.kvstore (key, value) VALUES ('l', 2);
        UPDATE kycli.kvstore SET value = 3 WHERE key = 'k';
        DELETE FROM kycli.kvstore WHERE key = 'l'"""
    by_python(tmp_path / "other.sqlite", sql)
    assert dict(store.items()) == {"k": 3}
    assert told(store, "l") == [("created", 1, 2), ("deleted", 1, None)]
    (tmp_path / "other.sqlite").unlink()


def test_the_number_of_changed_rows_is_that_of_the_statement(store: Kycore, path: Path) -> None:
    store.save_many({"a": 1, "b": 1, "c": 1})
    counts = by_python(
        path,
        "UPDATE kvstore SET value = 2 WHERE key < 'c'; UPDATE kvstore SET key = key || '!';"
        "INSERT INTO kvstore (key, value) VALUES ('x', 1), ('y', 1);"
        "REPLACE INTO kvstore (key, value) VALUES ('x', 1); DELETE FROM kvstore",
        "-c",
    )
    assert counts.split() == ["2", "3", "2", "1", "5"]


def test_a_dump_becomes_a_database_again(store: Kycore, path: Path, tmp_path: Path) -> None:
    """Triggers come last in a dump, so the rows are those that were."""
    if SHELL is None:
        pytest.skip("the sqlite3 shell is not installed")
    store.save_many({"a": 1, "b": LARGE})
    by_shell(path, "UPDATE kvstore SET value = 2 WHERE key = 'a'")
    dump = by_shell(path, ".dump")
    copy = tmp_path / "copy.db"
    marks = "PRAGMA application_id = 0x4B59434C; PRAGMA user_version = 3;"
    by_shell(copy, dump + marks)
    by_shell(copy, "INSERT INTO kvstore (key, value) VALUES ('c', 3)")
    with Kycore(copy) as other:
        assert dict(other.items()) == {"a": 2, "b": LARGE, "c": 3}
        assert told(other, "a") == told(store, "a")


def test_rows_are_imported_from_csv(store: Kycore, path: Path, tmp_path: Path) -> None:
    if SHELL is None:
        pytest.skip("the sqlite3 shell is not installed")
    (tmp_path / "rows.csv").write_text('default,a,"one, and two"\nshop.prod,b,2\n')
    by_shell(path, f".import --csv {tmp_path / 'rows.csv'} kvstore")
    assert store["a"] == "one, and two"
    assert store.getkey("b", scope="shop.prod") == "2"


# -- beside an open store


WRITER = """
import sys, apsw
connection = apsw.Connection(sys.argv[1])
connection.set_busy_timeout(60_000)
print("begun", flush=True)
for number in range(int(sys.argv[2])):
    connection.execute(
        "INSERT INTO kvstore (key, value) VALUES ('shared', 1), (?1, 1) "
        "ON CONFLICT DO UPDATE SET value = value + 1", (f"sql {number % 7}",))
    if number % 5 == 0:
        connection.execute("DELETE FROM kvstore WHERE key = 'removed'")
"""


def test_calls_and_plain_sql_write_at_the_same_time(store: Kycore, path: Path) -> None:
    count = 300
    command = [sys.executable, "-c", WRITER, str(path), str(count)]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.readline()
    seen = [0]
    number = 0
    while any(writer.poll() is None for writer in writers):
        number += 1
        store.incr("shared")
        seen.append(store["shared"])
        store.save("removed", number)
        assert store.getkey("removed") in (number, None)
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    assert seen == sorted(seen)
    assert store["shared"] == 2 * count + number
    assert version(store, "shared") == 2 * count + number
    assert sum(store[f"sql {n}"] for n in range(7)) == 2 * count


@pytest.mark.usefixtures("_both_statements")
def test_just_the_keys_that_changed_leave_the_cache(store: Kycore, sql: Sql) -> None:
    store.save_many((f"k{number}", number) for number in range(50))
    for _ in range(2):
        for number in range(50):
            assert store[f"k{number}"] == number
    assert store.getkey("absent") is None
    before = store.cache_stats()
    sql("UPDATE kvstore SET value = -1 WHERE key = 'k3'; DELETE FROM kvstore WHERE key = 'k4';"
        "REPLACE INTO kvstore (key, value) VALUES ('k5', -5); UPDATE kvstore SET key = 'k60' "
        "WHERE key = 'k6'; INSERT INTO kvstore (key, value) VALUES ('absent', 1)")  # fmt: skip
    found = {number: store.getkey(f"k{number}") for number in range(50)}
    changed = {number: value for number, value in found.items() if value != number}
    assert changed == {3: -1, 4: None, 5: -5, 6: None}
    assert (store["k60"], store["absent"]) == (6, 1)
    after = store.cache_stats()
    assert after["enabled"]
    assert after["flushes"] == before["flushes"]
    assert after["misses"] - before["misses"] == 6 + 1


@pytest.mark.usefixtures("_both_statements")
def test_saves_that_wait_follow_what_plain_sql_wrote(path: Path) -> None:
    with Kycore(path, durability="async") as store:
        for number in range(20):
            store.save("k", number)
        store.flush()
        by_python(path, "REPLACE INTO kvstore (key, value) VALUES ('k', 'sql'), ('l', 1)")
        assert store.getkey("k") == "sql"
        assert store.save("k", "sql") == "nochange"
        assert store.save("l", 2) == "overwritten"
        store.flush()
        assert told(store, "l") == [("created", 1, 1), ("overwritten", 2, 2)]


def test_nothing_of_it_is_left_behind(store: Kycore, sql: Sql) -> None:
    store.save("k", "secret")
    sql("UPDATE kvstore SET value = 'x'; DELETE FROM kvstore;"
        "INSERT INTO kvstore (key, value) VALUES ('k', 'secret');"
        "INSERT OR IGNORE INTO kvstore (key, value) VALUES ('k', 'y')")  # fmt: skip
    assert sql("SELECT count(old_value) FROM sql_before") == "0"


def test_the_engine_executes_no_trigger(store: Kycore, path: Path) -> None:
    by_python(path, "CREATE TRIGGER spy AFTER INSERT ON kvstore BEGIN "
              "SELECT RAISE(ABORT, 'executed'); END")  # fmt: skip
    store.save("k", 1)
    store.delete("k")
    assert [op for op, *_ in told(store, "k")] == ["created", "deleted"]
    with pytest.raises(Refused, match="executed"):
        by_python(path, "INSERT INTO kvstore (key, value) VALUES ('k', 1)")
    by_python(path, "DROP TRIGGER spy")


def test_a_million_rows_need_not_fit_into_a_statement_of_their_own(path: Path) -> None:
    rows = 20_000 if "KYCLI_MANY" not in os.environ else 1_000_000
    with Kycore(path) as store:
        store.save_many((f"key {number:07}", f"value {number}") for number in range(rows // 2))
    by_python(
        path,
        "INSERT INTO kvstore (scope, key, value) WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL "
        f"SELECT i + 1 FROM n WHERE i < {rows // 2 - 1}) SELECT 'more', i, 'value ' || i FROM n; "
        "DELETE FROM kvstore",
    )
    with Kycore(path) as store:
        assert len(store) == 0
        assert store.check() == []
        assert store.get_history("key 0000007")[0].operation == "deleted"
    invariants.check(path)


def test_errors_of_the_store_are_its_own(store: Kycore, sql: Sql) -> None:
    sql("INSERT INTO kvstore (key, value, kind) VALUES ('k', '" + "[" * 900 + "]" * 900 + "', 6)")
    try:
        store.getkey("k")
    except KycliError:
        pass
    sql("DELETE FROM kvstore")
