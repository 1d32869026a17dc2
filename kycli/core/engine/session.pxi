# One connection: its lock, its transactions, and what a fork does to it. Part of
# storage.pyx: one extension is one file to load at start-up.
#
# SQLite's locks and shared memory do not survive a fork: a child that went on with
# what it inherited would corrupt the file. So before a fork every idle session closes
# its connection, and parent and child each open their own at the next call. A session
# that is in a transaction, or in a call, at that moment keeps its connection in the
# parent; in the child it refuses to work, and so does any new one on the same file.

cdef int _forks = 0  # counted in every child, also of a fork that Python does not see
cdef dict _sessions = {}  # id -> weak reference to each open session
cdef dict _held = {}  # forking thread -> for each fork a list of what it holds the locks of
cdef set _inherited = set()  # files that this process must not open, as (device, inode)
# Held while a connection is opened or closed: a fork in the middle of it would leave the
# child with a lock inside SQLite that nobody opens any more.
cdef object _opening = _thread.RLock()
cdef bint _half_open = False  # this process was forked while another thread was opening
cdef int64_t FORK_PATIENCE_MS = 1000  # how long a fork waits for calls of other threads
cdef object _postponed = None  # raised by the handler of a signal while a fork was prepared


cdef void _count_fork() noexcept nogil:
    global _forks
    _forks += 1


def _before_fork():
    """Close the connections that are idle, and hold their locks until the fork is done.

    A signal may come at any wait here. What its handler raises is kept until after the fork:
    an exception from a fork hook would not stop the fork, and would leave locks behind.
    """
    cdef int64_t deadline = _clock_ms(CLOCK_MONOTONIC) + FORK_PATIENCE_MS
    cdef list held = []
    # A stack, because the handler of a signal that comes during this may fork as well.
    _held.setdefault(_thread.get_ident(), []).append(held)
    for reference in list(_sessions.values()):
        session = reference()
        if session is not None and (<_Session>session).park(deadline):
            held.append(session)
    if _acquired(_opening, deadline):
        held.append(_opening)


def _after_fork():
    cdef list forks = _held.get(_thread.get_ident())
    if not forks:
        return
    for held in reversed(forks.pop()):
        if held is _opening:
            _opening.release()
        else:
            (<_Session>held).lock.release()
    if not forks:
        del _held[_thread.get_ident()]


def _after_fork_in_child():
    global _half_open, _postponed
    cdef list forks = _held.get(_thread.get_ident())
    held = forks[-1] if forks else []
    _postponed = None  # the parent raises it
    if _opening not in held:
        _half_open = True
    try:
        for reference in list(_sessions.values()):
            session = reference()
            if session is not None:
                (<_Session>session).disown(session not in held)
        _waiting.clear()
    finally:
        _after_fork()


cdef bint _acquired(lock, int64_t deadline) except -1:
    """Acquire a lock of Python's before a deadline; return whether that was possible."""
    try:
        return lock.acquire(timeout=_seconds_until(deadline))
    except BaseException as error:
        _postpone(error)
        return lock.acquire(False)


cdef _postpone(error):
    """Keep an exception that came before a fork until the fork is done, if it is a signal's.

    Handlers of signals run in the main thread. Other exceptions are of a commit that was
    tried, and the next call tries it again.
    """
    global _postponed
    cdef bint is_signals = True
    try:
        threading = imported("threading")
        is_signals = threading.current_thread() is threading.main_thread()
    except BaseException:  # of a second signal
        pass
    if is_signals and _postponed is None:
        _postponed = error
        # Hooks run in the order in which they were registered. This one is the last, so that
        # no hook of another library's is interrupted by the exception.
        os.register_at_fork(after_in_parent=_raise_soon)


def _raise_soon():
    """Have the main thread raise what was postponed, as soon as it executes Python again."""
    if _postponed is not None:
        Py_AddPendingCall(_raise_postponed, NULL)


cdef int _raise_postponed(void* nothing) except -1:
    global _postponed
    error, _postponed = _postponed, None
    if error is not None:
        raise error
    return 0


cdef double _seconds_until(int64_t deadline):
    return max(0, deadline - _clock_ms(CLOCK_MONOTONIC)) / 1000


pthread_atfork(NULL, NULL, _count_fork)
os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child
)


