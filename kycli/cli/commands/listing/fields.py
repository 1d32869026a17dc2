"""scan with fields, and stats: what the values of a scope hold."""

from __future__ import annotations

import csv
import io
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from kycli.cli.commands.values.reading import plain, write_json
from kycli.cli.output import keys_counted, write_listing
from kycli.cli.progress import progress
from kycli.cli.tables import Heading, write_table
from kycli.cli.terminal import escaped
from kycli.core.documents.conditions import Field, lookup, parse_fields
from kycli.core.documents.paths import MISSING
from kycli.core.names import check_scope
from kycli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kycli.cli.env import Environment
    from kycli.core.operations.entry import Entry
    from kycli.core.schemas.statistics import FieldStatistics

_OF_FIELDS = ("where", "order", "columns", "format", "explain")
_NEITHER = ("glob", "after", "reverse", "include-expired")
_FORMATS = ("table", "csv", "tsv", "json", "jsonl")
_BATCH = 1000


def selected(env: Environment, scope: str, prefix: str | None) -> Iterator[Entry] | None:
    """Return the entries that the flags select; None when it is explained how instead."""
    given = next(name for name in _OF_FIELDS if name in env.flags)
    for flag in _NEITHER:
        if flag in env.flags:
            raise UsageError(
                f"--{flag} and --{given} exclude each other",
                hint="conditions on the key go into --where: @key glob 'a*' and @key > 'b'",
            )
    asked: dict[str, Any] = {
        "order": env.flags.get("order"),
        "limit": env.count("limit"),
        "prefix": prefix,
        "scope": scope,
    }
    if "explain" in env.flags:
        text = env.store().explain(env.flags.get("where"), **asked)
        env.write(env.shown(text, keep="\n") + b"\n")
        return None
    return env.store().select(env.flags.get("where"), **asked)


def write_columns(env: Environment, entries: Iterator[Entry]) -> None:
    """Print the chosen fields of entries, in the form that the flags say."""
    for other in ("separator", "values-only"):
        env.choice("columns", other)
        env.choice("format", other)
    form = env.flags.get("format", "")
    if form and form not in _FORMATS:
        raise UsageError(f"--format {form!r} is none of {', '.join(_FORMATS)}")
    for other in ("json", "jsonl", "null"):
        env.choice("format", other)
    fields = parse_fields(env.flags.get("columns", "@key,@value"))
    if form in ("json", "jsonl"):
        env.flags[form] = ""
    if env.choice("json", "jsonl"):
        write_listing(env, entries, lambda _: b"", lambda entry: _object(fields, entry))
    elif form == "table" or (not form and "null" not in env.flags and env.output_is_terminal()):
        rows = ([escaped(_cell(field, entry)) for field in fields] for entry in entries)
        write_table(env, [Heading(escaped(field.text)) for field in fields], rows)
    elif form:
        titles = [field.text for field in fields]
        rows = ([_cell(field, entry) for field in fields] for entry in entries)
        _write_csv(env, titles, rows, "," if form == "csv" else "\t")
    else:
        write_listing(
            env,
            entries,
            lambda entry: b"\t".join(env.shown(_flat(_cell(field, entry))) for field in fields),
            lambda entry: None,
        )


def _object(fields: list[Field], entry: Entry) -> dict[str, Any]:
    found = {field.text: lookup(field, entry) for field in fields}
    return {name: value for name, value in found.items() if value is not MISSING}


def _cell(field: Field, entry: Entry) -> str:
    value = lookup(field, entry)
    if value is MISSING:
        return ""
    if isinstance(value, bytes):
        from kycli.core.values import canonical

        return canonical(value)
    return plain(value).decode("utf-8", "backslashreplace")


_BREAKS = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _flat(text: str) -> str:
    """Return a text as one cell of a line, with what would end the cell escaped."""
    return text.translate(_BREAKS)


