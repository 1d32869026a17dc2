# Reading rows of keys and of the log. Part of storage.pyx: one extension is one file to load
# at start-up.

cdef int64_t _newest(_Connection db) except -1:
    """Return the id of the newest row of the log, or 0."""
    try:
        db.run.newest.has_row()
        return db.run.newest.int_at(0)
    finally:
        db.run.newest.reset()


cdef object _row_of(_Connection db, str scope, str key):
    """Return ``(value, kind, expires_at)`` of a key, or None."""
    cdef _Statement get = db.run.get
    get.bind_text(1, scope)
    get.bind_text(2, key)
    try:
        if get.has_row():
            return get.at(0), get.int_at(1), get.at(2)
    finally:
        get.reset()


cdef Declared _declared_in(_Session db, str scope):
    """Return what is declared of a scope, inside a call."""
    cdef Declared declared = db.find_declared(scope)
    return _read_declared(db, scope) if declared is None else declared


cdef Declared _read_declared(_Session db, str scope):
    """Read what is declared of a scope, and keep it for as long as that is known to be good.

    Inside of a block nobody else can change it. There it is kept for the block alone if the
    block is a snapshot, which may be older than the header, or has declared something itself,
    which is not committed, or if there is no header. Otherwise it is kept under the header,
    which is copied before the row is read: the row may be newer, which the next comparison
    finds, but never older.
    """
    cdef _Declarations known = db.declarations
    cdef unsigned char header[HEADER]
    cdef bint good = True, by_header = False
    if db.is_declared_current():
        pass  # the row is of the same moment, or newer
    elif db.depth and (db.reading == 1 or known.block == db.serial or known.header == NULL):
        known.begin_era(db.serial)
    elif known.alone:
        known.begin_era(0)
    else:
        good = by_header = known.header != NULL and _copy_header(known.header, header)
    row = _declared_row(db, scope)
    if by_header:
        memcpy(known.checked, header, HEADER)
        known.begin_era(0)
    return known.keep(scope, row, good)


cdef object _enforcer_of(_Session db, Declared declared):
    """Return what holds the values of a scope that has a schema to it, inside a call."""
    if declared.enforcer is None:
        row = _row_of(db, layout.SCHEMAS, declared.scope)
        if row is not None:  # else it was dropped just now, which the next look finds
            declared.enforcer = imported("kycli.core.schemas.enforcing").compiled(
                declared.scope, decode(row[0], row[1]))
    return declared.enforcer


cdef tuple _declared_row(_Session db, str scope):
    cdef _Statement statement = None
    cdef int column
    if db.run.native:
        statement = db.run.native_of(db.connection, _DECLARED)
    if statement is None:
        # APSW keeps it. Without this flag it would keep SQLite's lookaside memory too, which the
        # hot statements would miss later: three allocations a save.
        return db.cursor.execute(
            _DECLARED, (scope,), prepare_flags=SQLITE_PREPARE_PERSISTENT).get
    statement.bind_text(1, scope)
    try:
        if statement.has_row_at_once():
            return tuple([statement.at(column) for column in range(DECLARED_COLUMNS)])
        return None
    finally:
        statement.reset()


cdef _cache_absent(_Session db, str scope, str key):
    """Cache that there is no such key, unless the scope ignores case by now."""
    if may_fold(key):
        if _declared_in(db, scope).fold_keys:
            return
        db.cache.cased.add(scope)
    db.cache.put(scope, key, _ABSENT)


cdef _check_folding(_Session db):
    """Drop the cached values when a scope that did not ignore case does."""
    for scope in list(db.cache.cased):
        if _declared_in(db, scope).fold_keys:
            db.cache.flush()
            break


cdef _catch_up(_Session db):
    """Drop from the cache what has changed since it last looked at the log.

    Reads the log from its end back to the row that was the last one then, so that one
    statement tells both what is new and where the log ends now. The read transaction of a
    native statement stays open until ``changes`` is reset: what is read before that is of
    the same moment and takes no more locks.
    """
    cdef _Cache cache = db.cache
    cdef _Statement changes = db.run.changes
    cdef list rows = []
    cdef int64_t newest, id
    # Before the log is read: what changes in between is noticed the next time.
    cdef int64_t schema = 0 if db.run.native else db.connection.pragma("schema_version")
    cache.catch_ups += 1
    _check_folding(db)
    changes.bind_int(1, cache.last_id)
    if not changes.has_row():
        cache.flush()
        cache.last_id = 0
        return
    newest = id = changes.int_at(0)
    if db.run.native:
        schema = changes.times_prepared_again()
    # A database that was restored with SQLite's backup API has another schema version than
    # before. Its log is another one, which may by now be as long.
    if schema != cache.schema:
        cache.schema = schema
        cache.flush()
    try:
        while id > cache.last_id and not cache.is_empty():
            rows.append((id, changes.at(1), changes.at(2)))
            if len(rows) > CATCH_UP_ROWS:
                cache.flush()
                break
            if not changes.has_row():
                if cache.last_id:  # and that row is gone
                    cache.flush()
                break
            id = changes.int_at(0)
    except UnicodeDecodeError:  # a damaged row, of whatever key
        cache.flush()
    if not cache.is_empty():
        cache.changed(rows)
    cache.last_id = newest


cdef tuple _chain_of(_Connection db, object id, int64_t since, int64_t until, int64_t most):
    """Return the changes of one key, newest first, as many as one page holds.

    Parameters:
        id: the change to begin with.
        since, until: the times, in milliseconds since the epoch, outside of which the value
            of a change is not read.
        most: how many changes.

    Returns:
        The rows of ``_CHANGE``, and the id of the change before the last of them or None.
    """
    cdef list rows = []
    cdef int64_t size = 0
    cdef int column
    cdef _Statement change = db.run.native_of(db.connection, _CHANGE)
    if change is None:
        change = _Statement(db.connection, db.cursor, _CHANGE)
    change.bind_int(2, since)
    change.bind_int(3, until)
    try:
        db.run.newest.has_row()  # one read transaction for all of them
        while id is not None and len(rows) < most and size < PAGE_BYTES:
            change.bind_int(1, id)
            if not change.has_row():
                id = None  # pruned
                break
            rows.append(tuple([change.at(column) for column in range(CHANGE_COLUMNS)]))
            if change.at(3) is not None:
                size += len(rows[-1][3]) if isinstance(rows[-1][3], (str, bytes)) else 8
            before = change.at(CHANGE_COLUMNS)
            # Ids fall along a chain, unless it is damaged; do not follow it in a circle.
            id = before if before is not None and before < id else None
            change.reset()
    finally:
        change.reset()
        db.run.newest.reset()
    return rows, id
