"""What all writers of formats share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from kycli.errors import InvalidValueError

if TYPE_CHECKING:
    from kycli.core.operations.entry import Entry

PIECES = 1000
"""Records that are written together."""


class Shape(NamedTuple):
    """What must be written of each key so that it can be read back as it is.

    Attributes:
        types: whether some value is no text.
        expiry: whether it must be said of each key when it expires, or that it never does:
            where some key expires, and in caches.
        scopes: whether the keys are of several scopes.
        plain: whether only key and value are asked for, as text.
    """

    types: bool
    expiry: bool
    scopes: bool
    plain: bool


class Writer:
    """Writes entries in one format to a stream."""

    def __init__(self, out: BinaryIO, shape: Shape) -> None:
        self.out = out
        self.shape = shape

    def begin(self) -> None:
        """Write what comes before the first entry."""

    def write(self, scope: str, entries: Iterable[Entry]) -> int:
        """Write the entries of one scope; return how many."""
        raise NotImplementedError

    def write_pairs(self, pairs: Iterable[tuple[str, str]]) -> int | None:
        """Write keys with values that are all text, in a format that needs nothing else.

        Returns None, having written nothing, where ``write`` must be used.
        """
        return None

    def end(self) -> None:
        """Write what comes after the last entry."""


def not_for(key: str, format: str, what: str) -> InvalidValueError:
    """Return the error for a key or value that a format has no way to say."""
    return InvalidValueError(
        f"the key {key!r} {what}, which {format} cannot hold",
        hint="export it as jsonl or csv; --plain writes every value as text",
    )
