"""The formats of import and export: one module each, found by name or by a file's name."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from kycli.core.durations import shown
from kycli.errors import FormatError

if TYPE_CHECKING:
    from kycli.transfer.reading import Reader
    from kycli.transfer.writing import Writer

COMPRESSIONS = {".gz": "gzip", ".xz": "xz", ".zst": "zstd", ".zstd": "zstd"}
"""The endings of compressed files."""


class Format(NamedTuple):
    """A format.

    Attributes:
        name: what people call it.
        module: the module of this package that reads and writes it.
        endings: of files that are in this format.
        writes: whether keys can be exported in it.
    """

    name: str
    module: str
    endings: tuple[str, ...]
    writes: bool = True

    def reader(self) -> type[Reader]:
        """Import the module and return its reader."""
        found: type[Reader] = self._loaded().READERS[self.name]
        return found

    def writer(self) -> type[Writer]:
        """Import the module and return its writer.

        Raises:
            FormatError: when nothing can be exported in this format.
        """
        if not self.writes:
            raise FormatError(f"{self.name} is a format for imports alone", hint=WRITABLE)
        found: type[Writer] = self._loaded().WRITERS[self.name]
        return found

    def _loaded(self) -> Any:
        """Return the module, which has the tables READERS and WRITERS."""
        return import_module(f"kycli.transfer.formats.{self.module}")


FORMATS = (
    Format("csv", "delimited", (".csv",)),
    Format("tsv", "delimited", (".tsv", ".tab")),
    Format("json", "json_text", (".json",)),
    Format("jsonl", "json_lines", (".jsonl", ".ndjson")),
    Format("nul", "nul", (".nul", ".bin0")),
    Format("dotenv", "dotenv", (".env",)),
    Format("kycli", "complete", (".kycli",)),
    Format("sqlite", "sqlite", (".db", ".sqlite", ".sqlite3"), writes=False),
    Format("prontodb", "prontodb", (".prdb",), writes=False),
)
NAMES = tuple(format.name for format in FORMATS)
_WRITTEN = [format.name for format in FORMATS if format.writes]
READABLE = f"the formats are {', '.join(NAMES)}"
WRITABLE = f"the formats are {', '.join(_WRITTEN)}"


def named(name: str, *, writes: bool = False) -> Format:
    """Return the format of a name.

    Parameters:
        writes: whether it is for an export.

    Raises:
        FormatError: when there is none.
    """
    for format in FORMATS:
        if format.name == name.lower():
            return format
    raise FormatError(f"unknown format {shown(name)}", hint=WRITABLE if writes else READABLE)


def of_file(path: str, *, writes: bool = False) -> Format:
    """Return the format that a file's name says.

    Parameters:
        writes: whether it is for an export.

    Raises:
        FormatError: when it says none.
    """
    name = os.path.basename(path).lower()
    stem, ending = os.path.splitext(name)
    if ending in COMPRESSIONS:
        name = stem
    if name == ".env" or name.startswith(".env."):
        return named("dotenv")
    for format in FORMATS:
        if name.endswith(format.endings):
            return format
    raise FormatError(
        f"{path}: its name does not say what format it is in",
        hint=f"name it behind the file: {WRITABLE}" if writes else f"--format: {READABLE}",
    )
