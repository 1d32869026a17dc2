"""Running in a caller's environment: its directory, umask, variables and time zone."""

from __future__ import annotations

import os
import time
from stat import S_ISLNK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kycli.core.storage import Entries

_COUNTING = ("KYCLI_", "XDG_", "LC_")
_NAMES = {
    *("HOME", "TZ", "TMPDIR", "USER", "LOGNAME", "NO_COLOR", "TERM", "COLUMNS", "LINES"),
    *("PAGER", "EDITOR", "VISUAL", "LANG", "PATH"),
}


_DESCRIPTORS = rb"/dev/+(?:fd|std|tty|\.)|/proc/+(?:self|thread-self|\.)|^/(?:dev|proc)(?:/|$)"
"""Paths, or starts of paths, that may lead to the descriptors of a process.

Other directories may be called ``dev`` too."""

_WORTHWHILE = 3
"""How many requests in a row from one directory start the watch of that directory."""

_RETRY_AFTER = 1000
"""How many requests to wait before trying again to watch a directory that could not be."""

_MOST_LINKS = 40


def counts(name: str) -> bool:
    """Whether a command line may look at a variable, so that a request carries it."""
    return name in _NAMES or name.startswith(_COUNTING)


class Caller:
    """The caller whose environment this process has; the next one changes only what differs.

    Most requests come from the directory of the one before. So what its files are is looked up
    once, and kept as long as it is known that nobody has changed them (``watch``, ``is_same``).

    Attributes:
        names_descriptors: whether a variable may name a file that only the caller can open.
        is_watched: whether changes of the paths that ``watch`` was given are noticed.
    """

    def __init__(self) -> None:
        self._variables: bytes | None = None
        self._umask = os.umask(0o077)
        os.umask(self._umask)
        self.names_descriptors = False
        self.is_watched = False
        self._pid = 0
        self._directory = b"/"
        self._is_inside = False
        self._entries: Entries | None = None
        self._paths: list[str] = []
        self._last = b""
        self._times = 0

    def take(self, pid: int, directory: bytes, umask: int, variables: bytes) -> bool:
        """Take over a caller's environment, but for its directory, which ``enter`` does.

        Returns:
            whether its variables are others than the last one's.
        """
        self.leave()
        self._pid, self._directory = pid, directory
        if umask != self._umask:
            os.umask(umask)
            self._umask = umask
        if variables == self._variables:
            return False
        self.forget()
        self._set(variables)
        self._variables = variables
        return True

    def enter(self) -> None:
        """Enter the caller's directory.

        Raises:
            OSError: when that cannot be done.
        """
        if not self._is_inside:
            # Whatever the last caller's was: a directory of that name may be another one by now.
            os.chdir(self._directory if self._directory != b"." else f"/proc/{self._pid}/cwd")
            self._is_inside = True

    def leave(self) -> None:
        """Leave the caller's directory, which its user may want to unmount or remove."""
        if self._is_inside:
            os.chdir("/")
            self._is_inside = False

    def is_same(self) -> bool:
        """Whether the directory is that of the last caller, and all that is watched is the same."""
        if not self.is_watched or self._entries is None:
            return False
        if self._named() == self._last and self._entries.are_same():
            return True
        self.forget()
        return False

    def watch(self, paths: list[str]) -> bool:
        """Begin to notice when paths come to lead elsewhere, if that pays and is possible.

        Call it inside of the directory. What was found at the paths before has to be looked up
        again.

        Returns:
            whether it is these paths that are watched.
        """
        if self.is_watched:
            if paths == self._paths:
                return True
            self.forget()
        directory = self._named()
        if directory != self._last:
            self._last, self._times = directory, 0
        self._times += 1
        if self._times >= _WORTHWHILE:
            if self._entries is None:
                from kycli.core.storage import Entries

                self._entries = Entries()
            self._paths = paths
            self.is_watched = self._are_added(self._entries, directory)
            if not self.is_watched:
                self._entries = None  # creating it may have failed in part
                self._times = -_RETRY_AFTER
        return self.is_watched

    def forget(self) -> None:
        """Watch nothing more."""
        self._times = 0
        if self.is_watched and self._entries is not None:
            self.is_watched = False
            self._entries.clear()

    def _named(self) -> bytes:
        """Return the name of the caller's directory, b"" if it is not known."""
        if self._directory != b".":
            return self._directory
        try:
            return os.readlink(b"/proc/%d/cwd" % self._pid)
        except OSError:
            return b""

    def _are_added(self, entries: Entries, directory: bytes) -> bool:
        """Add the ways to the caller's directory and to all paths; return whether it worked."""
        known: dict[bytes, bytes | None] = {}
        try:
            # The name of one that was removed means none, or later another one.
            return os.path.samefile(directory, b".") and all(
                _add_way(entries, way, known)
                for way in (directory, os.getcwdb(), *map(os.fsencode, self._paths))
            )
        except OSError:
            return False

    def _set(self, variables: bytes) -> None:
        self._variables = None  # should this fail, nothing is known
        zone = os.environ.get("TZ")
        given = {}
        for pair in variables.decode("utf-8", "surrogateescape").split("\0"):
            name, equals, value = pair.partition("=")
            if name and equals:
                given[name] = value
        for name in [name for name in os.environ if counts(name) and name not in given]:
            del os.environ[name]
        for name, value in given.items():
            if counts(name) and os.environ.get(name) != value:
                os.environ[name] = value
        if os.environ.get("TZ") != zone:
            time.tzset()
        self.names_descriptors = names_descriptors(variables)


def names_descriptors(text: bytes) -> bool:
    """Whether text may name a file that is another one to each process, such as /dev/stdin."""
    if b"/dev" not in text and b"/proc" not in text:
        return False
    import re

    return re.search(_DESCRIPTORS, text) is not None


def _add_way(entries: Entries, path: bytes, known: dict[bytes, bytes | None]) -> bool:
    """Add all entries that an absolute path leads through; return whether that was possible.

    Parameters:
        known: what the entries are that were added, by path: see ``_target``. More are added.
    """
    directory = b"/"
    names = path.split(b"/")[::-1]
    links = 0
    while names:
        name = names.pop()
        if name == b"..":
            directory = os.path.dirname(directory)
        if name in (b"", b".", b".."):
            continue
        found = os.path.join(directory, name)
        if found not in known:
            # Before it is looked at, so that no change is missed.
            if not entries.add(directory, name):
                return False
            known[found] = _target(found)
        target = known[found]
        if target is None:
            return True
        if not target:
            directory = found
            continue
        links += 1
        if links > _MOST_LINKS:
            return False
        if target[:1] == b"/":
            directory = b"/"
        names += target.split(b"/")[::-1]
    return True


def _target(path: bytes) -> bytes | None:
    """Return what a link contains, b"" if it is no link; None if nothing is there."""
    try:
        return os.readlink(path) if S_ISLNK(os.lstat(path).st_mode) else b""
    except FileNotFoundError:
        return None
