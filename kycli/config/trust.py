"""Which config files are trusted. Imported only for files that another user could have written.

A config names the database, so whoever writes it decides where values go. In a directory like
``/tmp``, or in one that a group shares, that could be anybody.
"""

from __future__ import annotations

import os
from stat import S_IWGRP, S_IWOTH


def objection(path: str) -> str:
    """Return why a file is not to be obeyed, or "".

    It has to belong to the user or, under sudo, to the user who called sudo, and nobody else may
    write it. A group of its own, which many systems give each user, is nobody else. If it is a
    link, so has the link: another user's could lead to a file of this user that is no config.
    """
    try:
        status = os.stat(path)
        is_theirs = not (_is_own(status.st_uid) and _is_own(os.lstat(path).st_uid))
    except OSError as error:
        return f"{error.strerror}"
    if is_theirs:
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


def _is_own(owner: int) -> bool:
    user = os.geteuid()
    return owner == user or (user == 0 and str(owner) == os.environ.get("SUDO_UID"))


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
