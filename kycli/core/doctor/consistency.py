"""Consistency of rows: counting violations of the references that ``layout`` describes.

Most facts are stored twice: a value is in ``kvstore`` and in its row of the log, or in the
archive; a version continues that of the row before; a deletion in the log has a row in the
archive. A fact that is stored once, such as the value of an older change, can only be checked for
being well-formed. Rows that another program wrote have no author, and less of them can be checked.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from kycli.core.codec import decode, digest
from kycli.core.history.retention import MAX_DAYS
from kycli.core.layout import (
    BIGINT,
    BOOL,
    BYPASS,
    BYTES,
    CREATED,
    DELETED,
    EXPIRED,
    FLOAT,
    IMPORTED,
    INT,
    JSON,
    LIFETIME,
    NONE,
    OPAQUE,
    OVERWRITTEN,
    RESERVED,
    RESTORED,
    TEXT,
)  # fmt: skip
from kycli.core.names import check_scope
from kycli.core.sql import schemas
from kycli.errors import CorruptError, KycliError, SchemaError, StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kycli.core.storage import Kycore

_PAGE_ROWS = 500
_PAGE_BYTES = 1 << 16
"""A longer value is read by itself."""

# What was pruned may leave a chain with a beginning that is not there.
_WHOLE = "NOT EXISTS (SELECT 1 FROM horizon)"

_GONE = f"({DELETED}, {EXPIRED})"
_OF_LIVING = f"({OVERWRITTEN}, {DELETED}, {EXPIRED}, {LIFETIME})"
_COUNTING = f"({CREATED}, {OVERWRITTEN}, {RESTORED}, {IMPORTED})"

# The row that holds the value of a row {0}: itself, unless it changes the lifetime alone. Ids
# fall along a chain that is sound; along another one this does not go round for ever.
_HOME_OF = f"""iif({{0}}.op <> {LIFETIME} OR {{0}}.value IS NOT NULL, {{0}}.id, (
    WITH RECURSIVE chain (id, prev, done) AS (
        SELECT {{0}}.id, {{0}}.prev, 0
        UNION ALL
        SELECT h.id, h.prev, h.op <> {LIFETIME} OR h.value IS NOT NULL
        FROM chain JOIN audit_log h ON h.id = chain.prev AND h.id < chain.id WHERE NOT done
    )
    SELECT min(id) FROM chain))"""
_VALUE_OF = f"(SELECT v.value FROM audit_log v WHERE v.id = {_HOME_OF})"

# Whether {0}.value can be of the kind {0}.kind.
_FITS = f"""CASE {{0}}.kind
    WHEN {BYTES} THEN typeof({{0}}.value) = 'blob'
    WHEN {INT} THEN typeof({{0}}.value) = 'integer'
    WHEN {FLOAT} THEN typeof({{0}}.value) IN ('real', 'null')
    WHEN {BOOL} THEN typeof({{0}}.value) = 'integer' AND {{0}}.value IN (0, 1)
    WHEN {NONE} THEN {{0}}.value IS NULL
    ELSE typeof({{0}}.value) = 'text' END"""
_NO_KIND = f"{{0}}.kind NOT BETWEEN {TEXT} AND {OPAQUE}"

_Scan = tuple[str, dict[tuple[str, str], str]]

_KEYS: _Scan = (
    """FROM kvstore k
    LEFT JOIN audit_log a ON a.id = k.seq LEFT JOIN audit_log h ON h.id = k.home""",
    {
        ("keys", "keys have no name"): "k.key = '' OR k.scope = ''",
        ("keys", "keys have no change in the history"): "a.id IS NULL",
        ("keys", "keys differ from their newest change"): f"""a.id IS NOT NULL AND (
            (a.scope, a.key, a.version, a.kind) IS NOT (k.scope, k.key, k.version, k.kind)
            OR a.expires_at IS NOT k.expires_at
            OR iif(k.home IS NULL, {_VALUE_OF.format("a")} IS NOT k.value,
                   k.home IS NOT {_HOME_OF.format("a")}
                   OR k.value IS NOT NULL AND k.value IS NOT h.value)
            OR (a.author IS NOT NULL AND a.timestamp <> k.updated_at))""",
        ("keys", "keys have a value of no known kind"): _NO_KIND.format("k"),
        ("keys", "keys have a value of another kind than they say"): f"""
            iif(k.home IS NULL, NOT {_FITS.format("k")} OR k.digest IS NOT NULL,
                typeof(k.digest) <> 'blob')""",
        ("keys", "large values are missing"): """k.home IS NOT NULL
            AND (h.value IS NULL OR (h.scope, h.key) <> (k.scope, k.key))""",
    },
)  # fmt: skip

# The rows of an import have an author of their own inside a transaction, be they its first or
# not, and another process may go on with an import.
_LOG: _Scan = (
    """FROM audit_log a LEFT JOIN audit_log p ON p.id = a.prev
    LEFT JOIN audit_log c ON c.id = a.change LEFT JOIN authors w ON w.id = a.author
    LEFT JOIN kvstore k ON k.scope = a.scope AND k.key = a.key""",
    {
        ("history", "changes are of no known kind"): f"""
            a.op NOT BETWEEN {BYPASS} AND {IMPORTED} OR {_NO_KIND.format("a")}
            OR iif(a.op = {BYPASS}, a.scope <> '' OR a.kind IS NOT NULL, a.scope = '' OR a.key = '')
            OR (a.op <> {BYPASS} AND (a.op IN {_GONE}) <> (a.kind IS NULL))""",
        ("history", "changes have a value of another kind than they say"): f"""
            a.op <> {BYPASS} AND NOT CASE WHEN a.kind IS NULL THEN a.value IS NULL
                WHEN a.op = {LIFETIME} AND a.value IS NULL THEN a.prev IS NOT NULL
                ELSE {_FITS.format("a")} END""",
        ("history", "changes follow one of another key, or a later one"): """
            p.id >= a.id OR (p.scope, p.key) <> (a.scope, a.key)""",
        ("history", "changes follow one that is not there"): f"""
            a.prev IS NOT NULL AND p.id IS NULL AND {_WHOLE}""",
        ("history", "changes do not go on from the one before"): f"""p.id < a.id AND (
            a.version <> p.version + (a.op IN {_COUNTING})
            OR (a.op = {CREATED} AND p.kind IS NOT NULL)
            OR (a.op IN {_OF_LIVING} AND p.kind IS NULL)
            OR (a.op = {LIFETIME} AND a.kind IS NOT p.kind))""",
        ("history", "changes were made by somebody unknown"): """
            a.author IS NOT NULL AND w.id IS NULL""",
        ("history", "changes are no part of what they say"): f"""a.change > a.id
            OR (a.change IS NOT NULL AND c.id IS NULL AND {_WHOLE})
            OR (c.op <> {BYPASS} AND (c.author, c.pid) IS NOT (a.author, a.pid)
                AND w.command NOT LIKE 'import %'
                AND coalesce((SELECT command FROM authors WHERE id = c.author), '')
                    NOT LIKE 'import %')
            OR (a.op = {EXPIRED} AND coalesce(a.author, a.pid) IS NOT NULL)""",
        ("history", "changes are newer than their key says"): f"a.id > k.seq AND a.op <> {BYPASS}",
        ("history", "changes say that a key is gone that lives on"): f"""
            a.id = k.seq AND a.kind IS NULL AND a.op <> {BYPASS}""",
    },
)  # fmt: skip

# Of a key that lives this looks no further than kvstore; the rest SQLite sorts, on disk
# where it is much.
_LAST: _Scan = (
    f"""FROM (
        SELECT a.scope, a.key, a.kind, max(a.id) AS id FROM audit_log a
        WHERE a.op <> {BYPASS} AND NOT EXISTS (
            SELECT 1 FROM kvstore k WHERE k.scope = a.scope AND k.key = a.key
        )
        GROUP BY a.scope, a.key
    ) a""",
    {
        ("history", "keys that live by the history are gone"): "a.kind IS NOT NULL",
        ("history", "removals have no value in the archive"): f"""a.kind IS NULL AND {_WHOLE}
            AND NOT EXISTS (SELECT 1 FROM archive r WHERE r.scope = a.scope AND r.key = a.key
                            AND r.seq = a.id)""",
    },
)  # fmt: skip

_FORKS: _Scan = (
    f"""FROM (
        SELECT 1 FROM audit_log WHERE prev IS NOT NULL AND {_WHOLE}
        GROUP BY prev HAVING count(*) > 1
    )""",
    {("history", "changes are followed by more than one"): "1"},
)  # fmt: skip

_ARCHIVE: _Scan = (
    """FROM archive r
    LEFT JOIN audit_log a ON a.id = r.seq LEFT JOIN audit_log p ON p.id = r.prev""",
    {
        ("archive", "archived values have another removal in the history"): f"""
            a.id IS NOT NULL AND (
            (a.scope, a.key, a.op, a.version, a.prev)
                IS NOT (r.scope, r.key, r.op, r.version, r.prev)
            OR a.kind IS NOT NULL
            OR ((a.author IS NOT NULL OR a.op = {EXPIRED}) AND a.timestamp <> r.deleted_at))""",
        ("archive", "archived values have no removal in the history"): f"a.id IS NULL AND {_WHOLE}",
        ("archive", "archived values have another value in the history"): f"""
            p.id IS NOT NULL AND (
            (p.scope, p.key, p.kind) IS NOT (r.scope, r.key, r.kind)
            OR {_VALUE_OF.format("p")} IS NOT r.value
            OR (p.author IS NOT NULL
                AND (p.expires_at, p.timestamp) IS NOT (r.expires_at, r.updated_at)))""",
        ("archive", "archived values are of no known kind"): f"""
            {_NO_KIND.format("r")} OR NOT {_FITS.format("r")}""",
    },
)  # fmt: skip

_LARGE = """
SELECT k.scope, k.key, k.digest, a.value FROM kvstore k JOIN audit_log a ON a.id = k.home
WHERE (k.scope, k.key) > (?1, ?2) ORDER BY k.scope, k.key LIMIT 1"""

# Every text and value of a table, in the order of ids; what is long comes by itself.
_TEXTS = """
SELECT id, scope, key, kind, iif(octet_length(value) > ?2, NULL, value), octet_length(value) > ?2
FROM {0} WHERE id > ?1 ORDER BY id LIMIT ?3"""
_ONE_TEXT = "SELECT scope, key, kind, value FROM {0} WHERE id = ?1"
_IDS = "SELECT id FROM {0} WHERE id > ?1 ORDER BY id LIMIT ?2"

_JSON5 = "SELECT json_valid(?1, 2)"
_AUTHORS = "SELECT user, host, command FROM authors"
_SETTINGS = """
SELECT scope, cache_ms, history_days, history_versions, archive_days, fold_keys
FROM sys_namespaces"""
_HORIZON = "SELECT scope, reaches_to FROM horizon"
_SWEEPS = "SELECT name, position, (SELECT ifnull(max(id), 0) FROM audit_log) FROM sweeps"


class Misfit(NamedTuple):
    """Something about rows that is not as it should be.

    Attributes:
        part: ``"keys"``, ``"history"``, ``"archive"`` or ``"settings"``.
        what: what is wrong, with how often it is.
    """

    part: str
    what: str


def misfits(store: Kycore) -> list[Misfit]:
    """Return the inconsistencies of the rows of a database, except the search index."""
    found = []
    with store.snapshot():
        for source, conditions in (_KEYS, _LOG, _FORKS, _LAST, _ARCHIVE):
            sums = ", ".join(f"ifnull(sum({condition}), 0)" for condition in conditions.values())
            counts = store._query(f"SELECT {sums} {source}")[0]
            found += [
                Misfit(part, f"{count} {what}")
                for (part, what), count in zip(conditions, counts, strict=True)
                if count
            ]
        wrong = _wrong_digests(store)
        if wrong:
            found.append(Misfit("keys", f"{wrong} large values are not what was saved"))
        for part, table in (("history", "audit_log"), ("archive", "archive")):
            wrong = sum(1 for _ in _unreadable(store, table))
            if wrong:
                found.append(Misfit(part, f"{wrong} rows cannot be read"))
        found += [Misfit("settings", what) for what in _wrong_settings(store)]
    return found


def _wrong_digests(store: Kycore) -> int:
    """Return how many large values have another digest; each is read by itself."""
    wrong = 0
    last: tuple[str, str] = ("", "")
    while rows := store._query(_LARGE, last):
        scope, key, noted, value = rows[0]
        wrong += isinstance(value, (str, bytes)) and digest(value) != noted
        last = scope, key
    return wrong


def _unreadable(store: Kycore, table: str) -> Iterator[int]:
    """Yield the ids of rows with invalid text, or with a value that does not fit its kind."""
    last = -(1 << 63)
    while True:
        try:
            rows = store._query(_TEXTS.format(table), (last, _PAGE_BYTES, _PAGE_ROWS))
        except StorageError:  # a text that is no text: which of them?
            ids = [id for (id,) in store._query(_IDS.format(table), (last, _PAGE_ROWS))]
            yield from (id for id in ids if not _is_readable(store, table, id))
        else:
            ids = [row[0] for row in rows]
            for id, _, _, kind, value, is_long in rows:
                if is_long:
                    if not _is_readable(store, table, id):
                        yield id
                elif not _is_a(store, value, kind):
                    yield id
        if len(ids) < _PAGE_ROWS:
            return
        last = ids[-1]


def _is_readable(store: Kycore, table: str, id: int) -> bool:
    try:
        ((_, _, kind, value),) = store._query(_ONE_TEXT.format(table), (id,))
    except StorageError:
        return False
    return _is_a(store, value, kind)


def _is_a(store: Kycore, value: Any, kind: int | None) -> bool:
    """Whether a value that SQLite gave, of the right type, can be decoded."""
    if kind not in (JSON, BIGINT) or value is None:
        return True
    try:
        found = decode(value, kind)
    except (CorruptError, ValueError, RecursionError):
        return False
    except StorageError:
        return True  # an int of more digits than Python reads is sound
    except KycliError:
        return False
    # What SQLite takes for JSON may be no document here.
    return kind != JSON or found is not value or bool(store._query(_JSON5, (value,))[0][0])


def _wrong_settings(store: Kycore) -> Iterator[str]:
    try:
        store._query(_AUTHORS)
        for scope, cache_ms, *limits, fold in store._query(_SETTINGS):
            days, versions, archive_days = limits
            if not (
                _is_scope(scope)
                and (cache_ms is None or cache_ms > 0)
                and all(value is None or 0 <= value <= MAX_DAYS for value in (days, archive_days))
                and (versions is None or versions > 0)
                and fold in (None, 0, 1)
            ):
                yield f"what is declared of the scope {scope!r} cannot be"
        for scope, _ in store._query(_HORIZON):
            if not (scope == "" or scope.startswith(RESERVED) or _is_scope(scope)):
                yield f"how far back {scope!r} goes is known, and there is no such scope"
        yield from _wrong_schemas(store)
    except StorageError as error:
        yield str(error)


def _wrong_schemas(store: Kycore) -> Iterator[str]:
    for scope in schemas.names(store):
        from kycli.core.schemas import registry

        try:
            registry.read(store, scope)
        except SchemaError as error:
            yield f"the schema of the scope {scope!r}: {error}"


def wrong_sweeps(store: Kycore) -> list[str]:
    """Return what is wrong with how far ``retention`` has come, which can be forgotten."""
    try:
        rows = store._query(_SWEEPS)
    except StorageError as error:
        return [str(error)]
    return [
        f"the sweep {name!r} is further than the history"
        for name, position, newest in rows
        if not 0 <= position <= newest
    ]


def _is_scope(name: str) -> bool:
    try:
        return check_scope(name) == name
    except KycliError:
        return False
