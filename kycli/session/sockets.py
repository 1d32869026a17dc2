"""A worker of the user's server: requests from connections on a Unix socket."""

from __future__ import annotations

import _socket
import fcntl
import json
import os
import select
import signal
from time import monotonic
from typing import TYPE_CHECKING

from kycli.session import places, protocol
from kycli.session.worker import DECLINE, Worker

if TYPE_CHECKING:
    from socket import socket
    from types import FrameType

    from kycli.session.table import Table

_BLOCK = 1 << 18
_IDLE_SECONDS = 1.0
_UNUSED_SECONDS = 30
_MOST_CONNECTIONS = 64
_SILENCE = 10
"""The seconds that a connection may be open before its first request."""

_EXCLUSIVE = getattr(select, "EPOLLEXCLUSIVE", 0)
_HANGUP = select.POLLHUP | select.POLLERR
_ASYNC = os.O_ASYNC if hasattr(os, "O_ASYNC") else 0o20000


class _Connection:
    """A caller that is connected.

    Attributes:
        since: when it connected, or when its last request ended.
        requests: how many it has sent.
    """

    __slots__ = ("requests", "since", "socket")

    def __init__(self, connection: _socket.socket) -> None:
        self.socket = connection
        self.since = monotonic()
        self.requests = 0


