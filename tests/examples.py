"""The examples of the documents: blocks of Markdown, and what they say of the command line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
"""The pages whose examples are run, each from the top in an empty home."""

# A block that the tests cannot run carries the reason on the line above.
NOT_RUN = re.compile(r"<!-- not run by the tests: \w.+ -->")
# A block with such a line above is a file that the examples after it use.
FILE = re.compile(r"<!-- file: (\S+) -->")
# What is there before the examples of a block, by commands of the shell; $TESTS is this directory.
GIVEN = re.compile(r"<!-- given: (.+) -->")
FENCE = re.compile(r"(?P<above>[^\n]*)\n```(?P<language>[\w{}-]*)\n(?P<body>.*?)^```$", re.S | re.M)


class Block(NamedTuple):
    language: str
    body: str
    line: int
    above: str

    @property
    def run(self) -> bool:
        return not NOT_RUN.fullmatch(self.above)


class Shown(NamedTuple):
    """A command of a console block, and what it is shown to print."""

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
            match["above"],
        )
        for match in FENCE.finditer(text)
    ]


def commands(block: Block) -> list[Shown]:
    """Split a console block at its prompts: ``$ `` begins a command, ``> `` continues it."""
    found: list[Shown] = []
    for number, line in enumerate(block.body.splitlines(), block.line):
        if line.startswith("$ "):
            found.append(Shown(line[2:], "", number))
        elif line.startswith("> ") and not found[-1].answer:
            found[-1] = found[-1]._replace(text=f"{found[-1].text}\n{line[2:]}")
        else:
            found[-1] = found[-1]._replace(answer=f"{found[-1].answer}{line}\n")
    return found
