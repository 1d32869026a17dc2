"""The registry: every command, declared once and found by its name.

A family of commands is a folder here. Its ``__init__`` declares them, and its modules hold
their handlers, which are imported only when a command runs. Families are loaded one after the
other until one declares the command, so ``kyg`` and ``kys`` load the first one alone. Dispatch,
the checks of flags and arguments, the help and the manual pages are made from declarations.
"""

from __future__ import annotations

from kycli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

FAMILIES = (
    "values",
    "listing",
    "documents",
    "programs",
    "history",
    "scopes",
    "schemas",
    "transfer",
    "system",
)
"""The families in the order of the help."""

KY = "ky"
"""The program whose first word is a verb: ``ky VERB`` does what ``kycli VERB`` does, to keys of
the current scope."""

UNIVERSAL = ("db", "quiet", "yes", "help", "version")
"""The flags that every command accepts, so that a shell alias can hold them."""

# Flags that many commands take, and what these mean to them.
SCOPE = "scope project namespace "
KEY = SCOPE + "context "
ADDRESS = KEY + "ns-delim "
LISTING = "null json jsonl "
RANGE = "prefix glob after reverse values-only limit "
VALUE_FORMATS = {"json": "VALUE is JSON and keeps its type", "b64": "VALUE is base64"}
PRINTED_NAMES = {
    "json": "print one JSON array of names",
    "jsonl": "print each name as a line of JSON",
}
PRINTED_RECORDS = {
    "json": "print one JSON array of records",
    "jsonl": "print each record as a line of JSON",
}

GIVE_VALUE = "give it, '' for an empty one, or - to read it from standard input"
"""The hint for a missing value."""

_KEYED = ("ADDRESS", "KEY", "SOURCE", "PREFIX")
_PASSED_ON = "[ARGUMENT...]"
_PART = "COMMAND..."
"""In the usage line of a command that has parts."""


class NoCommandError(UsageError):
    """There is no command to run; the help is the answer.

    Attributes:
        program: ``ky``, or None for ``kycli``.
    """

    def __init__(self, program: str | None) -> None:
        super().__init__("no command given")
        self.program = program


class Short:
    """The short form of a command: a program that takes keys of the current scope.

    Attributes:
        name: the program, such as ``kyg``.
        examples: command lines for its help.
        flags: what it takes beside the flags of the command.
        notes: what its help says beside that of the command.
    """

    __slots__ = ("examples", "flags", "name", "notes")

    def __init__(self, name: str, *examples: str, flags: str = "", notes: str = "") -> None:
        self.name = name
        self.examples = examples
        self.flags = flags.split()
        self.notes = notes


