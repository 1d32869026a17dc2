"""Paths into JSON values, and the fields that the values of a scope have."""

from __future__ import annotations

from kycli.cli.completing.candidates import LIMIT, Candidate
from kycli.core.documents import paths
from kycli.errors import KycliError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kycli.core.storage import Kycore

_SAMPLE = 20
"""Of how many keys the fields are taken."""

_OF_KEYS = ("@key", "@value", "@version", "@updated", "@expires")
"""What conditions know of each key beside the fields of its value."""


def keys_with_paths(store: Kycore, scope: str, text: str) -> list[Candidate]:
    """Return paths in the form that short commands take: the key and the path in one."""
    ends = [at for at, char in enumerate(text) if at and char in ".["]
    for end in reversed(ends):
        if store.exists(text[:end], scope=scope):
            return [each.after(text[:end]) for each in _paths(store, scope, text[:end], text[end:])]
    return []


def whole_paths(store: Kycore, scope: str, key: str, text: str) -> list[Candidate]:
    """Return paths as the flag ``--path`` takes them: ``$.a``, ``.a`` or ``a``."""
    if text[:1] == "$" or not text:
        return [each.after("$") for each in _paths(store, scope, key, text[1:])]
    if text[0] in ".[":
        return _paths(store, scope, key, text)
    return [
        Candidate(each.text[1:], each.kind, each.description, each.partial)
        for each in _paths(store, scope, key, f".{text}")
        if each.text[0] == "."
    ]


def _paths(store: Kycore, scope: str, key: str, text: str) -> list[Candidate]:
    """Return the paths into a value that begin with a text, one step longer at most."""
    document = _document(store.getkey(key, scope=scope))
    for end in [at for at in range(len(text), -1, -1) if text[at : at + 1] in (".", "[", "")]:
        try:
            steps = paths.parse_steps(text[:end], 0)
            holder = paths.read(document, steps, key)
        except KycliError:
            continue  # that dot or bracket is inside quotes, or the path leads nowhere
        if end == len(text) and text:
            continue  # a step may be longer than it is now
        return _children(_document(holder) if not steps else holder, text[:end], text)
    return []


def _children(holder: Any, head: str, text: str) -> list[Candidate]:
    """Return the members of an object, or items of a list, as paths that begin with a text."""
    steps: list[tuple[str, Any]] = []
    if type(holder) is dict:
        steps = [(paths.render([name]), value) for name, value in holder.items() if name]
    elif type(holder) is list:
        steps = [(f"[{at}]", value) for at, value in enumerate(holder)]
    found = []
    for step, value in steps:
        # What has to stand in brackets is also found by a dot and nothing after it.
        if (head + step).startswith(text) or text == f"{head}.":
            goes_on = type(value) in (dict, list)
            found.append(Candidate(head + step, "path", paths.kind_of(value), goes_on))
            if len(found) == LIMIT:
                break
    return found


def _document(value: Any) -> Any:
    """Return what text that is a JSON object or list says, as reading by paths does."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        import json

        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            pass
    return value


def fields(store: Kycore, scope: str, prefix: str, *, with_keys: bool = True) -> list[Candidate]:
    """Return the fields that the first values of a scope have."""
    found: dict[str, str] = {}
    for _, value in store.scan(limit=_SAMPLE, scope=scope):
        _add_fields(found, _document(value), "")
    names = [Candidate(name, "path", what) for name, what in sorted(found.items())]
    if with_keys:
        names += [Candidate(name, "path", "of the key") for name in _OF_KEYS]
    else:
        names.append(Candidate("@value", "path", "the whole value"))
    return [name for name in names if name.text.startswith(prefix)][:LIMIT]


def _add_fields(found: dict[str, str], value: Any, head: str) -> None:
    if type(value) is not dict:
        return
    for name, inner in value.items():
        if not name or len(found) > 10 * LIMIT:
            continue
        path = (head + paths.render([name])).removeprefix(".")
        found.setdefault(path, paths.kind_of(inner))
        if head.count(".") < 3:
            _add_fields(found, inner, f".{path}" if path[0] != "[" else path)
