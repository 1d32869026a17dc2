"""The status bar: database, scope and state of the shell."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kycli.cli.output import keys_counted, tilde
from kycli.cli.terminal import cut, escaped, width
from kycli.core.location import MEMORY

if TYPE_CHECKING:
    from prompt_toolkit.formatted_text import StyleAndTextTuples

    from kycli.shell.facts import Facts
    from kycli.shell.state import State

LONG_SECONDS = 10
"""From when on an open transaction is shown as a problem for others."""

_NARROW = 80


def bar(state: State, facts: Facts, columns: int, mode: str = "") -> StyleAndTextTuples:
    """Return the bar, cut to the width of the screen: the least important parts go first."""
    style = "class:bar"
    parts: list[tuple[int, str, str]] = [  # importance (0 is the most), style, text
        (0, "class:bar.scope", f"[Scope: {escaped(state.scope)}]"),
    ]
    if state.transaction is not None:
        held = time.monotonic() - state.transaction.since
        changes = state.transaction.changes
        since = shown_seconds(held, whole=True)
        text = f"transaction: {changes:,} staged, blocks writers {since}"
        if columns < _NARROW:
            text = f"{changes:,} staged, {since}"
        urgent = " class:bar.urgent" if held > LONG_SECONDS else ""
        parts.append((1, f"class:bar.transaction{urgent}", text))
    if facts.problem:
        parts.append((1, "class:bar.problem", escaped(facts.problem)))
    elif facts.keys is not None and state.database != MEMORY:
        parts.append((2, style, f"{facts.keys:,} {keys_counted(facts.keys).split()[1]}"))
    if facts.has_schema:
        parts.append((4, "class:bar.mark", "schema"))
    if facts.cache is not None:
        parts.append((4, "class:bar.mark", f"cache {shown_seconds(facts.cache, whole=True)}"))
    if facts.backlog:
        parts.append((6, style, f"index: {facts.backlog:,} pending"))
    database = "in memory" if state.database == MEMORY else escaped(tilde(state.database))
    parts.append((5, style, database))
    if mode:
        parts.append((3, style, mode))
    if state.seconds is not None:
        failed = f" exit {state.code}" if state.code else ""
        shown = "class:bar.problem" if failed else style
        parts.append((3, shown, f"{shown_seconds(state.seconds)}{failed}"))
    return _fitted(parts, columns, style)


def _fitted(parts: list[tuple[int, str, str]], columns: int, style: str) -> StyleAndTextTuples:
    gap = "  "
    room = columns - 1  # a terminal may wrap a line that fills the last column
    while len(parts) > 1 and sum(width(p[2]) + len(gap) for p in parts) - len(gap) > room:
        least = max(range(len(parts)), key=lambda number: parts[number][0])
        del parts[least]
    fragments: StyleAndTextTuples = []
    for number, (_, part_style, text) in enumerate(parts):
        if number:
            fragments.append((style, gap))
        fragments.append((part_style, cut(text, room)))
    return fragments


def shown_seconds(seconds: float, whole: bool = False) -> str:
    """Return a time as people read it: ``0.4 ms``, ``1.2 s``, ``3 min 20 s``."""
    if seconds >= 3600:
        return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"
    if seconds >= 60:
        rest = f" {seconds % 60:.0f} s" if seconds % 60 >= 1 else ""
        return f"{seconds // 60:.0f} min{rest}"
    if whole:
        return f"{seconds:.0f} s"
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{seconds * 1000:.{0 if seconds >= 0.01 else 1}f} ms"
