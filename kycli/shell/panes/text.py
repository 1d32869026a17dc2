"""Text in the cells of a pane, whatever it contains.

Widths are counted as prompt_toolkit counts them, character by character. If a terminal may draw a
sequence of characters narrower than that, such as a family of emoji, the joining characters are
escaped; otherwise everything to the right would be displaced.
"""

from __future__ import annotations

from typing import TypeAlias

from prompt_toolkit.utils import get_cwidth

from kycli.cli.terminal import controls

Line: TypeAlias = "list[tuple[str, str]]"
"""Pieces of one line of the screen, each with its style; as wide as the line is."""

_MOST_MARKS = 2
"""How many characters without a width may stand on one that has: more spill over other lines."""

_JOINING = frozenset(
    "\u200c\u200d\ufe0e\ufe0f\u034f" + "".join(map(chr, range(0x1F3FB, 0x1F400)))
)  # joiners, variation selectors, colours of skin


def safe(text: str) -> str:
    r"""Return text that a terminal only displays, with everything else escaped as in Python.

    >>> safe("tab\t\x1b[31m"), safe("\u202eabc"), safe("caf\u00e9"), safe("\u0301x")
    ('tab\\t\\x1b[31m', '\\u202eabc', 'café', '\\u0301x')
    """
    if text.isascii() and text.isprintable():
        return text
    found: list[str] = []
    marks = _MOST_MARKS
    for character in text:
        if controls(character) or character in _JOINING:
            found.append(_code(character))
            marks = _MOST_MARKS
        elif get_cwidth(character) > 0:
            found.append(character)
            marks = 0
        elif marks < _MOST_MARKS:
            found.append(character)
            marks += 1
        else:
            found.append(_code(character))
    return "".join(found)


def _code(character: str) -> str:
    shown = ascii(character)[1:-1]
    return shown if shown != character else f"\\x{ord(character):02x}"


def width(text: str) -> int:
    """Return how many columns a safe text takes."""
    return len(text) if text.isascii() else sum(map(get_cwidth, text))


def cut(text: str, columns: int) -> str:
    """Return a safe text of at most so many columns, with ``…`` in place of the rest."""
    if width(text) <= columns:
        return text
    return f"{_head(text, columns - 1)}…" if columns > 0 else ""


def fit(text: str, columns: int, right: bool = False) -> str:
    """Return a safe text of exactly so many columns, cut or filled with blanks.

    >>> fit("日本語", 5), fit("ab", 4), fit("ab", 4, right=True)
    ('日本…', 'ab  ', '  ab')
    """
    text = cut(text, columns)
    blanks = " " * (columns - width(text))
    return blanks + text if right else text + blanks


def _head(text: str, columns: int) -> str:
    """Return as much of the beginning of a text as fits, with the marks of its last character."""
    if text.isascii():
        return text[:columns]
    taken = 0
    for at, character in enumerate(text):
        taken += get_cwidth(character)
        if taken > columns:
            return text[:at]
    return text


def wrapped(text: str, columns: int) -> list[str]:
    """Return a safe text as lines of at most so many columns, broken at blanks if there are some.

    No character of the text is lost.

    >>> wrapped("one two three", 8)
    ['one two ', 'three']
    """
    columns = max(2, columns)
    lines: list[str] = []
    while width(text) > columns:
        head = _head(text, columns)
        blank = head.rfind(" ") + 1
        if text[len(head)] != " " and blank > len(head) // 2:
            head = head[:blank]
        lines.append(head)
        text = text[len(head) :]
    lines.append(text)
    return lines


def fit_line(line: Line, columns: int) -> Line:
    """Return pieces of text that take exactly so many columns, cut or filled with blanks."""
    found: Line = []
    for style, text in line:
        taken = width(text)
        if taken > columns:
            text = cut(text, columns)
            taken = columns = width(text)
        found.append((style, text))
        columns -= taken
        if columns <= 0:
            break
    if columns > 0:
        found.append(("", " " * columns))
    return found


def counted(size: int) -> str:
    """Return a number of bytes as people say it.

    >>> counted(1), counted(2048), counted(3_500_000)
    ('1 byte', '2.0 KiB', '3.3 MiB')
    """
    if size < 1024:
        return "1 byte" if size == 1 else f"{size} bytes"
    number = float(size)
    for unit in ("KiB", "MiB"):
        number /= 1024
        if number < 1024:
            return f"{number:.1f} {unit}"
    return f"{number / 1024:.1f} GiB"


def span(milliseconds: int) -> str:
    """Return a length of time with its two largest units.

    >>> span(500), span(61_000), span(90_000_000)
    ('1s', '1m 1s', '1d 1h')
    """
    seconds = max(0, -(-milliseconds // 1000))
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if seconds >= size:
            parts.append(f"{seconds // size}{unit}")
            seconds %= size
    return " ".join(parts[:2]) or "0s"
