"""The layouts that are compared: each keeps what is saved, and the history where it has one."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.workload import KEYS, value
from layouts import CHECKPOINTS, PAGES, TABLES, Candidate, Layout


@pytest.mark.parametrize("layout", TABLES + PAGES + CHECKPOINTS, ids=lambda layout: layout.name)
def test_a_layout_keeps_what_is_saved(layout: Layout, tmp_path: Path) -> None:
    candidate = Candidate(layout, tmp_path / "layout.db")
    pairs = [(KEYS[3], value(KEYS[3], 1)), ("new", value("new")), (KEYS[3], value(KEYS[3], 2))]
    took: list[float] = []
    candidate.save(pairs, took)
    rows = dict(candidate.execute("SELECT key, value FROM kv"))
    assert rows == {key: value(key) for key in KEYS} | dict(pairs)
    if any("TABLE log" in table for table in layout.tables):
        log = candidate.execute("SELECT key, value FROM log WHERE id > 10000 ORDER BY id")
        assert log.fetchall() == pairs
    assert candidate.connection.pragma("page_size") == layout.page_size
    assert len(took) == 3
    candidate.close()
