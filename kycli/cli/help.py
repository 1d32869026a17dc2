"""Help, made from the registry; and the version."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, NamedTuple

from kycli.cli.parse import COUNTED, FLAGS, VERSIONED
from kycli.cli.registry import COMMANDS, KY, PROGRAMS, UNIVERSAL, Command
from kycli.cli.topics import TOPICS, related

if TYPE_CHECKING:
    from kycli.cli.env import Environment

_SECTIONS = {
    "Values": "values",
    "Documents": "documents",
    "Running programs": "programs",
    "Listings": "listing",
    "History": "history",
    "Scopes": "scopes",
    "Other": "system",
}
"""Heading -> the family of commands that it is over."""

_READ = ("set", "kys", "patch", "kypatch", "push", "kypush", "remove", "kyrem")
_PRINTED = ("get", "kyg")
_NAMES = ("keys", "kyl", "projects", "namespaces", "nss")
_RECORDS = (
    *("scan", "list-scopes", "admin list-caches", "admin show-scope", "config"),
    *("history", "kyv", "blame", "search", "migrate", "doctor", "diff"),
)
_WOULD_CHANGE = ("restore-to", "kyrt")

_MEANINGS: dict[str, dict[tuple[str, ...], str]] = {
    "project": {("namespaces",): "the project"},
    "json": {
        _READ: "VALUE is JSON and keeps its type",
        _PRINTED: "print a value, or an object of several, as JSON",
        _NAMES: "print one JSON array of names",
        _RECORDS: "print one JSON array of records",
        _WOULD_CHANGE: "with --dry-run: one JSON array of records",
        ("del", "kyd"): "with --get: print as JSON",
        ("update",): "COMMAND reads and prints JSON, also of text",
        ("exists",): "print an object of each key and whether it exists",
        ("count",): "print the number as JSON",
    },
    "jsonl": {
        _PRINTED: "print each value as a line of JSON",
        _NAMES: "print each name as a line of JSON",
        _RECORDS: "print each record as a line of JSON",
        _WOULD_CHANGE: "with --dry-run: each record as a line of JSON",
    },
    "b64": {
        _READ: "VALUE is base64",
        _PRINTED: "print the value as base64",
        ("append",): "SUFFIX is base64",
        ("del", "kyd"): "with --get: print as base64",
    },
    "raw": {
        ("set", "kys", "del", "kyd"): "with --get: the value and not one byte more",
        ("update",): "keep a newline at the end of what COMMAND prints",
    },
    "null": {("del", "kyd"): "with --get: end each value with NUL"},
    "default": {("update",): "what COMMAND reads when there is no such key"},
    "map": {("run", "env"): "names of variables: KEY=NAME,KEY=NAME"},
    "scope": {("run", "env"): "the scope; may be given several times"},
    "prefix": {("copy", "move"): "in place of SOURCE: all keys that begin so"},
    "since": {("diff",): "compare the scope at that time"},
    "until": {("diff",): "with what it was then, and not with now"},
    "limit": {("history", "kyv", "blame"): "stop after N changes"},
    "dry-run": {("exec", "kyc"): "print the command and do not run it"},
    "force": {("undo",): "also where a key has changed since"},
    "version": {VERSIONED: "show the version and exit, when no N follows"},
}
"""Flag -> commands -> what it means to them, where FLAGS only says it in general."""

_ADDRESSED = {
    "SOURCE": "Both are addresses, also of different scopes. With --scope, -p or -n both are\n"
    "keys of that scope.",
    "ADDRESS": "With --scope, -p or -n an argument is a key of that scope, and no address.",
    "PREFIX": "A first argument that holds the delimiter names a scope, PROJECT.NAMESPACE;\n"
    "otherwise it is a prefix in the current scope. With --scope, -p or -n the only\n"
    "argument is a prefix.",
}
"""Kind of argument -> how a command that takes addresses reads it."""

_SHORT = {
    "SOURCE": "Both are keys of the current scope, and may hold dots.",
    "KEY": "KEY may hold dots.",
}
"""Kind of argument -> how a command that takes keys of the current scope reads it."""

_USAGE = "kycli [FLAGS] COMMAND [ARGUMENTS]"

WHAT = "A key-value store: one SQLite file, many isolated scopes, values that expire."

_FIRST = ("kys", "kyg", "kyl", "kyd", "kyv")
"""The commands that the first screen of help explains."""

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


class Flag(NamedTuple):
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
    lines = [f"{_heading(env, 'Usage')} {_USAGE}", "", WHAT, ""]
    lines += [*map(_summary, map(Command, _FIRST)), _ky_line(), ""]
    listed = {
        heading.split()[0]: [command.name for command in commands if " " not in command.name]
        for heading, commands in sections().items()
    }
    listed["Short"] = [name for name in PROGRAMS if name not in _FIRST]
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
    for heading, commands in sections(program).items():
        lines += ["", _heading(env, heading), *map(_summary, commands)]
    if program is None:
        lines += ["", _heading(env, "Short commands"), *map(_summary, map(Command, PROGRAMS))]
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
    lines = [f"{_heading(env, 'Usage')} {command.usage()}", "", _sentence(command.summary)]
    notes = notes_of(command)
    if notes:
        lines += ["", notes]
    if command.parts():
        parts = [Command(f"{command.name} {part}") for part in command.parts()]
        lines += ["", _heading(env, "Commands"), *map(_summary, parts)]
    lines += ["", _heading(env, "Flags"), *map(_line, flags_of(command))]
    lines += ["", _heading(env, "Examples"), *(f"  {line}" for line in examples(command))]
    topics = topics_of(command)
    if topics:
        lines += ["", _heading(env, "See also 'kycli help TOPIC'"), *map(_topic_summary, topics)]
    return "\n".join(lines) + "\n"


def notes_of(command: Command) -> str:
    """Return the description of a command, "" when its summary says all."""
    notes = [command.notes] if command.notes else []
    if "scope" in command.flags:
        kinds = _SHORT if command.is_short else _ADDRESSED
        found = [text for word, text in kinds.items() if word in command.arguments]
        notes += [text for text in found if text not in command.notes]
    return "\n".join(notes)


def flags_of(command: Command) -> list[Flag]:
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
    found = {
        heading: [Command(name, verb=program == KY) for name in COMMANDS if _is_in(name, family)]
        for heading, family in _SECTIONS.items()
    }
    if program != KY:
        return found
    verbs = {
        heading: [command for command in commands if command.takes_keys]
        for heading, commands in found.items()
    }
    return {heading: commands for heading, commands in verbs.items() if commands}


def topic(env: Environment, name: str) -> str:
    """Return a help topic."""
    summary, text, _ = TOPICS[name]
    return f"{env.styled(_sentence(summary), '1')}\n\n{text}\n"


def examples(command: Command) -> list[str]:
    """Return command lines that show what a command is for.

    Those of ``ky`` are the registry's, said to ``ky``: of its short command, or of ``kycli``
    as far as they name no other scope.
    """
    if not command.verb:
        return list(command.examples)
    if command.name in PROGRAMS:
        return [
            text.replace(f"{command.name} ", f"{KY} {command.verb} ") for text in command.examples
        ]
    plain = [text for text in command.examples if f"{_ELSEWHERE}." not in text]
    if not plain:
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


def _is_in(name: str, family: str) -> bool:
    return COMMANDS[name][0].startswith(f"{family}.") and name not in PROGRAMS


def _ky_line() -> str:
    return f"  {f'{KY} VERB KEY...':20}do to keys of the current scope what VERB of kycli does"


def _summary(command: Command) -> str:
    return f"  {command.called:20}{command.summary}"


def _topic_summary(name: str) -> str:
    return f"  {name:20}{TOPICS[name].summary}"


def _no_flag(so: str = "") -> Flag:
    return Flag("", "--", "", f"what follows is no flag{so}")


def _flags(names: list[str], command: Command | None = None) -> list[Flag]:
    flags = []
    for name in names:
        short, value, meaning = FLAGS[name]
        if command and command.name in COUNTED:
            short = {"limit": "-n", "namespace": ""}.get(name, short)
        for commands, special in _MEANINGS.get(name, {}).items():
            if command and command.name in commands:
                meaning = special
        flags.append(Flag(short, f"--{name}", value, meaning))
    return flags


def _line(flag: Flag) -> str:
    spelled = f"{flag.short + ',' if flag.short else '':4}{flag.name} {flag.value}"
    return f"  {spelled:28}{flag.meaning}"
