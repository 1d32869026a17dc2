"""kycli's own format: everything in some scopes, optionally with history and archive.

docs/export-format.md describes it for programs in other languages. Each line is a JSON object.
The first is the header. The last has the number of records and the SHA-256 of all lines before it,
so that a truncated or damaged file is refused. In between is a line for each record of
``kycli.core.dump``, with the same members; members that are None are left out.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple, get_args

from kycli.core.dump.records import MISSING, ArchivedRecord, KeyRecord, Record, ScopeRecord
from kycli.core.durations import shown
from kycli.core.layout import SCHEMAS
from kycli.core.values import canonical, dumps, parse
from kycli.errors import FormatError, InputError
from kycli.transfer.formats.records import encoded_json, reject
from kycli.transfer.reading import Reader, Row
from kycli.transfer.writing import PIECES

VERSION = 1
"""The version of the format that is written, and the newest that is read."""

_KINDS: dict[type, str] = {
    kind: kind.__name__.removesuffix("Record").lower() for kind in get_args(Record)
}
_CLASSES: dict[str, Any] = {name: kind for kind, name in _KINDS.items()}


class Header(NamedTuple):
    """What a file begins with.

    Attributes:
        history, archive: whether it has these.
        exported_at: when it was written, in milliseconds since the epoch.
    """

    history: bool
    archive: bool
    exported_at: int


# ---------------------------------------------------------------- writing


def write(
    out: BinaryIO, records: Iterable[Record], header: Header, progress: Callable[[int], object]
) -> Counter[str]:
    """Write a file; return how many records of each kind, and as ``schema`` those of schemas."""
    digest = hashlib.sha256()
    counts: Counter[str] = Counter()
    of_schemas: Counter[str] = Counter()
    lines = [_header_line(header)]

    def put() -> None:
        data = "".join(lines).encode(errors="backslashreplace")
        digest.update(data)
        out.write(data)
        lines.clear()

    size = 0
    for written, record in enumerate(records, 1):
        kind = _KINDS[type(record)]
        line = _line(kind, record)
        lines.append(line)
        counts[kind] += 1
        if isinstance(record, (KeyRecord, ArchivedRecord)) and record.scope == SCHEMAS:
            of_schemas[kind] += 1
        size += len(line)
        if len(lines) >= PIECES or size > 1 << 20:
            put()
            size = 0
            progress(written)
    put()
    end = {"record": "end", "records": dict(sorted(counts.items())), "sha256": digest.hexdigest()}
    out.write(f"{_json(end)}\n".encode())
    counts.subtract(of_schemas)
    counts["schema"] = of_schemas["key"]
    return counts


def _header_line(header: Header) -> str:
    return _json({"kycli": "export", "version": VERSION, **header._asdict()}) + "\n"


def _line(kind: str, record: Record) -> str:
    defaults: dict[str, Any] = record._field_defaults
    members: dict[str, Any] = {"record": kind}
    value: Any = MISSING
    for name, member in zip(record._fields, record, strict=True):
        if name == "value":
            value = member
        elif member is not None or name not in defaults:
            members[name] = member
    text = _json(members)
    # The value by itself, as it may be nested as deeply as a value may.
    return f"{text}\n" if value is MISSING else f'{text[:-1]},"value":{_json(value)}}}\n'


def _json(value: Any) -> str:
    return dumps(value)


# ---------------------------------------------------------------- reading


class Lines:
    """The records of a file, checked line by line.

    Attributes:
        line: the number of the line that was read last.
        header: what the file begins with, once ``begin`` has read it.
        counts: how many records of each kind were read.
        ended: whether the last line was read.
        complete: whether that was the end, and a right one.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self._last = b""
        self.line = 0
        self.ended = self.complete = False
        self.counts: Counter[str] = Counter()
        self.header = Header(False, False, 0)

    def begin(self) -> Header:
        """Read the header.

        Raises:
            FormatError: when it is none, or one of a newer kycli.
        """
        text = self._next()
        data = _object(text) if text is not None and text.startswith(b"{") else {}
        if data.get("kycli") != "export":
            raise FormatError("this is no export of kycli", hint="--format names another format")
        version = data.get("version")
        if type(version) is not int or version < 1:
            raise FormatError("the header does not say which version of the format this is")
        if version > VERSION:
            raise FormatError(
                f"a newer kycli wrote this, in version {version} of the format",
                hint="upgrade kycli",
            )
        history, archive, when = (data.get(name) for name in Header._fields)
        unknown = data.keys() - {"kycli", "version", *Header._fields}
        if unknown or (type(history), type(archive), type(when)) != (bool, bool, int):
            raise FormatError("the header is damaged")
        self.header = Header(bool(history), bool(archive), int(when or 0))
        return self.header

    def records(self) -> Iterator[Record]:
        """Yield the records, and check the end; raises as ``read``."""
        while (record := self.read()) is not None:
            yield record

    def read(self) -> Record | None:
        """Return the next record; None at the end, which is checked.

        Raises:
            FormatError: when the next line is no record, or the file is not complete. The line
                after it can be read then, unless that was the last.
        """
        if self.ended:
            return None
        text = self._next()
        self.ended = text is None or not text.endswith(b"\n")
        data = {} if text is None else _object(text)
        kind = data.pop("record", None)
        if kind == "end":
            self.ended = True
            self._check_end(data)
            return None
        if self.ended:
            raise _cut()
        record: Any = _CLASSES.get(kind) if type(kind) is str else None
        if record is None:
            raise FormatError(f"there is no record of kind {shown(kind)}", hint="upgrade kycli")
        missing = set(record._fields) - data.keys() - record._field_defaults.keys()
        unknown = data.keys() - set(record._fields)
        if missing or unknown:
            what = f"lacks {min(missing)!r}" if missing else f"has no member {min(unknown)!r}"
            raise FormatError(f"a record of kind {kind!r} {what}")
        self.counts[str(kind)] += 1
        found: Record = record(**data)
        return found

    @property
    def text(self) -> str:
        """The line that was read last."""
        return self._last.decode(errors="backslashreplace").rstrip("\n")

    def _next(self) -> bytes | None:
        """Return the next line; the digest is of those before it."""
        self._digest.update(self._last)
        self._last = self._stream.readline()
        self.line += 1
        return self._last or None

    def _check_end(self, data: dict[str, Any]) -> None:
        if data.keys() != {"records", "sha256"}:
            raise FormatError("the last line is damaged")
        if data["sha256"] != self._digest.hexdigest():
            raise FormatError(
                "the file was changed or damaged: its lines have another SHA-256 than its end says",
                hint="--values-only --on-error skip reads what can be read",
            )
        if data["records"] != self.counts:
            raise FormatError("the file has other records than its end says")
        if self._stream.read(1):
            raise FormatError("something follows behind the end of the export")
        self.complete = True


