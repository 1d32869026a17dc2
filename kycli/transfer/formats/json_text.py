"""JSON: an object of key to value, or a list of records or pairs.

Elements are parsed one at a time. The scanner of Python's ``json`` gets the text that has been
read so far; if an element is incomplete, more is read and the scanner runs again. So no other
library is needed, memory holds one element at a time, and every error has its line number.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from kycli.core.values import canonical, decoded, scan_once
from kycli.errors import FormatError, InputError, WrongTypeError
from kycli.transfer.formats.json_lines import is_large, record, write_large, write_text
from kycli.transfer.formats.records import Members, encoded_json, reject
from kycli.transfer.formats.text_lines import codec_of
from kycli.transfer.reading import Reader, Row
from kycli.transfer.writing import Writer

if TYPE_CHECKING:
    from kycli.core.operations.entry import Entry

_BLOCK = 1 << 18
_MOST = 2_000_000_000
_BLANKS = re.compile(r"[ \t\n\r]*")
# Reads all that has the syntax of JSON, to find where it ends.
_SCAN_ALL = json.JSONDecoder(parse_int=float).scan_once  # type: ignore[attr-defined]
# How far from the end of the text the scanner may report what is only cut off.
_CUT = 16


class Unusable(NamedTuple):
    """An element that can be read, and is no value here: with NaN, or a member twice.

    Attributes:
        error: why.
        text: the element.
    """

    error: InputError
    text: str


class Elements:
    """Reads the elements of the list or object that a JSON text is.

    Attributes:
        line: the line in which the current element begins.
    """

    def __init__(self, stream: BinaryIO, encoding: str | None) -> None:
        name = codec_of(encoding)
        self._stream = stream
        self._encoding = name
        self._decoder = codecs.getincrementaldecoder("utf-8-sig" if name == "utf-8" else name)()
        self._text = ""
        self._at = 0
        self._counted = 0  # up to where lines are counted
        self._lines = 1
        self._ended = False

    @property
    def line(self) -> int:
        self._lines += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._lines

    def __iter__(self) -> Iterator[Any]:
        """Yield the elements of a list, or ``(key, value)`` of an object, with their tags.

        A value that cannot be used is an ``Unusable``.
        """
        opening = self._next()
        if opening not in ("[", "{"):
            what = f"{opening!r}" if opening else "nothing"
            raise FormatError(f"not JSON: neither an object nor a list, but {what}")
        self._at += 1
        closing = "]" if opening == "[" else "}"
        if self._next() == closing:
            self._at += 1
        else:
            yield from self._elements(closing)
        if self._next():
            raise FormatError("not JSON: text behind the end")

    def _elements(self, closing: str) -> Iterator[Any]:
        while True:
            self._next()
            if closing == "]":
                yield self._value(scan_once)
            else:
                if self._next() != '"':
                    raise FormatError("not JSON: expected the name of a member in double quotes")
                key = self._value(scan_once)
                if self._next() != ":":
                    raise FormatError("not JSON: expected ':' behind the name of a member")
                self._at += 1
                self._next()
                yield key, self._value(scan_once)
            mark = self._next()
            if mark not in (",", closing):
                what = f"{mark!r}" if mark else "the end of the file"
                raise FormatError(f"not JSON: expected ',' or {closing!r}, not {what}")
            self._at += 1
            if mark == closing:
                return

    def _next(self) -> str:
        """Skip blanks; return the character that follows, "" at the end."""
        while True:
            match = _BLANKS.match(self._text, self._at)
            assert match is not None
            self._at = match.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read():
                return ""

    def _value(self, scan: Callable[[str, int], tuple[Any, int]]) -> Any:
        while True:
            try:
                value, end = scan(self._text, self._at)
                # A number may go on, and a part of it that was cut off is none of it.
                near = len(self._text) - end
                if near > 2 or (near and type(value) not in (int, float)) or not self._read():
                    self._scanned = self._text[self._at : end] if scan is _SCAN_ALL else ""
                    self._at = end
                    return value
            except (json.JSONDecodeError, StopIteration) as error:
                is_string = isinstance(error, json.JSONDecodeError) and error.msg.startswith(
                    "Unterminated string"
                )
                position = error.pos if isinstance(error, json.JSONDecodeError) else error.value
                is_cut = is_string or position >= len(self._text) - _CUT
                if not (is_cut and self._read()):
                    self._at = min(position, len(self._text))
                    what = error.msg if isinstance(error, json.JSONDecodeError) else "no value"
                    raise FormatError(f"not JSON: {what}") from None
            except RecursionError:
                raise FormatError("the element is nested too deeply") from None
            except FormatError:  # of reading more
                raise
            except ValueError as error:  # also for an int of more digits than Python reads
                reason = error if isinstance(error, InputError) else None
                reason = reason or FormatError(f"not usable JSON: {error}")
                self._value(_SCAN_ALL)
                return Unusable(reason, self._scanned)

    def _read(self) -> bool:
        """Read more text; return False at the end."""
        if self._ended:
            return False
        pending = len(self._text) - self._at
        if pending > _MOST:
            raise FormatError("a value of more than 1 GB")
        self._lines += self._text.count("\n", self._counted, self._at)
        # As much again as there is, so that a long element is scanned few times.
        block = self._stream.read(max(_BLOCK, pending))
        self._ended = not block
        try:
            text = self._decoder.decode(block, self._ended)
        except UnicodeDecodeError as error:
            self._lines += self._text.count("\n", self._at)
            good = error.object[: error.start].decode(error.encoding, "replace")
            self._lines += good.count("\n")
            self._text, self._at, self._counted = "", 0, 0
            raise FormatError(
                f"the byte 0x{error.object[error.start]:02x} is not {self._encoding.upper()}",
                hint="name the file's encoding, such as --encoding latin-1",
            ) from None
        if self._ended and not text:
            self._counted = self._at
            return False  # places in the text stay what they are
        self._text = self._text[self._at :] + text
        self._at = self._counted = 0
        return True


class TextReader(Reader):
    """Reads the elements of a JSON text."""

    def rows(self) -> Iterator[Row]:
        elements = Elements(self.stream, self.options.encoding)
        members = Members(self.options)
        try:
            for element in elements:
                self.line = elements.line
                self.record = element
                try:
                    row = _row(element, members)
                except (InputError, WrongTypeError) as error:
                    self.refuse(error)
                else:
                    yield row
        except InputError:
            self.line = elements.line
            raise

    def rejects_header(self) -> bytes:
        return encoded_json("[", self.options.encoding, is_start=True)

    def rejected(self, record: Any, line: int, reason: str, is_first: bool) -> bytes:
        data = record
        if type(data) is tuple:
            data = list(data)
        bad = data[1] if type(data) is list and type(data[-1]) is Unusable else data
        if type(bad) is Unusable:
            name = "" if bad is data else f"{json.dumps(data[0], ensure_ascii=False)}: "
            text = reject(None, name + bad.text, line, reason)
        else:
            text = reject(data, json.dumps(data, ensure_ascii=False), line, reason)
        text = f"{'' if is_first else ','}\n{text}"
        return encoded_json(text, self.options.encoding, is_start=False)

    def rejects_end(self) -> bytes:
        return encoded_json("\n]\n", self.options.encoding, is_start=False)


def _row(element: Any, members: Members) -> Row:
    """Return the row that an element stands for."""
    value = element[1] if type(element) is tuple else element
    if type(value) is Unusable:
        raise value.error
    value = decoded(value)
    return (element[0], value) if type(element) is tuple else members.row(value)


class TextWriter(Writer):
    """Writes an object of key to value or, where that is not enough, a list of records."""

    def begin(self) -> None:
        shape = self.shape
        self._is_object = not (shape.expiry or shape.scopes)
        self._separator = b"\n"
        self.out.write(b"{" if self._is_object else b"[")

    def write(self, scope: str, entries: Iterable[Entry]) -> int:
        shown_scope = scope if self.shape.scopes else None
        count = 0
        for entry in entries:
            count += 1
            if is_large(entry.value):
                self.out.write(self._separator)
                if self._is_object:
                    self.out.write(f"{canonical(entry.key)}:".encode())
                    write_text(self.out, entry.value)
                else:
                    write_large(self.out, shown_scope, entry, self.shape)
                self._separator = b",\n"
                continue
            if self._is_object:
                text = f"{canonical(entry.key)}:{canonical(entry.value)}"
            else:
                text = canonical(record(shown_scope, entry, self.shape))
            self.out.write(self._separator + text.encode())
            self._separator = b",\n"
        return count

    def end(self) -> None:
        self.out.write(b"\n}\n" if self._is_object else b"\n]\n")


READERS = {"json": TextReader}
WRITERS = {"json": TextWriter}
