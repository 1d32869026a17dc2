"""``migrate``: databases of earlier KyCLI versions, brought to this one."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from kycli.cli.output import keys_counted, tilde, write_listing
from kycli.cli.progress import progress
from kycli.cli.values import text_or_bytes
from kycli.config import database_path
from kycli.core.location import MEMORY, database_file, home_dir, resolve_db_path
from kycli.core.migration import legacy
from kycli.core.migration.formats import examine, is_current, migrate
from kycli.errors import CannotOpenError, MasterKeyError, NotADatabaseError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kycli.cli.env import Environment
    from kycli.core.migration.legacy import Found


def run(env: Environment, arguments: list[str]) -> int:
    """``migrate [PATH]`` in place, or ``migrate --from [PATH...]`` into another database."""
    if "from" in env.flags:
        env.choice("from", "backup")
        env.choice("from", "no-backup")
        return _bring_in(env, arguments)
    for flag in ("into", "map"):
        if flag in env.flags:
            raise UsageError(f"--{flag} goes with --from", hint="see 'kycli help migrate'")
    if len(arguments) > 1:
        raise UsageError(
            "one database at a time is migrated in place",
            hint="several are brought into one with --from",
        )
    if arguments:
        return _in_place(env, database_file(arguments[0]))
    path, _ = database_path(env.config, env.flags.get("db"))
    if path != MEMORY and os.path.exists(path) and examine(path) is not None:
        return _in_place(env, path)
    return _say_what_there_is(env, path)


# In place


def _in_place(env: Environment, path: str) -> int:
    env.choice("backup", "no-backup")
    found = examine(path) if os.path.exists(path) else None
    if found is None:
        if not os.path.exists(path):
            raise CannotOpenError(f"{path}: there is no such file")
        if legacy.identify(path) is not None:
            raise NotADatabaseError(
                f"{path}: this is no database that can be migrated in place",
                hint=f"bring it into one: kycli migrate --from {path}",
            )
        if not is_current(path):
            raise NotADatabaseError(f"{path}: this is no kycli database")
        env.note(f"{tilde(path)} is of this version already")
        return 0
    keyring = _keyring(env, [path] if found.version == 0 else [])
    if "dry-run" in env.flags:
        _write_counts(env, [(path, None, found.description, found.counts)])
        return 0
    backup = _backup_of(env, path)
    with progress(env, "migrating") as show:
        done = migrate(
            path,
            backup=backup,
            keyring=keyring if "decrypt" in env.flags else None,
            progress=show,
            busy_timeout_ms=env.config.busy_timeout_ms,
        )
    if done is None:
        env.note("another process has migrated it meanwhile")
        return 0
    what = "" if done.moved is None else f": {_told(done.moved._asdict())}"
    env.note(f"migrated {tilde(path)}, {found.description}{what}")
    if done.moved is not None and done.moved.encrypted:
        env.note(
            f"{keys_counted(done.moved.encrypted)} stayed encrypted; "
            "--decrypt, with KYCLI_MASTER_KEY, would have opened them"
        )
    if backup is not None:
        env.note(f"the database as it was is in {tilde(backup)}")
    return 0


def _backup_of(env: Environment, path: str) -> str | None:
    """Return where the copy goes, by default beside the file under a name that is free."""
    if "no-backup" in env.flags:
        return None
    if "backup" in env.flags:
        return database_file(env.flags["backup"])
    name = f"{path}.before-migration"
    if os.path.lexists(name):
        name = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    return name


# Into another database


def _bring_in(env: Environment, arguments: list[str]) -> int:
    from kycli.core.migration.workspaces import bring_in, plan

    found = [_found(argument) for argument in arguments] if arguments else _defaults()
    if not found:
        env.note("no files of earlier KyCLI versions in their usual places")
        return 0
    keyring = _keyring(env, [one.path for one in found])
    sources = plan(found, _mapping(env))
    if "dry-run" in env.flags:
        _write_counts(env, _counted(sources, keyring))
        return 0
    if "into" in env.flags:
        path = resolve_db_path(env.flags["into"])
    else:
        path, _ = database_path(env.config, env.flags.get("db"))
    if path == MEMORY:
        raise UsageError("a database in memory is gone at once", hint="name a file with --into")
    with progress(env, "migrating") as show:
        moved = bring_in(
            path,
            sources,
            keyring,
            decrypt="decrypt" in env.flags,
            progress=show,
            busy_timeout_ms=env.config.busy_timeout_ms,
        )
    for source, result in zip(sources, moved, strict=True):
        env.note(f"{tilde(source.found.path)} is the scope {source.scope!r}: {_told(result)}")
    return 0


def _counted(sources: Iterable[Any], keyring: legacy.Keyring) -> Iterable[Any]:
    for source in sources:
        with legacy.OldStore(source.found, keyring) as old:
            counts = {_ALIKE.get(n, n): count for n, count in old.counts()._asdict().items()}
            yield source.found.path, source.scope, old.found.description, counts


def _found(argument: str) -> Found:
    path = database_file(argument)
    found = legacy.identify(path)
    if found is None:
        raise NotADatabaseError(
            f"{path}: no earlier KyCLI wrote this file",
            hint="a database of this version is used as it is: name it with -d",
        )
    return found


def _defaults() -> list[Found]:
    home = home_dir()
    found = legacy.find_defaults(home) if home else []
    # What could not be read is said, and then there is something to decide.
    for one in found:
        if one.damage is not None:
            raise NotADatabaseError(
                f"{one.path}: {one.damage}", hint="name the files that are wanted after --from"
            )
    return found


def _mapping(env: Environment) -> dict[str, str]:
    mapping: dict[str, str] = {}
    for pair in filter(None, env.flags.get("map", "").split(",")):
        old, equals, new = pair.partition("=")
        if not equals or not old or not new:
            raise UsageError(
                f"--map {pair}: not OLD=NEW", hint="such as --map default=old,work=job"
            )
        mapping[old] = new
    return mapping


def _say_what_there_is(env: Environment, path: str) -> int:
    """Say what earlier versions left in their usual places, and change nothing."""
    home = home_dir()
    found = legacy.find_defaults(home) if home else []
    if not found:
        env.note(
            f"nothing to migrate: {tilde(path)} "
            + ("is of this version" if os.path.exists(path) else "does not exist")
            + ", and no earlier KyCLI left files in their usual places"
        )
        return 0
    for one in found:
        what = one.damage or one.description
        env.note(f"{tilde(one.path)}: {what}" + (f", {one.note}" if one.note else ""))
    env.note(f"'kycli migrate --from' brings them into {tilde(path)}, a scope each")
    env.note("'kycli migrate --from --dry-run' counts what is in them; nothing was changed")
    return 0


# Both


def _keyring(env: Environment, paths: list[str]) -> legacy.Keyring:
    """Return the keys that were given, having made sure that they open something.

    Raises:
        MasterKeyError: when they do not, or there are none where they are needed.
    """
    key = os.environ.get("KYCLI_MASTER_KEY", "")
    wanted = "decrypt" in env.flags
    if not key and wanted:
        key = env.read_secret("the master key of the old database: ")
        if not key:
            raise MasterKeyError("--decrypt needs the master key", hint="give KYCLI_MASTER_KEY")
    keys = legacy.keys_of(key)
    for path in paths if key else []:
        with legacy.open_old(path, keys):
            pass
    return legacy.Keyring(keys)


def _write_counts(env: Environment, rows: Iterable[tuple[str, str | None, str, Any]]) -> None:
    def plain(row: tuple[str, str | None, str, Any]) -> bytes:
        path, scope, what, counts = row
        told = [path, *([scope] if scope else []), what, _told(counts)]
        return b"\t".join(env.shown(os.fsencode(cell)) for cell in told)

    def data(row: tuple[str, str | None, str, Any]) -> dict[str, Any]:
        path, scope, what, counts = row
        return {"path": text_or_bytes(os.fsencode(path)), "scope": scope, "what": what, **counts}

    write_listing(env, rows, plain, data)


# What is counted, one of it and several.
_NAMES = {
    "keys": ("key", "keys"),
    "changes": ("change in the history", "changes in the history"),
    "removed": ("removed value", "removed values"),
    "added": ("of the changes had left no trace", "of the changes had left no trace"),
    "queue": ("queue item", "queue items"),
    "encrypted": ("encrypted value", "encrypted values"),
}
# What the readers call it.
_ALIKE = {"history": "changes", "archive": "removed", "sealed": "encrypted"}


def _told(counts: dict[str, int]) -> str:
    parts = [f"{count:,} {_NAMES[name][count != 1]}" for name, count in counts.items() if count]
    return ", ".join(parts) or "nothing"
