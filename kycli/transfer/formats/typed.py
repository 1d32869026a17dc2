"""Values as text with the name of their type, for formats that have only text."""

from __future__ import annotations

import base64
import binascii
import math
from typing import Any

from kycli.core.history.times import parse_time
from kycli.core.values import Opaque, canonical, parse
from kycli.errors import FormatError, InputError, InvalidTimeError

TEXT = ""
"""The name of the type of text."""


def typed(value: Any) -> tuple[str, str]:
    """Return a value as text, and the name of its type."""
    kind = type(value)
    if kind is str:
        return value, TEXT
    if kind is bytes:
        return base64.b64encode(value).decode(), "bytes"
    if kind is bool:
        return ("true" if value else "false"), "bool"
    if kind is int:
        return canonical(value), "int"
    if kind is float:
        return repr(value), "float"
    if value is None:
        return "", "null"
    if kind is Opaque:
        return value.ciphertext, "opaque"
    return canonical(value), "json"


def untyped(text: str, name: str) -> Any:
    """Return the value that ``typed`` made a text from.

    Raises:
        FormatError: when there is no such type, or the text is none of it.
    """
    try:
        if name in (TEXT, "text"):
            return text
        if name == "bytes":
            return base64.b64decode(text, validate=True)
        if name == "bool":
            return {"true": True, "false": False}[text]
        if name == "int":
            return int(text)
        if name == "float":
            number = float(text)
            if math.isfinite(number) or text in ("nan", "inf", "-inf"):
                return number
        elif name == "null":
            if text == "":
                return None
        elif name == "opaque":
            return Opaque(text)
        elif name == "json":
            return parse(text)
        else:
            raise FormatError(
                f"unknown type {name!r}",
                hint="text, bytes, int, float, bool, null, json; or --value-column ignores it",
            )
    except FormatError:
        raise
    except (ValueError, KeyError, binascii.Error, InputError):
        pass
    raise FormatError(f"{text[:40]!r} is not of type {name!r}")


def expiry_time(text: str) -> float:
    """Return a time of expiry: milliseconds since the epoch; nothing for never."""
    if text == "":
        return math.inf
    if text.isascii() and text.isdigit() and len(text) < 17:
        return int(text)
    raise FormatError(
        f"{text[:40]!r} is not a time of expiry", hint="it is milliseconds since the epoch"
    )


# As seconds these are past the year 5000.
_MILLISECONDS = 100_000_000_000
_LATEST = 1 << 62


def changed_at(given: Any) -> int | None:
    """Return a time of change in milliseconds since the epoch; None and "" for none.

    It is ISO 8601, UTC when it names no zone, or seconds or milliseconds since the epoch.
    """
    if given is None or given == "":
        return None
    number: Any = given
    if type(given) is str and given.isascii() and given.isdigit() and len(given) < 19:
        number = int(given)
    if type(number) is int and _MILLISECONDS <= number < _LATEST:
        return number
    try:
        if not (type(given) is str and given.rstrip().endswith("ago")):
            return parse_time(number, _LATEST)
    except InvalidTimeError:
        pass
    raise FormatError(
        f"{str(given)[:40]!r} is not a time of change",
        hint="it is ISO 8601, or seconds or milliseconds since the epoch",
    )
