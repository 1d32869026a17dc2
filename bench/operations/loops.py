"""Loops of shells: whole scripts, of so many calls each, by shell function and by programs.

A script has its store beside it, where ``k`` is ``the value``, and its own start in its time. To
add a shell, add its scripts: each shell's are compared with what starting a program costs there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from harness.measuring import Lab, Way, benchmark

from kycli import Kycore

VARIABLE = "shell loop: a value into a variable, per call"
SUBSTITUTION = "shell loop: $(get), per call"
SAVING = "shell loop: 1,000 sets, per set"
VALUE = "the value"


class Script(NamedTuple):
    """A loop of a shell.

    Attributes:
        name: what the report calls it.
        shell: the shell, and what it is started with.
        text: the script. ``CALLS`` is how many calls it makes.
        needs: another program that it runs.
        prints: what it prints at its end.
    """

    name: str
    shell: tuple[str, ...]
    text: str
    needs: str = "kyg"
    prints: str = ""


_BASH = ("bash", "--norc", "-c")
_INIT = 'eval "$(kycli init bash)"\n'
_LOOP = "for ((i = 0; i < CALLS; i++)); do %s; done\n"
_TRUE = Script("bash: $(/bin/true)", _BASH, _LOOP % "x=$(/bin/true)", "true")
_SQLITE = Script(
    "bash: $(sqlite3)",
    _BASH,
    _LOOP % "x=$(sqlite3 store.sqlite \"SELECT value FROM kv WHERE key = 'k'\")" + 'echo "$x"',
    "sqlite3",
    VALUE,
)
_INSERT = (
    "sqlite3 store.sqlite \"PRAGMA synchronous=NORMAL; INSERT INTO kv VALUES ('k$i', 'value $i') "
    'ON CONFLICT (key) DO UPDATE SET value = excluded.value"'
)

SCRIPTS: dict[str, list[Script]] = {
    VARIABLE: [
        Script("bash: kyg -v", _BASH, _INIT + _LOOP % "kyg -v x k" + 'echo "$x"', prints=VALUE),
        _TRUE,
        _SQLITE,
    ],
    SUBSTITUTION: [
        Script("bash: $(kyg)", _BASH, _INIT + _LOOP % "x=$(kyg k)" + 'echo "$x"', prints=VALUE),
        _TRUE,
    ],
    SAVING: [
        Script(
            "bash: kys",
            _BASH,
            _INIT + _LOOP % 'kys "k$i" "value $i"' + 'kyg "k$((CALLS - 1))"',
            prints="value {last}",
        ),
        Script(
            "bash: sqlite3",
            _BASH,
            _LOOP % _INSERT
            + "sqlite3 store.sqlite \"SELECT value FROM kv WHERE key = 'k$((CALLS - 1))'\"",
            "sqlite3",
            "value {last}",
        ),
    ],
}


def _environment(directory: Path) -> dict[str, str]:
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    return {"HOME": str(directory), "PATH": path, "KYCLI_DB_PATH": str(directory / "store.db")}


def _prepare(directory: Path) -> None:
    with Kycore(directory / "store.db") as store:
        store["k"] = VALUE
    if shutil.which("sqlite3"):
        table = (
            "PRAGMA journal_mode=WAL; CREATE TABLE kv (key TEXT PRIMARY KEY, value TEXT); "
            f"INSERT INTO kv VALUES ('k', '{VALUE}')"
        )
        command = ["sqlite3", str(directory / "store.sqlite"), table]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _ways(lab: Lab, group: str, calls: int) -> Iterator[Way]:
    for script in SCRIPTS[group]:
        path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
        if not all(shutil.which(name, path=path) for name in (script.shell[0], script.needs)):
            lab.missing.add(script.name)
            continue
        directory = Path(tempfile.mkdtemp(dir=lab.directory))
        _prepare(directory)
        command = [*script.shell, script.text.replace("CALLS", str(calls))]
        environment = _environment(directory)

        def work(
            command: list[str] = command,
            directory: Path = directory,
            environment: dict[str, str] = environment,
        ) -> str:
            done = subprocess.run(
                command,
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                check=True,
                text=True,
            )
            return done.stdout.strip()

        def right(said: str, _: object, script: Script = script) -> bool:
            return said == script.prints.format(last=calls - 1)

        yield Way(script.name, work, right=right)


@benchmark(VARIABLE, peers=False)
def into_a_variable(lab: Lab) -> None:
    calls = lab.at_most(1_000)
    lab.measure(VARIABLE, _ways(lab, VARIABLE, calls), rounds=7, size=calls)


@benchmark(SUBSTITUTION, peers=False)
def by_substitution(lab: Lab) -> None:
    calls = lab.at_most(1_000)
    lab.measure(SUBSTITUTION, _ways(lab, SUBSTITUTION, calls), rounds=7, size=calls)


@benchmark(SAVING, peers=False)
def saving(lab: Lab) -> None:
    """Values that change with each call; the sqlite3 shell with WAL and synchronous=NORMAL."""
    calls = lab.at_most(1_000)
    lab.measure(SAVING, _ways(lab, SAVING, calls), rounds=5, size=calls)
