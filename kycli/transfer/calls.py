"""Checking the arguments of ``import_data``, ``export_data`` and ``backup``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, BinaryIO

from kycli.core.durations import shown
from kycli.core.operations.importing import Imported
from kycli.errors import FileError, InvalidValueError, MissingFileError, MisuseError, WrongTypeError
from kycli.transfer.exporting import ExportOptions, export
from kycli.transfer.importing import ImportOptions
from kycli.transfer.reading import ReadOptions
from kycli.transfer.restoring import importer

if TYPE_CHECKING:
    from kycli.core.storage import Kycore

_TEXTS = (
    *("format", "prefix", "on_conflict", "on_error", "key_column", "value_column"),
    *("scope_column", "time_column", "delimiter", "quote", "encoding", "table"),
)
_SWITCHES = ("resume", "dry_run", "header", "values_only")


def import_data(
    store: Kycore,
    source: Any,
    progress: Callable[[int, int, int | None], object] | None,
    given: dict[str, Any],
) -> Imported:
    """Import a file; ``given`` holds the other arguments of ``Kycore.import_data``."""
    options = dict(given)
    for name in _TEXTS:
        options[name] = _text(given[name], name)
    for name in _SWITCHES:
        options[name] = bool(given[name])
    options["prefix"] = options["prefix"] or ""
    options["columns"] = _columns(given["columns"])
    if given["rejects"] is not None:
        options["rejects"] = _path(given["rejects"])
        options["on_error"] = "skip"
    read = ReadOptions(**{name: options.pop(name) for name in ReadOptions._fields})
    file = source if hasattr(source, "read") else _path(source)
    try:
        work = importer(store, file, ImportOptions(read=read, **options), progress=progress)
        return work.run()
    except OSError as error:
        raise _file_error(error, file) from error


def export_data(
    store: Kycore,
    path: Any,
    format: Any,
    scope: Any,
    all_scopes: bool,
    prefix: str | None,
    plain: bool,
    history: bool,
    archive: bool,
    progress: Callable[[int], object] | None,
) -> int:
    """Export keys, as ``Kycore.export_data``."""
    if all_scopes and scope is not None:
        raise MisuseError("export_data takes a scope or all_scopes, not both")
    file = path if hasattr(path, "write") else _path(path)
    name = _text(format, "format")
    scopes: tuple[Any, ...] | None = None
    if not all_scopes:
        several = isinstance(scope, Iterable) and not isinstance(scope, (str, bytes))
        scopes = (store.scope if scope is None else scope,) if not several else tuple(scope)
    if scopes == ():
        raise InvalidValueError("no scope to export")
    options = ExportOptions(name or "csv", scopes, prefix, bool(plain), history, archive)
    try:
        return export(store, file, options, progress)
    except OSError as error:
        raise _file_error(error, file) from error


def backup(
    store: Kycore,
    path: Any,
    keep: int | None,
    overwrite: Any,
    progress: Callable[[int, int], object] | None,
) -> str:
    """Back the database up, as ``Kycore.backup``."""
    from kycli.transfer.backup.making import make

    if keep is not None and keep < 1:
        raise InvalidValueError(f"keep is 1 or more, not {keep}")
    file = None if path is None else _path(path)
    return make(store, file, keep=keep, overwrite=bool(overwrite), progress=progress).path


def _text(given: Any, name: str) -> str | None:
    """Return exactly a ``str`` for a text."""
    if given is None:
        return None
    if not isinstance(given, str):
        raise WrongTypeError(f"{name} is text, not {type(given).__name__}")
    text = str.__str__(given)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidValueError(f"{name} {shown(text)} is not valid text") from None
    return text


def _columns(given: Any) -> tuple[str, ...]:
    if given is None:
        return ()
    if isinstance(given, str):
        return (str.__str__(given),)
    try:
        names = tuple(given)
    except TypeError:
        raise WrongTypeError(f"columns are texts, not {type(given).__name__}") from None
    return tuple(_text(name, "a column") or "" for name in names)


def _path(given: Any) -> str:
    """Return a path as text that the system can take."""
    path = given
    if not isinstance(given, str):
        try:
            path = os.fspath(given)
        except TypeError:
            path = None
    if not isinstance(path, str):
        raise WrongTypeError(f"a file is a path or a binary stream, not {type(given).__name__}")
    path = str.__str__(path)
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise InvalidValueError(f"the path {shown(path)} is not valid text") from None
    if "\0" in path:
        raise InvalidValueError(f"the path {shown(path)} holds a NUL character")
    return path


def _file_error(error: OSError, file: str | BinaryIO) -> OSError:
    """Return the error of the system as one of ours, with the name of the file."""
    if isinstance(error, FileError):
        return error
    name = error.filename or (file if isinstance(file, str) else "the stream")
    kind = MissingFileError if isinstance(error, FileNotFoundError) else FileError
    found = kind(f"{name}: {error.strerror or error}")
    found.errno, found.filename = error.errno, error.filename
    return found
