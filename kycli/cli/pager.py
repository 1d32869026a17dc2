"""Showing long output on a terminal in the user's pager."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from typing import IO


def start(terminal: int, *, plain: bool) -> subprocess.Popen[bytes] | None:
    """Start the pager on a terminal; return None if there is none.

    As in git, it is ``$PAGER``, else ``less``; ``cat`` or an empty name means none. If the user
    has not set ``LESS``, less exits by itself when everything fits on one screen, keeps
    colours, and leaves the text on the screen.

    Parameters:
        terminal: the file descriptor of the terminal.
        plain: whether less must send no escape sequences, as on a dumb terminal.
    """
    command = os.environ.get("PAGER", "less")
    try:
        program = (shlex.split(command) or [""])[0]
    except ValueError:
        return None
    if program in ("", "cat") or not shutil.which(program):
        return None
    environment = {"LESS": "FRX", "LV": "-c", **os.environ}
    if plain and os.path.basename(program) == "less":
        # Without -d, less warns about a dumb terminal; with -R, it sends colours of its own.
        environment.update(TERM="dumb", LESS=f"{environment['LESS']} -d -+R")
    return subprocess.Popen(
        command, shell=True, stdin=subprocess.PIPE, stdout=terminal, env=environment
    )


def finish(pager: subprocess.Popen[bytes]) -> None:
    """Close the pager's input, and wait until the user leaves it."""
    pipe: IO[bytes] | None = pager.stdin
    try:
        if pipe is not None:
            pipe.close()
    except (OSError, KeyboardInterrupt):
        pass  # the user left it before the end, or wants no more of it
    while True:
        try:
            pager.wait()
            return
        except KeyboardInterrupt:
            pass  # the pager has the terminal, and handles ^C itself
