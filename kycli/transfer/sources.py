"""The input of an import: a file or standard input, decompressed while it is read."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tempfile
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

from kycli.errors import FileError, FormatError, KycliError, MissingLibraryError

BLOCK = 1 << 20
_MAGIC = {b"\x1f\x8b": "gzip", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


_SPOOL_MEMORY = 8 << 20


def in_utf8(path: str | None) -> str | None:
    """Return a path as text that can be stored, though its bytes may not be UTF-8."""
    return None if path is None else os.fsencode(path).decode(errors="backslashreplace")


def is_pipe(given: str | os.PathLike[str] | BinaryIO) -> bool:
    """Whether a source is a pipe, whose bytes come when another process writes them."""
    try:
        if isinstance(given, (str, os.PathLike)):
            return not stat.S_ISREG(os.stat(given).st_mode)
        try:
            return not stat.S_ISREG(os.fstat(given.fileno()).st_mode)
        except (AttributeError, io.UnsupportedOperation):
            return not given.seekable()
    except (AttributeError, OSError, ValueError):
        return False  # opening or reading it will fail, and say why


def spooled(
    given: str | os.PathLike[str] | BinaryIO,
    name: str,
    progress: Callable[[int], object],
) -> BinaryIO:
    """Read all of a pipe; return a stream of it, in memory or in a file."""
    is_path = isinstance(given, (str, os.PathLike))
    file: BinaryIO = open(given, "rb", buffering=0) if is_path else given  # type: ignore[assignment,arg-type]  # noqa: SIM115
    raw = _Counted(file, owned=is_path)
    spool = tempfile.SpooledTemporaryFile(_SPOOL_MEMORY)  # noqa: SIM115  (closed by its reader)
    try:
        block = bytearray(BLOCK)
        while size := raw.readinto(block):
            try:
                spool.write(memoryview(block)[:size])
            except OSError as error:
                raise FileError(
                    f"{name}: cannot keep it in {tempfile.gettempdir()}: {error.strerror}",
                    hint="set TMPDIR to a directory with more space, or use --batch",
                ) from error
            progress(raw.count)
        spool.seek(0)
    except BaseException:
        spool.close()
        raise
    finally:
        raw.close()
    return spool  # type: ignore[return-value]


class Source:
    """A stream of bytes with a name.

    Parameters:
        given: a path, or a binary stream.
        name: what messages call it; default the path, or ``standard input``.
        spool: take all of a pipe now, and call this with how many bytes that are so far.
        hashed: whether ``fingerprint`` will be asked for.

    Attributes:
        stream: the decompressed bytes.
        path: the absolute path of a file; None of a stream, or of what is no regular file.
        size: of the file in bytes, or None.
    """

    def __init__(
        self,
        given: str | os.PathLike[str] | BinaryIO,
        name: str | None = None,
        spool: Callable[[int], object] | None = None,
        *,
        hashed: bool = False,
    ) -> None:
        self.path: str | None = None
        self.size: int | None = None
        self._status: os.stat_result | None = None
        is_path = isinstance(given, (str, os.PathLike))
        self.name = name or (os.fspath(given) if is_path else "standard input")  # type: ignore[arg-type]
        file: BinaryIO
        if spool is not None and is_pipe(given):
            file = spooled(given, self.name, spool)
            self.size = file.seek(0, io.SEEK_END)
            file.seek(0)
            is_path = True  # it is ours to close
        elif isinstance(given, (str, os.PathLike)):
            file = open(given, "rb", buffering=0)  # noqa: SIM115  (closed by close)
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode):
                self.path, self.size = os.path.realpath(given), status.st_size
                self._status = status
        else:
            file = given
        self._raw = _Counted(file, owned=is_path, hashed=hashed)
        buffered = io.BufferedReader(self._raw, BLOCK)
        try:
            self.compression = _compression(buffered)
            self.stream: BinaryIO = _decompressed(buffered, self.compression)
        except BaseException:
            self._raw.close()
            raise

    @property
    def position(self) -> int:
        """How many bytes were read, before they are decompressed."""
        return self._raw.count

    @property
    def time(self) -> int | None:
        """When the file was last changed, in milliseconds since the epoch; None of a stream."""
        if self._status is None:
            return None
        return self._status.st_mtime_ns // 1_000_000

    def fingerprint(self) -> tuple[int, int, int, str]:
        """Return the size and time of the file, and how much was read with its hash."""
        assert self._status is not None
        assert self._raw.hash is not None
        return (
            self._status.st_size,
            self._status.st_mtime_ns,
            self._raw.count,
            self._raw.hash.hexdigest(),
        )

    def check_unchanged(self) -> None:
        """Raise if the file was changed while it was read."""
        if self._status is None:
            return
        now = os.fstat(self._raw.fileno())
        before = self._status
        if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise FormatError(
                f"{self.name}: the file was changed while it was read",
                hint="import it again when nobody writes to it",
            )

    def close(self) -> None:
        """Close the file; a stream that was given stays open."""
        self._raw.close()


def hash_of_start(path: str, size: int) -> str | None:
    """Return the hash of the first bytes of a file; None when there are fewer."""
    digest = hashlib.blake2b(digest_size=16)
    with open(path, "rb", buffering=0) as file:
        while size:
            block = file.read(min(size, BLOCK))
            if not block:
                return None
            digest.update(block)
            size -= len(block)
    return digest.hexdigest()


class _Counted(io.RawIOBase):
    """A stream that counts and, if asked to, hashes what is read."""

    def __init__(self, file: BinaryIO, *, owned: bool, hashed: bool = False) -> None:
        self._file = file
        self._owned = owned
        self.count = 0
        self.hash = hashlib.blake2b(digest_size=16) if hashed else None

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file.fileno()

    def readinto(self, buffer: Any) -> int:
        # A pipe gives what there is; read1 of a buffered stream does the same.
        read = getattr(self._file, "read1", self._file.read)
        block = read(len(buffer))
        if block is None:
            raise KycliError(
                "standard input is non-blocking, so its end cannot be told",
                hint="pass it on with a program that waits for it",
            )
        size = len(block)
        buffer[:size] = block
        self.count += size
        if self.hash is not None:
            self.hash.update(block)
        return size

    def close(self) -> None:
        if self._owned:
            self._file.close()
        super().close()


def _compression(stream: io.BufferedReader[Any]) -> str | None:
    beginning = stream.peek(6)
    for magic, name in _MAGIC.items():
        if beginning.startswith(magic):
            return name
    return None


def _decompressed(stream: io.BufferedReader[Any], compression: str | None) -> BinaryIO:
    if compression is None:
        return stream
    if compression == "gzip":
        import gzip

        return _checked(gzip.GzipFile(fileobj=stream), compression, zlib.error)
    if compression == "xz":
        import lzma

        return _checked(_Frames(stream, lzma.LZMADecompressor), compression, lzma.LZMAError)
    zstd = load_zstd()
    return _checked(_Frames(stream, zstd.ZstdDecompressor), compression, zstd.ZstdError)


def load_zstd() -> Any:
    """Return the module of the standard library, or the one that brings it to older Pythons.

    Raises:
        MissingLibraryError: when there is neither.
    """
    for package in ("compression", "backports"):
        try:
            return __import__(f"{package}.zstd", fromlist=("*",))
        except ImportError:
            pass
    raise MissingLibraryError(
        "zstd files need the library backports.zstd", hint="pip install 'kycli[zstd]'"
    )


class _Frames:
    """Decompresses one frame after the other.

    The readers of the standard library take what follows the first frame for its end, and
    say nothing.
    """

    def __init__(self, stream: BinaryIO, decompressor: Callable[[], Any]) -> None:
        self._stream = stream
        self._new = decompressor
        self._frame = decompressor()

    def readinto(self, buffer: Any) -> int:
        while True:
            data = b""
            if self._frame.eof:
                # xz files may be filled up with zeros.
                rest = self._frame.unused_data.lstrip(b"\0")
                while not rest and (block := self._stream.read(BLOCK)):
                    rest = block.lstrip(b"\0")
                if not rest:
                    return 0
                self._frame, data = self._new(), rest
            elif self._frame.needs_input:
                data = self._stream.read(BLOCK)
                if not data:
                    raise EOFError
            piece = self._frame.decompress(data, len(buffer))
            if piece:
                buffer[: len(piece)] = piece
                return len(piece)


def _checked(stream: Any, compression: str, *errors: type[Exception]) -> BinaryIO:
    return io.BufferedReader(_Checked(stream, compression, errors), BLOCK)


class _Checked(io.RawIOBase):
    """A decompressed stream whose errors say what is wrong with the file."""

    def __init__(self, stream: Any, compression: str, errors: tuple[type[Exception], ...]) -> None:
        self._stream = stream
        self._compression = compression
        self._errors: tuple[type[Exception], ...] = (OSError, *errors)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            size: int = self._stream.readinto(buffer)
            return size
        except EOFError:
            raise FormatError(
                f"the {self._compression} data ends too early", hint="the file is not complete"
            ) from None
        except self._errors as error:
            if isinstance(error, OSError) and error.errno:
                raise  # the disk's, and not about what is in the file
            raise FormatError(f"the {self._compression} data is damaged: {error}") from None
