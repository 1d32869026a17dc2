# Clocks, the busy handler, and the lock between threads.
# Part of storage.pyx: one extension is one file to load at start-up.

cdef extern from "Python.h":
    ctypedef struct PyThreadState:
        pass
    PyThreadState* PyThreadState_Get()
    uint64_t PyThreadState_GetID(PyThreadState*)
    ctypedef struct PyInterpreterState:
        pass
    PyInterpreterState* PyThreadState_GetInterpreter(PyThreadState*)
    PyThreadState* PyInterpreterState_ThreadHead(PyInterpreterState*)
    PyThreadState* PyThreadState_Next(PyThreadState*)

cdef int64_t _clock_ms(int clock) noexcept nogil:
    cdef timespec now
    clock_gettime(clock, &now)
    return <int64_t>now.tv_sec * 1000 + now.tv_nsec // 1_000_000


@cython.final
cdef class _BusyHandler:
    """SQLite's busy handler: how long to wait for a lock of another process.

    Sleeps are short and start at 50 µs, because a writer holds the lock for about
    20 µs; SQLite's own handler sleeps for milliseconds, up to 100.
    """

    cdef bint no_wait
    cdef bint uninterrupted        # while a transaction begins or ends
    cdef int64_t timeout_ms
    cdef int64_t limit_ms  # for background work; 0: the timeout
    cdef int64_t deadline

    def __cinit__(self, int64_t timeout_ms):
        self.timeout_ms = timeout_ms

    def __call__(self, int tries):
        cdef int64_t now
        cdef unsigned int pause
        if self.no_wait:
            return False
        now = _clock_ms(CLOCK_MONOTONIC)
        if tries == 0:
            self.deadline = now + (
                min(self.limit_ms, self.timeout_ms) if self.limit_ms else self.timeout_ms)
        if now >= self.deadline:
            return False
        pause = 50 << min(tries // 4, 6)
        # The address of a local differs between waiters, so they do not wake together.
        pause += (<size_t>&now >> 4) % 64
        with nogil:
            usleep(pause)
        PyErr_CheckSignals()
        return True

    def check_signals(self):
        """SQLite's progress handler: let Ctrl-C stop a long statement."""
        if not self.uninterrupted:
            PyErr_CheckSignals()
        return False


cdef int64_t LONGEST_WAIT_MS = 1 << 40
cdef int64_t FAIR_AFTER_MS = 5  # how long other threads may overtake a waiting one
cdef int64_t OWNER_CHECK_MS = 50  # how often a waiting thread checks that the owner is alive


cdef inline uint64_t _this_thread() noexcept:
    """Return Python's number of the calling thread, which no other thread gets later.

    The system gives the number of a thread that has ended to the next one.
    """
    return PyThreadState_GetID(PyThreadState_Get())


cdef bint _is_alive(uint64_t thread) noexcept:
    """Whether a thread that had a number from ``_this_thread`` still runs."""
    cdef PyThreadState* state = PyInterpreterState_ThreadHead(
        PyThreadState_GetInterpreter(PyThreadState_Get()))
    while state != NULL:
        if PyThreadState_GetID(state) == thread:
            return True
        state = PyThreadState_Next(state)
    return False


@cython.final
cdef class _FairLock:
    """A fair re-entrant lock that costs little while only one thread wants it.

    The GIL makes what happens between two calls of Python atomic, so owner and count need
    no lock of their own. A waiting thread sleeps on ``wakeup``, which each release unlocks.
    Another thread may take the lock first, which keeps a busy thread going, until somebody
    has waited for ``FAIR_AFTER_MS``.

    A thread may end without releasing the lock. The thread that notices becomes the owner,
    and ``orphaned`` says that a transaction may have to be rolled back.
    """

    cdef uint64_t owner       # 0: nobody
    cdef int count
    cdef bint orphaned
    cdef int waiting
    cdef int64_t since        # since when a thread has waited in vain
    cdef object wakeup          # unlocked for a moment to wake a waiting thread

    def __cinit__(self):
        self.wakeup = _thread.allocate_lock()
        self.wakeup.acquire()

    cdef inline bint is_held_here(self) noexcept:
        """Whether the calling thread holds it."""
        return self.owner != 0 and self.owner == _this_thread()

    cdef bint acquire(self, int64_t timeout_ms) except -1:
        cdef uint64_t me = _this_thread()
        if self.owner == me:
            self.count += 1
            return True
        if self.owner or self.waiting and _clock_ms(CLOCK_MONOTONIC) - self.since > FAIR_AFTER_MS:
            if not (self.owner and self.is_free()) and (
                    timeout_ms <= 0 or not self.wait(min(timeout_ms, LONGEST_WAIT_MS))):
                return False
        self.owner = me
        self.count = 1
        return True

    cdef bint is_free(self) noexcept:
        """Whether there is no owner; an owner that has ended is noted."""
        if self.owner and not _is_alive(self.owner):
            self.orphaned = True
            self.owner = 0
        return not self.owner

    cdef bint wait(self, int64_t timeout_ms) except -1:
        """Sleep until nobody owns the lock; return False on a timeout."""
        cdef int64_t now = _clock_ms(CLOCK_MONOTONIC)
        cdef int64_t deadline = now + timeout_ms
        if not self.waiting:
            self.since = now
        self.waiting += 1
        try:
            while now < deadline:
                self.wakeup.acquire(True, min(deadline - now, OWNER_CHECK_MS) / 1000)
                now = _clock_ms(CLOCK_MONOTONIC)
                if self.is_free():
                    self.since = now
                    return True
            return False
        finally:
            self.waiting -= 1

    cdef release(self):
        self.count -= 1
        if self.count == 0:
            self.owner = 0
            if self.waiting and self.wakeup.locked():
                self.wakeup.release()

    cdef forget(self):
        """In a child process: the threads that had or wanted the lock are the parent's."""
        self.owner = self.count = self.waiting = 0
        self.orphaned = False
