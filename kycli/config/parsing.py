"""The full parsers of both config formats, and what their errors say.

Imported only for a config that the quick parsers of the package do not accept.
"""

from __future__ import annotations

from kycli.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_JSON_FORM = 'a JSON config is an object: {"current_scope": "alpha"}'
_TOML_FORM = 'a TOML config has lines like: current_scope = "alpha"'
_MAX_DOTS = 1000


def parse(text: str, path: str, as_json: bool) -> dict[str, Any]:
    """Return the values in the text of a config; an empty file has none.

    Parameters:
        text: the whole file without a byte order mark.
        path: the file name, for errors.
        as_json: whether the format is JSON; otherwise it is TOML.

    Raises:
        ConfigError: when the text has a syntax error, with line and column.
    """
    return _parse_json(text, path) if as_json else _parse_toml(text, path)


def _parse_json(text: str, path: str) -> dict[str, Any]:
    import json

    if not text.strip(" \t\r\n"):
        return {}
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{path}, line {error.lineno}, column {error.colno}: not JSON: {error.msg}",
            hint=_JSON_FORM,
        ) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not usable JSON: {_excess(error)}") from None
    if not isinstance(value, dict):
        raise ConfigError(
            f"{path}, line 1: the config is {kind(value)}",
            hint=_JSON_FORM,
        )
    return value


def _parse_toml(text: str, path: str) -> dict[str, Any]:
    import tomllib

    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > _MAX_DOTS:  # tomllib is quadratic in the parts of a dotted key
            raise ConfigError(f"{path}, line {number}: over {_MAX_DOTS:,} dots", hint=_TOML_FORM)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # "what is wrong (at line 3, column 5)" or "what is wrong (at end of document)"
        problem, _, position = str(error).removesuffix(")").rpartition(" (at ")
        if position == "end of document":
            last = text.rpartition("\n")[2]
            position = f"line {text.count(chr(10)) + 1}, column {len(last) + 1}"
        raise ConfigError(f"{path}, {position}: not TOML: {problem}", hint=_TOML_FORM) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not usable TOML: {_excess(error)}") from None


def _excess(error: Exception) -> str:
    """Describe a limit of Python that the file exceeds."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return "a number in it has too many digits"


def kind(value: object) -> str:
    """Return the name of a value's type in the terms of JSON and TOML."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "a table"
    return f"a {type(value).__name__}"


def line_of(name: str, text: str) -> str:
    """Return ", line N" if exactly one line appears to set ``name``, else ""."""
    found = [
        number
        for number, line in enumerate(text.split("\n"), 1)
        if line.lstrip(" \t{\"'").startswith(name)
    ]
    return f", line {found[0]}" if len(found) == 1 else ""
