# SQLite's C functions and structures inside APSW's own library. Part of storage.pyx: one
# extension is one file to load at start-up.
#
# APSW links SQLite statically and exports none of it. But an SQLite extension is handed
# the table of SQLite's functions when it is loaded, so this module loads itself as one,
# once, on a scratch connection. This file is the only place that knows positions in that
# table or in a structure of SQLite, and the C type of each function.

# Positions in struct sqlite3_api_routines (sqlite3ext.h), which only ever grows at its end.
cdef enum:
    BIND_BLOB = 2
    BIND_DOUBLE = 3
    BIND_INT64 = 5
    BIND_NULL = 6
    BIND_TEXT = 10
    CHANGES = 15
    COLUMN_BLOB = 19
    COLUMN_BYTES = 20
    COLUMN_DOUBLE = 27
    COLUMN_INT64 = 29
    COLUMN_TEXT = 36
    COLUMN_TYPE = 38
    ERRMSG = 53
    FINALIZE = 57
    LAST_INSERT_ROWID = 65
    RESET = 77
    STEP = 94
    STMT_STATUS = 170
    PREPARE_V3 = 217

# Of SQLite's VFS interface (sqlite3.h).
cdef enum:
    IO_METHODS_VERSION = 2  # of sqlite3_io_methods, which has xShmMap from this version on
    SHM_MAP = 13            # position of xShmMap in it, counted in pointers
    SHM_REGION = 32768      # bytes that SQLite maps at a time
    HEADER = 48             # bytes of one copy of the WAL-index header
    HEADER_COMMITS = 8      # where iChange is in it, which each commit increments

cdef enum:
    SQLITE_OK_LOAD_PERMANENTLY = 256
    SQLITE_CONSTRAINT = 19
    SQLITE_ROW = 100
    SQLITE_DONE = 101
    SQLITE_PREPARE_PERSISTENT = 1
    SQLITE_STMTSTATUS_REPREPARE = 5
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
ctypedef int (*_stmt_status)(void*, int, int) noexcept nogil
ctypedef int (*_int_of_connection)(void*) noexcept nogil
ctypedef int64_t (*_int64_of_connection)(void*) noexcept nogil
ctypedef const char* (*_text_of_connection)(void*) noexcept nogil
ctypedef int (*_shm_map)(void*, int, int, int, void**) noexcept nogil

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
    """Set whether stores that prepare their statements from now on may use native ones.

    For tests and benchmarks: the path through APSW alone is the oracle of the native one.
    """
    global _native_wanted
    _native_wanted = wanted


cdef unsigned char* _wal_index_header(connection) except? NULL:
    """Return SQLite's own mapping of the WAL-index header, or NULL where there is none.

    Valid until the connection is closed or leaves WAL mode. The -shm file itself must
    not be opened: closing it again would drop SQLite's locks on it.
    """
    cdef void* file = NULL
    cdef void** methods
    cdef void* header = NULL
    if connection.pragma("journal_mode") != "wal":
        return NULL  # xShmMap would leave a stray file
    if not connection.file_control(
        "main", apsw.SQLITE_FCNTL_FILE_POINTER, <size_t>&file
    ) or file == NULL:
        return NULL
    methods = (<void***>file)[0]
    # The version, padded to the size of a pointer, comes before the pointers.
    if (methods == NULL or (<int*>methods)[0] < IO_METHODS_VERSION
            or methods[SHM_MAP] == NULL):
        return NULL
    if (<_shm_map>methods[SHM_MAP])(file, 0, SHM_REGION, 0, &header) != 0:
        return NULL
    return <unsigned char*>header
