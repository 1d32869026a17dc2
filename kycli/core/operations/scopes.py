"""Scopes as a whole: listing, dropping, renaming, and declaring them caches."""

from __future__ import annotations

from kycli.core.layout import LIVE, NOTE_RENAMED
from kycli.core.names import DEFAULT, split_scope
from kycli.errors import ConflictError, InvalidScopeError, InvalidTTLError, MissingKeyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kycli.core.storage import Kycore

# Jumps from each scope to the next in the primary key: one descent for each scope.
_USED = f"""
WITH RECURSIVE used (scope) AS (
    SELECT min(scope) FROM kvstore
    UNION ALL
    SELECT (SELECT min(scope) FROM kvstore WHERE scope > used.scope)
    FROM used WHERE scope IS NOT NULL
)
SELECT scope FROM used
WHERE scope IS NOT NULL AND EXISTS (
    SELECT 1 FROM kvstore k WHERE k.scope = used.scope AND {LIVE}
)"""
_DECLARED = "SELECT scope FROM sys_namespaces"
_CACHES = "SELECT scope, cache_ms FROM sys_namespaces WHERE cache_ms IS NOT NULL ORDER BY scope"
_DECLARE = """
INSERT INTO sys_namespaces (scope, cache_ms, created_at) VALUES (?1, ?2, ?3)
ON CONFLICT (scope) DO UPDATE SET cache_ms = excluded.cache_ms"""
_CACHE_MS = "SELECT cache_ms FROM sys_namespaces WHERE scope = ?1"
_SET_CACHE_MS = "UPDATE sys_namespaces SET cache_ms = ?2 WHERE scope = ?1"
_NO_CACHE = "UPDATE sys_namespaces SET cache_ms = NULL WHERE scope = ?1"
# Nothing is declared of a scope any more.
_FORGET = """
DELETE FROM sys_namespaces WHERE scope = ?1
AND coalesce(cache_ms, history_days, history_versions, archive_days, fold_keys) IS NULL"""
_UNDECLARE = "DELETE FROM sys_namespaces WHERE scope = ?1"
_MOVE_HORIZON = """
INSERT INTO horizon (scope, reaches_to) SELECT ?2, reaches_to FROM horizon WHERE scope = ?1
ON CONFLICT (scope) DO UPDATE SET reaches_to = max(reaches_to, excluded.reaches_to)"""
_TABLES = ("kvstore", "audit_log", "archive", "sys_namespaces")


def scopes(store: Kycore) -> list[str]:
    """Return the scopes that hold live keys or are declared, sorted."""
    now = store._now()
    rows = store._query(_USED, (now,)) + store._query(_DECLARED)
    return sorted({scope for (scope,) in rows})


def drop_scope(store: Kycore, scope: str) -> int:
    """Delete all keys of a scope and what is declared of it; return how many keys."""
    with store.transaction():
        count = store.delete_many(prefix="", scope=scope)
        store._query(_UNDECLARE, (scope,))
    return count


def rename_scope(store: Kycore, scope: str, to_scope: str) -> int:
    """Rename a scope in every table; return how many keys it holds.

    The history goes along: it is the same scope under another name, so renaming is
    no change of any key. Only where keys were once deleted under the new name are
    the keys moved there one by one, so that no two histories are mixed.
    """
    if scope == to_scope:
        raise ConflictError(f"the scope is called {scope!r} already")
    with store.transaction():
        if scope not in scopes(store):
            raise MissingKeyError(f"no scope {scope!r}")
        if to_scope in scopes(store):
            raise ConflictError(f"the scope {to_scope!r} exists already", hint="drop it first")
        if _known(store, to_scope):
            return _move_keys(store, scope, to_scope)
        from kycli.core.search import indexing

        indexing.rename(store, scope, to_scope)
        for table in _TABLES:
            store._query(f"UPDATE {table} SET scope = ?2 WHERE scope = ?1", (scope, to_scope))
        store._query(_MOVE_HORIZON, (scope, to_scope))
        start_anew(store)
        store._query(NOTE_RENAMED, (scope, to_scope, store._now()))
        _check_lifetimes(store, to_scope)
        return store.count(scope=to_scope)


