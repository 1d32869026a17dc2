"""Migrations that fail, are interrupted or killed leave no copies and no empty databases."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw
import pytest

from kycli import Kycore
from kycli.core.migration import backup as copying
from kycli.core.migration import formats, legacy, workspaces
from kycli.core.migration.formats import migrate
from kycli.errors import CannotOpenError, DiskFullError

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture
def there(tmp_path: Path) -> Path:
    directory = tmp_path / "there"
    directory.mkdir()
    return directory


# Compared from its 100th byte on: its header says what kind of journal it has, which is
# changed before it is copied.
@pytest.fixture
def old(there: Path) -> Path:
    return Path(shutil.copy(FIXTURES / "0.1.8-plain.db", there / "old.db"))


@pytest.fixture(params=["unnamed", "partial"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How a copy is made: the second is for file systems that know no unnamed files."""
    if request.param == "partial":
        monkeypatch.delattr(os, "O_TMPFILE")
    return str(request.param)


def test_a_copy_is_whole_and_has_the_mode_of_the_database(
    old: Path, there: Path, kind: str
) -> None:
    before = old.read_bytes()
    old.chmod(0o640)
    done = migrate(str(old), backup=str(there / "copy"))
    assert done is not None
    assert done.backup == str(there / "copy")
    assert (there / "copy").read_bytes()[100:] == before[100:]
    assert (there / "copy").stat().st_mode & 0o777 == 0o640
    assert sorted(os.listdir(there)) == ["copy", "old.db"]


def raising(error: BaseException) -> Any:
    def fail(*arguments: Any) -> None:
        raise error

    return fail


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_copy_that_cannot_be_finished_is_gone(
    old: Path, there: Path, kind: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = old.read_bytes()
    monkeypatch.setattr(copying, "write_at", raising(error))
    with pytest.raises((DiskFullError, KeyboardInterrupt)):
        migrate(str(old), backup=str(there / "copy"))
    assert os.listdir(there) == ["old.db"]
    assert old.read_bytes()[100:] == before[100:]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), apsw.FullError("full")])
def test_the_copy_goes_with_a_migration_that_fails(
    old: Path, there: Path, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = old.read_bytes()
    monkeypatch.setattr(formats, "make_objects", raising(error))
    with pytest.raises((DiskFullError, KeyboardInterrupt)):
        migrate(str(old), backup=str(there / "copy"))
    assert os.listdir(there) == ["old.db"]
    assert old.read_bytes()[100:] == before[100:]


KILLED = """
import os, signal, sys
from kycli.core.migration import backup, formats
if sys.argv[3] == "partial":
    del os.O_TMPFILE
def killed(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[4] == "while copying":
    backup._is_same = killed
else:
    formats.make_objects = killed
formats.migrate(sys.argv[1], backup=sys.argv[2])
"""


def kill(old: Path, copy: Path, kind: str, when: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, old, copy, kind, when],
        check=False,
        cwd=old.parent,
    )
    assert done.returncode == -signal.SIGKILL


def test_what_a_killed_process_had_copied_is_taken_up_or_replaced(
    old: Path, there: Path, kind: str
) -> None:
    before = old.read_bytes()
    copy = there / "copy"
    kill(old, copy, kind, "while copying")
    assert not copy.exists()
    assert migrate(str(old), backup=str(copy)) is not None
    assert copy.read_bytes()[100:] == before[100:]
    assert sorted(os.listdir(there)) == ["copy", "old.db"]


def test_the_copy_of_a_migration_that_was_killed_is_used_again(old: Path, there: Path) -> None:
    before = old.read_bytes()
    copy = there / "copy"
    kill(old, copy, "unnamed", "while migrating")
    assert copy.read_bytes()[100:] == before[100:]
    done = migrate(str(old), backup=[str(copy), str(there / "another")])
    assert done is not None
    assert done.backup == str(copy)
    assert copy.read_bytes()[100:] == before[100:]
    assert sorted(os.listdir(there)) == ["copy", "old.db"]


def test_another_file_of_that_name_is_never_replaced(old: Path, there: Path) -> None:
    before = old.read_bytes()
    copy = there / "copy"
    copy.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    with pytest.raises(CannotOpenError, match="already"):
        migrate(str(old), backup=str(copy))
    assert old.read_bytes()[100:] == before[100:]
    done = migrate(str(old), backup=[str(copy), str(there / "another")])
    assert done is not None
    assert done.backup == str(there / "another")
    assert (there / "another").read_bytes()[100:] == before[100:]


# Into another database


def bring(old: Path, target: Path) -> None:
    found = legacy.identify(str(old))
    assert found is not None
    workspaces.bring_in(
        str(target), workspaces.plan([found], {}), legacy.Keyring(), lambda: Kycore(target)
    )


@pytest.mark.parametrize("error", [KeyboardInterrupt(), apsw.FullError("full")])
@pytest.mark.parametrize("step", ["_one", "_copy_rows", "keep"])
def test_a_target_that_nothing_came_into_is_gone(
    old: Path, there: Path, step: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = there / "target.db"
    monkeypatch.setattr(workspaces, step, raising(error))
    with pytest.raises((DiskFullError, KeyboardInterrupt)):
        bring(old, target)
    assert os.listdir(there) == ["old.db"]
    monkeypatch.undo()
    bring(old, target)
    with Kycore(target) as kv:
        assert kv.scopes() == ["old"]


def test_a_target_that_was_there_or_that_somebody_uses_stays(
    old: Path, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = there / "target.db"
    users: list[Kycore] = []

    def used(*arguments: Any) -> None:
        users.append(Kycore(target))
        raise KeyboardInterrupt

    monkeypatch.setattr(workspaces, "_one", used)
    with pytest.raises(KeyboardInterrupt):
        bring(old, target)
    users[0].save("k", "v")
    users[0].close()
    monkeypatch.setattr(workspaces, "_one", raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        bring(old, target)
    with Kycore(target) as kv:
        assert kv["k"] == "v"


def test_a_target_that_a_killed_process_left_is_filled_by_the_next(old: Path, there: Path) -> None:
    target = there / "target.db"
    program = (
        "import os, signal, sys\n"
        "from kycli import Kycore\n"
        "from kycli.core.migration import legacy, workspaces\n"
        "workspaces._one = lambda *a: os.kill(os.getpid(), signal.SIGKILL)\n"
        "plan = workspaces.plan([legacy.identify(sys.argv[1])], {})\n"
        "workspaces.bring_in(sys.argv[2], plan, legacy.Keyring(), lambda: Kycore(sys.argv[2]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, old, target], check=False, cwd=there)
    assert done.returncode == -signal.SIGKILL
    bring(old, target)
    with Kycore(target) as kv:
        assert kv.scopes() == ["old"]
