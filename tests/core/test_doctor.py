"""Damage is told from health, and an index that is damaged is made anew."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest
from conftest import Clock
from invariants import check as check_invariants

from kycli import Kycore
from kycli.core import indexing
from kycli.core.doctor import Problem
from kycli.errors import CorruptError


@pytest.fixture
def filled(path: Path) -> Path:
    """A database with a bit of everything, whose index is built."""
    clock = Clock()
    with Kycore(path, clock=clock) as store:
        store.save_many({f"k{n}": f"apple {n}" for n in range(300)})
        store.save("large", "pear " * 1000)
        store.save("large bytes", bytes(5000), scope="shop.prod")
        store.save("json", {"a": [1, None]})
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


def test_a_database_whose_history_was_pruned_is_sound(filled: Path, clock: Clock) -> None:
    clock.advance(86_400 * 100)
    with Kycore(filled, clock=clock) as store:
        store.compact(1)
        assert store.check() == []
        assert store.search("again") == {"k2": "again"}


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
    assert any(what in problem.what for problem in problems if problem.part == part), problems
    assert not any(problem.repaired for problem in problems if problem.part == part)


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
    "all of it is lost": "DROP TABLE fts_kvstore",
}


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
        monkeypatch.setattr(indexing, "check", lambda store: ["no words"])
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
