"""How far back history and archive go: compact, and what is declared of scopes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kycli.cli.output import write_listing
from kycli.cli.progress import progress
from kycli.core.expiry import shown
from kycli.core.history.retention import SETTINGS, check_days
from kycli.core.names import check_scope
from kycli.core.operations.numbers import parse_number
from kycli.errors import UsageError

if TYPE_CHECKING:
    from kycli.cli.env import Environment

_MB = 1 << 20


def compact(env: Environment, arguments: list[str]) -> int:
    """``compact [DAYS]``: purge what is older, 15 days by default."""
    days = _number(arguments[0], "DAYS") if arguments else 15
    check_days(days, "DAYS")  # the engine would call it by the name of its own parameter
    vacuum = True if "vacuum" in env.flags else None
    with progress(env, "compacting") as show:
        done = env.store().compact(days, vacuum=vacuum, progress=show)
    env.note(
        f"purged {_counted(done.changes, 'change')} and {_counted(done.values, 'archived value')}"
    )
    if done.freed_bytes:
        env.note(f"the database is {done.freed_bytes / _MB:.1f} MB smaller")
    if done.free_bytes >= _MB:
        env.note(
            f"{done.free_bytes / _MB:.1f} MB of it are free for what is written later: --vacuum "
            "gives them back, and lets other writers wait meanwhile"
        )
    return 0


def set_scope(env: Environment, arguments: list[str]) -> int:
    """``admin set-scope SCOPE NAME=VALUE...``: declare, or with nothing behind ``=`` take back."""
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
        given[name] = _number(text, name) if text else None
    if not given:
        raise UsageError("which settings?", hint=f"these are: {_usage(SETTINGS)}")
    env.store(create=True).set_scope(scope, **given)
    return 0


def show_scopes(env: Environment, arguments: list[str]) -> int:
    """``admin show-scope [SCOPE]``: what is declared, of one scope or of all."""
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


def _number(text: str, name: str) -> float | int:
    number = parse_number(text)
    if number is None:
        raise UsageError(f"{name}: {shown(text)} is not a number")
    return number


def _usage(names: tuple[str, ...]) -> str:
    return ", ".join(f"{name}=N" for name in names)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
