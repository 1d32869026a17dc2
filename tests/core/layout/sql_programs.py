"""Other programs that write to a database by plain SQL, and what a store then tells."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

from kycli import Kycore

SHELL = shutil.which("sqlite3")
LARGE = "large " * 200


class Refused(Exception):
    """What the other program says when SQLite refuses a statement."""


class Sql(Protocol):
    def __call__(self, script: str) -> str: ...


def by_shell(path: Path, script: str) -> str:
    """Execute statements by the ``sqlite3`` shell; return what it prints."""
    assert SHELL is not None
    return _printed([SHELL, "-bail", "-batch", "-cmd", ".timeout 5000", str(path)], script)


PROGRAM = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=5)
statement = ""
try:
    for part in sys.stdin.read().split(";"):
        statement += part + ";"
        if sqlite3.complete_statement(statement):
            cursor = connection.execute(statement)
            for row in cursor:
                print(*("" if cell is None else cell for cell in row), sep="|")
            if "-c" in sys.argv[2:]:
                print(cursor.rowcount)
            statement = ""
except sqlite3.Error as error:
    sys.exit(str(error))
"""


def by_python(path: Path, script: str, *options: str) -> str:
    """Execute statements by Python's own sqlite3.

    In a process of its own: to close the file by another SQLite than the store's would drop
    the locks that this process has on it.

    Parameters:
        options: ``-c`` to print how many rows each statement has changed.
    """
    return _printed([sys.executable, "-S", "-c", PROGRAM, str(path), *options], script)


def _printed(command: list[str], script: str) -> str:
    done = subprocess.run(
        command, input=script, capture_output=True, encoding="utf-8", timeout=600, check=False
    )
    if done.returncode:
        raise Refused(done.stderr)
    return done.stdout.rstrip("\n")


def told(store: Kycore, key: str, scope: str = "default") -> list[tuple[Any, ...]]:
    """Return the history of a key, oldest first: what happened, the version, the value."""
    return [
        (change.operation, change.version, change.value)
        for change in reversed(store.get_history(key, scope=scope))
    ]


def version(store: Kycore, key: str, scope: str = "default") -> int | None:
    entry = store.get_entry(key, scope=scope)
    return None if entry is None else entry.version
