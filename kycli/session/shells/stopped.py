"""Killing a shell's server that a signal has stopped. ``kycli.session.lean`` runs it: SHELL.

zsh runs it when a reply is long overdue. Whether the server completed the request is unknown; the
closed connection tells the caller so. A server that still runs is left alone, however long it
takes.
"""

from __future__ import annotations

import os
import signal
import socket

from kycli.session import endpoint

_STOPPED = "T"
"""The state of a process that waits for SIGCONT; one that is traced has another one."""


def main(shell: str) -> int:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.setblocking(False)
        try:
            connection.connect(endpoint.socket_path(int(shell)))
            server, user = endpoint.peer(connection)
        except OSError:  # it has ended
            return 0
    if not server or user != os.getuid():
        return 1
    processes = [server, *_children(server)]
    if any(_state(process) == _STOPPED for process in processes):
        for process in processes:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
    return 0


def _children(process: int) -> list[int]:
    try:
        with open(f"/proc/{process}/task/{process}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def _state(process: int) -> str:
    """Return the letter of a process's state, "" when it is not known."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""
