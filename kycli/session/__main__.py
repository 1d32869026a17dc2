"""``python -m kycli.session``: the servers, as ``kycli server`` and shells start them.

``server [--idle SECONDS] [--ready FD]``
    The user's server. On FD it writes ``ready``, ``running`` when there is one already, or
    ``error WHY``.

``pipe --requests FD --life FD [--workers N] [--ready FD]``
    The server of one shell, which answers what arrives on the inherited pipe ``--requests`` (see
    "Pipes" in ``kycli.session.protocol``). It ends when ``--life``, the read end of a pipe whose
    write end the shell holds and never writes to, is at its end, or when ``--requests`` is. So the
    server itself must not inherit a write end of either. N processes (2 by default) take a request
    each, so that one that waits for a lock holds nobody up. On the descriptor ``--ready`` it
    writes one byte NUL when it takes requests; requests may be written before. It ignores SIGINT,
    SIGQUIT, SIGHUP, SIGTSTP, SIGTTIN and SIGTTOU, is a session of its own (setsid), works in ``/``, and closes all
    other descriptors that it inherits, standard streams included.

``path``
    Print the path of the socket of the user's server.
"""

from __future__ import annotations

import argparse
import os
import sys


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m kycli.session", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    server = kinds.add_parser("server", help="the user's server, on a Unix socket")
    server.add_argument("--idle", type=float, default=None, help="seconds without a request")
    server.add_argument("--ready", type=int, help="a descriptor to say on that it listens")
    given = parser.parse_args()
    return _server(given.idle, given.ready)


def _server(idle: float | None, ready: int | None) -> int:
    from kycli.errors import KycliError
    from kycli.session.server import IDLE_SECONDS, AlreadyRunning, Server

    def say(text: str) -> None:
        nonlocal ready
        if ready is not None:
            os.write(ready, text.encode())
            os.close(ready)
            ready = None

    os.chdir("/")
    try:
        server = Server(IDLE_SECONDS if idle is None else idle)
        from kycli.session.loading import load_everything

        load_everything()
        server.run(lambda: say("ready"))
    except AlreadyRunning:
        say("running")
        return 3
    except (KycliError, OSError) as error:
        say(f"error {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
