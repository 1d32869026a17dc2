"""SQLite files of other programs, which are read and never written.

The one place outside of the engine that has SQL, as it reads tables that are not the engine's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import apsw

from kycli.core.layout import APPLICATION_ID
from kycli.errors import FormatError, UsageError
from kycli.transfer.formats.records import reject
from kycli.transfer.reading import Reader, Row, missing_column

_TABLES = """
SELECT name FROM sqlite_schema
WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"""


class SqliteReader(Reader):
    """Reads the rows of a table or view.

    Attributes:
        path: the file, which has to be known beside the stream.
    """

    unit = "row"
    path: str | None = None

    def rows(self) -> Iterator[Row]:
        if self.path is None:
            raise UsageError("an SQLite file is read from a file, not from a stream")
        try:
            yield from self._rows(self.path)
        except apsw.Error as error:
            raise FormatError(f"SQLite cannot read it: {error}") from None

    def _rows(self, path: str) -> Iterator[Row]:
        connection = _opened(path)
        try:
            table = self._table(connection)
            names = [row[1] for row in connection.execute(f"PRAGMA table_xinfo({_quoted(table)})")]
            columns, gathered = self._columns(names)
            sql = f"SELECT {', '.join(map(_quoted, columns))} FROM {_quoted(table)}"
            has_scope = self.options.scope_column is not None
            for record in connection.execute(sql):
                self.line += 1
                self.record = dict(zip(columns, record, strict=True))
                key = record[0]
                scope = record[1] if has_scope else None
                rest = record[2:] if has_scope else record[1:]
                value: Any = rest[0]
                if gathered:
                    value = dict(zip(gathered, rest, strict=True))
                if type(key) is int:
                    key = str(key)
                if type(key) is not str or not (scope is None or type(scope) is str):
                    self.refuse(FormatError("the key or the scope is no text"))
                else:
                    yield key, value, scope
        finally:
            connection.close()

    def _table(self, connection: apsw.Connection) -> str:
        tables = [row[0] for row in connection.execute(_TABLES)]
        if self.options.table is not None:
            if self.options.table not in tables:
                raise missing_column(self.options.table, tables, "table")
            return self.options.table
        if connection.pragma("application_id") == APPLICATION_ID:
            raise FormatError(
                "this is a kycli database",
                hint="pipe 'kycli -d FILE export - jsonl' into 'kycli import --format jsonl -'",
            )
        if len(tables) != 1:
            raise UsageError(
                f"which table? there are {', '.join(tables[:8]) or 'none'}",
                hint="--table names it",
            )
        return str(tables[0])

    def _columns(self, names: list[str]) -> tuple[list[str], list[str]]:
        """Return the columns to read, key and scope first, and which of them are gathered."""
        options = self.options
        if options.columns and options.value_column:
            raise UsageError("--columns and --value-column exclude each other")
        wanted = [options.key_column or "key"]
        if options.scope_column is not None:
            wanted.append(options.scope_column)
        gathered = list(options.columns)
        if gathered == ["*"]:
            gathered = [name for name in names if name not in wanted]
        wanted += gathered or [options.value_column or "value"]
        for name in wanted:
            if name not in names:
                raise missing_column(name, names)
        return wanted, gathered

    def rejected(self, reason: str, is_first: bool) -> bytes:
        # SQLite files cannot be appended to; JSONL holds the same types.
        return f"{reject(self.record, '', self.line, reason)}\n".encode()


def _opened(path: str) -> apsw.Connection:
    """Open a file such that nothing beside it is made or changed."""
    uri = f"file:{quote(path)}?mode=ro"
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(uri, flags=flags)
    try:
        connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
    except (apsw.CantOpenError, apsw.ReadOnlyError):
        connection.close()
        # A file in WAL mode where nothing can be written beside it. Without a log, the file is
        # all there is.
        if os.path.exists(f"{path}-wal") and os.path.getsize(f"{path}-wal"):
            raise
        connection = apsw.Connection(f"{uri}&immutable=1", flags=flags)
    connection.set_busy_timeout(5000)
    return connection


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


READERS = {"sqlite": SqliteReader}
WRITERS: dict[str, Any] = {}
