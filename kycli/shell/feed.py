"""A queue for the output of commands, from the main thread to the UI thread."""

from __future__ import annotations

import io
import re
import threading
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from kycli.cli.terminal import escaped, width

if TYPE_CHECKING:
    from collections.abc import Callable

    from kycli.shell.interrupts import Interrupts

_MOST = 1 << 20
"""How many characters may wait; a command that has more to say waits, too."""

_LOOK_SECONDS = 0.2
"""How long the main thread waits before it looks whether Ctrl-C was pressed."""

_UNUSUAL = re.compile(r"[^\n\t -~]")
_STYLE = re.compile(r"(\x1b\[[0-9;]*m)")
_RESET = "\x1b[m"


class Echo(NamedTuple):
    """A command line, shown as it was typed, before what it prints."""

    prompt: str
    line: str


class Said(NamedTuple):
    """What is shown whether or not a long result is being paged."""

    text: str


class Feed:
    """A queue of text, in whole lines.

    Parameters:
        wake: called when there is something to take.
        interrupts: what Ctrl-C does to the main thread.
    """

    def __init__(self, wake: Callable[[], object], interrupts: Interrupts) -> None:
        self._wake = wake
        self._interrupts = interrupts
        # Entering a Condition is Python code: Ctrl-C in it would leave the lock held for good.
        self._lock = threading.RLock()
        self._change = threading.Condition(self._lock)
        self._items: deque[str | Echo | Said] = deque()
        self._size = 0
        self._begun: list[str] = []  # of a line whose end is yet to come
        self._dropping = False

    # The main thread

    def put(self, text: str) -> bool:
        """Add text; return whether somebody wants it. Waits while too much is waiting."""
        head, newline, tail = text.rpartition("\n")
        if not newline:
            self._begun.append(text)
            return not self._dropping
        whole = "".join([*self._begun, head, newline])
        self._begun = [tail] if tail else []
        with self._interrupts.delayed(), self._lock:
            self._wait_while(lambda: self._size > _MOST and not self._dropping)
            if self._dropping:
                return False
            self._items.append(whole)
            self._size += len(whole)
        self._wake()
        return True

    def echo(self, prompt: str, line: str) -> None:
        """Begin with a command line; what is to come is wanted again."""
        with self._lock:
            self._dropping = False
            self._items.append(Echo(prompt, line))
        self._wake()

    def say(self, text: str) -> None:
        """Add a line even if what a command prints is not wanted."""
        with self._lock:
            self._dropping = False
            self._items.append(Said(text))
        self._wake()

    def finish(self) -> None:
        """End the last line if it has no end, and wait until all is shown, or dropped."""
        if any(self._begun):
            self.put("\n")
        self.drain()

    def drain(self) -> None:
        """Wait until all whole lines are shown, or dropped."""
        with self._interrupts.delayed(), self._lock:
            self._wait_while(lambda: bool(self._items))

    def _wait_while(self, condition: Callable[[], bool]) -> None:
        while condition() and not self._interrupts.is_pending:
            self._change.wait(_LOOK_SECONDS)

    # The thread of the user interface

    def take(self, most: int, rows: int | None, columns: int) -> list[str | Echo | Said]:
        """Return what is next: text, or one of the others alone.

        Parameters:
            most: how many characters, about.
            rows: how many rows of the screen it may fill; None for any number.
            columns: how wide the screen is.
        """
        taken: list[str | Echo | Said] = []
        with self._lock:
            while self._items and most > 0:
                item = self._items[0]
                if not isinstance(item, str):
                    if not taken:
                        taken.append(self._items.popleft())
                    break
                if rows is not None and rows <= 0:
                    break
                text = item
                self._items.popleft()
                if rows is not None:
                    text, used = _first_rows(item, rows, columns)
                    rows -= used
                elif len(item) > most:
                    text = item[: item.find("\n", most - 1) + 1] or item
                if len(text) < len(item):
                    self._items.appendleft(item[len(text) :])
                self._size -= len(text)
                most -= len(text)
                taken.append(text)
            self._change.notify_all()
        return taken

    def is_waiting(self) -> bool:
        """Whether there is something to take."""
        return bool(self._items)

    def drop(self) -> None:
        """Throw away the output that is waiting, and what is still to come of this command."""
        with self._lock:
            self._dropping = True
            self._items = deque(item for item in self._items if not isinstance(item, str))
            self._begun = []
            self._size = 0
            self._change.notify_all()


def _first_rows(text: str, rows: int, columns: int) -> tuple[str, int]:
    """Return the lines of a text that fit, at least one, and how many rows they take."""
    end = used = 0
    while end < len(text):
        newline = text.index("\n", end)
        line = text[end:newline]
        needs = 1 if len(line) * 2 <= columns else -(-width(_STYLE.sub("", line)) // columns) or 1
        if used and used + needs > rows:
            break
        used += needs
        end = newline + 1
        if used >= rows:
            break
    return text[:end], used


def harmless(text: str, keep_style: bool = True) -> str:
    """Return text with everything escaped that a terminal would obey, but for colours.

    What commands print on a terminal is escaped already. This holds for what they do not
    escape: ``--raw``, and what nobody thought of.
    """
    if not _UNUSUAL.search(text):
        return text
    if "\x1b" not in text or not keep_style:
        return escaped(text, keep="\n\t")
    parts = _STYLE.split(text)
    parts[::2] = [escaped(part, keep="\n\t") for part in parts[::2]]
    return "".join(parts)


class Out(io.BufferedIOBase):
    """Standard output of a command.

    Attributes:
        keep_style: whether colours are the command's own, and not part of a value.
    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self.keep_style = True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Write bytes.

        Raises:
            BrokenPipeError: when nobody wants more.
        """
        text = data.decode("utf-8", "backslashreplace")
        if not self._feed.put(harmless(text, self.keep_style)):
            raise BrokenPipeError
        return len(text)

    def isatty(self) -> bool:
        return True

    def writable(self) -> bool:
        return True


class Err(io.TextIOBase):
    """Standard error of a command."""

    def __init__(self, feed: Feed, is_plain: bool) -> None:
        self._feed = feed
        self._is_plain = is_plain

    def write(self, text: str) -> int:
        shown = harmless(text)
        if not self._is_plain:
            code = "31" if text.startswith("kycli: ") else "2" if text.startswith("hint: ") else ""
            if code:
                shown = f"\x1b[{code}m{shown.removesuffix(chr(10))}{_RESET}\n"
        self._feed.put(shown)
        return len(text)

    def isatty(self) -> bool:
        return True

    def writable(self) -> bool:
        return True
