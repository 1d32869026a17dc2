"""What a command works with: streams, flags, terminal, configuration and the store.

Handlers take an ``Environment`` and return an exit code. Tests hand in other
streams; everything else about a run is the same.
"""

from __future__ import annotations

import io
import os
import sys

from kycli.address import add_context, check_delimiter, fixed_key, fixed_scope, parse_address
from kycli.cli.parse import shown
from kycli.errors import CannotOpenError, InvalidValueError, KycliError, UsageError

INTERRUPTED = 130
"""The exit code of a command that the user interrupted, as shells count it."""

MAX_LINE = 500
"""Most characters of one line on standard error."""

MAX_INPUT = 1_000_000_000
"""Most bytes that are read from standard input or a file: the size of the largest value."""

_BLOCK = 1 << 20

TYPE_CHECKING = False
if TYPE_CHECKING:
    from subprocess import Popen
    from typing import IO, BinaryIO, TextIO

    from kycli.config import Config
    from kycli.core.storage import Kycore


class Environment:
    """One run of one command.

    Parameters:
        stdin, stdout, stderr: the streams; those of the process by default.

    Attributes:
        flags: the flags given, by long name; a switch has the value "".
        short: whether arguments are keys of the current scope, and not addresses.
        command: what the history says made the changes, such as ``kycli set``.
        addressed: the arguments that name another key than the same text does in a short
            command: each with the scope and the key that it means.
        created: the keys that the command knows it has made, by scope and key.
        defaulted: whether a key was missing and ``--default`` was printed for it.
        in_the_way: why a path into a key leads nowhere, by scope and key.
        unread: whether the reader of standard output is gone, so that no more need be written.
    """

    def __init__(
        self,
        *,
        stdin: BinaryIO | None = None,
        stdout: BinaryIO | None = None,
        stderr: TextIO | None = None,
    ) -> None:
        # Each of the process's streams is None when it was closed by whoever started it.
        self._in: BinaryIO | None = stdin or getattr(sys.stdin, "buffer", None)
        self._out: BinaryIO | None = stdout or _buffered(getattr(sys.stdout, "buffer", None))
        self._err: TextIO | None = stderr or sys.stderr
        self.flags: dict[str, str] = {}
        self.short = False
        self.command = "kycli"
        self.addressed: list[tuple[str, str, str]] = []
        self.created: list[tuple[str, str]] = []
        self.defaulted = False
        self.in_the_way: dict[tuple[str, str], str] = {}
        self.unread = False
        self._config: Config | None = None
        self._store: Kycore | None = None
        self._scope: tuple[str, str] | None = None
        self._pager: Popen[bytes] | None = None
        self._is_terminal: bool | None = None
        self._terminal = self._out

    # Output

    def write(self, data: bytes) -> None:
        """Write data to standard output, buffered.

        A reader that has gone had all it wanted. That is no error, and it must not hide the
        exit code of the command, so what is written from then on is dropped.
        """
        if self._out is None:
            raise KycliError("standard output is closed")
        if self.unread:
            return
        try:
            self._out.write(data)
        except BrokenPipeError:
            self.unread = True
        except OSError as error:
            raise self._output_error(error) from error

    def flush(self) -> None:
        """Hand everything written so far to the system, so that an error is not lost."""
        if self._out is not None and not self.unread:
            try:
                self._out.flush()
            except BrokenPipeError:
                self.unread = True
            except OSError as error:
                raise self._output_error(error) from error

    def _output_error(self, error: OSError) -> KycliError:
        return KycliError(f"cannot write to standard output: {error.strerror}")

    def note(self, text: str) -> None:
        """Write a line to standard error, unless ``-q`` was given."""
        if "quiet" not in self.flags:
            self.error_line(text)

    def error_line(self, text: str) -> None:
        """Write one line to standard error.

        Control characters are escaped, and a long line is shortened in its middle: it is a
        key or a path that makes it long, and both ends say what is wrong with it.
        """
        if self._err is None:
            return
        if not text.isprintable():
            from kycli.cli.terminal import escaped

            text = escaped(text)
        if len(text) > MAX_LINE:
            text = f"{text[: MAX_LINE // 2]} … {text[3 - MAX_LINE // 2 :]}"
        try:
            self._err.write(text + "\n")
        except OSError:
            pass  # there is nobody left to tell

    def is_watched(self) -> bool:
        """Whether ``status`` is seen by anybody."""
        return (
            self._err is not None
            and "quiet" not in self.flags
            and self._err.isatty()
            and not self.is_plain
        )

    def status(self, text: str) -> None:
        """Show a line on standard error until the next or "", where ``is_watched``."""
        if self._err is None or not self.is_watched():
            return
        try:
            self._err.write(f"\r\033[K{text}")
            self._err.flush()
        except OSError:
            pass  # there is nobody to see it

    def styled(self, text: str, code: str) -> str:
        """Return ``text`` for standard output, in an ANSI style if that is a colour terminal."""
        if self.is_plain or "quiet" in self.flags:
            return text
        return f"\033[{code}m{text}\033[m" if self.output_is_terminal() else text

    @property
    def is_plain(self) -> bool:
        """Whether terminals get no escape sequence: with ``NO_COLOR``, or where none works."""
        return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM", "") in ("", "dumb")

    def output_is_terminal(self) -> bool:
        """Return whether a person reads standard output, perhaps through a pager."""
        if self._is_terminal is None:
            self._is_terminal = self._out is not None and self._out.isatty()
        return self._is_terminal

    def shown(self, given: str | bytes, keep: str = "") -> bytes:
        """Return a key or value as it is printed: on a terminal its control characters escaped.

        Parameters:
            keep: control characters that stay as they are on a terminal, too.
        """
        data = given.encode() if isinstance(given, str) else given
        if not self.output_is_terminal():
            return data
        text = data.decode("utf-8", "backslashreplace")
        if not text.isprintable():
            from kycli.cli.terminal import escaped

            text = escaped(text, keep)
        return text.encode()

    def shown_json(self, text: str) -> bytes:
        """Return JSON as it is printed: on a terminal its control characters escaped."""
        if self.output_is_terminal() and not text.isprintable():
            from kycli.cli.terminal import escaped_json

            text = escaped_json(text)
        return text.encode()

    def page(self) -> None:
        """Send what is written from now on through the user's pager, on a terminal."""
        if self._out is None or not self.output_is_terminal():
            return
        from kycli.cli.pager import start

        try:
            terminal = self._out.fileno()
        except OSError:  # it only says that it is one
            return
        self._out.flush()
        self._pager = start(terminal, plain=self.is_plain)
        if self._pager is not None:
            self._terminal, self._out = self._out, self._pager.stdin  # type: ignore[assignment]

    # Input

    def input_is_terminal(self) -> bool:
        return self._in is not None and self._in.isatty()

    def read_input(self, longer: float = 1) -> bytes:
        """Return all of standard input, up to the size of the largest value.

        Parameters:
            longer: how many times as long the text of a value may be.
        """
        if self._in is None:
            raise KycliError("standard input is closed", hint="give the value as an argument")
        if not _blocks(self._in):
            # A read would end wherever there is nothing more just now.
            raise KycliError(
                "standard input is non-blocking, so its end cannot be told",
                hint="pass it on with a program that waits for it",
            )
        return read_all(self._in, "standard input", longer)

    def confirm(self, question: str) -> bool:
        """Return whether the user wants it: with ``-y``, or by answering on a terminal.

        Raises:
            UsageError: when there is nobody to ask.
        """
        if "yes" in self.flags:
            return True
        if not (self._in and self._in.isatty() and self._err and self._err.isatty()):
            raise UsageError(f"nobody is there to be asked: {question}", hint="-y answers yes")
        answer = b""
        try:
            self._err.write(f"{question} [y/N] ")
            self._err.flush()
            answer = self._in.readline()
        finally:
            if not answer.endswith(b"\n"):  # ^D or ^C: the cursor is still behind the question
                self._err.write("\n")
        if answer.strip().lower() in (b"y", b"yes"):
            return True
        self.note("nothing was changed")
        return False

    def read_secret(self, question: str) -> str:
        """Ask for what must not be seen; "" when nobody is there to be asked."""
        if not (self._in and self._in.isatty() and self._err and self._err.isatty()):
            return ""
        import getpass

        return getpass.getpass(question)

    # Flags

    def choice(self, *names: str) -> str:
        """Return the one of these flags that was given, or "".

        Raises:
            UsageError: when more than one was, since they exclude each other.
        """
        given = [name for name in names if name in self.flags]
        if len(given) > 1:
            raise UsageError(f"{shown(given[0])} and {shown(given[1])} exclude each other")
        return given[0] if given else ""

    def count(self, name: str, least: int = 0) -> int | None:
        """Return the value of a flag that takes a whole number, of ``least`` or more."""
        text = self.flags.get(name)
        if text is None:
            return None
        number = whole_number(text)
        if number is None or number < least:
            raise UsageError(f"{shown(name)} {text!r}: not a whole number of {least} or more")
        return number

    # Where things are

    @property
    def config(self) -> Config:
        if self._config is None:
            from kycli.config import load_config

            self._config = load_config()
        return self._config

    @property
    def delimiter(self) -> str:
        """What separates the parts of an address in this run."""
        if "ns-delim" in self.flags:
            return check_delimiter(self.flags["ns-delim"])
        return self.config.ns_delim

    @property
    def scope(self) -> str:
        """The scope in effect when arguments name none."""
        return self.current_scope()[0]

    def current_scope(self) -> tuple[str, str]:
        """Return the scope in effect when arguments name none, and where it comes from."""
        if self._scope is None:
            from kycli.config import current_scope

            fixed = fixed_scope(
                project=self.flags.get("project"),
                namespace=self.flags.get("namespace"),
                scope=self.flags.get("scope"),
                current=lambda: current_scope(self.config)[0],
            )
            self._scope = (fixed, "command line") if fixed else current_scope(self.config)
        return self._scope

    @property
    def scope_is_fixed(self) -> bool:
        """Whether flags say which scope, so that arguments cannot."""
        return not self.flags.keys().isdisjoint(("scope", "project", "namespace"))

    def locate(self, text: str) -> tuple[str, str]:
        """Return the scope and key that an argument means: an address, or a short command's key."""
        scope, key = self.scope, text
        if not self.short:
            if self.scope_is_fixed:
                key = fixed_key(text, self.delimiter)
            else:
                scope, key = parse_address(text, current=scope, delimiter=self.delimiter)
        context = self.flags.get("context")
        if key != text:
            self.addressed.append((add_context(text, context), scope, add_context(key, context)))
        return scope, add_context(key, context)

    # The store

    def store(self, *, create: bool = False) -> Kycore:
        """Return the store, opened when first asked for.

        Parameters:
            create: make the database when there is none, or only an empty file. Otherwise
                the store is then an empty one in memory, so that reading leaves nothing
                behind.

        Raises:
            CannotOpenError: when the directory that somebody named does not exist;
                only the default one is made.
        """
        if self._store is None:
            from kycli.config import database_path
            from kycli.core.location import MEMORY
            from kycli.core.storage import Kycore

            config = self.config
            path, origin = database_path(config, self.flags.get("db"))
            size = _size(path)
            if size is None:
                directory = os.path.dirname(path)
                if origin != "default" and directory and _size(directory) is None:
                    raise CannotOpenError(
                        f"{path}: the directory does not exist",
                        hint=f"make it, or choose another database (this one is from {origin})",
                    )
            # An empty file is no database yet, and reading does not make one of it.
            is_there = size or (size == 0 and _size(f"{path}-wal"))
            if not is_there and not create:
                path = MEMORY
            self._store = Kycore(
                path,
                durability="full" if config.durability == "full" else "normal",
                busy_timeout_ms=config.busy_timeout_ms,
                command=self.command,
            )
        return self._store

    def close(self) -> None:
        """Close the store, if one was opened, and wait for the pager, if one was started."""
        if self._store is not None:
            self._store.close()
            self._store = None
        if self._pager is not None:
            from kycli.cli.pager import finish

            finish(self._pager)
            self._out, self._pager = self._terminal, None


