"""The prompt: colours, escaping of control characters, history, completion."""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from typing import TYPE_CHECKING

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.history import History
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
from prompt_toolkit.layout.utils import explode_text_fragments
from prompt_toolkit.lexers import Lexer

from kycli.cli.commands import KY, Command, find, is_program
from kycli.cli.commands.programs.words import Words
from kycli.cli.parse import FLAGS
from kycli.cli.terminal import controls, escaped
from kycli.core.location import make_private, xdg_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prompt_toolkit.document import Document
    from prompt_toolkit.formatted_text import StyleAndTextTuples

    from kycli.cli.completing import Surroundings

# ---------------------------------------------------------------- what is typed

_TOKEN = re.compile(
    r"""
    (?P<blank> [ \t\n]+ )
  | (?P<comment> \#[^\n]* )
  | (?P<word> (?: \\(?s:.) | \$'(?:[^'\\]|\\(?s:.))*(?:'|\Z) | '[^']*(?:'|\Z)
            | "(?:[^"\\]|\\(?s:.))*(?:"|\Z) | [^ \t\n'"\\] | \\\Z )+ )
    """,
    re.X,
)


def commands_of(text: str) -> tuple[list[list[str]], bool]:
    """Return the words of each command in a text, and whether the last one goes on."""
    reader = Words()
    found: list[list[str]] = []
    goes_on = False
    for line in text.split("\n"):
        words = reader.read(os.fsencode(line.replace("\0", "")))
        goes_on = words is None
        if words:
            found.append([os.fsdecode(word) for word in words])
    return found, goes_on


def quoted(word: str) -> str:
    """Return a word as it can be typed."""
    if word and re.fullmatch(r"[\w@%+=:,./~^-]+", word) and word.isprintable():
        return word
    if word.isprintable():
        return "'" + word.replace("'", "'\\''") + "'"
    inner = word.replace("\\", "\\\\").replace("'", "\\'")
    return "$'" + "".join(_escape(c) if controls(c) else c for c in inner) + "'"


