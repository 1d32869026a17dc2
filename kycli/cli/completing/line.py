"""Parsing an unfinished command line: its command and flags so far, and what comes next.

It follows the grammar of ``kycli.cli.parse`` and accepts errors, because an unfinished line has
some.
"""

from __future__ import annotations

from kycli.cli.commands import KY, find, known
from kycli.cli.parse import FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

LETTERS = {flag.short[1:]: name for name, flag in FLAGS.items() if flag.short}
"""The flags with a short spelling, by its letter."""


class Line:
    """A command line up to the word that is completed, and the words behind it.

    Attributes:
        program: ``ky`` or the short command that is run, or None for ``kycli``.
        command: the command, or None while there is none, or an unknown one.
        flags: the flags that were given, on both sides, with their last value.
        arguments: what precedes the word: of the command if it is known, else all words.
        later: arguments behind the word.
        awaits: the flag whose value the word is, or "".
        literal: whether the word cannot be a flag.
        foreign: whether the word belongs to another program.
    """

    def __init__(self, words: Sequence[str], program: str | None, after: Sequence[str]) -> None:
        self.program = program
        self.command = None if program is None or program == KY else known(program)
        self.flags: dict[str, str] = {}
        self.arguments: list[str] = []
        self.later: list[str] = []
        self.awaits = ""
        self.literal = False
        self._named = self.command is not None
        self._read(words)
        awaits, literal, arguments = self.awaits, self.literal, self.arguments
        self.foreign = self._is_foreign()
        self.arguments = self.later
        self.awaits = ""
        # The word itself is the value of a flag, an argument, or a flag with its value in it.
        if not self.foreign:
            self._read(after)
        self.awaits, self.literal, self.arguments = awaits, literal, arguments
        if "search" in self.flags and self.command and self.command.takes("search"):
            self.command = known("search").in_scope(f"{KY} search")
        if "n" in self.flags and self.command:
            self.flags.setdefault(self.command.n, self.flags["n"])

    def _is_foreign(self) -> bool:
        own = self.command.own_arguments if self.command else 0
        return bool(own) and len(self.arguments) >= own

    def _read(self, words: Sequence[str]) -> None:
        for word in words:
            if self.awaits:
                self.flags[self.awaits] = word
                self.awaits = ""
            elif self.literal or not self.is_flag(word) or self._is_foreign():
                self._take(word)
            elif word == "--":
                self.literal = True
            elif word[:2] == "--":
                name, equals, value = word[2:].partition("=")
                if name == "version" and self.command and self.command.takes("at-version"):
                    name = "at-version"
                if name in FLAGS:
                    self._give(name, value if equals else None)
            else:
                self._read_letters(word)

    def is_flag(self, word: str) -> bool:
        """Whether a word is a flag, and not a number or a single ``-``."""
        if word[:1] != "-" or word == "-":
            return False
        return word == "-0" or not word[1 + (word[1] == ".") :][:1].isdecimal()

    def _read_letters(self, word: str) -> None:
        for end, letter in enumerate(word[1:], 2):
            name = LETTERS.get(letter)
            if name is None:
                return
            if FLAGS[name].value:
                self._give("n" if letter == "n" else name, word[end:] or None)
                return
            self._give(name, None)

    def _give(self, name: str, value: str | None) -> None:
        if value is None and (name == "n" or FLAGS[name].value):
            self.awaits = name
        else:
            self.flags[name] = value or ""

    def _take(self, word: str) -> None:
        """Take a word that is no flag: the name of the command, of its part, or an argument."""
        if not self._named:
            if self.program is None and word == KY:
                self.program = KY
                return
            self._named = True
            self.command = find(word, self.program) if " " not in word else None
            if self.command is None:
                self.arguments.append(word)
            return
        command = self.command
        if command and not self.arguments:
            for part in command.parts():
                if part.name == f"{command.name} {word}":
                    named = f"{KY} {part.name}"
                    self.command = part.in_scope(named) if self.program == KY else part
                    return
        self.arguments.append(word)

    @property
    def has_command(self) -> bool:
        """Whether the command, known or not, has been named."""
        return self._named
