"""Lines of text from bytes, one at a time, in any encoding."""

from __future__ import annotations

import codecs
import io
import sys
from collections.abc import Iterator
from typing import BinaryIO

from kycli.core.durations import shown
from kycli.errors import FormatError, UsageError

_BOM = codecs.BOM_UTF8
_BLOCK = 1 << 16


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

    A line in another encoding raises ``UnicodeDecodeError``, and the next one is the line
    after it.
    """
    name = codec_of(encoding)
    if name in ("utf-8", "utf-8-sig"):
        skip_mark(stream)
        return map(bytes.decode, stream)
    # Each line by itself, and by map, because a generator would not go on after an error.
    if name.startswith(("utf-16", "utf-32")):
        name = _byte_order(stream, name)
    newline = "\n".encode(name)
    lines = stream if newline == b"\n" else _split(stream, newline)
    return map(lambda line: line.decode(name), lines)  # noqa: C417


def _byte_order(stream: BinaryIO, name: str) -> str:
    """Skip a byte order mark; return the name of the encoding with the order of the bytes."""
    assert isinstance(stream, io.BufferedReader)
    family = name[:6]
    size = int(family[4:]) // 8
    beginning = stream.peek(size)[:size]
    for order in ("le", "be"):
        if beginning == "\ufeff".encode(f"{family}-{order}"):
            if name in (family, f"{family}-{order}"):
                stream.read(size)
            return f"{family}-{order}" if name == family else name
    return f"{family}-{sys.byteorder[0]}e" if name == family else name


def _split(stream: BinaryIO, newline: bytes) -> Iterator[bytes]:
    """Yield the lines of a text whose newline has other bytes than in ASCII."""
    unit = len(newline)
    pending = bytearray()
    while block := stream.read(_BLOCK):
        begin, at = 0, len(pending) - len(pending) % unit
        pending += block
        while (at := pending.find(newline, at)) >= 0:
            if at % unit:  # the halves of two characters
                at += 1
                continue
            at += unit
            yield bytes(pending[begin:at])
            begin = at
        del pending[:begin]
    if pending:
        yield bytes(pending)


def undecoded(error: UnicodeDecodeError, encoding: str | None) -> str:
    """Return a line in another encoding as text, with its wrong bytes escaped."""
    name = codec_of(encoding)
    if name in ("utf-16", "utf-32"):
        name = error.encoding  # which knows the order of the bytes
    text: str = error.object.decode(name, "backslashreplace")
    return text


def encoded(text: str, encoding: str | None, errors: str, *, is_start: bool = False) -> bytes:
    """Return text in the encoding of an input, with a byte order mark only at the start."""
    name = codec_of(encoding)
    mark = 0 if is_start else len("".encode(name))
    return text.encode(name, errors)[mark:]


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
