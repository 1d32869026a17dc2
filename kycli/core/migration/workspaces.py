"""Importing the files of earlier versions into scopes of a current database.

All sources are imported in one transaction: after a crash, either all of them are there or none.
Their history keeps its times. It is appended to the log, as one change whose first row has the time
of the import.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import apsw

from kycli.core import layout
from kycli.core.create import remove_if_unused
from kycli.core.migration.formats import source_of
from kycli.core.migration.legacy import Decoder, Found, Item, Keyring, OldStore
from kycli.core.migration.notes import (
    SETTING,
    TABLE,
    Note,
    beside,
    declare,
    keep,
    notes_scope,
    put,
)
from kycli.core.migration.plain import ARCHIVE, AUDIT_LOG, KVSTORE, Move
from kycli.core.names import check_name, check_scope
from kycli.core.sqlite_errors import translate
from kycli.core.values import Opaque
from kycli.errors import ConflictError, InvalidScopeError, InvalidTTLError, UsageError

if TYPE_CHECKING:
    from kycli.core.storage import Kycore


class Arrival(NamedTuple):
    """One file, and the scope that it becomes."""

    found: Found
    scope: str

    @property
    def queue_scope(self) -> str:
        """The scope of its queue items."""
        return beside(self.scope, "queue")


class Brought(NamedTuple):
    """What has come of one file.

    Attributes:
        counts: how much: ``keys``, ``changes``, ``removed``, ``added``, ``encrypted``, ``queue``.
        notes: how many notes of each kind there are on what did not come as it was; they are in
            the scope that ``notes.notes_scope`` gives.
    """

    counts: dict[str, int]
    notes: dict[str, int]


def plan(found: Sequence[Found], mapping: dict[str, str]) -> list[Arrival]:
    """Return which scope each file becomes.

    Parameters:
        found: the files.
        mapping: names of scopes for names of workspaces, or of files.

    Raises:
        InvalidScopeError: when a name is none of a scope.
        ConflictError: when two files would become one scope.
        UsageError: when a name is mapped that no file has.
    """
    names = {one.workspace for one in found}
    for name in mapping:
        if name not in names:
            raise UsageError(
                f"--map {name}={mapping[name]}: there is no {name!r} among the files",
                hint=f"their names are: {', '.join(sorted(names))}",
            )
    arrivals: list[Arrival] = []
    taken: dict[str, str] = {}
    for one in found:
        name = one.workspace
        try:
            scope = check_scope(mapping[name]) if name in mapping else check_name(name)
        except InvalidScopeError as error:
            error.hint = f"give it another name: --map '{name}=NAME'"
            raise
        if scope in taken:
            raise ConflictError(
                f"{taken[scope]} and {one.path} would both be the scope {scope!r}",
                hint="bring them in one by one, with --map for one of them",
            )
        taken[scope] = one.path
        arrivals.append(Arrival(one, scope))
    return arrivals


def bring_in(
    path: str,
    arrivals: Sequence[Arrival],
    keyring: Keyring,
    open_target: Callable[[], Kycore],
    *,
    decrypt: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Brought]:
    """Bring files into a database, which is made when there is none: all or nothing.

    Parameters:
        path: the database, absolute.
        arrivals: the files and their scopes.
        keyring: what opens encrypted files and values.
        open_target: opens the database at ``path`` as a store, or makes it.
        decrypt: keep values decrypted that were encrypted each by itself.
        progress: called with the rows done and all rows of a file, now and then.

    Returns:
        what has come of each file.

    Raises:
        ConflictError: when a scope has keys, or had, already.
        MasterKeyError, CorruptError, BusyError, DiskFullError: nothing was changed.
    """
    with ExitStack() as stack:
        # All are looked at before the database is made, in case one cannot be read.
        sources = [stack.enter_context(OldStore(a.found, keyring)) for a in arrivals]
        for source in sources:
            source.check()
        is_new = not os.path.exists(path)
        try:
            with open_target() as store:
                opener = keyring if decrypt else None
                return _bring_in(store, arrivals, sources, opener, progress)
        except BaseException:
            if is_new:
                remove_if_unused(path)
            raise


def _bring_in(
    store: Kycore,
    arrivals: Sequence[Arrival],
    sources: Sequence[OldStore],
    opener: Keyring | None,
    progress: Callable[[int, int], None] | None,
) -> list[Brought]:
    connection = store._connection()
    try:
        connection.execute("PRAGMA temp_store = FILE; PRAGMA cache_size = -65536")
        with store.transaction():
            for arrival in arrivals:
                for scope in (arrival.scope, arrival.queue_scope, notes_scope(arrival.scope)):
                    _check_free(connection, scope)
            now = time.time_ns() // 1_000_000
            connection.execute(layout.NOTE_BYPASS, (now,))
            change: int = connection.last_insert_rowid()
            return [
                _one(connection, arrival, old, opener, change, now, progress)
                for arrival, old in zip(arrivals, sources, strict=True)
            ]
    except (apsw.Error, UnicodeError) as error:
        raise translate(error, store.path, 0) from error


def _check_free(connection: apsw.Connection, scope: str) -> None:
    for table in ("kvstore", "archive", "sys_namespaces"):
        if connection.execute(f"SELECT 1 FROM {table} WHERE scope = ? LIMIT 1", (scope,)).get:
            raise ConflictError(
                f"the scope {scope!r} is in use, or was",
                hint="choose another one with --map OLD=NEW",
            )


def _one(
    connection: apsw.Connection,
    arrival: Arrival,
    old: OldStore,
    keyring: Keyring | None,
    change: int,
    now: int,
    progress: Callable[[int, int], None] | None,
) -> Brought:
    _copy_rows(connection, old)
    source = source_of(old.variant, keyring, arrival.found.path)
    move = Move(connection, source, arrival.scope, now, progress, renamed=True, change=change)
    move.plan()
    if move.misnamed:
        move.rename_keys()
        move.plan()
    settings = old.settings()
    cache_ms = _cache_ms(connection, arrival, settings)
    moved = move.run()
    declared = (
        "INSERT INTO sys_namespaces (scope, cache_ms, fold_keys, created_at) VALUES (?, ?, 1, ?)"
    )
    connection.execute(declared, (arrival.scope, cache_ms, now))
    items = old.queue(Decoder(old.variant, keyring))
    queue, sealed = _put_queue(connection, arrival.queue_scope, settings, items, change, now)
    left = _left_behind(
        old,
        settings,
        is_cache=cache_ms is not None,
        has_items=queue > 0,
        opened=keyring is not None,
    )
    notes = keep(connection, arrival.scope, chain(move.notes(), left), now, change)
    for table in (KVSTORE, AUDIT_LOG, ARCHIVE):
        connection.execute(f"DROP TABLE temp.{table}")
    counts = moved._asdict()
    return Brought({**counts, "encrypted": counts["encrypted"] + sealed, "queue": queue}, notes)


def _left_behind(
    old: OldStore, settings: dict[str, str], *, is_cache: bool, has_items: bool, opened: bool
) -> Iterator[Note]:
    """Yield what stays in a file because nothing here corresponds to it."""
    for name, value in settings.items():
        # The kind of a queue is said with each item, and the lifetime of a cache declared.
        if name == "type" and (has_items or value == "kv"):
            continue
        if name == "default_ttl" and (is_cache or value == "0"):
            continue
        about: dict[str, Any] = {"value": value}
        if name == "access_key" and old.found.encrypted and not opened:
            about = {"left_out": "it is a secret, and the file was encrypted"}
        yield Note(SETTING, name, about)
    for table, rows in old.other_tables():
        yield Note(TABLE, table, {"rows": rows})


def _copy_rows(connection: apsw.Connection, old: OldStore) -> None:
    """Copy the old tables, as they are, into temporary ones of this connection.

    What is wrong with the old ones is said by the reader, and so of their file.
    """
    connection.execute(
        f"""CREATE TEMP TABLE {KVSTORE} (key TEXT PRIMARY KEY, value TEXT, expires_at TEXT);
        CREATE TEMP TABLE {AUDIT_LOG} (id INTEGER PRIMARY KEY, key TEXT, value TEXT,
            timestamp TEXT);
        CREATE TEMP TABLE {ARCHIVE} (id INTEGER PRIMARY KEY, key TEXT, value TEXT,
            deleted_at TEXT)"""
    )
    for table, name in ((KVSTORE, "kvstore"), (AUDIT_LOG, "audit_log"), (ARCHIVE, "archive")):
        columns, rows = old.stored(name)
        if not columns:
            continue
        marks = ", ".join("?" * len(columns))
        connection.executemany(
            f"INSERT INTO temp.{table} ({', '.join(columns)}) VALUES ({marks})", rows
        )
    connection.execute(f"CREATE INDEX temp.old_audit_key ON {AUDIT_LOG} (key)")


def _cache_ms(
    connection: apsw.Connection, arrival: Arrival, settings: dict[str, str]
) -> int | None:
    """Return the time to live that keys of a scope get, where it can be a cache.

    Raises:
        InvalidTTLError: when keys expire in a namespace that is no cache.
    """
    if "." not in arrival.scope:
        return None
    ttl = settings.get("default_ttl", "")
    if ttl.isdecimal() and int(ttl):
        return int(ttl) * 1000
    if connection.execute("SELECT 1 FROM expiring LIMIT 1").get:
        raise InvalidTTLError(
            f"keys of {arrival.found.path} expire, which keys of {arrival.scope!r} cannot",
            hint="map it to a project, a name without a dot",
        )
    return None


# Queues


def _put_queue(
    connection: apsw.Connection,
    scope: str,
    settings: dict[str, str],
    items: Iterable[Item],
    change: int,
    now: int,
) -> tuple[int, int]:
    """Keep the items of a queue as keys of a scope, in the order of the queue.

    Returns:
        How many there are, and how many of them stay encrypted.
    """
    count = sealed = 0
    for key, value in _items(settings.get("type", "queue"), items):
        sealed += isinstance(value["value"], Opaque)
        put(connection, scope, key, value, now, change)
        count += 1
    if count:
        declare(connection, scope, now)
    return count, sealed


def _items(kind: str, items: Iterable[Item]) -> Iterator[tuple[str, dict[str, Any]]]:
    for item in items:
        value = item.value
        if item.kind is None:
            value = Opaque(value)
        fields = {
            "queue": kind,
            "value": value,
            "priority": item.priority,
            "attempts": item.attempts,
            "created_at": item.created_at,
            "available_at": item.available_at,
            "lease_until": item.lease_until,
            "receipt_id": item.receipt_id,
        }
        yield f"{item.id:019}", {k: v for k, v in fields.items() if v is not None or k == "value"}
