"""Saving, reading, deleting and listing keys."""

from __future__ import annotations

import copy
import pickle
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from conftest import Clock

from kycli import KycliError, Kycore
from kycli.errors import (
    ClosedError,
    ConflictError,
    InvalidKeyError,
    InvalidValueError,
    MissingKeyError,
    MisuseError,
    WrongTypeError,
)

pytestmark = pytest.mark.usefixtures("_both_statements")


def test_save_says_what_it_did(store: Kycore) -> None:
    assert store.save("key", "a") == "created"
    assert store.save("key", "b") == "overwritten"
    assert store.save("key", "b") == "nochange"


def test_a_missing_key_is_the_default_and_never_an_exception(store: Kycore) -> None:
    assert store.getkey("key") is None
    assert store.getkey("key", 7) == 7
    assert store.get_entry("key") is None
    assert store.delete("key") is False
    assert store.ttl("key") is None
    assert store.expire("key", 5) is False
    assert store.persist("key") is False
    assert store.copy("key", "other") is False


def test_the_mapping_protocol(store: Kycore) -> None:
    store["b"] = 1
    store["a"] = 2
    assert store["a"] == 2
    assert "a" in store
    assert "c" not in store
    assert 7 not in store
    assert len(store) == 2
    assert list(store) == ["a", "b"]
    assert dict(store) == {"a": 2, "b": 1}
    assert list(store.items()) == [("a", 2), ("b", 1)]
    assert list(store.values()) == [2, 1]
    del store["a"]
    with pytest.raises(KeyError, match="no key 'a' in scope 'default'"):
        store["a"]
    with pytest.raises(MissingKeyError):
        del store["a"]


@pytest.mark.parametrize(
    "key",
    ["User.Name", " blank ", "new\nline", "é", "日本", "🙂", "a" * 4096, "%", "*", "--x", "'\""],
)
def test_a_key_is_kept_exactly_as_given(store: Kycore, key: str) -> None:
    store.save(key, 1)
    assert list(store) == [key]
    assert store[key] == 1


@pytest.mark.parametrize(
    "key", ["", "a\0", "\0", "a" * 4097, "é" * 2049, "\ud800", 7, None, b"key"]
)
def test_a_bad_key_is_refused_everywhere(store: Kycore, key: Any) -> None:
    calls: list[Any] = [
        lambda: store.save(key, 1),
        lambda: store.save(key, 1, if_absent=True),
        lambda: store.getkey(key),
        lambda: store.get_entry(key),
        lambda: store.delete(key),
        lambda: store.incr(key),
        lambda: store.append(key, "x"),
        lambda: store.getset(key, 1),
        lambda: store.expire(key, 5),
        lambda: store.ttl(key),
        lambda: store.persist(key),
        lambda: store.copy(key, "b"),
        lambda: store.save_many([("good", 1), (key, 1)]),
        lambda: store.get_many([key]),
        lambda: store.delete_many([key]),
        lambda: store[key],
    ]
    for call in calls:
        with pytest.raises(InvalidKeyError) as caught:
            call()
        assert isinstance(caught.value, ValueError)
    assert len(store) == 0


def test_save_if_absent(store: Kycore, clock: Clock) -> None:
    assert store.save("key", 1, if_absent=True, ttl=5) == "created"
    assert store.save("key", 2, if_absent=True) == "nochange"
    assert store["key"] == 1
    clock.advance(5)
    assert store.save("key", 3, if_absent=True) == "created"


def test_save_if_version(store: Kycore) -> None:
    assert store.save("key", "a", if_version=0) == "created"
    with pytest.raises(ConflictError, match="version 1, not 0"):
        store.save("key", "b", if_version=0)
    assert store.save("key", "b", if_version=1) == "overwritten"
    with pytest.raises(ConflictError, match="version 2, not 1"):
        store.save("key", "c", if_version=1)
    with pytest.raises(ConflictError, match="no key 'other'"):
        store.save("other", "c", if_version=3)
    entry = store.get_entry("key")
    assert entry is not None
    assert (entry.value, entry.version) == ("b", 2)


