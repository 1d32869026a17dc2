"""The common part of all format writers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from operator import length_hint
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TypeVar

from kycli.errors import InvalidValueError

if TYPE_CHECKING:
    from kycli.core.operations.entry import Entry

PIECES = 1000
"""Records between two calls of an export's progress function."""

LARGE = 1 << 18
"""Characters of a text that is written piece by piece, so that there is no copy of all of it."""

_Item = TypeVar("_Item")


def pages(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    """Yield the items that the store reads together, which is bounded in rows and in bytes."""
    iterator = iter(items)
    for item in iterator:
        yield [item, *islice(iterator, length_hint(iterator))]


def in_pieces(text: str) -> Iterator[str]:
    return (text[at : at + LARGE] for at in range(0, len(text), LARGE))


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
    """Writes entries in one format to a stream.

    Attributes:
        lines: the format of ``Kycore.scan_lines`` that writes the same of keys with values
            that are all text, where nothing else has to be written; or None.
    """

    lines: str | None = None

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
