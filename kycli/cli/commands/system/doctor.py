"""doctor: checking a database, and saving what can be read of a damaged one."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any

from kycli.cli.output import keys_counted, tilde, write_listing
from kycli.cli.progress import progress
from kycli.config import database_path
from kycli.core.doctor.facts import Fact, facts
from kycli.core.location import MEMORY
from kycli.errors import CannotOpenError, CorruptError, KycliError, NotADatabaseError, StorageError

if TYPE_CHECKING:
    from kycli.cli.env import Environment
    from kycli.core.doctor.checking import Problem
    from kycli.core.doctor.salvage import Salvaged

_OF_DAMAGE = (CorruptError, NotADatabaseError, StorageError)
_SAVE = "'kycli doctor --repair' saves what can be read; or restore a backup"


def examine(env: Environment, arguments: list[str]) -> int:
    """``doctor``: print facts and problems; 1 when some problems cannot be repaired."""
    saves = "repair" in env.flags
    try:
        store = env.store()
        if store.path == MEMORY:
            raise _nothing_to_examine(env)
        about = facts(store)
        with progress(env, "indexing") as show:
            problems = store.check(repair=True, progress=show)
    except StorageError as error:
        if not saves or type(error) not in _OF_DAMAGE:
            raise
        env.note(f"kycli: {error}")
        return _save(env)
    left = [problem for problem in problems if not problem.repaired]
    is_file_damaged = any(problem.part == "file" for problem in left)
    if is_file_damaged and saves:
        for problem in left:
            env.note(f"kycli: {problem.what}")
        return _save(env)
    items: list[Fact | Problem] = [*about, *problems]
    write_listing(env, items, lambda item: _plain(env, item), _data)
    env.flush()
    if left:
        raise CorruptError(
            f"{store.path}: {len(left)} of {len(problems)} problems cannot be mended",
            hint=_SAVE if is_file_damaged else "keep a copy of the file and restore a backup",
        )
    env.note(f"{store.path} is sound{' again' if problems else ''}")
    return 0


def _nothing_to_examine(env: Environment) -> KycliError:
    path, _ = database_path(env.config, env.flags.get("db"))
    if os.path.exists(path):
        return CorruptError(
            f"{path}: the file is empty",
            hint="if it was a database, all of it is gone: restore a backup",
        )
    return CannotOpenError(f"{path}: no such file")


def _plain(env: Environment, item: Fact | Problem) -> bytes:
    return f"{item.part}\t{_state(item)}\t".encode() + env.shown(item.what)


def _data(item: Fact | Problem) -> dict[str, Any]:
    found = {"part": item.part, "state": _state(item), "what": item.what}
    return {**found, **(item.details if isinstance(item, Fact) else {"repaired": item.repaired})}


def _state(item: Fact | Problem) -> str:
    if isinstance(item, Fact):
        return "ok" if item.is_fine else "warning"
    return "mended" if item.repaired else "damaged"


# Saving what can be read


def _save(env: Environment) -> int:
    """Salvage a database into a new one, and put that into its place if that is wanted."""
    from kycli.core.backup.replacing import put_in_place
    from kycli.core.doctor.salvage import salvage
    from kycli.transfer.backup.names import name_aside, remove_abandoned_aside

    env.close()
    path, _ = database_path(env.config, env.flags.get("db"))
    target = os.path.realpath(path)
    remove_abandoned_aside(target, "salvaged")
    with progress(env, "reading pages") as show:
        done = salvage(target, name_aside(target, "salvaged"), show, env.command)
    problems = _problems_of(env, done.path)
    if env.choice("json", "jsonl", "null") in ("json", "jsonl"):
        data = {**done._asdict(), "lost_keys": [key._asdict() for key in done.lost_keys]}
        data["problems"] = [_data(problem) for problem in problems]
        write_listing(env, [data], lambda item: b"", lambda item: item)
    else:
        write_listing(env, _lines(done), lambda line: env.shown(line), str)
        write_listing(env, problems, lambda problem: _plain(env, problem), _data)
    env.flush()
    env.note(f"saved {keys_counted(done.keys)} in {tilde(done.path)}")
    can_ask = env.input_is_terminal() and not {"yes"} & env.flags.keys()
    if not ("yes" in env.flags or can_ask) or not env.confirm(
        f"replace {tilde(path)} by it? The damaged database is kept beside it."
    ):
        env.note(f"to use it: kycli backup --restore {shlex.quote(done.path)}")
        return 1
    os.chmod(done.path, os.stat(target).st_mode & 0o777)
    aside = name_aside(target, "damaged")
    put_in_place(done.path, target, aside, env.config.busy_timeout_ms)
    env.note(f"{tilde(target)} is what was saved; the damaged database is kept: {tilde(aside)}")
    return 0


def _problems_of(env: Environment, path: str) -> list[Problem]:
    from kycli.core.storage import Kycore

    with Kycore(path, busy_timeout_ms=env.config.busy_timeout_ms) as store:
        return store.check()


def _lines(done: Salvaged) -> list[str]:
    lines = [
        f"saved\t{done.keys:,} keys in {done.scopes:,} scopes",
        f"saved\t{done.changes:,} changes and {done.archived:,} archived values",
    ]
    if done.from_history:
        lines.append(f"saved\t{done.from_history:,} of the keys from the history")
    lines.append(f"lost\t{done.damaged_pages:,} pages could not be read as a whole")
    if done.lost_changes:
        lines.append(f"lost\tthe values of {done.lost_changes:,} changes")
    lines += [f"lost\tkey\t{key.scope}\t{key.key}" for key in done.lost_keys]
    return lines + [f"lost\ttable of another program\t{name}" for name in done.other_tables]
