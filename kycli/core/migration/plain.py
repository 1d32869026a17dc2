"""Converting the tables of KyCLI 0.0 and 0.1, with all their data.

Those databases have three tables: ``kvstore`` with the live keys, ``audit_log`` with the saved
values, and ``archive`` with the values that were deleted or expired in the last 15 days. The tables
are inconsistent. Deletions before 0.1.7, expiry, imports and going back in time left no row in the
history; compacting removed rows from it. Our history must end in exactly the live values, so there
are three kinds of keys:

- *plain*: each row of its history is a value, and the newest is the live one. Nearly all keys are
  plain, and their conversion is pure SQL.
- *fresh*: it is live and has no history. It gets one row, ``IMPORTED``.
- *odd*: anything else. ``Past`` reconstructs its history, and adds what must have happened and was
  not recorded: an ``IMPORTED`` value that no row of the history has, or a removal.

Rows keep their order and their times. An added row is placed by its time, or at the time of the
migration if that is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple, Protocol

import apsw

from kycli.core import layout
from kycli.core.codec import digest
from kycli.core.migration.notes import DELETION, RENAMED, Note
from kycli.core.migration.oldvalues import add_functions
from kycli.core.migration.past import IN_ARCHIVE, IN_HISTORY, IN_KVSTORE, Event, Past
from kycli.errors import CorruptError

KVSTORE, AUDIT_LOG, ARCHIVE = "old_kvstore", "old_audit_log", "old_archive"
"""What the old tables are called when ours are there as well."""

_KEY_MAX = 4096
_TICKS = 20_000


class Decoder(Protocol):
    """What makes values of ours from stored ones of an old release."""

    def stored(self, raw: str | bytes | None) -> tuple[Any, int | None]:
        """Return what a column of ours keeps of it, and its kind; None for ciphertext."""


class Source(NamedTuple):
    """How an old database keeps its values.

    Attributes:
        decoder: for the values that SQL cannot tell.
        is_json: values are JSON where they can be read as that.
        expires: keys can expire, and a deletion is a NULL in the history.
        path: what to call it in errors.
    """

    decoder: Decoder
    is_json: bool
    expires: bool
    path: str


class Moved(NamedTuple):
    """What was moved.

    Attributes:
        keys, changes, removed: rows of ``kvstore``, ``audit_log`` and ``archive``.
        added: rows of the history that stand for what was not recorded.
        encrypted: keys whose value is kept as ciphertext.
    """

    keys: int
    changes: int
    removed: int
    added: int
    encrypted: int


# ---------------------------------------------------------------- values


def _stored(value: str, is_json: bool) -> str:
    """Return SQL expressions for what a column of ours keeps of a value, and for its kind."""
    quick = f"kycli_quick({value}, {int(is_json)})"
    return f"""CASE {quick} WHEN {layout.TEXT} THEN {value}
        WHEN {layout.INT} THEN CAST({value} AS INTEGER)
        WHEN {layout.FLOAT} THEN CAST({value} AS REAL) WHEN {layout.BOOL} THEN {value} = 'true'
        WHEN {layout.NONE} THEN NULL WHEN {layout.JSON} THEN json({value})
        ELSE kycli_stored({value}) END,
        ifnull({quick}, kycli_kind({value}))"""


def _ms(time: str) -> str:
    """Return an SQL expression for a time in milliseconds; what is finer is cut off."""
    return f"""ifnull(kycli_ms({time}), unixepoch(substr({time}, 1, 19)) * 1000
        + CAST(substr(substr({time}, 21) || '000', 1, 3) AS INTEGER))"""


class _Values:
    """The functions that SQL calls for a value, and what came of the last one."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._raw: Any = self
        self._kind = 0
        self._stored: Any = None

    def _read(self, raw: str | bytes | None) -> None:
        # Each value comes twice in a row, to be told its kind and to be stored.
        if raw is self._raw or (type(raw) is type(self._raw) and raw == self._raw):
            return
        stored, kind = self._decoder.stored(raw)
        self._raw, self._stored = raw, stored
        self._kind = layout.OPAQUE if kind is None else kind

    def kind(self, raw: Any) -> int:
        self._read(raw)
        return self._kind

    def stored(self, raw: Any) -> Any:
        self._read(raw)
        return self._stored

    def same(self, one: Any, other: Any) -> bool:
        """Whether two stored values mean the same."""
        if type(one) is type(other) and one == other:
            return True
        first, second = self._decoder.stored(one), self._decoder.stored(other)
        return first[1] is not None and first == second


