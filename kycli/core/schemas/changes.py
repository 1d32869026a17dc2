"""Whether one schema accepts every value that another accepts; then no data has to be checked."""

from __future__ import annotations

from collections.abc import Iterator

from kycli.core.schemas.types import EXACT, Type, describe


def narrowings(old: Type, new: Type, *, kept: bool, path: str = "") -> Iterator[str]:
    """Yield why values that meet ``old`` may not meet ``new``; nothing when all of them do.

    Parameters:
        kept: whether unknown members were stored, which a new member may contradict.
    """
    where = path or "the value"
    if new.name == "any":
        return
    if old.optional and not new.optional:
        yield f"{where} may not be null any more"
    if (old.name, new.name) == ("int", "float"):
        limits = (old.minimum, old.maximum)
        if any(limit is None or not -EXACT <= limit <= EXACT for limit in limits):
            yield f"{where} was {describe(old)}, which may be more than a float can hold"
    elif new.name != old.name:
        yield f"{where} was {describe(old)} and is {describe(new)}"
        return
    if new.minimum is not None and (old.minimum is None or old.minimum < new.minimum):
        yield f"{where} has a higher lower limit, {new.minimum}"
    if new.maximum is not None and (old.maximum is None or old.maximum > new.maximum):
        yield f"{where} has a smaller upper limit, {new.maximum}"
    if new.pattern is not None and new.pattern != old.pattern:
        yield f"{where} has another regular expression"
    gone = [choice for choice in old.choices if choice not in new.choices]
    if gone:
        yield f"{where} may not be {gone[0]!r} any more"
    if old.items is not None and new.items is not None:
        yield from narrowings(old.items, new.items, kept=kept, path=f"{path}[]")
    for name, member in new.fields.items():
        inner = f"{path}.{name}" if path else name
        before = old.fields.get(name)
        if before is not None:
            if member.required and not before.required:
                yield f"{inner} must be given"
            yield from narrowings(before.type, member.type, kept=kept, path=inner)
        elif member.required:
            yield f"{inner} is new and must be given"
        elif kept:
            yield f"{inner} is new, and values may hold an unknown member of that name"


def removed(old: Type, new: Type, path: str = "") -> Iterator[str]:
    """Yield the members that ``old`` has and ``new`` does not."""
    if old.items is not None and new.items is not None:
        yield from removed(old.items, new.items, f"{path}[]")
    for name, member in old.fields.items():
        inner = f"{path}.{name}" if path else name
        after = new.fields.get(name)
        if after is None:
            yield inner
        else:
            yield from removed(member.type, after.type, inner)
