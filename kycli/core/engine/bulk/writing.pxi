# Many new keys in one statement. Part of storage.pyx: one extension is one file to load at
# start-up.
#
# A statement that inserts 32 rows costs a third less per row than 32 statements. It uses OR FAIL.
# With the default, OR ABORT, SQLite copies each page that the statement changes, to be able to
# undo that statement alone; with keys in random order that costs more than the statement saves.
# OR FAIL keeps the rows before the one that fails, which is the first key that exists.

cdef enum:
    BULK_ROWS = 32
    BULK_PAUSE_MAX = 63  # batches that are written row by row, where most keys exist

cdef str _BULK_PUT = None
cdef str _BULK_LOG = None
cdef str _PACK_PUT = None
cdef str _PACK_LOG = None


cdef _build_bulk_sql():
    """Build the SQL of both statements, at its first use."""
    global _BULK_PUT, _BULK_LOG, _PACK_PUT, _PACK_LOG
    _BULK_PUT = (
        "INSERT OR FAIL INTO kvstore "
        "(scope, key, value, kind, expires_at, version, seq, updated_at) VALUES "
        + ", ".join(
            f"(?1, ?{row}, ?{row + 1}, ?{row + 2}, ?2, 1, ?4 + {offset}, ?3)"
            for offset, row in enumerate(range(5, 5 + 3 * BULK_ROWS, 3))))
    _BULK_LOG = (
        "INSERT OR FAIL INTO audit_log (scope, key, value, kind, op, version, timestamp, "
        "expires_at, author, pid, change) VALUES "
        + ", ".join(
            f"(?1, ?{row}, ?{row + 1}, ?{row + 2}, ?7, 1, ?3, ?2, ?4, ?5, ?6)"
            for row in range(8, 8 + 3 * BULK_ROWS, 3)))
    # Of text alone.
    _PACK_PUT = (
        "INSERT OR FAIL INTO kvstore "
        "(scope, key, value, kind, expires_at, version, seq, updated_at) VALUES "
        + ", ".join(
            f"(?1, ?{row}, ?{row + 1}, {TEXT}, ?2, 1, ?4 + {offset}, ?3)"
            for offset, row in enumerate(range(5, 5 + 2 * BULK_ROWS, 2))))
    _PACK_LOG = (
        "INSERT OR FAIL INTO audit_log (scope, key, value, kind, op, version, timestamp, "
        "expires_at, author, pid, change) VALUES "
        + ", ".join(
            f"(?1, ?{row}, ?{row + 1}, {TEXT}, ?7, 1, ?3, ?2, ?4, ?5, ?6)"
            for row in range(8, 8 + 2 * BULK_ROWS, 2)))


