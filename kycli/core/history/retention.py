"""How far back history and archive are retained: limits, pruning, and giving back space.

When pruning happens. ``compact`` prunes everything older than a number of days. Writes enforce
the limits of a scope (``set_scope``): at intervals, after the write itself, a few hundred rows at
a time. A scope without limits keeps its history until it is compacted.

What is pruned. For each key, one row of the log is the *boundary*: with ``history_days`` the
newest row that is older than the limit, with ``history_versions`` the last row within it. The rows
before it in the key's chain are pruned, so the state at the time of the boundary, and every later
state, stays exact. The time up to which history is incomplete (``sql.retained``) moves there in
the same transaction. So the newer end of a chain always stays, and a ``prev`` that names no row
means that the rest was pruned. Three consequences:

- The newest row of a live key is the boundary or newer, so it stays. It may change only the
  lifetime; its value is then in an older row. That row stays too, the boundary's ``prev`` is set
  to it, and the rows between the two are pruned. Otherwise the history of a key whose lifetime is
  renewed forever would grow forever. So the row that ``kvstore.home`` names, which holds a large
  value, always stays.
- A deletion or expiry that is older than the limit is pruned itself.
- The newest row of the log always stays, because its id must not be reused. If it is a deletion
  that should be pruned, ``compact`` first appends a note after it.

A change that loses some of its rows is marked as incomplete (``history.incomplete``): it can no
longer be undone, and reads of the past still see it from the time when it ended.

How rows are found. An index on the log would slow down every write. But ids are in order of time.
The sweep goes from the oldest id up; each row that is old enough makes the rows before it in its
chain superfluous, and these are few, because the sweep has already passed them. ``sweeps`` stores
the progress of each sweep: one for each number of days, shared by the scopes with that number, and
one for limits in versions, which follows the end of the log and checks the keys written since. A
sweep stops at the first row that is too young. When a limit changes, all sweeps start again.

The archive is swept in the same way. Once a removed key leaves the archive, its chain cannot be
found any more, so history is complete only from its removal on.

Caches learn of changes from the log. If a row is pruned, they see a newer row of the same key,
unless the pruned row was a deletion, an expiry or a note. If such a row is pruned so early that a
cache may not have seen it, a newer note tells all caches to drop everything.

Shrinking the file. SQLite reuses free pages, and only ``VACUUM`` shrinks the file. It blocks
writers while it runs, about a second for each 100 MB that stay, needs twice their space meanwhile,
and leaves the file unchanged if it is interrupted. So it runs if it takes no more than about two
seconds, or on request. Returning pages in small steps needs ``auto_vacuum``, which was tried: it
made ``save_many`` 20 to 60 % slower, even where nothing is ever pruned.
"""

from __future__ import annotations

import time
from math import ceil
from typing import Any, NamedTuple

from kycli.core.batches import let_others_write
from kycli.core.codec import check_scope
from kycli.core.durations import shown
from kycli.core.history.incomplete import change_around, end_of, mark_incomplete
from kycli.core.layout import CATCH_UP_ROWS
from kycli.core.sql import log, pruning, retained
from kycli.core.sql import scopes as declarations
from kycli.core.sql.pruning import ARCHIVE, LOG, id_list
from kycli.errors import CorruptError, InvalidValueError, MisuseError, StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from kycli.core.batches import Progress
    from kycli.core.sql.pruning import ChainRow, Table
    from kycli.core.storage import Declared, Kycore

DAY_MS = 86_400_000
MAX_DAYS = 3_650_000

SWEEP_SPAN = 1024
"""Ids that a write's sweep looks at, beside as many as were written since the last one."""

STEP_SECONDS = 0.03
"""How long a step of ``compact`` makes other writers wait, about."""

VACUUM_BYTES = 128 << 20
"""Up to how much that stays a file is made smaller without being asked: some two seconds."""
_WORTH_IT = 16  # at least one page in so many must be free

SETTINGS = ("history_days", "history_versions", "archive_days")


class Compaction(NamedTuple):
    """What ``compact`` did.

    Attributes:
        changes: how many changes it took from the history.
        values: how many deleted and expired values it took from the archive.
        freed_bytes: by how much the database got smaller.
        free_bytes: how much of it is free for what is written later.
    """

    changes: int
    values: int
    freed_bytes: int
    free_bytes: int


# ---------------------------------------------------------------- what is declared


def set_scope(store: Kycore, scope: str, settings: dict[str, Any]) -> None:
    """Limit how far back the history of a scope is retained; None removes a limit."""
    scope = check_scope(scope)
    for name, value in settings.items():
        if value is not None:
            _check_setting(name, value)
    with store.transaction():
        declarations.declare(store, scope, store._now(), settings)
        pruning.restart_sweeps(store)
    store._sweep_after(0, True)


def _check_setting(name: str, value: Any) -> None:
    if name == "history_versions":
        if type(value) is not int or not 1 <= value < 1 << 40:
            raise InvalidValueError(f"{name} is a whole number from 1 up, not {shown(value)}")
    else:
        check_days(value, name)


