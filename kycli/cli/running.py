"""Running programs: exec, run and env.

Each replaces this process by the program, so that its exit code, its signals and its
terminal are its own, and nothing of kycli waits in between.
"""

from __future__ import annotations

import os
import re
import signal

from kycli.cli.values import read_value, report_missing
from kycli.cli.variables import variables
from kycli.errors import InvalidValueError, KycliError, UsageError, WrongTypeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

    from kycli.cli.env import Environment

_SHELL = "/bin/sh"
_BLANK = b" \t\r\n"
# Python ignores these for itself, and a program would inherit that.
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)

_MISSING = object()


# Stored commands


def execute(env: Environment, arguments: list[str]) -> int:
    """``exec ADDRESS [ARGUMENT...]``: run a stored command; 2 when there is none."""
    (scope, key), words = env.locate(arguments[0]), arguments[1:]
    value = read_value(env, scope, key, _MISSING)
    if value is _MISSING:
        report_missing(env, scope, key)
        return 2
    command = _command(key, value)
    appended = bool(words) and not _uses_arguments(command)
    if appended and (end := _closed_end(command)):
        raise InvalidValueError(
            f"the command {key!r} ends in {end}, so no argument can be added to it",
            hint='say "$@" in the stored command where its arguments belong',
        )
    if "dry-run" in env.flags:
        quoted = b" ".join(_quoted(os.fsencode(word)) for word in words)
        if appended:
            command += b" " + quoted
        elif words:
            command = b"set -- " + quoted + b"\n" + command
        env.write(command + b"\n")
        return 0
    if appended:
        command += b' "$@"'
    _become(env, [_SHELL, "-c", command, key, *words], os.environb)


def _command(key: str, value: object) -> bytes:
    """Return a stored value as text for the shell that arguments can be added to.

    Behind the end of its last line, arguments would be a command of their own. A blank
    that is escaped is part of the last word, or continues the line.

    Raises:
        WrongTypeError, InvalidValueError: when it is none.
    """
    if not isinstance(value, (str, bytes)):
        from kycli.core.paths import kind_of

        raise WrongTypeError(f"the value of {key!r} is {kind_of(value)}, no command")
    text = value.encode() if isinstance(value, str) else value
    if b"\0" in text:
        raise InvalidValueError(f"the value of {key!r} holds a NUL, so it is no command")
    command = text.rstrip(_BLANK)
    if not command:
        raise InvalidValueError(f"the value of {key!r} is empty, so it is no command")
    if (len(command) - len(command.rstrip(b"\\"))) % 2:
        command = text[: len(command) + 1]
    return command


# What is one piece to the shell: something escaped, quoted, or a comment.
_PIECE = re.compile(
    rb"""(?P<escaped>\\.)|(?P<single>'[^']*')|(?P<double>"(?:\\.|[^"\\])*")"""
    rb"""|(?P<comment>(?<![^\s;&|()])\#[^\n]*)""",
    re.DOTALL,
)
_ARGUMENTS = re.compile(rb"\$(?:[1-9@*#]|\{#?[1-9@*}])")
_SUBSTITUTION = re.compile(rb"\$\([^()]*\)")
_GROUP = re.compile(rb"(?<!\$)\([^()]*\)")
_HERE_DOCUMENT = re.compile(rb"(?<!<)<<(?!<)")
_CLOSING_WORD = re.compile(rb"(?:^|[;&\n)}]|\b(?:fi|done|esac))\s*(fi|done|esac|\})$")


def _uses_arguments(command: bytes) -> bool:
    """Whether a command says itself where its arguments go: ``$1``, ``$@``, ``$*`` or ``$#``.

    In single quotes, in comments and behind a backslash these are only text.
    """

    def expanded(piece: re.Match[bytes]) -> bytes:
        inside = piece["double"]
        return b"" if inside is None else re.sub(rb"\\.", b"", inside, flags=re.DOTALL)

    return _ARGUMENTS.search(_PIECE.sub(expanded, command)) is not None


def _closed_end(command: bytes) -> str:
    """Return what a command ends in that no word can follow, or "" when one can.

    Behind any of these an argument would be a command of its own, lost, or an error.
    """
    ends_in_comment = False

    def blanked(piece: re.Match[bytes]) -> bytes:
        nonlocal ends_in_comment
        if piece["comment"] is not None:
            ends_in_comment = piece.end() == len(command)
            return b""
        return b" " if piece[0] == b"\\\n" else b"x"

    bare = _PIECE.sub(blanked, command)
    if ends_in_comment:
        return "a comment"
    if _HERE_DOCUMENT.search(bare):
        return "a here-document"
    if bare.endswith(b"\\"):
        return "a backslash"
    if bare[-1:] in (b";", b"&", b"|"):
        return repr(bare[-1:].decode())
    if closing := _CLOSING_WORD.search(bare):
        return repr(closing[1].decode())
    # $(…) is part of a word; any other parenthesis at the end closes a group of commands.
    before = b""
    while before != bare:
        before, bare = bare, _GROUP.sub(b"\0", _SUBSTITUTION.sub(b"x", bare))
    return "')'" if bare[-1:] in (b")", b"\0") else ""


# The environment


def run(env: Environment, arguments: list[str]) -> int:
    """``run COMMAND [ARGUMENT...]``: run a command with the keys of scopes as variables."""
    if not arguments[0]:
        raise UsageError("the name of the command is ''")
    _become(env, [*arguments], {**os.environb, **variables(env)})


def print_variables(env: Environment, arguments: list[str]) -> int:
    """``env``: print the keys of scopes as variables."""
    form = env.flags.get("format", "sh")
    if form not in ("sh", "fish", "dotenv", "json"):
        raise UsageError(f"unknown format {form!r}", hint="use sh, fish, dotenv or json")
    found = variables(env)
    if form == "json":
        from kycli.core.values import canonical

        document = {name.decode(): _text_if_it_is(value) for name, value in found.items()}
        env.write(canonical(document).encode() + b"\n")
        return 0
    for name, value in found.items():
        if form == "sh":
            env.write(b"export %b=%b\n" % (name, _quoted(value)))
        elif form == "fish":
            env.write(b"set -gx %b %b\n" % (name, _quoted_for_fish(value)))
        else:
            env.write(b"%b=%b\n" % (name, _quoted_for_dotenv(value)))
    return 0


def _text_if_it_is(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


# Quoting: in single quotes a shell expands nothing


def _quoted(data: bytes) -> bytes:
    """Return data as one word of sh, plain where it can be."""
    if data and not data.strip(_PLAIN):
        return data
    return b"'" + data.replace(b"'", b"'\\''") + b"'"


def _quoted_for_fish(data: bytes) -> bytes:
    return b"'" + data.replace(b"\\", b"\\\\").replace(b"'", b"\\'") + b"'"


def _quoted_for_dotenv(data: bytes) -> bytes:
    """Return data as the readers of such files and sh take it alike, as far as they agree.

    They agree on single quotes, as long as there is neither a quote nor a backslash inside.
    """
    if not data.strip(_PLAIN):
        return data
    if b"'" not in data and b"\\" not in data:
        return b"'" + data + b"'"
    for special in (b"\\", b'"', b"$", b"`"):
        data = data.replace(special, b"\\" + special)
    return b'"' + data + b'"'


_PLAIN = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+.,:/@%"


# Becoming a program


def _become(
    env: Environment, command: list[str | bytes], environment: Mapping[bytes, bytes]
) -> NoReturn:
    """Replace this process by a program that is searched for in the PATH of its environment.

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
