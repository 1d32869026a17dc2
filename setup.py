"""The compiled engine and the manual pages; everything else is in pyproject.toml.

``KYCLI_DEBUG_BUILD=1`` is the one switch. It builds an engine to look into: not
optimised, with symbols, bounds checks and line tracing (for coverage and
profilers), and with Cython's annotated listing in ``build/debug``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from glob import glob
from typing import Any

from setuptools import Extension, setup

# isort: split
from distutils.command.install_data import install_data  # which setuptools provides

DEBUG = os.environ.get("KYCLI_DEBUG_BUILD") == "1"

if DEBUG:
    # build_ext has no option for the listing; this is the compiler's own default.
    from Cython.Compiler import Options

    Options.annotate = True

# A directive in the first line of the source would win over these, also in a debug build.
directives: dict[str, str | bool] = {
    "language_level": "3",
    "boundscheck": DEBUG,
    "linetrace": DEBUG,
}

COMPILER: dict[str, Any] = {
    "define_macros": [("CYTHON_TRACE", "1")] if DEBUG else [],
    "extra_compile_args": ["-O0", "-g3"] if DEBUG else ["-O2", "-g0"],
}
SHARED = ["kycli/core/codec.pxd", "kycli/core/layout/__init__.py"]

engine = [
    Extension(
        "kycli.core.storage",
        ["kycli/core/storage.pyx"],
        depends=[*sorted(glob("kycli/core/engine/**/*.pxi", recursive=True)), *SHARED],
        **COMPILER,
    ),
    Extension("kycli.core.codec", ["kycli/core/codec.pyx"], depends=SHARED, **COMPILER),
    Extension("kycli.core.search.characters", ["kycli/core/search/characters.pyx"], **COMPILER),
    Extension("kycli.core.migration.oldvalues", ["kycli/core/migration/oldvalues.pyx"], **COMPILER),
]


class install_manuals(install_data):
    """Install the manual pages, which are made from the registry of commands.

    An installer puts ``share/man`` beside ``bin``, where ``man`` looks for the pages of
    the programs on the PATH.
    """

    def run(self) -> None:
        subprocess.run([sys.executable, "docs/generate.py", "man", "build/man"], check=True)
        self.data_files = [("share/man/man1", sorted(glob("build/man/*.1")))]
        super().run()


setup(
    ext_modules=engine,
    data_files=[("share/man/man1", [])],  # filled in when they are installed
    cmdclass={"install_data": install_manuals},
    options={
        # Each kind of build has a directory of its own, so that switching between
        # them never leaves the other's objects behind as if they were up to date.
        "build": {"build_base": "build/debug" if DEBUG else "build"},
        # setuptools runs Cython from build_ext, so metadata and sdist need no compiler.
        "build_ext": {
            "cython_c_in_temp": True,
            "cython_directives": directives,
        },
    },
)
