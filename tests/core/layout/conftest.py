"""A store, and another program that writes to its database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from core.layout.sql_programs import SHELL, Sql, by_python, by_shell

from kycli import Kycore


@pytest.fixture(
    params=[
        pytest.param(
            by_shell,
            marks=pytest.mark.skipif(SHELL is None, reason="the sqlite3 shell is not installed"),
            id="shell",
        ),
        pytest.param(by_python, id="python"),
    ]
)
def sql(request: pytest.FixtureRequest, path: Path) -> Sql:
    """Write to the database as another program does."""
    return lambda script: str(request.param(path, script))


@pytest.fixture
def store(path: Path) -> Iterator[Kycore]:
    """A store of the real time, which is what other programs have, with a warm cache."""
    with Kycore(path) as store:
        for _ in range(20):
            store.getkey("warm")
        yield store
        assert store.check() == []
