"""Signals and errors at any step of what happens around a fork: no lock is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import apsw
import pytest

from kycli import Kycore
from kycli.core import authors
from kycli.errors import ForkError


class Alarm(KeyboardInterrupt):
    """Raised by the handler of the signal, wherever the program is."""


def raise_alarm(number: int, frame: FrameType | None) -> None:
    raise Alarm


@pytest.fixture(autouse=True)
def alarmed(no_collector: None) -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, raise_alarm)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


class Faults:
    """Raises at one of the steps at which a signal could, in the thread in which it could."""

    def __init__(self) -> None:
        self.left: int | None = None

    def step(self) -> None:
        if self.left is not None and threading.current_thread() is threading.main_thread():
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise Alarm


FAULTS = Faults()


class Faulty(apsw.Connection):
    """A connection on which each call that leaves C may be interrupted, before or after it."""

    def config(self, *arguments: Any) -> int:
        FAULTS.step()
        answer = super().config(*arguments)
        FAULTS.step()
        return answer

    def close(self, force: bool = False) -> None:
        FAULTS.step()
        super().close(force)
        FAULTS.step()

    def set_busy_handler(self, callable: Any) -> None:
        def handler(tries: int) -> bool:
            FAULTS.step()
            return bool(callable(tries))

        super().set_busy_handler(handler)


def clock() -> int:
    FAULTS.step()
    return 1_700_000_000_000


def number_of(connection: apsw.Connection, command: str) -> int:
    FAULTS.step()
    return authors_number_of(connection, command)


authors_number_of = authors.number_of


def fork_and_wait(work: Callable[[], object]) -> bool:
    """Fork, do the work in the child and wait for it; return whether an alarm came out."""
    parent = os.getpid()
    reader, writer = os.pipe()  # what fork() returns is lost when an alarm comes out of it
    alarm = False
    try:
        os.fork()
    except Alarm:
        alarm = True
    FAULTS.left = None
    if os.getpid() != parent:
        code = 1
        try:
            os.write(writer, b"%d" % os.getpid())
            if not alarm:  # only the parent hears of it
                work()
                code = 0
        finally:
            os._exit(code)
    signal.setitimer(signal.ITIMER_REAL, 0)
    os.close(writer)
    child = int(os.read(reader, 20))  # os.wait() could return one that another test has left
    os.close(reader)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return alarm


def in_thread(work: Callable[[], Any]) -> Any:
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(work()))
    thread.start()
    thread.join()
    return answers[0]


def refused_or_done(store: Kycore) -> Callable[[], None]:
    """Return what the child does: the store works or says that it cannot; it never hangs."""

    def work() -> None:
        signal.alarm(0)
        try:
            store.getkey("k")
        except ForkError:
            pass

    return work


@pytest.mark.parametrize(
    ("durability", "busy"),
    [("normal", False), ("async", False), ("async", True)],
    ids=["idle", "saves wait", "saves wait and another process writes"],
)
def test_an_error_at_any_step_before_a_fork_leaves_no_lock_behind(
    path: Path, durability: Any, busy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apsw, "Connection", Faulty)
    monkeypatch.setattr(authors, "number_of", number_of)
    done = False
    number = 0
    while not done:
        with ExitStack() as stack:
            store = stack.enter_context(
                Kycore(path, durability=durability, busy_timeout_ms=200, clock=clock)
            )
            second = stack.enter_context(Kycore(path, busy_timeout_ms=200))
            other = stack.enter_context(Kycore(path, busy_timeout_ms=200))
            store.save("first", number)  # is swept after, which commits it
            store.save("k", number)
            if busy:
                block = other.transaction()
                block.__enter__()
            FAULTS.left = number
            alarm = fork_and_wait(refused_or_done(store))
            if busy:
                block.__exit__(None, None, None)
            for each in (store, second):
                assert in_thread(partial(each.save, "thread", number))
                in_thread(each.flush)
            assert (other["k"], other["thread"]) == (number, number)
        # While it waits for another process there is no end of steps.
        done = number == 15 if busy else not alarm
        number += 1
    assert alarm == busy
    assert number > 6


# In a process of its own, because a signal may also come in a fork hook of pytest's modules,
# which Python reports and forgets.
SWEEP = """
import os, random, signal, sys, threading
from kycli import Kycore
from kycli.core import opening
from kycli.errors import ForkError

class Alarm(KeyboardInterrupt):
    pass

def raise_alarm(number, frame):
    raise Alarm

