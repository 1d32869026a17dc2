"""Configs of parent directories, and whose are obeyed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from directories import Directories, write

from kycli.config import find_config, load_config, save_config, trust
from kycli.errors import ConfigError


@pytest.fixture
def deep(dirs: Directories, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory below the working directory, and below nothing else."""
    directory = dirs.work / "a" / "b" / "c"
    directory.mkdir(parents=True)
    monkeypatch.chdir(directory)
    return directory


def test_the_nearest_config_holds(dirs: Directories, deep: Path) -> None:
    write(dirs.user_file, '{"current_scope": "user"}')
    write(dirs.home / ".kyclirc", "current_scope = 'home'\n")
    assert load_config().current_scope == "home"
    for path in (
        dirs.work / ".kyclirc.json",
        dirs.work / ".kyclirc",
        deep.parent / ".kyclirc.json",
        deep / ".kyclirc",
    ):
        write(path, '{"current_scope": "near"}')
        assert find_config() == load_config().source == str(path)


def test_only_the_nearest_counts_and_paths_are_relative_to_it(
    dirs: Directories, deep: Path
) -> None:
    write(dirs.work / ".kyclirc", "ns_delim = '/'\n")
    write(deep.parent / ".kyclirc", "db_path = 'x.db'\n")
    config = load_config()
    assert (config.ns_delim, config.db_path) == (".", str(deep.parent / "x.db"))


def test_the_home_ends_the_search(
    dirs: Directories, deep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(dirs.work / ".kyclirc", "current_scope = 'above'\n")
    monkeypatch.setenv("HOME", str(deep.parent))
    assert find_config() is None
    monkeypatch.setenv("HOME", f"{deep.parent}/")
    assert find_config() is None
    path = write(deep.parent / ".kyclirc", "current_scope = 'home'\n")
    assert find_config() == str(path)
    monkeypatch.setenv("HOME", "/no/such")
    path.unlink()
    assert find_config() == str(dirs.work / ".kyclirc")


def test_a_setting_is_saved_to_the_file_in_effect(dirs: Directories, deep: Path) -> None:
    path = write(dirs.work / ".kyclirc", "# ours\n")
    assert save_config("current_scope", "alpha") == str(path)
    assert path.read_text() == '# ours\ncurrent_scope = "alpha"\n'


@pytest.mark.parametrize("directory", ["/", "/usr/share"])
def test_the_root_has_a_parent_in_name_only(
    dirs: Directories, directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(directory)
    assert find_config() is None


def test_a_working_directory_that_is_gone_has_no_parents(
    dirs: Directories, deep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(dirs.work / ".kyclirc", "current_scope = 'above'\n")
    deep.rmdir()
    assert find_config() is None


# Whose


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        (0o600, ""),
        (0o644, ""),
        (0o666, "others may write it"),
        (0o602, "others may write it"),
        (0o664, "its group may write it"),
    ],
)
def test_what_others_may_write_is_ignored(
    dirs: Directories, deep: Path, mode: int, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "_is_private_group", lambda group, user: False)
    path = write(deep.parent / ".kyclirc", "current_scope = 'taken'\n")
    safe = write(dirs.work / ".kyclirc", "current_scope = 'ours'\n")
    path.chmod(mode)
    config = load_config()
    found: list[tuple[str, str]] = []
    find_config(found)
    assert config.distrusted == tuple(found)
    if reason:
        assert config.distrusted == ((str(path), reason),)
        assert config.source == find_config() == str(safe)
    else:
        assert config.distrusted == ()
        assert config.source == str(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_belongs_to_others_is_ignored(
    dirs: Directories, deep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(deep / ".kyclirc", "current_scope = 'taken'\n")
    os.chown(path, 12345, -1)
    assert find_config() is None
    assert load_config().distrusted == ((str(path), "it belongs to another user"),)
    monkeypatch.setenv("SUDO_UID", "12345")
    assert find_config() == str(path)
    monkeypatch.delenv("SUDO_UID")
    monkeypatch.setenv("KYCLI_CONFIG", str(path))
    assert load_config().current_scope == "taken"
    assert load_config().distrusted == ()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_link_of_another_user_is_ignored(dirs: Directories, deep: Path) -> None:
    own = write(dirs.work / "notes.toml", "current_scope = 'x'\n")
    link = deep / ".kyclirc"
    link.symlink_to(own)
    assert find_config() == str(link)
    os.chown(link, 12345, -1, follow_symlinks=False)
    assert load_config().distrusted == ((str(link), "it belongs to another user"),)
    link.unlink()
    link.symlink_to(own)
    os.chown(own, 12345, -1)
    assert find_config() is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_home_is_the_users_own(
    dirs: Directories, deep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs that manage home directories link to files of root."""
    path = write(dirs.home / ".kyclirc", "current_scope = 'home'\n")
    os.chown(path, 12345, -1)
    assert find_config() == str(path)
    monkeypatch.chdir(dirs.home)
    assert find_config() == str(path)
    link = dirs.root / "link"
    link.symlink_to(dirs.home)
    monkeypatch.setenv("HOME", str(link))
    assert load_config().distrusted == ()
    assert find_config() == str(path)


def test_a_group_of_ones_own_is_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    import grp
    import pwd

    owner = pwd.struct_passwd(("ada", "x", 7, 8, "", "/", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: owner)

    def private(name: str, number: int, members: list[str]) -> bool:
        entry = grp.struct_group((name, "x", number, members))
        monkeypatch.setattr(grp, "getgrgid", lambda gid: entry)
        return trust._is_private_group(number, 7)

    assert private("ada", 8, [])
    assert private("ada", 8, ["ada"])
    assert not private("ada", 8, ["ada", "bob"])
    assert not private("staff", 8, [])
    assert not private("ada", 9, [])


def test_what_is_no_file_is_an_error_that_names_it(dirs: Directories, deep: Path) -> None:
    (dirs.work / ".kyclirc").mkdir()
    with pytest.raises(ConfigError, match=r"work/.kyclirc: .*irectory"):
        load_config()
