"""Merging the parts of the search index into one, by which it is smaller and faster."""

from __future__ import annotations

from kycli.core.search.checking import check
from kycli.core.search.indexing import catch_up, drop_orphans, rebuild
from kycli.core.sql import index
from kycli.core.steps import let_others_write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kycli.core.steps import Progress
    from kycli.core.storage import Kycore

_PAGES = 250
"""How many pages a step merges."""


def optimize(store: Kycore, progress: Progress | None = None) -> int:
    """Catch up, check, merge all parts into one; return how many keys are indexed."""
    catch_up(store, progress)
    drop_orphans(store)
    if check(store):
        rebuild(store, progress)
    pages = -_PAGES  # below 0 it begins to merge everything, above it goes on
    while _merge(store, pages):
        pages = _PAGES
        if not store._in_transaction():
            let_others_write()
    return index.count(store)


def _merge(store: Kycore, pages: int) -> bool:
    with store.transaction():
        return index.merge(store, pages)
