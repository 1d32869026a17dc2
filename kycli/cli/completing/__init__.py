"""Completion of command lines: the candidates for the word at the cursor.

The shells and the interactive shell use the same engine. Commands and flags come from the
registry; scopes, keys and paths from the store, which is only read.
"""

from __future__ import annotations

from kycli.cli.commands import KY, find
from kycli.cli.completing.candidates import LIMIT, Candidate, Surroundings
from kycli.cli.completing.line import LETTERS, Line
from kycli.cli.completing.names import commands, flags, parts
from kycli.cli.parse import FLAGS
from kycli.errors import KycliError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LIMIT", "Candidate", "Surroundings", "complete"]


def complete(
    words: Sequence[str],
    current: str,
    surroundings: Surroundings,
    *,
    program: str = "kycli",
    after: Sequence[str] = (),
) -> list[Candidate]:
    """Return what the word under the cursor may become, at most about ``LIMIT`` candidates.

    Never raises for what is typed or stored: where nothing is known, it is an empty list. What
    it costs does not grow with the number of keys.

    Parameters:
        words: the words before it, without the program, as the command would get them.
        current: the word up to the cursor, "" for a new one.
        surroundings: current scope, delimiter and store.
        program: ``kycli``, ``ky`` or a short command; any other name counts as ``kycli``.
        after: the words behind it.
    """
    name = None
    if program == KY:
        name = KY
    elif program != "kycli" and program.startswith(KY):
        named = find(program)
        name = program if named is not None and named.is_short else None
    line = Line(words, name, after)
    try:
        return _candidates(line, current, surroundings)
    except (KycliError, OSError, RecursionError):
        return []  # such as a database that cannot be read


def _candidates(line: Line, current: str, surroundings: Surroundings) -> list[Candidate]:
    from kycli.cli.completing.values import argument, flag_value

    if line.awaits:
        return flag_value(line, line.awaits, current, surroundings)
    if not (line.literal or line.foreign) and (current == "-" or line.is_flag(current)):
        name, equals, value = current.partition("=")
        if equals and name[2:] in FLAGS:
            found = flag_value(line, name[2:], value, surroundings)
            return [candidate.after(f"{name}=") for candidate in found]
        letter = LETTERS.get(current[1:2], "")
        if len(current) > 2 and letter and FLAGS[letter].value:
            awaited = "n" if current[1] == "n" else letter
            found = flag_value(line, awaited, current[2:], surroundings)
            return [candidate.after(current[:2]) for candidate in found]
        return flags(line, current)
    if not line.has_command:
        return commands(line.program, current)
    if line.command is None:
        return []
    found = [] if line.arguments else parts(line.command, current)
    return found + argument(line, line.command, current, surroundings)
