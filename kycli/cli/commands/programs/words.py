r"""Lines of words, quoted as in a shell.

Words are separated by blanks. Between single quotes everything is literal; between double quotes
``\`` escapes ``"``, ``\``, ``$`` and a backquote; in ``$'…'`` it has the escapes of bash (``\n``,
``\t``, ``\x1b``, ``\u20ac``). Elsewhere it escapes the next character. A word that begins with
``#`` begins a comment. Nothing is expanded. So the words that ``printf %q`` of bash or
``shlex.quote`` of Python quotes are read as they were.
"""

from __future__ import annotations

import re

_SPECIAL = re.compile(rb"['\"\\#\r\v\f]")
_PLAIN = re.compile(rb"[^ \t'\"\\$]+|\$")
_IN_DOUBLE_QUOTES = re.compile(rb'[^"\\]+')
_TO_QUOTE = re.compile(rb"[^'\\]*(?:\\.[^'\\]*)*", re.S)
_ESCAPE = re.compile(
    rb"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|U([0-9a-fA-F]{1,8})|c(.)|(.))",
    re.S,
)
_ESCAPED = {
    bytes([name]): bytes([byte])
    for name, byte in zip(b"ntrabvfeE\\'\"?", b"\n\t\r\a\b\v\f\x1b\x1b\\'\"?", strict=True)
}


class Words:
    """Reads the words of commands from their lines.

    Attributes:
        quote: the quote that is open, so that the command goes on in the next line; or "".
    """

    def __init__(self) -> None:
        self.quote = b""
        self._continued = False  # by a backslash at the end of the line
        self._words: list[bytes] = []
        self._word: bytearray | None = None  # None: between words

    def read(self, line: bytes) -> list[bytes] | None:
        """Read a line, without its end; return the words, or None if the command goes on."""
        if not (self.quote or self._continued) and not _SPECIAL.search(line):
            return line.split()
        self._continued = False
        position = 0
        while position < len(line):
            position = self._step(line, position)
        if self._continued:
            return None
        if self.quote:
            self._add(b"\n")
            return None
        self._end_word()
        words, self._words = self._words, []
        return words

    def _step(self, line: bytes, position: int) -> int:
        """Read what comes next; return where it ends."""
        if self.quote == b"'":
            return self._to_close(line, position, line.find(b"'", position))
        if self.quote == b"$'":
            end = _TO_QUOTE.match(line, position).end()  # type: ignore[union-attr]
            return self._to_close(line, position, end if line[end : end + 1] == b"'" else -1)
        char = line[position : position + 1]
        if char == b"\\":
            return self._backslash(line, position + 1)
        if self.quote:
            if char == b'"':
                self.quote = b""
                return position + 1
            return self._take(_IN_DOUBLE_QUOTES, line, position)
        if char in b" \t" or (char == b"\r" and position + 1 == len(line)):
            self._end_word()
        elif char == b"#" and self._word is None:
            return len(line)
        elif char in b"'\"":
            self._open(char)
        elif line[position : position + 2] == b"$'":
            self._open(b"$'")
            return position + 2
        else:
            return self._take(_PLAIN, line, position)
        return position + 1

    def _open(self, quote: bytes) -> None:
        self.quote = quote
        self._add(b"")

    def _take(self, pattern: re.Pattern[bytes], line: bytes, position: int) -> int:
        found = pattern.match(line, position)
        assert found is not None
        text = found[0]
        if not self.quote and found.end() == len(line):
            text = text.removesuffix(b"\r")
        if text:
            self._add(text)
        return found.end()

    def _to_close(self, line: bytes, position: int, end: int) -> int:
        """Take what is quoted, up to the closing quote at ``end``, or the line if that is -1."""
        text = line[position:] if end < 0 else line[position:end]
        if self.quote == b"$'":
            # A backslash before the end of the line is none before a newline.
            text = _ESCAPE.sub(_unescaped, text)
        self._add(text)
        if end < 0:
            return len(line)
        self.quote = b""
        return end + 1

    def _backslash(self, line: bytes, position: int) -> int:
        escaped = line[position : position + 1]
        if not escaped or (escaped == b"\r" and position + 1 == len(line) and not self.quote):
            self._continued = True
            return len(line)
        if self.quote and escaped not in b'"\\$`':
            escaped = b"\\" + escaped
        self._add(escaped)
        return position + 1

    def _add(self, text: bytes) -> None:
        if self._word is None:
            self._word = bytearray()
        self._word += text

    def _end_word(self) -> None:
        if self._word is not None:
            self._words.append(bytes(self._word))
            self._word = None


def _unescaped(found: re.Match[bytes]) -> bytes:
    """Return what an escape of ``$'…'`` stands for; an unknown one stands for itself."""
    octal, two, four, eight, control, other = found.groups()
    if octal:
        return bytes([int(octal, 8) & 255])
    if two:
        return bytes([int(two, 16)])
    if four or eight:
        number = int(four or eight, 16)
        return chr(number).encode("utf-8", "surrogatepass") if number < 0x110000 else found[0]
    if control:
        return bytes([ord(control) & 31])
    return _ESCAPED.get(other, found[0])
