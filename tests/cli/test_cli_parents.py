"""A config of a parent directory, as the commands see it."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli.harness import Call


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The config of a directory that anybody may write to; the test is in one below it."""
    config = tmp_path / "shared" / ".kyclirc"
    (config.parent / "mine").mkdir(parents=True)
    config.write_text("current_scope = 'theirs'\n")
    config.chmod(0o666)
    monkeypatch.chdir(config.parent / "mine")
    return config


def test_one_word_is_said_about_a_config_that_is_ignored(call: Call, shared: Path) -> None:
    said = f"kycli: {shared} is ignored: others may write it; to obey it, name it in KYCLI_CONFIG\n"
    assert call("kys", "k", "1") == (0, b"", said)
    assert call("kyg", "k", "k") == (0, b"1\n1\n", said)
    assert call("kyg", "-q", "k").err == ""
    assert call("kycli", "get", "k", "--scope", "theirs").code == 2
    assert call("kycli", "config", "path").err.startswith(said)


def test_settings_are_not_saved_to_it(call: Call, shared: Path, home: Path) -> None:
    done = call("kycli", "use", "mine")
    assert done.err.splitlines()[0].startswith(f"kycli: {shared} is ignored")
    assert "written to ~/.config/kycli/config.json" in done.err
    assert call("kycli", "config", "set", "durability", "full").err.count("is ignored") == 1
    assert call("kycli", "config", "unset", "durability").err.count("is ignored") == 1
    assert shared.read_text() == "current_scope = 'theirs'\n"
    assert call("kycli", "use").out == b"mine\n"


def test_a_hostile_name_is_shown_escaped(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "a\x1b[31m\nb"
    directory.mkdir()
    (directory / ".kyclirc").touch(0o666)
    (directory / ".kyclirc").chmod(0o666)
    monkeypatch.chdir(directory)
    said = call("kyg", "k").err
    assert "\x1b" not in said
    assert "\\x1b[31m\\nb/.kyclirc is ignored" in said


def test_it_holds_for_what_is_below_it(
    call: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "project/src").mkdir(parents=True)
    (home / "project/.kyclirc").write_text("db_path = 'p.db'\ncurrent_scope = 'p'\n")
    monkeypatch.chdir(home / "project/src")
    assert call("kys", "k", "1") == (0, b"", "")
    assert (home / "project/p.db").exists()
    assert call("kycli", "use", "q").err.endswith("written to ~/project/.kyclirc\n")