# Kept until the process ends without freeing anything: what a writer could not write, and
# was reported, Python from 3.13 on would complain of once more when it frees the writer.
_WRITERS: list[io.BufferedIOBase] = []


def _buffered(out: BinaryIO | io.RawIOBase | None) -> BinaryIO | None:
    """Return a stream that writes all that it is given, or fails.

    With PYTHONUNBUFFERED, what is beneath the text of standard output is a raw file, and
    its ``write`` may stop half-way and only say so by the count that it returns.
    """
    if isinstance(out, io.RawIOBase):
        out = io.BufferedWriter(io.FileIO(out.fileno(), "wb", closefd=False))
        _WRITERS.append(out)
    return out


def whole_number(text: str) -> int | None:
    """Return the whole number that a text spells in ASCII digits, None if it spells none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def read_all(stream: BinaryIO | IO[bytes], name: str, longer: float = 1) -> bytes:
    """Read a stream to its end, or until it is longer than a value can be.

    Parameters:
        name: what the error calls it.
        longer: how many times as long as a value it may be.

    Raises:
        InvalidValueError: when it is too long.
    """
    limit = int(MAX_INPUT * longer)
    data = bytearray()
    while True:
        wanted = min(_BLOCK, limit + 1 - len(data))
        block = stream.read(wanted)
        data += block
        if len(data) > limit:
            raise InvalidValueError(
                f"{name} holds more than {limit:,} bytes", hint="a value is at most 1 GB"
            )
        if len(block) < wanted:  # a terminal would have to say a second time that this is all
            return bytes(data)


def _blocks(stream: BinaryIO) -> bool:
    """Return whether reading waits for more to come."""
    try:
        return os.get_blocking(stream.fileno())
    except OSError:  # no file is behind it
        return True


def _size(path: str) -> int | None:
    """Return how large a file is, None where there is none, and 1 where it cannot be looked
    at, which opening it explains."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return None
    except OSError:
        return 1
