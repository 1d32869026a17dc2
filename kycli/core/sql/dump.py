"""All there is of scopes, row by row: reading it for a dump, and writing it anew.

Pages are as large as ``PAGE_BYTES`` say, and have one row at least. ``?1`` and ``?2`` are
the position that is done, or its two parts.

SQLite is relied on for: comparing rows, ``(a, b) > (x, y)``, by an index; ``json_each``,
which takes a list of scopes as one binding; ``octet_length``, which does not read a value;
sorting more than the memory holds on disk.
"""

from __future__ import annotations

import json
from typing import Any

from kycli.core.layout import BYPASS, EXPIRED, IMPORTS, LIFETIME, LIVE, RESERVED, SCHEMAS, VALUE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from kycli.core.storage import Kycore

    Row: TypeAlias = "tuple[Any, ...]"
    Range: TypeAlias = "tuple[str, str | bytes]"
    """The first key, and the text or BLOB that is past the last."""

PAGE_ROWS = 1000
PAGE_BYTES = 1 << 20

_SIZE = """ifnull(octet_length(k.value), ifnull(
    (SELECT octet_length(h.value) FROM audit_log h WHERE h.id = k.home), 0))"""

# ---------------------------------------------------------------- which scopes

_SCOPES = f"""
SELECT scope FROM kvstore UNION SELECT scope FROM archive UNION SELECT scope FROM sys_namespaces
UNION SELECT key FROM kvstore WHERE scope = '{SCHEMAS}'"""
_SCOPES_OF_LOG = f"""{_SCOPES} UNION SELECT scope FROM audit_log
UNION SELECT key FROM audit_log WHERE scope = '{SCHEMAS}'"""
_OF_SCHEMAS = f"scope = '{SCHEMAS}' AND key IN (SELECT value FROM json_each(?1))"
_HAS_SCHEMAS = f"""
SELECT 1 FROM kvstore WHERE {_OF_SCHEMAS}
UNION ALL SELECT 1 FROM archive WHERE ?2 AND {_OF_SCHEMAS}
UNION ALL SELECT 1 FROM audit_log WHERE ?2 AND {_OF_SCHEMAS} LIMIT 1"""
_COLUMNS = "SELECT name FROM pragma_table_info('sys_namespaces') WHERE name <> 'scope'"
_DECLARED = "SELECT {} FROM sys_namespaces WHERE scope = ?1"


def scopes(store: Kycore, history: bool) -> list[str]:
    """Return the scopes of which there is anything, sorted."""
    rows = store._query(_SCOPES_OF_LOG if history else _SCOPES)
    return sorted(scope for (scope,) in rows if scope and not scope.startswith(RESERVED))


def has_schemas(store: Kycore, scopes: list[str], history: bool) -> bool:
    """Whether some scopes have schemas, or had some that the history remembers."""
    return bool(store._query(_HAS_SCHEMAS, (json.dumps(scopes), history)))


def settings(store: Kycore) -> list[str]:
    """Return the names of what can be declared of a scope."""
    return [name for (name,) in store._query(_COLUMNS)]


def declared(store: Kycore, scope: str) -> dict[str, Any]:
    """Return what is declared of a scope, by name; nothing that is NULL."""
    names = settings(store)
    for row in store._query(_DECLARED.format(", ".join(names)), (scope,)):
        return {n: v for n, v in zip(names, row, strict=True) if v is not None}
    return {}


# ---------------------------------------------------------------- reading

_LIVE_SIZES = f"""
SELECT k.key, {_SIZE} FROM kvstore k
WHERE scope = ?2 AND key > ?3 AND key >= ?4 AND key < ?5 AND {LIVE}
ORDER BY key LIMIT {PAGE_ROWS}"""
_LIVE = f"""
SELECT k.key, {VALUE}, k.kind, k.version, k.updated_at, k.expires_at, k.seq FROM kvstore k
WHERE scope = ?2 AND key > ?3 AND key >= ?4 AND key <= ?5 AND {LIVE} ORDER BY key"""


def live_rows(store: Kycore, now: int, scope: str, keys: Range) -> Iterator[Row]:
    """Yield key, value, kind, version, time, expiry and ``seq`` of the keys of a scope.

    Parameters:
        now: what has expired by then is left out; nothing for -1.
    """
    first, past = keys
    done = ""
    while sizes := store._query(_LIVE_SIZES, (now, scope, done, first, past)):
        last = _page_end(sizes)
        yield from store._query(_LIVE, (now, scope, done, first, last))
        done = last


