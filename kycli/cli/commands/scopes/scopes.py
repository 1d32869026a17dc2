"""Listing, choosing, renaming, copying and dropping scopes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from kycli.cli.commands.values.transfer import transfer_all
from kycli.cli.output import keys_counted, tilde, write_listing, write_texts
from kycli.core.names import check_scope, join_scope, split_scope
from kycli.errors import MissingKeyError, UsageError

if TYPE_CHECKING:
    from kycli.cli.env import Environment


def list_names(env: Environment, arguments: list[str]) -> int:
    """``nss``: the names of all scopes."""
    write_texts(env, env.store().scopes())
    return 0


def list_projects(env: Environment, arguments: list[str]) -> int:
    """``projects``: the first parts of all scopes."""
    write_texts(env, sorted({split_scope(scope)[0] for scope in env.store().scopes()}))
    return 0


def list_namespaces(env: Environment, arguments: list[str]) -> int:
    """``namespaces -p PROJECT``: the second parts of the project's scopes."""
    if "project" not in env.flags:
        raise UsageError(
            "which project?",
            hint="'kycli namespaces -p PROJECT'; 'kycli nss' lists the scopes of all projects",
        )
    project, _ = split_scope(env.scope)
    scopes = map(split_scope, env.store().scopes())
    write_texts(env, sorted(name for owner, name in scopes if owner == project))
    return 0


def list_scopes(env: Environment, arguments: list[str]) -> int:
    """``list-scopes``: all scopes; the current one is marked, even if it is empty."""
    store, current = env.store(), env.scope
    scopes = sorted({*store.scopes(), current})

    def plain(scope: str) -> bytes:
        line = f"* {env.styled(scope, '1')}" if scope == current else f"  {scope}"
        return (f"{line}\t{store.count(scope=scope)}" if "long" in env.flags else line).encode()

    def data(scope: str) -> dict[str, Any]:
        fields: dict[str, Any] = {"scope": scope, "current": scope == current}
        if "long" in env.flags:
            fields["keys"] = store.count(scope=scope)
        return fields

    write_listing(env, scopes, plain, data)
    return 0


def use(env: Environment, arguments: list[str]) -> int:
    """``use [SCOPE]``: write the current scope into the config, or print it."""
    if not arguments and "here" not in env.flags:
        scope, origin = env.current_scope()
        env.write(f"{scope}\n".encode())
        env.flush()
        env.note(f"from {tilde(origin)}")
        return 0
    if "here" in env.flags:
        if not arguments:
            raise UsageError(
                "'use --here' needs SCOPE", hint="'unset KYCLI_SCOPE' takes one back for this shell"
            )
        env.use_here(arguments[0])
        return 0
    path = env.save_setting("current_scope", arguments[0])
    scope = join_scope(*split_scope(arguments[0]))
    env.note(f"the current scope is {scope!r}, written to {tilde(path)}")
    env.switched(scope, path)
    variable = os.environ.get("KYCLI_SCOPE")
    if variable:
        env.note(f"but KYCLI_SCOPE is set and takes precedence: {variable!r}")
    return 0


def rename(env: Environment, arguments: list[str]) -> int:
    """``rename-scope SCOPE NEW-NAME``: 2 when there is no such scope."""
    scope, to_scope = map(check_scope, arguments)
    env.store().rename_scope(scope, to_scope)
    if scope == env.scope:
        env.note(f"the current scope is still {scope!r}: 'kycli use {to_scope}' follows")
    return 0


def copy(env: Environment, arguments: list[str]) -> int:
    """``copy-scope SCOPE TO-SCOPE``: 2 when there is no such scope."""
    scope, to_scope = map(check_scope, arguments)
    _check_exists(env, scope)
    transfer_all(env, None, scope, to_scope, None)
    return 0


def drop(env: Environment, arguments: list[str]) -> int:
    """``drop-scope SCOPE``: 2 when there is no such scope."""
    scope = check_scope(arguments[0])
    _check_exists(env, scope)
    store = env.store()
    count = keys_counted(store.count(scope=scope))
    if not env.confirm(f"delete the scope {scope!r} with {count}?"):
        return 1
    env.note(f"deleted {keys_counted(store.drop_scope(scope))}")
    return 0


def _check_exists(env: Environment, scope: str) -> None:
    if scope not in env.store().scopes():
        raise MissingKeyError(f"no scope {scope!r}")
