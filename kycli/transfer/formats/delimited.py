"""CSV and TSV.

Parsing is strict: a misplaced or unclosed quote is an error, and so is a record with more or fewer
fields than the header. A lenient parser would lose data.
"""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, count, islice, tee
from operator import itemgetter, length_hint
from typing import TYPE_CHECKING, Any

from kycli.core.storage import Packs
from kycli.errors import FormatError, UsageError
from kycli.transfer.formats.large_fields import (
    BARE_RETURN,
    BEHIND_QUOTE,
    UNENDED,
    large_record,
)
from kycli.transfer.formats.packed import PackedRows, can_pack
from kycli.transfer.formats.plain_text import only_text
from kycli.transfer.formats.text_lines import encoded, text_lines, undecoded, wrong_encoding
from kycli.transfer.formats.typed import changed_at, expiry_time, typed, untyped
from kycli.transfer.reading import Reader, Row, missing_column
from kycli.transfer.writing import LARGE, Writer, in_pieces, pages

if TYPE_CHECKING:
    from kycli.core.operations.entry import Entry

OURS = ("key", "value", "type", "expires_at", "scope")
"""The columns that an export writes, the last three where they are needed."""
CHANGED = "updated_at"
"""The column of the time of the last change."""
MARKS = ("_line", "_reason")
"""The last columns of a file of rejects, which an import ignores."""

_PART = 512
"""Records that are read together."""


