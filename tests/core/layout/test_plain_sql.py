"""Any SQLite program may write ``kvstore``: history, search, caches and versions follow."""

from __future__ import annotations

import getpass
import json
import re
import sys
import time
import unicodedata
from pathlib import Path

import apsw
import pytest
from core.layout.sql_programs import LARGE, Refused, Sql, told, version

from kycli import Kycore
from kycli.core.layout.letters import UPPER_CASE

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


@pytest.mark.parametrize("key", ["Äpfel", "apfelÄ", "ЖУК", "ĳĲ", "Ωmega", "ｋＥＹ", "𐐀"])
def test_upper_case_of_any_script_is_refused_there_too(store: Kycore, sql: Sql, key: str) -> None:
    store._query("INSERT INTO sys_namespaces (scope, fold_keys, created_at) VALUES ('folds', 1, 1)")
    with pytest.raises(Refused, match="kycli: keys of this scope are in lower case"):
        sql(f"INSERT INTO kvstore (scope, key, value) VALUES ('folds', '{key}', 1)")
    sql(f"INSERT INTO kvstore (scope, key, value) VALUES ('folds', '{key.lower()}', 1), "
        f"('folds', 'straße, ŉ, 日本', 2), ('other', '{key}', 3)")  # fmt: skip
    assert store.getkey(key, scope="folds") == 1
    assert store.getkey("STRAßE, ŉ, 日本", scope="folds") == 2
    assert store.getkey(key, scope="other") == 3


def test_the_layout_knows_the_letters_that_python_knows() -> None:
    pieces = re.findall(r"(.)-(.)|(.)", UPPER_CASE[2:-2], re.DOTALL)
    known = {
        code
        for first, last, alone in pieces
        for code in range(ord(first or alone), ord(last or alone) + 1)
    }
    characters = (code for code in range(128, sys.maxunicode + 1) if not 0xD800 <= code < 0xE000)
    upper = {code for code in characters if chr(code).lower() != chr(code)}
    assert known <= upper
    assert known == upper or unicodedata.unidata_version != "14.0.0"


# -- schemas


def test_schemas_are_a_view_for_other_programs(store: Kycore, path: Path, sql: Sql) -> None:
    assert sql("SELECT count(*) FROM _schemas") == "0"
    wide = {f"member {number}": "int = 0" for number in range(50)}
    store.create_table("users", {"name": "str"})
    store.create_table("wide", wide)
    store.set_schema("users", {"name": "str", "age": "int?"})
    store.create_table("gone", "str")
    store.drop_schema("gone")
    select = "SELECT scope, version, updated_at, json_extract(definition, '$.shapes[0].definition')"
    rows = [row.split("|") for row in sql(f"{select} FROM _schemas ORDER BY scope").splitlines()]
    made = {scope: store.schema(scope=scope) for scope in store.schemas()}
    assert [(row[0], int(row[1]), int(row[2]), json.loads(row[3])) for row in rows] == [
        (scope, found.version, found.updated_at, found.shapes[0].definition)
        for scope, found in made.items()
        if found is not None
    ]
    assert json.loads(rows[1][3]) == wide
    said = sql("SELECT user, host, command FROM _schemas WHERE scope = 'users'")
    assert said.split("|")[0] == getpass.getuser()


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO _schemas (scope, definition) VALUES ('users', '{}')",
        "UPDATE _schemas SET definition = '{}'",
        "DELETE FROM _schemas",
    ],
)
def test_schemas_are_not_written_by_plain_sql(store: Kycore, sql: Sql, statement: str) -> None:
    store.create_table("users", {"name": "str"})
    with pytest.raises(Refused, match="cannot modify _schemas because it is a view"):
        sql(statement)
    for other in (
        "INSERT INTO kvstore (scope, key, value) VALUES ('#schemas', 'more', '{}')",
        "UPDATE kvstore SET value = '{}'",
    ):
        with pytest.raises(Refused, match="kycli: a scope is PROJECT"):
            sql(other)
    assert store.schemas() == ["users"]


def test_limits_hold_for_what_plain_sql_wrote(store: Kycore, sql: Sql) -> None:
    store.set_scope("s", history_versions=2)
    for number in range(6):
        sql(f"REPLACE INTO kvstore (scope, key, value) VALUES ('s', 'k', {number})")
    for number in range(100):
        store.save("other", number, scope="s")
    assert [change.value for change in store.get_history("k", scope="s")] == [5, 4]
    store.compact(0, vacuum=False)
    assert store.getkey("k", scope="s") == 5
