"""Who changed it, and what was changed together."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Clock

from kycli import Kycore
from kycli.errors import MisuseError

SIGNED = """
SELECT a.key, a.author, a.pid, coalesce(a.change, a.id), w.user, w.host, w.command
FROM audit_log a LEFT JOIN authors w ON w.id = a.author ORDER BY a.id"""


def changes(store: Kycore) -> list[tuple[str, int]]:
    """Return the key and the change id of each row of the history."""
    return [(row[0], row[3]) for row in store._query(SIGNED)]


def test_a_change_is_signed_with_user_host_process_and_command(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    with Kycore(path, command="kys") as store:
        store.save("k", 1)
        assert store._query(SIGNED) == [("k", 1, os.getpid(), 1, "ada", os.uname().nodename, "kys")]


def test_a_user_name_in_another_encoding_is_kept_readable(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "LOGNAME", os.fsdecode(b"ad\xe4"))
    with Kycore(path) as store:
        store.save("k", 1)
        assert store._query("SELECT user FROM authors") == [("ad\\udce4",)]


def test_without_the_environment_the_system_knows_the_user(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    with Kycore(path) as store:
        store.save("k", 1)
        expected = subprocess.run(["id", "-un"], capture_output=True, text=True, check=False)
        assert store._query("SELECT user FROM authors") == [
            (expected.stdout.strip() or str(os.getuid()),)
        ]


def test_what_repeats_is_stored_once(path: Path) -> None:
    for number in range(3):
        with Kycore(path, command="kys") as store:
            store.save("k", number)
    with Kycore(path) as store:
        store.save("k", "by no command")
        assert store._query("SELECT count(*) FROM authors") == [(2,)]


def test_each_call_is_a_change_of_its_own(store: Kycore) -> None:
    store.save("a", 1)
    store.save("b", "x" * 1000)
    store.delete("a")
    store.incr("n")
    assert changes(store) == [("a", 1), ("b", 2), ("a", 3), ("n", 4)]


def test_a_transaction_is_one_change(store: Kycore) -> None:
    store.save("a", 1)
    with store.transaction():
        store.save("a", 2)
        store.save_many({"b": 1, "c": "x" * 1000})
        with store.transaction():
            store.delete("b")
    store.save("a", 3)
    assert changes(store) == [("a", 1), ("a", 2), ("b", 2), ("c", 2), ("b", 2), ("a", 6)]


def test_all_that_a_command_does_is_one_change(path: Path) -> None:
    with Kycore(path, command="kycli import") as store, Kycore(path) as other:
        store.save("a", 1)
        other.save("x", 1)
        store.save("b", 1)
        store.delete("a")
        assert changes(other) == [("a", 1), ("x", 2), ("b", 1), ("a", 1)]


def test_a_command_takes_no_id_that_became_somebody_elses(path: Path) -> None:
    with Kycore(path, command="kycli import") as store, Kycore(path) as other:
        with pytest.raises(ZeroDivisionError), store.transaction():
            store.save("a", 1)
            raise ZeroDivisionError
        other.save("x", 1)
        store.save("b", 1)
        with store.transaction():
            pass
        store.save("c", 1)
        assert changes(store) == [("x", 1), ("b", 2), ("c", 2)]


def test_nobody_made_a_key_expire(store: Kycore, clock: Clock) -> None:
    store.save("a", 1, ttl=1)
    store.save("b", 1, ttl=1)
    clock.now += 2000
    store.save("a", 2)
    assert store.getkey("b") is None
    rows = store._query("SELECT key, author, pid, change FROM audit_log WHERE op = 4 ORDER BY key")
    assert rows == [("a", None, None, None), ("b", None, None, None)]


def test_the_expiry_of_what_is_written_over_is_no_part_of_the_change(
    store: Kycore, clock: Clock
) -> None:
    store.save("a", 1, ttl=1)
    clock.now += 2000
    with store.transaction():
        store.save("a", 2)
        store.save("b", 2)
    assert changes(store) == [("a", 1), ("a", 2), ("a", 3), ("b", 3)]


def test_an_author_noted_in_a_transaction_that_was_rolled_back_is_known(path: Path) -> None:
    with Kycore(path) as store:
        with pytest.raises(ZeroDivisionError), store.transaction():
            store.save("a", 1)
            raise ZeroDivisionError
        store.save("a", 2)
        assert len(store._query("SELECT * FROM authors")) == 1


def test_a_child_signs_with_its_own_process(path: Path) -> None:
    with Kycore(path) as store:
        store.save("parent", 1)
        pid = os.fork()
        if not pid:
            store.save("child", 1)
            os._exit(0)
        os.waitpid(pid, 0)
        rows = store._query("SELECT key, pid FROM audit_log ORDER BY id")
        assert rows == [("parent", os.getpid()), ("child", pid)]


def test_the_command_line_gives_its_name(path: Path) -> None:
    program = [sys.executable, "-c", "import sys, kycli.cli; sys.exit(kycli.cli.main())"]
    subprocess.run([*program, "-d", str(path), "set", "k", "v"], check=True)
    with Kycore(path) as store:
        assert store._query("SELECT command FROM authors") == [("kycli set",)]


def test_a_store_can_write_for_one_command_after_the_other(path: Path) -> None:
    with Kycore(path, command="kycli batch") as store:
        store.save("a", 1)
        store.write_as("kycli set")
        store.save("b", 1)
        store.save("c", 1)
        store.write_as("kycli set")
        store.save_many({"d": 1, "e": 1})
        store.write_as(None)
        store.save("f", 1)
        store.save("g", 1)
        changes = {change.key: change for change in store.get_history()}
        assert [changes[key].command for key in "abcdefg"] == [
            *("kycli batch", "kycli set", "kycli set", "kycli set", "kycli set", "", "")
        ]
        ids = [changes[key].change for key in "abcdefg"]
        assert ids[1] == ids[2]
        assert ids[3] == ids[4]
        assert len(set(ids)) == 5
        store.write_as("kycli undo")
        assert store.undo(ids[3]) == 2
        assert store.listkeys() == [*"abcfg"]


def test_a_transaction_has_one_author(store: Kycore) -> None:
    store.write_as("kycli set")
    with store.transaction():
        store.save("a", 1)
        with pytest.raises(MisuseError, match="one author"):
            store.write_as("kycli del")
    with store.snapshot(), pytest.raises(MisuseError):
        store.write_as("kycli del")
    assert [change.command for change in store.get_history()] == ["kycli set"]


def test_a_store_that_failed_to_write_begins_another_change_all_the_same(path: Path) -> None:
    with Kycore(path, command="kys") as store:
        store.save("a", 1)
        for command in ("kyd", "kys"):
            store.write_as(command)
            with pytest.raises(ValueError, match="transaction"), store.transaction():
                store.save("a", 2)
                raise ValueError("transaction")
        store.write_as("kyd")
        store.delete("a")
        newest, oldest = store.get_history("a")
        assert (newest.command, oldest.command) == ("kyd", "kys")
        assert newest.change != oldest.change
