"""Documents: paths that begin with a key, patches, and lists."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Clock, examples
from hypothesis import given, settings
from hypothesis import strategies as st

from kycli import Kycore
from kycli.errors import (
    ConflictError,
    InvalidKeyError,
    InvalidPathError,
    InvalidValueError,
    KycliError,
    MissingKeyError,
    WrongTypeError,
)

USER = {"profile": {"email": "a@b.c", "age": 36}, "tags": ["x", "y", "z"], "none": None}


@pytest.fixture
def kv(store: Kycore) -> Kycore:
    store.save("user", USER)
    return store


# Reading


@pytest.mark.parametrize(
    ("address", "value"),
    [
        ("user", USER),
        ("user.profile", {"email": "a@b.c", "age": 36}),
        ("user.profile.email", "a@b.c"),
        ("user.tags[0]", "x"),
        ("user.tags[-1]", "z"),
        ("user.tags[0:2]", ["x", "y"]),
        ("user.tags[-2:]", ["y", "z"]),
        ("user.tags[7:9]", []),
        ("user.tags[::-1][0]", "z"),
        ('user["profile"].age', 36),
        ("user.none", None),
    ],
)
def test_the_rest_of_a_name_is_a_path(kv: Kycore, address: str, value: Any) -> None:
    assert kv.get_path(address) == value
    rest = address.removeprefix("user")
    assert kv.get_path(f"${rest}", key="user") == value


@pytest.mark.parametrize(
    "address",
    [
        "nobody",
        "nobody.name",
        "nobody[0]",
        "nobody..x",
        "use",
        "users.profile",
        "user.nothing",
        "user.nothing.more",
        "user.profile.nothing",
        "user.tags[3]",
        "user.tags[-4]",
        "user.none.more",
        "user.none[0]",
        ".user",
        "[0]",
    ],
)
def test_what_is_missing_is_the_default(kv: Kycore, address: str) -> None:
    assert kv.get_path(address) is None
    assert kv.get_path(address, "none") == "none"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("user.tags.first", "user.tags is a list, and .first is a member"),
        ("user.profile[0]", r"user.profile is an object, and \[0\] is an index"),
        ("user[0:2]", r"user is an object, and \[0:2\] is an index or a slice"),
        ("user.profile.email.host", "user.profile.email is text, and .host is a member"),
        ("user.profile.age.x", "user.profile.age is a number, and .x"),
        ("user.tags[0:2].x", r"user.tags\[0:2\] is a list, and .x"),
    ],
)
def test_a_path_that_does_not_fit_says_where(kv: Kycore, address: str, said: str) -> None:
    for attempt in (lambda: kv.get_path(address, "default"), lambda: kv.patch(address, 1)):
        with pytest.raises((WrongTypeError, InvalidPathError)) as caught:
            attempt()
        if "slice, which" not in str(caught.value):
            assert caught.match(said)
    assert kv["user"] == USER


def test_a_key_of_that_name_goes_before_a_path(kv: Kycore) -> None:
    kv.save("user.profile.email", "the key")
    assert kv.get_path("user.profile.email") == "the key"
    assert kv.get_path("user.profile.age") == 36
    kv.delete("user.profile.email")
    assert kv.get_path("user.profile.email") == "a@b.c"


def test_the_longest_key_is_read(kv: Kycore) -> None:
    kv.save("user.profile", {"email": "longer"})
    assert kv.get_path("user.profile.email") == "longer"
    assert kv.get_path("user.profile.age", "none") == "none"
    kv.save("user.profile[0]", ["brackets"])
    assert kv.get_path("user.profile[0][0]") == "brackets"


def test_getkey_knows_no_paths(kv: Kycore) -> None:
    assert kv.getkey("user.profile.email") is None
    assert "user.profile.email" not in kv
    with pytest.raises(KeyError):
        kv["user.profile.email"]


def test_a_path_stays_in_its_scope(kv: Kycore) -> None:
    kv.save("user", {"a": 1}, scope="other")
    assert kv.get_path("user.a", scope="other") == 1
    assert kv.get_path("user.a") is None


def test_an_expired_key_is_not_read(kv: Kycore, clock: Clock) -> None:
    kv.save("user.profile", {"email": "short-lived"}, ttl=10)
    assert kv.get_path("user.profile.email") == "short-lived"
    clock.advance(10)
    assert kv.get_path("user.profile.email") == "a@b.c"
    assert kv.get_path("user.profile.email", include_expired=True) == "short-lived"


def test_a_path_into_the_past(kv: Kycore, clock: Clock) -> None:
    clock.advance(10)
    kv.patch("user.tags", [])
    kv.save("user.profile", "new")
    clock.advance(10)
    assert kv.get_path("user.tags[0]", at="15s ago") == "x"
    assert kv.get_path("user.tags[0]", "none") == "none"
    assert kv.get_path("user.profile.age", at="15s ago") == 36
    assert kv.get_path("$.profile.age", key="user", at="15s ago") == 36
    with pytest.raises(WrongTypeError):
        kv.get_path("user.profile.age")
    assert kv.get_path("nobody.x", "none", at="15s ago") == "none"


@pytest.mark.parametrize("text", ['{"a": [1, {"b": 2}]}', ' \n{"a":[1,{"b":2}]}'])
def test_text_that_is_a_json_object_or_list_counts_as_one(store: Kycore, text: str) -> None:
    store.save("k", text)
    assert store.get_path("k.a[1].b") == 2
    assert store["k"] == text
    assert store.patch("k.a[0]", 1) == "nochange"
    assert store.merge_patch("k", {"a": [1, {"b": 2}]}) == "nochange"
    assert store["k"] == text
    assert store.patch("k.a[0]", 5) == "overwritten"
    assert store["k"] == {"a": [5, {"b": 2}]}


@pytest.mark.parametrize(
    "value", ["plain", "", "{not json", '"text"', "5", '{"a":NaN}', '["\\ud800"]', b"{}"]
)
def test_other_values_have_no_inside(store: Kycore, value: Any) -> None:
    store.save("k", value)
    attempts: list[Callable[[], Any]] = [
        lambda: store.get_path("k.a"),
        lambda: store.patch("k.a", 1),
        lambda: store.push("k.a", 1),
        lambda: store.push("k", 1),
        lambda: store.remove("k", 1),
        lambda: store.merge_patch("k", {"a": 1}),
        lambda: store.json_patch("k", []),
    ]
    for attempt in attempts:
        with pytest.raises(WrongTypeError, match="'k'"):
            attempt()
    assert store["k"] == value
    assert len(store.get_history("k")) == 1


@pytest.mark.parametrize("key", ["", "k\0", 5, None, "x" * 4097])
def test_bad_keys(store: Kycore, key: Any) -> None:
    for attempt in (lambda: store.get_path(key), lambda: store.push(key, 1)):
        with pytest.raises(InvalidKeyError):
            attempt()
    if key is not None:  # None is no key given
        with pytest.raises(InvalidKeyError):
            store.get_path("$", key=key)


def test_a_name_made_of_dots(store: Kycore) -> None:
    store.save("." * 100, {"a": 1})
    with pytest.raises(InvalidPathError):
        store.get_path("." * 4096)
    assert store.get_path("." * 100 + ".a") == 1


# Setting a place


def test_patch_sets_a_place_and_makes_what_leads_there(kv: Kycore) -> None:
    assert kv.patch("user.profile.age", 37) == "overwritten"
    assert kv.patch("user.profile.age", 37) == "nochange"
    assert kv.patch("user.address.lines[0]", "here") == "overwritten"
    assert kv.patch("user.none.x", 1) == "overwritten"
    assert kv["user"] == {
        "profile": {"email": "a@b.c", "age": 37},
        "tags": ["x", "y", "z"],
        "none": {"x": 1},
        "address": {"lines": ["here"]},
    }
    assert [change.operation for change in kv.get_history("user")] == ["overwritten"] * 3 + [
        "created"
    ]


def test_patch_tells_types_apart(kv: Kycore) -> None:
    for value in (1, 1.0, True, "1", None, b"1", [1], {"$base64": "MQ=="}, 10**40, float("inf")):
        assert kv.patch("user.profile.age", value) == "overwritten"
        found = kv.get_path("user.profile.age")
        assert (type(found), found) == (type(value), value)
        assert kv.patch("user.profile.age", value) == "nochange"


def test_patch_makes_a_key(store: Kycore) -> None:
    assert store.patch("user.profile.age", 25) == "created"
    assert store["user"] == {"profile": {"age": 25}}
    assert store.patch("list[0]", "x") == "created"
    assert store["list"] == ["x"]
    assert store.patch("plain", "text") == "created"
    assert store["plain"] == "text"
    assert store.patch(".bashrc", "text") == "created"
    assert store[".bashrc"] == "text"
    assert store.patch("$.a", 1, key="dotted.key") == "created"
    assert store["dotted.key"] == {"a": 1}


def test_patch_of_items(kv: Kycore) -> None:
    kv.patch("user.tags[-1]", "last")
    kv.patch("user.tags[3]", "more")
    assert kv.get_path("user.tags") == ["x", "y", "last", "more"]
    with pytest.raises(InvalidPathError, match=r"user.tags has 4 items, and \[5\] is past its end"):
        kv.patch("user.tags[5]", "far")
    with pytest.raises(InvalidPathError, match="slice"):
        kv.patch("user.tags[0:1]", [])
    with pytest.raises(InvalidPathError):
        kv.patch("user.new[1]", "x")


@pytest.mark.parametrize("address", ["nobody..x", "nobody.", "nobody[", "nobody[a]", "nobody[1]"])
def test_patch_makes_no_key_of_what_is_no_path(store: Kycore, address: str) -> None:
    with pytest.raises(InvalidPathError):
        store.patch(address, 1)
    assert len(store) == 0


@pytest.mark.parametrize("value", [{1}, object(), "\ud800", {"a": "\ud800"}, {1: 2}])
def test_patch_refuses_what_cannot_be_stored(kv: Kycore, value: Any) -> None:
    attempts: list[Callable[[], Any]] = [
        lambda: kv.patch("user.x", value),
        lambda: kv.push("user.tags", value),
        lambda: kv.merge_patch("user", {"x": value}),
    ]
    for attempt in attempts:
        with pytest.raises((WrongTypeError, InvalidValueError)):
            attempt()
    assert kv["user"] == USER


def test_patch_refuses_too_deep_a_document(store: Kycore) -> None:
    with pytest.raises(InvalidValueError, match="levels"):
        store.patch("k" + ".a" * 300, 1)
    assert len(store) == 0


def test_the_lifetime_is_kept(store: Kycore, clock: Clock) -> None:
    store.save("k", {"list": []}, ttl=60)
    clock.advance(20)
    store.patch("k.a", 1)
    store.push("k.list", 1)
    store.remove("k.list", 1)
    store.merge_patch("k", {"b": 1})
    store.json_patch("k", [{"op": "remove", "path": "/b"}])
    assert store.ttl("k") == 40
    assert store["k"] == {"list": [], "a": 1}
    store.create_cache("web.cache", 30)
    store.push("k", 1, scope="web.cache")
    assert store.ttl("k", scope="web.cache") == 30
    clock.advance(40)
    assert store.push("k", 1) == "created"
    assert store.ttl("k") == float("inf")


def test_nothing_inside_a_transaction_that_fails_is_kept(kv: Kycore) -> None:
    with pytest.raises(RuntimeError), kv.transaction():
        kv.patch("user.profile.age", 1)
        kv.push("user.tags", "w")
        raise RuntimeError
    assert kv["user"] == USER


# Lists


def test_push_and_remove(store: Kycore) -> None:
    assert store.push("l", "a") == "created"
    assert store.push("l", "b") == "overwritten"
    assert store.push("l", "a") == "overwritten"
    assert store["l"] == ["a", "b", "a"]
    assert store.remove("l", "a") == "overwritten"
    assert store.remove("l", "a") == "nochange"
    assert store["l"] == ["b"]
    assert store.remove("nobody", "a") == "nochange"
    assert "nobody" not in store
    assert store.remove("l", "b") == "overwritten"
    assert store["l"] == []


def test_lists_tell_types_apart(store: Kycore) -> None:
    values = [1, 1.0, True, "1", b"1", None, [1], [1.0], [True], {"a": 1}, {"a": 1.0}, float("nan")]
    for value in values:
        assert store.push("l", value, unique=True) != "nochange"
    assert len(store["l"]) == len(values)
    for value in values:
        assert store.push("l", value, True) == "nochange"
    for left, value in enumerate(values, 1):
        assert store.remove("l", value) == "overwritten"
        assert len(store["l"]) == len(values) - left


def test_members_have_no_order(store: Kycore) -> None:
    store.push("l", {"a": 1, "b": [2]})
    assert store.push("l", {"b": [2], "a": 1}, unique=True) == "nochange"
    assert store.remove("l", {"b": [2], "a": 1}) == "overwritten"


def test_lists_inside_documents(kv: Kycore) -> None:
    assert kv.push("user.tags", "w") == "overwritten"
    assert kv.push("user.fresh.list", 1) == "overwritten"
    assert kv.push("user", "v", path="$.tags") == "overwritten"
    assert kv.remove("user.tags", "x") == "overwritten"
    assert kv.remove("user", "y", path="$.tags") == "overwritten"
    assert kv.remove("user.nothing", "y") == "nochange"
    assert kv.get_path("user.tags") == ["z", "w", "v"]
    assert kv.get_path("user.fresh.list") == [1]


def test_a_new_list_has_the_name_that_was_given(store: Kycore) -> None:
    store.push("logs.today", 1)
    assert list(store) == ["logs.today"]


def test_text_that_is_a_json_list_counts_as_one(store: Kycore) -> None:
    store.save("l", '["a"]')
    assert store.push("l", "a", unique=True) == "nochange"
    assert store["l"] == '["a"]'
    assert store.push("l", "b") == "overwritten"
    assert store["l"] == ["a", "b"]


@pytest.mark.parametrize("value", [{}, {"a": 1}, 5, 1.5, True, None, "text", '{"a":1}', b"[]"])
def test_lists_refuse_what_is_none(store: Kycore, value: Any) -> None:
    store.save("k", value)
    store.save("in", {"k": value})
    attempts: list[Callable[[], Any]] = [
        lambda: store.push("k", "v"),
        lambda: store.push("k", "v", unique=True),
        lambda: store.remove("k", "v"),
        lambda: store.push("in.k", "v"),
        lambda: store.remove("in.k", "v"),
    ]
    for attempt in attempts:
        with pytest.raises(TypeError, match="k"):
            attempt()
    assert store["k"] == value
    assert store["in"] == {"k": value}


# Merge patches

RFC_7396 = [  # appendix A
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "patch", "result"), RFC_7396)
def test_merge_patch_does_what_the_rfc_shows(
    store: Kycore, target: Any, patch: Any, result: Any
) -> None:
    store.save("k", target)
    store.save("in", {"k": [target]})
    assert store.merge_patch("k", patch) == "overwritten"
    assert store["k"] == result
    assert store.merge_patch("in.k[0]", patch) == "overwritten"
    assert store["in"] == {"k": [result]}


def test_merge_patch_makes_what_is_missing(store: Kycore) -> None:
    assert store.merge_patch("k", {"a": 1, "b": None, "c": {"d": None}}) == "created"
    assert store["k"] == {"a": 1, "c": {}}
    assert store.merge_patch("new.inside", {"a": 1}) == "created"
    assert store["new"] == {"inside": {"a": 1}}
    assert store.merge_patch("new.inside", {"a": 1}) == "nochange"


members = st.sampled_from(["a", "b", "c"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.text("xy", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(members, inner, max_size=3),
)
objects = st.dictionaries(members, json_values, max_size=3)


def difference(old: Any, new: Any) -> Any:
    """The merge patch that leads from one object to another, neither with a null in it."""
    if type(old) is not dict or type(new) is not dict:
        return new
    gone: dict[str, Any] = {name: None for name in old if name not in new}
    return gone | {
        name: difference(old.get(name), value)
        for name, value in new.items()
        if name not in old or old[name] != value
    }


def without_nulls(value: Any) -> Any:
    if type(value) is dict:
        return {name: without_nulls(part) for name, part in value.items() if part is not None}
    return value


@settings(max_examples=50)
@given(objects, objects)
def test_a_merge_patch_leads_from_any_object_to_any_other(old: Any, new: Any) -> None:
    old, new = without_nulls(old), without_nulls(new)
    with Kycore(":memory:") as store:
        store.save("k", old)
        store.merge_patch("k", difference(old, new))
        assert store["k"] == new
        assert store.merge_patch("k", difference(old, new)) == "nochange"


# JSON patches

RFC_6902 = [  # appendix A
    ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"foo": "bar", "baz": "qux"}),
    (
        {"foo": ["bar", "baz"]},
        [{"op": "add", "path": "/foo/1", "value": "qux"}],
        {"foo": ["bar", "qux", "baz"]},
    ),
    ({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
    ({"foo": ["bar", "qux", "baz"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["bar", "baz"]}),
    (
        {"baz": "qux", "foo": "bar"},
        [{"op": "replace", "path": "/baz", "value": "boo"}],
        {"baz": "boo", "foo": "bar"},
    ),
    (
        {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
        [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
        {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
    ),
    (
        {"foo": ["all", "grass", "cows", "eat"]},
        [{"op": "move", "from": "/foo/1", "path": "/foo/3"}],
        {"foo": ["all", "cows", "eat", "grass"]},
    ),
    (
        {"foo": "bar"},
        [{"op": "add", "path": "/child", "value": {"grandchild": {}}}],
        {"foo": "bar", "child": {"grandchild": {}}},
    ),
    (
        {"foo": "bar"},
        [{"op": "add", "path": "/baz", "value": "qux", "xyz": 123}],
        {"foo": "bar", "baz": "qux"},
    ),
    (
        {"foo": ["bar"]},
        [{"op": "add", "path": "/foo/-", "value": ["abc", "def"]}],
        {"foo": ["bar", ["abc", "def"]]},
    ),
    ({"a": 1}, [{"op": "copy", "from": "/a", "path": "/b"}], {"a": 1, "b": 1}),
    ({"a": 1}, [{"op": "replace", "path": "", "value": [1]}], [1]),
    (
        {"a": 1},
        [
            {"op": "test", "path": "/a", "value": 1},
            {"op": "add", "path": "/b", "value": b"\0"},
            {"op": "test", "path": "/b", "value": b"\0"},
        ],
        {"a": 1, "b": b"\0"},
    ),
    ({"/": 9, "~1": 10}, [{"op": "remove", "path": "/~01"}], {"/": 9}),
]


@pytest.mark.parametrize(("target", "patch", "result"), RFC_6902)
def test_json_patch_does_what_the_rfc_shows(
    store: Kycore, target: Any, patch: Any, result: Any
) -> None:
    store.save("k", target)
    store.save("in", {"k": [target]})
    assert store.json_patch("k", patch) == "overwritten"
    assert store["k"] == result
    assert store.json_patch("in.k[0]", patch) == "overwritten"
    assert store["in"] == {"k": [result]}


def test_json_patch_that_changes_nothing(store: Kycore) -> None:
    store.save("k", {"baz": "qux", "foo": ["a", 2, "c"]})
    patch: list[dict[str, Any]] = [
        {"op": "test", "path": "/baz", "value": "qux"},
        {"op": "test", "path": "/foo/1", "value": 2},
    ]
    assert store.json_patch("k", patch) == "nochange"
    assert store.json_patch("k", []) == "nochange"


@pytest.mark.parametrize(
    ("operation", "error", "said"),
    [
        ({"op": "test", "path": "/a", "value": 2}, ConflictError, "operation 2.*'/a'"),
        ({"op": "test", "path": "/a", "value": True}, ConflictError, "operation 2"),
        ({"op": "test", "path": "/a", "value": "1"}, ConflictError, "operation 2"),
        ({"op": "test", "path": "/no", "value": 1}, ConflictError, "operation 2"),
        ({"op": "remove", "path": "/no"}, InvalidPathError, "operation 2.*'/no'"),
        ({"op": "remove", "path": ""}, InvalidPathError, "operation 2"),
        ({"op": "replace", "path": "/no", "value": 1}, InvalidPathError, "operation 2"),
        ({"op": "add", "path": "/no/b", "value": 1}, InvalidPathError, "operation 2"),
        ({"op": "add", "path": "/list/9", "value": 1}, InvalidPathError, "operation 2"),
        ({"op": "add", "path": "/list/x", "value": 1}, InvalidPathError, "operation 2"),
        ({"op": "add", "path": "/list/01", "value": 1}, InvalidPathError, "operation 2"),
        ({"op": "remove", "path": "/list/-1"}, InvalidPathError, "operation 2"),
        ({"op": "remove", "path": "/a/b"}, InvalidPathError, "operation 2"),
        ({"op": "add", "path": "no-slash", "value": 1}, InvalidPathError, "operation 2"),
        ({"op": "move", "from": "/no", "path": "/x"}, InvalidPathError, "operation 2"),
        ({"op": "move", "from": "/list", "path": "/list/0"}, InvalidPathError, "operation 2"),
        ({"op": "copy", "from": "/no", "path": "/x"}, InvalidPathError, "operation 2"),
        ({"op": "spam", "path": "/x"}, InvalidValueError, "operation 2"),
        ({"op": [], "path": "/x"}, InvalidValueError, "operation 2"),
        ({"path": "/x", "value": 1}, InvalidValueError, "operation 2"),
        ({"op": "remove"}, InvalidValueError, "operation 2.*no 'path'"),
        ({"op": "remove", "path": 5}, InvalidValueError, "operation 2.*'path'"),
        ({"op": "add", "path": "/x"}, InvalidValueError, "no 'value'"),
        ({"op": "move", "path": "/x"}, InvalidValueError, "no 'from'"),
        ({"op": "copy", "path": "/x", "from": None}, InvalidValueError, "'from'"),
        ("add", InvalidValueError, "operation 2 of the patch is text"),
        ({"op": "add", "path": "/x", "value": {1}}, WrongTypeError, "set"),
    ],
)
def test_json_patch_that_does_not_fit_changes_nothing(
    store: Kycore, operation: Any, error: type[KycliError], said: str
) -> None:
    store.save("k", {"a": 1, "list": [1]})
    with pytest.raises(error, match=said):
        store.json_patch("k", [{"op": "add", "path": "/new", "value": 1}, operation])
    assert store["k"] == {"a": 1, "list": [1]}


@pytest.mark.parametrize(
    "document",
    [
        {"a": [1]},
        [[1]],
        pytest.param({"text": "x" * 1000}, marks=pytest.mark.soak),
        pytest.param({"x" * 1000: 1}, marks=pytest.mark.soak),
    ],
    ids=["list", *"ntm"],
)
def test_copies_that_double_a_document_again_and_again_are_refused(
    store: Kycore, document: Any
) -> None:
    store["k"] = document
    pointer = "/-" if isinstance(document, list) else "/y{}"
    patch = [{"op": "copy", "from": "", "path": pointer.format(n)} for n in range(60)]
    assert store.json_patch("k", patch[:3]) == "overwritten"
    before = store["k"]
    with pytest.raises(InvalidValueError, match="too large"):
        store.json_patch("k", patch)
    assert store["k"] == before


@pytest.mark.parametrize("operations", [None, {}, "[]", ({"op": "remove", "path": "/a"},), 5])
def test_json_patch_is_a_list(store: Kycore, operations: Any) -> None:
    store.save("k", {"a": 1})
    with pytest.raises(InvalidValueError, match="list of operations"):
        store.json_patch("k", operations)


def test_json_patch_of_what_is_missing(kv: Kycore) -> None:
    attempts: list[Callable[[], Any]] = [
        lambda: kv.json_patch("nobody", []),
        lambda: kv.json_patch("user.nothing", []),
        lambda: kv.json_patch("$.nothing", [], key="user"),
    ]
    for attempt in attempts:
        with pytest.raises(MissingKeyError):
            attempt()
    with pytest.raises(MissingKeyError, match=r"^no key 'nobody' in scope 'default'$"):
        kv.json_patch("$", [], key="nobody")


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        ({"op": "add", "path": "/a/b", "value": 1}, "there is no 'b' in what is a number"),
        ({"op": "remove", "path": "/a/b/c"}, "there is no 'b' in what is a number"),
        ({"op": "replace", "path": "/no", "value": 1}, "there is no member 'no'"),
        ({"op": "replace", "path": "/a~1b", "value": 1}, "there is no member 'a/b'"),
        ({"op": "remove", "path": "/a~2"}, "'~' stands only in '~0' and '~1'"),
        ({"op": "remove", "path": "a"}, "a place begins with '/'"),
        ({"op": "remove", "path": "/list/1"}, "the list there has 1 items, so none at 1"),
        ({"op": "add", "path": "/list/2", "value": 1}, "the list there has 1 items, so none at 2"),
        ({"op": "remove", "path": "/list/-"}, "'-' is no index of a list"),
        ({"op": "add", "path": "/list/01", "value": 1}, "'01' is no index of a list"),
        ({"op": "copy", "from": "/no", "path": "/x"}, "'from' is '/no': there is no member 'no'"),
        ({"op": "move", "from": "/no", "path": "/x"}, "'from' is '/no': there is no member 'no'"),
        ({"op": "move", "from": "/a", "path": "/no/x"}, "there is no member 'no'"),
        (
            {"op": "move", "from": "/d", "path": "/d/x"},
            "what is at '/d' cannot be moved into itself",
        ),
        ({"op": "remove", "path": ""}, "it does not fit the value"),
    ],
)
def test_a_misfit_says_what_is_wrong_in_one_short_line(
    store: Kycore, operation: Any, reason: str
) -> None:
    store.save("k", {"a": 1, "list": [1], "d": {}, "long": "x" * 1000})
    with pytest.raises(InvalidPathError) as raised:
        store.json_patch("k", [operation])
    which = f"operation 1 of the patch, {operation['op']!r} at {operation['path']!r}"
    assert str(raised.value) == f"{which}: {reason}"


pointers = st.lists(
    st.sampled_from(["a", "b", "0", "1", "-", "-1", "01", "", "~0", "~", "x"]), max_size=3
).map(lambda parts: "".join(f"/{part}" for part in parts)) | st.text("/a~", max_size=3)
operations = st.fixed_dictionaries(
    {
        "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]),
        "path": pointers,
        "from": pointers,
        "value": json_values,
    }
)


@settings(max_examples=examples(200))
@given(json_values.filter(lambda v: type(v) is not str), st.lists(operations, max_size=4))
def test_whatever_a_json_patch_says_is_done_or_refused(document: Any, patch: Any) -> None:
    with Kycore(":memory:") as store:
        store.save("k", document)
        given_patch = json.dumps(patch)
        said = ""
        try:
            store.json_patch("k", patch)
        except KycliError as error:
            said = str(error)
        assert said == "" or ("operation" in said and store["k"] == document)
        assert json.dumps(patch) == given_patch


# Processes


def push_many(path: str, name: str, count: int) -> None:
    with Kycore(path) as store:
        for number in range(count):
            store.push("list", f"{name}{number}")
            store.patch(f"doc.{name}[{number}]", number)
            store.push("unique", number, unique=True)


def test_processes_that_push_and_patch_at_once_lose_nothing(path: Path) -> None:
    Kycore(path).close()
    context = multiprocessing.get_context("fork")
    names = ["a", "b", "c"]
    processes = [context.Process(target=push_many, args=(str(path), name, 100)) for name in names]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * len(names)
    with Kycore(path) as store:
        assert sorted(store["list"]) == sorted(f"{n}{i}" for n in names for i in range(100))
        for name in names:
            mine = [item for item in store["list"] if item[0] == name]
            assert mine == [f"{name}{i}" for i in range(100)]
        assert store["doc"] == {name: list(range(100)) for name in names}
        assert sorted(store["unique"]) == list(range(100))
        assert len(store.get_history("unique")) == 100
