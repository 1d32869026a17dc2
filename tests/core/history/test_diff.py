"""Differences between scopes, times and versions."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import apsw
import pytest
from conftest import Clock, examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kycli import Kycore
from kycli.core.history import diff as module
from kycli.core.history.diff import Diff
from kycli.core.history.times import time_text
from kycli.core.sql import changed_keys
from kycli.errors import (
    DiskFullError,
    InvalidKeyError,
    InvalidScopeError,
    InvalidTimeError,
    InvalidValueError,
    MissingKeyError,
    WrongTypeError,
)

START = 1_700_000_000_000
KEYS = st.sampled_from(["a", "ab", "b", "user:1", "user:2", "ü"])
SMALL = ["", "x", "y", 1, 1.0, True, None, 0.0, -0.0, math.nan, b"x", [1], {"a": 1, "b": 2}]
LARGE = ["L" * 600, b"L" * 600, "M" * 600, {"a": "L" * 600}]
VALUES = st.sampled_from([*SMALL, *LARGE])


def state(store: Kycore, scope: str) -> dict[str, tuple[str, int | None]]:
    """Return what a diff compares: each key with its value, exactly, and its expiry."""
    return {
        entry.key: (f"{type(entry.value).__name__} {entry.value!r}", entry.expires_at)
        for entry in store.entries(scope=scope)
    }


def expected(
    before: dict[str, tuple[str, int | None]], after: dict[str, tuple[str, int | None]]
) -> list[tuple[str, str]]:
    found = []
    for key in sorted(before.keys() | after.keys()):
        if key not in before:
            found.append((key, "added"))
        elif key not in after:
            found.append((key, "removed"))
        elif before[key][0] != after[key][0]:
            found.append((key, "changed"))
        elif before[key] != after[key]:
            found.append((key, "lifetime"))
    return found


def short(diffs: Any) -> list[tuple[str, str]]:
    return [(diff.key, diff.operation) for diff in diffs]


# Scopes


@settings(max_examples=examples(100), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.dictionaries(KEYS, st.tuples(VALUES, st.none() | st.just(60))),
    st.dictionaries(KEYS, st.tuples(VALUES, st.none() | st.just(60))),
)
def test_the_difference_of_two_scopes(
    one: dict[str, tuple[Any, int | None]], other: dict[str, tuple[Any, int | None]]
) -> None:
    with Kycore(":memory:", clock=lambda: START) as store:
        for scope, data in (("one", one), ("other", other)):
            for key, (value, ttl) in data.items():
                store.save(key, value, ttl=ttl, scope=scope)
        before, after = state(store, "one"), state(store, "other")
        found = list(store.diff_scopes("one", "other"))
        assert short(found) == expected(before, after)
        for diff in found:
            assert repr(diff.before) == repr(store.get_entry(diff.key, scope="one"))
            assert repr(diff.after) == repr(store.get_entry(diff.key, scope="other"))
        assert short(store.diff_scopes("other", "one")) == expected(after, before)
        assert short(store.diff_scopes("one", "other", prefix="user:")) == [
            (key, operation) for key, operation in short(found) if key.startswith("user:")
        ]


@pytest.mark.parametrize("page", [1, 2, 7])
def test_pages_of_two_scopes_meet_without_a_gap(
    store: Kycore, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(module, "PAGE_ROWS", page)
    store.save_many(((f"k{n:02}", n) for n in range(0, 60, 2)), scope="one")
    store.save_many(((f"k{n:02}", n) for n in range(0, 60, 3)), scope="other")
    store.save_many(((f"z{n:02}", n) for n in range(9)), scope="other")
    assert short(store.diff_scopes("one", "other")) == expected(
        state(store, "one"), state(store, "other")
    )


def test_the_order_of_members_is_no_difference(store: Kycore) -> None:
    long = "x" * 600
    store.save_many({"k": {"a": 1, "b": 2}, "l": {"a": long, "b": 2}}, scope="one")
    store.save_many({"k": {"b": 2, "a": 1}, "l": {"b": 2, "a": long}}, scope="other")
    assert list(store.diff_scopes("one", "other")) == []


def test_large_values_end_a_page(store: Kycore) -> None:
    store.save_many(((f"k{n}", chr(65 + n) * 400_000) for n in range(8)), scope="one")
    store.save_many(((f"k{n}", chr(66 + n) * 400_000) for n in range(8)), scope="other")
    found = list(store.diff_scopes("one", "other"))
    assert short(found) == [(f"k{n}", "changed") for n in range(8)]


def test_each_page_of_two_scopes_is_as_of_one_moment(path: Path) -> None:
    with Kycore(path) as store, Kycore(path) as writer:
        for scope in ("one", "other"):
            store.save_many(((f"k{n:04}", 0) for n in range(3000)), scope=scope)
        store.save("k0000", 1, scope="one")
        found = []
        for number, diff in enumerate(store.diff_scopes("one", "other")):
            found.append(diff.key)
            # Both sides of every key are changed together, so that they never differ.
            with writer.transaction():
                for scope in ("one", "other"):
                    writer.save_many(((f"k{n:04}", number) for n in range(1, 3000)), scope=scope)
        assert found == ["k0000"]


def test_a_slow_reader_holds_no_transaction(path: Path) -> None:
    with Kycore(path) as store:
        store.save_many((f"k{n:04}", n) for n in range(1200))
        diffs = store.diff_scopes("default", "empty")
        next(diffs)
        assert not store._in_transaction()
        store.save("k0000", 1)
        assert len(list(diffs)) == 1199


def test_scopes_that_cannot_be_are_refused_at_the_call(store: Kycore) -> None:
    with pytest.raises(InvalidScopeError):
        store.diff_scopes("a b", "c")
    with pytest.raises(InvalidKeyError):
        store.diff_scopes("a", "b", prefix=5)  # type: ignore[arg-type]


# Times

ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("save"), KEYS, VALUES, st.none() | st.integers(1, 30)),
        st.tuples(st.just("delete"), KEYS),
        st.tuples(st.just("expire"), KEYS, st.integers(1, 30)),
        st.tuples(st.just("read"), KEYS),
        st.tuples(st.just("restore"), KEYS),
        st.tuples(st.just("wait"), st.integers(1, 20)),
    ),
    max_size=30,
)


def act(store: Kycore, clock: Clock, action: tuple[Any, ...]) -> None:
    name, *arguments = action
    if name == "save":
        store.save(arguments[0], arguments[1], ttl=arguments[2])
    elif name == "delete":
        store.delete(arguments[0])
    elif name == "expire":
        store.expire(*arguments)
    elif name == "read":
        store.getkey(arguments[0])
    elif name == "restore":
        try:
            store.restore(arguments[0])
        except MissingKeyError:
            pass
    else:
        clock.advance(arguments[0])


@settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
@given(ACTIONS, st.data())
def test_the_difference_of_two_times(actions: list[tuple[Any, ...]], data: st.DataObject) -> None:
    clock = Clock()
    with Kycore(":memory:", clock=clock) as store:
        store.save("elsewhere", 1, scope="other")
        clock.advance(1)
        states = [(clock.now, state(store, "default"))]
        clock.advance(1)
        for action in actions:
            act(store, clock, action)
            clock.advance(1)  # one change at a time
            states.append((clock.now, state(store, "default")))
            clock.advance(1)
        first = data.draw(st.integers(0, len(states) - 1))
        last = data.draw(st.integers(first, len(states) - 1))
        (since, before), (until, after) = states[first], states[last]
        found = list(store.diff_times(since / 1000, until / 1000))
        assert short(found) == expected(before, after)
        for diff in found:
            past = [store.get_entry(diff.key, at=at / 1000) for at in (since, until)]
            assert repr([diff.before, diff.after]) == repr(past)
        now = state(store, "default")
        assert short(store.diff_times(since / 1000)) == expected(before, now)
        assert short(store.diff_times(since / 1000, prefix="a")) == [
            (key, operation) for key, operation in expected(before, now) if key.startswith("a")
        ]


def test_many_changes_are_sorted_by_key_and_come_in_pages(store: Kycore, clock: Clock) -> None:
    store.save_many((f"k{n:04}", 0) for n in range(2000))
    clock.advance(1)
    since = clock.now / 1000
    clock.advance(1)
    for n in reversed(range(0, 2000, 3)):
        store.save(f"k{n:04}", 1)
    store.save_many((f"l{n}", "x" * 300_000) for n in range(6))
    assert short(store.diff_times(since)) == (
        [(f"k{n:04}", "changed") for n in range(0, 2000, 3)]
        + [(f"l{n}", "added") for n in range(6)]
    )


def test_a_disk_that_is_full_is_said(store: Kycore, monkeypatch: pytest.MonkeyPatch) -> None:
    real = apsw.Connection

    def small(name: str) -> apsw.Connection:
        connection = real(name)
        connection.pragma("max_page_count", 4)
        return connection

    store.save_many((f"k{n:04}", n) for n in range(2000))
    monkeypatch.setattr(changed_keys.apsw, "Connection", small)  # type: ignore[attr-defined]
    with pytest.raises(DiskFullError, match="temporary"):
        next(store.diff_times("1h ago"))


def test_what_expired_unnoticed_is_removed(store: Kycore, clock: Clock) -> None:
    store.save("k", 1, ttl=10)
    clock.advance(5)
    since = clock.now / 1000
    clock.advance(5)
    assert short(store.diff_times(since)) == [("k", "removed")]
    until = clock.now / 1000
    clock.advance(100)
    store.save("k", 2)  # which notices that it had expired
    assert short(store.diff_times(since, until)) == [("k", "removed")]
    assert short(store.diff_times(since)) == [("k", "changed")]
    assert short(store.diff_times(until)) == [("k", "added")]


def test_times_that_cannot_be_are_refused_at_the_call(store: Kycore, clock: Clock) -> None:
    store.save("k", 1)
    clock.advance(10)
    now = clock.now / 1000
    for times in ((now + 1,), ("no time",), (now, now - 1), (0,)):
        with pytest.raises(InvalidTimeError):
            store.diff_times(*times)
    store.save("k", 2)
    clock.advance(1)
    store.rename_scope("default", "renamed")
    with pytest.raises(InvalidTimeError, match="renamed"):
        store.diff_times(now - 5, scope="default")


def test_history_that_was_pruned_is_not_reported_from(store: Kycore, clock: Clock) -> None:
    store.save("k", 1)
    clock.advance(10)
    since = clock.now / 1000
    clock.advance(10)
    store.save("k", 2)
    diffs = store.diff_times(since)
    clock.advance(10)
    store.compact(0)
    with pytest.raises(InvalidTimeError, match="pruned"):
        next(diffs)
    with pytest.raises(InvalidTimeError, match="reaches back to"):
        store.diff_times(since)


# Versions


def test_the_difference_of_two_versions(store: Kycore, clock: Clock) -> None:
    for value in ("one", "two", "two!", "one"):
        store.save("k", value)
        clock.advance(1)
    diff = store.diff_versions("k", 1, 3)
    assert isinstance(diff, Diff)
    assert diff.before is not None
    assert diff.after is not None
    assert (diff.operation, diff.before.value, diff.after.value) == ("changed", "one", "two!")
    assert (diff.before.version, diff.after.version) == (1, 3)
    assert time_text(diff.after.updated_at) == store.get_history("k")[1].timestamp
    assert store.diff_versions("k", 1, 4) is None
    assert store.diff_versions("k", 1) is None
    found = store.diff_versions("k", 2)
    assert found is not None
    assert found.after == store.get_entry("k")


def test_versions_of_a_key_that_is_gone(store: Kycore, clock: Clock) -> None:
    store.save("k", 1)
    store.save("k", 2, ttl=5)
    clock.advance(5)
    for _ in range(2):  # before and after anybody has noticed
        found = store.diff_versions("k", 1)
        assert found is not None
        assert (found.operation, found.after) == ("removed", None)
        assert short([store.diff_versions("k", 1, 2)]) == [("k", "changed")]
        store.getkey("k")


def test_versions_that_there_are_not(store: Kycore) -> None:
    store.save("k", 1)
    for key, versions in (("k", (2,)), ("k", (1, 2)), ("none", (1,))):
        with pytest.raises(MissingKeyError, match="no version"):
            store.diff_versions(key, *versions)
    for bad in (0, -1, "1", 1.0, True):
        with pytest.raises((WrongTypeError, InvalidValueError)):
            store.diff_versions("k", bad)  # type: ignore[arg-type]
        with pytest.raises((WrongTypeError, InvalidValueError)):
            store.diff_versions("k", 1, bad)  # type: ignore[arg-type]
