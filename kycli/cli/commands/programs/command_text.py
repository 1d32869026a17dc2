"""Reading a stored command as sh does: whether arguments can be added to its end.

After most texts an argument would become another command (``x=1``, ``!``, ``2>/dev/null``), get
lost, or name a file to write. So arguments are only added to one simple command: words, the
first of which names the program, with assignments before it and redirections anywhere. If
shells could read a text in different ways, it is refused.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_DEEPEST = 50
_OPERATORS = b";&|()"
_REDIRECTION = re.compile(rb"(?:>>|>\||>&|<&|<>|<|>)")
_HERE_DOCUMENT = re.compile(rb"<<(-?)[ \t]*")
_ARGUMENT = re.compile(rb"\$(?:[1-9@*#]|\{[#!]?[1-9@*#])")
_NAME = re.compile(rb"\$[A-Za-z_][A-Za-z0-9_]*|\$[0-9@*#?$!-]")
_ASSIGNMENT = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*(?:\[[^\]]*\])?\+?=")
_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_RESERVED = frozenset(
    b"! { } case do done elif else esac fi for if in then until while "
    b"[[ ]] coproc function select".split()
)


class Reading(NamedTuple):
    """How sh reads a text.

    Attributes:
        uses_arguments: whether the text contains ``$1``, ``$@``, ``$*`` or ``$#``, not counting
            single quotes, comments, and after a backslash.
        obstacle: why no arguments can be added to its end, or "".
    """

    uses_arguments: bool
    obstacle: str


def read(text: bytes) -> Reading:
    """Read the text of a command.

    >>> read(b"printf '%s' x")
    Reading(uses_arguments=False, obstacle='')
    >>> read(b'cd d && ls "$1"')
    Reading(uses_arguments=True, obstacle="it holds '&'")
    """
    reader = _Reader(text)
    reader.read_commands()
    return Reading(reader.uses_arguments, reader.obstacle or reader.missing_command())


class _Word(NamedTuple):
    """A word of a command.

    Attributes:
        plain: its text up to the first quote or variable.
        is_plain: whether that is all of it.
        certain: whether it is a word even if all variables in it are empty.
    """

    plain: bytes
    is_plain: bool
    certain: bool


class _Reader:
    """Reads a text once, from start to end.

    Attributes:
        obstacle: the first reason why it is not a simple command, or "".
        commands: the number of words, from the name of the command on.
        certain: whether one of them remains even if all variables are empty.
    """

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.at = 0
        self.depth = 0
        self.uses_arguments = False
        self.obstacle = ""
        self.commands = 0
        self.certain = False
        self.here_documents: list[tuple[bytes, bool, bool]] = []

    def blocked(self, obstacle: str) -> None:
        self.obstacle = self.obstacle or obstacle

    def missing_command(self) -> str:
        if not self.commands:
            return "it names no command"
        return "" if self.certain else "what it runs is known only at run time"

    # Commands

    def read_commands(self) -> None:
        """Read the text as words and what separates them."""
        text, end = self.text, len(self.text)
        is_target = False  # whether the next word belongs to a redirection
        while self.at < end:
            char = text[self.at : self.at + 1]
            if char in (b" ", b"\t"):
                self.at += 1
            elif text.startswith(b"\\\n", self.at):
                self.at += 2
            elif char == b"\n":
                self.blocked("it is several lines")
                self.at += 1
                self.skip_here_documents()
            elif char == b"#":
                self.blocked("it holds a comment")
                self.skip_line()
            elif char in (b"<", b">"):
                is_target = self.read_redirection()
            elif char[0] in _OPERATORS:
                self.blocked(f"it holds {char.decode()!r}")
                self.at += 1
            else:
                word = self.read_word()
                chooses_file = text[self.at : self.at + 1] in (b"<", b">") and (
                    word.plain.isdigit() or word.plain[:1] == b"{"  # 2>file, {name}>file
                )
                if is_target:
                    is_target = False
                elif not chooses_file and (self.commands or not _ASSIGNMENT.match(word.plain)):
                    if not self.commands and word.is_plain and word.plain in _RESERVED:
                        self.blocked(f"it begins with {word.plain.decode()!r}")
                    self.commands += 1
                    self.certain |= word.certain
        if is_target:
            self.blocked("it ends in a redirection")

    def read_word(self) -> _Word:
        text, end = self.text, len(self.text)
        plain = bytearray()
        is_plain, certain, has_braces = True, False, False
        while self.at < end:
            char = text[self.at]
            if text.startswith(b"\\\n", self.at):
                self.at += 2
            elif char in b" \t\n<>" or char in _OPERATORS:
                break
            elif char in b"\\'\"$`":
                is_plain = False
                certain |= self.read_special()
            else:
                certain = True
                has_braces |= char == 0x7B
                if is_plain:
                    plain.append(char)
                self.at += 1
        # Some shells expand {,} to two empty words, and $X{a,b} to the words $Xa and $Xb.
        return _Word(bytes(plain), is_plain, certain and not has_braces)

    def read_special(self) -> bool:
        """Read a quote, an escape or a variable; return whether it cannot be empty."""
        text, char = self.text, self.text[self.at : self.at + 1]
        if char == b"\\":
            if self.at + 1 == len(text):
                self.blocked("it ends in a backslash")
            self.at += 2
            return True
        if char == b"'":
            self.at = self.past(text.find(b"'", self.at + 1))
            return True
        if char == b'"':
            start = self.at
            self.at += 1
            self.read_quoted(b'"')
            return b"[@]" not in text[start : self.at]  # "${A[@]}" may be no word at all
        if char == b"`":
            self.read_backquoted()
            return False
        return self.read_variable()

    def past(self, found: int) -> int:
        """Return the position after a quote that was found, or the end if it is missing."""
        if found < 0:
            self.blocked("a quote in it is not closed")
            return len(self.text)
        return found + 1

    def read_quoted(self, closing: bytes) -> None:
        """Read text in double quotes, or in the braces of a variable, past its end."""
        text, end = self.text, len(self.text)
        while self.at < end:
            char = text[self.at : self.at + 1]
            if char == closing:
                self.at += 1
                return
            if char == b"\\":
                self.at += 2
            elif char == b"$":
                self.read_variable()
            elif char == b"`":
                self.read_backquoted()
            elif closing == b"}" and char in (b"'", b'"'):
                self.read_special()
            else:
                self.at += 1
        self.past(-1)

    def read_backquoted(self) -> None:
        """Read a command in backquotes, where a backslash does not hide a variable."""
        start = self.at
        self.at += 1
        while self.text[self.at : self.at + 1] not in (b"`", b""):
            self.at += 2 if self.text[self.at] == 0x5C else 1
        self.at = self.past(self.at if self.at < len(self.text) else -1)
        self.uses_arguments |= _ARGUMENT.search(self.text, start, self.at) is not None

    def read_variable(self) -> bool:
        """Read what begins with a dollar sign; return whether that is a plain dollar sign."""
        text = self.text
        if _ARGUMENT.match(text, self.at):
            self.uses_arguments = True
        name = _NAME.match(text, self.at)
        if text.startswith(b"\\\n", name.end() if name else self.at + 1):
            self.blocked("a variable in it goes on in the next line")
        if name:
            self.at = name.end()
            return False
        following = text[self.at + 1 : self.at + 2]
        if following in (b"'", b'"'):
            self.blocked("it contains a '$' and a quote, which shells read differently")
        if following not in (b"{", b"("):
            self.at += 1
            return True
        if self.depth == _DEEPEST:
            self.blocked("it is nested too deeply")
            self.at = len(text)
            return False
        self.depth += 1
        self.at += 2
        if following == b"{":
            self.read_quoted(b"}")
        else:
            self.read_substitution(is_number=text.startswith(b"(", self.at))
        self.depth -= 1
        return False

    def read_substitution(self, is_number: bool) -> None:
        """Read the text in ``$(…)`` or ``$((…))``, past its end."""
        text, end, open_ones = self.text, len(self.text), 1
        begins_word = True
        while self.at < end:
            char = text[self.at : self.at + 1]
            if char == b"#" and begins_word and not is_number:
                self.skip_line()
                continue
            begins_word = char in (b" ", b"\t", b"\n") or char[0] in _OPERATORS
            if char in (b"\\", b"'", b'"', b"$", b"`"):
                self.read_special()
                continue
            if text.startswith(b"<<", self.at) and not is_number:
                self.blocked("it holds a here-document")
            self.at += 1
            open_ones += (char == b"(") - (char == b")")
            if not open_ones:
                return
        self.blocked("a parenthesis in it is not closed")

    # Between commands

    def skip_line(self) -> None:
        found = self.text.find(b"\n", self.at)
        self.at = len(self.text) if found < 0 else found

    def read_redirection(self) -> bool:
        """Read a redirection operator; return whether the next word is its file."""
        found = _HERE_DOCUMENT.match(self.text, self.at)
        if found:
            self.blocked("it holds a here-document")
            self.at = start = found.end()
            self.read_word()
            word = self.text[start : self.at]
            quoted = any(quote in word for quote in (b"'", b'"', b"\\"))
            end = _ESCAPED.sub(lambda pair: pair[0][1:], word).translate(None, b"'\"")
            self.here_documents.append((end, bool(found[1]), quoted))
            return False
        sign = _REDIRECTION.match(self.text, self.at)
        assert sign is not None
        self.at = sign.end()
        return True

    def skip_here_documents(self) -> None:
        """Skip the lines of here-documents; without quotes, variables in them count."""
        for end, indented, quoted in self.here_documents:
            start = self.at
            while self.at < len(self.text):
                line_start = self.at
                self.skip_line()
                line = self.text[line_start : self.at]
                self.at += 1
                if (line.lstrip(b"\t") if indented else line) == end:
                    break
            if not quoted:
                body = _ESCAPED.sub(b"", self.text[start : self.at])
                self.uses_arguments |= _ARGUMENT.search(body) is not None
        self.here_documents.clear()
