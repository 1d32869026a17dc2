"""JSONL: a record of JSON on each line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, BinaryIO

from kycli.core.values import DECODER, canonical, parse
from kycli.errors import FormatError, InputError, WrongTypeError
from kycli.transfer.formats.records import Members, encoded_json, reject
from kycli.transfer.formats.text_lines import text_lines, undecoded, wrong_encoding
from kycli.transfer.reading import Reader, Row
from kycli.transfer.writing import LARGE, Shape, Writer, in_pieces, pages

if TYPE_CHECKING:
    from kycli.core.operations.entry import Entry


class LinesReader(Reader):
    """Reads a record from each line."""

    def rows(self) -> Iterator[Row]:
        row_of = Members(self.options).row
        lines = text_lines(self.stream, self.options.encoding)
        while True:
            self.line += 1
            try:
                text = next(lines, None)
                if text is None:
                    return
                if text.isspace():
                    continue
                # A large line is not kept beside its value, unless it may be rejected.
                text = text.rstrip()
                self.record = text if self.keep_text else None
                row = row_of(parse(text))
            except UnicodeDecodeError as error:
                self.record = undecoded(error, self.options.encoding)
                self.refuse(wrong_encoding(error))
            except (InputError, WrongTypeError) as error:
                self.refuse(_reason(error))
            else:
                text = None
                yield row

    def rejected(self, record: Any, line: int, reason: str, is_first: bool) -> bytes:
        text = record.rstrip()
        try:
            data = DECODER.decode(text)
        except (ValueError, RecursionError):
            data = None
        text = f"{reject(data, text, line, reason)}\n"
        return encoded_json(text, self.options.encoding, is_start=is_first)


def _reason(error: Exception) -> Exception:
    """Say where on the line JSON is broken, and not on which line of the line."""
    text = str(error)
    if text.startswith("not JSON:"):
        return FormatError(text.replace("at line 1, column", "at column"))
    return error


def record(scope: str | None, entry: Entry, shape: Shape) -> dict[str, Any]:
    """Return what is written of a key; an expiry of null is never, also in a cache."""
    fields: dict[str, Any] = {"key": entry.key, "value": entry.value}
    if shape.expiry:
        fields["expires_at"] = entry.expires_at
    if scope is not None:
        fields["scope"] = scope
    return fields


class LinesWriter(Writer):
    """Writes a record on each line."""

    lines = "jsonl"

    def write(self, scope: str, entries: Iterable[Entry]) -> int:
        shown_scope = scope if self.shape.scopes else None
        count = 0
        for page in pages(entries):
            count += len(page)
            large = page.pop() if is_large(page[-1].value) else None
            self._put([canonical(record(shown_scope, entry, self.shape)) for entry in page])
            if large is not None:
                write_large(self.out, shown_scope, large, self.shape)
                self.out.write(b"\n")
        return count

    def write_pairs(self, pairs: Iterable[tuple[str, str]]) -> int | None:
        count = 0
        for page in pages(pairs):
            count += len(page)
            large = page.pop() if len(page[-1][1]) > LARGE else None
            self._put(
                [
                    f'{{"key":{encode_basestring(key)},"value":{encode_basestring(value)}}}'
                    for key, value in page
                ]
            )
            if large is not None:
                self.out.write(f'{{"key":{encode_basestring(large[0])},"value":'.encode())
                write_text(self.out, large[1])
                self.out.write(b"}\n")
        return count

    def _put(self, lines: list[str]) -> None:
        if lines:
            lines.append("")
            self.out.write("\n".join(lines).encode())


def is_large(value: Any) -> bool:
    """Whether a value is written piece by piece."""
    return type(value) is str and len(value) > LARGE


def write_text(out: BinaryIO, text: str) -> None:
    """Write a large text as JSON."""
    out.write(b'"')
    for piece in in_pieces(text):
        out.write(encode_basestring(piece)[1:-1].encode())
    out.write(b'"')


def write_large(out: BinaryIO, scope: str | None, entry: Entry, shape: Shape) -> None:
    """Write the record of a large text; the value is the last member in canonical JSON."""
    fields = record(scope, entry, shape)
    del fields["value"]
    out.write(f'{canonical(fields)[:-1]},"value":'.encode())
    write_text(out, entry.value)
    out.write(b"}")


READERS = {"jsonl": LinesReader}
WRITERS = {"jsonl": LinesWriter}
