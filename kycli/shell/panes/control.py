"""The window of a pane: it draws lines that fit its size exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from prompt_toolkit.application import get_app
from prompt_toolkit.data_structures import Point
from prompt_toolkit.layout import Dimension, UIContent, UIControl, Window

from kycli.shell.panes.text import Line, cut, fit_line, width

if TYPE_CHECKING:
    from prompt_toolkit.key_binding import KeyBindingsBase

TITLE = "reverse"
CHOSEN = "reverse"
QUIET = "fg:ansibrightblack"
ALERT = "bold fg:ansiyellow"
ERROR = "bold fg:ansired"

_LEAST = 4
"""How many lines a pane needs: title, two lines, and what keys do or another line."""

_ROWS_LEFT = 5
"""How many rows of the screen a pane leaves."""

Draw: TypeAlias = "Callable[[int, int], tuple[list[Line], int | None]]"
"""Called with columns and lines; returns the lines, and the column of the cursor in the last."""


class PaneControl(UIControl):
    """Draws a pane anew each time, as it is small, and takes the keys while it has the focus.

    Parameters:
        draw: returns the lines.
        bindings: the keys.
    """

    def __init__(self, draw: Draw, bindings: KeyBindingsBase) -> None:
        self._draw = draw
        self._bindings = bindings

    def create_content(self, width: int, height: int | None) -> UIContent:
        height = max(1, height or 1)
        width = max(1, width)
        drawn, cursor = self._draw(width, height)
        lines = [fit_line(line, width) for line in drawn[:height]]
        y = max(0, len(lines) - 1)
        return UIContent(
            get_line=lambda number: [*lines[number]],
            line_count=len(lines),
            cursor_position=Point(x=min(cursor or 0, width - 1), y=y),
            show_cursor=cursor is not None,
        )

    def is_focusable(self) -> bool:
        return True

    def get_key_bindings(self) -> KeyBindingsBase:
        return self._bindings


def window(control: PaneControl, share: float, most: int) -> Window:
    """Return the window of a pane, which takes a share of the screen, and few lines at most.

    It leaves room for the prompt, the bar and some output. If that makes it too low to be of
    use, it takes a line, in which it says so.
    """

    def height() -> Dimension:
        rows = get_app().output.get_size().rows
        wanted = min(most, max(_LEAST, int(rows * share)), rows - _ROWS_LEFT)
        wanted = wanted if wanted >= _LEAST else 1
        return Dimension(min=0, preferred=wanted, max=wanted)

    return Window(control, height=height, wrap_lines=False, always_hide_cursor=False)


def has_focus(control: PaneControl) -> bool:
    """Return whether the keys go to a pane."""
    return get_app().layout.has_focus(control)


def redraw() -> None:
    """Have the screen drawn anew."""
    get_app().invalidate()


def frame(title: Line, body: list[Line], foot: Line, height: int) -> list[Line]:
    """Return title, body and foot as so many lines; without the latter where there is no room."""
    if height == 1:
        return [[(ALERT, " no room for this pane on so low a screen"), *title]]
    if height < 3:
        return body[:height]
    if height < 5:
        return [title, *body][:height]
    body = body[: height - 2]
    return [title, *body, *([] for _ in range(height - 2 - len(body))), foot]


def help_line(items: list[str], columns: int) -> Line:
    """Return what keys do as one line, without what has no room; the last item always has."""
    *others, last = items
    room = columns - width(last) - 1
    shown = []
    for item in others:
        room -= width(item) + 2
        if room < 0:
            break
        shown.append(item)
    return [(QUIET, cut(f" {'  '.join([*shown, last])}", columns))]


def body_height(height: int) -> int:
    """Return how many lines ``frame`` leaves for the body."""
    return height if height < 3 else height - 1 if height < 5 else height - 2
