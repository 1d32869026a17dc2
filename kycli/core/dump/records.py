"""What a dump of a store consists of: its records, one after the other.

Ids are those of the store that was dumped. Times are milliseconds since the epoch.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias


class _Missing:
    """Marks a missing value, because None is a value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


MISSING = _Missing()

OPERATIONS = (
    *("created", "overwritten", "restored", "imported"),
    *("lifetime", "deleted", "expired"),
)
"""What a change may be."""


class ScopeRecord(NamedTuple):
    """A dumped scope and its settings.

    The scope ``#schemas``, which comes first where it is, has a key for each scope of the dump
    that has a schema: its name, and the schema as the value.

    Attributes:
        scope: its name.
        declared: what is declared, by the names of ``sys_namespaces``; empty for nothing.
        complete_since: the time before which its history is not complete; None when it is.
    """

    scope: str
    declared: dict[str, Any]
    complete_since: int | None = None


class AuthorRecord(NamedTuple):
    """Who made changes; ``id`` is what changes call it."""

    id: int
    user: str
    host: str
    command: str


class NoteRecord(NamedTuple):
    """A row of the history that changed no key.

    Attributes:
        id, time: as of a change.
        change: its own id, where it is the beginning of a larger change; else None.
        scope, renamed_from: which scope was renamed to which; None when that is not it.
        author, pid: as of a change.
    """

    id: int
    time: int
    change: int | None = None
    scope: str | None = None
    renamed_from: str | None = None
    author: int | None = None
    pid: int | None = None


class ChangeRecord(NamedTuple):
    """A change of one key.

    Attributes:
        id: grows from each change to the next, of whatever key.
        scope, key: whose change it is.
        op: one of ``OPERATIONS``.
        version: how often the value had changed by then.
        time: when.
        value: the value that the key got; MISSING where it was removed, and usually where it
            kept its value and got another lifetime.
        prev: the id of the key's change before, or None.
        expires_at: when the key was to expire.
        change: the id of the first part of the change that this is a part of; None when it is
            one by itself.
        author, pid: who made it; None where that is not known.
    """

    id: int
    scope: str
    key: str
    op: str
    version: int
    time: int
    value: Any = MISSING
    prev: int | None = None
    expires_at: int | None = None
    change: int | None = None
    author: int | None = None
    pid: int | None = None


class IncompleteRecord(NamedTuple):
    """A change of which a part is not there, so that it cannot be undone; and when it ended."""

    change: int
    ended_at: int


class KeyRecord(NamedTuple):
    """A key as it is now.

    Attributes:
        seq: the id of its newest change; None in a dump without history.
    """

    scope: str
    key: str
    value: Any
    version: int
    updated_at: int
    expires_at: int | None = None
    seq: int | None = None


class ArchivedRecord(NamedTuple):
    """A value that was deleted or has expired.

    Attributes:
        op: ``"deleted"`` or ``"expired"``.
        seq, prev: the ids of its removal and of the change before; None in a dump without
            history.
    """

    scope: str
    key: str
    value: Any
    op: str
    version: int
    updated_at: int
    deleted_at: int
    expires_at: int | None = None
    seq: int | None = None
    prev: int | None = None


Record: TypeAlias = (
    ScopeRecord
    | AuthorRecord
    | NoteRecord
    | ChangeRecord
    | IncompleteRecord
    | KeyRecord
    | ArchivedRecord
)


class Loaded(NamedTuple):
    """What was loaded.

    Attributes:
        scopes, keys, changes, archived: how many there were of each.
        expired: keys that were left out because they had expired.
        schemas: how many scopes have a schema; not counted as keys.
        invalid: keys whose values do not meet the schema of their scope.
        change: the id of the change that brought all of it, for ``undo``; None when it came
            with its history.
    """

    scopes: int
    keys: int
    changes: int
    archived: int
    expired: int
    schemas: int
    invalid: int
    change: int | None
