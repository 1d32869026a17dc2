"""What kycli promises of its speed, measured: ratios taken side by side in one run.

    python bench/bars.py [--keys N] [NAME ...]

Prints a line for each figure, with its bar where there is one; with --strict it exits 1
when a bar is missed. Machines differ and are noisy, so everything that is compared is
interleaved, and medians are compared.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import bars_growth
import bars_history
import bars_migration
import bars_program
import bars_search
import bars_store
from timing import Figure

BARS = {
    **bars_store.BARS,
    **bars_growth.BARS,
    **bars_history.BARS,
    **bars_search.BARS,
    **bars_migration.BARS,
    **bars_program.BARS,
}


def line(figure: Figure) -> str:
    """Return a figure as a line of the table."""
    verdict = f"{figure.bar}: {'met' if figure.met else 'MISSED'}" if figure.bar else ""
    return f"{figure.operation:34} {figure.figure:66} {verdict}".rstrip()


def verdict(figures: Sequence[Figure]) -> str:
    """Return how many of the bars are met, and which are not."""
    barred = [figure for figure in figures if figure.bar]
    missed = [figure for figure in barred if not figure.met]
    text = f"{len(barred) - len(missed)} of {len(barred)} bars met"
    if missed:
        names = dict.fromkeys(figure.operation for figure in missed)
        text += f"; MISSED: {', '.join(names)}"
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BARS))
    parser.add_argument("--keys", type=int, default=200_000, help="of large stores")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a bar is missed")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in BARS]
    if unknown:
        parser.error(f"no such bar: {', '.join(unknown)}; there are {', '.join(BARS)}")
    figures: list[Figure] = []
    for name in options.names or BARS:
        with tempfile.TemporaryDirectory() as directory:
            for figure in BARS[name](Path(directory), options.keys):
                figures.append(figure)
                print(line(figure), flush=True)
    print(verdict(figures))
    return 1 if options.strict and not all(figure.met for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
