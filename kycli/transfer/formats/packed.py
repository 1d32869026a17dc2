"""CSV and TSV of two columns, parsed by the engine, which does not decode the bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO

from kycli.core.storage import Pack, Packs
from kycli.transfer.formats.text_lines import codec_of


def can_pack(encoding: str | None, delimiter: str, quote: str) -> bool:
    """Whether the engine can split a table with these options."""
    return (
        codec_of(encoding) in ("utf-8", "utf-8-sig")
        and delimiter.isascii()
        and quote.isascii()
        and delimiter != quote
        and "\0" not in (delimiter, quote)
    )


class PackedRows:
    """The rows of a table, as packs, up to the first record that needs a closer look.

    Attributes:
        line: the line in which the current record begins.
        rest: the lines from that record on, when the iterator has ended.
    """

    def __init__(self, stream: BinaryIO, packs: Packs, line: int) -> None:
        self._stream = stream
        self._packs = packs
        self._first = line
        self._pack: Pack | None = None

    @property
    def line(self) -> int:
        return self._first + (self._pack.line if self._pack is not None else 0)

    @property
    def rest(self) -> Iterator[bytes]:
        *whole, last = io.BytesIO(self._packs.rest).readlines() or [b""]
        # The last one may be large, so nothing else keeps it.
        return chain(whole, map(self._completed, (last,)), self._stream)

    def _completed(self, line: bytes) -> bytes:
        return line if line.endswith(b"\n") else line + self._stream.readline()

    def __iter__(self) -> Iterator[Pack]:
        for pack in self._packs:
            self._pack = pack
            yield pack
            self._pack = None
            self._first += pack.lines
