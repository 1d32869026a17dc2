"""Counting, appending, swapping, copying and moving."""

from __future__ import annotations

import math
from typing import Any

import pytest
from conftest import Clock

from kycli import Kycore
from kycli.errors import (
    ConflictError,
    InvalidKeyError,
    InvalidTTLError,
    InvalidValueError,
    WrongTypeError,
)


def test_incr_creates_at_zero_and_adds(store: Kycore) -> None:
    assert store.incr("n") == 1
    assert store.incr("n", 41) == 42
    assert store.incr("n", -50) == -8
    assert store["n"] == -8


@pytest.mark.parametrize("start", [2**53, 2**63 - 1, -(2**63), 2**63, 10**40])
def test_incr_is_exact_at_any_size(store: Kycore, start: int) -> None:
    store.save("n", start)
    assert store.incr("n") == start + 1
    assert store.incr("n", -2) == start - 1
    assert store["n"] == start - 1


def test_incr_with_floats(store: Kycore) -> None:
    assert store.incr("n", 0.5) == 0.5
    assert store.incr("n", 1) == 1.5
    assert type(store["n"]) is float


@pytest.mark.parametrize(
    ("text", "total"), [("007", 8), ("-3", -2), ("+1", 2), ("1.5", 2.5), ("1e3", 1001.0)]
)
def test_incr_counts_up_what_the_command_line_stored_as_text(
    store: Kycore, text: str, total: float
) -> None:
    store.save("n", text)
    assert store.incr("n") == total


@pytest.mark.parametrize(
    "value",
    ["", "five", " 5", "1_000", "٣", "0x10", "nan", "inf", "--1", True, None, b"5", [1], {}],
)
def test_incr_refuses_what_is_no_number(store: Kycore, value: Any) -> None:
    store.save("n", value)
    with pytest.raises(WrongTypeError):
        store.incr("n")
    assert store["n"] == value
    entry = store.get_entry("n")
    assert entry is not None
    assert entry.version == 1


def test_incr_at_sizes_that_no_float_reaches(store: Kycore) -> None:
    store.save("n", 10**400)
    assert store.incr("n") == 10**400 + 1
    store.save("t", "9" * 400)
    assert store.incr("t") == 10**400
    with pytest.raises(InvalidValueError):
        store.incr("n", 0.5)
    store.save("t", "9" * 5000)
    with pytest.raises(InvalidValueError):
        store.incr("t")
    assert store["t"] == "9" * 5000


@pytest.mark.parametrize("by", ["1", None, True])
def test_incr_refuses_a_step_that_is_no_number(store: Kycore, by: Any) -> None:
    with pytest.raises(WrongTypeError):
        store.incr("n", by)
    assert "n" not in store


@pytest.mark.parametrize("by", [math.inf, math.nan, 1.7e308])
def test_incr_refuses_a_sum_that_is_not_finite(store: Kycore, by: float) -> None:
    store.save("n", 1.7e308)
    with pytest.raises(InvalidValueError):
        store.incr("n", by)
    assert store["n"] == 1.7e308


def test_append(store: Kycore) -> None:
    assert store.append("log", "é") == 1
    assert store.append("log", "x" * 600) == 601
    assert store.append("log", "") == 601
    assert store["log"] == "é" + "x" * 600
    assert store.append("log", b"\xff") == 603
    assert store["log"] == "é".encode() + b"x" * 600 + b"\xff"
    store.save("n", 1)
    with pytest.raises(WrongTypeError, match="is a number, neither text nor bytes"):
        store.append("n", "x")
    with pytest.raises(WrongTypeError, match="list"):
        store.append("log", ["x"])  # type: ignore[arg-type]


def test_getset(store: Kycore) -> None:
    assert store.getset("k", 1) is None
    assert store.getset("k", 2, "none") == 1
    assert store.getset("new", 1, "none") == "none"
    assert store["k"] == 2


def test_counting_and_appending_keep_the_lifetime_and_saving_does_not(
    store: Kycore, clock: Clock
) -> None:
    store.save("n", 1, ttl=10)
    clock.advance(4)
    store.incr("n")
    assert store.ttl("n") == 6
    store.save("t", "a", ttl=10)
    store.append("t", "b" * 600)
    assert store.ttl("t") == 10
    store.getset("t", 1)
    assert store.ttl("t") == math.inf
    clock.advance(6)
    assert store.incr("n") == 1
    assert store.ttl("n") == math.inf


def test_copy_and_move(store: Kycore, clock: Clock) -> None:
    store.save("a", "x" * 600, ttl=10)
    assert store.copy("a", "b") is True
    assert store.copy("a", to_scope="other") is True
    assert store.ttl("b") == 10
    clock.advance(1)
    assert store.move("b", "c", to_scope="other") is True
    assert store.ttl("c", scope="other") == 9
    assert list(store) == ["a"]
    assert dict(store.scan(scope="other")) == {"a": "x" * 600, "c": "x" * 600}


def test_copy_overwrites_only_when_told(store: Kycore) -> None:
    store.save("a", 1)
    store.save("b", 2)
    with pytest.raises(ConflictError, match="'b' exists"):
        store.copy("a", "b")
    with pytest.raises(ConflictError):
        store.move("a", "b")
    assert (store["a"], store["b"]) == (1, 2)
    assert store.move("a", "b", overwrite=True) is True
    assert dict(store) == {"b": 1}


def test_copying_a_key_onto_itself_is_refused(store: Kycore) -> None:
    store.save("a", 1)
    for to_key, to_scope in ((None, None), ("a", None), (None, "default")):
        with pytest.raises(InvalidKeyError):
            store.move("a", to_key, to_scope=to_scope)
    assert store["a"] == 1


def test_copying_into_namespaces_follows_their_rules(store: Kycore) -> None:
    store.create_cache("p.cache", 30)
    store.save("permanent", 1)
    store.save("brief", 1, ttl=5)
    store.copy("permanent", to_scope="p.cache")
    store.copy("brief", to_scope="p.cache")
    store.copy("permanent", to_scope="p.plain")
    assert store.ttl("permanent", scope="p.cache") == 30
    assert store.ttl("brief", scope="p.cache") == 5
    with pytest.raises(InvalidTTLError):
        store.move("brief", to_scope="p.plain")
    assert store.ttl("brief") == 5
