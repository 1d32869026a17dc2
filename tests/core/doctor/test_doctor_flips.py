"""One bit of a database is another: doctor finds it, or nobody can tell.

What is said once, such as the value of an older change, a process id or what is declared of a
scope, nothing can check; what is of search alone can be made anew.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import apsw
import pytest
from conftest import Clock

from kycli import Kycore
from kycli.errors import KycliError, StorageError

SCOPES = ("default", "shop.prod", "web.pages", "old")
QUERIES = ("apple", "fig", "again", "words", "pear", "tree", "apple 7", "k1*", "once", "cached")
# What of a change is told by nothing else: value, time, expiry, process.
SAID_ONCE: dict[str, Any] = {
    "value": None,
    "timestamp": "",
    "expires_at": None,
    "pid": None,
    "user": None,
}


def fill(path: Path, clock: Clock, keys: int) -> bytes:
    with Kycore(path, clock=clock) as store:
        store.save_many({f"k{n}": f"apple {n}" for n in range(keys)})
        store.save("large", "pear " * 300)
        store.save("bytes", bytes(1500), scope="shop.prod")
        for key, value in enumerate(([1, None], 77, 1.5, True, None, 2**80, {"b": "fig tree"})):
            store.save(f"value {key}", value)
        store.create_cache("web.pages", 500)
        store.save("page", "cached", scope="web.pages")
        store.save("brief", "fig", ttl=10)
        clock.advance(1)
        store.expire("k1", 100_000)
        store.persist("k1")
        store.expire("large", 1_000_000)
        store.delete("k2")
        store.save("k2", "again")
        store.delete("k3")
        clock.advance(20)
        store.save("brief", "once more")
        with store.transaction():
            store.save("k4", "one")
            store.save("k5", "two")
        store.set_scope("old", history_versions=2)
        for number in range(6):
            store.save("v", f"version {number}", scope="old")
        store.search("apple")
    # Written anew, with some pages that are free and one change that the index has not seen.
    tool = apsw.Connection(str(path))
    tool.execute("VACUUM")
    tool.close()
    with Kycore(path, clock=clock) as store:
        store.save("gone", "x" * 30_000)
        store.delete("gone")
        clock.advance(10)
        store.compact(5 / 86_400, vacuum=False)
        store.save("late", "words")
        assert store.check() == []
    return path.read_bytes()


def seen(path: Path, clock: Clock) -> dict[Any, Any]:
    """Return all that a program can see, but for what is said once."""
    found: dict[Any, Any] = {}
    with Kycore(path, clock=clock) as store:
        found["scopes"] = [scope for scope in store.scopes() if list(store.iterkeys(scope=scope))]
        for scope in SCOPES:
            entries = list(store.entries(scope=scope))
            found[scope] = [str(entry) for entry in entries]
            found[scope, "each"] = [str(store.getkey(e.key, scope=scope)) for e in entries]
            for query in QUERIES:
                found[scope, query] = store.search_hits(query, scope=scope)
            changes = list(store.iter_history(scope=scope))
            found[scope, "history"] = [change._replace(**SAID_ONCE) for change in changes]
        for key in ("k3", "k2", "brief", "k1"):
            try:
                found["restored", key] = store.restore(key), store[key]
            except KycliError as error:
                found["restored", key] = str(error)
    return {name: str(value) for name, value in found.items()}


def trees(path: Path) -> dict[int, str]:
    """Return which table or index each page is of, as far as it is of any."""
    tool = apsw.Connection(str(path))
    pages: dict[int, str] = dict(tool.execute("SELECT pageno, name FROM dbstat"))
    tool.close()
    return pages


def put(path: Path, data: bytes | bytearray) -> None:
    for side in ("-wal", "-shm"):
        Path(f"{path}{side}").unlink(missing_ok=True)
    path.write_bytes(data)


def flip(directory: Path, step: int, keys: int, seed: int) -> Counter[tuple[str, str]]:
    clock = Clock()
    path = directory / "flipped.db"
    data = fill(path, clock, keys)
    owners = trees(path)
    put(path, data)
    wanted = seen(path, clock)
    results: Counter[tuple[str, str]] = Counter()
    draw = random.Random(seed)
    for position in range(draw.randrange(step), len(data), step):
        owner = owners.get(position // 4096 + 1, "free")
        changed = bytearray(data)
        changed[position] ^= 1 << draw.randrange(8)
        put(path, changed)
        where = f"{position} ({owner}), {data[position]} to {changed[position]}"
        try:
            with Kycore(path, clock=clock) as store:
                found = store.check()
        except StorageError:  # it cannot even be opened
            assert owner == "sqlite_schema", where
            results[owner, "refused"] += 1
            continue
        put(path, changed)
        if not found:
            assert seen(path, clock) == wanted, where
            results[owner, "the same"] += 1
            continue
        with Kycore(path, clock=clock) as store:
            problems = store.check(repair=True)
            mended = all(problem.repaired for problem in problems)
            if "fts_" in owner or owner == "free":
                assert mended, (where, problems)
            assert mended == (store.check() == []), (where, problems)
        if mended:
            assert seen(path, clock) == wanted, (where, problems)
        results[owner, "mended" if mended else "found"] += 1
    return results


@pytest.mark.damages
def test_a_bit_that_is_another_is_found_or_seen_by_nobody(tmp_path: Path) -> None:
    results = flip(tmp_path, 997, 40, 1)
    for owner in ("kvstore", "audit_log"):
        assert results[owner, "found"] > 0
    for owner in ("fts_docs", "fts_kvstore_data"):
        assert results[owner, "mended"] > 0


@pytest.mark.soak
@pytest.mark.damages
@pytest.mark.parametrize("keys", [40, 2500])
def test_bits_that_are_others_are_found_or_seen_by_nobody(tmp_path: Path, keys: int) -> None:
    seed = int(os.environ.get("KYCLI_SEED", "2"))
    assert sum(flip(tmp_path, 11 * keys // 40, keys, seed).values()) > 10_000
