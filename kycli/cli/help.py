"""Help, made from the registry; and the version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kycli.cli.parse import FLAGS
from kycli.cli.registry import COMMANDS, PROGRAMS, UNIVERSAL, Command, resolve

if TYPE_CHECKING:
    from kycli.cli.env import Environment

_SECTIONS = {
    "Values": ("values", "removal", "numbers", "expiry"),
    "Listings": ("listing",),
    "Scopes": ("scopes", "caches"),
    "Other": ("settings", "help"),
}
"""Heading -> the modules whose commands it is over."""

_INTRODUCTION = """\
A key-value store: one SQLite file, many isolated scopes, values that expire.

An ADDRESS is PROJECT.NAMESPACE.KEY, NAMESPACE.KEY in the current project, or KEY
in the current scope. The short commands take a KEY in the current scope."""


def show(env: Environment, arguments: list[str]) -> int:
    """``help [COMMAND]``: everything, or one command."""
    text = page(env, resolve(None, " ".join(arguments).split())[0]) if arguments else overview(env)
    env.write(text.encode())
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
    if command.notes:
        lines += ["", command.notes]
    parts = [name for name in COMMANDS if name.startswith(command.name + " ")]
    if parts:
        lines += ["", _heading(env, "Commands"), *_summaries(parts)]
    lines += ["", _heading(env, "Flags"), *_flags([name for name in FLAGS if command.takes(name)])]
    lines += ["", _heading(env, "Examples"), *(f"  {example}" for example in command.examples)]
    return "\n".join(lines) + "\n"


def _heading(env: Environment | None, text: str) -> str:
    return env.styled(f"{text}:", "1") if env else f"{text}:"


def _sentence(summary: str) -> str:
    return f"{summary[0].upper()}{summary[1:]}."


def _summaries(names: list[str]) -> list[str]:
    return [f"  {name:20}{COMMANDS[name][4]}" for name in names]


def _flags(names: list[str]) -> list[str]:
    lines = []
    for name in names:
        short, value, meaning = FLAGS[name]
        spelled = f"{short + ',' if short else '':4}--{name} {value}"
        lines.append(f"  {spelled:28}{meaning}")
    return lines
