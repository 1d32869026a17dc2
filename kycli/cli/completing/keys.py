"""Scopes, addresses and keys.

Keys are found by ranges of the index: a few look-ups for each candidate, however many keys there
are. Where there are too many to propose, what they begin with is proposed in their place: up to
the next separator (``user.``), or else up to the next character that differs.
"""

from __future__ import annotations

from kycli.cli.completing.candidates import LIMIT, Candidate
from kycli.core.names import DEFAULT, check_name, join_scope, split_scope
from kycli.errors import InvalidScopeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kycli.core.storage import Kycore

_SEPARATORS = frozenset(".:/_-|,; @#=")
_LAST = "\U0010ffff"  # the last character: behind all that a key may go on with
_JUMPS = 100
_LATELY = 100
"""Among how many changes deleted keys are looked for."""


class _Range:
    """The keys of a scope that begin with a text.

    Parameters:
        without: what the keys do not hold behind that beginning, or "".
    """

    def __init__(self, store: Kycore, scope: str, prefix: str, without: str) -> None:
        self._store = store
        self._scope = scope
        self._without = without
        self.prefix = prefix

    def first(self, after: str | None = None) -> str | None:
        """Return the first key, or the first one behind another; None if there is none."""
        # Keys with the delimiter in them come in groups, and each is passed over at once.
        for _ in range(_JUMPS):
            keys = self._store.listkeys(prefix=self.prefix, after=after, limit=1, scope=self._scope)
            if not keys or not self._without:
                break
            at = keys[0].find(self._without, len(self.prefix))
            if at < 0:
                break
            after = _behind(keys[0][: at + 1], keys[0])
        else:
            return None
        return keys[0] if keys else None

    def last(self, prefix: str | None = None) -> str | None:
        """Return the last key, or the last one with a longer beginning."""
        keys = self._store.listkeys(
            prefix=prefix or self.prefix, reverse=True, limit=1, scope=self._scope
        )
        return keys[0] if keys else None

    def take(self, most: int) -> list[str]:
        """Return the first keys, at most so many."""
        if not self._without:
            return self._store.listkeys(prefix=self.prefix, limit=most, scope=self._scope)
        keys: list[str] = []
        key = self.first()
        while key is not None and len(keys) < most:
            keys.append(key)
            key = self.first(key)
        return keys


def keys(
    store: Kycore, scope: str, prefix: str, without: str = "", limit: int = LIMIT
) -> list[Candidate]:
    """Return the keys of a scope that begin with a text or, if they are too many, their beginnings.

    Parameters:
        without: what the keys do not hold behind that text, or "".
    """
    found = _Range(store, scope, prefix, without)
    taken = found.take(limit + 1)
    if not taken and prefix != prefix.lower():
        # A scope that ignores case has its keys in lower case.
        return keys(store, scope, prefix.lower(), without, limit)
    if len(taken) <= limit:
        return [Candidate(key, "key") for key in taken]
    common = len(_common(taken[0], found.last() or taken[0]))
    heads, complete = _heads(found, taken[0], common, _separator, limit)
    if not complete:
        by_character, complete = _heads(found, taken[0], common, _character, limit)
        if complete or len(heads) < 2:
            heads = [head.extended(found) for head in by_character]
    return [
        Candidate(head.text, "keys", "several keys", True)
        if head.several
        else Candidate(head.first, "key")
        for head in heads
    ]


def deleted(store: Kycore, scope: str, prefix: str, without: str = "") -> list[Candidate]:
    """Return the keys that were deleted or expired lately, and begin with a text."""
    found: dict[str, Candidate] = {}
    for change in store.iter_history(scope=scope, limit=_LATELY):
        key = change.key
        if change.operation not in ("deleted", "expired") or not key.startswith(prefix):
            continue
        if key in found or (without and without in key) or store.exists(key, scope=scope):
            continue
        found[key] = Candidate(key, "key", f"{change.operation} {change.timestamp}")
    return list(found.values())


class _Head:
    """What keys begin with.

    Attributes:
        first: the first of these keys.
        several: whether there are more.
    """

    __slots__ = ("first", "several", "text")

    def __init__(self, text: str, first: str, several: bool) -> None:
        self.text = text
        self.first = first
        self.several = several

    def extended(self, found: _Range) -> _Head:
        """Return all that these keys have in common."""
        last = found.last(self.text) if self.several else None
        return _Head(_common(self.first, last), self.first, True) if last else self


