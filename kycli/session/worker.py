"""Run one request: a command line, in its caller's environment."""

from __future__ import annotations

import gc
import io
import os
import time

from kycli.cli.calls import CallEnvironment, Calls, Decline
from kycli.cli.env import INTERRUPTED
from kycli.config import Config, current_scope, find_config, load_config
from kycli.core import authors
from kycli.core.location import MEMORY
from kycli.session import protocol
from kycli.session.caller import Caller, names_descriptors
from kycli.typed import cast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO, NoReturn

    from kycli.cli.commands import Command
    from kycli.core.storage import Kycore
    from kycli.session.protocol import Request

SERVED = {"use", "config set", "config unset"}
"""Commands that a transaction cannot roll back, but that run in a worker all the same. The others
take long, start programs or replace the database, so a separate process costs little."""

READING = {
    *("get", "exists", "count", "keys", "scan", "search", "history", "blame", "diff", "env"),
    *("help", "version", "stats", "projects", "namespaces", "nss", "list-scopes", "indexes"),
}
"""Commands that change nothing, so that one whose output gets too long can be run again."""

_WITHOUT_DIRECTORY = {
    *("get", "set", "del", "exists", "count", "keys", "scan", "incr", "append"),
    *("push", "remove", "ttl", "expire", "persist"),
}
"""Commands that look at no file but the config and the database."""

_MOST_KEPT = 64
"""How many configs, and paths of databases, are cached; a loop may use any number."""

_TICK_NS = 20_000_000
_COARSE_TICK_NS = 2_100_000_000
"""The resolution of timestamps: of most file systems, and of those on memory cards."""

DECLINE = protocol.reply(protocol.DECLINED, [])
"""The reply to a request that the caller must run itself."""

_DECLINED: tuple[bytes, list[tuple[int, bytes]]] = (protocol.DECLINED, [])
_ASK: tuple[bytes, list[tuple[int, bytes]]] = (protocol.WANTS_INPUT, [])


class _NeedsInput(Decline):
    """The command reads standard input, which was not sent."""


class Worker:
    """Runs requests one after the other, each in its caller's environment.

    Attributes:
        is_running: whether a command is under way, which ``KeyboardInterrupt`` cancels.
        is_cancelled: says whether the caller has cancelled what it asked for; asked when a
            command begins, because a signal that came before then has interrupted nothing.
    """

    def __init__(self) -> None:
        self._caller = Caller()
        self.calls = _Calls("a session", self._caller)
        self.is_running = False
        self.is_cancelled: Callable[[], bool] = lambda: False

    def answer(self, request: Request) -> bytes:
        """Return the reply to a request, as it is sent."""
        return protocol.reply(*self.run(request))

    def run(self, request: Request) -> tuple[bytes, list[tuple[int, bytes]]]:
        """Return the status and the chunks of the reply to a request."""
        caller = self._caller
        try:
            if caller.take(request.pid, request.directory, request.umask, request.variables):
                self.calls.variables_changed()
            self.calls.look_around()
        except (Decline, ValueError):
            return _DECLINED
        if caller.names_descriptors or names_descriptors(request.directory):
            return _DECLINED
        words = "\0".join(request.arguments)
        if names_descriptors(words.encode("utf-8", "surrogateescape")):
            return _DECLINED
        return self._run(request)

    def leave(self) -> None:
        """Leave the caller's directory, once it has its reply."""
        self._caller.leave()

    def rest(self, seconds: float) -> bool:
        """Close the stores that were not used for so long; return whether others are open."""
        has_more = self.calls.close_idle(seconds)
        if not has_more:
            self._caller.forget()
            gc.collect()
        return has_more

    @property
    def stores(self) -> int:
        """How many databases are open."""
        return self.calls.open_stores

    def _run(self, request: Request) -> tuple[bytes, list[tuple[int, bytes]]]:
        self.calls.forget(MEMORY)  # as it ends with the process
        env = _Environment(self.calls, request)
        try:
            self.is_running = True
            if self.is_cancelled():
                self.is_running = False  # once is enough
                raise KeyboardInterrupt
            code = self.calls.run(env, request.arguments, request.program)
            self.is_running = False
        except _NeedsInput:
            return _ASK
        except Decline:
            return _DECLINED
        except KeyboardInterrupt:
            code = INTERRUPTED
        finally:
            self.is_running = False
        if code == INTERRUPTED:
            # Wherever the interrupt came, the next command finds a store that was just opened.
            self.calls.close()
        return b"%d" % code, env.reply(code).chunks


