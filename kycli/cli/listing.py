"""Listings of keys: keys, scan and kyl."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kycli.address import parse_listing
from kycli.cli.output import record, write_listing, write_texts
from kycli.cli.values import plain
from kycli.errors import UsageError

if TYPE_CHECKING:
    from kycli.cli.env import Environment


def list_addressed(env: Environment, arguments: list[str]) -> int:
    """``keys [PROJECT.NAMESPACE] [PREFIX]``: one key per line."""
    scope, prefix = _range(env, arguments)
    write_texts(env, env.store().iterkeys(prefix, limit=env.count("limit"), scope=scope))
    return 0


def scan(env: Environment, arguments: list[str]) -> int:
    """``scan [PROJECT.NAMESPACE] [PREFIX]``: ``key=value``, or records in JSON."""
    scope, prefix = _range(env, arguments)
    entries = env.store().entries(
        prefix,
        limit=env.count("limit"),
        scope=scope,
        include_expired="include-expired" in env.flags,
    )
    write_listing(env, entries, lambda e: e.key.encode() + b"=" + plain(e.value), record)
    return 0


def list_matching(env: Environment, arguments: list[str]) -> int:
    """``kyl [PATTERN]``: the keys of the current scope that match."""
    pattern, glob = arguments[0] if arguments else None, env.flags.get("glob")
    if pattern is not None and glob is not None:
        raise UsageError("PATTERN and --glob exclude each other")
    keys = env.store().iterkeys(
        env.flags.get("prefix"),
        pattern=pattern,
        glob=glob,
        limit=env.count("limit"),
        scope=env.scope,
    )
    write_texts(env, keys)
    return 0


def _range(env: Environment, arguments: list[str]) -> tuple[str, str | None]:
    return parse_listing(
        arguments,
        fixed=env.scope if env.scope_is_fixed else None,
        current=env.scope,
        delimiter=env.delimiter,
    )
