r"""The server of one bash. ``kycli.session.lean`` runs it: VERSION SHELL READY.

The shell functions (``kycli.bash``, ``builtin.c``) start it and talk to it over three inherited
pipes:

64
    Requests. All processes of the shell write to it, and the server ends when none is left that
    could. A request is one write of at most 4,096 bytes, which is atomic; fields end in the byte
    0x1F, and a NUL follows the last one::

        K1  PID  FD  ID  KIND  LINK  STREAMS  PROGRAM  N  N arguments  variables  ID

    The reply goes to the descriptor FD of the process PID, which the server opens through
    /proc/PID/fd. KIND says what the caller wants: ``p`` to print, ``v`` a variable, ``a`` an
    array. LINK is ``0``, or ``1`` to have that pipe kept open for the next requests, which say
    ``2``. Variables are those of ``VARIABLES``: ``ATTRIBUTES=VALUE``, or the value of those of
    ``OF_LOGIN``, or "" if not set. Arguments with the byte 0x1F make too many fields, and are
    declined. In place of a PROGRAM, with one argument and no variables:

    ``@``  the request is too long for a pipe: the argument is a descriptor of PID to read it from
    ``?``  has the request of this ID been lost?
    ``!``  the file that the argument names was read
65
    The server opens it for writing, and never writes. So processes of the shell see that it is
    at its end when there is no server.
66
    A line, which who starts a server has taken. The server gives it back when it takes requests.
    There may be a second line, as a shell that left its start by Ctrl-C cannot know whether the
    server still comes. So a server locks the pipe of requests, and a second one leaves.

A reply is ``ID:CODE:KIND:TEXT`` and a NUL; ``ID=TEXT`` is short for ``ID:0:o:TEXT``, as bash reads
byte by byte. KIND says what TEXT is: ``o`` what was printed on standard output, or the value;
``s`` commands for bash, by the functions of ``kycli.bash``; ``f`` a file that holds such commands;
``-`` do it yourself. Other replies:
``ID:never``, the request was left by a server that had ended, and nothing was done; ``ID:lost``,
this server has not got it; ``ID:busy``, it is still being done.

One request runs at a time. Those that come while one takes long are declined, as a process can
do them at once. A caller that does not wait any more has closed its pipe; then its command is
interrupted.
"""

from __future__ import annotations

import fcntl
import gc
import os
import select
import stat
from collections import deque
from time import monotonic, sleep

import kycli
from kycli.session.protocol import Request
from kycli.session.shells import OF_LOGIN, VARIABLES
from kycli.session.waiting import Waiter
from kycli.typed import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Iterator
    from types import FrameType

    from kycli.session.worker import Worker
else:
    import _signal as signal  # the module around it takes milliseconds to make enumerations

_REQUESTS, _ALIVE, _TOKEN = 64, 65, 66

_END = b"\x1f"
_PIPE = 1 << 16
_SHORT = 1000
"""A longer text goes through a file: bash reads a pipe byte by byte."""

_TICK = 0.25
"""Seconds after which a command takes long."""

_SOON = 0.05
"""How long the server waits for more calls before it loads what they may need."""

_IDLE_SECONDS = 1.0
_OWNERLESS_SECONDS = 5.0
"""How long the server outlives the shell, for those that hold its pipes and may call."""

_LOCK_PAUSE = 0.005

_MOST_FILES = 256
_NUL_VALUE = (
    "kycli: the value has a NUL byte, which a variable of bash cannot hold\n"
    "hint: --b64 prints it as text, --raw as it is\n"
)
_WITHOUT_FILES = frozenset(
    [
        *(b"kyg", b"kys", b"kyd", b"kyl", b"kyv", b"kypush", b"kyrem", b"kypatch"),
        *(b"get", b"set", b"del", b"exists", b"count", b"keys", b"scan", b"incr", b"decr"),
    ]
)
"""Commands that create no file but the database, whose mode is always the same."""


class _Given(NamedTuple):
    """What a caller wrote."""

    pid: bytes
    fd: bytes
    id: bytes
    kind: bytes
    link: bytes
    streams: bytes
    program: bytes
    words: list[bytes]
    variables: list[bytes]


def parsed(record: bytes) -> _Given | None:
    """Return the request that a record spells; None for one that is torn or of another version."""
    fields = record.split(_END)
    if len(fields) < 11 or fields[0] != b"K1" or fields[-1]:
        return None
    _, pid, fd, number, kind, link, streams, program, many, *rest = fields[:-1]
    if rest[-1] != number or not (pid.isdigit() and fd.isdigit() and many.isdigit()):
        return None
    count = int(many)
    return _Given(pid, fd, number, kind, link, streams, program, rest[:count], rest[count:-1])


