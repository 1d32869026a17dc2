"""The config: which file counts, what it may say, and what goes before what."""

from __future__ import annotations

import json
import os
import sys
from typing import NoReturn

import platformdirs
import pytest
from directories import FULL, FULL_TOML, Directories, said, write

from kycli import config as config_module
from kycli.config import (
    Config,
    config_dir,
    current_scope,
    database_path,
    find_config,
    load_config,
    save_config,
)
from kycli.errors import CannotOpenError, ConfigError, InvalidScopeError

# Which file is in effect.


def test_first_config_that_exists_is_in_effect(
    dirs: Directories, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_config() is None
    text = '{"current_scope": "here"}'
    for path in (
        dirs.user_file,
        dirs.home / ".kyclirc.json",
        dirs.home / ".kyclirc",
        dirs.work / ".kyclirc.json",
        dirs.work / ".kyclirc",
    ):
        write(path, text)
        assert find_config() == str(path)
        assert load_config().source == str(path)
    named = write(dirs.root / "named.json", text)
    monkeypatch.setenv("KYCLI_CONFIG", str(named))
    assert find_config() == str(named)
    monkeypatch.setenv("KYCLI_CONFIG", "")
    assert find_config() == str(dirs.work / ".kyclirc")


@pytest.mark.skipif(sys.platform == "darwin", reason="XDG directories")
@pytest.mark.parametrize("xdg", [None, "", "relative/dir", "~/dir", "/xdg", "/xdg/", "/x y/ü"])
def test_config_directory_is_that_of_platformdirs(
    xdg: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if xdg is not None:
        monkeypatch.setenv("XDG_CONFIG_HOME", xdg)
    assert config_dir() == platformdirs.user_config_dir("kycli", appauthor=False)


def test_other_systems_directory_is_asked_of_platformdirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_module, "ASK_PLATFORMDIRS", True)
    monkeypatch.setattr(platformdirs, "user_config_dir", lambda name, appauthor: f"for {name}")
    assert config_dir() == "for kycli"


def test_user_file_is_where_xdg_says(dirs: Directories, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(dirs.root / "xdg" / "kycli" / "config.json", "{}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(dirs.root / "xdg"))
    assert find_config() == str(path)


def test_named_config_counts_alone_even_before_it_exists(
    dirs: Directories, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(dirs.work / ".kyclirc", 'current_scope = "here"\n')
    monkeypatch.setenv("KYCLI_CONFIG", str(dirs.root / "new" / "config"))
    assert load_config().source is None
    assert current_scope(load_config()) == ("default", "default")
    path = save_config("current_scope", "alpha")
    assert path == str(dirs.root / "new" / "config")
    assert current_scope(load_config()) == ("alpha", path)


def test_named_config_may_be_relative_or_in_the_home(
    dirs: Directories, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KYCLI_CONFIG", "my.toml")
    assert save_config("current_scope", "alpha") == str(dirs.work / "my.toml")
    monkeypatch.setenv("KYCLI_CONFIG", "~/my.toml")
    assert save_config("current_scope", "beta") == str(dirs.home / "my.toml")
    assert load_config().current_scope == "beta"
    monkeypatch.setenv("KYCLI_CONFIG", "~no-such-user-here/x")
    with pytest.raises(ConfigError, match="KYCLI_CONFIG: "):
        load_config()


def test_user_without_a_home_has_no_config_of_his_own(
    dirs: Directories, monkeypatch: pytest.MonkeyPatch
) -> None:
    dirs.vanish_home(monkeypatch)
    assert load_config().source is None
    with pytest.raises(ConfigError, match="no home directory"):
        save_config("current_scope", "alpha")


def test_removed_working_directory_has_no_config(dirs: Directories) -> None:
    dirs.work.rmdir()
    assert load_config().source is None


def test_nothing_is_opened_where_no_config_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: object) -> NoReturn:
        pytest.fail("a file was opened")

    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", opened)
        config = load_config()
    assert (config.source, config.given) == (None, ())


# What a config says.


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(FULL),
        "\n\t " + json.dumps(FULL, indent=4) + "\r\n",
        "\ufeff" + json.dumps(FULL),
        FULL_TOML,
        "\ufeff" + FULL_TOML,
        FULL_TOML.replace("\n", "\r\n"),
        FULL_TOML.rstrip(),
        FULL_TOML + "[other]\ncurrent_scope = 'of another program'\n",
        FULL_TOML.replace("'alpha.users'", '"\\u0061lpha.users"'),
        FULL_TOML.replace("250", "0xfa"),
    ],
)
def test_config_is_read(dirs: Directories, text: str) -> None:
    path = write(dirs.work / ".kyclirc", text)
    config = load_config()
    assert said(config) == FULL
    assert config.given == tuple(FULL)
    assert all(config.origin(name) == str(path) for name in FULL)


@pytest.mark.parametrize("text", ["", " \n", "\ufeff", "{}", "# nothing\n", '{"theme": [1.0]}'])
def test_config_that_says_nothing_leaves_the_defaults(dirs: Directories, text: str) -> None:
    path = write(dirs.work / ".kyclirc", text)
    config = load_config()
    assert said(config) == said(Config())
    assert config.source == str(path)
    assert config.origin("durability") == "default"


def test_defaults() -> None:
    assert said(Config()) == {
        "db_path": None,
        "current_scope": None,
        "ns_delim": ".",
        "durability": "normal",
        "busy_timeout_ms": 5000,
        "shell_keys": "emacs",
        "shell_pager": "on",
    }


def test_null_device_is_an_empty_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KYCLI_CONFIG", os.devnull)
    assert said(load_config()) == said(Config())


def test_null_is_not_set_and_unknown_keys_are_ignored(dirs: Directories) -> None:
    write(dirs.work / ".kyclirc", '{"db_path": null, "theme": {"db_path": 1}, "durability":"full"}')
    config = load_config()
    assert config.db_path is None
    assert config.given == ("durability",)
    assert config.ignored == ("theme",)


def test_scope_of_a_config_is_made_canonical(dirs: Directories) -> None:
    write(dirs.work / ".kyclirc", 'current_scope = "alpha.default"')
    assert load_config().current_scope == "alpha"


def test_database_of_a_config_is_relative_to_its_directory(dirs: Directories) -> None:
    for text, path in (
        ("data/x.db", f"{dirs.home}/data/x.db"),
        ("../x.db", f"{dirs.home}/../x.db"),
        ("~/x.db", f"{dirs.home}/x.db"),
        ("/abs/x.db", "/abs/x.db"),
        ("data/", f"{dirs.home}/data/kycli.db"),
        (".", f"{dirs.home}/./kycli.db"),
        (":memory:", ":memory:"),
    ):
        write(dirs.home / ".kyclirc", json.dumps({"db_path": text}))
        assert database_path(load_config())[0] == path


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("db_path", 5, "text, not a number"),
        ("db_path", "", "path is empty"),
        ("db_path", "a\0b", "cannot be the path"),
        ("db_path", ["x"], "text, not a list"),
        ("current_scope", True, "text, not true or false"),
        ("current_scope", {}, "text, not a table"),
        ("current_scope", "a b", "bad project name 'a b'"),
        ("current_scope", "a.b.c", "more than two parts"),
        ("current_scope", "", "empty project name"),
        ("ns_delim", "", "cannot be the delimiter"),
        ("ns_delim", "ab", "cannot be the delimiter"),
        ("ns_delim", "_", "cannot be the delimiter"),
        ("ns_delim", 1, "text, not a number"),
        ("durability", "FULL", "'FULL' is not a durability"),
        ("durability", "async", "'async' is not a durability"),  # no use to a command
        ("durability", True, "true is not a durability"),
        ("durability", [1], "a list is not a durability"),
        ("busy_timeout_ms", "5", "'5' is not a timeout"),
        ("busy_timeout_ms", 5.0, "5.0 is not a timeout"),
        ("busy_timeout_ms", -1, "-1 is not a timeout"),
        ("busy_timeout_ms", True, "true is not a timeout"),
        ("busy_timeout_ms", 2**31, "is not a timeout"),
    ],
)
def test_bad_value_names_file_line_and_setting(
    dirs: Directories, name: str, value: object, words: str
) -> None:
    path = write(dirs.work / ".kyclirc", json.dumps({"theme": 1, name: value}, indent=1))
    with pytest.raises(ConfigError) as caught:
        load_config()
    assert str(caught.value).startswith(f"{path}, line 3: {name}: ")
    assert words in str(caught.value)
    assert caught.value.hint


