"""Command lines by value: words and input in; exit code, output and messages out.

For programs that run many commands in one process. Each command has the same grammar, handlers,
messages and exit code as in its own process. Only the store stays open between them.
"""

from __future__ import annotations

import io
import os
from itertools import groupby
from operator import itemgetter
from time import monotonic

from kycli.cli import run
from kycli.cli.env import INTERRUPTED, Environment
from kycli.cli.failure import report
from kycli.config import database_path, load_config
from kycli.core.location import MEMORY
from kycli.errors import MisuseError, UsageError
from kycli.typed import NamedTuple, cast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import IO, BinaryIO, NoReturn, TextIO

    from _typeshed import ReadableBuffer as Buffer

    from kycli.cli.commands import Command
    from kycli.config import Config
    from kycli.core.storage import Kycore
    from kycli.errors import KycliError

_NEEDED = {"process": "a process of its own", "terminal": "a terminal"}
"""What commands that are not run by value need."""

_MOST_STORES = 8
"""How many databases are kept open."""


class Decline(BaseException):
    """The command line cannot be run by value. Nothing was done yet, or it is undone."""


class Reply(NamedTuple):
    """What a command line did: its exit code, and what it wrote.

    Attributes:
        code: the exit code.
        chunks: what it wrote, in this order: 1 for standard output or 2 for standard error,
            and the bytes.
    """

    code: int
    chunks: list[tuple[int, bytes]]

    @property
    def out(self) -> bytes:
        return b"".join([data for stream, data in self.chunks if stream == 1])

    @property
    def err(self) -> bytes:
        return b"".join([data for stream, data in self.chunks if stream == 2])