def _object(text: bytes) -> dict[str, Any]:
    """Return the object that a line is."""
    try:
        data = parse(text)
    except InputError as error:
        if not text.endswith(b"\n"):
            raise _cut() from None
        raise FormatError(str(error).replace("at line 1, column", "at column")) from None
    if type(data) is not dict:
        raise FormatError("a line is no object")
    return data


def _cut() -> FormatError:
    return FormatError("the file ends too early", hint="it is not complete: export it again")


class CompleteReader(Reader):
    """Reads the keys alone, as rows; rejected ones are written as JSONL."""

    def rows(self) -> Iterator[Row]:
        lines = Lines(self.stream)
        lines.begin()
        caches = set()
        while True:
            record = None
            try:
                record = lines.read()
            except FormatError as error:
                self.line, self.record = lines.line, lines.text
                self.refuse(error)
                continue
            self.line = lines.line
            if record is None:
                return
            if type(record) is ScopeRecord:
                if type(record.declared) is dict and record.declared.get("cache_ms"):
                    caches.add(str(record.scope))
            elif type(record) is KeyRecord and record.scope != SCHEMAS:
                scope, key, value, _, time, expires_at, _ = record
                self.record = {"key": key, "value": value, "scope": scope}
                if expires_at is not None or scope in caches:
                    self.record["expires_at"] = expires_at
                never = math.inf if scope in caches else None
                yield key, value, scope, never if expires_at is None else expires_at, time

    def rejected(self, record: Any, line: int, reason: str, is_first: bool) -> bytes:
        is_text = type(record) is str
        data = None if is_text else json.loads(canonical(record))
        text = f"{reject(data, record if is_text else '', line, reason)}\n"
        return encoded_json(text, None, is_start=True)


READERS = {"kycli": CompleteReader}
