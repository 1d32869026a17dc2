"""What kycli promises of its speed: the table of bars, read from the results of one run.

    python bench/bars.py [RUN]      print each bar, met or missed: of a saved run, or the newest

A bar compares two ways that one benchmark measured in turn, so that both had the same
machine and the same minute.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.results import Run, load, saved_runs, spoken


@dataclass(frozen=True)
class Bar:
    """One line of the table. Without ``beside`` it is the figure itself that is compared."""

    group: str
    way: str
    beside: str | None
    limit: float
    at_least: bool = False
    statistic: str = "median"
    """Or "mean", which has the checkpoints in it."""
    promised: str = ""
    """Where the bar was set."""


BATCH = "command line: many sets, per set"
COMPLETION = "completion: keys, as a process"
HIT, AFTER = "get: hit", "get: after another process commits"
MIXED = "mixed load, 4 processes"
RESTORE = "restore_to: 1 % of the keys"
IMPORT, IN_ORDER = "import CSV, per row", "import CSV in order, per row"
INDEXED = "import CSV and index, per row"
EXPORT, MEMORY = "export, per row", "import and export: memory"
UTILS = "import beside sqlite-utils, per row"
KYG, KYS = "client: kyg, per call", "client: kys, per call"
KYS_LOOP = "client: kys in a loop of bash, per call"
KYG_XARGS = "client: xargs -n 1 kyg, per key"
KYG_ALONE = "client: kyg without a server, per call"
VARIABLE = "shell loop: a value into a variable, per call"
SUBSTITUTION = "shell loop: $(get), per call"
LOOP_OF_SETS = "shell loop: 1,000 sets, per set"
IN_ZSH, IN_FISH = "shell loop: $(get) in zsh, per call", "shell loop: (get) in fish, per call"
OLD = "import beside KyCLI 0.4.0, per row"
BARS = (
    Bar("command line: get", "kyg and kys", "python -c pass", 1.6, promised="issue 2"),
    Bar("scopes: list 20", "many keys", None, 0.010, promised="issue 2"),
    Bar(HIT, "kycli", "lmdb bytes", 0.5, promised="issue 3"),
    Bar(HIT, "kycli", "dict in a method", 2, promised="issue 3"),
    Bar(HIT, "kycli uncached", "apsw", 0.9, promised="issue 3"),
    Bar(HIT, "kycli by apsw alone", "apsw", 1.15, promised="issue 3"),
    Bar(AFTER, "kycli, this key", "kycli uncached, this key", 1.5, promised="issue 3"),
    Bar(AFTER, "kycli, another key", "kycli uncached, another key", 1.5, promised="issue 3"),
    Bar("save: over", "kycli", "apsw", 1.5, statistic="mean", promised="issue 3"),
    Bar("save: new key", "kycli", "apsw", 1.5, statistic="mean", promised="issue 3"),
    Bar("save: over", "kycli", "apsw + trigger", 1.4, promised="issue 4"),
    Bar("save: new key", "kycli", "apsw + trigger", 1.4, promised="issue 4"),
    Bar("save_many, per row", "kycli", "apsw", 1.6, promised="issue 3"),
    Bar("scan, per row", "kycli", "apsw", 1, promised="issue 3"),
    Bar("keys, per row", "kycli", "apsw", 1, promised="issue 3"),
    Bar("get_many, per row", "kycli uncached", "apsw", 1, promised="issue 3"),
    Bar("open", "kycli", "apsw", 1.5, promised="issue 3"),
    Bar(MIXED, "diskcache", "kycli", 5, at_least=True, promised="issue 3"),
    Bar(MIXED, "sqlitedict", "kycli", 5, at_least=True, promised="issue 3"),
    Bar("growth: get", "many keys", "few keys", 1.5, promised="issue 3"),
    Bar("growth: save", "many keys", "few keys", 1.5, promised="issue 3"),
    Bar("growth: delete", "many keys", "few keys", 1.5, promised="issue 3"),
    # SQLite's page cache, when it is full.
    Bar("growth: memory", "the difference", None, 32, promised="issue 3"),
    Bar("history: newest 10, by its length", "many rows", "few rows", 1.5, promised="issue 4"),
    Bar(RESTORE, "many keys", "making the changes", 3, promised="issue 4"),
    Bar(RESTORE, "many keys", "a tenth of the keys", 3, promised="issue 4"),
    Bar("search: a rare word", "kycli", "apsw", 3, promised="issue 4"),
    # Half of the time that a writer waits for the lock unless told otherwise.
    Bar("search: a save meanwhile", "the longest", None, 2.5, promised="issue 4"),
    Bar(
        "save: an object of ten fields",
        "schema",
        "model_validate, then save",
        1.5,
        promised="issue 12",
    ),
    # 0.6 of its rate.
    Bar("search: building the index, per row", "kycli", "apsw", 1.67, promised="issue 11"),
    Bar("migrating in place, per key", "kycli", "apsw", 2, promised="issue 5"),
    Bar("migrating in place: memory", "kycli", None, 286, promised="issue 5"),
    Bar(BATCH, "a process each", "kycli batch", 100, at_least=True, promised="issue 11"),
    # Rates: how many times as long the other takes.
    Bar(IMPORT, ".import", "kycli", 0.7, at_least=True, promised="issue 11"),
    Bar(IN_ORDER, ".import", "kycli", 0.7, at_least=True, promised="issue 11"),
    Bar(IN_ORDER, ".import WITHOUT ROWID", "kycli", 0.7, at_least=True, promised="issue 11"),
    Bar(INDEXED, ".import", "kycli", 0.35, at_least=True, promised="issue 11"),
    Bar(INDEXED, ".import, triggers", "kycli", 3, at_least=True, promised="issue 11"),
    Bar(EXPORT, "sqlite3 -csv", "kycli csv", 0.6, at_least=True, promised="issue 11"),
    Bar(EXPORT, "sqlite3 -csv", "kycli jsonl", 0.6, at_least=True, promised="issue 11"),
    Bar(UTILS, "sqlite-utils insert", "kycli", 3, at_least=True, promised="issue 11"),
    Bar(OLD, "KyCLI 0.4.0", "kycli", 50, at_least=True, promised="issue 11"),
    Bar(MEMORY, "in", None, 200, promised="issue 11"),
    Bar(MEMORY, "out", None, 200, promised="issue 11"),
    Bar(KYG, "kyg", "/bin/true", 1.3, promised="issue 14"),
    Bar(KYG, "kyg", "sqlite3 shell", 0.5, promised="issue 14"),
    Bar(KYS, "kys", "/bin/true", 1.3, promised="issue 14"),
    Bar(KYS, "kys", "sqlite3 shell", 0.5, promised="issue 14"),
    Bar(KYS_LOOP, "sqlite3 shell, INSERT", "kys", 5, at_least=True, promised="issue 14"),
    Bar(KYG_XARGS, "kyg", "redis-cli", 0.8, promised="issue 14"),
    Bar(KYG_XARGS, "kyg", "/bin/true", 1.3, promised="issue 14"),
    Bar(KYG_ALONE, "kyg", "python -c pass", 1.5, promised="issue 14"),
    # The client may add 0.05 of python -c pass, of which the script takes 1.45.
    Bar(KYG_ALONE, "kyg", "kyg, the script alone", 1.034, promised="issue 14"),
    Bar("select: by a field", "unindexed", "indexed", 50, at_least=True, promised="issue 12"),
    Bar(VARIABLE, "bash: kyg -v", "bash: $(/bin/true)", 0.12, promised="issue 14"),
    Bar(VARIABLE, "bash: kyg -v", "bash: $(sqlite3)", 0.06, promised="issue 14"),
    Bar(SUBSTITUTION, "bash: $(kyg)", "bash: $(/bin/true)", 1, promised="issue 14"),
    Bar(LOOP_OF_SETS, "bash: sqlite3", "bash: kys", 20, at_least=True, promised="issue 14"),
    Bar(COMPLETION, "many keys", None, 0.100, promised="issue 14"),
    Bar(COMPLETION, "many keys", "few keys", 1.5, promised="issue 14"),
    Bar("prompt, as a process", "kycli prompt", "kyg", 1, promised="issue 14"),
    Bar(
        "shell: from the start to the prompt",
        "kyshell",
        "import prompt_toolkit",
        3,
        promised="issue 13",
    ),
    Bar(
        "shell: echo of a key while 1,000,000 rows stream",
        "median",
        None,
        0.050,
        promised="issue 13",
    ),
    Bar(IN_ZSH, "zsh: $(kyg)", "zsh: /bin/true", 1, promised="issue 14"),
    Bar(IN_FISH, "fish: (kyg)", "fish: /bin/true", 0.5, promised="issue 14"),
)


@dataclass(frozen=True)
class Verdict:
    """What a run says of a bar; without a figure, something was not measured."""

    bar: Bar
    figure: float | None
    unit: str | None

    @property
    def word(self) -> str:
        if self.figure is None:
            return "not measured"
        limit = self.bar.limit
        met = self.figure >= limit if self.bar.at_least else self.figure <= limit
        return "met" if met else "MISSED"

    @property
    def cells(self) -> tuple[str, str, str, str, str, str]:
        """What was done, beside what, the figure, the bar, the word and the source."""

        bar, unit = self.bar, self.unit
        figure, limit = "", f"{bar.limit:g}"
        if self.figure is not None:
            figure = spoken(self.figure, unit) if unit else f"{self.figure:.2f} x"
        if unit:
            limit = spoken(bar.limit, unit)
        sense = "at least" if bar.at_least else "at most"
        name = f"{bar.group}: {bar.way}"
        return name, bar.beside or "", figure, f"{sense} {limit}", self.word, bar.promised


def judged(run: Run, bars: Sequence[Bar] = BARS) -> list[Verdict]:
    """Return what a run says of each bar."""
    results = {(result.group, result.peer): result for result in run.results}
    verdicts = []
    for bar in bars:
        ours = results.get((bar.group, bar.way))
        beside = results.get((bar.group, bar.beside)) if bar.beside else None
        if ours is None or (bar.beside and beside is None):
            verdicts.append(Verdict(bar, None, None))
        elif beside is None:
            verdicts.append(Verdict(bar, getattr(ours, bar.statistic), ours.unit))
        else:
            ratio = getattr(ours, bar.statistic) / getattr(beside, bar.statistic)
            verdicts.append(Verdict(bar, ratio, None))
    return verdicts


def table(run: Run) -> list[str]:
    """Return the bars of a run as lines of text, of the groups that are in it."""
    verdicts = judged(run, BARS)
    groups = run.groups()
    lines = [f"bars, {run.size} run: many keys are {run.many:,}"]
    for verdict in verdicts:
        if verdict.bar.group not in groups:
            continue
        name, beside, figure, bar, word, promised = verdict.cells
        lines.append(f"{name:54} {figure:>8} {beside:27} {bar:15} {word:13} {promised}")
    words = [verdict.word for verdict in verdicts]
    missed, absent = words.count("MISSED"), words.count("not measured")
    lines.append(f"{words.count('met')} met, {missed} missed, {absent} not measured")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", type=Path, help="a saved run; the newest if none")
    options = parser.parse_args()
    try:
        runs = [load(options.run)] if options.run else saved_runs()
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if not runs:
        print("no run is saved; `make bench` saves one", file=sys.stderr)
        return 1
    print(*table(runs[-1]), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