def _nothing(*_: object) -> None:
    """There is nothing to do."""


class _Known:
    """What was found out for a caller, and holds for the next one in the same place.

    Attributes:
        config: the config in effect.
        status: what its file was like; None if there is none.
        scope: the current scope, and where it comes from; None before it was asked for.
        paths: the databases that were used, by the flag that names one.
    """

    __slots__ = ("config", "paths", "scope", "status")

    def __init__(self, config: Config, status: os.stat_result | None) -> None:
        self.config = config
        self.status = status
        self.scope: tuple[str, str] | None = None
        self.paths: dict[str | None, str] = {}

    def is_current(self) -> bool:
        """Whether the config's file is as it was; that it is still the one is known."""
        if self.status is None:
            return True
        assert self.config.source is not None
        try:
            return _is_same(self.status, os.stat(self.config.source))
        except OSError:
            return False


class _Calls(Calls):
    """Command lines of one user, whose config files and databases change meanwhile.

    Attributes:
        before_open: called before a database is opened.
        after_open: called with the descriptor that tells of changes of its file.
    """

    def __init__(self, what: str, caller: Caller) -> None:
        super().__init__(what)
        self.before_open: Callable[[], None] = _nothing
        self.after_open: Callable[[int], None] = _nothing
        self._caller = caller
        self._known: _Known | None = None
        self._configs: dict[str, tuple[os.stat_result, Config]] = {}

    def variables_changed(self) -> None:
        """Take note that the environment variables are others."""
        self._known = None
        self._configs.clear()
        self.user = authors.user()

    def look_around(self) -> None:
        """Forget what is known if the directory of a caller is not that of the last one.

        Raises:
            Decline: when it cannot be entered.
        """
        if not self._caller.is_same():
            self._known = None
            self.enter()

    def enter(self) -> None:
        """Enter the caller's directory, before anything is looked up that depends on it.

        Raises:
            Decline: when that cannot be done.
        """
        try:
            self._caller.enter()
        except OSError:
            raise Decline from None

    def new_store(self, path: str, env: CallEnvironment) -> Kycore:
        self.check_replaced()  # a file may be open by another path as well
        self.before_open()
        store = super().new_store(path, env)
        descriptor = store.watch()
        if descriptor is not None:
            self.after_open(descriptor)
        return store

    def current_config(self, env: CallEnvironment) -> Config:
        known = self._known
        if known is not None and known.is_current():
            return known.config
        self._known = None
        self.enter()
        looked_for: list[str] = []
        known, may_keep = self._look_up(looked_for)
        if may_keep and self._caller.watch(looked_for):
            again: list[str] = []
            known, may_keep = self._look_up(again)
            if may_keep and self._caller.watch(again):
                self._known = known
        if known.config.distrusted:
            env.note_distrusted(known.config.distrusted)
        return known.config

    def _look_up(self, looked_for: list[str]) -> tuple[_Known, bool]:
        """Find the config in effect; add the paths that were looked for.

        Returns:
            what is known of it, and whether it may be kept.
        """
        while True:
            distrusted: list[tuple[str, str]] = []
            del looked_for[:]
            path = find_config(distrusted, looked_for)
            found = (_Known(Config(), None), True) if path is None else self._config_at(path)
            if found is not None:
                found[0].config.distrusted = tuple(distrusted)
                return found[0], found[1] and not distrusted

    def _config_at(self, path: str) -> tuple[_Known, bool] | None:
        """Return a config that is read again only when its file is another.

        Returns:
            what is known of it, and whether its next change will show in the times of its file;
            None if it is not in effect any more.
        """
        try:
            status = os.stat(path)
        except OSError:
            return _Known(load_config(), None), False
        read = self._configs.get(path)
        if read is not None and _is_same(read[0], status):
            return _Known(read[1], status), True
        is_settled = _is_settled(status)
        config = load_config()
        if config.source != path:
            return None
        self._configs.pop(path, None)
        if is_settled:
            if len(self._configs) == _MOST_KEPT:
                self._configs.clear()
            self._configs[path] = status, config
        return _Known(config, status), is_settled

    def current_scope(self, env: CallEnvironment) -> tuple[str, str]:
        """Return the scope in effect when no flag names one, and where it comes from."""
        config = env.config
        known = self._known
        if known is None:
            return current_scope(config)
        if known.scope is None:
            known.scope = current_scope(config)
        return known.scope

    def known_store(self, env: CallEnvironment) -> Kycore | None:
        """Return the store that a call uses, if it is known and its file is the same."""
        config = env.config
        known = self._known
        if known is None or known.config is not config:
            return None
        path = known.paths.get(env.flags.get("db"), "")
        kept = self._stores.pop(path, None)
        if kept is None or kept.store.close_if_replaced(told=True):
            return None
        return self.use(path, kept, env)

    def opened(self, path: str, env: CallEnvironment) -> Kycore:
        store = super().opened(path, env)
        # Of a file that cannot be written nothing tells that it was replaced.
        if self._known is not None and path != MEMORY and not store.read_only:
            if len(self._known.paths) == _MOST_KEPT:
                self._known.paths.clear()
            self._known.paths[env.flags.get("db")] = path
        return store


