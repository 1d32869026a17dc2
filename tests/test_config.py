"""The config: which file counts, what it may say, and what goes before what."""

from __future__ import annotations

import json
import os
import sys
import tomllib
from pathlib import Path
from typing import Any, NoReturn

import platformdirs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import FULL, FULL_TOML, PIECES, Places, run_python, said, write

from kycli import config as config_module
from kycli.config import (
    Config,
    config_dir,
    current_scope,
    database_path,
    find_config,
    load_config,
    parse_config,
    save_config,
)
from kycli.errors import CannotOpenError, ConfigError, InvalidScopeError


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    places = Places(tmp_path)
    places.move_in(monkeypatch)
    return places


# Which file is in effect.


def test_first_config_that_exists_is_in_effect(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_config() is None
    text = '{"current_scope": "here"}'
    for path in (
        places.user_file,
        places.home / ".kyclirc.json",
        places.home / ".kyclirc",
        places.work / ".kyclirc.json",
        places.work / ".kyclirc",
    ):
        write(path, text)
        assert find_config() == str(path)
        assert load_config().source == str(path)
    named = write(places.root / "named.json", text)
    monkeypatch.setenv("KYCLI_CONFIG", str(named))
    assert find_config() == str(named)
    monkeypatch.setenv("KYCLI_CONFIG", "")
    assert find_config() == str(places.work / ".kyclirc")


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="XDG directories")
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


