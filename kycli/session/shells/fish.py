r"""The server of one fish. ``kycli.session.lean`` runs it: VERSION SHELL.

fish can neither use sockets nor keep descriptors open, but all its functions run in one process.
So that process has one worker and two named pipes, in the directory of the user's sockets; the
functions (``kycli.fish``) open the pipes for each call. This command starts the server, waits until
it takes requests, and prints three lines: the server's process ID, the number of its descriptor
for the pipe of requests, and a token.

``VERSION-SHELL.requests``
    A request is the byte US (0x1F), and fields that each end in US::

        K1  ID  DIRECTORY  UMASK  STREAMS  PROGRAM  KIND  VALUE...  V  AARGUMENT...  ETZ=ZONE  Z

    ID is the token and a digit. DIRECTORY is the name that fish knows, and counts only where
    ``/proc`` does not tell it. KIND is ``p`` to print the output, ``v`` for a variable, ``a`` for
    a list. VALUE... are those of ``_VARIABLES``, "" if not set. Arguments begin with ``A``. TZ is
    left out if it is not set, as an empty one is a zone. An argument with US in it is not sent.
    There is no length, because fish cannot count bytes. Ctrl-C may stop fish in mid-request. So a
    request may follow a partial one, or a complete one whose caller no longer waits.
``VERSION-SHELL.replies``
    A reply is one or more of these, each with a NUL at its end and US between the fields::

        DIGIT  STATUS  WHAT  TEXT

    DIGIT is that of ID. WHAT has three characters. The first one is the stream that TEXT goes to,
    ``1`` or ``2``; ``v`` for the value, ``a`` for the items of a list; ``0`` for nothing, ``h`` if
    fish must start a process. The second one is ``t`` if TEXT is the text itself. fish reads pipes
    byte by byte, but files in blocks; so it is ``f`` if TEXT is the path of a file, and ``n`` if
    that file has NUL bytes, which fish can only pass on to programs. The third one is ``+`` if
    another text follows, else ``.``. Items in a file end in NUL. STATUS is that of
    ``kycli.session.protocol``.

A caller that stops waiting closes the pipe of replies or sends another request; its command is
then interrupted.
"""

from __future__ import annotations

import fcntl
import os
import select
import sys
import termios
from secrets import token_hex

from kycli.session import endpoint, protocol
from kycli.session.loop import READABLE, Loop
from kycli.session.shells.starting import start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_US = b"\x1f"

_VARIABLES = (
    *(b"KYCLI_SCOPE", b"KYCLI_DB_PATH", b"KYCLI_CONFIG", b"KYCLI_DEBUG", b"HOME"),
    *(b"XDG_CONFIG_HOME", b"XDG_DATA_HOME", b"TMPDIR", b"LOGNAME", b"USER", b"NO_COLOR"),
    *(b"TERM", b"COLUMNS"),
)
"""The variables of each request, in this order."""

_HEAD = 7 + len(_VARIABLES) + 1
"""How many fields come before the arguments."""

_SHORT = 1000
"""A longer text goes through a file."""

_BLOCK = 1 << 16
_FOREVER = 1 << 20
_ASYNC = os.O_ASYNC if hasattr(os, "O_ASYNC") else fcntl.FASYNC

_NUL_VALUE = (
    b"kycli: the value has a NUL byte, which a variable of fish cannot hold\n"
    b"hint: --b64 prints it as text, --raw as it is\n"
)


class Pipes:
    """The named pipes of a shell, and the directory and beginning of their names."""

    def __init__(self, shell: int) -> None:
        self.base = os.path.join(endpoint.directory(), f"{endpoint.version()}-{shell}")
        self.requests = f"{self.base}.requests"
        self.replies = f"{self.base}.replies"

    def make(self) -> None:
        """Make them anew, so that nothing is in them."""
        self.remove()
        for path in (self.requests, self.replies):
            os.mkfifo(path, 0o600)

    def remove(self) -> None:
        """Remove them, and the files of replies."""
        self._remove(".lock")

    def remove_replies(self) -> None:
        """Remove the files of replies."""
        self._remove(".lock", ".requests", ".replies")

    def _remove(self, *kept: str) -> None:
        directory, name = os.path.split(self.base)
        for found in os.listdir(directory):
            if found.startswith(f"{name}.") and not found.endswith(kept):
                os.unlink(os.path.join(directory, found))