class Calls:
    """Runs command lines one after the other.

    Parameters:
        what: what they are run by, for messages, such as ``a batch``.
        scope: the current scope, with where it comes from; by default what the variables and
            the config say when a command line runs.
        flags: universal flags that each command line has, unless it gives them itself.
        atomic: whether all of them are one transaction, of one database. ``commit`` ends it.
        command: with ``atomic``, the name of the command in the history.

    Attributes:
        user: who runs them, "" when that is always the same.
    """

    def __init__(
        self,
        what: str,
        *,
        scope: tuple[str, str] | None = None,
        flags: dict[str, str] | None = None,
        atomic: bool = False,
        command: str = "kycli",
    ) -> None:
        self.what = what
        self.scope = scope
        self.flags = flags or {}
        self.atomic = atomic
        self.command = command
        self.user = ""
        self._config: Config | None = None
        self._stores: dict[str, _Kept] = {}
        self._nothing: Kycore | None = None
        self._block: AbstractContextManager[Kycore] | None = None

    def refresh(self) -> None:
        """Have the config read anew, because time has passed."""
        self._config = None

    def current_config(self, env: CallEnvironment) -> Config:
        """Return the config in effect; name the files that are passed over, once."""
        if self._config is None:
            self._config = load_config()
            env.note_distrusted(self._config.distrusted)
        return self._config

    def call(self, words: list[str], stdin: bytes | None = None, program: str = "kycli") -> Reply:
        """Run a command line.

        Parameters:
            words: what is typed after the name of the program.
            stdin: standard input; None for none, which is an error for a command that reads it.
            program: ``kycli``, ``ky`` or a short command.

        Raises:
            KeyboardInterrupt: when the command was interrupted.
        """
        env = CallEnvironment(self, stdin)
        code = self.run(env, words, program)
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        return env.reply(code)

    def run(self, env: CallEnvironment, words: list[str], program: str) -> int:
        """Run a command line in an environment, and return its exit code.

        Raises:
            Decline: when the environment has declined.
        """
        code = run(env, words, program)
        if env.may_change_config:
            self.refresh()
        return code

    def refusal(self, error: KycliError) -> Reply:
        """Return the reply to what is no command line."""
        env = CallEnvironment(self, None)
        return env.reply(report(error, env))

    def commit(self) -> None:
        """Keep what the command lines did, with ``atomic``."""
        block, self._block = self._block, None
        if block is not None:
            block.__exit__(None, None, None)

    def close(self) -> None:
        """Undo what was not committed, with ``atomic``, and close the stores."""
        block, self._block = self._block, None
        try:
            if block is not None:
                block.__exit__(KeyboardInterrupt, None, None)
        finally:
            while self._stores:
                self._stores.popitem()[1].store.close()
            if self._nothing is not None:
                nothing, self._nothing = self._nothing, None
                nothing.close()

    @property
    def open_stores(self) -> int:
        return len(self._stores)

    def close_idle(self, seconds: float) -> bool:
        """Close the stores that no command has used for so long; return whether any is left."""
        before = monotonic() - seconds
        while self._stores:
            path, kept = next(iter(self._stores.items()))
            if kept.used > before:
                return True
            del self._stores[path]
            kept.store.close()
        return False

    def opened(self, path: str, env: CallEnvironment) -> Kycore:
        """Return the store at a path, which is kept open."""
        kept = self._stores.pop(path, None)
        options = (env.config.durability, env.config.busy_timeout_ms, self.user)
        identity = (_identity(path), *options)
        if kept is not None and (
            kept.store.close_if_replaced(told=True) or kept.identity != identity
        ):
            if self._block is not None:
                raise MisuseError("the database or its configuration was changed meanwhile")
            kept.store.close()
            kept = None
        if kept is None:
            if self._block is not None:
                raise UsageError(
                    f"{env.command}: another database than the commands before",
                    hint="one transaction is of one database",
                )
            if len(self._stores) == _MOST_STORES:
                self._stores.pop(next(iter(self._stores))).store.close()
            store = self.new_store(path, env)
            kept = _Kept(store, (_identity(path), *options), store.watch())
        return self.use(path, kept, env)

    def use(self, path: str, kept: _Kept, env: CallEnvironment) -> Kycore:
        """Keep a store open, and return it for one command line."""
        kept.used = monotonic()
        self._stores[path] = kept  # the last one used is the last
        if self.atomic:
            self._take_part(kept.store)
        else:
            kept.store.write_as(env.command, pid=env.pid)
        return kept.store

    def new_store(self, path: str, env: CallEnvironment) -> Kycore:
        """Open the store at a path, to keep it."""
        return env.new_store(path)

    def forget(self, path: str) -> None:
        """Close the store at a path, if it is kept open."""
        kept = self._stores.pop(path, None)
        if kept is not None:
            kept.store.close()

    def watches(self, descriptor: int) -> bool:
        """Whether a descriptor tells of changes of a file that is open."""
        return any(kept.watch == descriptor for kept in self._stores.values())

    def check_replaced(self) -> None:
        """Close the stores whose files were replaced, as something says."""
        for path, kept in [*self._stores.items()]:
            if kept.store.close_if_replaced(told=True):
                del self._stores[path]

    def nothing(self, env: CallEnvironment) -> Kycore:
        """Return the empty store that stands for a database that does not exist yet."""
        if self._nothing is None:
            self._nothing = env.new_store(MEMORY)
        return self._nothing

    def _take_part(self, store: Kycore) -> None:
        if self._block is None:
            store.write_as(self.command)
            block = store.transaction()
            block.__enter__()
            self._block = block


class _Kept:
    """A store that is kept open.

    Attributes:
        identity: what it was opened as: which file, with which settings, by which user.
        used: when it was used last.
        watch: the descriptor that tells of changes of its file.
    """

    __slots__ = ("identity", "store", "used", "watch")

    def __init__(
        self,
        store: Kycore,
        identity: tuple[tuple[int, int] | None, str, int, str],
        watch: int | None,
    ) -> None:
        self.store = store
        self.identity = identity
        self.watch = watch
        self.used = 0.0


