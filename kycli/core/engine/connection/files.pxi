# The files of a database: their identity, and whether they were replaced.
# Part of storage.pyx: one extension is one file to load at start-up.

cdef extern from *:
    """
    #if defined(__linux__)
    #include <sys/vfs.h>
    /* The magic numbers of statfs(2). */
    static int kycli_file_system(const char *path) {
        struct statfs about;
        if (statfs(path, &about) != 0) return 0;
        switch ((unsigned long)about.f_type & 0xffffffffUL) {
            case 0x6969UL: case 0xff534d42UL: case 0xfe534d42UL: case 0x517bUL:
            case 0x01021997UL: case 0x5346414fUL: case 0x6b414653UL: case 0x73757245UL:
            case 0x00c36400UL: case 0x47504653UL: case 0x0bd00bd0UL: case 0x19830326UL:
                return 2;
            case 0x65735546UL: return 1;
        }
        return 0;
    }
    #elif defined(__APPLE__)
    #include <sys/param.h>
    #include <sys/mount.h>
    static int kycli_file_system(const char *path) {
        struct statfs about;
        return statfs(path, &about) == 0 && !(about.f_flags & MNT_LOCAL) ? 2 : 0;
    }
    #else
    static int kycli_file_system(const char *path) { (void)path; return 1; }
    #endif
    """
    # 2: a network file system; 1: one that may be (FUSE); 0: a local one.
    int kycli_file_system(const char* path) noexcept nogil


cdef extern from *:
    """
    #if defined(__linux__)
    #include <sys/inotify.h>
    #include <unistd.h>
    static int kycli_watch(const char *path) {
        int watching = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (watching >= 0 && inotify_add_watch(
                watching, path, IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF) < 0) {
            close(watching);
            return -1;
        }
        return watching;
    }
    static int kycli_was_written(int watching) {
        char events[4096] __attribute__((aligned(8)));
        int written = 0;
        ssize_t size, at;
        while ((size = read(watching, events, sizeof events)) > 0)
            for (at = 0; at < size; ) {
                struct inotify_event *event = (struct inotify_event *)(events + at);
                if (event->mask & (IN_MODIFY | IN_Q_OVERFLOW)) written = 1;
                at += sizeof *event + event->len;
            }
        return written;
    }
    #else
    static int kycli_watch(const char *path) { (void)path; return -1; }
    static int kycli_was_written(int watching) { (void)watching; return 0; }
    #endif
    """
    # Unlike a time in the inode, events tell writing from `touch`. -1 where there are none.
    int kycli_watch(const char* path) noexcept nogil
    bint kycli_was_written(int watching) noexcept nogil

cdef enum:
    # Places in the WAL index: https://sqlite.org/walformat.html#the_wal_index_header
    HEADER_FRAMES = 16
    HEADER_SALT = 32
    HEADER_WRITTEN = 96
    HEADER_WRITING = 128

ctypedef struct _Log:
    unsigned char salt[8]  # which log it is
    uint32_t frames        # how long it is
    uint32_t written       # how much of it is in the database
    uint32_t writing       # the same, or more while it is being brought in


cdef bint is_unwritten(_Log* before, _Log* after) noexcept:
    """Whether SQLite has certainly not written to the database between two looks at its log."""
    if after.written != after.writing:
        return False
    if memcmp(before.salt, after.salt, sizeof(before.salt)) == 0:
        return before.written == after.written
    # Once all of a log is in the database the next commit begins another, whose salt is one more.
    return (before.written == before.frames and after.written == 0
            and (before.frames == 0 or _number(after.salt) == _number(before.salt) + 1))


cdef uint32_t _number(unsigned char* salt) noexcept:
    return (<uint32_t>salt[0] << 24) + (salt[1] << 16) + (salt[2] << 8) + salt[3]


