"""The names of backups, and which files are backups of a database.

A generated name contains the database's name, the time, and a hash of the machine and the path:
``kycli-20261121T235959Z-3f9a2c1b.db``, with ``.zst`` or the like if it is compressed. The hash
distinguishes databases of the same name whose backups are in one directory, so that pruning the
backups of one never removes those of another.
"""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Iterator
from hashlib import blake2b
from typing import NamedTuple

from kycli.core.backup.newfile import ENDING, remove_abandoned
from kycli.core.backup.verifying import HEADER_SIZE, Header, check_format, read_header
from kycli.errors import KycliError
from kycli.transfer.formats import COMPRESSIONS
from kycli.transfer.sources import Source

DIRECTORY = "backups"
"""Where backups go by default: a directory beside the database."""

TIME = "%Y%m%dT%H%M%SZ"
"""How names tell the time, UTC."""

_MACHINE = "/etc/machine-id"
_DATABASES = (".db", ".sqlite", ".sqlite3")
_ENDINGS = "|".join(re.escape(ending) for ending in COMPRESSIONS)
_NAME = re.compile(
    rf"(?P<stem>.+)-(?P<time>\d{{8}}T\d{{6}}Z)-(?P<origin>[0-9a-f]{{8}})(?:-(?P<number>\d+))?\.db"
    rf"(?:{_ENDINGS})?",
    re.DOTALL,
)


class Listed(NamedTuple):
    """A backup in a directory.

    Attributes:
        path: of the file.
        time: when it was begun, in seconds since the epoch.
        size: of the file, in bytes.
        format: of the database in it; None when it cannot be read.
        problem: why it cannot be restored, or None. Its pages are not looked at.
        is_own: whether it was made of this database, in this place on this machine.
    """

    path: str
    time: int
    size: int
    format: int | None
    problem: str | None
    is_own: bool


def default_directory(database: str) -> str:
    """Return where the backups of a database go if nothing else is said."""
    return os.path.join(os.path.dirname(os.path.realpath(database)), DIRECTORY)


def new_names(database: str, ending: str) -> Iterator[str]:
    """Yield names for a backup that is made now; the first is taken that no file has."""
    beginning = f"{_stem(database)}-{time.strftime(TIME, time.gmtime())}-{_origin(database)}"
    yield f"{beginning}.db{ending}"
    number = 2
    while True:
        yield f"{beginning}-{number}.db{ending}"
        number += 1


def backups_in(directory: str, database: str) -> list[Listed]:
    """Return the backups in a directory, of any database, the oldest first.

    Raises:
        OSError: when the directory cannot be read.
    """
    found: list[tuple[int, int, Listed]] = []
    for name in os.listdir(directory):
        match = _NAME.fullmatch(name)
        path = os.path.join(directory, name)
        if match is None or os.path.islink(path) or not os.path.isfile(path):
            continue
        begun = _time(match["time"])
        if begun is not None:
            is_own = (match["stem"], match["origin"]) == (_stem(database), _origin(database))
            found.append((begun, int(match["number"] or 1), _listed(path, begun, is_own)))
    return [backup for _, _, backup in sorted(found)]


def header_of(path: str) -> Header:
    """Return what the beginning of a backup says, compressed or not.

    Raises:
        NotADatabaseError, FormatError: when it is none.
        OSError: when it cannot be read.
    """
    source = Source(path)
    try:
        return read_header(source.stream.read(HEADER_SIZE), path)
    finally:
        source.close()


def own_backups(directory: str, database: str) -> list[str]:
    """Return the paths of a database's own backups, by name and content, the oldest first."""
    return [
        backup.path for backup in backups_in(directory, database) if backup.is_own and backup.format
    ]


def remove_abandoned_in(directory: str, database: str) -> None:
    """Remove what killed processes left of backups of a database."""
    for name in os.listdir(directory):
        match = _NAME.match(name)
        if match and name.endswith(ENDING) and match["origin"] == _origin(database):
            remove_abandoned(os.path.join(directory, name))


def remove_abandoned_aside(path: str, why: str) -> None:
    """Remove what killed processes left of files with a name from ``name_aside``."""
    directory, name = os.path.split(path)
    for found in os.listdir(directory):
        if found.startswith(f"{name}.{why}-") and found.endswith(ENDING):
            remove_abandoned(os.path.join(directory, found))


def name_aside(path: str, why: str) -> str:
    """Return a free name for a file that is put aside."""
    beginning = name = f"{path}.{why}-{time.strftime(TIME, time.gmtime())}"
    number = 2
    while os.path.lexists(name):
        name = f"{beginning}-{number}"
        number += 1
    return name


def _listed(path: str, begun: int, is_own: bool) -> Listed:
    version, problem = None, None
    size = os.path.getsize(path)
    try:
        header = header_of(path)
        version = header.format
        check_format(version, path)
        if not version:
            problem = "this is not a kycli database"
        elif size < header.size and path.endswith(".db"):
            problem = f"it is cut off: {size:,} of {header.size:,} bytes are there"
    except (KycliError, OSError) as error:
        problem = str(error).removeprefix(f"{path}: ")
    return Listed(path, begun, size, version, problem, is_own)


def _time(text: str) -> int | None:
    import calendar

    try:
        return calendar.timegm(time.strptime(text, TIME))
    except ValueError:
        return None


def _stem(database: str) -> str:
    stem, ending = os.path.splitext(os.path.basename(os.path.realpath(database)))
    return stem if ending.lower() in _DATABASES else stem + ending


def _origin(database: str) -> str:
    """Return a short hash of the machine and the path of a database."""
    origin = f"{_machine()}\0{os.path.realpath(database)}"
    return blake2b(origin.encode(), digest_size=4).hexdigest()


def _machine() -> str:
    try:
        with open(_MACHINE, encoding="ascii") as file:
            machine = file.read().strip()
    except (OSError, ValueError):
        machine = ""
    return machine or platform.node()
