"""Fixtures for all tests: a store with a clock that the test turns, and the final check."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import invariants
import pytest

from kycli import Kycore


class Clock:
    """A clock that stands still until it is told to go on; milliseconds."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += round(seconds * 1000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kycli.db"


@pytest.fixture
def store(path: Path, clock: Clock) -> Iterator[Kycore]:
    with Kycore(path, clock=clock) as store:
        yield store


@pytest.fixture(autouse=True)
def _every_database_is_sound(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    """Check each database that a test leaves behind, unless it damages them on purpose."""
    yield
    if request.node.get_closest_marker("damages"):
        return
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    for file in files:
        if os.access(file, os.F_OK) and not os.access(file, os.W_OK):
            file.chmod(0o600)  # a test made it read-only, or its side files were
    for file in files:
        if file.exists() and file.stat().st_size >= 512 and invariants.is_database(file):
            invariants.check(file)
