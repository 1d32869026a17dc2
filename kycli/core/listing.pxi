# Listings: ranges of keys, read page by page. Part of storage.pyx: one extension is one
# file to load at start-up.

# A page ends at so many rows or bytes; no read transaction outlives it.
cdef int PAGE_ROWS = 1000
cdef int64_t PAGE_BYTES = 1 << 20


cdef object _pair_of_row(tuple row):
    return row[0], decode(row[1], row[2])


cdef object _entry_of_row(tuple row):
    from kycli.core.entry import Entry

    return Entry(row[0], decode(row[1], row[2]), row[3], row[4], row[5])


@cython.final
cdef class _Listing:
    """An iterator over a range of keys; it reads a page when it is asked for its first row."""

    cdef Kycore store
    cdef str sql            # _PAGE_OF_KEYS, _PAGE_OF_PAIRS or _PAGE_OF_ENTRIES
    cdef str scope
    cdef str first
    cdef object past
    cdef object limit
    cdef bint include_expired
    cdef list page
    cdef Py_ssize_t at
    cdef bint more

    def __cinit__(self, Kycore store, str sql, str scope, tuple bounds, limit,
                  bint include_expired=False):
        self.store = store
        self.sql = sql
        self.scope = scope
        self.first, self.past = bounds
        self.limit = limit
        self.include_expired = include_expired
        self.page = []
        self.more = limit is None or limit > 0

    def __iter__(self):
        return self

    def __next__(self):
        cdef object row
        if self.at == len(self.page):
            if self.more:
                self.read_page()
            if self.at == len(self.page):
                raise StopIteration
        row = self.page[self.at]
        self.at += 1
        return row

    cdef read_page(self):
        """Read the next page, and know where the one after it begins."""
        cdef _Session db = self.store._db
        cdef _Native statement
        cdef int64_t most = PAGE_ROWS if self.limit is None else min(self.limit, PAGE_ROWS)
        # Before the beginning of time nothing had expired.
        cdef int64_t now = -1 if self.include_expired else self.store._now()
        cdef str last
        self.page, self.at = [], 0
        db.enter()
        try:
            statement = None if self.sql is _PAGE_OF_ENTRIES else db.run.page(db.connection, self.sql)
            if statement is None:
                last = self.read_by_apsw(db, now, most)
            else:
                last = self.read(statement, now, most)
        except (apsw.Error, UnicodeError) as error:
            raise db.translated(error) from error
        finally:
            db.leave()
        if last is None:
            self.more = False
        else:
            # No key sorts between a key and the same one with a NUL behind it.
            self.first = last + "\0"
        if self.limit is not None:
            self.limit -= len(self.page)
            self.more = self.more and self.limit > 0

    cdef str read(self, _Native statement, int64_t now, int64_t most):
        """Fill the page; return its last key if there may be more rows."""
        cdef list page = self.page
        cdef bint pairs = self.sql is _PAGE_OF_PAIRS
        cdef int64_t size = 0
        cdef int bytes = 0
        cdef int kind
        cdef str key = None
        statement.bind_int(1, now)
        statement.bind_text(2, self.scope)
        statement.bind_text(3, self.first)
        statement.bind(4, self.past)
        statement.bind_int(5, most)
        try:
            found = statement.has_row()
            while found:
                key = statement.text_at(0, &bytes)
                if pairs:
                    kind = <int>statement.int_at(2)
                    if kind == TEXT:
                        page.append((key, statement.text_at(1, &bytes)))
                    else:
                        value = statement.at(1)
                        bytes = len(value) if kind == BYTES or kind == JSON else 8
                        page.append((key, decode(value, kind)))
                    size += bytes
                    if size > PAGE_BYTES:
                        return key
                else:
                    page.append(key)
                found = statement.has_row_at_once()
        finally:
            statement.reset()
        return key if len(page) == most else None

    cdef str read_by_apsw(self, _Session db, int64_t now, int64_t most):
        cdef list page = self.page
        cdef int64_t size = 0
        cdef tuple row = None
        cdef bint keys = self.sql is _PAGE_OF_KEYS
        cdef bint pairs = self.sql is _PAGE_OF_PAIRS
        cursor = db.connection.cursor()
        try:
            for row in cursor.execute(self.sql, (now, self.scope, self.first, self.past, most)):
                page.append(
                    row[0] if keys else _pair_of_row(row) if pairs else _entry_of_row(row))
                if not keys and isinstance(row[1], (str, bytes)):
                    size += len(row[1])
                    if size > PAGE_BYTES:
                        return row[0]
        finally:
            cursor.close()
        return row[0] if len(page) == most else None


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
