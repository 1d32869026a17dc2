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


cdef _catch_up(_Connection db):
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
