"""Loops of zsh and fish: whole scripts, by shell function and by the smallest program."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.measuring import Lab, Way, benchmark

from kycli import Kycore

ZSH = "shell loop: $(get) in zsh, per call"
FISH = "shell loop: (get) in fish, per call"
VALUE = "the value"

_ZSH = (
    ["zsh", "-f", "-c"],
    'eval "$(kycli init zsh)"\n',
    "repeat CALLS; do %s; done\nprint -r -- $x\n",
)
_FISH = (
    ["fish", "--no-config", "-c"],
    "kycli init fish | source\n",
    "for i in (seq CALLS); %s; end\necho $x\n",
)
LOOPS = {
    ZSH: (_ZSH, {"zsh: $(kyg)": "x=$(kyg k)", "zsh: kyg -v": "kyg -v x k"}, "x=$(/bin/true)"),
    FISH: (
        _FISH,
        {"fish: (kyg)": "set x (kyg k)", "fish: kyg -v": "kyg -v x k"},
        "set x (/bin/true)",
    ),
}


def _ways(lab: Lab, group: str, calls: int) -> Iterator[Way]:
    (shell, init, loop), functions, true = LOOPS[group]
    for name, call in {**functions, f"{shell[0]}: /bin/true": true}.items():
        if not shutil.which(shell[0]):
            lab.missing.add(name)
            continue
        directory = Path(tempfile.mkdtemp(dir=lab.directory))
        with Kycore(directory / "store.db") as store:
            store["k"] = VALUE
        text = (init if call != true else "") + loop.replace("CALLS", str(calls)) % call

        yield _way(name, [*shell, text], directory, "" if call == true else VALUE)


def _way(name: str, command: list[str], directory: Path, expected: str) -> Way:
    environment = {
        "HOME": str(directory),
        "XDG_RUNTIME_DIR": str(directory),
        "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}",
        "KYCLI_DB_PATH": str(directory / "store.db"),
    }

    def work() -> str:
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

    return Way(name, work, right=lambda said, _: said == expected)


@benchmark(ZSH, peers=False)
def in_zsh(lab: Lab) -> None:
    calls = lab.at_most(1_000)
    lab.measure(ZSH, _ways(lab, ZSH, calls), rounds=7, size=calls)


@benchmark(FISH, peers=False)
def in_fish(lab: Lab) -> None:
    calls = lab.at_most(1_000)
    lab.measure(FISH, _ways(lab, FISH, calls), rounds=7, size=calls)
