"""Values as lines of a pane: JSON in colours, text wrapped, bytes as a hex dump."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from kycli.core.values import canonical
from kycli.shell.panes.text import Line, counted, safe, width, wrapped

if TYPE_CHECKING:
    from kycli.core.operations.excerpts import Excerpt

MOST_BYTES = 131_072
"""How much of a value is read for a preview."""
MOST_LINES = 5_000
"""How many lines of a value can be scrolled through."""

NOTE = "italic fg:ansibrightblack"
_STYLES = {
    "key": "fg:ansiblue bold",
    "string": "fg:ansigreen",
    "number": "fg:ansicyan",
    "word": "fg:ansimagenta",
}
_TOKENS = re.compile(
    r'(?P<key>"(?:[^"\\]|\\.)*"(?=:))|(?P<string>"(?:[^"\\]|\\.)*"?)'
    r"|(?P<number>-?\d[\d.eE+-]*)|(?P<word>true|false|null)"
)


def type_of(value: Excerpt) -> str:
    """Return what a value is, for people: ``json``, ``text, JSON``, ``text`` …"""
    return "text, JSON" if value.type == "text" and _parsed(value) is not None else value.type


def lines_of(value: Excerpt, columns: int) -> list[Line]:
    """Return a value as lines of at most so many columns, and a note where it is cut."""
    columns = max(columns, 4)
    found = list(islice(_lines(value, columns), MOST_LINES + 1))
    if len(found) > MOST_LINES:
        found[MOST_LINES:] = _notes(f"only the first {MOST_LINES:,} lines are shown", columns)
    elif not value.is_whole:
        shown = len(value.head if isinstance(value.head, bytes) else value.head.encode())
        found += _notes(f"{counted(shown)} of {counted(value.size)} are shown", columns)
    return found


def plain_lines(value: Excerpt) -> list[str]:
    """Return a value as lines of text that are not wrapped, for comparing it with another."""
    return ["".join(text for _, text in line) for line in _lines(value, 1 << 20, bytes_in_line=16)]


def one_line(value: Excerpt, most: int) -> str:
    """Return the beginning of a value as one line, of not many more than so many characters."""
    if not value.is_whole and not value.head:
        return f"{value.type}, {counted(value.size)}"
    if isinstance(value.head, bytes):
        return f"{counted(value.size)}: {value.head[: most // 3 + 1].hex(' ')}"
    text = value.head if isinstance(value.head, str) else canonical(value.head)
    return safe(text[:most])


def _notes(text: str, columns: int) -> list[Line]:
    return [[(NOTE, line)] for line in wrapped(f"… {text}", columns)]


def _lines(value: Excerpt, columns: int, bytes_in_line: int = 0) -> Iterator[Line]:
    if isinstance(value.head, bytes):
        return _dump(value.head, columns, bytes_in_line)
    document = _parsed(value)
    if document is not None:
        return _coloured(document, columns)
    if isinstance(value.head, str):
        return _text(value.head, columns)
    return _coloured(json.loads(canonical(value.head)), columns)


def _parsed(value: Excerpt) -> Any:
    """Return the document that a value is, or that its text spells; None where it is none."""
    if not value.is_whole:
        return None
    if isinstance(value.head, (dict, list)):
        return json.loads(canonical(value.head))
    if isinstance(value.head, str) and value.head.lstrip()[:1] in ("{", "["):
        try:
            found = json.loads(value.head)
        except (ValueError, RecursionError):
            return None
        # What is spelled in another way, such as with a member twice, would not be shown as it is.
        return found if isinstance(found, (dict, list)) else None
    return None


def _text(text: str, columns: int) -> Iterator[Line]:
    for line in text.split("\n"):
        # A tab is a step to the next column, and everything else but text is escaped.
        pieces = [safe(piece) for piece in line.split("\t")]
        spaced = pieces[0]
        for piece in pieces[1:]:
            spaced += " " * (4 - width(spaced) % 4) + piece
        for part in wrapped(spaced, columns):
            yield [("", part)]


def _coloured(document: Any, columns: int) -> Iterator[Line]:
    for text in json.dumps(document, indent=2, ensure_ascii=False).split("\n"):
        line = safe(text)
        indent = len(line) - len(line.lstrip())
        pieces = _tokens(line)
        if width(line) > columns:
            yield from _wrapped_pieces(pieces, columns, min(indent + 2, columns // 2))
        else:
            yield pieces


def _tokens(line: str) -> Line:
    """Split a line of JSON into pieces with their styles."""
    pieces: Line = []
    done = 0
    for token in _TOKENS.finditer(line):
        if token.start() > done:
            pieces.append(("", line[done : token.start()]))
        pieces.append((_STYLES[token.lastgroup or ""], token.group()))
        done = token.end()
    if done < len(line):
        pieces.append(("", line[done:]))
    return pieces


def _wrapped_pieces(pieces: Line, columns: int, indent: int) -> Iterator[Line]:
    line: Line = []
    room = columns
    for style, text in pieces:
        while text:
            if width(text) <= room:
                line.append((style, text))
                room -= width(text)
                break
            head = wrapped(text, room)[0] if room > 1 else ""
            if head and width(head) <= room:
                line.append((style, head))
                text = text[len(head) :]
            yield line
            line, room = [("", " " * indent)], columns - indent
    yield line


def _dump(data: bytes, columns: int, bytes_in_line: int) -> Iterator[Line]:
    """Yield a hex dump: offset, bytes, and what of them is ASCII."""
    digits = max(4, len(f"{len(data):x}"))
    # A byte takes two digits, a blank, and a character.
    count = bytes_in_line or next((n for n in (16, 8, 4) if digits + 2 + 4 * n <= columns), 0)
    if not count:
        count, digits = max(1, columns // 3), 0
    for start in range(0, len(data), count):
        row = data[start : start + count]
        line: Line = [(NOTE, f"{start:0{digits}x}  ")] if digits else []
        line.append(("", f"{row.hex(' '):{count * 3 - 1}}"))
        if digits:
            text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
            line.append((_STYLES["string"], f" {text}"))
        yield line
