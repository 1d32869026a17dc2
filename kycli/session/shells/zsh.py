"""The server of one zsh. ``kycli.session.lean`` runs it: VERSION SHELL.

It works like the user's server, on its own socket, and exits with the shell. The command starts the
server and returns when callers can connect.
"""

from __future__ import annotations

import os
from time import monotonic, sleep

from kycli.session.shells.starting import start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_SECONDS = 20


def main(version: str, shell: str) -> int:
    return start(version, lambda ready: _serve(int(shell), ready))


def _serve(shell: int, ready: Callable[[str], None]) -> None:
    from kycli.session import endpoint
    from kycli.session.server import AlreadyRunning, Server

    try:
        server = Server(shell=shell)
    except AlreadyRunning:  # another process of the shell was faster
        end = monotonic() + _SECONDS
        while not os.path.exists(endpoint.socket_path(shell)) and monotonic() < end:
            sleep(0.01)
        ready("running")
        return
    endpoint.remove_left_over()
    server.run(lambda: ready("ready"))
