"""Long work in steps, each a transaction of its own, so that others can write in between."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Progress = Callable[[int, int], object]
    """Called with how much of how much is done."""

# Longer than a waiting writer sleeps between two tries, so that it gets its turn.
_PAUSE_SECONDS = 0.004


def let_others_write() -> None:
    """Pause between two steps."""
    time.sleep(_PAUSE_SECONDS)
