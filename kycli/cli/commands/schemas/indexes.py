"""create index, drop index, indexes: the indexes on fields of the values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kycli.cli.output import write_listing
from kycli.core.names import check_scope

if TYPE_CHECKING:
    from kycli.cli.env import Environment


def create(env: Environment, arguments: list[str]) -> int:
    """``create index SCOPE FIELD``"""
    scope, field = check_scope(arguments[0]), arguments[1]
    store = env.store(create=True)
    if env.is_watched():
        env.status(f"building the index; other writers wait ({store.count(scope=scope):,} keys)")
    try:
        created = store.create_index(scope, field)
    finally:
        env.status("")
    if not created:
        env.note(f"there is an index on {field} of {scope!r}")
    return 0


def drop(env: Environment, arguments: list[str]) -> int:
    """``drop index SCOPE FIELD``: 2 when there is none."""
    scope, field = check_scope(arguments[0]), arguments[1]
    if env.store().drop_index(scope, field):
        return 0
    env.error_line(f"kycli: the scope {scope!r} has no index on {field}")
    return 2


def show(env: Environment, arguments: list[str]) -> int:
    """``indexes [SCOPE]``"""
    scope = check_scope(arguments[0]) if arguments else None
    write_listing(
        env,
        env.store().indexes(scope),
        lambda index: env.shown(index.scope) + b"\t" + env.shown(index.field),
        lambda index: index._asdict(),
    )
    return 0
