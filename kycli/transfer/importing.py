"""Importing one file: rows go from a reader into a store; bad rows are rejected or reported."""

from __future__ import annotations

import hashlib
import os
import shlex
import time
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeVar

from kycli.core.codec import check_scope
from kycli.core.durations import shown
from kycli.core.names import DEFAULT, split_scope
from kycli.core.operations.importing import NOTHING, Imported
from kycli.errors import (
    BusyError,
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
from kycli.transfer.sources import Source, hash_of_start, in_utf8, is_pipe

if TYPE_CHECKING:
    from kycli.core.storage import Kycore

Given = str | os.PathLike[str] | BinaryIO
Progress = Callable[[int, int, int | None], object]
"""Called with how many rows were read, and how many bytes of how many."""

Result = TypeVar("Result")

_SAMPLES = 16
"""Keys of an import that are looked up before it goes on."""

_ROW_ERRORS = (InputError, WrongTypeError, ConflictError)


class BusyWait(NamedTuple):
    """How long an import retries while another process writes, beyond the timeout of the store.

    Attributes:
        seconds: the time limit.
        waiting: called before each retry, with the error that names the writer.
    """

    seconds: float
    waiting: Callable[[BusyError], object]

    def wait_for(self, action: Callable[[], Result]) -> Result:
        """Call an action until it succeeds; BusyError must mean that it has had no effect."""
        deadline = time.monotonic() + self.seconds
        while True:
            try:
                return action()
            except BusyError as error:
                if time.monotonic() >= deadline:
                    raise
                self.waiting(error)


NO_WAIT = BusyWait(0, lambda error: None)


class ImportOptions(NamedTuple):
    """The options of an import.

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
        values_only: whether keys of kycli's own format are imported as those of others.
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
    values_only: bool = False

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


def format_of(given: Given, options: ImportOptions) -> formats.Format:
    """Return the format that was asked for, or that the name of a file says.

    Raises:
        UsageError, FormatError: when there is none.
    """
    if options.format is not None:
        return formats.named(options.format)
    if isinstance(given, (str, os.PathLike)):
        found = formats.of_file(os.fspath(given))
        if found.name == "sqlite" and options.read == ReadOptions():
            from kycli.transfer.formats.prontodb import is_prontodb

            if is_prontodb(os.fspath(given)):
                return formats.named("prontodb")
        return found
    raise UsageError("which format is standard input in?", hint=f"--format: {formats.READABLE}")


class Work:
    """What the imports of all formats have in common.

    Attributes:
        options: what is imported how.
        done: the counts of what is committed.
    """

    _source: Source

    def __init__(
        self, store: Kycore, options: ImportOptions, progress: Progress | None, busy_wait: BusyWait
    ) -> None:
        options.check()
        self.options = options
        self.done = NOTHING
        self._store = store
        self._progress = progress
        self._busy_wait = busy_wait

    @property
    def name(self) -> str:
        """What the source is called."""
        return self._source.name

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    def _spooling(self, size: int) -> None:
        """Show that a pipe is read."""
        if self._progress is not None:
            self._progress(0, size, None)


class Import(Work):
    """The import of one file or stream.

    Attributes:
        first_rejection: why and where the first record was rejected, or None.
        resumed_at: after how many rows an interrupted import went on, or None.
        missing: what became of rows that an interrupted import had imported and that are
            gone: ``""``, ``"some"``, or ``"all"`` if it began at the start for that.
    """

    def __init__(
        self,
        store: Kycore,
        given: Given,
        options: ImportOptions,
        *,
        name: str | None = None,
        progress: Progress | None = None,
        busy_wait: BusyWait = NO_WAIT,
    ) -> None:
        super().__init__(store, options, progress, busy_wait)
        self.first_rejection: str | None = None
        self.resumed_at: int | None = None
        self._scope = store.scope if options.scope is None else check_scope(options.scope)
        self.missing = ""
        self._finished = False
        self._muted = False
        self._refused_one = False
        self._refused = 0  # records that no row came from
        self._landed = [0]  # how many rows are committed
        self._batch = options.batch
        self._rejects: Rejects | None = None
        # Where the current row is and its record, if it was read before its transaction began.
        self._at: tuple[Any, Any] | None = None
        self._samples: list[tuple[str | None, str]] = []  # keys that were imported, a few
        self._sample: tuple[str | None, str] | None = None
        format = format_of(given, options)
        self._format = format.name
        # A pipe may be slow, and other processes must be able to write meanwhile.
        spool = options.batch is None and not self._is_database
        self._source = Source(
            given,
            name,
            self._spooling if spool else None,
            hashed=bool(options.batch or options.resume),
        )
        self._reads_ahead = not spool and is_pipe(given)
        try:
            self._reader: Reader = format.reader()(
                self._source.stream,
                options.read,
                self._refuse,
                # It also reads one record at a time, and never waits for more than one batch.
                keep_text=options.on_error == "skip" or self._reads_ahead,
            )
            self._reader.takes_packs = not (
                options.batch
                or options.resume
                or options.prefix
                or options.on_conflict == "newer"
                or options.on_error == "skip"
            )
            if self._is_database:
                self._reader.path = self._source.path  # type: ignore[attr-defined]
        except BaseException:
            self._source.close()
            raise

    @property
    def committed(self) -> int:
        """How many rows are committed, with those of the interrupted import that goes on."""
        return self._landed[0]

    @property
    def can_resume(self) -> bool:
        """Whether this import can go on after it was interrupted."""
        return bool(self._batch and self._source.path and not self._is_database)

    @property
    def _is_database(self) -> bool:
        """Whether it is an SQLite file, which is no stream."""
        return self._format in ("sqlite", "prontodb")

    def could_skip(self, error: BaseException) -> bool:
        """Whether an error is of one record, which could be left out."""
        if isinstance(error, FormatError):
            return self._refused_one
        return isinstance(error, _ROW_ERRORS)

    def run(self) -> Imported:
        """Import; all of it or, where batches are not asked for, nothing."""
        try:
            return self._run()
        except _ROW_ERRORS as error:
            self._locate(error)
            raise
        finally:
            self.close()

    def close(self) -> None:
        """Close the files."""
        super().close()
        if self._rejects is not None:
            self._rejects.close()

    def _run(self) -> Imported:
        rows = self._rows()
        checkpoint = self._checkpoint() if self.options.resume else None
        if checkpoint is not None:
            self._batch = self._batch or checkpoint["batch"]
            self.missing = self._missing(checkpoint["samples"])
            if self.missing == "all":
                checkpoint = None
            else:
                self._go_on(rows, checkpoint)
        if self.options.rejects is not None and not self.options.dry_run:
            kept = checkpoint["rejects"] if checkpoint else 0
            self._rejects = Rejects(self.options.rejects, self._reader, kept)
        rows = self._dressed(rows)
        while not self._finished:
            refused = self._refused
            self.done = self._import(self._part(rows), refused)
        if self._rejects is not None:
            self._rejects.finish()
        return self.done

    def _part(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Return the rows of the next transaction."""
        if self._batch is None:
            return rows
        part = islice(rows, self._batch)
        if self._reads_ahead:
            return self._read_ahead(part)
        first = next(part, None)
        if first is None:
            return part
        self._sample = (first[2] if len(first) > 2 else None, first[0])
        return chain((first,), part)

    def _read_ahead(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Read rows now, and give them with what is known of the record of each."""
        reader = self._reader
        found = [(row, reader.position(), reader.record) for row in rows]

        def given() -> Iterator[Row]:
            for row, position, record in found:
                self._at = position, record
                yield row
            self._at = None

        return given()

    def _import(self, rows: Iterator[Row], refused: int) -> Imported:
        """Import rows as one transaction; return the counts of all so far.

        Parameters:
            refused: how many records had been refused before these rows were read.
        """
        before = self.done
        store, options = self._store, self.options

        def progress(count: int) -> None:
            self._progress_of(before.read + count + self._refused - refused)

        def state(change: int | None) -> dict[str, Any] | None:
            return None if self._finished or not self.can_resume else self._state(change)

        path = self._source.path
        # Only the start of the transaction waits for other writers; no row is read before it.
        done = self._busy_wait.wait_for(
            lambda: store.import_rows(
                rows,
                scope=self._scope,
                ttl=options.ttl,
                on_conflict=options.on_conflict,
                source=in_utf8(self.name),
                change=before.change,
                checkpoint=None if path is None else (_key_of(path, self._scope), state),
                rejected=self._reject if options.on_error == "skip" else None,
                progress=progress,
                landed=self._landed,
                dry_run=options.dry_run,
            )
        )
        extra = self._refused - refused
        total = before.plus(done)
        return total._replace(read=total.read + extra, rejected=total.rejected + extra)

    def _progress_of(self, rows: int) -> None:
        if self._progress is not None:
            self._progress(rows, self._source.position, self._source.size)

    # Rows

    def _rows(self) -> Iterator[Row]:
        rows = self._reader.rows()
        first = next(rows, None)
        # What a database of ProntoDB says is a cache becomes one before its keys come.
        for scope, timeout in getattr(self._reader, "caches", {}).items():
            if scope not in self._store.caches() and split_scope(scope)[1] != DEFAULT:
                self._store.create_cache(scope, timeout)
        if first is not None:
            yield first
        yield from rows
        self._finished = True
        self._source.check_unchanged()
        if self._rejects is not None:
            self._rejects.flush()  # a full disk fails the import before it is committed

    def _dressed(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Add the prefix and, to compare, the time of the file."""
        prefix = self.options.prefix
        if self.options.on_conflict == "newer":
            rows = self._timed(rows)
        if prefix:
            rows = ((prefix + row[0], *row[1:]) for row in rows)
        return rows

    def _timed(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Give rows that do not say when they were changed the time of the file."""
        changed = self._source.time
        for row in rows:
            if len(row) == 5 and row[4] is not None:
                yield row
            elif changed is None:
                self._refuse(
                    FormatError(
                        f"the row has no time that could be newer, and {self.name} has none",
                        hint="--time-column names it; a file has a time itself",
                    )
                )
            else:
                yield (*row[:4], *(None,) * (4 - len(row)), changed)

    def _refuse(self, error: Exception) -> None:
        """Take a record that cannot be read."""
        if self._muted:
            return
        if self.options.on_error == "stop":
            self._refused_one = True
            raise error
        self._refused += 1
        self._reject(error)

    def _reject(self, error: Exception) -> None:
        """Take a record that cannot be saved."""
        if self.first_rejection is None:
            self.first_rejection = f"{self._where()}: {error}"
        if self._rejects is not None:
            record = self._reader.record if self._at is None else self._at[1]
            self._rejects.add(record, self._line(), str(error))

    def _line(self) -> int:
        """Return the line of the row that is being imported, or of the record being read."""
        return self._reader.line if self._at is None else self._reader.line_at(self._at[0])

    def _where(self) -> str:
        return f"{self.name}, {self._reader.unit} {self._line()}"

    def _locate(self, error: Exception) -> None:
        """Have an error say in which line of which file it is."""
        said = str(error)
        if isinstance(error, UsageError) or said.startswith(self.name) or not self._line():
            if isinstance(error, FormatError) and not said.startswith(self.name):
                error.args = (f"{self.name}: {said}",)
            return
        error.args = (f"{self._where()}: {said}",)

    # Going on

    def _state(self, change: int | None) -> dict[str, Any]:
        """Return what an import must know to go on behind the rows that were just read."""
        assert self._source.path is not None
        assert self._batch is not None
        size, changed, read, digest = self._source.fingerprint()
        self._keep_sample()
        return {
            "path": in_utf8(self._source.path),
            "size": size,
            "time": changed,
            "read": read,
            "hash": digest,
            "rows": self.committed + self._batch,
            "change": change,
            "batch": self._batch,
            "options": self._identity(),
            "rejects": self._rejects.sync() if self._rejects is not None else 0,
            "rejects_file": in_utf8(self.options.rejects),
            "samples": [list(sample) for sample in self._samples],
        }

    def _keep_sample(self) -> None:
        """Remember a key of the batch, and of all batches a few, from the first to the last."""
        if self._sample is not None and self._is_there(self._sample):
            if len(self._samples) == _SAMPLES:
                del self._samples[1::2]
            self._samples.append(self._sample)

    def _is_there(self, sample: tuple[str | None, str]) -> bool:
        scope, key = sample
        try:
            return self._store.exists(key, scope=self._scope if scope is None else scope)
        except _ROW_ERRORS:
            return False  # a bad row

    def _missing(self, samples: list[tuple[str | None, str]]) -> str:
        """Return whether keys of an interrupted import were deleted since: some, or all."""
        self._samples = [(scope, key) for scope, key in samples]
        there = [self._is_there(sample) for sample in self._samples]
        if all(there):
            return ""
        return "some" if any(there) else "all"

    def _identity(self) -> str:
        """Return the options that must be the same for an import to go on."""
        options = self.options._replace(
            batch=None,
            resume=False,
            scope=self._scope,
            format=self._format,
            on_error="",  # what was imported had no bad rows, or they were left out
            rejects=None,
        )
        return repr(tuple(options))

    def _checkpoint(self) -> dict[str, Any] | None:
        """Return where an interrupted import stopped, if it can go on there.

        Raises:
            UsageError, ConflictError: when the file or the options are not the same.
        """
        path = self._source.path
        if path is None or self._is_database:
            raise UsageError(f"{self.name}: only an import of a file of text can be resumed")
        found: dict[str, Any] | None = self._store.import_checkpoint(_key_of(path, self._scope))
        if found is None:
            return None
        if found["options"] != self._identity():
            raise UsageError(
                f"{self.name}: the interrupted import had other options",
                hint="resume it with the same ones, or start over without --resume",
            )
        if found["rejects"] and found["rejects_file"] != in_utf8(self.options.rejects):
            raise UsageError(
                f"{self.name}: the interrupted import wrote rejects to {found['rejects_file']}",
                hint=f"resume it with --rejects {shlex.quote(found['rejects_file'])}, "
                "or start over without --resume",
            )
        size, changed, _, _ = self._source.fingerprint()
        if (size, changed) != (found["size"], found["time"]) or (
            hash_of_start(path, found["read"]) != found["hash"]
        ):
            raise ConflictError(
                f"{self.name}: the file has changed since the import was interrupted",
                hint="import it again without --resume",
            )
        return found

    def _go_on(self, rows: Iterator[Row], checkpoint: dict[str, Any]) -> None:
        """Pass over the rows that were imported."""
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
