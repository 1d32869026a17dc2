"""Bringing what earlier versions left into scopes of a database of this one.

All sources come in one transaction: after a crash there is all of them or nothing. Their
history keeps its times, and stands in the log behind what is there, as one change whose
first row says when it came.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import apsw

from kycli.core import layout
from kycli.core.codec import encode
from kycli.core.faults import translate
from kycli.core.migration.formats import source_of
from kycli.core.migration.legacy import Decoder, Found, Item, Keyring, OldStore
from kycli.core.migration.plain import ARCHIVE, AUDIT_LOG, KVSTORE, Move
from kycli.core.names import check_name, check_scope
from kycli.core.opening import connect
from kycli.core.storage import Kycore
from kycli.core.values import Opaque
from kycli.errors import ConflictError, InvalidScopeError, InvalidTTLError, UsageError


class Arrival(NamedTuple):
    """One file, and the scope that it becomes."""

    found: Found
    scope: str

    @property
    def queue_scope(self) -> str:
        """The scope of its queue items."""
        return f"{self.scope}-queue" if "." in self.scope else f"{self.scope}.queue"


class _Patience:
    """SQLite's busy handler for a connection of ours."""

    def __init__(self, timeout_ms: int) -> None:
        self._timeout = timeout_ms / 1000
        self._began = 0.0

    def __call__(self, tries: int) -> bool:
        now = time.monotonic()
        if tries == 0:
            self._began = now
        time.sleep(min(0.05, 0.001 * (tries + 1)))
        return now - self._began < self._timeout

    def check_signals(self) -> bool:
        return False


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
    *,
    decrypt: bool = False,
    progress: Callable[[int, int], None] | None = None,
    busy_timeout_ms: int = 5000,
) -> list[dict[str, int]]:
    """Bring files into a database, which is made when there is none: all or nothing.

    Parameters:
        path: the database, absolute.
        arrivals: the files and their scopes.
        keyring: what opens encrypted files and values.
        decrypt: keep values decrypted that were encrypted each by itself.
        progress: called with the rows done and all rows of a file, now and then.
        busy_timeout_ms: how long to wait for other writers.

    Returns:
        For each file how much has come: ``keys``, ``changes``, ``removed``, ``added``,
        ``encrypted`` and ``queue``.

    Raises:
        ConflictError: when a scope has keys, or had, already.
        MasterKeyError, CorruptError, BusyError, DiskFullError: nothing was changed.
    """
    patience = _Patience(busy_timeout_ms)
    try:
        with ExitStack() as stack:
            # All are opened before the database is made, in case one cannot be.
            sources = [stack.enter_context(OldStore(a.found, keyring)) for a in arrivals]
            Kycore(path).close()
            connection = connect(path, "normal", patience)
            stack.callback(connection.close)
            opener = keyring if decrypt else None
            return _bring_in(connection, arrivals, sources, opener, progress)
    except (apsw.Error, UnicodeError) as error:
        raise translate(error, path, busy_timeout_ms) from error


def _bring_in(
    connection: apsw.Connection,
    arrivals: Sequence[Arrival],
    sources: Sequence[OldStore],
    opener: Keyring | None,
    progress: Callable[[int, int], None] | None,
) -> list[dict[str, int]]:
    results: list[dict[str, int]] = []
    connection.execute("PRAGMA temp_store = FILE; PRAGMA cache_size = -65536")
    connection.execute("BEGIN IMMEDIATE")
    try:
        for arrival in arrivals:
            _check_free(connection, arrival.scope)
            _check_free(connection, arrival.queue_scope)
        now = time.time_ns() // 1_000_000
        connection.execute(layout.NOTE_BYPASS, (now,))
        change: int = connection.last_insert_rowid()
        for arrival, old in zip(arrivals, sources, strict=True):
            results.append(_one(connection, arrival, old, opener, change, now, progress))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return results


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
) -> dict[str, int]:
    _copy_rows(connection, old)
    source = source_of(old.variant, keyring)
    move = Move(connection, source, arrival.scope, now, progress, renamed=True, change=change)
    move.plan()
    if move.misnamed:
        move.rename_keys()
        move.plan()
    cache_ms = _cache_ms(connection, arrival, old.settings())
    moved = move.run()
    for table in (KVSTORE, AUDIT_LOG, ARCHIVE):
        connection.execute(f"DROP TABLE temp.{table}")
    declare = (
        "INSERT INTO sys_namespaces (scope, cache_ms, fold_keys, created_at) VALUES (?, ?, 1, ?)"
    )
    connection.execute(declare, (arrival.scope, cache_ms, now))
    items = old.queue(Decoder(old.variant, keyring))
    queue, sealed = _put_queue(connection, arrival.queue_scope, old, items, change, now)
    counts = moved._asdict()
    return {**counts, "encrypted": counts["encrypted"] + sealed, "queue": queue}


