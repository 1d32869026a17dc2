"""Tables for a terminal, no wider than it.

The first rows determine the widths of the columns. A later row that needs more is not aligned, but
still fits the screen.
"""

from __future__ import annotations

import shutil
from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple

from kycli.cli.terminal import cut, padded, width

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kycli.cli.env import Environment

SAMPLE = 200
"""How many rows determine the widths of the columns."""
GAP = 2
"""The blanks between two columns."""
_LEAST = 4


class Heading(NamedTuple):
    """The head of a column.

    Attributes:
        title: its text, printable.
        cut: whether cells are cut where the screen is too small.
        right: whether cells stand at the right edge.
    """

    title: str
    cut: bool = True
    right: bool = False


def write_table(
    env: Environment,
    headings: Sequence[Heading],
    rows: Iterator[list[str]],
    styled: Callable[[list[str]], list[str]] = list,
) -> None:
    """Print rows of printable texts as a table.

    Parameters:
        styled: adds styles to the padded cells of a row.
    """
    screen = shutil.get_terminal_size().columns
    cells = ([cut(text, screen) for text in row] for row in rows)
    begin = list(islice(cells, SAMPLE))
    widths = widths_of(headings, begin, screen)
    titles = cells_of([heading.title for heading in headings], headings, widths, screen)
    env.write(env.styled("".join(titles).rstrip(), "1").encode() + b"\n")
    for row in chain(begin, cells):
        line = "".join(styled(cells_of(row, headings, widths, screen)))
        env.write(line.rstrip().encode() + b"\n")
        if env.unread:
            return


def widths_of(headings: Sequence[Heading], rows: list[list[str]], screen: int) -> list[int]:
    """Return the width of each column: that of its cells, or less if the screen is too small.

    In that case the columns that may be cut share the remaining room. A column that needs less
    than its share leaves the rest to the others.
    """
    widths = [
        max(width(text) for text in (heading.title, *cells))
        for heading, *cells in zip(headings, *rows, strict=True)
    ]
    flexible = [index for index, heading in enumerate(headings) if heading.cut]
    room = screen - GAP * (len(headings) - 1) - sum(widths)
    room += sum(widths[index] for index in flexible)
    for done, index in enumerate(sorted(flexible, key=lambda index: widths[index])):
        widths[index] = min(widths[index], max(_LEAST, room // (len(flexible) - done)))
        room -= widths[index]
    return widths


def cells_of(
    texts: list[str], headings: Sequence[Heading], widths: list[int], screen: int
) -> list[str]:  # fmt: skip
    """Return the cells of one row, each followed by the gap, in so much room."""
    row = []
    for text, heading, most in zip(texts, headings, widths, strict=True):
        cell = cut(text, min(most, screen) if heading.cut else screen)
        if heading.right:
            cell = " " * min(most - width(cell), screen - width(cell)) + cell
        cell = padded(cell, min(max(most, width(cell)) + GAP, screen))
        row.append(cell)
        screen -= width(cell)
    return row
