"""``mirror``: keys as a directory of files, and back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kycli.cli.commands.values.reading import write_json
from kycli.cli.output import keys_counted
from kycli.cli.progress import progress
from kycli.core.location import MEMORY
from kycli.core.names import check_scope
from kycli.errors import CannotOpenError, UsageError
from kycli.transfer.mirror import MirrorExport, MirrorImport, MirrorImported, Selection

if TYPE_CHECKING:
    from kycli.cli.env import Environment

_SHOWN_EVERY = 4096


def export_mirror(env: Environment, arguments: list[str]) -> int:
    """``mirror export DIR``: write a file for each key."""
    path = _directory(arguments)
    store = env.store()
    if store.path == MEMORY:
        # It would empty the mirror.
        raise CannotOpenError(
            "there is no database, so there is nothing to mirror",
            hint="-d/--db and KYCLI_DB_PATH choose one; 'kycli config' shows which is in effect",
        )
    with progress(env, path) as show:
        work = MirrorExport(
            store,
            path,
            _selection(env),
            force="force" in env.flags,
            dry_run="dry-run" in env.flags,
            progress=show,
        )
        done = work.run()
    parts = [
        f"{getattr(done, name):,} {name}"
        for name in ("created", "overwritten", "unchanged", "removed", "kept")
        if getattr(done, name)
    ]
    _note_counts(env, path, keys_counted(done.keys), parts)
    if done.kept:
        files = "1 file was" if done.kept == 1 else f"{done.kept:,} files were"
        env.note(f"{files} edited since the last export, and kept; the first: {work.first_kept}")
        env.note(
            "hint: 'kycli mirror import DIR' reads edited files, "
            "'kycli mirror export DIR --force' overwrites them"
        )
    if "json" in env.flags:
        write_json(env, done._asdict())
    return 0


def import_mirror(env: Environment, arguments: list[str]) -> int:
    """``mirror import DIR``: read the files of a mirror."""
    path = _directory(arguments)
    os.stat(path)  # before a database is made
    is_watched = env.is_watched()

    def show(count: int) -> None:
        if count % _SHOWN_EVERY == 0 and count:
            env.status(f"{path}: {count:,} files")

    dry_run = "dry-run" in env.flags
    work = MirrorImport(
        env.store(create=not dry_run),
        path,
        _selection(env),
        on_conflict=env.flags.get("on-conflict", "overwrite"),
        delete="delete" in env.flags,
        strip_newline="strip-newline" in env.flags,
        dry_run=dry_run,
        progress=show if is_watched else None,
    )
    try:
        done = work.run()
    except KeyboardInterrupt:
        env.status("")
        env.note("kycli: interrupted; nothing was imported")
        raise
    finally:
        env.status("")
    _report(env, path, work, done)
    return 0


def _report(env: Environment, path: str, work: MirrorImport, done: MirrorImported) -> None:
    rows = done.rows
    parts = [
        f"{getattr(rows, name):,} {name}"
        for name in ("created", "overwritten", "unchanged", "skipped")
        if getattr(rows, name)
    ]
    if done.deleted:
        parts.append(f"{done.deleted:,} deleted")
    _note_counts(env, path, "1 file" if rows.read == 1 else f"{rows.read:,} files", parts)
    if not work.is_complete:
        env.note(f"the last export to {path} was interrupted, so files may be missing or old")
    if done.missing:
        files = "1 file is" if done.missing == 1 else f"{done.missing:,} files are"
        env.note(f"{files} gone; --delete deletes the keys of such files")
    count, first = work.ignored
    if count:
        files = "1 file is" if count == 1 else f"{count:,} files are"
        env.note(f"{files} not where a key's file is, and ignored; the first: {first}")
    if "json" in env.flags:
        data = rows._asdict()
        del data["rejected"]  # there are none: it is all or nothing
        write_json(env, {**data, "deleted": done.deleted, "missing": done.missing})


def _note_counts(env: Environment, path: str, what: str, parts: list[str]) -> None:
    would = " (nothing was changed)" if "dry-run" in env.flags else ""
    env.note(f"{path}: {what}{': ' if parts else ''}{', '.join(parts)}{would}")


def _directory(arguments: list[str]) -> str:
    if not arguments[0]:
        raise UsageError("an empty name of a directory", hint="name the directory of the mirror")
    return arguments[0]


def _selection(env: Environment) -> Selection:
    prefix = env.flags.get("prefix", "")
    if not env.scope_is_fixed:
        return Selection(None, prefix)
    given = env.flags.get("scope", "")
    if "," not in given:
        return Selection(frozenset({env.scope}), prefix)
    if "project" in env.flags or "namespace" in env.flags:
        raise UsageError("--scope together with -p or -n", hint="name each scope with --scope")
    return Selection(frozenset(map(check_scope, given.split(","))), prefix)
