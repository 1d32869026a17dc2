"""Facts about a database file besides its content: its permissions and its file system."""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from kycli.core.layout import FORMAT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kycli.core.storage import Kycore

_MOUNTS = "/proc/self/mounts"
_NETWORK = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ncpfs", "ceph", "glusterfs", "lustre",
     "gpfs", "davfs", "fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.rclone", "vboxsf")
)  # fmt: skip
_LARGE_WAL = 64 << 20
_LITTLE_SPACE = 100 << 20
_MUCH_FREE = 0.5
_PAGES = """
SELECT page_size, page_count, freelist_count
FROM pragma_page_size, pragma_page_count, pragma_freelist_count"""


class Fact(NamedTuple):
    """Something about the file.

    Attributes:
        part: ``"permissions"``, ``"format"``, ``"wal"``, ``"filesystem"`` or ``"pages"``.
        what: it, in words.
        is_fine: whether there is nothing to be done about it.
        details: numbers and names for programs.
    """

    part: str
    what: str
    is_fine: bool
    details: dict[str, Any]


def facts(store: Kycore) -> list[Fact]:
    """Return what is to be known of the file of a store."""
    path = os.path.realpath(store.path)
    return [_permissions(path), _format(store), _wal(path), _file_system(path), _pages(store)]


def _permissions(path: str) -> Fact:
    mode = stat.S_IMODE(os.stat(path).st_mode)
    directory = stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode)
    what = f"mode {mode:04o}, directory {directory:04o}"
    others = _reachable(mode, directory)
    if others:
        what += f": others can {others} it"
    details = {"mode": f"{mode:04o}", "directory_mode": f"{directory:04o}"}
    return Fact("permissions", what, not others, {**details, "others_can": others or None})


def _reachable(mode: int, directory: int) -> str:
    """Return the access of other users than the owner: ``""``, ``"read"`` or ``"change"``."""
    sticky = directory & stat.S_ISVTX
    for shift in (3, 0):  # the group, and everybody
        if not directory >> shift & 1:
            continue
        if mode >> shift & 2 or (directory >> shift & 2 and not sticky):
            return "change"
    for shift in (3, 0):
        if directory >> shift & 1 and mode >> shift & 4:
            return "read"
    return ""


def _format(store: Kycore) -> Fact:
    return Fact(
        "format", f"format {FORMAT}", True, {"format": FORMAT, "read_only": store.read_only}
    )


def _wal(path: str) -> Fact:
    try:
        size = os.path.getsize(f"{path}-wal")
    except OSError:
        size = 0
    what = f"{size:,} bytes in the -wal"
    return Fact("wal", what, size <= _LARGE_WAL, {"size": size})


def _file_system(path: str) -> Fact:
    about = os.statvfs(path)
    free = about.f_bavail * about.f_frsize
    kind = _kind_of(path)
    is_local = None if kind is None else kind not in _NETWORK
    what = (
        f"{kind or 'unknown'}{'' if is_local is None else ', local' if is_local else ', network'}"
    )
    return Fact(
        "filesystem",
        f"{what}, {free / 1e9:,.1f} GB free",
        is_local is not False and free > max(_LITTLE_SPACE, os.path.getsize(path)),
        {"type": kind, "local": is_local, "free": free},
    )


def _kind_of(path: str) -> str | None:
    """Return the type of the file system that a file is on, where the system tells."""
    best, kind = "", None
    try:
        with open(_MOUNTS, encoding="utf-8", errors="surrogateescape") as mounts:
            for line in mounts:
                _, mount, found, *_ = line.split()
                mount = mount.replace("\\040", " ")
                is_above = path == mount or path.startswith(mount.rstrip("/") + "/")
                if is_above and len(mount) >= len(best):
                    best, kind = mount, found
    except (OSError, ValueError):
        return None
    return kind


def _pages(store: Kycore) -> Fact:
    ((size, count, free),) = store._query(_PAGES)
    what = f"{count:,} pages of {size:,} bytes, {free:,} of them free"
    is_fine = free <= count * _MUCH_FREE or count < 1000
    return Fact("pages", what, is_fine, {"page_size": size, "pages": count, "free_pages": free})
