"""The native client: whole scripts that call it, beside scripts that call other programs."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from harness.measuring import Lab, Way, benchmark
from harness.workload import KEYS, PAIRS, value
from peers.programs import Program, RedisProgram, SqliteProgram

from kycli import Kycore

BIN = Path(sys.executable).parent
TRUE = "/bin/true"

READING, SAVING = "client: kyg, per call", "client: kys, per call"
LOOP = "client: kys in a loop of bash, per call"
XARGS = "client: xargs -n 1 kyg, per key"
ALONE = "client: kyg without a server, per call"
SCRIPT = "kyg, the script alone"

KEY = KEYS[0]
INSERT = "PRAGMA synchronous = NORMAL; INSERT INTO kv VALUES ('$i', 'value $i')"


class Scripts:
    """A home in which scripts run, with a store that a server has open or not."""

    def __init__(self, lab: Lab, *, server: bool) -> None:
        self.home = Path(tempfile.mkdtemp(dir=lab.directory))
        self.path = self.home / "store.db"
        self.environment = {
            "HOME": str(self.home),
            "KYCLI_DB_PATH": str(self.path),
            "XDG_RUNTIME_DIR": str(self.home),
            "PATH": f"{self.home}:{BIN}:/usr/bin:/bin",
        }
        with Kycore(self.path) as store:
            store.save_many(PAIRS)
        if server:
            self.run("kycli server start --quiet")
            lab.stack.callback(self.run, "kycli server stop --quiet")

    def run(self, script: str, *, shell: str = "sh", given: str = "") -> list[str]:
        """Run a script that must succeed; return the lines that it printed."""
        done = subprocess.run(
            [shell, "-c", script],
            input=given,
            env=self.environment,
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        return done.stdout.splitlines()

    def loop(
        self,
        name: str,
        line: str,
        calls: int,
        right: Callable[[list[str], int], bool] = lambda lines, first: lines == [],
        *,
        shell: str = "sh",
    ) -> Way:
        """A way of running a line so many times; ``$i`` counts on from round to round."""

        def work(first: int) -> list[str]:
            script = f"i={first}; while [ $((i += 1)) -le {first + calls} ]; do {line}; done"
            return self.run(script, shell=shell)

        firsts = ((first,) for first in count(0, calls))
        return Way(name, work, firsts, right=lambda lines, batch: right(lines, batch[0]))


def started(lab: Lab, kind: type[Program]) -> Iterator[Program]:
    """Yield a program with its store, if it is installed."""
    for wanted in lab.wanted([kind]):
        program: Program = wanted(Path(tempfile.mkdtemp(dir=lab.directory)))
        lab.stack.callback(program.stop)
        yield program


@benchmark(READING, peers=False)
def reading(lab: Lab) -> None:
    calls = lab.at_most(100)
    scripts = Scripts(lab, server=True)

    def prints(lines: list[str], _: int) -> bool:
        return lines == [value(KEY)] * calls

    ways = [
        scripts.loop("kyg", f"kyg {KEY}", calls, prints),
        scripts.loop(TRUE, TRUE, calls),
    ]
    for shell in started(lab, SqliteProgram):
        line = shlex.join(shell.get(KEY))
        ways.append(scripts.loop(shell.name, line, calls, prints))
    lab.measure(READING, ways, rounds=15, size=calls)


def saving_ways(
    lab: Lab, scripts: Scripts, calls: int, *, shell: str = "sh", note: str = ""
) -> list[Way]:
    """Return ways of changing a value, each time in a commit of its own.

    Parameters:
        note: what is added to the name of the other program.
    """

    def saves(_: list[str], first: int) -> bool:
        return scripts.run("kyg k") == [f"value {first + calls}"]

    ways = [scripts.loop("kys", 'kys k "value $i"', calls, saves, shell=shell)]
    for program in started(lab, SqliteProgram):
        line = f'sqlite3 {program.path} "{INSERT}"'
        ways.append(scripts.loop(f"{program.name}{note}", line, calls, shell=shell))
    return ways


@benchmark(SAVING, peers=False)
def saving(lab: Lab) -> None:
    calls = lab.at_most(100)
    scripts = Scripts(lab, server=True)
    ways = [*saving_ways(lab, scripts, calls), scripts.loop(TRUE, TRUE, calls)]
    lab.measure(SAVING, ways, rounds=9, size=calls)


@benchmark(LOOP, peers=False)
def loop(lab: Lab) -> None:
    """Each `kys` changes the value, so that each is a commit; no program can beat TRUE."""
    calls = lab.at_most(1_000)
    scripts = Scripts(lab, server=True)
    ways = saving_ways(lab, scripts, calls, shell="bash", note=", INSERT")
    ways.append(scripts.loop(TRUE, TRUE, calls, shell="bash"))
    lab.measure(LOOP, ways, rounds=3, size=calls, warmup=0)


@benchmark(XARGS, peers=False)
def xargs(lab: Lab) -> None:
    keys = KEYS[: 10_000 if lab.size.factor > 1 else lab.at_most(1_000)]
    scripts = Scripts(lab, server=True)
    values = [value(key) for key in keys]

    def running(name: str, command: str, printed: list[str]) -> Way:
        script, given = f"xargs -n 1 {command}", "\n".join(keys)
        return Way(
            name,
            lambda: scripts.run(script, given=given),
            right=lambda lines, _: lines == printed,
        )

    ways = [running("kyg", "kyg", values), running(TRUE, TRUE, [])]
    for redis in started(lab, RedisProgram):
        command = shlex.join(redis.get("")[:-1])
        for key in keys:
            redis.run(redis.save(key, value(key)))
        ways.append(running(redis.name, command, values))
    lab.measure(XARGS, ways, rounds=5, size=len(keys), scaled=False)


@benchmark(ALONE, peers=False)
def alone(lab: Lab) -> None:
    """The script is what the client executes, under the name of the client."""
    calls = lab.at_most(10)
    scripts = Scripts(lab, server=False)
    script = scripts.home / "script" / "kyg"
    script.parent.mkdir()
    shutil.copy(BIN / "kycli", script)

    def prints(lines: list[str], _: int) -> bool:
        return lines == [value(KEY)] * calls

    ways = [
        scripts.loop("kyg", f"kyg {KEY}", calls, prints),
        scripts.loop(SCRIPT, f"{script} {KEY}", calls, prints),
        scripts.loop("python -c pass", f"{sys.executable} -c pass", calls),
    ]
    lab.measure(ALONE, ways, rounds=30, size=calls)