class SocketWorker:
    """Accepts connections, and answers what they ask for, one request at a time.

    Parameters:
        listener: the socket that all workers accept from; it does not block.
        lifeline: a descriptor that can be read when the server ends.
        more: a descriptor that takes a byte when another worker is needed.
        number: the line of the table that is this worker's.
        spare: whether it ends when it has nothing to do.
    """

    def __init__(
        self,
        listener: socket,
        lifeline: int,
        more: int,
        table: Table,
        number: int,
        *,
        spare: bool,
    ) -> None:
        self._listener = listener
        self._accepting = listener.fileno()
        self._lifeline = lifeline
        self._more = more
        self._table = table
        self._number = number
        self._spare = spare
        self._worker = Worker()
        self._connections: dict[int, _Connection] = {}
        self._current: _socket.socket | None = None
        self._is_ending = False
        self._pid = os.getpid()
        self._user = os.getuid()
        self._space = _mount_space("self")

    def run(self) -> None:
        """Serve until the server ends."""
        _raise_on(signal.SIGIO, self._cancelled)
        wakeup, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        _raise_on(signal.SIGUSR1, lambda: self._worker.is_running)
        signal.signal(signal.SIGTERM, lambda *_: os.write(wake, b"t"))
        poller = select.epoll()
        poller.register(self._accepting, select.EPOLLIN | _EXCLUSIVE)
        poller.register(self._lifeline, select.EPOLLIN)
        poller.register(wakeup, select.EPOLLIN)
        self._poller = poller
        self._table.enter(self._number)
        has_stores = False
        last = monotonic()
        while not self._is_ending:
            if has_stores:
                timeout = _IDLE_SECONDS
            elif self._connections:
                timeout = _SILENCE
            else:
                timeout = _UNUSED_SECONDS if self._spare else -1
            events = poller.poll(timeout)
            for descriptor, _ in events:
                if descriptor == self._accepting:
                    self._accept()
                elif descriptor in self._connections:
                    self._serve(self._connections[descriptor])
                elif descriptor in (self._lifeline, wakeup):
                    self._is_ending = True
            now = monotonic()
            if events:
                has_stores = True
            if now - last >= _IDLE_SECONDS or not events:
                last = now
                has_stores = self._worker.rest(_IDLE_SECONDS)
                self._table.note_stores(self._number, self._worker.stores)
                self._close_silent(now)
                if not events and not has_stores and self._spare and not self._connections:
                    break
        self._drain()

    # Connections

    def _accept(self) -> bool:
        """Accept a connection, and serve it if it has sent something already."""
        try:
            descriptor, _ = self._listener._accept()  # type: ignore[attr-defined]
        except BlockingIOError:  # another worker was faster
            return False
        except OSError:  # descriptors or memory are used up
            self._make_room()
            return False
        connection = _Connection(
            _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, descriptor)
        )
        try:
            is_ours = self._is_ours(connection.socket)
        except OSError:
            is_ours = False
        if not is_ours:
            connection.socket.close()
            return True
        if len(self._connections) >= _MOST_CONNECTIONS:
            self._make_room()
        self._connections[descriptor] = connection
        # Most have sent their request by now, and close the connection after the reply.
        self._serve(connection)
        if descriptor in self._connections:
            self._poller.register(descriptor, select.EPOLLIN)
        return True

    def _is_ours(self, connection: _socket.socket) -> bool:
        """Whether a caller is the same user's, and sees the same files."""
        pid, user = places.peer(connection)  # type: ignore[arg-type]
        return user == self._user and _mount_space(pid) in (self._space, 0)

    def _serve(self, connection: _Connection) -> None:
        """Answer the request that a connection has sent, if there is one."""
        try:
            keep = self._answer(connection)
        except OSError:  # the caller has gone
            keep = False
        if not keep:
            self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        self._connections.pop(connection.socket.fileno(), None)
        connection.socket.close()

    def _close_silent(self, now: float) -> None:
        """Close the connections that have never sent anything."""
        for connection in [*self._connections.values()]:
            if connection.requests == 0 and now - connection.since > _SILENCE:
                self._decline(connection)

    def _make_room(self) -> None:
        """Close the connection that has been silent for longest."""
        self._worker.rest(0)
        if self._connections:
            oldest = min(self._connections.values(), key=lambda c: c.since)
            self._decline(oldest)

    def _decline(self, connection: _Connection) -> None:
        """Close a connection; what it may have sent meanwhile was not done."""
        try:
            connection.socket.send(DECLINE, _socket.MSG_DONTWAIT | _socket.MSG_NOSIGNAL)
        except OSError:
            pass
        self._drop(connection)

    # Requests

    def _answer(self, connection: _Connection) -> bool:
        """Read a request and answer it; return whether to keep the connection."""
        caller = connection.socket
        try:
            data = caller.recv(_BLOCK, _socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True  # it has sent nothing yet
        if not data:
            return False
        try:
            body = _whole(caller, data)
        except protocol.ProtocolError:
            _send(caller, DECLINE)
            return False
        if body is None:  # cancelled too late: NUL bytes and nothing else
            return True
        if not self._table.begin(self._number):
            os.write(self._more, b"m")
        try:
            reply = self._run(caller, body)
        finally:
            self._table.end(self._number)
        _send(caller, reply)
        connection.requests += 1
        connection.since = monotonic()
        return True

    def _run(self, caller: _socket.socket, body: bytes) -> bytes:
        descriptor = caller.fileno()
        self._current = caller
        try:
            # From here on, what the caller sends, or its end, is a signal.
            fcntl.fcntl(descriptor, fcntl.F_SETOWN, self._pid)
            fcntl.fcntl(descriptor, fcntl.F_SETFL, _ASYNC)
            if _has_more(caller):
                return DECLINE  # withdrawn before it began
            return self._worker.answer(body) or self._status()
        finally:
            self._current = None
            fcntl.fcntl(descriptor, fcntl.F_SETFL, 0)

    def _status(self) -> bytes:
        """Return the reply to a question about the server."""
        facts = {**self._table.summary(), "version": places.version()}
        return protocol.reply(b"0", [(1, json.dumps(facts).encode())])

    def _cancelled(self) -> bool:
        """Whether the caller of what runs has hung up or sent something."""
        if self._current is None or not self._worker.is_running:
            return False
        poller = select.poll()
        poller.register(self._current.fileno(), select.POLLIN)
        ((_, event),) = poller.poll(0) or ((0, 0),)
        if event & _HANGUP:
            return True
        return bool(event) and bool(_peek(self._current))

    def _drain(self) -> None:
        """Answer the callers that are connected already, as nobody else will."""
        while self._accept():
            pass
        for connection in [*self._connections.values()]:
            self._serve(connection)
        for connection in [*self._connections.values()]:
            self._decline(connection)
        self._worker.rest(0)


def _raise_on(number: int, wanted: object) -> None:
    def handler(_: int, frame: FrameType | None) -> None:
        if wanted():  # type: ignore[operator]
            raise KeyboardInterrupt

    signal.signal(number, handler)


def _mount_space(pid: int | str) -> int:
    """Return the number of the mount namespace of a process, 0 when it is not known."""
    try:
        return os.stat(f"/proc/{pid}/ns/mnt").st_ino
    except OSError:
        return 0


def _has_more(caller: _socket.socket) -> bool:
    """Whether a caller has hung up, ended its side, or sent more than its request."""
    try:
        caller.recv(1, _socket.MSG_PEEK | _socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    return True


def _peek(caller: _socket.socket) -> bytes:
    try:
        return caller.recv(1, _socket.MSG_PEEK | _socket.MSG_DONTWAIT)
    except BlockingIOError:
        return b""


def _whole(caller: _socket.socket, data: bytes) -> bytes | None:
    """Return the body of a request, None when there were only NUL bytes.

    Parameters:
        data: its first bytes.

    Raises:
        ProtocolError: when it is none, or its rest does not come in time.
        OSError: when the caller has gone.
    """
    found = protocol.length(data) if data[0] else None
    if found is not None and len(data) - found[0] == found[1]:
        return data[found[0] :]
    pieces = bytearray(data)
    end = monotonic() + protocol.PATIENCE
    while True:
        while pieces[:1] == b"\0":
            del pieces[0]
        if not pieces:
            return None
        if found is None:
            found = protocol.length(bytes(pieces[: protocol.MOST_HEAD]))
        if found is not None:
            begin, size = found
            if len(pieces) >= begin + size:
                if len(pieces) > begin + size:
                    raise protocol.ProtocolError("more than a request")
                return bytes(pieces[begin:])
        _wait(caller, select.POLLIN, end)
        block = caller.recv(_BLOCK, _socket.MSG_DONTWAIT)
        if not block:
            raise protocol.ProtocolError("cut off")
        pieces += block


def _send(caller: _socket.socket, reply: bytes) -> None:
    """Send a reply.

    Raises:
        OSError: when the caller has gone, or does not read it in time.
    """
    flags = _socket.MSG_DONTWAIT | _socket.MSG_NOSIGNAL
    rest = memoryview(reply)
    while True:
        try:
            rest = rest[caller.send(rest, flags) :]
        except BlockingIOError:
            pass
        if not rest:
            return
        _wait(caller, select.POLLOUT, monotonic() + protocol.PATIENCE)


def _wait(caller: _socket.socket, event: int, end: float) -> None:
    """Wait until a connection can be read, or written to.

    Raises:
        TimeoutError: when the time is over.
    """
    poller = select.poll()
    poller.register(caller.fileno(), event)
    if not poller.poll(max(0, end - monotonic()) * 1000):
        raise TimeoutError
