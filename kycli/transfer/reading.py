"""The common part of all format readers: options, rows, and errors for bad records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

from kycli.errors import FormatError

Row = tuple[Any, ...]
"""``(key, value)``, or with up to three more items: scope, expiry, time of the last change.

The times are in milliseconds since the epoch; None stands for what is not known, and an expiry of
``math.inf`` for never.
"""


class ReadOptions(NamedTuple):
    """How a file is read. None and the empty text stand for the format's own defaults.

    Attributes:
        key_column, value_column, scope_column: the columns, or members of records, in which
            key, value and scope are: a name or, in a file without a header, a number from 1.
        time_column: the column, or member, that says when a row was last changed; default
            ``updated_at``, if there is one.
        columns: the columns that are gathered into a JSON value; ``("*",)`` for all others.
        header: whether the first line of a table names its columns.
        delimiter, quote: of a table; an empty quote stands for none.
        encoding: of text; default UTF-8.
        table: of an SQLite file.
    """

    key_column: str | None = None
    value_column: str | None = None
    scope_column: str | None = None
    time_column: str | None = None
    columns: tuple[str, ...] = ()
    header: bool = True
    delimiter: str | None = None
    quote: str | None = None
    encoding: str | None = None
    table: str | None = None

    @property
    def names_columns(self) -> bool:
        """Whether it says where things are, so that nothing has to be guessed."""
        return bool(self.key_column or self.value_column or self.scope_column or self.columns)


class Reader:
    """Reads records of one format from a stream.

    Parameters:
        stream: the decompressed bytes.
        options: how they are read.
        refuse: called with the error of a record that cannot be read. It raises, or returns
            for the record to be left out.
        keep_text: whether ``record`` must be known also of a record that cannot be read.

    Attributes:
        line: the line in which the current record begins, or its number.
        unit: what ``line`` counts.
        record: the current record, for ``rejected``.
    """

    unit = "line"
    takes_packs = False
    """Whether whoever takes the rows takes many of them as one ``Pack``."""

    def __init__(
        self,
        stream: BinaryIO,
        options: ReadOptions,
        refuse: Callable[[Exception], None],
        keep_text: bool = False,
    ) -> None:
        self.stream = stream
        self.options = options
        self.refuse = refuse
        self.keep_text = keep_text
        self.line = 0
        self.record: Any = None

    def rows(self) -> Iterator[Row]:
        """Yield a row for each record."""
        raise NotImplementedError

    def position(self) -> Any:
        """Return where the current record is, for ``line_at`` when others have been read."""
        return self.line

    def line_at(self, position: Any) -> int:
        """Return the line of a position."""
        line: int = position
        return line

    def rejects_header(self) -> bytes:
        """Return what a file of rejected records begins with."""
        return b""

    def rejected(self, record: Any, line: int, reason: str, is_first: bool) -> bytes:
        """Return a record with line number and reason, in the reader's own format."""
        raise NotImplementedError

    def rejects_end(self) -> bytes:
        """Return what a file of rejected records ends with."""
        return b""


def missing_column(name: str, there_are: list[str], kind: str = "column") -> FormatError:
    """Return the error for a column that a file does not have."""
    names = ", ".join(map(repr, there_are[:8])) + (" …" if len(there_are) > 8 else "")
    return FormatError(f"there is no {kind} {name!r}", hint=f"there are: {names}")
