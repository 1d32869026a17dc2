"""Listings: where they begin and end, in both directions, and while others write."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import apsw
import pytest
from conftest import Clock, examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kycli import Kycore
from kycli.core import storage
from kycli.errors import InvalidKeyError, InvalidValueError, MisuseError, WrongTypeError

pytestmark = pytest.mark.usefixtures("_both_statements")

# Few characters, so that keys are prefixes of each other, and the ends of the code points.
CHARACTERS = "ab\x01\x7f\ud7ff\ue000\U0010ffff"
KEYS = st.text(CHARACTERS, min_size=1, max_size=4)
TEXTS = st.text(CHARACTERS, max_size=4)


def expected(
    keys: set[str],
    prefix: str | None = None,
    pattern: str | None = None,
    glob: str | None = None,
    after: str | None = None,
    reverse: bool = False,
    limit: int | None = None,
) -> list[str]:
    """Return what a listing must be, as nobody would do it with many keys."""
    found = sorted(keys, reverse=reverse)
    found = [key for key in found if key.startswith(prefix or "")]
    if pattern is not None:
        found = [key for key in found if re.match(pattern, key, re.DOTALL)]
    if glob is not None:
        found = [key for key in found if fnmatchcase(key, glob)]
    if after:
        found = [key for key in found if (key < after if reverse else key > after)]
    return found[:limit]


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "prefix": st.none() | TEXTS,
        "after": st.none() | TEXTS,
        "reverse": st.booleans(),
        "limit": st.none() | st.integers(0, 6),
    },
)
SELECTIONS = st.sampled_from(
    [
        {},
        {"pattern": "a"},
        {"pattern": ".*b"},
        {"pattern": "[ab]+$"},
        {"glob": "*a"},
        {"glob": "a*"},
    ]
)


@settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sets(KEYS, max_size=30), st.lists(st.tuples(OPTIONS, SELECTIONS), max_size=12))
def test_any_listing_is_the_part_of_the_sorted_keys_that_was_asked_for(
    keys: set[str], listings: list[tuple[dict[str, Any], dict[str, str]]]
) -> None:
    with Kycore(":memory:") as store:
        store.save_many((key, key * 2) for key in keys)
        store.save_many({"a": 1, "b": 2}, scope="other")
        for options, selection in listings:
            asked = {**options, **selection}
            found = expected(keys, **asked)
            assert store.listkeys(**asked) == found
            assert list(store.iterkeys(**asked)) == found
            assert list(store.scan(**asked)) == [(key, key * 2) for key in found]
            entries = list(store.entries(**asked))
            assert [(entry.key, entry.value, entry.version) for entry in entries] == [
                (key, key * 2, 1) for key in found
            ]


def test_pages_meet_without_a_gap_in_both_directions(store: Kycore) -> None:
    keys = sorted(key + tail for key in (f"k{i:04}" for i in range(1300)) for tail in ("", "\x01"))
    store.save_many((key, key) for key in keys)
    for reverse in (False, True):
        ordered = keys[::-1] if reverse else keys
        for limit in (None, 999, 1000, 1001, 2600):
            found = store.listkeys(reverse=reverse, limit=limit)
            assert found == ordered[:limit]
        assert store.listkeys(".*\x01", reverse=reverse) == ordered[1 - reverse :: 2]
        assert (
            store.listkeys(".*\x01", reverse=reverse, limit=1100)
            == (ordered[1 - reverse :: 2][:1100])
        )
        assert [key for key, _ in store.scan(reverse=reverse)] == ordered
        assert [entry.key for entry in store.entries(reverse=reverse)] == ordered


def test_a_listing_is_continued_behind_the_last_key_that_was_seen(store: Kycore) -> None:
    keys = [f"k{i:04}" for i in range(2500)]
    store.save_many((key, 1) for key in keys)
    for reverse in (False, True):
        seen: list[str] = []
        while page := store.listkeys(
            after=seen[-1] if seen else None, reverse=reverse, limit=333, prefix="k"
        ):
            seen += page
            store.delete(page[-1])  # it need not exist any more
            store.save(page[-1], 1)
        assert seen == (keys[::-1] if reverse else keys)
    store.delete("k1000")
    assert store.listkeys(after="k1000", limit=1) == ["k1001"]
    assert store.listkeys(after="k1000", limit=1, reverse=True) == ["k0999"]
    assert store.listkeys(after="", limit=1) == ["k0000"]
    assert store.listkeys(after="", limit=1, reverse=True) == ["k2499"]


def test_large_values_end_a_page_in_both_directions(store: Kycore) -> None:
    store.save_many((f"k{i:02}", chr(65 + i) * 700_000) for i in range(6))
    keys = [f"k{i:02}" for i in range(6)]
    for reverse in (False, True):
        ordered = keys[::-1] if reverse else keys
        assert [key for key, _ in store.scan(reverse=reverse)] == ordered
        entries = list(store.entries(reverse=reverse, glob="k0[1-4]"))
        assert [(entry.key, entry.value[:1]) for entry in entries] == [
            (key, chr(65 + int(key[1:]))) for key in ordered if key in keys[1:5]
        ]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 5))]
)
def test_a_listing_is_exact_while_keys_come_and_go(store: Kycore, seed: int, reverse: bool) -> None:
    chance = random.Random(seed)
    store.save_many((f"k{i:04}", 1) for i in range(0, 6000, 2))
    stays = {f"k{i:04}" for i in range(0, 6000, 2)}
    ever = set(stays)
    seen: list[str] = []
    for key in store.iterkeys(reverse=reverse):
        seen.append(key)
        if chance.random() < 0.05:
            for _ in range(10):
                one = f"k{chance.randrange(6000):04}"
                if one in stays and chance.random() < 0.5:
                    stays.discard(one)
                    store.delete(one)
                else:
                    ever.add(one)
                    store.save(one, 2)
    assert seen == sorted(set(seen), reverse=reverse)
    assert stays <= set(seen) <= ever


def test_expired_keys_are_hidden_in_both_directions(store: Kycore, clock: Clock) -> None:
    store.save_many({f"k{i}": i for i in range(4)})
    store.save_many({f"e{i}": i for i in range(4)}, ttl=5)
    clock.advance(5)
    assert store.listkeys(reverse=True) == ["k3", "k2", "k1", "k0"]
    assert store.listkeys(after="e1") == ["k0", "k1", "k2", "k3"]
    hidden = store.entries("e", reverse=True, include_expired=True, after="e2")
    assert [entry.key for entry in hidden] == ["e1", "e0"]


@pytest.fixture
def executed() -> Iterator[list[tuple[str, Any]]]:
    """What APSW executes on the connections that are opened from now on."""
    seen: list[tuple[str, Any]] = []

    def trace(cursor: apsw.Cursor, sql: str, bindings: Any) -> bool:
        seen.append((sql, bindings))
        return True

    def watch(connection: apsw.Connection) -> None:
        connection.exec_trace = trace

    apsw.connection_hooks.append(watch)
    yield seen
    apsw.connection_hooks.remove(watch)


def test_every_page_is_read_from_the_primary_key_in_its_order(
    path: Path, executed: list[tuple[str, Any]]
) -> None:
    storage._use_native_statements(False)
    with Kycore(path) as store:
        store.save_many((f"k{i:04}", i) for i in range(1500))
        executed.clear()
        for list_them in (store.iterkeys, store.scan, store.entries):
            for reverse in (False, True):
                assert len(list(list_them("k", after="k0700", reverse=reverse))) in (700, 799)
        pages = {sql: bindings for sql, bindings in executed if "LIMIT ?5" in sql}
        assert len(pages) == 6
        for sql, bindings in pages.items():
            plan = "\n".join(
                row[3] for row in store._query(f"EXPLAIN QUERY PLAN {sql}", tuple(bindings))
            )
            assert "PRIMARY KEY (scope=? AND key>? AND key<?)" in plan
            assert "TEMP B-TREE" not in plan
            assert "SCAN" not in plan


@pytest.mark.parametrize("after", [5, b"a", "\ud800"])
def test_what_is_no_position_is_refused(store: Kycore, after: Any) -> None:
    for call in (store.listkeys, store.iterkeys, store.scan, store.entries):
        with pytest.raises(InvalidKeyError):
            call(after=after)


def test_what_cannot_be_listed_is_refused_at_the_call(store: Kycore) -> None:
    for call in (store.iterkeys, store.scan, store.entries):
        with pytest.raises(MisuseError):
            call(pattern="a", glob="a")
        with pytest.raises(InvalidKeyError):
            call(pattern="(")
        with pytest.raises((WrongTypeError, InvalidValueError)):
            call(limit=-1)


def test_exists(store: Kycore, clock: Clock) -> None:
    store.save("k", None, ttl=5)
    store.save("other", "x" * 5000, scope="a.b")
    assert store.exists("k") is True
    assert store.exists("other") is False
    assert store.exists("other", scope="a.b") is True
    clock.advance(5)
    assert store.exists("k") is False
    with pytest.raises(InvalidKeyError):
        store.exists("")
