"""Listings of keys: keys, scan and kyl."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from kycli.address import parse_listing
from kycli.cli.output import record, write_listing, write_texts
from kycli.cli.values import plain
from kycli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kycli.cli.env import Environment

_Item = TypeVar("_Item")


def list_addressed(env: Environment, arguments: list[str]) -> int:
    """``keys [PROJECT.NAMESPACE] [PREFIX]``: one key per line."""
    _write_keys(env, arguments, *range_of(env, arguments), None)
    return 0


def scan(env: Environment, arguments: list[str]) -> int:
    """``scan [PROJECT.NAMESPACE] [PREFIX]``: ``key=value``, or records in JSON."""
    scope, prefix = range_of(env, arguments)
    if "separator" in env.flags:
        for other in ("values-only", "json", "jsonl"):
            env.choice("separator", other)
    separator = env.flags.get("separator", "=").encode()
    entries = env.store().entries(
        prefix,
        scope=scope,
        include_expired="include-expired" in env.flags,
        **_options(env),
    )
    entries = _if_any(env, arguments, entries)
    if "values-only" in env.flags:
        _write_values(env, (entry.value for entry in entries))
    else:
        write_listing(
            env,
            entries,
            lambda entry: env.shown(entry.key) + separator + env.shown(plain(entry.value)),
            record,
        )
    return 0


def list_matching(env: Environment, arguments: list[str]) -> int:
    """``kyl [PATTERN]``: the keys of the current scope that match."""
    pattern = arguments[0] if arguments else None
    if pattern is not None and "glob" in env.flags:
        raise UsageError("PATTERN and --glob exclude each other")
    _write_keys(env, arguments, env.scope, env.flags.get("prefix"), pattern)
    return 0


def _write_keys(
    env: Environment, arguments: list[str], scope: str, prefix: str | None, pattern: str | None
) -> None:
    store, options = env.store(), {"pattern": pattern, "scope": scope, **_options(env)}
    if "values-only" in env.flags:
        pairs = _if_any(env, arguments, store.scan(prefix, **options))
        _write_values(env, (value for _, value in pairs))
    else:
        write_texts(env, _if_any(env, arguments, store.iterkeys(prefix, **options)))


def _write_values(env: Environment, values: Iterator[Any]) -> None:
    write_listing(env, values, lambda value: env.shown(plain(value)), lambda value: value)


def _options(env: Environment) -> dict[str, Any]:
    """Return what the flags say about which keys of a range are listed, and in what order."""
    return {
        "glob": env.flags.get("glob"),
        "after": env.flags.get("after"),
        "reverse": "reverse" in env.flags,
        "limit": env.count("limit"),
    }


def range_of(env: Environment, arguments: list[str]) -> tuple[str, str | None]:
    """Return the scope and the prefix that the arguments and ``--prefix`` name."""
    prefix = env.flags.get("prefix")
    fixed = env.scope if env.short or env.scope_is_fixed else None
    if prefix is not None and arguments and (fixed or env.delimiter not in arguments[0]):
        raise UsageError("PREFIX and --prefix exclude each other", hint="give one of them")
    scope, given = parse_listing(arguments, fixed=fixed, current=env.scope, delimiter=env.delimiter)
    if prefix is not None and given is not None:
        raise UsageError("PREFIX and --prefix exclude each other", hint="give one of them")
    return scope, given if prefix is None else prefix or None


def _if_any(env: Environment, arguments: list[str], items: Iterator[_Item]) -> Iterator[_Item]:
    """Return the items. Where there are none, say so if a scope's name is also a prefix.

    ``kycli keys user.na`` lists the namespace ``na`` of the project ``user``.
    """
    first = next(items, None)
    if first is not None:
        return chain((first,), items)
    if len(arguments) == 1 and not (env.short or env.scope_is_fixed or "prefix" in env.flags):
        text = arguments[0]
        if env.delimiter in text and any(env.store().iterkeys(text, limit=1, scope=env.scope)):
            from kycli.cli.suggest import prefix_not_scope

            env.note(f"hint: {prefix_not_scope(env, text)}")
    return items
