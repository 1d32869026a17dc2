# SQLite's C functions inside APSW's own library, for the statements that are executed
# most. Part of storage.pyx: one extension is one file to load at start-up.
#
# APSW links SQLite statically and exports none of it. But an SQLite extension is handed
# the table of SQLite's functions when it is loaded, so this module lets itself be loaded
# as one, once, on a scratch connection. APSW goes on owning the connections; here are
# only statements, prepared on a connection of its, that run without Python in between.
# Where it does not work (an APSW without extension loading), all goes through APSW.

# Positions in struct sqlite3_api_routines (sqlite3ext.h), which only ever grows at its end.
cdef enum:
    BIND_BLOB = 2
    BIND_DOUBLE = 3
    BIND_INT64 = 5
    BIND_NULL = 6
    BIND_TEXT = 10
    COLUMN_BLOB = 19
    COLUMN_BYTES = 20
    COLUMN_DOUBLE = 27
    COLUMN_INT64 = 29
    COLUMN_TEXT = 36
    COLUMN_TYPE = 38
    FINALIZE = 57
    RESET = 77
    STEP = 94
    PREPARE_V3 = 217

cdef enum:
    SQLITE_OK_LOAD_PERMANENTLY = 256
    SQLITE_ROW = 100
    SQLITE_DONE = 101
    SQLITE_PREPARE_PERSISTENT = 1
    SQLITE_INTEGER = 1
    SQLITE_FLOAT
    SQLITE_TEXT
    SQLITE_BLOB

ctypedef int (*_bind_bytes)(void*, int, const char*, int, void*) noexcept nogil
ctypedef int (*_bind_double)(void*, int, double) noexcept nogil
ctypedef int (*_bind_int64)(void*, int, int64_t) noexcept nogil
ctypedef int (*_bind_null)(void*, int) noexcept nogil
ctypedef const char* (*_column_bytes)(void*, int) noexcept nogil
ctypedef int (*_column_int)(void*, int) noexcept nogil
ctypedef int64_t (*_column_int64)(void*, int) noexcept nogil
ctypedef double (*_column_double)(void*, int) noexcept nogil
ctypedef int (*_prepare)(void*, const char*, int, unsigned int, void**, void*) noexcept nogil
ctypedef int (*_on_statement)(void*) noexcept nogil

# The table; NULL until it was asked for, or where it cannot be had.
cdef void** _sqlite = NULL
cdef bint _asked_for_sqlite = False
cdef bint _native_wanted = True


cdef public int sqlite3_kycli_init(void* db, char** message, void** routines) noexcept nogil:
    """What SQLite calls when it loads this file as an extension."""
    global _sqlite
    _sqlite = routines
    return SQLITE_OK_LOAD_PERMANENTLY


cdef bint _reach_sqlite():
    """Get the table of functions, the first time; return whether it is there and wanted."""
    global _asked_for_sqlite
    if not _asked_for_sqlite:
        _asked_for_sqlite = True
        scratch = apsw.Connection(":memory:")
        try:
            scratch.enable_load_extension(True)
            scratch.load_extension(__file__, "sqlite3_kycli_init")
        except (AttributeError, apsw.Error):
            pass
        finally:
            scratch.close()
    return _native_wanted and _sqlite != NULL


def _use_native_statements(bint wanted):
    """Whether stores that set up their statements from now on may have any of their own.

    For tests and benchmarks: what goes through APSW alone is the oracle of the rest.
    """
    global _native_wanted
    _native_wanted = wanted


