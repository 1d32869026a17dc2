"""Saving a setting: what is written where, what is kept, and who may interrupt it."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import FULL, PIECES, Places, run_python, said, write

from kycli import config_edit, config_text
from kycli.config import (
    load_config,
    parse_config,
    save_config,
)
from kycli.config_edit import edit_file
from kycli.config_text import edited
from kycli.errors import ConfigError


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    places = Places(tmp_path)
    places.move_in(monkeypatch)
    return places


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_first_save_makes_the_users_own_file_private(places: Places) -> None:
    old = os.umask(0)
    try:
        path = save_config("current_scope", "alpha.users")
    finally:
        os.umask(old)
    assert path == str(places.user_file)
    assert places.user_file.read_text() == '{\n  "current_scope": "alpha.users"\n}\n'
    assert mode(places.user_file) == 0o600
    assert mode(places.user_file.parent) == 0o700
    assert mode(places.user_file.parent.parent) == 0o700
    assert not places.litter()


def test_save_goes_to_the_file_in_effect(places: Places) -> None:
    write(places.user_file, "{}")
    path = write(places.work / ".kyclirc", "")
    assert save_config("current_scope", "alpha") == str(path)
    assert path.read_text() == 'current_scope = "alpha"\n'
    assert places.user_file.read_text() == "{}"


@pytest.mark.parametrize("name", [".kyclirc", ".kyclirc.json"])
def test_every_setting_comes_back_as_it_was_saved(places: Places, name: str) -> None:
    write(places.work / name, "")
    for key, value in FULL.items():
        save_config(key, value)  # type: ignore[arg-type]
    assert said(load_config()) == FULL
    for key in FULL:
        save_config(key, None)
    config = load_config()
    assert config.given == ()
    assert config.source == str(places.work / name)


def test_scope_is_saved_in_canonical_form_and_a_relative_path_as_it_is(places: Places) -> None:
    path = write(places.work / ".kyclirc.json", "{}")
    save_config("current_scope", "alpha.default")
    save_config("db_path", "data/x.db")
    assert json.loads(path.read_text()) == {"current_scope": "alpha", "db_path": "data/x.db"}


def test_comments_and_layout_of_toml_are_kept(places: Places) -> None:
    path = write(
        places.work / ".kyclirc",
        "# My settings.\n\n"
        'theme   =  "dark"   # not kycli\'s\n'
        "current_scope = 'alpha'   # for now\n"
        "busy_timeout_ms = 100\n"
        "# before the table\n"
        "[other]\n"
        "current_scope = 'untouched'\n"
        "list = [ 1,\n  2 ]\n",
    )
    save_config("current_scope", "beta")
    save_config("durability", "full")
    save_config("busy_timeout_ms", None)
    assert path.read_text() == (
        "# My settings.\n\n"
        'theme   =  "dark"   # not kycli\'s\n'
        'current_scope = "beta"   # for now\n'
        'durability = "full"\n'
        "# before the table\n"
        "[other]\n"
        "current_scope = 'untouched'\n"
        "list = [ 1,\n  2 ]\n"
    )
    assert load_config().durability == "full"


def test_layout_of_json_is_kept_to_the_byte(places: Places) -> None:
    before = (
        '{\n    "z": 1.10,   "big": 123456789012345678901234567890.5,\n'
        '    "current_scope" :  "alpha",\n\n    "esc": "\\u00e9",\n    "list": [1,2]\n}\n\n'
    )
    path = write(places.work / ".kyclirc", before)
    save_config("current_scope", "beta")
    assert path.read_text() == before.replace("alpha", "beta")
    save_config("busy_timeout_ms", 7)
    grown = before.replace("alpha", "beta").replace("[1,2]\n", '[1,2],\n    "busy_timeout_ms": 7\n')
    assert path.read_text() == grown
    save_config("busy_timeout_ms", None)
    assert path.read_text() == before.replace("alpha", "beta")
    save_config("current_scope", None)
    assert path.read_text() == before.replace('"current_scope" :  "alpha",\n\n    ', "")


def test_setting_that_is_given_twice_is_changed_and_removed_for_good(places: Places) -> None:
    path = write(places.work / ".kyclirc", '{"durability": "full", "a": 1, "durability": "normal"}')
    save_config("durability", "full")
    assert load_config().durability == "full"
    save_config("durability", None)
    assert path.read_text() == '{"a": 1}'


@pytest.mark.parametrize("text", ["\ufeff{}", "\ufefftheme = 1\r\n\r\n[t]\r\nx = 1\r\n"])
def test_byte_order_mark_and_line_ends_are_kept(places: Places, text: str) -> None:
    path = write(places.work / ".kyclirc", text)
    save_config("current_scope", "alpha")
    data = path.read_bytes()
    assert data.startswith("\ufeff".encode())
    assert data.count("\ufeff".encode()) == 1
    if "\r\n" in text:
        assert data.count(b"\n") == data.count(b"\r\n")
    assert load_config().current_scope == "alpha"


def test_mode_of_the_file_is_kept(places: Places) -> None:
    path = write(places.work / ".kyclirc", "")
    for bits in (0o644, 0o640, 0o600, 0o666):
        path.chmod(bits)
        save_config("busy_timeout_ms", bits)
        assert mode(path) == bits


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_owner_of_the_file_is_kept(places: Places) -> None:
    path = write(places.work / ".kyclirc", "")
    os.chown(path, 12345, 23456)
    save_config("current_scope", "alpha")
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)


def test_owner_that_may_not_be_kept_is_no_reason_to_fail(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> NoReturn:
        raise PermissionError(1, "Operation not permitted")

    path = write(places.work / ".kyclirc", "")
    path.chmod(0o640)
    monkeypatch.setattr(os, "fchown", refused)
    save_config("current_scope", "alpha")
    assert load_config().current_scope == "alpha"
    assert mode(path) == 0o640


def test_symbolic_link_stays_one(places: Places) -> None:
    real = write(places.root / "dotfiles" / "kyclirc", "# mine\n")
    link = places.home / ".kyclirc"
    link.symlink_to(Path("..") / "dotfiles" / "kyclirc")
    assert save_config("current_scope", "alpha") == str(link)
    assert link.is_symlink()
    assert real.read_text() == '# mine\ncurrent_scope = "alpha"\n'
    assert not places.litter()


def test_dangling_link_named_as_config_is_filled(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = places.work / "config"
    link.symlink_to(places.root / "later" / "config")
    monkeypatch.setenv("KYCLI_CONFIG", str(link))
    save_config("current_scope", "alpha")
    assert link.is_symlink()
    assert (places.root / "later" / "config").read_text() == 'current_scope = "alpha"\n'


def test_saving_what_is_there_already_writes_nothing(places: Places) -> None:
    path = write(places.work / ".kyclirc", "durability='full'\n")
    before = path.stat()
    save_config("durability", "full")
    save_config("current_scope", None)
    assert os.path.samestat(path.stat(), before)
    assert path.read_text() == "durability='full'\n"


def test_setting_of_the_wrong_type_is_mended_by_saving(places: Places) -> None:
    write(places.work / ".kyclirc", '{"busy_timeout_ms": true, "durability": 5}')
    save_config("busy_timeout_ms", 1)
    save_config("durability", "full")
    assert load_config().busy_timeout_ms == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("db_path", ""), ("db_path", 5), ("db_path", "a\udcff"), ("current_scope", "a b")),
        *(("current_scope", 1), ("ns_delim", "x"), ("durability", "half")),
        *(("busy_timeout_ms", "5"), ("busy_timeout_ms", -1), ("busy_timeout_ms", True)),
    ],
)
def test_value_that_could_not_be_read_back_is_not_saved(
    places: Places, key: str, value: str | int
) -> None:
    with pytest.raises(ConfigError, match=f"^{key}: "):
        save_config(key, value)
    assert not places.user_file.exists()


def test_unknown_setting_is_refused_with_the_known_ones(places: Places) -> None:
    with pytest.raises(ConfigError, match="'curent_scope'") as caught:
        save_config("curent_scope", "alpha")
    assert caught.value.hint is not None
    assert "current_scope" in caught.value.hint
    assert not places.user_file.exists()


def test_protected_file_is_not_replaced(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(places.work / ".kyclirc", "")
    path.chmod(0o400)
    monkeypatch.setattr(os, "access", lambda path, bits: False)  # root may write everything
    with pytest.raises(ConfigError, match="read-only"):
        save_config("current_scope", "alpha")
    assert path.read_bytes() == b""
    assert not places.litter()


def test_device_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KYCLI_CONFIG", os.devnull)
    with pytest.raises(ConfigError, match="it is no file"):
        save_config("current_scope", "alpha")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_file_in_the_place_of_a_directory_is_one_clear_error(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocker = write(places.work / "blocker", "")
    monkeypatch.setenv("KYCLI_CONFIG", str(blocker / "config"))
    assert load_config().source is None
    with pytest.raises(ConfigError, match="cannot be saved") as caught:
        save_config("current_scope", "alpha")
    assert str(blocker / "config") in str(caught.value)


@pytest.mark.parametrize("call", ["replace", "fsync", "fchmod", "open"])
def test_failure_leaves_the_old_file_and_no_litter(
    places: Places, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = write(places.work / ".kyclirc", "durability = 'full'\n")
    real: Callable[..., Any] = getattr(os, call)

    def full(*args: Any, **kwargs: Any) -> Any:
        if call == "open" and not str(args[0]).endswith(".new"):
            return real(*args, **kwargs)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(ConfigError, match="No space left on device"):
            save_config("current_scope", "alpha")
    assert path.read_text() == "durability = 'full'\n"
    assert not places.litter()
    save_config("current_scope", "alpha")
    assert load_config().current_scope == "alpha"


def test_interrupt_leaves_the_old_file_and_no_litter(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(places.work / ".kyclirc", "durability = 'full'\n")

    def interrupted(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            save_config("current_scope", "alpha")
    assert path.read_text() == "durability = 'full'\n"
    assert not places.litter()


@pytest.mark.parametrize(
    ("call", "scope"), [("open", "old"), ("fsync", "old"), ("replace", "old"), ("unlink", "new")]
)
def test_saver_killed_in_the_middle_leaves_a_whole_file_and_no_lock(
    places: Places, call: str, scope: str
) -> None:
    write(places.work / ".kyclirc.json", '{"current_scope": "old"}')
    # The process kills itself instead of making the call (for the scratch file, not the lock).
    program = (
        "import os, signal\n"
        "from kycli.config import save_config\n"
        "call, real = sys.argv[1], getattr(os, sys.argv[1])\n"
        "def killed(*args):\n"
        "    if call == 'open' and not args[0].endswith('.new'): return real(*args)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "setattr(os, call, killed)\n"
        "save_config('current_scope', 'new')\n"
    )
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run_python(program, call)
    assert caught.value.returncode == -signal.SIGKILL
    assert load_config().current_scope == scope
    save_config("current_scope", "next")
    assert load_config().current_scope == "next"


SAVER = """
import json, os
from kycli.config import load_config, save_config
key = sys.argv[1]
for number in range(int(sys.argv[2])):
    value = number if key == "busy_timeout_ms" else f"{key}-{number}"
    save_config(key, value)
    found = getattr(load_config(), key)
    assert str(found).endswith(str(value)), (found, value)
