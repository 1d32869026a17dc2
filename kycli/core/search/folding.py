"""Folding text for the search index: remove case and accents, separate words in any script.

SQLite's tokenizer ``unicode61`` finds words between blanks, and folds letters one by one.
Texts and queries are prepared for it:

- accents, case and compatibility forms are folded by Unicode's own tables ("Straße" is
  found by "strasse", "Łódź" by "lodz", full-width by plain letters);
- scripts that are written without blanks (Chinese, Japanese, Thai, Lao, Khmer, Burmese,
  …) and Korean, whose words grow by suffixes, become words of one character each, so
  that any part of them is found, as a phrase;
- each emoji is a word.

Every character is folded by itself, so each position in the folded text has one in the text.
ASCII text is left as it is, and costs nothing.
"""

from __future__ import annotations

import unicodedata

from kycli.core.search.characters import Characters

# First and last code point of scripts that are taken apart.
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x0FFF),  # Tibetan
    (0x1000, 0x109F),  # Burmese
    (0x1100, 0x11FF),  # Hangul, in parts
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19DF),  # Tai Le, New Tai Lue
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x2E80, 0x2FDF),  # radicals
    (0x3005, 0x3007),
    (0x3021, 0x3029),
    (0x3031, 0x3035),
    (0x3038, 0x303C),
    (0x3041, 0x31FF),  # Hiragana, Katakana, Bopomofo, Hangul
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xA000, 0xA4CF),  # Yi
    (0xA960, 0xA97F),
    (0xA980, 0xA9FF),  # Javanese, Burmese
    (0xAA60, 0xAADF),  # Burmese, Tai Viet
    (0xAC00, 0xD7FF),  # Hangul
    (0xF900, 0xFAFF),
    (0x17000, 0x18DFF),  # Tangut, Khitan
    (0x1AFF0, 0x1B2FF),
    (0x20000, 0x3FFFF),
)

# Letters that are no other letter with an accent to Unicode, and are to people.
_PLAIN = {
    **dict(zip("øđðłħŧŀıςƒɨʉ", "oddlhtliσfiu", strict=True)),
    "æ": "ae",
    "œ": "oe",
    "þ": "th",
}


class _Folding(dict[int, str]):
    """Code point -> what becomes of it; worked out when first met."""

    def __missing__(self, code: int) -> str:
        folded = self[code] = _fold(chr(code))
        return folded


def _fold(char: str) -> str:
    """Return the folded form of a character; "" for a combining mark."""
    category = unicodedata.category(char)
    if category == "Cs":
        return " "
    if category == "Cf":
        # Joiners and soft hyphens are inside of words, a blank of no width between them.
        return " " if char == "\u200b" else ""
    if char.isascii():
        return char if char.isprintable() else " "
    if _adorns(char, category):
        return ""
    parts = "".join(
        part
        for part in unicodedata.normalize("NFKD", char.casefold())
        if not _adorns(part, unicodedata.category(part))
    )
    folded = unicodedata.normalize("NFC", "".join(_PLAIN.get(part, part) for part in parts))
    folded = "".join(part if is_word_character(part) else " " for part in folded)
    code = ord(char)
    if category == "So" or any(first <= code <= last for first, last in _UNSPACED):
        return "".join(f" {part} " for part in folded)
    return folded


def is_word_character(char: str) -> bool:
    """Whether a folded character is part of a word, and not between words.

    Just as layout.TOKENIZER has it, whose tables are older: what it does not know it takes
    for a letter, and so it must not get to see signs that are new.
    """
    category = unicodedata.category(char)
    return category[0] in "LMN" or (category in ("So", "Co", "Cn") and char != "\u166d")


def _adorns(char: str, category: str) -> bool:
    """Whether a character is an accent, a vowel point or the colour of an emoji."""
    if category[0] == "M":
        # Classes below 10 and those of one script (84 to 132) are part of the spelling.
        combining = unicodedata.combining(char)
        variant = "\ufe00" <= char <= "\ufe0f" or char >= "\U000e0000"
        return variant or 10 <= combining <= 36 or combining >= 200
    return category == "Sk" and char >= "\U0001f3fb"


_FOLDING = Characters(_Folding())


def fold(text: str) -> str:
    """Return a text as the index takes it: words between blanks.

    >>> fold("Crème brûlée"), fold("東京").split()
    ('creme brulee', ['東', '京'])
    """
    if text.isascii():
        return text
    if not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
    return _FOLDING.replaced(text)


def words(text: str) -> list[str]:
    """Return the words that the index finds in a text.

    >>> words("user.name, 東京")
    ['user', 'name', '東', '京']
    """
    folded = fold(text)
    return "".join(char if is_word_character(char) else " " for char in folded).split()
