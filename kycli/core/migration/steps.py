"""The steps from each format of ours to the next: how the tables and their rows change.

A step never changes once it is released. It takes nothing from ``layout``, which describes only the
newest format. It runs inside a transaction, after indexes, triggers and views were dropped;
``formats`` creates these again at the end, and the search index if its definition has changed.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    import apsw

# ---------------------------------------------------------------- 1 to 2

_NEW_IN_2 = """
ALTER TABLE kvstore DROP COLUMN op;

CREATE TABLE authors (
    id      INTEGER PRIMARY KEY,
    user    TEXT NOT NULL,
    host    TEXT NOT NULL,
    command TEXT NOT NULL,
    UNIQUE (user, host, command)
) STRICT;

CREATE TABLE horizon (
    scope      TEXT PRIMARY KEY,
    reaches_to INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sweeps (
    name     TEXT PRIMARY KEY,
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE fts_docs (
    id    INTEGER PRIMARY KEY,
    scope TEXT NOT NULL,
    key   TEXT NOT NULL,
    UNIQUE (scope, key)
) STRICT;

CREATE TABLE fts_state (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    watermark INTEGER,
    scope     TEXT,
    key       TEXT
) STRICT;
"""

_AUDIT_LOG_OF_2 = """
CREATE TABLE audit_log (
    id         INTEGER PRIMARY KEY,
    scope      TEXT NOT NULL,
    key        TEXT NOT NULL,
    kind       INTEGER,
    op         INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    prev       INTEGER,
    timestamp  INTEGER NOT NULL,
    expires_at INTEGER,
    author     INTEGER,
    pid        INTEGER,
    change     INTEGER,
    value      ANY
) STRICT
"""

_NAMESPACES_OF_2 = """
CREATE TABLE sys_namespaces (
    scope            TEXT PRIMARY KEY,
    cache_ms         INTEGER,
    history_days     REAL,
    history_versions INTEGER,
    archive_days     REAL,
    fold_keys        INTEGER,
    created_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID
"""


def _sign_and_limit(connection: apsw.Connection) -> None:
    """Changes have authors, scopes have limits, and the search index follows the log."""
    connection.execute(_NEW_IN_2)
    _rebuild(
        connection,
        "audit_log",
        _AUDIT_LOG_OF_2,
        _same(
            "id",
            "scope",
            "key",
            "kind",
            "op",
            "version",
            "prev",
            "timestamp",
            "expires_at",
            "value",
        ),
    )
    _rebuild(
        connection, "sys_namespaces", _NAMESPACES_OF_2, _same("scope", "cache_ms", "created_at")
    )


# ---------------------------------------------------------------- 2 to 3

_KVSTORE_OF_3 = """
CREATE TABLE kvstore (
    scope      TEXT NOT NULL ON CONFLICT REPLACE DEFAULT 'default',
    key        TEXT NOT NULL,
    value      ANY,
    kind       INTEGER NOT NULL ON CONFLICT REPLACE DEFAULT -1,
    expires_at INTEGER,
    home       INTEGER,
    digest     BLOB,
    version    INTEGER NOT NULL ON CONFLICT REPLACE DEFAULT 0,
    seq        INTEGER NOT NULL ON CONFLICT REPLACE DEFAULT 0,
    updated_at INTEGER NOT NULL ON CONFLICT REPLACE DEFAULT 0,
    PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID
"""

_BEFORE_OF_3 = """
CREATE TABLE sql_before (
    scope, key, old_kind, old_expires_at, old_home, old_version, old_seq, old_updated_at, old_value,
    PRIMARY KEY (scope, key)
) WITHOUT ROWID
"""


def _open_to_plain_sql(connection: apsw.Connection) -> None:
    """Columns have defaults for other programs, and digests have a column of their own."""
    columns = _same("scope", "key", "kind", "expires_at", "home", "version", "seq", "updated_at")
    columns["value"] = "iif(home IS NULL, value, NULL)"
    columns["digest"] = "iif(home IS NULL, NULL, value)"
    _rebuild(connection, "kvstore", _KVSTORE_OF_3, columns)
    connection.execute(_BEFORE_OF_3)


# ---------------------------------------------------------------- 3 to 4


def _show_schemas(connection: apsw.Connection) -> None:
    """Other programs read schemas as a view, and their triggers notice more; no row changes."""


# ---------------------------------------------------------------- all of them

STEPS: dict[int, Callable[[apsw.Connection], None]] = {
    1: _sign_and_limit,
    2: _open_to_plain_sql,
    3: _show_schemas,
}
"""The step from format N to format N + 1, by N."""

NEW_NAMES: dict[int, frozenset[str]] = {4: frozenset({"_schemas"})}
"""Names that a format was the first to give, without those that are taken by its tables."""


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


def _rebuild(connection: apsw.Connection, table: str, sql: str, columns: dict[str, str]) -> None:
    """Create a table again; each column gets the value of an expression of the old row."""
    connection.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    connection.execute(sql)
    connection.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) "
        f"SELECT {', '.join(columns.values())} FROM old_{table}"
    )
    connection.execute(f"DROP TABLE old_{table}")