def _move_keys(store: Kycore, scope: str, to_scope: str) -> int:
    """Rename to a name with a past: its history stays its own, and the keys are moved to it."""
    store._query("UPDATE sys_namespaces SET scope = ?2 WHERE scope = ?1", (scope, to_scope))
    if is_plain(to_scope):
        _drop_cache(store, to_scope)
    start_anew(store)
    count = 0
    for key in store.iterkeys(scope=scope):
        count += store.move(key, scope=scope, to_scope=to_scope)
    return count


def _known(store: Kycore, scope: str) -> bool:
    return any(
        store._query(f"SELECT 1 FROM {table} WHERE scope = ?1 LIMIT 1", (scope,))
        for table in ("kvstore", "archive", "sys_namespaces")
    )


def _check_lifetimes(store: Kycore, scope: str) -> None:
    """Keys expire only in plain scopes and caches, also after a scope was renamed."""
    if is_plain(scope):
        _drop_cache(store, scope)
        return
    if is_cache(store, scope):
        return
    sql = f"SELECT 1 FROM kvstore WHERE scope = ?2 AND expires_at IS NOT NULL AND {LIVE} LIMIT 1"
    if store._query(sql, (store._now(), scope)):
        raise not_a_cache(scope)


def create_cache(store: Kycore, scope: str, timeout_ms: int) -> None:
    """Declare a named namespace a cache."""
    _check_namespace(scope)
    with store.transaction():
        if is_cache(store, scope):
            raise ConflictError(
                f"{scope!r} is a cache already",
                hint=f"to change its timeout: kycli admin set-cache {scope} timeout=SEC",
            )
        store._query(_DECLARE, (scope, timeout_ms, store._now()))


def set_cache(store: Kycore, scope: str, timeout_ms: int) -> None:
    """Change the timeout of a cache."""
    with store.transaction():
        _check_cache(store, scope, _how_to_declare(scope))
        store._query(_SET_CACHE_MS, (scope, timeout_ms))


def drop_cache(store: Kycore, scope: str) -> None:
    """Make a cache an ordinary namespace again."""
    with store.transaction():
        _check_cache(store, scope, "'kycli admin list-caches' lists the caches")
        _drop_cache(store, scope)


def _drop_cache(store: Kycore, scope: str) -> None:
    store._query(_NO_CACHE, (scope,))
    forget_undeclared(store, scope)


def forget_undeclared(store: Kycore, scope: str) -> None:
    """Forget that a scope was ever declared, if nothing is declared of it any more."""
    store._query(_FORGET, (scope,))


def start_anew(store: Kycore) -> None:
    """Have the sweeps of ``retention`` begin anew: other rules hold for rows they have seen."""
    store._query("DELETE FROM sweeps")


def caches(store: Kycore) -> dict[str, float]:
    """Return each cache and its timeout in seconds."""
    return {scope: timeout_ms / 1000 for scope, timeout_ms in store._query(_CACHES)}


def is_plain(scope: str) -> bool:
    """Whether each key of the scope may have a lifetime of its own."""
    return split_scope(scope)[1] == DEFAULT


def _check_namespace(scope: str) -> None:
    if is_plain(scope):
        raise InvalidScopeError(
            f"{scope!r} names no namespace: keys of a plain scope have a TTL each",
            hint=_how_to_declare(scope),
        )


def is_cache(store: Kycore, scope: str) -> bool:
    """Whether keys of the scope may have a lifetime because it is declared a cache."""
    rows = store._query(_CACHE_MS, (scope,))
    return bool(rows) and rows[0][0] is not None


def default_lifetime(store: Kycore, scope: str) -> int | None:
    """Return how long a key lives that is saved without a TTL, in milliseconds; None for ever."""
    rows = store._query(_CACHE_MS, (scope,))
    lifetime: int | None = rows[0][0] if rows else None
    return lifetime


def _check_cache(store: Kycore, scope: str, hint: str) -> None:
    if not is_cache(store, scope):
        raise MissingKeyError(f"{scope!r} is not a cache", hint=hint)


def _how_to_declare(scope: str) -> str:
    """Say how to make a scope a cache, or a namespace of it where it is a plain scope."""
    if is_plain(scope):
        scope += ".cache"
        return f"a cache is a namespace: kycli admin create-cache {scope} timeout=SEC"
    return f"to make it one: kycli admin create-cache {scope} timeout=SEC"


def not_a_cache(scope: str) -> InvalidTTLError:
    """Return the error for a TTL in a namespace that was not declared a cache."""
    return InvalidTTLError(
        f"{scope!r} is not a cache, so its keys take no TTL",
        hint=_how_to_declare(scope),
    )
