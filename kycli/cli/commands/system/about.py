"""help and version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kycli.cli.commands import KY, find, known, known_names, resolve, unknown_command, unknown_part
from kycli.cli.help import overview, page, screen, topic
from kycli.cli.topics import TOPICS
from kycli.errors import UsageError

if TYPE_CHECKING:
    from kycli.cli.env import Environment


def show_help(env: Environment, arguments: list[str]) -> int:
    """``help [COMMAND]``: an overview, a command or a topic; ``help ky [VERB]``: that program's."""
    words = " ".join(arguments).split()
    program = None
    if env.command == f"{KY} help":
        words.insert(0, KY)  # the help of ky
    if words and words[0] == KY:
        program, *words = words
    if not words:
        short = program is None and "all" not in env.flags
        env.write((screen(env) if short else overview(env, program)).encode())
        return 0
    if find(words[0], program):
        command, more = resolve(words, program)
        text, called = page(env, command), command.called
        if more and command.parts():
            raise unknown_part(command, more[0])
    elif words[0] in TOPICS:
        called, *more = words
        text = topic(env, called)
    else:
        raise unknown_command(words[0], [*known_names(), *TOPICS], program)
    if more:
        raise UsageError(
            f"'help {called}' does not expect {more[0]!r}", hint=known("help").usage_hint()
        )
    env.write(text.encode())
    return 0


def show_version(env: Environment, arguments: list[str]) -> int:
    """``version``: the name and version of the installed package."""
    from kycli import __version__

    env.write(f"kycli {__version__}\n".encode())
    return 0
