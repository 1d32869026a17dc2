"""Import and export of files, beside what else reads them into SQLite: the processor's time, user
and system, of whole processes, as the disk's is the same for all.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
from harness.measuring import Lab, Way, benchmark
from harness.results import ROOT
from harness.workload import value
from peers.stores import TABLE

ROWS = 1_000_000
"""Rows of a full run, whose stores are larger; a quick run has those of its large stores."""
OLD_ROWS = 100_000
"""Rows of the comparison with KyCLI 0.4.0."""

OLD = Path(os.environ.get("KYCLI_BENCH_OLD", ROOT / "build" / "kycli-0.4.0")) / "bin" / "kyi"
"""The command of KyCLI 0.4.0, in an environment of its own."""

# What a program does that wants history and search to be right at each moment.
SYNCHRONOUS = f"""{TABLE};
CREATE TABLE history (id INTEGER PRIMARY KEY, key TEXT, value, at INTEGER);
CREATE VIRTUAL TABLE fts USING fts5 (key, value, content = 'kv');
CREATE TRIGGER kv_insert AFTER INSERT ON kv BEGIN
    INSERT INTO history (key, value, at) VALUES (new.key, new.value, unixepoch());
    INSERT INTO fts (rowid, key, value) VALUES (new.rowid, new.key, new.value);
