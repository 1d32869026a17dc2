"""Reading the pages of a database without SQLite, which stops at a damaged page.

A page is taken from the ``-wal`` if that has a newer version. Its content is used only as far as
it obeys SQLite's "Database File Format".
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from kycli.core.layout import PAGE_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MAGIC = b"SQLite format 3\0"
_HEADER = 100
INTERIOR_INDEX, INTERIOR_TABLE, LEAF_INDEX, LEAF_TABLE = 2, 5, 10, 13
_KINDS = frozenset((INTERIOR_INDEX, INTERIOR_TABLE, LEAF_INDEX, LEAF_TABLE))
_SIZES = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)  # of the values of the serial types below 10
_LONGEST = 1 << 31

_WAL_HEADER, _FRAME_HEADER = 32, 24
_WAL_MAGIC = 0x377F0682  # and 1 where checksums are big-endian


class Unreadable:
    """Placeholder for an unreadable value of a row."""


UNREADABLE = Unreadable()


class DamagedError(Exception):
    """A page is not what it should be."""


class Row(NamedTuple):
    """A row as it is in a page.

    Attributes:
        id: the rowid; None in an index, and in a table without rowids.
        values: with ``UNREADABLE`` for what is not there any more.
    """

    id: int | None
    values: list[Any]


class Page(NamedTuple):
    """A page of a tree.

    Attributes:
        kind: what kind.
        rows: in it.
        children: the numbers of the pages below.
        is_whole: whether all its rows can be read.
    """

    kind: int
    rows: list[Row]
    children: list[int]
    is_whole: bool


class Pages:
    """The pages of a file.

    Parameters:
        read: gives so many bytes from an offset of the file, or fewer at its end.
        size: of the file.
        wal: the path of its ``-wal``, which need not exist.
    """

    def __init__(self, read: Callable[[int, int], bytes], size: int, wal: str) -> None:
        self._read = read
        header = read(_HEADER, 0)
        self.has_header = header.startswith(_MAGIC)
        page_size = int.from_bytes(header[16:18], "big") if self.has_header else 0
        page_size = 65536 if page_size == 1 else page_size
        if page_size < 512 or page_size & (page_size - 1):
            page_size = PAGE_SIZE
        self.page_size = page_size
        reserved = header[20] if self.has_header and len(header) == _HEADER else 0
        self._usable = page_size - (reserved if reserved <= 32 else 0)
        self._newer: dict[int, int] = {}
        self._wal = b""
        self._read_wal(wal)
        self.count = max(-(-size // page_size), max(self._newer, default=0))

    def header(self) -> bytes:
        """Return the header of the file as it is now."""
        data = self.data(1)
        return data[:_HEADER] if data is not None else b""

    def data(self, number: int) -> bytes | None:
        """Return a page, or None when it is not there as a whole."""
        if not 0 < number <= self.count:
            return None
        if number in self._newer:
            at = self._newer[number]
            return self._wal[at : at + self.page_size]
        try:
            found = self._read(self.page_size, (number - 1) * self.page_size)
        except Exception:  # a bad sector
            return None
        return found if len(found) == self.page_size else None

    def page(self, number: int) -> Page:
        """Return a page of a tree.

        Raises:
            DamagedError: when it is none.
        """
        data = self.data(number)
        if data is None:
            raise DamagedError
        start = _HEADER if number == 1 else 0
        kind = data[start]
        if kind not in _KINDS:
            raise DamagedError
        count = int.from_bytes(data[start + 3 : start + 5], "big")
        is_interior = kind in (INTERIOR_INDEX, INTERIOR_TABLE)
        first = start + (12 if is_interior else 8)
        if first + 2 * count > self._usable or (is_interior and not count):
            raise DamagedError
        rows: list[Row] = []
        children: list[int] = []
        is_whole = True
        for offset in range(first, first + 2 * count, 2):
            at = int.from_bytes(data[offset : offset + 2], "big")
            try:
                if at < first + 2 * count or at >= self._usable:
                    raise DamagedError
                if is_interior:
                    children.append(int.from_bytes(data[at : at + 4], "big"))
                    at += 4
                if kind != INTERIOR_TABLE:
                    rows.append(self._row(data, at, kind))
            except (DamagedError, IndexError, ValueError, struct.error):
                is_whole = False
        if is_interior:
            children.append(int.from_bytes(data[start + 8 : start + 12], "big"))
        return Page(kind, rows, children, is_whole)

    def free(self) -> set[int]:
        """Return the pages that are noted as free, as far as that can be read."""
        header = self.header()
        if not header.startswith(_MAGIC):
            return set()
        found: set[int] = set()
        trunk = int.from_bytes(header[32:36], "big")
        while trunk and trunk not in found:
            data = self.data(trunk)
            if data is None:
                break
            found.add(trunk)
            count = min(int.from_bytes(data[4:8], "big"), self._usable // 4 - 2)
            found.update(struct.unpack_from(f">{count}I", data, 8))
            trunk = int.from_bytes(data[:4], "big")
        return found

    # -- rows

    def _row(self, data: bytes, at: int, kind: int) -> Row:
        size, at = _varint(data, at)
        id = None
        if kind == LEAF_TABLE:
            id, at = _varint(data, at)
        if not 0 < size < _LONGEST:
            raise DamagedError
        usable = self._usable
        most = usable - 35 if kind == LEAF_TABLE else (usable - 12) * 64 // 255 - 23
        local = size
        if size > most:
            least = (usable - 12) * 32 // 255 - 23
            local = least + (size - least) % (usable - 4)
            if local > most:
                local = least
        if at + local > usable:
            raise DamagedError
        payload = data[at : at + local]
        if local < size:
            payload += self._overflow(int.from_bytes(data[at + local : at + local + 4], "big"),
                                      size - local)  # fmt: skip
        return Row(id, _record(payload, size))

    def _overflow(self, number: int, size: int) -> bytes:
        """Return what is in a chain of pages, as far as it can be read."""
        parts = []
        seen: set[int] = set()
        while size > 0 and number not in seen:
            data = self.data(number)
            if data is None:
                break
            seen.add(number)
            parts.append(data[4 : min(self._usable, 4 + size)])
            size -= len(parts[-1])
            number = int.from_bytes(data[:4], "big")
            if (number == 0) != (size == 0):
                # A page of something else: what it gave is no part of this.
                parts.pop()
                break
        return b"".join(parts)

    # -- the log beside the file

    def _read_wal(self, path: str) -> None:
        """Find the newest committed pages in a ``-wal``, as far as it is sound."""
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError:
            return
        if len(data) < _WAL_HEADER:
            return
        magic, _, page_size, _, salt_1, salt_2, *wanted = struct.unpack_from(">8I", data)
        if magic & ~1 != _WAL_MAGIC or page_size != self.page_size:
            return
        order = ">" if magic & 1 else "<"
        sums = _checksum(data[:24], order, (0, 0))
        if list(sums) != wanted:
            return
        self._wal = data
        pending: dict[int, int] = {}
        step = _FRAME_HEADER + page_size
        for at in range(_WAL_HEADER, len(data) - step + 1, step):
            number, committed, *salts, sum_1, sum_2 = struct.unpack_from(">6I", data, at)
            if salts != [salt_1, salt_2] or not number:
                return
            sums = _checksum(data[at : at + 8], order, sums)
            sums = _checksum(data[at + _FRAME_HEADER : at + step], order, sums)
            if sums != (sum_1, sum_2):
                return
            pending[number] = at + _FRAME_HEADER
            if committed:
                self._newer.update(pending)
                pending = {}


def _checksum(data: bytes, order: str, start: tuple[int, int]) -> tuple[int, int]:
    one, two = start
    words: Iterator[int] = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for word in words:
        one = (one + word + two) & 0xFFFFFFFF
        two = (two + next(words) + one) & 0xFFFFFFFF
    return one, two


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of 1 to 9 bytes, and where it ends."""
    value = 0
    for count in range(8):
        byte = data[at + count]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + count + 1
    value = value << 8 | data[at + 8]
    return value - (1 << 64) if value >> 63 else value, at + 9


def _record(payload: bytes, size: int) -> list[Any]:
    """Return the values of a record; of a part, what is whole in it."""
    header_size, at = _varint(payload, 0)
    if not at <= header_size <= min(size, len(payload)):
        raise DamagedError
    types = []
    while at < header_size:
        serial, at = _varint(payload, at)
        types.append(serial)
    if at != header_size:
        raise DamagedError
    values: list[Any] = []
    for serial in types:
        if serial < 0 or serial in (10, 11):
            raise DamagedError
        length = (serial - 12) // 2 if serial >= 12 else _SIZES[serial]
        values.append(
            _value(serial, payload[at : at + length]) if at + length <= len(payload) else UNREADABLE
        )
        at += length
    if at != size:
        raise DamagedError
    return values


def _value(serial: int, data: bytes) -> Any:
    if serial == 0:
        return None
    if serial in (8, 9):
        return serial - 8
    if serial == 7:
        (number,) = struct.unpack(">d", data)
        return number
    if serial < 7:
        return int.from_bytes(data, "big", signed=True)
    if serial % 2 == 0:
        return data
    try:
        return data.decode()
    except UnicodeDecodeError:
        return UNREADABLE
