"""keys, scan, kyl, exists and count: which keys there are."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from kycli.address import parse_listing
from kycli.cli.commands.values.reading import (
    MISSING,
    may_be_path,
    plain,
    read_value,
    report_missing,
    write_json,
)
from kycli.cli.output import record, write_listing, write_texts
from kycli.core.names import check_scope
from kycli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kycli.cli.env import Environment
    from kycli.core.operations.entry import Entry

_OF_FIELDS = ("columns", "where", "order", "explain", "format")
_Item = TypeVar("_Item")


def list_addressed(env: Environment, arguments: list[str]) -> int:
    """``keys [PROJECT.NAMESPACE] [PREFIX]``: one key per line."""
    _write_keys(env, arguments, *range_of(env, arguments), None)
    return 0


def scan(env: Environment, arguments: list[str]) -> int:
    """``scan [PROJECT.NAMESPACE] [PREFIX]``: ``key=value``, or records in JSON."""
    by_fields = not env.flags.keys().isdisjoint(_OF_FIELDS)
    scope, prefix = (_scope_first if by_fields else range_of)(env, arguments)
    if "separator" in env.flags:
        for other in ("values-only", "json", "jsonl"):
            env.choice("separator", other)
    separator = env.flags.get("separator", "=").encode()
    entries: Iterator[Entry] | None
    if not by_fields:
        entries = env.store().entries(
            prefix,
            scope=scope,
            include_expired="include-expired" in env.flags,
            **_options(env),
        )
    else:
        from kycli.cli.commands.listing import fields

        entries = fields.selected(env, scope, prefix)
        if entries is None:
            return 0
        if "columns" in env.flags or "format" in env.flags:
            fields.write_columns(env, _if_any(env, arguments, entries))
            return 0
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
    """Return the options for selecting and ordering keys, as the flags say."""
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


def _scope_first(env: Environment, arguments: list[str]) -> tuple[str, str | None]:
    """Return scope and prefix where a first argument is a scope, also without the delimiter."""
    if not arguments or env.short or env.scope_is_fixed or env.delimiter in arguments[0]:
        return range_of(env, arguments)
    scope = check_scope(arguments[0])
    if len(arguments) > 1 and "prefix" in env.flags:
        raise UsageError("PREFIX and --prefix exclude each other", hint="give one of them")
    return scope, arguments[1] if len(arguments) > 1 else env.flags.get("prefix") or None


def _if_any(env: Environment, arguments: list[str], items: Iterator[_Item]) -> Iterator[_Item]:
    """Return the items. If there are none, give a hint if the scope was meant as a prefix.

    ``kycli keys user.na`` lists the namespace ``na`` of the project ``user``, and not the keys
    that begin with ``user.na``.
    """
    first = next(items, None)
    if first is not None:
        return chain((first,), items)
    if len(arguments) == 1 and not (env.short or env.scope_is_fixed or "prefix" in env.flags):
        text = arguments[0]
        if env.delimiter in text and any(env.store().iterkeys(text, limit=1, scope=env.scope)):
            from kycli.cli.hints import prefix_not_scope

            env.note(f"hint: {prefix_not_scope(env, text)}")
    return items


def exist(env: Environment, arguments: list[str]) -> int:
    """``exists ADDRESS...``: 2 when one of the keys is missing; nothing on standard output."""
    targets = [env.locate(argument) for argument in arguments]
    with env.store().snapshot():
        found = [_exists(env, *target) for target in targets]
    if "json" in env.flags:
        write_json(env, dict(zip(arguments, found, strict=True)))
    elif len(targets) > 1:
        for target, there in zip(targets, found, strict=True):
            if not there:
                report_missing(env, *target)
    return 0 if all(found) else 2


def _exists(env: Environment, scope: str, key: str) -> bool:
    """Whether there is such a key or, where a path is meant, something at the path."""
    if "path" not in env.flags:
        if env.store().exists(key, scope=scope):
            return True
        if not may_be_path(env, key):
            return False
    return read_value(env, scope, key, MISSING) is not MISSING


def count(env: Environment, arguments: list[str]) -> int:
    """``count [PROJECT.NAMESPACE] [PREFIX]``: print how many keys there are."""
    scope, prefix = range_of(env, arguments)
    glob = env.flags.get("glob")
    if glob is None:
        number = env.store().count(prefix, scope=scope)
    else:
        number = sum(1 for _ in env.store().iterkeys(prefix, glob=glob, scope=scope))
    env.write(b"%d\n" % number)
    return 0
