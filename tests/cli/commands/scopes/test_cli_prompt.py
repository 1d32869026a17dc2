"""kycli prompt: the current scope for the prompt of a shell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli.harness import Call, program
from cli.shells import Shell
from examples import FILE, blocks

FORMATS = {
    None: "alpha.prod",
    "[{scope}] ": "[alpha.prod] ",
    "{project}/{namespace}": "alpha/prod",
    "": "",
    "{{{scope}}} }}": "{alpha.prod} }",
    "%~ \\w $(x) é": "%~ \\w $(x) é",
}


@pytest.mark.parametrize("format", FORMATS)
def test_the_format_is_filled_in(
    call: Call, format: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KYCLI_SCOPE", "alpha.prod")
    words = [] if format is None else ["--format", format]
    assert call("kycli", "prompt", *words) == (0, f"{FORMATS[format]}\n".encode(), "")


@pytest.mark.parametrize("format", ["{", "{key}", "a {scope", "{}", "{scope}{"])
def test_a_bad_format_is_an_error(call: Call, format: str) -> None:
    done = call("kycli", "prompt", "--format", format)
    assert done.failed_clearly
    assert "{scope}, {project} and {namespace}" in done.err


def test_nothing_is_printed_in_the_default_scope(
    call: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("kycli", "prompt", "--unless-default", "--format", "[{scope}]")
    assert call("kycli", "prompt") == (0, b"default\n", "")
    assert call(*words) == (0, b"", "")
    call("kycli", "use", "shop")
    assert call(*words) == (0, b"[shop]\n", "")
    (home / "project").mkdir()
    (home / "project/.kyclirc").write_text("current_scope = 'here.now'\n")
    monkeypatch.chdir(home / "project")
    assert call(*words) == (0, b"[here.now]\n", "")
    assert call("ky", "prompt").out == b"here.now\n"


def test_a_broken_config_is_an_error(call: Call, home: Path) -> None:
    (home / ".kyclirc").write_text("current_scope = \n")
    assert call("kycli", "prompt").failed_clearly


def test_the_engine_is_not_loaded(home: Path) -> None:
    (home / ".kyclirc").write_text("current_scope = 'alpha'\n")
    done = subprocess.run(
        [sys.executable, "-X", "importtime", program("kycli"), "prompt"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert done.stdout == "alpha\n"
    assert "kycli.config" in loaded
    assert loaded.isdisjoint({"apsw", "kycli.core.storage", "re", "json", "typing", "argparse"})
    assert not (home / ".local").exists()


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_the_documented_prompts_show_the_scope(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (lines,) = (
        block.body
        for block in blocks("docs/prompt.md")
        if (file := FILE.fullmatch(block.above)) and file[1] == f"{name}-prompt"
    )
    Path(os.environ["HOME"], "setup").write_text(lines)
    monkeypatch.setenv("KYCLI_SCOPE", "alpha.prod")
    shell = Shell(name)
    shell.run("source ~/setup")
    assert "alpha.prod" in shell.run("true")
    shell.close()
