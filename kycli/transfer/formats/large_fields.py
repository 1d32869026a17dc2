"""Parsing records with large fields, for which the csv module needs too much memory.

The csv module uses four bytes for each character of a field, and twice that while the field grows.
Here a field uses only the memory of its text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kycli.errors import FormatError

_LINES = 4096
"""Lines of a field that are joined at a time."""

UNENDED = "a quoted field begins here and never ends"
BEHIND_QUOTE = "text behind the closing quote of a field"
BARE_RETURN = "a carriage return without a newline"


def large_record(lines: Iterator[str], delimiter: str, quote: str) -> list[str]:
    """Return the fields of the record that begins with the next line, read strictly.

    Parameters:
        quote: empty where quotes are text.

    Raises:
        FormatError: when it is no record; its lines have been taken all the same.
    """
    fields: list[str] = []
    line, at = next(lines), 0
    while True:
        if quote and line.startswith(quote, at):
            text, line, at = _quoted(lines, line, at + 1, quote)
        else:
            end = line.find(delimiter, at)
            end = len(line) - _ending(line) if end < 0 else end
            text, at = line[at:end], end
            if "\r" in text:
                raise FormatError(BARE_RETURN, hint="convert the line ends to \\n")
        fields.append(text)
        if line.startswith(delimiter, at):
            at += 1
        elif at >= len(line) - _ending(line):
            return fields
        else:
            raise FormatError(
                BEHIND_QUOTE,
                hint="inside, a quote is written twice; with --quote '' quotes are text",
            )


def _ending(line: str) -> int:
    """Return how long the end of a line is."""
    return 2 if line.endswith("\r\n") else int(line.endswith(("\n", "\r")))


def _quoted(lines: Iterator[str], line: str, at: int, quote: str) -> tuple[str, str, int]:
    """Return the field behind a quote, the line in which it ends, and the place behind that."""
    mark = re.escape(quote)
    inside = re.compile(f"[^{mark}]*+(?:{mark}{mark}[^{mark}]*+)*+")
    whole: list[str] = []
    part: list[str] = []
    while True:
        match = inside.match(line, at)
        assert match is not None
        end = match.end()
        part.append(line[at:end])
        if end < len(line):
            break
        if len(part) == _LINES:
            whole.append("".join(part))
            part.clear()
        found = next(lines, None)
        if found is None:
            raise FormatError(UNENDED)
        line, at = found, 0
    text = "".join([*whole, *part])
    return text.replace(quote + quote, quote), line, end + 1
