"""Every test of the shell has a home directory and a database of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from shell.terminals import Terminal

from kycli import Kycore

Start = Callable[..., Terminal]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory; nothing of the user's own configuration is seen."""
    for name in list(os.environ):
        if name.startswith(("KYCLI_", "XDG_")) or name in ("NO_COLOR", "PAGER", "LESS"):
            monkeypatch.delenv(name)
    directory = tmp_path / "home"
    directory.mkdir()
    monkeypatch.setenv("HOME", str(directory))
    monkeypatch.chdir(directory)
    return directory


@pytest.fixture
def database(home: Path) -> Path:
    path = home / ".local/share/kycli/kycli.db"
    path.parent.mkdir(parents=True)
    return path


@pytest.fixture
def store(database: Path) -> Iterator[Kycore]:
    with Kycore(database) as kv:
        yield kv


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a shell on a terminal, and wait for its prompt."""
    started: list[Terminal] = []

    def begin(*arguments: str, waits: str = r"^\[Scope: .*keys?\b", **options: object) -> Terminal:
        terminal = Terminal("kyshell", *arguments, **options)  # type: ignore[arg-type]
        started.append(terminal)
        terminal.wait(waits)
        return terminal

    yield begin
    for terminal in started:
        terminal.end()
