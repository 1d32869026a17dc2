# The SQL of the data plane, and the statements of its hot path, prepared once for each
# connection. Part of storage.pyx: one extension is one file to load at start-up.

# LIVE takes ?1 as the time now, so ?1 is the time now in every statement with it.

cdef str _GET = f"""
SELECT {VALUE}, k.kind, k.expires_at FROM kvstore k WHERE scope = ?1 AND key = ?2"""
cdef str _GET_ROW = f"""
SELECT k.key, {VALUE}, k.kind, k.version, k.expires_at, k.updated_at, k.seq
FROM kvstore k WHERE scope = ?1 AND key = ?2"""

# What the cache has not seen yet, of any scope, newest first, and the last row it has seen.
cdef str _CHANGES = f"""
SELECT id, scope, key FROM audit_log WHERE id >= ?1 ORDER BY id DESC LIMIT {CATCH_UP_ROWS + 2}"""
cdef str _NEWEST = "SELECT ifnull(max(id), 0) FROM audit_log"

# One change of a key, with its value where the time is within bounds, and the change before.
cdef enum:
    CHANGE_COLUMNS = 14  # besides the last

cdef str _CHANGE = """
SELECT a.id, a.scope, a.key, CASE WHEN a.timestamp BETWEEN ?2 AND ?3 THEN a.value END,
    a.kind, a.op, a.version, a.timestamp, a.expires_at, coalesce(a.change, a.id), a.pid,
    w.user, w.host, w.command, a.prev
FROM audit_log a LEFT JOIN authors w ON w.id = a.author WHERE a.id = ?1"""

# A change of a key: what was there, or where a key that is gone has left off; the row of
# the log; the live row, with its value or with the digest of one that is in the log.
cdef str _BEFORE = """
SELECT version, seq, kind, home, expires_at, ifnull(digest, value) IS ?3
FROM kvstore WHERE scope = ?1 AND key = ?2"""
cdef str _HOLDS = "SELECT 1 FROM kvstore WHERE scope = ?1 AND key = ?2 AND value IS ?3"
cdef str _LAST_ARCHIVED = """
SELECT version, seq FROM archive WHERE scope = ?1 AND key = ?2 ORDER BY id DESC LIMIT 1"""
cdef str _LOG = """
INSERT INTO audit_log (
    scope, key, value, kind, op, version, prev, timestamp, expires_at, author, pid, change
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"""
_LIVE_ROW = """
INTO kvstore (scope, key, value, kind, expires_at, version, seq, updated_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"""
cdef str _PUT = "REPLACE" + _LIVE_ROW
cdef str _PUT_LARGE = """
REPLACE INTO kvstore (scope, key, digest, kind, expires_at, version, seq, updated_at, home)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"""
cdef str _ADD = "INSERT" + _LIVE_ROW + " ON CONFLICT DO NOTHING"
# Without reading the value, which may be large, or damaged.
cdef str _ARCHIVE = f"""
INSERT INTO archive (
    scope, key, value, kind, op, version, seq, prev, expires_at, updated_at, deleted_at
)
SELECT scope, key, {VALUE}, kind, ?3, version, ?4, seq, expires_at, updated_at, ?5
FROM kvstore k WHERE scope = ?1 AND key = ?2"""
cdef str _REMOVE = "DELETE FROM kvstore WHERE scope = ?1 AND key = ?2"

# SQLite's own 2 MB hold less than what 500 keys of a large store are found through.
cdef str _PAGE_CACHE = "PRAGMA cache_size = -16384"  # KiB

# A bulk load that spilled its pages again and again would write several times as much.
cdef str _BULK_CACHE = "PRAGMA cache_size = -32768"  # KiB

cdef str _IS_LIVE = "SELECT 1 FROM kvstore WHERE scope = ?1 AND key = ?2"

# What is declared of a scope.
cdef enum:
    DECLARED_COLUMNS = 6

_DECLARED_ROW = "cache_ms, history_days, history_versions, archive_days, fold_keys"
# The change that set the schema stands for it.
cdef str _DECLARED = f"""
SELECT {_DECLARED_ROW}, s.seq
FROM (SELECT 1) LEFT JOIN sys_namespaces n ON n.scope = ?1
    LEFT JOIN kvstore s ON s.scope = '{layout.SCHEMAS}' AND s.key = ?1"""
