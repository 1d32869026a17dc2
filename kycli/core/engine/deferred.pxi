# Deferred writes: durability="async" acknowledges a save before it is committed. Part of
# storage.pyx: one extension is one file to load at start-up.
#
# Deferred writes are kept in memory. An open transaction would hold the write lock of all
# processes while this one is busy elsewhere, or stopped. A save decides its answer at once,
# from the deferred writes or else from the database, and a get reads the deferred writes
# first, so a program sees its own saves. Every other call commits them before it does
# anything, so everything happens in the order of the calls.
#
# They are committed in their order, as one transaction, by whichever comes first: a save that
# finds too many of them, or one that is too old; a call that is neither a save nor a get; a
# background thread; the end of the program. If the commit fails they stay deferred, and the
# call that tried it raises and has done nothing.

cdef enum:
    DEFER_ROWS = 500              # others wait for the write lock for about 3 ms
    DEFER_BYTES = 1 << 20
    DEFER_MS = 20
    DEFER_TICK_MS = 10            # how often the background thread looks
    DEFER_WAIT_MS = 5         # how long it waits for another writer
    DEFER_RETRY_MS = 100          # when it tries again after it has failed
    DEFER_VALUE_MAX = 1 << 16     # a larger value is not deferred

cdef str _NEWEST_TIME = "SELECT timestamp FROM audit_log ORDER BY id DESC LIMIT 1"

cdef dict _stores_with_deferred = {}      # id -> each session with deferred writes; keeps it alive
cdef int _committer = -1     # the value of _forks that the thread runs under; -1: none
cdef bint _at_exit = False   # the program ends: nothing is deferred any more
cdef int _registered = -1    # the value of _forks under which atexit was told

cdef class _Session(_Connection)


@cython.final
cdef class _Deferred:
    """The saves of one store that are yet to be committed."""

    cdef list rows        # (now, scope, key, kind, stored, size, expires_at, new), in order
    cdef dict newest      # scope -> {key: its last row}
    cdef Py_ssize_t count
    cdef int64_t bytes
    cdef int64_t since    # when the oldest was added
    cdef int64_t retry_at
    cdef bint committing
    cdef object clock     # the store's own, for tests: with it nothing here is real time

    def __cinit__(self, clock):
        self.clock = clock
        self.clear()

    cdef void clear(self):
        self.rows = []
        self.newest = {}
        self.count = self.bytes = self.retry_at = 0

    cdef tuple find(self, str scope, str key):
        """Return the last deferred row of a key, or None."""
        cdef dict keys
        if not self.count:
            return None
        keys = self.newest.get(scope)
        return None if keys is None else keys.get(key)

    cdef int64_t time(self, int clock) except -1:
        return _clock_ms(clock) if self.clock is None else time_of(self.clock)

    cdef bint is_due(self, int64_t wait_ms) except -1:
        return self.count > 0 and (
            self.count >= DEFER_ROWS or self.bytes >= DEFER_BYTES
            or self.time(CLOCK_MONOTONIC) - self.since >= wait_ms)

    cdef add(self, tuple row, str scope, str key, int64_t size):
        cdef dict keys
        if not self.count:
            self.since = self.time(CLOCK_MONOTONIC)
        self.rows.append(row)
        keys = self.newest.get(scope)
        if keys is None:
            keys = self.newest[scope] = {}
        keys[key] = row
        self.count += 1
        self.bytes += size + len(key)


cdef object _defer(
    _Session db, int64_t now, str scope, str key, int kind, stored, int64_t size, expires_at
):
    """Defer a save; return its answer, or None when it must not be deferred.

    Between ``enter_keeping_deferred`` and ``leave``.
    """
    cdef tuple before = _newest_row(db, scope, key)
    cdef object status = _STATUS_CREATED
    if kind == FLOAT and stored != stored:
        stored = None  # as SQLite keeps NaN
    if before is not None and not _has_expired(before[2], now):
        if before[1] == kind and is_same(kind, before[0], stored):
            status = _STATUS_NOCHANGE
            if before[2] == expires_at:
                return status
        else:
            status = _STATUS_OVERWRITTEN
    if not db.deferred.count and not _start_committer(db):
        return None
    row = now, scope, key, kind, stored, size, expires_at, before is None
    if _at_exit:  # since the call began: nobody would commit what is added now
        return None
    db.deferred.add(row, scope, key, size)
    return status


cdef tuple _newest_row(_Session db, str scope, str key):
    """Return ``(stored, kind, expires_at)`` of a key, deferred or committed, or None."""
    cdef tuple row = db.deferred.find(scope, key)
    cdef object found = None
    cdef object expires_at = None
    if row is not None:
        return row[4], row[3], row[6]
    if db.cache.current():
        found = db.cache.find(scope, key)
    if found is None:
        return _row_of(db, scope, key)
    if found is _ABSENT:
        return None
    if type(found) is _Expiring:
        if (<_Expiring>found).expires_at != NEVER:
            expires_at = (<_Expiring>found).expires_at
        found = (<_Expiring>found).value
    kind, stored, _ = encode(found)
    return None if kind == FLOAT and stored != stored else stored, kind, expires_at