@cython.final
cdef class _Statement:
    """One prepared statement of an APSW connection.

    Every use ends with ``reset``, which also ends its transaction. A code that is neither
    a row nor the end becomes APSW's exception for it; nothing is executed again, since
    SQLite may have rolled the transaction back that it was in.
    """

    cdef void* handle
    cdef object connection  # must outlive the statement

    cdef bint prepare(self, connection, str sql):
        cdef bytes text = sql.encode()
        self.connection = connection
        return (<_prepare>_sqlite[PREPARE_V3])(
            <void*><size_t>connection.sqlite3_pointer(), text, len(text),
            SQLITE_PREPARE_PERSISTENT, &self.handle, NULL) == 0

    cdef void finalize(self) noexcept:
        if self.handle != NULL:
            (<_on_statement>_sqlite[FINALIZE])(self.handle)
            self.handle = NULL

    def __dealloc__(self):
        self.finalize()

    # SQLite keeps no copy of what is bound: the objects must live until the reset.

    cdef void bind_text(self, int position, str text):
        cdef Py_ssize_t size
        cdef const char* data = PyUnicode_AsUTF8AndSize(text, &size)
        (<_bind_bytes>_sqlite[BIND_TEXT])(self.handle, position, data, <int>size, NULL)

    cdef void bind_int(self, int position, int64_t number) noexcept:
        (<_bind_int64>_sqlite[BIND_INT64])(self.handle, position, number)

    cdef void bind(self, int position, object value):
        """Bind what ``encode`` returned."""
        if type(value) is str:
            self.bind_text(position, value)
        elif type(value) is int:
            self.bind_int(position, value)
        elif type(value) is bytes:
            (<_bind_bytes>_sqlite[BIND_BLOB])(
                self.handle, position, PyBytes_AS_STRING(value),
                <int>PyBytes_GET_SIZE(value), NULL)
        elif type(value) is float:
            (<_bind_double>_sqlite[BIND_DOUBLE])(self.handle, position, value)
        else:
            (<_bind_null>_sqlite[BIND_NULL])(self.handle, position)

    cdef void bind_upsert(self, int64_t now, str scope, str key, object stored, int kind,
                          object expires_at):
        self.bind_int(1, now)
        self.bind_text(2, scope)
        self.bind_text(3, key)
        self.bind(4, stored)
        self.bind_int(5, kind)
        self.bind(6, expires_at)

    cdef int step(self) except -1:
        cdef int code
        cdef _on_statement function = <_on_statement>_sqlite[STEP]
        with nogil:
            code = function(self.handle)
        if PyErr_Occurred() != NULL:  # Ctrl-C, noticed by the busy or progress handler
            self.reset()
            return -1
        return code

    cdef bint has_row(self) except -1:
        """Step; return whether there is a row, or raise what SQLite says."""
        cdef int code = self.step()
        if code != SQLITE_ROW and code != SQLITE_DONE:
            raise apsw.exception_for(code)
        return code == SQLITE_ROW

    cdef bint has_another_row(self) except -1:
        """``has_row`` after the first, which took the locks: it waits for nobody.

        So it keeps the GIL, whose release and return would cost as much as a row does.
        """
        cdef int code = (<_on_statement>_sqlite[STEP])(self.handle)
        if code == SQLITE_ROW:
            return True
        if PyErr_Occurred() != NULL:
            self.reset()
            return -1
        if code != SQLITE_DONE:
            raise apsw.exception_for(code)
        return False

    cdef int reset(self) noexcept:
        cdef int code
        cdef _on_statement function = <_on_statement>_sqlite[RESET]
        with nogil:
            code = function(self.handle)
        return code

    cdef int64_t int_at(self, int column) noexcept:
        return (<_column_int64>_sqlite[COLUMN_INT64])(self.handle, column)

    cdef str text_at(self, int column, int* size):
        """Return a column that is a text, or None, and set the number of its bytes."""
        cdef const char* data = (<_column_bytes>_sqlite[COLUMN_TEXT])(self.handle, column)
        size[0] = (<_column_int>_sqlite[COLUMN_BYTES])(self.handle, column)
        return None if data == NULL else PyUnicode_DecodeUTF8(data, size[0], NULL)

    cdef bint is_null(self, int column) noexcept:
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
