"""The server of one shell: workers that take what the shell's processes write to a pipe."""

from __future__ import annotations

import gc
import os
import signal

from kycli.session.loading import load_everything
from kycli.session.pipes import PipeWorker
from kycli.session.pool import Pool

_OF_THE_TERMINAL = (
    *(signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU),
    *(signal.SIGHUP, signal.SIGPIPE),
)
_FOREVER = 1 << 20


def serve(requests: int, life: int, ready: int | None) -> None:
    """Serve until the shell ends.

    Parameters:
        requests: the pipe that requests are read from.
        life: a pipe that is at its end when the shell ends.
        ready: the descriptor that a byte is written to when requests are taken.
    """
    for number in _OF_THE_TERMINAL:
        signal.signal(number, signal.SIG_IGN)
    _become_a_session()
    _close_the_rest({requests, life} if ready is None else {requests, life, ready})
    os.chdir("/")
    gc.collect()
    gc.freeze()
    gc.disable()
    lock = _lock_file()
    pool = Pool(lambda *given, **options: PipeWorker(requests, lock, life, *given, **options))
    # The first call is under way: a worker takes it before all modules are there.
    pool.start(1)
    if ready is not None:
        os.write(ready, b"\0")
        os.close(ready)
    load_everything()
    gc.freeze()
    pool.renew()
    pool.start()
    while not pool.is_ending and not pool.wait(_FOREVER, life):
        pass
    pool.end()


def _lock_file() -> int:
    """Return the descriptor of a file without a name, which the workers lock in turn."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("kycli")
    from tempfile import TemporaryFile

    with TemporaryFile() as file:
        return os.dup(file.fileno())


def _become_a_session() -> None:
    try:
        os.setsid()
    except PermissionError:
        pass  # it leads one already


def _close_the_rest(keep: set[int]) -> None:
    """Close all descriptors but these, and have nothing in the place of the standard streams."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in {0, 1, 2} - keep:
        os.dup2(nothing, standard)
    try:
        found = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        found = [*range(os.sysconf("SC_OPEN_MAX"))]
    for descriptor in found:
        if descriptor > 2 and descriptor not in keep:
            try:
                os.close(descriptor)
            except OSError:
                pass  # the directory that was listed
