"""``python -m kycli.session``: the servers, as ``kycli server`` and shells start them.

``server [--idle SECONDS] [--ready FD]``
    The user's server. On FD it writes ``ready``, ``running`` when there is one already, or
    ``error WHY``.
"""

from __future__ import annotations

import os
import sys


def main() -> int:
    # By hand: a shell waits for its server, and importing argparse takes as long as all the rest.
    kind, *words = sys.argv[1:] or [""]
    names = [word.removeprefix("--") for word in words[::2]]
    given = dict(zip(names, words[1::2], strict=False))
    numbers = {name: int(text) for name, text in given.items() if text.isdecimal()}
    ready = numbers.get("ready")
    if kind == "server":
        return _server(numbers.get("idle"), ready)
    print(__doc__, file=sys.stderr)
    return 1


def _server(idle: int | None, ready: int | None) -> int:
    from kycli.errors import KycliError
    from kycli.session.server import IDLE_SECONDS, AlreadyRunning, Server

    def say(text: str) -> None:
        if ready is not None:
            os.write(ready, text.encode())
            os.close(ready)

    os.chdir("/")
    try:
        Server(IDLE_SECONDS if idle is None else idle).run(lambda: say("ready"))
    except AlreadyRunning:
        say("running")
        return 3
    except (KycliError, OSError) as error:
        say(f"error {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
