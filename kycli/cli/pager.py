"""Long output on a terminal, through the pager that the user has chosen."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from typing import IO


def start(terminal: int, *, plain: bool) -> subprocess.Popen[bytes] | None:
    """Start the pager in front of a terminal; None when there is none to start.

    As in git: ``$PAGER``, else ``less``; ``cat`` or nothing at all means none. Where the
    user has not set ``LESS``, less ends by itself when all fits on one screen, keeps
    colours, and leaves the text on the screen.

    Parameters:
        terminal: the file descriptor of the terminal.
        plain: whether less is to do without escape sequences, as on a dumb terminal.
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
        # Without -d it would complain of such a terminal; for -R it sends colours of its own.
        environment.update(TERM="dumb", LESS=f"{environment['LESS']} -d -+R")
    return subprocess.Popen(
        command, shell=True, stdin=subprocess.PIPE, stdout=terminal, env=environment
    )


def finish(pager: subprocess.Popen[bytes]) -> None:
    """Let the pager show what it was given, until the user leaves it."""
    pipe: IO[bytes] | None = pager.stdin
    try:
        if pipe is not None:
            pipe.close()
    except OSError:
        pass  # the user has left it before the end
    while True:
        try:
            pager.wait()
            return
        except KeyboardInterrupt:
            pass  # which is the pager's to answer: it has the terminal
