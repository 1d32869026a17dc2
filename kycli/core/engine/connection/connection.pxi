# A connection to one file, which threads take turns to use. Part of storage.pyx: one extension is
# one file to load at start-up.

# After so many uses a connection gets a cache and native statements.
cdef int USES_BEFORE_WARM_UP = 8


cdef class _Connection:
    """A connection to one file: opened, used by one thread at a time, reopened after a fork.

    Every use is between ``enter`` and ``leave``. A subclass that keeps state between calls,
    such as transactions, says so in the methods of the last section.
    """

    cdef object connection      # of APSW; None before it is opened, and after a fork
    cdef object cursor
    cdef _Statements run        # the prepared statements
    cdef _FairLock lock
    cdef object identity        # (device, inode) of the file
    cdef _OpenFiles files       # None where nothing can be written, or nothing is in a file
    cdef _BusyHandler busy
    cdef _Cache cache
    cdef _Declarations declarations
    cdef str path
    cdef str durability
    cdef bint is_open
    cdef bint read_only
    cdef bint orphan            # the connection is a parent process's
    cdef bint in_call           # between enter and leave
    cdef int uses               # of this connection, until it is warmed up
    cdef bint is_warm           # warm_up was called for this connection
    cdef int generation         # the value of _forks that the connection belongs to
    cdef object __weakref__

    def __cinit__(self, str path, str durability, int64_t timeout_ms, _Cache cache, *rest):
        self.path = path
        self.durability = durability
        self.busy = _BusyHandler(timeout_ms)
        self.cache = cache
        self.declarations = _Declarations()
        self.lock = _FairLock()
        self.generation = _forks

    cdef open(self):
        self.connect()
        self.is_open = True
        key = id(self)
        _connections[key] = _weakref.ref(self, lambda _: _connections.pop(key, None))

    cdef connect(self):
        opening = imported("kycli.core.opening")
        if _forked_while_opening:
            raise ForkError(
                f"{self.path}: this process was forked while a thread was opening a store",
                hint="fork before there are threads, or start processes with 'spawn'",
            )
        if self.identity is not None and opening.identity_of(self.path) != self.identity:
            raise CannotOpenError(
                f"{self.path}: the file was removed or replaced while the process forked",
                hint="open the store again",
            )
        if _inherited and opening.identity_of(self.path) in _inherited:
            raise ForkError(
                f"{self.path}: this process was forked in the middle of work on it",
                hint="fork outside of transactions, or start processes with 'spawn'",
            )
        _opening_lock.acquire()
        try:
            self.connection = opening.connect(self.path, self.durability, self.busy)
            self.cursor = self.connection.cursor()
            self.run = _Statements(self.connection, self.cursor, False)
            self.read_only = self.connection.readonly("main")
            self.identity = opening.identity_of(self.path)
            if self.path != MEMORY and not self.read_only:
                self.files = _OpenFiles(self.path, self.connection.filename_wal)
            self.connected()
            if kycli_file_system(self.path.encode()) == 2:
                imported("warnings").warn(
                    f"{self.path} is on a network file system: SQLite's write-ahead log "
                    "works for the processes of one machine only", RuntimeWarning, 3)
        except (apsw.Error, UnicodeError) as error:
            raise self.translated(error) from error
        finally:
            _opening_lock.release()

    cdef note_use(self):
        """Count a use, and warm the connection up when it pays. Between ``enter`` and ``leave``."""
        if self.is_warm:
            return
        self.uses += 1
        if self.uses >= USES_BEFORE_WARM_UP and not self.in_block():
            self.uses = 0
            self.warm_up()

    cdef warm_up(self):
        """Set up what is kept in memory and native statements, for more than a few uses."""
        self.is_warm = True
        self.cursor.execute(_PAGE_CACHE)
        self.use_native_statements()
        if self.path == MEMORY:
            self.declarations.alone = True
        elif kycli_file_system(self.path.encode()) == 0:
            self.declarations.header = _wal_index_header(self.connection)
            if self.cache.max_entries:
                self.cache.last_id = _newest(self)
                self.cache.schema = (
                    0 if self.run.native else self.connection.pragma("schema_version"))
                self.cache.header = self.declarations.header

    cdef object mark(self):
        """Return what differs after a commit of anybody. Between ``enter`` and ``leave``."""
        cdef str fate
        if not self.is_warm and not self.in_block():
            self.warm_up()
        if self.identity is not None:
            fate = _fate_of(self.path, self.identity)
            if fate is not None:
                raise FileReplacedError(
                    f"{self.path}: the file was {fate} while this store had it open",
                    hint="open the store again",
                )
        if self.declarations.header != NULL:
            # The first copy is the last that a commit writes. Bytes of a commit under way differ
            # from those before it, and from those after it.
            kycli_acquire()
            return PyBytes_FromStringAndSize(<char*>self.declarations.header, HEADER)
        return self.connection.pragma("data_version"), self.connection.total_changes()

    cdef use_native_statements(self):
        """Execute the statements of the hot path without APSW, where that is possible."""
        if not self.run.native and _reach_sqlite():
            self.run = _Statements(self.connection, self.cursor, True)
            self.statements_replaced()

    cdef close(self):
        if not self.is_open:
            return
        if self.generation != _forks:
            self.drop_in_child(False)
        if self.orphan or self.connection is None:
            self.is_open = False
            _connections.pop(id(self), None)
            return
        self.enter()
        try:
            if self.in_block():
                raise MisuseError("the store cannot be closed inside a transaction")
            self.close_connection()
            self.is_open = False
            _connections.pop(id(self), None)
        except apsw.Error as error:
            raise self.translated(error) from error
        finally:
            self.leave()

    cdef int watch(self) except -2:
        """Begin to watch the file; return the descriptor that tells of changes, -1 for none."""
        self.enter()
        try:
            if self.files is None:
                return -1
            if not self.files.watched:
                self.files.watch(_wal_index_header(self.connection))
            return self.files.watching
        finally:
            self.leave()

    cdef bint close_if_replaced(self, bint is_notified) except -1:
        """Close the connection if its file is another than it has opened; return whether it is."""
        if not self.is_open:
            return True
        if self.generation != _forks or self.connection is None or self.files is None:
            return False
        self.enter()
        try:
            if self.in_block() or not self.files.watched:
                return False
            if not self.files.is_replaced(is_notified):
                return False
            self.leave_files_alone()
            self.files.remove_log()
            self.close_connection()
            self.is_open = False
            _connections.pop(id(self), None)
            return True
        except apsw.Error as error:
            raise self.translated(error) from error
        finally:
            self.leave()

    cdef close_connection(self):
        """Close the connection, if there is one."""
        if self.connection is None:
            return
        _opening_lock.acquire()
        try:
            self.cache.switch_off()
            self.declarations.switch_off()
            self.run.finalize()
            if self.files is not None and not self.files.wal_is_ours():
                self.leave_files_alone()
            self.connection.close()
        finally:
            _opening_lock.release()
            self.connection = self.cursor = self.run = self.files = None
            self.is_warm = False

    # -- calls

    cdef enter(self):
        """Take the connection for one call; open it again after a fork."""
        if not self.is_open:
            raise ClosedError("the store is closed")
        if self.generation != _forks or self.orphan:
            self.reopen_or_refuse()
        if not self.lock.acquire(self.busy.timeout_ms):
            raise BusyError(
                f"{self.path}: held by another thread of this process for over "
                f"{self.busy.timeout_ms / 1000:g} s",
                hint="its transaction must end first",
            )
        if self.lock.orphaned:
            try:
                self.roll_back_orphaned(True)
            except BaseException:
                self.lock.release()
                raise
        if self.in_call:
            self.lock.release()
            raise MisuseError(
                "the store is in the middle of a call",
                hint="a signal handler cannot use the store that it interrupted",
            )
        self.in_call = True
        try:
            if not self.is_open:
                raise ClosedError("the store was closed by another thread")
            if self.connection is None:
                self.connect()
            self.check_block()
        except BaseException:
            self.leave()
            raise

    cdef leave(self):
        self.in_call = False
        self.lock.release()

    cdef object translated(self, error):
        # A file without its -wal, or with another one, reads as if it were damaged.
        if isinstance(error, apsw.CorruptError) and self.files is not None:
            try:
                self.check_files()
            except FileReplacedError as replaced:
                return replaced
        return imported("kycli.core.sqlite_errors").translate(
            error, self.path, self.busy.timeout_ms)

    cdef control(self, str sql):
        """Begin or end a transaction or a savepoint without being interrupted by a signal."""
        self.busy.uninterrupted = True
        try:
            self.cursor.execute(sql)
        finally:
            self.busy.uninterrupted = False

    cdef roll_back_all(self):
        """Roll the whole transaction back, with all savepoints."""
        if self.connection is not None and self.connection.in_transaction:
            self.control("ROLLBACK")

    # -- the files

    cdef check_files(self):
        cdef str missing = None if self.files is None else self.files.missing()
        if missing is None:
            return
        self.leave_files_alone()
        raise FileReplacedError(
            f"{self.path}: {missing} while this store had it open; nothing was saved",
            hint="open the store again; to copy a database that is in use, make a backup",
        )

    cdef leave_files_alone(self):
        """Keep closing from copying the -wal into the database, and from removing it.

        Both would harm whoever uses the files that are in place now.
        """
        self.connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)

    # -- around a fork

    cdef bint prepare_fork(self, int64_t deadline) except -1:
        """Before a fork: close an idle connection, and keep the lock until it is done."""
        cdef bint closed = False
        if not self.acquired(deadline):
            return False
        try:
            if self.lock.orphaned:
                self.roll_back_orphaned(True)
            if not self.in_call and not self.in_block():
                self.commit_before_fork(deadline)
                closed = self.path == MEMORY or self.closed_by(deadline)
        except BaseException as error:
            _postpone(error)
            closed = self.connection is None
        finally:
            if not closed:
                self.lock.release()
        return closed

    cdef bint acquired(self, int64_t deadline) except -1:
        """``_acquired`` for the session's own lock."""
        try:
            return self.lock.acquire(deadline - _clock_ms(CLOCK_MONOTONIC))
        except BaseException as error:
            _postpone(error)
            return self.lock.acquire(0)

    cdef bint closed_by(self, int64_t deadline) except -1:
        """Close the connection before a deadline; return whether there is none now."""
        if self.connection is None:
            return True
        if not _acquired(_opening_lock, deadline):
            return False
        try:
            self.leave_files_alone()
            self.close_connection()
            return True
        finally:
            _opening_lock.release()

    cdef drop_in_child(self, bint in_use):
        """In a child: never use the connection of the parent, nor its file.

        With ``in_use`` another thread was in a call at the fork, and never releases the lock.
        """
        self.generation = _forks
        if in_use:
            self.lock.forget()
        self.lock.waiting = 0  # the waiting threads are in the parent
        self.forget_deferred()  # the parent commits them
        if self.connection is None and not in_use:
            return
        # It must not be closed, not even at the end of this process, so it is leaked.
        for inherited in (self.connection, self.cursor, self.run):
            Py_INCREF(inherited)
        self.cache.switch_off()
        self.declarations.switch_off()
        self.connection = self.cursor = self.run = self.files = None
        self.orphan = True
        if self.identity is not None:
            _inherited.add(self.identity)

    cdef reopen_or_refuse(self):
        """In a child: open a connection if the parent had closed its own, or refuse."""
        if self.generation != _forks:
            self.drop_in_child(False)
        if self.orphan:
            raise ForkError(
                f"{self.path}: the store was forked in the middle of its work",
                hint="fork outside of transactions, or open a store in the child",
            )


    # -- what a subclass adds

    cdef connected(self):
        """A connection was opened."""

    cdef statements_replaced(self):
        """``run`` holds other statements than before."""

    cdef bint in_block(self):
        """Whether a transaction block is open, which outlasts a call."""
        return False

    cdef check_block(self):
        """Raise when the block that the call is in was rolled back."""

    cdef roll_back_orphaned(self, bint warn):
        """Roll back what a thread was in when it ended; the lock is the caller's now."""
        self.lock.orphaned = self.in_call = False

    cdef commit_before_fork(self, int64_t deadline):
        """Commit the deferred writes; if that fails they stay deferred, in the parent."""

    cdef forget_deferred(self):
        """In a child: drop the deferred writes."""
