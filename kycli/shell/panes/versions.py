"""The history of one key: its changes, and a diff of the value for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kycli.cli.commands.history.diff import hunks
from kycli.core.history.trail import Event
from kycli.shell.panes.text import Line, wrapped
from kycli.shell.panes.values import MOST_BYTES, NOTE, lines_of, plain_lines, type_of
from kycli.shell.panes.windows import Window

if TYPE_CHECKING:
    from kycli.core.operations.excerpts import Excerpt
    from kycli.core.storage import Kycore

_PAGE = 200
_MOST = 2_000
_STYLES = {"-": "fg:ansired", "+": "fg:ansigreen", "@": "fg:ansicyan"}


class Versions(Window[Event]):
    """The changes of one key, newest first.

    Parameters:
        scope, key: whose.

    Attributes:
        with_now: whether the selected version is compared with the present value, and not with
            the version before it.
    """

    def __init__(self, scope: str, key: str) -> None:
        super().__init__()
        self.scope = scope
        self.key = key
        self.with_now = False
        self._rest: int | None = None

    def load(self, store: Kycore) -> None:
        """Read the newest changes, and keep the selected one."""
        selected = self.selected
        page = store.trail(self.key, limit=max(_PAGE, len(self.items)), scope=self.scope)
        positions = [event.position for event in page.events]
        known = selected is not None and selected.position in positions
        at = positions.index(selected.position) if selected is not None and known else 0
        self.replace(page.events, at)
        self._rest = page.rest

    def read_older(self, store: Kycore) -> None:
        """Read more where the selected change is near the end of what was read."""
        if self._rest is None or len(self.items) >= _MOST or len(self.items) - self.at > _PAGE // 2:
            return
        page = store.trail(self.key, upto=self._rest, limit=_PAGE, scope=self.scope)
        self.items += page.events
        self._rest = page.rest

    def what_changed(self, store: Kycore, columns: int) -> list[Line]:
        """Return what the selected change made of the value, as lines of so many columns."""
        event = self.selected
        if event is None:
            return _note("no change of this key is kept", columns)
        if self.with_now:
            return self._until_now(store, event.version, columns)
        before = self._value(store, event.version - 1)
        if event.operation in ("deleted", "expired"):
            value = self._value(store, event.version) or before
            return [*_note(f"{event.operation}; the value was", columns), *_all(value, columns)]
        after = self._value(store, event.version)
        if after is None:
            return _note("this value is not kept any more", columns)
        if event.operation == "lifetime":
            return [*_note("another lifetime; the value stayed", columns), *_all(after, columns)]
        if before is None:
            text = "the first value" if event.version == 1 else "the value before is not kept"
            return [*_note(text, columns), *lines_of(after, columns)]
        return _difference(before, after, columns)

    def _until_now(self, store: Kycore, version: int, columns: int) -> list[Line]:
        now = store.preview(self.key, most=MOST_BYTES, scope=self.scope)
        past = self._value(store, version)
        if past is None:
            return _note("this value is not kept any more", columns)
        if now is None:
            return [*_note("now removed; the value was", columns), *lines_of(past, columns)]
        title = _note(f"from version {version} to version {now.version}, which is now", columns)
        return [*title, *_difference(past, now.value, columns)]

    def _value(self, store: Kycore, version: int) -> Excerpt | None:
        if version < 1:
            return None
        found = store.preview(self.key, most=MOST_BYTES, version=version, scope=self.scope)
        return found and found.value


def _all(value: Excerpt | None, columns: int) -> list[Line]:
    return [] if value is None else lines_of(value, columns)


def _note(text: str, columns: int) -> list[Line]:
    return [[(NOTE, line)] for line in wrapped(text, columns)]


def _difference(before: Excerpt, after: Excerpt, columns: int) -> list[Line]:
    """Return how two values differ, as ``diff -u`` shows it."""
    if before == after and before.is_whole:
        return [*_note("the same value", columns), *lines_of(after, columns)]
    lines: list[Line] = []
    if type_of(before) != type_of(after):
        lines += _note(f"{type_of(before)} became {type_of(after)}", columns)
    sides = plain_lines(before), plain_lines(after)
    if not (before.is_whole and after.is_whole):
        lines += _note("only the beginnings are compared", columns)
    elif sides[0] == sides[1]:
        lines += _note("it is written in another way", columns)
    for ranges, texts in hunks(*sides):
        if not texts:
            continue
        lines.append([(_STYLES["@"], part) for part in wrapped(f"@@ {ranges} @@", columns)[:1]])
        for text in texts:
            style = _STYLES.get(text[0], "")
            first, *rest = wrapped(text[1:], columns - 1)
            lines.append([(style, text[0] + first)])
            lines += ([(style, " " + part)] for part in rest)
    return lines
