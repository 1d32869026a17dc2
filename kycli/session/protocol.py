r"""Requests and replies by value, as they travel over a Unix socket.

All text is fields that end in NUL. Numbers are decimal, the umask is octal.

A request::

    KYCLI1 NUL        the version of this protocol
    LENGTH NUL        how many bytes follow this NUL
    PID NUL           the caller's process, for the history
    DIRECTORY NUL     its working directory, absolute; or '.': the one that /proc/PID/cwd says
    UMASK NUL         such as 0022; a newline may follow, as a shell prints it
    STREAMS NUL       a letter each for standard input, output and error:
                      't' for a terminal, '-' for closed, 'p' for anything else;
                      then 'o' if this is the only request of a connection (see Sockets)
    PROGRAM NUL       kycli, ky or a short command
    N NUL             the number of variables, then each of them: NAME=VALUE NUL
    N NUL             the number of arguments, then each of them: ARGUMENT NUL
    INPUT NUL         the number of bytes of standard input, '-' when none are sent
    the bytes of standard input

The variables are those that a command line may look at: all that are set of ``KYCLI_*``,
``HOME``, ``XDG_*``, ``TZ``, ``TMPDIR``, ``USER``, ``LOGNAME``, ``NO_COLOR``, ``TERM``, ``COLUMNS``,
``LINES``, ``PAGER``, ``EDITOR``, ``VISUAL``, ``LANG``, ``LC_*`` and ``PATH``, in any order. For the
command line, one that is not sent is not set. Keep the order the same from request to request: a
worker skips the variables if their bytes equal those of the last request.

A reply::

    STATUS NUL        the exit code, or one of the characters below
    N NUL             the number of chunks, then each of them:
    STREAM NUL        1 for standard output, 2 for standard error
    LENGTH NUL        how many bytes follow
    the bytes

Chunks are in the order in which the command wrote them. STATUS may also be, with no chunks:

``?``
    Nothing was done: run the command in a process of your own. This is the reply to commands that
    need a terminal, a question or their own process, to input and results of more than a few
    megabytes, and to whatever the server cannot parse.
``<``
    Nothing was done: send the request again, with INPUT.

A caller reads the whole reply before it writes any of it. A worker waits ``REPLY_TIMEOUT`` seconds
for a caller that does not read, then closes the connection.

Sockets
    A connection carries any number of requests, one after the other. The server may close it
    between two requests. Before it does, it sends a reply ``?``, in case a request is on its way:
    that one was not run. After a request with ``o`` in STREAMS it closes the connection without
    that reply, which is faster than waiting for the caller to close it.

    **Cancel**: close the connection, or send a byte NUL while the request runs. The command is
    interrupted as by Ctrl-C, and the reply, if the caller still reads it, has the status 130.
    NUL bytes before a request are skipped, so one that arrives too late does no harm.

    **Withdraw**: after ``shutdown(SHUT_WR)`` a request that has not begun never begins, and the
    reply is ``?``; one that has begun continues. So a caller whose request is not taken (the
    server is stopped, or all workers are busy) can find out whether it may do the work itself. On
    Linux: SIOCOUTQ is 0 once the request was read; then wait for the reply. If it is not 0 after
    a second, shut down. If it is still not 0 then, the request will never begin. If it is 0 now,
    wait for the reply.

    If a connection ends without a reply after the whole request was sent, the outcome is unknown;
    never send a write again. ECONNREFUSED, EAGAIN and ENOENT from connect(2), on a non-blocking
    descriptor, mean that no server runs. Then a client starts one with
    ``kycli server start --quiet`` in the background, without waiting for it, but only if the file
    ``kycli/server`` exists in the user's config directory (``$XDG_CONFIG_HOME`` if that is an
    absolute path, else ``~/.config``). ``kycli server enable`` creates that file.

    Both sides check with SO_PEERCRED that the other is the same user. The socket is
    ``DIRECTORY/VERSION.sock``, VERSION that of the package. DIRECTORY is
    ``$XDG_RUNTIME_DIR/kycli`` if that variable is an absolute path, else ``$TMPDIR/kycli-UID``,
    TMPDIR being ``/tmp`` unless the variable is an absolute path. It is a directory of the user's
    with mode 0700 and no symbolic link, or it is not used.
"""

from __future__ import annotations

from kycli.typed import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MAGIC = b"KYCLI1"

MAX_INPUT = 16 << 20
"""The most bytes of standard input that are sent; who has more runs the command itself."""

MAX_FIELDS = 8 << 20
"""The most bytes of everything else: a kernel lets a process have no more by default."""

MAX_REQUEST = MAX_FIELDS + MAX_INPUT
"""The largest LENGTH."""

MAX_OUTPUT = 4 << 20
"""The most bytes that a command that only reads may write; then the caller is to run it itself."""

REPLY_TIMEOUT = 10
"""The seconds that a worker waits for the rest of a request, and for a caller to read its reply."""

SERVER = "-server"
"""In place of a program, for what is asked of the server itself: ``status``."""

DECLINED = b"?"
WANTS_INPUT = b"<"

_HEAD = MAGIC + b"\0"
_MAX_DIGITS = len(str(MAX_REQUEST))

MOST_HEAD = len(_HEAD) + _MAX_DIGITS + 1
"""The most bytes of KYCLI1 and LENGTH."""


class ProtocolError(Exception):
    """It is no request, or no reply."""


