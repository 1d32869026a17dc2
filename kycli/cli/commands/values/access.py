"""set, get, append and incr: the commands that scripts call in loops."""

from __future__ import annotations

from kycli.cli.values import (
    FORMS,
    MISSING,
    given_value,
    plain,
    print_found,
    print_value,
    read_options,
    read_text,
    read_value,
)
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


def print_values(env: Environment, arguments: list[str]) -> int:
    """``get ADDRESS...``: print the values that exist; 2 when one is missing."""
    form = env.choice(*FORMS)
    env.choice("default", "meta")
    env.choice("path", "meta")
    default = read_text(env, env.flags["default"]) if "default" in env.flags else MISSING
    targets = [env.locate(argument) for argument in arguments]
    if "at" in env.flags:
        from kycli.core.history.times import fixed_time

        env.flags["at"] = fixed_time(env.flags["at"])
    store = env.store()

    def read(scope: str, key: str) -> Any:
        if form != "meta":
            value = read_value(env, scope, key, MISSING)
            if value is MISSING and default is not MISSING:
                env.defaulted = True
                return default
            return value
        entry = store.get_entry(key, scope=scope, **read_options(env))
        return MISSING if entry is None else (entry, scope)

    if len(targets) == 1:
        values = [read(*targets[0])]
    else:
        # As of one moment, which lasts for the reading and not for as long as a pipe takes.
        with store.snapshot():
            values = [read(*target) for target in targets]
    print_found(env, form, arguments, targets, values)
    return 2 if MISSING in values else 0


def increment(env: Environment, arguments: list[str]) -> int:
    """``incr ADDRESS [BY]``: add to a number and print the result."""
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