class Command:
    """The declaration of a command.

    Attributes:
        name: what is typed after ``kycli``. A name that begins with ``ky`` is a short command
            that has no long form.
        handler: the function that does the work, as ``FAMILY.MODULE.FUNCTION``; only the
            family for a command that does nothing without a part, such as ``admin``.
        arguments: what the usage line says. Arguments in [brackets] are optional, and ``...``
            takes any number. All words from ``[ARGUMENT...]`` on are another program's.
        summary: the first line of its help.
        flags: the names of its flags, without the universal ones.
        meanings: by flag, what it means to this command, where ``FLAGS`` is too general.
        repeatable: the flags that may be given more than once; commas join their values.
        n: the flag that ``-n`` stands for.
        also: its other names.
        short: its short form, if it has one.
        notes: the paragraphs of its help. ADDRESS becomes KEY in those of its short form.
        examples: command lines for its help.
        alone: "process" for a command that needs a process of its own, "terminal" for one that
            gives the terminal to another program, "transaction" for one that does more than a
            transaction of the store can take back, else "".
        full_name: what is typed: ``kycli get``, ``kyg`` or ``ky get``.
        is_short: whether its arguments are keys of the current scope, and not addresses.
        limits: how many arguments it takes at least and at most, once somebody has asked.
        module: the one that the handler is in, once it was imported.
    """

    __slots__ = (
        *("alone", "also", "arguments", "examples", "flags", "full_name", "handler", "meanings"),
        *("is_short", "limits", "module", "n", "name", "notes", "repeatable", "short", "summary"),
    )

    def __init__(
        self,
        name: str,
        handler: str,
        arguments: str,
        summary: str,
        *,
        flags: str = "",
        meanings: dict[str, str] | None = None,
        repeatable: str = "",
        n: str = "namespace",
        also: str = "",
        short: Short | None = None,
        notes: str = "",
        examples: tuple[str, ...] = (),
        alone: str = "",
    ) -> None:
        self.name = name
        self.alone = alone
        self.handler = handler
        self.arguments = arguments
        self.summary = summary
        self.flags = flags.split()
        self.meanings = meanings or {}
        self.repeatable = repeatable.split()
        self.n = n
        self.also = also
        self.short = short
        self.notes = notes
        self.examples = examples
        self.is_short = name.startswith(KY)
        self.full_name = name if self.is_short else f"kycli {name}"
        self.limits: tuple[int, float] | None = None
        self.module: ModuleType | None = None

    def in_scope(self, full_name: str) -> Command:
        """Return this command as ``kyg`` and ``ky get`` know it: for keys of the current scope."""
        command = Command.__new__(Command)
        for attribute in Command.__slots__:
            setattr(command, attribute, getattr(self, attribute))
        command.full_name = full_name
        command.is_short = not full_name.startswith("kycli ")
        if self.takes_keys:
            arguments = self.arguments.removeprefix("[PROJECT.NAMESPACE] ")
            command.arguments = arguments.replace("ADDRESS", "KEY")
            command.flags = [flag for flag in self.flags if flag != "ns-delim"]
            command.limits = None
        if self.short:
            command.flags = command.flags + self.short.flags
            command.examples = self.short.examples
        return command

    def load(self) -> Callable[..., int]:
        """Import the handler, which takes environment and arguments and returns the exit code."""
        module, _, function = self.handler.rpartition(".")
        if self.module is None:
            self.module = _loaded(module, function)
        handler: Callable[..., int] = getattr(self.module, function)
        return handler

    def takes(self, flag: str) -> bool:
        return flag in self.flags or flag in UNIVERSAL

    @property
    def family(self) -> str:
        return self.handler.partition(".")[0]

    @property
    def called(self) -> str:
        """The name without ``kycli`` or ``ky``: ``get``, ``kyg``."""
        return self.full_name.partition(" ")[2] or self.full_name

    @property
    def takes_keys(self) -> bool:
        return any(word in self.arguments for word in _KEYED)

    @property
    def own_arguments(self) -> int:
        """How many arguments precede those that are passed on to a program; 0 if none are."""
        # Few have any, and to search text takes less than to split it.
        return self.arguments.split().index(_PASSED_ON) if _PASSED_ON in self.arguments else 0

    @property
    def usage(self) -> str:
        """The usage line: ``kycli get [FLAGS] ADDRESS...``."""
        return f"{self.full_name} [FLAGS] {self.arguments}".rstrip()

    def usage_hint(self) -> str:
        parts = [part.name.removeprefix(f"{self.name} ") for part in self.parts()]
        return f"it takes one of: {', '.join(parts)}" if parts else f"usage: {self.usage}"

    def parts(self) -> list[Command]:
        """Return the commands of this command, such as those of ``admin``."""
        if _PART not in self.arguments:
            return []
        return [part for part in declared(self.family) if part.name.startswith(f"{self.name} ")]

    def check_arguments(self, arguments: list[str]) -> None:
        """Hold the arguments to the usage line.

        Raises:
            UsageError: naming what is missing, unknown or too much.
        """
        if self.limits is None:
            words = self.arguments.split()
            least = len([word for word in words if word[0] != "["])
            self.limits = least, float("inf") if "..." in self.arguments else len(words)
        if self.limits[0] <= len(arguments) <= self.limits[1] and _PART not in self.arguments:
            return
        expected = self.arguments.split()
        required = [word for word in expected if word[0] != "["]
        if len(arguments) < len(required):
            missing = " and ".join(word.rstrip(".") for word in required[len(arguments) :])
            # What can be given in base64 can be read from standard input.
            takes_input = missing in ("VALUE", "SUFFIX") and "b64" in self.flags
            hint = GIVE_VALUE if takes_input else self.usage_hint()
            raise UsageError(f"'{self.called}' needs {missing}", hint=hint)
        if arguments and self.parts():
            raise unknown_part(self, arguments[0])
        if len(arguments) > len(expected) and "..." not in self.arguments:
            raise UsageError(
                f"'{self.called}' does not expect {arguments[len(expected)]!r}",
                hint=f"{self.usage_hint()}; quote what contains blanks",
            )


