"""Reading for a pane: only after a commit, with errors as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kycli.core.location import MEMORY
from kycli.errors import KycliError
from kycli.shell.panes.control import ERROR
from kycli.shell.panes.text import Line, safe, wrapped
from kycli.shell.state import OccupiedError, identity, is_database

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from kycli.core.storage import Kycore
    from kycli.shell.state import State

    Read = Callable[[Kycore, bool, bool], bool]


class Reader:
    """Calls what reads when there is something to read.

    Attributes:
        problem: why nothing can be read, with the hint; "" where something can.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._store: Kycore | None = None
        self._mark: Hashable = None
        self._database: object = None
        self._goes_on = True
        self.problem = ""

    def forget(self) -> None:
        """Have everything read again."""
        self._store = self._mark = self._database = None

    def go_on(self) -> None:
        """Have the next call read, whether or not anything was committed."""
        self._goes_on = True

    def read(self, read: Read) -> bool:
        """Read if something was committed, or is left to be read; return whether to draw anew.

        Parameters:
            read: called with the store, whether something was committed, and whether the database
                is another one than the last time; returns whether to draw anew.
        """
        before = self.problem
        if self._state.is_occupied:
            return False  # what is shown stays until the command has ended
        try:
            if self._state.database != MEMORY and not is_database(self._state.database):
                self._store = self._mark = None
                self.problem = (
                    f"there is no database {self._state.database}; the first value that is saved "
                    "creates it"
                )
                return self.problem != before
            store = self._state.reader()
            # The transaction that is open tells of each of its changes; nobody else commits.
            mark = self._state.transaction or store.commit_mark()
            database = (self._state.database, identity(self._state.database))
            is_other = database != self._database
            # The shell closes its reader now and then. Another one has marks of its own.
            is_new = is_other or store is not self._store or mark != self._mark
            if not (is_new or self._goes_on or before):
                return False
            self._goes_on = False
            changed = read(store, is_new or bool(before), is_other)
            # Only what was read counts as seen.
            self._store, self._mark, self._database = store, mark, database
            self.problem = ""
        except OccupiedError:
            self._goes_on = True
            return False
        except KycliError as error:
            self._store = self._mark = None
            self.problem = f"{error}; {error.hint}" if error.hint else str(error)
            return self.problem != before
        return changed or bool(before)


def problem_lines(problem: str, columns: int) -> list[Line]:
    """Return a message as lines."""
    if not problem:
        return []
    return [[(ERROR, f" {line}")] for line in wrapped(safe(problem), columns - 1)]