def _copy_rows(connection: apsw.Connection, old: OldStore) -> None:
    """Copy the old tables, as they are, into temporary ones of this connection."""
    connection.execute(
        f"""CREATE TEMP TABLE {KVSTORE} (key TEXT PRIMARY KEY, value TEXT, expires_at TEXT);
        CREATE TEMP TABLE {AUDIT_LOG} (id INTEGER PRIMARY KEY, key TEXT, value TEXT,
            timestamp TEXT);
        CREATE TEMP TABLE {ARCHIVE} (id INTEGER PRIMARY KEY, key TEXT, value TEXT,
            deleted_at TEXT)"""
    )
    theirs = old.connection
    for table, name in ((KVSTORE, "kvstore"), (AUDIT_LOG, "audit_log"), (ARCHIVE, "archive")):
        columns = [n for (n,) in theirs.execute("SELECT name FROM pragma_table_info(?)", (name,))]
        if not columns:
            continue
        listed = ", ".join(columns)
        marks = ", ".join("?" * len(columns))
        connection.executemany(
            f"INSERT INTO temp.{table} ({listed}) VALUES ({marks})",
            theirs.execute(f"SELECT {listed} FROM {name}"),
        )
    connection.execute(f"CREATE INDEX temp.old_audit_key ON {AUDIT_LOG} (key)")
    old.check()


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
    old: OldStore,
    items: Iterable[Item],
    change: int,
    now: int,
) -> tuple[int, int]:
    """Keep the items of a queue as keys of a scope, in the order of the queue.

    Returns:
        How many there are, and how many of them stay encrypted.
    """
    count = sealed = 0
    for key, value in _items(old, items):
        sealed += isinstance(value["value"], Opaque)
        _put(connection, scope, key, value, change, now)
        count += 1
    if count:
        connection.execute(
            "INSERT INTO sys_namespaces (scope, created_at) VALUES (?, ?)", (scope, now)
        )
    return count, sealed


def _items(old: OldStore, items: Iterable[Item]) -> Iterator[tuple[str, dict[str, Any]]]:
    kind = old.settings().get("type", "queue")
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


def _put(
    connection: apsw.Connection, scope: str, key: str, value: Any, change: int, now: int
) -> None:
    kind, stored, size = encode(value)
    id: int = connection.execute("SELECT max(id) + 1 FROM audit_log").get
    connection.execute(
        "INSERT INTO audit_log (id, scope, key, value, kind, op, version, timestamp, change) "
        "VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?)",
        (id, scope, key, stored, kind, layout.IMPORTED, now, change),
    )
    large = size > layout.INLINE_MAX
    connection.execute(
        "INSERT INTO kvstore (scope, key, value, kind, home, digest, version, seq, updated_at) "
        "VALUES (?1, ?2, iif(?6, NULL, ?3), ?4, iif(?6, ?5, NULL), "
        "iif(?6, kycli_digest(?3), NULL), 1, ?5, ?7)",
        (scope, key, stored, kind, id, large, now),
    )
