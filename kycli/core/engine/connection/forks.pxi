# What a fork does to open connections. Part of storage.pyx: one extension is one file to
# load at start-up.
#
# SQLite's locks and shared memory do not survive a fork: a child that used the inherited
# connection would corrupt the file. So every idle connection is closed before a fork, and
# parent and child each open their own at the next call. A connection in a transaction or in a
# call stays open in the parent; in the child it refuses to work, and so does any new connection
# to the same file.

cdef extern from "pthread.h" nogil:
    int pthread_atfork(void (*prepare)() noexcept nogil, void (*parent)() noexcept nogil,
                       void (*child)() noexcept nogil)

cdef extern from "Python.h":
    int Py_AddPendingCall(int (*function)(void*) except -1, void* argument)

cdef class _Connection

cdef int _forks = 0  # counted in every child, also of a fork that Python does not see
cdef dict _connections = {}  # id -> weak reference to each open connection
cdef dict _held = {}  # forking thread -> for each fork a list of what it holds the locks of
cdef set _inherited = set()  # (device, inode) of files that this process must not open
# Held while a connection is opened or closed: a fork meanwhile would leave the child with a
# locked mutex inside SQLite.
cdef object _opening_lock = _thread.RLock()
cdef bint _forked_while_opening = False  # this process was forked while another thread was opening
cdef int64_t FORK_WAIT_MS = 1000  # how long a fork waits for calls of other threads
cdef object _postponed = None  # raised by the handler of a signal while a fork was prepared


cdef void _count_fork() noexcept nogil:
    global _forks
    _forks += 1


def _before_fork():
    """Close the connections that are idle, and hold their locks until the fork is done.

    A signal may interrupt any wait here. An exception of its handler is kept until after the
    fork: raised from a fork hook, it would not stop the fork, and would leave locks behind.
    """
    cdef int64_t deadline = _clock_ms(CLOCK_MONOTONIC) + FORK_WAIT_MS
    cdef list held = []
    # A stack, because a signal handler that runs meanwhile may fork as well.
    _held.setdefault(_thread.get_ident(), []).append(held)
    for reference in list(_connections.values()):
        connection = reference()
        if connection is not None and (<_Connection>connection).prepare_fork(deadline):
            held.append(connection)
    if _acquired(_opening_lock, deadline):
        held.append(_opening_lock)


def _after_fork():
    cdef list forks = _held.get(_thread.get_ident())
    if not forks:
        return
    for held in reversed(forks.pop()):
        if held is _opening_lock:
            _opening_lock.release()
        else:
            (<_Connection>held).lock.release()
    if not forks:
        del _held[_thread.get_ident()]


def _after_fork_in_child():
    global _forked_while_opening, _postponed
    cdef list forks = _held.get(_thread.get_ident())
    held = forks[-1] if forks else []
    _postponed = None  # the parent raises it
    if _opening_lock not in held:
        _forked_while_opening = True
    try:
        for reference in list(_connections.values()):
            connection = reference()
            if connection is not None:
                (<_Connection>connection).drop_in_child(connection not in held)
        _stores_with_deferred.clear()
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
    """Keep the exception of a signal handler until the fork is done.

    Signal handlers run in the main thread. Any other exception comes from a commit, which
    the next call tries again.
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
        # Hooks run in the order of their registration. This one is the last, so that the
        # exception interrupts no hook of another library.
        os.register_at_fork(after_in_parent=_raise_soon)


def _raise_soon():
    """Have the main thread raise the postponed exception when it next executes Python."""
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
