"""patch, push and remove: changing part of a JSON value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kycli.cli.commands import GIVE_VALUE
from kycli.cli.commands.values.reading import may_be_path, report_missing
from kycli.cli.commands.values.storing import given_value
from kycli.cli.env import read_all
from kycli.core.values import parse
from kycli.errors import InvalidValueError, UsageError

if TYPE_CHECKING:
    from kycli.cli.env import Environment

_MISSING = object()


def patch(env: Environment, arguments: list[str]) -> int:
    """``patch ADDRESS [VALUE]``: set the value at a path, or apply a patch in place of VALUE."""
    form = env.choice("merge", "json-patch", "json", "b64")
    scope, key, path = _locate(env, arguments[0])
    target, exact = (key, None) if path is None else (path, key)
    if form not in ("merge", "json-patch"):
        if len(arguments) == 1:
            raise UsageError("VALUE is missing", hint=GIVE_VALUE)
        value = given_value(env, arguments[1])
        status = env.store(create=True).patch(target, value, key=exact, scope=scope)
        _note_created(env, scope, key, status)
        return 0
    if len(arguments) > 1:
        raise UsageError(f"VALUE and --{form} exclude each other")
    given = env.flags[form]
    if form == "merge":
        change = _parsed(env.read_input() if given == "-" else given, "--merge")
        status = env.store(create=True).merge_patch(target, change, key=exact, scope=scope)
        _note_created(env, scope, key, status)
    else:
        change = _parsed(env.read_input() if given == "-" else _contents(given), given)
        env.store().json_patch(target, change, key=exact, scope=scope)
    return 0


def push(env: Environment, arguments: list[str]) -> int:
    """``push ADDRESS VALUE``: add to the end of a list."""
    scope, key, path = _locate(env, arguments[0])
    value = given_value(env, arguments[1])
    unique = "unique" in env.flags
    status = env.store(create=True).push(key, value, unique, path=path, scope=scope)
    _note_created(env, scope, key, status)
    return 0


def remove(env: Environment, arguments: list[str]) -> int:
    """``remove ADDRESS VALUE``: 2 when there is no such list."""
    scope, key, path = _locate(env, arguments[0])
    value = given_value(env, arguments[1])
    store = env.store()
    with store.transaction():
        if store.remove(key, value, path=path, scope=scope) != "nochange":
            return 0
        target, exact = (key, None) if path is None else (path, key)
        if store.get_path(target, _MISSING, key=exact, scope=scope) is _MISSING:
            report_missing(env, scope, key)
            return 2
    env.note("nothing to remove: no item has this value and type")
    return 0


def _locate(env: Environment, argument: str) -> tuple[str, str, str | None]:
    """Return scope, key, and the path in its value; no path if the key may contain it."""
    scope, key = env.locate(argument)
    path = env.flags.get("path")
    if path is None:
        path = None if may_be_path(env, key) else "$"
    return scope, key, path


def _note_created(env: Environment, scope: str, key: str, status: str) -> None:
    if status == "created":
        env.created.append((scope, key))


def _contents(file: str) -> bytes:
    with open(file, "rb") as stream:
        return read_all(stream, file)


def _parsed(text: str | bytes, origin: str) -> Any:
    try:
        return parse(text)
    except InvalidValueError as error:
        raise InvalidValueError(f"{origin}: {error}") from None