def _loaded(module: str, name: str) -> ModuleType:
    # Like importlib.import_module, which would have to be imported itself.
    return __import__(f"{__name__}.{module}", None, None, (name,))


def declared(family: str) -> tuple[Command, ...]:
    """Return the commands that a family declares."""
    commands: tuple[Command, ...] = _loaded(family, "COMMANDS").COMMANDS
    return commands


def heading(family: str) -> str:
    """Return the heading of a family in the help."""
    title: str = _loaded(family, "HEADING").HEADING
    return title


def find(word: str, program: str | None = None) -> Command | None:
    """Return the command that a word names, None if there is none.

    ``ky get`` is ``get`` for keys of the current scope, and ``ky g`` is ``kyg``.

    Parameters:
        program: ``ky``, or None for ``kycli``.
    """
    found = _FOUND.get((word, program))
    if found is None and word:  # not an empty variable
        found = _search(word, program)
        if found is not None:
            _FOUND[word, program] = found
    return found


_FOUND: dict[tuple[str, str | None], Command] = {}


def _search(word: str, program: str | None) -> Command | None:
    names = (word, KY + word) if program == KY else (word,)
    for family in FAMILIES:
        for command in declared(family):
            if command.is_short and command.name in names:
                return command
            if word in (command.name, command.also):
                return command.in_scope(f"{KY} {command.name}") if program == KY else command
            if command.short and command.short.name in names:
                return command.in_scope(command.short.name)
    return None


def known(name: str) -> Command:
    """Return a command that is known to exist."""
    command = find(name)
    assert command is not None
    return command


def resolve(words: list[str], program: str | None = None) -> tuple[Command, list[str]]:
    """Return the command that the program or else the first words name, and the other words.

    Parameters:
        program: the short command that was called, or ``ky``; None for ``kycli``.

    Raises:
        NoCommandError: when there are no words.
        UsageError: for an unknown command, with the nearest names.
    """
    if program is not None and program != KY:
        return known(program), words
    if not words:
        raise NoCommandError(program)
    command = None if " " in words[0] else find(words[0], program)
    if command is None:
        raise unknown_command(words[0], known_names(), program)
    for part in command.parts() if len(words) > 1 else ():
        if part.name == f"{command.name} {words[1]}":
            return part.in_scope(f"{KY} {part.name}") if program == KY else part, words[2:]
    return command, words[1:]


def all_commands() -> dict[str, Command]:
    """Return all commands by name, with the short ones at the end."""
    commands = [command for family in FAMILIES for command in declared(family)]
    commands += [c.in_scope(c.short.name) for c in commands if c.short]
    return {c.called: c for c in sorted(commands, key=lambda c: c.is_short)}


def short_names() -> list[str]:
    """Return the names of the short commands, which are programs of their own."""
    return [name for name, command in all_commands().items() if command.is_short]


def is_program(name: str) -> bool:
    """Whether a short command has this name."""
    command = find(name) if name.startswith(KY) and name not in (KY, "kycli") else None
    return command is not None and command.is_short


def aliases() -> dict[str, str]:
    """Return the other names of commands, with what they stand for."""
    return {c.also: c.name for c in all_commands().values() if c.also}


def known_names() -> list[str]:
    return [*all_commands(), *aliases()]


def unknown_command(name: str, known: list[str], program: str | None = None) -> UsageError:
    """Return the error for a command that is not ``known``, with the nearest of those."""
    from kycli.cli.suggest import nearest

    hint = nearest(name, known) or f"'{program or 'kycli'} help' lists the commands"
    return UsageError(f"unknown command {name!r}", hint=hint)


def unknown_part(command: Command, name: str) -> UsageError:
    """Return the error for a command of ``command`` that does not exist."""
    from kycli.cli.suggest import nearest

    names = [part.name.removeprefix(f"{command.name} ") for part in command.parts()]
    hint = nearest(name, names) or command.usage_hint()
    return UsageError(f"unknown command '{command.name} {name}'", hint=hint)
