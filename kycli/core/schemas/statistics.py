"""Statistics of the values of a scope: fields, their types and their ranges."""

from __future__ import annotations

from typing import Any, NamedTuple

from kycli.core.documents.conditions import rendered
from kycli.core.schemas.infer import Observed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kycli.core.batches import Progress
    from kycli.core.storage import Kycore

_FIELDS_MAX = 1000
_STEP = 1000


class FieldStatistics(NamedTuple):
    """What was seen of one field.

    Attributes:
        field: its path; ``@value`` is the value itself. ``[]`` stands for the items of a list.
        total: how many values, or objects, or items, have it.
        nulls: how many times it is null.
        types: the names of its types, with how many of each.
        lowest, highest: of numbers; of texts if there are no numbers, of each its beginning.
        lengths: the least and the greatest length of texts and lists, or None.
        distinct: how many different scalars there are; None for more than 100.
    """

    field: str
    total: int
    nulls: int
    types: dict[str, int]
    lowest: Any
    highest: Any
    lengths: tuple[int, int] | None
    distinct: int | None


class Statistics(NamedTuple):
    """What was seen of a scope.

    Attributes:
        scope: its name.
        keys: how many there are.
        expiring: how many of them expire.
        fields: what was seen of each field, a field before what is in it.
        more: whether there are fields that are not listed.
    """

    scope: str
    keys: int
    expiring: int
    fields: list[FieldStatistics]
    more: bool


def statistics(
    store: Kycore, scope: str, prefix: str | None, progress: Progress | None
) -> Statistics:
    """Read the values of a scope once; see ``Kycore.statistics``."""
    total = 0 if progress is None else store.count(prefix, scope=scope)
    seen = Observed()
    expiring = 0
    for entry in store.entries(prefix, scope=scope):
        seen.add(entry.value)
        expiring += entry.expires_at is not None
        if progress is not None and seen.count % _STEP == 0:
            progress(seen.count, max(total, seen.count))
    fields: list[FieldStatistics] = []
    more = False
    for path, each, is_whole in _walk(seen, (), ""):
        if len(fields) == _FIELDS_MAX:
            more = True
            break
        fields.append(_field(path, each))
        more = more or not is_whole
    return Statistics(scope, seen.count, expiring, fields if seen.count else [], more)


def _walk(
    seen: Observed, steps: tuple[str | int, ...], before: str
) -> Iterator[tuple[str, Observed, bool]]:
    """Yield what was observed at a path and inside of it, in the order of the values.

    Parameters:
        steps: the path from ``before``, which ends with the items of a list.
    """
    if before and steps:
        tail = rendered(steps)
        name = before + (tail if tail[0] in ".[" else f".{tail}")
    else:
        name = before or rendered(steps)
    yield name, seen, not seen.more
    for member, inner in seen.fields.items():
        yield from _walk(inner, (*steps, member), before)
    if seen.items is not None:
        yield from _walk(seen.items, (), f"{name}[]" if steps or before else "[]")


def _field(path: str, seen: Observed) -> FieldStatistics:
    numbers = seen.lowest is not None
    return FieldStatistics(
        path,
        seen.count,
        seen.nulls,
        dict(seen.kinds),
        seen.lowest if numbers else seen.first,
        seen.highest if numbers else seen.last,
        None if seen.shortest is None or seen.longest is None else (seen.shortest, seen.longest),
        None if seen.distinct is None else len(seen.distinct),
    )
