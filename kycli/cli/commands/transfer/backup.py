"""``backup``: copies of the whole database, listed and restored."""

from __future__ import annotations

import os
import shlex
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kycli.cli.output import tilde, write_listing
from kycli.config import database_path
from kycli.core.layout import FORMAT
from kycli.core.location import MEMORY
from kycli.errors import CannotOpenError, UsageError
from kycli.transfer.backup.making import make
from kycli.transfer.backup.names import backups_in, default_directory
from kycli.transfer.backup.restoring import look, restore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kycli.cli.env import Environment
    from kycli.transfer.backup.names import Listed

_FIRST_SECONDS = 0.5
_PAUSE_SECONDS = 0.1
_SHOWN_TIME = "%Y-%m-%d %H:%M:%S"


def run(env: Environment, arguments: list[str]) -> int:
    """``backup [PATH]``: make a backup, list them, or restore one."""
    what = env.choice("list", "restore")
    for flag in ("keep", "zstd", "force") if what else ():
        env.choice(what, flag)
    for flag in ("jsonl", "null") if what != "list" else ():
        if flag in env.flags:
            raise UsageError(f"--{flag} goes with --list", hint="see 'kycli help backup'")
    if arguments == ["-"]:
        raise UsageError("a backup is a file", hint="name a file or a directory")
    if what == "list":
        return _list(env, arguments)
    if what == "restore":
        return _restore(env, arguments)
    return _make(env, arguments)


def _make(env: Environment, arguments: list[str]) -> int:
    keep = env.count("keep", 1)
    store = env.store()
    if store.path == MEMORY:
        path, _ = database_path(env.config, env.flags.get("db"))
        raise CannotOpenError(f"{path}: there is no database to back up")
    with _progress(env, "backing up") as show:
        made = make(
            store,
            arguments[0] if arguments else None,
            compression="zstd" if "zstd" in env.flags else None,
            keep=keep,
            overwrite="force" in env.flags,
            progress=show,
        )
    if "json" in env.flags:
        _write_json(env, {"path": made.path, "size": made.size, "removed": made.removed})
    else:
        env.write(env.shown(os.fsencode(made.path)) + b"\n")
    env.flush()
    env.note(f"backed up {tilde(store.path)}, {size_of(made.size)}")
    for path in made.removed:
        env.note(f"removed {tilde(path)}")
    return 0


def _list(env: Environment, arguments: list[str]) -> int:
    path, _ = database_path(env.config, env.flags.get("db"))
    if arguments:
        directory = os.path.realpath(arguments[0])
    elif path == MEMORY:
        raise UsageError("a database in memory has no backups", hint="name a directory")
    else:
        directory = default_directory(path)
    try:
        found = backups_in(directory, path)
    except FileNotFoundError:
        if arguments:
            raise
        found = []
    write_listing(env, found, lambda backup: _plain(env, backup), _data)
    return 0


def _plain(env: Environment, backup: Listed) -> bytes:
    state = backup.problem or f"format {backup.format}"
    if not backup.is_own:
        state += ", of another database"
    cells = [time.strftime(_SHOWN_TIME, time.gmtime(backup.time)), size_of(backup.size), state]
    return "\t".join(cells).encode() + b"\t" + env.shown(os.fsencode(backup.path))


def _data(backup: Listed) -> dict[str, Any]:
    return {
        "path": backup.path,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(backup.time)),
        "size": backup.size,
        "format": backup.format,
        "problem": backup.problem,
        "own": backup.is_own,
    }


def _restore(env: Environment, arguments: list[str]) -> int:
    if not arguments:
        raise UsageError("which backup is to be restored?", hint="'kycli backup --list' lists them")
    path, _ = database_path(env.config, env.flags.get("db"))
    if path == MEMORY:
        raise UsageError("a database in memory cannot be replaced", hint="name a file with -d")
    backup = arguments[0]
    look(backup, path)
    if os.path.lexists(path) and not env.confirm(
        f"replace {tilde(path)} by the backup {tilde(backup)}? The database is kept beside it."
    ):
        return 1
    with _progress(env, "restoring") as show:
        done = restore(backup, path, timeout_ms=env.config.busy_timeout_ms, progress=show)
    if "json" in env.flags:
        _write_json(env, done._asdict())
    env.note(f"restored {tilde(done.path)} from {tilde(backup)}")
    if done.format != FORMAT:
        env.note(f"the backup was of format {done.format}, and became format {FORMAT}")
    if done.aside is not None:
        env.note(
            f"the database that was there is kept: {tilde(done.aside)}; "
            f"to go back: kycli backup --restore {shlex.quote(done.aside)}"
        )
    return 0


def _write_json(env: Environment, data: dict[str, Any]) -> None:
    from kycli.cli.commands.values.reading import write_json

    write_json(env, data)


@contextmanager
def _progress(env: Environment, what: str) -> Iterator[Callable[[int, int], None] | None]:
    """Yield a function of bytes done and all bytes; None if nobody would see it."""
    if not env.is_watched():
        yield None
        return
    start = time.monotonic()
    due = start + _FIRST_SECONDS

    def show(done: int, total: int) -> None:
        nonlocal due
        now = time.monotonic()
        if now < due:
            return
        due = now + _PAUSE_SECONDS
        if done >= total:
            env.status(f"{what}: checking the copy")
            return
        left = (now - start) / done * (total - done) if done else 0
        env.status(f"{what}: {size_of(done)} of {size_of(total)}, {left:.0f} s left")

    try:
        yield show
    finally:
        env.status("")


def size_of(count: float) -> str:
    """Return a number of bytes as people write it."""
    if count < 1000:
        return f"{count} bytes"
    units = ["TB", "GB", "MB", "kB"]
    count /= 1000
    while count >= 1000 and len(units) > 1:
        count /= 1000
        units.pop()
    return f"{count:,.1f} {units[-1]}"
