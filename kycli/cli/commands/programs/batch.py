"""``batch``: many commands in one process."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from kycli.cli.calls import Calls, Reply
from kycli.cli.commands.programs.frames import FRAMINGS, Framing, Request
from kycli.errors import KycliError

if TYPE_CHECKING:
    from types import FrameType
    from typing import BinaryIO

    from kycli.cli.env import Environment

_BLOCK = 1 << 16
_MOST_BUFFERED = 1 << 18


def batch(env: Environment, arguments: list[str]) -> int:
    """``batch``: run the commands on standard input, and reply to each."""
    framing = FRAMINGS[env.choice("null", "jsonl")]()
    stream = env.input_stream("the commands are read from it")
    calls = Calls(
        "a batch",
        scope=(env.scope, "the batch") if env.scope_is_fixed else None,
        flags={name: env.flags[name] for name in ("db", "quiet", "yes") if name in env.flags},
        atomic="atomic" in env.flags,
        command=env.command,
    )
    work = _Batch(env, framing, calls)
    with _collecting(), _terminated_by_signals():
        try:
            work.run(stream)
        except KeyboardInterrupt:
            work.explain_interrupt()
            raise
        finally:
            calls.close()
    return work.result()


class _Batch:
    """The work of one batch."""

    def __init__(self, env: Environment, framing: Framing, calls: Calls) -> None:
        self._env = env
        self._framing = framing
        self._calls = calls
        self._stops = calls.atomic or "stop" in env.flags
        self._strict = "strict" in env.flags
        self._replies: list[bytes] = []
        self._buffered = 0
        self._done = 0
        self._failed = 0
        self._first = ""  # what failed first, and why

    def run(self, stream: BinaryIO) -> None:
        """Run the commands of the input, until its end or until it has to stop."""
        while True:
            block = stream.read1(_BLOCK)  # type: ignore[attr-defined]
            for request in self._framing.requests(block):
                self._reply(request)
                if request.is_last or (self._failed and self._stops):
                    self._flush()
                    return
            # A program may wait for the replies before it writes more, so send them now.
            self._flush()
            self._calls.refresh()
            if not block:
                break
        self._calls.commit()

    def result(self) -> int:
        """Return the exit code.

        Raises:
            KycliError: when a command failed.
        """
        if not self._failed:
            return 0
        if self._calls.atomic:
            raise KycliError(f"nothing was kept, because of {self._first}")
        many = "1 command" if self._done == 1 else f"{self._done:,} commands"
        if self._stops:
            raise KycliError(f"stopped at {self._first}")
        raise KycliError(f"{self._failed:,} of {many} failed; the first: {self._first}")

    def explain_interrupt(self) -> None:
        """Say what is kept when the batch is interrupted."""
        self._flush()
        kept = "nothing was kept" if self._calls.atomic else f"commands done: {self._done:,}"
        self._env.note(f"kycli: interrupted; {kept}")

    def _reply(self, request: Request) -> None:
        if request.error is None:
            reply = self._answered(request)
        else:
            reply = self._calls.refusal(request.error)
        self._done += 1
        if reply.code and (reply.code != 2 or self._strict):
            self._note_failure(request, reply)
        data = self._framing.reply(reply)
        if self._env.output_is_terminal():
            data = self._env.shown(data, keep="\n\t")
        self._replies.append(data)
        self._buffered += len(data)
        if self._buffered > _MOST_BUFFERED:
            self._flush()

    def _answered(self, request: Request) -> Reply:
        if request.words:
            return self._calls.call(request.words, request.stdin)
        return self._calls.refusal(KycliError(f"{self._framing.unit} {request.number} is empty"))

    def _note_failure(self, request: Request, reply: Reply) -> None:
        self._failed += 1
        if self._failed > 1:
            return
        where = f"{self._framing.unit} {request.number}: "
        lines = reply.err.decode().splitlines()
        said = next((line for line in lines if line.startswith("kycli: ")), "")
        said = said.removeprefix("kycli: ") or f"exit code {reply.code}"
        self._first = where + said.removeprefix(where)

    def _flush(self) -> None:
        data = b"".join(self._replies)
        self._replies.clear()
        self._buffered = 0
        if data:
            self._env.write(data)
            self._env.flush()


@contextmanager
def _collecting() -> Iterator[None]:
    """Collect garbage: one command makes no cycles worth looking for, a million of them do."""
    was_on = gc.isenabled()
    gc.freeze()
    gc.enable()
    try:
        yield
    finally:
        gc.unfreeze()
        if not was_on:
            gc.disable()


@contextmanager
def _terminated_by_signals() -> Iterator[None]:
    """Die of SIGTERM and SIGHUP after the stores were closed, and not before."""
    received = 0

    def end(number: int, frame: FrameType | None) -> NoReturn:
        nonlocal received
        received = number
        raise KeyboardInterrupt

    caught = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) == signal.SIG_DFL
    ]
    for number in caught:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in caught:
            signal.signal(number, signal.SIG_DFL)
        if received:
            signal.raise_signal(received)
