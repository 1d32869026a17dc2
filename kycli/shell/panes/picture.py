"""Drawing the browser on a screen of any size."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kycli.core.history.times import time_text
from kycli.shell.panes.control import CHOSEN, QUIET
from kycli.shell.panes.text import Line, fit, fit_line, safe, wrapped
from kycli.shell.panes.trail import SIGNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kycli.core.history.trail import Event
    from kycli.shell.panes.looking import Looking
    from kycli.shell.panes.windows import Window

SCOPES, KEYS, VALUE = range(3)
"""The columns. While the history of a key is shown, its versions stand in place of the keys."""

_THREE_COLUMNS = 90
_TWO_COLUMNS = 56
_BAR = [(QUIET, "│")]


def widths_of(columns: int, focus: int) -> dict[int, int]:
    """Return which columns fit on the screen, and how wide each of them is.

    The column that has the focus is always there.
    """
    if columns < _TWO_COLUMNS:
        return {focus: columns}
    if columns < _THREE_COLUMNS:
        left, right = (SCOPES, KEYS) if focus == SCOPES else (KEYS, VALUE)
        first = columns * 2 // 5
        return {left: first, right: columns - first - 1}
    scopes = max(14, min(28, columns // 6))
    keys = (columns - scopes) * 2 // 5
    return {SCOPES: scopes, KEYS: keys, VALUE: columns - scopes - keys - 2}


def body(looking: Looking, focus: int, columns: int, height: int, is_active: bool) -> list[Line]:
    """Return the columns, side by side, in so many lines."""
    parts: list[list[Line]] = []
    for column, wide in widths_of(columns, focus).items():
        active = is_active and column == focus
        if column == SCOPES:
            part = _names(looking.scopes, wide, height, active, [looking.scope])
        elif column == VALUE:
            part = _value(looking, wide, height, active)
        elif looking.versions is not None:
            part = _versions(looking.versions, wide, height, active)
        else:
            part = _names(looking.keys, wide, height, active)
        parts.append([fit_line(line, wide) for line in part])
    lines = []
    for number in range(height):
        line: Line = []
        for part, wide in zip(parts, widths_of(columns, focus).values(), strict=True):
            if line:
                line = [*line, *_BAR]
            line += part[number] if number < len(part) else [("", " " * wide)]
        lines.append(line)
    return lines


def _names(
    window: Window[str], wide: int, height: int, active: bool, marked: Sequence[str] = ()
) -> list[Line]:
    lines: list[Line] = []
    for number, name in enumerate(window.view(height), window.top):
        text = f" {safe(name)}"
        lines.append([(_style(number == window.at, active), fit(text, wide))])
    return lines


def _style(is_selected: bool, active: bool) -> str:
    if not is_selected:
        return ""
    return CHOSEN if active else "bold underline"


def _versions(window: Window[Event], wide: int, height: int, active: bool) -> list[Line]:
    lines: list[Line] = []
    for number, event in enumerate(window.view(height), window.top):
        sign, style = SIGNS.get(event.operation, ("?", ""))
        when = time_text(event.time)
        text = f"{event.version:>4} {sign} {when[:19] if wide >= 30 else when[5:16]}"
        by = "" if event.pid is None else f"  {event.user} {event.command or 'python'}"
        chosen = _style(number == window.at, active)
        lines.append([(chosen or style, fit(text + safe(by), wide))])
    return lines


def _value(looking: Looking, wide: int, height: int, active: bool) -> list[Line]:
    inner = max(1, wide - 1)
    facts = looking.facts(time.time_ns() // 1_000_000)
    head: list[Line] = []
    if facts and height > 2 and looking.versions is None:
        head = [[(QUIET, f" {line}")] for line in wrapped(facts, inner)[:2]]
    room = max(1, height - len(head))
    lines = looking.value_lines(inner)
    looking.scroll = max(0, min(looking.scroll, len(lines) - room))
    shown: list[Line] = [[("", " "), *line] for line in lines[looking.scroll :][:room]]
    if active and len(lines) > room:
        # Where in the value the window is.
        at = f" {min(100, (looking.scroll + room) * 100 // len(lines))}% "
        row = shown[-1] if not head else head[0]
        row[:] = [*fit_line(row, wide - len(at)), (CHOSEN, at)]
    return [*head, *shown]
