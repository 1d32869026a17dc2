"""Empty user directories for each test of the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from places import Places


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    places = Places(tmp_path)
    places.move_in(monkeypatch)
    return places
