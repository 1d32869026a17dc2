"""doctor: checking a database."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from kycli.cli.output import write_listing
from kycli.cli.progress import progress
from kycli.core.location import MEMORY
from kycli.errors import CannotOpenError, CorruptError, KycliError

if TYPE_CHECKING:
    from kycli.cli.env import Environment
    from kycli.core.doctor.checking import Problem


def examine(env: Environment, arguments: list[str]) -> int:
    """``doctor``: print the problems; 1 when some cannot be repaired."""
    store = env.store()
    if store.path == MEMORY:
        raise _nothing_to_examine(env)
    with progress(env, "indexing") as show:
        problems = store.check(repair=True, progress=show)
    write_listing(env, problems, lambda problem: _plain(env, problem), _data)
    left = sum(not problem.repaired for problem in problems)
    if left:
        raise CorruptError(
            f"{store.path}: {left} of {len(problems)} problems cannot be mended",
            hint="keep a copy of the file and restore a backup, or try sqlite3's .recover command",
        )
    env.note(f"{store.path} is sound{' again' if problems else ''}")
    return 0


def _nothing_to_examine(env: Environment) -> KycliError:
    from kycli.config import database_path

    path, _ = database_path(env.config, env.flags.get("db"))
    if os.path.exists(path):
        return CorruptError(
            f"{path}: the file is empty",
            hint="if it was a database, all of it is gone: restore a backup",
        )
    return CannotOpenError(f"{path}: no such file")


def _plain(env: Environment, problem: Problem) -> bytes:
    state = "mended" if problem.repaired else "damaged"
    return f"{problem.part}\t{state}\t".encode() + env.shown(problem.what)


def _data(problem: Problem) -> dict[str, Any]:
    return problem._asdict()