def _write_csv(
    env: Environment, titles: list[str], rows: Iterable[list[str]], delimiter: str
) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator="\n")
    writer.writerow(titles)
    for number, row in enumerate(rows, 1):
        writer.writerow(row)
        if number % _BATCH == 0:
            env.write(env.shown(buffer.getvalue(), keep="\n\t"))
            buffer.seek(0)
            buffer.truncate()
            if env.unread:
                return
    env.write(env.shown(buffer.getvalue(), keep="\n\t"))


# ---------------------------------------------------------------- stats


def stats(env: Environment, arguments: list[str]) -> int:
    """``stats [SCOPE]``: the fields of a scope, or how many keys each scope has."""
    if arguments:
        _write_fields(env, check_scope(arguments[0]))
    else:
        _write_scopes(env)
    return 0


def _write_fields(env: Environment, scope: str) -> None:
    with progress(env, "reading") as show:
        found = env.store().statistics(env.flags.get("prefix"), scope=scope, progress=show)
    if "json" in env.flags:
        write_json(
            env,
            {
                "scope": found.scope,
                "keys": found.keys,
                "expiring": found.expiring,
                "more": found.more,
                "fields": [
                    {**each._asdict(), "lengths": each.lengths and list(each.lengths)}
                    for each in found.fields
                ],
            },
        )
        return
    headings = [
        Heading("field"),
        Heading("types"),
        Heading("count", cut=False, right=True),
        Heading("null", cut=False, right=True),
        Heading("distinct", cut=False, right=True),
        Heading("lowest"),
        Heading("highest"),
        Heading("length", cut=False),
    ]
    rows = (_cells(each) for each in found.fields)
    _write_rows(env, headings, rows)
    note = f"{keys_counted(found.keys)} in {scope}"
    env.note(note + (f", of which {found.expiring:,} expire" if found.expiring else ""))
    if found.more:
        env.note("there are more fields than these")


def _cells(each: FieldStatistics) -> list[str]:
    if len(each.types) == 1:
        types = next(iter(each.types))
    else:
        types = ", ".join(f"{name} {count}" for name, count in each.types.items())
    lengths = ""
    if each.lengths is not None:
        lengths = "..".join(str(length) for length in sorted({*each.lengths}))
    distinct = ">100" if each.distinct is None else str(each.distinct or "")
    low, high = ("" if limit is None else plain(limit).decode() for limit in each[4:6])
    return [each.field, types, str(each.total), str(each.nulls), distinct, low, high, lengths]


def _write_scopes(env: Environment) -> None:
    if "prefix" in env.flags:
        raise UsageError("--prefix needs SCOPE")
    store = env.store()
    with store.snapshot():
        counts = {scope: store.count(scope=scope) for scope in store.scopes()}
        size = _size(store.path)
    if "json" in env.flags:
        scopes = [{"scope": scope, "keys": count} for scope, count in counts.items()]
        write_json(env, {"bytes": size, "keys": sum(counts.values()), "scopes": scopes})
        return
    headings = [Heading("scope"), Heading("keys", cut=False, right=True)]
    _write_rows(env, headings, ([scope, str(count)] for scope, count in counts.items()))
    total = keys_counted(sum(counts.values()))
    env.note(f"{total} in {len(counts)} scope{'s' * (len(counts) != 1)}, {size:,} bytes")


def _size(path: str) -> int:
    """Return how many bytes a database takes, with what is not yet moved into the file."""
    total = 0
    for name in (path, f"{path}-wal"):
        with suppress(OSError):
            total += os.stat(name).st_size
    return total


def _write_rows(env: Environment, headings: list[Heading], rows: Iterator[list[str]]) -> None:
    """Print a table on a terminal, and elsewhere cells with tabs between them."""
    if env.output_is_terminal():
        write_table(env, headings, ([escaped(cell) for cell in row] for row in rows))
        return
    env.write("\t".join(heading.title for heading in headings).encode() + b"\n")
    for row in rows:
        env.write("\t".join(map(_flat, row)).encode() + b"\n")
