"""Marked lines in a text: adding them, and taking exactly them away again.

A text that does not end with a line break gets none: then the marked lines do not end with one
either, and taking them away takes the break before them along. A file that was made for the lines
says so in them, with how many directories were made for it.
"""

from __future__ import annotations

import re

BEGIN = "# >>> kycli >>> written by 'kycli install'; 'kycli uninstall' removes it"
END = "# <<< kycli <<<"

_BLOCK = re.compile(
    r"^# >>> kycli >>>.*\n(?P<lines>(?:(?!# >>> kycli >>>).*\n)*?)"
    r"# <<< kycli <<<[ \t]*$(?P<end>\n?)",
    re.MULTILINE,
)
_MADE = re.compile(r"^# the file was made for this, and (\d+) directories$", re.MULTILINE)


def marked(lines: str, made: int | None = None) -> str:
    """Return lines between marks, without a line break at the end.

    Parameters:
        made: how many directories were made for a new file; None for one that existed.
    """
    note = "" if made is None else f"# the file was made for this, and {made} directories\n"
    return f"{BEGIN}\n{note}{lines}{END}"


def with_lines(text: str, lines: str, made: int | None = None) -> str:
    """Return text with the marked lines: in their place if they are there, else at the end."""
    found = _BLOCK.search(text)
    if found is None:
        if not text or text.endswith("\n"):
            return f"{text}{marked(lines, made)}\n"
        return f"{text}\n{marked(lines, made)}"
    before, after = text[: found.start()], text[found.end() :]
    block = marked(lines, made_by(found[0]))
    return f"{before}{block}{found['end']}{without_lines(after) if after else ''}"


def without_lines(text: str) -> str:
    """Return text without marked lines."""
    while found := _BLOCK.search(text):
        before, after = text[: found.start()], text[found.end() :]
        if not found["end"]:
            before = before.removesuffix("\n")
        text = before + after
    return text


def made_by(text: str) -> int | None:
    """Return how many directories were made for a file with marked lines.

    None if there are no marked lines, or the file existed before them.
    """
    found = _BLOCK.search(text)
    made = _MADE.search(found["lines"]) if found else None
    return int(made[1]) if made else None