class Server:
    """Answers the requests of one shell.

    Parameters:
        requests: the pipe of requests, which does not block.
        shell: the process that the pipes belong to.
        worker: what runs the commands.
    """

    def __init__(self, requests: int, shell: int, worker: Worker) -> None:
        self._requests = requests
        self._shell = shell
        self._worker = worker
        self._waiting: deque[bytes] = deque()
        self._rest = b""
        self._links: dict[tuple[bytes, bytes], int] = {}
        self._files: dict[bytes, tuple[int, bytes]] = {}
        self._current: tuple[_Given, int] | None = None
        self._given: list[bytes] = []
        self._variables = b""
        self._seen: object = None
        self._at_end = False
        self._loading: Iterator[None] | None = None
        self._is_loaded = False

    def leftover(self) -> None:
        """Answer the requests that the last server did not take."""
        self._receive()
        for record in self._waiting:
            request = parsed(record)
            if request and request.program not in (b"?", b"!"):
                self._send(request, b"%b:never\0" % request.id)
        self._waiting.clear()

    def run(self) -> None:
        """Serve until no process is left that could send a request."""
        signal.signal(signal.SIGALRM, self._tick)
        poll = select.poll()
        poll.register(self._requests, select.POLLIN)
        waiter = Waiter(lambda seconds: poll.poll(seconds * 1000 if seconds >= 0 else None))
        owner = self._watch_owner(poll)
        ticking = False
        used = monotonic()
        is_quiet = False
        while not self._at_end:
            if not self._is_loaded:
                timeout = 0 if is_quiet else _SOON
            elif owner is None:
                timeout = _OWNERLESS_SECONDS
            else:
                timeout = _IDLE_SECONDS if ticking else -1
            events = waiter.wait(timeout)
            is_quiet = not events
            if is_quiet and not self._is_loaded:
                self._load()
                continue
            if not events:
                signal.setitimer(signal.ITIMER_REAL, 0)
                ticking = self._worker.rest(_IDLE_SECONDS) or bool(self._links)
                self._sweep()
                if owner is None and monotonic() - used >= _OWNERLESS_SECONDS:
                    break
                continue
            for descriptor, _ in events:
                if descriptor == owner:
                    poll.unregister(owner)
                    os.close(owner)
                    owner = None
                    used = monotonic()
            self._receive()
            if not self._waiting:
                continue
            if not ticking:
                ticking = True
                signal.setitimer(signal.ITIMER_REAL, _TICK, _TICK)
            while self._waiting:
                self._take(self._waiting.popleft())
            if owner is None:
                used = monotonic()

    def _load(self) -> None:
        """Import some of the modules that commands may need, after the first call.

        Import a few at a time: the shell may send the next request at any time.
        """
        if self._loading is None:
            from kycli.session.loading import steps

            self._loading = steps()
        for _ in self._loading:
            return
        gc.freeze()
        self._is_loaded = True

    def _watch_owner(self, poll: select.poll) -> int | None:
        try:
            owner = os.pidfd_open(self._shell)
        except (OSError, AttributeError):  # it has ended, or the kernel is an old one
            return None
        poll.register(owner, select.POLLIN)
        return owner

    def _receive(self) -> None:
        """Take what is in the pipe."""
        try:
            data = os.read(self._requests, _PIPE)
        except BlockingIOError:
            return
        if not data:
            self._at_end = True
        *records, self._rest = (self._rest + data).split(b"\0")
        self._waiting += records

    def _take(self, record: bytes) -> None:
        request = parsed(record)
        if request is None:
            return
        if request.program == b"?":
            self._send(request, b"%b:lost\0" % request.id)
            return
        if request.program == b"!":
            self._forget(request.words)
            return
        link = self._opened(request)
        if link is None:
            return  # the caller has gone: do nothing
        try:
            if request.program == b"@":
                whole = _whole(request)
                if whole is None:
                    self._write(link, b"%b:1:-:\0" % request.id)
                    return
                request = whole
            self._current = request, link
            try:
                text = self._reply(request)
            except KeyboardInterrupt:
                text = b"130:o:"
            finally:
                self._current = None
            if text.startswith(b"0:o:"):
                self._write(link, b"%b=%b\0" % (request.id, text[4:]))
            else:
                self._write(link, b"%b:%b\0" % (request.id, text))
            self._worker.leave()
        finally:
            if (request.pid, request.fd) not in self._links:
                os.close(link)

    # Where replies go

    def _opened(self, request: _Given) -> int | None:
        """Return the pipe of a caller; None if it is gone."""
        key = request.pid, request.fd
        link = self._links.get(key)
        if link is not None:
            if request.link == b"2":
                return link
            del self._links[key]
            os.close(link)
        try:
            link = os.open(b"/proc/%b/fd/%b" % key, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        if not stat.S_ISFIFO(os.fstat(link).st_mode):
            os.close(link)
            return None
        if request.link == b"1":
            self._links[key] = link
        return link

    def _send(self, request: _Given, data: bytes) -> None:
        """Write to a caller that is not the current one."""
        link = self._opened(request)
        if link is not None:
            self._write(link, data)
            if (request.pid, request.fd) not in self._links:
                os.close(link)

    def _write(self, link: int, data: bytes) -> None:
        try:
            os.write(link, data)  # at most _SHORT bytes, and nothing else is in the pipe
        except OSError:
            pass  # the caller has gone, or its pipe is full

    def _sweep(self) -> None:
        """Close the pipes of processes that have ended, and the files that they did not read."""
        poll = select.poll()
        for key, link in [*self._links.items()]:
            poll.register(link, 0)
            gone = poll.poll(0)
            poll.unregister(link)
            if gone:
                del self._links[key]
                os.close(link)
        for name, (_, pid) in [*self._files.items()]:
            if not os.path.exists(b"/proc/" + pid):
                self._forget([name])

    def _forget(self, names: list[bytes]) -> None:
        for name in names:
            kept = self._files.pop(name, None)
            if kept is not None:
                os.close(kept[0])

    # What is replied

    def _request(self, given: _Given) -> Request | None:
        """Return a request in the form of ``protocol``; None if it cannot be expressed."""
        if given.variables != self._given:  # as in the request before, most of the time
            if len(given.variables) != len(VARIABLES):
                return None  # an argument with a separator in it
            self._given, self._variables = given.variables, _variables(given.variables)
        words = [word.decode("utf-8", "surrogateescape") for word in given.words]
        return Request(
            int(given.pid),
            b".",
            _umask(given),
            given.streams.decode(),
            given.program.decode(),
            self._variables,
            ["-0", *words] if given.kind == b"a" else words,
            None,
        )

    def _reply(self, request: _Given) -> bytes:
        """Run a command and return ``CODE:KIND:TEXT``."""
        whole = self._request(request)
        if whole is None:
            return b"1:-:"
        status, chunks = self._worker.run(whole)
        if not status.isdigit():
            return b"1:-:"
        if request.kind == b"p":
            if not chunks:
                return status + b":o:"
            if len(chunks) == 1:
                ((stream, data),) = chunks
                if stream == 1 and len(data) <= _SHORT and b"\0" not in data:
                    return b"%b:o:%b" % (status, data)
            return self._script(request, status, _printing(chunks))
        out = b"".join([data for stream, data in chunks if stream == 1])
        err = b"".join([data for stream, data in chunks if stream == 2])
        if request.kind == b"v":
            if not _is_raw(request.words) and out.endswith(b"\n"):
                out = out[:-1]
            if b"\0" in out:
                status, out, err = b"1", b"", err + _NUL_VALUE.encode()
            if not err and len(out) <= _SHORT:
                return b"%b:o:%b" % (status, out)
            lines = [b"__kycli_set " + _quoted(out)]
        else:
            lines = [b"__kycli_clear"]
            lines += [b"__kycli_item " + _quoted(item) for item in out.split(b"\0")[:-1]]
        if err:
            lines.append(b"__kycli_err " + _quoted(err.replace(b"\0", b"")))
        return self._script(request, status, lines)

    def _script(self, request: _Given, status: bytes, lines: list[bytes]) -> bytes:
        text = b"\n".join(lines) + b"\n"
        if len(text) <= _SHORT:
            return b"%b:s:%b" % (status, text)
        file = os.memfd_create("kycli")
        name = b"/proc/%d/fd/%d" % (os.getpid(), file)
        self._forget([name])
        with open(file, "wb", closefd=False) as whole:
            whole.write(text)
        self._files[name] = file, request.pid
        if len(self._files) > _MOST_FILES:
            self._sweep()
            if len(self._files) > _MOST_FILES:
                self._forget([next(iter(self._files))])
        return b"%b:f:%b" % (status, name)

    # While a command takes long

    def _tick(self, _: int, frame: FrameType | None) -> None:
        current, seen, self._seen = self._current, self._seen, self._current
        if current is None or current is not seen:
            return
        request, link = current
        self._receive()
        while self._waiting:
            other = parsed(self._waiting.popleft())
            if other is None:
                continue
            if other.program == b"!":
                self._forget(other.words)
            elif other.program != b"?":
                self._send(other, b"%b:1:-:\0" % other.id)
            elif (other.pid, other.fd, other.id) == (request.pid, request.fd, request.id):
                self._write(link, b"%b:busy\0" % other.id)
            else:
                self._send(other, b"%b:lost\0" % other.id)
        poll = select.poll()
        poll.register(link, 0)
        if poll.poll(0) and self._worker.is_running:
            raise KeyboardInterrupt


def _is_raw(words: list[bytes]) -> bool:
    if b"--" in words:
        words = words[: words.index(b"--")]
    return b"--raw" in words


def _quoted(data: bytes) -> bytes:
    return b"'%b'" % data.replace(b"'", b"'\\''")


def _printing(chunks: list[tuple[int, bytes]]) -> list[bytes]:
    """Return the commands that print chunks."""
    lines = []
    for stream, data in chunks:
        if stream == 2:
            lines.append(b"__kycli_err " + _quoted(data.replace(b"\0", b"")))
            continue
        *ended, rest = data.split(b"\0")
        if ended:
            lines.append(b" ".join([b"__kycli_nul", *map(_quoted, ended)]))
        if rest:
            lines.append(b"__kycli_out " + _quoted(rest))
    return lines


def _whole(request: _Given) -> _Given | None:
    """Return the request that is in a file of the caller's, or a pipe."""
    try:
        with open(b"/proc/%b/fd/%b" % (request.pid, request.words[0]), "rb") as file:
            data = file.read()
    except (OSError, IndexError):
        return None
    whole = parsed(data.removesuffix(b"\n"))
    if whole is None or whole[:3] != request[:3]:
        return None
    return whole


_NAMES = [name.encode() + b"=" for name in VARIABLES]
_OF_LOGIN = frozenset([name.encode() + b"=" for name in OF_LOGIN])


def _variables(given: list[bytes]) -> bytes:
    """Return variables as workers take them."""
    variables = []
    for name, value in zip(_NAMES, given, strict=True):
        if not value:
            continue
        if name not in _OF_LOGIN:
            attributes, _, value = value.partition(b"=")
            if b"x" not in attributes or b"a" in attributes or b"A" in attributes:
                continue  # commands do not see it; they see no array
        variables.append(name + value)
    return b"".join([variable + b"\0" for variable in variables])


def _umask(request: _Given) -> int:
    """Return the umask of a caller, where it matters."""
    verb = request.program
    if verb in (b"ky", b"kycli") and request.words:
        verb = request.words[0]
    if verb in _WITHOUT_FILES:
        return 0o077
    try:
        with open(b"/proc/%b/status" % request.pid, "rb") as file:
            for line in file:
                if line.startswith(b"Umask:"):
                    return int(line.split()[1], 8)
    except OSError:
        pass
    return 0o077


def _leave() -> None:
    """Start a new session (setsid), which no terminal interrupts or stops."""
    try:
        os.setsid()
    except OSError:
        pass  # it leads one
    for number in (
        *(signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGPIPE),
        *(signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU),
    ):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.chdir("/")


def _close_all_but(kept: list[int]) -> None:
    """Close what was inherited: a pipe of the shell's, say, whose reader waits for its end."""
    first = 3
    for descriptor in sorted(kept):
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, max(os.sysconf("SC_OPEN_MAX"), first))


