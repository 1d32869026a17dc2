"""Hints that a key was meant where an address was given."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kycli.cli.commands import Command
    from kycli.cli.env import Environment


def key_not_address(
    env: Environment,
    command: Command,
    arguments: list[str],
    key: str,
    addressed: tuple[str, str],
    made: bool,
) -> str:
    """Return the hint that a key of the current scope may have been meant, and how to name it.

    Parameters:
        key: the key of the current scope, as it was given for an address.
        addressed: the scope and the key that it means as an address.
        made: whether the command has made that key.
    """
    way = _for_key(env, command, arguments, key)
    if made:
        scope, other = addressed
        return (
            f"this made the key {other!r} in scope {scope!r}; "
            f"for the key {key!r} in scope {env.scope!r}: {way}"
        )
    return f"scope {env.scope!r} has the key {key!r}: {way}"


def prefix_not_scope(env: Environment, prefix: str) -> str:
    """Return the hint that a prefix may have been meant and not a scope, and how to say so."""
    way = " ".join(_for_keys(env, env.command.removeprefix("kycli "), prefix))
    return f"scope {env.scope!r} has keys that begin with {prefix!r}: {way}"


_SHOWN = {"db", "context", "ns-delim", "quiet", "yes"}
"""The flags that a hint shows, has in the key, or can do without."""


def _for_key(env: Environment, command: Command, arguments: list[str], key: str) -> str:
    """Return the command line that does with a key of the current scope what was asked for.

    Other arguments and flags are only hinted at: they may be long, or a secret.
    """
    words = _for_keys(env, command.name, key)
    other_arguments = len(arguments) > 1 and "..." not in command.arguments
    if other_arguments and arguments[0] != key:
        words.insert(-1, "…")
    elif other_arguments or not env.flags.keys() <= _SHOWN:
        words.append("…")
    return " ".join(words)


def _for_keys(env: Environment, verb: str, key: str) -> list[str]:
    """Return the words of a command line of ``ky``."""
    database = ["-d", quote(env.flags["db"])] if "db" in env.flags else []
    return ["ky", verb, *database, *(["--"] if key[0] == "-" else []), quote(key)]
