"""Make the fixtures: databases written by the releases from 0.0.1 to 0.4.0 themselves.

Run by hand, when a fixture is to be added; the result is committed, and the tests only
read it. It needs a network, a C compiler and SQLite's headers::

    cd tests && python -m legacy.make_fixtures /var/tmp/old-releases [VERSION…]

Each release is installed into an environment of its own below the directory named, and
runs with a home directory there. Beside each database ``NAME.db`` goes ``NAME.json``: what
the release itself reports of a copy of it, in a new process, as opening changes the file.

Two releases need help to be installed. The build of 0.1.5 asks for a tool that knows nothing
of Cython, and leaves the engine out. That of 0.2.1 fails with Cython 3, as its source does not
compile; Cython 0.29 takes the C code that is in its sdist, which is the engine of 0.2.0.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from legacy.old_release import KEY, OTHER_KEY

HERE = Path(__file__).parent
FIXTURES = HERE / "fixtures"
HOMES = FIXTURES / "homes"

SCENARIOS: dict[str, list[str]] = {
    "0.0.1": ["plain"],
    "0.0.2": ["plain"],
    "0.0.3": ["plain"],
    "0.0.4": ["plain"],
    "0.0.5": ["plain"],
    "0.1.1": ["plain"],
    "0.1.2": ["plain", "wal"],
    "0.1.3": ["plain"],
    "0.1.4": ["plain"],
    "0.1.5": ["plain"],
    "0.1.6": ["plain"],
    "0.1.7": ["plain", "wal", "encrypted", "rewound"],
    "0.1.8": ["plain", "encrypted", "rewound"],
    "0.2.0": ["plain", "encrypted", "rewound"],
    "0.2.1": ["plain", "encrypted"],
    "0.2.2": ["plain", "encrypted"],
    "0.2.3": ["plain", "encrypted", "rotated"],
    "0.3.0": ["plain", "encrypted", "rotated", "queue", "stack", "priority_queue"],
    "0.4.0": [
        *("plain", "encrypted", "rotated", "rewound", "settings"),
        *("queue", "stack", "priority_queue"),
    ],
}

# Databases that several releases wrote, each taking over from the one before.
UPGRADED = ["0.0.3", "0.1.1", "0.1.4", "0.1.6", "0.1.7", "0.1.8"]

# The keys that a release is asked with, one report for each.
KEYS: dict[str, list[str | None]] = {
    "encrypted": [KEY, OTHER_KEY, None],
    "rotated": [OTHER_KEY, KEY],
    "queue": [KEY],
    "stack": [KEY],
    "priority_queue": [KEY],
}


class Release:
    """A release in an environment of its own."""

    def __init__(self, version: str, directory: Path) -> None:
        self.version = version
        self.directory = directory / version
        self.python = self.directory / "venv" / "bin" / "python"
        if not self.python.exists():
            subprocess.run([sys.executable, "-m", "venv", self.directory / "venv"], check=True)
        done = self.directory / "installed"
        if not done.exists():
            self._install()
            done.touch()

    def _install(self) -> None:
        # 0.1.7 encrypts when it finds cryptography, and does not ask for it.
        self._pip("install", "cryptography", "cython<3", "setuptools", "wheel")
        source = ["--no-binary", "kycli", f"kycli=={self.version}"]
        if self.version == "0.1.5":
            self._pip("download", "--no-deps", "--dest", str(self.directory), *source)
            shutil.unpack_archive(self.directory / "kycli-0.1.5.tar.gz", self.directory)
            (self.directory / "kycli-0.1.5" / "pyproject.toml").unlink()
            source = [str(self.directory / "kycli-0.1.5")]
        alone = self.version in ("0.1.5", "0.2.1")
        self._pip("install", *(["--no-build-isolation"] if alone else []), *source)

    def _pip(self, *arguments: str) -> None:
        subprocess.run([self.python, "-m", "pip", "--quiet", *arguments], check=True)

    def run(self, home: Path, *command: str | Path) -> str:
        """Run the release's Python, or a command of it, and return what it printed."""
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("KYCLI", "XDG", "PYTHON"))},
            "HOME": str(home),
            "PATH": f"{self.python.parent}:{os.environ['PATH']}",
        }
        return subprocess.run(
            command,
            env=environment,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            check=True,
            encoding="utf-8",
            timeout=600,
        ).stdout

    def command(self, home: Path, *command: str) -> None:
        """Run a command of the release, as a user does."""
        print(f"{self.version} {' '.join(command)}: {self.run(home, *command)}", end="")

    def database(self, home: Path) -> Path:
        """Return where a store is in a home directory."""
        if self.version == "0.0.1":
            (home / ".kycli").mkdir(exist_ok=True)
            return home / ".kycli" / "kydata.pkl"
        return home / "kydata.db"

    def script(self, home: Path, *arguments: str | Path) -> str:
        return self.run(home, self.python, HERE / "old_release.py", *arguments)

    def write(self, scenario: str) -> None:
        """Make a fixture and the report beside it."""
        home = fresh(self.directory / "home")
        path = self.database(home)
        self.script(home, "write", scenario, self.version, path)
        self.keep(path, scenario)

    def keep(self, path: Path, scenario: str) -> None:
        """Make a fixture of a database, and the report beside it."""
        name = f"{self.version}-{scenario}"
        kept = FIXTURES / f"{name}{path.suffix}"
        for ending in ("", "-wal"):
            kept.with_name(kept.name + ending).unlink(missing_ok=True)
        copy(path, kept)
        reports = []
        for key in KEYS.get(scenario, [None]):
            home = fresh(self.directory / "home")
            path = self.database(home)
            copy(kept, path)
            try:
                answer = self.script(home, "read", self.version, path, *([key] if key else []))
                report = json.loads(answer)
            except subprocess.CalledProcessError:
                report = {"refused": True}
            reports.append({"master_key": key, **report})
        save(name, {"release": self.version, "scenario": scenario, "reports": reports})


