"""Snippets: which parts of a text matched a query, and a line around the first of them.

The texts are indexed again in a temporary index, and FTS5 marks the matches. It sees folded text;
since every character is folded separately, each mark maps back to a position in the original.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from itertools import accumulate

from kycli.core.search.folding import fold
from kycli.core.sql.fts import MARK, UNMARK, TextIndex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kycli.core.search.queries import Query

    Pieces = tuple[tuple[str, bool], ...]
    """Pieces of a text, each with whether it matched."""

    Spans = list[tuple[int, int]]

LENGTH = 96
"""How many characters of a value are shown."""

_BEFORE = 24

# How much of a value is looked through: further matches are not worth the time.
_LOOKED_AT = 1 << 18


def mark(texts: Iterable[tuple[str, str]], query: Query) -> Iterator[tuple[Pieces, Pieces]]:
    """Yield for each key and text of a value: the key, and a line of the text; in pieces."""
    shown = [(_on_a_line(key), _on_a_line(text[:_LOOKED_AT])) for key, text in texts]
    index = TextIndex(keep_texts=True)
    try:
        index.add((id, fold(key), fold(text)) for id, (key, text) in enumerate(shown))
        marked = index.marked(query)
    finally:
        index.close()
    for id, (key, text) in enumerate(shown):
        in_key, in_text = marked.get(id, ("", ""))
        yield _pieces(key, _spans(key, in_key), 0, len(key)), _line(text, _spans(text, in_text))


def _on_a_line(text: str) -> str:
    """Return a text as it can be printed on one line, character by character."""
    text = unicodedata.normalize("NFC", text)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or _joins(char) else " " for char in text)


def _joins(char: str) -> bool:
    return char in "\u200c\u200d"  # inside of emoji, and of words in some scripts


def _spans(text: str, marked: str) -> Spans:
    """Return the spans of a text that are marked in its folded form."""
    spans: Spans = []
    ends: list[int] | None = (
        None if text.isascii() else list(accumulate(len(fold(c)) for c in text))
    )
    end = first = 0
    for part in marked.replace(UNMARK, MARK + UNMARK).split(MARK):
        if part[:1] == UNMARK:
            spans.append(_unfolded(ends, first, end))
            part = part[1:]
        end += len(part)
        first = end - len(part)
    return spans


def _unfolded(ends: list[int] | None, first: int, past: int) -> tuple[int, int]:
    """Return where in the text a part of its folded form comes from.

    Parameters:
        ends: for each character of the text, where its folded form ends; None when folding
            changes nothing.
    """
    if ends is None:
        return first, past
    last = bisect_right(ends, past - 1) + 1
    while last < len(ends) and ends[last] == ends[last - 1]:
        last += 1  # what is dropped belongs to the character before it
    return bisect_right(ends, first), last


def _line(text: str, spans: Spans) -> Pieces:
    """Return so much of a text as fits on a line, from a little before the first match."""
    first = max(0, min(spans[0][0] - _BEFORE, len(text) - LENGTH)) if spans else 0
    past = min(len(text), first + LENGTH)
    pieces = list(_pieces(text, spans, first, past))
    if first:
        pieces.insert(0, ("…", False))
    if past < len(text):
        pieces.append(("…", False))
    return tuple(pieces)


def _pieces(text: str, spans: Spans, first: int, past: int) -> Pieces:
    """Return a part of a text in pieces."""
    pieces = []
    for start, end in spans:
        start, end = max(start, first), min(end, past)
        if start < end:
            pieces += [(text[first:start], False), (text[start:end], True)]
            first = end
    pieces.append((text[first:past], False))
    return tuple((piece, marked) for piece, marked in pieces if piece)
