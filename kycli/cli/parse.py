"""Flags and arguments: reading a command line into a command, its flags and its arguments.

Flags may stand before or after the command. A word that begins with ``-`` or ``-.`` and a
digit is a number, except exactly ``-0``. After ``--`` every word is an argument; so are all
words after the name of a program that a command runs. The value of a flag is the next word
(whatever it looks like), or is attached: ``--flag=value``, ``-fvalue``. Switches may be joined:
``-qy``.
"""

from __future__ import annotations

import os

from kycli.cli.commands import KY, Command, find, known, resolve
from kycli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Flag:
    """A flag of commands.

    Attributes:
        meaning: what it means, for the help.
        value: what its value is, "" for a switch.
        short: its short spelling, such as ``-d``, or "".
        shown: what messages call it, if that is not its name.
    """

    __slots__ = ("meaning", "short", "shown", "value")

    def __init__(self, meaning: str, value: str = "", *, short: str = "", shown: str = "") -> None:
        self.meaning = meaning
        self.value = value
        self.short = short
        self.shown = shown


FLAGS = {
    "db": Flag("the database: a file, or a directory with kycli.db", "PATH", short="-d"),
    "project": Flag("the project; without -n, its own scope", "PROJECT", short="-p"),
    "namespace": Flag("the namespace; without -p, of the current project", "NAMESPACE", short="-n"),
    "scope": Flag("the scope, PROJECT or PROJECT.NAMESPACE", "SCOPE"),
    "ns-delim": Flag("the delimiter of addresses, in place of '.'", "CHAR"),
    "context": Flag("the overlay of the key: key__NAME", "NAME"),
    "ttl": Flag("seconds to live, or 30s 5m 2h 1d 1w 1M 1y", "TTL"),
    "if-absent": Flag("store only a new key; exit 1 when it exists"),
    "if-version": Flag("store over version N, 0 for none; or exit 1", "N"),
    "default": Flag("what to print for a key that is missing", "VALUE"),
    "include-expired": Flag("also expired keys that are not yet archived"),
    "prefix": Flag("all keys that begin with this literal text", "PREFIX"),
    "to": Flag("with --prefix: the destination scope", "SCOPE"),
    "to-prefix": Flag("with --prefix: the new prefix", "PREFIX"),
    "on-conflict": Flag("keys at the destination: error, skip, overwrite", "POLICY"),
    "key-column": Flag("the column of keys; without a header its number", "NAME"),
    "value-column": Flag("the column of values", "NAME"),
    "scope-column": Flag("the column of scopes", "NAME"),
    "time-column": Flag("the column of times of change, for 'newer'", "NAME"),
    "columns": Flag("gather these columns into a JSON value; '*': all", "NAMES"),
    "no-header": Flag("the first line is data"),
    "delimiter": Flag("what separates fields, in place of ',' or a tab", "CHAR"),
    "quote": Flag("the quote, in place of '\"'; '' for none", "CHAR"),
    "encoding": Flag("of the text, in place of UTF-8", "NAME"),
    "table": Flag("the table of an SQLite file", "NAME"),
    "on-error": Flag("bad rows: stop (import nothing) or skip", "ACTION"),
    "rejects": Flag("write bad rows to this file, to be mended", "FILE"),
    "batch": Flag("commit N rows at a time", "N"),
    "resume": Flag("continue an interrupted import"),
    "atomic": Flag("keep all of it or, when a command fails, nothing"),
    "stop": Flag("end at the first command that fails"),
    "strict": Flag("a missing key is a failure, too"),
    "schema": Flag("a file with the definition", "FILE"),
    "model": Flag("the Pydantic model of this name", "MODULE:CLASS"),
    "keys": Flag("only keys that match this shell pattern", "GLOB"),
    "lax": Flag("convert types where that loses nothing: '36' to 36"),
    "extra": Flag("unknown members: forbid, ignore, keep", "ACTION"),
    "existing": Flag("keys that do not meet it: keep, reject, move", "ACTION"),
    "list": Flag("list the backups, and make none"),
    "restore": Flag("put a backup into the place of the database"),
    "repair": Flag("save what can be read of a damaged database"),
    "keep": Flag("remove older backups until there are N", "N"),
    "zstd": Flag("compress with zstd"),
    "index": Flag("update the search index at the end"),
    "plain": Flag("keys and values as text, and nothing else"),
    "delete": Flag("also delete keys whose file is gone"),
    "strip-newline": Flag("drop a newline at the end of edited text"),
    "history": Flag("also every change"),
    "archive": Flag("also deleted and expired values"),
    "path": Flag("a path inside the value: '$.a[0]'", "PATH"),
    "merge": Flag("in place of VALUE, a merge patch; - reads it", "JSON"),
    "json-patch": Flag("in place of VALUE, a JSON patch; - reads it", "FILE"),
    "get": Flag("print the old value"),
    "unique": Flag("only if the list does not contain it yet"),
    "format": Flag("sh (default), fish, dotenv or json", "FORMAT"),
    "glob": Flag("all keys that match this shell pattern as a whole", "GLOB"),
    "after": Flag("continue after this key, which need not exist", "KEY"),
    "reverse": Flag("in reverse order"),
    "where": Flag("only keys whose values meet this condition", "CONDITION"),
    "order": Flag("sort by fields: city,-age; '-': descending", "FIELDS"),
    "explain": Flag("print how keys are found, in place of them"),
    "values-only": Flag("print values, and no keys"),
    "separator": Flag("print TEXT between key and value, in place of '='", "TEXT"),
    "limit": Flag("stop after N keys", "N"),
    "since": Flag("only changes at or after TIME", "TIME"),
    "until": Flag("only changes up to TIME", "TIME"),
    "at": Flag("as it was at that time", "TIME"),
    "versions": Flag("versions A and B of a key; A alone: A and now", "A..B"),
    "exit-code": Flag("exit 1 when there are differences"),
    "at-version": Flag("bring back version N; also: --version N", "N", shown="version"),
    "all-scopes": Flag("the whole database"),
    "dry-run": Flag("change nothing, and list what would change"),
    "search": Flag("search by words, best first", short="-s"),
    "keys-only": Flag("keys, and nothing of their values"),
    "backup": Flag("where to keep the copy; by default beside the file", "PATH"),
    "no-backup": Flag("keep no copy"),
    "from": Flag("bring the files into another database"),
    "into": Flag("that database; by default the one in effect", "DB"),
    "map": Flag("names of scopes: OLD=NEW,OLD=NEW", "OLD=NEW"),
    "upper": Flag("turn every key into a name: upper case and _"),
    "decrypt": Flag("keep encrypted values decrypted"),
    "force": Flag("replace a key that exists at the destination", short="-f"),
    "vacuum": Flag("also shrink a large file; blocks other writers"),
    "export": Flag("also for the shells that this one starts (bash)"),
    "here": Flag("only in this shell; the config stays as it is"),
    "all": Flag("all commands and flags"),
    "long": Flag("with the number of keys", short="-l"),
    "purge": Flag("also delete the data and the settings"),
    "unless-default": Flag("nothing where that is the scope 'default'"),
    "raw": Flag("the value and not one byte more"),
    "json": Flag("JSON, printed in canonical form"),
    "jsonl": Flag("JSON, one text per line"),
    "b64": Flag("base64"),
    "meta": Flag("a JSON record: key, scope, value, version, times"),
    "null": Flag("end each item with NUL, not with a newline", short="-0"),
    "yes": Flag("answer yes instead of being asked", short="-y"),
    "quiet": Flag("no messages on standard error but errors", short="-q"),
    "help": Flag("show help and exit", short="-h"),
    "version": Flag("show the version and exit", short="-V"),
}
"""Every flag by its long name, in the order of the help."""

