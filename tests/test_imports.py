"""The structure of the package: its size, imports in one direction, public names of the engine.

Imports inside functions and those for type checking alone count as well.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import kycli

ROOT = Path(kycli.__file__).parent  # what is installed
CHECKOUT = Path(__file__).parents[1]
SOURCES = {".py", ".pyi", ".pyx", ".pxd", ".pxi", ".c", ".h", ".bash", ".zsh", ".fish"}

ALLOWED: set[tuple[str, str]] = set()
"""Imports that may close a circle: the importing module and the imported one."""

LEVELS = {
    "errors": 0,
    "typed": 0,
    "core": 1,
    "address": 2,
    "config": 2,
    "": 2,
    "transfer": 3,
    "cli": 4,
    "session": 4,
    "shell": 4,
}
"""Part of the package, "" for its face, and the level of it. None imports a higher level."""

NAMED_TUPLE = {"_asdict", "_field_defaults", "_fields", "_make", "_replace"}
"""Names with an underscore that are public."""


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {
    module_name(path): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(ROOT.rglob("*.py"))
}
MODULES = {*TREES, *(module_name(path) for path in ROOT.rglob("*.pyi"))}


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the modules of kycli that a module imports, with the name it takes, if any."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            source = node.module or ""
            for alias in node.names:
                is_module = f"{source}.{alias.name}" in MODULES
                yield (f"{source}.{alias.name}", "") if is_module else (source, alias.name)


EDGES = {
    name: {module for module, _ in imported(tree) if module in MODULES}
    for name, tree in TREES.items()
}


def part(module: str) -> str:
    """Return the part of the package that a module belongs to, "" for the package itself."""
    return module.partition(".")[2].partition(".")[0]


def circle_of(start: str, edges: dict[str, set[str]]) -> list[str]:
    """Return the way from a module back to it along the edges, or []."""
    ways = [[start]]
    seen = set()
    for way in ways:
        for module in sorted(edges.get(way[-1], ())):
            if module == start:
                return [*way, start]
            if module not in seen:
                seen.add(module)
                ways.append([*way, module])
    return []


def test_no_module_imports_itself_in_a_circle() -> None:
    edges = {
        source: {target for target in targets if (source, target) not in ALLOWED}
        for source, targets in EDGES.items()
        if part(source) != "core"
    }
    for name in edges:
        assert circle_of(name, edges) == []


@pytest.mark.parametrize("folder", ["kycli", "tests", "bench", "client", "docs", "demo"])
def test_no_file_has_over_800_lines_and_no_folder_over_15_source_files(folder: str) -> None:
    files = [
        file
        for file in (CHECKOUT / folder).rglob("*")
        if file.suffix in SOURCES and "fixtures" not in file.parts
    ]
    assert [file for file in files if len(file.read_text("utf-8").splitlines()) > 800] == []
    folders = Counter(file.parent for file in files)
    assert folders
    assert [folder for folder, count in folders.items() if count > 15] == []


def test_circles_are_found() -> None:
    edges = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}}
    assert circle_of("b", edges) == ["b", "c", "b"]
    assert circle_of("a", edges) == circle_of("d", edges) == []


@pytest.mark.parametrize("edge", sorted(ALLOWED))
def test_what_is_allowed_is_there(edge: tuple[str, str]) -> None:
    source, target = edge
    assert target in EDGES[source]


def test_imports_point_from_the_command_line_to_the_errors() -> None:
    for name in TREES:
        level = LEVELS.get(part(name))
        if level is not None:
            wrong = [m for m in EDGES[name] if LEVELS.get(part(m), level + 1) > level]
            assert wrong == [], name


def test_the_frame_of_the_command_line_imports_no_command() -> None:
    for name, targets in EDGES.items():
        if name.startswith("kycli.cli.") and not name.startswith("kycli.cli.commands."):
            assert not [t for t in targets if t.startswith("kycli.cli.commands.")], name


def test_declarations_import_the_registry_alone() -> None:
    from kycli.cli.commands import FAMILIES

    for family in FAMILIES:
        assert EDGES[f"kycli.cli.commands.{family}"] == {"kycli.cli.commands"}


@pytest.mark.parametrize("name", [name for name in TREES if part(name) != "core"])
def test_only_public_names_of_the_engine_are_used(name: str) -> None:
    """No underscore is imported from the engine, nor looked up in what is not one's own."""
    private = [
        f"{module}.{taken}"
        for module, taken in imported(TREES[name])
        if part(module) == "core" and any(word[:1] == "_" for word in [*module.split("."), taken])
    ]
    modules = {
        alias.asname or alias.name
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.Import)
        for alias in node.names
        if not alias.name.startswith("kycli")
    }
    for node in ast.walk(TREES[name]):
        if not isinstance(node, ast.Attribute) or node.attr[:1] != "_" or node.attr[:2] == "__":
            continue
        owner = node.value.id if isinstance(node.value, ast.Name) else ""
        if owner not in ("self", *modules) and node.attr not in NAMED_TUPLE:
            private.append(f"line {node.lineno}: .{node.attr}")
    assert private == []
