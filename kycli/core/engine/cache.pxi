# The value cache, and the settings of scopes in memory; both are never stale. Part of
# storage.pyx: one extension is one file to load at start-up.
#
# Detecting changes. In WAL mode the shared memory that all processes map (the -shm file)
# begins with the WAL-index header: two copies of 48 bytes that describe the newest commit
# (SQLite, "WAL-mode File Format", 2.1). Every commit of any process rewrites them before it
# returns: the second copy, a barrier, the first copy (walIndexWriteHdr). So if the bytes are
# unchanged, no commit has returned since. SQLite's readers use the same comparison to decide
# whether their page cache is still valid (walIndexTryHdr).
#
# Why a hit is never stale. Assume that a commit has returned and that its process has notified
# us. The notification takes a system call, or a release and an acquire, so the fence before the
# comparison makes us see the header that the commit wrote, on ARM too. It differs from ours
# (its checksum covers all frames of the log), so the entry is not used. A commit that is still
# writing the header has not returned. Whether we see its bytes, the old ones or a mixture, old
# values are still valid, and anything but the old bytes in both copies counts as a change.
#
# Why an entry is valid when it is added. The header is read before the read transaction that
# fetches the value begins. If a commit comes in between, the value may be newer than the
# header, and the next comparison notices; it can never be older.
#
# A value that is read after the header has changed is added without catching up first. It may
# be newer than the header and the last log row that the cache has read. That is harmless:
# catching up may drop the value for a change that it already includes.
#
# What is dropped. Each change of a key is a row of audit_log, in the order of commits. So a
# cache that has read all rows up to an id reads the later ones, in the same read transaction,
# and drops only their keys. Triggers log what other programs write by plain SQL. Renaming a
# scope or pruning the log adds a row of the empty scope, which drops everything.
#
# Settings of scopes are not logged. When the header has changed, the row of a scope is read
# again before it is used. A commit of this store changes the header too, but no settings, so
# the store adopts the new header. The count of commits (iChange) shows that the commit was ours:
# the write lock is held from the comparison before the commit to the commit, so if the count is
# one higher afterwards, no other process has committed.

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
    ENTRY_OVERHEAD = 300 # bytes that an entry takes beside its text, at most
    SHARE = 8            # one entry takes at most an eighth of the bytes
    SCOPES_MAX = 4096    # whose declarations are kept

if CATCH_UP_ROWS != layout.CATCH_UP_ROWS:
    raise ImportError("kycli.core.storage was built from another layout: build it again")

cdef inline bint _is_header(unsigned char* header, unsigned char* checked) noexcept:
    """Whether the header is what it was, so that no commit has returned since."""
    kycli_acquire()
    return (memcmp(header, checked, HEADER) == 0
            and memcmp(header + HEADER, checked, HEADER) == 0)

cdef inline bint _copy_header(unsigned char* header, unsigned char* into) noexcept:
    """Copy the header; return whether it was whole."""
    memcpy(into, header, HEADER)
    kycli_acquire()
    return memcmp(into, header + HEADER, HEADER) == 0

cdef inline uint32_t _commits(unsigned char* header) noexcept:
    """Return how many commits a header has counted."""
    cdef uint32_t count
    memcpy(&count, header + HEADER_COMMITS, sizeof(count))
    return count

cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(str text) noexcept
    int PyUnicode_KIND(str text) noexcept

cdef int64_t NEVER = 0x7FFFFFFFFFFFFFFF
cdef int64_t ONE_WORD = 1 << 60  # ints up to this are within ENTRY_OVERHEAD