def _heads(
    found: _Range, first: str, common: int, end: Callable[[str, int], int], limit: int
) -> tuple[list[_Head], bool]:
    """Return what the keys begin with, and whether that is all of them.

    Parameters:
        first: the first key.
        common: how many characters all keys have in common.
        end: takes a key and ``common``; returns where its beginning ends.
    """
    heads: list[_Head] = []
    key: str | None = first
    while key is not None:
        if len(heads) == limit:
            return heads, False
        text = key[: end(key, common)]
        following = found.first(key)
        several = text != key and following is not None and following.startswith(text)
        heads.append(_Head(text, key, several))
        key = found.first(_behind(text, key)) if several else following
    return heads, True


def _common(one: str, other: str) -> str:
    """Return what two keys both begin with."""
    for at, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return one[:at]
    return min(one, other, key=len)


def _behind(text: str, key: str) -> str:
    """Return where a listing goes on behind the keys that begin with a text, as ``key`` does."""
    return max(text + _LAST, key)


def _separator(key: str, common: int) -> int:
    """Return the end of the first separator behind what the keys have in common."""
    for at in range(common, len(key)):
        if key[at] in _SEPARATORS:
            return at + 1
    return len(key)


def _character(key: str, common: int) -> int:
    return common + 1


def scopes(store: Kycore, current: str, prefix: str) -> list[Candidate]:
    """Return the scopes that begin with a text; or projects, if those are too many."""
    found = [scope for scope in store.scopes() if scope.startswith(prefix)]
    if len(found) > LIMIT and "." not in prefix:
        projects = sorted({split_scope(scope)[0] for scope in found})
        alone = set(found)
        return [
            *(Candidate(name, "scope", "project") for name in projects if name in alone),
            *(Candidate(f"{name}.", "scope", "project", True) for name in projects),
        ][:LIMIT]
    return [
        Candidate(scope, "scope", "the current scope" if scope == current else "scope")
        for scope in found[:LIMIT]
    ]


def projects(store: Kycore, prefix: str) -> list[Candidate]:
    names = sorted({project for project, _ in _names(store)})
    return [Candidate(name, "scope", "project") for name in names if name.startswith(prefix)]


def namespaces(store: Kycore, project: str, prefix: str) -> list[Candidate]:
    return [
        Candidate(name, "scope", f"namespace of {project}")
        for owner, name in sorted(_names(store))
        if owner == project and name.startswith(prefix)
    ]


def _names(store: Kycore) -> list[tuple[str, str]]:
    """Return project and namespace of each scope."""
    return [split_scope(scope) for scope in store.scopes()]


def listed_scopes(store: Kycore, delimiter: str, prefix: str) -> list[Candidate]:
    """Return the scopes as listings take them, ``PROJECT.NAMESPACE``."""
    names = sorted(map(delimiter.join, _names(store)))
    return [Candidate(name, "scope", "scope") for name in names if name.startswith(prefix)][:LIMIT]


def addresses(store: Kycore, current: str, delimiter: str, text: str) -> list[Candidate]:
    """Return the addresses that begin with a text: of keys, namespaces and projects."""
    parts = text.split(delimiter)
    own_project = split_scope(current)[0]
    if len(parts) == 1:
        found = keys(store, current, text, delimiter)
        names = _names(store)
        heads = {f"{project}{delimiter}": "project" for project, _ in names}
        for project, namespace in names:
            if project == own_project and namespace != DEFAULT:
                heads[f"{namespace}{delimiter}"] = f"namespace of {own_project}"
        found += [
            Candidate(head, "scope", what, True)
            for head, what in sorted(heads.items())
            if head.startswith(text)
        ][:LIMIT]
        return found
    *before, rest = parts
    head = text[: len(text) - len(rest)]
    if len(before) > 2 or not all(map(_is_name, before)):
        return []
    if len(before) == 2:
        found = keys(store, join_scope(*before), rest, delimiter)
    else:
        found = keys(store, join_scope(own_project, before[0]), rest, delimiter)
        found += [
            Candidate(f"{each.text}{delimiter}", "scope", each.description, True)
            for each in namespaces(store, before[0], rest)
        ][:LIMIT]
    return [candidate.after(head) for candidate in found]


def _is_name(text: str) -> bool:
    try:
        check_name(text)
    except InvalidScopeError:
        return False
    return True
