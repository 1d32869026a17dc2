"""Paths into documents: ``.profile.email``, ``[0]``, ``[-1]``, ``[0:5]``, ``["a.b"]``.

A path is a chain of steps. ``.name`` and ``["name"]`` choose a member of an object, and
``[n]`` an item of a list, from its end when ``n`` is negative. ``[a:b]`` and ``[a:b:c]``
are slices, as in Python, and make a list to go on from. A name in brackets is a JSON
string, or stands in single quotes. Each path chooses one thing, so there are no wildcards.

``null`` counts as missing: nothing is inside it, and setting a path inside it replaces it.
"""

from __future__ import annotations

from kycli.errors import InvalidPathError, WrongTypeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Step = str | int | slice

MISSING = object()
"""What ``read`` returns where there is nothing."""

_MAX_DIGITS = 18  # more than any list has items, and few enough to read at once
_HINT = 'a path is made of .name, ["name"], [0], [-1] and [0:5]'
_NOT_SIMPLE = frozenset(".[]")


def parse(text: str) -> list[Step]:
    """Return the steps of a path. It may begin with ``$``, or with a name without a dot.

    Raises:
        InvalidPathError: when it is no path, and where.

    >>> parse("$.logs[0:5]"), parse('users["a.b"][-1]')
    (['logs', slice(0, 5, None)], ['users', 'a.b', -1])
    """
    if not isinstance(text, str):
        raise WrongTypeError(f"a path is text, not {type(text).__name__}")
    text = str.__str__(text)  # exactly, also for a member of a StrEnum
    if not text:
        raise _bad(text, 0, "it is empty; $ is the whole value")
    if text[0] == "$":
        if text[1:2] not in ("", ".", "["):
            raise _bad(text, 1, "after $ comes '.' or '['")
        return parse_steps(text, 1)
    if text[0] in ".[":
        return parse_steps(text, 0)
    name, end = _name(text, 0)
    return [name, *parse_steps(text, end)]


def parse_steps(text: str, start: int) -> list[Step]:
    """Return the steps that begin at ``start``, where a ``.`` or ``[`` is, or the end."""
    steps: list[Step] = []
    step: Step
    at = start
    while at < len(text):
        if text[at] == ".":
            step, end = _name(text, at + 1)
            steps.append(step)
        elif text[at] == "[":
            step, end = _bracketed(text, at + 1)
            steps.append(step)
        else:
            raise _bad(text, at, f"{text[at]!r} cannot stand here")
        at = end
    return steps


def _name(text: str, at: int) -> tuple[str, int]:
    """Read a name without quotes; return it and where the text goes on behind it."""
    end = at
    while end < len(text) and text[end] not in _NOT_SIMPLE:
        end += 1
    if end == at:
        raise _bad(text, at, "a name is missing")
    return text[at:end], end


def _bracketed(text: str, at: int) -> tuple[Step, int]:
    """Read what stands in brackets; return it and where the text goes on behind them."""
    step: Step
    if text[at : at + 1] == '"':
        import json  # not worth loading for a key that is missing

        try:
            step, end = json.JSONDecoder().raw_decode(text, at)
        except ValueError:
            raise _bad(text, at, "no JSON string, which ends in '\"'") from None
    elif text[at : at + 1] == "'":
        step, end = _single_quoted(text, at)
    else:
        end = text.find("]", at)
        if end < 0:
            raise _bad(text, len(text), "']' is missing")
        parts = text[at:end].split(":")
        if len(parts) == 1:
            step = _integer(text, at, parts[0])
        elif len(parts) <= 3:
            step = slice(*(_integer(text, at, part) if part else None for part in parts))
            if step.step == 0:
                raise _bad(text, at, "a slice cannot go on by 0")
        else:
            raise _bad(text, at, "a slice has at most two ':'")
    if text[end : end + 1] != "]":
        raise _bad(text, end, "']' is missing")
    return step, end + 1


