# A cache of values that is never stale. Part of storage.pyx: one extension is one file
# to load at start-up.
#
# How it knows. In WAL mode the shared memory that all processes map (the -shm file)
# begins with the WAL-index header: 48 bytes that describe the newest commit, twice
# (SQLite, "WAL-mode File Format", 2.1). Every commit of anybody writes them anew before
# it returns: the second copy, a barrier, the first copy (walIndexWriteHdr). So bytes
# that are what they were mean that no commit has returned since. SQLite's own readers
# decide by the same comparison whether their page cache is still good (walIndexTryHdr).
#
# Why a hit is never stale. Say that a commit has returned, and that whoever made it has
# told us. Telling takes a system call, or a release and an acquire, so the fence before
# the comparison makes us see the header that the commit wrote, on ARM too; it differs
# from the one we hold (it has another checksum over all frames of the log), and the entry
# is not used. A commit that is in the middle of writing the header has not returned;
# whether we see its bytes, the old ones or some of both, old values are still right, and
# anything but the old bytes in both copies counts as a change.
#
# Why an entry is right when it is made. The header is read before the read transaction
# that fetches the value begins. If a commit comes in between, the value may be newer than
# the header, which the next comparison finds; it can never be older.
#
# What is dropped. Each change of a key is a row of audit_log, in the order of the
# commits. So a cache that has seen all rows up to an id reads those behind it, in the
# same read transaction, and drops just their keys. Whoever changes keys or prunes the log
# in another way adds a row of the empty scope, which drops everything. A trigger does so
# for other programs that update or delete; what they insert, replace or rename in kvstore
# by hand is not noticed, since a trigger for that would make each save dearer.

cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
    #define kycli_acquire() __atomic_thread_fence(__ATOMIC_ACQUIRE)
    #else
    #define kycli_acquire() atomic_thread_fence(memory_order_acquire)
    #endif
    """
    void kycli_acquire() noexcept nogil

cdef enum:
    CATCH_UP_ROWS = 256  # changes that are dropped one by one; with more, all is dropped
    ENTRY_OVERHEAD = 160 # bytes that an entry costs beside its text, about

if CATCH_UP_ROWS != layout.CATCH_UP_ROWS:
    raise ImportError("kycli.core.storage was built from another layout: build it again")

cdef int64_t NEVER = 0x7FFFFFFFFFFFFFFF

# What the cache holds for a key that does not exist.
cdef object _ABSENT = object()
cdef object _NOTHING = object()  # there is no entry


@cython.final
@cython.freelist(64)
cdef class _Expiring:
    """A value with the time when it expires."""

    cdef object value
    cdef int64_t expires_at


@cython.final
cdef class _Cache:
    """Values by scope and key, good as long as the WAL-index header is what it was."""

    cdef unsigned char* header  # NULL: switched off
    cdef unsigned char seen[HEADER]
    cdef int64_t last_id        # newest row of the log that was looked at
    cdef dict scopes            # scope -> {key: value, _Expiring or _ABSENT}
    cdef dict here              # the entries of the store's own scope
    cdef dict mine              # id of a row of the log -> what this store saved there
    cdef int64_t max_entries
    cdef int64_t max_bytes
    cdef int64_t entries
    cdef int64_t bytes
    cdef int64_t hits
    cdef int64_t misses
    cdef int64_t catch_ups
    cdef int64_t flushes

    def __cinit__(self, str scope, int64_t max_entries, int64_t max_bytes):
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self.here = {}
        self.scopes = {scope: self.here}
        self.mine = {}

    cdef bint current(self) noexcept:
        """Whether no commit has returned since the entries were looked over."""
        if self.header == NULL:
            return False
        kycli_acquire()
        return (memcmp(self.header, self.seen, HEADER) == 0
                and memcmp(self.header + HEADER, self.seen, HEADER) == 0)

    cdef bint copy_header(self, unsigned char* into) noexcept:
        """Copy the header; return whether it was whole."""
        memcpy(into, self.header, HEADER)
        kycli_acquire()
        return memcmp(into, self.header + HEADER, HEADER) == 0

    cdef void switch_off(self):
        """Forget the header, before the connection goes, and all entries."""
        self.header = NULL
        self.flush()

    cdef void flush(self):
        if self.entries:
            self.flushes += 1
        if len(self.scopes) > 1:
            self.scopes = {scope: keys for scope, keys in self.scopes.items() if keys is self.here}
        self.here.clear()
        self.mine.clear()
        self.entries = self.bytes = 0

    cdef bint is_empty(self) noexcept:
        return not self.entries and not self.mine

    cdef void saved(self, int64_t id, object entry):
        """Remember what this store wrote, to keep it when the log tells of it."""
        if self.header == NULL or entry is None:
            return
        if len(self.mine) >= CATCH_UP_ROWS:
            self.mine.clear()
        self.mine[id] = entry

    cdef put(self, str scope, str key, object value):
        """Add an entry, in the place of what there was; make room where it is needed."""
        cdef int64_t weight = _weight(key, value)
        self.drop(scope, key)
        if weight > self.max_bytes // 8:
            return
        if scope not in self.scopes:
            self.scopes[scope] = {}
        self.scopes[scope][key] = value
        self.entries += 1
        self.bytes += weight
        while self.entries > self.max_entries or self.bytes > self.max_bytes:
            self.make_room()

    cdef make_room(self):
        """Drop the eighth that was added first of the scope that has the most entries.

        Many at once, because a dict whose front was dropped is walked from its old front.
        """
        cdef str fullest = None
        for scope, keys in self.scopes.items():
            if fullest is None or len(keys) > len(self.scopes[fullest]):
                fullest = scope
        keys = self.scopes[fullest]
        for key in list(keys)[:len(keys) // 8 + 1]:
            self.drop(fullest, key)

    cdef object find(self, str scope, str key):
        """Return the entry of a key, or None when there is none."""
        cdef dict keys = self.scopes.get(scope)
        return None if keys is None else keys.get(key)

    cdef drop(self, str scope, str key):
        cdef dict keys = self.scopes.get(scope)
        if keys is not None and key in keys:
            self.bytes -= _weight(key, keys.pop(key))
            self.entries -= 1
            if not keys and keys is not self.here:
                del self.scopes[scope]

    cdef changed(self, int64_t id, str scope, str key):
        """Take note of one row of the log."""
        if not scope:
            self.flush()
            return
        saved = self.mine.pop(id, None)
        if saved is not None:
            self.put(scope, key, saved)
        else:
            self.drop(scope, key)


cdef object _entry_of(object value, object expires_at):
    """Return what to cache for a value; None for one that the caller could change."""
    if type(value) is dict or type(value) is list:
        return None
    if expires_at is None and value is not None:
        return value
    entry = <_Expiring>_Expiring.__new__(_Expiring)
    entry.value = value
    entry.expires_at = NEVER if expires_at is None else <int64_t>expires_at
    return entry


cdef int64_t _weight(str key, object value):
    cdef int64_t weight = ENTRY_OVERHEAD + 2 * len(key)
    if type(value) is _Expiring:
        value = (<_Expiring>value).value
    if type(value) is str:
        weight += len(<str>value) * (1 if (<str>value).isascii() else 4)
    elif type(value) is bytes:
        weight += len(<bytes>value)
    return weight
