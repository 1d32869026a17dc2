"""What a worker keeps from one request to the next holds no longer than the files say.

A worker changes the environment of its process, so this runs in one of its own: as a program.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kycli import Kycore
from kycli.config import Config, load_config
from kycli.session import worker
from kycli.session.protocol import Request
from kycli.session.worker import Worker

SETTLED = 0.025
"""After so many seconds the next change of a file has another time."""

WARM = 5
"""After so many requests from one directory it is watched."""


class Scene:
    """A worker, and the files of its user.

    Attributes:
        root: what all of them are in.
        here: the directory that requests come from.
        variables: those that they send.
        by_proc: whether they leave their directory to /proc, and do not name it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "home"
        self.here = self.home / "project" / "deep"
        self.here.mkdir(parents=True)
        self.database = root / "kycli.db"
        self.fill(self.database)
        self.variables = {
            "HOME": str(self.home),
            "KYCLI_DB_PATH": str(self.database),
        }
        self.worker = Worker()
        self.by_proc = True

    def fill(self, path: Path) -> None:
        with Kycore(path) as store:
            for scope in ("default", "a", "b", "c", "d", "e"):
                store.save("which", f"{scope} of {path.name}", scope=scope)

    def config(self, path: str, scope: str, **more: str) -> Path:
        """Write a config of the current scope."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"current_scope": scope, **more}))
        return file

    def ask(self, *words: str, program: str = "kyg") -> tuple[bytes, bytes]:
        """Run a command; return its status and what it printed."""
        os.chdir(self.here if self.by_proc else "/")
        variables = "".join(f"{name}={value}\0" for name, value in self.variables.items())
        directory = b"." if self.by_proc else os.fsencode(self.here)
        request = Request(
            os.getpid(), directory, 0o022, "ppp", program, variables.encode(), [*words], None
        )
        status, chunks = self.worker.run(request)
        self.worker.leave()
        return status, b"".join(data for stream, data in chunks if stream == 1)

    def expected(self) -> tuple[bytes, bytes]:
        """What a process of its own prints for the key ``which``."""
        os.chdir(self.here)
        for name in [name for name in os.environ if name.startswith("KYCLI_")]:
            del os.environ[name]
        os.environ.update(self.variables)
        config = load_config()
        scope = os.environ.get("KYCLI_SCOPE") or config.current_scope or "default"
        path = os.environ.get("KYCLI_DB_PATH") or config.db_path
        return b"0", f"{scope} of {os.path.basename(str(path))}\n".encode()

    def check(self, *, is_watched: bool = True) -> None:
        """Hold the worker to what a process would do, until the directory is watched."""
        for _ in range(WARM):
            os.chdir("/")
            wanted = self.expected()
            found = self.ask("which")
            assert found == wanted, (found, wanted)
        if is_watched:
            time.sleep(SETTLED)
            wanted = self.expected()
            os.chdir("/")
            assert all(self.ask("which") == wanted for _ in range(WARM))
        assert self.worker._caller.is_watched is is_watched


def nearer_and_nearer(scene: Scene) -> None:
    scene.check()
    for number, path in enumerate((
        *("home/.config/kycli/config.json", "home/.kyclirc.json", "home/.kyclirc"),
        *("home/project/.kyclirc.json", "home/project/.kyclirc"),
        *("home/project/deep/.kyclirc.json", "home/project/deep/.kyclirc"),
    )):  # fmt: skip
        scene.config(path, "abcde"[number % 5])
        scene.check()
    for path in ("home/project/deep/.kyclirc", "home/project/.kyclirc", "home/.kyclirc"):
        (scene.root / path).unlink()
        scene.check()
    (scene.home / ".config").rename(scene.home / ".other")
    scene.check()


def changed_in_place(scene: Scene) -> None:
    file = scene.config("home/project/.kyclirc", "a")
    scene.check()
    for scope in "bcdea":
        with file.open("r+") as stream:
            stream.write(f'{{"current_scope": "{scope}"}}')
        scene.check()
    scene.ask("c", program="kyuse")
    scene.check()
    assert scene.expected()[1].startswith(b"c ")


def changed_within_a_tick(scene: Scene) -> None:
    stat = os.stat

    def coarse(path: str) -> os.stat_result:
        found = stat(path)
        times = {"st_mtime_ns": found.st_mtime_ns, "st_ctime_ns": found.st_ctime_ns}
        return os.stat_result([*found], {name: ns - ns % 10**9 for name, ns in times.items()})

    file = scene.config("home/project/.kyclirc", "a")
    os.stat = coarse  # type: ignore[assignment]
    for scope in "bcdea" * 4:
        file.write_text(f'{{"current_scope": "{scope}"}}')
        for _ in range(WARM):
            assert scene.ask("which") == (b"0", f"{scope} of kycli.db\n".encode())


def another_while_it_is_read(scene: Scene) -> None:
    scene.config("home/.kyclirc", "a")
    scene.check()
    near = scene.home / "project" / ".kyclirc"

    def load() -> Config:
        scene.config("home/project/.kyclirc", "b")
        return load_config()

    vars(worker)["load_config"] = load
    (scene.home / ".kyclirc").touch()
    assert scene.ask("which") == (b"0", b"b of kycli.db\n")
    vars(worker)["load_config"] = load_config
    near.unlink()
    assert scene.ask("which") == (b"0", b"a of kycli.db\n")


def a_loop_over_many(scene: Scene) -> None:
    worker._TICK_NS = -1  # as if every file had been there for long
    top = scene.here
    for number in range(100):
        scene.here = top / str(number)
        scene.config(f"{scene.here}/.kyclirc", "a")
        assert scene.ask("which") == (b"0", b"a of kycli.db\n")
    scene.check()
    for number in range(100):
        assert scene.ask("k", "v", "-d", f"{number}.db", program="kys")[0] == b"0"
    calls = scene.worker.calls
    assert len(calls._configs) < 70
    assert calls._known is not None
    assert len(calls._known.paths) < 70


def links(scene: Scene) -> None:
    (scene.here / ".kyclirc").symlink_to(scene.root / "far" / "config")
    scene.check()
    scene.config("far/config", "a")
    scene.check()
    (scene.root / "far").rename(scene.root / "farther")
    scene.check()
    scene.config("near/config", "b")
    (scene.root / "far").symlink_to("near")
    scene.check()
    (scene.root / "far").unlink()
    (scene.root / "far").symlink_to("farther")
    scene.check()
    assert scene.expected()[1].startswith(b"a ")


def the_directory_is_another(scene: Scene) -> None:
    scene.config("home/project/.kyclirc", "a")
    scene.check()
    old = scene.home / "old"
    (scene.home / "project").rename(old)
    scene.here.mkdir(parents=True)
    scene.check()  # of the same name
    scene.here = old / "deep"
    scene.check()
    scene.config("home/old/deep/.kyclirc", "b")
    scene.check()
    other = scene.home / "project" / "deep" / "other"
    other.mkdir()
    for _ in range(WARM):
        for scene.here in (other, old / "deep"):
            assert scene.ask("which") == scene.expected()


def a_name_through_a_link(scene: Scene) -> None:
    scene.by_proc = False
    scene.config("home/project/.kyclirc", "a")
    scene.config("home/second/.kyclirc", "b")
    (scene.home / "second/deep").mkdir()
    link = scene.home / "link"
    link.symlink_to("project")
    scene.here = link / "deep"
    scene.check()
    link.unlink()
    link.symlink_to("second")
    scene.check()
    assert scene.expected()[1].startswith(b"b ")


def variables(scene: Scene) -> None:
    scene.config("home/.kyclirc", "a")
    scene.check()
    scene.variables["KYCLI_SCOPE"] = "b"
    scene.check()
    file = scene.config("named", "c")
    del scene.variables["KYCLI_SCOPE"]
    scene.variables["KYCLI_CONFIG"] = "../../../named"
    scene.check()
    file.unlink()
    scene.check()
    scene.config("named", "d")
    scene.check()
    scene.here = scene.root / "home/project/deep/x"
    scene.here.mkdir()
    scene.check()


def not_trusted(scene: Scene) -> None:
    file = scene.config("home/project/.kyclirc", "a")
    scene.check()
    file.chmod(0o666)
    scene.check(is_watched=False)
    file.chmod(0o600)
    scene.check()


def databases(scene: Scene) -> None:
    del scene.variables["KYCLI_DB_PATH"]
    for name in ("one.db", "two.db"):
        scene.fill(scene.root / name)
    file = scene.config("home/project/.kyclirc", "a", db_path=str(scene.root / "one.db"))
    scene.check()
    (scene.root / "one.db").unlink()
    with Kycore(scene.root / "one.db") as store:
        store.save("which", "another file", scope="a")
    assert scene.ask("which") == (b"0", b"another file\n")
    file.write_text(file.read_text().replace("one.db", "two.db"))
    scene.check()
    os.chdir(scene.here)
    scene.fill(scene.here / "three.db")
    for _ in range(WARM):
        assert scene.ask("which", "-d", "three.db") == (b"0", b"a of three.db\n")
        assert scene.ask("which") == scene.expected()
    (scene.here / "three.db").unlink()
    (scene.here / "three.db").mkdir()
    scene.fill(scene.here / "three.db" / "kycli.db")
    assert scene.ask("which", "-d", "three.db") == (b"0", b"a of kycli.db\n")
    assert scene.ask("k", "v", "-d", "no/four.db", program="kys")[0] == b"1"
    assert scene.ask("which") == scene.expected()


def a_directory_is_left(scene: Scene) -> None:
    scene.by_proc = False
    scene.check()
    assert os.getcwd() == "/"
    status, out = scene.ask("k", "v", "-d", "x.db", program="kys")
    assert (status, os.getcwd()) == (b"0", "/"), out
    assert (scene.here / "x.db").exists()
    scene.check()
    scene.worker.rest(0)
    assert not scene.worker._caller.is_watched
    scene.check()


def cancelled_before_it_began(scene: Scene) -> None:
    """The signal came before there was a command to interrupt."""
    scene.worker.is_cancelled = lambda: True
    assert scene.ask("which", "other", program="kys") == (b"130", b"")
    scene.worker.is_cancelled = lambda: False
    assert scene.ask("which") == (b"0", b"default of kycli.db\n")


SCENES: dict[str, Callable[[Scene], None]] = {
    scene.__name__: scene
    for scene in (
        *(nearer_and_nearer, changed_in_place, changed_within_a_tick, links),
        *(another_while_it_is_read, a_loop_over_many),
        the_directory_is_another,
        *(a_name_through_a_link, variables, not_trusted, databases, a_directory_is_left),
        cancelled_before_it_began,
    )
}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of changes")
@pytest.mark.parametrize("scene", SCENES)
def test_the_next_request_sees(scene: str, tmp_path: Path) -> None:
    program = [sys.executable, __file__, scene, str(tmp_path.resolve())]
    variables = {"PATH": os.environ["PATH"]}
    done = subprocess.run(program, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


if __name__ == "__main__":
    SCENES[sys.argv[1]](Scene(Path(sys.argv[2])))
