"""What the documentation shows of a terminal: real commands, run in a terminal, drawn as SVG.

    make pictures

Writes ``docs/pictures/NAME.svg``. The tests run the same commands and compare what they print
with the text of the pictures. What shows the interactive shell is typed into it, and is what
stands on its screen then.
"""

from __future__ import annotations

import os
import pty
import re
import sys
import tempfile
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from shell.terminals import Terminal

if TYPE_CHECKING:
    from rich.text import Text

PICTURES = Path(__file__).resolve().parent / "pictures"
COLUMNS = 84

SCRIPTS = {
    "undo": [
        "kys motd 'Tea at five'; kys motd 'Tea and crème brûlée at six'; kyd motd",
        "kyv motd",
        "kycli undo",
        "kyg -s creme",
    ],
}
"""Name of the picture -> its commands. Each picture begins with an empty store."""


class Session(NamedTuple):
    """What is typed into the interactive shell.

    Attributes:
        before: commands that are run before it is started.
        steps: what is typed, or a key, each with what has to be on the screen then.
        rows: the height of the screen.
    """

    before: str
    steps: list[tuple[str, str]]
    rows: int = 20


_SHOP = """
kycli set shop.prod.currency EUR; kycli set shop.prod.motd 'Tea at five'
kycli set shop.prod.user_1 '{"name": "Ann", "address": {"city": "Oslo", "zip": "0150"}}' --json
kycli set shop.prod.user_2 '{"name": "Bo", "address": {"city": "Bergen", "zip": "5003"}}' --json
kycli set shop.prod.motd 'Tea and crème brûlée at six'
kycli set shop.dev.currency NOK; kycli admin create-cache shop.sessions timeout=30m -q
"""

SESSIONS = {
    "shell": Session(
        _SHOP,
        [
            ("use shop.prod\r", "Scope: shop.prod.  4 keys"),
            ("scan user_1\r", "Oslo"),
            ("get mottd\r", "exit 2"),
            ("kyg user_2.address.\t\t", "user_2.address.zip"),
        ],
        15,
    ),
    "shell-transaction": Session(
        _SHOP + "kycli use shop.prod -q",
        [
            ("begin\r", "0 staged"),
            ("set currency NOK\r", "1 staged"),
            ("ky patch user_1.address.city Bergen\r", "2 staged"),
            ("diff\r", r"^\+.*Bergen"),
        ],
        26,
    ),
    "shell-panes": Session(
        _SHOP + "kycli use shop.prod -q",
        [
            ("set greeting hello\r", "5 keys"),
            ("\x1bOR", "audit trail"),
            ("\x1b", "prod>$"),
            ("\x1bOQ", "browser"),
            ("\x1b[F", '"zip": "5003"'),
        ],
        32,
    ),
}
"""Name of the picture -> what is typed into the shell. Each begins with an empty store."""

# Without the fonts that rich has fetched from the network.
_SVG = """\
<svg viewBox="0 0 {terminal_width} {terminal_height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
    font: {char_height}px Menlo, Consolas, "DejaVu Sans Mono", monospace;
    line-height: {line_height}px;
    font-variant-east-asian: full-width;
}}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>{lines}</defs>
<rect fill="#1d2026" width="{terminal_width}" height="{terminal_height}" rx="8"/>
<g transform="translate(12, 8)" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def transcript(name: str) -> list[tuple[str, str]]:
    """Run the commands of a picture in a terminal; return each with what it printed."""
    with tempfile.TemporaryDirectory() as home:
        environment = _environment(home)
        return [(command, _printed(command, environment)) for command in SCRIPTS[name]]


def screen(name: str) -> Terminal:
    """Type a session into the shell; return the terminal with what is on it at the end."""
    session = SESSIONS[name]
    with tempfile.TemporaryDirectory() as home:
        environment = _environment(home)
        _printed(session.before, environment)
        gone: dict[str, str | None] = dict.fromkeys(os.environ.keys() - environment.keys())
        terminal = Terminal(
            "kyshell", columns=COLUMNS, rows=session.rows, variables={**gone, **environment}
        )
        terminal.wait("keys|no database")
        for typed, shown in session.steps:
            terminal.type(typed)
            terminal.wait(shown)
        terminal.settle()
        terminal.end()
        return terminal


def _environment(home: str) -> dict[str, str]:
    return {
        "PATH": f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}",
        "HOME": home,
        "LC_ALL": "C.UTF-8",
        "TERM": "xterm-256color",
        "COLUMNS": str(COLUMNS),
        "PAGER": "cat",
    }


def _printed(command: str, environment: dict[str, str]) -> str:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(environment["HOME"])
        os.execvpe("bash", ["bash", "-c", command], environment)
    found = b""
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # Linux reports the end of a terminal as an error
            break
        if not piece:
            break
        found += piece
    os.close(terminal)
    os.waitpid(pid, 0)
    return found.decode().replace("\r\n", "\n")


def text_of(svg: str) -> str:
    """Return the text of a picture, without blanks."""
    texts = re.findall(r"<text [^>]*>(.*?)</text>", svg)
    return re.sub(r"\s", "", unescape("".join(texts)))


def draw(name: str) -> str:
    """Return the picture as SVG."""
    from rich.console import Console
    from rich.text import Text

    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=COLUMNS + 4, file=nowhere, force_terminal=True)
        for line in _lines(screen(name)) if name in SESSIONS else ():
            console.print(line)
        for command, printed in transcript(name) if name in SCRIPTS else ():
            console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
            if printed:
                console.print(Text.from_ansi(printed.rstrip("\n")))
        console.print()  # the height leaves out the margin
        return console.export_svg(title="", code_format=_SVG, unique_id=name)


_COLOURS = {"default": "", "brown": "yellow", "brightbrown": "bright_yellow"}


def _lines(terminal: Terminal) -> list[Text]:
    """Return what is on a screen, with its colours."""
    from rich.text import Text

    lines = []
    for cells in terminal.cells:
        line = Text(no_wrap=True, overflow="crop")
        for cell in cells:
            colours = [_COLOURS.get(c, c.replace("bright", "bright_")) for c in (cell.fg, cell.bg)]
            colours = [f"#{c}" if re.fullmatch("[0-9a-f]{6}", c) else c for c in colours]
            words = [word for word, on in (("bold", cell.bold), ("italic", cell.italics)) if on]
            words += ["reverse"] if cell.reverse else []
            words += [colours[0]] if colours[0] else []
            words += ["on", colours[1]] if colours[1] else []
            line.append(cell.data, " ".join(words))
        lines.append(line)
    return lines


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    for name in (*SCRIPTS, *SESSIONS):
        (PICTURES / f"{name}.svg").write_text(draw(name), "utf-8")
        print(f"docs/pictures/{name}.svg")
