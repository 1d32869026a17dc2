"""migrate: databases of earlier KyCLI versions."""

from __future__ import annotations

import os
import shlex
import time
from itertools import islice
from typing import TYPE_CHECKING, Any

from kycli.cli.commands.values.reading import text_or_bytes
from kycli.cli.output import tilde, write_listing
from kycli.cli.progress import progress
from kycli.config import database_path
from kycli.core.location import MEMORY, database_file, home_dir, resolve_db_path
from kycli.core.migration import legacy
from kycli.core.migration.formats import count_rows, examine, migrate
from kycli.core.migration.notes import notes_scope
from kycli.core.names import DEFAULT
from kycli.errors import CannotOpenError, MasterKeyError, NotADatabaseError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kycli.cli.env import Environment
    from kycli.core.migration.legacy import Found
    from kycli.core.storage import Kycore


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
    there_is = path != MEMORY and os.path.exists(path) and os.path.getsize(path) > 0
    if there_is and examine(path) is not None:
        return _in_place(env, path)
    return _report_old_files(env, path, there_is)


# In place


def _in_place(env: Environment, path: str) -> int:
    env.choice("backup", "no-backup")
    if not os.path.exists(path):
        raise CannotOpenError(f"{path}: no such file")
    examined = examine(path)
    if examined is None:
        env.note(f"{tilde(path)} is of this version already")
        return 0
    keyring = _keyring(env, [examined.found] if examined.found else [])
    if keyring and examined.found:
        with legacy.OldStore(examined.found, keyring):
            pass  # which fails when the keys open nothing
    if "dry-run" in env.flags:
        counts = count_rows(path, examined)
        _write_counts(env, [(path, None, examined.description, counts)])
        return 0
    with progress(env, "migrating") as show:
        done = migrate(
            path,
            backup=_backups_of(env, path),
            keyring=keyring if "decrypt" in env.flags else None,
            progress=show,
            busy_timeout_ms=env.config.busy_timeout_ms,
        )
    if done is None:
        env.note("another process has migrated it already")
        return 0
    counts = {} if done.moved is None else done.moved._asdict()
    what = f": {_summed(counts)}" if counts else ""
    env.note(f"migrated {tilde(path)}, {examined.description}{what}")
    _report_encrypted(env, counts.get("encrypted", 0))
    _report_notes(env, path, DEFAULT, done.notes)
    if done.backup is not None:
        env.note(f"the old database is kept as {tilde(done.backup)}")
    if done.free_bytes:
        env.note(
            f"{_size(done.free_bytes)} of the file are free and will be reused; to shrink it now "
            f"and keep the history: kycli compact {_ALL_DAYS} --vacuum" + _db_flag(env, path)
        )
    return 0


def _open(env: Environment, path: str, scope: str | None = None) -> Kycore:
    from kycli.core.storage import Kycore

    config = env.config
    return Kycore(
        path,
        scope=scope,
        durability="full" if config.durability == "full" else "normal",
        busy_timeout_ms=config.busy_timeout_ms,
        command=env.command,
    )


def _size(count: int) -> str:
    return f"{count / 1_000_000:,.1f} MB" if count >= 1_000_000 else f"{count / 1000:,.1f} kB"


