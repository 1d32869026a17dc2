"""Help, made from the registry; and the version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kycli.cli.parse import COUNTED, FLAGS, VERSIONED
from kycli.cli.registry import COMMANDS, PROGRAMS, UNIVERSAL, Command, resolve, unknown_part
from kycli.errors import UsageError

if TYPE_CHECKING:
    from kycli.cli.env import Environment

_SECTIONS = {
    "Values": ("values", "removal", "numbers", "expiry"),
    "Documents": ("documents",),
    "Running programs": ("running",),
    "Listings": ("listing", "search"),
    "History": ("history", "recovery", "retention"),
    "Scopes": ("scopes", "caches"),
    "Other": ("doctor", "migration", "settings", "help"),
}
"""Heading -> the modules whose commands it is over."""

_READ = ("set", "kys", "patch", "kypatch", "push", "kypush", "remove", "kyrem")
_PRINTED = ("get", "kyg")
_NAMES = ("keys", "kyl", "projects", "namespaces", "nss")
_RECORDS = (
    *("scan", "list-scopes", "admin list-caches", "admin show-scope", "config"),
    *("history", "kyv", "blame", "search", "migrate", "doctor"),
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
    },
    "limit": {("history", "kyv", "blame"): "stop after N changes"},
    "dry-run": {("exec", "kyc"): "print the command and do not run it"},
    "force": {("undo",): "also where a key has changed since"},
    "version": {VERSIONED: "show the version and exit, when no N follows"},
}
"""Flag -> commands -> what it means to them, where FLAGS only says it in general."""

_FIXED = {
    "SOURCE": "With --scope, -p or -n both arguments are keys of that scope.",
    "ADDRESS": "With --scope, -p or -n an argument is a key of that scope, and no address.",
    "PREFIX": "With --scope, -p or -n the only argument is a prefix.",
}
"""Kind of argument -> what becomes of it when flags fix the scope."""

_INTRODUCTION = """\
A key-value store: one SQLite file, many isolated scopes, values that expire.

An ADDRESS is PROJECT.NAMESPACE.KEY, or NAMESPACE.KEY in the current project, or
KEY in the current scope. The short commands take a KEY in the current scope. A
SCOPE is PROJECT or PROJECT.NAMESPACE."""


def show(env: Environment, arguments: list[str]) -> int:
    """``help [COMMAND]``: everything, or one command."""
    if not arguments:
        env.write(overview(env).encode())
        return 0
    command, more = resolve(None, " ".join(arguments).split())
    if more and command.parts():
        raise unknown_part(command, more[0])
    if more:
        raise UsageError(
            f"'help {command.name}' does not expect {more[0]!r}",
            hint=Command("help").usage_hint(),
        )
    env.write(page(env, command).encode())
    return 0


def version(env: Environment, arguments: list[str]) -> int:
    """``version``: the name and version of the installed package."""
    from importlib.metadata import version as version_of

    env.write(f"kycli {version_of('kycli')}\n".encode())
    return 0


def overview(env: Environment | None = None) -> str:
    """Return the help on the whole command line, styled for an environment if one is given."""
    lines = [_heading(env, "Usage") + " kycli [FLAGS] COMMAND [ARGUMENTS]", "", _INTRODUCTION]
    for heading, modules in _SECTIONS.items():
        names = [n for n, entry in COMMANDS.items() if entry[0] in modules and n not in PROGRAMS]
        lines += ["", _heading(env, heading), *_summaries(names)]
    lines += ["", _heading(env, "Short commands"), *_summaries(list(PROGRAMS))]
    lines += ["", _heading(env, "Flags of every command"), *_flags(list(UNIVERSAL))]
    lines += ["", "'kycli help COMMAND' explains a command. Exit codes: 0 done, 1 an error,"]
    lines += ["2 the key is missing or expired, 130 interrupted."]
    return "\n".join(lines) + "\n"


def page(env: Environment, command: Command) -> str:
    """Return the help on one command."""
    lines = [f"{_heading(env, 'Usage')} {command.usage()}", "", _sentence(command.summary)]
    fixed = [text for word, text in _FIXED.items() if word in command.arguments]
    notes = [command.notes] if command.notes else []
    notes += fixed if "scope" in command.flags else []
    if notes:
        lines += ["", *notes]
    if command.parts():
        parts = [f"{command.name} {part}" for part in command.parts()]
        lines += ["", _heading(env, "Commands"), *_summaries(parts)]
    # Every command accepts -y, but few ask.
    flags = [name for name in FLAGS if command.takes(name)]
    flags = [name for name in flags if name != "yes" or name in command.flags]
    lines += ["", _heading(env, "Flags"), *_flags(flags, command)]
    lines += ["", _heading(env, "Examples"), *(f"  {example}" for example in command.examples)]
    return "\n".join(lines) + "\n"


def _heading(env: Environment | None, text: str) -> str:
    return env.styled(f"{text}:", "1") if env else f"{text}:"


def _sentence(summary: str) -> str:
    return f"{summary[0].upper()}{summary[1:]}."


def _summaries(names: list[str]) -> list[str]:
    return [f"  {name:20}{COMMANDS[name][4]}" for name in names]


def _flags(names: list[str], command: Command | None = None) -> list[str]:
    lines = []
    for name in names:
        short, value, meaning = FLAGS[name]
        if command and command.name in COUNTED:
            short = {"limit": "-n", "namespace": ""}.get(name, short)
        for commands, special in _MEANINGS.get(name, {}).items():
            if command and command.name in commands:
                meaning = special
        spelled = f"{short + ',' if short else '':4}--{name} {value}"
        lines.append(f"  {spelled:28}{meaning}")
    return lines