_SHORT = {flag.short: name for name, flag in FLAGS.items() if flag.short}


def shown(name: str) -> str:
    """Return a flag as messages show it."""
    return f"--{FLAGS[name].shown or name}"


def parse(argv: list[str], program: str | None) -> tuple[Command, dict[str, str], list[str]]:
    """Return the command, its flags by long name (a switch's value is ""), its arguments.

    Parameters:
        argv: the words after the program's name.
        program: the short command that was called, or ``ky``; None for ``kycli``.

    Raises:
        UsageError: when the command line is wrong. Nothing has been done then.
    """
    given: list[tuple[str, str]] = []
    words: list[str] = []
    rest = iter(argv)
    tokens = rest if "".join(argv).isascii() else _decoded(rest)
    command = None if program is None or program == KY else known(program)
    # How many words precede those that are passed on to another program; 0 if none are.
    own = command.own_arguments if command else 0
    for token in tokens:
        if token[:1] != "-" or token == "-" or _is_number(token):
            if program is None and not words and token == KY:
                program = KY  # 'kycli ky get' is 'ky get', as 'kycli kyg' is 'kyg'
                continue
            words.append(token)
            if command is None and len(words) == 1:
                command = find(token, program)
                own = 1 + command.own_arguments if command and command.own_arguments else 0
            elif len(words) == own:
                words += rest
        elif token == "--":
            words += rest if own else tokens
        elif token[:2] == "--":
            name, equals, value = token[2:].partition("=")
            if name == "version" and command and command.takes("at-version"):
                number = value if equals else next(tokens, None)
                # An empty variable, quoted or not, must not ask for the version of kycli.
                if number is not None or len(words) > (program in (None, KY)):
                    given.append(("at-version", _value("--version", "at-version", number)))
                    continue
            if name not in FLAGS:
                raise _unknown_flag(f"--{name}", program, words)
            if FLAGS[name].value:
                given.append(
                    (name, _value(shown(name), name, value if equals else next(tokens, None)))
                )
            elif equals:
                raise UsageError(f"--{name} takes no value")
            else:
                given.append((name, ""))
        else:
            for end, letter in enumerate(token[1:], 2):
                name = _SHORT.get(f"-{letter}", "")
                if not name:
                    raise _unknown_flag(f"-{letter}", program, words, token)
                if FLAGS[name].value:
                    value = _value(f"-{letter}", name, token[end:] or next(tokens, None))
                    given.append(("-n" if letter == "n" else name, value))
                    break
                given.append((name, ""))
    flags = dict(given)
    if "version" in flags:
        return known("version"), flags, []
    if "help" in flags and not words and program in (None, KY):
        return known("help"), flags, [KY] if program else []
    if command is None or program is None or program == KY:
        command, arguments = resolve(words, program)
    else:
        arguments = words
    if "help" in flags:
        return known("help"), flags, [command.full_name.removeprefix("kycli ")]
    if "search" in flags and command.takes("search"):
        command = known("search").in_scope(f"{KY} search")
        given = [item for item in given if item[0] != "search"]
    flags = _flags(command, given)
    command.check_arguments(arguments)
    return command, flags, arguments


