"""set, append and incr: reading values from the command line and storing them."""

from __future__ import annotations

from kycli.errors import ConflictError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kycli.cli.env import Environment


def store_value(env: Environment, arguments: list[str]) -> int:
    """``set ADDRESS VALUE``: store a value; nothing on standard output."""
    env.choice("if-absent", "if-version")
    scope, key = env.locate(arguments[0])
    value = given_value(env, arguments[1])
    if "get" in env.flags:
        return _exchange(env, scope, key, value)
    if "raw" in env.flags:
        raise UsageError("--raw goes with --get", hint="--get prints the old value")
    status = _save(env, scope, key, value)
    if status == "nochange" and "if-absent" in env.flags:
        raise ConflictError(f"key {key!r} exists already in scope {scope!r}")
    return 0


def _save(env: Environment, scope: str, key: str, value: Any) -> str:
    status = env.store(create=True).save(
        key,
        value,
        ttl=env.flags.get("ttl"),
        scope=scope,
        if_absent="if-absent" in env.flags,
        if_version=env.count("if-version"),
    )
    if status == "created":
        env.created.append((scope, key))
    return status


def _exchange(env: Environment, scope: str, key: str, value: Any) -> int:
    """Store a value and print the one that was there before; nothing when there was none."""
    from kycli.cli.commands.values.reading import MISSING, print_value

    env.choice("get", "if-absent")
    form = env.choice("raw", "json", "b64")
    store = env.store(create=True)
    with store.transaction():
        before = store.getkey(key, MISSING, scope=scope)
        _save(env, scope, key, value)
    if before is not MISSING:
        print_value(env, form, before, alone=True)
    return 0


def append(env: Environment, arguments: list[str]) -> int:
    """``append ADDRESS SUFFIX``: add to the end of a value."""
    scope, key = env.locate(arguments[0])
    suffix = given_value(env, arguments[1])
    if env.store(create=True).append(key, suffix, scope=scope) == len(suffix):
        env.created.append((scope, key))
    return 0


def increment(env: Environment, arguments: list[str]) -> int:
    """``incr ADDRESS [BY]``: add to a number and print the result."""
    from kycli.cli.commands.values.reading import plain
    from kycli.core.operations.numbers import parse_number

    scope, key = env.locate(arguments[0])
    by = parse_number(arguments[1]) if len(arguments) > 1 else 1
    if by is None:
        raise UsageError(f"{arguments[1]!r} is not a number", hint="write it like 5, -5 or 0.25")
    total = env.store(create=True).incr(key, by, scope=scope)
    if total == by:
        env.created.append((scope, key))
    env.write(plain(total) + b"\n")
    return 0


def given_value(env: Environment, given: str) -> Any:
    """Return the value of an argument, read as the flags say.

    Only ``-`` reads standard input. If a missing value or an empty variable did, a command in
    a shell loop would consume the input of the loop.
    """
    encoded = env.choice("json", "b64")
    if given != "-" and not encoded:
        return given
    from kycli.cli.commands.values.reading import read_text, text_or_bytes

    if given != "-":
        return read_text(env, given)
    # Base64 with line ends is a little over a third longer than the bytes.
    data = env.read_input(1.5 if encoded == "b64" else 1)
    return read_text(env, data) if encoded else text_or_bytes(data)
