"""Importing one file: rows from a reader into a store, with what is kept of bad ones."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from kycli.core.codec import check_scope
from kycli.core.expiry import shown
from kycli.core.operations.importing import NOTHING, Imported
from kycli.errors import (
    ConflictError,
    FormatError,
    InputError,
    InvalidValueError,
    UsageError,
    WrongTypeError,
)
from kycli.transfer import formats
from kycli.transfer.reading import Reader, ReadOptions, Row
from kycli.transfer.rejects import Rejects
from kycli.transfer.sources import Source, hash_of_start

if TYPE_CHECKING:
    from kycli.core.storage import Kycore

Given = str | os.PathLike[str] | BinaryIO
Progress = Callable[[int, int, int | None], object]
"""Called with how many rows were read, and how many bytes of how many."""

_ROW_ERRORS = (InputError, WrongTypeError, ConflictError)


class ImportOptions(NamedTuple):
    """What is imported how.

    Attributes:
        format: its name; None for the one that the name of the file says.
        read: how the format is read.
        scope: where rows go that name no scope; None for the store's.
        ttl: time to live of rows that name no time.
        prefix: written before each key.
        on_conflict: as for ``Kycore.import_rows``.
        on_error: ``"stop"`` or ``"skip"``, for records that cannot be read or saved.
        rejects: the file for records that were skipped.
        batch: how many rows are committed together; None for all.
        resume: whether an interrupted import goes on.
        dry_run: whether all is rolled back in the end.
    """

    format: str | None = None
    read: ReadOptions = ReadOptions()
    scope: str | None = None
    ttl: float | str | None = None
    prefix: str = ""
    on_conflict: str = "overwrite"
    on_error: str = "stop"
    rejects: str | None = None
    batch: int | None = None
    resume: bool = False
    dry_run: bool = False

    def check(self) -> None:
        """Raise where options make no sense."""
        if self.on_error not in ("stop", "skip"):
            raise InvalidValueError(
                f"unknown way {shown(self.on_error)} to go on after an error",
                hint="use stop or skip",
            )
        if self.batch is not None and (type(self.batch) is not int or not 0 < self.batch < 1 << 62):
            raise InvalidValueError(f"a batch has one row or more, not {shown(self.batch)}")
        if self.dry_run and (self.batch or self.resume):
            raise UsageError("a dry run has no batches and resumes nothing")


class _RollBack(Exception):
    """Ends a dry run."""


class Import:
    """The import of one file or stream.

    Attributes:
        done: the counts of what is committed.
        first_rejection: why and where the first record was rejected, or None.
        resumed_at: after how many rows an interrupted import went on, or None.
    """

    def __init__(
        self,
        store: Kycore,
        given: Given,
        options: ImportOptions,
        *,
        name: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        options.check()
        self.options = options
        self.done = NOTHING
        self.first_rejection: str | None = None
        self.resumed_at: int | None = None
        self._store = store
        self._scope = store.scope if options.scope is None else check_scope(options.scope)
        self._progress = progress
        self._finished = False
        self._muted = False
        self._refused = 0  # records that no row came from
        self._landed = [0]  # how many rows are committed
        self._batch = options.batch
        self._rejects: Rejects | None = None
        format = None if options.format is None else formats.named(options.format)
        if format is None and isinstance(given, (str, os.PathLike)):
            format = formats.of_file(os.fspath(given))
        if format is None:
            raise UsageError(
                "which format is standard input in?", hint=f"--format: {formats.READABLE}"
            )
        self._format = format.name
        self._source = Source(given, name)
        try:
            self._reader: Reader = format.reader()(
                self._source.stream,
                options.read,
                self._refuse,
                keep_text=options.on_error == "skip",
            )
            if format.name == "sqlite":
                self._reader.path = self._source.path  # type: ignore[attr-defined]
        except BaseException:
            self._source.close()
            raise

    @property
    def name(self) -> str:
        """What the source is called."""
        return self._source.name

    @property
    def committed(self) -> int:
        """How many rows are committed, with those of the interrupted import that goes on."""
        return self._landed[0]

    @property
    def can_resume(self) -> bool:
        """Whether this import can go on after it was interrupted."""
        return bool(self._batch and self._source.path and self._format != "sqlite")

    def run(self) -> Imported:
        """Import; all of it or, where batches are not asked for, nothing."""
        try:
            if not self.options.dry_run:
                return self._run()
            try:
                with self._store.transaction():
                    done = self._run()
                    raise _RollBack
            except _RollBack:
                return done
        except _ROW_ERRORS as error:
            self._locate(error)
            raise
        finally:
            self._source.close()
            if self._rejects is not None:
                self._rejects.close()

    def _run(self) -> Imported:
        rows = self._rows()
        checkpoint = self._checkpoint() if self.options.resume else None
        if checkpoint is not None:
            self._go_on(rows, checkpoint)
        if self.options.rejects is not None and not self.options.dry_run:
            kept = checkpoint["rejects"] if checkpoint else 0
            self._rejects = Rejects(self.options.rejects, self._reader, kept)
        rows = self._dressed(rows)
        while True:
            done = self._import(rows if self._batch is None else islice(rows, self._batch))
            self.done = done
            if self._finished:
                break
        if self._rejects is not None:
            self._rejects.finish()
        return self.done

    def _import(self, rows: Iterator[Row]) -> Imported:
        """Import rows as one transaction; return the counts of all so far."""
        before, refused = self.done, self._refused
        store, options = self._store, self.options

        def progress(count: int) -> None:
            if self._progress is not None:
                read = before.read + count + self._refused - refused
                self._progress(read, self._source.position, self._source.size)

        def state(change: int | None) -> dict[str, Any] | None:
            return None if self._finished or not self.can_resume else self._state(change)

        path = self._source.path
        done = store.import_rows(
            rows,
            scope=self._scope,
            ttl=options.ttl,
            on_conflict=options.on_conflict,
            source=self.name,
            change=before.change,
            checkpoint=None if path is None else (_key_of(path, self._scope), state),
            rejected=self._reject if options.on_error == "skip" else None,
            progress=progress,
            landed=self._landed,
        )
        extra = self._refused - refused
        total = before.plus(done)
        return total._replace(read=total.read + extra, rejected=total.rejected + extra)

    # Rows

    def _rows(self) -> Iterator[Row]:
        yield from self._reader.rows()
        self._finished = True
        self._source.check_unchanged()
        if self._rejects is not None:
            self._rejects.flush()  # a full disk fails the import before it is committed

    def _dressed(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Add the prefix and, to compare, the time of the file."""
        prefix = self.options.prefix
        if self.options.on_conflict == "newer":
            rows = _timed(rows, self._source.time)
        if prefix:
            rows = ((prefix + row[0], *row[1:]) for row in rows)
        return rows

    def _refuse(self, error: Exception) -> None:
        """Take a record that cannot be read."""
        if self._muted:
            return
        if self.options.on_error == "stop":
            raise error
        self._refused += 1
        self._reject(error)

    def _reject(self, error: Exception) -> None:
        """Take a record that cannot be saved."""
        if self.first_rejection is None:
            self.first_rejection = f"{self._where()}: {error}"
        if self._rejects is not None:
            self._rejects.add(str(error))

    def _where(self) -> str:
        return f"{self.name}, {self._reader.unit} {self._reader.line}"

    def _locate(self, error: Exception) -> None:
        """Have an error say in which line of which file it is."""
        said = str(error)
        if isinstance(error, UsageError) or said.startswith(self.name) or not self._reader.line:
            if isinstance(error, FormatError) and not said.startswith(self.name):
                error.args = (f"{self.name}: {said}",)
            return
        error.args = (f"{self._where()}: {said}",)

    # Going on

    def _state(self, change: int | None) -> dict[str, Any]:
        """Return what an import must know to go on behind the rows that were just read."""
        assert self._source.path is not None
        assert self._batch is not None
        size, time, read, digest = self._source.fingerprint()
        return {
            "path": self._source.path,
            "size": size,
            "time": time,
            "read": read,
            "hash": digest,
            "rows": self.committed + self._batch,
            "change": change,
            "batch": self._batch,
            "options": self._identity(),
            "rejects": self._rejects.sync() if self._rejects is not None else 0,
        }

    def _identity(self) -> str:
        """Return the options that must be the same for an import to go on."""
        options = self.options._replace(
            batch=None, resume=False, scope=self._scope, format=self._format
        )
        return repr(tuple(options))

    def _checkpoint(self) -> dict[str, Any] | None:
        """Return where an interrupted import stopped, if it can go on there.

        Raises:
            UsageError, ConflictError: when the file or the options are not the same.
        """
        path = self._source.path
        if path is None or self._format == "sqlite":
            raise UsageError(f"{self.name}: only an import of a file of text can be resumed")
        found: dict[str, Any] | None = self._store.import_checkpoint(_key_of(path, self._scope))
        if found is None:
            return None
        if found["options"] != self._identity():
            raise UsageError(
                f"{self.name}: the interrupted import had other options",
                hint="resume it with the same ones, or begin anew without --resume",
            )
        size, time, _, _ = self._source.fingerprint()
        if (size, time) != (found["size"], found["time"]) or (
            hash_of_start(path, found["read"]) != found["hash"]
        ):
            raise ConflictError(
                f"{self.name}: the file has changed since the import was interrupted",
                hint="import it anew without --resume",
            )
        return found

    def _go_on(self, rows: Iterator[Row], checkpoint: dict[str, Any]) -> None:
        """Pass over the rows that were imported."""
        self._batch = self._batch or checkpoint["batch"]
        count = checkpoint["rows"]
        self._muted = True
        for _ in islice(rows, count):
            pass
        self._muted = False
        self._landed[0] = self.resumed_at = count
        self.done = self.done._replace(change=checkpoint["change"])


def _key_of(path: str, scope: str) -> str:
    """Return the name of the checkpoint of a file that goes into a scope."""
    return hashlib.blake2b(os.fsencode(path) + b"\0" + scope.encode(), digest_size=16).hexdigest()


def _timed(rows: Iterator[Row], time: int) -> Iterator[Row]:
    """Give rows that do not say when they were changed a time."""
    for row in rows:
        if len(row) == 5 and row[4] is not None:
            yield row
        else:
            yield (*row[:4], *(None,) * (4 - len(row)), time)