_IN_SCOPES = "scope IN (SELECT value FROM json_each(?2)) AND key >= ?3 AND key < ?4"
_IS_SCHEMA = f"scope = '{SCHEMAS}' AND key IN (SELECT value FROM json_each(?2))"
_WANTED = f"(op = {BYPASS} AND (change = id OR key <> '') OR {_IN_SCOPES} OR {_IS_SCHEMA})"
_LOG_SIZES = f"""
SELECT id, ifnull(octet_length(value), 0) FROM audit_log
WHERE id > ?1 AND {_WANTED} ORDER BY id LIMIT {PAGE_ROWS}"""
_LOG = f"""
SELECT id, scope, key, value, kind, op, version, prev, timestamp, expires_at, change, author, pid
FROM audit_log WHERE id > ?1 AND id <= ?5 AND {_WANTED} ORDER BY id"""


def log_rows(store: Kycore, scopes: list[str], keys: Range) -> Iterator[Row]:
    """Yield the rows of the log that are of some keys and schemas, and notes that concern any."""
    given = json.dumps(scopes), *keys
    done = -1
    while sizes := store._query(_LOG_SIZES, (done, *given)):
        last = _page_end(sizes)
        yield from store._query(_LOG, (done, *given, last))
        done = last


_REMOVED = f"({_IN_SCOPES} AND (?5 OR {{}}) OR ?5 AND {_IS_SCHEMA})"
_ARCHIVE_SIZES = f"""
SELECT id, ifnull(octet_length(value), 0) FROM archive r
WHERE id > ?1 AND {_REMOVED} ORDER BY id LIMIT {PAGE_ROWS}"""
_ARCHIVE = f"""
SELECT scope, key, value, kind, op, version, updated_at, deleted_at, expires_at, seq, prev
FROM archive r
WHERE id > ?1 AND id <= ?6 AND {_REMOVED} ORDER BY id"""
# What 'restore' brings back: the newest value of a key that is gone.
_RESTORABLE = """
NOT EXISTS (SELECT 1 FROM kvstore k WHERE k.scope = r.scope AND k.key = r.key)
AND NOT EXISTS (
    SELECT 1 FROM archive n WHERE n.scope = r.scope AND n.key = r.key AND n.id > r.id)"""


def archived_rows(store: Kycore, scopes: list[str], keys: Range, all: bool) -> Iterator[Row]:
    """Yield rows of the archive.

    Parameters:
        all: all of them, also of schemas; else those of which no newer state is known.
    """
    given = json.dumps(scopes), *keys, all
    done = -1
    while sizes := store._query(_ARCHIVE_SIZES.format(_RESTORABLE), (done, *given)):
        last = _page_end(sizes)
        yield from store._query(_ARCHIVE.format(_RESTORABLE), (done, *given, last))
        done = last


def _page_end(sizes: list[tuple[Any, int]]) -> Any:
    """Return the last of the rows that make a page."""
    total = 0
    last = sizes[0][0]
    for row, size in sizes:
        total += size
        if total > PAGE_BYTES:
            break
        last = row
    return last


_AUTHOR = "SELECT user, host, command FROM authors WHERE id = ?1"
_INCOMPLETE = "SELECT scope, reaches_to FROM horizon WHERE scope GLOB '#[0-9]*'"
_TORN = f"""
SELECT change, max(timestamp) FROM audit_log
WHERE change IS NOT NULL AND op NOT IN ({BYPASS}, {EXPIRED}) AND scope <> '{IMPORTS}'
GROUP BY change
HAVING sum({_IN_SCOPES} OR {_IS_SCHEMA}) BETWEEN 1 AND count(*) - 1 AND ?1"""


def author(store: Kycore, id: int) -> Row | None:
    """Return user, host and command of an author."""
    rows: list[Row] = store._query(_AUTHOR, (id,))
    return rows[0] if rows else None


def incomplete(store: Kycore) -> dict[int, int]:
    """Return each change of which a part was pruned, with its end."""
    return {int(name[1:]): time for name, time in store._query(_INCOMPLETE)}


