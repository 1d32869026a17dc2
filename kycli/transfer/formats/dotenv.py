"""Files of variables: ``NAME=value`` on each line.

The rules, most of which other readers of such files share: blank lines and lines that begin with
``#`` are ignored, and so is ``export`` before a name. A value without quotes ends with the line,
or before blanks and ``#``; blanks around it are stripped. Text in single quotes is literal. In
double quotes ``\\n``, ``\\r`` and ``\\t`` are these characters, a backslash before ``\\``, ``"``,
``$`` or a backquote escapes that character, and any other backslash is literal. Quoted values may
span several lines. Nothing is expanded: ``$HOME`` is literal text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from kycli.errors import FormatError, UsageError
from kycli.transfer.formats.plain_text import only_text
from kycli.transfer.formats.text_lines import encoded, text_lines, undecoded, wrong_encoding
from kycli.transfer.reading import Reader, Row
from kycli.transfer.writing import Writer, not_for

if TYPE_CHECKING:
    from kycli.core.operations.entry import Entry

_BEGINNING = re.compile(r"\s*(?:export\s+)?([^\s='\"#]+)[ \t]*=[ \t]*")
_COMMENT = re.compile(r"[ \t]+#")
_REST = re.compile(r"[ \t]*(?:[ \t]#.*)?\s*$", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "$": "$", "`": "`"}
_INSIDE = {
    '"': re.compile(r'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL),
    "'": re.compile(r"[^']*"),
}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_PLAIN = re.compile(r"[A-Za-z0-9_\-+.,:/@%]*")


class DotenvReader(Reader):
    """Reads a variable from each line, or several lines."""

    def rows(self) -> Iterator[Row]:
        if self.options.names_columns or self.options.time_column:
            raise UsageError("a file of variables has no columns")
        self._read = 0
        self._lines = text_lines(self.stream, self.options.encoding)
        while True:
            self.record = self._texts = list[str]()
            self.line = self._read + 1
            try:
                line = self._next()
                if line is None:
                    return
                row = self._row(line)
            except FormatError as error:
                self.refuse(error)
            else:
                if row is not None:
                    yield row

    def _next(self) -> str | None:
        try:
            line = next(self._lines, None)
        except UnicodeDecodeError as error:
            self._read += 1
            self._texts.append(undecoded(error, self.options.encoding))
            raise wrong_encoding(error) from None
        if line is not None:
            self._read += 1
            self._texts.append(line)
        return line

    def _row(self, line: str) -> Row | None:
        text = line.strip()
        if not text or text[0] == "#":
            return None
        match = _BEGINNING.match(line)
        if match is None:
            raise FormatError("this is not NAME=value")
        rest = line[match.end() :]
        if rest[:1] in ("'", '"'):
            return match[1], self._quoted(rest)
        comment = 0 if rest[:1] == "#" else -1
        found = _COMMENT.search(rest)
        if found and comment:
            comment = found.start()
        return match[1], (rest if comment < 0 else rest[:comment]).strip()

    def _quoted(self, rest: str) -> str:
        quote, rest = rest[0], rest[1:]
        inside = _INSIDE[quote]
        pieces: list[str] = []
        while True:
            # Each line is looked at once. A backslash at the end of a line takes the next
            # line's first character with it only when that is the newline, which it holds.
            match = inside.match(rest)
            assert match is not None
            pieces.append(match[0])
            if rest[match.end() : match.end() + 1] == quote:
                break
            line = self._next()
            if line is None:
                raise FormatError("the quote begins here and never ends")
            rest = rest[match.end() :] + line
        end, text = match.end(), rest
        if not _REST.fullmatch(text, end + 1):
            raise FormatError("text behind the closing quote", hint="a comment is ' #…'")
        value = "".join(pieces)
        return value if quote == "'" else _ESCAPE.sub(_unescaped, value)

    def rejected(self, record: Any, line: int, reason: str, is_first: bool) -> bytes:
        text = "".join(record).rstrip("\n")
        return encoded(
            f"# line {line}: {reason}\n{text}\n",
            self.options.encoding,
            "backslashreplace",
            is_start=is_first,
        )


def _unescaped(match: re.Match[str]) -> str:
    return _ESCAPED.get(match[1], match[0])


class DotenvWriter(Writer):
    """Writes a variable on each line."""

    def write(self, scope: str, entries: Iterable[Entry]) -> int:
        count = 0
        plain = self.shape.plain
        for entry in entries:
            if not _NAME.fullmatch(entry.key):
                raise not_for(entry.key, "dotenv", "is no name of a variable")
            if entry.expires_at is not None and not plain:
                raise not_for(entry.key, "dotenv", "expires")
            value = only_text(entry.key, entry.value, "dotenv", plain=plain, binary=False)
            if b"\0" in value:
                raise not_for(entry.key, "dotenv", "has a value with a NUL")
            self.out.write(f"{entry.key}={_quote(value.decode())}\n".encode())
            count += 1
        return count


def _quote(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    if "'" not in text and "\\" not in text:
        return f"'{text}'"
    for special in ("\\", '"', "$", "`"):
        text = text.replace(special, "\\" + special)
    return f'"{text}"'


READERS = {"dotenv": DotenvReader}
WRITERS = {"dotenv": DotenvWriter}
