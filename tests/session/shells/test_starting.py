"""How the server of a shell starts: with little for the first call, and the rest of it later."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from session import bashes
from session.terminals import environment, wait_for

import kycli
from kycli.session import lean

RUN = {
    "bash": ["bash", "--norc", "-c", 'eval "$(kycli init bash)"; kyg none; read -r _'],
    "zsh": ["zsh", "-f", "-c", 'eval "$(kycli init zsh)"; kyg none; read -r'],
    "fish": ["fish", "--no-config", "-c", "kycli init fish | source; kyg none; read"],
}

LARGE = ("pydantic_core", "jsonschema_rs", "re2")


def processes(shell: str, pid: int) -> list[Path]:
    """Return the processes of the server of a shell."""
    module = f"kycli.session.shells.{shell}".encode()
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            words = (directory / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if module in words and b"%d" % pid in words:
            found.append(directory)
    return found


def loaded(directory: Path) -> set[str]:
    try:
        mapped = (directory / "maps").read_text()
    except OSError:  # it has ended
        return set()
    return {name for name in LARGE if name in mapped}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_server_loads_in_the_end_what_an_upgrade_could_change(shell: str) -> None:
    if not (bashes.has_functions() if shell == "bash" else shutil.which(shell)):
        pytest.skip(f"no {shell} that has the functions")
    with subprocess.Popen(
        RUN[shell],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(),
    ) as running:
        wait_for(lambda: processes(shell, running.pid), "there is a server")
        wait_for(
            lambda: all(loaded(each) == set(LARGE) for each in processes(shell, running.pid)),
            "all of its processes have loaded everything",
        )
        assert processes(shell, running.pid)
        running.communicate(b"\n")


def python(text: str, *words: str, path: Path) -> tuple[int, list[str]]:
    """Begin a module of this text as shells do; return the exit code and the lines it prints."""
    (path / "told.py").write_text(f"import sys\ndef main(*words):\n{text}", encoding="utf-8")
    command = [sys.executable, "-SP", "-X", "utf8", "-c", lean.command(), "told", *words]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(path)}, stdout=subprocess.PIPE, text=True, check=False
    )
    return done.returncode, done.stdout.splitlines()


def test_a_module_is_begun_with_its_words(tmp_path: Path) -> None:
    said = python("    print(*words, flush=True)\n    return 7\n", "one", "två", path=tmp_path)
    assert said == (7, ["one två"])


def test_a_server_of_bash_begins_without_what_takes_long_to_import(tmp_path: Path) -> None:
    code, (said,) = python(
        "    import kycli.session.shells.bash, kycli.session.worker, kycli.core.storage\n"
        "    import kycli.cli.commands.values.reading, kycli.cli.commands.values.storing\n"
        "    print(*sys.modules, flush=True)\n"
        "    return 0\n",
        path=tmp_path,
    )
    assert code == 0
    modules = set(said.split())
    assert "kycli.core.storage" in modules
    assert not modules & {"contextlib", "enum", "re", "signal", "site", "socket", "typing"}


def test_what_only_site_finds_is_found(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        f"import sys\nsys.path.append({str(tmp_path / 'more')!r})", encoding="utf-8"
    )
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "far_away.py").write_text("NAME = 'found'", encoding="utf-8")
    said = python(
        "    print('site' in sys.modules)\n"
        "    import far_away\n"
        "    print(far_away.NAME, 'site' in sys.modules)\n"
        "    try: import nowhere_at_all\n"
        "    except ModuleNotFoundError as error: print(error, flush=True)\n"
        "    return 0\n",
        path=tmp_path,
    )
    assert said == (0, ["False", "found True", "No module named 'nowhere_at_all'"])


FINDER = """\
import sys
from importlib.machinery import PathFinder

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return PathFinder.find_spec(name, path or [{folder!r}], target)

sys.path[:] = [path for path in sys.path if path != {folder!r}]
sys.meta_path[:] = [*sys.meta_path[-3:], Finder]  # without those that setuptools puts before
"""
"""What is installed to be edited may be found in this way."""


def test_what_only_a_finder_of_site_finds_is_found(tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    (more / "far_away.py").write_text("NAME = 'found'", encoding="utf-8")
    finder = FINDER.format(folder=str(more))
    (tmp_path / "sitecustomize.py").write_text(finder, encoding="utf-8")
    said = python(
        "    import far_away\n    print(far_away.NAME, flush=True)\n    return 0\n", path=tmp_path
    )
    assert said == (0, ["found"])


def test_the_command_is_found_by_a_finder_of_site(tmp_path: Path) -> None:
    finder = FINDER.format(folder=str(Path(kycli.__file__).parents[1]))
    (tmp_path / "sitecustomize.py").write_text(finder, encoding="utf-8")
    script = tmp_path / "bin" / "kycli"  # beside which there is no package
    script.parent.mkdir()
    shutil.copy(Path(sys.executable).with_name("kycli"), script)
    for words in (["-S"], []):
        done = subprocess.run(
            [sys.executable, *words, script, "version"],
            env={"PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert kycli.__version__ in done.stdout
