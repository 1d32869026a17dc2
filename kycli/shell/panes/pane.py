"""The interface between a pane and the shell."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from kycli.shell.panes.control import PaneControl, window

if TYPE_CHECKING:
    from collections.abc import Callable

    from prompt_toolkit.key_binding import KeyBindings
    from prompt_toolkit.layout import AnyContainer
    from prompt_toolkit.layout.layout import FocusableElement

    from kycli.shell.panes.text import Line
    from kycli.shell.state import State

REFRESH_SECONDS = 0.25
"""How often the shell calls ``refresh`` of a pane that is shown."""


class Pane(ABC):
    """A part of the screen below the prompt, which a key shows and hides.

    It reads with the store of the user interface's thread. Whatever changes data it submits as a
    command line, so grammar, errors and history are those of the command line. The shell calls
    everything here in the thread of its user interface. Nothing blocks: work that may take
    longer than a keystroke is done in steps, or in a thread of the pane's own.

    Parameters:
        state: the state of the shell.
        leave: gives the focus back to the prompt; the pane stays on the screen.

    Attributes:
        title: its name, for the help.
        toggle_key: the key that shows and hides it, as prompt_toolkit names keys.
        share, most: how high it is: a share of the screen, and so many lines at most.
        control: what draws it.
    """

    title: ClassVar[str]
    toggle_key: ClassVar[str]
    share: ClassVar[float]
    most: ClassVar[int]

    def __init__(self, state: State, leave: Callable[[], None]) -> None:
        self.state = state
        self.leave = leave
        self.control = PaneControl(self.draw, self.keys())
        self._window = window(self.control, self.share, self.most)

    @property
    def container(self) -> AnyContainer:
        """What to put into the layout, with its key bindings; it says how high it wants to be."""
        return self._window

    @property
    def focus(self) -> FocusableElement:
        """What gets the focus when the pane is entered."""
        return self.control

    @abstractmethod
    def draw(self, columns: int, lines: int) -> tuple[list[Line], int | None]:
        """Return the lines, and the column of the cursor in the last of them."""

    @abstractmethod
    def keys(self) -> KeyBindings:
        """Return what keys do; called before the pane is made."""

    @abstractmethod
    def refresh(self) -> None:
        """Take in what has changed in the database; a few microseconds if nothing has.

        Called when the pane is shown, every ``REFRESH_SECONDS`` as long as it is, and when a
        command has ended; has the screen drawn anew where that is needed. Never raises for what
        is wrong with the database: the pane says so.
        """

    @abstractmethod
    def follow(self, scope: str) -> None:
        """Go to another scope, which has become the current one. Also called while hidden."""

    def pause(self) -> None:  # noqa: B027 - most panes have nothing of their own open
        """Close what the pane itself has open of the database; called by the main thread."""

    def resume(self) -> None:  # noqa: B027
        """Go on after ``pause``; called by the main thread, also without one."""

    @abstractmethod
    def close(self) -> None:
        """Stop what is under way: the shell ends."""
