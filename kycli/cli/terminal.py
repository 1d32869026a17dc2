"""Text for a terminal: control characters escaped, and columns aligned.

Keys and values may contain any text, and a terminal obeys control sequences: they move the
cursor, set its title, or make it answer as if the user had typed. So control characters are
escaped, and so are characters that reorder or hide text. Output that is not a terminal is
never escaped.
"""

from __future__ import annotations

from unicodedata import category

# Control characters, format characters (such as those that change the direction of text), lone
# surrogates, and separators of lines and paragraphs. Not unassigned and private characters,
# which a terminal only displays.
_CONTROLS = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

# The joiners that emoji and some scripts are written with.
_JOINERS = frozenset("\u200c\u200d")


def controls(character: str) -> bool:
    """Return whether a terminal may do anything with a character but display it."""
    return (
        not character.isprintable()
        and category(character) in _CONTROLS
        and character not in _JOINERS
    )


def escaped(text: str, keep: str = "") -> str:
    r"""Return text with its control characters escaped as in Python: ``\n``, ``\x1b``.

    Parameters:
        keep: control characters that stay as they are.

    >>> escaped("caf\u00e9\t\x1b[31m"), escaped("a\tb\r\n", keep="\t\n")
    ('café\\t\\x1b[31m', 'a\tb\\r\n')
    """
    if text.isprintable():
        return text
    return "".join(repr(c)[1:-1] if controls(c) and c not in keep else c for c in text)


def escaped_json(text: str) -> str:
    r"""Return JSON of the same value with all control characters escaped.

    JSON requires that only up to U+001F.

    >>> escaped_json('"\x7f\u202e"')
    '"\\u007f\\u202e"'
    """
    if text.isprintable():
        return text
    return "".join(_json_escape(c) if controls(c) else c for c in text)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def width(text: str) -> int:
    """Return how many columns a text without control characters takes."""
    if text.isascii():
        return len(text)
    from wcwidth import wcswidth

    columns = wcswidth(text)
    return columns if columns >= 0 else len(text)


def cut(text: str, columns: int) -> str:
    """Return a text of at most so many columns, with ``…`` in place of the rest.

    Grapheme clusters are not split.

    >>> cut("日本語", 6), cut("日本語", 5), cut("日本語", 4)
    ('日本語', '日本…', '日…')
    """
    if text.isascii():
        return text if len(text) <= columns else text[: max(0, columns - 1)] + "…"[:columns]
    from wcwidth import iter_graphemes

    taken = fits = end = 0  # columns so far; where the text ends that leaves room for the "…"
    for grapheme in iter_graphemes(text):
        taken += width(grapheme)
        if taken > columns:
            return text[:fits] + "…"[:columns]
        end += len(grapheme)
        if taken < columns:
            fits = end
    return text


def padded(text: str, columns: int) -> str:
    """Return a text of at least so many columns, filled with blanks at its end."""
    return text + " " * (columns - width(text))
