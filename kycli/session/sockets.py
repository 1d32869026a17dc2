"""A worker of the user's server: it takes requests from connections to a Unix socket."""

from __future__ import annotations

import fcntl
import os
import resource
import select
import socket
from time import monotonic

from kycli.session import endpoint, protocol
from kycli.session.loop import EXCLUSIVE, READABLE, Loop
from kycli.session.worker import DECLINE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kycli.session.protocol import Request
    from kycli.session.table import Table

_BLOCK = 1 << 18
_MOST_CONNECTIONS = 64
"""How many callers may be connected to one worker, and fewer where descriptors are few."""

_SILENCE = 10
"""The seconds that a connection may be open before its first request."""

_HANGUP = select.POLLHUP | select.POLLERR
_FLAGS = socket.MSG_DONTWAIT | getattr(socket, "MSG_NOSIGNAL", 0)
_ASYNC = os.O_ASYNC if hasattr(os, "O_ASYNC") else fcntl.FASYNC


class _Connection:
    """A caller that is connected.

    Attributes:
        since: when it connected, or when its last request ended.
        requests: how many it has sent.
    """

    __slots__ = ("requests", "since", "socket")

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.since = monotonic()
        self.requests = 0


class SocketWorker(Loop):
    """Accepts connections, and answers what they ask for, one request at a time.

    Parameters:
        listener: the socket that all workers accept from; it does not block.
        lifeline, more, table, number, spare: as for ``Loop``.
    """

    def __init__(
        self,
        listener: socket.socket,
        lifeline: int,
        more: int,
        table: Table,
        number: int,
        *,
        spare: bool,
    ) -> None:
        super().__init__(lifeline, more, table, number, spare=spare)
        self._listener = listener
        self._accepting = listener.fileno()
        self._connections: dict[int, _Connection] = {}
        self._current: socket.socket | None = None
        self._pid = os.getpid()
        self._user = os.getuid()
        self._space = _mount_space("self")
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._most = min(_MOST_CONNECTIONS, max(1, descriptors // 4))

    def watch(self) -> None:
        self.poller.register(self._accepting, READABLE | EXCLUSIVE)

    def handle(self, descriptor: int) -> None:
        if descriptor == self._accepting:
            self._accept()
        elif descriptor in self._connections:  # else it was closed meanwhile, to make room
            self._serve(self._connections[descriptor])

    def has_callers(self) -> bool:
        return bool(self._connections)

    def look_after_callers(self) -> None:
        now = monotonic()
        for connection in [*self._connections.values()]:
            if connection.requests == 0 and now - connection.since > _SILENCE:
                self._decline(connection)

    def drain(self) -> None:
        while self._accept():
            pass
        for connection in [*self._connections.values()]:
            self._serve(connection)
        for connection in [*self._connections.values()]:
            self._decline(connection)

    # Connections

    def _accept(self) -> bool:
        """Accept a connection, and serve it if it has sent something; return whether one came."""
        try:
            caller, _ = self._listener.accept()
        except BlockingIOError:  # another worker was faster
            return False
        except OSError:  # descriptors or memory are used up
            self._make_room()
            return False
        if not self._is_ours(caller):
            caller.close()
            return True
        if len(self._connections) >= self._most:
            self._make_room()
        descriptor = caller.fileno()
        fcntl.fcntl(descriptor, fcntl.F_SETOWN, self._pid)
        connection = self._connections[descriptor] = _Connection(caller)
        # Most have sent their request by now, and close the connection after the reply.
        self._serve(connection)
        if descriptor in self._connections:
            self.poller.register(descriptor, READABLE)
        return True

    def _is_ours(self, caller: socket.socket) -> bool:
        """Whether a caller is the same user's, and sees the same files."""
        try:
            pid, user = endpoint.peer(caller)
        except OSError:
            return False
        return user == self._user and _mount_space(pid) in (self._space, 0)

    def _serve(self, connection: _Connection) -> None:
        """Answer the request that a connection has sent, if there is one."""
        try:
            keep = self._answered(connection)
        except OSError:  # the caller has gone, or is too slow
            keep = False
        if not keep:
            self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        self._connections.pop(connection.socket.fileno(), None)
        connection.socket.close()

    def _make_room(self) -> None:
        """Close databases, and the connection that has been silent for longest."""
        self.worker.rest(0)
        if self._connections:
            self._decline(min(self._connections.values(), key=lambda c: c.since))

    def _decline(self, connection: _Connection) -> None:
        """Close a connection; what it may have sent meanwhile is not done."""
        try:
            connection.socket.send(DECLINE, _FLAGS)
        except OSError:
            pass
        self._drop(connection)

    # Requests

    def _answered(self, connection: _Connection) -> bool:
        """Read a request and answer it; return whether to keep the connection."""
        caller = connection.socket
        try:
            data = caller.recv(_BLOCK, _FLAGS)
        except BlockingIOError:
            return True  # it has sent nothing yet
        if not data:
            return False
        try:
            body = _whole(caller, data)
            if body is None:  # it cancelled, too late
                return True
            request = protocol.parsed(body)
        except protocol.ProtocolError:
            _send(caller, DECLINE)
            return False
        reply = self._run(caller, request)
        try:
            _send(caller, reply)
        finally:
            self.worker.leave()
        connection.requests += 1
        connection.since = monotonic()
        return not request.is_last

    def _run(self, caller: socket.socket, request: Request) -> bytes:
        descriptor = caller.fileno()
        self._current = caller
        try:
            # From here on, what the caller sends, or its end, is a signal.
            fcntl.fcntl(descriptor, fcntl.F_SETFL, _ASYNC)
            if _next_byte(caller) is not None:
                return DECLINE  # withdrawn before it began
            return self.answer(request) or self._status()
        finally:
            self._current = None
            fcntl.fcntl(descriptor, fcntl.F_SETFL, 0)

    def is_cancelled(self) -> bool:
        if self._current is None:
            return False
        poller = select.poll()
        poller.register(self._current.fileno(), READABLE)
        events = poller.poll(0)
        return bool(events) and (bool(events[0][1] & _HANGUP) or bool(_next_byte(self._current)))

    def _status(self) -> bytes:
        """Return the reply to a question about the server."""
        import json

        facts = {**self.table.summary(), "version": endpoint.version()}
        return protocol.reply(b"0", [(1, json.dumps(facts).encode())])


def _mount_space(pid: int | str) -> int:
    """Return the number of the mount namespace of a process, 0 when it is not known."""
    try:
        return os.stat(f"/proc/{pid}/ns/mnt").st_ino
    except OSError:
        return 0


def _next_byte(caller: socket.socket) -> bytes | None:
    """Return what a caller has sent after its request: b"" for its end, None for nothing."""
    try:
        return caller.recv(1, _FLAGS | socket.MSG_PEEK)
    except BlockingIOError:
        return None


def _whole(caller: socket.socket, data: bytes) -> bytes | None:
    """Return the body of a request, None when there were only NUL bytes.

    Parameters:
        data: its first bytes.

    Raises:
        ProtocolError: when it is none.
        OSError: when its rest does not come in time, or the caller has gone.
    """
    found = protocol.length(data) if data[0] else None
    if found is not None and len(data) - found[0] == found[1]:
        return data[found[0] :]
    pieces = bytearray(data)
    end = monotonic() + protocol.REPLY_TIMEOUT
    while True:
        if pieces[:1] == b"\0":
            del pieces[: len(pieces) - len(pieces.lstrip(b"\0"))]
            if not pieces:
                return None
        if found is None:
            found = protocol.length(bytes(pieces[: protocol.MOST_HEAD]))
        if found is not None:
            missing = sum(found) - len(pieces)
            if missing < 0:
                raise protocol.ProtocolError("more than a request")
            if missing == 0:
                return bytes(pieces[found[0] :])
        _wait(caller, select.POLLIN, end)
        block = caller.recv(_BLOCK, _FLAGS)
        if not block:
            raise protocol.ProtocolError("cut off")
        pieces += block


def _send(caller: socket.socket, reply: bytes) -> None:
    """Send a reply.

    Raises:
        OSError: when the caller has gone, or does not read it in time.
    """
    rest = memoryview(reply)
    while True:
        try:
            rest = rest[caller.send(rest, _FLAGS) :]
        except BlockingIOError:
            pass
        if not rest:
            return
        _wait(caller, select.POLLOUT, monotonic() + protocol.REPLY_TIMEOUT)


def _wait(caller: socket.socket, event: int, end: float) -> None:
    """Wait until a connection can be read, or written to.

    Raises:
        TimeoutError: when the time is over.
    """
    poller = select.poll()
    poller.register(caller.fileno(), event)
    if not poller.poll(max(0, end - monotonic()) * 1000):
        raise TimeoutError
