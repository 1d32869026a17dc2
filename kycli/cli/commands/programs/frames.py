"""How the commands of a batch and their replies are framed: lines of words, NUL, or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from json.encoder import encode_basestring as quoted
from typing import TYPE_CHECKING, Any, NamedTuple

from kycli.cli.commands.programs.words import Words
from kycli.core.values import canonical, decode_base64
from kycli.errors import FormatError, InvalidValueError, KycliError

if TYPE_CHECKING:
    from kycli.cli.calls import Reply

MAX_BYTES = 1_500_000_000
"""The most bytes of a command: the largest value in base64, and a little more."""

_MAX_WORDS = 1_000_000


class Request(NamedTuple):
    """One command of the input.

    Attributes:
        number: the line in which it begins; with NUL, which command of the input it is.
        words: what is typed after ``kycli``.
        stdin: its standard input, None for none.
        error: why it is no command; then there are no words.
        is_last: whether nothing behind it can be read.
    """

    number: int
    words: list[str]
    stdin: bytes | None = None
    error: KycliError | None = None
    is_last: bool = False


class Framing:
    """Reads requests from blocks of the input, and writes replies.

    Attributes:
        unit: what requests are numbered by.
    """

    unit = "line"
    _end = b"\n"

    def __init__(self) -> None:
        self._pieces: list[bytes] = []  # of a record whose end is yet to come
        self._size = 0
        self._number = 0

    def requests(self, block: bytes) -> Iterator[Request]:
        """Yield the requests that a block of the input completes; b"" is its end."""
        *records, rest = block.split(self._end)
        for record in records:
            if self._pieces:
                record = b"".join([*self._pieces, record])
                self._pieces.clear()
                self._size = 0
            self._number += 1
            yield from self._record(record)
        if rest:
            self._pieces.append(rest)
            self._size += len(rest)
            if self._size > MAX_BYTES:
                error = FormatError(f"a command of more than {MAX_BYTES:,} bytes")
                yield self._refused(error, self._number + 1, is_last=True)
        if not block:
            if self._pieces:
                self._number += 1
                yield from self._last(b"".join(self._pieces))
            yield from self._finish()

    @staticmethod
    def reply(reply: Reply) -> bytes:
        """Return a reply as it is written."""
        return b"%d %d %d\n%b%b" % (
            *(reply.code, len(reply.out), len(reply.err)),
            *(reply.out, reply.err),
        )

    def _record(self, record: bytes) -> Iterator[Request]:
        raise NotImplementedError

    def _last(self, record: bytes) -> Iterator[Request]:
        """Yield the requests of a record without an end."""
        return self._record(record)

    def _finish(self) -> Iterator[Request]:
        """Yield the request that the end of the input breaks off."""
        return iter(())

    def _refused(self, error: KycliError, number: int, *, is_last: bool = False) -> Request:
        error.args = (f"{self.unit} {number}: {error}",)
        return Request(number, [], None, error, is_last)


class Lines(Framing):
    """Commands on lines, quoted as in a shell. A reply is a line of numbers, and texts."""

    def __init__(self) -> None:
        super().__init__()
        self._reader = Words()
        self._begin = 0  # the line of the command that goes on; 0: none does

    def _record(self, record: bytes) -> Iterator[Request]:
        begin = self._begin or self._number
        if b"\0" in record:
            self._reader, self._begin = Words(), 0
            yield self._refused(
                FormatError("a NUL, which no line holds", hint="values of any bytes need --jsonl"),
                begin,
            )
            return
        words = self._reader.read(record)
        self._begin = begin if words is None else 0
        if words:
            yield self._request(begin, words)

    def _request(self, number: int, words: list[bytes]) -> Request:
        # Words that are not UTF-8 are refused as on the command line.
        texts = [word.decode("utf-8", "surrogateescape") for word in words]
        if "\0" in "".join(texts):
            return self._refused(
                FormatError("a NUL, which no word holds", hint="values of any bytes need --jsonl"),
                number,
            )
        return Request(number, texts[1:] if texts[0] == "kycli" else texts)

    def _finish(self) -> Iterator[Request]:
        if self._begin:
            quote = self._reader.quote.decode()
            what = f"the quote {quote} is not closed" if quote else "the command is broken off"
            yield self._refused(FormatError(what), self._begin)


class Nul(Framing):
    """Commands of words that end in NUL, with their number first. So are replies."""

    unit = "command"
    _end = b"\0"

    def __init__(self) -> None:
        super().__init__()
        self._count = -1  # of words; -1: it comes next
        self._words: list[str] = []
        self._commands = 0
        self._lost = False

    def _record(self, record: bytes) -> Iterator[Request]:
        if self._lost:
            return
        if self._count < 0:
            self._commands += 1
            if not record.isdigit() or len(record) > 7 or int(record) > _MAX_WORDS:
                self._lost = True  # where the next command begins cannot be known
                shown = record[:40].decode("utf-8", "replace")
                error = FormatError(
                    f"{shown!r} is not the number of its words",
                    hint="a command is the number of its words and the words, each with a NUL",
                )
                yield self._refused(error, self._commands, is_last=True)
                return
            self._count = int(record)
        else:
            self._words.append(record.decode("utf-8", "surrogateescape"))
        if len(self._words) == self._count:
            words, self._words, self._count = self._words, [], -1
            yield Request(self._commands, words)

    def _last(self, record: bytes) -> Iterator[Request]:
        if not self._lost:
            self._commands += self._count < 0
            self._count = 0  # a word without its NUL is broken off
        return iter(())

    def _finish(self) -> Iterator[Request]:
        if self._count >= 0 and not self._lost:
            error = FormatError("the input ends in the middle of it")
            yield self._refused(error, self._commands, is_last=True)

    @staticmethod
    def reply(reply: Reply) -> bytes:
        return b"%d\0%d\0%d\0%b\0%b\0" % (
            *(reply.code, len(reply.out), len(reply.err)),
            *(reply.out, reply.err),
        )


class JsonLines(Framing):
    """Commands that are lists, or objects with ``argv`` and ``stdin``, one per line."""

    def _record(self, record: bytes) -> Iterator[Request]:
        if record.isspace() or not record:
            return
        try:
            words, stdin = _command(record)
            yield Request(self._number, words, stdin)
        except KycliError as error:
            yield self._refused(error, self._number)

    @staticmethod
    def reply(reply: Reply) -> bytes:
        err = quoted(reply.err.decode())
        return f'{{"code":{reply.code},"err":{err},"out":{_text_or_base64(reply.out)}}}\n'.encode()


FRAMINGS: dict[str, type[Framing]] = {"": Lines, "null": Nul, "jsonl": JsonLines}
"""By the flag that chooses it."""

_HINT = 'such as ["set","key","value"] or {"argv":["set","key","-"],"stdin":"value"}'


def _command(line: bytes) -> tuple[list[str], bytes | None]:
    try:
        command = json.loads(line.decode())
    except UnicodeDecodeError as error:
        raise FormatError(f"not UTF-8, at byte {error.start + 1}", hint=_HINT) from None
    except (ValueError, RecursionError) as error:
        raise FormatError(f"not JSON: {error}", hint=_HINT) from None
    stdin = None
    if type(command) is dict:
        unknown = command.keys() - {"argv", "stdin"}
        if unknown:
            raise FormatError(f"unknown member {min(unknown)!r}", hint=_HINT)
        if "stdin" in command:
            stdin = _bytes(command["stdin"])
        command = command.get("argv")
    if type(command) is not list or not all(type(word) is str for word in command):
        raise FormatError("not a list of texts", hint=_HINT)
    text = "".join(command)
    if not text.isascii():
        _encoded(text)
    return command, stdin


def _bytes(given: Any) -> bytes:
    if type(given) is str:
        return _encoded(given)
    if type(given) is dict and [*given] == ["$base64"] and type(given["$base64"]) is str:
        return decode_base64(given["$base64"])
    raise FormatError('"stdin" is neither text nor {"$base64": …}', hint=_HINT)


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidValueError(
            "half of a surrogate pair, which is no text",
            hint='bytes are {"$base64": …}, as "stdin"',
        ) from None


def _text_or_base64(data: bytes) -> str:
    try:
        return quoted(data.decode())
    except UnicodeDecodeError:
        return canonical(data)
