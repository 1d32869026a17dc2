# Time, and waiting for the locks of other processes.
# Part of storage.pyx: one extension is one file to load at start-up.

cdef int64_t _clock_ms(int clock) noexcept nogil:
    cdef timespec now
    clock_gettime(clock, &now)
    return <int64_t>now.tv_sec * 1000 + now.tv_nsec // 1_000_000


@cython.final
cdef class _Patience:
    """SQLite's busy handler: how long to wait for a lock, and when not to.

    Sleeps are short and start at 50 µs, because a writer holds the lock for some
    20 µs; SQLite's own handler would sleep for milliseconds, up to 100.
    """

    cdef bint none_left
    cdef bint deaf        # to signals, while a transaction begins or ends
    cdef int64_t timeout_ms
    cdef int64_t at_most_ms  # for work that nobody waits for; 0: as long as the timeout
    cdef int64_t deadline

    def __cinit__(self, int64_t timeout_ms):
        self.timeout_ms = timeout_ms

    def __call__(self, int tries):
        cdef int64_t now
        cdef unsigned int pause
        if self.none_left:
            return False
        now = _clock_ms(CLOCK_MONOTONIC)
        if tries == 0:
            self.deadline = now + (
                min(self.at_most_ms, self.timeout_ms) if self.at_most_ms else self.timeout_ms)
        if now >= self.deadline:
            return False
        pause = 50 << min(tries // 4, 6)
        # Spread out by the address of a local, so that waiters do not march in step.
        pause += (<size_t>&now >> 4) % 64
        with nogil:
            usleep(pause)
        PyErr_CheckSignals()
        return True

    def heed(self):
        """SQLite's progress handler: let Ctrl-C stop a statement that takes long."""
        if not self.deaf:
            PyErr_CheckSignals()
        return False


cdef int64_t FOR_EVER_MS = 1 << 40
cdef int64_t FAIR_MS = 5  # how long threads may take turns before those that wait


@cython.final
cdef class _Turn:
    """A lock that a thread can take again, and that costs little while nobody else wants it.

    The GIL makes what happens between two calls of Python atomic, so owner and count need
    no lock of their own. Who has to wait sleeps on ``bell``, which each release rings. A
    thread that comes by meanwhile may go first, since that is what keeps a thread at work
    going, but not once somebody has waited for some time.
    """

    cdef uint64_t owner       # 0: nobody
    cdef int count
    cdef int waiting
    cdef int64_t since        # somebody has waited without getting it
    cdef object bell          # locked, but for the moment in which it rings

    def __cinit__(self):
        self.bell = _thread.allocate_lock()
        self.bell.acquire()

    cdef inline bint is_mine(self) noexcept:
        """Whether the calling thread holds it."""
        return self.owner != 0 and self.owner == PyThreadState_GetID(PyThreadState_Get())

    cdef bint acquire(self, int64_t timeout_ms) except -1:
        # The system gives the number of a thread that has ended to the next one.
        cdef uint64_t me = PyThreadState_GetID(PyThreadState_Get())
        if self.owner == me:
            self.count += 1
            return True
        if self.owner or self.waiting and _clock_ms(CLOCK_MONOTONIC) - self.since > FAIR_MS:
            if timeout_ms <= 0 or not self.wait(min(timeout_ms, FOR_EVER_MS)):
                return False
        self.owner = me
        self.count = 1
        return True

    cdef bint wait(self, int64_t timeout_ms) except -1:
        """Sleep until the bell rings and nobody is the owner; False when it took too long."""
        cdef int64_t now = _clock_ms(CLOCK_MONOTONIC)
        cdef int64_t deadline = now + timeout_ms
        if not self.waiting:
            self.since = now
        self.waiting += 1
        try:
            while now < deadline:
                rang = self.bell.acquire(True, (deadline - now) / 1000)
                now = _clock_ms(CLOCK_MONOTONIC)
                if rang and not self.owner:
                    self.since = now
                    return True
            return False
        finally:
            self.waiting -= 1

    cdef release(self):
        self.count -= 1
        if self.count == 0:
            self.owner = 0
            if self.waiting and self.bell.locked():
                self.bell.release()