def check_days(days: Any, name: str) -> None:
    """Refuse an invalid number of days.

    Raises:
        InvalidValueError: naming what is wrong.
    """
    if type(days) not in (int, float) or not 0 <= days <= MAX_DAYS:
        raise InvalidValueError(
            f"{name} is a number of days from 0 to {MAX_DAYS}, not {shown(days)}"
        )


def scope_settings(store: Kycore, scope: str) -> dict[str, float | int | None]:
    """Return the limits of a scope; None where there is none."""
    return _limits(store._declared(check_scope(scope)))


def all_settings(store: Kycore) -> dict[str, dict[str, float | int | None]]:
    """Return the limits of each scope that has any."""
    settings = {declared.scope: _limits(declared) for declared in store._all_declared()}
    return {
        scope: limits
        for scope, limits in settings.items()
        if any(limit is not None for limit in limits.values())
    }


def _limits(declared: Declared) -> dict[str, float | int | None]:
    return {name: getattr(declared, name) for name in SETTINGS}


# ---------------------------------------------------------------- steps


class _Walk(NamedTuple):
    """A way through the log or the archive.

    Attributes:
        name: what ``sweeps`` calls it.
        table: what it goes through.
        days: how old a row must be to be looked at; None for any age.
        only: whether it is about scopes that have declared just these days.
        every: whether each version counts, see ``pruning.outnumbered``.
    """

    name: str
    table: Table
    days: float | None
    only: bool = True
    every: bool = False

    def end(self, store: Kycore, first: int, span: int, now: int) -> int:
        """Return the last id of a span that is old enough, or less than ``first``."""
        last = min(first + span - 1, self.newest(store))
        if self.days is not None and self.only:
            limit = now - ceil(DAY_MS * self.days)  # what is as old as the limit is old enough
            young = pruning.first_younger(store, self.table, first, last, limit + 1, now)
            if young is not None:
                return young - 1
        return last

    def newest(self, store: Kycore) -> int:
        """Return the newest id that may be looked at."""
        newest, is_newest_row = pruning.newest(store, self.table)
        # A removal that is the newest row of the log must wait until it no longer is.
        is_pending = is_newest_row and self.only and self.days is not None
        return newest - is_pending

    def prune(self, store: Kycore, first: int, last: int, now: int) -> int:
        """Prune what ids of a span make superfluous, in a transaction; return how many rows."""
        days, only = (None, self.days) if self.only else (self.days, None)
        if self.table == ARCHIVE:
            removed = pruning.old_removed(store, first, last, now, days, only)
            return _drop_removed(store, removed, now)
        if self.days is None:
            return _drop_chains(store, pruning.outnumbered(store, first, last, self.every), now)
        count = _drop_chains(store, pruning.outdated(store, first, last, now, days, only), now)
        if not self.only:
            _drop(store, pruning.old_notes(store, first, last, now, days), now)
        return count


def _drop_chains(store: Kycore, rows: list[ChainRow], now: int) -> int:
    """Drop what lies behind boundaries; return how many rows."""
    doomed = {id for _, id, stays in rows if not stays}
    if not doomed:
        return 0
    limits = {boundary or id for boundary, id, stays in rows if not stays}
    # Where a clock was set back, what goes may seem newer than what it goes for.
    reached = pruning.newest_times(store, id_list(doomed))
    _advance_retained(store, limits, reached)
    for boundary, id, stays in rows:
        if stays:  # it has the value of the boundary, which has none itself
            pruning.relink(store, boundary, id)
    _drop(store, doomed, now)
    return len(doomed)


def _advance_retained(store: Kycore, ids: set[int], reached: dict[str, int]) -> None:
    """Note that the history is not complete before the changes with these ids.

    Parameters:
        reached: up to when it is not complete anyway, by scope.
    """
    ends: dict[int, int] = {}
    around, above = None, 0
    for id, scope, change, expired, at in pruning.pruned_rows(store, id_list(ids)):
        if expired:
            if above != id + 1:
                # An expiry among the rows of a change is no part of it, but counts from its end.
                around = change_around(store, id)
            above, change = id, around
        if change is not None:
            if change not in ends:
                ends[change] = end_of(store, change, id, at)
            at = max(at, ends[change])
        reached[scope] = max(at, reached.get(scope, 0))
    for scope, at in reached.items():
        retained.advance(store, scope, at)


def _drop(store: Kycore, doomed: Collection[int], now: int) -> None:
    """Delete rows of the log; the one place that does."""
    if not doomed:
        return
    recent = log.newest(store) - CATCH_UP_ROWS
    changes, removal = pruning.drop_changes(store, id_list(doomed))
    mark_incomplete(store, changes)
    if removal is not None and removal >= recent and not pruning.has_note_since(store, removal):
        log.note_bypass(store, now)


