"""kycli install and uninstall: what they write, and that exactly this is taken back."""

from __future__ import annotations

import io
import os
import re
import subprocess
from pathlib import Path

import pytest
from cli.harness import BIN, Call, Screen, Terminal, on_a_terminal
from cli.shells import Shell

from kycli.cli import run
from kycli.cli.commands import find
from kycli.cli.env import Environment
from kycli.cli.installing import files
from kycli.cli.installing.marking import BEGIN, END, with_lines, without_lines
from kycli.config.saving import rewrite
from kycli.errors import FileError

FILES = {"bash": ".bashrc", "zsh": ".zshrc", "fish": ".config/fish/conf.d/kycli.fish"}


@pytest.fixture(autouse=True)
def login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/bash")
    monkeypatch.setenv("PATH", f"{BIN}:{os.environ['PATH']}")
    monkeypatch.delenv("ZDOTDIR", raising=False)


def tree(directory: Path) -> dict[str, tuple[int, bytes | str]]:
    """Return the mode, and the content or target, of everything in a directory."""
    return {
        str(path.relative_to(directory)): (
            path.lstat().st_mode,
            os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else "",
        )
        for path in directory.rglob("*")
    }


# Marked lines


@pytest.mark.parametrize("text", ["", "\n", "a", "a\n", "a\n\n", "a\n\nb", "\u00e9\r\n", "a\n\n\n"])
def test_lines_are_taken_away_exactly(text: str) -> None:
    added = with_lines(text, "line\n")
    assert added.count(BEGIN) == added.count(END) == 1
    assert with_lines(added, "line\n") == added
    assert without_lines(added) == text
    changed = with_lines(added, "other\nline\n")
    assert "other" in changed
    assert without_lines(changed) == text
    assert without_lines(f"{added}\nafter\n").endswith("after\n")


def test_what_stands_behind_stays() -> None:
    added = with_lines("before\n", "line\n") + "after\n"
    assert with_lines(added, "new\n").endswith(f"new\n{END}\nafter\n")
    assert without_lines(added) == "before\nafter\n"
    twice = f"{added}{BEGIN}\nline\n{END}\nend"
    assert with_lines(twice, "new\n").count(BEGIN) == 1
    assert without_lines(twice) == "before\nafter\nend"


def test_a_mark_without_its_end_hides_nothing() -> None:
    broken = f"{BEGIN}\nmine = 1\n"
    added = with_lines(broken, "line\n")
    assert without_lines(added) == broken


# What is written


def test_it_is_shown_and_with_dry_run_not_written(call: Call, home: Path) -> None:
    (home / ".bashrc").write_text("alias a=b\n")
    before = tree(home)
    done = call("kycli", "install", "bash", "zsh", "--dry-run")
    assert done.code == 0
    lines = 5 + bool(find("init"))
    header = f"--- ~/.bashrc\n+++ ~/.bashrc\n@@ -1,0 +2,{lines} @@\n"
    assert done.out.decode().startswith(f"{header}+{BEGIN}\n")
    assert "alias" not in done.out.decode()
    assert "--- /dev/null\n+++ ~/.zshrc\n" in done.out.decode()
    assert tree(home) == before


@pytest.mark.parametrize("shell", FILES)
def test_installing_is_idempotent_and_taken_back(call: Call, home: Path, shell: str) -> None:
    before = tree(home)
    assert call("kycli", "install", shell, "-y").code == 0
    first = tree(home)
    assert FILES[shell] in first
    again = call("kycli", "install", shell, "-y")
    assert (again.code, again.out) == (0, b"")
    assert "is set up already" in again.err
    assert tree(home) == first
    assert call("kycli", "uninstall", "-y").code == 0
    assert tree(home) == before
    last = call("kycli", "uninstall", "-y")
    assert (last.code, last.out, last.err) == (0, b"", "nothing is set up\n")


@pytest.mark.parametrize("text", ["", "alias a=b", "alias a=b\n", "\n\n"])
def test_files_that_exist_are_as_before_after_all(call: Call, home: Path, text: str) -> None:
    for name, mode in ((".bashrc", 0o600), (".zshrc", 0o644)):
        (home / name).write_text(text)
        (home / name).chmod(mode)
    (home / ".config/fish/conf.d").mkdir(parents=True)
    before = tree(home)
    assert call("kycli", "install", "-y").code == 0
    for name in FILES.values():
        assert BEGIN in (home / name).read_text()
    assert (home / ".zshrc").stat().st_mode & 0o777 == 0o644
    call("kycli", "uninstall", "-y")
    assert tree(home) == before


