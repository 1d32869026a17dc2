"""Importing a mirror: its files become keys."""

from __future__ import annotations

import os
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, NamedTuple
from unicodedata import normalize

from kycli.core.names import check_scope
from kycli.core.operations.importing import NOTHING, Imported
from kycli.errors import (
    ConflictError,
    FormatError,
    InputError,
    InvalidValueError,
    UsageError,
    WrongTypeError,
)
from kycli.transfer.mirror.manifest import ALL, Record, Selection
from kycli.transfer.mirror.names import key_of, plain_path, text_of
from kycli.transfer.mirror.tree import Tree, digest_of
from kycli.transfer.mirror.values import value_of
from kycli.transfer.sources import in_utf8

if TYPE_CHECKING:
    from kycli.core.storage import Kycore

_LARGEST = 1_000_000_000
_TOGETHER = 1000
_ROW_ERRORS = (InputError, WrongTypeError, ConflictError)


class MirrorImported(NamedTuple):
    """What an import of a mirror did.

    Attributes:
        rows: what became of the files that were read.
        deleted: keys whose file is gone, and that were deleted.
        missing: files that are gone, and whose keys were left alone.
    """

    rows: Imported
    deleted: int
    missing: int


class _RollBack(Exception):
    """Ends a dry run."""


class MirrorImport:
    """One import of a mirror: all of it or nothing, as one change of the history.

    Parameters:
        path: the directory.
        selection: which keys. Other files are not read.
        on_conflict: what happens to a key that exists, as for ``Kycore.import_rows``;
            ``"newer"`` compares it with the time of the file.
        delete: whether keys are deleted whose file the mirror wrote, and that is gone.
        strip_newline: whether a newline at the end of an edited or a new file of text, as most
            editors put it there, is no part of the value.
        dry_run: whether all is rolled back in the end.
        progress: called with how many files were read.

    Attributes:
        ignored: how many files are not where a key's file is, and the first of them.
        is_complete: whether the last export was not interrupted.
    """

    def __init__(
        self,
        store: Kycore,
        path: str | os.PathLike[str],
        selection: Selection = ALL,
        *,
        on_conflict: str = "overwrite",
        delete: bool = False,
        strip_newline: bool = False,
        dry_run: bool = False,
        progress: Callable[[int], object] | None = None,
    ) -> None:
        self.ignored: tuple[int, str] = (0, "")
        self.is_complete = True
        self._store = store
        self._path = os.fspath(path)
        self._selection = selection
        self._on_conflict = on_conflict
        self._delete = delete
        self._strip = strip_newline
        self._dry_run = dry_run
        self._progress = progress
        self._missing = 0
        self._file = ""  # that is read
        self._new_keys: set[int] = set()

    def run(self) -> MirrorImported:
        """Import.

        Raises:
            UsageError: when the directory is not a mirror, or ``delete`` was asked for and the
                last export to it was interrupted.
            FormatError: when a file cannot be read as its key's value, or its name is no key's.
            As ``Kycore.import_rows``, naming the file.
        """
        with closing(Tree(self._path)) as tree:
            tree.lock(exclusive=False)
            tree.check_is_mirror(or_empty=False)
            self.is_complete = not tree.has_journal()
            if self._delete and not self.is_complete:
                raise UsageError(
                    f"{self._path}: an export was interrupted, so files are missing",
                    hint="export again before keys of missing files are deleted",
                )
            done, deleted = NOTHING, 0
            try:
                with self._store.transaction():
                    done = self._import(tree)
                    if self._delete:
                        deleted = self._delete_missing(tree)
                    if self._dry_run:
                        raise _RollBack
            except _RollBack:
                done = done._replace(change=None)
            self.ignored = tree.ignored
        return MirrorImported(done, deleted, 0 if self._delete else self._missing)

    def _import(self, tree: Tree) -> Imported:
        try:
            return self._store.import_rows(
                self._rows(tree),
                on_conflict=self._on_conflict,
                source=in_utf8(self._path),
                progress=self._progress,
            )
        except _ROW_ERRORS as error:
            # What the store refuses is known only to be of the file that was read last.
            if self._file and not str(error).startswith(self._path):
                error.args = (f"{tree.shown(self._file)}: {error}",)
            raise

    def _rows(self, tree: Tree) -> Iterator[tuple[Any, ...]]:
        paths, keys = array("q"), array("q")
        with tree.records() as records:
            for record in records:
                if not self._selection.has(record.scope, record.key):
                    continue
                self._file = record.path
                row = self._row(tree, record.path, record.scope, record.key, record)
                if row is None:
                    self._missing += 1
                    continue
                paths.append(hash(record.path))
                keys.append(hash((record.scope, record.key)))
                yield row
        paths, keys = array("q", sorted(paths)), array("q", sorted(keys))
        for path in tree.walk():
            if _is_in(paths, hash(normalize("NFC", path))):
                continue
            self._file = path
            scope, key = self._key(tree, path)
            if not self._selection.has(scope, key):
                continue
            number = hash((scope, key))
            if _is_in(keys, number) or number in self._new_keys:
                raise FormatError(
                    f"{tree.shown(path)}: another file is the key {key!r} of scope {scope!r}, too",
                    hint=f"keep one of them, such as {plain_path(scope, key)}",
                )
            row = self._row(tree, path, scope, key, None)
            if row is not None:
                self._new_keys.add(number)
                yield row
        self._file = ""

    def _key(self, tree: Tree, path: str) -> tuple[str, str]:
        """Return the scope and key of a file that the manifest does not know."""
        try:
            scope, key = key_of(tuple(map(text_of, path.split("/"))))
            return check_scope(scope), key
        except InputError as error:
            error.args = (f"{tree.shown(path)}: {error}",)
            raise

    def _row(
        self, tree: Tree, path: str, scope: str, key: str, record: Record | None
    ) -> tuple[Any, ...] | None:
        """Return the row of a file, None if there is no file."""
        file = tree.open(path)
        if file is None:
            return None
        name = tree.shown(path)
        with file:
            status = os.fstat(file.fileno())
            if status.st_size > _LARGEST:
                raise InvalidValueError(
                    f"{name} has {status.st_size:,} bytes", hint="a value has at most 1 GB"
                )
            content = file.readall()
        value = value_of(content, record.type if record else "", name)
        if (
            self._strip
            and type(value) is str
            and value[-1:] == "\n"
            and (record is None or digest_of(content) not in (record.digest, record.former))
        ):
            value = value[:-1]
        expires_at = record.expires_at if record else None
        return key, value, scope, expires_at, max(0, status.st_mtime_ns // 1_000_000)

    def _delete_missing(self, tree: Tree) -> int:
        deleted = 0
        with tree.records() as records:
            gone = (record for record in records if self._is_gone(tree, record))
            for scope, of_scope in groupby(gone, lambda record: record.scope):
                while keys := [record.key for record in islice(of_scope, _TOGETHER)]:
                    deleted += self._store.delete_many(keys, scope=scope)
        return deleted

    def _is_gone(self, tree: Tree, record: Record) -> bool:
        return (
            self._selection.has(record.scope, record.key)
            and tree.status(record.path) is None
            and hash((record.scope, record.key)) not in self._new_keys
        )


def _is_in(numbers: array[int], number: int) -> bool:
    at = bisect_left(numbers, number)
    return at < len(numbers) and numbers[at] == number
