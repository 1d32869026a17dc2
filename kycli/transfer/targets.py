"""The output of an export: a file that appears when it is complete, or a stream."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from kycli.transfer.formats import COMPRESSIONS
from kycli.transfer.sources import BLOCK, load_zstd


@contextmanager
def target(given: str | os.PathLike[str] | BinaryIO) -> Iterator[BinaryIO]:
    """Give a stream to write to; a file appears under its name, whole, when the block ends.

    A file that is there keeps its permissions, and its name if it is a symbolic link. The
    ending ``.gz``, ``.xz`` or ``.zst`` says that it is compressed.
    """
    if not isinstance(given, (str, os.PathLike)):
        yield given
        return
    path = os.path.realpath(given)
    before = _status(path)
    if before is not None and not stat.S_ISREG(before.st_mode):
        with _named(given), open(given, "wb") as special, compressed(special, path) as stream:
            yield stream  # a pipe, or /dev/stdout
        return
    directory, name = os.path.split(path)
    try:
        handle, part = tempfile.mkstemp(prefix=f".{name[:200]}.", suffix=".part", dir=directory)
    except OSError as error:
        raise OSError(error.errno, os.strerror(error.errno or 0), os.fspath(given)) from None
    try:
        file: BinaryIO
        with _named(given), open(handle, "wb", BLOCK) as file:
            with compressed(file, path) as stream:
                yield stream
            file.flush()
            os.fchmod(handle, stat.S_IMODE(before.st_mode) if before else 0o666 & ~_umask())
            os.fsync(handle)
        os.replace(part, path)
    except BaseException:
        _remove(part)
        raise
    _sync_directory(directory)


@contextmanager
def _named(given: str | os.PathLike[str]) -> Iterator[None]:
    """Have errors of the system name the file; the store's own name theirs."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise OSError(error.errno, os.strerror(error.errno), os.fspath(given)) from None
        raise


@contextmanager
def compressed(file: BinaryIO, path: str) -> Iterator[BinaryIO]:
    """Give a stream that writes to a file as the ending of a path says."""
    compression = COMPRESSIONS.get(os.path.splitext(path)[1].lower())
    stream: Any
    if compression is None:
        yield file
        return
    if compression == "gzip":
        import gzip

        stream = gzip.GzipFile("", "wb", fileobj=file)
    elif compression == "xz":
        import lzma

        stream = lzma.LZMAFile(file, "wb")  # noqa: SIM115  (closed below)
    else:
        stream = load_zstd().ZstdFile(file, "wb")
    with stream:
        yield stream


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _umask() -> int:
    """Return the mask for new files, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _sync_directory(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        pass  # some file systems cannot
    finally:
        os.close(handle)