cdef _commit_deferred(_Session db):
    """Commit the deferred writes as one transaction; if that fails, they stay deferred.

    Runs under the session's lock, outside of a call and of a transaction.
    """
    cdef _Deferred deferred = db.deferred
    cdef int64_t now, last, at, newest, bound, size
    cdef int kind
    cdef dict committed
    cdef Declared declared
    cdef list refused = []
    deferred.committing = True
    try:
        if not db.is_warm:
            db.warm_up()
        with _Transaction(db, None):
            if db.cache.header != NULL:
                try:
                    _catch_up(db)
                finally:
                    db.run.changes.reset()
            # The history gives each the time of its call, or the time of the last write by
            # another process if that was later, so that times are in order. The bound is for
            # a clock that was set back.
            last = db.fetch(_NEWEST_TIME, ()) or 0
            now = deferred.time(CLOCK_REALTIME)
            bound = min(last, now)
            db.enter()
            try:
                for at, scope, key, kind, stored, size, expires_at, new in deferred.rows:
                    if db.command is None:
                        db.change = 0  # each save is a change of its own
                    declared = _declared_in(db, scope)
                    if declared.schema is not None:
                        # Another process has set it since the save was acknowledged.
                        try:
                            value = _enforcer_of(db, declared).validate(key, decode(stored, kind))
                        except KycliError as error:
                            refused.append(error)
                            continue
                        kind, stored, size = encode(value)
                    if at < bound:
                        at = bound
                    if new and size <= INLINE_MAX:
                        _add_or_change(db, at, scope, key, stored, kind, expires_at)
                    else:
                        _change(db, at, scope, key, stored, kind, size <= INLINE_MAX,
                                expires_at)
            finally:
                db.leave()
            newest = _newest(db)
        # Before anything else can fail, so that nothing is committed twice.
        committed = deferred.newest
        deferred.clear()
        _stores_with_deferred.pop(id(db), None)
        if db.cache.header != NULL:
            db.cache.last_id = newest
            if refused:
                db.cache.flush()
            else:
                _keep_in_cache(db, committed)
    except FileReplacedError as error:
        count = deferred.count
        deferred.clear()
        _stores_with_deferred.pop(id(db), None)
        raise FileReplacedError(
            f"{error}; {count} deferred writes are lost", hint=error.hint) from error
    except (apsw.Error, UnicodeError) as error:
        raise db.translated(error) from error
    finally:
        deferred.committing = False
    for error in refused:
        imported("warnings").warn(f"a deferred save is lost: {error}", RuntimeWarning, 1)


cdef _keep_in_cache(_Session db, dict committed):
    """Cache what was just committed, and make the cache current."""
    cdef _Cache cache = db.cache
    cdef unsigned char header[HEADER]
    cdef object entry
    for scope, keys in committed.items():
        for key, row in (<dict>keys).items():
            entry = None if row[3] == JSON else _entry_of(decode(row[4], row[3]), row[6])
            if entry is None:
                cache.drop(scope, key)
            else:
                cache.put(scope, key, entry)
    if cache.copy_header(header):
        try:
            _catch_up(db)
            memcpy(cache.checked, header, HEADER)
        except apsw.Error:
            cache.flush()  # the next read catches up
        finally:
            db.run.changes.reset()


# ---------------------------------------------------------------- the background thread

cdef _register_exit_commit():
    """Commit the deferred writes when the program ends."""
    global _registered
    if _registered == _forks:
        return
    imported("atexit").register(_commit_at_exit)
    workers = sys.modules.get("multiprocessing.util")
    if workers is not None:  # its processes end without atexit
        workers.Finalize(None, _commit_at_exit, exitpriority=0)
    _registered = _forks


cdef bint _start_committer(_Session db) except -1:
    """Start the background thread if it does not run, and have it look at this store.

    Returns False when no thread can be started.
    """
    global _committer
    _register_exit_commit()
    if _committer != _forks:
        _committer = _forks
        try:
            _thread.start_new_thread(_committer_loop, ())
        except BaseException as error:
            _committer = -1
            if isinstance(error, RuntimeError):
                return False
            raise
    _stores_with_deferred[id(db)] = db
    return True


def _committer_loop():
    """Look at all stores with deferred writes, until there are none."""
    global _committer
    cdef int quiet = 0
    while quiet < 3:
        with nogil:
            usleep(DEFER_TICK_MS * 1000)
        if _at_exit:
            break
        quiet += 1
        for session in list(_stores_with_deferred.values()):
            quiet = 0
            _commit_if_due(session)
    _committer = -1  # before anybody else gets the GIL


cdef _commit_if_due(_Session db):
    cdef int64_t now = _clock_ms(CLOCK_MONOTONIC)
    if not db.deferred.count:
        _stores_with_deferred.pop(id(db), None)
        return
    # While the store is in use, its user commits, or the next look does.
    if now < db.deferred.retry_at or not db.lock.acquire(False):
        return
    try:
        if not db.deferred.is_due(DEFER_MS - DEFER_TICK_MS):
            return
        db.busy.limit_ms = DEFER_WAIT_MS
        db.flush()
    except Exception:
        db.deferred.retry_at = now + DEFER_RETRY_MS  # the next call of the program raises it
    finally:
        db.busy.limit_ms = 0
        db.lock.release()


cdef bint _commit_deferred_at_once(_Session db) except -1:
    """Commit the deferred writes if nobody has to be waited for; return whether none is left."""
    if not db.deferred.count:
        return True
    if not db.lock.acquire(False):
        return False
    db.busy.limit_ms = DEFER_WAIT_MS
    try:
        db.flush()
        return True
    except FileReplacedError:
        raise  # they are lost
    except KycliError:
        return False  # the next call that commits them raises it
    finally:
        db.busy.limit_ms = 0
        db.lock.release()


def _commit_at_exit():
    """Commit the deferred writes when the program ends; raise if that fails.

    From now on saves are committed at once, also those of objects that are deleted last.
    """
    global _at_exit
    _at_exit = True
    failed = None
    # Load what a save may need while Python can still import.
    for name in ("names", "values", "sqlite_errors"):
        imported(f"kycli.core.{name}")
    imported("hashlib")
    imported("kycli.core.authors").user()
    for session in list(_stores_with_deferred.values()):
        try:
            (<_Session>session).flush()
        except BaseException as error:
            failed = failed or error
    if failed is not None:
        raise failed
