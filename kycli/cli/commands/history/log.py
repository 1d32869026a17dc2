"""history and blame: the changes of keys."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, NamedTuple

from kycli.cli.commands.values.reading import plain
from kycli.cli.output import write_listing
from kycli.cli.tables import GAP, SAMPLE, Heading, cells_of, widths_of
from kycli.cli.terminal import cut, escaped, width

if TYPE_CHECKING:
    from kycli.cli.env import Environment
    from kycli.core.history.changes import Change

_REMOVED = ("deleted", "expired")
_ROOM = 10  # what a column that may be cut needs, if it has as much to show
_COLOURS = {"created": "32", "restored": "36", "imported": "36", "deleted": "31", "expired": "33"}


def show(env: Environment, arguments: list[str]) -> int:
    """``history [ADDRESS]``: list changes; 2 when a key has none."""
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
    """``blame ADDRESS``: who made each change; 2 when the key has none."""
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
    _write_table(env, _chained(first, changes), columns)
    return 0


def _chained(first: Change | None, rest: Iterator[Change]) -> Iterator[Change]:
    if first is not None:
        yield first
        yield from rest


def _record(change: Change) -> dict[str, Any]:
    """Return the JSON record of a change; a removal has no value."""
    fields = change._asdict()
    if change.operation in _REMOVED:
        del fields["value"]
    return {name: field for name, field in fields.items() if field is not None or name == "value"}


def _plain(change: Change, columns: list[_Column]) -> str:
    return "\t".join(column.text(change) for column in columns)


def _write_table(env: Environment, changes: Iterator[Change], columns: list[_Column]) -> None:
    """Print changes as a table that is no wider than the screen.

    On a narrow screen, the columns that may be cut have a line of their own.
    """
    screen = shutil.get_terminal_size().columns
    rows = ((change, _cells(change, columns, screen)) for change in changes)
    begin = list(islice(rows, SAMPLE))
    lines = _lines(columns, [cells for _, cells in begin], screen)
    for line in lines:
        title = env.styled(line.text([column.heading.title for column in columns]), "1")
        env.write(title.encode() + b"\n")
    for change, cells in chain(begin, rows):
        colour = _COLOURS.get(change.operation)
        for line in lines:
            text = line.text(cells, partial(env.styled, code=colour) if colour else str)
            if text or line is lines[0]:
                env.write(text.encode() + b"\n")
        if env.unread:
            return


def _cells(change: Change, columns: list[_Column], screen: int) -> list[str]:
    return [cut(column.text(change), screen) for column in columns]


class _Line(NamedTuple):
    """A line of each row of the table.

    Attributes:
        columns: by their number among all.
        widths: how wide each of them is.
        screen: how many columns of the screen the line may take.
        indent: what the line begins with.
    """

    columns: dict[int, _Column]
    widths: list[int]
    screen: int
    indent: str

    def text(self, cells: list[str], style: Callable[[str], str] = str) -> str:
        """Return the line of a row; ``style`` is of the operation."""
        headings = [column.heading for column in self.columns.values()]
        row = cells_of([cells[n] for n in self.columns], headings, self.widths, self.screen)
        text = "".join(
            style(cell) if column is _operation else cell
            for cell, column in zip(row, self.columns.values(), strict=True)
        ).rstrip()
        return text and self.indent + text


def _lines(columns: list[_Column], rows: list[list[str]], screen: int) -> list[_Line]:
    """Return the lines of which each row of the table consists."""
    numbered = dict(enumerate(columns))
    whole = _line(numbered, rows, screen, "")
    needed = [
        min(_ROOM, max(width(row[number]) for row in rows))
        for number, column in numbered.items()
        if column.heading.cut and rows
    ]
    fixed = [w for column, w in zip(columns, whole.widths, strict=True) if not column.heading.cut]
    if sum(fixed) + sum(needed) + GAP * (len(columns) - 1) <= screen:
        return [whole]
    return [
        _line({n: c for n, c in numbered.items() if not c.heading.cut}, rows, screen, ""),
        _line({n: c for n, c in numbered.items() if c.heading.cut}, rows, screen - GAP, " " * GAP),
    ]


def _line(
    columns: dict[int, _Column], rows: list[list[str]], screen: int, indent: str
) -> _Line:  # fmt: skip
    cells = [[row[number] for number in columns] for row in rows]
    headings = [column.heading for column in columns.values()]
    return _Line(columns, widths_of(headings, cells, screen), screen, indent)


def _shown_value(change: Change) -> str:
    if change.operation in _REMOVED:
        return ""
    value = change.value
    if isinstance(value, bytes):
        from kycli.core.values import canonical

        return canonical(value)
    return escaped(plain(value).decode())


def _shown_person(change: Change) -> str:
    return "-" if change.user is None else escaped(f"{change.user}@{change.host}")


def _shown_program(change: Change) -> str:
    if change.pid is None:
        return "-"
    return escaped(f"{change.command or 'python'}[{change.pid}]")


class _Column(NamedTuple):
    """A column of the output. The second column is always the operation."""

    heading: Heading
    text: Callable[[Change], str]


_time = _Column(Heading("time (UTC)", cut=False), lambda change: change.timestamp)
_operation = _Column(Heading("operation", cut=False), lambda change: change.operation)
_version = _Column(Heading("version", cut=False), lambda change: str(change.version))
_number = _Column(Heading("change", cut=False), lambda change: str(change.change))
_key = _Column(Heading("key"), lambda change: escaped(change.key))
_value = _Column(Heading("value"), _shown_value)
_person = _Column(Heading("by"), _shown_person)
_program = _Column(Heading("with"), _shown_program)