def _is_same(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether a file was not changed between two looks at it."""
    return (one.st_ino, one.st_dev, one.st_size, one.st_mtime_ns, one.st_ctime_ns) == (
        *(other.st_ino, other.st_dev, other.st_size, other.st_mtime_ns, other.st_ctime_ns),
    )


def _is_settled(status: os.stat_result) -> bool:
    """Whether a file was changed so long ago that the next change will have another time."""
    tick = _TICK_NS if status.st_ctime_ns % 10_000_000 else _COARSE_TICK_NS
    return time.time_ns() - status.st_ctime_ns > tick


class _Environment(CallEnvironment):
    """What the command line of a request works with."""

    _calls: _Calls
    _size = 0
    _may_decline = False

    def __init__(self, calls: _Calls, request: Request) -> None:
        self._streams = stdin, stdout, stderr = [*request.streams[:3]]
        super().__init__(calls, request.input)
        self.pid = request.pid
        self._is_terminal = stdout == "t"
        if stdin == "-":
            self._in = None
        if stdout == "-":
            self._out = None
        if stderr == "-":
            self._err = None

    def input_of(self, stdin: bytes | None) -> BinaryIO:
        if stdin is not None:
            return super().input_of(stdin)
        kind = _Terminal if self._streams[0] == "t" else _NotSent
        stream = _REFUSING.get(kind)
        if stream is None or stream.closed:
            stream = _REFUSING[kind] = kind()
        return cast("BinaryIO", stream)

    def begin(self, command: Command, flags: dict[str, str]) -> None:
        if command.name not in _WITHOUT_DIRECTORY:
            self._calls.enter()
        if command.alone and (command.alone != "transaction" or command.name not in SERVED):
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

    def scope_without_flags(self) -> tuple[str, str]:
        return self._calls.current_scope(self)

    def store(self, *, create: bool = False) -> Kycore:
        if self._store is None:
            self._store = self._calls.known_store(self)
            if self._store is None:
                self._calls.enter()
                return super().store(create=create)
        return self._store

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
        if self._streams[0] == self._streams[2] == "t":
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


_REFUSING: dict[type[_NotSent], _NotSent] = {}
"""One stream of each kind, for all requests: nothing can be read from it."""
