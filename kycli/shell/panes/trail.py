"""The pane of the audit trail: who changed what in the current scope, as it happens."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from prompt_toolkit.key_binding import KeyBindings

from kycli.core.history.times import time_text
from kycli.shell.panes.control import (
    ALERT,
    CHOSEN,
    QUIET,
    TITLE,
    body_height,
    frame,
    has_focus,
    help_line,
    redraw,
)
from kycli.shell.panes.following import Follower
from kycli.shell.panes.pane import Pane
from kycli.shell.panes.reading import Reader, problem_lines
from kycli.shell.panes.text import Line, fit, safe, span
from kycli.shell.panes.values import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from prompt_toolkit.key_binding.key_processor import KeyPressEvent

    from kycli.core.history.trail import Event
    from kycli.core.storage import Kycore
    from kycli.shell.state import State, Transaction

SIGNS = {
    "created": ("+", "fg:ansigreen"),
    "overwritten": ("~", ""),
    "deleted": ("-", "fg:ansired"),
    "expired": ("x", "fg:ansiyellow"),
    "lifetime": ("t", ""),
    "restored": ("r", "fg:ansicyan"),
    "imported": ("i", "fg:ansicyan"),
}
"""By operation, the character that stands for it on a narrow screen, and its style."""

_HELP = ["↑↓ scroll", "Home newest", "End oldest", "Esc prompt"]
_PAUSE_SECONDS = 0.015
_FRESH_SECONDS = 3.0
"""How long a change that has just come is bold."""


class TrailPane(Pane):
    """The changes of the current scope, newest first."""

    title = "audit trail"
    toggle_key = "f3"
    share = 0.3
    most = 12

    def __init__(self, state: State, leave: Callable[[], None]) -> None:
        super().__init__(state, leave)
        self._events = Follower(state.scope)
        self._reader = Reader(state)
        self._fresh: list[tuple[float, int]] = []
        self._transaction: float | None = None  # when the one began whose changes are listed
        self._height = 1

    def follow(self, scope: str) -> None:
        self._events.follow(scope)
        self._fresh.clear()
        self._reader.forget()

    def close(self) -> None:
        pass  # nothing goes on between two calls

    def refresh(self) -> None:
        if self.state.scope != self._events.scope:
            self.follow(self.state.scope)
        changed = self._reader.read(self._read)
        now = time.monotonic()
        fresh = [entry for entry in self._fresh if now - entry[0] < _FRESH_SECONDS]
        if changed or len(fresh) != len(self._fresh):
            self._fresh = fresh
            redraw()

    def _read(self, store: Kycore, is_new: bool, is_other: bool) -> bool:
        transaction = self.state.transaction
        begun = None if transaction is None else transaction.since
        if is_other or self._transaction not in (None, begun):
            self._events.forget()  # of what was staged, nothing may be left
            is_new = True
        self._transaction = begun
        if is_new:
            count = self._events.take_in(store)
            now = time.monotonic()
            self._fresh += ((now, event.position) for event in self._events.items[:count])
        before = len(self._events.items)
        more = self._events.read_older(store, self._events.at + 2 * self._height + 1)
        if more:
            self._reader.go_on()
            self._refresh_soon()
        return is_new or more or len(self._events.items) != before

    def _refresh_soon(self) -> None:
        """Go on looking through the log, as soon as keys were dealt with."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # whoever has no loop calls refresh
        loop.call_later(_PAUSE_SECONDS, self.refresh)

    # Drawing

    def draw(self, columns: int, lines: int) -> tuple[list[Line], int | None]:
        self._height = body_height(lines)
        events = self._events
        note = " · newer changes: Home" if events.has_newer else ""
        transaction = self.state.transaction
        if transaction is not None:
            note += f" · {staged(transaction)}"
        title = f" {self.title} · {safe(events.scope)} · times in UTC{note}"
        body = problem_lines(self._reader.problem, columns)
        if not body and not events.items:
            looking = events.rest is not None
            text = "looking for changes …" if looking else "no change of this scope is kept"
            body = [[(QUIET, f" {text}")]]
        if not body:
            fresh = {position for _, position in self._fresh}
            shown = events.view(self._height)
            for number, event in enumerate(shown, events.top):
                line = event_line(event, columns)
                if transaction is not None and event.position > transaction.before:
                    line = [(ALERT, text) for _, text in line]
                if number == events.at and has_focus(self.control):
                    line = [(CHOSEN, text) for _, text in line]
                elif event.position in fresh:
                    line = [(f"{style} bold", text) for style, text in line]
                body.append(line)
        foot = help_line(_HELP, columns)
        return frame([(TITLE, fit(title, columns))], body, foot, lines), None

    # Keys

    def keys(self) -> KeyBindings:
        keys = KeyBindings()

        def moves(*names: str) -> Callable[[Callable[[], None]], None]:
            def bind(action: Callable[[], None]) -> None:
                for name in names:

                    @keys.add(name)
                    def _(event: KeyPressEvent) -> None:
                        action()
                        self._reader.go_on()
                        self.refresh()
                        redraw()

            return bind

        moves("up", "k")(lambda: self._events.move(-1))
        moves("down", "j")(lambda: self._events.move(1))
        moves("pageup")(lambda: self._events.move(-max(1, self._height - 1)))
        moves("pagedown", " ")(lambda: self._events.move(max(1, self._height - 1)))
        moves("end")(lambda: self._events.go_last())
        moves("home", "g")(self._go_newest)

        @keys.add("escape", eager=True)
        @keys.add("q")
        def _(event: KeyPressEvent) -> None:
            self.leave()

        return keys

    def _go_newest(self) -> None:
        if self._events.has_newer:
            self._events.forget()
            self._reader.forget()
        self._events.go_first()


def staged(transaction: Transaction) -> str:
    """Return what the title of a pane says of the open transaction."""
    return f"{transaction.changes:,} staged, 'diff' shows them"


def event_line(event: Event, columns: int) -> Line:
    """Return a change as one line of exactly so many columns."""
    sign, style = SIGNS.get(event.operation, ("?", ""))
    key = safe(event.key)
    what = _what(event, columns)
    time = time_text(event.time)
    if columns < 40:
        return [(style, f"{sign} "), ("", fit(f"{key}  {what}", columns - 2))]
    parts: Line
    if columns < 70:
        parts = [(QUIET, time[11:19]), (style, f" {sign} ")]
    else:
        parts = [(QUIET, time[5:19]), (style, f"  {fit(event.operation, 11)} ")]
    room = columns - sum(len(text) for _, text in parts)
    by = columns // 4 if columns >= 100 else 0
    name = (room - by) * 2 // 5
    parts += [("", fit(key, name)), ("", " " + fit(what, room - by - name - 1))]
    if by:
        parts.append((QUIET, fit(f"  {_who(event)}", by)))
    return parts


def _what(event: Event, columns: int) -> str:
    if event.value is not None:
        return one_line(event.value, columns)
    if event.operation != "lifetime":
        return ""
    if event.expires_at is None:
        return "permanent"
    return f"for {span(event.expires_at - event.time)}"


def _who(event: Event) -> str:
    if event.pid is None:
        return ""
    return safe(f"{event.user} {event.command or 'python'}[{event.pid}]")
