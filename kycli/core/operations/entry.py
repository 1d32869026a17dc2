"""What is known of one key."""

from __future__ import annotations

from typing import Any, NamedTuple


class Entry(NamedTuple):
    """One key with its value and what the store knows of it.

    Attributes:
        key: the key.
        value: the value, with its type.
        version: how often the value has changed, from 1; for ``save(if_version=…)``.
        expires_at: milliseconds since the epoch, or None when it does not expire.
        updated_at: time of the last change, milliseconds since the epoch.
    """

    key: str
    value: Any
    version: int
    expires_at: int | None
    updated_at: int
