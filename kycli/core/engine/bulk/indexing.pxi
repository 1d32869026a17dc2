# Filling the search index. Part of storage.pyx: one extension is one file to load at start-up.
#
# Rows go directly from one statement into the next. Passing them through Python, as tuples,
# would take longer than FTS5 needs for them. The rows of fts_docs are inserted many at a time,
# which takes half as long. This is done at the end, because SQLite opens a savepoint for a
# statement of many rows, and FTS5 then writes a part of the index.

cdef enum:
    DOCS = 32  # as in sql.index


cdef tuple _take_in(Kycore store, tuple sql, tuple bindings, int64_t last, int64_t end_ms,
                    int64_t most, searchable, fold):
    """Index the keys that a statement names; see ``Kycore._take_in``."""
    cdef _Session db = store._db
    cdef _Statement rows, add_docs, add_doc, add, replace, remove, remove_doc
    cdef list added = []  # scopes and keys that have a number, and no row that says so yet
    cdef Py_ssize_t count = 0
    cdef int64_t size = 0, number, id, home, kind, lowest = 0
    cdef bint stopped = False
    cdef str scope = None, key = None, text
    cdef object value
    db.enter()
    try:
        db.use_native_statements()
        rows = _prepared_or_apsw(db, sql[0], _Many)
        add_docs, add_doc, add, replace, remove, remove_doc = [
            _prepared_or_apsw(db, one, _Statement) for one in sql[1:]]
        for position, value in enumerate(bindings, 1):
            rows.bind(position, value)
        try:
            while rows.has_row():
                id = rows.int_at(2)
                if stopped:
                    lowest = id if lowest == 0 else min(lowest, id)
                    continue
                count += 1
                key, row_scope = rows.at(1), rows.at(0)
                if row_scope != scope:  # else the same object, which is bound already
                    scope = row_scope
                number = 0 if rows.is_null(3) else rows.int_at(3)
                if not rows.is_null(4):
                    kind, value = rows.int_at(4), rows.at(5)
                    if not rows.is_null(6):
                        home = rows.int_at(6)
                        db.leave()  # reading it is a call of its own
                        try:
                            text = searchable(store, kind, value, home)
                        finally:
                            db.enter()
                    elif kind == TEXT and type(value) is str and len(<str>value) <= INLINE_MAX:
                        text = value
                    else:
                        text = searchable(store, kind, value, None)
                    size += len(text)
                    if number == 0:
                        last += 1
                        _index_text(add, last, key, text, fold)
                        added.append((scope, key))
                    else:
                        _index_text(replace, number, key, text, fold)
                elif number:
                    remove.bind_int(1, number)
                    remove.execute()
                    remove_doc.bind_int(1, number)
                    remove_doc.execute_at_once()
                stopped = size > most or _clock_ms(CLOCK_MONOTONIC) >= end_ms
            number = last - len(added) + 1
            while len(added) >= DOCS:
                _add_docs(add_docs, number, added[:DOCS])
                number += DOCS
                del added[:DOCS]
            for number, pair in enumerate(added, number):
                _add_docs(add_doc, number, [pair])
        finally:
            rows.reset()
            for one in (add, replace):  # keep no large text
                (<_Statement>one).bind(2, None)
                (<_Statement>one).bind(3, None)
    except (apsw.Error, UnicodeError) as error:
        raise db.translated(error) from error
    finally:
        db.leave()
    return count, (scope, key) if count else None, lowest or None


cdef _Statement _prepared_or_apsw(_Session db, str sql, by_apsw):
    cdef _Statement statement = db.run.native_of(db.connection, sql)
    return by_apsw(db.connection, db.cursor, sql) if statement is None else statement


cdef _add_docs(_Statement statement, int64_t first, list pairs):
    """Note whose the texts from a number on are."""
    cdef int position = 2
    statement.bind_int(1, first)
    for scope, key in pairs:
        statement.bind_text(position, scope)
        statement.bind_text(position + 1, key)
        position += 2
    statement.execute_at_once()


cdef _index_text(_Statement statement, int64_t number, str key, str text, fold):
    """Execute a statement with the texts of a key, which FTS5 may take its time for."""
    statement.bind_int(1, number)
    statement.bind_text(2, key if PyUnicode_IS_ASCII(key) else fold(key))
    statement.bind_text(3, text if PyUnicode_IS_ASCII(text) else fold(text))
    statement.execute()
