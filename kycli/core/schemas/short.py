"""The short form of a schema: ``{"name": "str(1..80)", "age": "int?", "tags": "list[str]"}``.

An object lists its members; a text is the type of one. The grammar of that text::

    member  := type [ "=" default ]
    type    := name [ "[" type { "," type } "]" ] [ "(" limits ")" ] [ "?" ]
    limits  := limit { "," limit }
    limit   := [ number ] ".." [ number ] | "/" regex "/" | choice

``list[T]``, ``dict[str,T]`` and ``enum(a, b)`` are types of their own. A default is JSON, or a
text in single quotes. A list with one item, ``["str"]``, is ``list[str]``. In a regular
expression ``\\/`` is a slash.
"""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from decimal import Decimal
from math import isfinite
from typing import Any

from kycli.core.schemas.types import (
    MAX_DEPTH,
    RANGED,
    SCALARS,
    Field,
    Type,
    as_utc,
    describe,
    fault,
)
from kycli.errors import SchemaError

_NAME = re.compile(r"[A-Za-z_]+")
_RANGE = re.compile(r"\s*([^\s,()/.]*(?:\.[0-9][^\s,()/.]*)?)\s*\.\.\s*([^\s,()/]*)\s*")
_WORD = re.compile(r"[^\s,()'\"][^,()'\"]*")
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"", re.DOTALL)
_REGEX = re.compile(r"/((?:[^/\\]|\\.)*)/", re.DOTALL)
_NAMES = (*SCALARS, "list", "dict", "enum")
_SYNONYMS = {
    "string": "str",
    "text": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "object": "dict",
    "array": "list",
}


def parse(definition: Any, path: str = "", depth: int = 0) -> Type:
    """Return the type that a definition in the short form describes.

    Raises:
        SchemaError: with the path in the definition, when it is wrong.
    """
    if depth > MAX_DEPTH:
        raise fault(path, f"it is nested more than {MAX_DEPTH} levels deep")
    if isinstance(definition, str):
        return _Text(definition, path).type_alone()
    if isinstance(definition, list):
        if len(definition) != 1:
            raise fault(
                path,
                f"a list of {len(definition)} types",
                hint='a list is written as ["str"] or as "list[str]"',
            )
        return Type("list", items=parse(definition[0], f"{path}[]", depth + 1))
    if isinstance(definition, dict):
        return Type("object", fields=_fields(definition, path, depth))
    raise fault(path, f"{json.dumps(definition)} is no type", hint=_TYPES)


_TYPES = f"types are {', '.join(_NAMES[:-1])} and enum(a,b), an object lists its members"


def _fields(definition: dict[str, Any], path: str, depth: int) -> dict[str, Field]:
    fields = {}
    for name, inner in definition.items():
        where = f"{path}.{name}" if path else name
        if not name:
            raise fault(where, "a member has an empty name")
        if isinstance(inner, str):
            fields[name] = _Text(inner, where).member()
        elif name.endswith("?"):  # {"address?": {…}}: the object may be left out
            fields[name[:-1]] = Field(_optional(parse(inner, where, depth + 1)))
        else:
            fields[name] = Field(parse(inner, where, depth + 1))
    return fields


def _optional(kind: Type) -> Type:
    from dataclasses import replace

    return replace(kind, optional=True)


