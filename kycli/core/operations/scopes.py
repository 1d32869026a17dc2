"""Scopes as a whole: listing, dropping, renaming."""

from __future__ import annotations

from kycli.core.layout import RESERVED
from kycli.core.operations.caches import check_lifetimes, declare_cache
from kycli.core.operations.expiry_rules import is_plain
from kycli.core.operations.selecting import drop_indexes, rename_indexes
from kycli.core.sql import log, pruning, retained, schemas
from kycli.core.sql import scopes as sql
from kycli.errors import ConflictError, MissingKeyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kycli.core.storage import Kycore


def scopes(store: Kycore) -> list[str]:
    """Return the scopes that hold live keys or are declared, sorted."""
    declared = [declared.scope for declared in store._all_declared()]
    found = {*sql.used(store, store._now()), *declared, *schemas.names(store)}
    return sorted(scope for scope in found if not scope.startswith(RESERVED))


def drop_scope(store: Kycore, scope: str) -> int:
    """Delete all keys and settings of a scope; return the number of keys."""
    with store.transaction():
        count = store.delete_many(prefix="", scope=scope)
        sql.undeclare(store, scope)
        schemas.store_schema(store, scope, None)
        drop_indexes(store, scope)
    return count


def rename_scope(store: Kycore, scope: str, to_scope: str) -> int:
    """Rename a scope in every table; return how many keys it holds.

    The history goes along: it is the same scope under another name, so renaming changes
    no key. If the new name has a history of its own, the keys are moved there one by one
    instead, so that two histories are never mixed.
    """
    if scope == to_scope:
        raise ConflictError(f"the scope is called {scope!r} already")
    with store.transaction():
        if scope not in scopes(store):
            raise MissingKeyError(f"no scope {scope!r}")
        if to_scope in scopes(store):
            raise ConflictError(f"the scope {to_scope!r} exists already", hint="drop it first")
        if sql.is_known(store, to_scope):
            return _move_keys(store, scope, to_scope)
        from kycli.core.search import indexing

        indexing.rename(store, scope, to_scope)
        sql.rename(store, scope, to_scope)
        schemas.rename(store, scope, to_scope)
        rename_indexes(store, scope, to_scope)
        retained.follow_rename(store, scope, to_scope)
        pruning.restart_sweeps(store)
        log.note_renamed(store, scope, to_scope, store._now())
        check_lifetimes(store, to_scope)
        return store.count(scope=to_scope)


def _move_keys(store: Kycore, scope: str, to_scope: str) -> int:
    """Rename to a name with a history, which is kept: the keys are moved to it."""
    sql.rename_declared(store, scope, to_scope)
    schemas.rename(store, scope, to_scope)
    rename_indexes(store, scope, to_scope)
    if is_plain(to_scope):
        declare_cache(store, to_scope, None)
    pruning.restart_sweeps(store)
    count = 0
    for key in store.iterkeys(scope=scope):
        count += store.move(key, scope=scope, to_scope=to_scope)
    return count