def test_links_stay_links(call: Call, home: Path) -> None:
    (home / "dotfiles").mkdir()
    (home / "dotfiles/bashrc").write_text("alias a=b\n")
    (home / "dotfiles/bashrc").chmod(0o640)
    (home / ".bashrc").symlink_to("dotfiles/bashrc")
    (home / ".zshrc").symlink_to("dotfiles/zshrc")  # which does not exist
    before = tree(home)
    call("kycli", "install", "bash", "zsh", "-y")
    assert os.readlink(home / ".bashrc") == "dotfiles/bashrc"
    assert END in (home / "dotfiles/bashrc").read_text()
    assert END in (home / "dotfiles/zshrc").read_text()
    assert (home / "dotfiles/bashrc").stat().st_mode & 0o777 == 0o640
    call("kycli", "uninstall", "-y")
    assert {**tree(home), "dotfiles/zshrc": 0} == {**before, "dotfiles/zshrc": 0}


def test_the_shells_of_the_user_are_found(
    call: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("kycli", "install", "-y")
    assert [(home / name).exists() for name in FILES.values()] == [True, False, False]
    monkeypatch.setenv("SHELL", "/bin/sh")
    call("kycli", "uninstall", "-y")
    nothing = call("kycli", "install", "-y")
    assert nothing.failed_clearly
    assert "which shell" in nothing.err
    monkeypatch.setenv("ZDOTDIR", str(home / "zsh"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "xdg"))
    (home / "xdg/fish").mkdir(parents=True)
    call("kycli", "install", "zsh", "-y")
    assert (home / "zsh/.zshrc").exists()
    call("kycli", "install", "-y")
    assert (home / "xdg/fish/conf.d/kycli.fish").exists()


def test_an_unknown_shell_is_an_error(call: Call) -> None:
    for verb in ("install", "uninstall"):
        done = call("kycli", verb, "zhs", "-y")
        assert done.failed_clearly
        assert "did you mean zsh?" in done.err


# What is not destroyed


@pytest.mark.parametrize("data", [b"\xff\xfea\0", b"latin \xe9\n", b"a\0b"])
@pytest.mark.parametrize("verb", ["install", "uninstall"])
def test_what_is_no_text_is_left_alone(call: Call, home: Path, data: bytes, verb: str) -> None:
    (home / ".bashrc").write_bytes(b"alias a=b\n")
    (home / ".zshrc").write_bytes(data)
    before = tree(home)
    done = call("kycli", verb, "bash", "zsh", "-y")
    assert done.failed_clearly
    assert ".zshrc" in done.err
    assert tree(home) == before


def test_a_directory_or_pipe_is_no_file(call: Call, home: Path) -> None:
    (home / ".bashrc").mkdir()
    os.mkfifo(home / ".zshrc")
    for shell in ("bash", "zsh"):
        assert call("kycli", "install", shell, "-y").failed_clearly


def test_nothing_is_written_when_one_file_cannot_be(
    call: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".bashrc").write_text("alias a=b\n")
    (home / ".config").mkdir()
    before = tree(home)

    def full(path: str, *more: object) -> None:
        if path.endswith("kycli.fish"):
            raise OSError(28, "No space left on device")
        rewrite(path, *more)  # type: ignore[arg-type]

    monkeypatch.setattr("kycli.cli.installing.files.rewrite", full)
    done = call("kycli", "install", "bash", "zsh", "fish", "-y")
    assert done.code == 1
    assert "kycli.fish: cannot be written: No space left on device" in done.err
    assert tree(home) == before


def test_a_file_that_was_changed_meanwhile_is_left_alone(home: Path) -> None:
    path = home / ".bashrc"
    path.write_text("a\n")
    change = files.adding(str(path), "line\n")
    path.write_text("b\n")
    with pytest.raises(FileError, match="changed meanwhile"):
        change.do()
    assert path.read_text() == "b\n"


# Questions


def answer(words: list[str], typed: str) -> tuple[int, str, str]:
    out, err = io.BytesIO(), Screen()
    env = Environment(stdin=Terminal(typed.encode()), stdout=out, stderr=err)
    return run(env, words), out.getvalue().decode(), err.getvalue()


def test_it_asks(call: Call, home: Path) -> None:
    code, out, err = answer(["install", "bash"], "n\n")
    assert (code, list(tree(home))) == (1, [])
    assert BEGIN in out
    assert "write this? [y/N] nothing was changed" in err
    assert call("kycli", "install", "bash").code == 1  # nobody to ask
    assert list(tree(home)) == []
    assert answer(["install", "bash"], "y\ny\n")[0] == 0
    assert (home / ".bashrc").exists()
    assert answer(["uninstall"], "n\n")[0] == 1
    assert (home / ".bashrc").exists()


def test_the_data_goes_only_when_it_is_asked_for_and_answered(
    call: Call, home: Path, database: Path
) -> None:
    call("kys", "k", "v")
    call("kycli", "config", "set", "durability", "full")
    call("kycli", "backup")
    (database.parent / "link").symlink_to(home / "elsewhere")
    (home / "elsewhere").mkdir()
    (home / "elsewhere/kept").touch()
    call("kycli", "install", "bash", "-y")
    assert call("kycli", "uninstall", "--dry-run", "-y").code == 0
    assert (home / ".bashrc").exists()
    code, out, err = answer(["uninstall", "--purge"], "y\nn\n")
    assert "kycli.db (" in out
    assert "config.json (" in out
    assert re.search(r"delete the data: \d files, [\d,]+ bytes, in ~/.local/share/kycli", err)
    assert "the data is kept" in err
    assert (code, (home / ".bashrc").exists(), database.exists()) == (0, False, True)
    shown = call("kycli", "uninstall", "--purge", "--dry-run")
    assert "- ~/.local/share/kycli/kycli.db" in shown.out.decode()
    assert database.exists()
    assert call("kycli", "uninstall", "--purge", "-y").code == 0
    assert not database.parent.exists()
    assert not (home / ".config/kycli").exists()
    assert (home / "elsewhere/kept").exists()
    assert "there is no data" in call("kycli", "uninstall", "--purge", "-y").err


# Manual pages


def test_manual_pages_are_linked_where_man_does_not_find_them(
    call: Call, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = tmp_path / "package/share/man/man1"
    pages.mkdir(parents=True)
    for name in ("kycli.1", "kyg.1", "other.1"):
        (pages / name).touch()
    monkeypatch.setattr("sys.prefix", str(tmp_path / "package"))
    monkeypatch.setattr("sys.argv", [str(tmp_path / "bin/kycli")])
    monkeypatch.setenv("PATH", f"{tmp_path}/package/bin:/usr/bin:/bin")
    call("kycli", "install", "bash", "-y")
    directory = home / ".local/share/man/man1"
    assert not directory.exists()  # man finds them beside bin
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    directory.mkdir(parents=True)
    (directory / "mine.1").touch()
    (directory / "kyg.1").symlink_to("/gone/share/man/man1/kyg.1")
    done = call("kycli", "install", "bash", "-y")
    assert "man1/kycli.1 and 1 more manual pages" in done.out.decode()
    assert "not on the PATH" in done.err
    assert os.readlink(directory / "kycli.1") == str(pages / "kycli.1")
    assert os.readlink(directory / "kyg.1") == str(pages / "kyg.1")
    call("kycli", "uninstall", "-y")
    assert [path.name for path in directory.iterdir()] == ["mine.1"]


# In real shells


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_a_new_shell_has_completion(call: Call, name: str, home: Path) -> None:
    call("kys", "single", "1")
    call("kycli", "install", name, "-y")
    shell = Shell(name, configured=True)
    shell.take_arguments("kyg")
    assert shell.completed("kyg sin\t") == ["single"]
    shell.close()


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_a_package_that_is_gone_breaks_no_shell(
    call: Call, name: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("kycli", "install", name, "-y")
    shell = subprocess.run(["sh", "-c", f"command -v {name}"], capture_output=True, text=True)
    if shell.returncode:
        pytest.skip(f"{name} is not installed")
    done = subprocess.run(
        [shell.stdout.strip(), "-i", "-c", "echo started"],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, start_new_session=True,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", "TERM": "dumb"},
    )  # fmt: skip
    assert done.stdout == "started\n"
    assert "kycli" not in done.stderr


def test_on_a_terminal_it_is_coloured_and_asks(home: Path) -> None:
    shown = on_a_terminal("kycli", "install", "bash", keys=b"y\ny\n")
    assert "\x1b[32m+" in shown
    assert "write this?" in shown
    assert END in (home / ".bashrc").read_text()
