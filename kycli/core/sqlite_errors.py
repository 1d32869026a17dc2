"""Translating errors of SQLite and of the system into kycli's errors."""

from __future__ import annotations

import errno
import os

import apsw

from kycli.errors import (
    BusyError,
    CannotOpenError,
    ConflictError,
    CorruptError,
    DiskFullError,
    InvalidValueError,
    KycliError,
    MisuseError,
    NotADatabaseError,
    ReadOnlyError,
    StorageError,
)

# APSW's exception class -> kycli's error, what went wrong, hint.
_MEANINGS: dict[type[BaseException], tuple[type[KycliError], str, str | None]] = {
    apsw.ReadOnlyError: (
        ReadOnlyError,
        "the database is read-only",
        "the file, its -wal and -shm, and their directory must be writable",
    ),
    apsw.PermissionsError: (
        ReadOnlyError,
        "access to the database was denied",
        "check the file's and its directory's permissions",
    ),
    apsw.FullError: (
        DiskFullError,
        "no space is left on the device",
        "nothing was changed; free some space and try again",
    ),
    apsw.CorruptError: (
        CorruptError,
        "the database is damaged",
        "'kycli doctor --repair' saves what can be read; or restore a backup",
    ),
    apsw.NotADBError: (
        NotADatabaseError,
        "the file is not a kycli database",
        "choose another file with --db or KYCLI_DB_PATH",
    ),
    apsw.CantOpenError: (
        CannotOpenError,
        "the database cannot be opened",
        "check that the file and its directory can be read and written",
    ),
    apsw.IOError: (
        StorageError,
        "reading or writing the database failed",
        "check the disk and the system's log",
    ),
    apsw.TooBigError: (InvalidValueError, "the value is too large", "a value is at most 1 GB"),
    apsw.ConstraintError: (
        ConflictError,
        "the write violates a constraint of the database",
        "another program may have changed its tables",
    ),
    apsw.InterruptError: (StorageError, "the operation was interrupted", None),
    apsw.ThreadingViolationError: (
        MisuseError,
        "the store was used by another thread during a call",
        None,
    ),
}

WAL_WRITE_LOCK = 120
"""The byte of the ``-shm`` file that a writer locks (SQLite, "WAL-mode File Format")."""


_LONGEST_COMMAND = 200
"""How many bytes of a command line an error shows."""


def translate(error: BaseException, path: str, timeout_ms: int) -> KycliError:
    """Return the kycli error for an error of APSW on the database ``path``."""
    if isinstance(error, (apsw.BusyError, apsw.LockedError)):
        return BusyError(
            f"{path}: locked by {lock_holder(path)} for over {timeout_ms / 1000:g} s",
            hint="try again when it has finished, or stop it",
        )
    if is_of_index(error):
        return damaged_index(path)
    if isinstance(error, apsw.SQLError) and "no such table" in str(error):
        return CorruptError(
            f"{path}: the tables are not those of a kycli database",
            hint="another program may have changed them; restore a backup",
        )
    if isinstance(error, UnicodeDecodeError):
        return CorruptError(
            f"{path}: a stored text is not UTF-8", hint=_MEANINGS[apsw.CorruptError][2]
        )
    if isinstance(error, UnicodeEncodeError):
        return InvalidValueError(
            "the text contains half of a surrogate pair, which UTF-8 cannot encode",
            hint="store it as bytes",
        )
    for kind in type(error).__mro__:
        if kind in _MEANINGS:
            ours, meaning, hint = _MEANINGS[kind]
            return ours(f"{path}: {meaning}", hint=hint)
    return StorageError(f"{path}: {error}")


def is_of_index(error: BaseException) -> bool:
    """Return whether the error is about the search index, the only virtual table."""
    if not isinstance(error, (apsw.SQLError, apsw.CorruptError)):
        return False
    if getattr(error, "extendedresult", 0) == apsw.SQLITE_CORRUPT_VTAB:
        return True
    return "fts_" in str(error) or "invalid fts5 file format" in str(error)


def damaged_index(path: str) -> CorruptError:
    """Return the error for a damaged search index."""
    return CorruptError(
        f"{path}: the search index is damaged",
        hint="keys and values are not affected; 'kycli doctor' rebuilds the index",
    )


def cannot_open(path: str, error: OSError) -> KycliError:
    """Return the kycli error for a failed system call while opening ``path``."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        ours, meaning, hint = _MEANINGS[apsw.FullError]
        return ours(f"{path}: {meaning}", hint=hint)
    return CannotOpenError(
        f"{path}: cannot be opened: {error.strerror or error}",
        hint="check that its directory exists and can be written",
    )


def lock_holder(path: str) -> str:
    """Return a description of the process that holds the write lock.

    Reads ``/proc/locks`` (proc(5)). Without it, as on macOS, or for a process in another
    container, the answer is "another process".
    """
    try:
        shared = os.stat(os.path.realpath(path) + "-shm")
        with open("/proc/locks") as table:
            for line in table:
                # "1: POSIX  ADVISORY  WRITE 1234 fe:00:5678 120 120"
                fields = line.split()
                if len(fields) < 8 or fields[3] != "WRITE":
                    continue
                major, minor, inode = fields[5].split(":")
                if int(inode) != shared.st_ino or shared.st_dev != os.makedev(
                    int(major, 16), int(minor, 16)
                ):
                    continue
                last = float(fields[7]) if fields[7] != "EOF" else float("inf")
                if int(fields[6]) <= WAL_WRITE_LOCK <= last:
                    return _describe(int(fields[4]))
    except (OSError, ValueError):
        pass
    return "another process"


def _describe(pid: int) -> str:
    if pid == os.getpid():
        return "another connection of this process"
    if pid <= 0:
        return "another process"
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            line = file.read(_LONGEST_COMMAND + 1)
    except OSError:
        line = b""
    # Of a script on the command line, the lines are joined.
    words = line[:_LONGEST_COMMAND].replace(b"\0", b" ").decode("utf-8", "replace").split()
    command = "".join(char if char.isprintable() else "?" for char in " ".join(words))
    if len(line) > _LONGEST_COMMAND:
        command += "…"
    return f"process {pid} ({command})" if command else f"process {pid}"
