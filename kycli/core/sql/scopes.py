"""Scopes: which there are, and declaring something of them (``sys_namespaces``).

What is declared is read by the engine, which keeps it in memory: ``Kycore._declared``.

SQLite is relied on for: a primary key that leads from one scope to the next by descents,
as a recursive query; and that a scope is a column of each table, so renaming is an UPDATE.
"""

from __future__ import annotations

from kycli.core.layout import LIVE

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
_DECLARE = "INSERT INTO sys_namespaces (scope, created_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING"
_SET = {
    name: f"UPDATE sys_namespaces SET {name} = ?2 WHERE scope = ?1"
    for name in ("cache_ms", "history_days", "history_versions", "archive_days")
}
_UNDECLARE = "DELETE FROM sys_namespaces WHERE scope = ?1"
_UNDECLARE_IF_EMPTY = f"""{_UNDECLARE}
AND coalesce(cache_ms, history_days, history_versions, archive_days, fold_keys) IS NULL"""
_RENAME = [
    f"UPDATE {table} SET scope = ?2 WHERE scope = ?1"
    for table in ("kvstore", "audit_log", "archive")
]
_RENAME_DECLARED = "UPDATE sys_namespaces SET scope = ?2 WHERE scope = ?1"
_IS_KNOWN = [
    f"SELECT 1 FROM {table} WHERE scope = ?1 LIMIT 1"
    for table in ("kvstore", "archive", "sys_namespaces")
]
_ANY_EXPIRING = f"""
SELECT 1 FROM kvstore WHERE scope = ?2 AND expires_at IS NOT NULL AND {LIVE} LIMIT 1"""


def used(store: Kycore, now: int) -> list[str]:
    """Return the scopes that hold live keys."""
    return [scope for (scope,) in store._query(_USED, (now,))]


def declare(store: Kycore, scope: str, now: int, settings: dict[str, float | None]) -> None:
    """Declare some settings of a scope, named as in ``Declared``, and keep the others."""
    store._declare(_DECLARE, (scope, now))
    for name, value in settings.items():
        store._declare(_SET[name], (scope, value))
    store._declare(_UNDECLARE_IF_EMPTY, (scope,))


def undeclare(store: Kycore, scope: str) -> None:
    store._declare(_UNDECLARE, (scope,))


def rename(store: Kycore, scope: str, to_scope: str) -> None:
    """Give the rows of a scope another name in each table that has a scope."""
    for sql in _RENAME:
        store._query(sql, (scope, to_scope))
    rename_declared(store, scope, to_scope)


def rename_declared(store: Kycore, scope: str, to_scope: str) -> None:
    """Give only what is declared of a scope to another one."""
    store._declare(_RENAME_DECLARED, (scope, to_scope))


def is_known(store: Kycore, scope: str) -> bool:
    """Whether a scope holds keys, held some that the archive remembers, or is declared."""
    return any(store._query(sql, (scope,)) for sql in _IS_KNOWN)


def any_expiring(store: Kycore, scope: str, now: int) -> bool:
    """Whether a live key of a scope has an expiry."""
    return bool(store._query(_ANY_EXPIRING, (now, scope)))
