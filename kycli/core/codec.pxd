from libc.stdint cimport int64_t

cdef enum:
    TEXT, BYTES, INT, FLOAT, BOOL, NONE, JSON, BIGINT, OPAQUE
    INLINE_MAX = 512
    CREATED = 1
    OVERWRITTEN, DELETED, EXPIRED, LIFETIME, RESTORED, IMPORTED
    KEY_MAX = 4096
    VALUE_MAX = 1_000_000_000  # SQLite's limit for a row is little more

cpdef str check_scope(object scope)
cpdef str check_key(object key)
cpdef tuple encode(object value)
cpdef object decode(object value, int kind)
cpdef bytes digest(object stored)
cpdef object upper_bound(str prefix)
cpdef bint is_same(int kind, object stored, object other) except -1
cpdef tuple range_of(object prefix)

cdef object imported(str name)
cdef str plain_text(object text)
cdef bint may_fold(str key) noexcept
cdef str checked_command(object command)
cdef object check_limit(object limit)
cdef int64_t check_count(object number, str what) except -1
cdef list key_list(object keys)
cdef object iterator_over(object items, str what)
cdef check_callable(object function, str what)
cdef int64_t time_of(object clock) except? -1
cdef bint is_named(str scope)