"""


@pytest.mark.parametrize("name", [".kyclirc", ".kyclirc.json"])
def test_processes_that_save_at_once_lose_nothing_of_each_other(places: Places, name: str) -> None:
    rounds = 30
    write(places.work / name, "")
    keys = ("current_scope", "db_path", "busy_timeout_ms")
    failures: list[Exception] = []

    def save(key: str) -> None:
        try:
            run_python(SAVER, key, rounds)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=save, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        load_config()  # a reader never meets half a file
    for thread in threads:
        thread.join()
    assert not failures
    config = load_config()
    assert config.current_scope == f"current_scope-{rounds - 1}"
    assert config.db_path == str(places.work / f"db_path-{rounds - 1}")
    assert config.busy_timeout_ms == rounds - 1
    assert not places.litter()


def test_threads_that_save_at_once_lose_nothing_of_each_other(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without flock, the lock is the creation of its file.
    monkeypatch.setitem(sys.modules, "fcntl", None)
    threads = [
        threading.Thread(target=save_config, args=item) for item in FULL.items() for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said(load_config()) == FULL
    assert not places.litter()


@pytest.mark.parametrize("with_flock", [True, False])
def test_lock_that_is_not_given_back_is_an_error_that_names_it(
    places: Places, monkeypatch: pytest.MonkeyPatch, with_flock: bool
) -> None:
    path = write(places.work / ".kyclirc", "")
    monkeypatch.setattr(config_edit, "_LOCK_SECONDS", 0.02)
    if not with_flock:
        monkeypatch.setitem(sys.modules, "fcntl", None)
    with config_edit._Lock(f"{path}.lock"), pytest.raises(ConfigError) as caught:
        save_config("current_scope", "alpha")
    assert str(caught.value).startswith(f"{path}.lock: another process")
    save_config("current_scope", "alpha")
    assert not places.litter()


def test_lock_file_that_a_killed_process_left_is_no_hindrance(places: Places) -> None:
    write(places.work / ".kyclirc", "")
    write(places.work / ".kyclirc.lock", "")
    save_config("current_scope", "alpha")
    assert load_config().current_scope == "alpha"
    assert not places.litter()


def test_lock_file_that_somebody_removed_meanwhile_is_no_error(places: Places) -> None:
    lock = places.work / "x.lock"
    with config_edit._Lock(str(lock)):
        lock.unlink()
    assert not lock.exists()


@st.composite
def json_objects(draw: st.DrawFn) -> str:
    """An object with some layout, that has members but none of kycli's."""
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=5,
    )
    members = draw(st.dictionaries(st.text(max_size=5), values, min_size=1, max_size=4))
    indent = draw(st.sampled_from([None, 0, 1, 4, "\t"]))
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,", " : ")]))
    ascii_only = draw(st.booleans())
    text = json.dumps(members, indent=indent, separators=separators, ensure_ascii=ascii_only)
    return draw(st.sampled_from(["", "\n"])) + text + draw(st.sampled_from(["", "\n", " \r\n"]))


