"""Names of commands and flags, from the registry."""

from __future__ import annotations

from kycli.cli.commands import KY, SCOPE, UNIVERSAL, Command, all_commands
from kycli.cli.completing.candidates import Candidate
from kycli.cli.parse import FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kycli.cli.completing.line import Line

_SCOPES = SCOPE.split()


def commands(program: str | None, current: str) -> list[Candidate]:
    """Return the commands of ``kycli`` or the verbs of ``ky`` that begin with a text."""
    found = []
    for command in all_commands().values():
        if " " in command.name or command.handler == "":
            continue
        # The short ones are programs, which few would type after another program.
        if command.is_short and (program == KY or not current.startswith(KY)):
            continue
        found += [
            Candidate(name, "command", command.summary)
            for name in (command.called, command.also)
            if name and name.startswith(current) and (name == command.called or current)
        ]
    if program is None and current == "k":
        found.append(Candidate(KY, "command", "run a command on keys of the current scope"))
    return found


def parts(command: Command, current: str) -> list[Candidate]:
    """Return the commands of a command, such as ``list-caches`` of ``admin``."""
    names = [(part.name.removeprefix(f"{command.name} "), part) for part in command.parts()]
    return [
        Candidate(name, "command", part.summary) for name, part in names if name.startswith(current)
    ]


def flags(line: Line, current: str) -> list[Candidate]:
    """Return the flags that begin with a text and can still be given."""
    command = line.command
    if command is None:
        taken = [*_SCOPES, *UNIVERSAL]
        repeatable: list[str] = []
        meanings: dict[str, str] = {}
    else:
        taken = [*command.flags, *UNIVERSAL]
        repeatable, meanings = command.repeatable, command.meanings
    given = set(line.flags)
    if not given.isdisjoint(_SCOPES):
        given |= {"scope"} if "scope" not in given else {"project", "namespace"}
    found = {}
    for name in taken:
        flag = FLAGS[name]
        if name in given and name not in repeatable:
            continue
        meaning = meanings.get(name, flag.meaning)
        found[f"--{flag.shown or name}"] = meaning
        if flag.short and current == "-":
            found[flag.short] = meaning
    return [
        Candidate(text, "flag", meaning)
        for text, meaning in found.items()
        if text.startswith(current)
    ]
