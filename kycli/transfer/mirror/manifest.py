"""The manifest of a mirror: the file of each key, and metadata that a file cannot hold.

``.kycli-mirror`` is JSONL, sorted by scope and key, so that it can be merged with the keys of a
store without being held in memory. An export writes a new manifest, ``.kycli-mirror.new``; a record
is written there before its file is changed. If the export is interrupted, both files together
describe the mirror.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, BinaryIO, NamedTuple

from kycli.core.names import check_scope
from kycli.errors import FormatError
from kycli.transfer.mirror.names import is_path_of, parts_of, plain_path

MANIFEST = ".kycli-mirror"
JOURNAL = ".kycli-mirror.new"
MERGED = ".kycli-mirror.merged"

_FORMAT = 1
_KINDS = (str, str, str, object, str, int, int, str, str)
_HEADER = f'{{"kycli_mirror":{_FORMAT}}}\n'.encode()
_HINT = "'kycli mirror export DIR' with another directory makes a new one"


class Record(NamedTuple):
    """What the mirror knows of a key.

    Attributes:
        scope, key: which key.
        type: ``"json"`` or ``"bytes"``; "" for text.
        expires_at: milliseconds since the epoch, or None.
        digest: of what the file held when it was exported.
        size, time: of the file then, in bytes and nanoseconds; size is -1 when it held
            something else.
        path: the file, below the directory of the mirror.
        former: the digest of the export before, where it is not certain which one the file is
            of.
    """

    scope: str
    key: str
    type: str
    expires_at: int | None
    digest: str
    size: int
    time: int
    path: str
    former: str = ""


class Selection(NamedTuple):
    """Which keys of a store and a mirror are meant.

    Attributes:
        scopes: their scopes; None for all.
        prefix: what they begin with.
    """

    scopes: frozenset[str] | None = None
    prefix: str = ""

    def has(self, scope: str, key: str) -> bool:
        return (self.scopes is None or scope in self.scopes) and key.startswith(self.prefix)


ALL = Selection()


def is_plain(record: Record) -> bool:
    """Whether the path is what the key alone says."""
    return record.path == plain_path(record.scope, record.key)


def line_of(record: Record) -> bytes:
    """Return a record as a line of the manifest."""
    data: dict[str, Any] = {"scope": record.scope, "key": record.key}
    if record.type:
        data["type"] = record.type
    if record.expires_at is not None:
        data["expires_at"] = record.expires_at
    data.update(digest=record.digest, size=record.size, time=record.time)
    if not is_plain(record):
        data["path"] = record.path
    if record.former:
        data["former"] = record.former
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


class Writer:
    """Writes a manifest; what was added is on its way to the file after ``flush``."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        file.write(_HEADER)
        file.flush()

    def add(self, record: Record) -> None:
        self._file.write(line_of(record))

    def flush(self) -> None:
        self._file.flush()


def read(manifest: BinaryIO | None, journal: BinaryIO | None, name: str) -> Iterator[Record]:
    """Yield the records of a mirror, in order.

    Parameters:
        manifest: of the last export that was completed, if there was one.
        journal: of one that was interrupted after it.
        name: of the manifest, for messages.

    Raises:
        FormatError: when the manifest is damaged, or not a mirror's.
    """
    before = iter(()) if manifest is None else _records(manifest, name)
    last = None
    for record in () if journal is None else _records(journal, name, may_end=True):
        if last is not None:
            yield last
        last = record
    if last is None:
        yield from before
        return
    rest = (old for old in before if (old.scope, old.key) >= (last.scope, last.key))
    after = next(rest, None)
    if after is not None and (after.scope, after.key) == (last.scope, last.key):
        former = after.former if after.digest == last.digest else after.digest
        last, after = last._replace(former=former), next(rest, None)
    yield last
    if after is not None:
        yield after
    yield from rest


def _records(file: BinaryIO, name: str, may_end: bool = False) -> Iterator[Record]:
    """Yield the records of a file; ``may_end`` allows an incomplete last line."""
    before = ("", "")
    for number, line in enumerate(file, 1):
        if may_end and line[-1:] != b"\n":
            return
        if number == 1:
            _check_header(line, name)
            continue
        record = _record(line)
        if record is None or (record.scope, record.key) <= before:
            raise FormatError(f"{name}, line {number}: the manifest is damaged", hint=_HINT)
        before = record.scope, record.key
        yield record


def _check_header(line: bytes, name: str) -> None:
    try:
        format = json.loads(line)["kycli_mirror"]
    except (ValueError, TypeError, KeyError):
        raise FormatError(f"{name} is not the manifest of a mirror", hint=_HINT) from None
    if format != _FORMAT:
        raise FormatError(
            f"{name}: this mirror was written by a newer kycli (format {format})",
            hint="upgrade: pip install --upgrade kycli",
        )


def _record(line: bytes) -> Record | None:
    """Return the record of a line; None when it is none."""
    try:
        data = json.loads(line.decode())
        scope, key = data["scope"], data["key"]
        if not _is_scope(scope) or not key:
            return None
        record = Record(
            *(scope, key, data.get("type", ""), data.get("expires_at"), data["digest"]),
            *(data["size"], data["time"], data.get("path") or plain_path(scope, key)),
            data.get("former", ""),
        )
        for value, kind in zip(record, _KINDS, strict=True):
            if not isinstance(value, kind):
                return None
        if "path" in data and not is_path_of(record.path, parts_of(scope, key)):
            return None
        expires_at = record.expires_at
        if expires_at is not None and (type(expires_at) is not int or expires_at < 0):
            return None
        return record if record.type in ("", "json", "bytes") else None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


@lru_cache
def _is_scope(text: str) -> bool:
    return check_scope(text) == text


def merged(
    records: Iterable[Record], items: Iterable[tuple[str, str, Any]]
) -> Iterator[tuple[Record | None, tuple[str, str, Any] | None]]:
    """Pair the records of a mirror with items ``(scope, key, …)``; both are in order."""
    olds, news = iter(records), iter(items)
    old, new = next(olds, None), next(news, None)
    while old is not None or new is not None:
        if new is None or (old is not None and (old.scope, old.key) < new[:2]):
            yield old, None
            old = next(olds, None)
        elif old is None or new[:2] < (old.scope, old.key):
            yield None, new
            new = next(news, None)
        else:
            yield old, new
            old, new = next(olds, None), next(news, None)
