# The statements of the data plane, and the execution of those that are executed most.
# Part of storage.pyx: one extension is one file to load at start-up.

# Everywhere: ?1 is the time now, ?2 the scope, ?3 the key.
# What changes a row says by whom and as part of what: author, pid, change.

cdef str _GET = f"""
SELECT {VALUE}, k.kind, k.expires_at FROM kvstore k WHERE scope = ?1 AND key = ?2"""

# What the cache has not seen yet, of any scope.
cdef str _CHANGES = "SELECT id, scope, key FROM audit_log WHERE id > ?1 ORDER BY id"
cdef str _FIRST_OF_CHANGE = f"""
SELECT author, pid, change FROM audit_log WHERE id >= ?1 AND op <> {layout.EXPIRED}
ORDER BY id LIMIT 1"""
cdef str _NEWEST = "SELECT ifnull(max(id), 0) FROM audit_log"

cdef str _GET_ROW = f"""
SELECT k.key, {VALUE}, k.kind, k.version, k.expires_at, k.updated_at, k.seq
FROM kvstore k WHERE scope = ?1 AND key = ?2"""

# One statement creates, overwrites, changes the lifetime, or does nothing at all, and
# its triggers write the history. It takes the write lock before it reads, so it needs
# no transaction around it. No row comes back when nothing changed.
_UPSERT_ANY = f"""
INSERT INTO kvstore (
    scope, key, value, kind, home, expires_at, op, version, seq, updated_at, author, pid, change
) VALUES (
    ?2, ?3, ?4, ?5, %(home)s, %(expires_at)s, %(created)s,
    1 + ifnull((SELECT version FROM archive WHERE scope = ?2 AND key = ?3
                ORDER BY id DESC LIMIT 1), 0),
    {NEXT_SEQ}, ?1, ?7, ?8, ?9
)
ON CONFLICT (scope, key) DO UPDATE SET
    value = excluded.value, kind = excluded.kind, expires_at = excluded.expires_at,
    home = %(new_home)s,
    op = CASE WHEN NOT {LIVE} THEN %(created)s
        WHEN %(same)s THEN {layout.LIFETIME} ELSE %(overwritten)s END,
    version = version + NOT ({LIVE} AND %(same)s),
    -- the id before it is the expiry's
    seq = excluded.seq + NOT {LIVE},
    updated_at = excluded.updated_at,
    author = excluded.author, pid = excluded.pid, change = excluded.change
WHERE NOT (%(same)s) OR expires_at IS NOT excluded.expires_at"""
_SAME = "kind = excluded.kind AND value IS excluded.value AND home IS %s"
_INLINE = {"home": "NULL", "new_home": "NULL", "same": _SAME % "NULL"}
_OUTLINE = {
    "home": NEXT_SEQ,
    "new_home": f"""CASE WHEN {LIVE} AND {_SAME % "NOT NULL"} THEN home
        ELSE excluded.seq + NOT {LIVE} END""",
    "same": _SAME % "NOT NULL",
}
_BY_CALL = {"created": layout.CREATED, "overwritten": layout.OVERWRITTEN}
_AS = {"created": "?10", "overwritten": "?10"}  # a value that comes from elsewhere
# In a plain scope the lifetime is the caller's, in a named namespace the namespace's.
_NAMESPACES = "?1 + (SELECT cache_ms FROM sys_namespaces WHERE scope = ?2)"
_RETURNING = " RETURNING op, seq"
cdef str _UPSERT_BULK = _UPSERT_ANY % {**_INLINE, **_BY_CALL, "expires_at": "?6"}
cdef str _UPSERT = _UPSERT_BULK + _RETURNING
cdef str _UPSERT_AS = _UPSERT_ANY % {**_INLINE, **_AS, "expires_at": "?6"} + _RETURNING
cdef str _UPSERT_NAMED = (
    _UPSERT_ANY % {**_INLINE, **_BY_CALL, "expires_at": _NAMESPACES} + _RETURNING)
cdef str _UPSERT_OUTLINE = (
    _UPSERT_ANY % {**_OUTLINE, **_BY_CALL, "expires_at": "?6"} + _RETURNING)
