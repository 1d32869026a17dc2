"""Whether names in directories still lead where they led."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kycli.core.storage import Entries

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of entries")


def entries(directory: Path, name: str = "name") -> Entries:
    found = Entries()
    assert found.add(os.fsencode(directory), name.encode())
    assert found.are_same()
    return found


def renamed_away(path: Path) -> None:
    path.touch()
    path.rename(path.with_name("other"))


def changed_mode(path: Path) -> None:
    path.touch()
    path.chmod(0o666)


def removed_directory(path: Path) -> None:
    path.with_name("other").unlink()
    path.parent.rmdir()


CHANGES: dict[str, Callable[[Path], object]] = {
    "a file": Path.touch,
    "a directory": Path.mkdir,
    "a link that leads nowhere": lambda path: path.symlink_to("nowhere"),
    "one that another name had": lambda path: path.with_name("other").rename(path),
    "one that is renamed": renamed_away,
    "a mode": changed_mode,
    "the mode of the directory": lambda path: path.parent.chmod(0o700),
    "a directory that is renamed": lambda path: path.parent.rename(path.parent.with_name("x")),
    "a directory that is removed": removed_directory,
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_happens_to_an_entry_is_noticed(tmp_path: Path, change: str) -> None:
    directory = tmp_path / "d"
    directory.mkdir()
    (directory / "other").touch()
    one = entries(directory)
    CHANGES[change](directory / "name")
    assert not one.are_same()


def test_what_happens_to_others_is_not(tmp_path: Path) -> None:
    one = entries(tmp_path)
    for number in range(300):  # more than are read at once
        (tmp_path / f"a name of some length {number}").touch()
    (tmp_path / "name of another").mkdir()
    assert one.are_same()
    (tmp_path / "name").touch()
    assert not one.are_same()


def test_one_entry_of_many(tmp_path: Path) -> None:
    one = entries(tmp_path, "a")
    assert one.add(os.fsencode(tmp_path), b"b")
    (tmp_path / "d").mkdir()
    assert not one.add(os.fsencode(tmp_path / "no"), b"c")
    assert one.add(os.fsencode(tmp_path / "d"), b"c")
    (tmp_path / "c").touch()
    (tmp_path / "d" / "a").touch()
    assert one.are_same()
    (tmp_path / "b").touch()
    assert not one.are_same()


def test_none_is_left_after_all_were_forgotten(tmp_path: Path) -> None:
    one = entries(tmp_path)
    (tmp_path / "name").touch()
    one.clear()
    (tmp_path / "name").unlink()
    assert one.are_same()
    assert one.add(os.fsencode(tmp_path), b"other")
    (tmp_path / "name").touch()
    assert one.are_same()
    (tmp_path / "other").touch()
    assert not one.are_same()


def test_too_many_events_may_hide_one(tmp_path: Path) -> None:
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    one = entries(tmp_path)
    path = tmp_path / "another"
    for _ in range(most // 2 + 10):
        path.touch()
        path.unlink()
    assert not one.are_same()
    one.clear()
    assert one.are_same()


def test_what_is_no_directory_cannot_be_watched(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert not Entries().add(os.fsencode(tmp_path / "file"), b"x")
    assert not Entries().add(b"/nowhere", b"x")


MOUNT = """\
import os, subprocess, sys
from kycli.core.storage import Entries

one = Entries()
assert one.add(os.fsencode(sys.argv[1]), b"x") and one.are_same()
subprocess.run(["mount", "-t", "tmpfs", "none", sys.argv[1]], check=True)
assert not one.are_same()
assert one.are_same()
"""


def test_a_mount_may_hide_any_of_them(tmp_path: Path) -> None:
    apart = ["unshare", "-rm"]
    try:
        subprocess.run([*apart, "mount", "-t", "tmpfs", "none", tmp_path], check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("nothing can be mounted here")
    subprocess.run([*apart, sys.executable, "-c", MOUNT, tmp_path], check=True)
