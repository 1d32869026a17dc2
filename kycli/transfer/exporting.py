"""Exporting a snapshot of keys to a file or a stream."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from operator import length_hint
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TypeVar

from kycli.core.codec import check_scope
from kycli.errors import UsageError
from kycli.transfer import formats
from kycli.transfer.targets import target
from kycli.transfer.writing import PIECES, Shape

if TYPE_CHECKING:
    from kycli.core.storage import Kycore

_Item = TypeVar("_Item")


class ExportOptions(NamedTuple):
    """The options of an export.

    Attributes:
        format: its name.
        scopes: whose keys; None for all scopes.
        prefix: only keys that begin with this text.
        plain: only keys and values, as text: types and times of expiry are lost.
        history, archive: also every change, and what was removed; for kycli's own format.
    """

    format: str
    scopes: tuple[str, ...] | None
    prefix: str | None = None
    plain: bool = False
    history: bool = False
    archive: bool = False


def export(
    store: Kycore,
    given: str | os.PathLike[str] | BinaryIO,
    options: ExportOptions,
    progress: Callable[[int], object] | None = None,
) -> int:
    """Write keys and values; return how many keys."""
    return export_all(store, given, options, progress)["key"]


def export_all(
    store: Kycore,
    given: str | os.PathLike[str] | BinaryIO,
    options: ExportOptions,
    progress: Callable[[int], object] | None = None,
) -> Counter[str]:
    """Write what is asked for; return how many there are of each: ``key``, ``change`` …"""
    format = formats.named(options.format, writes=True)
    if isinstance(given, (str, os.PathLike)) and _is_of(store, os.fspath(given)):
        raise UsageError(
            f"{os.fspath(given)} is the database itself", hint="choose another file to export to"
        )
    if format.name == "kycli":
        with target(given) as out:
            return _dump(store, out, options, progress)
    if options.history or options.archive:
        what = "history" if options.history else "archived values"
        raise UsageError(f"{format.name} holds no {what}", hint="use the format kycli")
    return Counter(key=_export(store, given, options, progress))


def _dump(
    store: Kycore,
    out: BinaryIO,
    options: ExportOptions,
    progress: Callable[[int], object] | None,
) -> Counter[str]:
    """Write kycli's own format, which is of records and not of entries."""
    from kycli.transfer.formats.complete import Header, write

    if options.plain:
        raise UsageError("kycli's own format is never plain", hint="use csv or jsonl")
    header = Header(
        options.history, options.archive or options.history, time.time_ns() // 1_000_000
    )
    with store.snapshot():
        records = store.dump(
            options.prefix,
            scope=options.scopes,
            all_scopes=options.scopes is None,
            history=options.history,
            archive=options.archive,
        )
        return write(out, records, header, progress or (lambda count: None))


def _export(
    store: Kycore,
    given: str | os.PathLike[str] | BinaryIO,
    options: ExportOptions,
    progress: Callable[[int], object] | None,
) -> int:
    writer_of = formats.named(options.format, writes=True).writer()
    several = options.scopes is None or len(options.scopes) > 1
    if several and (options.plain or options.format in ("nul", "dotenv")):
        raise UsageError(
            "a plain export holds one scope"
            if options.plain
            else f"{options.format} holds one scope",
            hint="export each scope, or use csv, json or jsonl",
        )
    scopes = options.scopes and tuple(dict.fromkeys(map(check_scope, options.scopes)))
    with target(given) as out, store.snapshot():
        chosen = store.scopes() if scopes is None else list(scopes)
        shape, is_text = _shape(store, chosen, options, several)
        writer = writer_of(out, shape)
        writer.begin()
        count = 0
        pure = is_text and not (shape.expiry or shape.scopes)
        for scope in chosen:
            written = None
            if pure and writer.lines is not None:
                for first, second in store.scan_lines(writer.lines, options.prefix, scope=scope):
                    if isinstance(first, str):  # a key, and its large value
                        writer.write_pairs(iter([(first, str(second))]))
                        count += 1
                    else:
                        out.write(first)
                        count += int(second)
                    if progress is not None:
                        progress(count)
                continue
            if pure:
                pairs = store.scan(options.prefix, scope=scope)
                written = writer.write_pairs(
                    pairs if progress is None else _Counted(pairs, progress, count)
                )
            if written is None:
                entries = store.entries(options.prefix, scope=scope)
                written = writer.write(
                    scope, entries if progress is None else _Counted(entries, progress, count)
                )
            count += written
        writer.end()
    return count


def _is_of(store: Kycore, path: str) -> bool:
    """Whether a path is one of the files of the store."""
    return any(
        os.path.exists(file) and os.path.exists(path) and os.path.samefile(file, path)
        for file in (store.path, f"{store.path}-wal", f"{store.path}-shm")
    )


def _shape(
    store: Kycore, scopes: list[str], options: ExportOptions, several: bool
) -> tuple[Shape, bool]:
    """Return what must be written of each key, and whether all values are text."""
    types = expiry = False
    caches = store.caches()
    for scope in scopes:
        traits = store.traits(options.prefix, scope=scope)
        types = types or traits.types - {"text"} != frozenset()
        expiry = expiry or traits.expires or bool(traits.types and scope in caches)
    if options.plain:
        return Shape(False, False, False, True), not types
    return Shape(types, expiry, several, False), not types


class _Counted(Iterator[_Item]):
    """Items that are counted as they go by."""

    def __init__(
        self, items: Iterator[_Item], progress: Callable[[int], object], before: int
    ) -> None:
        self._items = items
        self._progress = progress
        self._count = before

    def __next__(self) -> _Item:
        item = next(self._items)
        self._count += 1
        if self._count % PIECES == 0:
            self._progress(self._count)
        return item

    def __length_hint__(self) -> int:
        return length_hint(self._items)
