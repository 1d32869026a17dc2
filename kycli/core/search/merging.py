"""Merging the parts of the search index, which makes it smaller and faster."""

from __future__ import annotations

import time

from kycli.core.batches import let_others_write
from kycli.core.sql import index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kycli.core.storage import Kycore

_STEP_SECONDS = 0.05
_PAGES = 100
"""How many pages are merged before the time is looked at."""


def merge(store: Kycore, everything: bool = False) -> None:
    """Merge parts of about the same size, where there are four or more, or all into one."""
    pages = -_PAGES if everything else _PAGES  # below 0 it begins to merge everything
    more = True
    while more:
        end = time.monotonic() + _STEP_SECONDS
        with store.transaction():
            while more := index.merge(store, pages):
                pages = _PAGES
                if time.monotonic() > end:
                    break
        if more and not store._in_transaction():
            let_others_write()