@settings(max_examples=100, deadline=None)
@given(json_objects(), st.text(max_size=5))
def test_setting_added_to_json_and_taken_out_leaves_the_text(
    tmp_path_factory: pytest.TempPathFactory, text: str, value: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "edited.json"
    data = text.encode()
    path.write_bytes(data)
    for written in (value, value + "é"):
        edit_file(str(path), "db_path", written)
        assert json.loads(path.read_bytes()) == {**json.loads(text), "db_path": written}
    edit_file(str(path), "db_path", None)
    assert path.read_bytes() == data


NAMES = st.sampled_from(
    ["a", "b", "-", "1", '"q.r"', "'s'", '"\\u0061"', "db_path", '"db_path"', "'x y'"]
)
DOTTED = st.lists(NAMES, min_size=1, max_size=3).flatmap(
    lambda names: st.sampled_from([".".join(names), " . ".join(names)])
)
SCALARS = st.sampled_from(
    [
        *("1", "-1_0", "0xff", "1.5e3", "nan", "-inf", "-0.0", "true", "1979-05-27 07:32:00"),
        *("07:32:00.5", '""', '"é#"', '"\\"]"', "''", "'#'", "'\\'", "'[t]'"),
        *('"""\n[a]\n"""', '"""""x"""""', '"""\\""""', "'''\nb = 1 # \n'''", "''''x'''''"),
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.lists(inner, max_size=2).map(
            lambda items: "[ # ]\n" + "".join(f"  {item} , # {{\n" for item in items) + "]"
        ),
        st.lists(st.tuples(DOTTED, inner), max_size=2).map(
            lambda items: "{" + ", ".join(f"{name} = {item}" for name, item in items) + "}"
        ),
    ),
    max_leaves=4,
)
LINES = st.one_of(
    st.sampled_from(["", "  ", "# x = 1", "#", "\t# [t] \u2028\x85"]),
    st.tuples(DOTTED, st.sampled_from(["=", " = ", "\t=  "]), VALUES, st.sampled_from(["", " # c"]))
    .map("".join),
    DOTTED.map(lambda name: f"[{name}]"),
    DOTTED.map(lambda name: f" [[ {name} ]] # t"),
)  # fmt: skip


@st.composite
def toml_documents(draw: st.DrawFn) -> str:
    """Valid TOML in any layout, often with kycli's settings in it, as values or as tables."""
    text = ""
    for line in draw(st.lists(LINES, max_size=8)):
        try:
            tomllib.loads(text + line)
        except tomllib.TOMLDecodeError:
            continue  # most often because the name is taken
        text += line + "\n"
    if draw(st.booleans()):
        text = text.removesuffix("\n")
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return draw(st.sampled_from(["", "\ufeff"])) + text


SETTINGS = st.one_of(
    st.tuples(st.just("db_path"), st.text(max_size=5) | st.none()),
    st.tuples(st.sampled_from(["busy_timeout_ms", "a"]), st.integers(0, 9) | st.none()),
)


@settings(max_examples=300, deadline=None)
@given(toml_documents(), st.lists(SETTINGS, min_size=1, max_size=3))
def test_any_toml_becomes_what_it_was_and_the_change(
    text: str, changes: list[tuple[str, str | int | None]]
) -> None:
    wanted = tomllib.loads(text.removeprefix("\ufeff"))
    for name, value in changes:
        before = text
        text = edited(text, "x/.kyclirc", name, value)
        wanted.pop(name, None)
        if value is not None:
            wanted[name] = value
        found = tomllib.loads(text.removeprefix("\ufeff"))
        assert repr(sorted(found.items())) == repr(sorted(wanted.items()))
        assert text.startswith("\ufeff") == before.startswith("\ufeff")
        assert text.count("# x = 1") == before.count("# x = 1")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a.b.c='x'", "a.b.c='x'\nS"),
        ("a.b.c='x'\r\n[t]", "a.b.c='x'\r\nS[t]"),
        ("[[t]]\nx = 1\n[[t]]", "S\n[[t]]\nx = 1\n[[t]]"),
        ("# ours\n\n# of t\n  # indented\n[t]\n", "# ours\n\nS\n# of t\n  # indented\n[t]\n"),
        ("# at the end", "# at the end\nS"),
        ("x = {a.b = 1, c = '#'} # end\n\n# more\n", "x = {a.b = 1, c = '#'} # end\nS\n# more\n"),
        ("x = '''\n[t]\n'''", "x = '''\n[t]\n'''\nS"),
        ("current_scope.x = 1\na = 1\ncurrent_scope.y = 2\n", "a = 1\nS"),
        ("[a]\n[current_scope]\nx = 1\n[current_scope.y]\n[b]\n", "S\n[a]\n[b]\n"),
        ("\"current\\u005fscope\" = [1,\r\n2]\t# c\r\n", "\"current\\u005fscope\" = V\t# c\r\n"),
    ],
)  # fmt: skip
def test_setting_is_added_to_toml_in_a_line_of_its_own(before: str, after: str) -> None:
    newline = "\r\n" if "\r\n" in before else "\n"
    after = after.replace("S", f'current_scope = "alpha"{newline}').replace("V", '"alpha"')
    assert edited(before, ".kyclirc", "current_scope", "alpha") == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{\n    "a": 1\n  , "b": 2\n}', '{\n    "a": 1\n  , "b": 2\n  , S\n}'),
        ('{"a":1,"b":2}  \n\n', '{"a":1,"b":2,S}  \n\n'),
        ('\ufeff{\r\n}\r\n', '\ufeff{\r\n  S\r\n}\r\n'),
        ('{"a": {"current_scope": 1}}', '{"a": {"current_scope": 1}, S}'),
        ('{"current_scope": {"a": [1]}, "x": NaN}', '{S, "x": NaN}'),
    ],
)  # fmt: skip
def test_setting_is_added_to_json_in_the_layout_of_the_rest(before: str, after: str) -> None:
    after = after.replace("S", '"current_scope": "alpha"')
    assert edited(before, ".kyclirc", "current_scope", "alpha") == after


