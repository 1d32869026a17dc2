"""Requests of shells for completions, and the replies: words as typed, and quoted words.

Shells differ in how much they do. bash gives the line as it is typed and inserts the answer as
it is, so words are read and quoted here. zsh and fish quote what they insert. zsh is given the
text to show as well, because it would show control characters in another form than we do.
"""

from __future__ import annotations

import os

from kycli.cli.completing import complete
from kycli.cli.completing.candidates import FILES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kycli.cli.completing.candidates import Candidate, Surroundings

_OPERATORS = frozenset("|&;()")
_REDIRECTIONS = frozenset("<>")
_SPECIAL = frozenset(" \t\"'\\|&;()<>$`*?[]{}!#~^")
_IN_DOUBLE_QUOTES = frozenset('"\\$`')
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "e": "\x1b", "a": "\a", "b": "\b", "f": "\f"}
_DESCRIBED = 60
"""The most characters of a description."""


def answer_bash(arguments: list[str], around: Surroundings) -> bytes:
    """Answer bash: one word a line, quoted, to be inserted for what readline replaces.

    Parameters:
        arguments: ``COMP_WORDBREAKS``, and the line before and behind the cursor.
    """
    breaks, before, behind = arguments
    typed = Typed(before, breaks)
    if typed.is_target:
        return b"files\n"
    program, *words = typed.words or [""]
    after = Typed(f"{behind} ", breaks).words if behind[:1] in (" ", "") else []
    found = complete(words, typed.current, around, program=os.path.basename(program), after=after)
    # The shell completes a file on its own, but not one that is attached to a short flag.
    if _are_files(found) and (typed.current[:1] != "-" or typed.head):
        return b"files\n"
    lines = ["words"]
    for candidate in found:
        if candidate.text.startswith(typed.head):
            text = typed.quoted(candidate.text[len(typed.head) :])
            if text:
                # Inside quotes readline closes them, and no blank may come before that.
                lines.append(text + " " * (not candidate.partial and not typed.quote))
    return "".join(f"{line}\n" for line in lines).encode()


def answer_zsh(arguments: list[str], around: Surroundings) -> bytes:
    """Answer zsh: for each word whether it is whole, the word, and what to show; with NULs.

    Parameters:
        arguments: the program, how many words precede the one under the cursor, these, the word
            up to the cursor, and the words behind it.
    """
    from kycli.cli.terminal import escaped, padded, width

    program, count, *words = arguments
    before, current, after = words[: int(count)], words[int(count)], words[int(count) + 1 :]
    found = complete(before, current, around, program=os.path.basename(program), after=after)
    if _are_files(found) and (current[:1] != "-" or "=" in current):
        return b"files\0"
    shown = [escaped(candidate.text) for candidate in found]
    columns = min(max(map(width, shown), default=0), 40)
    fields = ["words"]
    for candidate, text in zip(found, shown, strict=True):
        what = _description(candidate)
        fields.append("partial" if candidate.partial else "whole")
        fields.append(candidate.text)
        fields.append(f"{padded(text, columns)}  -- {what}" if what else text)
    return "".join(f"{field}\0" for field in fields).encode()


def answer_fish(arguments: list[str], around: Surroundings) -> bytes:
    """Answer fish: each word with a tab and its description, with NULs.

    Parameters:
        arguments: the word up to the cursor as it is typed, how many words precede it, the
            program and those words, and the words behind it.
    """
    typed, count, program, *words = arguments
    before, after = words[: int(count) - 1], words[int(count) - 1 :]
    current = unquoted_by_fish(typed)
    found = complete(before, current, around, program=os.path.basename(program), after=after)
    if _are_files(found) and current[:1] != "-":
        return b"files\0"
    fields = ["words"]
    for candidate in found:
        if "\t" not in candidate.text:  # it would end the word
            fields.append(f"{candidate.text}\t{_description(candidate)}")
    return "".join(f"{field}\0" for field in fields).encode()


ANSWERS: dict[str, Callable[[list[str], Surroundings], bytes]] = {
    "bash": answer_bash,
    "zsh": answer_zsh,
    "fish": answer_fish,
}


def _are_files(found: list[Candidate]) -> bool:
    """Whether these are files, which each shell lists in its own way."""
    return bool(found) and all(candidate.kind in FILES for candidate in found)


def _description(candidate: Candidate) -> str:
    from kycli.cli.terminal import cut, escaped

    return cut(escaped(candidate.description), _DESCRIBED)