cdef str _UPSERT_OUTLINE_AS = _UPSERT_ANY % {**_OUTLINE, **_AS, "expires_at": "?6"} + _RETURNING
cdef str _OUTLINE_VALUE = "UPDATE audit_log SET value = ?2 WHERE id = ?1"

# A bulk load that spilled its pages again and again would write several times as much.
cdef str _BULK_CACHE = "PRAGMA cache_size = -32768"  # KiB

cdef str _CACHE_MS = "SELECT cache_ms FROM sys_namespaces WHERE scope = ?1"

_ARCHIVE_COLUMNS = """archive (
    scope, key, value, kind, op, version, seq, prev, expires_at, updated_at, deleted_at,
    author, pid, change
)"""

cdef str _ARCHIVE_ONE = f"""
INSERT INTO {_ARCHIVE_COLUMNS}
VALUES (?2, ?3, ?4, ?5, ?6, ?7, {NEXT_SEQ}, ?8, ?9, ?10, ?1, ?11, ?12, ?13)"""

# Numbered outside of the selection, which otherwise numbers all rows before it limits them.
_ARCHIVE_ROWS = f"""
INSERT INTO {_ARCHIVE_COLUMNS}
SELECT scope, key, {VALUE}, kind,
    CASE WHEN {LIVE} THEN {layout.DELETED} ELSE {layout.EXPIRED} END,
    version, (SELECT ifnull(max(id), 0) FROM audit_log) + row_number() OVER (), seq,
    expires_at, updated_at, ?1, %(by)s
FROM (SELECT * FROM kvstore WHERE %(which)s) k"""
_BY_ONE = f"iif({LIVE}, ?5, NULL), iif({LIVE}, ?6, NULL), iif({LIVE}, ?7, NULL)"
_BY_NOBODY = "NULL, NULL, NULL"
cdef str _ARCHIVE_RANGE = _ARCHIVE_ROWS % {
    "which": "scope = ?2 AND key >= ?3 AND key < ?4", "by": _BY_ONE}
cdef str _ARCHIVE_EXPIRED_KEY = _ARCHIVE_ROWS % {
    "which": f"scope = ?2 AND key = ?3 AND NOT {LIVE}", "by": _BY_NOBODY}
_ARCHIVE_EXPIRED = _ARCHIVE_ROWS % {
    "which": "expires_at <= ?1 ORDER BY expires_at LIMIT ?2", "by": _BY_NOBODY}
cdef str _ANY_EXPIRED = "SELECT 1 FROM kvstore WHERE expires_at <= ?1 LIMIT 1"

# BEGIN alone takes no snapshot; the first read does.
cdef str _FIX_SNAPSHOT = "SELECT 1 FROM sys_namespaces LIMIT 1"

# A listing starts at ?3 and ends before ?4, which is a BLOB where there is no end:
# SQLite sorts every text before every BLOB.
_RANGE = f"scope = ?2 AND key >= ?3 AND key < ?4 AND {LIVE}"
cdef str _PAGE_OF_KEYS = f"SELECT key FROM kvstore WHERE {_RANGE} ORDER BY key LIMIT ?5"
cdef str _PAGE_OF_PAIRS = f"""
SELECT k.key, {VALUE}, k.kind FROM kvstore k WHERE {_RANGE} ORDER BY key LIMIT ?5"""
cdef str _PAGE_OF_ENTRIES = f"""
SELECT k.key, {VALUE}, k.kind, k.version, k.expires_at, k.updated_at
FROM kvstore k WHERE {_RANGE} ORDER BY key LIMIT ?5"""
cdef str _COUNT = f"SELECT count(*) FROM kvstore WHERE {_RANGE}"


# What an upsert answers: a row of op and seq, or none when it changed nothing.
cdef str _STATUS_CREATED = "created"
cdef str _STATUS_OVERWRITTEN = "overwritten"
cdef str _STATUS_NOCHANGE = "nochange"


cdef str _status(row):
    if row is None or row[0] == LIFETIME:
        return _STATUS_NOCHANGE
    return _STATUS_CREATED if row[0] == CREATED else _STATUS_OVERWRITTEN