def _single_quoted(text: str, start: int) -> tuple[str, int]:
    name = ""
    at = start + 1
    while at < len(text):
        if text[at] == "'":
            return name, at + 1
        if text[at] == "\\":
            at += 1
            if text[at : at + 1] not in ("'", "\\"):
                raise _bad(text, at, "a '\\' here is followed by another or by a quote")
        name += text[at]
        at += 1
    raise _bad(text, start, "the quote is not closed")


def _integer(text: str, at: int, digits: str) -> int:
    number = digits.removeprefix("-")
    if not (number.isascii() and number.isdigit() and len(number) <= _MAX_DIGITS):
        raise _bad(text, at, f"{digits!r} is no index, and a name in brackets has quotes")
    return int(digits)


def _bad(text: str, at: int, why: str) -> InvalidPathError:
    return InvalidPathError(f"{text!r} is no path: at character {at + 1}, {why}", hint=_HINT)


def render(steps: list[Step]) -> str:
    """Return steps as text that ``parse_steps`` reads back."""
    return "".join(map(_rendered, steps))


def _rendered(step: Step) -> str:
    if isinstance(step, str):
        if step and _NOT_SIMPLE.isdisjoint(step):
            return f".{step}"
        import json

        return f"[{json.dumps(step, ensure_ascii=False)}]"
    if isinstance(step, int):
        return f"[{step}]"
    parts = [step.start, step.stop] + ([] if step.step is None else [step.step])
    return f"[{':'.join('' if part is None else str(part) for part in parts)}]"


def read(document: Any, steps: list[Step], name: str) -> Any:
    """Return the value at the end of the steps, or MISSING.

    Parameters:
        name: what the document is called in errors.

    Raises:
        WrongTypeError: when a step does not fit what it is taken in, and where.
    """
    value = document
    for depth, step in enumerate(steps):
        if value is None:
            return MISSING
        _check_fit(value, steps, depth, name)
        if isinstance(step, str):
            if step not in value:
                return MISSING
        elif isinstance(step, int) and not -len(value) <= step < len(value):
            return MISSING
        value = value[step]
    return value


def put(document: Any, steps: list[Step], value: Any, name: str) -> Any:
    """Return the document with a value set at the end of the steps; create what is missing.

    The document is changed in place, also when this fails. An index that is one past the
    end of a list adds an item.

    Raises:
        WrongTypeError: when a step does not fit what it is taken in, and where.
        InvalidPathError: for an index further out, and for a slice.
    """
    root = [document]
    holder: Any = root
    last: Any = 0
    for depth, step in enumerate(steps):
        if isinstance(step, slice):
            raise InvalidPathError(
                f"{_rendered(step)} is a slice, which can be read and not changed",
                hint="name one place, or set the whole list",
            )
        if holder[last] is None:
            holder[last] = {} if isinstance(step, str) else []
        container = holder[last]
        _check_fit(container, steps, depth, name)
        if isinstance(step, str):
            container.setdefault(step)
        elif step == len(container):
            container.append(None)
        elif not -len(container) <= step < len(container):
            raise InvalidPathError(
                f"{name}{render(steps[:depth])} has {_counted(len(container))}, "
                f"and [{step}] is past its end",
                hint=f"[{len(container)}] adds one",
            )
        holder, last = container, step
    holder[last] = value
    return root[0]


def _counted(items: int) -> str:
    return "1 item" if items == 1 else f"{items} items"


def _check_fit(container: Any, steps: list[Step], depth: int, name: str) -> None:
    """Refuse a member of a non-object, and an item of a non-list."""
    step = steps[depth]
    if type(container) is (dict if isinstance(step, str) else list):
        return
    what = "a member" if isinstance(step, str) else "an index or a slice"
    raise WrongTypeError(
        f"{name}{render(steps[:depth])} is {kind_of(container)}, and {_rendered(step)} is {what}"
    )


def kind_of(value: Any) -> str:
    """Return what JSON calls a value of this kind, with its article."""
    if value is None:
        return "null"
    kind = type(value)
    if kind is dict:
        return "an object"
    if kind is list:
        return "a list"
    if kind is str:
        return "text"
    if kind is bool:
        return "true or false"
    return "bytes" if kind is bytes else "a number"
