"""Caches: namespaces whose keys have a lifetime by default."""

from __future__ import annotations

from kycli.core.operations.expiry_rules import how_to_declare, is_cache, is_plain, not_a_cache
from kycli.core.sql import scopes as sql
from kycli.errors import ConflictError, InvalidScopeError, MissingKeyError

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
        _check_cache(store, scope, how_to_declare(scope))
        declare_cache(store, scope, timeout_ms)


def drop_cache(store: Kycore, scope: str) -> None:
    """Make a cache an ordinary namespace again."""
    with store.transaction():
        _check_cache(store, scope, "'kycli admin list-caches' lists the caches")
        declare_cache(store, scope, None)


def declare_cache(store: Kycore, scope: str, timeout_ms: int | None) -> None:
    """Make a scope a cache, or with None a plain scope."""
    sql.declare(store, scope, store._now(), {"cache_ms": timeout_ms})


def caches(store: Kycore) -> dict[str, float]:
    """Return each cache and its timeout in seconds."""
    return {
        declared.scope: declared.cache_ms / 1000
        for declared in store._all_declared()
        if declared.cache_ms is not None
    }


def _check_namespace(scope: str) -> None:
    if is_plain(scope):
        raise InvalidScopeError(
            f"{scope!r} names no namespace: keys of a plain scope have a TTL each",
            hint=how_to_declare(scope),
        )


def check_lifetimes(store: Kycore, scope: str) -> None:
    """Keys expire only in plain scopes and caches, also after a scope was renamed."""
    if is_plain(scope):
        declare_cache(store, scope, None)
    elif not is_cache(store, scope) and sql.any_expiring(store, scope, store._now()):
        raise not_a_cache(scope)


def _check_cache(store: Kycore, scope: str, hint: str) -> None:
    if not is_cache(store, scope):
        raise MissingKeyError(f"{scope!r} is not a cache", hint=hint)
