"""Importing every module that a command may need, before the first command runs.

An upgrade replaces the files of a package while servers run. Importing everything early keeps a
server from mixing modules of two versions.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages

import kycli
from kycli.session import lean

_APART = ("kycli.shell", "kycli.__main__", "kycli.session.__main__")

_PARTS = (
    *("typing", "inspect", "dataclasses", "typing_extensions", "annotated_types", "asyncio"),
    *("urllib.parse", "pydantic_core", "pydantic_core.core_schema", "pydantic.errors"),
    *("pydantic.json_schema", "pydantic.types", "pydantic.main", "email.message"),
)
"""What takes long to import, in parts."""

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
    for _ in steps():
        pass


def steps() -> Iterator[None]:
    """Do it in steps, of which hardly one takes more than some milliseconds."""
    lean.complete()
    yield
    for name in _PARTS:
        _import(name)
        yield
    for module in walk_packages(kycli.__path__, "kycli."):
        if not module.name.startswith(_APART):
            _import(module.name)
            yield
    for name in _OTHERS:
        _import(name)
        yield


def _import(name: str) -> None:
    try:
        import_module(name)
    except ImportError:
        pass  # an optional dependency; the code that needs it reports the error
