"""SQLite files of other programs, which are read and never written.

Only this module and ``prontodb`` have SQL outside the engine, for tables of other programs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

import apsw

from kycli.core.layout import APPLICATION_ID
from kycli.core.values import canonical
from kycli.errors import FormatError, UsageError
from kycli.transfer.formats.records import encoded_json, reject
from kycli.transfer.formats.text_lines import codec_of
from kycli.transfer.formats.typed import changed_at
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
    _rowid: str | None = None
    _id: Any = None

    def rows(self) -> Iterator[Row]:
        if self.path is None:
            raise UsageError("an SQLite file is read from a file, not from a stream")
        try:
            yield from self._rows(self.path)
        except apsw.Error as error:
            raise FormatError(f"SQLite cannot read it: {error}") from None

    def _rows(self, path: str) -> Iterator[Row]:
        connection = opened(path)
        try:
            connection.execute("BEGIN")  # so that both ways of reading see the same rows
            table = self._table(connection)
            names = [row[1] for row in connection.execute(f"PRAGMA table_xinfo({quoted(table)})")]
            columns, gathered = self._columns(names)
            has_scope = self.options.scope_column is not None
            has_time = self.options.time_column is not None
            for record in self._records(connection, table, names, columns):
                self.line += 1
                self.record = dict(zip(columns, record, strict=True))
                wrong = [name for name, item in self.record.items() if type(item) is _NoText]
                if wrong:
                    self.refuse(self._no_text(wrong[0]))
                    continue
                key = record[0]
                scope = record[1] if has_scope else None
                rest = record[1 + has_scope + has_time :]
                value: Any = rest[0]
                if gathered:
                    value = dict(zip(gathered, rest, strict=True))
                if type(key) is int:
                    key = str(key)
                try:
                    if type(key) is not str or not (scope is None or type(scope) is str):
                        raise FormatError("the key or the scope is no text")
                    time = changed_at(record[1 + has_scope]) if has_time else None
                except FormatError as error:
                    self.refuse(error)
                else:
                    yield key, value, scope, None, time
        finally:
            connection.close()

    def _records(
        self, connection: apsw.Connection, table: str, names: list[str], columns: list[str]
    ) -> Iterator[tuple[Any, ...]]:
        """Yield the values of the columns; a text that is none as a ``_NoText``."""
        wanted = ", ".join(map(quoted, columns))
        if self.options.encoding is None:
            try:
                yield from connection.execute(f"SELECT {wanted} FROM {quoted(table)}")
                return
            except UnicodeDecodeError:
                pass
        # From here on text is taken as bytes, because APSW gives no row with a text that is none.
        self._rowid = _rowid(connection, table, names)
        encoding = codec_of(self.options.encoding or connection.pragma("encoding"))
        pieces = [self._rowid or "NULL"]
        for name in map(quoted, columns):
            pieces += f"typeof({name})", f"iif(typeof({name})='text', CAST({name} AS BLOB), {name})"
        sql = f"SELECT {', '.join(pieces)} FROM {quoted(table)} LIMIT -1 OFFSET {self.line}"
        for self._id, *items in connection.execute(sql):
            kinds, values = items[::2], items[1::2]
            yield tuple(
                _decoded(value, encoding) if kind == "text" else value
                for kind, value in zip(kinds, values, strict=True)
            )

    def _no_text(self, column: str) -> FormatError:
        row = f"{self._rowid} {self._id}: " if self._rowid else ""
        return FormatError(
            f"{row}the column {column!r} holds text that is not {self.record[column].encoding}",
            hint="name the encoding of the text, such as --encoding latin-1 or cp1252",
        )

    def _table(self, connection: apsw.Connection) -> str:
        if connection.pragma("application_id") == APPLICATION_ID:
            raise FormatError(
                "this is a kycli database",
                hint="pipe 'kycli -d FILE export - jsonl' into 'kycli import --format jsonl -'",
            )
        tables = [row[0] for row in connection.execute(_TABLES)]
        if self.options.table is not None:
            if self.options.table not in tables:
                raise missing_column(self.options.table, tables, "table")
            return self.options.table
        if len(tables) != 1:
            raise UsageError(
                f"which table? there are {', '.join(tables[:8]) or 'none'}",
                hint="--table names it",
            )
        return str(tables[0])

    def _columns(self, names: list[str]) -> tuple[list[str], list[str]]:
        """Return the columns to read, key, scope and time first, and which of them are gathered."""
        options = self.options
        if options.columns and options.value_column:
            raise UsageError("--columns and --value-column exclude each other")
        wanted = [options.key_column or "key"]
        if options.scope_column is not None:
            wanted.append(options.scope_column)
        if options.time_column is not None:
            wanted.append(options.time_column)
        gathered = list(options.columns)
        if gathered == ["*"]:
            gathered = [name for name in names if name not in wanted]
        wanted += gathered or [options.value_column or "value"]
        for name in wanted:
            if name not in names:
                raise missing_column(name, names)
        return wanted, gathered

    def rejected(self, record: Any, line: int, reason: str, is_first: bool) -> bytes:
        # SQLite files cannot be appended to; JSONL holds the same types.
        bytes_of = {n: item.data for n, item in record.items() if type(item) is _NoText}
        text = canonical({**record, **bytes_of})
        # Bytes would be imported, and are not what the column holds.
        data = None if bytes_of else json.loads(text)
        return encoded_json(f"{reject(data, text, line, reason)}\n", None, is_start=True)


class _NoText(NamedTuple):
    """Invalid text."""

    data: bytes
    encoding: str


def _decoded(data: bytes, encoding: str) -> str | _NoText:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return _NoText(data, encoding.upper())


def _rowid(connection: apsw.Connection, table: str, names: list[str]) -> str | None:
    """Return by which name a table has row ids, or None."""
    taken = {name.lower() for name in names}
    for name in ("rowid", "_rowid_", "oid"):
        if name not in taken:
            try:
                connection.execute(f"SELECT {name} FROM {quoted(table)} LIMIT 0").fetchall()
            except apsw.SQLError:
                return None
            return name
    return None


def opened(path: str) -> apsw.Connection:
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


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


READERS = {"sqlite": SqliteReader}
WRITERS: dict[str, Any] = {}
