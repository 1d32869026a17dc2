# The statements that are executed most. Part of storage.pyx: one extension is one file to
# load at start-up.
#
# APSW owns the connections. A native statement is prepared on one of them and executed by
# SQLite's own functions, without Python in between. Where these cannot be reached (an APSW
# without extension loading), and where a store is used for a call or two, the same
# statements go through APSW.

cdef enum:
    BINDINGS = 16  # positions below which ints are remembered


cdef class _Statement:
    """One statement of an APSW connection, executed by APSW.

    Use: bind, ``has_row`` until it is false or there is enough, ``reset``; or bind and
    ``execute``. What is bound stays bound.
    """

    cdef object connection
    cdef object cursor
    cdef str sql
    cdef list bindings
    cdef bint done   # it was executed, and has answered all it does
    cdef tuple row

    def __cinit__(self, connection, cursor, str sql):
        self.connection = connection
        self.cursor = cursor
        self.sql = sql
        self.bindings = [None] * _placeholders(sql)

    cdef finalize(self):
        self.connection = self.cursor = None

    cdef bind_text(self, int position, str text):
        self.bindings[position - 1] = text

    cdef bind_int(self, int position, int64_t number):
        self.bindings[position - 1] = number

    cdef bind_id(self, int position, int64_t id):
        """Bind the id of a row, or null for 0."""
        self.bindings[position - 1] = id or None

    cdef bind(self, int position, object value):
        """Bind what ``encode`` returned, or None."""
        self.bindings[position - 1] = value

    cdef bint has_row(self) except -1:
        """Step; return whether there is a row. Other threads run meanwhile.

        A statement that APSW executes has at most one row; a row of one NULL counts as none.
        """
        if self.done:
            return False
        self.done = True
        row = self.cursor.execute(self.sql, self.bindings or None).get
        if row is None:
            return False
        self.row = row if type(row) is tuple else (row,)
        return True

    cdef bint has_row_at_once(self) except -1:
        """``has_row`` for a short step: other threads do not run meanwhile."""
        return self.has_row()

    cdef reset(self):
        """End the execution and, outside of a transaction block, what it has read under."""
        self.done = False
        self.row = None

    cdef execute(self):
        """Execute a statement that answers nothing; other threads run meanwhile."""
        try:
            self.has_row()
        finally:
            self.reset()

    cdef execute_at_once(self):
        """``execute`` for a short step: other threads do not run meanwhile."""
        try:
            self.has_row_at_once()
        finally:
            self.reset()

    cdef int64_t last_id(self) except? -1:
        """Return the rowid of the last row that the connection has inserted."""
        return self.connection.last_insert_rowid()

    cdef int64_t changes(self) except? -1:
        """Return how many rows the last statement of the connection has changed."""
        return self.connection.changes()

    cdef int times_prepared_again(self) noexcept:
        """Return how often SQLite had to prepare it again because the schema changed.

        Always 0 for a statement that APSW executes.
        """
        return 0

    cdef int64_t int_at(self, int column) except? -1:
        return self.row[column]

    cdef bint is_null(self, int column) except -1:
        return self.row[column] is None

    cdef object at(self, int column):
        return self.row[column]


@cython.final
cdef class _Many(_Statement):
    """A statement of any number of rows, executed by APSW: all at once."""

    cdef list rows  # those that are left, the next one last; None before it is executed

    cdef bint has_row(self) except -1:
        if self.rows is None:
            self.rows = self.cursor.execute(self.sql, self.bindings or None).fetchall()
            self.rows.reverse()
        if not self.rows:
            return False
        self.row = self.rows.pop()
        return True

    cdef reset(self):
        self.rows = self.row = None


cdef int _placeholders(str sql) except -1:
    """Return how many values a statement takes, which are numbered from 1."""
    cdef int most = 0
    while f"?{most + 1}" in sql:
        most += 1
    return most


