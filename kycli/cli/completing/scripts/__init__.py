"""The scripts that have a shell ask for completions: for each shell a file, ``kycli.SHELL``.

``@NAMES@`` in it stands for the programs that are completed.

Own scripts, and no generator such as shtab: a generator writes the names of commands and flags
into the script, but what is worth completing here is in the database, and one engine for
everything gives the same answers in all shells, and in the interactive shell.
"""

from __future__ import annotations

import os

from kycli.cli.commands import KY, short_names

SHELLS = ("bash", "zsh", "fish")


def script(shell: str) -> str:
    """Return the script for one of ``SHELLS``, to be evaluated when it starts."""
    path = os.path.join(os.path.dirname(__file__), f"kycli.{shell}")
    with open(path, encoding="utf-8") as file:
        return file.read().replace("@NAMES@", " ".join(("kycli", KY, *short_names())))
