"""Reading a config file: formats, and files that cannot be read."""

from __future__ import annotations

import json
import os
import sys
import tomllib
from typing import Any

import pytest
from conftest import examples
from directories import FULL, FULL_TOML, PIECES, Directories, run_python, said, write
from hypothesis import given, settings
from hypothesis import strategies as st

from kycli.config import load_config, parse_config, save_config
from kycli.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "text", "location"),
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
    dirs: Directories, name: str, text: str, location: str
) -> None:
    path = write(dirs.work / name, text)
    with pytest.raises(ConfigError) as caught:
        load_config()
    assert str(caught.value).startswith(f"{path}{location}")
    with pytest.raises(ConfigError):
        save_config("current_scope", "alpha")
    assert path.read_bytes() == text.encode()
    assert not dirs.litter()


def test_config_that_is_not_utf8_names_the_line(dirs: Directories) -> None:
    path = write(dirs.work / ".kyclirc", b"# ok\ncurrent_scope = 'gr\xf6\xdfe'\n")
    with pytest.raises(ConfigError) as caught:
        load_config()
    assert str(caught.value) == f"{path}, line 2: not UTF-8"


def test_directory_in_place_of_a_config_is_one_clear_error(dirs: Directories) -> None:
    path = dirs.work / ".kyclirc"
    path.mkdir()
    with pytest.raises(ConfigError, match="Is a directory") as caught:
        load_config()
    assert str(path) in str(caught.value)
    assert caught.value.hint
    with pytest.raises(ConfigError, match="it is not a regular file"):
        save_config("current_scope", "alpha")
    assert not dirs.litter()


def test_what_never_ends_is_no_config(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("/dev/zero", "/dev/urandom", "/dev/tty"):
        monkeypatch.setenv("KYCLI_CONFIG", name)
        with pytest.raises(ConfigError, match=name) as caught:
            load_config()
        assert caught.value.hint


def test_nobody_waits_for_a_pipe_into_which_nobody_writes(
    dirs: Directories, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = dirs.work / ".kyclirc"
    os.mkfifo(path)
    with pytest.raises(ConfigError, match="is an empty pipe, with no writer"):
        load_config()
    with pytest.raises(ConfigError, match="it is not a regular file"):
        save_config("current_scope", "alpha")


def test_a_config_may_come_from_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.pipe()
    monkeypatch.setenv("KYCLI_CONFIG", f"/dev/fd/{ours}")
    os.write(theirs, b'current_scope = "alpha"\n')
    os.close(theirs)
    assert load_config().current_scope == "alpha"
    os.close(ours)


@pytest.mark.parametrize("name", [".kyclirc", ".kyclirc.json"])
def test_a_file_that_is_too_large_is_no_config(dirs: Directories, name: str) -> None:
    path = write(dirs.work / name, "{}" if name.endswith("json") else "#" * (1 << 20))
    assert load_config().given == ()
    with path.open("ab") as file:
        file.truncate(1 << 40)  # without taking the space
    with pytest.raises(ConfigError, match="over 1,048,576 bytes"):
        load_config()
    path.unlink()


def test_a_key_of_a_million_parts_is_refused_at_once(dirs: Directories) -> None:
    path = write(dirs.work / ".kyclirc", "ok = 1\n" + "a." * 400_000 + "a = 1\n")
    with pytest.raises(ConfigError) as caught:
        load_config()
    assert str(caught.value).startswith(f"{path}, line 2: over 1,000 dots")


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_unreadable_config_is_one_clear_error(dirs: Directories) -> None:
    write(dirs.work / ".kyclirc", "").chmod(0)
    with pytest.raises(ConfigError, match="Permission denied"):
        load_config()


@settings(max_examples=examples(500))
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


@settings(max_examples=examples(500))
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


@pytest.mark.parametrize("text", [json.dumps(FULL), FULL_TOML])
def test_reading_a_usual_config_loads_no_parser(dirs: Directories, text: str) -> None:
    write(dirs.work / ".kyclirc", text)
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
    dirs: Directories, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(dirs.work / ".kyclirc", json.dumps(FULL))
    monkeypatch.setitem(sys.modules, "_json", None)
    assert said(load_config()) == FULL