class _Text:
    """Reads the text of a type from left to right."""

    def __init__(self, text: str, path: str) -> None:
        self.text = text
        self.path = path
        self.at = 0

    def fault(self, problem: str, hint: str | None = None) -> SchemaError:
        return fault(self.path, f"{self.text!r}: {problem}", hint=hint)

    def type_alone(self) -> Type:
        kind = self.type()
        if self.peek():
            raise self.fault(f"{self.text[self.at :]!r} is left over behind the type")
        return kind

    def member(self) -> Field:
        kind = self.type()
        if not self.take("="):
            if self.peek():
                raise self.fault(f"{self.text[self.at :]!r} is left over behind the type")
            return Field(kind)
        text = self.text[self.at :].strip()
        quoted = _QUOTED.fullmatch(text)
        if quoted and text[0] == "'":
            return Field(kind, _unescaped(quoted))
        try:
            return Field(kind, json.loads(text, parse_constant=_refused))
        except (ValueError, RecursionError):
            raise self.fault(
                f"the default {text!r} is not JSON", hint="text needs quotes: \"str = 'x'\""
            ) from None

    def type(self, depth: int = 0) -> Type:
        if depth > MAX_DEPTH:
            raise self.fault(f"it is nested more than {MAX_DEPTH} levels deep")
        self.peek()
        match = _NAME.match(self.text, self.at)
        name = match.group() if match else ""
        if name not in _NAMES:
            near = _SYNONYMS.get(name.lower()) or (name.lower() in _NAMES and name.lower())
            known = f"use {near}" if near else _TYPES
            shown = name or self.text[self.at :]
            raise self.fault(f"there is no type {shown!r}", hint=known)
        self.at += len(name)
        items = self.items(name, depth)
        minimum = maximum = pattern = None
        choices: tuple[Any, ...] = ()
        if self.take("("):
            if name == "enum":
                choices = self.choices()
            else:
                minimum, maximum, pattern = self.limits(name)
        if name == "enum" and not choices:
            raise self.fault("an enum lists its values", hint="for example enum(red,green)")
        optional = self.take("?")
        return Type(name, optional, minimum, maximum, pattern, items, choices)

    def items(self, name: str, depth: int) -> Type | None:
        if name not in ("list", "dict") or not self.take("["):
            return Type("any", optional=True) if name in ("list", "dict") else None
        first = self.type(depth + 1)
        if name == "dict":
            if describe(first) != "str" or not self.take(","):
                raise self.fault("a dict is dict[str,TYPE]: keys of JSON objects are text")
            first = self.type(depth + 1)
        if not self.take("]"):
            raise self.fault(f"']' is missing behind {self.text[: self.at]!r}")
        return first

    def limits(self, name: str) -> tuple[Any, Any, str | None]:
        minimum = maximum = pattern = None
        while True:
            self.peek()
            if match := _REGEX.match(self.text, self.at):
                if name != "str":
                    raise self.fault(f"only str takes a regular expression, not {name}")
                pattern = match.group(1).replace("\\/", "/")
            elif match := _RANGE.match(self.text, self.at):
                minimum, maximum = self.limit(name, match[1]), self.limit(name, match[2])
                if minimum is None and maximum is None:
                    raise self.fault("a range needs a limit", hint="for example 1..80 or 0..")
                if minimum is not None and maximum is not None and minimum > maximum:
                    raise self.fault(f"the range {match.group().strip()} holds nothing")
            else:
                raise self.fault(
                    f"{self.text[self.at :]!r} is neither a range nor a regular expression",
                    hint="for example int(0..150), str(1..80), str(/^[a-z]+$/)",
                )
            self.at = match.end()
            if self.take(")"):
                return minimum, maximum, pattern
            if not self.take(","):
                raise self.fault(f"')' is missing behind {self.text[: self.at]!r}")

    def limit(self, name: str, text: str) -> Any:
        """Return one end of a range, of the type that it limits; None for an open end."""
        if not text:
            return None
        try:
            if name in ("float", "decimal"):
                least = float(text) if name == "float" else Decimal(text)
                if not isfinite(least):
                    raise ValueError(text)
                return least
            if name == "date":
                return date.fromisoformat(text)
            if name == "datetime":
                return as_utc(datetime.fromisoformat(text))
            number = int(text)
        except (ValueError, ArithmeticError):
            raise self.fault(f"{text!r} is no limit for {name}") from None
        if name in ("bool", "uuid", "any", "enum"):
            raise self.fault(f"{name} takes no range")
        if name not in RANGED and number < 0:
            raise self.fault(f"the length of a {name} is never {number}")
        return number

    def choices(self) -> tuple[Any, ...]:
        found: list[Any] = []
        while True:
            self.peek()
            if match := _QUOTED.match(self.text, self.at):
                found.append(_unescaped(match))
            elif match := _WORD.match(self.text, self.at):
                found.append(_word(match.group().strip()))
            else:
                raise self.fault("a value of the enum is missing")
            self.at = match.end()
            if self.take(")"):
                if len({(type(choice), choice) for choice in found}) != len(found):
                    raise self.fault("a value of the enum occurs twice")
                return tuple(found)
            if not self.take(","):
                raise self.fault(f"')' is missing behind {self.text[: self.at]!r}")

    def peek(self) -> str:
        """Skip blanks; return the next character, or nothing at the end."""
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1
        return self.text[self.at : self.at + 1]

    def take(self, character: str) -> bool:
        found = self.peek() == character
        self.at += found
        return found


def _refused(name: str) -> Any:
    raise ValueError(name)


def _unescaped(match: re.Match[str]) -> str:
    return re.sub(r"\\(.)", r"\1", match[1] if match[1] is not None else match[2], flags=re.DOTALL)


def _word(text: str) -> Any:
    """Return a choice without quotes: a number, a truth value, or text."""
    if re.fullmatch(r"-?(0|[1-9][0-9]*)", text):
        return int(text)
    return {"true": True, "false": False, "null": None}.get(text, text)
