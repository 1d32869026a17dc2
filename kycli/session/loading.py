"""Importing all that commands may need, before the first of them runs.

An upgrade replaces the files of a package under a process that runs. What is imported by then
is of one version.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import walk_packages

import kycli

_APART = ("kycli.shell", "kycli.__main__", "kycli.session.__main__")

_OTHERS = (
    *(
        "apsw",
        "re2",
        "jsonpatch",
        "jsonschema_rs",
        "platformdirs",
        "pydantic",
        "tomlkit",
        "wcwidth",
    ),
    *(
        "binascii",
        "csv",
        "difflib",
        "getpass",
        "grp",
        "gzip",
        "importlib.metadata",
        "pwd",
        "shutil",
        "tempfile",
        "tomllib",
        "traceback",
        "zoneinfo",
    ),
)


def load_everything() -> None:
    """Import every module of the package, and those that are imported when they are used."""
    for module in walk_packages(kycli.__path__, "kycli."):
        if not module.name.startswith(_APART):
            _import(module.name)
    for name in _OTHERS:
        _import(name)


def _import(name: str) -> None:
    try:
        import_module(name)
    except ImportError:
        pass  # an optional one; who needs it says so
