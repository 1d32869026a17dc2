"""Changes of files: read, shown, checked, and done all or not at all."""

from __future__ import annotations

import difflib
import os
import sys

from kycli.cli.installing.marking import made_by, with_lines, without_lines
from kycli.config.saving import rewrite
from kycli.errors import ConfigError, FileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MOST = 1 << 22


class Change:
    """The new text of a file.

    Attributes:
        path: its absolute path, which may be a symbolic link.
        old: the text there is, None if there is no file.
        new: the text to be, None to remove the file.
        directories: how many directories above a removed file go with it, if they are empty.
    """

    __slots__ = ("directories", "new", "old", "path")

    def __init__(self, path: str, old: str | None, new: str | None, directories: int = 0) -> None:
        self.path = path
        self.old = old
        self.new = new
        self.directories = directories

    @property
    def is_none(self) -> bool:
        return self.old == self.new

    def shown(self, name: str) -> Iterator[str]:
        """Yield the lines of a listing like that of ``diff -U0``.

        What else is in the file is not shown: a secret may be among it.
        """
        before = [] if self.old is None else self.old.splitlines()
        after = [] if self.new is None else self.new.splitlines()
        names = (
            "/dev/null" if self.old is None else name,
            "/dev/null" if self.new is None else name,
        )
        yield from difflib.unified_diff(before, after, *names, n=0, lineterm="")

    def do(self) -> None:
        """Write it, atomically; the file keeps its mode, and a link stays a link.

        Raises:
            FileError: when the file was changed meanwhile, or cannot be written.
        """
        try:
            if self.new is None:
                self._remove()
            else:
                rewrite(self.path, _read, self._edited)
        except FileError:
            raise
        except (OSError, ConfigError) as error:
            said = getattr(error, "strerror", None) or error
            raise FileError(f"{self.path}: cannot be written: {said}") from error

    def _edited(self, text: str) -> str:
        self._check(text)
        return self.new or ""

    def _check(self, text: str) -> None:
        if text != (self.old or ""):
            raise FileError(f"{self.path}: it was changed meanwhile", hint="run it again")

    def _remove(self) -> None:
        self._check(_read(self.path))
        os.unlink(self.path)
        remove_if_empty(os.path.dirname(self.path), self.directories)

    def undone(self) -> Change:
        made = 0 if self.old is not None else missing_directories(self.path)
        return Change(self.path, self.new, self.old, made)


def remove_if_empty(directory: str, most: int) -> None:
    """Remove a directory and those above it, up to so many, as long as they are empty."""
    for _ in range(most):
        try:
            os.rmdir(directory)
        except OSError:
            break  # something else is in it
        directory = os.path.dirname(directory)


def missing_directories(path: str) -> int:
    """Return how many directories have to be made for a file."""
    count = 0
    directory = os.path.dirname(os.path.realpath(path))
    while not os.path.isdir(directory):
        count += 1
        directory = os.path.dirname(directory)
    return count


def adding(path: str, lines: str) -> Change:
    """Return the change that puts marked lines into a file.

    Raises:
        FileError: when it cannot be read as text.
    """
    old = _existing(path)
    made = missing_directories(path) if old is None else None
    return Change(path, old, with_lines(old or "", lines, made))


def removing(path: str) -> Change:
    """Return the change that takes marked lines away, and a file that was made for them.

    Raises:
        FileError: when it cannot be read as text.
    """
    old = _existing(path)
    if old is None:
        return Change(path, None, None)
    new = without_lines(old)
    made = made_by(old)
    if made is not None and not new.strip() and not os.path.islink(path):
        return Change(path, old, None, made)
    return Change(path, old, new)


def do_all(changes: Sequence[Change]) -> None:
    """Do all changes, or none.

    Raises:
        FileError: when one cannot be done; those before it are undone.
    """
    done: list[Change] = []
    try:
        for change in changes:
            undone = change.undone()
            change.do()
            done.append(undone)
    except BaseException:
        for change in reversed(done):
            change.do()
        raise


def _existing(path: str) -> str | None:
    return _read(path) if os.path.lexists(path) and os.path.exists(path) else None


def _read(path: str) -> str:
    """Return the text of a file.

    Raises:
        FileError: when it cannot be read, or is not text.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise FileError(f"{path}: not a regular file")
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST + 1)
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FileError(
            f"{path}, line {line}: not UTF-8", hint="save the file in the encoding UTF-8"
        ) from None
    if len(data) > _MOST or "\0" in text:
        raise FileError(f"{path}: not a text file", hint="look at what it is")
    return text


class Links:
    """Symbolic links from a directory to files of the package: the manual pages.

    Attributes:
        directory: where the links are.
        add: by name, what a new link leads to.
        remove: the names of links to remove.
    """

    __slots__ = ("add", "directory", "remove")

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.add: dict[str, str] = {}
        self.remove: list[str] = []

    def do(self) -> None:
        """Make and remove the links.

        Raises:
            FileError: when that is not possible.
        """
        try:
            if self.add:
                os.makedirs(self.directory, exist_ok=True)
            for name in self.remove:
                os.unlink(os.path.join(self.directory, name))
            for name, target in self.add.items():
                os.symlink(target, os.path.join(self.directory, name))
            if self.remove and not self.add:
                remove_if_empty(self.directory, 2)
        except OSError as error:
            raise FileError(f"{error.filename}: {error.strerror}") from error


def package_manuals() -> str:
    """Return the directory of the manual pages that came with the package; "" if none did."""
    program = os.path.realpath(sys.argv[0])
    for bin in (os.path.dirname(program), os.path.join(sys.prefix, "bin")):
        directory = os.path.join(os.path.dirname(bin), "share", "man", "man1")
        if os.path.exists(os.path.join(directory, "kycli.1")):
            return directory
    return ""


def man_finds_them(pages: str) -> bool:
    """Whether ``man`` finds the pages beside a directory of the PATH."""
    for directory in os.environ.get("PATH", "").split(os.pathsep):
        beside = os.path.join(os.path.dirname(directory.rstrip("/")), "share", "man", "man1")
        if directory and os.path.realpath(beside) == os.path.realpath(pages):
            return True
    return False


def manual_links(directory: str, pages: str) -> Links:
    """Return the links to the pages of the package that are missing, or lead elsewhere."""
    links = Links(directory)
    names = [name for name in os.listdir(pages) if name.startswith("ky")] if pages else []
    for name in sorted(names):
        path, target = os.path.join(directory, name), os.path.join(pages, name)
        if os.path.islink(path) and os.readlink(path) != target and _is_ours(path):
            links.remove.append(name)
            links.add[name] = target
        elif not os.path.lexists(path):
            links.add[name] = target
    return links


def links_to_remove(directory: str) -> Links:
    """Return the links in a directory that lead to manual pages of a package."""
    links = Links(directory)
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return links
    links.remove = [name for name in names if _is_ours(os.path.join(directory, name))]
    return links


def _is_ours(path: str) -> bool:
    """Whether a path is a link such as ``install`` makes."""
    name = os.path.basename(path)
    if not (name.startswith("ky") and name.endswith(".1") and os.path.islink(path)):
        return False
    return os.readlink(path).endswith(f"/share/man/man1/{name}")