def _flags(command: Command, given: list[tuple[str, str]]) -> dict[str, str]:
    """Return the given flags by name, if the command takes them."""
    flags: dict[str, str] = {}
    for name, value in given:
        if name == "-n":
            name = command.n
            if name == "limit" and not value.isdecimal():
                raise UsageError(
                    f"-n {value!r}: not a whole number of 0 or more",
                    hint="here -n is the limit; --namespace names a namespace",
                )
        if not command.takes(name):
            raise UsageError(f"'{command.called}' takes no --{name}", hint=command.usage_hint())
        if name in flags and FLAGS[name].value:
            if name not in command.repeatable:
                raise UsageError(f"{shown(name)} is given twice", hint="give it once")
            value = f"{flags[name]},{value}"
        flags[name] = value
    return flags


def _value(typed: str, name: str, value: str | None) -> str:
    if value is None:
        what = "" if typed == "-n" else f": {typed} {FLAGS[name].value}"
        raise UsageError(f"{typed} needs a value{what}")
    return value


def _is_number(token: str) -> bool:
    return token != "-0" and token[1 + (token[1] == ".") :][:1].isdecimal()


def _decoded(argv: Iterator[str]) -> Iterator[str]:
    """Decode the arguments as UTF-8, whatever encoding Python took from the locale."""
    for number, word in enumerate(argv, 1):
        try:
            yield os.fsencode(word).decode("utf-8")
        except UnicodeError:
            raise UsageError(
                f"argument {number} is not valid UTF-8",
                hint="give bytes on standard input: printf … | kys KEY -",
            ) from None


def _unknown_flag(
    flag: str, program: str | None, words: list[str], cluster: str = ""
) -> UsageError:
    from kycli.cli.suggest import nearest

    known = list(FLAGS)
    usage = f"'{program or 'kycli'} help' lists the flags"
    if words or program not in (None, KY):
        # If the command is unknown too, that is the better message; resolve raises it.
        command, _ = resolve(words, program)
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
