"""``export``: keys to a file."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

from kycli.core.names import check_scope
from kycli.errors import FormatError, UsageError
from kycli.transfer import formats
from kycli.transfer.exporting import ExportOptions, export_all

if TYPE_CHECKING:
    from kycli.cli.env import Environment


class _UnreadError(Exception):
    """The reader of standard output is gone."""


class _Output(io.RawIOBase):
    """Standard output, as an export writes to it."""

    def __init__(self, env: Environment) -> None:
        self._env = env

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        env = self._env
        env.write(env.shown(data, keep="\n\r\t") if env.output_is_terminal() else data)
        if env.unread:
            raise _UnreadError
        return len(data)


def export_file(env: Environment, arguments: list[str]) -> int:
    """``export FILE [FORMAT]``: write the keys of scopes."""
    name = arguments[0]
    options = ExportOptions(
        _format(name, arguments[1] if len(arguments) > 1 else None),
        _scopes(env),
        env.flags.get("prefix"),
        "plain" in env.flags,
        "history" in env.flags,
        "archive" in env.flags,
    )
    what = "records" if options.format == "kycli" else "keys"
    if not _may_write(env, name):
        return 1
    is_watched = env.is_watched() and name != "-"

    def show(count: int) -> None:
        if count % 50_000 == 0:
            env.status(f"{name}: {count:,} {what}")

    try:
        out: Any = _Output(env) if name == "-" else name
        counts = export_all(env.store(), out, options, show if is_watched else None)
    except _UnreadError:
        return 0
    finally:
        env.status("")
    if name != "-":
        parts = [counted(counts["key"], "key")]
        if options.history:
            parts.append(counted(counts["change"], "change"))
        if options.history or options.archive:
            parts.append(counted(counts["archived"], "archived value"))
        if counts["schema"]:
            parts.append(counted(counts["schema"], "schema"))
        env.note(f"exported {', '.join(parts)}")
    return 0


def counted(count: int, what: str) -> str:
    """Say how many there are of something."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _format(name: str, given: str | None) -> str:
    if given is not None:
        return formats.named(given, writes=True).name
    try:
        return formats.of_file(name, writes=True).name
    except FormatError:
        if os.path.splitext(name)[1]:
            raise
    return "csv"


def _may_write(env: Environment, name: str) -> bool:
    """Ask before a file is replaced; scripts, which nobody could ask, replace it."""
    if name == "-" or not os.path.isfile(name) or not env.can_ask():
        return True
    return env.confirm(f"{name} exists; overwrite it?")


def _scopes(env: Environment) -> tuple[str, ...] | None:
    given = env.flags.get("scope", "")
    if "all-scopes" in env.flags:
        if env.scope_is_fixed:
            raise UsageError("--all-scopes together with a scope", hint="give one of them")
        return None
    if "," not in given:
        return (env.scope,)
    if "project" in env.flags or "namespace" in env.flags:
        raise UsageError("--scope together with -p or -n", hint="name each scope with --scope")
    return tuple(check_scope(scope) for scope in given.split(","))
