"""How far back history and archive are retained: limits, pruning, and giving back space.

Who prunes. ``compact`` prunes everything that is older than so many days. The limits of a
scope (``set_scope``) are enforced by writes, a few hundred rows at a time, at intervals and
after the write itself. A scope without limits keeps its history until it is compacted.

What goes. For each key one row of the log is the *boundary*: with ``history_days`` the newest
one that is older than that, with ``history_versions`` the last of so many. The rows before
it in the key's chain go, so that the state at the time of the boundary, and every later one,
stays exact; the time up to which history is not complete any more (``sql.retained``) moves
there in the same transaction. So what stays is always the newer end of a chain, and a
``prev`` that names no row says that the rest was pruned. Three consequences:

- The newest row of a live key is the boundary or newer, so it stays. It may be a change of
  the lifetime alone, whose value is that of an older row; then that row stays too, the
  boundary's ``prev`` is set to it, and the rows between the two go. Otherwise a key whose
  lifetime is renewed for ever would grow for ever. So the row that ``kvstore.home`` names,
  which holds a large value, always stays.
- A removal that is older than the limit is of no use any more, and goes itself.
- The newest row of the log stays, whatever it is: its id must not be given again. Where it
  is a removal that is to go, ``compact`` first appends a note behind it.

A change that loses some of its rows is marked as incomplete (``history.incomplete``): it
cannot be undone any more, and still counts from when it ended.

How they are found. No index on the log helps, because every write would pay for it. But ids
are in the order of time. The walk goes from the oldest id up; each row that is old enough
makes the rows before it in its chain superfluous, and these are few, because the walk has
already been where they are. ``sweeps`` remembers how far each walk has come: one for each
number of days, which scopes with the same number share, and one for the numbers of versions,
which follows the end of the log and looks at the keys that were written since. A walk stops
at the first row that is too young. When a limit changes, all walks start again.

The archive is walked in the same way. A removed key that leaves it cannot be found any
more, so history is complete only from its removal on.

Caches learn of changes from the log. Where a row is pruned, they notice a newer one of the
same key, unless the row was a removal or a note. If one of these goes so soon that a cache
may not have seen it, a newer note tells all caches to forget everything.

Giving back space. SQLite reuses free pages, and only ``VACUUM`` makes the file smaller. It
holds up writers for as long as it takes, about a second for 100 MB that stay, needs twice
their space meanwhile, and leaves the file as it was when it is interrupted. So it is done
where it takes no more than some two seconds, or when asked for. Giving pages back in small
steps needs ``auto_vacuum``, which was tried: it made ``save_many`` 20 to 60 % slower, also
where nothing is ever pruned.
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
    """Refuse what is no number of days.

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
        waits = is_newest_row and self.only and self.days is not None
        return newest - waits

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
