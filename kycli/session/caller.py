"""Taking the place of a caller for one command: directory, umask, variables and time zone."""

from __future__ import annotations

import os
import time

_COUNTING = ("KYCLI_", "XDG_", "LC_")
_NAMES = {
    *("HOME", "TZ", "TMPDIR", "USER", "LOGNAME", "NO_COLOR", "TERM", "COLUMNS", "LINES"),
    *("PAGER", "EDITOR", "VISUAL", "LANG", "PATH"),
}

_OURS = (b"/dev", b"/proc")
"""Where a path means another file to each process that opens it."""


def counts(name: str) -> bool:
    """Whether a command line may look at a variable, so that a request carries it."""
    return name in _NAMES or name.startswith(_COUNTING)


class Place:
    """What this process has taken of a caller; the next one changes only what differs."""

    def __init__(self) -> None:
        self._variables: bytes | None = None
        self._umask = os.umask(0o077)
        os.umask(self._umask)
        self.names_descriptors = False

    def take(self, pid: int, directory: bytes, umask: int, variables: bytes) -> bool:
        """Take a caller's place; return whether its variables are others than the last one's.

        Raises:
            OSError: when its directory cannot be entered.
        """
        # Whatever the last caller's was: a directory of that name may be another one by now.
        os.chdir(directory if directory != b"." else f"/proc/{pid}/cwd")
        if umask != self._umask:
            os.umask(umask)
            self._umask = umask
        if variables == self._variables:
            return False
        self._set(variables)
        self._variables = variables
        return True

    def leave(self) -> None:
        """Leave the caller's directory, which its user may want to unmount or remove."""
        os.chdir("/")

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
    return any(directory in text for directory in _OURS)