class DelimitedReader(Reader):
    """Reads records of fields between delimiters."""

    delimiter = ","
    # Records that were read together, and what is left of them, for the line of the current one.
    _part: list[list[str]]
    _rest: Iterator[list[str]] | None = None
    _packed: PackedRows | None = None  # while the engine splits the table

    def rows(self) -> Iterator[Any]:
        self._names: list[str] | None = None
        self._width = 0  # how many fields each record has
        self._marked = False  # whether these are the rejects of an import
        self._texts: list[str] = []
        # The csv module does not count a line that could not be decoded.
        self._uncounted = 1
        lines = text_lines(self.stream, self.options.encoding)
        self._read(self._kept(lines) if self.keep_text else lines)
        self.line = 1
        records = self._records()
        if not self.options.header:
            self._columns = _Columns(None, self.options)
        first = next(records, None)
        if first is None:
            return
        if self.options.header:
            self._names = self._named(first)
            self._columns = _Columns(self._names, self.options)
        columns = self._columns
        self._marked = tuple(first[-2:]) == MARKS and (
            self.options.header or first[:-2] == _numbers(len(first) - 2)
        )
        if self.options.header or self._marked:
            self._width = len(first)
            self.line = self._csv.line_num + self._uncounted
        else:
            records = chain((first,), records)
        if columns.is_pair and self._can_pack(columns, len(first)):
            if not self._width:
                yield columns.row(first)
                self._width = len(first)
            self._packed = packed = self._packed_rows(columns)
            yield from packed
            self._packed, self.line = None, packed.line
            self._uncounted = self.line
            self._read(map(bytes.decode, packed.rest))
            records = self._records()
        if columns.is_pair and self._names is not None and not self.keep_text:
            del records  # it would keep all that its reader is yet to read
            yield from self._pairs(columns.key, columns.value, len(self._names))
            return
        row_of = columns.row
        for fields in records:
            if self._fits(fields):
                try:
                    row = row_of(fields)
                except FormatError as error:
                    self.refuse(error)
                else:
                    yield row
            self.line = self._csv.line_num + self._uncounted

    @property
    def line(self) -> int:
        """The line in which the current record begins."""
        return self.line_at(self.position())

    @line.setter
    def line(self, line: int) -> None:
        self._line = line
        self._rest = None

    def position(self) -> Any:
        if self._packed is not None:
            return self._packed.line
        if self._rest is None:
            return self._line
        return self._line, self._part, len(self._part) - length_hint(self._rest) - 1

    def line_at(self, position: Any) -> int:
        if type(position) is int:
            return position
        first, part, count = position
        line: int = first + _lines(part[:count])
        return line

    def _can_pack(self, columns: _Columns, width: int) -> bool:
        """Whether the engine can split the table."""
        delimiter, quote = self._characters()
        return (
            self.takes_packs
            and width >= columns.least
            and can_pack(self.options.encoding, delimiter, quote)
        )

    def _packed_rows(self, columns: _Columns) -> PackedRows:
        packs = Packs(self.stream, columns.key, columns.value, self._width, *self._characters())
        return PackedRows(self.stream, packs, self._csv.line_num + self._uncounted)

    def _characters(self) -> tuple[str, str]:
        """Return the delimiter, and the quote or empty text."""
        dialect = self._dialect()
        quote = "" if "quoting" in dialect else dialect.get("quotechar", '"')
        return dialect["delimiter"], quote

    def _pairs(self, key: int, value: int, width: int) -> Iterator[Row]:
        """Yield key and value, which is all there is in most files; nothing wrong is skipped.

        Takes many records at a time, because Python code for each of them would take longer
        than reading it. Which one is the current one is only looked up for an error.
        """
        pair = itemgetter(key, value)
        while True:
            error: Exception | None = None
            self.line = first = self._csv.line_num + self._uncounted
            part: list[list[str]] = []
            is_large = False
            try:
                part.extend(islice(self._csv, _PART))  # what comes before an error stays
                self._follow(self._csv.line_num)
            except csv.Error as caught:
                is_large = _is_large(caught)
                error = None if is_large else _malformed(caught)
            except UnicodeDecodeError as caught:
                error = wrong_encoding(caught)
                self._uncounted += 1
            else:
                if not part:
                    return
            if {width}.issuperset(map(len, part)):
                self._part, self._rest = part, iter(part)
                yield from map(pair, self._rest)
                if error is not None:
                    self.line = first + _lines(part)
            else:
                for fields in part:
                    if self._fits(fields):
                        yield pair(fields)
                    self.line = self.line + _lines([fields])
            if is_large:
                self.line = first + _lines(part)
                part.clear()
                self._part = []
                large = self._large(self.line)
                if large is not None and self._fits(large):
                    row = pair(large)
                    self.record = large = None  # the row is enough while it is saved
                    yield row
            if error is not None:
                self.record = None
                self.refuse(error)

    def _read(self, lines: Iterator[str]) -> None:
        """Read records from lines, of which the current one's are kept, for it may be large."""
        self._lines = lines
        ahead, self._behind = tee(lines)
        self._followed = 0
        self._csv = csv.reader(ahead, **self._dialect())

    def _follow(self, line: int) -> None:
        """Let go of lines of records that were read."""
        deque(islice(self._behind, line - self._followed), maxlen=0)
        self._followed = line

    def _large(self, line: int) -> list[str] | None:
        """Return the record that begins in a line and is too large for the csv module.

        None when it was refused.
        """
        self._follow(line - self._uncounted)
        taken, last = count(), self._csv.line_num
        self._csv = csv.reader(())  # the other one would keep all that it is yet to read
        lines = map(itemgetter(0), zip(self._behind, taken, strict=False))
        error: FormatError | None = None
        fields = None
        try:
            fields = large_record(lines, *self._characters())
        except FormatError as caught:
            error = caught
        except UnicodeDecodeError as caught:
            error = wrong_encoding(caught)
            self._uncounted += 1
        self._followed += next(taken)
        self._follow(max(last, self._followed))
        self._uncounted += self._followed
        self._read(self._lines)
        if error is not None:
            self.record = None
            self._refuse_unless_header(error)
        return fields

    def _records(self) -> Iterator[list[str]]:
        """Yield the fields of each record that can be read."""
        while True:
            is_large = False
            try:
                for fields in self._csv:
                    yield fields
                    if self._csv.line_num - self._followed > _PART:
                        self._follow(self._csv.line_num)
            except csv.Error as error:
                is_large = _is_large(error)
                if not is_large:
                    self.record = None
                    self._refuse_unless_header(_malformed(error))
            except UnicodeDecodeError as error:
                self.record = None
                self.line = self._csv.line_num + self._uncounted
                self._uncounted += 1
                self._refuse_unless_header(wrong_encoding(error))
            else:
                return
            if is_large:
                large = self._large(self.line)
                if large is not None:
                    yield large
                    large = self.record = None
            self._texts.clear()
            self.line = self._csv.line_num + self._uncounted

    def _refuse_unless_header(self, error: FormatError) -> None:
        """Refuse a record; without its header the whole file cannot be read."""
        if self.options.header and self._names is None:
            raise error
        self.refuse(error)

    def _fits(self, fields: list[str]) -> bool:
        """Whether a record has as many fields as the first one; a blank line is no record."""
        self.record = fields
        if not self._width:
            self._width = len(fields)
        if len(fields) == self._width:
            return bool(fields)
        if fields:
            first = "the first record" if self._names is None else "the header"
            self.refuse(FormatError(f"{_counted(fields)}, and {first} has {self._width}"))
        return False

    def _named(self, header: list[str]) -> list[str]:
        names = header[:-2] if tuple(header[-2:]) == MARKS else header
        for name in names:
            if names.count(name) > 1:
                raise FormatError(f"two columns are called {name!r}")
        # The marks stay as columns that nobody asks for.
        return header

    def _dialect(self) -> dict[str, Any]:
        delimiter, quote = self.options.delimiter, self.options.quote
        dialect: dict[str, Any] = {"strict": True, "delimiter": delimiter or self.delimiter}
        if quote == "":
            dialect["quoting"] = csv.QUOTE_NONE
        elif quote is not None:
            dialect["quotechar"] = quote
        for what, given in (("delimiter", delimiter), ("quote", quote)):
            if given and (len(given) != 1 or given in "\r\n"):
                raise UsageError(f"--{what} {given!r}: not one character")
        return dialect

    def _kept(self, lines: Iterator[str]) -> Iterator[str]:
        """Pass lines on, and keep those of the current record; goes on after an error."""
        return iter(lambda: self._next_kept(lines), None)

    def _next_kept(self, lines: Iterator[str]) -> str | None:
        if self._csv.line_num + self._uncounted == self.line:
            self._texts.clear()
        try:
            line = next(lines, None)
        except UnicodeDecodeError as error:
            self._texts.append(undecoded(error, self.options.encoding))
            raise
        if line is not None:
            self._texts.append(line)
        return line

    # Rejects

    def rejects_header(self) -> bytes:
        names = self._names
        if names is None:
            # With numbers as names, so that it is seen how many fields a record must have.
            names = _numbers(self._fields_expected())
        elif self._marked:
            names = names[:-2]
        return self._as_line([*names, *MARKS], is_start=True)

    def rejected(self, record: Any, line: int, reason: str, is_first: bool) -> bytes:
        # A record with too few fields stays so, or it would be imported the next time.
        fields = self._unread() if record is None else record
        if self._marked and len(fields) > 2 and fields[-2].isdigit():
            fields = fields[:-2]
        return self._as_line([*fields, str(line), reason])

    def _unread(self) -> list[str]:
        """Return the current record, which is none, as fields that are none either."""
        text = "".join(self._texts)
        fields = [text]
        if self.options.quote == "":
            text = text.rstrip("\r\n").replace("\r", "\\r")
            fields = text.split(self._dialect()["delimiter"])
        return [*fields, ""] if len(fields) == self._fields_expected() else fields

    def _fields_expected(self) -> int:
        """Return how many fields a record has, without the marks of a file of rejects."""
        return self._width - 2 * self._marked if self._width else self._columns.least

    def _as_line(self, fields: list[str], *, is_start: bool = False) -> bytes:
        dialect = self._dialect()
        del dialect["strict"]
        if dialect.pop("quoting", None) is None:
            text = _written([fields], dialect)
        else:
            # Only the reason can hold what would need quotes.
            delimiter = dialect["delimiter"]
            fields[-1] = fields[-1].replace(delimiter, "_" if delimiter == " " else " ")
            text = delimiter.join(fields) + "\n"
        return encoded(text, self.options.encoding, "backslashreplace", is_start=is_start)