def _backups_of(env: Environment, path: str) -> list[str]:
    """Return what the copy may be called, by default a name beside the file that is free."""
    if "no-backup" in env.flags:
        return []
    if "backup" in env.flags:
        return [database_file(env.flags["backup"])]
    name = f"{path}.before-migration"
    return [name, f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"]


# What both report


def _report_encrypted(env: Environment, count: int) -> None:
    if not count:
        return
    values = "1 value stays" if count == 1 else f"{count:,} values stay"
    if "decrypt" in env.flags:
        env.note(
            f"{values} encrypted: none of the keys given opens {'it' if count == 1 else 'them'}"
        )
    else:
        env.note(f"{values} encrypted; --decrypt, with the master key, decrypts while migrating")


def _report_notes(env: Environment, path: str, scope: str, counts: dict[str, int]) -> None:
    """Report line by line what could not be kept as it was; the database has it as notes."""
    if not counts or "quiet" in env.flags:
        return
    notes = notes_scope(scope)
    with _open(env, path, notes) as kv:
        for what, count in counts.items():
            for key, about in islice(kv.scan(f"{what}/"), _LINES):
                name = about.get("name", key.partition("/")[2])
                env.note(_LEFT[what].format(name=name, **_shown(about)))
            if count > _LINES:
                env.note(f"and {count - _LINES:,} more like that")
    env.note(
        f"this is kept in the scope {notes!r}: kycli scan --scope {notes}{_db_flag(env, path)}"
    )


def _shown(about: dict[str, Any]) -> dict[str, str]:
    """Return what is said of a note, long texts cut short."""
    shown = {name: repr(value) for name, value in about.items() if name != "name"}
    return {name: f"{text[:60]}…" if len(text) > 61 else text for name, text in shown.items()}


_LEFT = {
    "renamed": "the key {was} cannot be a key here; it is {name} now",
    "deletion": "a deletion of {key} at {at} is not in the history: its value is unknown",
    "setting": "the setting {name} has no counterpart and is not taken over",
    "table": "the table {name} is another program's and stays in the old file",
    "trigger": "the trigger {name} was on a table that is replaced; it is dropped",
    "index": "the index {name} was on a table that is replaced; it is dropped",
    "view": "the view {name} cannot be made on the new tables; it is dropped",
}
_LINES = 20  # of each kind
_ALL_DAYS = 36500


def _db_flag(env: Environment, path: str) -> str:
    """Return the flag that a command needs to use a database; nothing for the one in effect."""
    if database_path(env.config, None)[0] == path:
        return ""
    return f" -d {shlex.quote(path)}"


# Into another database


def _bring_in(env: Environment, arguments: list[str]) -> int:
    from kycli.core.migration.workspaces import bring_in, plan

    found = [_found(argument) for argument in arguments] if arguments else _defaults()
    if not found:
        env.note("no files of earlier KyCLI versions in their usual places")
        return 0
    if "into" in env.flags:
        path = resolve_db_path(env.flags["into"])
    else:
        path, _ = database_path(env.config, env.flags.get("db"))
    if path == MEMORY:
        raise UsageError("a database in memory does not last", hint="name a file with --into")
    for one in found:
        if os.path.exists(path) and os.path.samefile(path, one.path):
            raise UsageError(
                f"{path}: this is one of the files, and the database that they would come into",
                hint="name a new database with --into FILE",
            )
    keyring = _keyring(env, found)
    sources = plan(found, _mapping(env))
    if "dry-run" in env.flags:
        _write_counts(env, _counted(sources, keyring))
        return 0
    with progress(env, "migrating") as show:
        brought = bring_in(
            path,
            sources,
            keyring,
            lambda: _open(env, path),
            decrypt="decrypt" in env.flags,
            progress=show,
        )
    for source, result in zip(sources, brought, strict=True):
        env.note(
            f"{tilde(source.found.path)} is the scope {source.scope!r}: {_summed(result.counts)}"
        )
        _report_encrypted(env, result.counts["encrypted"])
        _report_notes(env, path, source.scope, result.notes)
    return 0


def _counted(sources: Iterable[Any], keyring: legacy.Keyring) -> Iterable[Any]:
    for source in sources:
        with legacy.OldStore(source.found, keyring) as old:
            counts = {_SYNONYMS.get(n, n): count for n, count in old.counts()._asdict().items()}
            yield source.found.path, source.scope, old.found.description, counts


def _found(argument: str) -> Found:
    path = database_file(argument)
    found = legacy.identify(path)
    if found is not None:
        return found
    later = examine(path)
    if later is not None:
        raise NotADatabaseError(
            f"{path}: this is {later.description}",
            hint=f"migrate it in place: kycli migrate {shlex.quote(path)}",
        )
    raise NotADatabaseError(
        f"{path}: this is a database of this version",
        hint="it is used as it is: name it with -d",
    )


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


def _report_old_files(env: Environment, path: str, there_is: bool) -> int:
    """Report the files of earlier versions in their usual places, and change nothing."""
    home = home_dir()
    found = legacy.find_defaults(home) if home else []
    if not found:
        env.note(
            f"nothing to migrate: {tilde(path)} "
            + ("is of this version" if there_is else _nothing_at(path))
            + ", and no earlier KyCLI left files in their usual places"
        )
        return 0
    for one in found:
        what = one.damage or one.description
        env.note(f"{tilde(one.path)}: {what}" + (f", {one.note}" if one.note else ""))
    env.note(f"'kycli migrate --from' brings them into {tilde(path)}, a scope each")
    env.note("'kycli migrate --from --dry-run' counts what is in them; nothing was changed")
    return 0


def _nothing_at(path: str) -> str:
    return "is empty" if os.path.exists(path) else "does not exist"


# Both


def _keyring(env: Environment, found: list[Found]) -> legacy.Keyring:
    """Return the keys that were given.

    Raises:
        MasterKeyError: when there are none where they are needed.
    """
    key = os.environ.get("KYCLI_MASTER_KEY", "")
    if "decrypt" in env.flags and not key:
        if any(legacy.holds_encrypted(one) for one in found):
            key = env.read_secret("the master key of what is encrypted: ")
            if not key:
                raise MasterKeyError(
                    "--decrypt needs the master key of what is encrypted",
                    hint=legacy.HOW_TO_GIVE_KEYS,
                )
        else:
            env.note("nothing is encrypted, so --decrypt changes nothing")
    return legacy.Keyring(legacy.keys_of(key))


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
    "added": ("of the changes reconstructed", "of the changes reconstructed"),
    "queue": ("queue item", "queue items"),
    "encrypted": ("encrypted value", "encrypted values"),
}
# Names of the readers -> names here.
_SYNONYMS = {"history": "changes", "archive": "removed", "sealed": "encrypted"}


def _summed(counts: dict[str, int]) -> str:
    parts = [f"{count:,} {_NAMES[name][count != 1]}" for name, count in counts.items() if count]
    return ", ".join(parts) or "nothing"
