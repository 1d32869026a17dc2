"""Starting the server of a shell as a daemon: no terminal, directory or inherited descriptors."""

from __future__ import annotations

import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

STARTED, OTHER_VERSION, FAILED = 0, 3, 4
"""Exit codes: there is a server; the package has another version than the script; there is none.

Python itself ends with 1 or 130 when it is interrupted, or cannot begin."""

_SECONDS = 30


def start(version: str, serve: Callable[[Callable[[str], None]], None]) -> int:
    """Start a server, print what it says when it is ready, and return the exit code.

    Parameters:
        version: that of the script that asks.
        serve: serves until the server ends, and calls what it is given once it is ready.
    """
    from kycli import __version__

    if version != __version__:
        return OTHER_VERSION
    ours, theirs = os.pipe()
    if os.fork() == 0:
        _leave(theirs)
        _run(serve, theirs)
    os.close(theirs)
    readable, _, _ = select.select([ours], [], [], _SECONDS)
    said = os.read(ours, 4096) if readable else b""
    os.write(1, said)
    return STARTED if said else FAILED


def _run(serve: Callable[[Callable[[str], None]], None], ready: int) -> NoReturn:
    def say(text: str) -> None:
        os.write(ready, f"{text}\n".encode())
        os.close(ready)

    try:
        serve(say)
    except BaseException:
        os._exit(1)  # the pipe ends without a word, and the shell runs the command itself
    os._exit(0)


def _leave(kept: int) -> None:
    """Detach from the parent process: keep none of its descriptors but one."""
    os.setsid()
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)
    os.closerange(3, kept)
    os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))
