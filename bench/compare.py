"""Whether this checkout is slower than it was: kycli's multiples of its anchor, on two sides.

    python bench/compare.py BASELINE [--rounds N] [--ratio R] [-k WORDS]

BASELINE is a git revision, or a run that was saved as JSON. A revision is built into a
virtual environment of its own, with the same versions of everything else, and both are
measured in turn, A B A B, each round in a process of its own and by this checkout's
benchmarks. A saved run cannot be measured again; its multiples are taken as they are.

Prints the ratio for each operation, and exits 1 when one is over ``--ratio``.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from io import BytesIO
from pathlib import Path

from harness.results import Comparison, Run, compare, load

BENCH = Path(__file__).parent
ROOT = BENCH.parent
SCRATCH = ROOT / "build" / "compare"
MEASURED = (
    "kycli,kycli uncached,kycli full,kycli async,kyg and kys,"
    "apsw,apsw full,apsw batched,apsw + indexed trigger,python -c pass"
)
NEEDED = ("apsw", "cython", "platformdirs", "setuptools")


def built(revision: str) -> Path:
    """Return the Python of an environment in which a revision of kycli is installed."""
    commit = _output("git", "rev-parse", "--verify", f"{revision}^{{commit}}").decode().strip()
    home = SCRATCH / commit[:12]
    python = home / "venv" / "bin" / "python"
    done = home / "done"
    if done.exists():
        return python
    print(f"building {commit[:12]} in {home.relative_to(ROOT)}", flush=True)
    shutil.rmtree(home, ignore_errors=True)
    archive = _output("git", "archive", "--format=tar", commit)
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(home / "source", filter="data")
    pip = [str(python), "-m", "pip", "install", "--quiet"]
    subprocess.run([sys.executable, "-m", "venv", str(home / "venv")], check=True)
    subprocess.run([*pip, *(f"{name}=={version(name)}" for name in NEEDED)], check=True)
    subprocess.run([*pip, "--no-build-isolation", str(home / "source")], check=True)
    done.touch()
    return python


def _output(*command: str) -> bytes:
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout


def measured(python: Path, words: str) -> Run:
    """Return one run of kycli and its anchors, in an environment."""
    with tempfile.TemporaryDirectory() as directory:
        saved = Path(directory) / "run.json"
        command = [str(python), str(BENCH / "run.py"), f"--peers={MEASURED}"]
        command += [f"--save={saved}", "-k", words]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise RuntimeError(f"the benchmarks fail in {python}:\n{done.stdout}")
        return load(saved)


def report(comparisons: Sequence[Comparison], most: float) -> tuple[list[str], bool]:
    """Return a line for each operation, the slowest first, and whether all are in bounds."""
    lines = [f"{'operation':44} {'now':>8} {'before':>8} {'ratio':>7}"]
    fine = True
    for each in sorted(comparisons, key=lambda each: -each.ratio):
        slower = each.ratio > most
        fine = fine and not slower
        lines.append(
            f"{each.group + ', ' + each.peer:44} {each.ours:7.2f}x {each.theirs:7.2f}x "
            f"{each.ratio:7.2f}{'  SLOWER' if slower else ''}"
        )
    return lines, fine


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("baseline", help="a git revision, or a saved run (.json)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each side is measured")
    parser.add_argument("--ratio", type=float, default=1.25, help="how much slower is too slow")
    parser.add_argument("-k", dest="words", default="", help="only groups with these words")
    options = parser.parse_args()
    try:
        saved = load(Path(options.baseline)) if options.baseline.endswith(".json") else None
        other = None if saved else built(options.baseline)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        parser.error(f"{options.baseline} is no baseline: {error}")
    ours: list[Run] = []
    theirs: list[Run] = [saved] if saved else []
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", flush=True)
        ours.append(measured(Path(sys.executable), options.words))
        if other:
            theirs.append(measured(other, options.words))
    comparisons = compare(ours, theirs)
    if not comparisons:
        print("nothing was measured on both sides")
        return 1
    lines, fine = report(comparisons, options.ratio)
    print(*lines, sep="\n")
    print(f"{'none' if fine else 'SOME'} over {options.ratio:g} times as long as before")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