END"""

Key = Callable[[int], str]


def cpu(*commands: list[str], home: Path, out: Path | None = None) -> float:
    """Run commands one after the other; return the seconds that the processor worked on them."""
    seconds = 0.0
    environment = {**os.environ, "HOME": str(home), "KYCLI_DB_PATH": str(home / "kycli.db")}
    said = home / "said"
    with open(out or os.devnull, "wb") as stdout, said.open("wb") as stderr:
        for command in commands:
            process = subprocess.Popen(
                command, cwd=home, env=environment, stdout=stdout, stderr=stderr
            )
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise RuntimeError(f"{command}: {said.read_text()}")
            seconds += used.ru_utime + used.ru_stime
    return seconds


def kycli(*words: str) -> list[str]:
    return [str(Path(sysconfig.get_path("scripts")) / "kycli"), *words]


def shell(*words: str) -> list[str]:
    return ["sqlite3", "bare.db", *words]


def size(lab: Lab, most: int = ROWS) -> int:
    return min(lab.size.many, most)


def enough(lab: Lab) -> int:
    """Return a number of rows beside which the start of a program takes little."""
    return {"smoke": lab.size.many, "quick": ROWS // 2}.get(lab.size.name, ROWS)


def csv_file(lab: Lab, rows: int, *, in_order: bool) -> Path:
    order = list(range(rows))
    if not in_order:
        random.Random(rows).shuffle(order)
    path = lab.directory / "rows.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write("key,value\n")
        for number in order:
            key = f"user:{number:08}"
            file.write(f"{key},{value(key)}\n")
    return path


def emptied(lab: Lab) -> Path:
    """Return a directory without databases."""
    home = lab.directory / "home"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    return home


def count(path: Path, table: str) -> int:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return int(connection.execute(f"SELECT count(*) FROM {table}").get)
    finally:
        connection.close()


def importing(
    lab: Lab, rows: int, name: str, *commands: list[str], into: str = "bare.db", table: str = "kv"
) -> Way:
    """Return a way of importing into an empty database; the answer is seconds a row."""

    def work() -> float:
        return cpu(*commands, home=emptied(lab)) / rows

    def right(_: object, __: object) -> bool:
        return count(lab.directory / "home" / into, table) == rows

    return Way(name, work, right=right, figure=True)


def by_kycli(lab: Lab, rows: int, name: str, *commands: list[str]) -> Way:
    return importing(lab, rows, name, *commands, into="kycli.db", table="kvstore")


def by_shell(lab: Lab, rows: int, file: Path, name: str, tables: str) -> Iterator[Way]:
    """Yield the way of the ``sqlite3`` shell, where it is installed."""
    if shutil.which("sqlite3") is None:
        lab.missing.add("sqlite3")
        return
    yield importing(lab, rows, name, shell(tables, f".import --csv --skip 1 '{file}' kv"))


def measure_import(lab: Lab, group: str, *, in_order: bool) -> None:
    rows = enough(lab) if in_order else size(lab)
    file = csv_file(lab, rows, in_order=in_order)
    ways = [
        *by_shell(lab, rows, file, ".import", TABLE),
        *by_shell(lab, rows, file, ".import WITHOUT ROWID", f"{TABLE} WITHOUT ROWID"),
        by_kycli(lab, rows, "kycli", kycli("import", str(file))),
    ]
    lab.measure(group, ways, rounds=3, warmup=0, scaled=False)


@benchmark("import CSV, per row", peers=False)
def import_csv(lab: Lab) -> None:
    """In no order of the keys; the history is recorded, and the index left for a search."""
    measure_import(lab, "import CSV, per row", in_order=False)


@benchmark("import CSV in order, per row", peers=False)
def import_in_order(lab: Lab) -> None:
    measure_import(lab, "import CSV in order, per row", in_order=True)


@benchmark("import CSV and index, per row", peers=False)
def import_and_index(lab: Lab) -> None:
    """The search index is brought up to date at the end."""
    rows = size(lab)
    file = csv_file(lab, rows, in_order=False)
    ways = [
        *by_shell(lab, rows, file, ".import", TABLE),
        *by_shell(lab, rows, file, ".import, triggers", SYNCHRONOUS),
        by_kycli(lab, rows, "kycli", kycli("import", "--index", str(file))),
    ]
    lab.once("import CSV and index, per row", *ways)


@benchmark("export, per row", peers=False)
def export(lab: Lab) -> None:
    """To a file."""
    rows = enough(lab)
    file = csv_file(lab, rows, in_order=False)
    home = emptied(lab)
    cpu(kycli("import", str(file)), home=home)
    first = f"user:{0:08}"

    def exporting(name: str, line: str, *command: str, header: bool = False) -> Way:
        out = home / "out"

        def work() -> float:
            return cpu([*command], home=home, out=None if header else out) / rows

        def right(_: object, __: object) -> bool:
            path = home / f"out.{name.split()[-1]}" if command[0] != "sqlite3" else out
            with path.open(encoding="utf-8", newline="") as lines:
                if command[0] != "sqlite3" and name.endswith("csv"):
                    next(lines)
                found = next(lines).rstrip("\r\n"), 1 + sum(1 for _ in lines)
            return found == (line, rows)

        return Way(name, work, right=right, figure=True)

    ways = []
    text = f"{first},{value(first)}"
    if shutil.which("sqlite3") is None:
        lab.missing.add("sqlite3")
    else:
        # In the order of the keys, so that the shell reads it from its beginning to its end.
        tables = f"{TABLE} WITHOUT ROWID"
        cpu(shell(tables, f".import --csv --skip 1 '{file}' kv"), home=home)
        select = "SELECT key, value FROM kv ORDER BY key"
        ways.append(exporting("sqlite3 -csv", text, "sqlite3", "-csv", "bare.db", select))
    record = json.dumps({"key": first, "value": value(first)}, separators=(",", ":"))
    for name, line in (("csv", text), ("jsonl", record)):
        command = kycli("export", f"out.{name}")
        ways.append(exporting(f"kycli {name}", line, *command, header=True))
    lab.measure("export, per row", ways, rounds=5, warmup=0, scaled=False)


@benchmark("import beside sqlite-utils, per row", peers=False)
def beside_sqlite_utils(lab: Lab) -> None:
    rows = size(lab, OLD_ROWS)
    file = csv_file(lab, rows, in_order=False)
    ways = [by_kycli(lab, rows, "kycli", kycli("import", str(file)))]
    program = Path(sysconfig.get_path("scripts")) / "sqlite-utils"
    if program.exists():
        words = ["insert", "bare.db", "kv", str(file), "--csv", "--pk", "key", "--silent"]
        ways.append(importing(lab, rows, "sqlite-utils insert", [str(program), *words]))
    else:
        lab.missing.add("sqlite-utils")
    lab.once("import beside sqlite-utils, per row", *ways)


@benchmark("import beside KyCLI 0.4.0, per row", peers=False)
def beside_old(lab: Lab) -> None:
    rows = size(lab, OLD_ROWS)
    file = csv_file(lab, rows, in_order=False)
    ways = [by_kycli(lab, rows, "kycli", kycli("import", str(file)))]
    if OLD.exists():

        def work() -> float:
            return cpu([str(OLD), str(file)], home=emptied(lab)) / rows

        ways.append(Way("KyCLI 0.4.0", work, figure=True))
    else:
        lab.missing.add("KyCLI")
    lab.once("import beside KyCLI 0.4.0, per row", *ways)


# The memory of a process of its own, which does what the command does.
_MEMORY = """
import sys
from kycli import Kycore
with Kycore(sys.argv[1]) as kv:
    if sys.argv[2] == "in":
        kv.import_data(sys.argv[3])
    else:
        kv.export_data(sys.argv[3])
with open("/proc/self/status") as status:
    print(next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM")))
"""


@benchmark("import and export: memory", peers=False)
def memory(lab: Lab) -> None:
    """The most that a process has taken, of all rows of a large store in and out."""
    if sys.platform != "linux":
        return
    file = csv_file(lab, lab.size.many, in_order=False)
    home = emptied(lab)

    def most(direction: str, path: Path) -> float:
        command = [sys.executable, "-P", "-c", _MEMORY, str(home / "kycli.db"), direction]
        done = subprocess.run([*command, str(path)], stdout=subprocess.PIPE, check=True, text=True)
        return float(done.stdout)

    ways = [
        Way(name, lambda d=name, p=path: most(d, p), figure=True)
        for name, path in (("in", file), ("out", home / "out.jsonl"))
    ]
    lab.once("import and export: memory", *ways, unit="MiB")
