"""Authors of changes: the user, the host and the command that the history records.

A database stores each combination once, under a number. The rows of the history hold that
number and the process id.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import apsw

_FIND = "SELECT id FROM authors WHERE (user, host, command) = (?1, ?2, ?3)"
_ADD = "INSERT OR IGNORE INTO authors (user, host, command) VALUES (?1, ?2, ?3)"


_names: dict[int, str] = {}
"""Login names by user id, from the password database."""


def number_of(connection: apsw.Connection, command: str) -> int:
    """Return the number of this user, host and command; add it to the database if it is new."""
    author = (user(), host(), command)
    number = connection.execute(_FIND, author).get
    if number is None:
        connection.execute(_ADD, author)
        number = connection.execute(_FIND, author).get
    return int(number)


def user() -> str:
    """Return the login name as getpass does: from the environment, else from the system."""
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        name = os.environ.get(variable)
        if name:
            return _printable(name)
    uid = os.getuid()
    if uid not in _names:
        import pwd

        try:
            _names[uid] = pwd.getpwuid(uid).pw_name
        except KeyError:  # in containers, users may have no entry
            _names[uid] = str(uid)
    return _names[uid]


def host() -> str:
    """Return the name of this machine."""
    return _printable(os.uname().nodename)


def _printable(name: str) -> str:
    """Return the name as text that can be stored; the environment may contain any bytes."""
    return name.encode("utf-8", "backslashreplace").decode().replace("\0", "")
