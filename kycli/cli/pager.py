"""Showing long output on a terminal in the user's pager."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from typing import IO

_FOR_A_SHELL = frozenset("|&;<>()$`*?[]{}#~=%!\n")
"""Characters with a meaning in a command; words without them are the same to a shell."""


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
        words = shlex.split(command) or [""]
    except ValueError:
        return None
    program = words[0]
    if program in ("", "cat") or not shutil.which(program):
        return None
    environment = {"LESS": "FRX", "LV": "-c", **os.environ}
    if plain and os.path.basename(program) == "less":
        # Without -d, less warns about a dumb terminal; with -R, it sends colours of its own.
        environment.update(TERM="dumb", LESS=f"{environment['LESS']} -d -+R")
    # Without a shell around it, a signal reaches the pager itself.
    if _FOR_A_SHELL.isdisjoint(command):
        try:
            return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=terminal, env=environment)
        except OSError:
            pass  # a script without a first line for an interpreter, which a shell runs
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


def stop(pager: subprocess.Popen[bytes]) -> None:
    """End the pager, whether or not it has read everything: ``finish`` then waits for nobody."""
    if pager.stdin is not None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, pager.stdin.fileno())  # or closing it would wait for the pager to read
        os.close(nowhere)
    pager.terminate()  # less gives the terminal back as it was
    try:
        pager.wait(1)
    except subprocess.TimeoutExpired:
        pager.kill()
