"""One request: run a command line by value in the place of its caller."""

from __future__ import annotations

import gc
import io
import os
from typing import TYPE_CHECKING, BinaryIO, NoReturn, cast

from kycli.cli.calls import CallEnvironment, Calls, Decline
from kycli.cli.env import INTERRUPTED
from kycli.config import Config, find_config, load_config
from kycli.core import authors
from kycli.core.location import MEMORY
from kycli.session import protocol
from kycli.session.caller import Place, names_descriptors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kycli.cli.commands import Command
    from kycli.core.storage import Kycore
    from kycli.session.protocol import Request

SERVED = {"use", "config set", "config unset"}
"""Commands that a transaction cannot take back, and that are run here all the same. The others
take long, start programs or replace the database, so that a process of their own costs nothing."""

READING = {
    *("get", "exists", "count", "keys", "scan", "search", "history", "blame", "diff", "env"),
    *("help", "version", "stats", "projects", "namespaces", "nss", "list-scopes", "indexes"),
}
"""Commands that change nothing, so that one whose output gets too long can be run again."""

DECLINE = protocol.reply(protocol.DECLINED, [])
"""The reply to what a caller has to do itself."""

_ASK = protocol.reply(protocol.WANTS_INPUT, [])


class _NeedsInput(Decline):
    """The command reads standard input, which was not sent."""


class Worker:
    """Runs requests one after the other, each as in a process of its caller's.

    Attributes:
        is_running: whether a command is under way, which ``KeyboardInterrupt`` cancels.
    """

    def __init__(self) -> None:
        self.calls = _Calls("a session")
        self.is_running = False
        self._place = Place()

    def answer(self, request: Request) -> bytes:
        """Return the reply to a request."""
        place = self._place
        try:
            if place.take(request.pid, request.directory, request.umask, request.variables):
                self.calls.variables_changed()
        except (OSError, ValueError):
            return DECLINE
        if place.names_descriptors or names_descriptors(request.directory):
            return DECLINE
        if any("/dev" in word or "/proc" in word for word in request.arguments):
            return DECLINE
        return self._run(request)

    def leave(self) -> None:
        """Leave the caller's place, once it has its reply."""
        self._place.leave()

    def rest(self, seconds: float) -> bool:
        """Close the stores that were not used for so long; return whether others are open."""
        has_more = self.calls.close_idle(seconds)
        if not has_more:
            gc.collect()
        return has_more

    @property
    def stores(self) -> int:
        """How many databases are open."""
        return self.calls.open_stores

    def _run(self, request: Request) -> bytes:
        self.calls.forget(MEMORY)  # as it ends with the process
        env = _Environment(self.calls, request)
        try:
            self.is_running = True
            code = self.calls.run(env, request.arguments, request.program)
            self.is_running = False
        except _NeedsInput:
            return _ASK
        except Decline:
            return DECLINE
        except KeyboardInterrupt:
            code = INTERRUPTED
        finally:
            self.is_running = False
        if code == INTERRUPTED:
            # Wherever the interrupt came, the next command finds a store that was just opened.
            self.calls.close()
        reply = env.reply(code)
        return protocol.reply(b"%d" % reply.code, reply.chunks)


def _nothing(*_: object) -> None:
    """There is nothing to do."""


class _Calls(Calls):
    """Command lines of one user, whose config files and databases change meanwhile.

    Attributes:
        before_open: called before a database is opened.
        after_open: called with the descriptor that tells of changes of its file.
    """

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.before_open: Callable[[], None] = _nothing
        self.after_open: Callable[[int], None] = _nothing
        self._configs: dict[str, tuple[os.stat_result, Config]] = {}

    def variables_changed(self) -> None:
        """Take note that the environment variables are others."""
        self._configs.clear()
        self.user = authors.user()

    def new_store(self, path: str, env: CallEnvironment) -> Kycore:
        self.check_replaced()  # a file may be open by another path as well
        self.before_open()
        store = super().new_store(path, env)
        descriptor = store.watch()
        if descriptor is not None:
            self.after_open(descriptor)
        return store

    def current_config(self, env: CallEnvironment) -> Config:
        distrusted: list[tuple[str, str]] = []
        path = find_config(distrusted)
        config = Config() if path is None else self._config_at(path)
        config.distrusted = tuple(distrusted)
        if distrusted:
            env.note_distrusted(distrusted)
        return config

    def _config_at(self, path: str) -> Config:
        """Return a config that is read again only when its file is another."""
        try:
            status = os.stat(path)
        except OSError:
            return load_config()
        known = self._configs.get(path)
        if known is not None and _is_same(known[0], status):
            return known[1]
        self._configs[path] = status, config = status, load_config()
        return config


def _is_same(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether a file was not changed between two looks at it."""
    return (one.st_ino, one.st_dev, one.st_size, one.st_mtime_ns, one.st_ctime_ns) == (
        *(other.st_ino, other.st_dev, other.st_size, other.st_mtime_ns, other.st_ctime_ns),
    )


class _Environment(CallEnvironment):
    """What the command line of a request works with."""

    def __init__(self, calls: Calls, request: Request) -> None:
        super().__init__(calls, request.input)
        stdin, stdout, stderr = [*request.streams[:3]]
        self.pid = request.pid
        self._size = 0
        self._may_decline = False
        self._is_terminal = stdout == "t"
        self._asks = stdin == stderr == "t"
        if stdin == "-":
            self._in = None
        elif request.input is None:
            refuse = _Terminal if stdin == "t" else _NotSent
            self._in = cast("BinaryIO", refuse())
        if stdout == "-":
            self._out = None
        if stderr == "-":
            self._err = None

    def begin(self, command: Command, flags: dict[str, str]) -> None:
        if command.alone and (command.alone == "process" or command.name not in SERVED):
            raise Decline
        if "model" in flags:  # a module of the user's, which may be another one next time
            raise Decline
        super().begin(command, flags)
        self._may_decline = command.name in READING

    def write(self, data: bytes) -> None:
        super().write(data)
        if self._may_decline:
            self._size += len(data)
            if self._size > protocol.MAX_OUTPUT:
                raise Decline

    def is_watched(self) -> bool:
        return False

    def styled(self, text: str, code: str) -> str:
        # Tables are as wide as the terminal, which only its process can ask.
        if self.output_is_terminal() and not os.environ.get("COLUMNS"):
            raise Decline
        return super().styled(text, code)

    def page(self) -> None:
        if self.output_is_terminal():
            raise Decline

    def can_ask(self) -> bool:
        if self._asks:
            raise Decline
        return False


class _NotSent(io.BytesIO):
    """Standard input that was not sent."""

    def _ask(self, *_: object) -> NoReturn:
        raise _NeedsInput

    read = readline = readinto = read1 = readlines = __next__ = _ask

    def __iter__(self) -> Iterator[bytes]:
        raise _NeedsInput


class _Terminal(_NotSent):
    """Standard input that is a terminal, which only the caller can read."""

    def _ask(self, *_: object) -> NoReturn:
        raise Decline

    read = readline = readinto = read1 = readlines = __next__ = _ask

    def isatty(self) -> bool:
        return True