class _Misnamed(Exception):
    """A key cannot be one of ours."""


def _hash(key: Any, value: Any) -> int:
    """The hash of a row, where the faster function for it cannot be had."""
    if not isinstance(key, str) or not key or "\0" in key or len(key.encode()) > _KEY_MAX:
        raise _Misnamed
    return hash((key, value)) >> 20


def key_for(key: Any) -> str:
    """Return the name that a key gets which cannot be one of ours."""
    data = key.encode(errors="surrogatepass") if isinstance(key, str) else key or b""
    return f"renamed-{digest(data).hex()}" if data else "renamed-empty-key"


# ---------------------------------------------------------------- the tables

_SCRATCH = """
CREATE TEMP TABLE odd (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TEMP TABLE expiring (key TEXT PRIMARY KEY, at INTEGER) WITHOUT ROWID;
CREATE TEMP TABLE several (key TEXT PRIMARY KEY, last INTEGER) WITHOUT ROWID;
CREATE TEMP TABLE event (
    n INTEGER PRIMARY KEY, key TEXT, first INTEGER, op INTEGER, version INTEGER, row INTEGER,
    at INTEGER, after INTEGER, before INTEGER, source INTEGER, value INTEGER,
    follows INTEGER, id INTEGER
);
CREATE TEMP TABLE dropped (row INTEGER PRIMARY KEY);
CREATE TEMP TABLE mark (id INTEGER PRIMARY KEY, lowest INTEGER);
CREATE TEMP TABLE shift (follows INTEGER PRIMARY KEY, count INTEGER);
CREATE TEMP TABLE number (row INTEGER PRIMARY KEY, id INTEGER);
CREATE TEMP TABLE chain (
    row INTEGER PRIMARY KEY, prev INTEGER, version INTEGER, is_last INTEGER
);
"""
_SCRATCH_TABLES = (
    "odd",
    "expiring",
    "event",
    "dropped",
    "mark",
    "shift",
    "number",
    "chain",
    "several",
    "told",
)

# Keys that cannot be ours.
_MISNAMED = f"""(typeof(key) <> 'text' OR octet_length(key) NOT BETWEEN 1 AND {_KEY_MAX}
    OR instr(key, char(0)) > 0)"""

# Rows of odd keys, and dropped ones, are in the chain without a version.
_IS_PLAIN = "(c.row IS NULL OR c.version IS NOT NULL)"

# Every so many rows of the history one is remembered, with the lowest time of those from it
# on. That only grows, also where a clock was put back, so a look-up finds the last row that is
# not later than a time.
_MARKS = 64