@cython.final
cdef class _Native(_Statement):
    """A statement that SQLite's own functions prepare and execute.

    A code that is neither a row nor the end becomes APSW's exception for it; nothing is
    executed again, since SQLite may have rolled the transaction back that it was in.
    """

    cdef void* database
    cdef void* handle
    cdef int64_t ints[BINDINGS]
    cdef unsigned int ints_bound  # bit by position

    cdef bint prepare(self) except -1:
        """Return whether SQLite could prepare it; raise what the busy handler raised."""
        cdef bytes text = self.sql.encode()
        cdef int code
        self.database = <void*><size_t>self.connection.sqlite3_pointer()
        code = (<_prepare>_sqlite[PREPARE_V3])(
            self.database, text, <int>len(text), SQLITE_PREPARE_PERSISTENT,
            &self.handle, NULL)
        if PyErr_Occurred() != NULL:
            return -1
        return code == 0

    cdef finalize(self):
        if self.handle != NULL:
            (<_on_statement>_sqlite[FINALIZE])(self.handle)
            self.handle = NULL
        self.connection = None

    def __dealloc__(self):
        if self.handle != NULL:
            (<_on_statement>_sqlite[FINALIZE])(self.handle)

    # SQLite keeps no copy of what is bound, so it is kept here. What is bound already is not
    # bound again: most of a row is equal to the row before.

    cdef inline bint is_bound(self, int position, object value):
        return <PyObject*>value == PyList_GET_ITEM(self.bindings, position - 1)

    cdef int bound(self, int position, object value, int code) except -1:
        """Remember what was bound, or raise why it was not."""
        if code:
            self.bindings[position - 1] = _NO_ENTRY
            raise self.failure(code)
        Py_INCREF(value)
        PyList_SetItem(self.bindings, position - 1, value)
        return 0

    cdef object failure(self, int code):
        """Return APSW's exception for a code, with SQLite's words."""
        error = apsw.exception_for(code)
        error.args = ((<_text_of_connection>_sqlite[ERRMSG])(self.database).decode(),)
        return error

    cdef bind_text(self, int position, str text):
        cdef Py_ssize_t size
        cdef const char* data
        if self.is_bound(position, text):
            return
        data = PyUnicode_AsUTF8AndSize(text, &size)
        self.bound(position, text, (<_bind_bytes>_sqlite[BIND_TEXT])(
            self.handle, position, data, <int>size, NULL))

    cdef int bind_slice(
        self, int position, const char* data, Py_ssize_t size, object owner
    ) except -1:
        """Bind text in UTF-8 that stays where it is as long as its owner."""
        return self.bound(position, owner, (<_bind_bytes>_sqlite[BIND_TEXT])(
            self.handle, position, data, <int>size, NULL))

    cdef release(self, int position):
        """Bind null to a position and those that follow, and forget what was there."""
        for position in range(position, len(self.bindings) + 1):
            (<_bind_null>_sqlite[BIND_NULL])(self.handle, position)
            self.bindings[position - 1] = None

    # A position that takes ``bind_int`` or ``bind_id`` takes nothing else.

    cdef inline bint is_new(self, int position, int64_t number) noexcept:
        if position >= BINDINGS:
            return True
        if self.ints_bound & 1 << position and self.ints[position] == number:
            return False
        self.ints[position] = number
        self.ints_bound |= 1 << position
        return True

    cdef bind_int(self, int position, int64_t number):
        if self.is_new(position, number):
            (<_bind_int64>_sqlite[BIND_INT64])(self.handle, position, number)

    cdef bind_id(self, int position, int64_t id):
        if self.is_new(position, id):
            if id:
                (<_bind_int64>_sqlite[BIND_INT64])(self.handle, position, id)
            else:
                (<_bind_null>_sqlite[BIND_NULL])(self.handle, position)

    cdef bind(self, int position, object value):
        cdef int code
        if self.is_bound(position, value):
            return
        if type(value) is str:
            self.bind_text(position, value)
            return
        if value is None:
            code = (<_bind_null>_sqlite[BIND_NULL])(self.handle, position)
        elif type(value) is int:
            code = (<_bind_int64>_sqlite[BIND_INT64])(self.handle, position, value)
        elif type(value) is bytes:
            code = (<_bind_bytes>_sqlite[BIND_BLOB])(
                self.handle, position, PyBytes_AS_STRING(value),
                <int>PyBytes_GET_SIZE(value), NULL)
        elif type(value) is float:
            code = (<_bind_double>_sqlite[BIND_DOUBLE])(self.handle, position, value)
        else:
            raise TypeError(f"{type(value).__name__} cannot be bound")
        self.bound(position, value, code)

    cdef bint has_row(self) except -1:
        cdef int code
        cdef _on_statement step = <_on_statement>_sqlite[STEP]
        with nogil:
            code = step(self.handle)
        return self.was_row(code)

    cdef bint has_row_at_once(self) except -1:
        return self.was_row((<_on_statement>_sqlite[STEP])(self.handle))

    cdef inline bint was_row(self, int code) except -1:
        if PyErr_Occurred() != NULL:  # Ctrl-C, noticed by the busy or progress handler
            return -1
        if code != SQLITE_ROW and code != SQLITE_DONE:
            raise self.failure(code)
        return code == SQLITE_ROW

    cdef Py_ssize_t insert_or_fail(self) except -1:
        """Execute an INSERT OR FAIL; return how many rows it inserted before a conflict."""
        cdef int code = (<_on_statement>_sqlite[STEP])(self.handle)
        try:
            if code & 0xFF == SQLITE_CONSTRAINT and PyErr_Occurred() == NULL:
                return self.changes()
            self.was_row(code)
            return self.changes()
        finally:
            self.reset()

    cdef reset(self):
        (<_on_statement>_sqlite[RESET])(self.handle)

    cdef int64_t last_id(self) except? -1:
        return (<_int64_of_connection>_sqlite[LAST_INSERT_ROWID])(self.database)

    cdef int64_t changes(self) except? -1:
        return (<_int_of_connection>_sqlite[CHANGES])(self.database)

    cdef int times_prepared_again(self) noexcept:
        return (<_stmt_status>_sqlite[STMT_STATUS])(
            self.handle, SQLITE_STMTSTATUS_REPREPARE, 0)

    cdef int64_t int_at(self, int column) except? -1:
        return (<_column_int64>_sqlite[COLUMN_INT64])(self.handle, column)

    cdef str text_at(self, int column, int* size):
        """Return a column that is a text, or None, and set the number of its bytes."""
        cdef const char* data = (<_column_bytes>_sqlite[COLUMN_TEXT])(self.handle, column)
        size[0] = (<_column_int>_sqlite[COLUMN_BYTES])(self.handle, column)
        return None if data == NULL else PyUnicode_DecodeUTF8(data, size[0], NULL)

    cdef inline const char* bytes_at(self, int column, int* size) noexcept:
        """Return a column as UTF-8, until the next step; NULL where it is null."""
        cdef const char* data = (<_column_bytes>_sqlite[COLUMN_TEXT])(self.handle, column)
        size[0] = (<_column_int>_sqlite[COLUMN_BYTES])(self.handle, column)
        return data

    cdef bint is_null(self, int column) except -1:
        return (<_column_int>_sqlite[COLUMN_TYPE])(self.handle, column) > SQLITE_BLOB

    cdef object at(self, int column):
        cdef int kind = (<_column_int>_sqlite[COLUMN_TYPE])(self.handle, column)
        cdef const char* data
        if kind == SQLITE_TEXT:
            data = (<_column_bytes>_sqlite[COLUMN_TEXT])(self.handle, column)
            return PyUnicode_DecodeUTF8(
                data, (<_column_int>_sqlite[COLUMN_BYTES])(self.handle, column), NULL)
        if kind == SQLITE_INTEGER:
            return self.int_at(column)
        if kind == SQLITE_BLOB:
            data = (<_column_bytes>_sqlite[COLUMN_BLOB])(self.handle, column)
            return PyBytes_FromStringAndSize(
                data, (<_column_int>_sqlite[COLUMN_BYTES])(self.handle, column))
        if kind == SQLITE_FLOAT:
            return (<_column_double>_sqlite[COLUMN_DOUBLE])(self.handle, column)
        return None
