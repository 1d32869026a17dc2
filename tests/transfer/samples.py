"""Values of every type, and streams, for the tests of all formats."""

from __future__ import annotations

import io
from typing import Any

TYPES: dict[str, Any] = {
    "text": "some text",
    "empty": "",
    "bytes": b"\xff\x00",
    "bytes that are text": b"text",
    "int": 5,
    "large": 10**40,
    "float": 1.0,
    "zero": -0.0,
    "infinite": float("inf"),
    "true": True,
    "none": None,
    "document": {"a": {}, "b": [1, 1.0, b"x", {"$base64": 1}, None]},
    "日本": "語",
}
"""A value of each type under a key of its own."""


class Pieces(io.RawIOBase):
    """A stream that gives a few bytes at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data = data
        self._size = size

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        block, self._data = self._data[: self._size], self._data[self._size :]
        return block
