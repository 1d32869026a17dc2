"""A worker of a shell's own server: requests from a pipe that the shell's processes write to."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import stat
from typing import TYPE_CHECKING

from kycli.session import protocol
from kycli.session.loop import EXCLUSIVE, READABLE, SERVER_ENDS, Loop
from kycli.session.worker import DECLINE

if TYPE_CHECKING:
    from kycli.session.protocol import Request
    from kycli.session.table import Table

_ASYNC = os.O_ASYNC if hasattr(os, "O_ASYNC") else fcntl.FASYNC
_MANY = 1 << 16


class PipeWorker(Loop):
    """Takes one request after the other from a pipe, and writes each reply where it says.

    Parameters:
        requests: the pipe, which other workers read, too.
        lock: a file; who has locked it may read the pipe.
        life: a pipe that is at its end when the shell is.
        lifeline, more, table, number, spare: as for ``Loop``.
    """

    def __init__(
        self,
        requests: int,
        lock: int,
        life: int,
        lifeline: int,
        more: int,
        table: Table,
        number: int,
        *,
        spare: bool,
    ) -> None:
        super().__init__(lifeline, more, table, number, spare=spare)
        self._requests = requests
        self._lock = lock
        self._life = life
        self._current = -1
        self._pid = os.getpid()

    def watch(self) -> None:
        self.poller.register(self._requests, READABLE | EXCLUSIVE)
        self.poller.register(self._life, READABLE)

    def handle(self, descriptor: int) -> None:
        if descriptor == self._life:
            self.end(SERVER_ENDS)
            return
        try:
            record = self._take()
        except protocol.ProtocolError:
            # Where the next request begins cannot be known: the shell starts another server.
            self.end(SERVER_ENDS)
            return
        if record is not None:
            self._serve(record)

    def is_cancelled(self) -> bool:
        """Whether nobody is left who could read the reply."""
        if self._current < 0:
            return False
        poller = select.poll()
        poller.register(self._current, 0)
        return bool(poller.poll(0))

    def _take(self) -> bytes | None:
        """Take a request from the pipe; return what follows LENGTH, None when there is none.

        Raises:
            ProtocolError: when it is none, or the pipe is at its end.
        """
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            poller = select.poll()
            poller.register(self._requests, READABLE)
            if not poller.poll(0):
                return None  # another worker was faster
            data = os.read(self._requests, protocol.SHORTEST)
            found = protocol.length(data) if data else None
            while found is None and data and len(data) < protocol.MOST_HEAD:
                byte = os.read(self._requests, 1)
                data += byte
                found = protocol.length(data) if byte else None
            if found is None:
                raise protocol.ProtocolError("the end")
            begin, size = found
            if begin + size > protocol.MAX_PIPED:
                raise protocol.ProtocolError("too long for one write")
            data = data[begin:]
            return data + os.read(self._requests, size - len(data)) if len(data) < size else data
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)

    def _serve(self, record: bytes) -> None:
        """Answer a request, of which ``record`` is what follows LENGTH."""
        where, _, body = record.partition(b"\0")
        caller, _, rest = body.partition(b"\0")
        if not caller.isdigit() or len(caller) > 9:
            return  # nobody to tell
        if where == b"-":
            self._cancel(int(caller))
            return
        try:
            reply_to = _opened(where, caller, os.O_WRONLY)
        except OSError:
            return  # the caller has gone, before anything was done
        try:
            if rest.find(b"\0") == len(rest) - 1:
                body = _large(rest[:-1], caller)
            _send(reply_to, self._run(protocol.parsed(body), reply_to) or DECLINE)
        except protocol.ProtocolError:
            _try_to_send(reply_to, DECLINE)
        except OSError:
            pass  # the caller has gone, or does not read
        finally:
            os.close(reply_to)
            self.worker.leave()

    def _run(self, request: Request, reply_to: int) -> bytes:
        self._current = reply_to
        try:
            # From here on, the end of the pipe's last reader is a signal.
            fcntl.fcntl(reply_to, fcntl.F_SETOWN, self._pid)
            fcntl.fcntl(reply_to, fcntl.F_SETFL, _ASYNC | os.O_NONBLOCK)
            if self.is_cancelled():
                return DECLINE
            return self.answer(request)
        finally:
            self._current = -1

    def _cancel(self, caller: int) -> None:
        """Interrupt what other workers run for a caller."""
        for pid in self.table.cancel(caller):
            try:
                os.kill(pid, signal.SIGUSR1)
            except ProcessLookupError:
                pass


def _opened(where: bytes, caller: bytes, flags: int) -> int:
    """Open a pipe or file of a caller, named by a descriptor of its own or by a path.

    Raises:
        OSError: when it cannot be opened, or is something else, or another user's.
    """
    path = where if where[:1] == b"/" else b"/proc/%b/fd/%d" % (caller, _number(where))
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    status = os.fstat(descriptor)
    is_pipe = stat.S_ISFIFO(status.st_mode)
    is_file = stat.S_ISREG(status.st_mode) and flags == os.O_RDONLY
    if not (is_pipe or is_file) or status.st_uid != os.getuid():
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a pipe of this user")
    return descriptor


def _number(text: bytes) -> int:
    if not text.isdigit() or len(text) > 9:
        raise OSError(errno.EINVAL, "no descriptor")
    return int(text)


def _large(where: bytes, caller: bytes) -> bytes:
    """Read a request that was too long for one write from where the caller says.

    Raises:
        ProtocolError: when it is none.
        OSError: when it does not come in time.
    """
    descriptor = _opened(where, caller, os.O_RDONLY)
    try:
        data = bytearray()
        found: tuple[int, int] | None = None
        while found is None or len(data) < sum(found):
            wanted = protocol.SHORTEST if not data else 1
            if found is not None:
                wanted = min(_MANY, sum(found) - len(data))
            _wait(descriptor, select.POLLIN)
            block = os.read(descriptor, wanted)
            if not block:
                raise protocol.ProtocolError("cut off")
            data += block
            if found is None:
                found = protocol.length(bytes(data))
        return bytes(data[found[0] :])
    finally:
        os.close(descriptor)


def _send(descriptor: int, reply: bytes) -> None:
    """Write a reply.

    Raises:
        OSError: when the caller has gone, or does not read it in time.
    """
    rest = memoryview(reply)
    while True:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            pass
        if not rest:
            return
        _wait(descriptor, select.POLLOUT)


def _try_to_send(descriptor: int, reply: bytes) -> None:
    try:
        _send(descriptor, reply)
    except OSError:
        pass


def _wait(descriptor: int, event: int) -> None:
    """Wait until a descriptor can be read, or written to.

    Raises:
        TimeoutError: when that takes too long.
    """
    poller = select.poll()
    poller.register(descriptor, event)
    if not poller.poll(protocol.PATIENCE * 1000):
        raise TimeoutError
