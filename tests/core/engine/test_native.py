"""Statements of the engine's own, beside those that APSW executes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from kycli import Kycore
from kycli.core import storage


@pytest.fixture
def executed() -> Iterator[list[str]]:
    """What APSW itself executes on the connections that are opened from now on."""
    seen: list[str] = []

    def trace(cursor: apsw.Cursor, sql: str, bindings: object) -> bool:
        seen.append(sql)
        return True

    def watch(connection: apsw.Connection) -> None:
        connection.exec_trace = trace

    apsw.connection_hooks.append(watch)
    yield seen
    apsw.connection_hooks.remove(watch)


@pytest.mark.parametrize("native", [True, False])
def test_the_switch_decides_who_executes_what_is_hot(
    path: Path, executed: list[str], native: bool
) -> None:
    storage._use_native_statements(native)
    try:
        with Kycore(path, cache_entries=0) as store:
            for _ in range(20):
                store.getkey("k")  # sets up the statements
            executed.clear()
            store.save("k", "v")
            store.save("k", "w")
            assert (store.getkey("k"), store.getkey("missing")) == ("w", None)
    finally:
        storage._use_native_statements(True)
    hot = [sql for sql in executed if "INTO kvstore" in sql or "kind, k.expires_at" in sql]
    assert len(hot) == (0 if native else 4)
