"""Damage is told from health, and an index that is damaged is made anew."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest
from conftest import Clock
from invariants import check as check_invariants

from kycli import Kycore
from kycli.core.doctor import checking as doctor
from kycli.core.doctor.checking import Problem
from kycli.core.search import checking as index_check
from kycli.core.search import indexing
from kycli.core.sql import index_checks
from kycli.core.values import Opaque
from kycli.errors import CorruptError, DiskFullError, MissingKeyError, UnknownChangeError


@pytest.fixture
def filled(path: Path) -> Path:
    """A database with a bit of everything, whose index is built."""
    clock = Clock()
    with Kycore(path, clock=clock) as store:
        store.save_many({f"k{n}": f"apple {n}" for n in range(300)})
        store.save("large", "pear " * 1000)
        store.save("large bytes", bytes(5000), scope="shop.prod")
        store.save("json", {"a": [1, None]})
        store.save("json", {"a": [2, None]})
        store.save("brief", "fig", ttl=10)
        store.expire("k1", 100)
        store.persist("k1")
        store.delete("k2")
        store.save("k2", "again")
        store.delete("k3")
        clock.advance(20)
        store.save("brief", "once more")
        assert len(store.search("apple", limit=None)) == 298
        store.save("late", "not indexed yet")
    return path


def damage(path: Path, *statements: str) -> None:
    tool = apsw.Connection(str(path))
    tool.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
    for statement in statements:
        tool.execute(statement)
    tool.close()


def test_a_sound_database_has_no_problems(filled: Path) -> None:
    with Kycore(filled) as store:
        assert store.check() == []
        assert store.check(repair=True) == []
    with Kycore(":memory:") as store:
        assert store.check() == []


def test_an_import_among_other_writes_of_a_transaction_is_sound(filled: Path) -> None:
    with Kycore(filled, command="a program") as store:
        with store.transaction():
            store.import_rows([("imported", 1)], source="rows")
            store.delete("json")
        with store.transaction():
            store.save("json", 1)
            store.import_rows([("imported", 2)], source="rows")
        assert store.check() == []


def test_a_database_whose_history_was_pruned_is_sound(filled: Path, clock: Clock) -> None:
    clock.advance(86_400 * 100)
    with Kycore(filled, clock=clock) as store:
        store.compact(1)
        assert store.check() == []
        assert store.search("again") == {"k2": "again"}


OLDER = "(SELECT min(id) FROM audit_log WHERE key = '{}')"
DAMAGES = {
    "a key without history": (
        "keys", "1 keys have no change", "DELETE FROM audit_log WHERE id = 5"),
    "a value that nobody saved": (
        "keys", "1 keys differ", "UPDATE kvstore SET value = 'x' WHERE key = 'k5'"),
    "a version that nobody made": (
        "keys", "1 keys differ", "UPDATE kvstore SET version = 9 WHERE key = 'k5'"),
    "an expiry that nobody set": (
        "keys", "1 keys differ", "UPDATE kvstore SET expires_at = 1e15 WHERE key = 'k5'"),
    "a kind from nowhere": (
        "keys", "no known kind",
        "UPDATE kvstore SET kind = 99 WHERE key = 'k5'"),
    "a large value that is gone": (
        "keys", "1 large values are missing",
        "UPDATE audit_log SET value = NULL WHERE key = 'large'"),
    "a large value that is another": (
        "keys", "1 large values are not what was saved",
        "UPDATE audit_log SET value = 'x' WHERE key = 'large'"),
    "a digest of another value": (
        "keys", "1 large values are not what was saved",
        "UPDATE kvstore SET digest = x'00' WHERE key = 'large'"),
    "a large value without a digest": (
        "keys", "1 keys have a value of another kind",
        "UPDATE kvstore SET digest = NULL WHERE key = 'large'"),
    "a large value that is another in the row": (
        "keys", "1 keys differ from their newest change",
        "UPDATE kvstore SET value = 'x' WHERE key = 'large'"),
    "a row that nothing has completed": (
        "keys", "1 keys have no change in the history",
        "INSERT INTO kvstore (key, value) VALUES ('new', 1)"),
    "a chain that leads to another key": (
        "history", "1 changes follow one of another key",
        "UPDATE audit_log SET prev = 1 WHERE key = 'k9'"),
    "a chain that leads nowhere": (
        "history", "1 changes follow one that is not there",
        "UPDATE audit_log SET prev = -1 WHERE key = 'k9'"),
    "an author that is nobody": (
        "history", "1 changes were made by somebody unknown",
        "UPDATE audit_log SET author = 99 WHERE key = 'k9'"),
    "a key that another program removed": (
        "history", "2 keys that live by the history are gone",
        "DELETE FROM kvstore WHERE key IN ('k2', 'k9')"),
    "a value of another kind": (
        "history", "1 changes have a value of another kind",
        f"UPDATE audit_log SET value = 5 WHERE id = {OLDER.format('k2')}"),
    "an older value that is no text": (
        "history", "1 rows cannot be read",
        f"UPDATE audit_log SET value = CAST(x'ff' AS TEXT) WHERE id = {OLDER.format('k2')}"),
    "an older value that is no document": (
        "history", "1 rows cannot be read",
        f"UPDATE audit_log SET value = '[1' WHERE id = {OLDER.format('json')}"),
    "a version that does not go on": (
        "history", "2 changes do not go on from the one before",
        "UPDATE audit_log SET version = 9 WHERE key = 'k1' AND expires_at IS NOT NULL"),
    "a key that was created while it lived": (
        "history", "1 changes do not go on", "UPDATE audit_log SET op = 1 WHERE key = 'json'"),
    "an operation that there is not": (
        "history", "1 changes are of no known kind",
        "UPDATE audit_log SET op = 77 WHERE key = 'k5'"),
    "a removal that has a value": (
        "history", "1 changes are of no known kind",
        "UPDATE audit_log SET kind = 0 WHERE key = 'k3' AND kind IS NULL"),
    "a note of a key": (
        "history", "1 changes are of no known kind",
        f"UPDATE audit_log SET op = 0 WHERE id = {OLDER.format('k2')}"),
    "a part of a change that comes later": (
        "history", "1 changes are no part of what they say",
        "UPDATE audit_log SET change = 9999 WHERE key = 'k9'"),
    "a part of a change by somebody else": (
        "history", "1 changes are no part of what they say",
        "UPDATE audit_log SET pid = pid + 1 WHERE key = 'k9'"),
    "a key that does not know its newest change": (
        "history", "2 changes are newer than their key says",
        f"UPDATE kvstore SET seq = {OLDER.format('k1')} WHERE key = 'k1'"),
    "two changes that follow the same": (
        "history", "1 changes are followed by more than one",
        f"UPDATE audit_log SET prev = {OLDER.format('k1')} WHERE key = 'k1' AND prev > 0"),
    "a chain that goes round": (
        "history", "1 changes follow one of another key, or a later one",
        "UPDATE audit_log SET prev = id WHERE key = 'k1' AND expires_at IS NOT NULL"),
    "a key without a name": (
        "keys", "1 keys have no name", "UPDATE kvstore SET key = '' WHERE key = 'k9'"),
    "a time that nobody saw": (
        "keys", "1 keys differ", "UPDATE kvstore SET updated_at = 5 WHERE key = 'k9'"),
    "an author who is no text": (
        "settings", "not UTF-8", "UPDATE authors SET user = CAST(x'ff' AS TEXT)"),
    "a scope that nobody can declare": (
        "settings", "'a b' cannot be",
        "INSERT INTO sys_namespaces (scope, created_at) VALUES ('a b', 1)"),
    "a limit below zero": (
        "settings", "'a' cannot be",
        "INSERT INTO sys_namespaces (scope, history_days, created_at) VALUES ('a', -1, 1)"),
    "a horizon of no scope": (
        "settings", "'?' goes is known", "INSERT INTO horizon VALUES ('?', 1)"),
    "an archived value that is another": (
        "archive", "1 archived values have another value",
        "UPDATE archive SET value = 'x' WHERE key = 'k3'"),
    "an archived value that is not there": (
        "history", "1 removals have no value in the archive",
        "DELETE FROM archive WHERE key = 'k3'"),
    "an archived value of no kind": (
        "archive", "1 archived values are of no known kind",
        "UPDATE archive SET kind = 77 WHERE key = 'k3'"),
    "a table that is gone": ("file", "the table sweeps is missing", "DROP TABLE sweeps"),
    "a removal that never was": (
        "archive", "another removal", "UPDATE archive SET key = 'k10' WHERE key = 'k3'"),
    "a removal that is lost": (
        "archive", "no removal", "UPDATE archive SET seq = 100000 WHERE key = 'k3'"),
}  # fmt: skip


@pytest.mark.damages
@pytest.mark.parametrize(("part", "what", "statement"), DAMAGES.values(), ids=DAMAGES.keys())
def test_rows_that_do_not_fit_are_reported(
    filled: Path, part: str, what: str, statement: str
) -> None:
    damage(filled, statement)
    with Kycore(filled) as store:
        problems = store.check(repair=True)
        # Nothing was tried that makes it another damage.
        assert store.check() == [problem for problem in problems if not problem.repaired]
    assert any(what in problem.what for problem in problems if problem.part == part), problems
    assert {problem.part for problem in problems if problem.repaired} <= {"index"}


@pytest.mark.damages
def test_a_chain_that_goes_round_ends_all_the_same(filled: Path) -> None:
    damage(filled, "UPDATE audit_log SET prev = id WHERE key = 'k1' AND prev IS NOT NULL")
    with Kycore(filled) as store:
        assert len(store.get_history("k1")) == 1
        assert len(list(store.iter_history("k1", since=0))) == 1
        store.getkey("k1", at=Clock().now / 1000)
        with pytest.raises(MissingKeyError):
            store.restore("k1")
        with pytest.raises(UnknownChangeError):
            store.undo(999)
        store.compact(0)
        assert store["k1"] == "apple 1"


INDEX_DAMAGES = {
    "the words are lost": "DELETE FROM fts_kvstore_data",
    "words are overwritten": "UPDATE fts_kvstore_data SET block = randomblob(length(block))",
    "sizes are no sizes": "UPDATE fts_kvstore_docsize SET sz = x'ffffff'",
    "one size is lost": "UPDATE fts_kvstore_docsize SET sz = NULL WHERE id = 99",
    "the averages are lost": "DELETE FROM fts_kvstore_data WHERE id = 1",
    # SQLite is to allocate more than there is, and ends the transaction.
    "it asks for too much memory": "UPDATE fts_kvstore_data SET "
    "block = x'd0b6ccb27f35098649fbe194349cf54b10' WHERE id = 10",
    "its settings are emptied": "DELETE FROM fts_kvstore_config",
    "its sizes are emptied": "DELETE FROM fts_kvstore_docsize",
    "a key is lost": "DELETE FROM fts_docs WHERE key = 'k7'",
    "a table is lost": "DROP TABLE fts_kvstore_docsize",
    "its settings are lost": "DROP TABLE fts_kvstore_config",
    "the keys are lost": "DROP TABLE fts_docs",
    "its state is lost": "DROP TABLE fts_state",
    "it is said to know more than there is": "UPDATE fts_state SET watermark = 99999",
    "it is said to be in the middle of nowhere": "UPDATE fts_state SET scope = 'default'",
    "a key has another name": "UPDATE fts_docs SET key = 'k7 ' WHERE key = 'k7'",
    "a key has another number": "UPDATE fts_docs SET id = 5000 WHERE key = 'k7'",
    "a text is another": "INSERT OR REPLACE INTO fts_kvstore (rowid, key, value) "
    "SELECT id, 'k7', 'orange 7' FROM fts_docs WHERE key = 'k7'",
    "a text has a word more": "INSERT OR REPLACE INTO fts_kvstore (rowid, key, value) "
    "SELECT id, 'k7', 'apple 7 7' FROM fts_docs WHERE key = 'k7'",
    "a size is another": "UPDATE fts_kvstore_docsize SET sz = x'0103' WHERE id = 99",
    "all of it is lost": "DROP TABLE fts_kvstore",
}


if index_checks.KEEPS_TOTALS:
    INDEX_DAMAGES["it counts other words"] = (
        "UPDATE fts_kvstore_data SET block = x'01818181' WHERE id = 1"
    )


@pytest.mark.damages
@pytest.mark.parametrize("statement", INDEX_DAMAGES.values(), ids=INDEX_DAMAGES.keys())
def test_a_damaged_index_is_made_anew(filled: Path, statement: str) -> None:
    damage(filled, statement)
    with Kycore(filled) as store:
        found = store.check()
        assert {problem.part for problem in found} == {"index"}
        assert not any(problem.repaired for problem in found)
        mended = store.check(repair=True)
        assert mended
        assert all(problem.repaired for problem in mended)
        assert store.check() == []
        assert len(store.search("apple", limit=None)) == 298
        assert store.search("indexed") == {"late": "not indexed yet"}
        assert store["k1"] == "apple 1"
    check_invariants(filled)


MENDED = {
    "a trigger is gone": "DROP TRIGGER kvstore_deleted",
    "a trigger is another": "DROP TRIGGER kvstore_updated; CREATE TRIGGER kvstore_updated "
    "AFTER UPDATE ON kvstore BEGIN SELECT 1; END",
    "an index is gone": "DROP INDEX archive_key",
    "an index is another": "DROP INDEX kvstore_expiry; "
    "CREATE INDEX kvstore_expiry ON kvstore (updated_at)",
    "the table that triggers write to is gone": "DROP TABLE sql_before",
    "the view is gone": "DROP VIEW idx_audit_key",
    "the view of schemas is gone": "DROP VIEW _schemas",
    "a sweep is ahead": "INSERT INTO sweeps VALUES ('history_versions', 99999)",
}


@pytest.mark.damages
@pytest.mark.parametrize("statement", MENDED.values(), ids=MENDED.keys())
def test_what_the_layout_says_is_made_anew(filled: Path, statement: str) -> None:
    damage(filled, statement)
    with Kycore(filled) as store:
        assert len(store.check()) == 1
        (mended,) = store.check(repair=True)
        assert mended.repaired
        assert store.check() == []
    check_invariants(filled)


@pytest.mark.damages
@pytest.mark.parametrize("view", ["sql_after", "sql_gone"])
@pytest.mark.parametrize("statement", ["", "CREATE VIEW {} AS SELECT 1 AS scope, 2 AS key"])
def test_a_view_is_made_anew_with_its_triggers(filled: Path, view: str, statement: str) -> None:
    damage(filled, f"DROP VIEW {view}", statement.format(view))
    with Kycore(filled) as store:
        mended = store.check(repair=True)
        assert len(mended) == 2
        assert all(problem.repaired for problem in mended)
        assert store.check() == []
    tool = apsw.Connection(str(filled))
    tool.execute("UPDATE kvstore SET key = 'renamed' WHERE key = 'k1'")
    tool.close()
    with Kycore(filled) as store:
        assert store["renamed"] == "apple 1"
        assert store.check() == []
    check_invariants(filled)


def without_schema(path: Path, name: str, *statements: str) -> None:
    """Execute statements while SQLite does not know of an index, so that it stays as it was."""
    tool = apsw.Connection(str(path))
    tool.execute("PRAGMA writable_schema = ON")
    row = tool.execute("SELECT * FROM sqlite_schema WHERE name = ?", (name,)).fetchall()[0]
    tool.execute("DELETE FROM sqlite_schema WHERE name = ?", (name,))
    tool.close()
    damage(path, *statements)
    tool = apsw.Connection(str(path))
    tool.execute("PRAGMA writable_schema = ON")
    tool.execute("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", row)
    tool.close()


@pytest.mark.damages
def test_an_index_that_does_not_go_with_its_table_is_made_anew(filled: Path) -> None:
    sooner = "SET expires_at = 1800000000000 WHERE key = 'brief' AND expires_at IS NULL"
    without_schema(
        filled, "kvstore_expiry", f"UPDATE kvstore {sooner}",
        f"UPDATE audit_log {sooner} AND id = (SELECT max(id) FROM audit_log WHERE key = 'brief')",
    )  # fmt: skip
    with Kycore(filled) as store:
        (problem,) = store.check()
        assert problem == ("file", "kvstore: row 1 missing from index kvstore_expiry", False) or (
            "index kvstore_expiry" in problem.what
        )
        assert all(problem.repaired for problem in store.check(repair=True))
        assert store.check() == []
    check_invariants(filled)


@pytest.mark.damages
def test_an_index_that_knows_more_than_its_table_is_not_overruled(filled: Path) -> None:
    without_schema(
        filled, "kvstore_expiry", "UPDATE kvstore SET expires_at = 1e15 WHERE key = 'k5'"
    )
    with Kycore(filled) as store:
        found = store.check(repair=True)
        assert {problem.part for problem in found} == {"file", "keys"}
        assert not any(problem.repaired for problem in found)


@pytest.mark.damages
def test_pages_that_nobody_uses_are_got_rid_of(filled: Path) -> None:
    with Kycore(filled) as store:
        store.save("x", "y" * 50_000)
        store.delete("x")
        store.compact(0, vacuum=False)
    content = bytearray(filled.read_bytes())
    assert int.from_bytes(content[36:40], "big") > 5  # so many pages are free
    content[32:40] = bytes(8)  # and now nobody knows
    filled.write_bytes(content)
    with Kycore(filled) as store:
        assert {problem.part for problem in store.check()} == {"file"}
        assert all(problem.repaired for problem in store.check(repair=True))
        assert store.check() == []
        assert len(store.search("apple", limit=None)) == 298
    check_invariants(filled)


@pytest.mark.damages
def test_mending_that_has_no_space_leaves_what_there_is(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(filled, "DROP TABLE fts_kvstore_config")

    def full(*args: object) -> None:
        raise DiskFullError("no space is left on the device")

    with monkeypatch.context() as patch:
        patch.setattr(doctor, "_rewrite", full)
        with Kycore(filled) as store:
            found = store.check(repair=True)
            assert not any(problem.repaired for problem in found)
            assert found[-1].what == "no space is left on the device"
            assert store["k1"] == "apple 1"
    with Kycore(filled) as store:
        assert all(problem.repaired for problem in store.check(repair=True))
    check_invariants(filled)


def test_what_nobody_can_open_and_what_others_add_is_no_damage(path: Path) -> None:
    with Kycore(path) as store:
        store.save("sealed", Opaque("enc:AAAA"))
        store.save("large sealed", Opaque("enc:" + "A" * 5000))
        store.save("sealed", Opaque("enc:BBBB"))
        store.save("document", [1, Opaque("enc:CCCC"), float("nan"), b"bytes", {"$base64": 1}])
        store.save_many({str(n): value for n, value in enumerate([0.0, -0.0, float("nan"), 2**99])})
        store.delete("large sealed")
        store.search("sealed")
        assert store.check() == []
    damage(
        path, "CREATE TABLE mine (x)", "CREATE INDEX mine_x ON mine (x)",
        "ALTER TABLE kvstore ADD COLUMN note TEXT", "CREATE VIEW names AS SELECT key FROM kvstore",
    )  # fmt: skip
    with Kycore(path) as store:
        assert store.check() == []


@pytest.mark.parametrize("length", [396, 399, 400, 401, 402, 512, 5000])
def test_words_of_any_length_are_no_damage(path: Path, length: int) -> None:
    with Kycore(path) as store:
        store.save("word", "x" * length)
        store.save("words", f"one two three {'y' * (length - 14)} four")
        store.save("letters", "京" * length)
        store.save("composed", "e\u0301" * length)
        store.search("one")
        assert store.check() == []


def test_what_is_not_mended_is_listed_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise CorruptError("no words")

    with Kycore(path) as store:
        monkeypatch.setattr(index_check, "check", lambda store: ["no words"])
        assert store.check(repair=True) == [Problem("index", "no words")]
        monkeypatch.setattr(indexing, "rebuild", fail)
        assert store.check(repair=True) == [Problem("index", "no words")]


@pytest.mark.damages
def test_a_damaged_page_is_reported(filled: Path) -> None:
    with apsw.Connection(str(filled)) as connection:
        connection.pragma("wal_checkpoint(truncate)")
        root = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'kvstore'").get
    connection.close()
    with filled.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)
    with Kycore(filled) as store:
        problems = store.check(repair=True)
    assert {problem.part for problem in problems} == {"file"}


def test_problems_are_named() -> None:
    assert Problem("index", "gone") == ("index", "gone", False)
