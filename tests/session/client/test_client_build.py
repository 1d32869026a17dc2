"""How the native client is built and installed."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from session.clients import BIN, Site, native, run, short_directory, shown

ROOT = Path(__file__).parents[3]
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["script-files"]
NAMES = [Path(script).name for script in SCRIPTS]
SOURCES = sorted(path for path in (ROOT / "client").glob("*.c") if path.name != "bare.c")
DEFINED = ['-DKYCLI_VERSION="0.5.0"', '-DKYCLI_PROGRAMS="ky kyg kys"']
WARNINGS = ["-std=gnu11", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wno-sign-conversion"]

has_compiler = pytest.mark.skipif(not shutil.which("cc"), reason="there is no cc")


def build_scripts(directory: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Build the installed programs, as pip does."""
    return subprocess.run(
        [sys.executable, "setup.py", "--quiet", "build_scripts", "--build-dir", str(directory)],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )


def is_python_script(path: Path) -> bool:
    first, _, _ = path.read_text().partition("\n")
    return first.startswith("#!/") and "/python" in first


@native
def test_every_program_but_kycli_is_the_client_and_can_be_executed() -> None:
    client = (BIN / "kyg").read_bytes()
    for name in NAMES:
        assert os.access(BIN / name, os.X_OK), name
        assert (BIN / name).stat().st_mode & 0o777 == 0o755, name
        assert ((BIN / name).read_bytes() == client) == (name != "kycli"), name
    assert is_python_script(BIN / "kycli")


@native
def test_an_installer_knows_the_programs_it_has_to_remove() -> None:
    files = importlib.metadata.files("kycli") or []
    assert {file.name for file in files if file.parent.name == "bin"} == set(NAMES)


@native
def test_a_copy_in_each_program_s_place_stays_small() -> None:
    size = (BIN / "kyg").stat().st_size
    if size > 100_000:
        pytest.skip("it was linked with a C library")
    assert size < 30_000


@has_compiler
def test_they_are_built_as_programs(tmp_path: Path) -> None:
    built = tmp_path / "built"
    said = build_scripts(built)
    assert "Python scripts" not in said.stderr
    assert sorted(path.name for path in built.iterdir()) == sorted(NAMES)
    for name in NAMES:
        assert os.access(built / name, os.X_OK)
        assert ((built / name).read_bytes()[:2] == b"#!") == (name == "kycli")


@pytest.mark.parametrize("compiler", ["/bin/false", "/no/such/compiler"])
def test_where_nothing_can_be_compiled_they_are_python_scripts(
    tmp_path: Path, compiler: str
) -> None:
    if shutil.which("cc"):
        build_scripts(tmp_path)  # what is left of another build is replaced
    said = build_scripts(tmp_path, CC=compiler)
    assert "the short commands are Python scripts" in said.stderr
    for name in NAMES:
        assert is_python_script(tmp_path / name)
        assert os.access(tmp_path / name, os.X_OK)
    environ = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": "/nowhere"}
    assert run(tmp_path / "kys", "k", "v", environ=environ) == (0, b"", b"")
    assert run(tmp_path / "kyg", "k", environ=environ) == (0, b"v\n", b"")


@has_compiler
@pytest.mark.parametrize("library", ["none", "static", "dynamic"])
def test_each_way_of_building_gives_the_same_client(tmp_path: Path, library: str) -> None:
    if library == "none":
        flags = [*BARE, *SOURCES, ROOT / "client/bare.c"]
    else:
        flags = ["-O2", *SOURCES, *(["-static"] if library == "static" else [])]
    client = tmp_path / "client"
    command = ["cc", *WARNINGS, "-Werror", *DEFINED, *map(str, flags), "-o", str(client)]
    built = subprocess.run(command, capture_output=True, text=True)
    if library == "static" and "-lc" in built.stderr:
        pytest.skip("there is no static C library")
    if library == "none" and "#error" in built.stderr:
        pytest.skip("this machine needs a C library")
    assert built.returncode == 0, built.stderr
    assert built.stderr == ""
    with short_directory() as directory:
        site = Site(directory)
        shutil.copy(client, site.bin / "kyg")
        assert site.run("kyg", "a").out == b"python: [kyg] [a]\n"
        with site.serving(shown):
            assert site.run("kyg", "a", "b") == (0, b"a b\n", b"")
            done = run("sh", "-c", f"{site.bin}/kyg a > /dev/full", environ=site.environ)
        said = b"kycli: cannot write to standard output: No space left on device\n"
        assert done == (1, b"", said)


BARE = [
    *("-Os", "-ffreestanding", "-fno-tree-loop-distribute-patterns", "-fno-stack-protector"),
    *("-U_FORTIFY_SOURCE", "-fno-asynchronous-unwind-tables", "-fno-pie", "-no-pie"),
    *("-nostdlib", "-static", "-s"),
]


def test_setup_py_has_these_flags() -> None:
    text = (ROOT / "setup.py").read_text()
    assert [flag for flag in BARE if f'"{flag}"' not in text] == []
