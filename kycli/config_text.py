"""The text of a config with one setting changed, and not a character more.

Both formats are edited in place, by the positions of what is in the text, so comments,
layout, order and numbers stay as they were written. What comes out is read again and
compared with what was meant before anybody writes it to a file.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from kycli.config import BOM, is_json, parse_config
from kycli.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_BASIC = r'"(?:[^"\\\n]|\\.)*"'
_LITERAL = r"'[^'\n]*'"
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_NAME = re.compile(rf"(?:{_BASIC}|{_LITERAL}|[^\"'=\]\n])+")
# What a value is made of. A text of several lines may end in up to two quotes of its own.
_TOKEN = re.compile(
    rf'"""(?:[^\\]|\\.)*?"{{3,5}}|\'\'\'.*?\'{{3,5}}|{_BASIC}|{_LITERAL}'
    r"|#[^\n]*|[\[\]{}]|\n|[^\"'#\[\]{}\n]+",
    re.DOTALL,
)


def edited(old: str, path: str, name: str, value: str | int | None) -> str:
    """Return the text of a config with one setting changed.

    Parameters:
        old: the text as it is.
        path: the name of the file, which tells the format and goes into errors.
        name: the name of a setting.
        value: its new value; None takes it out.

    Raises:
        ConfigError: when the text is broken, or cannot be edited.
    """
    values = parse_config(old, path)  # a broken config is not for us to mend
    present = values.get(name)
    if type(present) is type(value) and present == value:
        return old
    wanted = {key: item for key, item in values.items() if key != name}
    if value is not None:
        wanted[name] = value
    text = old.removeprefix(BOM)
    edit = _json_with if is_json(text, path) else _toml_with
    try:
        new = old[: len(old) - len(text)] + edit(text, name, value)
        right = _same(parse_config(new, path), wanted)
    except (ConfigError, RecursionError):
        right = False
    if not right:
        raise ConfigError(
            f"{path}: {name} cannot be changed in this file without damage to it, "
            "so it was left as it was",
            hint="change it in an editor",
        )
    return new


def _same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of the same types all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float):
        return repr(one) == repr(other)  # which knows NaN, and 0.0 from -0.0
    return bool(one == other)


def _newline(text: str) -> str:
    """Return how the first line of a text ends."""
    end = text.find("\n")
    return "\r\n" if end > 0 and text[end - 1] == "\r" else "\n"


# ---------------------------------------------------------------- TOML


class _Statement(NamedTuple):
    """A line or more of TOML: ``name = value``, or the header of a table.

    Attributes:
        path: the names from the root on, those of the table first.
        is_header: whether it is ``[path]`` or ``[[path]]``.
        line: where its first line begins.
        value: where its value begins.
        end: where its value, or the header, ends.
        past: where the line after it begins.
    """

    path: tuple[str, ...]
    is_header: bool
    line: int
    value: int
    end: int
    past: int


def _toml_with(text: str, name: str, value: str | int | None) -> str:
    mine = [statement for statement in _statements(text) if statement.path[0] == name]
    if value is None:
        return _without(text, mine)
    literal = _toml_literal(value)
    if len(mine) == 1 and mine[0].path == (name,) and not mine[0].is_header:
        return text[: mine[0].value] + literal + text[mine[0].end :]
    # A table in the place of a setting, which may be spread over the file, goes.
    text = _without(text, mine)
    newline = _newline(text)
    place, blank_below = _place_for_setting(text)
    before = text[:place]
    if before and not before.endswith("\n"):
        before += newline
    below = newline if blank_below else ""
    return f"{before}{name} = {literal}{newline}{below}{text[place:]}"


def _without(text: str, statements: list[_Statement]) -> str:
    for statement in reversed(statements):
        text = text[: statement.line] + text[statement.past :]
    return text


def _place_for_setting(text: str) -> tuple[int, bool]:
    """Return where a line of the root table can be added, and whether to put a blank line below.

    That is behind the last one, so that what is said of the first table stays with it; or
    above that table and the comment directly above it.
    """
    last = None
    for statement in _statements(text):
        if statement.is_header:
            if last is not None:
                break
            return _above_comment(text, statement.line), True
        last = statement
    return (len(text) if last is None else last.past), False