cdef str _ALL_DECLARED = f"""
SELECT scope, {_DECLARED_ROW}, NULL FROM sys_namespaces ORDER BY scope"""

_EXPIRED = "SELECT scope, key FROM kvstore WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2"
cdef str _ANY_EXPIRED = "SELECT 1 FROM kvstore WHERE expires_at <= ?1 LIMIT 1"

cdef str _IS_CHANGE = "SELECT 1 FROM audit_log WHERE id = ?1 AND change = ?1"

cdef str _ANY_ARCHIVED = "SELECT 1 FROM archive LIMIT 1"
cdef str _ANY_LIMIT = """
SELECT 1 FROM sys_namespaces
WHERE coalesce(history_days, history_versions, archive_days) IS NOT NULL LIMIT 1"""

# BEGIN alone takes no snapshot; the first read does.
cdef str _FIX_SNAPSHOT = "SELECT 1 FROM sys_namespaces LIMIT 1"

# A listing starts at ?3 and ends before ?4, which is a BLOB where there is no end:
# SQLite sorts every text before every BLOB.
_RANGE = f"scope = ?2 AND key >= ?3 AND key < ?4 AND {LIVE}"
_ROW = f"k.key, {VALUE}, k.kind"
# By what a row is, and by whether the order is reversed.
cdef tuple _PAGES = tuple(
    f"SELECT {columns} FROM kvstore k WHERE {_RANGE} ORDER BY key {order} LIMIT ?5"
    for columns in ("k.key", _ROW, f"{_ROW}, k.version, k.expires_at, k.updated_at")
    for order in ("ASC", "DESC"))
cdef str _PAGE_OF_KEYS = _PAGES[0]
cdef str _EXISTS = f"SELECT 1 FROM kvstore WHERE scope = ?2 AND key = ?3 AND {LIVE}"
cdef str _COUNT = f"SELECT count(*) FROM kvstore WHERE {_RANGE}"


@cython.final
cdef class _Statements:
    """The statements of the hot path, on one connection."""

    cdef bint native
    cdef list all
    cdef dict others  # SQL -> its statement, where it was prepared when it was needed
    cdef _Statement begin
    cdef _Statement commit
    cdef _Statement get
    cdef _Statement newest
    cdef _Statement changes
    cdef _Statement before
    cdef _Statement last_archived
    cdef _Statement log
    cdef _Statement put
    cdef _Statement put_large
    cdef _Statement add
    cdef _Statement archive
    cdef _Statement remove

    def __cinit__(self, connection, cursor, bint native):
        self.native = native
        self.all = []
        self.others = {}
        self.begin = self.prepared(connection, cursor, "BEGIN IMMEDIATE")
        self.commit = self.prepared(connection, cursor, "COMMIT")
        self.get = self.prepared(connection, cursor, _GET)
        self.newest = self.prepared(connection, cursor, _NEWEST)
        self.changes = self.prepared(connection, cursor, _CHANGES)
        self.before = self.prepared(connection, cursor, _BEFORE)
        self.last_archived = self.prepared(connection, cursor, _LAST_ARCHIVED)
        self.log = self.prepared(connection, cursor, _LOG)
        self.put = self.prepared(connection, cursor, _PUT)
        self.put_large = self.prepared(connection, cursor, _PUT_LARGE)
        self.add = self.prepared(connection, cursor, _ADD)
        self.archive = self.prepared(connection, cursor, _ARCHIVE)
        self.remove = self.prepared(connection, cursor, _REMOVE)

    cdef _Statement prepared(self, connection, cursor, str sql):
        cdef _Statement statement
        if self.native:
            statement = _Native(connection, None, sql)
            if not (<_Native>statement).prepare():
                self.native = False
        if not self.native:
            by_apsw = _Many if sql is _CHANGES else _Statement
            statement = by_apsw(connection, cursor, sql)
        self.all.append(statement)
        return statement

    cdef _Native native_of(self, connection, str sql):
        """Return the native statement for some SQL, or None where there is none."""
        if sql not in self.others and _reach_sqlite():
            statement = _Native(connection, None, sql)
            if (<_Native>statement).prepare():
                self.others[sql] = statement
                self.all.append(statement)
        return self.others.get(sql)

    cdef finalize(self):
        """Finalize all, as a connection must before it is closed."""
        for statement in self.all:
            (<_Statement>statement).finalize()