def _becomes_the_one(requests: int) -> bool:
    """Wait until this is the one server of these pipes, or another one takes requests."""
    poll = select.poll()
    poll.register(_ALIVE, 0)
    while True:
        try:
            fcntl.flock(requests, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if not poll.poll(0):  # somebody can write
                return False
            sleep(_LOCK_PAUSE)


def main(version: str, shell: str, ready: str) -> int:
    _leave()
    told = int(ready)
    # Opened anew, the pipe of requests is one that this process cannot write to.
    requests = os.open(f"/proc/self/fd/{_REQUESTS}", os.O_RDONLY | os.O_NONBLOCK)
    token = os.open(f"/proc/self/fd/{_TOKEN}", os.O_WRONLY)
    _close_all_but([requests, token, told, _ALIVE])
    if kycli.__version__ != version:
        return 1  # the functions are older; the commands serve
    # What every call needs, and no interrupt may stop.
    from kycli.core import storage  # noqa: F401
    from kycli.session.worker import Worker

    if not _becomes_the_one(requests):
        os.write(told, b"ready\n")
        return 0
    server = Server(requests, int(shell), Worker())
    gc.freeze()
    gc.enable()
    server.leftover()
    alive = os.open(f"/proc/self/fd/{_ALIVE}", os.O_WRONLY)
    os.close(_ALIVE)
    os.write(token, b"\n")
    os.close(token)
    os.write(told, b"ready\n")
    os.close(told)
    server.run()
    os.close(alive)
    return 0
