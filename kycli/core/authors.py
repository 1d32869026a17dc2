"""Who writes: the user, the host and the command that the history remembers.

Each combination is noted once in a database and known by its number from then on; the
rows of the history hold the number and the process id.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import apsw

_FIND = "SELECT id FROM authors WHERE (user, host, command) = (?1, ?2, ?3)"
_NOTE = "INSERT OR IGNORE INTO authors (user, host, command) VALUES (?1, ?2, ?3)"


_names: dict[int, str] = {}
"""Login names by user id, as the system gave them."""


def number_of(connection: apsw.Connection, command: str) -> int:
    """Return the number of this process's user on this host with a command, noting it if new."""
    author = (user(), host(), command)
    number = connection.execute(_FIND, author).get
    if number is None:
        connection.execute(_NOTE, author)
        number = connection.execute(_FIND, author).get
    return int(number)


def user() -> str:
    """Return the login name as getpass finds it: the environment first, then the system."""
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        name = os.environ.get(variable)
        if name:
            return _printable(name)
    uid = os.getuid()
    if uid not in _names:
        import pwd

        try:
            _names[uid] = pwd.getpwuid(uid).pw_name
        except KeyError:  # a container's user without an entry
            _names[uid] = str(uid)
    return _names[uid]


def host() -> str:
    """Return the name of this machine."""
    return _printable(os.uname().nodename)


def _printable(name: str) -> str:
    """Return the name as text that can be stored: the environment may hold any bytes."""
    return name.encode("utf-8", "backslashreplace").decode().replace("\0", "")
