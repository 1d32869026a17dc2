"""Reading what was: changes newest first, and keys as they were at a time."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import Clock

from kycli import Kycore
from kycli.core.history import changes as history
from kycli.core.history.times import time_text
from kycli.core.sql import log
from kycli.errors import InvalidKeyError, InvalidTimeError, InvalidValueError

START = 1_700_000_000_000  # 2023-11-14 22:13:20 UTC, where the clock stands at first


def told(changes: list[Any]) -> list[tuple[Any, ...]]:
    return [(c.key, c.value, c.operation, c.version) for c in changes]


def test_changes_come_newest_first_with_all_that_is_known(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    with Kycore(path, clock=clock, command="kys") as store:
        store.save("k", [1, {"a": b"x"}])
        clock.advance(1.5)
        store.save("k", "two", ttl=60)
        newest, oldest = store.get_history("k")
    assert newest[:3] == ("k", "two", "2023-11-14 22:13:21.500")
    assert newest == (
        "k", "two", "2023-11-14 22:13:21.500", "overwritten", 2, 1, "default",
        START + 61_500, "ada", os.uname().nodename, os.getpid(), "kys",
    )  # fmt: skip
    assert oldest[:5] == ("k", [1, {"a": b"x"}], "2023-11-14 22:13:20.000", "created", 1)


def test_every_operation_has_a_name(store: Kycore, clock: Clock) -> None:
    store.save("k", 1)
    store.save("k", 2)
    store.expire("k", 10)
    clock.advance(10)
    assert "k" not in store
    store.restore("k")
    store.delete("k")
    assert told(store.get_history("k")) == [
        ("k", None, "deleted", 3),
        ("k", 2, "restored", 3),
        ("k", None, "expired", 2),
        ("k", 2, "lifetime", 2),
        ("k", 2, "overwritten", 2),
        ("k", 1, "created", 1),
    ]


def test_a_key_that_expired_unnoticed_is_seen_to_have_expired(store: Kycore, clock: Clock) -> None:
    store.save("k", 1, ttl=5)
    clock.advance(5)
    assert [c.operation for c in store.get_history("k")] == ["expired", "created"]


def test_a_lifetime_keeps_the_value_however_often_it_is_renewed(
    store: Kycore, clock: Clock
) -> None:
    long = "x" * 2000
    store.save("k", long)
    store.save("n", None)
    for _ in range(1200):
        clock.advance(1)
        store.expire("k", 100)
        store.expire("n", 100)
    assert {c.value for c in store.iter_history("k")} == {long}
    assert {c.value for c in store.iter_history("n")} == {None}
    assert len(store.get_history("k")) == 1201
    assert [c.value for c in store.iter_history() if c.key == "k"] == [long] * 1201
    clock.advance(-600)
    assert store.getkey("k", at=clock.now / 1000) == long


def test_a_scope_shows_its_own_changes_and_no_others(store: Kycore) -> None:
    store.save("a", 1)
    store.save("a", 2, scope="other")
    store.save("b", 3)
    assert told(store.get_history()) == [("b", 3, "created", 1), ("a", 1, "created", 1)]
    assert told(store.get_history(scope="other")) == [("a", 2, "created", 1)]
    assert store.get_history("a", scope="nowhere") == []
    assert store.get_history("missing") == []


def test_a_limit_ends_the_history(store: Kycore) -> None:
    for number in range(10):
        store.save("k", number)
    assert [c.value for c in store.get_history("k", limit=3)] == [9, 8, 7]
    assert [c.value for c in store.get_history(limit=3)] == [9, 8, 7]
    assert store.get_history("k", limit=0) == store.get_history(limit=0) == []
    with pytest.raises(InvalidValueError):
        store.get_history(limit=-1)


def test_since_and_until_are_both_included(store: Kycore, clock: Clock) -> None:
    for number in range(10):
        store.save("k", number)
        store.save("other", number)
        clock.advance(1)
    since, until = START / 1000 + 3, START / 1000 + 5
    for key in ("k", None):
        changes = store.get_history(key, since=since, until=until)
        assert [c.value for c in changes if c.key == "k"] == [5, 4, 3]
    assert [c.value for c in store.get_history("k", until=until, limit=2)] == [5, 4]
    assert [c.value for c in store.get_history("k", since=time_text(START + 8000))] == [9, 8]
    assert [c.value for c in store.get_history("k", since="2.5s ago")] == [9, 8]
    day = datetime(2023, 11, 14, tzinfo=UTC)
    assert len(store.get_history("k", since=day)) == 10
    assert store.get_history("k", until=day) == []


def test_pages_of_any_size_make_the_same_history(
    store: Kycore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        clock.advance(1)
        store.save(f"k{number % 3}", "x" * (number * 50))
        store.save("k", number, scope="other")
    whole = store.get_history()
    of_key = store.get_history("k1")
    for rows, size, scanned in ((1, 1, 1), (3, 1, 7), (7, 700, 2), (100, 1500, 10)):
        monkeypatch.setattr(log, "PAGE_ROWS", rows)
        monkeypatch.setattr(log, "PAGE_BYTES", size)
        monkeypatch.setattr(log, "SCAN_ROWS", scanned)
        assert store.get_history() == whole
        assert store.get_history("k1") == of_key
        assert store.get_history(limit=5, until="10s ago") == whole[10:15]
        assert store.get_history("k1", since="20s ago", until="10s ago") == [
            c for c in whole[10:21] if c.key == "k1"
        ]


def test_streaming_keeps_no_transaction_open(path: Path, store: Kycore) -> None:
    for number in range(2000):
        store.save("k", number)
    changes = store.iter_history("k")
    assert next(changes).value == 1999
    with Kycore(path, busy_timeout_ms=0) as other:
        other.save("k", "meanwhile")
        assert other._query("PRAGMA wal_checkpoint(TRUNCATE)") == [(0, 0, 0)]
    assert [c.value for c in changes] == list(range(1998, -1, -1))


def test_the_history_goes_on_after_a_key_was_deleted_and_created_again(store: Kycore) -> None:
    for number in range(3):
        store.save("k", number)
        store.delete("k")
    assert [(c.operation, c.version) for c in store.get_history("k")] == [
        ("deleted", 3), ("created", 3), ("deleted", 2), ("created", 2),
        ("deleted", 1), ("created", 1),
    ]  # fmt: skip


def test_the_history_is_that_of_the_scope_also_under_a_new_name(store: Kycore) -> None:
    store.save("k", 1, scope="old")
    store.rename_scope("old", "new")
    assert told(store.get_history(scope="new")) == [("k", 1, "created", 1)]
    assert store.get_history("k", scope="new")[0].scope == "new"


@pytest.mark.parametrize("bounds", [{"since": "tomorrow"}, {"until": "2999-01-01"}, {"since": []}])
def test_bad_times_are_refused_at_once(store: Kycore, bounds: dict[str, Any]) -> None:
    with pytest.raises(InvalidTimeError):
        store.iter_history("k", **bounds)


def test_since_later_than_until_is_refused(store: Kycore) -> None:
    with pytest.raises(InvalidTimeError, match="is later than"):
        store.get_history(since="1m ago", until="2m ago")


def test_a_bad_key_is_refused_at_once(store: Kycore) -> None:
    with pytest.raises(InvalidKeyError):
        store.iter_history("")


# ---------------------------------------------------------------- a time in the past


def test_a_key_is_read_as_it_was(store: Kycore, clock: Clock) -> None:
    store.save("k", "one")
    clock.advance(10)
    store.save("k", "x" * 1000)
    clock.advance(10)
    store.delete("k")
    clock.advance(10)
    store.save("k", "four")
    then = [store.getkey("k", "none", at=START / 1000 + s) for s in (0, 9.999, 10, 20, 29.999, 30)]
    assert then == ["one", "one", "x" * 1000, "none", "none", "four"]
    entry = store.get_entry("k", at="15s ago")
    assert entry is not None
    assert (entry.version, entry.updated_at) == (2, START + 10_000)
    assert store["k"] == "four"
    assert store.getkey("never", at="15s ago") is None


def test_a_key_was_gone_once_it_had_expired_whenever_that_was_noticed(
    store: Kycore, clock: Clock
) -> None:
    store.save("k", 1, ttl=5)
    clock.advance(60)
    for _ in range(2):
        assert store.getkey("k", at=START / 1000 + 4.999) == 1
        assert store.getkey("k", at=START / 1000 + 5) is None
        assert "k" not in store  # and now it was noticed


def test_a_transaction_counts_from_its_end(store: Kycore, clock: Clock) -> None:
    store.save("a", 0)
    with store.transaction():
        for key in "abc":
            clock.advance(1)
            store.save(key, 1)
    seen = [[store.getkey(key, at=START / 1000 + second) for key in "abc"] for second in range(4)]
    assert seen == [[0, None, None]] * 3 + [[1, 1, 1]]


def test_what_a_command_had_done_by_then_counts(path: Path, clock: Clock) -> None:
    with Kycore(path, clock=clock, command="kycli load") as store:
        for number in range(5):
            store.save("k", number)
            clock.advance(10)
        assert [store.getkey("k", at=START / 1000 + second) for second in (5, 15, 45)] == [0, 1, 4]


@pytest.fixture
def imported(store: Kycore, clock: Clock) -> Kycore:
    """A store in which a past of a year ago was imported, ten seconds after its first change."""
    store.save("own", 1)
    clock.advance(10)
    then = clock.now - 365 * 86_400_000
    with store.transaction():
        store._query(
            "INSERT INTO audit_log (scope, key, op, version, timestamp, change)"
            " VALUES ('', '', 0, 0, ?1, 2)", (clock.now,),
        )  # fmt: skip
        for number in range(3):
            old = (number + 3, f"old{number}", then + number * 1000)
            store._query(
                "INSERT INTO audit_log (id, scope, key, value, kind, op, version, timestamp,"
                " change) VALUES (?1, 'default', ?2, 'old', 0, 7, 1, ?3, 2)", old,
            )  # fmt: skip
            store._query(
                "INSERT INTO kvstore (seq, scope, key, value, kind, version, updated_at)"
                " VALUES (?1, 'default', ?2, 'old', 0, 1, ?3)", old,
            )  # fmt: skip
    clock.advance(10)
    store.save("own", 2)
    return store


def test_an_imported_past_was_not_there_before_it_was_imported(
    imported: Kycore, clock: Clock
) -> None:
    assert imported.getkey("old1", at="1s ago") == "old"
    assert imported.getkey("old1", at="11s ago") is None
    assert imported.getkey("own", at="1s ago") == 1
    assert imported.get_history("old1")[0].timestamp == "2022-11-14 22:13:31.000"
    assert len(imported.get_history(until="1d ago")) == 3
    assert [c.key for c in imported.get_history(since="15s ago")] == ["own"]
    imported.restore_to("15s ago")
    assert dict(imported.items()) == {"own": 1}


def test_an_import_is_undone_as_one_change(imported: Kycore) -> None:
    assert imported.undo(2) == 3
    assert dict(imported.items()) == {"own": 2}
    assert imported.undo() == 3
    assert imported["old2"] == "old"


def test_a_time_is_the_same_moment_for_all_keys_though_the_clock_was_set_back(
    store: Kycore, clock: Clock
) -> None:
    for number in range(50):
        clock.advance(1)
        store.save("a", number)
        store.save("b", number)
        if number == 25:
            clock.advance(-10)
    for tenths in range(0, 400, 3):
        at = START / 1000 + tenths / 10
        assert store.getkey("a", at=at) == store.getkey("b", at=at)
    # A time that the clock showed twice means the later one.
    assert store.getkey("a", at=START / 1000 + 20) == 29


def test_saves_that_are_not_committed_yet_have_a_past_too(path: Path, clock: Clock) -> None:
    with Kycore(path, clock=clock, durability="async") as store:
        store.save("k", 1)
        store.flush()
        clock.advance(10)
        store.save("k", 2)
        assert store.getkey("k", at="5s ago") == 1
        store.save("k", 3)
        assert [c.value for c in store.get_history("k")] == [3, 2, 1]
        store.save("k", 4)
        assert store.restore_to("5s ago") == 1
        assert store["k"] == 1


@pytest.mark.damages
def test_the_position_is_found_in_a_log_with_gaps(store: Kycore, clock: Clock) -> None:
    for number in range(300):
        store.save("k", number)
        clock.advance(1)
    store._query("DELETE FROM audit_log WHERE id % 7 <> 0 AND id < 300")
    left = [id for (id,) in store._query("SELECT id FROM audit_log")]
    for second in range(300):
        found = history.position_at(store, START + second * 1000)
        assert [id for id in left if id <= found] == [id for id in left if id <= second + 1]


@pytest.mark.parametrize("horizon", ["", "default"])
def test_a_time_before_the_retained_history_is_refused_and_says_how_far_it_reaches(
    store: Kycore, clock: Clock, horizon: str
) -> None:
    store.save("k", 1)
    store.save("k", 1, scope="other")
    clock.advance(100)
    store.save("k", 2)
    store._query("INSERT INTO horizon VALUES (?1, ?2)", (horizon, START + 50_000))
    assert store.getkey("k", at="50s ago") == 1
    with pytest.raises(InvalidTimeError, match="reaches back to 2023-11-14 22:14:10"):
        store.getkey("k", at="51s ago")
    if horizon:
        assert store.getkey("k", at="51s ago", scope="other") == 1


def test_long_before_the_first_change_there_is_no_history(store: Kycore, clock: Clock) -> None:
    assert store.getkey("k", at="1971-01-01") is None
    clock.advance(1_000_000)
    store.save("k", 1)
    assert store.getkey("k", at="1m ago") is None  # there was nothing yet, and that is known
    with pytest.raises(InvalidTimeError, match="reaches back to 2023-11-26 12:00:00"):
        store.getkey("k", at="2d ago")
