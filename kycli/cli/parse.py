"""Flags and arguments: reading a command line into a command, its flags and its arguments.

Flags stand before or after the command. A word that begins with ``-`` and a
digit, or ``-.`` and a digit, is a number and no flag, except exactly ``-0``.
After ``--`` everything is an argument, and so it is after the first argument of a
command that runs another one. Values follow a flag as the next word
(whatever it looks like), as ``--flag=value`` or as ``-fvalue``; switches may be
joined, ``-qy``.
"""

from __future__ import annotations

import os

from kycli.cli.registry import KY, SPELLED, Command, named, resolve
from kycli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

# Long name -> short spelling, what its value is ("" for a switch), meaning.
FLAGS: dict[str, tuple[str, str, str]] = {
    "db": ("-d", "PATH", "the database: a file, or a directory with kycli.db"),
    "project": ("-p", "PROJECT", "the scope's project; its own scope without -n"),
    "namespace": ("-n", "NAMESPACE", "the namespace; without -p, of the current project"),
    "scope": ("", "SCOPE", "the scope, PROJECT or PROJECT.NAMESPACE"),
    "ns-delim": ("", "CHAR", "what separates an address's parts, in place of '.'"),
    "context": ("", "NAME", "the overlay of the key: key__NAME"),
    "ttl": ("", "TTL", "seconds to live, or 30s 5m 2h 1d 1w 1M 1y"),
    "if-absent": ("", "", "store only a new key; exit 1 when it exists"),
    "if-version": ("", "N", "store over version N, 0 for none; or exit 1"),
    "default": ("", "VALUE", "what to print for a key that is missing"),
    "include-expired": ("", "", "also what has expired and is not yet swept away"),
    "prefix": ("", "PREFIX", "all keys that begin with exactly this text"),
    "to": ("", "SCOPE", "with --prefix: the scope to put them in"),
    "to-prefix": ("", "PREFIX", "with --prefix: what to write in its place"),
    "on-conflict": ("", "POLICY", "keys at the destination: error, skip, overwrite"),
    "path": ("", "PATH", "a place inside the value: '$.a[0]'"),
    "merge": ("", "JSON", "in place of VALUE, a merge patch; - reads it"),
    "json-patch": ("", "FILE", "in place of VALUE, a JSON patch; - reads it"),
    "get": ("", "", "print the old value"),
    "unique": ("", "", "only when the list does not hold it yet"),
    "format": ("", "FORMAT", "sh (default), fish, dotenv or json"),
    "glob": ("", "GLOB", "all keys that match this shell pattern as a whole"),
    "after": ("", "KEY", "continue behind this key, which need not exist"),
    "reverse": ("", "", "in reverse order"),
    "values-only": ("", "", "print values, and no keys"),
    "separator": ("", "TEXT", "print TEXT between key and value, in place of '='"),
    "limit": ("", "N", "stop after N keys"),
    "since": ("", "TIME", "only changes from then on"),
    "until": ("", "TIME", "only changes up to then"),
    "at": ("", "TIME", "as it was at that time"),
    "versions": ("", "A..B", "versions A and B of a key; A alone: A and now"),
    "exit-code": ("", "", "exit 1 when there are differences"),
    "at-version": ("", "N", "bring back version N; also: --version N"),
    "all-scopes": ("", "", "the whole database"),
    "dry-run": ("", "", "change nothing, and list what would change"),
    "search": ("-s", "", "search by words, best first"),
    "keys-only": ("", "", "keys, and nothing of their values"),
    "backup": ("", "PATH", "where to keep the copy, and not beside the file"),
    "no-backup": ("", "", "keep no copy"),
    "from": ("", "", "bring the files into another database"),
    "into": ("", "DB", "that database; by default the one in effect"),
    "map": ("", "OLD=NEW", "names of scopes: OLD=NEW,OLD=NEW"),
    "upper": ("", "", "names in upper case, with _ for other characters"),
    "decrypt": ("", "", "keep encrypted values decrypted"),
    "force": ("-f", "", "replace a key that exists at the destination"),
    "vacuum": ("", "", "shrink a large file, too; writers wait"),
    "all": ("", "", "all commands and flags, and not one screen"),
    "long": ("-l", "", "with the number of keys"),
    "raw": ("", "", "the value and not one byte more"),
    "json": ("", "", "JSON, printed in canonical form"),
    "jsonl": ("", "", "JSON, one text per line"),
    "b64": ("", "", "base64"),
    "meta": ("", "", "a JSON record: key, scope, value, version, times"),
    "null": ("-0", "", "end each item with NUL and not with a newline"),
    "yes": ("-y", "", "answer yes instead of being asked"),
    "quiet": ("-q", "", "no remarks on standard error, only errors"),
    "help": ("-h", "", "show help and exit"),
    "version": ("-V", "", "show the version and exit"),
}

_SHORT = {short: name for name, (short, _, _) in FLAGS.items() if short}

COUNTED = ("history", "kyv", "blame", "search")
"""The commands to which ``-n`` is a limit, and no namespace; so it is with ``--search``."""

VERSIONED = ("restore", "kyr")
"""The commands to which ``--version`` and a value is a version to bring back."""

PASSING_ON = {"exec": 1, "kyc": 1, "run": 1, "update": 2}
"""The commands that run another one -> how many of their arguments are for themselves or name
it; the words after these are its own, whatever they look like."""

REPEATABLE = {"scope": ("run", "env"), "map": ("run", "env", "migrate")}
"""The flags that some commands take several times -> these commands. The values are joined
by commas, which may also be typed."""


