"""A change of which a part was pruned is not taken back by halves, and ends when it ended."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import invariants
import pytest
from conftest import Clock

from kycli import Kycore
from kycli.errors import ConflictError, UnknownChangeError

DAY = 86_400
PRUNED = "a part of change {} was pruned"


def newest(store: Kycore, scope: str | None = None) -> int:
    return store.get_history(limit=1, scope=scope)[0].change


def marks(store: Kycore) -> list[str]:
    return [scope for (scope,) in store._query("SELECT scope FROM horizon WHERE scope GLOB '#*'")]


@contextlib.contextmanager
def all_as_it_was(store: Kycore) -> Iterator[None]:
    before = [list(store.entries(scope=scope)) for scope in store.scopes()]
    yield
    assert [list(store.entries(scope=scope)) for scope in store.scopes()] == before


@pytest.mark.parametrize("command", [None, "kycli load"])
def test_half_of_a_change_is_not_taken_back(path: Path, clock: Clock, command: str | None) -> None:
    with Kycore(path, clock=clock) as other:
        other.set_scope("short", history_versions=1)
        other.save("long", 0)
        other.save("hot", 0, scope="short")
        with Kycore(path, clock=clock, command=command) as store, store.transaction():
            store.save("long", 1)
            store.save("hot", 1, scope="short")
        change = newest(other)
        for number in range(70):
            clock.advance(1)
            other.save("hot", 2 + number, scope="short")
        clock.advance(1)
        other.save("hot", "last", scope="short")
        for force in (False, True):
            with all_as_it_was(other), pytest.raises(
                UnknownChangeError, match=PRUNED.format(change)
            ):  # fmt: skip
                other.undo(change, force=force)
        with pytest.raises(UnknownChangeError, match=PRUNED.format(change)):
            other.undo()  # it is the newest of the scope
        # Other changes of the same scopes are as whole as ever.
        other.save("long", 2)
        assert other.undo() == 1
        assert other["long"] == 1
    invariants.check(path)


@pytest.mark.parametrize("order", [("stays", "goes"), ("goes", "stays")])
def test_a_change_whose_removal_is_forgotten_is_refused(
    store: Kycore, clock: Clock, order: tuple[str, str]
) -> None:
    store.set_scope("brief", history_days=1, archive_days=1)
    store.save("stays", 0)
    store.save("goes", 0, scope="brief")
    clock.advance(1)
    with store.transaction():
        for key in order:
            if key == "goes":
                store.delete(key, scope="brief")
            else:
                store.save(key, 1)
    change = newest(store)
    clock.advance(3 * DAY)
    store.save("another", 1)
    store.compact(1000)
    assert store.get_history(scope="brief") == []
    for force in (False, True):
        with all_as_it_was(store), pytest.raises(UnknownChangeError, match=f"change {change}"):
            store.undo(change, force=force)


def test_a_change_in_one_scope_of_which_a_key_went_on_is_refused(
    store: Kycore, clock: Clock
) -> None:
    store.save_many({"a": 1, "b": 1, "c": 1})
    change = newest(store)
    clock.advance(10)
    store.save("b", 2)
    with pytest.raises(ConflictError, match="'b'"):
        store.undo(change)
    clock.advance(10 * DAY)
    store.compact(1)
    with all_as_it_was(store), pytest.raises(UnknownChangeError, match=PRUNED.format(change)):
        store.undo(change, force=True)


def test_a_change_is_whole_as_long_as_nothing_of_it_went(store: Kycore, clock: Clock) -> None:
    """However much goes around it, in the same scopes and in between its ids."""
    store.set_scope("short", history_versions=1)
    for number in range(100):
        store.save("hot", number, scope="short")
    with store.transaction():
        store.save("a", 1)
        store.save("b", 1, scope="short")
    change = newest(store)
    for number in range(100):
        store.save("hot", number, scope="short")
    clock.advance(1)
    store.compact(1000)
    assert store._query("SELECT count(*) < 10 FROM audit_log") == [(1,)]
    assert marks(store) == []
    # What was pruned may have been at the same moment, and so be older than the change.
    with pytest.raises(UnknownChangeError, match="too long ago"):
        store.undo(change)
    with store.transaction():
        store.save("a", 2)
        store.save("b", 2, scope="long")
    change = newest(store)
    clock.advance(1)
    for number in range(100):
        store.save("hot", number, scope="short")
    store.compact(1000)
    assert store.undo(change) == 2


def test_a_mark_goes_with_the_last_row_of_its_change(store: Kycore, clock: Clock) -> None:
    store.set_scope("short", history_versions=1)
    with store.transaction():
        store.save("a", 1)
        store.save("b", 1, scope="short")
    change = newest(store)
    clock.advance(1)
    store.save("b", 2, scope="short")
    store.compact(1000)
    assert marks(store) == [f"#{change}"]
    assert sorted(store.scope_settings()) == ["short"]
    clock.advance(1)
    store.save("a", 2)
    clock.advance(10 * DAY)
    store.compact(1)
    assert marks(store) == []
    with pytest.raises(UnknownChangeError, match="too long ago"):
        store.undo(change)


def test_commands_of_one_key_leave_no_marks(path: Path, clock: Clock) -> None:
    with Kycore(path, clock=clock) as store:
        store.set_scope("default", history_versions=1)
    for number in range(40):
        with Kycore(path, clock=clock, command="kys") as store:
            store.save("k", number)
            store.save_many({"k": -number, "l": -number})
    with Kycore(path, clock=clock) as store:
        store.compact(1000)
        assert len(marks(store)) <= 1
        assert store._query("SELECT count(*) FROM audit_log") == [(2,)]


def test_an_import_in_part_pruned_is_refused_as_a_whole(store: Kycore, clock: Clock) -> None:
    """Its first row is a note to the caches, and what had expired in it is no part of it."""
    now = clock.now
    store._query(
        "INSERT INTO audit_log (scope, key, op, version, timestamp, change) "
        "VALUES ('', '', 0, 0, ?1, 1)", (now,)
    )  # fmt: skip
    store._query(
        "INSERT INTO audit_log (scope, key, op, version, timestamp, kind) "
        "VALUES ('default', 'gone', 4, 1, ?1, NULL)", (now - 2,)
    )  # fmt: skip
    row = (
        "INSERT INTO audit_log (scope, key, value, kind, op, version, prev, timestamp, change) "
        "VALUES ('default', ?1, ?2, 2, 7, ?2, ?3, ?4, 1)"
    )
    for key, version, prev in (("a", 1, None), ("a", 2, 3), ("b", 1, None)):
        store._query(row, (key, version, prev, now - 1))
    store._query(
        "INSERT INTO kvstore (scope, key, value, kind, version, seq, updated_at) "
        "VALUES ('default', 'a', 2, 2, 2, 4, ?1), ('default', 'b', 1, 2, 1, 5, ?1)", (now,)
    )  # fmt: skip
    clock.advance(10 * DAY)
    store.save("late", 1)
    store.compact(1)
    assert marks(store) == ["#1"]
    left = store._query("SELECT id FROM audit_log WHERE id <= 6 ORDER BY id")
    assert left == [(1,), (4,), (5,), (6,)]
    with all_as_it_was(store), pytest.raises(UnknownChangeError, match=PRUNED.format(1)):
        store.undo(1, force=True)


@pytest.mark.parametrize("limit", [{"history_versions": 1}, {"history_days": 0}])
def test_a_time_amidst_a_transaction_is_before_it_where_its_end_was_pruned(
    store: Kycore, clock: Clock, limit: dict[str, int]
) -> None:
    store.save("a", 0)
    clock.advance(1)
    with store.transaction():
        store.save("a", 1)
        clock.advance(10)
        store.save("b", 1, scope="short")
    clock.advance(10)
    store.save("b", 2, scope="short")
    clock.advance(10)
    store.set_scope("short", **limit)
    store.compact(1000)
    assert store._query("SELECT count(*) FROM audit_log WHERE scope = 'short'") == [(1,)]
    assert store.getkey("a", at="25s ago") == 0
    assert store.getkey("a", at="20s ago") == 1
    assert store.restore_to("25s ago") == 1
    assert store["a"] == 0


def test_the_past_is_found_where_two_transactions_are_left_in_part(
    store: Kycore, clock: Clock
) -> None:
    """Before the second, and amidst the first, of which the rows in one scope are gone."""
    with store.transaction():
        for scope, key in (("default", "a"), ("kept", "b"), ("default", "c")):
            clock.advance(2)
            store.save(key, 1, scope=scope)
    assert store.undo() == 3
    store.set_scope("default", history_days=0, archive_days=0)
    store.compact(15)
    assert [change.key for change in store.get_history(scope="kept")] == ["b", "b"]
    assert list(store.differences("1s ago", "kept")) == []
    assert store.getkey("b", scope="kept", at="3s ago") is None
