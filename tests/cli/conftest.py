"""Every test of the command line has a home directory of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cli.harness import Call, call_command, run_program


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory; nothing of the user's own configuration is seen."""
    for name in list(os.environ):
        if name.startswith(("KYCLI_", "XDG_")) or name == "NO_COLOR":
            monkeypatch.delenv(name)
    directory = tmp_path / "home"
    directory.mkdir()
    monkeypatch.setenv("HOME", str(directory))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))  # no server of the user's
    monkeypatch.chdir(directory)
    return directory


@pytest.fixture
def database(home: Path) -> Path:
    """Where the default database will be."""
    return home / ".local/share/kycli/kycli.db"


@pytest.fixture
def run() -> Call:
    """Run an installed program as a process."""
    return run_program


@pytest.fixture
def call() -> Call:
    """Run a command in this process, which is quicker."""
    return call_command
