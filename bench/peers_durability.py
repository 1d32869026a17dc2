"""Stores that promise more than ``durability="normal"`` does, and stores that promise less."""

from __future__ import annotations

import time
from typing import Any

from peers import (
    UPSERT,
    ApswPeer,
    DiskcachePeer,
    KycliPeer,
    LmdbPeer,
    Pairs,
    Peer,
    RocksPeer,
    SqlitedictPeer,
    SqlitePeer,
)

from kycli import Kycore

SYNCED = "each commit is synced to the disk"
LATER = "acknowledged before the commit"


class FullKycli(KycliPeer):
    name = "kycli full"
    durability = SYNCED
    promise = "full"


class FullApsw(ApswPeer):
    name = "apsw full"
    durability = SYNCED
    synchronous = "FULL"


class FullSqlite(SqlitePeer):
    name = "sqlite3 full"
    durability = SYNCED
    synchronous = "FULL"


class FullLmdb(LmdbPeer):
    name = "lmdb full"
    durability = SYNCED
    sync = True


class FullRocks(RocksPeer):
    name = "rocksdict full"
    durability = SYNCED

    def open(self) -> None:
        from rocksdict import WriteOptions

        super().open()
        options = WriteOptions()
        options.sync = True
        self.data.set_write_options(options)


class FullDiskcache(DiskcachePeer):
    name = "diskcache full"
    durability = SYNCED
    synchronous = 2  # FULL


class FullSqlitedict(SqlitedictPeer):
    name = "sqlitedict full"
    durability = SYNCED
    synchronous = "FULL"


class AsyncKycli(KycliPeer):
    name = "kycli async"
    durability = f"{LATER}, by 20 ms and 500 saves at most"
    promise = "async"

    @classmethod
    def installed(cls) -> bool:
        return hasattr(Kycore, "flush")


class BatchedApsw(ApswPeer):
    """What a program would write by hand: a transaction that is committed now and then.

    It holds the write lock of all processes meanwhile, and is committed by saves alone.
    """

    name = "apsw batched"
    durability = f"{LATER}, by 20 ms and 500 saves; holds the write lock"
    rows = 0
    since = 0.0

    def save(self, key: str, value: str) -> None:
        if self.rows == 0:
            self.execute("BEGIN IMMEDIATE")
            self.since = time.monotonic()
        self.execute(UPSERT, (key, value))
        self.rows += 1
        if self.rows == 500 or time.monotonic() - self.since > 0.02:
            self.commit()

    def commit(self) -> None:
        if self.rows:
            self.execute("COMMIT")
            self.rows = 0

    def save_many(self, pairs: Pairs) -> None:
        self.commit()
        super().save_many(pairs)

    def close(self) -> None:
        self.commit()
        super().close()


class AsyncRocks(RocksPeer):
    name = "rocksdict unlogged"
    durability = "kept in memory until there are 64 MB"

    def open(self) -> None:
        from rocksdict import WriteOptions

        super().open()
        options: Any = WriteOptions()  # its own types are wrong about this
        options.disable_wal = True
        self.data.set_write_options(options)


class AsyncSqlitedict(SqlitedictPeer):
    """Its ``autocommit``: a thread of its own commits each save some time later."""

    name = "sqlitedict async"
    durability = f"{LATER}, with no bound"

    def save(self, key: str, value: str) -> None:
        self.data[key] = value
        self.data.conn.commit(blocking=False)


FULL: list[type[Peer]] = [
    FullKycli, FullApsw, FullSqlite, FullLmdb, FullRocks, FullDiskcache, FullSqlitedict,
]  # fmt: skip
ASYNC: list[type[Peer]] = [KycliPeer, AsyncKycli, BatchedApsw, AsyncRocks, AsyncSqlitedict]
