"""The result of an import."""

from __future__ import annotations

from typing import NamedTuple


class Imported(NamedTuple):
    """How many rows an import read, and what became of them.

    Attributes:
        read: rows that were read.
        created: keys that did not exist.
        overwritten: keys that got another value.
        unchanged: keys that had the value already.
        skipped: rows that were left out because their key exists or they have expired.
        rejected: rows that could not be saved.
        change: the id of the change in the history, for ``undo``; None when nothing changed.
    """

    read: int
    created: int
    overwritten: int
    unchanged: int
    skipped: int
    rejected: int
    change: int | None

    def plus(self, other: Imported) -> Imported:
        """Return the sums of two parts of an import."""
        return Imported(
            self.read + other.read,
            self.created + other.created,
            self.overwritten + other.overwritten,
            self.unchanged + other.unchanged,
            self.skipped + other.skipped,
            self.rejected + other.rejected,
            self.change or other.change,
        )


NOTHING = Imported(0, 0, 0, 0, 0, 0, None)