def test_the_version_goes_on_when_a_key_is_deleted_and_created_again(store: Kycore) -> None:
    store.save("key", "a")
    store.save("key", "b")
    store.delete("key")
    store.save("key", "c")
    entry = store.get_entry("key")
    assert entry is not None
    assert entry.version == 3


def test_save_many_and_get_many(store: Kycore) -> None:
    assert store.save_many({"a": 1, "b": [2]}) == 2
    assert store.save_many((f"k{i}", "x" * i) for i in range(2000)) == 2000
    assert store.get_many(["a", "b", "k600", "missing"]) == {"a": 1, "b": [2], "k600": "x" * 600}
    assert store.save_many([]) == 0


def test_save_many_keeps_the_last_value_of_a_key_given_twice(store: Kycore) -> None:
    pairs = [("k", "small"), ("k", "L" * 600), ("k", "small again")]
    assert store.save_many(pairs) == 3
    assert store["k"] == "small again"


@pytest.mark.parametrize(
    "bad", [("", 1), ("k", object()), ("only",), "text", 7, ("a", 1, 2), ("k", "\ud800")]
)
def test_save_many_is_all_or_nothing(store: Kycore, bad: Any) -> None:
    store.save("old", 1)
    pairs: list[Any] = [(f"k{i}", i) for i in range(1500)]
    with pytest.raises((InvalidKeyError, InvalidValueError, WrongTypeError)):
        store.save_many([*pairs, bad])
    assert list(store) == ["old"]


def test_save_many_is_undone_when_the_iterable_raises(store: Kycore) -> None:
    def pairs() -> Any:
        yield "a", 1
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        store.save_many(pairs())
    assert len(store) == 0
    store.save("after", 1)


def test_delete_many(store: Kycore) -> None:
    store.save_many({"a": 1, "ab": 2, "b": 3})
    assert store.delete_many(["a", "missing"]) == 1
    assert store.delete_many(prefix="a") == 1
    assert list(store) == ["b"]
    assert store.delete_many(prefix="") == 1
    with pytest.raises(MisuseError):
        store.delete_many()
    with pytest.raises(MisuseError):
        store.delete_many(["a"], prefix="a")


def test_prefixes_are_literal_and_end_where_they_should(store: Kycore) -> None:
    keys = sorted(
        ["a", "a%", "a_", "ab", "a\U0010ffff", "a\U0010ffffz", "b", "a\ud7ff", "a\ue000", "é"]
    )
    store.save_many((key, 1) for key in keys)
    for prefix in [*keys, "", "zz", "a\U0010ffff"]:
        expected = [key for key in keys if key.startswith(prefix)]
        assert store.listkeys(prefix=prefix) == expected
        assert [key for key, _ in store.scan(prefix)] == expected
        assert store.count(prefix) == len(expected)


def test_listings_are_sorted_by_code_point_and_page_without_gaps(store: Kycore) -> None:
    keys = sorted(f"key {i}" for i in range(2500))
    store.save_many((key, key) for key in reversed(keys))
    assert list(store) == keys
    assert list(store.scan()) == [(key, key) for key in keys]
    for limit in (0, 1, 999, 1000, 1001, 2500, 9999):
        assert store.listkeys(limit=limit) == keys[:limit]
        assert len(list(store.scan(limit=limit))) == min(limit, 2500)


def test_keys_at_the_border_of_a_page(store: Kycore) -> None:
    keys = sorted(key + tail for key in (f"k{i:04}" for i in range(1500)) for tail in ("", "\x01"))
    store.save_many((key, key) for key in keys)
    assert list(store) == keys
    assert [key for key, _ in store.scan()] == keys


def test_a_scan_of_large_values_pages_by_size(store: Kycore) -> None:
    store.save_many((f"k{i:02}", chr(65 + i) * 700_000) for i in range(12))
    assert [(key, value[0]) for key, value in store.scan()] == [
        (f"k{i:02}", chr(65 + i)) for i in range(12)
    ]


