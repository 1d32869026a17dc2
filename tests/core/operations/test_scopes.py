"""Scopes as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import pytest
from conftest import Clock

from kycli import Kycore
from kycli.errors import ConflictError, InvalidScopeError, InvalidTTLError, MissingKeyError


def test_scopes_are_those_that_hold_live_keys_or_are_declared(store: Kycore, clock: Clock) -> None:
    assert store.scopes() == []
    store.save("k", 1, scope="beta")
    store.save("k", 1, scope="alpha.kv")
    store.save("k", 1, scope="alpha", ttl=5)
    store.create_cache("gamma.cache", 5)
    assert store.scopes() == ["alpha", "alpha.kv", "beta", "gamma.cache"]
    clock.advance(5)
    store.delete("k", scope="beta")
    assert store.scopes() == ["alpha.kv", "gamma.cache"]


def test_the_namespace_default_is_not_written(store: Kycore) -> None:
    store.save("k", 1, scope="alpha.default")
    assert store.scopes() == ["alpha"]
    assert store.getkey("k", scope="alpha") == 1


@pytest.mark.parametrize(
    "scope", ["Projekt-1", "Größe", "日本語.名前", "नमस्ते", "a_b.c-d", "x" * 128, "7"]
)
def test_names_in_any_script(store: Kycore, scope: str) -> None:
    store.save("k", 1, scope=scope)
    assert store.scopes() == [scope]


@pytest.mark.parametrize(
    "scope",
    ["", ".", "a.", ".b", "a.b.c", "a b", "a/b", "a:b", "x" * 129, "½", "a\n", "🙂", 7, b"a"],
)
def test_a_bad_scope_is_refused_everywhere(store: Kycore, path: Path, scope: Any) -> None:
    calls: list[Any] = [
        lambda: store.save("k", 1, scope=scope),
        lambda: store.getkey("k", scope=scope),
        lambda: store.delete("k", scope=scope),
        lambda: store.incr("k", scope=scope),
        lambda: store.save_many({"k": 1}, scope=scope),
        lambda: store.listkeys(scope=scope),
        lambda: store.scan(scope=scope),
        lambda: store.count(scope=scope),
        lambda: store.copy("k", to_scope=scope),
        lambda: store.drop_scope(scope),
        lambda: store.rename_scope("default", scope),
        lambda: Kycore(path, scope=scope),
    ]
    for call in calls:
        with pytest.raises(InvalidScopeError) as caught:
            call()
        assert caught.value.hint


def test_listing_scopes_costs_what_there_are_scopes_not_keys(store: Kycore) -> None:
    """Counts SQLite's own steps, which do not depend on the machine."""

    def steps() -> int:
        connection = apsw.Connection(store.path)
        total = 0

        def count() -> bool:
            nonlocal total
            total += 1
            return False

        from kycli.core.sql.scopes import _USED

        connection.set_progress_handler(count, 1)
        connection.execute(_USED, (0,)).fetchall()
        connection.close()
        return total

    for i in range(20):
        store.save("k", 1, scope=f"scope{i}")
    few = steps()
    for i in range(20):
        store.save_many(((f"k{j}", 1) for j in range(500)), scope=f"scope{i}")
    assert steps() <= few * 1.1


def test_dropping_a_scope_archives_its_keys(store: Kycore) -> None:
    store.create_cache("p.n", 60)
    store.save_many(((f"k{i}", "x" * i) for i in range(1000)), scope="p.n")
    store.save("k", 1)
    assert store.drop_scope("p.n") == 1000
    assert store.scopes() == ["default"]
    assert store.caches() == {}
    assert store._query("SELECT count(*) FROM archive") == [(1000,)]
    assert store.drop_scope("p.n") == 0


def test_renaming_takes_keys_history_and_declaration_along(store: Kycore) -> None:
    store.create_cache("a.b", 60)
    store.save("k", "one", scope="a.b")
    store.save("k", "x" * 600, scope="a.b")
    store.save("gone", 1, scope="a.b")
    store.delete("gone", scope="a.b")
    assert store.rename_scope("a.b", "c.d") == 1
    assert store.scopes() == ["c.d"]
    assert store.caches() == {"c.d": 60}
    assert store.getkey("k", scope="c.d") == "x" * 600
    assert store._query("SELECT DISTINCT scope FROM audit_log WHERE op <> 0") == [("c.d",)]
    store.save("k", "three", scope="c.d")
    entry = store.get_entry("k", scope="c.d")
    assert entry is not None
    assert entry.version == 3


def test_renaming_refuses_what_would_mix_or_break(store: Kycore) -> None:
    store.save("k", 1, scope="a", ttl=60)
    store.save("k", 2, scope="b")
    with pytest.raises(ConflictError):
        store.rename_scope("a", "b")
    with pytest.raises(ConflictError):
        store.rename_scope("a", "a.default")
    with pytest.raises(MissingKeyError):
        store.rename_scope("nowhere", "c")
    with pytest.raises(InvalidTTLError):
        store.rename_scope("a", "p.n")
    assert store.scopes() == ["a", "b"]
    assert store.ttl("k", scope="a") == 60


def test_expired_keys_are_in_nobodys_way(store: Kycore, clock: Clock) -> None:
    store.save("k", 1, scope="a")
    store.save("gone", 1, ttl=1, scope="a")
    store.save("k", 1, ttl=1, scope="b")
    clock.advance(1)
    assert store.rename_scope("a", "p.n") == 1
    assert store.rename_scope("p.n", "b") == 1
    assert store.scopes() == ["b"]
    store.drop_scope("b")
    with pytest.raises(MissingKeyError):
        store.rename_scope("b", "c")


def test_a_name_with_a_past_can_be_used_again(store: Kycore) -> None:
    store.create_cache("blue.green", 60)
    store.save_many({"k": "old", "only": 1}, scope="blue.green")
    store.drop_scope("blue.green")
    store.create_cache("green.blue", 30)
    store.save("k", "x" * 600, scope="green.blue")
    store.save("l", 1, ttl=5, scope="green.blue")
    assert store.rename_scope("green.blue", "blue.green") == 2
    assert store.scopes() == ["blue.green"]
    assert store.caches() == {"blue.green": 30}
    assert dict(store.scan(scope="blue.green")) == {"k": "x" * 600, "l": 1}
    assert store.ttl("l", scope="blue.green") == 5
    entry = store.get_entry("k", scope="blue.green")
    assert entry is not None
    assert entry.version == 2


def test_a_cache_renamed_to_a_plain_scope_is_no_cache_any_more(store: Kycore) -> None:
    store.create_cache("a.b", 60)
    store.save("k", 1, scope="a.b")
    store.rename_scope("a.b", "plain")
    assert store.caches() == {}
    assert store.ttl("k", scope="plain") == 60
