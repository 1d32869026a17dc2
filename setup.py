"""What is compiled or generated: engine, native client, manual pages. All else: pyproject.toml.

``KYCLI_DEBUG_BUILD=1`` is the one switch. It builds an engine to look into: not
optimised, with symbols, bounds checks and line tracing (for coverage and
profilers), and with Cython's annotated listing in ``build/debug``.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from glob import glob
from pathlib import Path
from typing import Any

from setuptools import Extension, setup

# isort: split
from distutils.command.build_scripts import build_scripts  # which setuptools provides
from distutils.command.install_data import install_data

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

# A library for bash, and no module of Python. Without it, the functions of bash are slower.
builtin = Extension(
    "kycli.session.shells.builtin",
    ["kycli/session/shells/builtin.c"],
    optional=True,
    **COMPILER,
)


SOURCES = sorted(path for path in glob("client/*.c") if path != "client/bare.c")
BARE = [
    *("-Os", "-ffreestanding", "-fno-tree-loop-distribute-patterns", "-fno-stack-protector"),
    *("-U_FORTIFY_SOURCE", "-fno-asynchronous-unwind-tables", "-fno-pie", "-no-pie"),
    *("-nostdlib", "-static", "-s", *SOURCES, "client/bare.c"),
]
"""Linux alone, without a C library: see client/bare.c."""


class build_programs(build_scripts):
    """Build the short commands: one native client under the name of each.

    Where it cannot be built they are the scripts in bin/, which do the same by Python.
    """

    def run(self) -> None:
        self.force = True  # what an earlier build has left there may be the client
        super().run()
        names = [os.path.basename(script) for script in self.scripts]
        names.remove("kycli")
        with tempfile.TemporaryDirectory() as directory:
            client = self.client(Path(directory), names)
            if client is None:
                self.warn("no native client can be built: the short commands are Python scripts")
                return
            for name in names:
                target = Path(self.build_dir, name)
                target.unlink(missing_ok=True)
                shutil.copy(client, target)
                target.chmod(0o755)

    def client(self, directory: Path, names: list[str]) -> Path | None:
        """Build the client in a directory; return None when no way of building it works."""
        compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
        compiler += [
            "-std=gnu11",
            f'-DKYCLI_VERSION="{self.distribution.get_version()}"',
            f'-DKYCLI_PROGRAMS="{" ".join(names)}"',
        ]
        given = shlex.split(" ".join(os.environ.get(v, "") for v in ("CFLAGS", "ARCHFLAGS")))
        hosted = [*(["-O0", "-g3"] if DEBUG else ["-O2", "-g0"]), *given, *SOURCES]
        hosted += shlex.split(os.environ.get("LDFLAGS", ""))
        client = directory / "client"
        for flags in (hosted,) if DEBUG else (BARE, [*hosted, "-static"], hosted):
            command = [*compiler, *flags, "-o", str(client)]
            try:
                built = subprocess.run(command, capture_output=True).returncode == 0
                if built and self.runs(client):
                    return client
            except OSError:
                pass  # there is no compiler, or it is one for another machine
        return None

    def runs(self, client: Path) -> bool:
        """Whether the client does here what it does where no `kycli` is beside it."""
        environment = {"XDG_RUNTIME_DIR": str(client.parent)}
        done = subprocess.run(
            [client], env=environment, stdin=subprocess.DEVNULL, capture_output=True
        )
        return done.returncode == 1 and done.stderr.endswith(b"hint: install kycli again\n")


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
    ext_modules=[*engine, builtin],
    data_files=[("share/man/man1", [])],  # filled in when they are installed
    cmdclass={"build_scripts": build_programs, "install_data": install_manuals},
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
