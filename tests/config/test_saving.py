"""Saving a setting: what is written where, what is kept, and who may interrupt it."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from directories import FULL, Directories, run_python, said, write

from kycli.config import load_config, save_config, saving
from kycli.errors import ConfigError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_first_save_makes_the_users_own_file_private(dirs: Directories) -> None:
    old = os.umask(0)
    try:
        path = save_config("current_scope", "alpha.users")
    finally:
        os.umask(old)
    assert path == str(dirs.user_file)
    assert dirs.user_file.read_text() == '{\n  "current_scope": "alpha.users"\n}\n'
    assert mode(dirs.user_file) == 0o600
    assert mode(dirs.user_file.parent) == 0o700
    assert mode(dirs.user_file.parent.parent) == 0o700
    assert not dirs.litter()


def test_save_goes_to_the_file_in_effect(dirs: Directories) -> None:
    write(dirs.user_file, "{}")
    path = write(dirs.work / ".kyclirc", "")
    assert save_config("current_scope", "alpha") == str(path)
    assert path.read_text() == 'current_scope = "alpha"\n'
    assert dirs.user_file.read_text() == "{}"


@pytest.mark.parametrize("name", [".kyclirc", ".kyclirc.json"])
def test_every_setting_comes_back_as_it_was_saved(dirs: Directories, name: str) -> None:
    write(dirs.work / name, "")
    for key, value in FULL.items():
        save_config(key, value)  # type: ignore[arg-type]
    assert said(load_config()) == FULL
    for key in FULL:
        save_config(key, None)
    config = load_config()
    assert config.given == ()
    assert config.source == str(dirs.work / name)


def test_scope_is_saved_in_canonical_form_and_a_relative_path_as_it_is(dirs: Directories) -> None:
    path = write(dirs.work / ".kyclirc.json", "{}")
    save_config("current_scope", "alpha.default")
    save_config("db_path", "data/x.db")
    assert json.loads(path.read_text()) == {"current_scope": "alpha", "db_path": "data/x.db"}


def test_comments_and_layout_of_toml_are_kept(dirs: Directories) -> None:
    path = write(
        dirs.work / ".kyclirc",
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
    # The releases of tomlkit differ in the blank lines that they put before a table.
    assert [line for line in path.read_text().splitlines() if line] == [
        "# My settings.",
        """theme   =  "dark"   # not kycli's""",
        'current_scope = "beta"   # for now',
        "# before the table",
        'durability = "full"',
        "[other]",
        "current_scope = 'untouched'",
        "list = [ 1,",
        "  2 ]",
    ]
    assert load_config().durability == "full"


def test_layout_of_json_is_kept_to_the_byte(dirs: Directories) -> None:
    before = (
        '{\n    "z": 1.10,   "big": 123456789012345678901234567890.5,\n'
        '    "current_scope" :  "alpha",\n\n    "esc": "\\u00e9",\n    "list": [1,2]\n}\n\n'
    )
    path = write(dirs.work / ".kyclirc", before)
    save_config("current_scope", "beta")
    assert path.read_text() == before.replace("alpha", "beta")
    save_config("busy_timeout_ms", 7)
    grown = before.replace("alpha", "beta").replace("[1,2]\n", '[1,2],\n    "busy_timeout_ms": 7\n')
    assert path.read_text() == grown
    save_config("busy_timeout_ms", None)
    assert path.read_text() == before.replace("alpha", "beta")
    save_config("current_scope", None)
    assert path.read_text() == before.replace('"current_scope" :  "alpha",\n\n    ', "")


def test_setting_that_is_given_twice_is_changed_and_removed_for_good(dirs: Directories) -> None:
    path = write(dirs.work / ".kyclirc", '{"durability": "full", "a": 1, "durability": "normal"}')
    save_config("durability", "full")
    assert load_config().durability == "full"
    save_config("durability", None)
    assert path.read_text() == '{"a": 1}'