cdef object _lifetime_of(str scope, object lifetime, object cache_ms):
    """Return the time to live of a key in a named scope, where ``cache_ms`` is declared."""
    if lifetime is None:
        return cache_ms
    if cache_ms is None:
        from kycli.core.scopes import not_a_cache

        raise not_a_cache(scope)
    return lifetime


cdef object _upserted(_Session db, int64_t now, str scope, str key, stored, int kind, expires_at):
    """Execute the upsert; return its row, or None when nothing changed."""
    cdef _Statement statement = db.upsert
    cdef object row = None
    if statement is None:
        return db.cursor.execute(
            _UPSERT, (now, scope, key, stored, kind, expires_at, *db.signature())).get
    statement.bind_upsert(now, scope, key, stored, kind, expires_at)
    db.sign(statement)
    try:
        if statement.has_row():
            row = statement.int_at(0), statement.int_at(1)
            statement.has_row()  # to the end, which is where it commits
    finally:
        statement.reset()
    return row


cdef _write_one_of_many(
    _Session db, int64_t now, str scope, str key, stored, int kind, expires_at
):
    """Execute the upsert inside a transaction, where nobody asks what it did."""
    cdef _Statement statement = db.bulk
    db.enter()
    try:
        if statement is None:
            db.cursor.execute(
                _UPSERT_BULK, (now, scope, key, stored, kind, expires_at, *db.signature()))
            return
        statement.bind_upsert(now, scope, key, stored, kind, expires_at)
        db.sign(statement)
        try:
            statement.has_row()
        finally:
            statement.reset()
    except (apsw.Error, UnicodeError) as error:
        raise db.translated(error) from error
    finally:
        db.leave()


cdef str _write_row(_Session db, int64_t now, str scope, key, kind, stored, size, expires_at, op):
    """Write one row inside a transaction; ``op`` is None for a save."""
    cdef bint inline = size <= INLINE_MAX
    cdef tuple bindings = (now, scope, key, stored if inline else _digest(stored), kind,
                           expires_at, *db.signature())
    if op is None:
        row = db.fetch(_UPSERT if inline else _UPSERT_OUTLINE, bindings)
    else:
        row = db.fetch(_UPSERT_AS if inline else _UPSERT_OUTLINE_AS, (*bindings, op))
    if inline:
        return _status(row)
    if row is not None and row[0] != LIFETIME:
        db.fetch(_OUTLINE_VALUE, (row[1], stored))
    return _status(row)


cdef object _row_of(_Session db, str scope, str key):
    """Return ``(value, kind, expires_at)`` of a key, or None."""
    cdef _Statement get = db.get_statement
    if get is None:
        return db.cursor.execute(_GET, (scope, key)).get
    get.bind_text(1, scope)
    get.bind_text(2, key)
    try:
        if get.has_row():
            return get.at(0), get.int_at(1), None if get.is_null(2) else get.int_at(2)
    finally:
        get.reset()


cdef _catch_up(_Session db):
    """Drop from the cache what has changed since it last looked at the log.

    With statements of our own the read transaction stays open until
    ``_end_catching_up``, so that what is read next is of the same moment and costs no more locks.
    """
    cdef _Cache cache = db.cache
    cdef int64_t newest
    if db.newest is None:
        newest = db.cursor.execute(_NEWEST).get
    else:
        db.newest.has_row()
        newest = db.newest.int_at(0)
    cache.catch_ups += 1
    if cache.is_empty() or not 0 <= newest - cache.last_id <= CATCH_UP_ROWS:
        cache.flush()
    else:
        try:
            _drop_changed(db)
        except UnicodeDecodeError:  # a damaged row, of whatever key
            cache.flush()
    cache.last_id = newest


cdef _end_catching_up(_Session db):
    if db.newest is not None:
        db.newest.reset()


cdef _drop_changed(_Session db):
    cdef _Cache cache = db.cache
    cdef _Statement log = db.changes
    if log is None:
        for id, scope, key in db.cursor.execute(_CHANGES, (cache.last_id,)).fetchall():
            cache.changed(id, scope, key)
        return
    log.bind_int(1, cache.last_id)
    try:
        while log.has_row():
            cache.changed(log.int_at(0), log.at(1), log.at(2))
    finally:
        log.reset()
