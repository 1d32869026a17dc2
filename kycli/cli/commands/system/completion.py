"""completion: the scripts for shells, and the answers to what these ask."""

from __future__ import annotations

import os

from kycli.cli.suggest import nearest
from kycli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kycli.cli.env import Environment
    from kycli.core.storage import Kycore

_WAIT_MS = 50
"""How long to wait for another process's lock: the user waits for the answer."""


def complete(env: Environment, arguments: list[str]) -> int:
    """``completion SHELL [WORD...]``: print the script, or answer what it asks."""
    from kycli.cli.completing.scripts import SHELLS, script

    shell, *asked = arguments
    if shell not in SHELLS:
        near = nearest(shell, SHELLS)
        raise UsageError(
            f"no completion for {shell!r}", hint=near or f"the shells are {', '.join(SHELLS)}"
        )
    if not asked:
        env.write(script(shell).encode())
        return 0
    from kycli.cli.completing import Surroundings
    from kycli.cli.completing.shells import ANSWERS

    store: list[Kycore] = []

    def opened(path: str | None) -> Kycore | None:
        if not store:
            found = _open(env, path)
            if found is None:
                return None
            store.append(found)
        return store[0]

    around = Surroundings(lambda: env.scope_without_flags()[0], lambda: env.config.ns_delim, opened)
    try:
        answer = ANSWERS[shell](asked, around)
    except (ValueError, IndexError):
        raise UsageError(
            "a question that the script of this version does not ask",
            hint=f"evaluate 'kycli completion {shell}' again",
        ) from None
    finally:
        for each in store:
            each.close()
    env.write(answer)
    return 0


def _open(env: Environment, named: str | None) -> Kycore | None:
    """Open a database to read from; never make or migrate one."""
    from kycli.config import database_path
    from kycli.core.storage import Kycore

    path, _ = database_path(env.config, named)
    try:
        if not os.path.getsize(path) and not os.path.getsize(f"{path}-wal"):
            return None
    except OSError:
        return None
    return Kycore(path, busy_timeout_ms=_WAIT_MS, cache_entries=0)