unraisable = []
sys.unraisablehook = unraisable.append
signal.signal(signal.SIGALRM, raise_alarm)
opening._STEPS_BETWEEN_SIGNALS = 1
chance = random.Random(3)
alarms = 0
path, durability = sys.argv[1:]

def work(number):
    for each in stores:
        assert each.save("thread", number)
        each.flush()

with (
    Kycore(path, durability=durability, busy_timeout_ms=200) as store,
    Kycore(path, durability=durability, busy_timeout_ms=200) as second,
    Kycore(path) as other,
):
    stores = [store, second]
    for number in range(120):
        store.save("k", number)
        second.save("k", number)
        store.save("other", number)
        parent, pid, block = os.getpid(), None, None
        if number % 8 == 0:
            block = other.transaction()
            block.__enter__()
        try:
            signal.setitimer(signal.ITIMER_REAL, 10 ** chance.uniform(-4.5, -2.5))
            pid = os.fork()
            if pid == 0:
                try:
                    store.getkey("k")
                except ForkError:
                    pass
                os._exit(0)
            os.wait()
        except Alarm:
            if os.getpid() != parent:
                os._exit(9)
            alarms += pid is None
        signal.setitimer(signal.ITIMER_REAL, 0)
        try:
            while True:
                assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
        except ChildProcessError:
            pass
        if block is not None:
            block.__exit__(None, None, None)
        errors = []
        threading.excepthook = errors.append
        thread = threading.Thread(target=work, args=(number,))
        thread.start()
        thread.join()
        assert not errors, errors
        assert (second["k"], store["k"], second["other"]) == (number, number, number)
assert not unraisable, unraisable
print(alarms)
"""


def run(program: str, *arguments: str | Path) -> str:
    """Run a program in a process of its own; return what it printed, which is no complaint."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program, *arguments],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout


@pytest.mark.alone
@pytest.mark.parametrize("durability", ["normal", "async"])
def test_a_signal_at_any_time_around_a_fork_leaves_no_lock_behind(
    path: Path, durability: str
) -> None:
    assert int(run(SWEEP, path, durability)) > 5


def signal_a_fork_that_waits() -> None:
    """Send the main thread a signal when it is in a fork hook of the engine's.

    That has no frame of Python's, so the main thread seems to stay where it forks.
    """
    main = threading.main_thread().ident
    assert main is not None
    seen = 0
    while seen < 10:
        frame = sys._current_frames()[main]
        seen = seen + 1 if frame.f_code is fork_and_wait.__code__ else 0
        time.sleep(0.01)
    signal.pthread_kill(main, signal.SIGALRM)


def test_a_signal_while_a_fork_waits_for_a_thread_is_heard_after_the_fork(path: Path) -> None:
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with busy.transaction():
            held.set()
            signal_a_fork_that_waits()
            release.wait()

    with Kycore(path) as store, Kycore(path) as busy:
        store.save("k", 1)
        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        try:
            assert fork_and_wait(refused_or_done(store))
        finally:
            release.set()
            thread.join()
        assert in_thread(lambda: busy.save("k", 2)) == "overwritten"
        assert in_thread(lambda: store.save("k", 3)) == "overwritten"


# In a process of its own, because a fork hook of another module may hold a lock that the
# second fork waits for.
NESTED = """
import os, signal, sys, threading, time
from kycli import Kycore

held, release = threading.Event(), threading.Event()
main = threading.main_thread().ident
codes = []

def hold():
    with busy.transaction():
        held.set()
        seen = 0
        while seen < 10:  # the fork hooks of the engine have no frame of Python's
            seen = seen + 1 if sys._current_frames()[main].f_code is fork.__code__ else 0
            time.sleep(0.01)
        signal.pthread_kill(main, signal.SIGALRM)
        release.wait()

def fork():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    codes.append(pid)

def fork_again(number, frame):
    fork()
    release.set()

with Kycore(sys.argv[1]) as store, Kycore(sys.argv[1], busy_timeout_ms=200) as busy:
    store.save("k", 1)
    signal.signal(signal.SIGALRM, fork_again)
    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    fork()
    thread.join()
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in codes] == [0, 0]
    for each in (store, busy):
        answers = []
        thread = threading.Thread(target=lambda: answers.append(each.incr("n")))
        thread.start()
        thread.join()
        print(*answers)
"""


def test_a_signal_handler_that_forks_during_a_fork_leaves_no_lock_behind(path: Path) -> None:
    assert run(NESTED, path) == "1\n2\n"
