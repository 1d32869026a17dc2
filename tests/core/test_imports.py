"""How the modules of ``kycli.core`` import each other, and which of them hold SQL."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import kycli.core

ROOT = Path(str(kycli.core.__path__[0]))  # what is installed
SOURCES = Path(__file__).parents[2] / "kycli" / "core"  # what is compiled
FACE = "kycli.core.storage"
"""The engine, which imports each module when a method needs it."""

RULES = ("history", "operations", "search", "documents")
"""What obeys the same rules whatever database is below, and so holds no SQL."""

SQL = re.compile(
    r"\b(SELECT|INSERT|REPLACE INTO|UPDATE [a-z]+|DELETE FROM|WITH RECURSIVE|CREATE (TEMP|TABLE"
    r"|VIRTUAL|INDEX)|DROP|PRAGMA|VACUUM|REINDEX|SAVEPOINT|ROLLBACK|(ORDER|GROUP) BY|LIMIT)\b"
)
ONLY_BELOW = {"_query", "LIVE", "LIVE_K", "VALUE", "NOTE_BYPASS", "NOTE_RENAMED", "apsw", "sqlite3"}


def modules() -> dict[str, Path]:
    """Return the modules of ``kycli.core`` with their files; compiled ones with their source."""
    files = [*ROOT.rglob("*.py")] + [SOURCES / name for name in ("storage.pyx", "codec.pyx")]
    found = {}
    for file in files:
        root = ROOT if file.is_relative_to(ROOT) else SOURCES
        parts = ("kycli", "core", *file.relative_to(root).with_suffix("").parts)
        found[".".join(parts).removesuffix(".__init__")] = file
    return found


def imported(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield module and name of each import, inside functions too, but for those for types."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        if isinstance(child, ast.Import):
            yield from ((alias.name, "") for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module:
            yield from ((child.module, alias.name) for alias in child.names)
        yield from imported(child)


def imported_by_source(text: str) -> Iterator[tuple[str, str]]:
    """The same for Cython, line by line."""
    yield from ((name, "") for name in re.findall(r'\bimported\("([\w.]+)"\)', text))
    for module, names in re.findall(r"^\s*from ([\w.]+) c?import (\w.*)$", text, re.MULTILINE):
        yield from ((module, name.split(" as ")[0].strip()) for name in names.split(","))


def graph() -> dict[str, set[str]]:
    """Return for each module those that it imports."""
    known = modules()
    found: dict[str, set[str]] = {}
    for name, file in known.items():
        text = file.read_text()
        if file.suffix == ".py":
            pairs = set(imported(ast.parse(text)))
        else:
            parts = sorted((SOURCES / "engine").rglob("*.pxi")) if name == FACE else []
            text = "\n".join([text, *(part.read_text() for part in parts)])
            pairs = set(imported_by_source(text))
        targets = {f"{module}.{each}" if f"{module}.{each}" in known else module
                   for module, each in pairs}  # fmt: skip
        found[name] = targets & known.keys() - {name}
    return found


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the modules that are left when what imports none of the others is taken away."""
    left = {name: set(targets) for name, targets in graph.items()}
    while done := {name for name, targets in left.items() if not targets & left.keys()}:
        for name in done:
            del left[name]
    return [[name, *sorted(targets & left.keys())] for name, targets in sorted(left.items())]


def test_no_modules_import_each_other_in_a_circle() -> None:
    found = graph()
    assert "kycli.core.history.changes" in found[FACE]
    assert "kycli.core.values" in found["kycli.core.codec"]
    assert circles(found) == []


def test_no_module_imports_the_engine() -> None:
    # The command line calls it, and it opens a store to import into.
    allowed = {"kycli.core.migration.workspaces"}
    assert {name for name, targets in graph().items() if FACE in targets} <= allowed


def test_a_circle_through_a_function_is_found() -> None:
    tree = ast.parse("if TYPE_CHECKING:\n    import c\ndef f():\n    from a import b")
    assert list(imported(tree)) == [("a", "b")]
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == [
        ["a", "b"], ["b", "c"], ["c", "b"]
    ]  # fmt: skip


@pytest.mark.parametrize("folder", RULES)
def test_rules_hold_no_sql(folder: str) -> None:
    wrong = []
    for file in sorted((ROOT / folder).rglob("*.py")):
        tree = ast.parse(file.read_text())
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            name = node.attr if isinstance(node, ast.Attribute) else None
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if id(node) not in docs and SQL.search(node.value):
                    wrong.append(f"{file.name}:{node.lineno}: {node.value.strip()[:40]!r}")
            elif name in ONLY_BELOW:
                wrong.append(f"{file.name}: {name}")
        wrong += [f"{file.name}: {pair}" for pair in imported(tree) if ONLY_BELOW & {*pair}]
    assert wrong == []


def test_sql_is_below_the_rules_and_imports_none_of_them() -> None:
    found = graph()
    below = {name: found[name] for name in found if name.startswith("kycli.core.sql.")}
    assert len(below) > 5
    assert all(SQL.search(modules()[name].read_text()) for name in below)
    above = [f"kycli.core.{folder}." for folder in RULES]
    # What is asked is parsed above, and written as SQL, or in the language of FTS5, below.
    assert {
        (name, target)
        for name, targets in below.items()
        for target in targets
        if target.startswith(tuple(above))
    } == {
        ("kycli.core.sql.fts", "kycli.core.search.queries"),
        ("kycli.core.sql.fields", "kycli.core.documents.conditions"),
    }
