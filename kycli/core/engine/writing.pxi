# Changes of keys. Part of storage.pyx: one extension is one file to load at start-up.
#
# A change writes two rows, one of the log and the live one, between ``enter`` and ``leave``
# inside a transaction. It uses no savepoint: after the first row only the disk, the memory or
# Ctrl-C can make it fail, and then the whole transaction is rolled back, as SQLite itself does
# after some of these errors.

cdef str _STATUS_CREATED = "created"
cdef str _STATUS_OVERWRITTEN = "overwritten"
cdef str _STATUS_NOCHANGE = "nochange"

class _SchemaDeclared(Exception):
    """The scope has got a schema since it was last looked at."""


cdef enum:
    UNCHANGED = 0  # as an operation: there was nothing to do


cdef str _status(int operation):
    """Return what ``save`` answers for what was done."""
    if operation == CREATED:
        return _STATUS_CREATED
    return _STATUS_NOCHANGE if operation in (UNCHANGED, LIFETIME) else _STATUS_OVERWRITTEN


cdef int _change(
    _Session db, int64_t now, str scope, str key, object stored, int kind, bint inline,
    object expires_at, int operation=UNCHANGED,
) except -1:
    """Give a key a value; return the operation that the log calls it.

    Parameters:
        operation: RESTORED or IMPORTED; by default what it is.
    """
    cdef _Statement before = db.run.before
    cdef int64_t version = 0, prev = 0
    cdef object home = None
    cdef object shown = stored if inline else digest(stored)
    cdef _Statement put
    cdef bint found, live = False, same = False, in_row = False, as_long = False
    cdef int64_t seq
    before.bind_text(1, scope)
    before.bind_text(2, key)
    before.bind(3, shown)
    try:
        found = before.has_row_at_once()
        if found:
            version, prev = before.int_at(0), before.int_at(1)
            live = not _row_has_expired(before, 4, now)
            if live and before.int_at(2) == kind:
                if before.is_null(3) == inline:
                    same = before.int_at(5)
                    if same and kind == FLOAT and not stored:
                        same = is_same(kind, _row_of(db, scope, key)[0], stored)
                    home = before.at(3)
                elif not inline:  # the row has a small value, or a large one from plain SQL
                    in_row, as_long = True, before.at(4) == expires_at
                if same and before.at(4) == expires_at:
                    return UNCHANGED
    finally:
        before.reset()
    if in_row and db.cursor.execute(_HOLDS, (scope, key, stored)).get is not None:
        if as_long:
            return UNCHANGED
        same = inline = True  # it stays where it is
        shown = stored
    if not found:
        version, prev = _last_archived(db, scope, key)
    try:
        if found and not live:
            _archive(db, now, scope, key, EXPIRED)
            prev = db.last_id
        if same:
            operation = LIFETIME
        else:
            version += 1
            if not live:
                operation = operation or CREATED
            elif not operation:
                operation = OVERWRITTEN
        seq = _log(db, now, scope, key, None if same else stored, kind, operation,
                   version, prev, expires_at, not inline)
        put = db.run.put
        if not inline:
            put = db.run.put_large
            put.bind(9, home if same else seq)
        _put(put, now, scope, key, shown, kind, expires_at, version, seq)
    except BaseException:
        db.roll_back_all()
        raise
    db.replaced = live
    return operation


cdef int _add_or_change(
    _Session db, int64_t now, str scope, str key, object stored, int kind, object expires_at,
    int operation=UNCHANGED,
) except -1:
    """``_change`` of an inline value inside a transaction, for a key that is likely new.

    Adds the live row before it asks whether there was one, which is a search less.
    """
    cdef int64_t version = 0, prev = 0, seq
    if db.last_id == 0:
        db.last_id = _newest(db)
    if db.archived < 0:
        db.archived = db.cursor.execute(_ANY_ARCHIVED).get is not None
    if db.archived:
        version, prev = _last_archived(db, scope, key)
    seq = db.last_id + 1
    _put(db.run.add, now, scope, key, stored, kind, expires_at, version + 1, seq)
    if db.run.add.changes() == 0:
        return _change(db, now, scope, key, stored, kind, True, expires_at, operation)
    try:
        _log(db, now, scope, key, stored, kind, operation or CREATED, version + 1, prev,
             expires_at, False)
    except BaseException:
        db.roll_back_all()
        raise
    db.replaced = False
    return operation or CREATED


