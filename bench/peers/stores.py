"""Stores to compare with, behind one face, each set up to promise the same.

That is what kycli's ``durability="normal"`` does: a call that returned survives the
death of the process, and a power loss may undo the last of them. Where a peer cannot
promise quite that, its ``durability`` says so, and so does the report.

Keys and values are text, as kycli's are. Where a peer has an option that makes it
faster and keeps the promise, it is set: nobody should win by the other's defaults.
"""

from __future__ import annotations

import importlib.util
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any, ClassVar, cast

import apsw

from kycli import Kycore
from kycli.core import storage

Pairs = Iterable[tuple[str, str]]

WAL = "write-ahead log, synced at checkpoints"
TABLE = "CREATE TABLE IF NOT EXISTS kv (key TEXT PRIMARY KEY, value)"
GET = "SELECT value FROM kv WHERE key = ?"
UPSERT = "INSERT INTO kv VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
DELETE = "DELETE FROM kv WHERE key = ?"
INCREMENT = (
    "INSERT INTO kv VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET value = value + 1 RETURNING value"
)
RANGE = "SELECT key, value FROM kv WHERE key >= ? AND key < ? ORDER BY key"
ALL = "SELECT key, value FROM kv ORDER BY key"
ALL_KEYS = "SELECT key FROM kv ORDER BY key"
BUSY_MS = 60_000


def kycore(
    path: Path, *, cached: bool = True, durability: str = "normal", deferred: bool = False
) -> Kycore:
    """Open a store of kycli's, with or without its value cache.

    With ``deferred`` writes are committed every 500, however long that takes.
    """
    options: dict[str, Any] = {"busy_timeout_ms": BUSY_MS, "durability": durability}
    if deferred:
        options |= {"durability": "async", "clock": lambda: 1_700_000_000_000}
    if not cached:
        options["cache_entries"] = 0
    return Kycore(path, **options)


def bare(path: Path, synchronous: str = "NORMAL") -> apsw.Connection:
    """Open a database with the pragmas that kycli uses, and a plain table in it."""
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(BUSY_MS)
    connection.pragma("journal_mode", "wal")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute("PRAGMA wal_autocheckpoint = 4000")
    connection.execute(TABLE)
    return connection


