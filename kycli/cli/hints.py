"""Hints for users who gave an address and meant a key."""

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
    """Return the hint that a key of the current scope was probably meant, and how to name it.

    Parameters:
        key: the argument, which is also a key of the current scope.
        addressed: the scope and key that it means as an address.
        made: whether the command created that key.
    """
    way = _for_key(env, command, arguments, key)
    if made:
        scope, other = addressed
        return (
            f"this created the key {other!r} in scope {scope!r}; "
            f"for the key {key!r} in scope {env.scope!r}: {way}"
        )
    return f"scope {env.scope!r} has the key {key!r}: {way}"


def prefix_not_scope(env: Environment, prefix: str) -> str:
    """Return the hint that a prefix was probably meant and not a scope, and how to give one."""
    way = " ".join(_for_keys(env, env.command.removeprefix("kycli "), prefix))
    return f"scope {env.scope!r} has keys that begin with {prefix!r}: {way}"


_SHOWN = {"db", "context", "ns-delim", "quiet", "yes"}
"""The flags that a hint repeats, or that do not matter in it."""


def _for_key(env: Environment, command: Command, arguments: list[str], key: str) -> str:
    """Return the command line that does the same to a key of the current scope.

    Other arguments and flags become ``…``: they may be long, or secret.
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
