"""Optimizing the search index: update it, check it, merge it into one part."""

from __future__ import annotations

from kycli.core.search.checking import check
from kycli.core.search.indexing import catch_up, drop_orphans, rebuild
from kycli.core.search.merging import merge
from kycli.core.sql import index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kycli.core.batches import Progress
    from kycli.core.storage import Kycore


def optimize(store: Kycore, progress: Progress | None = None) -> int:
    """Catch up, check, merge all parts into one; return how many keys are indexed."""
    catch_up(store, progress)
    drop_orphans(store)
    if check(store):
        rebuild(store, progress)
    merge(store, everything=True)
    return index.count(store)