@cython.final
cdef class _OpenFiles:
    """The database and -wal file that a connection has open, as their paths named them.

    SQLite never looks at a path again after opening it. If the file was removed or replaced
    since, a commit succeeds into a file that nobody will open again. The same happens when
    the -wal is removed. Another process does that in good faith once this process has lost
    its POSIX locks, which happens when anything in it opens and closes the file
    (https://sqlite.org/howtocorrupt.html, 2.2). So each commit looks at both paths first:
    two calls of stat(2), some 2 µs, where a commit takes 20.
    """

    cdef bytes database
    cdef bytes wal
    cdef struct_stat database_is
    cdef struct_stat wal_is
    cdef bint wal_known
    cdef bint watched           # whether the rest is known
    cdef int watching           # what tells of changes of the database; -1: nothing does
    cdef bint was_written       # since ``note``
    cdef unsigned char* header  # of the WAL index
    cdef _Log log

    def __cinit__(self, str database, str wal):
        self.watching = -1
        self.database = database.encode()
        self.wal = wal.encode()
        c_stat(self.database, &self.database_is)
        self.wal_known = c_stat(self.wal, &self.wal_is) == 0

    cdef str missing(self):
        """Return what happened to a file that is not in its place any more, or None.

        Call it while a transaction is open, which means that the -wal file exists.
        """
        cdef str fate = _fate(self.database, &self.database_is)
        if fate is not None:
            return f"the file was {fate}"
        if not self.wal_known:
            self.wal_known = c_stat(self.wal, &self.wal_is) == 0
        fate = _fate(self.wal, &self.wal_is)
        return None if fate is None else f"its -wal file was {fate}"

    def __dealloc__(self):
        if self.watching >= 0:
            c_close(self.watching)

    cdef watch(self, unsigned char* header):
        """Begin to notice that another program than SQLite writes to the database."""
        self.header = header
        self.watching = kycli_watch(self.database)
        self.watched = True
        self.wal_known = self.wal_known or c_stat(self.wal, &self.wal_is) == 0
        self.note()

    cdef note(self):
        """Remember what the file is like, unless SQLite is writing to it."""
        cdef _Log before
        cdef _Log after
        cdef struct_stat found
        # A checkpoint says that it begins before it writes. So what was written before this, and
        # by a checkpoint that is not in ``before``, is in ``after``.
        before = self.read_log()
        self.was_written = False
        kycli_was_written(self.watching)
        if c_stat(self.database, &found) == 0:
            after = self.read_log()
            if (is_unwritten(&before, &after) and found.st_ino == self.database_is.st_ino
                    and found.st_dev == self.database_is.st_dev):
                self.log = after
                self.database_is = found

    cdef _Log read_log(self) noexcept:
        """Read how far the log is in the database."""
        cdef _Log log
        memset(&log, 0, sizeof(log))
        if self.header != NULL:
            memcpy(log.salt, self.header + HEADER_SALT, sizeof(log.salt))
            memcpy(&log.frames, self.header + HEADER_FRAMES, 4)
            memcpy(&log.written, self.header + HEADER_WRITTEN, 4)
            memcpy(&log.writing, self.header + HEADER_WRITING, 4)
        return log

    cdef bint is_replaced(self, bint is_notified):
        """Whether another file is in the place of the one that is open, or other contents in it.

        Only a program that knows nothing of SQLite writes to the database and leaves the WAL
        index as it is: one that copies another file over it.

        Parameters:
            is_notified: whether the descriptor of the watch says that something has happened.
        """
        cdef struct_stat found
        cdef _Log log
        if not self.wal_is_ours():
            return True
        if c_stat(self.database, &found) != 0:
            return errno in (ENOENT, ENOTDIR)
        if found.st_ino != self.database_is.st_ino or found.st_dev != self.database_is.st_dev:
            return True
        same = (found.st_size == self.database_is.st_size
                and found.st_mtim.tv_sec == self.database_is.st_mtim.tv_sec
                and found.st_mtim.tv_nsec == self.database_is.st_mtim.tv_nsec)
        if same and not is_notified and not self.was_written:
            return False
        if self.watching < 0:
            self.was_written = found.st_size != self.database_is.st_size
        elif kycli_was_written(self.watching):
            self.was_written = True
        if same and not self.was_written:
            return False
        log = self.read_log()  # after the events, as in ``note``
        if self.was_written and is_unwritten(&self.log, &log):
            return True  # copied over
        self.note()
        return False

    cdef remove_log(self):
        """Remove the log of what is in this place no more.

        SQLite leaves it there, and who opens the file that is there now would bring it into that.
        """
        if self.wal_known and self.wal_is_ours():
            c_unlink(self.wal)
            c_unlink(self.wal[:-4] + b"-shm")

    cdef bint wal_is_ours(self):
        """Whether the -wal file in place is the one that the connection has open, if any."""
        return not self.wal_known or _fate(self.wal, &self.wal_is) is None


cdef str _fate(const char* path, struct_stat* known):
    """Return "removed" or "replaced" for a path that does not name the known file, or None.

    Where the path cannot be looked at, for want of permission say, nothing is known.
    """
    cdef struct_stat found
    if c_stat(path, &found) != 0:
        return "removed" if errno in (ENOENT, ENOTDIR) else None
    if found.st_ino == known.st_ino and found.st_dev == known.st_dev:
        return None
    return "replaced"


cdef str _fate_of(str path, tuple identity):
    """The same for a file that is known by its device and inode."""
    cdef struct_stat known
    known.st_dev, known.st_ino = identity
    return _fate(path.encode(), &known)
