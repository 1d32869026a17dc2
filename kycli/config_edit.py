"""Changing one setting in a config file, and nothing else in it."""

from __future__ import annotations

import os
import time

from kycli.config import BOM, HINT, is_json, parse_config, read_config
from kycli.core.location import make_private, sync_directory
from kycli.errors import ConfigError

_LOCK_SECONDS = 10


def edit_file(path: str, key: str, value: str | int | None) -> None:
    """Set ``key`` in the config at ``path``, or take it out when ``value`` is None.

    Atomic, and safe against other processes that do the same; see ``save_config``.

    Parameters:
        path: absolute path; the file and its directories are made when they are missing.
        key: the name of a setting.
        value: a value that the setting can have.

    Raises:
        ConfigError: when the file is broken or cannot be written; it stays as it was.
    """
    # What is replaced is the file itself, so that a symbolic link to it stays one.
    target = os.path.realpath(path)
    try:
        make_private(os.path.dirname(target))
        _check_writable(target)
        with _Lock(target + ".lock"):
            old = read_config(target) if os.path.exists(target) else ""
            new = _edited(old, path, key, value)
            if new != old:
                _replace(target, new)
    except OSError as error:
        raise ConfigError(
            f"{path}: the config cannot be saved: {error.strerror or error}", hint=HINT
        ) from error


class _Lock:
    """Keeps other savers of a config out, by a file that is there for as long as it is held."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor: int | None = None

    def __enter__(self) -> None:
        deadline = time.monotonic() + _LOCK_SECONDS
        while not self._take():
            if time.monotonic() > deadline:
                raise ConfigError(
                    f"{self._path}: another process has been saving for {_LOCK_SECONDS} s",
                    hint="remove that file if no kycli is running",
                )
            time.sleep(0.005)

    def __exit__(self, *_: object) -> None:
        # Removed while still held, so that who takes it next can see that it is gone.
        try:
            os.unlink(self._path)
        except FileNotFoundError:
            pass
        if self._descriptor is not None:
            os.close(self._descriptor)

    def _take(self) -> bool:
        try:
            import fcntl
        except ImportError:
            return self._take_by_creating()
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(self._path)):
                self._descriptor = descriptor
                return True
        except (BlockingIOError, FileNotFoundError):
            pass
        finally:
            if self._descriptor is None:
                os.close(descriptor)
        return False

    def _take_by_creating(self) -> bool:
        """Do without flock: who creates the file has the lock."""
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return False
        return True


def _check_writable(path: str) -> None:
    """Refuse to replace what the user protects, or what is no plain file (``/dev/null``)."""
    if not os.path.exists(path):
        return
    if not os.path.isfile(path):
        raise ConfigError(f"{path}: the config cannot be saved: it is no file", hint=HINT)
    if not os.access(path, os.W_OK):
        raise ConfigError(f"{path}: the config cannot be saved: it is read-only", hint=HINT)


def _edited(old: str, path: str, key: str, value: str | int | None) -> str:
    """Return the text of a config with one setting changed."""
    values = parse_config(old, path)  # a broken config is not for us to mend
    present = values.get(key)
    if type(present) is type(value) and present == value:
        return old
    text = old.removeprefix(BOM)
    edit = _edited_json if is_json(text, path) else _edited_toml
    return old[: len(old) - len(text)] + edit(text, key, value)


def _edited_toml(text: str, key: str, value: str | int | None) -> str:
    import tomlkit

    document = tomlkit.parse(text)
    if value is None:
        document.remove(key)
    else:
        document[key] = value
    new = tomlkit.dumps(document)
    if "\r\n" in text:
        new = new.replace("\r\n", "\n").replace("\n", "\r\n")
    return new


def _edited_json(text: str, key: str, value: str | int | None) -> str:
    """Edit the text itself: json would lay everything out anew and round the numbers."""
    import json

    if not text.strip(" \t\r\n"):
        text = "{}\n"
    start = text.index("{") + 1
    members = _members(text, start)
    mine = [place for place, member in enumerate(members) if member[0] == key]
    if value is None:
        for place in reversed(mine):  # a key that is given twice goes twice
            _, begin, _, end = members[place]
            if place + 1 < len(members):
                end = members[place + 1][1]
            elif place > 0:
                begin = members[place - 1][3]
            else:
                begin, end = start, text.rindex("}")
            text = text[:begin] + text[end:]
            members = _members(text, start)
        return text
    literal = json.dumps(value, ensure_ascii=False)
    if mine:
        _, _, begin, end = members[mine[-1]]  # of a key that is given twice the last counts
        return text[:begin] + literal + text[end:]
    member = f"{json.dumps(key)}: {literal}"
    if not members:
        return f"{text[:start]}\n  {member}\n{text[text.rindex('}') :]}"
    # Between the last two members, or before the only one, is what to put between.
    end = members[-1][3]
    before = members[-2][3] if len(members) > 1 else start
    blank = text[before : members[-1][1]].lstrip(", ") or " "
    return text[:end] + f",{blank}{member}" + text[end:]


def _members(text: str, position: int) -> list[tuple[str, int, int, int]]:
    """Return the members of a valid JSON object and where they are in its text.

    Each as its key, where the key begins, where the value begins and where it ends.
    """
    from json import JSONDecoder

    def skip(position: int) -> int:
        while text[position] in " \t\r\n":
            position += 1
        return position

    decode = JSONDecoder().raw_decode
    members = []
    position = skip(position)
    while text[position] != "}":
        name, colon = decode(text, position)
        begin = skip(skip(colon) + 1)
        _, end = decode(text, begin)
        members.append((name, position, begin, end))
        position = skip(end)
        if text[position] == ",":
            position = skip(position + 1)
    return members


def _replace(path: str, text: str) -> None:
    """Put ``text`` in the place of a file, at once, with the file's mode and owner."""
    directory, name = os.path.split(path)
    scratch = os.path.join(directory, f".{name[:200]}.{os.getpid()}-{os.urandom(6).hex()}.new")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            _take_after(path, descriptor)
            os.fsync(descriptor)
        os.replace(scratch, path)
    except BaseException:
        os.unlink(scratch)
        raise
    sync_directory(directory)


def _take_after(path: str, descriptor: int) -> None:
    """Give an open file the mode and, where allowed, the owner of the one at ``path``."""
    try:
        before = os.stat(path)
    except FileNotFoundError:
        return
    if hasattr(os, "fchown"):
        # 'sudo kycli use' must not leave the user with a config that only root can read.
        try:
            os.fchown(descriptor, before.st_uid, before.st_gid)
        except PermissionError:
            pass
        os.fchmod(descriptor, before.st_mode & 0o777)
