"""Running command lines in one process: the store stays open, and a transaction may span them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import AbstractContextManager, contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from kycli.cli import run
from kycli.cli.commands import KY, is_program
from kycli.cli.env import Environment
from kycli.cli.failure import report
from kycli.cli.parse import parse
from kycli.config import database_path
from kycli.core.history.diff import compare
from kycli.core.location import MEMORY
from kycli.core.names import check_scope
from kycli.errors import FileReplacedError, KycliError, UsageError
from kycli.shell.state import Transaction, identity, is_database

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kycli.cli.commands import Command
    from kycli.core.history.diff import Diff
    from kycli.core.storage import Kycore
    from kycli.shell.state import Identity


class _Kept(NamedTuple):
    """The store that is kept open, and what it was opened as.

    Attributes:
        settings: the file, durability and time to wait for a lock.
        wal: the file of the write-ahead log; None before there is one.
    """

    store: Kycore
    path: str
    settings: tuple[Identity | None, str, int]
    wal: Identity | None = None

    def noticed(self) -> _Kept:
        """Return the same with the write-ahead log, if there is one by now."""
        return self if self.wal else self._replace(wal=identity(f"{self.path}-wal"))


class Session:
    """What lasts from one command line to the next.

    Parameters:
        flags: universal flags that each command line has, unless it gives them itself.
        scope: the current scope with where it comes from, in place of what the config says.

    Attributes:
        scope: the same; None while the config says it.
        transaction: the transaction that is open, or None.
        leaving: whether the shell is to end.
        dies: whether a signal ends it.
    """

    def __init__(self, flags: dict[str, str], scope: tuple[str, str] | None = None) -> None:
        self.flags = flags
        self.scope = scope
        self.transaction: Transaction | None = None
        self.leaving = False
        self.dies = False
        self._kept: _Kept | None = None
        self._block: AbstractContextManager[Kycore] | None = None

    def run(self, words: list[str], env: SessionEnvironment) -> int:
        """Run a command line, and return its exit code; never raises.

        Parameters:
            words: the name of a program, or what follows ``kycli``.
        """
        program = "kycli"
        if words and (words[0] in (KY, "kycli") or is_program(words[0])):
            program, *words = words
        if self._needs_process(words, program):
            return self._run_in_process(words, program, env)
        code = run(env, words, program)
        self._notice(env, code)
        return code

    def position(self, env: SessionEnvironment) -> tuple[str, str]:
        """Return the database and the scope in effect.

        Raises:
            KycliError: when the config or a variable is wrong.
        """
        return database_path(env.config, self.flags.get("db"))[0], env.scope

    # Transactions

    def begin(self, env: Environment) -> None:
        """Take the write lock, and keep it until ``commit`` or ``rollback``."""
        if self.transaction is not None:
            raise UsageError(
                "there is a transaction already", hint="'commit' or 'rollback' ends it"
            )
        store = env.store(create=True)
        self._block = store.transaction()  # Ctrl-C may come between any two of these lines
        try:
            self._block.__enter__()
            self.transaction = Transaction(time.monotonic(), store.trail(limit=1).newest)
        finally:
            self.settle()

    def commit(self) -> int:
        """Keep what the transaction has changed; return how many changes these are.

        Raises:
            KycliError: when there is none, or it cannot be kept. Then it is rolled back.
        """
        return self._end("commit")

    def rollback(self) -> int:
        """Undo what the transaction has changed; return how many changes these were."""
        return self._end("roll back", KeyboardInterrupt)

    def _end(self, what: str, error: type[BaseException] | None = None) -> int:
        block, transaction = self._block, self.transaction
        if block is None or transaction is None:
            raise UsageError(f"no transaction to {what}", hint="'begin' begins one")
        self.transaction = None
        try:
            block.__exit__(error, None, None)
            self._block = None
        finally:
            self.settle()
        return transaction.changes

    @property
    def staged_store(self) -> Kycore | None:
        """The store of the transaction, which is for the main thread alone; None without one."""
        return None if self.transaction is None or self._kept is None else self._kept.store

    def settle(self) -> None:
        """Undo a transaction whose beginning or end was interrupted; nothing if there is none."""
        if self._block is not None and self.transaction is None:
            self.abandon()

    def staged(self, env: SessionEnvironment) -> Iterator[tuple[str, Iterator[Diff]]]:
        """Yield each scope that the transaction has changed, with its differences by key."""
        store = env.store()
        if store.path == MEMORY:
            raise UsageError("only a transaction of a file can be compared with what is committed")
        with env.new_store(store.path) as committed:
            scopes = {*store.scopes()}
            for scope in sorted({*committed.scopes(), *scopes}):
                keys = (
                    _changed(committed, store, scope)
                    if scope in scopes
                    else committed.listkeys(scope=scope)
                )
                diffs = _differences(committed, store, scope, keys)
                first = next(diffs, None)
                if first is not None:
                    yield scope, chain([first], diffs)

    def _notice(self, env: SessionEnvironment, code: int) -> None:
        """Bring the transaction up to date after a command, which may have ended it."""
        if self._kept is None:
            return
        self._kept = self._kept.noticed()
        if self.transaction is None:
            return
        try:
            changes = self._kept.store.trail(limit=1).newest - self.transaction.before
            self.transaction = self.transaction._replace(changes=changes)
        except KycliError:
            self.abandon()
            env.error_line(
                "kycli: the transaction is over, because of that error; nothing of it was kept"
            )

    # The store

    def opened(self, path: str, exists: bool, env: SessionEnvironment) -> Kycore:
        """Return the store at a path, which is kept open.

        Parameters:
            exists: whether there is a database; otherwise it is an empty one in memory.

        Raises:
            FileReplacedError: when the file is not the one that was open.
        """
        settings = (identity(path), env.config.durability, env.config.busy_timeout_ms)
        if self._kept is not None and self._kept.path == path:
            # A store cannot write without its write-ahead log, and only the last one removes it.
            wal = identity(f"{path}-wal")
            if self._kept.settings[0] != settings[0]:
                raise self._lost(path, "", settings[0])
            if self._kept.wal not in (None, wal):
                raise self._lost(path, "-wal", wal)
            if self._kept.settings == settings:
                return self._kept.store
        if self._block is not None:
            raise UsageError(
                "another database, or another setting of it, than the transaction is in",
                hint="'commit' or 'rollback' first",
            )
        if not exists:
            return env.new_store(MEMORY)
        self.close_store()
        store = env.new_store(path)
        self._kept = _Kept(store, path, (identity(path), *settings[1:]))
        return store

    def keeps(self, store: Kycore) -> bool:
        """Whether a store stays open when a command is done with it."""
        return self._kept is not None and self._kept.store is store

    def _lost(self, database: str, end: str, now: Identity | None) -> FileReplacedError:
        """Let go of a database, and return the error that says so.

        Parameters:
            end: ``-wal`` if that file is gone, else "".
            now: the file that has its name now.
        """
        lost = "; the transaction is lost" if self._block is not None else ""
        self.abandon()
        self.close_store()
        fate = "removed" if now is None else "replaced"
        next_ = "with the database that is there now"
        if not is_database(database):
            next_ = "with an empty database, which the first write creates"
        return FileReplacedError(
            f"{database}{end}: the file was {fate} while this shell had it open{lost}",
            hint=f"nothing was done; the next command goes on {next_}",
        )

    def abandon(self) -> None:
        """Undo the transaction, if one is open, whatever state it is in."""
        self.transaction = None
        if self._block is not None:
            try:
                self._block.__exit__(KeyboardInterrupt, None, None)
            except KycliError:
                pass  # it is over already
            self._block = None

    def close_store(self) -> None:
        """Close the store, for a while or for good."""
        kept, self._kept = self._kept, None
        if kept is not None:
            try:
                kept.store.close()
            except KycliError:
                pass  # what there was to say, the command has said

    def close(self) -> None:
        """Undo what is not committed, and close the store."""
        self.abandon()
        self.close_store()

    # Commands that need a process of their own

    def _needs_process(self, words: list[str], program: str) -> bool:
        try:
            command, _, _ = parse(words, None if program == "kycli" else program)
        except KycliError:
            return False  # running it says what is wrong
        return command.alone == "process" and command.name != "shell"

    def _run_in_process(self, words: list[str], program: str, env: SessionEnvironment) -> int:
        if self.transaction is not None:
            error = UsageError(
                f"'{' '.join([program, *words[:1]])}' needs a process of its own, "
                "which cannot be part of a transaction",
                hint="'commit' or 'rollback' first",
            )
            return report(error, env)
        environment = dict(os.environ)
        if self.scope is not None:
            environment["KYCLI_SCOPE"] = self.scope[0]
        if "db" in self.flags:
            environment["KYCLI_DB_PATH"] = self.flags["db"]
        self.close_store()  # it may want the database for itself
        with env.terminal(), _interrupting_children():
            # Without -P, a directory 'kycli' in the working directory would be imported.
            before = [] if program == "kycli" else [program]
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # see the child
            try:
                child = subprocess.Popen(
                    [sys.executable, "-P", "-m", "kycli.shell.child", *before, *words],
                    env=environment,
                    stdin=env.child_input,
                )
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            code = child.wait()
        return code if code >= 0 else 128 - code


class SessionEnvironment(Environment):
    """What one command line of a session works with."""

    def __init__(self, session: Session, **streams: Any) -> None:
        super().__init__(**streams)
        self.session = session

    def passes(self, error: BaseException) -> bool:
        return isinstance(error, SystemExit)  # a signal ends the shell, not the command alone

    def begin(self, command: Command, flags: dict[str, str]) -> None:
        session = self.session
        super().begin(command, {**session.flags, **flags})
        if command.name == "shell":
            raise UsageError("this is the shell already", hint="'exit' or ^D leaves it")
        is_staged = command.alone in ("", "terminal") or command.name == "use"
        if session.transaction is not None and not is_staged:
            raise UsageError(
                f"'{command.called}' cannot be part of a transaction",
                hint="'commit' or 'rollback' first",
            )

    def page(self) -> None:
        if self._pager is None:
            super().page()

    def close(self) -> None:
        if self.session.dies and self._pager is not None:
            from kycli.cli.pager import stop

            stop(self._pager)
        super().close()

    def asked(self, question: str) -> str:
        """Ask something on the terminal; return what is typed, in lower case."""
        if self._err is None or self._in is None:
            return ""
        answer = b""
        with self.terminal():
            try:
                self._err.write(question)
                self._err.flush()
                answer = self._in.readline()
            finally:
                if not answer.endswith(b"\n"):  # ^D or ^C: the cursor is still after the question
                    self._err.write("\n")
        return answer.decode("utf-8", "replace").strip().lower()

    def use_here(self, scope: str) -> None:
        self.session.scope = check_scope(scope), "this shell"

    def switched(self, scope: str, path: str) -> None:
        self.session.scope = scope, path

    def staged(self) -> Iterator[tuple[str, Iterator[Diff]]] | None:
        return None if self.session.transaction is None else self.session.staged(self)

    def scope_without_flags(self) -> tuple[str, str]:
        return self.session.scope or super().scope_without_flags()

    def open_store(self, path: str) -> Kycore:
        wanted = database_path(self.config, self.flags.get("db"))[0]
        store = self.session.opened(wanted, path == wanted, self)
        if self.session.keeps(store) and self.session.transaction is None:
            store.write_as(self.command)
        return store

    def new_store(self, path: str) -> Kycore:
        return super().open_store(path)

    def release_store(self, store: Kycore) -> None:
        if not self.session.keeps(store):
            store.close()


@contextmanager
def _interrupting_children() -> Iterator[None]:
    """Have Ctrl-C end a child that has the terminal, and not what waits for it."""
    # A handler, because the child would inherit that the signal is ignored.
    before = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def session_of(env: Environment, what: str) -> Session:
    """Return the session in which a command runs.

    Raises:
        UsageError: when it runs in none.
    """
    if isinstance(env, SessionEnvironment):
        return env.session
    raise UsageError(
        f"'{what}' is for kyshell",
        hint="'kycli batch --atomic' runs commands as one transaction",
    )


def _changed(committed: Kycore, store: Kycore, scope: str) -> list[str]:
    """Return the keys of a scope that the history says have changed since the commit."""
    newest = next(committed.iter_history(scope=scope, limit=1), None)
    keys: set[str] = set()
    for change in store.iter_history(scope=scope):
        if newest is not None and change[2:7] == newest[2:7] and change.key == newest.key:
            break
        keys.add(change.key)
    return sorted(keys)


def _differences(
    committed: Kycore, store: Kycore, scope: str, keys: Iterable[str]
) -> Iterator[Diff]:
    for key in keys:
        diff = compare(
            key, committed.get_entry(key, scope=scope), store.get_entry(key, scope=scope)
        )
        if diff is not None:
            yield diff