cdef class _BulkWriter:
    """The keys that one call saves in a scope, written a batch at a time, in their order.

    Used inside a transaction. Any other call on the store writes the batch first, so that an
    iterable that reads the store finds what it has yielded.
    """

    cdef Kycore store
    cdef _Session db
    cdef str scope
    cdef object lifetime  # milliseconds, or None
    cdef list rows        # (key, kind, stored) that are not written yet
    cdef int64_t now      # when they were given
    cdef _Native put      # None where rows are written one by one
    cdef _Native log
    cdef _Native put_pack
    cdef _Native log_pack
    cdef int pause        # batches that are yet to be written row by row
    cdef int last_pause

    cdef int operation    # IMPORTED, or UNCHANGED for what it is
    cdef int64_t created
    cdef int64_t overwritten
    cdef int64_t unchanged

    def __cinit__(self, Kycore store, str scope, lifetime, int operation=UNCHANGED):
        self.operation = operation
        self.store, self.db, self.scope, self.lifetime = store, store._db, scope, lifetime
        self.rows = []

    cdef add(self, str key, int kind, stored, int64_t size):
        cdef int64_t now = self.store._now()
        if self.rows and now != self.now:
            self.flush()
        self.now = now
        if size > INLINE_MAX:
            self.flush()
            self.count(_write_row(
                self.db, now, self.scope, key, stored, kind, False, self.expires_at(),
                self.operation))
            return
        self.rows.append((key, kind, stored))
        if len(self.rows) == BULK_ROWS:
            self.flush()
            PyErr_CheckSignals()
            with nogil:
                pass  # other threads take their turn

    cdef count(self, int operation):
        """Count a row by what was done."""
        if operation == UNCHANGED or operation == LIFETIME:
            self.unchanged += 1
        elif self.db.replaced:
            self.overwritten += 1
        else:
            self.created += 1

    cdef object expires_at(self):
        return None if self.lifetime is None else self.now + <int64_t>self.lifetime

    cdef flush(self):
        """Write the rows that wait."""
        cdef list rows = self.rows
        cdef Py_ssize_t written = 0
        cdef object expires_at
        if not rows:
            return
        self.rows = []
        expires_at = self.expires_at()
        self.db.enter()
        try:
            if len(rows) == BULK_ROWS:
                written = self.insert(rows, expires_at)
            for key, kind, stored in rows[written:]:
                self.count(_add_or_change(
                    self.db, self.now, self.scope, key, stored, kind, expires_at,
                    self.operation))
        except (apsw.Error, UnicodeError) as error:
            raise self.db.translated(error) from error
        finally:
            self.db.leave()

    cdef Py_ssize_t insert(self, list rows, expires_at) except -1:
        """Insert the rows before the first whose key exists, or has existed; return how many."""
        cdef Py_ssize_t written
        if self.pause:
            self.pause -= 1
            return 0
        if not self.prepare() or self.any_archived(rows):
            written = 0
        else:
            written = self.insert_new(rows, expires_at)
        self.created += written
        self.last_pause = (
            0 if written == BULK_ROWS else min(2 * self.last_pause + 1, BULK_PAUSE_MAX))
        self.pause = self.last_pause
        return written

    cdef bint prepare(self) except -1:
        if self.log is None and self.db.run.native:
            if _BULK_PUT is None:
                _build_bulk_sql()
            self.put = self.db.run.native_of(self.db.connection, _BULK_PUT)
            self.log = self.db.run.native_of(self.db.connection, _BULK_LOG)
            self.put_pack = self.db.run.native_of(self.db.connection, _PACK_PUT)
            self.log_pack = self.db.run.native_of(self.db.connection, _PACK_LOG)
        return (self.put is not None and self.log is not None
                and self.put_pack is not None and self.log_pack is not None)

    cdef bint any_archived(self, list rows) except -1:
        """Whether a key was deleted or has expired: it goes on where it left off."""
        if self.db.archived < 0:
            self.db.archived = self.db.cursor.execute(_ANY_ARCHIVED).get is not None
        if self.db.archived:
            for row in rows:
                if _last_archived(self.db, self.scope, row[0])[0]:
                    return True
        return False

    cdef Py_ssize_t insert_new(self, list rows, expires_at) except -1:
        cdef _Session db = self.db
        cdef _Native put = self.put, log = self.log
        cdef Py_ssize_t written
        self.bind_put(put, expires_at)
        _bind_rows(put, 5, rows)
        written = put.insert_or_fail()
        try:
            if written == BULK_ROWS:
                self.bind_log(log, expires_at)
                _bind_rows(log, 8, rows)
                log.execute_at_once()
                db.last_id += BULK_ROWS
            else:
                for key, kind, stored in rows[:written]:
                    _log(db, self.now, self.scope, key, stored, kind,
                         self.operation or CREATED, 1, 0, expires_at, False)
        except BaseException:
            db.roll_back_all()
            raise
        return written

    cdef bind_put(self, _Native put, expires_at):
        if self.db.last_id == 0:
            self.db.last_id = _newest(self.db)
        put.bind_text(1, self.scope)
        put.bind(2, expires_at)
        put.bind_int(3, self.now)
        put.bind_int(4, self.db.last_id + 1)

    cdef bind_log(self, _Native log, expires_at):
        cdef _Session db = self.db
        db.notice_restore()
        db.change = db.change or db.last_id + 1
        log.bind_text(1, self.scope)
        log.bind(2, expires_at)
        log.bind_int(3, self.now)
        log.bind_id(4, db.author)
        log.bind_id(5, db.pid)
        log.bind_id(6, db.change)
        log.bind_int(7, self.operation or CREATED)

    # -- packs

    cdef add_pack(self, Pack pack, Py_ssize_t end):
        """Write the rows of a pack up to one; at an error the current row is the one that failed.
        """
        cdef Py_ssize_t written, pause
        self.flush()
        if pack.at == 0 and pack.is_plain(pack.count):
            # Write neighbours in the tree together, so that their pages are in the
            # processor's cache. The error to report is that of the first row in the file, so
            # rows that may fail keep their order.
            pack.sort()
        while pack.at < end:
            PyErr_CheckSignals()
            with nogil:
                pass  # other threads take their turn
            if not self.pause and pack.at + BULK_ROWS <= end and pack.is_plain(BULK_ROWS):
                written = self.write_pack(pack)
                pack.at += written
                if written == BULK_ROWS:
                    continue
            pause = min(pack.at + BULK_ROWS, end)
            while pack.at < pause:
                kind, stored, size = encode(pack.value())
                self.add(check_key(pack.key()), kind, stored, size)
                pack.at += 1
            self.flush()

    cdef Py_ssize_t write_pack(self, Pack pack) except -1:
        """Insert the rows that come next, before the first whose key exists; return how many."""
        cdef Py_ssize_t written = 0
        self.now = self.store._now()
        self.db.enter()
        try:
            if self.prepare():
                if self.db.archived < 0:
                    self.db.archived = self.db.cursor.execute(_ANY_ARCHIVED).get is not None
                if not self.db.archived:
                    written = self.insert_pack(pack, self.expires_at())
        except (apsw.Error, UnicodeError) as error:
            raise self.db.translated(error) from error
        finally:
            self.db.leave()
        self.created += written
        return written

    cdef Py_ssize_t insert_pack(self, Pack pack, expires_at) except -1:
        cdef _Session db = self.db
        cdef _Native put = self.put_pack, log = self.log_pack
        cdef Py_ssize_t written, end
        self.bind_put(put, expires_at)
        _bind_pack(put, 5, pack)
        written = put.insert_or_fail()
        try:
            if written == BULK_ROWS:
                self.bind_log(log, expires_at)
                _bind_pack(log, 8, pack)
                log.execute_at_once()
                db.last_id += BULK_ROWS
            else:
                end = pack.at + written
                while pack.at < end:
                    _log(db, self.now, self.scope, pack.key(), pack.value(), TEXT,
                         self.operation or CREATED, 1, 0, expires_at, False)
                    pack.at += 1
                pack.at -= written
        except BaseException:
            db.roll_back_all()
            raise
        return written

    cdef release(self):
        """Let go of the last pack."""
        if self.put_pack is not None:
            self.put_pack.release(5)
        if self.log_pack is not None:
            self.log_pack.release(8)


cdef int _bind_pack(_Native statement, int position, Pack pack) except -1:
    cdef _Pair* pair = pack.pairs + pack.at
    cdef int i
    for i in range(BULK_ROWS):
        statement.bind_slice(position, pack.data + pair[i].key, pair[i].key_size, pack)
        statement.bind_slice(position + 1, pack.data + pair[i].value, pair[i].value_size, pack)
        position += 2
    return 0


cdef _bind_rows(_Native statement, int position, list rows):
    for key, kind, stored in rows:
        statement.bind_text(position, key)
        statement.bind(position + 1, stored)
        statement.bind_int(position + 2, kind)
        position += 3