def test_a_listing_goes_on_while_keys_are_written_and_deleted(store: Kycore) -> None:
    store.save_many((f"k{i:04}", i) for i in range(3000))
    seen = []
    for key in store:
        seen.append(key)
        if key == "k0500":
            store.delete_many(prefix="k2")
            store.save("k9999", 1)
    assert seen[:1001] == [f"k{i:04}" for i in range(1001)]
    assert "k9999" in seen
    assert not any(key.startswith("k25") for key in seen)


def test_a_pattern_is_a_regular_expression_from_the_start_of_the_key(store: Kycore) -> None:
    store.save_many({"user:1": 1, "user:22": 1, "a user:1": 1})
    assert store.listkeys(r"user:\d+") == ["user:1", "user:22"]
    assert store.listkeys(r"user:\d$") == ["user:1"]
    assert store.listkeys(".*1") == ["a user:1", "user:1"]
    assert store.listkeys(".*", limit=1) == ["a user:1"]
    assert store.listkeys(".*1", prefix="a") == ["a user:1"]
    with pytest.raises(InvalidKeyError, match="bad pattern"):
        store.listkeys("(")


@pytest.mark.parametrize("limit", [-1, "3", 2.5])
def test_a_bad_limit_is_refused(store: Kycore, limit: Any) -> None:
    with pytest.raises((WrongTypeError, InvalidValueError)):
        store.listkeys(limit=limit)


def test_scopes_do_not_see_each_other(path: Path) -> None:
    with Kycore(path, scope="one") as store:
        store.save("key", 1)
        store.save("key", 2, scope="two")
        assert store["key"] == 1
        assert store.getkey("key", scope="two") == 2
        assert store.listkeys(scope="two") == ["key"]
        assert store.delete("key", scope="two") is True
        assert len(store) == 1


def test_a_closed_store_says_so_and_closes_again(path: Path) -> None:
    store = Kycore(path)
    listing = iter(store)
    store.close()
    store.close()
    assert store.closed
    for call in (
        lambda: store["a"],
        lambda: store.save("a", 1),
        lambda: next(listing),
        store.scopes,
    ):
        with pytest.raises(ClosedError):
            call()
    assert "closed" in repr(store)


def test_misuse_is_an_error_and_not_an_answer(store: Kycore) -> None:
    store.save_many({"x": 1, "y": 2})
    for call in (
        lambda: store.delete_many("xy"),
        lambda: store.get_many("xy"),
        lambda: store.save("x", 1, if_version="1"),  # type: ignore[arg-type]
        lambda: store.save("x", 1, if_version=True),
        lambda: store.listkeys(b"x"),  # type: ignore[arg-type]
        lambda: copy.copy(store),
        lambda: pickle.dumps(store),
        lambda: Kycore(":memory:", busy_timeout_ms=1.5),  # type: ignore[arg-type]
    ):
        with pytest.raises(WrongTypeError):
            call()
    assert dict(store) == {"x": 1, "y": 2}
    assert "" not in store
    unopened = Kycore.__new__(Kycore)
    with pytest.raises(ClosedError):
        unopened.getkey("x")
    unopened.close()


def test_a_key_of_a_kind_of_text_is_that_text(store: Kycore) -> None:
    class Name(StrEnum):
        KEY = "key"

    assert store.save(Name.KEY, 1) == "created"
    store.save_many([(Name.KEY, 2)])
    assert store.incr(Name.KEY) == 3
    for _ in range(20):
        assert store.getkey(Name.KEY) == 3
    assert Name.KEY in store
    assert [type(key) for key in store] == [str]
    assert store.get_many([Name.KEY]) == {"key": 3}
    assert store.delete(Name.KEY) is True


def test_a_store_is_true_when_it_holds_keys(store: Kycore) -> None:
    assert not store
    store.save("k", 1)
    assert store


def test_the_promised_names_hold(store: Kycore) -> None:
    assert store.path.endswith("kycli.db")
    assert store.scope == "default"
    assert issubclass(InvalidKeyError, KycliError)
    assert store.read_only is False
