"""Fixtures for the tests of panes."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> str:
    """The path of a database, as a pane is given it."""
    return str(tmp_path / "kycli.db")