class TabReader(DelimitedReader):
    """Reads TSV."""

    delimiter = "\t"


class _Columns:
    """Which column is what."""

    def __init__(self, names: list[str] | None, options: Any) -> None:
        self.names = names
        marks = names is not None and tuple(names[-2:]) == MARKS
        self.there = names[:-2] if names and marks else names
        self.type: int | None = None
        self.expiry: int | None = None
        self.scope: int | None = None
        self.gathered: list[tuple[str, int]] = []
        self.time = self._column(options.time_column) if options.time_column else None
        if options.names_columns or names is None:
            self._by_options(options)
        else:
            self._as_exported()
        columns = (self.key, self.value, self.scope, self.time, *(at for _, at in self.gathered))
        self.least = 1 + max(column or 0 for column in columns)
        self.is_pair = (
            not self.gathered and self.type is self.expiry is self.scope is self.time is None
        )

    def _as_exported(self) -> None:
        assert self.there is not None
        if self.there[:2] == ["1", "2"]:  # the rejects of a file without a header
            self.key, self.value = 0, 1
            return
        if "key" not in self.there:
            raise FormatError(
                "no column is called 'key'",
                hint="name it with --key-column, or say --no-header when the first line is data",
            )
        self.key = self.there.index("key")
        if self.time is None and CHANGED in self.there and len(self.there) > 2:
            self.time = self.there.index(CHANGED)
        others = [n for at, n in enumerate(self.there) if n != "key" and at != self.time]
        if len(others) == 1:
            self.value = self.there.index(others[0])
            return
        unknown = [name for name in others if name not in OURS]
        if unknown or "value" not in others:
            raise FormatError(
                f"which columns are the value: {', '.join(map(repr, unknown or others))}?",
                hint="--value-column NAME takes one, --columns NAME,NAME or '*' gathers several",
            )
        self.value = self.there.index("value")
        self.type, self.expiry, self.scope = (
            self.there.index(name) if name in others else None for name in OURS[2:]
        )

    def _by_options(self, options: Any) -> None:
        self.key = self._column(options.key_column or self._default("key", "1"))
        self.scope = self._column(options.scope_column) if options.scope_column else None
        self.value = -1
        if options.columns and options.value_column:
            raise UsageError("--columns and --value-column exclude each other")
        if not options.columns:
            self.value = self._column(options.value_column or self._default("value", "2"))
            return
        if options.columns == ("*",):
            if self.there is None:
                raise UsageError("--columns '*' needs a header", hint="number them: --columns 2,3")
            taken = (self.key, self.scope, self.time)
            self.gathered = [(n, at) for at, n in enumerate(self.there) if at not in taken]
        else:
            self.gathered = [(name, self._column(name)) for name in options.columns]

    def _default(self, name: str, number: str) -> str:
        return number if self.there is None else name

    def _column(self, name: str) -> int:
        if self.there is None:
            if not (name.isascii() and name.isdigit() and int(name) > 0):
                raise UsageError(f"column {name!r}: without a header columns are numbered, from 1")
            return int(name) - 1
        if name not in self.there:
            raise missing_column(name, self.there)
        return self.there.index(name)

    def row(self, fields: list[str]) -> Row:
        try:
            key = fields[self.key]
            value: Any
            if self.gathered:
                value = {name: fields[at] for name, at in self.gathered}
            else:
                value = fields[self.value]
                if self.type is not None:
                    value = untyped(value, fields[self.type])
            scope = fields[self.scope] or None if self.scope is not None else None
            expires_at = expiry_time(fields[self.expiry]) if self.expiry is not None else None
            if self.time is None:
                return key, value, scope, expires_at
            return key, value, scope, expires_at, changed_at(fields[self.time])
        except IndexError:
            raise _too_few(fields) from None