class CallEnvironment(Environment):
    """What one command line by value works with."""

    def __init__(self, calls: Calls, stdin: bytes | None) -> None:
        self._calls = calls
        self._chunks: list[tuple[int, bytes]] = []
        self._said_by_child: IO[bytes] | None = None
        self.may_change_config = False
        self.pid: int | None = None
        super().__init__(
            stdin=self.input_of(stdin),
            stdout=cast("BinaryIO", _Written(self._chunks)),
            stderr=cast("TextIO", _Said(self._chunks)),
        )

    def input_of(self, stdin: bytes | None) -> BinaryIO:
        """Return the stream that the command line reads."""
        return _NoInput(self._calls.what) if stdin is None else io.BytesIO(stdin)

    def reply(self, code: int) -> Reply:
        chunks = self._chunks
        if self._said_by_child is not None:
            with self._said_by_child as file:
                file.seek(0)
                chunks.insert(0, (2, file.read()))
        return Reply(code, chunks if len(chunks) < 2 else _joined(chunks))

    @property
    def child_stderr(self) -> IO[bytes]:
        if self._said_by_child is None:
            from tempfile import TemporaryFile

            self._said_by_child = TemporaryFile()  # noqa: SIM115 - reply() closes it
        return self._said_by_child

    def passes(self, error: BaseException) -> bool:
        return isinstance(error, Decline)

    def begin(self, command: Command, flags: dict[str, str]) -> None:
        calls = self._calls
        super().begin(command, {**calls.flags, **flags} if calls.flags else flags)
        self.may_change_config = bool(command.alone)
        if command.alone in _NEEDED:
            raise UsageError(
                f"'{command.called}' cannot be run in {calls.what}",
                hint=f"it needs {_NEEDED[command.alone]}",
            )
        if command.alone and calls.atomic:
            raise UsageError(
                f"'{command.called}' cannot be part of a transaction",
                hint="run it before or after",
            )

    @property
    def config(self) -> Config:
        if self._config is None:
            self._config = self._calls.current_config(self)
        return self._config

    def scope_without_flags(self) -> tuple[str, str]:
        return self._calls.scope or super().scope_without_flags()

    def open_store(self, path: str) -> Kycore:
        if path == MEMORY and database_path(self.config, self.flags.get("db"))[0] != MEMORY:
            return self._calls.nothing(self)
        return self._calls.opened(path, self)

    def new_store(self, path: str) -> Kycore:
        return super().open_store(path)

    def release_store(self, store: Kycore) -> None:
        """Keep it open."""


class _NoInput(io.BytesIO):
    """The standard input of a command line that was given none."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what

    def _refuse(self, *_: object) -> NoReturn:
        raise UsageError(
            "there is no standard input for this command",
            hint=f"in {self._what} it has only what is given with it",
        )

    read = readline = readinto = read1 = readlines = __next__ = _refuse


class _Stream:
    """An output stream of a command line by value: what handlers use of one.

    It is not of ``io``, whose streams take longer to make and to free than a short command.
    """

    __slots__ = ("_chunks",)

    def __init__(self, chunks: list[tuple[int, bytes]]) -> None:
        self._chunks = chunks

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")

    def flush(self) -> None:
        """There is nothing to do."""


class _Written(_Stream):
    """The standard output."""

    __slots__ = ()

    def write(self, data: Buffer) -> int:
        written = bytes(data)
        if written:
            self._chunks.append((1, written))
        return len(written)


class _Said(_Stream):
    """The standard error."""

    __slots__ = ()

    def write(self, text: str) -> int:
        if text:
            self._chunks.append((2, text.encode("utf-8", "backslashreplace")))
        return len(text)


def _joined(chunks: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Return the same with chunks joined that follow each other on one stream."""
    return [
        (stream, b"".join([data for _, data in run]))
        for stream, run in groupby(chunks, key=itemgetter(0))
    ]


def _identity(path: str) -> tuple[int, int] | None:
    """Return what tells a file from others that have had its name; None if there is none."""
    if path == MEMORY:
        return None
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
