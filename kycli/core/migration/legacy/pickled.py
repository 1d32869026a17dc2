"""The pickle of 0.0.1: a dict of texts.

A pickle is a program. Python's reader runs it; it can be restricted, but it still builds arbitrary
objects. This reader knows only the dozen instructions that a dict of texts needs, and stops at any
other.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from typing import BinaryIO

from kycli.errors import CorruptError

_STARTS = (b"\x80\x02}", b"\x80\x03}", b"\x80\x04}", b"\x80\x05}")
_FRAMED = (b"\x80\x04\x95", b"\x80\x05\x95")

_TEXTS = {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
_KEEP = {"PUT", "BINPUT", "LONG_BINPUT"}
_FETCH = {"GET", "BINGET", "LONG_BINGET"}


def looks_pickled(start: bytes) -> bool:
    """Whether a file that begins so can be a dict that Python pickled."""
    if start.startswith(_FRAMED):
        return len(start) < 12 or start[11:12] == b"}"
    return start.startswith(_STARTS)


def pairs(file: BinaryIO, path: str) -> Iterator[tuple[str, str | bytes | None]]:
    """Yield the keys and values of a pickled dict, in its order.

    Raises:
        CorruptError: when the file ends early or holds anything but a dict of texts.
    """
    count = 0
    stack: list[str | None] = []
    memo: dict[int, str] = {}
    begun = False
    try:
        for opcode, argument, _ in pickletools.genops(file):
            name = opcode.name
            if name in _TEXTS:
                stack.append(str(argument))
            elif name == "MEMOIZE":
                # The dict itself is the first to be remembered.
                if stack and isinstance(stack[-1], str):
                    memo[len(memo)] = stack[-1]
                else:
                    memo[len(memo)] = ""
            elif name in _KEEP:
                if stack and isinstance(stack[-1], str):
                    memo[_number(argument)] = stack[-1]
            elif name in _FETCH:
                stack.append(memo[_number(argument)])
            elif name == "NONE":
                stack.append(None)
            elif name in ("SETITEM", "SETITEMS"):
                if len(stack) % 2 or not begun:
                    raise _not_ours(path)
                for key, value in zip(stack[::2], stack[1::2], strict=True):
                    if key is None:
                        raise _not_ours(path)
                    count += 1
                    yield key, _whole(value)
                stack.clear()
            elif name == "EMPTY_DICT" and not begun:
                begun = True
            elif name == "STOP":
                if stack or not begun:
                    raise _not_ours(path)
                return
            elif name not in ("PROTO", "FRAME", "MARK"):
                raise _not_ours(path)
    except (ValueError, KeyError, UnicodeDecodeError) as error:
        raise CorruptError(
            f"{path}: the file is incomplete: it can be read up to key {count} only",
            hint="KyCLI 0.0.1 was stopped while it wrote; look for a copy, also kvdata.pkl",
        ) from error


def _number(argument: object) -> int:
    if not isinstance(argument, int):
        raise ValueError("an instruction has no number")
    return argument


def _whole(value: str | None) -> str | bytes | None:
    """Return a value as text, or as the bytes that it was typed as."""
    if value is None or value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        # An argument that is not UTF-8 came with its bytes in place of characters (PEP 383).
        try:
            return value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            return value.encode("utf-8", "surrogatepass")
    return value


def _not_ours(path: str) -> CorruptError:
    return CorruptError(
        f"{path}: the pickle holds something else than texts",
        hint="KyCLI 0.0.1 wrote nothing else; this file is not its own, or was changed",
    )
