"""admin: declaring caches, and limiting the history of scopes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kycli.cli.commands.history.retention import parsed_number
from kycli.cli.output import write_listing
from kycli.core.history.retention import SETTINGS
from kycli.core.names import check_scope
from kycli.errors import UsageError

if TYPE_CHECKING:
    from kycli.cli.env import Environment


def create_cache(env: Environment, arguments: list[str]) -> int:
    """``admin create-cache PROJECT.NAMESPACE [timeout=]TTL``"""
    scope, timeout = _declared(arguments)
    env.store(create=True).create_cache(scope, timeout)
    return 0


def set_cache(env: Environment, arguments: list[str]) -> int:
    """``admin set-cache PROJECT.NAMESPACE [timeout=]TTL``"""
    scope, timeout = _declared(arguments)
    env.store().set_cache(scope, timeout)
    return 0


def drop_cache(env: Environment, arguments: list[str]) -> int:
    """``admin drop-cache PROJECT.NAMESPACE``"""
    env.store().drop_cache(check_scope(arguments[0]))
    return 0


def list_caches(env: Environment, arguments: list[str]) -> int:
    """``admin list-caches``: scope, tab, seconds."""
    write_listing(
        env,
        sorted(env.store().caches().items()),
        lambda cache: f"{cache[0]}\t{_seconds(cache[1])}".encode(),
        lambda cache: {"scope": cache[0], "timeout": _seconds(cache[1])},
    )
    return 0


def _declared(arguments: list[str]) -> tuple[str, str]:
    scope, given = arguments
    name, equals, timeout = given.rpartition("=")
    if equals and name != "timeout":
        raise UsageError(f"{given!r} is not timeout=TTL", hint="such as timeout=1800")
    return check_scope(scope), timeout


def _seconds(timeout: float) -> float:
    """Return whole seconds as an int, so that they print without a fraction."""
    return int(timeout) if timeout == int(timeout) else timeout


def set_scope(env: Environment, arguments: list[str]) -> int:
    """``admin set-scope SCOPE NAME=VALUE...``: set limits; ``NAME=`` removes one."""
    scope = check_scope(arguments[0])
    given: dict[str, Any] = {}
    for argument in arguments[1:]:
        name, equals, text = argument.partition("=")
        if name not in SETTINGS or not equals:
            raise UsageError(
                f"{argument!r} is no setting of a scope", hint=f"these are: {_usage(SETTINGS)}"
            )
        if name in given:
            raise UsageError(f"{name} is given twice", hint="give it once")
        given[name] = parsed_number(text, name) if text else None
    if not given:
        raise UsageError("which settings?", hint=f"these are: {_usage(SETTINGS)}")
    env.store(create=True).set_scope(scope, **given)
    return 0


def show_scopes(env: Environment, arguments: list[str]) -> int:
    """``admin show-scope [SCOPE]``: the limits of one scope, or of all."""
    if arguments:
        scope = check_scope(arguments[0])
        declared = {scope: env.store().scope_settings(scope)}
    else:
        declared = env.store().scope_settings()
    rows = [
        (scope, name, value)
        for scope, settings in declared.items()
        for name, value in settings.items()
        if value is not None
    ]

    def plain(row: tuple[str, str, Any]) -> bytes:
        scope, name, value = row
        return f"{scope}\t{name}={value:.15g}".encode()

    write_listing(
        env, rows, plain, lambda row: dict(zip(("scope", "name", "value"), row, strict=True))
    )
    return 0


def _usage(names: tuple[str, ...]) -> str:
    return ", ".join(f"{name}=N" for name in names)
