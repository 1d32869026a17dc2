"""Numbers as people write them."""

from __future__ import annotations

from kycli.errors import InvalidValueError


def parse_number(text: str) -> int | float | None:
    """Return the number that a text represents, as an int if possible; None if it is not one.

    Stricter than ``int`` and ``float``, which also take blanks, ``1_000``, ``nan`` and the
    digits of other scripts.

    Raises:
        InvalidValueError: when it has more digits than Python reads.

    >>> parse_number("007"), parse_number("-1e3"), parse_number("five")
    (7, -1000.0, None)
    """
    if not text or not all(c in "0123456789.eE+-" for c in text):
        return None
    digits = text[1:] if text[0] in "+-" else text
    try:
        return int(text) if digits.isdigit() else float(text)
    except ValueError:
        if digits.isdigit():
            raise InvalidValueError(
                f"a number of {len(digits)} digits is too long to be read"
            ) from None
        return None
