"""Where files live: the directories of the user, and the path that a text means."""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

import platformdirs
import pytest
from directories import Directories

from kycli.core import location
from kycli.errors import CannotOpenError


@pytest.fixture(autouse=True)
def dirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Directories:
    dirs = Directories(tmp_path)
    dirs.move_in(monkeypatch)
    return dirs


@pytest.mark.skipif(sys.platform == "darwin", reason="XDG directories")
@pytest.mark.parametrize("home", ["/home/ada", "/home/ada/", "/"])
@pytest.mark.parametrize("xdg", [None, "", "relative/dir", "~/dir", "/xdg", "/xdg/", "/x y/ü"])
def test_data_directory_is_that_of_platformdirs(
    home: str, xdg: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", home)
    if xdg is not None:
        monkeypatch.setenv("XDG_DATA_HOME", xdg)
    assert location.data_dir() == platformdirs.user_data_dir("kycli", appauthor=False)


def test_other_systems_directory_is_asked_of_platformdirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(location, "ASK_PLATFORMDIRS", True)
    monkeypatch.setattr(platformdirs, "user_data_dir", lambda name, appauthor: f"data of {name}")
    assert location.data_dir() == "data of kycli"


@pytest.mark.parametrize("home", [None, "", "relative"])
def test_home_comes_from_the_password_file_when_the_variable_is_no_use(
    home: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if home is None:
        monkeypatch.delenv("HOME")
    else:
        monkeypatch.setenv("HOME", home)
    expected = pwd.getpwuid(os.getuid()).pw_dir
    assert location.home_dir() == expected
    assert location.data_dir() == os.path.join(expected, ".local/share/kycli")


def test_user_without_a_home_is_told_what_to_set(
    dirs: Directories, monkeypatch: pytest.MonkeyPatch
) -> None:
    dirs.vanish_home(monkeypatch)
    assert location.home_dir() is None
    with pytest.raises(CannotOpenError, match="no home directory") as caught:
        location.default_database()[0]
    assert caught.value.hint is not None
    assert "HOME" in caught.value.hint
    with pytest.raises(CannotOpenError, match="home directory"):
        location.resolve_db_path("~/x.db")
    monkeypatch.setenv("XDG_DATA_HOME", "/xdg")
    assert location.default_database()[0] == "/xdg/kycli/kycli.db"


def test_default_database_is_named_by_the_variable_or_in_the_data_directory(
    dirs: Directories, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = str(dirs.home / ".local/share/kycli/kycli.db")
    assert location.default_database()[0] == inside
    monkeypatch.setenv("KYCLI_DB_PATH", "")
    assert location.default_database()[0] == inside
    monkeypatch.setenv("KYCLI_DB_PATH", str(dirs.work))
    assert location.default_database()[0] == str(dirs.work / "kycli.db")
    monkeypatch.setenv("KYCLI_DB_PATH", "~/mine.sqlite")
    assert location.default_database()[0] == str(dirs.home / "mine.sqlite")


def test_database_path_is_a_file_or_a_directory_that_holds_one(dirs: Directories) -> None:
    resolve = location.resolve_db_path
    assert resolve("x.db") == str(dirs.work / "x.db")
    assert resolve(str(dirs.home)) == str(dirs.home / "kycli.db")
    assert resolve("missing/") == str(dirs.work / "missing" / "kycli.db")
    assert resolve("missing") == str(dirs.work / "missing")
    assert resolve("~") == str(dirs.home / "kycli.db")
    assert resolve("~/x") == str(dirs.home / "x")
    assert resolve("./~x") == f"{dirs.work}/./~x"
    assert resolve(" x.db ") == str(dirs.work / " x.db ")
    assert resolve(":memory:") == ":memory:"
    me = pwd.getpwuid(os.getuid())
    assert resolve(f"~{me.pw_name}/x.db") == os.path.join(me.pw_dir, "x.db")


@pytest.mark.parametrize("text", ["", "a\0b", "a\udcff", "~no-such-user-here/x.db"])
def test_path_that_no_database_can_have_is_refused(text: str) -> None:
    with pytest.raises(CannotOpenError) as caught:
        location.resolve_db_path(text)
    assert caught.value.hint


def test_relative_path_in_a_removed_directory_is_refused(dirs: Directories) -> None:
    dirs.work.rmdir()
    with pytest.raises(CannotOpenError, match=r"x\.db: the working directory"):
        location.resolve_db_path("x.db")


def test_dots_are_left_to_the_system_because_of_links(dirs: Directories) -> None:
    (dirs.root / "elsewhere" / "deep").mkdir(parents=True)
    (dirs.work / "link").symlink_to(dirs.root / "elsewhere" / "deep")
    path = location.resolve_db_path("link/../x.db")
    Path(path).touch()
    assert (dirs.root / "elsewhere" / "x.db").exists()
