"""Whose files are obeyed. Imported only for a file that is not plainly the user's own.

A config names the database, so whoever writes it decides where values go. In a directory like
``/tmp``, or in one that a group shares, that could be anybody.
"""

from __future__ import annotations

import os
from stat import S_IWGRP, S_IWOTH


def objection(status: os.stat_result) -> str:
    """Return why a file is not to be obeyed, or "".

    It has to belong to the user or, under sudo, to the user who called sudo, and nobody else may
    write it. A group of its own, which many systems give each user, is nobody else.
    """
    user = os.geteuid()
    if status.st_uid != user and not (user == 0 and str(status.st_uid) == _caller()):
        return "it belongs to another user"
    if status.st_mode & S_IWOTH:
        return "others may write it"
    if status.st_mode & S_IWGRP and not _is_private_group(status.st_gid, status.st_uid):
        return "its group may write it"
    return ""


def is_same(directory: str, other: str) -> bool:
    """Whether two paths are of one directory, such as of a home that a link leads to."""
    try:
        return os.path.samefile(directory, other)
    except OSError:
        return False


def _caller() -> str:
    return os.environ.get("SUDO_UID", "")


def _is_private_group(group: int, user: int) -> bool:
    """Whether a group is that of one user alone."""
    import grp
    import pwd

    try:
        entry, owner = grp.getgrgid(group), pwd.getpwuid(user)
    except KeyError:
        return False
    return (
        owner.pw_gid == group
        and entry.gr_name == owner.pw_name
        and not ({*entry.gr_mem} - {owner.pw_name})
    )
