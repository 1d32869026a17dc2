"""The health of a database: the file, the rows and how they refer to each other, the index.

Everything is read as of one moment per part, so others may go on writing. What is checked
is what ``layout`` promises. Only the search index can be mended, because all that it holds
is made from the keys; the rest needs a backup.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from kycli.core import indexing
from kycli.core.layout import BIGINT, BYPASS, LIFETIME, SEARCH_SCHEMA
from kycli.errors import CorruptError, StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kycli.core.indexing import Progress
    from kycli.core.storage import Kycore


class Problem(NamedTuple):
    """Something that is not as it should be.

    Attributes:
        part: ``"file"``, ``"keys"``, ``"history"``, ``"archive"`` or ``"index"``.
        what: what is wrong.
        repaired: whether it was put right.
    """

    part: str
    what: str
    repaired: bool = False


_INTEGRITY = "PRAGMA integrity_check(20)"
_TABLES = """
SELECT name FROM sqlite_schema
WHERE type = 'table' AND name NOT GLOB 'fts_*' AND name NOT GLOB 'sqlite_*'"""
_TABLE_INTEGRITY = "PRAGMA integrity_check({})"

# What was pruned may leave a chain with a beginning that is not there.
_PRUNED = "EXISTS (SELECT 1 FROM horizon)"
_COUNTS = {
    ("keys", "keys have no change in the history"): """
        SELECT count(*) FROM kvstore k
        WHERE NOT EXISTS (SELECT 1 FROM audit_log a WHERE a.id = k.seq)""",
    ("keys", "keys differ from their newest change"): f"""
        SELECT count(*) FROM kvstore k JOIN audit_log a ON a.id = k.seq
        WHERE (a.scope, a.key, a.version, a.kind) IS NOT (k.scope, k.key, k.version, k.kind)
            OR a.expires_at IS NOT k.expires_at
            OR (k.home IS NULL AND a.op <> {LIFETIME} AND a.value IS NOT k.value)""",
    ("keys", "keys have a value of no known kind"): f"""
        SELECT count(*) FROM kvstore WHERE kind NOT BETWEEN 0 AND {BIGINT}""",
    ("keys", "large values are missing"): """
        SELECT count(*) FROM kvstore k LEFT JOIN audit_log a ON a.id = k.home
        WHERE k.home IS NOT NULL AND (a.value IS NULL OR (a.scope, a.key) <> (k.scope, k.key))""",
    ("history", "changes follow one of another key, or a later one"): """
        SELECT count(*) FROM audit_log a JOIN audit_log p ON p.id = a.prev
        WHERE p.id >= a.id OR (p.scope, p.key) <> (a.scope, a.key)""",
    ("history", "changes follow one that is not there"): f"""
        SELECT count(*) FROM audit_log a
        WHERE a.prev IS NOT NULL AND NOT {_PRUNED}
            AND NOT EXISTS (SELECT 1 FROM audit_log p WHERE p.id = a.prev)""",
    ("history", "changes were made by somebody unknown"): """
        SELECT count(*) FROM audit_log a LEFT JOIN authors w ON w.id = a.author
        WHERE a.author IS NOT NULL AND w.id IS NULL""",
    # Of a key that lives this looks no further than kvstore; the rest SQLite sorts, on disk
    # where it is much.
    ("history", "keys that live by the history are gone"): f"""
        SELECT count(*) FROM (
            SELECT a.kind, max(a.id) FROM audit_log a
            WHERE a.op <> {BYPASS} AND NOT EXISTS (
                SELECT 1 FROM kvstore k WHERE k.scope = a.scope AND k.key = a.key
            )
            GROUP BY a.scope, a.key
        ) WHERE kind IS NOT NULL""",
    ("history", "changes say that a key is gone that lives on"): f"""
        SELECT count(*) FROM audit_log a JOIN kvstore k ON k.seq = a.id
        WHERE a.kind IS NULL AND a.op <> {BYPASS}""",
    ("archive", "archived values have another removal in the history"): """
        SELECT count(*) FROM archive r JOIN audit_log a ON a.id = r.seq
        WHERE (a.scope, a.key) <> (r.scope, r.key) OR a.kind IS NOT NULL""",
    ("archive", "archived values have no removal in the history"): f"""
        SELECT count(*) FROM archive r
        WHERE NOT {_PRUNED} AND NOT EXISTS (SELECT 1 FROM audit_log a WHERE a.id = r.seq)""",
}
"""What may be wrong with the rows, and how many times it is."""

_LARGE = """
SELECT k.scope, k.key, k.value, a.value FROM kvstore k JOIN audit_log a ON a.id = k.home
WHERE (k.scope, k.key) > (?1, ?2) ORDER BY k.scope, k.key LIMIT 1"""

# What FTS5 makes for a table. Where one is gone, the table cannot even be dropped.
_SHADOWS = """
CREATE TABLE IF NOT EXISTS fts_kvstore_data (id INTEGER PRIMARY KEY, block BLOB);
CREATE TABLE IF NOT EXISTS fts_kvstore_idx (segid, term, pgno, PRIMARY KEY (segid, term))
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fts_kvstore_docsize (id INTEGER PRIMARY KEY, sz BLOB, origin INTEGER);
CREATE TABLE IF NOT EXISTS fts_kvstore_config (k PRIMARY KEY, v) WITHOUT ROWID;
INSERT OR REPLACE INTO fts_kvstore_config VALUES ('version', 4)"""
_HAS_INDEX = "SELECT 1 FROM sqlite_schema WHERE name = 'fts_kvstore'"
_INDEX_TABLES = ("fts_kvstore", "fts_docs", "fts_state")
_SHADOW_TABLES = tuple(f"fts_kvstore_{name}" for name in ("data", "idx", "docsize", "config"))


def check(store: Kycore, repair: bool = False, progress: Progress | None = None) -> list[Problem]:
    """Return what is wrong with a database; mend the search index if that is wanted."""
    problems = _of_file(store)
    if problems:
        return problems  # what else does not fit follows from that
    problems = _of_rows(store)
    index = indexing.check(store)
    if index and repair and not store.read_only:
        try:
            _mend_index(store, progress)
        except (CorruptError, StorageError) as error:
            index += [str(error)] if str(error) not in index else []
        else:
            left = indexing.check(store)
            if not left:
                return problems + [Problem("index", what, True) for what in index]
            index = left
    return problems + [Problem("index", what) for what in index]


def _of_file(store: Kycore) -> list[Problem]:
    """Check the file, page by page; the search index is looked at by itself."""
    try:
        verdicts = [text for (text,) in store._query(_INTEGRITY)]
    except StorageError:  # also where the index is such that SQLite cannot look at it
        verdicts = _of_tables(store)
    return [Problem("file", text) for text in verdicts if text != "ok" and "fts" not in text]


def _of_tables(store: Kycore) -> list[str]:
    verdicts = []
    for (name,) in store._query(_TABLES):
        try:
            verdicts += [text for (text,) in store._query(_TABLE_INTEGRITY.format(f"'{name}'"))]
        except (CorruptError, StorageError) as error:
            verdicts.append(f"{name}: {error}")
    return verdicts


def _of_rows(store: Kycore) -> list[Problem]:
    problems = []
    with store.snapshot():
        for (part, what), sql in _COUNTS.items():
            count = store._query(sql)[0][0]
            if count:
                problems.append(Problem(part, f"{count} {what}"))
    wrong = _wrong_digests(store)
    if wrong:
        problems.append(Problem("keys", f"{wrong} large values are not what was saved"))
    return problems


def _wrong_digests(store: Kycore) -> int:
    """Return how many large values have another digest; each is read by itself."""
    wrong = 0
    place: tuple[str, str] = ("", "")
    while rows := store._query(_LARGE, place):
        scope, key, digest, value = rows[0]
        data = value.encode() if isinstance(value, str) else value
        wrong += data is not None and blake2b(data, digest_size=16).digest() != digest
        place = scope, key
    return wrong


def _mend_index(store: Kycore, progress: Progress | None) -> None:
    """Build the index anew; where even its tables are damaged, make these anew first."""
    try:
        indexing.rebuild(store, progress)
        if not indexing.check(store):
            return
    except (CorruptError, StorageError):
        pass
    with store.transaction():
        if store._query(_HAS_INDEX):
            for statement in _SHADOWS.split(";\n"):
                store._query(statement)
        for table in _INDEX_TABLES + _SHADOW_TABLES:
            store._query(f"DROP TABLE IF EXISTS {table}")
        for statement in SEARCH_SCHEMA.split(";\n"):
            store._query(statement)
    indexing.rebuild(store, progress)
