"""The state that the parts of the shell share, and submitting commands."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from kycli.core.location import MEMORY
from kycli.core.storage import Kycore
from kycli.errors import KycliError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

READER_TIMEOUT_MS = 200
"""How long a reader waits for a lock: a keystroke must not wait for it."""


class Transaction(NamedTuple):
    """The transaction that is open.

    Attributes:
        since: when it took the write lock, by ``time.monotonic``.
        before: the position of the newest change of the log when it began.
        changes: how many changes it is of.
    """

    since: float
    before: int
    changes: int = 0


class Identity(NamedTuple):
    """What tells a file from others that have had its name."""

    device: int
    inode: int


class OccupiedError(KycliError):
    """A command runs that has the open transaction, or the database, to itself."""

    def __init__(self) -> None:
        super().__init__(
            "a command is running; the database can be read when it has ended",
            hint="Ctrl-C stops it",
        )


class Staged:
    """The store of the open transaction, which belongs to the main thread, for other threads.

    It has the methods of the store; what is iterated comes as a list. They raise OccupiedError
    while a command runs.

    Parameters:
        store: the store.
        ask: has a function called on the main thread, and returns the result.
    """

    def __init__(self, store: Kycore, ask: Callable[[Callable[[], Any]], Any]) -> None:
        self._store = store
        self._ask = ask

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._store, name)

        def call(*arguments: Any, **named: Any) -> Any:
            def result() -> Any:
                found = method(*arguments, **named)
                return [*found] if isinstance(found, Iterator) else found

            return self._ask(result)

        return call


class State:
    """The state of one shell.

    The main thread changes it, and then calls ``announce`` of the interface. Other threads only
    read it, so each attribute is replaced as a whole.

    Parameters:
        database: the path of the database, or ``:memory:``.
        scope: the current scope.
        submit: takes the words of a command line to be run on the main thread.

    Attributes:
        database: the path of the database, whether or not there is a file.
        scope: the current scope.
        transaction: the transaction that is open, or None.
        staged: its store, for any thread; None without a transaction.
        is_away: whether a command has the terminal, and perhaps the database, to itself.
        running: the command line that is running, as it is shown, or "".
        progress: how far it is, or "".
        seconds: how long the last command took, or None before the first one.
        code: the exit code of the last command.
        pages: whether a long result stops after each screen.
    """

    def __init__(self, database: str, scope: str, submit: Callable[[Sequence[str]], None]) -> None:
        self.database = database
        self.scope = scope
        self.transaction: Transaction | None = None
        self.staged: Kycore | None = None
        self.is_away = False
        self.running = ""
        self.progress = ""
        self.seconds: float | None = None
        self.code = 0
        self.pages = True
        self._submit = submit
        self._reader: Kycore | None = None
        self._reads: tuple[str, Identity | None] | None = None

    def submit(self, words: Sequence[str]) -> None:
        """Have a command line run on the main thread, after those that were submitted before.

        It is shown above the prompt as if it had been typed. This returns at once; panes are
        refreshed when it is done.

        Parameters:
            words: what is typed after ``kycli``, such as ``["ky", "del", "--", key]``.
        """
        self._submit(words)

    @property
    def is_occupied(self) -> bool:
        """Whether a command runs in the open transaction, so that nothing else can read it."""
        return self.staged is not None and bool(self.running)

    def reader(self) -> Kycore:
        """Return the store that the thread of the user interface reads from.

        It sees what is staged in an open transaction; while a command runs there, its methods
        raise OccupiedError. Without a transaction, it is that of ``committed``.
        Do not keep it from one key to the next, and pass ``scope=state.scope``.

        Raises:
            KycliError: when the file is no database that can be read.
        """
        return self.staged or self.committed()

    def committed(self) -> Kycore:
        """Return the store that the thread of the user interface reads what is committed from.

        If the file was replaced since, it is the new one. If there is no file, it is an empty
        store in memory.

        Raises:
            OccupiedError: while a command has the database to itself.
        """
        if self.is_away:
            raise OccupiedError
        file = (self.database, identity(self.database))
        if self._reader is None or self._reads != file:
            self.close_reader()
            self._reader = self.open_reader()
            self._reads = (self.database, identity(self.database))
        return self._reader

    def open_reader(self) -> Kycore:
        """Open another store to read from, for another thread; the caller closes it.

        Raises:
            KycliError: when the file is no database that can be read.
            OccupiedError: while a command has the database to itself.
        """
        if self.is_away:
            raise OccupiedError
        exists = is_database(self.database)
        return Kycore(
            self.database if exists else MEMORY,
            busy_timeout_ms=READER_TIMEOUT_MS,
            cache_entries=0,
        )

    def close_reader(self) -> None:
        """Close the store of the user interface; in its thread, or when that has ended."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()


def identity(path: str) -> Identity | None:
    """Return what identifies the file of that name now; None if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return Identity(status.st_dev, status.st_ino)


def is_database(path: str) -> bool:
    """Return whether there is a file that is not empty, so that opening it creates none.

    Also if that cannot be seen, as in a directory of somebody else: opening it says why.
    """
    try:
        return os.stat(path).st_size > 0 or os.stat(f"{path}-wal").st_size > 0
    except FileNotFoundError:
        return False
    except OSError:
        return True
