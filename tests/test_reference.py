"""The references that docs/generate.py makes, and the pictures: complete and true."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pictures
import pytest
from examples import FILE, PAGES, ROOT, blocks, commands

from kycli import Kycore
from kycli.cli.commands import KY, all_commands, known, short_names
from kycli.cli.help import sections
from kycli.cli.topics import TOPICS

COMMANDS = all_commands()
PROGRAMS = short_names()

sys.path.append(str(ROOT / "docs"))


def test_every_command_is_shown_in_a_guide() -> None:
    shown = "\n".join(
        command.text
        for document in PAGES
        for block in blocks(document)
        if block.language == "console"
        for command in commands(block)
    )
    shown += "".join(
        block.body for page in PAGES for block in blocks(page) if FILE.fullmatch(block.above)
    )
    # 'kycli -p shop get' is 'kycli get'.
    shown = re.sub(r"\b(kycli|ky)((?: (?:-[pn]|--scope) \S+)+)", r"\1", shown)

    def is_shown(name: str) -> bool:
        called = name if name in PROGRAMS else f"(?:kycli|ky) {name}"
        return re.search(rf"(?<![\w-]){called}(?![\w-])", shown) is not None

    # A short command and the long one are one command under two names.
    seen = {command.handler for name, command in COMMANDS.items() if is_shown(name)}
    missing = [name for name, command in COMMANDS.items() if command.handler not in seen]
    assert missing == []


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory of what docs/generate.py makes: reference/ and man/."""
    directory = tmp_path_factory.mktemp("references")
    for what in ("reference", "man"):
        generator = str(ROOT / "docs" / "generate.py")
        subprocess.run([sys.executable, generator, what, str(directory / what)], check=True)
    return directory


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_page_of_reference(references: Path, name: str) -> None:
    command = known(name)
    pages = references / "reference" / "commands"
    page = f"{command.full_name.replace(' ', '-')}.md"
    text = (pages / page).read_text(encoding="utf-8")
    assert command.usage in text
    for flag in command.flags:
        assert f"--{flag}" in text
    for example in command.examples:
        assert example in text
    assert f"({page})" in (pages / "index.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", TOPICS)
def test_every_topic_has_a_page_of_reference(references: Path, name: str) -> None:
    pages = references / "reference" / "topics"
    assert (pages / f"{name}.md").read_text(encoding="utf-8").startswith("<!-- made by")
    assert f"({name}.md)" in (pages / "index.md").read_text(encoding="utf-8")


def test_every_method_is_in_the_reference_of_the_api(references: Path) -> None:
    text = (references / "reference" / "api.md").read_text(encoding="utf-8")
    for name in vars(Kycore):
        if not name.startswith("_"):
            assert f":: kycli.Kycore.{name}" in text


def plain(manual: Path) -> str:
    """Return the text of a manual page, as ``man`` shows it."""
    words = ["groff", "-man", "-ww", "-Tutf8", "-rLL=400n", "-P-cbou", str(manual)]
    done = subprocess.run(words, capture_output=True, encoding="utf-8", check=True)
    assert done.stderr == ""
    return done.stdout.replace("\u2010", "-").replace("\u2212", "-")


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff shows manual pages")
@pytest.mark.parametrize("name", ["kycli", KY, *PROGRAMS])
def test_every_program_has_a_manual_page(references: Path, name: str) -> None:
    text = plain(references / "man" / f"{name}.1")
    said = " ".join(text.split())
    assert f"NAME {name} - " in said
    if name in PROGRAMS:
        command = known(name)
        assert command.summary in said
        wanted = [command.usage, *(f"--{flag}" for flag in command.flags), *command.examples]
    elif name == KY:
        wanted = [command.usage for group in sections(KY).values() for command in group]
    else:
        wanted = [text for group in sections().values() for c in group for text in c.examples]
        wanted += [line for topic in TOPICS.values() for line in topic.text.splitlines() if line]
    for line in wanted:
        assert " ".join(line.split()).replace("…", "...") in said


@pytest.mark.parametrize("name", pictures.SCRIPTS)
def test_pictures_show_what_the_commands_print(name: str) -> None:
    svg = (pictures.PICTURES / f"{name}.svg").read_text(encoding="utf-8")
    escape = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
    printed = "".join(f"$ {command}{text}" for command, text in pictures.transcript(name))
    times = re.compile(r"\d{4}-\d\d-\d\d\d\d:\d\d:\d\d\.\d{3}")
    plain_text = re.sub(r"\s", "", escape.sub("", printed))
    assert times.sub("TIME", pictures.text_of(svg)) == times.sub("TIME", plain_text)


def without_times(text: str) -> str:
    """Return the text of a picture with a sign for each time in it, of the clock and taken."""
    text = re.sub(r"\s", "", text)
    return re.sub(r"\d\d-\d\d\d\d:\d\d:\d\d|[\d.]+(ms|s)(?=\W|\d|exit|$)", "TIME", text)


@pytest.mark.parametrize("name", pictures.SESSIONS)
def test_pictures_of_the_shell_show_what_is_on_its_screen(name: str) -> None:
    svg = (pictures.PICTURES / f"{name}.svg").read_text(encoding="utf-8")
    shown = pictures.screen(name).text
    assert without_times(pictures.text_of(svg)) == without_times(shown)


def test_every_page_is_reached_from_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8").splitlines()
    assert {f"docs/{name}.md" for name in index} >= set(PAGES) - {"README.md", "docs/index.md"}