# What the cache holds for a key that does not exist.
cdef object _ABSENT = object()
cdef object _NO_ENTRY = object()  # there is no entry


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
    cdef unsigned char checked[HEADER]
    cdef int64_t last_id        # newest row of the log that was looked at
    cdef int64_t schema         # the schema version then, or what stands for it
    cdef dict scopes            # scope -> {key: value, _Expiring or _ABSENT}
    cdef dict own               # the entries of the store's own scope
    cdef set own_changes        # ids of rows of the log whose values are in the entries
    cdef set cased              # scopes with _ABSENT entries of keys that would be others
                                # if the scope ignored case
    cdef int64_t max_weight     # bytes of one entry
    cdef int64_t max_entries
    cdef int64_t max_bytes
    cdef int64_t entries
    cdef int64_t bytes          # that they take at most
    cdef int64_t hits
    cdef int64_t misses
    cdef int64_t catch_ups
    cdef int64_t flushes

    def __cinit__(self, str scope, int64_t max_entries, int64_t max_bytes):
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self.max_weight = max_bytes // SHARE
        self.own = {}
        self.scopes = {scope: self.own}
        self.own_changes = set()
        self.cased = set()

    cdef bint current(self) noexcept:
        """Whether no commit has returned since the entries were looked over."""
        return self.header != NULL and _is_header(self.header, self.checked)

    cdef bint copy_header(self, unsigned char* into) noexcept:
        """Copy the header; return whether it was whole."""
        return _copy_header(self.header, into)

    cdef void switch_off(self):
        """Drop the header, before the connection closes, and all entries."""
        self.header = NULL
        self.flush()

    cdef void flush(self):
        if self.entries:
            self.flushes += 1
        if len(self.scopes) > 1:
            self.scopes = {scope: keys for scope, keys in self.scopes.items() if keys is self.own}
        self.own.clear()
        self.own_changes.clear()
        self.cased.clear()
        self.entries = self.bytes = 0

    cdef bint is_empty(self) noexcept:
        return not self.entries

    cdef saved(self, int64_t id, str scope, str key, object entry):
        """Add what this store has just committed, and remember its row of the log."""
        if self.header == NULL or entry is None:
            return
        if len(self.own_changes) > CATCH_UP_ROWS:
            self.own_changes.clear()  # catching up would flush anyway
        self.own_changes.add(id)
        self.put(scope, key, entry)

    cdef put(self, str scope, str key, object value):
        """Add or replace an entry; make room where it is needed."""
        cdef int64_t weight = _weight(key, value)
        cdef PyObject* found = PyDict_GetItem(self.scopes, scope)
        cdef dict keys
        if weight > self.max_weight:
            self.drop(scope, key)
            return
        if found == NULL:
            keys = self.scopes[scope] = {}
        else:
            keys = <dict>found
        found = PyDict_GetItem(keys, key)
        if found == NULL:
            self.entries += 1
        else:
            weight -= _weight(key, <object>found)
        keys[key] = value
        self.bytes += weight
        while self.entries > self.max_entries or self.bytes > self.max_bytes:
            self.make_room()

    cdef make_room(self):
        """Drop the oldest eighth of the entries of the largest scope.

        Many at once, because iterating over a dict visits the slots of removed entries.
        """
        cdef str fullest = None
        for scope, keys in self.scopes.items():
            if fullest is None or len(keys) > len(self.scopes[fullest]):
                fullest = scope
        keys = self.scopes[fullest]
        for key in list(keys)[:len(keys) // 8 + 1]:
            self.drop(fullest, key)

    cdef bint holds(self, str scope, str key):
        """Whether there is an entry, current or not."""
        cdef dict keys = self.scopes.get(scope)
        return keys is not None and key in keys

    cdef object find(self, str scope, str key):
        """Return the entry of a key, or None when there is none."""
        cdef dict keys = self.scopes.get(scope)
        return None if keys is None else keys.get(key)

    cdef drop(self, str scope, str key):
        cdef dict keys = self.scopes.get(scope)
        if keys is not None and key in keys:
            self.bytes -= _weight(key, keys.pop(key))
            self.entries -= 1
            if not keys and keys is not self.own:
                del self.scopes[scope]

    cdef changed(self, list rows):
        """Drop the entries of keys that others have changed.

        Parameters:
            rows: ``(id, scope, key)`` of the log, newest first. For each key the newest
                row decides.
        """
        cdef set seen = set()
        for id, scope, key in rows:
            if not scope:
                self.flush()
                return
            if (scope, key) not in seen:
                seen.add((scope, key))
                if id not in self.own_changes:
                    self.drop(scope, key)
        self.own_changes.clear()


cdef object _entry_of(object value, object expires_at):
    """Return what to cache for a value; None for one that the caller could change."""
    cdef object kind = type(value)
    if not (kind is str or kind is int or kind is bytes or kind is float or kind is bool
            or value is None):
        return None
    if expires_at is None and value is not None:
        return value
    entry = <_Expiring>_Expiring.__new__(_Expiring)
    entry.value = value
    entry.expires_at = NEVER if expires_at is None else <int64_t>expires_at
    return entry


cdef _add_live(dict found, str key, object entry, int64_t now):
    """Add the value of an entry, unless there is none at the given time."""
    if type(entry) is _Expiring:
        if not _is_past((<_Expiring>entry).expires_at, now):
            found[key] = (<_Expiring>entry).value
    elif entry is not _ABSENT:
        found[key] = entry


cdef int64_t _weight(str key, object value):
    """Return how many bytes an entry takes at most; the same at any time."""
    return ENTRY_OVERHEAD + _text_bytes(key) + _held_by(value)


cdef int64_t _held_by(object entry):
    cdef object value = entry
    if type(value) is _Expiring:
        value = (<_Expiring>value).value
    if type(value) is str:
        return _text_bytes(value)
    if type(value) is bytes:
        return len(<bytes>value)
    if type(value) is int and not -ONE_WORD < value < ONE_WORD:
        return value.bit_length() * 2 // 15  # 30 bits in 4 bytes
    return 0


cdef inline int64_t _text_bytes(str text) noexcept:
    """Return the bytes that the characters of a text take at most.

    Each is as wide as the widest. Other than ASCII, Python keeps the text as UTF-8 too once
    it was asked for that.
    """
    cdef int64_t width = PyUnicode_KIND(text)
    if PyUnicode_IS_ASCII(text):
        return len(text)
    return len(text) * (8 if width == 4 else 2 * width + 1)


# ---------------------------------------------------------------- what is declared of scopes

@cython.final
cdef class Declared:
    """What is declared of a scope; None is what holds for all.

    As long as the row of the scope stays the same, so does the object, whatever else is
    committed: what is derived from a declaration can be kept with it.

    Attributes:
        scope: its name.
        cache_ms: the lifetime of keys that are saved without one; None where the scope is no
            cache.
        history_days, history_versions, archive_days: the limits of its history.
        fold_keys: whether keys are the same in any case.
        schema: the change that set the schema of its values; None where there is none.
    """

    cdef readonly str scope
    cdef readonly object cache_ms
    cdef readonly object history_days
    cdef readonly object history_versions
    cdef readonly object archive_days
    cdef readonly bint fold_keys
    cdef readonly object schema
    cdef object enforcer    # what holds values to the schema, once it was needed
    cdef tuple row      # what all of this was made from; None where nothing is declared
    cdef int64_t era    # when it was last read, as _Declarations counts


cdef Declared _declared_by(str scope, tuple row):
    """Return the record for a row of ``_DECLARED``, or for none."""
    cdef Declared declared = <Declared>Declared.__new__(Declared)
    declared.scope = scope
    declared.row = row
    if row is not None:
        (declared.cache_ms, declared.history_days, declared.history_versions,
         declared.archive_days, fold_keys, declared.schema) = row
        declared.fold_keys = bool(fold_keys)
    return declared


@cython.final
cdef class _Declarations:
    """What is declared of the scopes that a store has used.

    A record is good if it is of the present era, and the era is good as long as the header
    is what it was, or up to the end of one transaction block: see ``_Session.find_declared``
    and ``_read_declared``.
    """

    cdef unsigned char* header  # NULL: there is none to compare
    cdef unsigned char checked[HEADER]
    cdef bint alone             # nobody else can have the database open
    cdef int64_t block          # serial of the only block in which the era is good; 0: anywhere
    cdef int64_t era
    cdef dict records           # scope -> Declared
    cdef Declared last          # the one that was found last, most often the next one too
    cdef bint any_schema        # whether any scope had a schema, as far as was read

    def __cinit__(self):
        self.records = {}
        self.last = <Declared>Declared.__new__(Declared)
        self.era = 1

    cdef inline bint header_same(self) noexcept:
        """Whether no commit has returned since the era began, or only such of this store."""
        return self.alone or self.header != NULL and _is_header(self.header, self.checked)

    cdef void switch_off(self):
        """Drop the header, before the connection closes, and all records."""
        self.header = NULL
        self.alone = False
        self.begin_era(0)
        self.records.clear()

    cdef void begin_era(self, int64_t block):
        """Read each record again before it is used."""
        self.block = block
        self.era += 1

    cdef Declared find(self, str scope):
        """Return the record of a scope, or None when it must be read."""
        cdef PyObject* found
        if self.last.scope is not scope:
            found = PyDict_GetItem(self.records, scope)
            if found == NULL:
                return None
            self.last = <Declared>found
        return self.last if self.last.era == self.era else None

    cdef Declared keep(self, str scope, tuple row, bint good):
        """Return the record for the row that a scope has now.

        Parameters:
            good: whether the row is of the present era; else it is for the caller alone.
        """
        cdef Declared declared = self.records.get(scope)
        if declared is None or declared.row != row:
            declared = _declared_by(scope, row)
            if declared.schema is not None:
                self.any_schema = True
            if len(self.records) >= SCOPES_MAX:
                self.records.clear()
            self.records[scope] = declared
        declared.era = self.era if good else 0
        self.last = declared
        return declared

    cdef bint before_commit(self) noexcept:
        """Whether the records are good, now that this store is about to commit."""
        return (len(self.records) != 0 and self.block == 0 and self.header != NULL
                and _is_header(self.header, self.checked))

    cdef void committed(self) noexcept:
        """Keep the records, which were good before this store committed, where only it did."""
        cdef unsigned char header[HEADER]
        if (_copy_header(self.header, header)
                and _commits(header) == <uint32_t>(_commits(self.checked) + 1)):
            memcpy(self.checked, header, HEADER)