@pytest.mark.parametrize("text", ["\ufeff{}", "\ufefftheme = 1\r\n\r\n[t]\r\nx = 1\r\n"])
def test_byte_order_mark_and_line_ends_are_kept(dirs: Directories, text: str) -> None:
    path = write(dirs.work / ".kyclirc", text)
    save_config("current_scope", "alpha")
    data = path.read_bytes()
    assert data.startswith("\ufeff".encode())
    assert data.count("\ufeff".encode()) == 1
    if "\r\n" in text:
        assert data.count(b"\n") == data.count(b"\r\n")
    assert load_config().current_scope == "alpha"


def test_mode_of_the_file_is_kept(dirs: Directories) -> None:
    path = write(dirs.work / ".kyclirc", "")
    for bits in (0o644, 0o640, 0o600, 0o666):
        path.chmod(bits)
        save_config("busy_timeout_ms", bits)
        assert mode(path) == bits


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_owner_of_the_file_is_kept(dirs: Directories) -> None:
    path = write(dirs.work / ".kyclirc", "")
    os.chown(path, 12345, 23456)
    save_config("current_scope", "alpha")
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)


def test_owner_that_may_not_be_kept_is_no_reason_to_fail(
    dirs: Directories, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> NoReturn:
        raise PermissionError(1, "Operation not permitted")

    path = write(dirs.work / ".kyclirc", "")
    path.chmod(0o640)
    monkeypatch.setattr(os, "fchown", refused)
    save_config("current_scope", "alpha")
    assert load_config().current_scope == "alpha"
    assert mode(path) == 0o640


def test_symbolic_link_stays_one(dirs: Directories) -> None:
    real = write(dirs.root / "dotfiles" / "kyclirc", "# mine\n")
    link = dirs.home / ".kyclirc"
    link.symlink_to(Path("..") / "dotfiles" / "kyclirc")
    assert save_config("current_scope", "alpha") == str(link)
    assert link.is_symlink()
    assert real.read_text() == '# mine\ncurrent_scope = "alpha"\n'
    assert not dirs.litter()


def test_dangling_link_named_as_config_is_filled(
    dirs: Directories, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = dirs.work / "config"
    link.symlink_to(dirs.root / "later" / "config")
    monkeypatch.setenv("KYCLI_CONFIG", str(link))
    save_config("current_scope", "alpha")
    assert link.is_symlink()
    assert (dirs.root / "later" / "config").read_text() == 'current_scope = "alpha"\n'


def test_saving_what_is_there_already_writes_nothing(dirs: Directories) -> None:
    path = write(dirs.work / ".kyclirc", "durability='full'\n")
    before = path.stat()
    save_config("durability", "full")
    save_config("current_scope", None)
    assert os.path.samestat(path.stat(), before)
    assert path.read_text() == "durability='full'\n"


def test_setting_of_the_wrong_type_is_mended_by_saving(dirs: Directories) -> None:
    write(dirs.work / ".kyclirc", '{"busy_timeout_ms": true, "durability": 5}')
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
    dirs: Directories, key: str, value: str | int
) -> None:
    with pytest.raises(ConfigError, match=f"^{key}: "):
        save_config(key, value)
    assert not dirs.user_file.exists()


def test_unknown_setting_is_refused_with_the_known_ones(dirs: Directories) -> None:
    with pytest.raises(ConfigError, match="'curent_scope'") as caught:
        save_config("curent_scope", "alpha")
    assert caught.value.hint is not None
    assert "current_scope" in caught.value.hint
    assert not dirs.user_file.exists()


def test_protected_file_is_not_replaced(dirs: Directories, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(dirs.work / ".kyclirc", "")
    path.chmod(0o400)
    monkeypatch.setattr(os, "access", lambda path, bits: bits != os.W_OK)  # root may write all
    with pytest.raises(ConfigError, match="read-only"):
        save_config("current_scope", "alpha")
    assert path.read_bytes() == b""
    assert not dirs.litter()


def test_device_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KYCLI_CONFIG", os.devnull)
    with pytest.raises(ConfigError, match="it is not a regular file"):
        save_config("current_scope", "alpha")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_file_in_the_place_of_a_directory_is_one_clear_error(
    dirs: Directories, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocker = write(dirs.work / "blocker", "")
    monkeypatch.setenv("KYCLI_CONFIG", str(blocker / "config"))
    assert load_config().source is None
    with pytest.raises(ConfigError, match="cannot be saved") as caught:
        save_config("current_scope", "alpha")
    assert str(blocker / "config") in str(caught.value)


@pytest.mark.parametrize("call", ["replace", "fsync", "fchmod", "open"])
def test_failure_leaves_the_old_file_and_no_litter(
    dirs: Directories, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = write(dirs.work / ".kyclirc", "durability = 'full'\n")
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
    assert not dirs.litter()
    save_config("current_scope", "alpha")
    assert load_config().current_scope == "alpha"


def test_interrupt_leaves_the_old_file_and_no_litter(
    dirs: Directories, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(dirs.work / ".kyclirc", "durability = 'full'\n")

    def interrupted(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            save_config("current_scope", "alpha")
    assert path.read_text() == "durability = 'full'\n"
    assert not dirs.litter()


@pytest.mark.parametrize(
    ("call", "scope"), [("open", "old"), ("fsync", "old"), ("replace", "old"), ("unlink", "new")]
)
def test_saver_killed_in_the_middle_leaves_a_whole_file_and_no_lock(
    dirs: Directories, call: str, scope: str
) -> None:
    write(dirs.work / ".kyclirc.json", '{"current_scope": "old"}')
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
def test_processes_that_save_at_once_lose_nothing_of_each_other(
    dirs: Directories, name: str
) -> None:
    rounds = 30
    write(dirs.work / name, "")
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
    assert config.db_path == str(dirs.work / f"db_path-{rounds - 1}")
    assert config.busy_timeout_ms == rounds - 1
    assert not dirs.litter()


def test_threads_that_save_at_once_lose_nothing_of_each_other(dirs: Directories) -> None:
    threads = [
        threading.Thread(target=save_config, args=item) for item in FULL.items() for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said(load_config()) == FULL
    assert not dirs.litter()


def test_lock_that_is_not_given_back_is_an_error_that_names_it(
    dirs: Directories, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(dirs.work / ".kyclirc", "")
    monkeypatch.setattr(saving, "_LOCK_SECONDS", 0.02)
    with saving._Lock(f"{path}.lock"), pytest.raises(ConfigError) as caught:
        save_config("current_scope", "alpha")
    assert str(caught.value).startswith(f"{path}.lock: another process")
    save_config("current_scope", "alpha")
    assert not dirs.litter()


def test_lock_file_that_a_killed_process_left_is_no_hindrance(dirs: Directories) -> None:
    write(dirs.work / ".kyclirc", "")
    write(dirs.work / ".kyclirc.lock", "")
    save_config("current_scope", "alpha")
    assert load_config().current_scope == "alpha"
    assert not dirs.litter()


def test_lock_file_that_somebody_removed_meanwhile_is_no_error(dirs: Directories) -> None:
    lock = dirs.work / "x.lock"
    with saving._Lock(str(lock)):
        lock.unlink()
    assert not lock.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_directory_that_cannot_be_written_is_one_clear_error(dirs: Directories) -> None:
    path = write(dirs.work / ".kyclirc", "a = 1\n")
    dirs.work.chmod(0o500)
    try:
        with pytest.raises(ConfigError, match="cannot be saved: Permission denied"):
            save_config("current_scope", "alpha")
    finally:
        dirs.work.chmod(0o700)
    assert path.read_text() == "a = 1\n"


def test_link_that_leads_round_is_not_replaced(
    dirs: Directories, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = dirs.work / "round"
    link.symlink_to(link)
    monkeypatch.setenv("KYCLI_CONFIG", str(link))
    with pytest.raises(ConfigError, match="cannot be saved"):
        save_config("current_scope", "alpha")
    assert link.is_symlink()