class Request(NamedTuple):
    """A command line, and what it takes from its caller.

    Attributes:
        pid: the caller's process.
        directory: its working directory.
        umask: its umask.
        streams: three letters: what its standard streams are; and ``o``, see above.
        program: the name that it was called by.
        variables: ``NAME=VALUE`` of each, with a NUL after each.
        arguments: what follows the name of the program.
        input: standard input; None when it was not sent.
    """

    pid: int
    directory: bytes
    umask: int
    streams: str
    program: str
    variables: bytes
    arguments: list[str]
    input: bytes | None

    @property
    def is_last(self) -> bool:
        """Whether no other one follows on this connection."""
        return len(self.streams) > 3


def length(data: bytes) -> tuple[int, int] | None:
    """Return where the body of a request begins and how long it is; None when that is yet to come.

    Parameters:
        data: the first bytes of a request, at least one.

    Raises:
        ProtocolError: when it cannot become a request.
    """
    if not data.startswith(_HEAD):
        if _HEAD.startswith(data):
            return None
        raise ProtocolError("another protocol")
    end = data.find(b"\0", len(_HEAD), len(_HEAD) + _MAX_DIGITS + 1)
    if end < 0:
        if len(data) <= len(_HEAD) + _MAX_DIGITS:
            return None
        raise ProtocolError("a length without an end")
    size = _number(data[len(_HEAD) : end])
    if size > MAX_REQUEST:
        raise ProtocolError("too long")
    return end + 1, size


def parsed(body: bytes) -> Request:
    """Return the request that a body spells, which is what follows LENGTH.

    Raises:
        ProtocolError: when it spells none.
    """
    try:
        pid, directory, umask, streams, program, count, rest = body.split(b"\0", 6)
        many = _number(count)
        pieces = rest.split(b"\0", many + 1)
        count, rest = pieces[many:]
        variables = body[len(body) - sum(map(len, pieces)) - many - 1 : -len(rest) - len(count) - 1]
        many = _number(count)
        words = rest.split(b"\0", many + 1)
        size, given = words[many:]
    except ValueError:
        raise ProtocolError("fields are missing") from None
    if size == b"-":
        if given:
            raise ProtocolError("input that was not announced")
    elif _number(size) != len(given) or len(given) > MAX_INPUT:
        raise ProtocolError("a wrong length of input")
    if len(body) - len(given) > MAX_FIELDS:
        raise ProtocolError("too long")
    umask = umask.removesuffix(b"\n")
    if len(streams) < 3 or streams[:3].strip(b"tp-") or streams[3:] not in (b"", b"o"):
        raise ProtocolError("unknown streams")
    if not umask.isdigit() or len(umask) > 4 or umask.strip(b"01234567"):
        raise ProtocolError("no umask")
    if directory[:1] != b"/" and directory != b".":
        raise ProtocolError("no directory")
    del words[many:]
    text = b"\0".join(words).decode("utf-8", "surrogateescape")
    return Request(
        _number(pid),
        directory,
        int(umask, 8),
        streams.decode(),
        program.decode("utf-8", "surrogateescape"),
        variables,
        text.split("\0") if words else [],
        None if size == b"-" else given,
    )


def _number(text: bytes) -> int:
    if not text.isdigit() or len(text) > 9:
        raise ProtocolError("no number")
    return int(text)


def request(
    program: str,
    arguments: Iterable[str | bytes],
    *,
    pid: int,
    directory: str | bytes,
    umask: int = 0o022,
    streams: str = "ppp",
    variables: dict[str, str] | None = None,
    input: bytes | None = None,
) -> bytes:
    """Return a request as it is sent.

    Parameters:
        program: ``kycli``, ``ky`` or a short command.
        arguments: what follows it.
        pid, directory, umask, streams: of the caller.
        variables: those that count, and are set.
        input: standard input, None to send none.
    """
    named = variables or {}
    words = [*arguments]
    fields: list[str | bytes] = [
        *(str(pid), directory, f"{umask:04o}", streams, program),
        *(str(len(named)), *(f"{name}={value}" for name, value in named.items())),
        *(str(len(words)), *words),
        "-" if input is None else str(len(input)),
    ]
    texts = [f if isinstance(f, bytes) else f.encode("utf-8", "surrogateescape") for f in fields]
    body = b"\0".join(texts) + b"\0" + (input or b"")
    return b"%b\0%d\0%b" % (MAGIC, len(body), body)


def reply(status: bytes, chunks: list[tuple[int, bytes]]) -> bytes:
    """Return a reply as it is sent.

    Parameters:
        status: the exit code, or ``DECLINED`` or ``WANTS_INPUT``.
        chunks: for each, 1 or 2 for the stream, and the bytes.
    """
    if len(chunks) == 1:
        ((stream, data),) = chunks
        # zsh knows where the digits of most are.
        return b"%b\x001\0%d\0%08d\0%b" % (status, stream, len(data), data)
    parts = [b"%b\0%d\0" % (status, len(chunks))]
    for stream, data in chunks:
        parts += (b"%d\0%d\0" % (stream, len(data)), data)
    return b"".join(parts)


def read_reply(data: bytes) -> tuple[bytes, list[tuple[int, bytes]]] | None:
    """Return the status and chunks of a reply; None when its end is yet to come.

    Raises:
        ProtocolError: when it is none.
    """
    status, _, rest = data.partition(b"\0")
    count, end, rest = rest.partition(b"\0")
    if not end:
        return None
    chunks: list[tuple[int, bytes]] = []
    for _ in range(_number(count)):
        stream, _, rest = rest.partition(b"\0")
        size, end, rest = rest.partition(b"\0")
        if not end or len(rest) < _number(size):
            return None
        if stream not in (b"1", b"2"):
            raise ProtocolError("an unknown stream")
        chunks.append((int(stream), rest[: _number(size)]))
        rest = rest[_number(size) :]
    if rest:
        raise ProtocolError("more than a reply")
    return status, chunks
