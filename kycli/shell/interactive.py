"""The shell on a terminal: commands run here, in the main thread."""

from __future__ import annotations

import queue
import signal
import sys
import threading
import time
from collections import deque
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from kycli.cli.env import INTERRUPTED, Environment
from kycli.cli.failure import report
from kycli.errors import KycliError
from kycli.shell.editing import quoted
from kycli.shell.facts import FactFinder
from kycli.shell.feed import Err, Feed, Out, harmless
from kycli.shell.interface import Interface
from kycli.shell.interrupts import Interrupts
from kycli.shell.leaving import may_leave
from kycli.shell.session import SessionEnvironment
from kycli.shell.state import READER_TIMEOUT_MS, OccupiedError, Staged, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kycli.cli.commands import Command
    from kycli.core.storage import Kycore
    from kycli.shell.session import Session

_SWITCH_SECONDS = 0.001
"""How long a command may keep the interpreter from the thread that echoes keys."""


class _Request(NamedTuple):
    """What the user interface wants of the main thread.

    Attributes:
        words: of a command line; None to leave.
        line: as it was typed.
        error: what the user interface died of.
    """

    words: list[str] | None
    line: str = ""
    error: BaseException | None = None


def run_interactive(session: Session, env: Environment) -> int:
    """Run the shell until the user leaves it; return the exit code."""
    shell = _Interactive(session)
    return shell.run()


class _Interactive:
    """The work of the main thread."""

    def __init__(self, session: Session) -> None:
        self.session = session
        # What is to be done, and an item here for each: waiting for it is not disturbed by Ctrl-C.
        self._todo: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._requests: deque[_Request] = deque()
        self._questions: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        env = SessionEnvironment(session)
        database, scope = session.position(env)
        self.state = State(database, scope, self._submit)
        self._interrupts = Interrupts()
        self.feed = Feed(lambda: self.ui.wake(), self._interrupts)
        self.facts = FactFinder(self.state, lambda: self.ui.wake())
        self.ui = Interface(
            self.state,
            self.feed,
            self.facts,
            keys=env.config.shell_keys,
            run=lambda words, line: self._request(_Request(words, line)),
            leave=lambda error=None: self._request(_Request(None, error=error)),
            has_more_to_do=lambda: bool(self._requests),
            interrupt=self._interrupt,
            interrupts=self._interrupts,
        )
        self._code = 0

    def run(self) -> int:
        before = signal.signal(signal.SIGINT, self._interrupts.handle)
        switching = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_SECONDS)
        self.ui.start()
        self.facts.start()
        try:
            while not self._next():
                pass
            return 0
        finally:
            sys.setswitchinterval(switching)
            self.facts.end()
            self.ui.end()
            signal.signal(signal.SIGINT, before)

    def _request(self, request: _Request) -> None:
        self._requests.append(request)
        self._todo.put(None)

    def _next(self) -> bool:
        """Wait for something to do, and do it; return whether the shell ends."""
        self._todo.get()
        if self._requests:
            return self._step(self._requests.popleft())
        work, answer = self._questions.popleft()
        if answer.set_running_or_notify_cancel():
            try:
                answer.set_result(work())
            except Exception as error:
                answer.set_exception(error)
        return False

    def _ask(self, work: Callable[[], Any]) -> Any:
        """Have a function called on the main thread; called in another one, which waits.

        Raises:
            OccupiedError: when a command runs there.
        """
        if self.state.running or self._requests:
            raise OccupiedError
        answer: Future[Any] = Future()
        self._questions.append((work, answer))
        self._todo.put(None)
        try:
            return answer.result(READER_TIMEOUT_MS / 1000)
        except TimeoutError:
            if answer.cancel():
                raise OccupiedError from None
            return answer.result()

    def _step(self, request: _Request) -> bool:
        """Do what the user interface wants; return whether the shell ends."""
        if request.error is not None:
            if isinstance(request.error, EOFError):
                return True  # the terminal is gone
            raise request.error
        if request.words is None:
            self.session.leaving = True
        else:
            self._run(request.words, request.line)
        if not self.session.leaving:
            return False
        try:
            self._interrupts.are_allowed = True
            return may_leave(self.session, ScreenEnvironment(self))
        except KeyboardInterrupt:
            self.feed.say("interrupted")
            return False
        finally:
            self._interrupts.are_allowed = False
            self._update()  # the transaction may be over although the shell goes on

    def _run(self, words: list[str], line: str) -> None:
        state = self.state
        state.running, state.progress = line, ""
        self.feed.echo(self.ui.prompt_text(), line)
        began = time.monotonic()
        try:
            self._interrupts.are_allowed = True
            try:
                env = ScreenEnvironment(self)
                with suppress(KycliError):  # the command says what is wrong with the config
                    state.pages = env.config.shell_pager == "on"
                self._code = self.session.run(words, env)
            finally:
                state.seconds = time.monotonic() - began
            if self._code == INTERRUPTED:
                raise KeyboardInterrupt
            self.feed.finish()
            self._interrupts.are_allowed = False
        except KeyboardInterrupt:
            self._interrupts.are_allowed = False
            self._code = INTERRUPTED
            self.feed.drop()
            self.feed.say("interrupted")
        self._update()

    def _update(self) -> None:
        """Bring the state up to date with what a command has changed."""
        state, session = self.state, self.session
        # What Ctrl-C kept from being done; it cannot come here.
        session.settle()
        self.ui.resume()
        try:
            state.database, state.scope = session.position(SessionEnvironment(session))
        except KycliError as error:
            if not self._code:  # else the command has said it
                report(error, ScreenEnvironment(self))
        store = session.staged_store
        if store is None:
            state.staged = None
        elif state.staged is None:
            state.staged = cast("Kycore", Staged(store, self._ask))
        state.transaction = session.transaction
        state.code = self._code
        state.running = state.progress = ""
        self.facts.resume()
        self.ui.announce()

    def _submit(self, words: Sequence[str]) -> None:
        line = " ".join(map(quoted, words))
        self._request(_Request([*words], line))

    def _interrupt(self) -> None:
        """Stop the command that runs; called in the thread of the user interface."""
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


