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
        PyErr_CheckSignals()
        return False
