# Keys and values of text as lines of CSV, TSV or JSONL. Part of storage.pyx: one extension is
# one file to load at start-up.
#
# SQLite's own bytes are copied into the lines. Creating Python objects for a row would take as
# long as reading it.

cdef enum:
    LINES_ROWS = 4096        # of a block, and with it of a read transaction
    LINES_BYTES = 1048576
    LARGE_VALUE = 262144  # bytes of a value that comes by itself

cdef const char* _HEX = "0123456789abcdef"


@cython.final
cdef class _Lines:
    """An iterator over blocks of lines, each with the number of its rows."""

    cdef Kycore store
    cdef str scope
    cdef str first       # the range, as that of a listing
    cdef object past
    cdef bint is_json
    cdef char delimiter
    cdef bint special[256]  # bytes that are not written as they are
    cdef bint ended
    cdef tuple large     # a key and its value, which come next
    cdef char* data
    cdef Py_ssize_t size
    cdef Py_ssize_t room

    def __cinit__(self, Kycore store, format, prefix, scope):
        cdef int byte
        if format not in ("csv", "tsv", "jsonl"):
            raise InvalidValueError(
                f"unknown format {shown(format)} of lines", hint="use csv, tsv or jsonl")
        self.store = store
        self.scope = store._checked_scope(scope)
        self.first, self.past = range_of(prefix)
        self.is_json = format == "jsonl"
        self.delimiter = 9 if format == "tsv" else 44
        for byte in range(256):
            self.special[byte] = byte == 34 or (
                byte < 32 or byte == 92 if self.is_json
                else byte == self.delimiter or byte == 10 or byte == 13)

    def __dealloc__(self):
        free(self.data)

    def __iter__(self):
        return self

    def __next__(self):
        cdef _Session db = self.store._db
        cdef _Native statement
        cdef Py_ssize_t rows
        cdef tuple large = self.large
        if large is not None:
            self.large = None
            return large
        if self.ended:
            raise StopIteration
        self.size = 0
        db.enter()
        try:
            statement = db.run.native_of(db.connection, _PAGES[PAIRS])
            if statement is None:
                rows = self.read_by_apsw(db)
            else:
                rows = self.read(statement)
        except (apsw.Error, UnicodeError) as error:
            raise db.translated(error) from error
        finally:
            db.leave()
        if not rows:
            return next(self)
        return PyBytes_FromStringAndSize(self.data, self.size), rows

    cdef Py_ssize_t read(self, _Native statement) except -1:
        cdef const char* key = NULL
        cdef const char* value
        cdef int key_size = 0, value_size
        cdef Py_ssize_t rows = 0
        cdef bint found
        statement.bind_int(1, self.store._now())
        statement.bind_text(2, self.scope)
        statement.bind_text(3, self.first)
        statement.bind(4, self.past)
        statement.bind_int(5, LINES_ROWS)
        try:
            found = statement.has_row()
            while found:
                key = statement.bytes_at(0, &key_size)
                if key == NULL or statement.int_at(2) != TEXT:
                    raise self.no_text()
                value = statement.bytes_at(1, &value_size)
                if value == NULL:
                    raise self.no_text()
                if value_size > LARGE_VALUE:
                    self.large = (PyUnicode_DecodeUTF8(key, key_size, NULL),
                                  PyUnicode_DecodeUTF8(value, value_size, NULL))
                    self.first = _next(self.large[0])
                    return rows
                self.add(key, key_size, value, value_size)
                rows += 1
                if rows == LINES_ROWS or self.size > LINES_BYTES:
                    self.first = _next(PyUnicode_DecodeUTF8(key, key_size, NULL))
                    return rows
                found = statement.has_row_at_once()
        finally:
            statement.reset()
        self.ended = True
        return rows

    cdef Py_ssize_t read_by_apsw(self, _Session db) except -1:
        cdef const char* key
        cdef const char* value
        cdef Py_ssize_t key_size = 0, value_size = 0, rows = 0
        cursor = db.connection.cursor()
        try:
            for row in cursor.execute(
                _PAGES[PAIRS],
                (self.store._now(), self.scope, self.first, self.past, LINES_ROWS),
            ):
                if row[2] != TEXT:
                    raise self.no_text()
                key = PyUnicode_AsUTF8AndSize(row[0], &key_size)
                value = PyUnicode_AsUTF8AndSize(row[1], &value_size)
                if value_size > LARGE_VALUE:
                    self.large = (row[0], row[1])
                    self.first = _next(row[0])
                    return rows
                self.add(key, key_size, value, value_size)
                rows += 1
                if rows == LINES_ROWS or self.size > LINES_BYTES:
                    self.first = _next(row[0])
                    return rows
        finally:
            cursor.close()
        self.ended = True
        return rows

    cdef object no_text(self):
        return InvalidValueError(
            f"a value in scope {self.scope!r} is no text", hint="use entries() for any value")

    cdef int add(
        self, const char* key, Py_ssize_t key_size, const char* value, Py_ssize_t value_size
    ) except -1:
        """Append a line."""
        # A byte becomes six at most.
        cdef Py_ssize_t most = self.size + 6 * (key_size + value_size) + 32
        cdef char* data
        if most > self.room:
            data = <char*>realloc(self.data, 2 * most)
            if data == NULL:
                raise MemoryError
            self.data, self.room = data, 2 * most
        if self.is_json:
            self.put(b'{"key":"', 8)
            self.put_json(key, key_size)
            self.put(b'","value":"', 11)
            self.put_json(value, value_size)
            self.put(b'"}\n', 3)
        else:
            self.put_field(key, key_size)
            self.put(&self.delimiter, 1)
            self.put_field(value, value_size)
            self.put(b"\n", 1)
        return 0

    cdef inline void put(self, const char* text, Py_ssize_t size) noexcept:
        memcpy(self.data + self.size, text, size)
        self.size += size

    cdef inline Py_ssize_t plain(
        self, const char* text, Py_ssize_t at, Py_ssize_t size
    ) noexcept:
        """Return where the next byte is that is not written as it is."""
        while at < size and not self.special[<unsigned char>text[at]]:
            at += 1
        return at

    cdef void put_field(self, const char* text, Py_ssize_t size) noexcept:
        cdef Py_ssize_t at
        if self.plain(text, 0, size) == size:
            self.put(text, size)
            return
        self.put(b'"', 1)
        for at in range(size):
            if text[at] == 34:
                self.put(b'"', 1)
            self.put(text + at, 1)
        self.put(b'"', 1)

    cdef void put_json(self, const char* text, Py_ssize_t size) noexcept:
        """Write text as the module json does, without its quotes."""
        cdef Py_ssize_t start = 0, at
        cdef char code
        while True:
            at = self.plain(text, start, size)
            self.put(text + start, at - start)
            if at == size:
                return
            code = text[at]
            start = at + 1
            if code == 34:
                self.put(b'\\"', 2)
            elif code == 92:
                self.put(b"\\\\", 2)
            elif code == 10:
                self.put(b"\\n", 2)
            elif code == 13:
                self.put(b"\\r", 2)
            elif code == 9:
                self.put(b"\\t", 2)
            elif code == 12:
                self.put(b"\\f", 2)
            elif code == 8:
                self.put(b"\\b", 2)
            else:
                self.put(b"\\u00", 4)
                self.put(_HEX + (code >> 4), 1)
                self.put(_HEX + (code & 15), 1)
