# Listings: ranges of keys, read page by page. Part of storage.pyx: one extension is one
# file to load at start-up.

# A page ends at so many rows or bytes; no read transaction outlives it.
cdef int PAGE_ROWS = 1000
cdef int64_t PAGE_BYTES = 1 << 20


cdef object _key_of_row(tuple row):
    return row[0]


cdef object _pair_of_row(tuple row):
    return row[0], decode(row[1], row[2])


cdef object _entry_of_row(tuple row):
    from kycli.core.entry import Entry

    return Entry(row[0], decode(row[1], row[2]), row[3], row[4], row[5])


def _iterate(Kycore store, str sql, shape, str scope, tuple bounds, limit, include_expired):
    """Yield the rows of a range, page by page."""
    first, past = bounds
    while limit is None or limit > 0:
        rows, more = _page(store, sql, scope, first, past, limit, include_expired)
        for row in rows:
            yield shape(row)
        if not more:
            return
        if limit is not None:
            limit -= len(rows)
        # No key sorts between a key and the same one with a NUL behind it.
        first = rows[-1][0] + "\0"


def _iterate_matching(keys, matches, limit):
    """Yield those of the keys that match, up to a limit."""
    if limit == 0:
        return
    for key in keys:
        if matches(key):
            yield key
            if limit is not None:
                limit -= 1
                if limit == 0:
                    return


cdef tuple _page(Kycore store, str sql, str scope, first, past, limit, bint include_expired):
    """Return ``(rows, more)``: a page of rows, and whether others may follow."""
    cdef list rows = []
    cdef int64_t size = 0
    cdef int most = PAGE_ROWS if limit is None else min(limit, PAGE_ROWS)
    # Before the beginning of time nothing had expired.
    cdef int64_t now = -1 if include_expired else store._now()
    cdef _Session db = store._db
    db.enter()
    try:
        cursor = db.connection.cursor()
        try:
            for row in cursor.execute(sql, (now, scope, first, past, most)):
                rows.append(row)
                if len(row) > 1 and isinstance(row[1], (str, bytes)):
                    size += len(row[1])
                    if size > PAGE_BYTES:
                        return rows, True
        finally:
            cursor.close()
    except (apsw.Error, UnicodeError) as error:
        raise db.translated(error) from error
    finally:
        db.leave()
    return rows, len(rows) == most