def write_upgraded(directory: Path) -> None:
    """Make a database that has been through all releases, each adding to it."""
    home = fresh(directory / "home")
    path = home / "kydata.db"
    for number, version in enumerate(UPGRADED):
        release = Release(version, directory)
        release.script(home, "write", "more" if number else "plain", version, path)
    Release(UPGRADED[-1], directory).keep(path, "upgraded")


def write_homes(directory: Path) -> None:
    """Make home directories in which later releases found what earlier ones had left."""
    shutil.rmtree(HOMES, ignore_errors=True)

    # 0.2.0 moves a database, and not the -wal file that holds all its data.
    home = fresh(directory / "home")
    old, new = Release("0.1.2", directory), Release("0.2.0", directory)
    old.script(home, "write", "wal", "0.1.2", home / "kydata.db")
    new.command(home, "kyl")
    keep_home(home, "moved-by-0.2.0")

    # 0.2.3 takes the live values of an encrypted database, and encrypts them again; and the
    # library still has its store in the old place.
    home = fresh(directory / "home")
    old, new = Release("0.1.8", directory), Release("0.2.3", directory)
    old.script(home, "write", "encrypted", "0.1.8", home / "kydata.db")
    new.command(home, "kyg", "open", "--key", KEY)
    new.command(home, "kys", "later", "saved by 0.2.3", "--key", KEY)
    program = "from kycli import Kycore; Kycore().save('library', [1])"
    new.run(home, new.python, "-c", program)
    keep_home(home, "migrated-by-0.2.3")

    # 0.4.0 with its workspaces, and the pickle of long ago.
    home = fresh(directory / "home")
    old, new = Release("0.0.1", directory), Release("0.4.0", directory)
    old.command(home, "kys", "Ancient", "from 0.0.1")
    new.command(home, "kys", "name", "in the default workspace")
    new.command(home, "kyuse", "work-2")
    new.command(home, "kys", "name", "at work")
    new.command(home, "kyws", "create", "jobs", "--type", "priority_queue")
    new.command(home, "kyuse", "jobs")
    new.command(home, "kycli", "kypush", "second", "--priority", "1")
    new.command(home, "kycli", "kypush", "first", "--priority", "2")
    keep_home(home, "workspaces-of-0.4.0")


def keep_home(home: Path, name: str) -> None:
    """Make a fixture of a home directory, without what only SQLite needs while it runs."""
    left_out = shutil.ignore_patterns("*-shm", "__pycache__", "*.log", ".cache")
    shutil.copytree(home, HOMES / name, ignore=left_out)


def fresh(directory: Path) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


def copy(source: Path, target: Path) -> None:
    """Copy a database with its ``-wal`` file."""
    for ending in ("", "-wal"):
        if source.with_name(source.name + ending).exists():
            shutil.copy(
                source.with_name(source.name + ending), target.with_name(target.name + ending)
            )


def save(name: str, content: dict[str, Any]) -> None:
    text = json.dumps(content, ensure_ascii=True, indent=1)
    (FIXTURES / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def main() -> None:
    directory = Path(sys.argv[1]).resolve()
    FIXTURES.mkdir(exist_ok=True)
    for version in sys.argv[2:] or SCENARIOS:
        release = Release(version, directory)
        for scenario in SCENARIOS[version]:
            release.write(scenario)
            print(version, scenario)
    if not sys.argv[2:]:
        write_upgraded(directory)
        write_homes(directory)


if __name__ == "__main__":
    main()
