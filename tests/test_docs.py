"""The documents say what is so: their commands are run and their answers compared."""

from __future__ import annotations

import doctest
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from examples import FILE, GIVEN, PAGES, ROOT, Block, Shown, blocks, commands

DOCUMENTS = [*PAGES, "CONTRIBUTING.md", "CHANGELOG.md"]


@pytest.fixture
def tmp_path(disk_path: Path) -> Path:
    return disk_path


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return an empty home that is also the working directory, with the commands on PATH."""
    # Not below the home: the path of a socket has no more than some 100 bytes.
    runtime = tempfile.mkdtemp(prefix="kycli-docs-")
    for name in [name for name in os.environ if name.startswith(("KYCLI_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    scripts = os.path.dirname(sys.executable)
    monkeypatch.setenv("PATH", f"{scripts}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TESTS", os.path.dirname(__file__))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    shutil.rmtree(runtime)  # a server that is left over ends when its socket is gone


def answer_of(command: Shown) -> str:
    return subprocess.run(
        ["bash", "-c", command.text],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=60,
    ).stdout


def is_as_shown(command: Shown, answer: str) -> bool:
    """Compare an answer with what is shown, where ``…`` stands for any text of a line."""
    shown = command.answer
    if " ttl " in command.text and shown.strip().isdigit() and answer.strip().isdigit():
        return 0 <= int(shown) - int(answer) <= 20  # a slow machine takes its time
    pattern = ".*".join(map(re.escape, shown.split("…")))
    return re.fullmatch(pattern, answer) is not None


def run_python(block: Block, document: str, names: dict[str, object]) -> str:
    """Run a block of Python prompts, and return what is not as shown."""
    test = doctest.DocTestParser().get_doctest(
        block.body, names, document, document, block.line - 1
    )
    assert test.examples, f"{document}:{block.line}: no prompt"
    report: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(
        test, out=report.append, clear_globs=False
    )
    names.update(test.globs)
    return "".join(report)


@pytest.mark.parametrize("document", PAGES)
def test_examples_answer_as_shown(document: str, scratch: Path) -> None:
    names: dict[str, object] = {}
    for block in blocks(document):
        given = GIVEN.fullmatch(block.above)
        if given:
            subprocess.run(["bash", "-c", given[1]], check=True, timeout=60)
        file = FILE.fullmatch(block.above)
        if file:
            path = scratch / file[1]
            path.write_text(block.body, encoding="utf-8")
            path.chmod(0o755 if block.body.startswith("#!") else 0o644)
        elif block.language == "console" and block.run:
            for command in commands(block):
                answer = answer_of(command)
                where = f"{document}:{command.line}: {command.text}"
                if not is_as_shown(command, answer):
                    assert answer == command.answer, where
        elif block.language == "python" and block.run:
            assert run_python(block, document, names) == ""


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_block_of_commands_escapes_the_tests(document: str) -> None:
    for block in blocks(document):
        where = f"{document}:{block.line}"
        assert block.language, f"{where}: a block without a language"
        if block.language in ("sh", "bash", "shell"):
            known = not block.run or FILE.fullmatch(block.above)
            assert known, f"{where}: show it as `console`, or say why it is not run"
        if block.language in ("console", "python"):
            assert document in PAGES, f"{where}: only the commands of {PAGES} are run"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_make_targets_that_are_named_exist(document: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    text = (ROOT / document).read_text(encoding="utf-8")
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", text, re.M))
    assert named <= targets


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_that_are_linked_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    directory = (ROOT / document).parent
    missing = [link for link in links if not (directory / link).exists()]
    # The reference is made by `make docs`, which finds broken links itself.
    assert [link for link in missing if not link.startswith("reference/")] == []


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_every_make_target_is_in_its_help() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.M)
    shown = set(re.findall(r"make ([a-z-]+)", makefile))
    assert set(phony.split()) - shown <= {"help", "install"}


def test_the_changelog_begins_with_this_version() -> None:
    from importlib.metadata import version

    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+) \(\d{4}-\d{2}-\d{2}\)$", text, re.M)
    assert newest is not None
    assert newest[1] == version("kycli")
