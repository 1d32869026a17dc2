"""Keys that changed between two positions of the log, in the order of keys.

The log names them in the order of changes. They are sorted in a temporary database of their
own, which goes to the disk when it gets large.

SQLite is relied on for: temporary databases, and upserts.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

import apsw

from kycli.core.sql.log import PAGE_ROWS
from kycli.core.sqlite_errors import translate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_CREATE = """
CREATE TABLE changed (
    key    TEXT PRIMARY KEY,
    before INTEGER NOT NULL,
    after  INTEGER NOT NULL
) STRICT, WITHOUT ROWID"""
_ADD_CHANGED = """
INSERT INTO changed VALUES (?1, ?3, ?2) ON CONFLICT (key) DO UPDATE SET after = excluded.after"""
_ADD_EXPIRED = "INSERT INTO changed VALUES (?1, ?2, ?2) ON CONFLICT (key) DO NOTHING"
_PAGE = f"""
SELECT key, before, after FROM changed WHERE key > ?1 ORDER BY key LIMIT {PAGE_ROWS}"""


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        raise translate(error, "a temporary database", 0) from error


class ChangedKeys:
    """For each key the row of the log that says what it was, on both sides."""

    def __init__(self) -> None:
        self._database = apsw.Connection("")  # a temporary file, which no other can see
        with _translated():
            self._database.pragma("journal_mode", "off")
            self._database.pragma("synchronous", "off")
            self._database.execute(_CREATE)

    def add_changed(self, changes: Iterable[tuple[str, int, int]]) -> None:
        """Add changes in their order: key, id, and the id of the change before."""
        with _translated():
            self._database.executemany(_ADD_CHANGED, changes)

    def add_expired(self, expiries: Iterable[tuple[str, int]]) -> None:
        """Add keys that expired and were not changed: key, and id of their state."""
        with _translated():
            self._database.executemany(_ADD_EXPIRED, expiries)

    def page(self, after: str) -> list[tuple[Any, ...]]:
        """Return the next keys: the key, and the ids of its state before and after."""
        with _translated():
            rows: list[tuple[Any, ...]] = self._database.execute(_PAGE, (after,)).fetchall()
        return rows

    def close(self) -> None:
        self._database.close()
