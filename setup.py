"""The compiled part of the build; everything else about the package is in pyproject.toml.

``KYCLI_DEBUG_BUILD=1`` is the one switch. It builds an engine to look into: not
optimised, with symbols, bounds checks and line tracing (for coverage and
profilers), and with Cython's annotated listing in ``build/debug``.
"""

from __future__ import annotations

import os
from glob import glob

from setuptools import Extension, setup

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

engine = Extension(
    "kycli.core.storage",
    ["kycli/core/storage.pyx"],
    depends=[*sorted(glob("kycli/core/*.pxi")), "kycli/core/layout.py"],
    define_macros=[("CYTHON_TRACE", "1")] if DEBUG else [],
    extra_compile_args=["-O0", "-g3"] if DEBUG else ["-O2", "-g0"],
)

setup(
    ext_modules=[engine],
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
