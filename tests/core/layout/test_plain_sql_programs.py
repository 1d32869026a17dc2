"""What other programs may not write, their settings, and their writes beside an open store."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import apsw
import invariants
import pytest
from core.layout.sql_programs import LARGE, SHELL, Refused, Sql, by_python, by_shell, told, version

from kycli import Kycore
from kycli.errors import KycliError

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
     "digest = x''", "value = 2, version = version + 1", "value = 2, seq = 3",
     "value = 2, seq = (SELECT max(id) FROM audit_log)"],
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
    marks = "PRAGMA application_id = 0x4B59434C; PRAGMA user_version = 4;"
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
