"""Panes of the interactive shell: the browser of scopes and keys, and the audit trail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kycli.shell.panes.pane import REFRESH_SECONDS, Pane

if TYPE_CHECKING:
    from collections.abc import Callable

    from kycli.shell.state import State

__all__ = ["REFRESH_SECONDS", "Pane", "panes"]


def panes(state: State, leave: Callable[[], None]) -> list[Pane]:
    """Return the panes of a shell, in the order in which they stand on the screen."""
    from kycli.shell.panes.browser import Browser
    from kycli.shell.panes.trail import TrailPane

    return [Browser(state, leave), TrailPane(state, leave)]