def test_line_is_left_out_where_it_is_not_certain(dirs: Directories) -> None:
    path = write(
        dirs.work / ".kyclirc", "durability = 5\n[other]\ndurability = 'of another program'\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_config()
    assert str(caught.value).startswith(f"{path}: durability: ")


def test_date_in_a_config_is_refused_by_its_name(dirs: Directories) -> None:
    write(dirs.work / ".kyclirc", "current_scope = 1979-05-27\n")
    with pytest.raises(ConfigError, match="text, not a date"):
        load_config()
    write(dirs.work / ".kyclirc", "durability = 1979-05-27\n")
    with pytest.raises(ConfigError, match="durability: a date is not a durability"):
        load_config()


def test_number_that_cannot_be_printed_is_no_waiting_time(dirs: Directories) -> None:
    write(dirs.work / ".kyclirc", f"busy_timeout_ms = 0x{'9' * 5000}")
    with pytest.raises(ConfigError, match=r"busy_timeout_ms: .* is not a timeout"):
        load_config()


# What counts, and where it comes from.


def test_current_scope_by_precedence(dirs: Directories, monkeypatch: pytest.MonkeyPatch) -> None:
    assert current_scope(load_config()) == ("default", "default")
    path = write(dirs.work / ".kyclirc", 'current_scope = "from-file"\n')
    assert current_scope(load_config()) == ("from-file", str(path))
    monkeypatch.setenv("KYCLI_SCOPE", "")
    assert current_scope(load_config()) == ("from-file", str(path))
    monkeypatch.setenv("KYCLI_SCOPE", "from.variable")
    assert current_scope(load_config()) == ("from.variable", "KYCLI_SCOPE")
    monkeypatch.setenv("KYCLI_SCOPE", "alpha.default")
    assert current_scope(load_config()) == ("alpha", "KYCLI_SCOPE")


def test_bad_scope_in_the_variable_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KYCLI_SCOPE", "a b")
    with pytest.raises(InvalidScopeError, match="KYCLI_SCOPE: bad project name 'a b'") as caught:
        current_scope(Config())
    assert caught.value.hint


def test_database_by_precedence(dirs: Directories, monkeypatch: pytest.MonkeyPatch) -> None:
    default = str(dirs.home / ".local/share/kycli/kycli.db")
    assert database_path(load_config()) == (default, "default")
    path = write(dirs.work / ".kyclirc", 'db_path = "file.db"\n')
    assert database_path(load_config()) == (str(dirs.work / "file.db"), str(path))
    monkeypatch.setenv("KYCLI_DB_PATH", "")
    assert database_path(load_config())[1] == str(path)
    monkeypatch.setenv("KYCLI_DB_PATH", str(dirs.home))
    assert database_path(load_config()) == (str(dirs.home / "kycli.db"), "KYCLI_DB_PATH")
    assert database_path(load_config(), "flag.db") == (str(dirs.work / "flag.db"), "--db")
    with pytest.raises(CannotOpenError, match="empty"):
        database_path(load_config(), "")
