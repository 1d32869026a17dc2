"""What goes in comes out: equal, of the same type, and nobody else's object."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kycli import Kycore
from kycli.errors import InvalidValueError, WrongTypeError

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(),
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(TEXT | st.sampled_from(["$base64", "$float", "$literal"]), inner)
    ),
    max_leaves=20,
)


def same(left: Any, right: Any) -> bool:
    """Equal, and of the same type all the way down."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[k], right[k]) for k in left)
    return bool(left == right)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(VALUES)
def test_any_value_comes_back_equal_and_of_the_same_type(store: Kycore, value: Any) -> None:
    store.save("key", value)
    assert same(store.getkey("key", "missing"), value)
    assert store.save("key", value) == "nochange"


@pytest.mark.parametrize(
    "value",
    ["", b"", "a\0b", b"\xff\0\xfe", 2**63 - 1, -(2**63), 2**63, 10**400, 1.0, -0.0, math.inf,
     5e-324, "x" * 512, "x" * 513, b"\0" * 100_000, "é" * 300, ["q" * 600], {"a": b"\0" * 600},
     {"$base64": "not a tag"}, {"$literal": {"$float": math.inf}}],
    ids=lambda value: repr(value)[:24],
)  # fmt: skip
def test_edges_of_every_type(store: Kycore, value: Any) -> None:
    store.save("key", value)
    assert same(store["key"], value)
    assert store.get_many(["key"]) == {"key": value}
    assert same(next(store.values()), value)


def test_nan_comes_back_as_nan(store: Kycore) -> None:
    store.save("key", math.nan)
    store.save("list", [math.nan])
    assert math.isnan(store["key"])
    assert math.isnan(store["list"][0])


@pytest.mark.parametrize(
    ("first", "second"), [(1, 1.0), (1, True), ("1", 1), ("a", b"a"), ([], "[]"), (None, "")]
)
def test_values_that_python_or_sqlite_may_call_equal_are_told_apart(
    store: Kycore, first: Any, second: Any
) -> None:
    store.save("key", first)
    assert store.save("key", second) == "overwritten"
    assert same(store["key"], second)


def test_a_large_value_saved_again_is_no_change_and_another_one_is(store: Kycore) -> None:
    store.save("key", "x" * 10_000)
    assert store.save("key", "x" * 10_000) == "nochange"
    assert store.save("key", b"x" * 10_000) == "overwritten"
    assert store.save("key", "small") == "overwritten"
    assert store.save("key", "y" * 10_000) == "overwritten"
    assert store["key"] == "y" * 10_000


@pytest.mark.parametrize(
    "value", [(1, 2), {1}, object(), {1: "a"}, {"a": (1,)}, bytearray(b"x"), [[{"a": {None: 1}}]]]
)
def test_what_could_not_come_back_the_same_is_refused(store: Kycore, value: Any) -> None:
    with pytest.raises(WrongTypeError):
        store.save("key", value)
    assert "key" not in store


def test_a_subclass_is_refused_because_it_would_come_back_as_another_type(store: Kycore) -> None:
    class Name(str):
        pass

    with pytest.raises(WrongTypeError, match="Name"):
        store.save("key", Name("x"))


@pytest.mark.parametrize("value", ["\ud800", ["\ud800"], {"\udfff": 1}])
def test_half_a_surrogate_pair_is_refused(store: Kycore, value: Any) -> None:
    with pytest.raises(InvalidValueError):
        store.save("key", value)
    assert "key" not in store


def test_a_list_within_itself_is_refused(store: Kycore) -> None:
    knot: list[Any] = []
    knot.append(knot)
    with pytest.raises(InvalidValueError):
        store.save("key", knot)


def test_objects_handed_out_are_not_the_ones_kept(store: Kycore) -> None:
    mine = {"list": [1]}
    store.save("key", mine)
    mine["list"].append(2)
    theirs = store["key"]
    theirs["list"].append(3)
    assert store["key"] == {"list": [1]}
