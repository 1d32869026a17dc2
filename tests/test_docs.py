"""The documents say what is so: their commands are run and their answers compared."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]

# A block that changes the machine or takes minutes carries this comment on the line above.
NOT_RUN = "<!-- not run by the tests -->"
FENCE = re.compile(r"(?P<above>[^\n]*)\n```(?P<language>\w*)\n(?P<body>.*?)^```$", re.S | re.M)


class Block(NamedTuple):
    language: str
    body: str
    line: int
    run: bool


class Command(NamedTuple):
    text: str
    answer: str
    line: int


def blocks(document: str) -> list[Block]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return [
        Block(
            match["language"],
            match["body"],
            text.count("\n", 0, match.start("body")) + 1,
            match["above"] != NOT_RUN,
        )
        for match in FENCE.finditer(text)
    ]


def commands(block: Block) -> list[Command]:
    """Split a console block at its prompts: ``$ `` begins a command, ``> `` continues it."""
    found: list[Command] = []
    for number, line in enumerate(block.body.splitlines(), block.line):
        if line.startswith("$ "):
            found.append(Command(line[2:], "", number))
        elif line.startswith("> ") and not found[-1].answer:
            found[-1] = found[-1]._replace(text=f"{found[-1].text}\n{line[2:]}")
        else:
            found[-1] = found[-1]._replace(answer=f"{found[-1].answer}{line}\n")
    return found


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty home that is also the working directory, with the commands on PATH."""
    for name in [name for name in os.environ if name.startswith(("KYCLI_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    scripts = os.path.dirname(sys.executable)
    monkeypatch.setenv("PATH", f"{scripts}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_shell_examples_of_the_readme_answer_as_shown(scratch: Path) -> None:
    consoles = [block for block in blocks("README.md") if block.language == "console"]
    shown = [command for block in consoles for command in commands(block)]
    assert len(shown) >= 10
    for command in shown:
        result = subprocess.run(
            ["bash", "-c", command.text],
            cwd=scratch,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=60,
        )
        assert result.stdout == command.answer, f"README.md:{command.line}: {command.text}"


def test_python_examples_of_the_readme_answer_as_shown(scratch: Path) -> None:
    examples = [block for block in blocks("README.md") if block.language == "python"]
    assert examples
    names: dict[str, object] = {}
    for block in examples:
        test = doctest.DocTestParser().get_doctest(
            block.body, names, "README.md", "README.md", block.line - 1
        )
        assert test.examples
        report: list[str] = []
        result = doctest.DocTestRunner().run(test, out=report.append, clear_globs=False)
        names.update(test.globs)
        assert result.failed == 0, "".join(report)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_block_of_commands_escapes_the_tests(document: str) -> None:
    for block in blocks(document):
        where = f"{document}:{block.line}"
        assert block.language, f"{where}: a block without a language"
        if block.language in ("sh", "bash", "shell"):
            assert not block.run, f"{where}: show it as `console`, or mark it {NOT_RUN}"
        if block.language == "console":
            assert document == "README.md", f"{where}: only the README's commands are run"
            assert block.run, f"{where}: a console block that is not run"


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
    assert [link for link in links if not (ROOT / link).exists()] == []


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
