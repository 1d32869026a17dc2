"""Values as plain text, for formats without types."""

from __future__ import annotations

from typing import Any

from kycli.core.values import canonical
from kycli.transfer.writing import not_for


def only_text(key: str, value: Any, format: str, *, plain: bool, binary: bool) -> bytes:
    """Return a value as the bytes that an import makes the same value from.

    Parameters:
        plain: whether other types may become text.
        binary: whether the format can hold bytes that are no text.

    Raises:
        InvalidValueError: when it would come back as another value.
    """
    if type(value) is str:
        return value.encode()
    if type(value) is bytes:
        if binary and (plain or not _is_text(value)):
            return value
        if plain and _is_text(value):
            return value
        raise not_for(key, format, "has a value of bytes")
    if plain:
        return canonical(value).encode()
    kind = "None" if value is None else f"type {type(value).__name__}"
    raise not_for(key, format, f"has a value of {kind}")


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
