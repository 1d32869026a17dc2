# The files of a database, as the file system sees them. Part of storage.pyx: one extension is
# one file to load at start-up.

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

    def __cinit__(self, str database, str wal):
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
