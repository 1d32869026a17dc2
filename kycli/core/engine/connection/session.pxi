# Transactions on a connection, and who writes in them. Part of storage.pyx: one extension is
# one file to load at start-up.


cdef class _BulkWriter


@cython.final
cdef class _Session(_Connection):
    """A connection with its transactions.

    A transaction keeps the lock from its ``begin`` to its ``end``, across calls.
    """

    cdef _BulkWriter bulk       # None when no call is saving many keys
    cdef _Deferred deferred     # None when each save is committed before it returns
    cdef str command            # the name of the writer in the history, when it is a command
    cdef int64_t author         # the writer's number in the history; 0 before it is known
    cdef int64_t pid
    cdef int64_t change         # that the rows written are part of; 0 before there is one
    cdef int64_t change_before  # the call under way
    cdef int64_t schema         # what tells that the schema has changed; -1 before it is known
    cdef int reading            # the level of the outermost block that is a snapshot; 0: none
    cdef int depth              # of nested transaction blocks
    cdef int abandoned          # blocks that were rolled back and are yet to be left
    cdef uint64_t abandoned_by  # the thread in which they are
    cdef int64_t serial         # of the outermost block
    cdef int64_t last_id        # of the log, in the transaction under way; 0 before it is known
    cdef bint replaced          # whether the last change replaced a live value
    cdef bint has_logged        # whether the transaction under way has added to the log
    cdef int archived           # whether the archive holds anything, in the same; -1: not known

    def __cinit__(self, str path, str durability, int64_t timeout_ms, _Cache cache, str command):
        self.command = command

    # -- calls

    cdef enter(self):
        """Take the connection for one call, with all that was saved before it written."""
        self.write_bulk()
        _Connection.enter(self)
        if (self.deferred is None or not self.deferred.count or self.deferred.committing):
            return
        self.in_call = False  # committing takes calls of its own
        try:
            _commit_deferred(self)
        except BaseException:
            self.lock.release()
            raise
        self.in_call = True

    cdef enter_keeping_deferred(self):
        """Take the connection for a call that knows of the deferred writes."""
        self.write_bulk()
        _Connection.enter(self)

    cdef enter_beside_writes(self):
        """Take the connection for a call that no write that waits in memory concerns."""
        _Connection.enter(self)

    cdef inline write_bulk(self):
        """Write what this thread's ``save_many`` has gathered: its iterable uses the store."""
        if self.bulk is not None and self.lock.is_held_here():
            self.bulk.flush()

    cdef flush(self):
        """Commit the deferred writes."""
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

    # -- what is declared of scopes

    cdef bint is_declared_current(self) noexcept:
        """Whether the era of the declarations is good for what this thread reads now."""
        cdef _Declarations known = self.declarations
        if self.generation != _forks:
            return False
        if known.block:
            return (known.block == self.serial and self.depth != 0
                    and self.lock.is_held_here())
        return known.header_same()

    cdef Declared find_declared(self, str scope):
        """Return what is known to be declared of a scope, or None when it must be read.

        Needs no lock: no Python code runs in here.
        """
        return self.declarations.find(scope) if self.is_declared_current() else None

    cdef declare(self, str sql, tuple bindings):
        """Execute one statement that changes what is declared of scopes."""
        self.enter()
        self.declarations.begin_era(self.serial if self.depth else 0)
        try:
            self.cursor.execute(sql, bindings)
        except (apsw.Error, UnicodeError) as error:
            raise self.translated(error) from error
        finally:
            self.leave()

    # -- transactions

    cdef begin(self, _Transaction block):
        self.enter()
        try:
            self.note_use()
            if block.reading:
                if self.depth == 0:
                    self.control("BEGIN")
                    # To its end: a pending row would hold the snapshot after the commit.
                    self.cursor.execute(_FIX_SNAPSHOT).fetchall()
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
                    self.roll_back_all()
            finally:
                self.leave()
            if isinstance(error, apsw.Error):
                raise self.translated(error) from error
            raise

    cdef check_writing(self):
        """Raise where writing is refused; look the author up before the transaction begins."""
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
        other numbers for authors and for changes. It was restored before this transaction, which
        holds the write lock, so only the first row that it logs can find another one.
        """
        cdef bint begins = not self.has_logged
        cdef int64_t schema
        self.has_logged = True
        if self.run.native:
            # One of the two has been executed in each transaction that writes.
            schema = self.times_prepared_again()
            if schema == self.schema:
                return
            # The other one notices the same change when it is executed, so that is done now.
            self.run.before.bind_text(1, u"")
            self.run.before.bind_text(2, u"")
            self.run.before.bind(3, None)
            try:
                self.run.before.has_row()
            finally:
                self.run.before.reset()
            _newest(self)
            schema = self.times_prepared_again()
        else:
            schema = self.connection.pragma("schema_version")
            if schema == self.schema:
                return
        if begins and self.schema >= 0 and self.author:
            self.author = imported("kycli.core.authors").number_of(
                self.connection, self.command or "")
            self.change = 0
        self.schema = schema

    cdef inline int64_t times_prepared_again(self) noexcept:
        """Return how often the two statements were that notice another schema."""
        return (self.run.before.times_prepared_again()
                + self.run.newest.times_prepared_again())

    cdef take_write_lock(self):
        """Begin a transaction that writes; nobody changes what it reads from now on."""
        self.change_before = self.change
        self.busy.uninterrupted = True
        try:
            self.run.begin.execute()
        finally:
            self.busy.uninterrupted = False
        self.last_id = 0
        self.archived = -1
        self.has_logged = False

    cdef commit_all(self):
        """Commit, unless the file is not the one that its path names.

        Raises:
            FileReplacedError: the transaction is still open, and must be rolled back.
        """
        cdef bint known = self.declarations.before_commit()
        self.check_files()
        self.busy.uninterrupted = True
        try:
            self.run.commit.execute()
        finally:
            self.busy.uninterrupted = False
        if known:
            self.declarations.committed()

    cdef write_as(self, str command, int64_t pid):
        self.enter()
        try:
            if self.depth:
                raise MisuseError("a transaction has one author, from its beginning to its end")
            if command != self.command:
                self.command, self.author = command, 0
            self.change = 0
            self.pid = pid or os.getpid()
        finally:
            self.leave()

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
                    self.roll_back_all()
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
            self.roll_back_all()
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
                    self.roll_back_orphaned(False)
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
                self.write_bulk()
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
                if self.bulk is not None:
                    self.bulk.rows = []  # all of them were gathered in this block
                self.control(f"ROLLBACK TO kycli_{self.depth}")
                self.control(f"RELEASE kycli_{self.depth}")
                if self.declarations.block:
                    self.declarations.begin_era(self.declarations.block)
        except BaseException:
            self.roll_back_all()  # else the outer block would commit what failed to be undone
            raise
        if self.depth == 0:
            self.roll_back_all()
        self.change = block.change
        self.last_id = 0

    cdef abandon(self):
        """Roll back all blocks, also those that other code is still in."""
        cdef int levels = self.depth
        self.abandoned = levels - 1
        self.abandoned_by = _this_thread()
        self.forget_blocks()
        try:
            self.roll_back_all()
        finally:
            for _ in range(levels):
                self.lock.release()

    cdef forget_blocks(self):
        """Leave all blocks; the caller rolls back what was done in them."""
        if self.reading != 1:  # else nothing was written
            self.change = 0 if self.command is None else self.change_before
        self.depth = self.reading = 0
        self.last_id = 0
        self.serial += 1

    # -- the connection's own methods

    cdef connected(self):
        self.author, self.schema = 0, -1
        if self.pid != os.getpid():  # else the same process goes on after a fork
            self.pid, self.change = os.getpid(), 0

    cdef statements_replaced(self):
        self.schema = -1

    cdef bint in_block(self):
        return self.depth != 0

    cdef check_block(self):
        if self.abandoned and self.abandoned_by == _this_thread():
            raise MisuseError(
                "the transaction was rolled back: its blocks were left in another order "
                "than they were entered", hint="leave the other blocks first")
        if self.depth and not self.connection.in_transaction:
            raise StorageError(
                "the transaction was rolled back by an error within it",
                hint="leave the transaction and try it again",
            )

    cdef roll_back_orphaned(self, bint warn):
        """Roll back what a thread was in when it ended; the lock is the caller's now."""
        self.lock.orphaned = self.in_call = False
        self.forget_blocks()
        try:
            self.roll_back_all()
        except apsw.Error as error:
            raise self.translated(error) from error
        if warn:
            imported("warnings").warn(
                f"{self.path}: a thread ended inside a transaction, which was rolled back",
                RuntimeWarning, 1)

    cdef commit_before_fork(self, int64_t deadline):
        """Commit the deferred writes; if that fails they stay deferred, in the parent."""
        if self.deferred is None or not self.deferred.count:
            return
        self.busy.limit_ms = max(1, deadline - _clock_ms(CLOCK_MONOTONIC))
        try:
            self.flush()
        except KycliError:
            pass
        except BaseException as error:
            _postpone(error)
        finally:
            self.busy.limit_ms = 0

    cdef forget_deferred(self):
        if self.deferred is not None:
            self.deferred.clear()


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
