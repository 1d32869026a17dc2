"""Whether a file is a whole and sound database of ours; it is not changed."""

from __future__ import annotations

import os
from contextlib import closing
from typing import NamedTuple

import apsw

from kycli.core.layout import APPLICATION_ID, FORMAT
from kycli.core.migration.legacy.identify import OF_SEARCH
from kycli.core.opening import open_immutable
from kycli.core.sqlite_errors import is_of_index
from kycli.errors import CorruptError, NewerFormatError, NotADatabaseError

HEADER_SIZE = 100
_MAGIC = b"SQLite format 3\0"
_STEPS_BETWEEN_SIGNALS = 500_000
_NOTHING_CHANGED = "nothing was changed"

_CHECK = "PRAGMA integrity_check(100)"
_CHECK_TABLE = "PRAGMA integrity_check('{}')"
_TABLES = """
SELECT name FROM sqlite_schema
WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' AND name NOT LIKE 'fts#_%' ESCAPE '#'
UNION ALL SELECT 'sqlite_schema'"""


class Header(NamedTuple):
    """What the first 100 bytes of a database say.

    Attributes:
        format: the number of its format; 0 for one of the releases that had none.
        page_size: in bytes.
        size: of the whole file, in bytes; 0 where that is not known.
    """

    format: int
    page_size: int
    size: int


def read_header(data: bytes, name: str) -> Header:
    """Return what the beginning of a file says.

    Raises:
        NotADatabaseError: when it is not a database, or one of another program.
    """
    if len(data) < HEADER_SIZE or not data.startswith(_MAGIC):
        raise NotADatabaseError(f"{name}: this is not a kycli database")
    page_size = int.from_bytes(data[16:18], "big")
    pages, changed, mark, valid_for = (
        int.from_bytes(data[at : at + 4], "big") for at in (28, 24, 68, 92)
    )
    page_size = 65536 if page_size == 1 else page_size
    if mark not in (APPLICATION_ID, 0):
        raise NotADatabaseError(f"{name}: this is a database of another program")
    version = int.from_bytes(data[60:64], "big") if mark else 0
    # Another program may have changed the file without counting its pages.
    return Header(version, page_size, pages * page_size if changed == valid_for else 0)


def check_format(version: int, name: str) -> None:
    """Refuse a database of a later kycli.

    Raises:
        NewerFormatError: when it is one.
    """
    if version > FORMAT:
        raise NewerFormatError(
            f"{name}: the database has format {version}, this kycli reads format {FORMAT}",
            hint="upgrade kycli",
        )


def check_file(path: str, name: str) -> Header:
    """Check a database that nobody writes to, page by page.

    The search index is not checked: it can be made from the rest.

    Parameters:
        path: of the file.
        name: what errors call it.

    Raises:
        NotADatabaseError, NewerFormatError: when it is not one of this kycli or an earlier one.
        CorruptError: when it is damaged, or not complete.
    """
    with open(path, "rb") as file:
        header = read_header(file.read(HEADER_SIZE), name)
    check_format(header.format, name)
    size = os.path.getsize(path)
    if size < header.size:
        raise CorruptError(
            f"{name}: it is cut off: {size:,} of {header.size:,} bytes are there",
            hint=_NOTHING_CHANGED,
        )
    try:
        with closing(open_immutable(path)) as connection:
            # Being called is enough: Python then sees to Ctrl-C.
            connection.set_progress_handler(lambda: False, _STEPS_BETWEEN_SIGNALS)
            connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
            wrong = _damage(connection)
    except apsw.Error as error:
        wrong = str(error)
    if wrong is not None:
        raise CorruptError(f"{name}: it is damaged: {wrong}", hint=_NOTHING_CHANGED)
    return header


def _damage(connection: apsw.Connection) -> str | None:
    """Return the first thing that is wrong with a database, but for its search index."""
    try:
        lines = _verdicts(connection, _CHECK)
    except apsw.Error as error:
        if not is_of_index(error):
            raise
        # An index that cannot be opened keeps SQLite from checking the file as a whole.
        tables = [name for (name,) in connection.execute(_TABLES)]
        lines = [
            line
            for name in tables
            for line in _verdicts(connection, _CHECK_TABLE.format(name.replace("'", "''")))
        ]
    return next((line for line in lines if not OF_SEARCH.search(line)), None)


def _verdicts(connection: apsw.Connection, sql: str) -> list[str]:
    rows = connection.execute(sql).fetchall()
    lines = [" ".join(line.split()) for (text,) in rows for line in str(text).split("\n")]
    return [line for line in lines if line != "ok" and not line.startswith("***")]
