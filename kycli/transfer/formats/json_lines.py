"""JSONL: a record of JSON on each line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any

from kycli.core.values import DECODER, canonical, parse
from kycli.errors import FormatError, InputError, WrongTypeError
from kycli.transfer.formats.records import Members, encoded_json, reject
from kycli.transfer.formats.text_lines import text_lines, undecoded, wrong_encoding
from kycli.transfer.reading import Reader, Row
from kycli.transfer.writing import PIECES, Shape, Writer

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
                self.record = text
                row = row_of(parse(text.rstrip()))
            except UnicodeDecodeError as error:
                self.record = undecoded(error, self.options.encoding)
                self.refuse(wrong_encoding(error))
            except (InputError, WrongTypeError) as error:
                self.refuse(_reason(error))
            else:
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

    def write(self, scope: str, entries: Iterable[Entry]) -> int:
        place = scope if self.shape.scopes else None
        count = 0
        lines: list[str] = []
        for entry in entries:
            lines.append(canonical(record(place, entry, self.shape)))
            count += 1
            if len(lines) == PIECES:
                self._put(lines)
        self._put(lines)
        return count

    def write_pairs(self, pairs: Iterable[tuple[str, str]]) -> int | None:
        count = 0
        lines: list[str] = []
        for key, value in pairs:
            lines.append(f'{{"key":{encode_basestring(key)},"value":{encode_basestring(value)}}}')
            count += 1
            if len(lines) == PIECES:
                self._put(lines)
        self._put(lines)
        return count

    def _put(self, lines: list[str]) -> None:
        if lines:
            lines.append("")
            self.out.write("\n".join(lines).encode())
            lines.clear()


READERS = {"jsonl": LinesReader}
WRITERS = {"jsonl": LinesWriter}
