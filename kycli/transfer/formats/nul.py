"""Keys and values that end with a NUL each: ``key\\0value\\0``.

For ``find -print0``, ``xargs -0`` and the like. A value that is not UTF-8 is read as bytes. The
format cannot represent a value that contains a NUL.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from kycli.errors import FormatError, UsageError
from kycli.transfer.formats.plain_text import only_text
from kycli.transfer.reading import Reader, Row
from kycli.transfer.sources import BLOCK
from kycli.transfer.writing import Writer, not_for

if TYPE_CHECKING:
    from kycli.core.operations.entry import Entry


class NulReader(Reader):
    """Reads pairs of fields that end with a NUL."""

    unit = "record"

    def rows(self) -> Iterator[Row]:
        if self.options.names_columns or self.options.time_column:
            raise UsageError("a file of NUL-separated pairs has no columns")
        fields = self._fields()
        for key in fields:
            self.line += 1
            self.record = key
            value = next(fields, None)
            if value is None:
                raise FormatError("a key without a value, at the end of the file")
            # A large value is not kept twice, unless it may be rejected.
            self.record = (key, value) if self.keep_text else None
            try:
                row = key.decode(), _text_or_bytes(value)
            except UnicodeDecodeError:
                self.refuse(FormatError("the key is not UTF-8"))
            else:
                value = None
                yield row

    def _fields(self) -> Iterator[bytes]:
        pending: list[bytes] = []
        while block := self.stream.read(BLOCK):
            first, *others = block.split(b"\0")
            pending.append(first)
            if others:
                # A large value is not kept here while it is saved.
                whole, pending = [b"".join(pending)], [others.pop()]
                yield whole.pop()
                yield from others
        if rest := b"".join(pending):
            self.line += 1
            raise FormatError(f"{rest[:40]!r} is not followed by a NUL, at the end of the file")

    def rejected(self, record: Any, line: int, reason: str, is_first: bool) -> bytes:
        # The format has no place for the reason.
        key, value = record
        return key + b"\0" + value + b"\0"  # type: ignore[no-any-return]


def _text_or_bytes(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


class NulWriter(Writer):
    """Writes pairs of fields that end with a NUL."""

    def write(self, scope: str, entries: Iterable[Entry]) -> int:
        count = 0
        for entry in entries:
            plain = self.shape.plain
            if entry.expires_at is not None and not plain:
                raise not_for(entry.key, "nul", "expires")
            value = only_text(entry.key, entry.value, "nul", plain=plain, binary=True)
            if b"\0" in value:
                raise not_for(entry.key, "nul", "has a value with a NUL")
            self.out.write(entry.key.encode() + b"\0")
            self.out.write(value)
            self.out.write(b"\0")
            count += 1
        return count


READERS = {"nul": NulReader}
WRITERS = {"nul": NulWriter}
