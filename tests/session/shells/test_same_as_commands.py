"""What functions print, and their exit codes, are those of the commands, in each shell."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from session import bashes, terminals

LINES = """\
kys a 1
kys a
kys b "two words"
kyg a b nothing
kyg -q nothing
kyg --json a
kyg a --nonsense
kyg
kyd nothing
kycli set alpha.x.k v
kycli get alpha.x.k
kycli keys alpha.x
ky incr n 5
ky get n
ky
kycli nonsense
kycli set a.b.c.d.e 1
kyl
kyl -0
kyv b
kypush list 1
kypush list 2
kyg list
kyrem list 1
kypatch doc.name Ada
kyg doc
kycli use alpha.x
kyuse
kyg k
kycli use default
kycli list-scopes
kycli drop-scope alpha.x
kycli drop-scope -y alpha.x
kyg -d /nonexistent/x.db a
kys in -
kyg in
kye - --format json
kyfo a
kycli exec true
kycli exec -- sh -c 'exit 7'
kycli help get
kyg --version
kyd a
kyg a
kyr a
"""


def results(shell: str, directory: Path, monkeypatch: pytest.MonkeyPatch, init: bool) -> list[str]:
    """Run the lines in a home directory of their own; return what each one leads to."""
    directory.mkdir()
    monkeypatch.setenv("HOME", str(directory))
    monkeypatch.chdir(directory)
    Path("input").write_text("input\n")
    code = "$status" if shell == "fish" else "$?"
    text = "".join(
        f"{line} <input >out.{n} 2>err.{n}; echo {code} >>out.{n}\n"
        for n, line in enumerate(LINES.splitlines())
    )
    if shell == "bash":
        done = bashes.script(text, init=bashes.INIT if init else "")
    else:
        done = terminals.script(shell, text, init=init)
    assert (done.code, done.out, done.err) == (0, b"", "")
    return [
        f"{line}\n{Path(f'out.{n}').read_text()}{Path(f'err.{n}').read_text()}"
        for n, line in enumerate(LINES.splitlines())
        if not line.startswith("kyv")  # it prints times
    ]


def compare(shell: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    functions = results(shell, home / "functions", monkeypatch, init=True)
    commands = results(shell, home / "commands", monkeypatch, init=False)
    assert functions == commands


@bashes.needs_bash
@pytest.mark.usefixtures("with_and_without_builtin")
def test_bash(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compare("bash", home, monkeypatch)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_others(shell: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    compare(shell, home, monkeypatch)
