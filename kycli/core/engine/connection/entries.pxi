# Noticing changes of directory entries. Part of storage.pyx: one extension is
# one file to load at start-up.

cdef extern from *:
    """
    #if defined(__linux__)
    #include <fcntl.h>
    #include <poll.h>
    #include <sys/inotify.h>
    #include <unistd.h>
    static int kycli_entries(void) {
        return inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    }
    static int kycli_mounts(void) {
        return open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    }
    static int kycli_add_entries(int watching, const char *directory) {
        return inotify_add_watch(watching, directory,
            IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF
            | IN_MOVE_SELF | IN_ONLYDIR);
    }
    static void kycli_remove_entries(int watching, int number) {
        inotify_rm_watch(watching, number);
    }
    /* What has happened: 0 nothing; 1 something to the entries; 2 something to the mounts. */
    static int kycli_happened(int watching, int mounts) {
        struct pollfd both[2] = {{watching, POLLIN, 0}, {mounts, POLLPRI, 0}};
        if (poll(both, 2, 0) == 0) return 0;
        return both[1].revents || both[0].revents != POLLIN ? 2 : 1;
    }
    /* The next event in a block: where it ends; its directory, and its name if it has one. */
    static long kycli_next(const char *block, long at, int *number, const char **name) {
        const struct inotify_event *event = (const struct inotify_event *)(block + at);
        *number = event->mask & IN_Q_OVERFLOW ? -1 : event->wd;
        *name = event->len ? event->name : "";
        return at + (long)sizeof *event + event->len;
    }
    #else
    static int kycli_entries(void) { return -1; }
    static int kycli_mounts(void) { return -1; }
    static int kycli_add_entries(int watching, const char *directory) {
        (void)watching; (void)directory;
        return -1;
    }
    static void kycli_remove_entries(int watching, int number) { (void)watching; (void)number; }
    static int kycli_happened(int watching, int mounts) { (void)watching; (void)mounts; return 2; }
    static long kycli_next(const char *block, long at, int *number, const char **name) {
        (void)block; (void)number; (void)name;
        return at + 1;
    }
    #endif
    """
    int kycli_entries() noexcept nogil
    int kycli_mounts() noexcept nogil
    int kycli_add_entries(int watching, const char* directory) noexcept nogil
    void kycli_remove_entries(int watching, int number) noexcept nogil
    int kycli_happened(int watching, int mounts) noexcept nogil
    long kycli_next(const char* block, long at, int* number, const char** name) noexcept nogil

from posix.unistd cimport read as c_read

cdef enum:
    EVENTS = 512  # times 8 bytes; an event takes at most 272 bytes


@cython.final
cdef class Entries:
    """Entries of directories: whether the names still lead where they led.

    To know it takes one system call, however many they are. Entries that others make in the
    same directories do not count.
    """

    cdef int watching  # -1: there is nothing that could tell
    cdef int mounts
    cdef dict names    # by number of a directory, which names count in it

    def __cinit__(self):
        self.watching = kycli_entries()
        self.mounts = kycli_mounts()
        self.names = {}

    def __dealloc__(self):
        if self.watching >= 0:
            c_close(self.watching)
        if self.mounts >= 0:
            c_close(self.mounts)

    def add(self, bytes directory, bytes name):
        """Begin to notice when an entry comes, goes or becomes another one.

        Parameters:
            directory: the path of a directory.
            name: an entry in it, which need not exist.

        Returns:
            False where that cannot be noticed: another machine may change the directory, or the
            user may not list it.
        """
        cdef int number = -1
        if self.watching >= 0 and self.mounts >= 0 and kycli_file_system(directory) == 0:
            number = kycli_add_entries(self.watching, directory)
        if number < 0:
            return False
        self.names.setdefault(number, set()).add(name)
        return True

    def are_same(self):
        """Whether nothing has happened to any of them since it was added."""
        cdef int64_t block[EVENTS]  # aligned, as events have to be
        cdef ssize_t size
        cdef long at
        cdef int number, what
        cdef const char* name
        cdef set names
        what = kycli_happened(self.watching, self.mounts)
        if what != 1:
            return what == 0
        while True:
            size = c_read(self.watching, block, sizeof(block))
            if size <= 0:
                return True
            at = 0
            while at < size:
                at = kycli_next(<char*>block, at, &number, &name)
                if number == -1:
                    return False  # there were too many events
                names = self.names.get(number)
                # An event without a name is one of the directory itself.
                if names is not None and (name[0] == 0 or <bytes>name in names):
                    return False

    def clear(self):
        """Forget all of them, as has to be done when one is another."""
        cdef int64_t block[EVENTS]
        for number in self.names:
            kycli_remove_entries(self.watching, number)
        self.names.clear()
        while self.watching >= 0 and c_read(self.watching, block, sizeof(block)) > 0:
            pass
        kycli_happened(self.watching, self.mounts)  # which is to read about mounts
