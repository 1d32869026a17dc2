"""Notes of what a migration could not convert exactly, stored as keys in a separate scope.

The notes are written in the transaction of the migration, so they are there whenever the
new database is. Those on the scope ``work`` are in ``work.migration``:

==========================  =======================================================
key                         value
==========================  =======================================================
``renamed/NEW``             ``{"was": …}``: the key that is ``NEW`` now, as text or bytes
``deletion/ROW``            ``{"key": …, "at": …}``: a deletion that is not in the history,
                            because the value that it deleted is unknown
``setting/NAME``            ``{"value": …}``: a setting without a counterpart
``table/NAME``              ``{"rows": …}``: another program's table that stays in its file
``trigger/NAME``,           ``{"sql": …}``: what another program had made on a table that
``index/NAME``,             was replaced, and that is dropped
``view/NAME``
==========================  =======================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kycli.core import layout
from kycli.core.codec import digest, encode

if TYPE_CHECKING:
    from collections.abc import Iterable

    import apsw

RENAMED, DELETION, SETTING, TABLE = "renamed", "deletion", "setting", "table"

_NAME_MAX = 1000  # characters, so that the key of a note fits


class Note(NamedTuple):
    """One thing that did not come over as it was; its key is ``what/name``."""

    what: str
    name: str
    about: dict[str, Any]


def beside(scope: str, name: str) -> str:
    """Return the scope for what belongs to a scope: ``work.name``, or ``a.work-name``."""
    return f"{scope}-{name}" if "." in scope else f"{scope}.{name}"


def notes_scope(scope: str) -> str:
    """Return the scope that keeps the notes on a scope."""
    return beside(scope, "migration")


def keep(
    connection: apsw.Connection,
    scope: str,
    notes: Iterable[Note],
    now: int,
    change: int | None = None,
) -> dict[str, int]:
    """Keep the notes on a scope, inside a transaction; return how many there are of each kind.

    Parameters:
        connection: in the transaction.
        scope: the scope that they are on.
        notes: read once.
        now: milliseconds since the epoch.
        change: the change that they are part of, or None where each is one of its own.
    """
    counts: dict[str, int] = {}
    for note in notes:
        name, about = note.name, note.about
        if "\0" in name or len(name) > _NAME_MAX:
            name, about = digest(name).hex(), {"name": name, **about}
        put(connection, notes_scope(scope), f"{note.what}/{name}", about, now, change)
        counts[note.what] = counts.get(note.what, 0) + 1
    if counts:
        declare(connection, notes_scope(scope), now)
    return counts


def declare(connection: apsw.Connection, scope: str, now: int) -> None:
    """Declare a scope, unless it is declared."""
    connection.execute(
        "INSERT INTO sys_namespaces (scope, created_at) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (scope, now),
    )


def put(
    connection: apsw.Connection,
    scope: str,
    key: str,
    value: Any,
    now: int,
    change: int | None = None,
) -> None:
    """Write a new key and the change that its history begins with."""
    kind, stored, size = encode(value)
    id: int = connection.execute("SELECT ifnull(max(id), 0) + 1 FROM audit_log").get
    connection.execute(
        "INSERT INTO audit_log (id, scope, key, value, kind, op, version, timestamp, change) "
        "VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?)",
        (id, scope, key, stored, kind, layout.IMPORTED, now, change),
    )
    is_large = size > layout.INLINE_MAX
    shown, home, hashed = (None, id, digest(stored)) if is_large else (stored, None, None)
    connection.execute(
        "INSERT INTO kvstore (scope, key, value, kind, home, digest, version, seq, updated_at) "
        "VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?)",
        (scope, key, shown, kind, home, hashed, id, now),
    )
