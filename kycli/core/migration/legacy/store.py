"""An old store, open for reading: its keys, history, archive, queue and settings.

Whatever the file is, it is read through SQL: a plain database where it is, the others
from a private database that they are loaded into, on disk as far as they are large.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import apsw

from kycli.core.faults import cannot_open, translate
from kycli.core.layout import CREATED, DELETED, EXPIRED, OVERWRITTEN, TEXT
from kycli.core.migration.legacy import blob, pickled
from kycli.core.migration.legacy import variant as variants
from kycli.core.migration.legacy.aside import Aside, scratch
from kycli.core.migration.legacy.identify import Found, identify, tables_with_values
from kycli.core.migration.legacy.values import Decoder, Keyring, is_ciphertext
from kycli.core.migration.legacy.variant import BLOB, EXPIRES, PLAIN, Variant
from kycli.errors import ClosedError, CorruptError, MasterKeyError, NotADatabaseError


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


class Item(NamedTuple):
    """A queue item of 0.3 or 0.4.

    Attributes:
        id: grows in the order in which items were pushed.
        value, kind: as in ``Row``.
        priority: larger comes first, where the workspace is a priority queue.
        attempts: how often it was leased; 0 in 0.3.
        created_at: when it was pushed.
        available_at: not to be had before that time, or None.
        lease_until: leased until then, or None.
        receipt_id: of the lease, or None.

    Times are milliseconds since the epoch.
    """

    id: int
    value: Any
    kind: int | None
    priority: int
    attempts: int
    created_at: int | None
    available_at: int | None
    lease_until: int | None
    receipt_id: str | None


class Counts(NamedTuple):
    """How much is in an old store. ``sealed`` values are encrypted and no key opens them."""

    keys: int
    history: int
    archive: int
    queue: int
    sealed: int


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


class OldStore:
    """An old store, made by ``open_old``. Use it in a ``with``, or close it.

    Attributes:
        found: what it is, as far as the whole file tells.
    """

    found: Found

    def __init__(self, found: Found, keyring: Keyring) -> None:
        self.found = found
        self._keyring = keyring
        self._aside: Aside | None = None
        self._is_closed = False
        with self._told():
            if found.variant.family == PLAIN:
                self._aside = Aside(found.path, found.wal)
                self._connection = self._aside.connection
            else:
                self._connection = scratch(self._load)
        try:
            with self._told():
                self._tables = {
                    n for (n,) in self._connection.execute("SELECT name FROM sqlite_schema")
                }
                if found.variant.family == BLOB:
                    self.found = replace(found, variant=self._variant_of_blob())
                self._decoder = Decoder(self.found.variant, keyring)
                self._make_sure_that_a_key_fits()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> OldStore:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file. Closing again does nothing."""
        self._is_closed = True
        if self._aside is None:
            self._connection.close()
        else:
            self._aside.close()

    @property
    def variant(self) -> Variant:
        """How the file was written."""
        return self.found.variant

    @property
    def connection(self) -> apsw.Connection:
        """The old tables as they are, with their stored values, to be read only."""
        return self._connection

    @property
    def decoder(self) -> Decoder:
        """What turns its stored values into values of ours."""
        return self._decoder

    # What is in it

    def rows(self) -> Iterator[Row]:
        """Yield all keys in the order of the keys, the expired included."""
        expires = f"k.{EXPIRES}" if self._expires() else "NULL"
        if "audit_log" in self._tables:
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
        for key, form, raw, expires_at, timestamp in self._query(query):
            name = self._key(key)
            value, kind = self._decoder.value(_raw(form, raw))
            yield Row(name, value, kind, self._time(expires_at, name), self._time(timestamp, name))

    def history(self) -> Iterator[Change]:
        """Yield all changes that were recorded, the oldest first.

        To 0.1.6 deletions were not, and expiry never was; from the archive and from what
        keys there are it can be told that there must have been one.
        """
        if "audit_log" not in self._tables:
            return
        # Whether a row made its key is worked out first and by itself: rows that are sorted
        # with their values on board take three times as long.
        self._run(
            "CREATE TEMP TABLE IF NOT EXISTS created AS SELECT row FROM ("
            "    SELECT rowid AS row, value IS NOT NULL AS kept, lag(value IS NOT NULL, 1, 0)"
            "        OVER (PARTITION BY +key ORDER BY rowid) AS existed"
            "    FROM audit_log"
            ") WHERE kept AND NOT existed"
        )
        self._run("CREATE INDEX IF NOT EXISTS temp.created_row ON created (row)")
        query = (
            f"SELECT {_text('key')}, {_value('value')}, timestamp, "
            "NOT EXISTS (SELECT 1 FROM temp.created c WHERE c.row = a.rowid) "
            "FROM audit_log a ORDER BY a.rowid"
        )
        for key, form, raw, timestamp, existed in self._query(query):
            name = self._key(key)
            time = self._some_time(timestamp, name)
            if form == "null":
                yield Change(name, None, None, DELETED, time)
                continue
            value, kind = self._decoder.value(_raw(form, raw))
            yield Change(name, value, kind, OVERWRITTEN if existed else CREATED, time)

    def archive(self) -> Iterator[Removed]:
        """Yield all removed values that are kept, in the order of their removal."""
        if "archive" not in self._tables:
            return
        # A deletion is in the history too, in the same second: to 0.1.6 it was not, and where
        # the history does not reach back so far there is no telling.
        deleted = "1"
        if self.variant.may_encrypt and "audit_log" in self._tables:
            deleted = (
                "EXISTS (SELECT 1 FROM audit_log a WHERE a.key = r.key AND a.value IS NULL "
                "AND a.timestamp BETWEEN r.deleted_at AND datetime(r.deleted_at, '+2 seconds')) "
                "OR r.deleted_at < (SELECT min(timestamp) FROM audit_log)"
            )
        query = (
            f"SELECT {_text('r.key')}, {_value('r.value')}, r.deleted_at, {deleted} "
            "FROM archive r ORDER BY r.id"
        )
        for key, form, raw, deleted_at, by_hand in self._query(query):
            name = self._key(key)
            value, kind = self._decoder.value(_raw(form, raw))
            operation = DELETED if by_hand else EXPIRED
            yield Removed(name, value, kind, operation, self._some_time(deleted_at, name))

    def queue(self, decoder: Decoder | None = None) -> Iterator[Item]:
        """Yield the items of a typed workspace, in the order in which they were pushed.

        Parameters:
            decoder: what turns their stored values into values of ours; default the
                store's own, which opens what is encrypted as far as its keys do.
        """
        decoder = decoder or self._decoder
        if "queue_items" not in self._tables:
            return
        query = (
            f"SELECT id, {_value('value')}, priority, attempts, created_at, available_at, "
            "lease_until, receipt_id FROM queue_items ORDER BY id"
        )
        for id, form, raw, priority, attempts, *times, receipt in self._query(query):
            # The dump has NULL for the empty text, and nothing else is ever NULL there.
            value, kind = ("", TEXT) if form == "null" else decoder.value(_raw(form, raw))
            created, available, lease = (self._time(time, f"item {id}") for time in times)
            yield Item(
                *(id, value, kind, priority or 0, attempts or 0),
                *(created, available, lease, receipt),
            )

    def settings(self) -> dict[str, str]:
        """Return what a workspace of 0.3 or 0.4 is set to, as it is stored.

        ``type`` is ``queue``, ``stack`` or ``priority_queue``; the other names are
        ``default_ttl`` (seconds), ``readonly``, ``access_key``, ``compression_enabled``
        and ``compression_threshold``.
        """
        if "workspace_meta" not in self._tables:
            return {}
        rows = self._query("SELECT key, value FROM workspace_meta ORDER BY key")
        return {key: value for key, value in rows if value is not None}

    def counts(self) -> Counts:
        """Count everything; for ``sealed`` all encrypted values are tried."""
        tables = ("kvstore", "audit_log", "archive", "queue_items")
        keys, history, archive, queue = (
            next(self._query(f"SELECT count(*) FROM {t}"))[0] if t in self._tables else 0
            for t in tables
        )
        sealed = sum(self._decoder.value(text)[1] is None for text in self._ciphertexts())
        return Counts(keys, history, archive, queue, sealed)

    def check(self) -> None:
        """Look at the whole file for damage.

        Raises:
            CorruptError: when there is any.
        """
        if self._aside is None:
            return  # all of it has been read, and its checksum held
        with self._told():
            answer = self._connection.pragma("quick_check", 1)
        if answer != "ok":
            raise CorruptError(
                f"{self.found.path}: the database is damaged: {answer}",
                hint="keep a copy of the file, and try sqlite3's .recover command",
            )

    # Reading

    def _query(self, query: str) -> Iterator[tuple[Any, ...]]:
        with self._told():
            yield from self._connection.execute(query)
            if self._aside is not None:
                self._aside.make_sure_that_it_is_unchanged()

    def _run(self, statement: str) -> None:
        with self._told():
            self._connection.execute(statement)

    def _expires(self) -> bool:
        names = self._query("SELECT name FROM pragma_table_xinfo('kvstore')")
        return (EXPIRES,) in list(names)

    def _key(self, raw: bytes | None) -> str:
        try:
            if raw is not None:
                return raw.decode()
        except UnicodeDecodeError:
            pass
        raise CorruptError(f"{self.found.path}: a key is no text: {raw!r}")

    def _some_time(self, text: Any, what: str) -> int:
        time = self._time(text, what)
        if time is None:
            raise CorruptError(f"{self.found.path}: a time of {what!r} is missing")
        return time

    def _time(self, text: Any, what: str) -> int | None:
        """Return a time of the file, UTC in words, in milliseconds since the epoch."""
        if text is None:
            return None
        try:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                return (moment - _EPOCH) // _MILLISECOND
        except (TypeError, ValueError):
            pass
        raise CorruptError(f"{self.found.path}: the time {text!r} of {what!r} cannot be read")

    def _ciphertexts(self) -> Iterator[str]:
        if not self.variant.may_encrypt:
            return
        for table in tables_with_values(self._connection):
            rows = self._query(
                f"SELECT CAST(value AS BLOB) FROM {table} "
                "WHERE typeof(value) = 'text' AND value GLOB 'enc:*'"
            )
            for (raw,) in rows:
                text = raw.decode(errors="replace")
                if is_ciphertext(text):
                    yield text

    def _make_sure_that_a_key_fits(self) -> None:
        if not self._keyring or (self.variant.family == BLOB and self.found.encrypted):
            return  # that of an encrypted file has been tried
        tried = False
        for text in self._ciphertexts():
            if self._keyring.open(text) is not None:
                return
            tried = True
        if tried:
            raise MasterKeyError(
                f"{self.found.path}: the master key opens none of its encrypted values",
                hint="without a key they come over as they are, encrypted",
            )

    # Loading what is no database

    def _load(self, target: apsw.Connection) -> None:
        path = self.found.path
        with open(path, "rb") as file:
            if self.found.variant.family == BLOB:
                self._leases = blob.load(file, path, self._keyring, target)
                written_at = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
                target.execute("CREATE INDEX idx_audit_key ON audit_log (key)")
                target.execute("CREATE INDEX idx_archive_key ON archive (key)")
                written = written_at.strftime("%Y-%m-%d %H:%M:%S")
                blob.tell_empty_from_deleted(target, self._keyring, written)
            else:
                target.executemany(
                    "INSERT OR REPLACE INTO kvstore (key, value) VALUES (?, ?)",
                    pickled.pairs(file, path),
                )

    def _variant_of_blob(self) -> Variant:
        variant = variants.of_blob(self.settings(), self._leases)
        threshold = self.settings().get("compression_threshold", "")
        if threshold.isdecimal():
            variant = replace(variant, compressed_from=min(variant.compressed_from, int(threshold)))
        return variant

    @contextmanager
    def _told(self) -> Iterator[None]:
        if self._is_closed:
            raise ClosedError(f"{self.found.path}: the old store was closed")
        try:
            yield
        except apsw.Error as error:
            raise translate(error, self.found.path, 0) from error
        except OSError as error:
            raise cannot_open(self.found.path, error) from error


_EPOCH = datetime(1970, 1, 1)
_MILLISECOND = datetime.resolution * 1000


def _text(column: str) -> str:
    """Return an expression for a text that may not be UTF-8, which APSW would refuse."""
    return f"CAST({column} AS BLOB)"


def _value(column: str) -> str:
    return f"typeof({column}), CAST({column} AS BLOB)"


def _raw(form: str, data: bytes | None) -> str | bytes | None:
    """Return a stored value from its SQL type and its bytes."""
    if data is None or form == "blob":
        return data
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data