def parse(argv: list[str], program: str | None) -> tuple[Command, dict[str, str], list[str]]:
    """Return the command, its flags by long name (a switch's value is ""), its arguments.

    Parameters:
        argv: the words after the program's name.
        program: the short command that was called; or None for ``kycli`` and ``ky``, where
            the first argument names the command.

    Raises:
        UsageError: for anything that cannot be understood; nothing has been done.
    """
    flags: dict[str, str] = {}
    words: list[str] = []
    unread = iter(argv)
    tokens = unread if "".join(argv).isascii() else _decoded(unread)
    # How many words there are before those that are passed on; 0 when none are.
    own = PASSING_ON.get(program or "", 0)
    repeated: set[str] = set()
    for token in tokens:
        if token[:1] != "-" or token == "-" or _is_number(token):
            if program is None and not words and token == KY:
                program = KY  # 'kycli ky get' is 'ky get', as 'kycli kyg' is 'kyg'
                continue
            words.append(token)
            if len(words) == own:
                words += unread
            elif len(words) == 1 and program in (None, KY) and _is(PASSING_ON, program, words):
                own = 1 + PASSING_ON[named(program, token)]
        elif token == "--":
            words += unread if own else tokens
        elif token[:2] == "--":
            name, equals, value = token[2:].partition("=")
            if name == "version" and _is(VERSIONED, program, words):
                given = value if equals else next(tokens, None)
                if given is not None:  # "" too: it is what an empty variable leaves behind
                    name, equals, value = "at-version", "=", given
            if name not in FLAGS:
                raise _unknown_flag(f"--{name}", program, words)
            if FLAGS[name][1]:
                _put(flags, name, value if equals else next(tokens, None), repeated)
            elif equals:
                raise UsageError(f"--{name} takes no value")
            else:
                flags[name] = ""
        else:
            for place, letter in enumerate(token[1:], 2):
                name = _SHORT.get("-" + letter, "")
                if not name:
                    raise _unknown_flag("-" + letter, program, words, token)
                if FLAGS[name][1]:
                    given = token[place:] or next(tokens, None)
                    if letter == "n" and given is not None:
                        name = "-n"  # what it means, the command says
                    _put(flags, name, given, repeated)
                    break
                flags[name] = ""
    if "version" in flags:
        return Command("version"), flags, []
    if "help" in flags and not words and program in (None, KY):
        return Command("help"), flags, [KY] if program else []
    command, arguments = resolve(program, words)
    if "-n" in flags:
        given = flags.pop("-n")
        counted = command.name in COUNTED or "search" in flags
        if counted and not given.isdecimal():
            raise UsageError(
                f"-n {given!r}: not a whole number of 0 or more",
                hint="here -n is the limit; --namespace names a namespace",
            )
        _put(flags, "limit" if counted else "namespace", given, repeated)
    if "help" in flags:
        return Command("help"), flags, [KY, command.verb] if command.verb else [command.name]
    for name in flags:
        if not command.takes(name):
            raise UsageError(f"'{command.called}' takes no --{name}", hint=command.usage_hint())
        if name in repeated and command.name not in REPEATABLE[name]:
            raise _given_twice(name)
    command.check_count(arguments)
    return command, flags, arguments


def _is_number(token: str) -> bool:
    return token != "-0" and token[1 + (token[1] == ".") :][:1].isdecimal()


def _is(commands: Collection[str], program: str | None, words: list[str]) -> bool:
    """Return whether what was read so far names one of these commands."""
    if program is None or program == KY:
        return bool(words) and named(program, words[0]) in commands
    return program in commands


def _put(flags: dict[str, str], name: str, value: str | None, repeated: set[str]) -> None:
    if value is None:
        raise UsageError(f"--{name} needs a value: --{name} {FLAGS[name][1]}")
    if name in flags:
        if name not in REPEATABLE:
            raise _given_twice(name)
        repeated.add(name)
        value = f"{flags[name]},{value}"
    flags[name] = value


def _given_twice(name: str) -> UsageError:
    spelled = name if name[0] == "-" else f"--{SPELLED.get(name, name)}"
    return UsageError(f"{spelled} is given twice", hint="give it once")


def _decoded(argv: Iterator[str]) -> Iterator[str]:
    """Read the arguments as UTF-8, whatever encoding the locale made Python assume."""
    for place, word in enumerate(argv, 1):
        try:
            yield os.fsencode(word).decode("utf-8")
        except UnicodeError:
            raise UsageError(
                f"argument {place} is not valid UTF-8",
                hint="bytes are stored from standard input: printf … | kys KEY -",
            ) from None


def _unknown_flag(
    flag: str, program: str | None, words: list[str], cluster: str = ""
) -> UsageError:
    from kycli.cli.suggest import nearest

    known = list(FLAGS)
    usage = f"'{program or 'kycli'} help' lists the flags"
    if words or program not in (None, KY):
        # An unknown command is the better explanation, and raises here.
        command, _ = resolve(program, words)
        known = [name for name in FLAGS if command.takes(name)]
        usage = command.usage_hint()
        if command.takes_keys:
            usage += "; a key that begins with '-' goes after '--'"
    if cluster:
        where = "" if cluster == flag else f" in {cluster!r}"
        hint = "an argument that begins with '-' goes after '--'"
        return UsageError(f"unknown flag {flag}{where}", hint=hint)
    hint = nearest(flag[2:], known, "--") or usage
    return UsageError(f"unknown flag {flag}", hint=hint)