def test_user_file_is_where_xdg_says(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(places.root / "xdg" / "kycli" / "config.json", "{}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(places.root / "xdg"))
    assert find_config() == str(path)


def test_named_config_counts_alone_even_before_it_exists(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(places.work / ".kyclirc", 'current_scope = "here"\n')
    monkeypatch.setenv("KYCLI_CONFIG", str(places.root / "new" / "config"))
    assert load_config().source is None
    assert current_scope(load_config()) == ("default", "default")
    path = save_config("current_scope", "alpha")
    assert path == str(places.root / "new" / "config")
    assert current_scope(load_config()) == ("alpha", path)


def test_named_config_may_be_relative_or_in_the_home(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KYCLI_CONFIG", "my.toml")
    assert save_config("current_scope", "alpha") == str(places.work / "my.toml")
    monkeypatch.setenv("KYCLI_CONFIG", "~/my.toml")
    assert save_config("current_scope", "beta") == str(places.home / "my.toml")
    assert load_config().current_scope == "beta"
    monkeypatch.setenv("KYCLI_CONFIG", "~no-such-user-here/x")
    with pytest.raises(ConfigError, match="KYCLI_CONFIG: "):
        load_config()


def test_user_without_a_home_has_no_config_of_his_own(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    places.vanish_home(monkeypatch)
    assert load_config().source is None
    with pytest.raises(ConfigError, match="no home directory"):
        save_config("current_scope", "alpha")


def test_removed_working_directory_has_no_config(places: Places) -> None:
    places.work.rmdir()
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
def test_config_is_read(places: Places, text: str) -> None:
    path = write(places.work / ".kyclirc", text)
    config = load_config()
    assert said(config) == FULL
    assert config.given == tuple(FULL)
    assert all(config.origin(name) == str(path) for name in FULL)


@pytest.mark.parametrize("text", ["", " \n", "\ufeff", "{}", "# nothing\n", '{"theme": [1.0]}'])
def test_config_that_says_nothing_leaves_the_defaults(places: Places, text: str) -> None:
    path = write(places.work / ".kyclirc", text)
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
    }


def test_null_device_is_an_empty_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KYCLI_CONFIG", os.devnull)
    assert said(load_config()) == said(Config())


def test_null_is_not_set_and_unknown_keys_are_ignored(places: Places) -> None:
    write(
        places.work / ".kyclirc", '{"db_path": null, "theme": {"db_path": 1}, "durability":"full"}'
    )
    config = load_config()
    assert config.db_path is None
    assert config.given == ("durability",)


def test_scope_of_a_config_is_made_canonical(places: Places) -> None:
    write(places.work / ".kyclirc", 'current_scope = "alpha.default"')
    assert load_config().current_scope == "alpha"


def test_database_of_a_config_is_relative_to_its_directory(places: Places) -> None:
    for text, path in (
        ("data/x.db", f"{places.home}/data/x.db"),
        ("../x.db", f"{places.home}/../x.db"),
        ("~/x.db", f"{places.home}/x.db"),
        ("/abs/x.db", "/abs/x.db"),
        ("data/", f"{places.home}/data/kycli.db"),
        (".", f"{places.home}/./kycli.db"),
        (":memory:", ":memory:"),
    ):
        write(places.home / ".kyclirc", json.dumps({"db_path": text}))
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
        ("durability", "FULL", "'FULL' is no durability"),
        ("durability", "async", "'async' is no durability"),  # no use to a command
        ("durability", True, "true is no durability"),
        ("durability", [1], "a list is no durability"),
        ("busy_timeout_ms", "5", "'5' is no waiting time"),
        ("busy_timeout_ms", 5.0, "5.0 is no waiting time"),
        ("busy_timeout_ms", -1, "-1 is no waiting time"),
        ("busy_timeout_ms", True, "true is no waiting time"),
        ("busy_timeout_ms", 2**31, "is no waiting time"),
    ],
)
def test_bad_value_names_file_line_and_setting(
    places: Places, name: str, value: object, words: str
) -> None:
    path = write(places.work / ".kyclirc", json.dumps({"theme": 1, name: value}, indent=1))
    with pytest.raises(ConfigError) as caught:
        load_config()
    assert str(caught.value).startswith(f"{path}, line 3: {name}: ")
    assert words in str(caught.value)
    assert caught.value.hint


def test_line_is_left_out_where_it_is_not_certain(places: Places) -> None:
    path = write(
        places.work / ".kyclirc", "durability = 5\n[other]\ndurability = 'of another program'\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_config()
    assert str(caught.value).startswith(f"{path}: durability: ")


def test_date_in_a_config_is_refused_by_its_name(places: Places) -> None:
    write(places.work / ".kyclirc", "current_scope = 1979-05-27\n")
    with pytest.raises(ConfigError, match="text, not a date"):
        load_config()
    write(places.work / ".kyclirc", "durability = 1979-05-27\n")
    with pytest.raises(ConfigError, match="durability: a date is no durability"):
        load_config()


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        (".kyclirc", '{"a": 1,\n "b" 2}', ", line 2, column 6: not JSON: "),
        (".kyclirc", '\n\n{"a": 1,}', ", line 3, column "),  # 8 from Python 3.13 on, before it 9
        (".kyclirc", '{"a": 1} x', ", line 1, column 10: not JSON: Extra data"),
        (".kyclirc", '{"a": 1}{}', ", line 1, column 9: not JSON: Extra data"),
        (".kyclirc", '{"a": "\n"}', ", line 1, column 8: not JSON: "),
        (".kyclirc", "{", ", line 1, column 2: not JSON: "),
        (".kyclirc.json", "[1, 2]", ", line 1: the config is a list"),
        (".kyclirc.json", '"alpha"', ", line 1: the config is text"),
        (".kyclirc.json", "null", ", line 1: the config is null"),
        (".kyclirc.json", "current_scope = 'a'", ", line 1, column 1: not JSON: "),
        (".kyclirc", "{" * 100_000, ", line 1, column 2: not JSON: "),
        (".kyclirc.json", "[" * 100_000, ": not usable JSON: it is nested too deeply"),
        (".kyclirc", '{"a": ' + "9" * 5000 + "}", ": not usable JSON: a number in it has too many"),
        (".kyclirc", "a = 1\ncurrent_scope = alpha\n", ", line 2, column 17: not TOML: "),
        (".kyclirc", "a = 1\nalpha\n", ", line 2, column 6: not TOML: "),
        (".kyclirc", "a = 1\na = 2\n", ", line 2, column 6: not TOML: "),
        (".kyclirc", 'a = 1\nb = "x', ", line 2, column 7: not TOML: "),
        (".kyclirc", "a = 1\nb =", ", line 2, column 4: not TOML: "),
        (".kyclirc", "a = 1\r", ", line 1, column 6: not TOML: "),
        (".kyclirc", "a = " + "9" * 5000, ": not usable TOML: a number in it has too many"),
        (".kyclirc", "a = " + "[" * 100_000, ": not usable TOML: it is nested too deeply"),
        (".kyclirc", "a = 1\nb = 'x\0'\n", ", line 2, column 7: not TOML: "),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_broken_config_names_file_line_and_column(
    places: Places, name: str, text: str, place: str
) -> None:
    path = write(places.work / name, text)
    with pytest.raises(ConfigError) as caught:
        load_config()
    assert str(caught.value).startswith(f"{path}{place}")
    with pytest.raises(ConfigError):
        save_config("current_scope", "alpha")
    assert path.read_bytes() == text.encode()
    assert not places.litter()


def test_config_that_is_not_utf8_names_the_line(places: Places) -> None:
    path = write(places.work / ".kyclirc", b"# ok\ncurrent_scope = 'gr\xf6\xdfe'\n")
    with pytest.raises(ConfigError) as caught:
        load_config()
    assert str(caught.value) == f"{path}, line 2: not UTF-8"


def test_directory_in_place_of_a_config_is_one_clear_error(places: Places) -> None:
    path = places.work / ".kyclirc"
    path.mkdir()
    with pytest.raises(ConfigError, match="Is a directory") as caught:
        load_config()
    assert str(path) in str(caught.value)
    assert caught.value.hint
    with pytest.raises(ConfigError, match="it is no file"):
        save_config("current_scope", "alpha")
    assert not places.litter()


def test_what_never_ends_is_no_config(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("/dev/zero", "/dev/urandom", "/dev/tty"):
        monkeypatch.setenv("KYCLI_CONFIG", name)
        with pytest.raises(ConfigError, match=name) as caught:
            load_config()
        assert caught.value.hint


def test_nobody_waits_for_a_pipe_into_which_nobody_writes(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = places.work / ".kyclirc"
    os.mkfifo(path)
    with pytest.raises(ConfigError, match="nobody writes into this pipe"):
        load_config()
    with pytest.raises(ConfigError, match="it is no file"):
        save_config("current_scope", "alpha")


def test_a_config_may_come_from_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.pipe()
    monkeypatch.setenv("KYCLI_CONFIG", f"/dev/fd/{ours}")
    os.write(theirs, b'current_scope = "alpha"\n')
    os.close(theirs)
    assert load_config().current_scope == "alpha"
    os.close(ours)


@pytest.mark.parametrize("name", [".kyclirc", ".kyclirc.json"])
def test_a_file_that_is_too_large_is_no_config(places: Places, name: str) -> None:
    path = write(places.work / name, "{}" if name.endswith("json") else "#" * (1 << 20))
    assert load_config().given == ()
    with path.open("ab") as file:
        file.truncate(1 << 40)  # without taking the space
    with pytest.raises(ConfigError, match="over 1,048,576 bytes"):
        load_config()
    path.unlink()


def test_a_key_of_a_million_parts_is_refused_at_once(places: Places) -> None:
    path = write(places.work / ".kyclirc", "ok = 1\n" + "a." * 400_000 + "a = 1\n")
    with pytest.raises(ConfigError) as caught:
        load_config()
    assert str(caught.value).startswith(f"{path}, line 2: over 1,000 dots")


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_unreadable_config_is_one_clear_error(places: Places) -> None:
    write(places.work / ".kyclirc", "").chmod(0)
    with pytest.raises(ConfigError, match="Permission denied"):
        load_config()


@settings(max_examples=500)
@given(PIECES)
def test_toml_means_what_tomllib_says(text: str) -> None:
    # A file that begins with a byte order mark is read without it.
    expected: dict[str, Any] | None
    try:
        expected = tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError:
        expected = None
    try:
        found: dict[str, Any] | None = parse_config(text, "x")
    except ConfigError:
        found = None
    assert found == expected


JSON_PIECES = st.lists(
    st.sampled_from(
        [*'{}[]:," \n\t\\-.0', "1", "1.5", "1e5", "true", "null", '"a"', '"b":', "NaN", "é", "\0"]
    ),
    max_size=10,
).map(lambda pieces: "{" + "".join(pieces) + "}")


@settings(max_examples=500)
@given(JSON_PIECES)
def test_json_means_what_json_says(text: str) -> None:
    try:
        expected: Any = json.loads(text)
    except ValueError:
        expected = None
    try:
        found: Any = parse_config(text, "x")
    except ConfigError:
        found = None
    assert repr(found) == repr(expected)


def test_number_that_cannot_be_printed_is_no_waiting_time(places: Places) -> None:
    write(places.work / ".kyclirc", f"busy_timeout_ms = 0x{'9' * 5000}")
    with pytest.raises(ConfigError, match=r"busy_timeout_ms: .* is no waiting time"):
        load_config()


@pytest.mark.parametrize("text", [json.dumps(FULL), FULL_TOML])
def test_reading_a_usual_config_loads_no_parser(places: Places, text: str) -> None:
    write(places.work / ".kyclirc", text)
    loaded = run_python(
        "before = set(sys.modules)\n"
        "from kycli.config import load_config\n"
        "assert load_config().current_scope == 'alpha.users'\n"
        "print(*sorted(set(sys.modules) - before - {'_json', '__future__'}))"
    )
    assert loaded.split() == [
        *("kycli.address", "kycli.config", "kycli.core", "kycli.core.location"),
        *("kycli.core.names", "kycli.errors"),
    ]


def test_json_is_read_where_the_fast_scanner_is_missing(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(places.work / ".kyclirc", json.dumps(FULL))
    monkeypatch.setitem(sys.modules, "_json", None)
    assert said(load_config()) == FULL


# What counts, and where it comes from.


def test_current_scope_by_precedence(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    assert current_scope(load_config()) == ("default", "default")
    path = write(places.work / ".kyclirc", 'current_scope = "from-file"\n')
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


def test_database_by_precedence(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    default = str(places.home / ".local/share/kycli/kycli.db")
    assert database_path(load_config()) == (default, "default")
    path = write(places.work / ".kyclirc", 'db_path = "file.db"\n')
    assert database_path(load_config()) == (str(places.work / "file.db"), str(path))
    monkeypatch.setenv("KYCLI_DB_PATH", "")
    assert database_path(load_config())[1] == str(path)
    monkeypatch.setenv("KYCLI_DB_PATH", str(places.home))
    assert database_path(load_config()) == (str(places.home / "kycli.db"), "KYCLI_DB_PATH")
    assert database_path(load_config(), "flag.db") == (str(places.work / "flag.db"), "--db")
    with pytest.raises(CannotOpenError, match="empty"):
        database_path(load_config(), "")
