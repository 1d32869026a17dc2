"""Stores that promise more than ``durability="normal"`` does, and stores that promise less."""

from __future__ import annotations

import time
from typing import Any

from peers.stores import (
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

SYNCED = "each commit is synced to the disk"
LATER = "acknowledged before the commit"


def synced(peer: type[Peer], **settings: object) -> type[Peer]:
    """Return a peer that syncs each commit, by the attributes that make it do so."""
    attributes = {"name": f"{peer.name} full", "durability": SYNCED, **settings}
    return type(f"Full{peer.__name__}", (peer,), attributes)


class OptionedRocks(RocksPeer):
    """rocksdict, with an option of its writes set."""

    name = "rocksdict unlogged"
    durability = "kept in memory until there are 64 MB"
    option = "disable_wal"

    def open(self) -> None:
        from rocksdict import WriteOptions

        super().open()
        options: Any = WriteOptions()
        setattr(options, self.option, True)
        self.data.set_write_options(options)


class AsyncKycli(KycliPeer):
    name = "kycli async"
    durability = f"{LATER}, by 20 ms and 500 saves at most"
    promise = "async"


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


class AsyncSqlitedict(SqlitedictPeer):
    """Its ``autocommit``: a thread of its own commits each save some time later."""

    name = "sqlitedict async"
    durability = f"{LATER}, with no bound"

    def save(self, key: str, value: str) -> None:
        self.data[key] = value
        self.data.conn.commit(blocking=False)


FULL: list[type[Peer]] = [
    synced(KycliPeer, promise="full"),
    synced(ApswPeer, synchronous="FULL"),
    synced(SqlitePeer, synchronous="FULL"),
    synced(LmdbPeer, sync=True),
    synced(OptionedRocks, name="rocksdict full", option="sync"),
    synced(DiskcachePeer, synchronous=2),
    synced(SqlitedictPeer, synchronous="FULL"),
]
ASYNC: list[type[Peer]] = [KycliPeer, AsyncKycli, BatchedApsw, OptionedRocks, AsyncSqlitedict]