class Move:
    """The move of one old database into the tables of this format.

    ``plan`` reads every row of the old tables and writes only to temporary ones, so that
    what is wrong with them shows before anything is changed; ``run`` moves them.

    Parameters:
        connection: where the old tables are, all three, with an index on the keys of the
            history.
        source: how they are to be read.
        scope: the scope that the keys go into, which holds none of them.
        now: milliseconds since the epoch.
        progress: called with the rows done and all rows, now and then.
        renamed: whether the old tables have the names above already.
        change: the change that all this is, or None where each row is one of its own.

    Attributes:
        scope, now: as above.
        misnamed: whether there are keys that cannot be keys of ours, known when ``plan`` is
            done, which it is early then: empty, too long, or no text. ``rename_keys`` changes
            that, and is to be followed by another ``plan``.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        source: Source,
        scope: str,
        now: int,
        progress: Callable[[int, int], None] | None = None,
        renamed: bool = False,
        change: int | None = None,
    ) -> None:
        self._db = connection
        self._source = source
        self.scope = scope
        self.now = now
        self._progress = progress
        self._values = _Values(source.decoder)
        self._done = self._total = 0
        self._base = 0
        self._is_dense = False
        self._is_whole = True
        self._change = "NULL" if change is None else str(change)
        self._counted = "" if progress is None else "+ kycli_tick()"
        self._are_renamed = False
        self.misnamed = False
        prefix = "" if renamed else "old_"
        self._k, self._h, self._a = (
            name.removeprefix(prefix) for name in (KVSTORE, AUDIT_LOG, ARCHIVE)
        )

    def plan(self) -> None:
        """Find out what there is and what became of each key.

        Raises:
            CorruptError: when rows make no sense.
        """
        self._prepare()
        self._check_rows()
        try:
            self._find_odd_keys()
        except (_Misnamed, apsw.ConstraintError):
            self.misnamed = True
            return
        except apsw.MismatchError:
            raise CorruptError(
                f"{self._source.path}: a stored text is not UTF-8",
                hint="mend that with sqlite3 on a copy, and migrate the copy",
            ) from None
        self._tell_their_past()
        self._number()

    def run(self) -> Moved:
        """Move everything, inside a transaction, when the old tables have been renamed.

        Raises:
            CorruptError: when it is not as much as there was.
        """
        self._k, self._h, self._a = KVSTORE, AUDIT_LOG, ARCHIVE
        self._base = self._get("SELECT ifnull(max(id), 0) FROM audit_log")
        self._move_history()
        self._move_live()
        self._move_fresh()
        self._move_odd()
        self._db.execute(
            "UPDATE audit_log SET expires_at = k.expires_at FROM kvstore k "
            "WHERE k.scope = ?1 AND k.expires_at IS NOT NULL AND audit_log.id = k.seq",
            (self.scope,),
        )
        if not self._is_whole:
            self._db.execute(
                "INSERT INTO horizon (scope, reaches_to) VALUES (?1, ?2) "
                "ON CONFLICT (scope) DO UPDATE SET reaches_to = max(reaches_to, ?2)",
                (self.scope, self.now),
            )
        self._advance(self._total - self._done)
        return self._count()

    def notes(self) -> Iterator[Note]:
        """Yield what did not come over as it was, after ``run`` and while the old tables are."""
        if self._are_renamed:
            for name, was in self._db.execute("SELECT name, was FROM renamed ORDER BY name"):
                yield Note(RENAMED, str(name), {"was": was})
        dropped = self._db.execute(
            f"SELECT row, key, timestamp FROM dropped JOIN {self._h} h ON h.id = row ORDER BY row"
        )
        for row, key, at in dropped:
            yield Note(DELETION, f"{row:019}", {"key": key, "at": at})

    def _get(self, sql: str, bindings: tuple[Any, ...] = ()) -> Any:
        return self._db.execute(sql, bindings).get

    def _advance(self, rows: int) -> None:
        self._done += rows
        if self._progress is not None:
            self._progress(min(self._done, self._total), self._total)

    def _tick(self) -> int:
        """Count a row, for SQL to call; 0."""
        self._done += 1
        if self._done % _TICKS == 0:
            self._advance(0)
        return 0

    def _prepare(self) -> None:
        db, values = self._db, self._values
        functions: list[tuple[str, Callable[..., Any], int]] = [
            ("kycli_kind", values.kind, 1),
            ("kycli_stored", values.stored, 1),
            ("kycli_same", values.same, 2),
            ("kycli_digest", digest, 1),
            ("kycli_key", key_for, 1),
            ("kycli_tick", self._tick, 0),
        ]
        if not add_functions(db):
            functions += [
                ("kycli_hash", _hash, 2),
                ("kycli_quick", lambda value, is_json: None, 2),
                ("kycli_ms", lambda time: None, 1),
            ]
        for name, function, arguments in functions:
            db.create_scalar_function(name, function, arguments)
        for table in _SCRATCH_TABLES:
            db.execute(f"DROP TABLE IF EXISTS temp.{table}")
        db.execute(_SCRATCH)

    def _check_rows(self) -> None:
        """Count the rows; refuse those without a time.

        That of a row of the history is looked at when it is moved.
        """
        self.misnamed = False
        lives = "expires_at" if self._source.expires else "NULL"
        self._total = self._get(f"SELECT count(*) FROM {self._h}")
        for table, time in ((self._k, lives), (self._a, "deleted_at")):
            timeless = f"iif(unixepoch({time}) IS NULL, rowid, NULL)"
            if table == self._k:
                timeless = f"iif({time} IS NULL, NULL, {timeless})"
            rows, bad = self._get(f"SELECT count(*), min({timeless}) FROM {table}")
            self._total += rows
            if bad is not None:
                raise self._timeless(table, bad)

    def _timeless(self, table: str, row: int) -> CorruptError:
        name = table.removeprefix("old_")
        return CorruptError(
            f"{self._source.path}: row {row} of {name} has no time that can be read"
        )

    def rename_keys(self) -> None:
        """Give a name to the keys that cannot keep theirs, inside a transaction."""
        tables = (self._k, self._h, self._a)
        every = " UNION ".join(f"SELECT key FROM {t} WHERE {_MISNAMED}" for t in tables)
        self._db.execute("DROP TABLE IF EXISTS temp.renamed")
        self._db.execute(
            f"CREATE TEMP TABLE renamed AS SELECT kycli_key(key) AS name, key AS was FROM ({every})"
        )
        self._are_renamed = True
        for table in tables:
            self._db.execute(f"UPDATE {table} SET key = kycli_key(key) WHERE {_MISNAMED}")

    def _find_odd_keys(self) -> None:
        execute = self._db.execute
        if self._source.expires:
            execute(
                f"INSERT INTO expiring SELECT key, {_ms('expires_at')} FROM {self._k} "
                "WHERE expires_at IS NOT NULL ORDER BY +key"
            )
        execute(f"INSERT OR IGNORE INTO odd SELECT key FROM {self._a}")
        execute(f"INSERT OR IGNORE INTO odd SELECT key FROM {self._h} WHERE value IS NULL")
        self._chain()
        if self._values_agree():
            return
        execute(
            "INSERT OR IGNORE INTO odd SELECT key FROM "
            f"(SELECT DISTINCT key FROM {self._h}) WHERE key NOT IN (SELECT key FROM {self._k})"
        )
        execute(
            f"INSERT OR IGNORE INTO odd SELECT k.key FROM {self._k} k JOIN {self._h} a ON a.id = "
            f"(SELECT max(id) FROM {self._h} h WHERE h.key = k.key) WHERE a.value IS NOT k.value"
        )

    def _values_agree(self) -> bool:
        """Whether what lives is what the newest rows of the history say, odd keys left out.

        Told by the sums of a keyed hash of each key with its value, which takes much less than
        to look up each key in the other table. When they differ, or a key has no history, that
        has to be done all the same. To hash a row also shows whether it is text, and its key
        one of ours.
        """

        def sum_of(rows: str) -> int:
            total: int = self._get(f"SELECT ifnull(sum(kycli_hash(t.key, t.value)), 0) FROM {rows}")
            return total

        superseded = (
            f"chain c CROSS JOIN {self._h} t ON t.id = c.row "
            "WHERE NOT c.is_last AND t.key NOT IN (SELECT key FROM odd)"
        )
        sum_of(f"{self._a} t")
        live, newest = (
            sum_of(f"{table} t") - sum_of(f"odd o CROSS JOIN {table} t ON t.key = o.key")
            for table in (self._k, self._h)
        )
        return live == newest - sum_of(superseded)

    def _chain(self) -> None:
        """Put the rows of the keys that have several in the history into order."""
        self._db.execute(
            f"INSERT INTO several SELECT key, max(id) FROM {self._h} "
            "GROUP BY key HAVING count(*) > 1"
        )
        self._db.execute(
            f"""INSERT INTO chain
            SELECT row, lag(row) OVER same, row_number() OVER same, row = last
            FROM (
                SELECT s.key, s.last, h.id AS row
                FROM several s CROSS JOIN {self._h} h ON h.key = s.key
            )
            WINDOW same AS (PARTITION BY key ORDER BY row) ORDER BY row"""
        )

    # -- odd keys

    def _tell_their_past(self) -> None:
        if not self._get("SELECT count(*) FROM odd"):
            return
        insert = f"INSERT INTO event VALUES (NULL{', ?' * len(Event._fields)}, NULL, NULL)"
        self._db.executemany(insert, self._events())

    def _events(self) -> Iterator[Event]:
        rows = self._db.execute(
            f"SELECT key, {IN_HISTORY}, id, {_ms('timestamp')}, value IS NULL FROM {self._h} "
            "WHERE key IN (SELECT key FROM odd) "
            f"UNION ALL SELECT key, {IN_ARCHIVE}, id, {_ms('deleted_at')}, 0 FROM {self._a} "
            f"UNION ALL SELECT key, {IN_KVSTORE}, rowid, 0, 0 FROM {self._k} "
            "WHERE key IN (SELECT key FROM odd) ORDER BY 1, 2, 3"
        )
        compare = self._db.cursor()
        raws = [f"(SELECT value FROM {t} WHERE rowid = ?)" for t in (self._h, self._a, self._k)]

        def same(one: tuple[int, int], other: tuple[int, int]) -> bool:
            sql = f"SELECT kycli_same({raws[one[0]]}, {raws[other[0]]})"
            return bool(compare.execute(sql, (one[1], other[1])).get)

        for key, group in groupby(rows, itemgetter(0)):
            history, archive, live = [], [], None
            for _, table, id, at, is_null in group:
                if at is None:
                    raise self._timeless((self._h, self._a)[table], id)
                if table == IN_HISTORY:
                    history.append((id, at, bool(is_null)))
                elif table == IN_ARCHIVE:
                    archive.append((id, at))
                else:
                    live = id
            expires, now = self._source.expires, self.now
            past = Past(key, history, archive, live, expires=expires, now=now, same=same)
            for row in past.dropped:
                compare.execute("INSERT INTO dropped VALUES (?)", (row,))
            yield from past.events

    # -- the order of everything

    def _number(self) -> None:
        """Give each row of the old history, and each event that is none, its number."""
        execute = self._db.execute
        rows, oldest, newest = self._get(
            f"SELECT count(*), ifnull(min(id), 1), ifnull(max(id), 0) FROM {self._h}"
        )
        added = self._get("SELECT count(*) FROM event WHERE row IS NULL")
        dropped = self._get("SELECT count(*) FROM dropped")
        # Then the numbers are the ids that they have.
        guessed = "SELECT count(*) FROM event WHERE row IS NULL AND (op = ?1 OR at >= ?2)"
        self._is_whole = not (
            dropped
            or (rows and (oldest, newest) != (1, rows))  # compacted
            or self._get(guessed, (layout.IMPORTED, self.now))
        )
        self._is_dense = not added and not dropped and (oldest, newest) == (1, rows)
        if added:
            self._find_predecessors(newest)
        if not self._is_dense:
            execute(
                f"""INSERT INTO number SELECT id, row_number() OVER (ORDER BY id) + ifnull(
                    (SELECT count FROM shift WHERE follows < h.id ORDER BY follows DESC LIMIT 1), 0)
                FROM {self._h} h WHERE id NOT IN (SELECT row FROM dropped) ORDER BY id"""
            )
        execute(f"UPDATE event SET id = {self._numbered('event.row')} WHERE row IS NOT NULL")
        execute(
            """UPDATE event SET id = placed.id FROM (
                SELECT n, row_number() OVER (PARTITION BY follows ORDER BY n) + ifnull(
                    (SELECT id FROM number WHERE row <= e.follows ORDER BY row DESC LIMIT 1),
                    ifnull((SELECT count FROM shift WHERE follows < e.follows
                            ORDER BY follows DESC LIMIT 1), 0)) AS id
                FROM event e WHERE row IS NULL) AS placed
            WHERE event.n = placed.n"""
        )
        execute("REPLACE INTO chain (row) SELECT row FROM event WHERE row IS NOT NULL ORDER BY row")
        execute("REPLACE INTO chain (row) SELECT row FROM dropped")

    def _find_predecessors(self, newest: int) -> None:
        """Find behind which row of the history each event stands that is none itself.

        It is the newest one that is not later, between the neighbours in its key's history.
        """
        execute = self._db.execute
        execute(
            f"""INSERT INTO mark SELECT id,
                min(at) OVER (ORDER BY id ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)
            FROM (SELECT id, {_ms("timestamp")} AS at FROM {self._h} WHERE id % {_MARKS} = 0)"""
        )
        execute("CREATE INDEX temp.mark_lowest ON mark (lowest, id)")
        last = (
            "ifnull((SELECT id FROM mark WHERE lowest <= event.at "
            "ORDER BY lowest DESC, id DESC LIMIT 1), 0)"
        )
        execute(
            f"""UPDATE event SET follows = min(ifnull(before - 1, ?2), max(after, CASE
                WHEN at >= ?1 THEN ?2 ELSE (
                    SELECT ifnull(max(h.id), 0) FROM {self._h} h
                    WHERE h.id >= {last}
                    AND h.id < ifnull((SELECT min(id) FROM mark WHERE id > {last}), ?2 + 1)
                    AND {_ms("h.timestamp")} <= event.at) END))
            WHERE row IS NULL""",
            (self.now, newest),
        )
        # There may be no row of that id, or one that is dropped.
        execute(
            f"""UPDATE event SET follows = ifnull((
                SELECT id FROM {self._h} h WHERE h.id <= follows
                AND h.id NOT IN (SELECT row FROM dropped) ORDER BY h.id DESC LIMIT 1), 0)
            WHERE row IS NULL"""
        )
        execute(
            "INSERT INTO shift SELECT follows, sum(count(*)) OVER (ORDER BY follows) "
            "FROM event WHERE row IS NULL GROUP BY follows"
        )

    def _stored(self, value: str) -> str:
        return _stored(value, self._source.is_json)

    def _numbered(self, row: str) -> str:
        """Return an SQL expression for the number of a row of the old history."""
        return row if self._is_dense else f"(SELECT id FROM number WHERE number.row = {row})"

    # -- plain keys

    def _move_history(self) -> None:
        """Move the history of the keys that are not odd, in its order."""
        try:
            self._db.execute(
                f"""INSERT INTO audit_log (
                    id, scope, key, value, kind, op, version, prev, timestamp, change
                ) SELECT ?2 + {self._numbered("h.id")}, ?1, h.key, {self._stored("h.value")},
                    iif(c.prev IS NULL, {layout.CREATED}, {layout.OVERWRITTEN}),
                    ifnull(c.version, 1), ?2 + {self._numbered("c.prev")},
                    {_ms("h.timestamp")} {self._counted}, {self._change}
                FROM {self._h} h LEFT JOIN chain c ON c.row = h.id WHERE {_IS_PLAIN}
                ORDER BY h.id""",
                (self.scope, self._base),
            )
        except apsw.ConstraintError:
            bad = self._get(f"SELECT min(id) FROM {self._h} WHERE {_ms('timestamp')} IS NULL")
            if bad is None:
                raise
            raise self._timeless(self._h, bad) from None

    def _move_live(self) -> None:
        """Move the keys that have a history and are not odd, in the order of the keys."""
        # Sorted with their values: to fetch each by its id would cost more.
        is_last = f"{_IS_PLAIN} AND c.is_last IS NOT 0"
        if self._is_dense:
            rows = f"""SELECT a.* FROM audit_log a LEFT JOIN chain c ON c.row = a.id - ?2
                WHERE a.id > ?2 AND {is_last}"""
        else:
            rows = f"""SELECT a.* FROM number n LEFT JOIN chain c ON c.row = n.row
                CROSS JOIN audit_log a ON a.id = ?2 + n.id WHERE {is_last}"""
        self._insert_live(rows)

    def _insert_live(self, rows: str) -> None:
        """Make each row of the log that is a key's newest a live key."""
        # Of a number, the length would be that of its digits, which takes long to tell.
        is_large = (
            f"a.kind NOT BETWEEN {layout.INT} AND {layout.NONE} "
            f"AND octet_length(a.value) > {layout.INLINE_MAX}"
        )
        expires_at = "NULL"
        if self._get("SELECT count(*) FROM expiring"):
            expires_at = "(SELECT at FROM expiring WHERE expiring.key = a.key)"
        self._db.execute(
            f"""INSERT INTO kvstore (
                scope, key, value, kind, home, digest, expires_at, version, seq, updated_at
            ) SELECT ?1, a.key, iif({is_large}, NULL, a.value), a.kind, iif({is_large}, a.id, NULL),
                iif({is_large}, kycli_digest(a.value), NULL), {expires_at}, a.version, a.id,
                a.timestamp {self._counted}
            FROM ({rows}) a ORDER BY a.key""",
            (self.scope, self._base),
        )

    def _move_fresh(self) -> None:
        """Move the keys that have no history, which begins now."""
        moved = self._get("SELECT count(*) FROM kvstore WHERE scope = ?1", (self.scope,))
        odd = self._get(f"SELECT count(*) FROM odd WHERE key IN (SELECT key FROM {self._k})")
        if self._get(f"SELECT count(*) FROM {self._k}") == moved + odd:
            return
        self._is_whole = False
        newest = max(
            self._get(f"SELECT ifnull(max({column}), 0) FROM {table}")
            for table, column in (
                (self._h if self._is_dense else "number", "id"),
                ("event", "id"),
            )
        )
        has_none = f"NOT EXISTS (SELECT 1 FROM {self._h} h WHERE h.key = k.key)"
        if not self._get(f"SELECT EXISTS (SELECT 1 FROM {self._h})"):
            has_none = "TRUE"
        self._db.execute(
            f"""INSERT INTO audit_log (id, scope, key, value, kind, op, version, timestamp, change)
            SELECT ?2 + n, ?1, key, {self._stored("raw")}, {layout.IMPORTED}, 1, ?3,
                {self._change}
            FROM (
                SELECT row_number() OVER (ORDER BY +k.key) AS n, k.key, k.value AS raw
                FROM {self._k} k WHERE {has_none} AND k.key NOT IN (SELECT key FROM odd)
            )""",
            (self.scope, self._base + newest, self.now),
        )
        self._insert_live(f"SELECT * FROM audit_log WHERE id > ?2 + {newest}")

    # -- odd keys again

    def _move_odd(self) -> None:
        if not self._get("SELECT count(*) FROM odd"):
            return
        raw = f"""CASE e.source
            WHEN {IN_HISTORY} THEN (SELECT value FROM {self._h} WHERE id = e.value)
            WHEN {IN_ARCHIVE} THEN (SELECT value FROM {self._a} WHERE id = e.value)
            ELSE (SELECT value FROM {self._k} WHERE rowid = e.value) END"""
        self._db.execute(
            f"""CREATE TEMP TABLE told AS
            SELECT e.*, {raw} AS raw, b.id AS prev, b.at AS updated_at,
                e.op IN ({layout.DELETED}, {layout.EXPIRED}) AS is_removal
            FROM event e LEFT JOIN event b ON b.n = e.n - 1 AND NOT e.first ORDER BY e.id"""
        )
        self._db.execute(
            f"""INSERT INTO audit_log (
                id, scope, key, value, kind, op, version, prev, timestamp, change
            ) SELECT ?2 + id, ?1, key, {self._stored("raw")}, op, version, ?2 + prev, at,
                {self._change}
            FROM told WHERE NOT is_removal""",
            (self.scope, self._base),
        )
        self._db.execute(
            f"""INSERT INTO audit_log (id, scope, key, op, version, prev, timestamp, change)
            SELECT ?2 + id, ?1, key, op, version, ?2 + prev, at,
                iif(op = {layout.EXPIRED}, NULL, {self._change})
            FROM told WHERE is_removal""",
            (self.scope, self._base),
        )
        self._db.execute(
            f"""INSERT INTO archive (
                scope, key, value, kind, op, version, seq, prev, updated_at, deleted_at
            ) SELECT ?1, key, {self._stored("raw")}, op, version, ?2 + id, ?2 + prev, updated_at,
                ifnull((SELECT {_ms("deleted_at")} FROM {self._a}
                        WHERE source = {IN_ARCHIVE} AND id = told.value), at)
            FROM told WHERE is_removal""",
            (self.scope, self._base),
        )
        self._insert_live(
            """SELECT a.* FROM (SELECT key, max(id) AS id FROM event GROUP BY key) e
            CROSS JOIN audit_log a ON a.id = ?2 + e.id WHERE a.kind IS NOT NULL"""
        )

    def _count(self) -> Moved:
        """Make sure that all has arrived, and say how much it is."""
        keys, removed = (
            self._get(f"SELECT count(*) FROM {table} WHERE scope = ?1", (self.scope,))
            for table in ("kvstore", "archive")
        )
        changes, newest = self._get(
            "SELECT count(*), ifnull(max(id), ?1) - ?1 FROM audit_log WHERE id > ?1", (self._base,)
        )
        had = self._get(f"SELECT count(*) FROM {self._k}")
        history = self._get(
            f"SELECT (SELECT count(*) FROM {self._h}) - (SELECT count(*) FROM dropped)"
        )
        if keys != had or newest != changes or changes < history:
            raise CorruptError(
                f"{self._source.path}: of {had} keys {keys} would arrive, of {history} changes "
                f"{changes}: the indexes of the database do not agree with its tables",
                hint="repair a copy with sqlite3's REINDEX, and migrate that",
            )
        encrypted = self._get(
            "SELECT count(*) FROM kvstore WHERE scope = ?1 AND kind = ?2",
            (self.scope, layout.OPAQUE),
        )
        return Moved(keys, changes, removed, changes - history, encrypted)
