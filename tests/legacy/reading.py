"""Readers of what an old store held, which a migrated one is compared with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from kycli.core.layout import CREATED, DELETED, EXPIRED, OVERWRITTEN
from kycli.core.migration.legacy import Found, Keyring, OldStore, identify
from kycli.core.migration.legacy.store import _raw, _value
from kycli.core.migration.legacy.variant import EXPIRES
from kycli.errors import CorruptError, NotADatabaseError


class Row(NamedTuple):
    """A key of an old store, which may have expired.

    Attributes:
        key: as it was stored, in lower case as a rule.
        value: as the old release returned it; its ciphertext where no key opens it.
        kind: one of ``layout``'s kinds; None for a ciphertext.
        expires_at: milliseconds since the epoch, or None.
        updated_at: when the history says that the key was changed last, or None.
    """

    key: str
    value: Any
    kind: int | None
    expires_at: int | None
    updated_at: int | None


class Change(NamedTuple):
    """A row of the old history.

    Attributes:
        key, value, kind: as in ``Row``; value and kind are None for a deletion.
        operation: CREATED, OVERWRITTEN or DELETED of ``layout``.
        timestamp: milliseconds since the epoch.
    """

    key: str
    value: Any
    kind: int | None
    operation: int
    timestamp: int


class Removed(NamedTuple):
    """A row of the old archive.

    Attributes:
        key, value, kind: as in ``Row``.
        operation: DELETED or, where the history shows that nobody deleted it, EXPIRED.
        deleted_at: milliseconds since the epoch, whole seconds.
    """

    key: str
    value: Any
    kind: int | None
    operation: int
    deleted_at: int


def open_old(
    path: str | Found, master_key: str | Sequence[str] | None = None, *, wal: str | None = None
) -> OldStore:
    """Open what an old release wrote, for reading; it stays as it is to the last byte.

    Parameters:
        path: of the file, or what ``identify`` or ``find_defaults`` found.
        master_key: what its encrypted values, or all of it, are encrypted under; several
            where the file holds values under several. Without it such values are given as
            they are stored, but a file that is encrypted as a whole cannot be opened.
        wal: the ``-wal`` file of a plain database, when it is not beside it.

    Raises:
        NotADatabaseError: no old release wrote the file.
        MasterKeyError: a key is needed, or none of those given opens anything.
        MissingLibraryError: the library for that is not installed.
        CorruptError: the file is cut off, damaged, or changed by somebody else.
        BusyError: another program is writing to it.
    """
    if isinstance(path, Found):
        name, wal = path.path, path.wal if wal is None else wal
    else:
        name = path
    found = identify(name, wal=wal)
    if found is None:
        raise NotADatabaseError(f"{name}: no earlier KyCLI wrote this file")
    return OldStore(found, Keyring(master_key))


def read_rows(old: OldStore) -> Iterator[Row]:
    """Yield all keys in the order of the keys, the expired included."""
    expires = f"k.{EXPIRES}" if _expires(old) else "NULL"
    if "audit_log" in old._tables:
        time = "a.timestamp"
        history = (
            "LEFT JOIN (SELECT key, max(rowid) AS row FROM audit_log GROUP BY key) n "
            "ON n.key = k.key LEFT JOIN audit_log a ON a.rowid = n.row"
        )
    else:
        time, history = "NULL", ""
    query = (
        f"SELECT {_text('k.key')}, {_value('k.value')}, {expires}, {time} "
        f"FROM kvstore k {history} ORDER BY k.key"
    )
    for key, form, raw, expires_at, timestamp in old._query(query):
        name = _key(old, key)
        value, kind = old._decoder.value(_raw(form, raw))
        yield Row(name, value, kind, old._time(expires_at, name), old._time(timestamp, name))


def read_history(old: OldStore) -> Iterator[Change]:
    """Yield all changes that were recorded, the oldest first.

    To 0.1.6 deletions were not, and expiry never was; from the archive and from what
    keys there are it can be told that there must have been one.
    """
    if "audit_log" not in old._tables:
        return
    # Whether a row made its key is worked out first and by itself: rows that are sorted
    # with their values on board take three times as long.
    old._connection.execute(
        "CREATE TEMP TABLE IF NOT EXISTS created AS SELECT row FROM ("
        "    SELECT rowid AS row, value IS NOT NULL AS kept, lag(value IS NOT NULL, 1, 0)"
        "        OVER (PARTITION BY +key ORDER BY rowid) AS existed"
        "    FROM audit_log"
        ") WHERE kept AND NOT existed"
    )
    old._connection.execute("CREATE INDEX IF NOT EXISTS temp.created_row ON created (row)")
    query = (
        f"SELECT {_text('key')}, {_value('value')}, timestamp, "
        "NOT EXISTS (SELECT 1 FROM temp.created c WHERE c.row = a.rowid) "
        "FROM audit_log a ORDER BY a.rowid"
    )
    for key, form, raw, timestamp, existed in old._query(query):
        name = _key(old, key)
        time = _some_time(old, timestamp, name)
        if form == "null":
            yield Change(name, None, None, DELETED, time)
            continue
        value, kind = old._decoder.value(_raw(form, raw))
        yield Change(name, value, kind, OVERWRITTEN if existed else CREATED, time)


def read_archive(old: OldStore) -> Iterator[Removed]:
    """Yield all removed values that are kept, in the order of their removal."""
    if "archive" not in old._tables:
        return
    # A deletion is in the history too, in the same second: to 0.1.6 it was not, and where
    # the history does not reach back so far there is no telling.
    deleted = "1"
    if old.variant.may_encrypt and "audit_log" in old._tables:
        deleted = (
            "EXISTS (SELECT 1 FROM audit_log a WHERE a.key = r.key AND a.value IS NULL "
            "AND a.timestamp BETWEEN r.deleted_at AND datetime(r.deleted_at, '+2 seconds')) "
            "OR r.deleted_at < (SELECT min(timestamp) FROM audit_log)"
        )
    query = (
        f"SELECT {_text('r.key')}, {_value('r.value')}, r.deleted_at, {deleted} "
        "FROM archive r ORDER BY r.id"
    )
    for key, form, raw, deleted_at, by_hand in old._query(query):
        name = _key(old, key)
        value, kind = old._decoder.value(_raw(form, raw))
        operation = DELETED if by_hand else EXPIRED
        yield Removed(name, value, kind, operation, _some_time(old, deleted_at, name))


def _expires(old: OldStore) -> bool:
    return (EXPIRES,) in list(old._query("SELECT name FROM pragma_table_xinfo('kvstore')"))


def _key(old: OldStore, raw: bytes | None) -> str:
    try:
        if raw is not None:
            return raw.decode()
    except UnicodeDecodeError:
        pass
    raise CorruptError(f"{old.found.path}: a key is no text: {raw!r}")


def _some_time(old: OldStore, text: Any, what: str) -> int:
    time = old._time(text, what)
    if time is None:
        raise CorruptError(f"{old.found.path}: a time of {what!r} is missing")
    return time


def _text(column: str) -> str:
    """Return an expression for a text that may not be UTF-8, which APSW would refuse."""
    return f"CAST({column} AS BLOB)"
