"""Deleting the user's data: the databases, backups and settings in the directories of kycli."""

from __future__ import annotations

import os

from kycli.cli.output import tilde
from kycli.config import config_dir
from kycli.core.location import data_dir
from kycli.errors import FileError

_LISTED = 20


class Purge:
    """The files to delete from the data and the config directory.

    Attributes:
        files: the absolute paths of all files, in the order of the listing.
    """

    def __init__(self) -> None:
        self._tops = list(dict.fromkeys((data_dir(), config_dir())))
        self._directories: list[str] = []
        self.files: list[str] = []
        for top in self._tops:
            # Links inside are removed, and what they lead to is kept.
            for directory, names, files in os.walk(top, topdown=False):
                links = [name for name in names if os.path.islink(os.path.join(directory, name))]
                self.files += [os.path.join(directory, name) for name in sorted(files + links)]
                self._directories.append(directory)

    def shown(self) -> list[str]:
        """Return a line for each file, with its size; the first ones, if they are many."""
        lines = [f"- {tilde(path)} ({_bytes(path):,} bytes)" for path in self.files[:_LISTED]]
        more = len(self.files) - _LISTED
        return [*lines, f"- and {more:,} more"] if more > 0 else lines

    def summary(self) -> str:
        size = sum(map(_bytes, self.files))
        where = " and ".join(tilde(top) for top in self._tops if os.path.isdir(top))
        files = "1 file" if len(self.files) == 1 else f"{len(self.files):,} files"
        return f"{files}, {size:,} bytes, in {where}"

    def do(self) -> str:
        """Delete it; return what it was.

        Raises:
            FileError: when a file cannot be deleted.
        """
        what = self.summary()
        for path in self.files:
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass  # SQLite's side files go with the last process that has the database open
            except OSError as error:
                raise FileError(f"{path}: cannot be deleted: {error.strerror}") from error
        for directory in self._directories:
            try:
                os.rmdir(directory)
            except OSError:
                pass  # a file is new, or the directory is behind a link
        return what


def _bytes(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0
