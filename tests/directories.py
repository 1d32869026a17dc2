"""A user's directories for one test, and configs to put into them."""

from __future__ import annotations

import pwd
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import strategies as st

from kycli.config import Config

PACKAGE = sys.modules["kycli"].__path__[0]
VARIABLES = ("KYCLI_CONFIG", "KYCLI_DB_PATH", "KYCLI_SCOPE", "XDG_DATA_HOME", "XDG_CONFIG_HOME")

FULL = {
    "db_path": "/data/x.db",
    "current_scope": "alpha.users",
    "ns_delim": "|",
    "durability": "full",
    "busy_timeout_ms": 250,
    "shell_keys": "vi",
    "shell_pager": "off",
}
FULL_TOML = """\
# mine
db_path = "/data/x.db"
current_scope = 'alpha.users' # for now
ns_delim = "|"

durability = "full"
busy_timeout_ms = 250
shell_keys = "vi"
shell_pager = "off"
"""


# Text that is TOML now and then.
PIECES = st.lists(
    st.sampled_from(
        [
            *("a", "b_1", "-", "'", '"', "\\", "=", " = ", "#", " ", "\t", "\n", "\r", "\r\n"),
            *("'x'", '"y"', '"é"', "12", "0", "007", "1_000", "+5", "true", "[t]", ".", "1.5"),
            *("\0", "\x7f", "\xa0", "\ufeff", "a = 'x'\n", 'b = "y" # z\n', "c=3\n", "''", '""'),
        ]
    ),
    max_size=12,
).map("".join)


class Directories:
    """A user's directories, all of them empty at first."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "home"
        self.work = root / "work"
        self.user_file = self.home / ".config" / "kycli" / "config.json"
        self.home.mkdir()
        self.work.mkdir()

    def move_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make them the directories of this process, and no setting known to it."""
        for variable in VARIABLES:
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("HOME", str(self.home))
        monkeypatch.chdir(self.work)

    def vanish_home(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make the user one whom the system knows no home directory of."""

        def nobody(_: object) -> NoReturn:
            raise KeyError("no such user")

        monkeypatch.setattr(pwd, "getpwuid", nobody)
        monkeypatch.setenv("HOME", "")

    def litter(self) -> list[str]:
        """Return the scratch and lock files that saving left."""
        return [
            str(path) for path in self.root.rglob("*") if path.suffix in (".new", ".lock", ".tmp")
        ]


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def run_python(program: str, *args: object, check: bool = True) -> str:
    """Run a program in another process, where only kycli and the standard library are."""
    preamble = (
        "import sys, types\n"
        "package = types.ModuleType('kycli'); package.__path__ = [sys.argv.pop(1)]\n"
        "sys.modules['kycli'] = package\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", preamble + program, PACKAGE, *map(str, args)],
        stdout=subprocess.PIPE,
        text=True,
        check=check,
    )
    return done.stdout


def said(config: Config) -> dict[str, Any]:
    return {name: getattr(config, name) for name in FULL}
