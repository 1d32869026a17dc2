"""What is shipped: the sdist, the wheel, and a stub that says what the engine really offers."""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

import kycli
from kycli.core import storage

ROOT = Path(__file__).parent.parent
STUB = Path(kycli.__file__).parent / "core" / "storage.pyi"
COMMANDS = {
    *("kycli", "ky", "kys", "kyg", "kyd", "kyl", "kypatch", "kypush", "kyrem", "kyc"),
    *("kyv", "kyr", "kyrt", "kyco", "kyfo", "kyuse", "kyh"),
    *("kyi", "kye", "kyshell"),
}

# What tests and benchmarks leave where they run.
LEFTOVERS = [
    "bench/.benchmarks/Linux/0001.json",
    "bench/.pytest_cache/v/lastfailed",
    "tests/.benchmarks/Linux/0001.json",
    "tests/.hypothesis/examples/0a/0b",
    "tests/.pytest_cache/v/lastfailed",
    "docs/reference/commands/index.md",
]

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    """Run a command that must succeed, and return what it printed."""
    environment = {k: v for k, v in os.environ.items() if k != "KYCLI_DEBUG_BUILD"} | variables
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


# The archives


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the sdist from a copy, as building writes into the source directory."""
    directory = tmp_path_factory.mktemp("sdist")
    source = directory / "source"
    leftovers = shutil.ignore_patterns(
        *(".git", ".venv", ".*_cache", ".hypothesis", ".benchmarks", "__pycache__"),
        *("build", "dist", "*.so"),
    )
    shutil.copytree(ROOT, source, ignore=leftovers)
    for leftover in LEFTOVERS:
        (source / leftover).parent.mkdir(parents=True, exist_ok=True)
        (source / leftover).write_text("left by a run\n")
    program = "from setuptools.build_meta import build_sdist; build_sdist('..')"
    run(sys.executable, "-c", program, cwd=source)
    (archive,) = directory.glob("*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def wheel(sdist: Path) -> Path:
    """Build the wheel from the unpacked sdist, so that the sdist is known to be complete."""
    run("tar", "-xzf", sdist, cwd=sdist.parent)
    source = sdist.parent / sdist.name.removesuffix(".tar.gz")
    # What is compiled here is never run, so it is empty; `make test-installed` compiles a wheel
    # and tests it.
    compiler = sdist.parent / "compiler"
    compiler.write_text('#!/bin/sh\nwhile test "$1" != -o; do shift; done\n: >"$2"\n')
    compiler.chmod(0o700)
    program = (
        "import gc; gc.disable()  # Cython takes a third longer with it\n"
        "from setuptools.build_meta import build_wheel; build_wheel('..')"
    )
    run(sys.executable, "-c", program, cwd=source, CC=str(compiler))
    (archive_path,) = sdist.parent.glob("*.whl")
    return archive_path


@pytest.fixture(scope="module")
def in_sdist(sdist: Path) -> set[str]:
    with tarfile.open(sdist) as archive:
        names = [member.name for member in archive if member.isfile()]
    return {name.partition("/")[2] for name in names}


@pytest.fixture(scope="module")
def in_wheel(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_the_package_and_nothing_to_build_it_from(in_wheel: set[str]) -> None:
    package = {name for name in in_wheel if name.startswith("kycli/")}
    endings = {name.rpartition(".")[2] for name in package}
    assert endings == {"py", "pyi", "typed", "so", "bash", "zsh", "fish"}
    assert {"kycli/py.typed", "kycli/core/storage.pyi"} <= package
    assert any(name.startswith("kycli/session/shells/builtin.") for name in package)
    assert {n for n in package if n.endswith(".py")} == {
        str(path.relative_to(ROOT)) for path in (ROOT / "kycli").rglob("*.py")
    }
    assert {name.partition("/")[0].partition("-")[0] for name in in_wheel} == {"kycli"}


def test_the_wheel_holds_the_commands(wheel: Path, in_wheel: set[str]) -> None:
    scripts = {name for name in in_wheel if ".data/scripts/" in name}
    assert {name.rpartition("/")[2] for name in scripts} == COMMANDS
    with zipfile.ZipFile(wheel) as archive:
        # The installer puts the interpreter's path in place of exactly this line.
        starts = {name.rpartition("/")[2]: archive.read(name)[:9] for name in scripts}
        assert starts.pop("kycli") == b"#!python\n"
        # The others are one program, or scripts where it cannot be compiled.
        assert len(set(starts.values())) == 1
        for name in scripts:
            assert archive.getinfo(name).external_attr >> 16 & 0o777 == 0o755, name


def test_the_wheel_holds_a_manual_page_of_each_command(in_wheel: set[str]) -> None:
    pages = {name for name in in_wheel if ".data/data/share/man/man1/" in name}
    assert {name.rpartition("/")[2] for name in pages} == {f"{name}.1" for name in COMMANDS}


def test_the_sdist_holds_the_sources_and_nothing_generated(in_sdist: set[str]) -> None:
    assert {
        ".github/workflows/tests.yml",
        "LICENSE",
        "Makefile",
        "README.md",
        "SECURITY.md",
        "demo/run",
        "docs/generate.py",
        "docs/tour.md",
        "kycli/core/storage.pyi",
        "kycli/core/storage.pyx",
        "pyproject.toml",
        "setup.py",
        "tests/test_packaging.py",
    } <= in_sdist
    assert {f"bin/{command}" for command in COMMANDS} <= in_sdist
    written = {f"client/{path.name}" for path in (ROOT / "client").iterdir()}
    written.add("kycli/session/shells/builtin.c")
    assert written <= in_sdist
    generated = (".c", ".html", ".pyc", ".so")
    assert [name for name in in_sdist - written if name.endswith(generated)] == []
    assert in_sdist.isdisjoint(LEFTOVERS)
    assert [name for name in in_sdist if name.endswith(".1")] == []


def test_the_scripts_of_the_commands_differ_in_name_alone() -> None:
    scripts = {path.name: path.read_text() for path in (ROOT / "bin").iterdir()}
    assert scripts.keys() == COMMANDS
    # Only `kycli` is started by the native client, and makes up for how that starts Python.
    assert scripts.pop("kycli").partition("\ntry:\n")[2] == scripts["ky"].partition("\ntry:\n")[2]
    assert len(set(scripts.values())) == 1


def test_the_module_runs_what_the_scripts_run() -> None:
    _, script = (ROOT / "bin" / "ky").read_text(encoding="utf-8").split("\n", 1)
    module = (ROOT / "kycli" / "__main__.py").read_text(encoding="utf-8")
    assert module.endswith(script)
    done = run(sys.executable, "-m", "kycli", "--version", cwd=Path(sys.executable).parent)
    assert done == f"kycli {PROJECT['project']['version']}\n"


def test_the_version_of_the_module_is_that_of_the_package() -> None:
    assert kycli.__version__ == PROJECT["project"]["version"]
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = kycli.no_such_name  # type: ignore[attr-defined]


def test_the_commands_are_installed_beside_the_interpreter() -> None:
    directory = Path(sys.executable).parent
    assert {name for name in COMMANDS if os.access(directory / name, os.X_OK)} == COMMANDS


# The metadata


def test_build_requirements_are_stated_alike_for_both_ways_to_build() -> None:
    assert PROJECT["dependency-groups"]["build"] == PROJECT["build-system"]["requires"]


def test_the_supported_pythons_are_named_alike_everywhere() -> None:
    prefix = "Programming Language :: Python :: "
    stated = [c.removeprefix(prefix) for c in PROJECT["project"]["classifiers"]]
    versions = [version for version in stated if re.fullmatch(r"3\.\d+", version)]
    assert PROJECT["project"]["requires-python"] == f">={versions[0]}"
    assert PROJECT["tool"]["cibuildwheel"]["build"] == [
        f"cp{version.replace('.', '')}-*" for version in versions
    ]
    workflow = (ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8")
    assert re.findall(r"python: (\[.*\])", workflow) == [str(versions).replace("'", '"')]


def test_the_installed_package_is_this_checkout_s() -> None:
    metadata = importlib.metadata.metadata("kycli")
    project = PROJECT["project"]
    assert metadata["Version"] == project["version"]
    assert metadata["License-Expression"] == "Apache-2.0"
    wanted = list(project["dependencies"])
    for extra, packages in project["optional-dependencies"].items():
        for package in packages:
            name, _, condition = package.partition(";")
            condition = f"{condition} and " if condition else ""
            wanted.append(f'{name}; {condition}extra == "{extra}"')
    found = map(Requirement, metadata.get_all("Requires-Dist") or [])
    assert sorted(map(str, found)) == sorted(str(Requirement(text)) for text in wanted)


# The stub


def definitions(body: list[ast.stmt]) -> dict[str, ast.stmt]:
    """Return what a module or class in the stub defines, by name."""
    found: dict[str, ast.stmt] = {}
    for statement in body:
        if isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found[statement.name] = statement
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            found[statement.target.id] = statement
    return found


MODULE = definitions(ast.parse(STUB.read_text(encoding="utf-8")).body)
KYCORE = MODULE["Kycore"]
assert isinstance(KYCORE, ast.ClassDef)
METHODS = {
    name: statement
    for name, statement in definitions(KYCORE.body).items()
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef)
}


def is_special(name: str) -> bool:
    return name.startswith("__")


def is_property(statement: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(isinstance(d, ast.Name) and d.id == "property" for d in statement.decorator_list)


def stub_parameters(
    statement: ast.FunctionDef | ast.AsyncFunctionDef,
) -> list[tuple[str, str, object]]:
    """Return name, kind and default of each parameter, as ``parameters`` does."""
    arguments = statement.args
    empty = inspect.Parameter.empty
    positional = arguments.args
    defaults: list[Any] = [empty] * (len(positional) - len(arguments.defaults))
    defaults += [ast.literal_eval(default) for default in arguments.defaults]
    found: list[tuple[str, str, object]] = [
        (argument.arg, "POSITIONAL_OR_KEYWORD", default)
        for argument, default in zip(positional, defaults, strict=True)
    ]
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        value = empty if default is None else ast.literal_eval(default)
        found.append((argument.arg, "KEYWORD_ONLY", value))
    return found


def parameters(function: Any) -> list[tuple[str, str, object]]:
    signature = inspect.signature(function)
    return [(p.name, p.kind.name, p.default) for p in signature.parameters.values()]


def test_the_stub_names_every_public_method_and_no_other() -> None:
    public = {name for name in dir(storage.Kycore) if not name.startswith("_")}
    assert {name for name in METHODS if not name.startswith("_")} == public


def test_special_methods_of_the_stub_exist() -> None:
    special = [name for name in METHODS if is_special(name)]
    assert "__getitem__" in special
    assert [name for name in special if getattr(storage.Kycore, name, None) is None] == []


@pytest.mark.parametrize("name", sorted(n for n, s in METHODS.items() if is_property(s)))
def test_property_of_the_stub_is_a_property(name: str) -> None:
    assert inspect.isdatadescriptor(getattr(storage.Kycore, name))


@pytest.mark.parametrize(
    "name", sorted(n for n, s in METHODS.items() if not is_property(s) and not is_special(n))
)
def test_signature_is_the_one_in_the_stub(name: str) -> None:
    assert parameters(getattr(storage.Kycore, name)) == stub_parameters(METHODS[name])


def test_the_signature_of_the_class_is_that_of_its_constructor() -> None:
    # The class tells its signature by the text of its docstring, which could be any.
    source = (ROOT / "kycli" / "core" / "storage.pyx").read_text(encoding="utf-8")
    found = re.search(r"    def __init__\([^)]*\):", source)
    assert found is not None
    (constructor,) = ast.parse(f"{found[0].strip()} pass").body
    assert isinstance(constructor, ast.FunctionDef)
    assert parameters(storage.Kycore) == stub_parameters(constructor)[1:]
    assert parameters(storage.Kycore) == stub_parameters(METHODS["__init__"])[1:]


def test_constructor_takes_the_parameters_in_the_stub(tmp_path: Path) -> None:
    _, path, *options = stub_parameters(METHODS["__init__"])
    assert path[:2] == ("db_path", "POSITIONAL_OR_KEYWORD")
    assert {kind for _, kind, _ in options} == {"KEYWORD_ONLY"}
    kycore: Any = storage.Kycore  # mypy would refuse what is tried here
    with kycore(tmp_path / "a.db", **{name: default for name, _, default in options}) as kv:
        assert kv.save("k", "v") == "created"
    with pytest.raises(TypeError):
        kycore(tmp_path / "a.db", "scope")
    with pytest.raises(TypeError):
        kycore(tmp_path / "a.db", no_such_option=1)


def test_types_of_a_search_follow_what_is_asked_for(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from kycli import Kycore\n"
        "def f(kv: Kycore, flag: bool) -> None:\n"
        "    reveal_type(kv.search('q'))\n"
        "    reveal_type(kv.search('q', limit=None, keys_only=True))\n"
        "    reveal_type(kv.search('q', keys_only=flag))\n"
    )
    said = run(sys.executable, "-m", "mypy", "--strict", str(program), cwd=tmp_path)
    assert re.findall(r'Revealed type is "([^"]*)"', said.replace("builtins.", "")) == [
        "dict[str, Any]",
        "list[str]",
        "dict[str, Any] | list[str]",
    ]