@pytest.mark.parametrize("text", ["a = 1\n", '{"a": 1}'])
@pytest.mark.parametrize("wrong", ["", "a = 2\ncurrent_scope = 'b'\n", '{"a": 1.0}', "{", "= 1"])
def test_edit_that_went_wrong_never_replaces_the_file(
    places: Places, monkeypatch: pytest.MonkeyPatch, text: str, wrong: str
) -> None:
    path = write(places.work / ".kyclirc", text)
    monkeypatch.setattr(config_text, "_toml_with", lambda *_: wrong)
    monkeypatch.setattr(config_text, "_json_with", lambda *_: wrong)
    with pytest.raises(ConfigError, match="left as it was") as caught:
        save_config("current_scope", "alpha")
    assert caught.value.hint == "change it in an editor"
    assert path.read_text() == text
    assert not places.litter()


def test_deeply_nested_json_is_edited_or_refused_and_never_ruined(places: Places) -> None:
    for depth in (10, 100, 300, 900, 990, 5000, 100_000):
        text = '{"a": ' + "[" * depth + "]" * depth + "}"
        path = write(places.work / ".kyclirc.json", text)
        try:
            save_config("current_scope", "alpha")
        except ConfigError:
            assert path.read_text() == text
        else:
            assert load_config().current_scope == "alpha"
            assert path.read_text() == text[:-1] + ', "current_scope": "alpha"}'


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_directory_that_cannot_be_written_is_one_clear_error(places: Places) -> None:
    path = write(places.work / ".kyclirc", "a = 1\n")
    places.work.chmod(0o500)
    try:
        with pytest.raises(ConfigError, match="cannot be saved: Permission denied"):
            save_config("current_scope", "alpha")
    finally:
        places.work.chmod(0o700)
    assert path.read_text() == "a = 1\n"


def test_link_that_leads_round_is_not_replaced(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = places.work / "round"
    link.symlink_to(link)
    monkeypatch.setenv("KYCLI_CONFIG", str(link))
    with pytest.raises(ConfigError, match="cannot be saved"):
        save_config("current_scope", "alpha")
    assert link.is_symlink()


@settings(max_examples=100, deadline=None)
@given(PIECES, st.text(max_size=5))
def test_setting_added_to_toml_and_taken_out_leaves_the_rest(
    tmp_path_factory: pytest.TempPathFactory, text: str, value: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "edited.toml"
    path.write_bytes(text.encode())
    try:
        before = parse_config(text, str(path))
    except ConfigError:
        return
    edit_file(str(path), "db_path", value)
    assert parse_config(path.read_bytes().decode(), str(path)) == {**before, "db_path": value}
    edit_file(str(path), "db_path", None)
    assert parse_config(path.read_bytes().decode(), str(path)) == before
