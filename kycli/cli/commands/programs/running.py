"""Running programs: exec, run and env.

exec and run replace this process by the program. So exit code, signals and terminal are the
program's own, and no process of kycli waits for it.
"""

from __future__ import annotations

import os
import signal

from kycli.cli.commands.programs.variables import variables
from kycli.cli.commands.values.reading import (
    MISSING,
    read_value,
    report_missing,
    text_or_bytes,
    write_json,
)
from kycli.errors import InvalidValueError, KycliError, UsageError, WrongTypeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

    from kycli.cli.env import Environment

_SHELL = "/bin/sh"
_BLANK = b" \t\r\n"
# Python ignores these signals, and a program would inherit that.
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)

# Stored commands


def execute(env: Environment, arguments: list[str]) -> int:
    """``exec ADDRESS [ARGUMENT...]``: run a stored command; 2 when there is none."""
    (scope, key), words = env.locate(arguments[0]), arguments[1:]
    value = read_value(env, scope, key, MISSING)
    if value is MISSING:
        report_missing(env, scope, key)
        return 2
    command = _command(key, value)
    appended = bool(words) and not _uses_arguments(key, command)
    if "dry-run" in env.flags:
        quoted = b" ".join(_quoted(os.fsencode(word)) for word in words)
        if appended:
            command += b" " + quoted
        elif words:
            command = b"set -- " + quoted + b"\n" + command
        env.write(env.shown(command, keep="\n\t") + b"\n")
        return 0
    if appended:
        command += b' "$@"'
    _replace_process(env, [_SHELL, "-c", command, key, *words], os.environb)


def _uses_arguments(key: str, command: bytes) -> bool:
    """Return whether a command uses its arguments itself; otherwise they go to its end.

    Raises:
        InvalidValueError: when it does not, and arguments cannot be added to its end.
    """
    from kycli.cli.commands.programs.command_text import read

    reading = read(command)
    if reading.obstacle and not reading.uses_arguments:
        raise InvalidValueError(
            f"the command {key!r} takes no arguments: {reading.obstacle}",
            hint='they can only be added to one simple command; anywhere else, write "$@" in '
            "the text where they belong",
        )
    return reading.uses_arguments


def _command(key: str, value: object) -> bytes:
    """Return a stored value as shell text to which arguments can be added.

    White space at its end is removed, as arguments on a line of their own would be another
    command. An escaped blank belongs to the last word, or continues the line, so it stays.

    Raises:
        WrongTypeError, InvalidValueError: when the value is not a command.
    """
    if not isinstance(value, (str, bytes)):
        from kycli.core.documents.paths import kind_of

        raise WrongTypeError(f"the value of {key!r} is {kind_of(value)}, not a command")
    text = value.encode() if isinstance(value, str) else value
    if b"\0" in text:
        raise InvalidValueError(f"the value of {key!r} contains a NUL, so it is not a command")
    command = text.rstrip(_BLANK)
    if not command:
        raise InvalidValueError(f"the value of {key!r} is empty, so it is not a command")
    if (len(command) - len(command.rstrip(b"\\"))) % 2:
        command = text[: len(command) + 1]
    return command


# The environment


def run(env: Environment, arguments: list[str]) -> int:
    """``run COMMAND [ARGUMENT...]``: run a command with the keys of scopes as variables."""
    if not arguments[0]:
        raise UsageError("the name of the command is empty")
    _replace_process(env, [*arguments], {**os.environb, **variables(env)})


def print_variables(env: Environment, arguments: list[str]) -> int:
    """``env``: print the keys of scopes as variables."""
    form = env.flags.get("format", "sh")
    if form not in ("sh", "fish", "dotenv", "json"):
        raise UsageError(f"unknown format {form!r}", hint="use sh, fish, dotenv or json")
    found = variables(env)
    if form == "json":
        write_json(env, {name.decode(): text_or_bytes(value) for name, value in found.items()})
        return 0
    for name, value in found.items():
        if form == "sh":
            line = b"export %b=%b" % (name, _quoted(value))
        elif form == "fish":
            line = b"set -gx %b %b" % (name, _quoted_for_fish(value))
        else:
            line = b"%b=%b" % (name, _quoted_for_dotenv(value))
        env.write(env.shown(line, keep="\n\t") + b"\n")
    return 0


# Quoting: shells expand nothing in single quotes


def _quoted(data: bytes) -> bytes:
    """Return data as one word of sh, quoted only if necessary."""
    if data and not data.strip(_PLAIN):
        return data
    return b"'" + data.replace(b"'", b"'\\''") + b"'"


def _quoted_for_fish(data: bytes) -> bytes:
    return b"'" + data.replace(b"\\", b"\\\\").replace(b"'", b"\\'") + b"'"


def _quoted_for_dotenv(data: bytes) -> bytes:
    """Return data so that readers of such files and sh read the same, as far as possible.

    They agree on single quotes without a quote or a backslash inside.
    """
    if not data.strip(_PLAIN):
        return data
    if b"'" not in data and b"\\" not in data:
        return b"'" + data + b"'"
    for special in (b"\\", b'"', b"$", b"`"):
        data = data.replace(special, b"\\" + special)
    return b'"' + data + b'"'


_PLAIN = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+.,:/@%"


# Replacing the process


def _replace_process(
    env: Environment, command: list[str | bytes], environment: Mapping[bytes, bytes]
) -> NoReturn:
    """Replace this process by a program, which is looked up in the PATH of its environment.

    Raises:
        KycliError: when it cannot be run.
    """
    env.flush()
    env.close()
    for number in _IGNORED_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(command[0], command, environment)
    except OSError as error:
        name = os.fsdecode(command[0])
        raise KycliError(f"cannot run {name!r}: {error.strerror}") from None
