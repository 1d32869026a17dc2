"""Durations: parsing a TTL."""

from __future__ import annotations

from kycli.errors import InvalidTTLError

_SECOND = 1000
UNITS = {
    "s": _SECOND,
    "m": 60 * _SECOND,
    "h": 3600 * _SECOND,
    "d": 86_400 * _SECOND,
    "w": 7 * 86_400 * _SECOND,
    "M": 30 * 86_400 * _SECOND,
    "y": 365 * 86_400 * _SECOND,
}
"""Milliseconds in each unit; a month counts as 30 days and a year as 365."""

MAX_TTL_MS = 10_000 * UNITS["y"]

_HINT = "a TTL is a positive number of seconds, or one with a unit: 30s 5m 2h 1d 1w 1M 1y"


def parse_ttl(ttl: float | str) -> int:
    """Return a time to live in whole milliseconds, at least 1.

    Parameters:
        ttl: seconds as a number or text, or text with a unit
            (``30s 5m 2h 1d 1w 1M 1y``); fractions are allowed.

    Raises:
        InvalidTTLError: when it is not a number, not positive, or over 10,000 years.

    >>> parse_ttl("1.5m"), parse_ttl(0.25)
    (90000, 250)
    """
    factor = _SECOND
    number: float
    if isinstance(ttl, str):
        text = ttl = str.__str__(ttl)  # an exact str, also for a StrEnum member
        if text[-1:] in UNITS:
            factor = UNITS[text[-1]]
            text = text[:-1]
        # float() also accepts 'nan', '1_000', spaces and digits of other scripts.
        if not text or not all(c in "0123456789.eE+-" for c in text):
            raise InvalidTTLError(f"{shown(ttl)} is not a length of time", hint=_HINT)
        try:
            number = float(text)
        except ValueError:
            raise InvalidTTLError(f"{shown(ttl)} is not a length of time", hint=_HINT) from None
    elif isinstance(ttl, bool) or not isinstance(ttl, (int, float)):
        raise InvalidTTLError(f"a TTL is a number or text, not {type(ttl).__name__}", hint=_HINT)
    else:
        number = ttl
    # 'not >' also refuses NaN.
    if not number > 0:
        raise InvalidTTLError(f"a TTL must be more than zero, not {shown(ttl)}", hint=_HINT)
    if number > MAX_TTL_MS / factor:
        raise InvalidTTLError(f"a TTL of {shown(ttl)} is over 10,000 years", hint=_HINT)
    return max(1, round(number * factor))


def shown(given: object) -> str:
    """Return a given value for an error message, shortened."""
    try:
        text = repr(given)
    except ValueError:  # an int with more digits than Python prints
        return "a number of so many digits"
    return text if len(text) <= 40 else f"{text[:40]}…"


def listed(keys: list[str]) -> str:
    """Return the first keys of a list, and how many more there are, for a message."""
    more = f" and {len(keys) - 3:,} more" if len(keys) > 3 else ""
    return ", ".join(map(repr, keys[:3])) + more