class Typed:
    """A line of bash that ends at the cursor.

    Attributes:
        words: the words of the last simple command before the one under the cursor, unquoted.
        current: the word under the cursor, unquoted.
        head: the part of it that readline leaves alone, unquoted.
        quote: the quote that is open in it, or "".
        is_target: whether it is what a redirection goes to.
    """

    def __init__(self, line: str, breaks: str) -> None:
        self.words: list[str] = []
        self.current = ""
        self.head = ""
        self.quote = ""
        self.is_target = False
        self._breaks = frozenset(breaks) - _SPECIAL
        self._in_word = False
        at = 0
        while at < len(line):
            at = self._read(line, at)
        # Assignments before the command.
        while self.words and _is_assignment(self.words[0]):
            del self.words[0]

    def _read(self, line: str, at: int) -> int:
        """Read what begins at a place; return where it ends."""
        char = line[at]
        if self.quote == "'" or (self.quote and char != "\\"):
            closes = char == self.quote[-1]
            if closes:
                self.quote = ""
            else:
                self.current += char
            return at + 1
        if char == "\\":
            return self._escape(line, at + 1)
        if char in " \t\n":
            self._end()
        elif char in "'\"" or line[at : at + 2] == "$'":
            self.quote = "$'" if char == "$" else char
            self.head, self._in_word = self.current, True
            return at + len(self.quote)
        elif char in _OPERATORS or char in _REDIRECTIONS:
            self._operator(char)
        else:
            self.current += char
            self._in_word = True
            if char in self._breaks:
                self.head = self.current
        return at + 1

    def _escape(self, line: str, at: int) -> int:
        self._in_word = True
        escaped = line[at : at + 1]
        if self.quote == "$'" and escaped == "x":
            digits = line[at + 1 : at + 3]
            self.current += chr(int(digits, 16)) if digits.isalnum() else ""
            return at + 3
        if self.quote == "$'":
            escaped = _ESCAPES.get(escaped, escaped)
        elif self.quote == '"' and escaped not in _IN_DOUBLE_QUOTES:
            escaped = f"\\{escaped}"
        self.current += escaped
        return at + 1

    def _operator(self, char: str) -> None:
        """End the word; after ``>`` comes a file, after ``|`` another command."""
        if char in _REDIRECTIONS and self.current.isdecimal():
            self.current, self._in_word = "", False  # the descriptor of 2>file
        self._end()
        if char in _REDIRECTIONS:
            self.is_target = True
        elif not self.is_target:
            self.words = []  # '>&' goes on with a file

    def _end(self) -> None:
        if self._in_word:
            if not self.is_target:
                self.words.append(self.current)
            self.is_target = False
        self.current = self.head = ""
        self._in_word = False

    def quoted(self, text: str) -> str:
        """Return text as it is typed at the end of this line; "" if that is not possible."""
        if self.quote:
            if not text.isprintable():
                return ""  # a line break could only be typed as such
            if self.quote == '"':
                return "".join(f"\\{c}" if c in _IN_DOUBLE_QUOTES else c for c in text)
            return (
                text.replace("\\", "\\\\").replace("'", "\\'")
                if self.quote == "$'"
                else (text.replace("'", "'\\''"))
            )
        return quoted_for_bash(text)


def _is_assignment(word: str) -> bool:
    name, equals, _ = word.partition("=")
    return bool(equals) and name.isidentifier()


def quoted_for_bash(text: str) -> str:
    r"""Return text as a word of bash, on one line and without control characters.

    Only what needs it is quoted, so that words which begin alike are quoted alike.

    >>> print(quoted_for_bash("it's a\nkey"))
    it\'s\ a$'\x0a'key
    """
    parts = []
    for character in text:
        if character in _SPECIAL and character != "\t":
            parts.append(f"\\{character}")
        elif character.isprintable():
            parts.append(character)
        else:
            codes = "".join(f"\\x{byte:02x}" for byte in character.encode())
            if parts and parts[-1].startswith("$'"):
                parts[-1] = f"{parts[-1][:-1]}{codes}'"
            else:
                parts.append(f"$'{codes}'")
    return "".join(parts)


def unquoted_by_fish(text: str) -> str:
    """Return a word of fish as a command gets it; a quote at its end may be open."""
    word = quote = ""
    at = 0
    while at < len(text):
        char = text[at]
        if char == "\\" and at + 1 < len(text):
            following = text[at + 1]
            at += 1
            if not quote:
                word += _ESCAPES.get(following, following)
            else:
                word += following if following in (quote, "\\") else f"\\{following}"
        elif char == quote:
            quote = ""
        elif not quote and char in "'\"":
            quote = char
        else:
            word += char
        at += 1
    return word
