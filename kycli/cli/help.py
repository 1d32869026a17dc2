"""The texts of the help, made from the registry."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, NamedTuple

from kycli.cli.commands import (
    FAMILIES,
    KY,
    UNIVERSAL,
    Command,
    all_commands,
    declared,
    heading,
    known,
    short_names,
)
from kycli.cli.parse import FLAGS
from kycli.cli.topics import TOPICS, related

if TYPE_CHECKING:
    from kycli.cli.env import Environment

# What the notes of a command say of its arguments and flags, whichever command it is.
_ADDRESSED = {
    "SOURCE": """\
Both are addresses, and may be in different scopes. With --scope, -p or -n both
are keys of that scope.""",
    "ADDRESS": "With --scope, -p or -n an argument is a key of that scope, not an address.",
    "PREFIX": """\
A first argument that contains the delimiter is a scope, PROJECT.NAMESPACE.
Otherwise it is a prefix in the current scope. With --scope, -p or -n the only
argument is a prefix.""",
}
_IN_SCOPE = {
    "SOURCE": "SOURCE and DESTINATION are keys of the current scope, and may contain dots.",
    "KEY": "KEY may contain dots.",
}
_PATH_IN_KEY = """\
If there is no such key, what follows the longest key that it begins with is a
path into its JSON value. With --path, KEY is only the key."""

_USAGE = "kycli [FLAGS] COMMAND [ARGUMENTS]"

WHAT = "A key-value store: one SQLite file, many isolated scopes, values that expire."

_FIRST = ("kys", "kyg", "kyl", "kyd")
"""The commands that the first screen of help explains."""

_SHELL = "kyshell"

_READ_ON = "'kycli help COMMAND' explains a command or topic, 'kycli help --all' shows all."
"""The last line of the first screen."""

_EXIT_CODES = "Exit codes: 0 done, 1 an error, 2 no such key, 130 interrupted."

INTRODUCTION = """\
An ADDRESS is PROJECT.NAMESPACE.KEY, or NAMESPACE.KEY in the current project, or
KEY in the current scope. The short commands take a KEY in the current scope. A
SCOPE is PROJECT or PROJECT.NAMESPACE."""

KY_INTRODUCTION = """\
Does what 'kycli VERB' does, to keys of the current scope: a KEY is never an
address, and may hold dots. -p, -n and --scope choose another scope. The other
commands can be called so too: 'ky undo' is 'kycli undo', and 'ky l' is 'kyl'."""


class FlagHelp(NamedTuple):
    """A flag of a command, as its help shows it.

    Attributes:
        short: ``-d``, or "".
        name: ``--db``.
        value: what follows it, "" for a switch.
        meaning: what it means to this command.
    """

    short: str
    name: str
    value: str
    meaning: str


def screen(env: Environment | None = None) -> str:
    """Return the help of ``kycli`` on one screen: what there is, and where to read on."""
    lines = [f"{_heading(env, 'Usage')} {_USAGE}, or {_SHELL} to have a prompt", WHAT, ""]
    lines += [*map(_summary, map(known, _FIRST)), _ky_line(), ""]
    listed = {
        title.split()[0]: [command.name for command in commands if " " not in command.name]
        for title, commands in sections().items()
    }
    listed["Short"] = [name for name in short_names() if name not in (*_FIRST, _SHELL)]
    listed["Topics"] = list(TOPICS)
    for title, names in listed.items():
        first, *more = textwrap.wrap(" ".join(names), 80 - 11, break_on_hyphens=False)
        lines += [f"{_heading(env, title)}{' ' * (10 - len(title))}{first}"]
        lines += [f"{'':11}{rest}" for rest in more]
    lines += [_READ_ON]
    return "\n".join(lines) + "\n"


def overview(env: Environment | None = None, program: str | None = None) -> str:
    """Return the help on all commands of a program.

    Parameters:
        env: the environment to style it for, if any.
        program: ``ky``, whose help lists the verbs that take keys; or None for ``kycli``.
    """
    usage, introduction = _USAGE, f"{WHAT}\n\n{INTRODUCTION}"
    if program == KY:
        usage, introduction = f"{KY} [FLAGS] VERB [ARGUMENTS]", KY_INTRODUCTION
    lines = [f"{_heading(env, 'Usage')} {usage}", "", introduction]
    for title, commands in sections(program).items():
        lines += ["", _heading(env, title), *map(_summary, commands)]
    if program is None:
        lines += ["", _heading(env, "Short commands"), *map(_summary, short_commands())]
        lines += [_ky_line()]
        lines += ["", _heading(env, "Topics"), *map(_topic_summary, TOPICS)]
    lines += ["", _heading(env, "Flags of every command")]
    lines += map(_line, [*_flags(list(UNIVERSAL)), _no_flag()])
    explained = "'kycli help COMMAND' explains a command or topic"
    if program == KY:
        explained = f"'{KY} help VERB' explains a verb"
    lines += [
        "",
        f"{explained}.",
        "Exit codes: 0 done, 1 an error, 2 no such key, 130 interrupted.",
    ]
    return "\n".join(lines) + "\n"


def page(env: Environment, command: Command) -> str:
    """Return the help on one command."""
    lines = [f"{_heading(env, 'Usage')} {command.usage}", "", _sentence(command.summary)]
    notes = notes_of(command)
    if notes:
        lines += ["", notes]
    if command.parts():
        lines += ["", _heading(env, "Commands"), *map(_summary, command.parts())]
    lines += ["", _heading(env, "Flags"), *map(_line, flags_of(command))]
    lines += ["", _heading(env, "Examples"), *(f"  {line}" for line in examples(command))]
    topics = topics_of(command)
    if topics:
        lines += ["", _heading(env, "See also 'kycli help TOPIC'"), *map(_topic_summary, topics)]
    return "\n".join(lines) + "\n"


def notes_of(command: Command) -> str:
    """Return the description of a command, "" when its summary says all."""
    notes = [command.notes.replace("ADDRESS", "KEY") if command.is_short else command.notes]
    if "scope" in command.flags:
        kinds = _IN_SCOPE if command.is_short else _ADDRESSED
        notes += [text for word, text in kinds.items() if word in command.arguments]
    if "path" in command.flags and command.is_short:
        notes.append(_PATH_IN_KEY)
    if command.is_short and command.short:
        notes.append(command.short.notes)
    return "\n".join(filter(None, notes))


def flags_of(command: Command) -> list[FlagHelp]:
    """Return the flags of a command with what they mean to it."""
    # Every command accepts -y, but few ask.
    names = [name for name in FLAGS if command.takes(name)]
    flags = _flags([name for name in names if name != "yes" or name in command.flags], command)
    if command.arguments:
        flags += [_no_flag(": a key may begin with '-'" if command.takes_keys else "")]
    return flags


def topics_of(command: Command) -> list[str]:
    """Return the names of the topics that explain what a command takes."""
    topics = related(command.arguments, command.flags)
    return [name for name in topics if name != "addresses" or not command.is_short]


def sections(program: str | None = None) -> dict[str, list[Command]]:
    """Return the commands of ``kycli``, or the verbs of ``ky``, by the heading of the help."""
    found: dict[str, list[Command]] = {}
    for family in FAMILIES:
        commands = [command for command in declared(family) if not command.is_short]
        if program == KY:
            commands = [c.in_scope(f"{KY} {c.name}") for c in commands if c.takes_keys]
        if commands:
            found.setdefault(heading(family), []).extend(commands)
    return found


def short_commands() -> list[Command]:
    return [command for command in all_commands().values() if command.is_short]


def topic(env: Environment, name: str) -> str:
    """Return a help topic."""
    summary, text, _ = TOPICS[name]
    return f"{env.styled(_sentence(summary), '1')}\n\n{text}\n"


def examples(command: Command) -> list[str]:
    """Return command lines that show what a command is for.

    Those of ``ky`` are made from those of its short command, or from those of ``kycli`` as far
    as they name no other scope.
    """
    if not command.is_short:
        return list(command.examples)
    if command.short:
        program = command.short.name
        name = command.full_name
        return [f"{text} ".replace(f"{program} ", f"{name} ").rstrip() for text in command.examples]
    if command.full_name == command.name:
        return list(command.examples)
    plain = [text for text in command.examples if f"{_ELSEWHERE}." not in text]
    if not command.takes_keys:
        plain = list(command.examples)
    elif not plain:
        plain = [" ".join(_key_of(word) for word in command.examples[0].split(" "))]
    return [text.replace("kycli ", f"{KY} ") for text in plain]


_ELSEWHERE = "alpha"
"""The project of the examples that are about another scope than the current one."""


def _key_of(word: str) -> str:
    return word.rpartition(".")[2] if word.startswith(f"{_ELSEWHERE}.") else word


def _heading(env: Environment | None, text: str) -> str:
    return env.styled(f"{text}:", "1") if env else f"{text}:"


def _sentence(summary: str) -> str:
    return f"{summary[0].upper()}{summary[1:]}."


def _ky_line() -> str:
    return f"  {f'{KY} VERB KEY...':20}run a kycli command on keys of the current scope"


def _summary(command: Command) -> str:
    return f"  {command.called:20}{command.summary}"


def _topic_summary(name: str) -> str:
    return f"  {name:20}{TOPICS[name].summary}"


def _no_flag(so: str = "") -> FlagHelp:
    return FlagHelp("", "--", "", f"end of the flags{so}")


def _flags(names: list[str], command: Command | None = None) -> list[FlagHelp]:
    flags = []
    for name in names:
        flag = FLAGS[name]
        short, meaning = flag.short, flag.meaning
        if command:
            meaning = command.meanings.get(name, meaning)
            if command.n == "limit":
                short = {"limit": "-n", "namespace": ""}.get(name, short)
        flags.append(FlagHelp(short, f"--{name}", flag.value, meaning))
    return flags


def _line(flag: FlagHelp) -> str:
    left = f"{flag.short + ',' if flag.short else '':4}{flag.name} {flag.value}"
    return f"  {left:28}{flag.meaning}"
