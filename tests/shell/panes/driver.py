"""A pane without a terminal: keys in, lines out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import SimpleNamespace

from prompt_toolkit.application import Application
from prompt_toolkit.application.current import set_app
from prompt_toolkit.input import DummyInput
from prompt_toolkit.key_binding.key_bindings import Binding
from prompt_toolkit.keys import KEY_ALIASES, Keys
from prompt_toolkit.layout import HSplit, Layout, Window
from prompt_toolkit.output import DummyOutput

from kycli.shell.panes import Pane
from kycli.shell.panes.control import PaneControl
from kycli.shell.state import State


class Driver:
    """A pane that has the focus.

    Attributes:
        submitted: the command lines that it wants to be run.
        left: how often it has given the focus back.
    """

    def __init__(
        self,
        pane: type[Pane],
        path: str,
        scope: str = "default",
        columns: int = 100,
        rows: int = 20,
    ) -> None:
        self.submitted: list[list[str]] = []
        self.left = 0
        self.size = columns, rows
        self.state = State(path, scope, self._submit)
        self.pane = pane(self.state, self._leave)
        self.app: Application[None] = Application(
            Layout(HSplit([Window(), self.pane.container])),
            input=DummyInput(),
            output=DummyOutput(),
        )
        self.app.layout.focus(self.pane.focus)
        self.refresh()

    def _submit(self, words: Sequence[str]) -> None:
        self.submitted.append([*words])

    def _leave(self) -> None:
        self.left += 1

    def refresh(self) -> None:
        with set_app(self.app):
            self.pane.refresh()

    def refresh_until(self, text: str) -> None:
        """Refresh, as the shell does, until there is a text."""
        end = time.monotonic() + 20
        while text not in self.text:
            assert time.monotonic() < end, f"no {text!r} in:\n{self.text}"
            self.refresh()

    def press(self, *keys: str) -> None:
        """Press keys, by their names, or as text of one character."""
        for key in keys:
            with set_app(self.app):
                self._handler(key).handler(SimpleNamespace(data=key))  # type: ignore[arg-type]

    def _handler(self, key: str) -> Binding:
        """Return what a key does, as prompt_toolkit finds it."""
        control = self.pane.focus
        assert isinstance(control, PaneControl)
        bindings = control.get_key_bindings()
        name = Keys(KEY_ALIASES.get(key, key)) if len(key) > 1 else key
        found = [b for b in bindings.get_bindings_for_keys((name,)) if b.filter()]
        return ([b for b in found if b.eager()] or found)[-1]

    def type(self, text: str) -> None:
        self.press(*text)

    @property
    def lines(self) -> list[str]:
        """What is on the screen."""
        return ["".join(text for _, text in line).rstrip() for line in self.pieces()]

    def pieces(self) -> list[list[tuple[str, str]]]:
        control = self.pane.focus
        assert isinstance(control, PaneControl)
        with set_app(self.app):
            content = control.create_content(*self.size)
        return [
            [(piece[0], piece[1]) for piece in content.get_line(number)]
            for number in range(content.line_count)
        ]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def close(self) -> None:
        self.pane.close()
        self.state.close_reader()
