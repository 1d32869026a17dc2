# Living with other processes: waiting for their locks, and being forked.
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
            self.deadline = now + self.timeout_ms
        if now >= self.deadline:
            return False
        pause = 50 << min(tries // 4, 6)
        # Spread out by the address of a local, so that waiters do not march in step.
        pause += (<size_t>&now >> 4) % 64
        with nogil:
            usleep(pause)
        PyErr_CheckSignals()
        return True


# ---------------------------------------------------------------- forking

# SQLite's locks and shared memory do not survive a fork: a child that went on with
# what it inherited would corrupt the file. So before a fork every idle store closes
# its connection, and parent and child each open their own at the next call. A store
# that is in a transaction at that moment keeps its connection in the parent; in the
# child it refuses to work, and so does any new store on the same file.

cdef int _forks = 0  # counted in every child, also of a fork that Python does not see
cdef dict _stores = {}  # id -> weak reference to each open store
cdef list _parked = []  # stores whose lock the forking thread holds
cdef set _inherited = set()  # files that this process must not open


cdef void _count_fork() noexcept nogil:
    global _forks
    _forks += 1


def _before_fork():
    for reference in list(_stores.values()):
        store = reference()
        if store is not None and (<Kycore>store)._park():
            _parked.append(store)


def _after_fork():
    while _parked:
        (<Kycore>_parked.pop())._lock.release()


def _after_fork_in_child():
    _after_fork()
    for reference in list(_stores.values()):
        store = reference()
        if store is not None:
            (<Kycore>store)._disown()


pthread_atfork(NULL, NULL, _count_fork)
os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child
)
