"""Loops of shells: whole scripts, of so many calls each, by shell function and by programs.

A script has its store beside it, where ``k`` is ``the value``, and its own start in its time: for
functions that is ``kycli init`` and the shell's server. Functions that read make 10,000 calls, so
that the start, which STARTING takes apart, is a small part of them. Programs cost the same from the
first call to the last, and make 1,000. To add a shell, add its scripts: each shell's are compared
with what starting a program costs there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from harness.measuring import Lab, Way, benchmark

from kycli import Kycore

VARIABLE = "shell loop: a value into a variable, per call"
SUBSTITUTION = "shell loop: $(get), per call"
SAVING = "shell loop: 1,000 sets, per set"
ZSH = "shell loop: $(get) in zsh, per call"
FISH = "shell loop: (get) in fish, per call"
STARTING = "shell loop: its start"
VALUE = "the value"


class Script(NamedTuple):
    """A loop of a shell.

    Attributes:
        name: what the report calls it.
        shell: the shell, and what it is started with.
        text: the script. ``CALLS`` is how many calls it makes.
        needs: another program that it runs.
        prints: what it prints at its end.
        most: how many calls it makes in a run that is not a smoke test.
    """

    name: str
    shell: tuple[str, ...]
    text: str
    needs: str = "kyg"
    prints: str = ""
    most: int = 1_000


_MANY = 10_000
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

_ZSH = ("zsh", "-f", "-c")
_ZSH_INIT = 'eval "$(kycli init zsh)"\n'
_ZSH_LOOP = "repeat CALLS; do %s; done\nprint -r -- $x\n"
_FISH = ("fish", "--no-config", "-c")
_FISH_INIT = "kycli init fish | source\n"
_FISH_LOOP = "for i in (seq CALLS); %s; end\necho $x\n"

SCRIPTS: dict[str, list[Script]] = {
    VARIABLE: [
        Script(
            "bash: kyg -v",
            _BASH,
            _INIT + _LOOP % "kyg -v x k" + 'echo "$x"',
            prints=VALUE,
            most=_MANY,
        ),
        _TRUE,
        _SQLITE,
    ],
    SUBSTITUTION: [
        Script(
            "bash: $(kyg)",
            _BASH,
            _INIT + _LOOP % "x=$(kyg k)" + 'echo "$x"',
            prints=VALUE,
            most=_MANY,
        ),
        _TRUE,
    ],
    ZSH: [
        Script("zsh: $(kyg)", _ZSH, _ZSH_INIT + _ZSH_LOOP % "x=$(kyg k)", prints=VALUE, most=_MANY),
        Script("zsh: kyg -v", _ZSH, _ZSH_INIT + _ZSH_LOOP % "kyg -v x k", prints=VALUE, most=_MANY),
        Script("zsh: /bin/true", _ZSH, _ZSH_LOOP % "x=$(/bin/true)", "true"),
    ],
    FISH: [
        Script(
            "fish: (kyg)",
            _FISH,
            _FISH_INIT + _FISH_LOOP % "set x (kyg k)",
            prints=VALUE,
            most=_MANY,
        ),
        Script(
            "fish: kyg -v", _FISH, _FISH_INIT + _FISH_LOOP % "kyg -v x k", prints=VALUE, most=_MANY
        ),
        Script("fish: /bin/true", _FISH, _FISH_LOOP % "set x (/bin/true)", "true"),
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
    STARTING: [
        Script("bash", _BASH, ":"),
        Script("bash: python -c pass", _BASH, "python -c pass", "python"),
        Script("bash: kycli init", _BASH, "kycli init bash >/dev/null"),
        Script("bash: the functions", _BASH, _INIT),
        Script("bash: and a call", _BASH, f"{_INIT}kyg k", prints=VALUE),
        Script("zsh", _ZSH, ":"),
        Script("zsh: the functions", _ZSH, _ZSH_INIT),
        Script("zsh: and a call", _ZSH, f"{_ZSH_INIT}kyg k", prints=VALUE),
        Script("fish", _FISH, "true"),
        Script("fish: the functions", _FISH, _FISH_INIT),
        Script("fish: and a call", _FISH, f"{_FISH_INIT}kyg k", prints=VALUE),
    ],
}


def _environment(directory: Path) -> dict[str, str]:
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    return {
        "HOME": str(directory),
        "XDG_RUNTIME_DIR": str(directory),
        "PATH": path,
        "KYCLI_DB_PATH": str(directory / "store.db"),
    }


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


def _ways(lab: Lab, group: str) -> Iterator[Way]:
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    for script in SCRIPTS[group]:
        if all(shutil.which(name, path=path) for name in (script.shell[0], script.needs)):
            yield _way(lab, script, lab.at_most(script.most))
        else:
            lab.missing.add(script.name)


def _way(lab: Lab, script: Script, calls: int) -> Way:
    """Return the way to run a script; its figure is the time of one of its calls."""
    directory = Path(tempfile.mkdtemp(dir=lab.directory))
    _prepare(directory)
    command = [*script.shell, script.text.replace("CALLS", str(calls))]
    environment = _environment(directory)
    said: list[str] = []

    def work() -> float:
        begin = time.perf_counter()
        done = subprocess.run(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        took = time.perf_counter() - begin
        said[:] = [done.stdout.strip()]
        return took / (calls if "CALLS" in script.text else 1)

    wanted = [script.prints.format(last=calls - 1)]
    return Way(script.name, work, right=lambda *_: said == wanted, figure=True)


def _measure(lab: Lab, group: str, rounds: int = 7) -> None:
    most = max(script.most for script in SCRIPTS[group])
    lab.measure(group, _ways(lab, group), rounds=rounds, size=lab.at_most(most))


@benchmark(VARIABLE, peers=False)
def into_a_variable(lab: Lab) -> None:
    _measure(lab, VARIABLE)


@benchmark(SUBSTITUTION, peers=False)
def by_substitution(lab: Lab) -> None:
    _measure(lab, SUBSTITUTION)


@benchmark(ZSH, peers=False)
def in_zsh(lab: Lab) -> None:
    _measure(lab, ZSH)


@benchmark(FISH, peers=False)
def in_fish(lab: Lab) -> None:
    _measure(lab, FISH)


@benchmark(SAVING, peers=False)
def saving(lab: Lab) -> None:
    """Values that change with each call; the sqlite3 shell with WAL and synchronous=NORMAL."""
    _measure(lab, SAVING, rounds=5)


@benchmark(STARTING, peers=False)
def starting(lab: Lab) -> None:
    """What a script has in its time beside its calls."""
    _measure(lab, STARTING, rounds=15)