def _escape(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        # Only the characters below U+0080 are one byte.
        return f"\\x{number:02x}" if number < 0x80 else f"\\u{number:04x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


class CommandLexer(Lexer):
    """Colours command lines by what the registry knows."""

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        lines: list[StyleAndTextTuples] = [[]]
        for style, text in highlighted(document.text):
            first, *more = text.split("\n")
            lines[-1].append((style, first))
            for rest in more:
                lines.append([(style, rest)])
        return lambda number: lines[number] if number < len(lines) else []


def highlighted(text: str) -> Iterator[tuple[str, str]]:
    """Yield the parts of a text, each with its style."""
    program: str | None = None
    command: Command | None = None
    position, literal = 0, False
    awaits = False  # the value of a flag
    while position < len(text):
        found = _TOKEN.match(text, position)
        assert found is not None, "every character begins a token"
        part, kind = found[0], found.lastgroup
        position = found.end()
        style = ""
        if kind == "comment":
            style = "class:comment"
        elif kind == "blank":
            if "\n" in part:
                program, command, literal, awaits = None, None, False, False
        elif awaits:
            style, awaits = "class:value", False
        elif command is None and part[:1] != "-":
            if part in ("kycli", KY) and program is None:
                program, style = part, "class:command"
            else:
                command = find(part, KY if program == KY else None)
                style = "class:command" if command else "class:unknown"
        elif not literal and part == "--":
            literal, style = True, "class:flag"
        elif not literal and part[:2] == "--":
            name, equals, _ = part[2:].partition("=")
            known = name in FLAGS and (command is None or _takes(command, name))
            style = "class:flag" if known else "class:unknown"
            awaits = known and bool(FLAGS[name].value) and not equals
        elif not literal and re.fullmatch(r"-[a-zA-Z0].*", part):
            style = "class:flag"
        elif part[0] in "'\"" or part[:2] == "$'":
            style = "class:string"
        elif command is not None and any(p.called.endswith(f" {part}") for p in command.parts()):
            command = next(p for p in command.parts() if p.called.endswith(f" {part}"))
            style = "class:command"
        yield style, part


def _takes(command: Command, name: str) -> bool:
    return any(c.takes(name) for c in (command, *command.parts())) or (
        name == "version" and command.takes("at-version")
    )


def command_at(text: str) -> Command | None:
    """Return the command that is being typed, None if there is none yet."""
    found, _ = commands_of(text.rpartition("\n")[2])
    words = [word for word in (found[-1] if found else []) if word[:1] != "-"]
    program = None
    if words and words[0] in (KY, "kycli", "help", "kyh"):
        program = KY if words[0] == KY else None
        words = words[1:] or words[-1:]
    command = find(words[0], program) if words else None
    for part in command.parts() if command and len(words) > 1 else ():
        if part.name == f"{command.name} {words[1]}":  # type: ignore[union-attr]
            return part
    return command


class Harmless(Processor):
    """Shows control characters and what reorders text as escapes: a line may hold any text."""

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        fragments = transformation_input.fragments
        if all(fragment[1].isprintable() for fragment in fragments):
            return Transformation(fragments)
        shown: StyleAndTextTuples = []
        starts = []  # where each character of the line is shown
        at = 0
        for fragment in explode_text_fragments(fragments):
            style, text = fragment[0], fragment[1]
            if controls(text):
                style, text = f"{style} class:escape", escaped(text)
            starts.append(at)
            at += len(text)
            shown.append((style, text))
        starts.append(at)

        def to_display(position: int) -> int:
            return starts[position] if position < len(starts) else at + position - len(starts) + 1

        def to_source(position: int) -> int:
            from bisect import bisect_right

            return bisect_right(starts, position) - 1

        return Transformation(shown, to_display, to_source)


# ---------------------------------------------------------------- history

_MOST_ENTRIES = 10_000
_MOST_BYTES = 4 << 20

_SECRET = re.compile(
    r"passw|passphrase|secret|token|credential|api.?key|private.?key|master.?key|access.?key"
    r"|\bauth\b|authoriz|bearer|\bpwd|\bpin\b|-----BEGIN",
    re.I,
)
"""What a line is not kept for: a key, path or variable that is named so holds a secret."""


def is_secret(line: str) -> bool:
    """Return whether a line is left out of the history."""
    if line[:1].isspace():
        return True
    if not _SECRET.search(line):
        return False
    # To read a secret, or to delete it, gives nothing away.
    command = command_at(line)
    return command is None or (
        any(word in command.arguments for word in ("VALUE", "SUFFIX", "ARGUMENT", "...", "NAME"))
        and command.name not in _SAFE
    )


_SAFE = {"get", "del", "keys", "scan", "help", "ttl", "exists", "persist", "use"}


class CommandHistory(History):
    """Command lines, in a file that nobody else may read."""

    def __init__(self, path: str) -> None:
        self._path = path
        super().__init__()

    def append_string(self, string: str) -> None:
        if not is_secret(string) and string.strip() and self.get_strings()[-1:] != [string]:
            super().append_string(string)

    def load_history_strings(self) -> Iterable[str]:
        try:
            with open(self._path, "rb", opener=_open_file) as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _MOST_BYTES))
                data = file.read().decode("utf-8", "replace")
        except OSError:
            return []
        entries: list[str] = []
        lines: list[str] = []
        for line in [*data.split("\n"), ""]:
            if line.startswith("+"):
                lines.append(line[1:])
            elif lines:
                entries.append("\n".join(lines))
                lines = []
        if size > _MOST_BYTES:
            self._shorten(entries[-_MOST_ENTRIES:])
        return entries[: -_MOST_ENTRIES - 1 : -1]

    def store_string(self, string: str) -> None:
        try:
            make_private(os.path.dirname(self._path))
            file = _open_file(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
            try:
                os.write(file, _entry(string))
            finally:
                os.close(file)
        except OSError:
            pass  # the shell works without

    def _shorten(self, entries: list[str]) -> None:
        """Keep the newest entries, in a new file that takes the place of this one."""
        new = f"{self._path}.{os.getpid()}"
        try:
            file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(file, "wb") as stream:
                stream.write(b"".join(map(_entry, entries)))
            os.replace(new, self._path)
        except OSError:
            pass


def _open_file(path: str, flags: int) -> int:
    """Open a regular file; a pipe would make the shell wait, and a device may have no end.

    Raises:
        OSError: when it cannot be opened, or is something else.
    """
    file = os.open(path, flags | os.O_NONBLOCK, 0o600)
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    raise OSError(errno.EINVAL, "not a regular file", path)


def _entry(string: str) -> bytes:
    lines = "".join(f"+{line}\n" for line in string.split("\n"))
    return f"\n# {time.strftime('%Y-%m-%d %H:%M:%S')}\n{lines}".encode("utf-8", "replace")


def history_path() -> str:
    """Return where the history is kept: ``$XDG_STATE_HOME/kycli/shell_history``."""
    return os.path.join(xdg_dir("XDG_STATE_HOME", ".local/state"), "shell_history")


# ---------------------------------------------------------------- completion


class CommandCompleter(Completer):
    """What the completion engine proposes, as the prompt takes it."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        from kycli.cli.completing import complete

        before = document.text_before_cursor
        begin = _word_start(before)
        typed = before[begin:]
        words = _words(before[:begin])
        program = "kycli"
        if words and (words[0] in (KY, "kycli") or is_program(words[0])):
            program, *words = words
        current = "".join(_words(typed)[:1])
        for candidate in complete(words, current, self._surroundings, program=program):
            end = "" if candidate.partial else " "
            yield Completion(
                quoted_so_far(candidate.text, candidate.partial) + end,
                start_position=begin - len(before),
                display=escaped(candidate.text),
                display_meta=escaped(candidate.description),
            )


def quoted_so_far(word: str, is_partial: bool) -> str:
    """Return a word as it can be typed; without its closing quote if it goes on."""
    text = quoted(word)
    return text[:-1] if is_partial and text[-1:] == "'" else text


def _word_start(text: str) -> int:
    """Return where the last word of a text begins; its end if the text ends with a blank."""
    position = start = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        assert found is not None
        start = found.start() if found.lastgroup == "word" else found.end()
        position = found.end()
    return start


def _words(text: str) -> list[str]:
    """Return the words of the command that a text ends with, also if a quote is open."""
    for closing in ("", "'", '"'):
        found, goes_on = commands_of(text + closing)
        if not goes_on:
            line = text.rpartition("\n")[2] if "\n" in text else text
            return found[-1] if found and line.strip() else []
    return []
