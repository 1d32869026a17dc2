"""help and version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kycli.cli.help import overview, page, screen, topic
from kycli.cli.registry import (
    ALIASES,
    COMMANDS,
    KY,
    Command,
    named,
    resolve,
    unknown_command,
    unknown_part,
)
from kycli.cli.topics import TOPICS
from kycli.errors import UsageError

if TYPE_CHECKING:
    from kycli.cli.env import Environment


def show(env: Environment, arguments: list[str]) -> int:
    """``help [COMMAND]``: an overview, a command or a topic; ``help ky [VERB]``: that program's."""
    words = " ".join(arguments).split()
    program = None
    if words and words[0] == KY:
        program, *words = words
    if not words:
        short = program is None and "all" not in env.flags
        env.write((screen(env) if short else overview(env, program)).encode())
        return 0
    if named(program, words[0]) in COMMANDS:
        command, more = resolve(program, words)
        text, called = page(env, command), command.called
        if more and command.parts():
            raise unknown_part(command, more[0])
    elif words[0] in TOPICS:
        called, *more = words
        text = topic(env, called)
    else:
        raise unknown_command(words[0], [*COMMANDS, *ALIASES, *TOPICS], program)
    if more:
        raise UsageError(
            f"'help {called}' does not expect {more[0]!r}",
            hint=Command("help").usage_hint(),
        )
    env.write(text.encode())
    return 0


def version(env: Environment, arguments: list[str]) -> int:
    """``version``: the name and version of the installed package."""
    from kycli import __version__

    env.write(f"kycli {__version__}\n".encode())
    return 0
