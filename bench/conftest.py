"""Stores and peers for the benchmarks; each peer has the same durability as the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from workload import KEYS, VALUE

from kycli import Kycore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Kycore]:
    """A store of 10,000 keys."""
    with Kycore(tmp_path / "kycli.db") as store:
        store.save_many((key, VALUE) for key in KEYS)
        yield store


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[apsw.Connection]:
    """The same keys in a plain table: WAL, synchronous=NORMAL, no history, no scopes."""
    connection = apsw.Connection(str(tmp_path / "bare.db"))
    connection.pragma("journal_mode", "wal")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("CREATE TABLE kv (key TEXT PRIMARY KEY, value)")
    with connection:
        connection.executemany("INSERT INTO kv VALUES (?, ?)", [(key, VALUE) for key in KEYS])
    yield connection
    connection.close()
