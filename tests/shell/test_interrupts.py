"""Ctrl-C between any two steps of what waits for another thread."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from types import FrameType
from typing import Any

import pytest

from kycli.shell.feed import Feed
from kycli.shell.interrupts import Interrupts


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    found = Interrupts()
    before = signal.signal(signal.SIGINT, found.handle)
    yield found
    signal.signal(signal.SIGINT, before)


class _After:
    """Sends SIGINT to this process after so many instructions.

    Attributes:
        is_sent: whether there were as many.
    """

    def __init__(self, instructions: int) -> None:
        self._left = instructions
        self.is_sent = False

    def trace(self, frame: FrameType, event: str, argument: object) -> Any:
        frame.f_trace_opcodes = True
        self._left -= event == "opcode"
        if self._left == 0 and not self.is_sent:
            self.is_sent = True
            signal.raise_signal(signal.SIGINT)
        return self.trace


def test_a_wait_that_is_interrupted_leaves_the_lock_as_it_was(interrupts: Interrupts) -> None:
    interrupts.are_allowed = True
    for instructions in count(1):
        feed = Feed(lambda: None, interrupts)
        feed.put("a line\n")
        # Only then, so that the main thread has to wait.
        taker = threading.Timer(0.01, feed.take, (100, None, 80))
        taker.start()
        after = _After(instructions)
        was_traced = sys.gettrace()
        with suppress(KeyboardInterrupt):
            try:
                sys.settrace(after.trace)
                feed.drain()
            finally:
                sys.settrace(was_traced)
        taker.join(5)
        assert not taker.is_alive()
        assert not feed.is_waiting()
        if not after.is_sent:
            break
    assert instructions > 100
    assert not interrupts.is_pending


def test_a_wait_is_ended_by_an_interrupt(interrupts: Interrupts) -> None:
    interrupts.are_allowed = True
    feed = Feed(lambda: None, interrupts)
    feed.put("a line that nobody takes\n")
    threading.Timer(0.05, lambda: signal.raise_signal(signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        feed.drain()


def test_nothing_is_interrupted_between_commands(interrupts: Interrupts) -> None:
    signal.raise_signal(signal.SIGINT)
    with interrupts.delayed():
        signal.raise_signal(signal.SIGINT)
    assert not interrupts.is_pending


def test_what_is_said_is_not_dropped_with_the_output(interrupts: Interrupts) -> None:
    feed = Feed(lambda: None, interrupts)
    feed.put("output\n")
    feed.say("interrupted")
    feed.drop()
    (said,) = feed.take(100, None, 80)
    assert said == ("interrupted",)