cdef _put(
    _Statement put, int64_t now, str scope, str key, object shown, int kind,
    object expires_at, int64_t version, int64_t seq,
):
    """Write a live row."""
    put.bind_text(1, scope)
    put.bind_text(2, key)
    put.bind(3, shown)
    put.bind_int(4, kind)
    put.bind(5, expires_at)
    put.bind_int(6, version)
    put.bind_int(7, seq)
    put.bind_int(8, now)
    put.execute_at_once()


cdef int _write_row(
    _Session db, int64_t now, str scope, str key, object stored, int kind, bint inline,
    object expires_at, int operation,
) except -1:
    """``_change``, as a call of its own inside a transaction."""
    db.enter()
    try:
        return _change(db, now, scope, key, stored, kind, inline, expires_at, operation)
    except (apsw.Error, UnicodeError) as error:
        raise db.translated(error) from error
    finally:
        db.leave()


cdef (int64_t, int64_t) _last_archived(_Session db, str scope, str key) except *:
    """Return the version and newest change of a key that is gone, or zeros."""
    cdef _Statement last_archived = db.run.last_archived
    last_archived.bind_text(1, scope)
    last_archived.bind_text(2, key)
    try:
        if last_archived.has_row_at_once():
            return last_archived.int_at(0), last_archived.int_at(1)
        return 0, 0
    finally:
        last_archived.reset()


cdef int64_t _log(
    _Session db, int64_t now, str scope, str key, object value, int kind, int operation,
    int64_t version, int64_t prev, object expires_at, bint large,
) except -1:
    """Append a row to the log, signed unless it is an expiry; return its id."""
    cdef _Statement log = db.run.log
    cdef bint gone = operation == DELETED or operation == EXPIRED
    cdef int64_t id
    db.notice_restore()
    if scope[0] == u"#":  # perhaps a schema
        db.declarations.begin_era(db.serial if db.depth else 0)
    log.bind_text(1, scope)
    log.bind_text(2, key)
    log.bind(3, value)
    log.bind(4, None if gone else kind)
    log.bind_int(5, operation)
    log.bind_int(6, version)
    log.bind_id(7, prev)
    log.bind_int(8, now)
    log.bind(9, expires_at)
    if operation == EXPIRED:
        log.bind_id(10, 0)
        log.bind_id(11, 0)
        log.bind_id(12, 0)
    else:
        log.bind_id(10, db.author)
        log.bind_id(11, db.pid)
        if db.change == 0 and (db.depth or db.command is not None):
            # The first row of a change that more may be part of.
            db.change = 1 + (db.last_id or _newest(db))
        log.bind_id(12, db.change)
    if large:
        log.execute()
        log.bind(3, None)  # and does not keep it
    else:
        log.execute_at_once()
    id = db.last_id = log.last_id()
    return id


cdef bint _remove(_Session db, int64_t now, str scope, str key) except -1:
    """Archive a key that may be there; return whether it was alive."""
    return _archive(db, now, scope, key, UNCHANGED) == DELETED


cdef int _archive(_Session db, int64_t now, str scope, str key, int operation) except -1:
    """Move the live row of a key to the archive; return the operation that the log calls it.

    Parameters:
        operation: EXPIRED, where a row that has not expired stays; by default what it is.

    Returns:
        UNCHANGED when there was nothing to do; else ``db.last_id`` is the id of the change.
    """
    cdef _Statement before = db.run.before
    cdef _Statement archive = db.run.archive
    cdef _Statement remove = db.run.remove
    cdef int64_t seq, version, prev
    cdef bint expired, large
    before.bind_text(1, scope)
    before.bind_text(2, key)
    before.bind(3, None)
    try:
        if not before.has_row_at_once():
            return UNCHANGED
        version, prev = before.int_at(0), before.int_at(1)
        large = not before.is_null(3)
        expired = _row_has_expired(before, 4, now)
    finally:
        before.reset()
    if operation == EXPIRED and not expired:
        return UNCHANGED
    operation = EXPIRED if expired else DELETED
    try:
        seq = _log(db, now, scope, key, None, 0, operation, version, prev, None, False)
        archive.bind_text(1, scope)
        archive.bind_text(2, key)
        archive.bind_int(3, operation)
        archive.bind_int(4, seq)
        archive.bind_int(5, now)
        if large:
            archive.execute()
        else:
            archive.execute_at_once()
        remove.bind_text(1, scope)
        remove.bind_text(2, key)
        remove.execute_at_once()
    except BaseException:
        db.roll_back_all()
        raise
    db.archived = True
    return operation
