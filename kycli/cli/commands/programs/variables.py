"""The keys of scopes as environment variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kycli.cli.commands.values.reading import plain
from kycli.core.names import DEFAULT, check_scope
from kycli.errors import InvalidKeyError, InvalidValueError, UsageError

if TYPE_CHECKING:
    from kycli.cli.env import Environment

_MAX_NAMED = 20
"""How many skipped keys are named."""


def variables(env: Environment) -> dict[bytes, bytes]:
    """Return the keys and values of the scopes as variables, from one snapshot.

    If several scopes have the same variable, the last one wins. Keys that cannot name a
    variable are skipped, and reported on standard error.
    """
    scopes = _scopes(env)
    names = _names(env)
    store, prefix = env.store(), env.flags.get("prefix")
    found: dict[bytes, bytes] = {}
    skipped: dict[str, None] = {}
    mapped: set[str] = set()
    with store.snapshot():
        for scope in scopes:
            keys: dict[str, str] = {}
            for key, value in store.scan(prefix, scope=scope):
                name = _name(env, names, key)
                mapped.add(key)
                if not name:
                    skipped[key] = None
                    continue
                if name in keys:
                    raise InvalidKeyError(
                        f"{keys[name]!r} and {key!r} in scope {scope!r} would both be {name}",
                        hint="--map KEY=NAME gives one of them another name",
                    )
                keys[name] = key
                found[name.encode()] = _data(key, value)
    for scope in scopes:
        if not found and scope != DEFAULT and scope not in store.scopes():
            env.note(f"kycli: no scope {scope!r}")
    _report(env, list(skipped), [key for key in names if key not in mapped])
    return found


def _scopes(env: Environment) -> list[str]:
    given = env.flags.get("scope", "")
    if "," not in given:
        return [env.scope]
    if "project" in env.flags or "namespace" in env.flags:
        raise UsageError("--scope together with -p or -n", hint="name each scope with --scope")
    return [check_scope(scope) for scope in given.split(",")]


def _names(env: Environment) -> dict[str, str]:
    """Return the names that ``--map`` gives to keys."""
    names: dict[str, str] = {}
    for pair in env.flags["map"].split(",") if "map" in env.flags else ():
        key, equals, name = pair.rpartition("=")
        if not (equals and key):
            raise UsageError(f"--map {pair!r} is not KEY=NAME", hint="such as db.host=DB_HOST")
        if not _is_name(name):
            raise UsageError(
                f"--map {pair!r}: {name!r} cannot be the name of a variable",
                hint="a name is letters, digits and _, no digit first",
            )
        if key in names:
            raise UsageError(f"--map names {key!r} twice", hint="give it one name")
        names[key] = name
    return names


def _name(env: Environment, names: dict[str, str], key: str) -> str:
    """Return the name of the variable of a key, "" if it has none."""
    if key in names:
        return names[key]
    if "upper" in env.flags:
        name = "".join(c if c.isascii() and c.isalnum() else "_" for c in key).upper()
        return f"_{name}" if name[0].isdigit() else name
    return key if _is_name(key) else ""


def _is_name(text: str) -> bool:
    return text.isascii() and text.isidentifier()


def _data(key: str, value: object) -> bytes:
    data = plain(value)
    if b"\0" in data:
        raise InvalidValueError(
            f"the value of {key!r} contains a NUL, which no variable can",
            hint="--prefix selects keys",
        )
    return data


def _report(env: Environment, skipped: list[str], unknown: list[str]) -> None:
    """Report the keys that were skipped, and the keys in ``--map`` that do not exist."""
    if skipped:
        names = ", ".join(map(repr, skipped[:_MAX_NAMED]))
        more = len(skipped) - _MAX_NAMED
        env.note(
            f"kycli: skipped, because they are no names of variables: {names}"
            + (f" and {more} more" if more > 0 else "")
        )
        env.note("hint: --upper names all of them, --map KEY=NAME single ones")
    if unknown:
        env.note(f"kycli: --map names keys that do not exist: {', '.join(map(repr, unknown))}")
