"""migrate: databases of earlier KyCLI versions."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from kycli.cli.commands.values.reading import text_or_bytes
from kycli.cli.output import keys_counted, tilde, write_listing
from kycli.cli.progress import progress
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
            hint="--from brings several into one",
        )
    if arguments:
        return _in_place(env, database_file(arguments[0]))
    path, _ = database_path(env.config, env.flags.get("db"))
    if path != MEMORY and os.path.exists(path) and examine(path) is not None:
        return _in_place(env, path)
    return _report_old_files(env, path)


# In place


def _in_place(env: Environment, path: str) -> int:
    env.choice("backup", "no-backup")
    found = examine(path) if os.path.exists(path) else None
    if found is None:
        if not os.path.exists(path):
            raise CannotOpenError(f"{path}: no such file")
        if legacy.identify(path) is not None:
            raise NotADatabaseError(
                f"{path}: this database cannot be migrated in place",
                hint=f"bring it into another: kycli migrate --from {path}",
            )
        if not is_current(path):
            raise NotADatabaseError(f"{path}: this is not a kycli database")
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
        env.note("another process has migrated it already")
        return 0
    what = "" if done.moved is None else f": {_summed(done.moved._asdict())}"
    env.note(f"migrated {tilde(path)}, {found.description}{what}")
    if done.moved is not None and done.moved.encrypted:
        env.note(
            f"{keys_counted(done.moved.encrypted)} stayed encrypted; "
            "--decrypt, with KYCLI_MASTER_KEY, decrypts them"
        )
    if backup is not None:
        env.note(f"the old database is kept as {tilde(backup)}")
    return 0


def _backup_of(env: Environment, path: str) -> str | None:
    """Return the path of the copy, by default an unused name beside the file."""
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
        raise UsageError("a database in memory does not last", hint="name a file with --into")
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
        env.note(f"{tilde(source.found.path)} is the scope {source.scope!r}: {_summed(result)}")
    return 0


def _counted(sources: Iterable[Any], keyring: legacy.Keyring) -> Iterable[Any]:
    for source in sources:
        with legacy.OldStore(source.found, keyring) as old:
            counts = {_SYNONYMS.get(n, n): count for n, count in old.counts()._asdict().items()}
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
    # A file that cannot be read is an error: the user has to decide which files to take.
    for one in found:
        if one.damage is not None:
            raise NotADatabaseError(
                f"{one.path}: {one.damage}", hint="name the files to bring in after --from"
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


def _report_old_files(env: Environment, path: str) -> int:
    """Report the files of earlier versions in their usual places, and change nothing."""
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
    """Return the master keys, after checking that they open the files.

    Raises:
        MasterKeyError: when they do not, or are missing but needed.
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
        cells = [path, *([scope] if scope else []), what, _summed(counts)]
        return b"\t".join(env.shown(os.fsencode(cell)) for cell in cells)

    def data(row: tuple[str, str | None, str, Any]) -> dict[str, Any]:
        path, scope, what, counts = row
        return {"path": text_or_bytes(os.fsencode(path)), "scope": scope, "what": what, **counts}

    write_listing(env, rows, plain, data)


# What is counted: singular and plural.
_NAMES = {
    "keys": ("key", "keys"),
    "changes": ("change in the history", "changes in the history"),
    "removed": ("removed value", "removed values"),
    "added": ("of the changes had left no trace", "of the changes had left no trace"),
    "queue": ("queue item", "queue items"),
    "encrypted": ("encrypted value", "encrypted values"),
}
# Names of the readers -> names here.
_SYNONYMS = {"history": "changes", "archive": "removed", "sealed": "encrypted"}


def _summed(counts: dict[str, int]) -> str:
    parts = [f"{count:,} {_NAMES[name][count != 1]}" for name, count in counts.items() if count]
    return ", ".join(parts) or "nothing"
