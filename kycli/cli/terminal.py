"""Text for a terminal: nothing in it controls the terminal, and columns line up.

Keys and values may hold anything, and a terminal obeys what it is sent: it moves the cursor,
sets its title, or answers as if the user had typed. So what it could act on is escaped, and
so is what changes the order of the text or hides in it. Where the output is no terminal,
nothing is escaped.
"""

from __future__ import annotations

from unicodedata import category

# Control characters, format characters (such as those that reverse the direction of text),
# halves of surrogate pairs, and the separators of lines and paragraphs. Not what Python's
# Unicode is too old to know, and not the characters of private use: they only look like
# something.
_CONTROLS = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

# The joiners that emoji and some scripts are written with.
_JOINERS = frozenset("\u200c\u200d")


def controls(character: str) -> bool:
    """Tell whether a terminal may do something else with a character than show it."""
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
    r"""Return JSON that stands for the same value, with all control characters escaped.

    JSON itself asks for that only up to U+001F.

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
    """Return a text that takes so many columns at most, with ``…`` for what was cut off.

    What belongs to one character as people see it is not torn.

    >>> cut("日本語", 6), cut("日本語", 5), cut("日本語", 4)
    ('日本語', '日本…', '日…')
    """
    if text.isascii():
        return text if len(text) <= columns else text[: max(0, columns - 1)] + "…"[:columns]
    from wcwidth import iter_graphemes

    taken = fits = end = 0  # how much is looked at; how much of it leaves room for the "…"
    for grapheme in iter_graphemes(text):
        taken += width(grapheme)
        if taken > columns:
            return text[:fits] + "…"[:columns]
        end += len(grapheme)
        if taken < columns:
            fits = end
    return text


def padded(text: str, columns: int) -> str:
    """Return a text that takes so many columns at least, with blanks behind it."""
    return text + " " * (columns - width(text))