def torn(store: Kycore, scopes: list[str], keys: Range) -> dict[int, int]:
    """Return each change that has parts among some keys and among others, with its end."""
    return dict(store._query(_TORN, (True, json.dumps(scopes), *keys)))


# ---------------------------------------------------------------- writing

_HAS_ROWS = [f"SELECT 1 FROM {table} WHERE scope = ?1 LIMIT 1" for table in ("kvstore", "archive")]
_HAS_HISTORY = f"""
SELECT 1 FROM audit_log WHERE op <> {BYPASS} UNION ALL SELECT 1 FROM archive LIMIT 1"""
_ADD_AUTHOR = "INSERT OR IGNORE INTO authors (user, host, command) VALUES (?1, ?2, ?3)"
_FIND_AUTHOR = "SELECT id FROM authors WHERE (user, host, command) = (?1, ?2, ?3)"
_ADD_LOG = """
INSERT INTO audit_log (
    id, scope, key, value, kind, op, version, prev, timestamp, expires_at, change, author, pid
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"""
_ADD_ROW = """
INSERT INTO kvstore (
    scope, key, value, kind, version, updated_at, expires_at, seq, home, digest
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"""
_ADD_KEY = f"{_ADD_ROW} ON CONFLICT DO NOTHING RETURNING 1"
_REMOVAL = """
SELECT seq, version FROM archive WHERE scope = ?1 AND key = ?2 ORDER BY id DESC LIMIT 1"""
_ADD_ARCHIVED = """
INSERT INTO archive (
    scope, key, value, kind, op, version, updated_at, deleted_at, expires_at, seq, prev
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"""
_KIND = "SELECT kind FROM audit_log WHERE id = ?1 AND kind IS NOT NULL"
_OP = "SELECT op = ?2 FROM audit_log WHERE id = ?1"
_DECLARE = """
INSERT INTO sys_namespaces (scope, {}) VALUES (?1{})"""


def has_rows(store: Kycore, scope: str) -> bool:
    """Whether a scope has keys, or had some that the archive remembers."""
    return any(store._query(sql, (scope,)) for sql in _HAS_ROWS)


def has_history(store: Kycore) -> bool:
    """Whether any key of any scope has a history."""
    return bool(store._query(_HAS_HISTORY))


def declare(store: Kycore, scope: str, declared: dict[str, Any]) -> None:
    """Declare everything of a scope of which nothing is declared."""
    names = list(declared)
    marks = "".join(f", ?{number}" for number in range(2, len(names) + 2))
    store._declare(_DECLARE.format(", ".join(names), marks), (scope, *declared.values()))


def number_of_author(store: Kycore, user: str, host: str, command: str) -> int:
    """Return the number of an author, who is added if need be."""
    store._query(_ADD_AUTHOR, (user, host, command))
    return int(store._query(_FIND_AUTHOR, (user, host, command))[0][0])


def add_log(store: Kycore, row: Row) -> None:
    """Add a row to the log, as ``log_rows`` gives it."""
    store._query(_ADD_LOG, row)


def add_key(store: Kycore, row: Row) -> bool:
    """Add a live key; return False when there is one of that name."""
    return bool(store._query(_ADD_KEY, row))


def add_schema(store: Kycore, row: Row) -> None:
    """Add a live row that is a schema, of which what is kept in memory is forgotten."""
    store._declare(_ADD_ROW, row)


def removal(store: Kycore, scope: str, key: str) -> tuple[int, int] | None:
    """Return the change that removed a key last, and the version it had; None if none did."""
    rows: list[tuple[int, int]] = store._query(_REMOVAL, (scope, key))
    return rows[0] if rows else None


def add_archived(store: Kycore, row: Row) -> None:
    """Add a row to the archive, as ``archived_rows`` gives it."""
    store._query(_ADD_ARCHIVED, row)


def kind_of(store: Kycore, id: int) -> int | None:
    """Return the kind of the value that a change gave its key; None when it gave none."""
    rows = store._query(_KIND, (id,))
    return rows[0][0] if rows else None


def is_lifetime(store: Kycore, id: int) -> bool:
    """Whether a row of the log is a change of the lifetime alone."""
    rows = store._query(_OP, (id, LIFETIME))
    return bool(rows and rows[0][0])
