"""Caches: scopes that are declared with a default time to live."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kycli.cli.output import write_listing
from kycli.cli.registry import Command, unknown_part
from kycli.core.names import check_scope
from kycli.errors import UsageError

if TYPE_CHECKING:
    from kycli.cli.env import Environment


def choose(env: Environment, arguments: list[str]) -> int:
    """``admin`` with something that is none of its commands."""
    raise unknown_part(Command("admin"), arguments[0])


def create(env: Environment, arguments: list[str]) -> int:
    """``admin create-cache PROJECT.NAMESPACE [timeout=]TTL``"""
    scope, timeout = _declared(arguments)
    env.store(create=True).create_cache(scope, timeout)
    return 0


def change(env: Environment, arguments: list[str]) -> int:
    """``admin set-cache PROJECT.NAMESPACE [timeout=]TTL``"""
    scope, timeout = _declared(arguments)
    env.store().set_cache(scope, timeout)
    return 0


def drop(env: Environment, arguments: list[str]) -> int:
    """``admin drop-cache PROJECT.NAMESPACE``"""
    env.store().drop_cache(check_scope(arguments[0]))
    return 0


def list_all(env: Environment, arguments: list[str]) -> int:
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