class ScreenEnvironment(SessionEnvironment):
    """What one command works with: its output goes above the prompt."""

    def __init__(self, shell: _Interactive) -> None:
        self._shell = shell
        self._stdout = Out(shell.feed)
        self._suspension = ExitStack()
        self._said_by_child: IO[bytes] | None = None
        super().__init__(
            shell.session,
            stdin=sys.stdin.buffer,
            stdout=self._stdout,
        )
        self._err = Err(shell.feed, self.is_plain)  # type: ignore[assignment]

    def begin(self, command: Command, flags: dict[str, str]) -> None:
        self._stdout.keep_style = "raw" not in flags
        super().begin(command, flags)

    def is_watched(self) -> bool:
        return "quiet" not in self.flags

    def status(self, text: str) -> None:
        self._shell.state.progress = text
        self._shell.ui.wake()

    @contextmanager
    def terminal(self) -> Iterator[None]:
        shell = self._shell
        shell.feed.drain()
        with ExitStack() as stack:
            stack.callback(setattr, self, "_err", self._err)
            shell.facts.pause()
            stack.callback(shell.facts.resume)
            stack.enter_context(shell.ui.suspended())
            self._err = sys.stderr
            yield

    def page(self) -> None:
        from kycli.cli.pager import start

        if self._pager is not None:
            return
        self._suspension.enter_context(self.terminal())
        self._pager = start(sys.stdout.fileno(), plain=self.is_plain)
        if self._pager is None:
            self._suspension.close()
        else:
            self._terminal, self._out = self._out, self._pager.stdin  # type: ignore[assignment]

    def confirm(self, question: str, *refused: str) -> bool:
        if "yes" in self.flags:
            return True
        with self.terminal():
            return super().confirm(question, *refused)

    def read_secret(self, question: str) -> str:
        with self.terminal():
            return super().read_secret(question)

    def input_stream(self, hint: str = "") -> BinaryIO:
        stream = super().input_stream(hint)
        if not self._is_suspended:
            self._suspension.enter_context(self.terminal())
            self.note("(standard input is what you type; ^D at the beginning of a line ends it)")
        return stream

    @property
    def child_stderr(self) -> IO[bytes]:
        if self._said_by_child is None:
            from tempfile import TemporaryFile

            self._said_by_child = TemporaryFile()  # noqa: SIM115 - close() closes it
        return self._said_by_child

    @property
    def _is_suspended(self) -> bool:
        return self._err is sys.stderr

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._suspension.close()
            if self._said_by_child is not None:
                with self._said_by_child as file:
                    file.seek(0)
                    self._shell.feed.put(harmless(file.read().decode("utf-8", "replace")))
                self._said_by_child = None
