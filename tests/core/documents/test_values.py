"""What goes in comes out: equal, of the same type, and nobody else's object."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kycli import Kycore
from kycli.errors import InvalidValueError, StorageError, WrongTypeError

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


# Zero has two signs, and NaN is no value that is equal to itself.


@pytest.mark.parametrize("durability", ["normal", "async"])
@pytest.mark.parametrize("wrapped", [lambda v: v, lambda v: [v], lambda v: {"a": [v]}])
@pytest.mark.parametrize(("before", "after"), [(0.0, -0.0), (-0.0, 0.0)])
def test_zero_of_the_other_sign_is_another_value(
    path: Path, durability: Any, wrapped: Any, before: float, after: float
) -> None:
    before, after = wrapped(before), wrapped(after)
    with Kycore(path, durability=durability) as store, Kycore(path) as other:
        for name in ("k", "warm"):
            store.save(name, before)
            for _ in range(20):
                assert repr(store[name]) == repr(before)
        assert store.save("k", before) == "nochange"
        assert store.save("k", after) == "overwritten"
        assert store.save("k", after) == "nochange"
        assert repr(store["k"]) == repr(after)
        store.flush()
        assert repr(other["k"]) == repr(after)
        assert store.save("warm", after, ttl=100) == "overwritten"
        assert store.save("warm", after) == "nochange"
        assert store.save_many({"k": before}) == 1
        assert repr(other["k"]) == repr(before)
        assert repr(store.getset("k", after)) == repr(before)
        assert store.restore("k") == "restored"
        assert repr(other["k"]) == repr(before)
        assert store.restore("k", version=2) == "restored"
        assert repr(other["k"]) == repr(after)
        assert store.get_history("k")[0].operation == "restored"


def test_a_list_holds_zeros_of_both_signs(store: Kycore) -> None:
    store.push("k", 0.0, unique=True)
    assert store.push("k", -0.0, unique=True) == "overwritten"
    assert store.push("k", -0.0, unique=True) == "nochange"
    assert store.push("k", math.nan, unique=True) == "overwritten"
    assert store.push("k", math.nan, unique=True) == "nochange"
    assert repr(store["k"]) == "[0.0, -0.0, nan]"
    assert store.remove("k", 0.0) == "overwritten"
    assert repr(store["k"]) == "[-0.0, nan]"


@pytest.mark.parametrize("durability", ["normal", "async"])
def test_nan_saved_again_is_no_change(path: Path, durability: Any) -> None:
    with Kycore(path, durability=durability) as store:
        for value in (math.nan, [math.nan], {"a": math.nan}):
            assert store.save("k", value) in ("created", "overwritten")
            assert store.save("k", -value if isinstance(value, float) else value) == "nochange"
        for other in (0.0, math.nan, -0.0, math.nan, None, math.nan):
            assert store.save("k", other) == "overwritten"


# Ints of more digits than Python reads.


@pytest.fixture
def long_ints(store: Kycore) -> Kycore:
    """A store with ints that were stored where Python's limit was lifted."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        store.save_many({"int": 10**4300, "document": {"a": -(10**4300)}, "last": 1})
    finally:
        sys.set_int_max_str_digits(before)
    return store


@pytest.mark.parametrize(
    "call",
    [
        *(lambda kv: kv["int"], lambda kv: kv["document"], lambda kv: list(kv.scan())),
        *(lambda kv: kv.get_many(["int"]), lambda kv: kv.incr("int"), lambda kv: kv.get_history()),
        *(lambda kv: kv.patch("document.b", 1), lambda kv: kv.copy("int", "to")),
    ],
)
def test_an_int_of_too_many_digits_is_read_where_the_limit_is_lifted(
    long_ints: Kycore, call: Any
) -> None:
    with pytest.raises(StorageError, match="more than the 4300 digits") as caught:
        call(long_ints)
    assert "PYTHONINTMAXSTRDIGITS" in str(caught.value.hint)
    assert long_ints.check() == []
    assert (long_ints["last"], long_ints.count()) == (1, 3)
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        assert long_ints["int"] == -long_ints["document"]["a"] == 10**4300
    finally:
        sys.set_int_max_str_digits(before)
