"""Copying and moving many keys."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import apsw
import pytest
from conftest import Clock

from kycli import Kycore
from kycli.errors import ConflictError, InvalidKeyError, InvalidTTLError, InvalidValueError

DATA: dict[str, Any] = {
    "user:1": {"b": [1, None, 2.5], "a": b"\0\xff"},
    "user:2": "x" * 5000,
    "user:": 10**30,
    "visits": 7,
}


def contents(store: Kycore, scope: str) -> dict[str, Any]:
    return dict(store.scan(scope=scope))


def test_a_prefix_is_copied_with_types(store: Kycore) -> None:
    store.save_many(DATA)
    assert store.copy_many("user:", to_scope="b") == 3
    assert contents(store, "b") == {key: DATA[key] for key in DATA if key.startswith("user:")}
    assert contents(store, "default") == DATA
    copied = store.getkey("user:1", scope="b")
    assert [list(copied), type(copied["a"])] == [["b", "a"], bytes]


def test_a_whole_scope_is_copied_or_moved(store: Kycore) -> None:
    store.save_many(DATA)
    store.save_many((f"n{n:04}", n) for n in range(2500))
    everything = contents(store, "default")
    assert store.copy_many(to_scope="b.c") == 2504
    assert contents(store, "b.c") == everything
    assert store.move_many(scope="b.c", to_scope="d") == 2504
    assert contents(store, "d") == everything
    assert contents(store, "b.c") == {}


def test_a_prefix_becomes_another(store: Kycore) -> None:
    store.save_many(DATA)
    assert store.move_many("user:", to_prefix="member/") == 3
    assert store.listkeys() == ["member/", "member/1", "member/2", "visits"]
    store.delete("member/")
    assert store.copy_many("member/", to_prefix="", to_scope="b", scope="default") == 2
    assert store.listkeys(scope="b") == ["1", "2"]


@pytest.mark.parametrize("remove", [False, True])
def test_it_is_one_change_that_undo_takes_back(store: Kycore, remove: bool) -> None:
    store.save_many(DATA)
    store.save("user:1", "old", scope="b")
    call = store.move_many if remove else store.copy_many
    call("user:", to_scope="b", on_conflict="overwrite")
    changes = [*store.get_history(scope="b", limit=3)]
    changes += store.get_history(limit=3) if remove else []
    assert len({change.change for change in changes}) == 1
    assert store.undo(scope="b") == len(changes)
    assert contents(store, "default") == DATA
    assert contents(store, "b") == {"user:1": "old"}


def test_a_conflict_changes_nothing_and_names_the_keys(store: Kycore) -> None:
    store.save_many((f"k{n}", n) for n in range(10))
    store.save("k3", "mine", scope="b")
    for call in (store.copy_many, store.move_many):
        with pytest.raises(ConflictError, match=r"exists already in scope 'b': 'k3'$"):
            call(to_scope="b")
    store.save_many({f"k{n}": "mine" for n in range(5, 10)}, scope="b")
    with pytest.raises(ConflictError, match=r"'k3', 'k5', 'k6' and 3 more$"):
        store.copy_many(to_scope="b")
    assert len(store) == 10
    assert set(contents(store, "b").values()) == {"mine"}


def test_conflicts_are_skipped_or_overwritten(store: Kycore) -> None:
    store.save_many({"a": 1, "b": 2, "c": 3})
    store.save("b", "mine", scope="s")
    assert store.copy_many(to_scope="s", on_conflict="skip") == 2
    assert contents(store, "s") == {"a": 1, "b": "mine", "c": 3}
    store.delete("a", scope="s")
    assert store.move_many(to_scope="s", on_conflict="skip") == 1
    assert contents(store, "default") == {"b": 2, "c": 3}
    assert store.move_many(to_scope="s", on_conflict="overwrite") == 2
    assert contents(store, "s") == {"a": 1, "b": 2, "c": 3}
    assert contents(store, "default") == {}


def test_an_expired_key_is_neither_copied_nor_in_the_way(store: Kycore, clock: Clock) -> None:
    store.save("gone", 1, ttl=5)
    store.save("there", 1)
    store.save("there", 2, ttl=5, scope="b")
    clock.advance(5)
    assert store.copy_many(to_scope="b") == 1
    assert contents(store, "b") == {"there": 1}


def test_lifetimes_come_along_where_the_destination_has_such(store: Kycore, clock: Clock) -> None:
    store.save("short", 1, ttl=30)
    store.save("long", 2)
    clock.advance(10)
    store.copy_many(to_scope="plain")
    assert store.ttl("short", scope="plain") == 20
    assert store.ttl("long", scope="plain") == math.inf
    store.create_cache("a.cache", 60)
    store.copy_many(to_scope="a.cache")
    assert store.ttl("short", scope="a.cache") == 20
    assert store.ttl("long", scope="a.cache") == 60
    with pytest.raises(InvalidTTLError, match=r"'a\.named' is not a cache"):
        store.copy_many(to_scope="a.named")
    assert contents(store, "a.named") == {}


@pytest.mark.parametrize(
    ("prefix", "to_prefix"),
    [(None, None), ("a", None), ("a", "a"), ("a", "ab"), ("ab", "a"), (None, "x"), ("x", "")],
)
def test_ranges_that_overlap_are_refused(
    store: Kycore, prefix: str | None, to_prefix: str | None
) -> None:
    store.save_many({"a": 1, "ab": 2})
    with pytest.raises(InvalidKeyError, match=r"overlap|both source and destination"):
        store.copy_many(prefix, to_prefix=to_prefix)
    assert contents(store, "default") == {"a": 1, "ab": 2}


def test_what_cannot_be_is_refused(store: Kycore) -> None:
    store.save("a", 1)
    with pytest.raises(InvalidValueError, match="'merge'"):
        store.copy_many(to_scope="b", on_conflict="merge")
    with pytest.raises(InvalidKeyError, match="4097 bytes"):
        store.copy_many("a", to_prefix="x" * 4097)
    with pytest.raises(InvalidKeyError, match="empty"):
        store.copy_many("a", to_scope="b", to_prefix="")
    with pytest.raises(InvalidKeyError):
        store.copy_many(5, to_scope="b")  # type: ignore[arg-type]
    assert store.scopes() == ["default"]
    assert store.copy_many("nothing", to_scope="b") == 0


def test_what_cannot_be_copied_is_named(store: Kycore) -> None:
    with contextlib.closing(apsw.Connection(store.path)) as tool:
        tool.execute("""INSERT INTO kvstore (key, value, kind) VALUES ('half', '["\\ud800"]', 6)""")
    store.save("whole", 1)
    for many in (store.copy_many, store.move_many):
        with pytest.raises(
            InvalidValueError, match=r"'half' cannot be copied.*surrogate"
        ) as caught:
            many(to_scope="b")
        assert caught.value.hint
    assert store.listkeys() == ["half", "whole"]
    assert store.scopes() == ["default"]