def _numbers(count: int) -> list[str]:
    """Return the names of the columns of a file without a header."""
    return [str(number) for number in range(1, count + 1)]


def _lines(records: list[list[str]]) -> int:
    """Return how many lines some records take."""
    return sum(1 + sum(field.count("\n") for field in fields) for fields in records)


def _too_few(fields: list[str]) -> FormatError:
    return FormatError(f"only {_counted(fields)}")


def _counted(fields: list[str]) -> str:
    return "1 field" if len(fields) == 1 else f"{len(fields)} fields"


def _is_large(error: csv.Error) -> bool:
    return "field larger than" in str(error)


def _malformed(error: csv.Error) -> FormatError:
    text = str(error)
    if text == "unexpected end of data":
        return FormatError(UNENDED)
    if "expected after" in text:
        return FormatError(
            BEHIND_QUOTE,
            hint="inside, a quote is written twice; with --quote '' quotes are text",
        )
    if "new-line character" in text:
        return FormatError(BARE_RETURN, hint="convert the line ends to \\n")
    return FormatError(text)


class DelimitedWriter(Writer):
    """Writes records of fields between delimiters."""

    delimiter = ","
    lines = "csv"

    def begin(self) -> None:
        shape = self.shape
        wanted = (True, True, shape.types, shape.expiry, shape.scopes)
        names = [n for n, is_needed in zip(OURS, wanted, strict=True) if is_needed]
        self._put([names])

    def write(self, scope: str, entries: Iterable[Entry]) -> int:
        shape = self.shape
        count = 0
        for page in pages(entries):
            records: list[list[Any]] = []
            for entry in page:
                if shape.plain:
                    data = only_text(entry.key, entry.value, "a table", plain=True, binary=False)
                    text, kind = data.decode(), ""
                else:
                    text, kind = typed(entry.value)
                record: list[Any] = [entry.key, text]
                if shape.types:
                    record.append(kind)
                if shape.expiry:
                    record.append("" if entry.expires_at is None else entry.expires_at)
                if shape.scopes:
                    record.append(scope)
                records.append(record)
            count += len(page)
            self._put(records)
        return count

    def write_pairs(self, pairs: Iterable[tuple[str, str]]) -> int | None:
        count = 0
        delimiter = self.delimiter
        for part in pages(pairs):
            count += len(part)
            if len(part[-1][1]) > LARGE:  # which is what ended the page
                self._put(part)
                continue
            text = "\n".join([f"{key}{delimiter}{value}" for key, value in part])
            # Where nothing has to be quoted, there are just these delimiters and newlines.
            if (
                '"' in text
                or "\r" in text
                or text.count(delimiter) != len(part)
                or text.count("\n") != len(part) - 1
            ):
                self._put(part)
            else:
                self.out.write(f"{text}\n".encode())
        return count

    def _put(self, records: Sequence[Sequence[Any]]) -> None:
        last = records[-1:]
        if last and len(last[0][1]) > LARGE:
            self._put(records[:-1])
            self._put_large(*last[0])
        elif records:
            self.out.write(_written(records, {"delimiter": self.delimiter}).encode())

    def _put_large(self, key: str, value: str, *others: Any) -> None:
        """Write a record with a large value."""
        first, rest = (
            _written([fields], {"delimiter": self.delimiter})
            for fields in ((key, ""), ("", *others))
        )
        self.out.write(f'{first[:-1]}"'.encode())
        for piece in in_pieces(value):
            self.out.write(piece.replace('"', '""').encode())
        self.out.write(f'"{rest if others else chr(10)}'.encode())


def _written(records: Iterable[Iterable[Any]], dialect: dict[str, Any]) -> str:
    """Return records as text in which everything that has to be quoted is.

    Before Python 3.13 the module leaves a carriage return without quotes.
    """
    out = io.StringIO(newline="")
    records = list(records)
    csv.writer(out, lineterminator="\n", **dialect).writerows(records)
    text = out.getvalue()
    if "\r" in text:
        out = io.StringIO(newline="")
        csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL, **dialect).writerows(records)
        text = out.getvalue()
    return text


class TabWriter(DelimitedWriter):
    """Writes TSV."""

    delimiter = "\t"
    lines = "tsv"


READERS = {"csv": DelimitedReader, "tsv": TabReader}
WRITERS = {"csv": DelimitedWriter, "tsv": TabWriter}
