"""Scopes: which there are, and what is declared of them (``sys_namespaces``).

SQLite is relied on for: a primary key that leads from one scope to the next by descents,
as a recursive query; and that a scope is a column of each table, so renaming is an UPDATE.
"""

from __future__ import annotations

from typing import NamedTuple

from kycli.core.layout import LIVE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kycli.core.storage import Kycore


class Declared(NamedTuple):
    """What is declared of a scope; None is what holds for all.

    Attributes:
        cache_ms: the lifetime of keys that are saved without one.
        history_days, history_versions, archive_days: the limits of its history.
    """

    scope: str
    cache_ms: int | None = None
    history_days: float | None = None
    history_versions: int | None = None
    archive_days: float | None = None


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
_DECLARED = f"SELECT {', '.join(Declared._fields)} FROM sys_namespaces"
_DECLARE = "INSERT INTO sys_namespaces (scope, created_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING"
_SET = {
    name: f"UPDATE sys_namespaces SET {name} = ?2 WHERE scope = ?1" for name in Declared._fields[1:]
}
_UNDECLARE = "DELETE FROM sys_namespaces WHERE scope = ?1"
_UNDECLARE_IF_EMPTY = f"""{_UNDECLARE}
AND coalesce(cache_ms, history_days, history_versions, archive_days, fold_keys) IS NULL"""
_RENAME = {
    table: f"UPDATE {table} SET scope = ?2 WHERE scope = ?1"
    for table in ("kvstore", "audit_log", "archive", "sys_namespaces")
}
_IS_KNOWN = [
    f"SELECT 1 FROM {table} WHERE scope = ?1 LIMIT 1"
    for table in ("kvstore", "archive", "sys_namespaces")
]
_ANY_EXPIRING = f"""
SELECT 1 FROM kvstore WHERE scope = ?2 AND expires_at IS NOT NULL AND {LIVE} LIMIT 1"""


def used(store: Kycore, now: int) -> list[str]:
    """Return the scopes that hold live keys."""
    return [scope for (scope,) in store._query(_USED, (now,))]


def all_declared(store: Kycore) -> list[Declared]:
    """Return what is declared of each scope, sorted."""
    return [Declared(*row) for row in store._query(_DECLARED + " ORDER BY scope")]


def declared(store: Kycore, scope: str) -> Declared:
    """Return what is declared of a scope."""
    rows = store._query(_DECLARED + " WHERE scope = ?1", (scope,))
    return Declared(*rows[0]) if rows else Declared(scope)


def declare(store: Kycore, scope: str, now: int, settings: dict[str, float | None]) -> None:
    """Declare some settings of a scope, named as in ``Declared``, and leave the others."""
    store._query(_DECLARE, (scope, now))
    for name, value in settings.items():
        store._query(_SET[name], (scope, value))
    store._query(_UNDECLARE_IF_EMPTY, (scope,))


def undeclare(store: Kycore, scope: str) -> None:
    store._query(_UNDECLARE, (scope,))


def rename(store: Kycore, scope: str, to_scope: str) -> None:
    """Give the rows of a scope another name in each table that has a scope."""
    for sql in _RENAME.values():
        store._query(sql, (scope, to_scope))


def rename_declared(store: Kycore, scope: str, to_scope: str) -> None:
    """Give only what is declared of a scope to another one."""
    store._query(_RENAME["sys_namespaces"], (scope, to_scope))


def is_known(store: Kycore, scope: str) -> bool:
    """Whether a scope holds keys, held some that the archive remembers, or is declared."""
    return any(store._query(sql, (scope,)) for sql in _IS_KNOWN)


def any_expiring(store: Kycore, scope: str, now: int) -> bool:
    """Whether a live key of a scope has an expiry."""
    return bool(store._query(_ANY_EXPIRING, (now, scope)))
