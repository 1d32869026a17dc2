"""The environment of a command: streams, flags, terminal, configuration and the store.

Handlers take an ``Environment`` and return an exit code. Tests pass other streams.
"""

from __future__ import annotations

import io
import os
import sys
from stat import S_ISREG

from kycli.cli.parse import shown
from kycli.errors import CannotOpenError, InvalidValueError, KycliError, UsageError

INTERRUPTED = 130
"""The exit code of a command that the user interrupted, as shells count it."""

MAX_LINE = 500
"""The longest line on standard error, in characters."""

MAX_INPUT = 1_000_000_000
"""The most bytes that are read from a stream: the size of the largest value."""

_BLOCK = 1 << 20

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from subprocess import Popen
    from typing import IO, BinaryIO, TextIO

    from kycli.cli.commands import Command
    from kycli.config import Config
    from kycli.core.history.diff import Diff
    from kycli.core.storage import Kycore


class Environment:
    """One run of one command.

    Parameters:
        stdin, stdout, stderr: the streams; those of the process by default.

    Attributes:
        flags: the flags given, by long name; a switch has the value "".
        short: whether arguments are keys of the current scope, and not addresses.
        command: the name of the command as the history records it, such as ``kycli set``.
        addressed: the arguments that a short command would take for another key, each with the
            scope and the key that it means as an address.
        created: the scope and key of each key that the command has certainly created.
        defaulted: whether ``--default`` was printed for a missing key.
        path_errors: by scope and key, why a path into the value leads nowhere.
        unread: whether the reader of standard output has gone, so that output is dropped.
    """

    # What most commands never set.
    short = False
    command = "kycli"
    defaulted = False
    unread = False
    _config: Config | None = None
    _store: Kycore | None = None
    _scope: tuple[str, str] | None = None
    _pager: Popen[bytes] | None = None
    _is_terminal: bool | None = None

    def __init__(
        self,
        *,
        stdin: BinaryIO | None = None,
        stdout: BinaryIO | None = None,
        stderr: TextIO | None = None,
    ) -> None:
        # A stream of the process is None if the parent process closed it.
        self._in: BinaryIO | None = stdin or getattr(sys.stdin, "buffer", None)
        self._out: BinaryIO | None = stdout or _buffered(getattr(sys.stdout, "buffer", None))
        self._err: TextIO | None = stderr or sys.stderr
        self.flags: dict[str, str] = {}
        self.addressed: list[tuple[str, str, str]] = []
        self.created: list[tuple[str, str]] = []
        self.path_errors: dict[tuple[str, str], str] = {}
        self._terminal = self._out

    def begin(self, command: Command, flags: dict[str, str]) -> None:
        """Take the command that is to run, and the flags that were given to it."""
        self.flags = flags
        self.short = command.is_short
        self.command = command.full_name

    def passes(self, error: BaseException) -> bool:
        """Whether an error is for the caller of ``run``, and not for the user."""
        return False

    # Output

    def write(self, data: bytes) -> None:
        """Write data to standard output, buffered.

        A closed pipe is no error: further output is dropped, and the exit code stays.
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
        """Flush standard output, so that an error is reported."""
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

        Control characters are escaped. A long line is shortened in the middle: that is where
        a long key or path is, and the message is at both ends.
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
            pass  # nobody reads it

    @property
    def child_stderr(self) -> IO[bytes] | None:
        """Where a program that the command runs writes its messages; None for this process's."""
        return None

    child_input: int | None = None
    """Standard input of a program that the command runs; None for that of this process."""

    def terminal(self) -> AbstractContextManager[None]:
        """Give the terminal to a program or a question, for the time of the block."""
        from contextlib import nullcontext

        return nullcontext()

    def is_watched(self) -> bool:
        """Whether ``status`` shows anything."""
        return (
            self._err is not None
            and "quiet" not in self.flags
            and self._err.isatty()
            and not self.is_plain
        )

    def status(self, text: str) -> None:
        """Show a status line on standard error, in place of the last one; "" removes it."""
        if self._err is None or not self.is_watched():
            return
        try:
            self._err.write(f"\r\033[K{text}")
            self._err.flush()
        except OSError:
            pass  # nobody sees it

    def styled(self, text: str, code: str) -> str:
        """Return ``text`` for standard output, in an ANSI style if that is a colour terminal."""
        if self.is_plain or "quiet" in self.flags:
            return text
        return f"\033[{code}m{text}\033[m" if self.output_is_terminal() else text

    @property
    def is_plain(self) -> bool:
        """Whether to send no escape sequences: with ``NO_COLOR``, or to a dumb terminal."""
        return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM", "") in ("", "dumb")

    def output_is_terminal(self) -> bool:
        """Return whether a person reads standard output, perhaps through a pager."""
        if self._is_terminal is None:
            self._is_terminal = self._out is not None and self._out.isatty()
        return self._is_terminal

    def shown(self, given: str | bytes, keep: str = "") -> bytes:
        """Return a key or value for output, with control characters escaped on a terminal.

        Parameters:
            keep: control characters that are never escaped.
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
        """Return JSON for output, with control characters escaped on a terminal."""
        if self.output_is_terminal() and not text.isprintable():
            from kycli.cli.terminal import escaped_json

            text = escaped_json(text)
        return text.encode()

    def page(self) -> None:
        """On a terminal, send further output through the user's pager."""
        if self._out is None or not self.output_is_terminal():
            return
        from kycli.cli.pager import start

        try:
            terminal = self._out.fileno()
        except OSError:  # it only claims to be a terminal
            return
        self._out.flush()
        self._pager = start(terminal, plain=self.is_plain)
        if self._pager is not None:
            self._terminal, self._out = self._out, self._pager.stdin  # type: ignore[assignment]

    # Input

    def input_is_terminal(self) -> bool:
        return self._in is not None and self._in.isatty()

    def input_stream(self, hint: str = "name a file") -> BinaryIO:
        """Return standard input, to be read as a stream."""
        if self._in is None:
            raise KycliError("standard input is closed", hint=hint)
        if not _blocks(self._in):
            # A read would stop wherever no data is available yet.
            raise KycliError(
                "standard input is non-blocking, so its end cannot be detected",
                hint="pipe it through cat",
            )
        return self._in

    def read_input(self, longer: float = 1) -> bytes:
        """Return all of standard input, up to the size of the largest value.

        Parameters:
            longer: how many times as long as a value the input may be.
        """
        stream = self.input_stream("give the value as an argument")
        return read_all(stream, "standard input", longer)

    def can_ask(self) -> bool:
        """Whether a user at a terminal can answer a question."""
        return bool(self._in and self._in.isatty() and self._err and self._err.isatty())

    def confirm(self, question: str, refused: str = "nothing was changed") -> bool:
        """Ask a yes/no question on the terminal; ``-y`` answers yes.

        Parameters:
            refused: what is said when the answer is no.

        Raises:
            UsageError: without a terminal and without ``-y``.
        """
        if "yes" in self.flags:
            return True
        if self._err is None or self._in is None or not self.can_ask():
            raise UsageError(f"no terminal to ask on: {question}", hint="-y answers yes")
        answer = b""
        try:
            self._err.write(f"{question} [y/N] ")
            self._err.flush()
            answer = self._in.readline()
        finally:
            if not answer.endswith(b"\n"):  # ^D or ^C: the cursor is still after the question
                self._err.write("\n")
        if answer.strip().lower() in (b"y", b"yes"):
            return True
        self.note(refused)
        return False

    def read_secret(self, question: str) -> str:
        """Ask for a secret on the terminal without showing it; "" without a terminal."""
        if not self.can_ask():
            return ""
        import getpass

        return getpass.getpass(question)

    # Flags

    def choice(self, *names: str) -> str:
        """Return which of these flags was given, or "".

        Raises:
            UsageError: when more than one was, since they exclude each other.
        """
        if not self.flags:
            return ""
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
            self.note_distrusted(self._config.distrusted)
        return self._config

    def save_setting(self, name: str, value: str | int | None) -> str:
        """Set or remove a setting, and return the path of the config file."""
        from kycli.config import find_config, save_config

        if self._config is None:
            distrusted: list[tuple[str, str]] = []
            find_config(distrusted)
            self.note_distrusted(distrusted)
        return save_config(name, value)

    def note_distrusted(self, files: Sequence[tuple[str, str]]) -> None:
        """Name the config files that are passed over, each with the reason."""
        for path, reason in files:
            self.note(f"kycli: {path} is ignored: {reason}; to obey it, name it in KYCLI_CONFIG")

    @property
    def delimiter(self) -> str:
        """What separates the parts of an address in this run."""
        if "ns-delim" in self.flags:
            from kycli.address import check_delimiter

            return check_delimiter(self.flags["ns-delim"])
        return self.config.ns_delim

    @property
    def scope(self) -> str:
        """The scope in effect when arguments name none."""
        return self.current_scope()[0]

    def current_scope(self) -> tuple[str, str]:
        """Return the scope in effect when arguments name none, and where it comes from."""
        if self._scope is None:
            if self.scope_is_fixed:
                from kycli.address import fixed_scope

                fixed = fixed_scope(
                    project=self.flags.get("project"),
                    namespace=self.flags.get("namespace"),
                    scope=self.flags.get("scope"),
                    current=lambda: self.scope_without_flags()[0],
                )
                self._scope = fixed, "command line"
            else:
                self._scope = self.scope_without_flags()
        return self._scope

    def scope_without_flags(self) -> tuple[str, str]:
        """Return the scope in effect when no flag names one, and where it comes from."""
        from kycli.config import current_scope

        return current_scope(self.config)

    def use_here(self, scope: str) -> None:
        """Make a scope the current one of the shell that the command runs in, and no other.

        A function of ``kycli init`` says by ``KYCLI_HERE`` that it takes the scope that is printed.

        Raises:
            UsageError: when it runs in a process of its own.
        """
        if os.environ.get("KYCLI_HERE") != "1":
            raise UsageError(
                "--here is for a shell that runs the commands itself",
                hint="'kyshell' is one, and bash is one after 'kycli init bash'",
            )
        from kycli.core.names import check_scope

        self.write(f"{check_scope(scope)}\n".encode())
        self.flush()
        self.note(f"the current scope of this shell is {scope!r}")

    def switched(self, scope: str, path: str) -> None:
        """Take note that a scope was made the current one, in the config at a path."""

    def staged(self) -> Iterator[tuple[str, Iterator[Diff]]] | None:
        """Return what the open transaction of a shell has changed, by scope; None without one."""
        return None

    @property
    def scope_is_fixed(self) -> bool:
        """Whether flags name the scope, so that arguments cannot."""
        return not self.flags.keys().isdisjoint(("scope", "project", "namespace"))

    def locate(self, text: str) -> tuple[str, str]:
        """Return the scope and key that an argument names: an address, or a short command's key."""
        scope, key = self.scope, text
        context = self.flags.get("context")
        if self.short and context is None:
            return scope, key
        from kycli.address import add_context, fixed_key, parse_address

        if not self.short:
            if self.scope_is_fixed:
                key = fixed_key(text, self.delimiter)
            else:
                scope, key = parse_address(text, current=scope, delimiter=self.delimiter)
        if key != text:
            self.addressed.append((add_context(text, context), scope, add_context(key, context)))
        return scope, add_context(key, context)

    # The store

    def store(self, *, create: bool = False) -> Kycore:
        """Return the store, which the first call opens.

        Parameters:
            create: create the database if there is no file, or an empty one. Otherwise the
                store is an empty one in memory then, so that reading creates no file.

        Raises:
            CannotOpenError: when a directory that the user named does not exist; only the
                default directory is created.
        """
        if self._store is None:
            from kycli.config import database_path
            from kycli.core.location import MEMORY

            path, origin = database_path(self.config, self.flags.get("db"))
            size = _size(path)
            if size is None:
                directory = os.path.dirname(path)
                if origin != "default" and directory and _size(directory) is None:
                    raise CannotOpenError(
                        f"{path}: the directory does not exist",
                        hint=f"create it, or choose another database (this one is from {origin})",
                    )
            # An empty file is not a database yet, and reading does not make it one.
            exists = size or (size == 0 and _size(f"{path}-wal"))
            self._store = self.open_store(path if exists or create else MEMORY)
        return self._store

    def open_store(self, path: str) -> Kycore:
        """Open the store at a path, as the configuration says."""
        from kycli.core.storage import Kycore

        config = self.config
        return Kycore(
            path,
            durability="full" if config.durability == "full" else "normal",
            busy_timeout_ms=config.busy_timeout_ms,
            command=self.command,
        )

    def release_store(self, store: Kycore) -> None:
        """Close a store that the command is done with."""
        store.close()

    def close(self) -> None:
        """Close the store, if one was opened, and wait for the pager, if one was started."""
        try:
            if self._store is not None:
                store, self._store = self._store, None
                self.release_store(store)
        finally:
            if self._pager is not None:
                from kycli.cli.pager import finish

                pager, self._pager, self._out = self._pager, None, self._terminal
                finish(pager)


# Never freed before the process ends: from Python 3.13 on, freeing a writer reports a second
# time what it could not write.
_WRITERS: list[io.BufferedIOBase] = []


def _buffered(out: BinaryIO | io.RawIOBase | None) -> BinaryIO | None:
    """Return a stream that writes all data or fails.

    With PYTHONUNBUFFERED, standard output is a raw file below its text layer. Its ``write`` may
    write a part of the data, and only returns how much.
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
        if len(block) < wanted:  # a terminal would need a second ^D to end another read
            return bytes(data)


def _blocks(stream: BinaryIO) -> bool:
    """Return whether reading waits for more data."""
    try:
        return os.get_blocking(stream.fileno())
    except OSError:  # it has no file descriptor
        return True


def _size(path: str) -> int | None:
    """Return the size of a file, None if there is none; 1 where opening it reports an error.

    That is on an error, and where it is not a file, such as a device or a pipe.
    """
    try:
        status = os.stat(path)
        return status.st_size if S_ISREG(status.st_mode) else 1
    except FileNotFoundError:
        return None
    except OSError:
        return 1
