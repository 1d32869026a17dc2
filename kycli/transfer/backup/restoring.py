"""Restoring a backup: verify the whole file, then replace the database atomically."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from kycli.core.backup.copying import check_space, copy_pages, reading
from kycli.core.backup.newfile import partial
from kycli.core.backup.replacing import put_in_place
from kycli.core.backup.verifying import Header, check_file, check_format
from kycli.core.layout import FORMAT
from kycli.core.location import make_private
from kycli.core.migration.formats import migrate
from kycli.core.migration.legacy.aside import Aside
from kycli.core.sqlite_errors import cannot_open
from kycli.errors import (
    CannotOpenError,
    FormatError,
    NotADatabaseError,
    UsageError,
)
from kycli.transfer.backup.making import is_of
from kycli.transfer.backup.names import header_of, name_aside
from kycli.transfer.sources import BLOCK, Source

if TYPE_CHECKING:
    Progress = Callable[[int, int], object]

_MODE = 0o600
_SIDE_FILES = ("-wal", "-journal")


class Restored(NamedTuple):
    """What was done.

    Attributes:
        path: of the database.
        aside: what the database that was there is called now; None when there was none.
        format: that the backup had.
    """

    path: str
    aside: str | None
    format: int


def look(backup: str, path: str) -> Header:
    """Look at the beginning of a backup that is to be restored to a path.

    Raises:
        CannotOpenError, NotADatabaseError, NewerFormatError, MigrationNeeded, FormatError: when
            it cannot be restored.
        UsageError: when it is the database itself.
    """
    if is_of(path, backup):
        raise UsageError(f"{backup} is the database itself", hint="name a backup of it")
    try:
        if not stat.S_ISREG(os.stat(backup).st_mode):
            is_directory = os.path.isdir(backup)
            raise CannotOpenError(
                f"{backup}: {'this is a directory' if is_directory else 'not a regular file'}",
                hint=f"'kycli backup --list {shlex.quote(backup)}' lists the backups in it"
                if is_directory
                else "name a file",
            )
        header = header_of(backup)
    except FormatError as error:
        raise FormatError(f"{backup}: {error}", hint=error.hint) from None
    except FileNotFoundError:
        raise CannotOpenError(f"{backup}: no such file") from None
    except OSError as error:
        raise cannot_open(backup, error) from error
    check_format(header.format, backup)
    if not header.format:
        raise NotADatabaseError(
            f"{backup}: this is not a kycli database, or one of KyCLI 0.1 or earlier",
            hint="one of those becomes a database of this version by 'kycli migrate'",
        )
    return header


def restore(
    backup: str, path: str, *, timeout_ms: int = 5000, progress: Progress | None = None
) -> Restored:
    """Put the content of a backup into the place of a database, which is put aside.

    Parameters:
        backup: a file, compressed or not; it is not changed.
        path: of the database, which need not exist.
        timeout_ms: how long to wait for those who use the database.
        progress: called with how many bytes of how many were read.

    Raises:
        CorruptError: when the backup is damaged or not complete; FormatError where it is
            compressed.
        As ``look`` and ``put_in_place``. Nothing was changed.
    """
    header = look(backup, path)
    target = os.path.realpath(path)
    try:
        make_private(os.path.dirname(target))
        before = os.stat(target) if os.path.exists(target) else None
        mode = stat.S_IMODE(before.st_mode) if before else _MODE
        with partial(target, mode) as (part, file):
            _fetch(backup, header, part, file, progress)
            check_file(part, backup)
            if header.format != FORMAT:
                migrate(part, busy_timeout_ms=timeout_ms)
            if before is not None and os.geteuid() == 0:
                os.fchown(file, before.st_uid, before.st_gid)
            os.fsync(file)
            aside = name_aside(target, "before-restore")
            is_there = put_in_place(part, target, aside, timeout_ms)
    except OSError as error:
        raise cannot_open(target, error) from error
    return Restored(target, aside if is_there else None, header.format)


def _fetch(backup: str, header: Header, part: str, file: int, progress: Progress | None) -> None:
    """Write the database that a backup holds into a file."""
    source = Source(backup)
    try:
        if source.compression is None and any(map(_holds_anything, _sides(backup))):
            # It was copied together with its -wal, or is open.
            with closing(Aside(backup)) as aside, reading(aside.connection):
                copy_pages(aside.connection, part, progress)
                aside.make_sure_that_it_is_unchanged()
            return
        total = source.size or 0
        check_space(os.path.dirname(part), max(header.size, total))
        with open(file, "wb", BLOCK, closefd=False) as target:
            while block := source.stream.read(BLOCK):
                target.write(block)
                if progress is not None:
                    progress(source.position, total)
        source.check_unchanged()
    except FormatError as error:
        raise FormatError(f"{backup}: {error}", hint="nothing was changed") from None
    finally:
        source.close()


def _sides(path: str) -> list[str]:
    real = os.path.realpath(path)
    return [real + side for side in _SIDE_FILES]


def _holds_anything(path: str) -> bool:
    return os.path.exists(path) and os.path.getsize(path) > 0