class Peer:
    """One store, open from the start."""

    name: ClassVar[str]
    durability: ClassVar[str]
    package: ClassVar[str] = ""
    """What has to be installed, where Python does not bring it."""
    shared: ClassVar[bool] = True
    """Whether several processes may have it open at once."""
    lacks: ClassVar[frozenset[str]] = frozenset()
    """The operations that it does not offer; the benchmarks leave it out there."""

    # Attributes and not methods: kycli's are the engine's own, as a Python method around
    # them would cost more than a cached get.
    get: Callable[[str], object]
    save: Callable[[str, str], object]
    delete: Callable[[str], object]
    save_many: Callable[[Pairs], object]
    """In one transaction."""
    incr: Callable[[str], object]
    """Add one to a number, atomically, and return the sum."""
    scan: Callable[[], Pairs]
    prefix: Callable[[str], Pairs]
    """The pairs whose key begins so, without a look at all others."""

    def get_each(self, keys: list[Any]) -> list[object]:
        """Return the values of keys, by one read each.

        Where the read is a few lines of Python they are written out here: beside a bare
        cursor, the call of a method around it would be part of the difference.
        """
        get = self.get
        return [get(key) for key in keys]

    def get_many(self, keys: list[str]) -> Mapping[str, object]:
        """Return the values of keys that all exist; of one snapshot where it has them."""
        return {key: self.get(key) for key in keys}

    def native(self, text: str) -> Any:
        """Return a key or value as ``get_each`` takes and returns it."""
        return text

    def __init__(self, directory: Path) -> None:
        self.path = directory / self.name.replace(" ", "-")
        self.open()

    @classmethod
    def installed(cls) -> bool:
        return not cls.package or importlib.util.find_spec(cls.package) is not None

    def open(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class KycliPeer(Peer):
    name = "kycli"
    durability = WAL
    cached: ClassVar[bool] = True
    promise: ClassVar[str] = "normal"

    def open(self) -> None:
        self.store = kycore(self.path, cached=self.cached, durability=self.promise)
        self.get = self.store.getkey
        self.save = self.store.save
        self.delete = self.store.delete
        self.save_many = self.store.save_many
        self.incr = self.store.incr
        self.scan = self.prefix = self.store.scan

    def get_many(self, keys: list[str]) -> Mapping[str, object]:
        return self.store.get_many(keys)

    def keys(self) -> list[str]:
        return self.store.listkeys()

    def newest(self, key: str, count: int) -> list[object]:
        """Return the newest values of a key."""
        return [change.value for change in self.store.get_history(key, limit=count)]

    def close(self) -> None:
        self.store.close()


class UncachedPeer(KycliPeer):
    """kycli with its value cache off."""

    name = "kycli uncached"
    cached = False


class FallbackPeer(UncachedPeer):
    """The same with all statements left to APSW, as where an APSW cannot load extensions."""

    name = "kycli by apsw alone"

    def open(self) -> None:
        storage._use_native_statements(False)
        try:
            super().open()
            for _ in range(20):
                self.get("any")  # a store sets its statements up after some reads
        finally:
            storage._use_native_statements(True)


class SqlPeer(Peer):
    """A plain table in SQLite, and one cursor."""

    durability = WAL
    synchronous: ClassVar[str] = "NORMAL"
    connection: Any
    execute: Callable[..., Any]

    def close(self) -> None:
        self.connection.close()

    def save(self, key: str, value: str) -> None:
        self.execute(UPSERT, (key, value))

    def delete(self, key: str) -> None:
        self.execute(DELETE, (key,))

    def scan(self) -> Pairs:
        return cast("Pairs", self.execute(ALL))

    def prefix(self, prefix: str) -> Pairs:
        return cast("Pairs", self.execute(RANGE, (prefix, prefix + "\U0010ffff")))


class ApswPeer(SqlPeer):
    """The anchor: no history, no scopes, no expiry."""

    name = "apsw"

    def open(self) -> None:
        self.connection = bare(self.path, self.synchronous)
        self.execute = self.connection.cursor().execute

    def get(self, key: str) -> object:
        return self.execute(GET, (key,)).get

    def get_each(self, keys: list[str]) -> list[object]:
        execute = self.execute
        return [execute(GET, (key,)).get for key in keys]

    def save_many(self, pairs: Pairs) -> None:
        with self.connection:
            self.connection.executemany(UPSERT, pairs)

    def incr(self, key: str) -> object:
        return self.execute(INCREMENT, (key,)).get

    def get_many(self, keys: list[str]) -> Mapping[str, object]:
        execute = self.execute
        with self.connection:
            found = {key: execute(GET, (key,)).get for key in keys}
        return found

    def keys(self) -> list[tuple[str]]:
        """Return all keys, in APSW's own rows."""
        return list(self.execute(ALL_KEYS))


class HistoryPeer(ApswPeer):
    """What kycli does with one save, written by hand: the row, and a trigger's copy of it."""

    name = "apsw + trigger"

    def open(self) -> None:
        super().open()
        columns = "(id INTEGER PRIMARY KEY, key TEXT NOT NULL, value, at INTEGER NOT NULL)"
        self.execute(f"CREATE TABLE IF NOT EXISTS log {columns}")
        for event in ("INSERT", "UPDATE"):
            self.execute(
                f"CREATE TRIGGER IF NOT EXISTS log_{event} AFTER {event} ON kv BEGIN "
                "INSERT INTO log (key, value, at) VALUES (new.key, new.value, unixepoch()); END"
            )


class IndexedHistoryPeer(HistoryPeer):
    """The same, and an index on the copies, by which the changes of a key are found."""

    name = "apsw + indexed trigger"

    def open(self) -> None:
        super().open()
        self.execute("CREATE INDEX IF NOT EXISTS log_key ON log (key, id)")

    def newest(self, key: str, count: int) -> list[object]:
        sql = "SELECT key, value, at FROM log WHERE key = ? ORDER BY id DESC LIMIT ?"
        return [row[1] for row in self.execute(sql, (key, count))]


class SqlitePeer(SqlPeer):
    name = "sqlite3"

    def open(self) -> None:
        self.connection = sqlite3.connect(self.path, timeout=BUSY_MS / 1000, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = wal")
        self.connection.execute(f"PRAGMA synchronous = {self.synchronous}")
        self.connection.execute(TABLE)
        self.execute = self.connection.cursor().execute

    def get(self, key: str) -> object:
        row = self.execute(GET, (key,)).fetchone()
        return row and row[0]

    def save_many(self, pairs: Pairs) -> None:
        self.execute("BEGIN IMMEDIATE")
        with self.connection:
            self.connection.executemany(UPSERT, pairs)

    def incr(self, key: str) -> object:
        return self.execute(INCREMENT, (key,)).fetchone()[0]


class DictPeer(Peer):
    """The floor: no store in Python can be faster than its own hash table."""

    name = "dict"
    durability = "none: gone with the process"
    shared = False
    lacks = frozenset({"prefix", "open", "close", "mixed"})

    def open(self) -> None:
        self.data: dict[str, Any] = {}
        self.get = self.data.get
        self.save = self.data.__setitem__
        self.delete = self.data.__delitem__
        self.save_many = self.data.update
        self.scan = self.data.items

    def close(self) -> None:
        pass

    def incr(self, key: str) -> object:
        self.data[key] = total = self.data.get(key, 0) + 1
        return total


class MethodPeer(DictPeer):
    """A Python method around ``dict.get``, the least that a store written in Python costs."""

    name = "dict in a method"

    def open(self) -> None:
        super().open()
        del self.get  # so that the method below is found

    def get(self, key: str) -> object:
        return self.data.get(key)


class LmdbPeer(Peer):
    name = "lmdb"
    durability = "no sync per commit; a power loss may damage the file"
    package = "lmdb"
    sync: ClassVar[bool] = False

    def open(self) -> None:
        import lmdb

        self.environment = lmdb.open(str(self.path), map_size=1 << 30, sync=self.sync)
        self.begin = self.environment.begin

    def close(self) -> None:
        self.environment.close()

    def get(self, key: str) -> object:
        with self.begin() as transaction:
            found = transaction.get(key.encode())
        return found and found.decode()

    def save(self, key: str, value: str) -> None:
        with self.begin(write=True) as transaction:
            transaction.put(key.encode(), value.encode())

    def delete(self, key: str) -> None:
        with self.begin(write=True) as transaction:
            transaction.delete(key.encode())

    def save_many(self, pairs: Pairs) -> None:
        with self.begin(write=True) as transaction, transaction.cursor() as cursor:
            cursor.putmulti((key.encode(), value.encode()) for key, value in pairs)

    def incr(self, key: str) -> object:
        with self.begin(write=True) as transaction:
            total = int(transaction.get(key.encode(), b"0")) + 1
            transaction.put(key.encode(), str(total).encode())
        return total

    def get_many(self, keys: list[str]) -> Mapping[str, object]:
        with self.begin() as transaction:
            get = transaction.get
            return {key: (get(key.encode()) or b"").decode() for key in keys}

    def scan(self) -> Pairs:
        with self.begin() as transaction, transaction.cursor() as cursor:
            return [(key.decode(), value.decode()) for key, value in cursor]

    def prefix(self, prefix: str) -> Pairs:
        start = prefix.encode()
        found = []
        with self.begin() as transaction, transaction.cursor() as cursor:
            cursor.set_range(start)
            for key, value in cursor:
                if not key.startswith(start):
                    break
                found.append((key.decode(), value.decode()))
        return found


class BytesLmdbPeer(LmdbPeer):
    """Its own best case: bytes in, bytes out."""

    name = "lmdb bytes"

    def get_each(self, keys: list[bytes]) -> list[object]:
        begin = self.begin
        found: list[object] = []
        for key in keys:
            with begin() as transaction:
                found.append(transaction.get(key))
        return found

    def native(self, text: str) -> bytes:
        return text.encode()


class RocksPeer(Peer):
    name = "rocksdict"
    durability = "write-ahead log, no sync per write"
    package = "rocksdict"
    shared = False
    lacks = frozenset({"incr"})

    def open(self) -> None:
        from rocksdict import Rdict

        self.data = Rdict(str(self.path))
        self.get = self.data.get
        self.save = self.data.__setitem__
        self.delete = self.data.__delitem__

    def close(self) -> None:
        self.data.close()

    def scan(self) -> Pairs:
        return cast("Pairs", self.data.items())

    def save_many(self, pairs: Pairs) -> None:
        from rocksdict import WriteBatch

        batch = WriteBatch()
        for key, value in pairs:
            batch.put(key, value)
        self.data.write(batch)

    def prefix(self, prefix: str) -> Pairs:
        pairs = cast("Pairs", self.data.items(from_key=prefix))
        return takewhile(lambda pair: pair[0].startswith(prefix), pairs)


class DiskcachePeer(Peer):
    name = "diskcache"
    durability = WAL
    package = "diskcache"
    synchronous: ClassVar[int] = 1  # NORMAL
    lacks = frozenset({"prefix"})

    def open(self) -> None:
        from diskcache import Cache

        self.cache = Cache(
            str(self.path),
            timeout=BUSY_MS / 1000,
            eviction_policy="none",
            sqlite_synchronous=self.synchronous,
        )
        self.get = self.cache.get
        self.save = self.cache.set
        self.delete = self.cache.delete
        self.incr = self.cache.incr

    def close(self) -> None:
        self.cache.close()

    def save_many(self, pairs: Pairs) -> None:
        with self.cache.transact():
            for key, value in pairs:
                self.cache.set(key, value)

    def scan(self) -> Pairs:
        return ((key, self.cache[key]) for key in self.cache.iterkeys())


class SqlitedictPeer(Peer):
    name = "sqlitedict"
    durability = WAL
    package = "sqlitedict"
    synchronous: ClassVar[str] = "NORMAL"
    lacks = frozenset({"incr", "prefix"})

    def open(self) -> None:
        from sqlitedict import SqliteDict

        # Text stays text. Its own autocommit returns before anything was written, and its
        # own setting is synchronous=OFF: neither is the promise that is compared here.
        self.data = SqliteDict(
            str(self.path),
            journal_mode="WAL",
            timeout=BUSY_MS // 1000,
            outer_stack=False,
            encode=str,
            decode=str,
        )
        self.data.conn.execute(f"PRAGMA synchronous = {self.synchronous}")
        self.data.conn.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        self.get = self.data.get
        self.scan = self.data.items

    def close(self) -> None:
        self.data.close()

    def save(self, key: str, value: str) -> None:
        self.data[key] = value
        self.data.commit()

    def delete(self, key: str) -> None:
        del self.data[key]
        self.data.commit()

    def save_many(self, pairs: Pairs) -> None:
        self.data.update(pairs)
        self.data.commit()


PEERS: tuple[type[Peer], ...] = (
    KycliPeer,
    UncachedPeer,
    FallbackPeer,
    ApswPeer,
    HistoryPeer,
    SqlitePeer,
    DictPeer,
    MethodPeer,
    LmdbPeer,
    BytesLmdbPeer,
    RocksPeer,
    DiskcachePeer,
    SqlitedictPeer,
)
BY_NAME = {peer.name: peer for peer in PEERS}
VARIANTS = frozenset({UncachedPeer, FallbackPeer, HistoryPeer, MethodPeer, BytesLmdbPeer})
"""Of use in some groups only."""


def offering(operation: str, *variants: type[Peer]) -> list[type[Peer]]:
    """Return the peers that offer an operation, and of the variants only those named."""
    return [
        peer
        for peer in PEERS
        if operation not in peer.lacks and (peer in variants or peer not in VARIANTS)
    ]
