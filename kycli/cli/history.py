"""What was: history and blame."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from kycli.cli.output import write_listing
from kycli.cli.values import plain

if TYPE_CHECKING:
    from kycli.cli.env import Environment
    from kycli.core.history import Change

_REMOVED = ("deleted", "expired")
_COLOURS = {"created": "32", "restored": "36", "imported": "36", "deleted": "31", "expired": "33"}


def fix_time(env: Environment, flag: str) -> None:
    """Make what a flag says one moment, however long after it is used: not ``10m ago``."""
    from time import time

    from kycli.core.times import parse_time, time_text

    env.flags[flag] = time_text(parse_time(env.flags[flag], int(time() * 1000)))


def show(env: Environment, arguments: list[str]) -> int:
    """``history [ADDRESS]``: 2 when a key is named of which nothing is known."""
    scope, key = env.locate(arguments[0]) if arguments else (env.scope, None)
    changes = env.store().iter_history(
        key,
        scope=scope,
        since=env.flags.get("since"),
        until=env.flags.get("until"),
        limit=env.count("limit"),
    )
    columns = [_time, _operation, _version, _number]
    if key is None:
        columns.append(_key)
    return _write(env, changes, [*columns, _value], scope, key)


def blame(env: Environment, arguments: list[str]) -> int:
    """``blame ADDRESS``: who made each change; 2 when nothing is known of the key."""
    scope, key = env.locate(arguments[0])
    changes = env.store().iter_history(key, scope=scope, limit=env.count("limit"))
    columns = [_time, _operation, _version, _person, _program, _number]
    return _write(env, changes, columns, scope, key)


def _write(
    env: Environment,
    changes: Iterator[Change],
    columns: list[_Column],
    scope: str,
    key: str | None,
) -> int:
    first = next(changes, None)
    if (
        first is None
        and key is not None
        and next(env.store().iter_history(key, scope=scope, limit=1), None) is None
    ):
        env.note(f"kycli: no history of key {key!r} in scope {scope!r}")
        return 2
    if env.choice("json", "jsonl") or not env.output_is_terminal():
        rows = _chained(first, changes)
        write_listing(env, rows, lambda c: _plain(c, columns).encode(), _record)
        return 0
    env.page()
    width = shutil.get_terminal_size().columns
    titles = "  ".join(column.title.ljust(column.width) for column in columns)
    env.write(env.styled(titles.rstrip(), "1").encode() + b"\n")
    for change in _chained(first, changes):
        env.write(_row(env, change, columns, width).encode() + b"\n")
    return 0


def _chained(first: Change | None, rest: Iterator[Change]) -> Iterator[Change]:
    if first is not None:
        yield first
        yield from rest


def _record(change: Change) -> dict[str, Any]:
    """Return what is printed of a change in JSON; what was removed has no value."""
    fields = change._asdict()
    if change.operation in _REMOVED:
        del fields["value"]
    return {name: field for name, field in fields.items() if field is not None or name == "value"}


def _plain(change: Change, columns: list[_Column]) -> str:
    return "\t".join(column.text(change) for column in columns)


def _row(env: Environment, change: Change, columns: list[_Column], width: int) -> str:
    """Return one row of the table, the last column cut off where the screen ends."""
    *front, last = columns
    cells = [
        (_cut(column.text(change), column.width) if column.cut else column.text(change)).ljust(
            column.width
        )
        for column in front
    ]
    left = width - sum(len(cell) + 2 for cell in cells)
    cells.append(_cut(last.text(change), max(left, last.width)))
    if change.operation in _COLOURS:
        cells[1] = env.styled(cells[1], _COLOURS[change.operation])
    return "  ".join(cells).rstrip()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def one_line(text: str) -> str:
    """Return text as it can stand in one line: what cannot be printed is escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _shown_value(change: Change) -> str:
    if change.operation in _REMOVED:
        return ""
    value = change.value
    if isinstance(value, bytes):
        from kycli.core.values import canonical

        return canonical(value)
    return one_line(plain(value).decode())


def _shown_person(change: Change) -> str:
    return "-" if change.user is None else one_line(f"{change.user}@{change.host}")


def _shown_program(change: Change) -> str:
    if change.pid is None:
        return "-"
    return one_line(f"{change.command or 'python'}[{change.pid}]")


class _Column(NamedTuple):
    """A column of what is printed: the second is always the operation."""

    title: str
    width: int  # in a table
    text: Callable[[Change], str]
    cut: bool = False  # where it is longer


_time = _Column("time (UTC)", 23, lambda change: change.timestamp)
_operation = _Column("operation", 11, lambda change: change.operation)
_version = _Column("version", 7, lambda change: str(change.version))
_number = _Column("change", 8, lambda change: str(change.change))
_key = _Column("key", 24, lambda change: one_line(change.key), True)
_value = _Column("value", 10, _shown_value)
_person = _Column("by", 24, _shown_person, True)
_program = _Column("with", 24, _shown_program, True)
