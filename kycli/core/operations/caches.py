"""Caches: named namespaces whose keys expire, and the rules for which keys may."""

from __future__ import annotations

from kycli.core.names import DEFAULT, split_scope
from kycli.core.sql import scopes as sql
from kycli.errors import ConflictError, InvalidScopeError, InvalidTTLError, MissingKeyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kycli.core.storage import Kycore


def create_cache(store: Kycore, scope: str, timeout_ms: int) -> None:
    """Declare a named namespace a cache."""
    _check_namespace(scope)
    with store.transaction():
        if is_cache(store, scope):
            raise ConflictError(
                f"{scope!r} is a cache already",
                hint=f"to change its timeout: kycli admin set-cache {scope} timeout=SEC",
            )
        declare_cache(store, scope, timeout_ms)


def set_cache(store: Kycore, scope: str, timeout_ms: int) -> None:
    """Change the timeout of a cache."""
    with store.transaction():
        _check_cache(store, scope, _how_to_declare(scope))
        declare_cache(store, scope, timeout_ms)


def drop_cache(store: Kycore, scope: str) -> None:
    """Make a cache an ordinary namespace again."""
    with store.transaction():
        _check_cache(store, scope, "'kycli admin list-caches' lists the caches")
        declare_cache(store, scope, None)


def declare_cache(store: Kycore, scope: str, timeout_ms: int | None) -> None:
    """Declare a scope a cache, or with None that it is none any more."""
    sql.declare(store, scope, store._now(), {"cache_ms": timeout_ms})


def caches(store: Kycore) -> dict[str, float]:
    """Return each cache and its timeout in seconds."""
    declared = sql.all_declared(store)
    return {row.scope: row.cache_ms / 1000 for row in declared if row.cache_ms is not None}


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
    return store._lifetime_in(scope, None) is not None


def check_lifetimes(store: Kycore, scope: str) -> None:
    """Keys expire only in plain scopes and caches, also after a scope was renamed."""
    if is_plain(scope):
        declare_cache(store, scope, None)
    elif not is_cache(store, scope) and sql.any_expiring(store, scope, store._now()):
        raise not_a_cache(scope)


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
