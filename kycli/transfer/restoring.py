"""Importing kycli's own format: restore scopes exactly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

from kycli.core.dump.records import Loaded, Record
from kycli.core.operations.importing import Imported
from kycli.errors import ConflictError, InputError, UsageError, WrongTypeError
from kycli.transfer.formats.complete import Lines
from kycli.transfer.importing import (
    NO_WAIT,
    BusyWait,
    Given,
    Import,
    ImportOptions,
    Progress,
    Work,
    format_of,
)
from kycli.transfer.reading import ReadOptions
from kycli.transfer.sources import Source

if TYPE_CHECKING:
    from kycli.core.storage import Kycore

_PROGRESS_RECORDS = 4096
_DEFAULTS = {**ImportOptions._field_defaults, **ReadOptions._field_defaults}


def importer(
    store: Kycore,
    given: Given,
    options: ImportOptions,
    *,
    name: str | None = None,
    progress: Progress | None = None,
    busy_wait: BusyWait = NO_WAIT,
) -> Import | Restore:
    """Return the import of a file, by its format."""
    is_restored = format_of(given, options).name == "kycli" and not options.values_only
    kind = Restore if is_restored else Import
    return kind(store, given, options, name=name, progress=progress, busy_wait=busy_wait)


class _RollBack(Exception):
    """Ends a dry run."""


class Restore(Work):
    """The import of one file that has all there is of scopes.

    Has the attributes of ``Import``, and ``loaded``: what was loaded.
    """

    first_rejection: str | None = None
    resumed_at: int | None = None
    can_resume = False

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
        _check(options)
        self.loaded = Loaded(0, 0, 0, 0, 0, 0, 0, None)
        self.committed = 0
        self._source = Source(given, name, self._spooling)
        self._lines = Lines(self._source.stream)

    def could_skip(self, error: BaseException) -> bool:
        """Whether an error is of one record, which could be left out; none can."""
        return False

    def run(self) -> Imported:
        """Import all of it, or nothing."""
        try:
            header = self._lines.begin()
            with ExitStack() as block:
                # Only the beginning of the transaction waits for others.
                self._busy_wait.wait_for(lambda: block.enter_context(self._store.transaction()))
                self.loaded = self._store.load(
                    self._records(),
                    history=header.history,
                    source=self.name,
                    scope=self.options.scope,
                )
                if self.options.dry_run:
                    raise _RollBack
        except _RollBack:
            pass
        except (InputError, WrongTypeError, ConflictError) as error:
            self._locate(error)
            raise
        finally:
            self.close()
        found = self.loaded
        read = found.keys + found.expired
        self.done = Imported(read, found.keys, 0, 0, found.expired, 0, found.change)
        return self.done

    def _records(self) -> Iterator[Record]:
        for count, record in enumerate(self._lines.records(), 1):
            if self._progress is not None and count % _PROGRESS_RECORDS == 0:
                self._progress(count, self._source.position, self._source.size)
            yield record
        self._source.check_unchanged()

    def _locate(self, error: Exception) -> None:
        """Have an error say in which line of which file it is."""
        said = str(error)
        if isinstance(error, UsageError) or said.startswith(self.name):
            return
        where = self.name
        # A whole history that does not fit together, or to what is there, is in no line.
        if not isinstance(error, ConflictError) and self._lines.line and not self._lines.complete:
            where += f", line {self._lines.line}"
        error.args = (f"{where}: {said}",)


def _check(options: ImportOptions) -> None:
    """Refuse what an import that brings scopes back as they were cannot do."""
    alike = options._replace(format=None, scope=None, dry_run=False, read=ReadOptions())
    if options.read == ReadOptions() and alike == ImportOptions():
        return
    named = [
        name
        for name, value in (*alike._asdict().items(), *options.read._asdict().items())
        if name != "read" and value != _DEFAULTS[name]
    ]
    raise UsageError(
        f"{named[0].replace('_', '-')} does not go with a kycli export, which comes back as it was",
        hint="--values-only imports its keys as those of any other file",
    )
