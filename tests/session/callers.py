"""Callers of a server: what a native client or a shell does, in Python."""

from __future__ import annotations

import os
import socket
from typing import Any, NamedTuple

from kycli.session import control, endpoint, protocol
from kycli.session.caller import counts

LAST = protocol.reply(protocol.DECLINED, [])

SECONDS = 30
"""How long a test waits for what must happen."""


class Answer(NamedTuple):
    """A reply."""

    status: str
    chunks: list[tuple[int, bytes]]

    @property
    def out(self) -> bytes:
        return b"".join(data for stream, data in self.chunks if stream == 1)

    @property
    def err(self) -> str:
        return b"".join(data for stream, data in self.chunks if stream == 2).decode()


def variables() -> dict[str, str]:
    """Return the variables of this process that a request carries."""
    return {name: value for name, value in os.environ.items() if counts(name)}


def request(program: str, *arguments: str | bytes, **options: Any) -> bytes:
    """Return a request of this process."""
    given: dict[str, Any] = {
        "pid": os.getpid(),
        "directory": os.getcwd(),
        "variables": variables(),
        **options,
    }
    return protocol.request(program, arguments, **given)


def connect() -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(endpoint.socket_path())  # waits while the server is busy accepting others
    connection.settimeout(SECONDS)
    return connection


def read(connection: socket.socket) -> Answer | None:
    """Read a reply; None when the connection ends without one."""
    data = b""
    while True:
        block = connection.recv(1 << 20)
        if not block:
            assert not data, "a reply was cut off"
            return None
        data += block
        # What the server says when it closes a connection; it may follow at once.
        if data.endswith(LAST) and data != LAST:
            data = data.removesuffix(LAST)
        found = protocol.read_reply(data)
        if found is not None:
            status, chunks = found
            return Answer(status.decode(), chunks)


def ask(program: str, *arguments: str | bytes, **options: Any) -> Answer:
    """Ask the user's server to run a command line, over a connection of its own."""
    with connect() as connection:
        connection.sendall(request(program, *arguments, **options))
        answer = read(connection)
        assert answer is not None
        return answer


def facts() -> dict[str, Any]:
    """Return what the server says of itself."""
    found = control.find()
    assert found is not None
    assert found.facts is not None
    return found.facts


def server() -> int:
    """Return the process of the server."""
    found = control.find()
    assert found is not None
    return found.pid


def children(pid: int) -> list[int]:
    """Return the workers of a server."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]