def _above_comment(text: str, place: int) -> int:
    """Return where the comment begins that ends where a line begins, or that line."""
    while place > 0:
        above = text.rfind("\n", 0, place - 1) + 1
        if not text[above:place].lstrip(" \t").startswith("#"):
            break
        place = above
    return place


def _statements(text: str) -> Iterator[_Statement]:
    """Yield the statements of a text that is valid TOML."""
    table: tuple[str, ...] = ()
    position = 0
    while (begin := _past(_BLANK, text, position)) < len(text):
        brackets = 2 if text.startswith("[[", begin) else 1 if text[begin] == "[" else 0
        name_end = _past(_NAME, text, begin + brackets)
        path = _names(text[begin + brackets : name_end])
        if brackets:
            table = path
            value = end = name_end + brackets
        else:
            path = table + path
            value = name_end + 1
            while text[value] in " \t":
                value += 1
            end = _end_of_value(text, value)
        position = text.find("\n", end) + 1 or len(text)
        line = text.rfind("\n", 0, begin) + 1
        yield _Statement(path, brackets > 0, line, value, end, position)


def _past(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return position if match is None else match.end()


def _names(text: str) -> tuple[str, ...]:
    """Return what a dotted key says."""
    import tomllib

    names = []
    table: Any = tomllib.loads(text.strip(" \t") + " = 0")
    while isinstance(table, dict):
        ((name, table),) = table.items()
        names.append(name)
    return tuple(names)


def _end_of_value(text: str, position: int) -> int:
    """Return where the value ends that begins at a position."""
    depth = 0
    end = position
    while (match := _TOKEN.match(text, position)) is not None:
        token, position = match.group(), match.end()
        if depth == 0 and token[0] in "\n#":
            break
        depth += token in ("[", "{")
        depth -= token in ("]", "}")
        end = match.start() + len(token.rstrip(" \t\r"))
    return end


def _toml_literal(value: str | int) -> str:
    import json

    if isinstance(value, int):
        return str(value)
    # What JSON escapes TOML does, in the same way, and DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


# ---------------------------------------------------------------- JSON


def _json_with(text: str, name: str, value: str | int | None) -> str:
    """Edit the text itself: json would lay everything out anew and round the numbers."""
    import json

    if not text.strip(" \t\r\n"):
        text = "{}\n"
    start = text.index("{") + 1
    members = _members(text, start)
    mine = [place for place, member in enumerate(members) if member[0] == name]
    if value is None:
        for place in reversed(mine):  # a key that is given twice goes twice
            _, begin, _, end = members[place]
            if place + 1 < len(members):
                end = members[place + 1][1]
            elif place > 0:
                begin = members[place - 1][3]
            else:
                begin, end = start, text.rindex("}")
            text = text[:begin] + text[end:]
            members = _members(text, start)
        return text
    literal = json.dumps(value, ensure_ascii=False)
    if mine:
        _, _, begin, end = members[mine[-1]]  # of a key that is given twice the last counts
        return text[:begin] + literal + text[end:]
    member = f"{json.dumps(name)}: {literal}"
    if not members:
        newline = _newline(text)
        return f"{text[:start]}{newline}  {member}{newline}{text[text.rindex('}') :]}"
    end = members[-1][3]
    if len(members) == 1:
        between = "," + (text[start : members[0][1]] or " ")
    else:  # as between the last two, the comma included, wherever it stands
        between = text[members[-2][3] : members[-1][1]]
    return text[:end] + between + member + text[end:]


def _members(text: str, position: int) -> list[tuple[str, int, int, int]]:
    """Return the members of a valid JSON object and where they are in its text.

    Each as its key, where the key begins, where the value begins and where it ends.
    """
    from json import JSONDecoder

    def skip(position: int) -> int:
        while text[position] in " \t\r\n":
            position += 1
        return position

    decode = JSONDecoder().raw_decode
    members = []
    position = skip(position)
    while text[position] != "}":
        name, colon = decode(text, position)
        begin = skip(skip(colon) + 1)
        _, end = decode(text, begin)
        members.append((name, position, begin, end))
        position = skip(end)
        if text[position] == ",":
            position = skip(position + 1)
    return members
