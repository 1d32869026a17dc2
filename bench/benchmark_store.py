"""The data plane, operation by operation, each beside bare APSW in the same run."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import apsw
import pytest
from workload import KEYS, VALUE

from kycli import Kycore

UPSERT = "INSERT INTO kv VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
numbers = itertools.count()


@pytest.mark.benchmark(group="get")
def test_get_kycli(benchmark: Any, store: Kycore) -> None:
    keys = itertools.cycle(KEYS)
    assert benchmark(lambda: store.getkey(next(keys))) == VALUE


@pytest.mark.benchmark(group="get")
def test_get_bare_apsw(benchmark: Any, bare: apsw.Connection) -> None:
    keys = itertools.cycle(KEYS)
    sql = "SELECT value FROM kv WHERE key = ?"
    assert benchmark(lambda: bare.execute(sql, (next(keys),)).get) == VALUE


@pytest.mark.benchmark(group="save over")
def test_save_over_kycli(benchmark: Any, store: Kycore) -> None:
    keys = itertools.cycle(KEYS)
    assert benchmark(lambda: store.save(next(keys), f"{next(numbers):060}")) == "overwritten"


@pytest.mark.benchmark(group="save over")
def test_save_over_bare_apsw(benchmark: Any, bare: apsw.Connection) -> None:
    keys = itertools.cycle(KEYS)
    benchmark(lambda: bare.execute(UPSERT, (next(keys), f"{next(numbers):060}")))


@pytest.mark.benchmark(group="save new")
def test_save_new_kycli(benchmark: Any, store: Kycore) -> None:
    assert benchmark(lambda: store.save(f"new:{next(numbers)}", VALUE)) == "created"


@pytest.mark.benchmark(group="save new")
def test_save_new_bare_apsw(benchmark: Any, bare: apsw.Connection) -> None:
    benchmark(lambda: bare.execute(UPSERT, (f"new:{next(numbers)}", VALUE)))


@pytest.mark.benchmark(group="save many (10,000 rows)")
def test_save_many_kycli(benchmark: Any, store: Kycore) -> None:
    pairs = [(key, VALUE) for key in KEYS]
    assert benchmark(lambda: store.save_many(pairs, scope=f"s{next(numbers)}")) == len(KEYS)


@pytest.mark.benchmark(group="save many (10,000 rows)")
def test_save_many_bare_apsw(benchmark: Any, bare: apsw.Connection) -> None:
    def fill() -> None:
        prefix = next(numbers)
        with bare:
            bare.executemany(UPSERT, [(f"{prefix}{key}", VALUE) for key in KEYS])

    benchmark(fill)


@pytest.mark.benchmark(group="delete and save")
def test_delete_kycli(benchmark: Any, store: Kycore) -> None:
    def work() -> bool:
        store.save("gone", VALUE)
        return store.delete("gone")

    assert benchmark(work) is True


@pytest.mark.benchmark(group="delete and save")
def test_delete_bare_apsw(benchmark: Any, bare: apsw.Connection) -> None:
    def work() -> None:
        bare.execute(UPSERT, ("gone", VALUE))
        bare.execute("DELETE FROM kv WHERE key = ?", ("gone",))

    benchmark(work)


@pytest.mark.benchmark(group="incr")
def test_incr_kycli(benchmark: Any, store: Kycore) -> None:
    assert benchmark(lambda: store.incr("n")) == store["n"]


@pytest.mark.benchmark(group="incr")
def test_incr_bare_apsw(benchmark: Any, bare: apsw.Connection) -> None:
    sql = (
        "INSERT INTO kv VALUES ('n', 1) "
        "ON CONFLICT (key) DO UPDATE SET value = value + 1 RETURNING value"
    )
    benchmark(lambda: bare.execute(sql).get)


@pytest.mark.benchmark(group="scan (10,000 rows)")
def test_scan_kycli(benchmark: Any, store: Kycore) -> None:
    assert benchmark(lambda: sum(1 for _ in store.scan("user:"))) == len(KEYS)


@pytest.mark.benchmark(group="scan (10,000 rows)")
def test_scan_bare_apsw(benchmark: Any, bare: apsw.Connection) -> None:
    sql = "SELECT key, value FROM kv WHERE key >= 'user:' AND key < 'user;' ORDER BY key"
    assert benchmark(lambda: sum(1 for _ in bare.execute(sql))) == len(KEYS)


@pytest.mark.benchmark(group="open and close")
def test_open_kycli(benchmark: Any, store: Kycore) -> None:
    benchmark(lambda: Kycore(store.path).close())


@pytest.mark.benchmark(group="open and close")
def test_open_bare_apsw(benchmark: Any, bare: apsw.Connection, tmp_path: Path) -> None:
    def work() -> None:
        connection = apsw.Connection(str(tmp_path / "bare.db"))
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.pragma("user_version")
        connection.close()

    benchmark(work)
