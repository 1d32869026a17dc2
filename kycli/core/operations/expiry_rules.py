"""When a key has expired, and which keys may have a lifetime: those of plain scopes, and of caches.

The engine checks the keys that it reads and writes itself, in ``engine/expiry.pxi``.
"""

from __future__ import annotations

from kycli.core.names import DEFAULT, split_scope
from kycli.errors import InvalidTTLError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeGuard

    from kycli.core.storage import Kycore


def has_expired(expires_at: int | None, at: int) -> TypeGuard[int]:
    """Whether a key that expires at a time, or never, has expired at another one."""
    return expires_at is not None and expires_at <= at


def is_plain(scope: str) -> bool:
    """Whether each key of the scope may have a lifetime of its own."""
    return split_scope(scope)[1] == DEFAULT


def is_cache(store: Kycore, scope: str) -> bool:
    """Whether keys of the scope may have a lifetime because it is declared a cache."""
    return store._lifetime_in(scope, None) is not None


def how_to_declare(scope: str) -> str:
    """Say how to make a scope a cache, or a namespace of it where it is a plain scope."""
    if is_plain(scope):
        scope += ".cache"
        return f"a cache is a namespace: kycli admin create-cache {scope} timeout=SEC"
    return f"to make it one: kycli admin create-cache {scope} timeout=SEC"


def not_a_cache(scope: str) -> InvalidTTLError:
    """Return the error for a TTL in a namespace that was not declared a cache."""
    return InvalidTTLError(
        f"{scope!r} is not a cache, so its keys take no TTL",
        hint=how_to_declare(scope),
    )
