"""Starting the shell: choose its kind (screen, dumb terminal, script) and its first state."""

from __future__ import annotations

import gc
import os
import signal
from typing import TYPE_CHECKING

from kycli.shell.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import NoReturn

    from kycli.cli.env import Environment

_UNIVERSAL = ("db", "quiet", "yes")


def start(env: Environment) -> int:
    """Run the shell to its end; return its exit code.

    Parameters:
        env: that of the command that starts it.
    """
    was_collecting = gc.isenabled()
    gc.freeze()
    gc.enable()  # one command makes no cycles worth looking for, a day of them does
    flags = {name: env.flags[name] for name in _UNIVERSAL if name in env.flags}
    session = Session(flags, env.current_scope())
    # It was taken in; from now on 'use' decides, and says nothing of the variable.
    os.environ.pop("KYCLI_SCOPE", None)
    died: list[int] = []

    def end(number: int, frame: FrameType | None) -> NoReturn:
        died.append(number)
        session.dies = True
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        return _kind(env)(session, env)
    except SystemExit as leaving:
        return int(leaving.code or 0)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        session.close()
        gc.unfreeze()
        if not was_collecting:
            gc.disable()
        if died:
            signal.raise_signal(died[0])


def _kind(env: Environment) -> Callable[[Session, Environment], int]:
    """Return what runs the commands: from a script, on a dumb terminal, or on any other."""
    if not env.input_is_terminal():
        from kycli.shell.script import run_script

        return run_script
    if os.environ.get("TERM", "") in ("", "dumb") or not env.output_is_terminal():
        from kycli.shell.plain import run_lines

        return run_lines
    from kycli.shell.interactive import run_interactive

    return run_interactive
