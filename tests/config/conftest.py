"""Empty user directories for each test of the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from directories import Directories


@pytest.fixture(autouse=True)
def dirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Directories:
    dirs = Directories(tmp_path)
    dirs.move_in(monkeypatch)
    return dirs
