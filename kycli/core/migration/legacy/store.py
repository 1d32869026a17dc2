"""An old store, open for reading: its keys, history, archive, queue and settings.

Every kind of file is read through SQL: a plain database in place, the others from a private
database that they are loaded into, on disk if they are large.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import apsw

from kycli.core.layout import TEXT
from kycli.core.migration.legacy import blob, pickled
from kycli.core.migration.legacy import variant as variants
from kycli.core.migration.legacy.aside import Aside, scratch
from kycli.core.migration.legacy.identify import (
    Found,
    damage,
    holds_ciphertext,
    tables_with_values,
)
from kycli.core.migration.legacy.values import Decoder, Keyring, is_ciphertext
from kycli.core.migration.legacy.variant import BLOB, PLAIN, TABLES, Variant
from kycli.core.sqlite_errors import cannot_open, translate
from kycli.errors import ClosedError, CorruptError, MasterKeyError


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


def holds_encrypted(found: Found) -> bool:
    """Whether there is anything encrypted in what ``identify`` or ``find_defaults`` found."""
    if found.encrypted is not None and not (found.variant.family == BLOB and not found.encrypted):
        return found.encrypted
    with OldStore(found, Keyring()) as old:
        return holds_ciphertext(old.connection)


class OldStore:
    """What an old release wrote, open for reading; it stays as it is to the last byte.

    Use it in a ``with``, or close it.

    Parameters:
        found: what ``identify`` or ``find_defaults`` found.
        keyring: what its encrypted values, or all of it, are encrypted under. Without a key
            such values are given as they are stored, but a file that is encrypted as a whole
            cannot be opened.

    Raises:
        MasterKeyError: a key is needed, or none of those given opens anything.
        MissingLibraryError: the library for that is not installed.
        CorruptError: the file is cut off, damaged, or changed by somebody else.
        BusyError: another program is writing to it.

    Attributes:
        found: what it is, as far as the whole file tells.
    """

    found: Found

    def __init__(self, found: Found, keyring: Keyring) -> None:
        self.found = found
        self._keyring = keyring
        self._aside: Aside | None = None
        self._is_closed = False
        with self._translating():
            if found.variant.family == PLAIN:
                self._aside = Aside(found.path, found.wal)
                self._connection = self._aside.connection
            else:
                self._connection = scratch(self._load)
        try:
            with self._translating():
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

    def stored(self, table: str) -> tuple[list[str], Iterator[tuple[Any, ...]]]:
        """Return the columns of one of its tables, and its rows as they are."""
        columns = [name for (name,) in self._query(_COLUMNS, (table,))]
        if not columns:
            return [], iter(())
        return columns, self._query(f"SELECT {', '.join(columns)} FROM {table}")

    def other_tables(self) -> Iterator[tuple[str, int]]:
        """Yield the tables that another program made in a database, and how many rows they have."""
        if self._aside is None:
            return
        for (name,) in list(self._query(_OWN_TABLES)):
            if name not in ("kvstore", *TABLES, "fts_kvstore"):
                quoted = '"' + name.replace('"', '""') + '"'
                ((rows,),) = self._query(f"SELECT count(*) FROM {quoted}")
                yield name, rows

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
        with self._translating():
            wrong = damage(self._connection)
        if wrong is not None:
            raise CorruptError(
                f"{self.found.path}: the database is damaged: {wrong}",
                hint="keep a copy of the file, and try sqlite3's .recover command",
            )

    # Reading

    def _query(self, query: str, bindings: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        with self._translating():
            yield from self._connection.execute(query, bindings)
            if self._aside is not None:
                self._aside.make_sure_that_it_is_unchanged()

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
                f"{self.found.path}: {self._keyring.refused} any of its encrypted values",
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
                blob.restore_empty_values(target, self._keyring, written)
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
    def _translating(self) -> Iterator[None]:
        if self._is_closed:
            raise ClosedError(f"{self.found.path}: the old store was closed")
        try:
            yield
        except (apsw.Error, UnicodeDecodeError) as error:
            raise translate(error, self.found.path, 0) from error
        except OSError as error:
            raise cannot_open(self.found.path, error) from error


_COLUMNS = "SELECT name FROM pragma_table_info(?1)"
_OWN_TABLES = r"""
SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual')
AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name"""
_EPOCH = datetime(1970, 1, 1)
_MILLISECOND = datetime.resolution * 1000


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
