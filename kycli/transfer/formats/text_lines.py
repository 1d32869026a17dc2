"""Lines of text from bytes, one at a time, in any encoding."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from typing import BinaryIO

from kycli.core.expiry import shown
from kycli.errors import FormatError, UsageError

_BOM = codecs.BOM_UTF8


def codec_of(encoding: str | None) -> str:
    """Return the name of an encoding as Python knows it; UTF-8 for None.

    Raises:
        UsageError: when there is no such encoding.
    """
    try:
        name = codecs.lookup(encoding or "utf-8").name
        "".encode(name)  # base64 and the like are codecs too, but not of text
    except (LookupError, ValueError):
        raise UsageError(
            f"unknown encoding {shown(encoding)}", hint="such as utf-8, latin-1, cp1252 or utf-16"
        ) from None
    return name


def text_lines(stream: BinaryIO, encoding: str | None) -> Iterator[str]:
    """Yield the lines with their ends, which are kept as they are.

    A line in another encoding raises ``UnicodeDecodeError``.
    """
    name = codec_of(encoding)
    if name in ("utf-8", "utf-8-sig"):
        skip_mark(stream)
        return map(bytes.decode, stream)
    if name.startswith(("utf-16", "utf-32")):
        return io.TextIOWrapper(stream, encoding=name, newline="\n")
    return map(lambda line: line.decode(name), stream)  # noqa: C417  (goes on after an error)


def skip_mark(stream: BinaryIO) -> None:
    """Skip a byte order mark of UTF-8 at the beginning of a stream."""
    assert isinstance(stream, io.BufferedReader)
    if stream.peek(3).startswith(_BOM):
        stream.read(3)


def wrong_encoding(error: UnicodeDecodeError) -> FormatError:
    """Return the error for bytes that are not text in the encoding that was assumed."""
    byte = error.object[error.start]
    return FormatError(
        f"the byte 0x{byte:02x} is not {error.encoding.upper()}",
        hint="name the file's encoding, such as --encoding latin-1 or cp1252",
    )
