"""The file of rejected records, in the format of the input."""

from __future__ import annotations

import os
from typing import Any, BinaryIO

from kycli.transfer.reading import Reader


class Rejects:
    """Writes rejected records to a file that gets its name when the import is done.

    Until then it is called ``PATH.part``, so that a file of rejects can be mended, imported
    again, and name its own rejects.

    Parameters:
        path: the file.
        reader: knows the current record and how it is written.
        kept: how many bytes of the part an interrupted import had committed.
    """

    def __init__(self, path: str | os.PathLike[str], reader: Reader, kept: int = 0) -> None:
        self._path = os.fspath(path)
        is_special = os.path.exists(path) and not os.path.isfile(path)  # such as /dev/stderr
        self._part = self._path if is_special else f"{self._path}.part"
        self._reader = reader
        self._file: BinaryIO | None = None
        self._empty = not kept
        if kept:
            self._file = open(self._part, "r+b")  # noqa: SIM115  (closed by close)
            self._file.truncate(kept)
            self._file.seek(kept)

    def add(self, record: Any, line: int, reason: str) -> None:
        """Write a record of the reader."""
        reason = " ".join(reason.split())
        if self._file is None:
            self._file = open(self._part, "wb")  # noqa: SIM115  (closed by close)
            self._file.write(self._reader.rejects_header())
        self._file.write(self._reader.rejected(record, line, reason, self._empty))
        self._empty = False

    def flush(self) -> None:
        """Write what was added, so that an error is raised now."""
        if self._file is not None:
            self._file.flush()

    def sync(self) -> int:
        """Have the system keep what was written; return how many bytes these are."""
        if self._file is None:
            return 0
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def finish(self) -> None:
        """Give the file its name; where nothing was rejected there is none."""
        if self._file is None:
            return
        self._file.write(self._reader.rejects_end())
        self._file.flush()
        if self._part == self._path:
            return
        self.sync()
        os.replace(self._part, self._path)

    def close(self) -> None:
        """Close the file; what is not finished stays a part."""
        if self._file is not None:
            self._file.close()