class FishWorker(Loop):
    """Takes requests from one pipe, and writes replies to the other.

    Parameters:
        pipes: these pipes.
        shell: the process of the shell.
        token: what IDs begin with.
        requests: the pipe of requests, open for reading.
        given: as for ``Loop``.
    """

    def __init__(
        self,
        pipes: Pipes,
        shell: int,
        token: bytes,
        requests: int,
        *given: Any,
        **options: Any,
    ) -> None:
        super().__init__(*given, **options)
        self._shell = shell
        self._pipes = pipes
        self._token = token
        self._requests = requests
        self._begun = b""
        self._given: tuple[list[bytes], bytes] | None = None
        self._variables = b""
        self._files: list[str] = []
        self._is_current = False
        self._is_new = True
        self._has_proc = os.path.exists(f"/proc/{shell}/cwd")
        self._cancelled = select.poll()
        # Only a pipe that is being read can be opened for writing alone. As soon as it is, a
        # reader need not wait, and is known by its coming and going.
        both = os.open(pipes.replies, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        self._replies = os.open(pipes.replies, os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        os.close(both)
        fcntl.fcntl(self._replies, fcntl.F_SETOWN, os.getpid())
        self._cancelled.register(self._replies, 0)
        self._cancelled.register(requests, READABLE)

    def watch(self) -> None:
        # Level-triggered, a pipe that nobody writes to would be an event at all times.
        self.poller.register(self._requests, READABLE | getattr(select, "EPOLLET", 0))

    def handle(self, descriptor: int) -> None:
        record = self._taken()
        if record:
            self._serve(record)

    def drain(self) -> None:
        # The files of the last reply stay: the caller may be about to read them.
        record = self._taken()
        if record:
            self._serve(record)

    def is_cancelled(self) -> bool:
        if not self._is_current:
            return False
        # POLLHUP of the requests is nothing: who has sent one closes the pipe at some time.
        return any(
            event & select.POLLERR if found == self._replies else event & READABLE
            for found, event in self._cancelled.poll(0)
        )

    def _taken(self) -> list[bytes]:
        """Read what has arrived, and return the fields of the last request, if it is whole."""
        data = self._begun
        while True:
            try:
                block = os.read(self._requests, _BLOCK)
            except BlockingIOError:
                break
            if not block:  # the caller has closed the pipe, so that the rest never comes
                break
            data += block
            if len(data) > protocol.MAX_FIELDS:
                data = b""
            if len(block) < _BLOCK:  # that was all, and more would be another event
                break
        fields = data.split(_US)
        self._begun = data if fields[-2:] != [b"Z", b""] else b""
        if self._begun or b"K1" not in fields:
            return []
        begin = len(fields) - 1 - fields[::-1].index(b"K1")
        record = fields[begin:-2]
        return record if len(record) >= 7 else []

    def _serve(self, record: list[bytes]) -> None:
        number, kind, words = record[1], record[6], record[_HEAD:]
        if not number.startswith(self._token):
            return
        self._forget()
        self._drop_old_replies()
        status, chunks = self._run(record)
        status, texts = _texts(kind, status, chunks, words)
        if not texts:
            texts = [(b"0" if status.isdigit() else b"h", b"")]
        ends = [b"+"] * (len(texts) - 1) + [b"."]
        reply = b""
        for (what, text), end in zip(texts, ends, strict=True):
            how, passed = self._passed(what, text)
            reply += _US.join([number[-1:], status, what + how + end, passed]) + b"\0"
        try:
            self._send(reply)
        except OSError:
            pass  # the caller has gone, or does not read

    def _run(self, record: list[bytes]) -> tuple[bytes, list[tuple[int, bytes]]]:
        """Run a request; return its status and what it wrote."""
        request = self._request(record)
        if request is None:
            return protocol.DECLINED, []
        # From here on, the end of the pipe's only reader is a signal.
        self._is_current = True
        fcntl.fcntl(self._replies, fcntl.F_SETFL, os.O_NONBLOCK | _ASYNC)
        try:
            self.table.begin(self.number, self._shell)
            return self.worker.run(request)
        finally:
            self.table.end(self.number, self.worker.stores)
            self._is_current = False
            fcntl.fcntl(self._replies, fcntl.F_SETFL, os.O_NONBLOCK)

    def _request(self, record: list[bytes]) -> protocol.Request | None:
        """Return a request in the form of ``protocol``; None if it cannot be expressed."""
        _, _, directory, umask, streams, program, kind, *values = record[: _HEAD - 1]
        words = record[_HEAD:]
        zone = words.pop() if words and words[-1][:1] == b"E" else b""
        if record[_HEAD - 1 : _HEAD] != [b"V"] or any(word[:1] != b"A" for word in words):
            return None  # a variable with US in it
        if (values, zone) != self._given:  # as in the request before, most of the time
            self._given, self._variables = (values, zone), _variables(values, zone)
        arguments = [word[1:].decode("utf-8", "surrogateescape") for word in words]
        if kind == b"a":
            arguments.insert(0, "-0")
        try:
            return protocol.Request(
                self._shell,
                b"." if self._has_proc else directory,
                int(umask, 8),
                streams.decode(),
                program.decode(),
                self._variables,
                arguments,
                None,
            )
        except ValueError:
            return None

    def _passed(self, what: bytes, text: bytes) -> tuple[bytes, bytes]:
        """Return how a text is passed on, and it or its file."""
        has_nul = b"\0" in text
        if len(text) <= _SHORT and not has_nul and _is_text(text):
            return b"t", text
        path = f"{self._pipes.base}.{len(self._files)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(path, flags, 0o600), "wb") as file:
            self._files.append(path)
            file.write(text)
        return b"n" if has_nul and what != b"a" else b"f", path.encode()

    def _forget(self) -> None:
        """Remove the files of the last reply."""
        if self._is_new:
            self._pipes.remove_replies()  # of a worker that was before this one
            self._is_new = False
        while self._files:
            try:
                os.unlink(self._files.pop())
            except OSError:
                pass

    def _drop_old_replies(self) -> None:
        """Read what a caller has left that was interrupted."""
        count = bytearray(4)
        fcntl.ioctl(self._replies, termios.FIONREAD, count)
        if not any(count):
            return
        descriptor = os.open(self._pipes.replies, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.read(descriptor, int.from_bytes(count, sys.byteorder))
        except BlockingIOError:
            pass
        finally:
            os.close(descriptor)

    def _send(self, reply: bytes) -> None:
        """Write a reply.

        Raises:
            OSError: when the caller has gone, or does not read it in time.
        """
        rest = memoryview(reply)
        while rest:
            try:
                rest = rest[os.write(self._replies, rest) :]
            except BlockingIOError:
                poller = select.poll()
                poller.register(self._replies, select.POLLOUT)
                if not poller.poll(protocol.REPLY_TIMEOUT * 1000):
                    raise TimeoutError from None


def _variables(values: list[bytes], zone: bytes) -> bytes:
    """Return variables as workers take them; the zone after the byte E, or ""."""
    given = [
        b"%b=%b\0" % (name, value) for name, value in zip(_VARIABLES, values, strict=True) if value
    ]
    return b"".join(given) + (zone[1:] + b"\0" if zone else b"")


def _texts(
    kind: bytes, status: bytes, chunks: list[tuple[int, bytes]], rest: list[bytes]
) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Return the status and, for each text of a reply, what it is."""
    if kind == b"p" or not status.isdigit():
        return status, [(b"%d" % stream, data) for stream, data in chunks]
    said = [(b"2", data) for stream, data in chunks if stream == 2]
    out = b"".join([data for stream, data in chunks if stream == 1])
    if kind == b"v":
        if not _is_raw(rest):
            out = out.removesuffix(b"\n")
        if b"\0" in out:
            return b"1", [*said, (b"2", _NUL_VALUE), (b"v", b"")]
        return status, [*said, (b"v", out)]
    return status, [*said, *([(b"a", out)] if out else [])]


def _is_text(data: bytes) -> bool:
    """Whether bytes are UTF-8; others fish keeps only if it does not split them."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_raw(fields: list[bytes]) -> bool:
    """Whether the output is the value and nothing else."""
    return b"A--raw" in fields


def main(version: str, shell: str) -> int:
    return start(version, lambda ready: _serve(int(shell), ready))


def _serve(shell: int, ready: Callable[[str], None]) -> None:
    import signal

    from kycli.session.pool import Pool
    from kycli.session.server import Shell, settle

    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    process = Shell(shell)
    endpoint.check_directory(endpoint.directory(), create=True)
    endpoint.remove_left_over()
    pipes = Pipes(shell)
    pipes.make()
    try:
        requests = os.open(pipes.requests, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        token = token_hex(3)
        pool = Pool(
            lambda *given, **options: FishWorker(
                pipes, shell, token.encode(), requests, *given, **options
            )
        )
        pool.start(1)
        ready(f"{os.getpid()}\n{requests}\n{token}")
        settle(pool, process)
        while not pool.is_ending and not process.has_ended_within(_FOREVER, pool):
            pass
        pool.end()
    finally:
        pipes.remove()