@cython.final
cdef class _Session:
    """A connection to one file that threads take turns with.

    Every use of the connection is between ``enter`` and ``leave``; a transaction keeps
    the lock from its ``begin`` to its ``end``.
    """

    cdef object connection
    cdef object cursor
    cdef _Turn lock
    cdef object identity        # (device, inode) of the file
    cdef _OpenFiles files       # None where nothing can be written, or nothing is in a file
    cdef _Patience patience
    cdef _Cache cache
    cdef _Deferred deferred     # None when each save is committed before it returns
    cdef str path
    cdef str durability
    cdef str command            # what the history calls the writer, when it is a command
    cdef int64_t author         # the writer's number in the history; 0 before it is known
    cdef int64_t pid
    cdef int64_t change         # that the rows written are part of; 0 before there is one
    cdef int64_t change_before  # the call under way
    cdef int64_t schema         # what tells that the schema has changed; -1 before it is known
    cdef bint is_open
    cdef bint read_only
    cdef bint orphan            # the connection is a parent process's
    cdef bint in_call           # between enter and leave
    cdef int uses               # of this connection, until it is warmed up
    cdef bint is_warm           # warm_up was called for this connection
    cdef int reading            # the level of the outermost block that is a snapshot; 0: none
    cdef int generation         # the value of _forks that the connection belongs to
    cdef int depth              # of nested transaction blocks
    cdef int abandoned          # blocks that were rolled back and are yet to be left
    cdef uint64_t abandoned_by  # the thread in which they are
    cdef int64_t serial         # of the outermost block
    cdef int64_t last_id        # of the log, in the transaction under way; 0 before it is known
    cdef int archived           # whether the archive holds anything, in the same; -1: not known
    cdef _Statements run
    cdef object __weakref__

    def __cinit__(self, str path, str durability, int64_t timeout_ms, _Cache cache, str command):
        self.path = path
        self.durability = durability
        self.patience = _Patience(timeout_ms)
        self.cache = cache
        self.command = command
        self.lock = _Turn()
        self.generation = _forks

    cdef open(self):
        self.connect()
        self.is_open = True
        key = id(self)
        _sessions[key] = _weakref.ref(self, lambda _: _sessions.pop(key, None))

    cdef connect(self):
        opening = imported("kycli.core.opening")
        if _half_open:
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
        _opening.acquire()
        try:
            self.connection = opening.connect(self.path, self.durability, self.patience)
            self.cursor = self.connection.cursor()
            self.run = _Statements(self.connection, self.cursor, False)
            self.author, self.schema = 0, -1
            if self.pid != os.getpid():  # else the same process goes on after a fork
                self.pid, self.change = os.getpid(), 0
            self.read_only = self.connection.readonly("main")
            self.identity = opening.identity_of(self.path)
            if self.path != MEMORY and not self.read_only:
                self.files = _OpenFiles(self.path, self.connection.filename_wal)
            if kycli_file_system(self.path.encode()) == 2:
                imported("warnings").warn(
                    f"{self.path} is on a network file system: SQLite's write-ahead log "
                    "works for the processes of one machine only", RuntimeWarning, 3)
        except (apsw.Error, UnicodeError) as error:
            raise self.translated(error) from error
        finally:
            _opening.release()

    cdef note_use(self):
        """Warm the connection up at one of its first uses. Between ``enter`` and ``leave``."""
        if self.is_warm:
            return
        self.uses += 1
        if self.uses >= USES_BEFORE_WARM_UP and self.depth == 0:
            self.uses = 0
            self.warm_up()

    cdef warm_up(self):
        """Set up what pays only for a store that is used more than a few times."""
        self.is_warm = True
        self.cursor.execute(_PAGE_CACHE)
        self.use_native_statements()
        if (self.cache.max_entries and self.path != MEMORY
                and kycli_file_system(self.path.encode()) == 0):
            self.cache.last_id = _newest(self)
            self.cache.schema = (
                0 if self.run.native else self.connection.pragma("schema_version"))
            self.cache.header = _wal_index_header(self.connection)

    cdef use_native_statements(self):
        """Execute the hot path's statements without APSW, where that works."""
        if not self.run.native and _reach_sqlite():
            self.run = _Statements(self.connection, self.cursor, True)
            self.schema = -1

    cdef close(self):
        if not self.is_open:
            return
        if self.generation != _forks:
            self.disown(False)
        if self.orphan or self.connection is None:
            self.is_open = False
            _sessions.pop(id(self), None)
            return
        self.enter()
        try:
            if self.depth:
                raise MisuseError("the store cannot be closed inside a transaction")
            self.hang_up()
            self.is_open = False
            _sessions.pop(id(self), None)
        except apsw.Error as error:
            raise self.translated(error) from error
        finally:
            self.leave()

    cdef hang_up(self):
        """Close the connection, if there is one."""
        if self.connection is None:
            return
        _opening.acquire()
        try:
            self.cache.switch_off()
            self.run.finalize()
            if self.files is not None and not self.files.wal_is_ours():
                self.leave_files_alone()
            self.connection.close()
        finally:
            _opening.release()
            self.connection = self.cursor = self.run = self.files = None
            self.is_warm = False

    # -- calls

    cdef enter(self):
        """Take the connection for one call, with nothing waiting to be committed."""
        self.enter_ahead()
        if (self.deferred is None or not self.deferred.count or self.deferred.committing):
            return
        self.in_call = False  # committing takes calls of its own
        try:
            _settle(self)
        except BaseException:
            self.lock.release()
            raise
        self.in_call = True

    cdef enter_ahead(self):
        """Take the connection for a call that minds what waits; open it again after a fork."""
        if not self.is_open:
            raise ClosedError("the store is closed")
        if self.generation != _forks or self.orphan:
            self.adopt_or_refuse()
        if not self.lock.acquire(self.patience.timeout_ms):
            raise BusyError(
                f"{self.path}: held by another thread of this process for over "
                f"{self.patience.timeout_ms / 1000:g} s",
                hint="its transaction must end first",
            )
        if self.lock.left:
            try:
                self.clear_up(True)
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
            if self.abandoned and self.abandoned_by == _this_thread():
                raise MisuseError(
                    "the transaction was rolled back: its blocks were left in another order "
                    "than they were entered", hint="leave the other blocks first")
            if self.depth and not self.connection.in_transaction:
                raise StorageError(
                    "the transaction was rolled back by an error within it",
                    hint="leave the transaction and try it again",
                )
        except BaseException:
            self.leave()
            raise

    cdef leave(self):
        self.in_call = False
        self.lock.release()

    cdef flush(self):
        """Commit what waits."""
        self.enter()
        self.leave()

    cdef object fetch(self, str sql, tuple bindings):
        """Execute one statement; return its only value or row, or None when there is none."""
        self.enter()
        self.last_id = 0  # it may write to the log
        try:
            return self.cursor.execute(sql, bindings).get
        except (apsw.Error, UnicodeError) as error:
            raise self.translated(error) from error
        finally:
            self.leave()

    cdef list fetch_all(self, str sql, tuple bindings):
        """Execute one statement; return its rows."""
        self.enter()
        self.last_id = 0  # it may write to the log
        try:
            return self.cursor.execute(sql, bindings).fetchall()
        except (apsw.Error, UnicodeError) as error:
            raise self.translated(error) from error
        finally:
            self.leave()

    cdef object translated(self, error):
        return imported("kycli.core.faults").translate(
            error, self.path, self.patience.timeout_ms)

    # -- transactions

    cdef begin(self, _Transaction block):
        self.enter()
        try:
            self.note_use()
            if block.reading:
                if self.depth == 0:
                    self.control("BEGIN")
                    self.cursor.execute(_FIX_SNAPSHOT)
            else:
                self.check_writing()
                if self.depth == 0:
                    self.take_write_lock()
            if self.depth:
                self.control(f"SAVEPOINT kycli_{self.depth}")
            else:
                self.serial += 1
            self.depth += 1
            if block.reading and not self.reading:
                self.reading = self.depth
            block.serial, block.level, block.change = self.serial, self.depth, self.change
            block.thread = _this_thread()
            self.in_call = False
        except BaseException as error:
            try:
                if self.depth == 0:
                    self.give_up()
            finally:
                self.leave()
            if isinstance(error, apsw.Error):
                raise self.translated(error) from error
            raise

    cdef check_writing(self):
        """Raise where writing is refused; know who writes, before it is in a transaction."""
        if self.reading:
            raise MisuseError("a snapshot is for reading, not for writing")
        if self.read_only:
            raise self.translated(apsw.ReadOnlyError())
        if self.author == 0 and self.depth == 0:
            self.author = imported("kycli.core.authors").number_of(
                self.connection, self.command or "")

    cdef notice_restore(self):
        """Look up the author anew, inside a transaction, when the schema has changed.

        It may be another database by now: one restored by SQLite's backup API, which has
        other numbers for authors and for changes.
        """
        cdef int64_t schema
        if self.run.native:
            # One of the two has been executed in each transaction that writes.
            schema = (self.run.before.times_prepared_again()
                      + self.run.newest.times_prepared_again())
        else:
            schema = self.connection.pragma("schema_version")
        if schema == self.schema:
            return
        if self.schema >= 0 and self.author:
            self.author = imported("kycli.core.authors").number_of(
                self.connection, self.command or "")
            self.change = 0
        self.schema = schema

    cdef take_write_lock(self):
        """Begin a transaction that writes; what is read from now on is what it changes."""
        self.change_before = self.change
        self.patience.deaf = True
        try:
            self.run.begin.execute()
        finally:
            self.patience.deaf = False
        self.last_id = 0
        self.archived = -1

    cdef commit_all(self):
        """Commit, unless the commit would go into a file that nobody can find again.

        Raises:
            FileReplacedError: the transaction is still open, and must be rolled back.
        """
        self.check_files()
        self.patience.deaf = True
        try:
            self.run.commit.execute()
        finally:
            self.patience.deaf = False

    cdef check_files(self):
        cdef str missing = None if self.files is None else self.files.missing()
        if missing is None:
            return
        self.leave_files_alone()
        raise FileReplacedError(
            f"{self.path}: {missing} while this store had it open; nothing was saved",
            hint="open the store again; to copy a database that is in use, use SQLite's .backup",
        )

    cdef leave_files_alone(self):
        """Let closing neither copy the log into the database nor remove it by its name.

        Both would harm whoever uses the files that are there now.
        """
        self.connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)

    cdef control(self, str sql):
        """Begin or end a transaction or a part of it: done or not done, never interrupted."""
        self.patience.deaf = True
        try:
            self.cursor.execute(sql)
        finally:
            self.patience.deaf = False

    cdef give_up(self):
        """Roll everything back: half of a change is worse than none."""
        if self.connection is not None and self.connection.in_transaction:
            self.control("ROLLBACK")

    # One call that writes: its own transaction, or a part of the one it is in.

    cdef begin_call(self):
        """Take the connection and the write lock, until ``leave``."""
        self.enter()
        try:
            self.note_use()
            self.check_writing()
            if self.depth == 0:
                self.take_write_lock()
        except BaseException as error:
            try:
                if self.depth == 0:
                    self.give_up()
            finally:
                self.leave()
            if isinstance(error, apsw.Error):
                raise self.translated(error) from error
            raise

    cdef commit_call(self):
        if self.depth == 0:
            self.commit_all()

    cdef object failed_call(self, error):
        """Roll back a call that is a transaction of its own; return the error to raise."""
        if self.depth == 0:
            self.give_up()
            self.change = self.change_before
        return self.translated(error) if isinstance(error, (apsw.Error, UnicodeError)) else error

    cdef end(self, _Transaction block, bint keep):
        """Commit or roll back the innermost block, which must be this one."""
        cdef int level = block.level
        if level == 0:
            raise MisuseError("the transaction was not begun, or is over")
        if self.generation != _forks or self.orphan:
            if keep:
                raise ForkError("the transaction is the parent process's")
            return
        if block.thread != _this_thread():
            if _is_alive(block.thread):
                raise MisuseError(
                    "a transaction ends in the thread in which it began",
                    hint="do not let a block span a yield",
                )
            block.level = 0
            if block.serial == self.serial and self.lock.acquire(0):
                try:
                    self.clear_up(False)
                finally:
                    self.lock.release()
            raise MisuseError(
                "the transaction was rolled back: the thread in which it began has ended",
                hint="do not let a block span a yield",
            )
        block.level = 0
        if block.serial != self.serial or level != self.depth:
            if self.abandoned and self.abandoned_by == block.thread:
                self.abandoned -= 1
            elif block.serial == self.serial:
                self.abandon()
            raise MisuseError(
                "transactions were left in another order than they were entered; "
                "nothing of them was kept",
                hint="do not let a block span an await or a yield",
            )
        try:
            self.depth -= 1
            if not self.connection.in_transaction:
                # An error within it has rolled everything back.
                self.change = block.change
                if keep:
                    raise StorageError("the transaction was rolled back by an error within it")
            elif keep:
                self.commit(block)
            else:
                self.roll_back(block)
        except apsw.Error as error:
            raise self.translated(error) from error
        finally:
            if self.reading == level:
                self.reading = 0
            if self.depth == 0 and self.command is None:
                self.change = 0
            self.lock.release()

    cdef commit(self, _Transaction block):
        try:
            if self.depth:
                self.control(f"RELEASE kycli_{self.depth}")
            else:
                self.commit_all()
        except BaseException:
            if self.connection.in_transaction:
                self.roll_back(block)
            raise

    cdef roll_back(self, _Transaction block):
        try:
            if self.depth:
                self.control(f"ROLLBACK TO kycli_{self.depth}")
                self.control(f"RELEASE kycli_{self.depth}")
        except BaseException:
            self.give_up()  # rather all than what the outer block believes to be undone
            raise
        if self.depth == 0:
            self.give_up()
        self.change = block.change
        self.last_id = 0

    cdef abandon(self):
        """Roll back all blocks, also those that others believe to be in."""
        cdef int levels = self.depth
        self.abandoned = levels - 1
        self.abandoned_by = _this_thread()
        self.drop_blocks()
        try:
            self.give_up()
        finally:
            for _ in range(levels):
                self.lock.release()

    cdef clear_up(self, bint warn):
        """Roll back what a thread was in when it ended; the lock is the caller's now."""
        self.lock.left = self.in_call = False
        self.drop_blocks()
        try:
            self.give_up()
        except apsw.Error as error:
            raise self.translated(error) from error
        if warn:
            imported("warnings").warn(
                f"{self.path}: a thread ended inside a transaction, which was rolled back",
                RuntimeWarning, 1)

    cdef drop_blocks(self):
        """Be in no block any more; what was done in them is yet to be rolled back."""
        if self.reading != 1:  # else nothing was written
            self.change = 0 if self.command is None else self.change_before
        self.depth = self.reading = 0
        self.last_id = 0
        self.serial += 1

    # -- around a fork

    cdef bint park(self, int64_t deadline) except -1:
        """Before a fork: close an idle connection, and keep the lock until it is done."""
        cdef bint parked = False
        if not self.acquired(deadline):
            return False
        try:
            if self.lock.left:
                self.clear_up(True)
            if not self.in_call and not self.depth:
                self.settle_before_fork(deadline)
                parked = self.path == MEMORY or self.hung_up(deadline)
        except BaseException as error:
            _postpone(error)
            parked = self.connection is None
        finally:
            if not parked:
                self.lock.release()
        return parked

    cdef bint acquired(self, int64_t deadline) except -1:
        """``_acquired`` for the session's own lock."""
        try:
            return self.lock.acquire(deadline - _clock_ms(CLOCK_MONOTONIC))
        except BaseException as error:
            _postpone(error)
            return self.lock.acquire(0)

    cdef bint hung_up(self, int64_t deadline) except -1:
        """Close the connection before a deadline; return whether there is none now."""
        if self.connection is None:
            return True
        if not _acquired(_opening, deadline):
            return False
        try:
            self.leave_files_alone()
            self.hang_up()
            return True
        finally:
            _opening.release()

    cdef settle_before_fork(self, int64_t deadline):
        """Commit the saves that wait; when that fails they go on waiting, in the parent."""
        if self.deferred is None or not self.deferred.count:
            return
        self.patience.at_most_ms = max(1, deadline - _clock_ms(CLOCK_MONOTONIC))
        try:
            self.flush()
        except KycliError:
            pass
        except BaseException as error:
            _postpone(error)
        finally:
            self.patience.at_most_ms = 0

    cdef disown(self, bint in_use):
        """In a child: never touch a connection that is the parent's, nor its file.

        With ``in_use`` another thread was in the middle of a call at the fork, and holds the
        lock for ever.
        """
        self.generation = _forks
        if in_use:
            self.lock.forget()
        self.lock.waiting = 0  # the threads that did are the parent's
        if self.deferred is not None:
            self.deferred.clear()  # the parent commits it
        if self.connection is None and not in_use:
            return
        # Not even when this process ends may it be closed, so it is leaked.
        for inherited in (self.connection, self.cursor, self.run):
            Py_INCREF(inherited)
        self.cache.switch_off()
        self.connection = self.cursor = self.run = self.files = None
        self.orphan = True
        if self.identity is not None:
            _inherited.add(self.identity)

    cdef adopt_or_refuse(self):
        """Go on in a child with a connection of one's own, if the parent's was closed."""
        if self.generation != _forks:
            self.disown(False)
        if self.orphan:
            raise ForkError(
                f"{self.path}: the store was forked in the middle of its work",
                hint="fork outside of transactions, or open a store in the child",
            )


@cython.final
cdef class _Transaction:
    """One ``with`` block of a transaction or snapshot; the innermost is the last to begin."""

    cdef _Session session
    cdef object store
    cdef bint reading
    cdef int level       # 1 for the outermost; 0 before it has begun and after its end
    cdef int64_t serial
    cdef uint64_t thread  # in which it began
    cdef int64_t change   # the session's, before

    def __cinit__(self, _Session session, store, bint reading=False):
        self.session = session
        self.store = store
        self.reading = reading

    def __enter__(self):
        if self.level:
            raise MisuseError("the transaction has begun already")
        self.session.begin(self)
        return self.store

    def __exit__(self, kind, error, trace):
        self.session.end(self, kind is None)
