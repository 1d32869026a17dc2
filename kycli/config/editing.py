"""The text of a config with one setting changed.

Comments, order, other keys and their values are kept. The new text is parsed and compared with
what was intended, so that a mistake of an editor never reaches the file.
"""

from __future__ import annotations

from typing import Any

from kycli.config.parsing import parse
from kycli.errors import ConfigError


def edited(text: str, path: str, as_json: bool, name: str, value: str | int | None) -> str:
    """Return the text of a config with one setting changed.

    Parameters:
        text: the present text, without a byte order mark.
        path: the file name, for errors.
        as_json: whether the format is JSON; otherwise it is TOML.
        name: the name of a setting.
        value: its new value, or None to remove it.

    Raises:
        ConfigError: when the text is invalid, or cannot be edited.
    """
    values = parse(text, path, as_json)  # an invalid config is not for kycli to repair
    present = values.get(name)
    if type(present) is type(value) and present == value:
        return text
    wanted = {key: item for key, item in values.items() if key != name}
    if value is not None:
        wanted[name] = value
    edit = _edited_json if as_json else _edited_toml
    try:
        new = edit(text, name, value)
        is_right = _same(parse(new, path, as_json), wanted)
    except Exception:  # tomlkit rejects some valid files, in many ways
        is_right = False
    if not is_right:
        raise ConfigError(
            f"{path}: {name} cannot be changed in this file without damage to it, "
            "so it was left as it was",
            hint="change it in an editor",
        )
    return new


def _same(one: Any, other: Any) -> bool:
    """Return whether two values are equal, and of equal types at every level."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float):
        return repr(one) == repr(other)  # distinguishes 0.0 from -0.0, and NaN equals itself
    return bool(one == other)


def _edited_toml(text: str, name: str, value: str | int | None) -> str:
    import tomlkit

    newline = _newline(text)
    # tomlkit would add a setting to a last line that is not terminated.
    document = tomlkit.parse(text if text.endswith("\n") or not text else text + newline)
    # A table of that name may be spread over the file, and tomlkit replaces only one part.
    if value is None or isinstance(document.get(name), dict):
        document.remove(name)
    if value is not None:
        document[name] = value
    new = tomlkit.dumps(document)
    if newline == "\r\n":  # tomlkit ends new lines with "\n" alone
        new = new.replace("\r\n", "\n").replace("\n", "\r\n")
    return new


def _newline(text: str) -> str:
    """Return the line ending of the first line."""
    end = text.find("\n")
    return "\r\n" if end > 0 and text[end - 1] == "\r" else "\n"


def _edited_json(text: str, name: str, value: str | int | None) -> str:
    """Edit the text in place: json.dumps would change the layout and round numbers."""
    import json

    if not text.strip(" \t\r\n"):
        text = "{}\n"
    start = text.index("{") + 1
    members = _members(text, start)
    found = [index for index, member in enumerate(members) if member[0] == name]
    if value is None:
        for index in reversed(found):  # remove a duplicate key as well
            _, begin, _, end = members[index]
            if index + 1 < len(members):
                end = members[index + 1][1]
            elif index > 0:
                begin = members[index - 1][3]
            else:
                begin, end = start, text.rindex("}")
            text = text[:begin] + text[end:]
            members = _members(text, start)
        return text
    literal = json.dumps(value, ensure_ascii=False)
    if found:
        _, _, begin, end = members[found[-1]]  # the last one of duplicate keys counts
        return text[:begin] + literal + text[end:]
    member = f"{json.dumps(name)}: {literal}"
    if not members:
        newline = _newline(text)
        return f"{text[:start]}{newline}  {member}{newline}{text[text.rindex('}') :]}"
    end = members[-1][3]
    if len(members) == 1:
        between = "," + (text[start : members[0][1]] or " ")
    else:  # the separator of the last two, wherever the comma is
        between = text[members[-2][3] : members[-1][1]]
    return text[:end] + between + member + text[end:]


def _members(text: str, position: int) -> list[tuple[str, int, int, int]]:
    """Return the members of a valid JSON object with their positions in the text.

    Each is a tuple of the key, the start of the key, and the start and end of the value.
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
