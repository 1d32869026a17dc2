"""Every test has a home directory and a runtime directory of its own, and no server at its end."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from session import bashes
from session.clients import Site, short_directory

from kycli.session import control


@pytest.fixture
def tmp_path(disk_path: Path) -> Path:
    return disk_path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty home directory; the path of a socket may be no longer than some 100 bytes."""
    for name in list(os.environ):
        if name.startswith(("KYCLI_", "XDG_")) or name == "NO_COLOR":
            monkeypatch.delenv(name)
    directory = tmp_path / "home"
    directory.mkdir()
    runtime = tempfile.mkdtemp(prefix="kycli-test-")
    monkeypatch.setenv("HOME", str(directory))
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.chdir(directory)
    yield directory
    shutil.rmtree(runtime, ignore_errors=True)  # servers that end remove their files meanwhile


@pytest.fixture(params=["builtin", "functions"])
def with_and_without_builtin(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run a test of bash twice: without the builtin, the functions do all."""
    monkeypatch.setattr(bashes, "has_builtin", request.param == "builtin")


@pytest.fixture
def database(home: Path) -> Path:
    """Where the default database will be."""
    return home / ".local/share/kycli/kycli.db"


@pytest.fixture
def served(home: Path) -> Iterator[None]:
    """A server of the user's."""
    control.start()
    yield
    control.stop()


@pytest.fixture
def site() -> Iterator[Site]:
    """A copy of the native client, and a directory for the socket of a server."""
    with short_directory() as directory:
        yield Site(directory)
