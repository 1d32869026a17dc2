"""Names of files and directories, and of programs."""

from __future__ import annotations

import os

from kycli.cli.completing.candidates import LIMIT, Candidate


def files(text: str, *, directories: bool = False) -> list[Candidate]:
    """Return the files whose paths begin with a text; ``~`` is a home directory.

    Parameters:
        directories: only directories.
    """
    head = text[: text.rfind("/") + 1]
    prefix = text[len(head) :]
    try:
        with os.scandir(os.path.expanduser(head) or ".") as found:
            entries = sorted(
                (
                    entry
                    for entry in found
                    if entry.name.startswith(prefix) and (prefix or entry.name[0] != ".")
                ),
                key=lambda entry: entry.name,
            )
    except OSError:
        return []
    candidates = []
    for entry in entries:
        try:
            entry.name.encode()
            is_directory = entry.is_dir()
        except (OSError, UnicodeError):
            continue  # its name is not text, so it cannot be an argument
        if is_directory:
            candidates.append(Candidate(f"{head}{entry.name}/", "directory", "directory", True))
        elif not directories:
            candidates.append(Candidate(head + entry.name, "file", "file"))
        if len(candidates) == LIMIT:
            break
    return candidates


def programs(text: str) -> list[Candidate]:
    """Return the programs on the PATH whose names begin with a text, or files for a path."""
    if "/" in text:
        return files(text)
    found: set[str] = set()
    for directory in os.environ.get("PATH", "").split(os.pathsep):
        try:
            names = [name for name in os.listdir(directory or ".") if name.startswith(text)]
        except OSError:
            continue
        found.update(
            name
            for name in names[: 10 * LIMIT]
            if name.isprintable() and os.access(os.path.join(directory, name), os.X_OK)
        )
    return [Candidate(name, "value", "program") for name in sorted(found)[:LIMIT]]