def _drop_removed(store: Kycore, doomed: list[int], now: int) -> int:
    """Drop rows of the archive; return how many."""
    if doomed:
        ids = id_list(doomed)
        reached: dict[str, int] = {}
        traces = pruning.last_traces(store, ids)
        for scope, at, _ in traces:
            reached[scope] = max(at, reached.get(scope, 0))
        _advance_retained(store, {seq for _, _, seq in traces}, reached)
        _drop_chains(store, pruning.forgotten_chains(store, ids), now)
        pruning.drop_removed(store, ids)
    return len(doomed)


# ---------------------------------------------------------------- by writes


def sweep(store: Kycore, written: int) -> bool:
    """Enforce the limits of scopes for a bounded number of rows.

    Parameters:
        written: how many rows were written since the last time.

    Returns:
        Whether there is more to do at once.
    """
    more = False
    for walk in _declared_walks(store):
        more |= _sweep(store, walk, SWEEP_SPAN + 2 * written)
    return more


def _declared_walks(store: Kycore) -> list[_Walk]:
    """Return the walks that enforce the limits that scopes have now."""
    walks = [
        _Walk(name, table, days)
        for table in (LOG, ARCHIVE)
        for name, days in pruning.limits_in_days(store, table).items()
    ]
    if pruning.any_limit_in_versions(store):
        walks.append(_Walk("history_versions", LOG, None))
    return walks


def _sweep(store: Kycore, walk: _Walk, span: int) -> bool:
    # Looks without taking the write lock, which most often is all.
    now = store._now()
    first = _next(store, walk)
    if first is None:
        return False
    last = walk.end(store, first, span, now)
    if last - first + 1 < span and not pruning.concerns(store, walk.table, first, last, walk.days):
        return False
    with store.transaction():
        first = _next(store, walk)
        if first is None:
            return False
        last = walk.end(store, first, span, now)
        if last < first:
            return False
        walk.prune(store, first, last, now)
        pruning.set_position(store, walk.name, last)
    return last == first + span - 1


def _next(store: Kycore, walk: _Walk) -> int | None:
    """Return the first id that a walk has not seen yet."""
    return pruning.next_id(store, walk.table, pruning.position(store, walk.name))


# ---------------------------------------------------------------- at once


def compact(
    store: Kycore, retention_days: float, vacuum: bool | None, progress: Progress | None
) -> Compaction:
    """Prune history and archive, and give the space back."""
    check_days(retention_days, "retention_days")
    if store._in_transaction():
        raise MisuseError(
            "compact cannot be part of a transaction", hint="call it outside: it makes many"
        )
    before = pruning.space(store).bytes
    store._enlarge_page_cache()
    with store.transaction():
        now = store._now()
        if pruning.newest_must_go(store, now, retention_days):
            log.note_bypass(store, now)
    walks = [_Walk("", LOG, retention_days, only=False)]
    if pruning.any_limit_in_versions(store):
        walks.append(_Walk("", LOG, None, every=True))
    changes = sum(_walk_through(store, walk, progress) for walk in walks)
    values = _walk_through(store, _Walk("", ARCHIVE, retention_days, only=False), progress)
    if changes or values:
        _drop_orphans(store)
    _give_back(store, vacuum)
    after = pruning.space(store)
    freed = max(0, before - after.bytes)
    return Compaction(changes, values, freed, after.free * after.page_bytes)


def _walk_through(store: Kycore, walk: _Walk, progress: Progress | None) -> int:
    """Take a walk to its end, in steps of about the same time; return how many rows went."""
    now = store._now()
    goal = walk.newest(store)
    position, span, count = 0, SWEEP_SPAN, 0
    while position < goal:
        began = time.monotonic()
        with store.transaction():
            first = pruning.next_id(store, walk.table, position)
            if first is None:
                break
            position = min(first + span - 1, goal)
            count += walk.prune(store, first, position, now)
        if progress is not None:
            progress(position, goal)
        took = time.monotonic() - began
        span = max(64, min(round(span * STEP_SECONDS / max(took, 1e-6)), span * 2, 1 << 20))
        if position < goal:
            let_others_write()
    return count


def _drop_orphans(store: Kycore) -> None:
    """Remove keys from the search index whose removal it has not seen."""
    from kycli.core.search import indexing

    try:
        indexing.drop_orphans(store)
    except (CorruptError, StorageError):
        pass  # search and doctor say that it is damaged


def _give_back(store: Kycore, vacuum: bool | None) -> None:
    """Make the file smaller where that is worth it and does not hold up others for long."""
    space = pruning.space(store)
    stays = (space.pages - space.free) * space.page_bytes
    is_worth_it = space.free * _WORTH_IT >= space.pages and space.free > 0
    if vacuum or (vacuum is None and is_worth_it and stays <= VACUUM_BYTES):
        try:
            pruning.vacuum(store)
        except StorageError:
            if vacuum:
                raise
            return  # busy, or no space for it: what is free is used by what is written later
    # The -wal file holds what VACUUM wrote until a checkpoint moves it into the database,
    # which gets smaller then. This one does not wait for readers of older states; the last
    # connection to close finishes it.
    pruning.checkpoint(store)
