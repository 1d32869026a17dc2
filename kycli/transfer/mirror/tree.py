"""The directory of a mirror: its files, reached without following a symbolic link.

Each name is opened relative to its parent directory, so that nothing outside can be reached, even
if a directory is replaced by a link meanwhile.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from hashlib import blake2b
from typing import BinaryIO

from kycli.errors import FileError, UsageError
from kycli.transfer.mirror.manifest import JOURNAL, MANIFEST, Record, read
from kycli.transfer.sources import BLOCK

_PART = ".kycli-mirror.part"
_FOREIGN_NAME = '.kycli-mirror.a:b?"'
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FOLDERS = 64


def digest_of(content: bytes) -> str:
    """Return what the manifest keeps of a file's content."""
    return blake2b(content, digest_size=16).hexdigest()


class Tree:
    """A directory that holds a mirror, or will.

    Parameters:
        path: the directory.

    Attributes:
        path: as given.
        ignored: files that a walk met and that stand for no key, and the first of them.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.ignored: tuple[int, str] = (0, "")
        self._root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._folders: OrderedDict[str, int] = OrderedDict()

    def close(self) -> None:
        while self._folders:
            os.close(self._folders.popitem()[1])
        os.close(self._root)

    def shown(self, path: str) -> str:
        """Return a path of the mirror for messages."""
        return os.path.join(self.path, path)

    @contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        """Have an error of the system name the whole path."""
        try:
            yield
        except FileError:
            raise
        except OSError as error:
            error.filename, error.filename2 = self.shown(path), None
            raise

    # What the directory is

    def lock(self, *, exclusive: bool) -> None:
        """Lock the mirror against other processes; the lock ends with this process.

        Raises:
            FileError: when somebody else has it.
        """
        try:
            import fcntl

            kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
            fcntl.flock(self._root, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileError(
                f"{self.path}: another process is exporting or importing this mirror",
                hint="try again when it is done",
            ) from None
        except (ImportError, OSError):
            pass  # some file systems have no locks

    def check_is_mirror(self, *, or_empty: bool) -> None:
        """Raise unless this is a mirror or, if that is allowed, an empty directory."""
        names = os.listdir(self._root)
        if MANIFEST in names or JOURNAL in names:
            return
        if or_empty and all(name.startswith(MANIFEST) for name in names):
            return
        raise UsageError(
            f"{self.path} is not a mirror" + (", and not empty" if or_empty else ""),
            hint="choose a new or an empty directory"
            if or_empty
            else "a mirror is a directory that 'kycli mirror export DIR' wrote",
        )

    def is_foreign(self) -> bool:
        """Whether the file system refuses names that FAT and NTFS refuse."""
        try:
            os.close(os.open(_FOREIGN_NAME, _NEW, 0o600, dir_fd=self._root))
        except FileExistsError:
            pass  # what an interrupted export has left
        except OSError as error:
            return error.errno in (errno.EINVAL, errno.EILSEQ, errno.ENOENT, errno.EPROTO)
        self._unlink_at(_FOREIGN_NAME, self._root)
        return False

    def longest_name(self) -> int:
        try:
            return os.fpathconf(self._root, "PC_NAME_MAX")
        except (OSError, ValueError):
            return 255

    # The manifest

    @contextmanager
    def records(self) -> Iterator[Iterator[Record]]:
        """Give the records of the mirror, in order."""
        with ExitStack() as files:
            manifest, journal = (self._opened(name, files) for name in (MANIFEST, JOURNAL))
            yield read(manifest, journal, self.shown(MANIFEST))

    def _opened(self, name: str, files: ExitStack) -> BinaryIO | None:
        file = self.open(name)
        return None if file is None else files.enter_context(io.BufferedReader(file, BLOCK))

    def has_journal(self) -> bool:
        """Whether an export was interrupted."""
        try:
            os.stat(JOURNAL, dir_fd=self._root, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def new_file(self, name: str) -> BinaryIO:
        """Create a file at the top of the mirror, in place of one that is there."""
        with self._errors(name):
            self._unlink_at(name, self._root)
            return os.fdopen(os.open(name, _NEW, 0o600, dir_fd=self._root), "wb", BLOCK)

    def rename_at_top(self, name: str, to: str) -> None:
        with self._errors(to):
            os.rename(name, to, src_dir_fd=self._root, dst_dir_fd=self._root)

    def sync(self) -> None:
        with suppress(OSError):  # some file systems cannot
            os.fsync(self._root)

    # Files

    def _folder(self, path: str, *, create: bool = False) -> int:
        """Return the descriptor of a directory; "" is the mirror's own."""
        if not path:
            return self._root
        found = self._folders.get(path)
        if found is not None:
            self._folders.move_to_end(path)
            return found
        above, _, name = path.rpartition("/")
        parent = self._folder(above, create=create)
        with self._errors(path):
            try:
                folder = os.open(name, _FOLDER, dir_fd=parent)
            except FileNotFoundError:
                if not create:
                    raise
                os.mkdir(name, 0o700, dir_fd=parent)
                folder = os.open(name, _FOLDER, dir_fd=parent)
            except OSError as error:
                kind = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
                if stat.S_ISDIR(kind):
                    raise
                if not (create or stat.S_ISLNK(kind)):
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from error
                what = "a symbolic link" if stat.S_ISLNK(kind) else "not a directory"
                raise FileError(
                    f"{self.shown(path)} is {what}", hint="move it away, out of the mirror"
                ) from error
        self._folders[path] = folder
        if len(self._folders) > _OPEN_FOLDERS:
            # Not one that leads to this: those were used just now.
            os.close(self._folders.popitem(last=False)[1])
        return folder

    def status(self, path: str) -> os.stat_result | None:
        """Return the status of what has this name, None if there is nothing."""
        above, _, name = path.rpartition("/")
        with self._errors(path):
            try:
                return os.stat(name, dir_fd=self._folder(above), follow_symlinks=False)
            except FileNotFoundError:
                return None

    def open(self, path: str) -> io.FileIO | None:
        """Open a regular file to read; None if there is no such file."""
        above, _, name = path.rpartition("/")
        with self._errors(path):
            try:
                folder = self._folder(above)
                kind = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
                if not stat.S_ISREG(kind):
                    raise FileError(
                        f"{self.shown(path)} is not a regular file",
                        hint="move it away, out of the mirror",
                    )
                return io.FileIO(os.open(name, _READ, dir_fd=folder))
            except FileNotFoundError:
                return None

    def digest(self, path: str) -> str | None:
        """Return the digest of what a file holds; None if there is no file."""
        file = self.open(path)
        if file is None:
            return None
        digest = blake2b(digest_size=16)
        with file, self._errors(path):
            while block := file.read(BLOCK):
                digest.update(block)
        return digest.hexdigest()

    def put(self, path: str, data: bytes, time: int) -> None:
        """Write a file; it appears under its name when it is complete.

        Parameters:
            time: of its last change, in nanoseconds.
        """
        above, _, name = path.rpartition("/")
        folder = self._folder(above, create=True)
        with self._errors(path):
            self._unlink_at(_PART, self._root)
            part = os.open(_PART, _NEW, 0o600, dir_fd=self._root)
            try:
                try:
                    rest = memoryview(data)
                    while rest:
                        rest = rest[os.write(part, rest) :]
                    os.utime(part, ns=(time, time))
                finally:
                    os.close(part)
                os.rename(_PART, name, src_dir_fd=self._root, dst_dir_fd=folder)
            except BaseException:
                self._unlink_at(_PART, self._root)
                raise

    def move(self, path: str, to: str) -> None:
        """Give a file another name, unless something has that name."""
        above, _, name = path.rpartition("/")
        to_above, _, to_name = to.rpartition("/")
        if self.status(path) is None or self.status(to) is not None:
            return
        folder = self._folder(to_above, create=True)
        with self._errors(to):
            os.rename(name, to_name, src_dir_fd=self._folder(above), dst_dir_fd=folder)
        self._prune(above)

    def remove(self, path: str) -> None:
        """Remove a file, and the directories that it leaves empty."""
        above, _, name = path.rpartition("/")
        with self._errors(path):
            os.unlink(name, dir_fd=self._folder(above))
        self._prune(above)

    def _prune(self, path: str) -> None:
        while path:
            above, _, name = path.rpartition("/")
            try:
                os.rmdir(name, dir_fd=self._folder(above))
            except OSError:  # it is not empty
                return
            folder = self._folders.pop(path, None)
            if folder is not None:
                os.close(folder)
            path = above

    def _unlink_at(self, name: str, folder: int) -> None:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)

    def walk(self) -> Iterator[str]:
        """Yield the paths of the regular files that stand for keys, in no order.

        Hidden files and those that end in ``~`` are left out; what else is no key's file is
        counted in ``ignored``.
        """
        self.ignored = (0, "")
        yield from self._walk("", 0)

    def _walk(self, path: str, depth: int) -> Iterator[str]:
        with self._errors(path):
            # A descriptor has one position, which another reader of it would move.
            own = os.open(".", _FOLDER, dir_fd=self._folder(path))
        try:
            with os.scandir(own) as entries:
                for entry in entries:
                    if entry.name[0] == "." or entry.name[-1] == "~":
                        continue
                    inner = f"{path}/{entry.name}" if path else entry.name
                    if entry.is_dir(follow_symlinks=False) and depth < 3:
                        yield from self._walk(inner, depth + 1)
                    elif entry.is_file(follow_symlinks=False) and depth > 1:
                        yield inner
                    else:
                        count, first = self.ignored
                        self.ignored = count + 1, first or inner
        finally:
            os.close(own)
