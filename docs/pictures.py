"""What the README shows of a terminal: real commands, run in a terminal, drawn as SVG.

    make pictures

Writes ``docs/pictures/NAME.svg``. The tests run the same commands and compare what they print
with the text of the pictures.
"""

from __future__ import annotations

import os
import pty
import re
import sys
import tempfile
from html import unescape
from pathlib import Path

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
        environment = {
            "PATH": f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}",
            "HOME": home,
            "LC_ALL": "C.UTF-8",
            "TERM": "xterm-256color",
            "COLUMNS": str(COLUMNS),
            "PAGER": "cat",
        }
        return [(command, _printed(command, environment)) for command in SCRIPTS[name]]


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
        for command, printed in transcript(name):
            console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
            if printed:
                console.print(Text.from_ansi(printed.rstrip("\n")))
        console.print()  # the height leaves out the margin
        return console.export_svg(title="", code_format=_SVG, unique_id=name)


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    for name in SCRIPTS:
        (PICTURES / f"{name}.svg").write_text(draw(name), "utf-8")
        print(f"docs/pictures/{name}.svg")
