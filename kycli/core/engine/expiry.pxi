# Expiry: when a key has expired, how long a new key lives, and how expired keys are archived.
# Part of storage.pyx: one extension is one file to load at start-up.
#
# ``expires_at`` is a time in milliseconds since the epoch, or None for a key that never expires. From
# that time on no call finds the key, whether or not its row has been archived. All parts of the
# engine ask one of these three functions. Statements on many rows have the same condition in SQL,
# LIVE in ``kycli.core.layout``; other modules call ``has_expired`` in ``operations/expiry_rules.py``.

cdef inline bint _is_past(int64_t expires_at, int64_t now) noexcept:
    """Whether a key that expires at a time has expired."""
    return expires_at <= now


cdef inline bint _has_expired(object expires_at, int64_t now) except -1:
    """The same where it is an int or None."""
    return expires_at is not None and _is_past(<int64_t>expires_at, now)


cdef inline bint _row_has_expired(_Statement row, int column, int64_t now) except -1:
    """The same where a column of a row has it."""
    return not row.is_null(column) and _is_past(row.int_at(column), now)


cdef object _lifetime_by(Declared declared, object lifetime):
    """Return the time to live of a key saved in a named namespace, in milliseconds, or None."""
    if lifetime is None:
        return declared.cache_ms
    if declared.cache_ms is None:
        from kycli.core.operations.expiry_rules import not_a_cache

        raise not_a_cache(declared.scope)
    return lifetime


# ---------------------------------------------------------------- sweeping
#
# Expired keys are archived, and limited histories pruned, a few rows at a time, after other
# calls.

# Rows of expired keys that one write, or one read that met one, archives at most; a
# write of many rows adds as many, so that the sweep keeps up with any writer.
cdef int SWEEP_ROWS = 64
cdef int SWEEP_ROWS_MAX = 10_000
# The least time between two searches for expired rows.
cdef int64_t SWEEP_PAUSE_MS = 1000
# Where scopes limit their history: the most writes between two pruning steps, and the pause
# between steps while there is more to prune.
cdef int64_t SWEEP_WRITES = 64
cdef int64_t SWEEP_AGAIN_MS = 50


@cython.final
cdef class _Sweeper:
    """When a store looks for expired rows and for history to prune, and how much at once."""

    cdef int64_t due        # the time of the next look
    cdef int64_t written    # rows since the last one
    cdef bint limited       # some scope limits its history or archive, as of the last look

    cdef archive_key(self, Kycore store, str scope, key):
        """Archive an expired key that a read found, and a few more."""
        self.archive(store, [(scope, key)], 1)
        self.sweep(store, 0, False)

    cdef sweep(self, Kycore store, int64_t written, bint at_once):
        """Archive a bounded number of expired rows and prune some, at most once a second.

        Runs after the caller's own work is committed, so it never fails.
        """
        cdef int64_t now, batch
        self.written += written
        if store._db.depth or store._db.read_only:
            return
        now = store._now()
        # A clock that was set back must not stop this.
        if (now < self.due and self.due - now <= SWEEP_PAUSE_MS
                and not (self.limited and self.written >= SWEEP_WRITES) and not at_once):
            return
        self.due = now + SWEEP_PAUSE_MS
        # What follows would commit them, and wait for another writer as long as any call does.
        if store._db.deferred is not None and not _commit_deferred_at_once(store._db):
            return
        batch = min(SWEEP_ROWS + self.written, SWEEP_ROWS_MAX)
        self.written = 0
        if self.archive(store, None, batch) >= batch:
            self.due = now  # there is more
        elif self.prune(store, batch):
            self.due = now + SWEEP_AGAIN_MS

    cdef bint prune(self, Kycore store, int64_t written) except -1:
        """Enforce the history limits of scopes, one step; return whether there is more to do.

        Like ``archive``, it does not wait for other writers.
        """
        cdef _Session db = store._db
        if db.reading:
            return False
        try:
            self.limited = db.fetch(_ANY_LIMIT, ()) is not None
            if not self.limited:
                return False
            retention = imported("kycli.core.history.retention")
            db.busy.no_wait = True
            return retention.sweep(store, written)
        except KycliError:
            return False
        finally:
            db.busy.no_wait = False

    cdef int64_t archive(self, Kycore store, list keys, int most) except -1:
        """Archive expired rows, of the given keys or any; return how many.

        Does nothing while the database is busy, full or read-only: a later write will archive
        them, or report the error.
        """
        cdef _Session db = store._db
        cdef int64_t now, count
        try:
            db.enter()
        except KycliError:
            return 0
        try:
            if db.read_only or db.depth:
                return 0
            now = store._now()
            # Search without the write lock first: most often nothing has expired.
            if keys is None and db.cursor.execute(_ANY_EXPIRED, (now,)).get is None:
                return 0
            db.busy.no_wait = True
            try:
                db.take_write_lock()
            finally:
                db.busy.no_wait = False
            if keys is None:
                keys = db.cursor.execute(_EXPIRED, (now, most)).fetchall()
            count = 0
            for scope, key in keys:
                count += _archive(db, now, scope, key, EXPIRED) != UNCHANGED
            db.commit_all()
            return count
        except (apsw.Error, UnicodeError, FileReplacedError):
            db.roll_back_all()
            return 0
        except BaseException:
            db.roll_back_all()
            raise
        finally:
            db.leave()
