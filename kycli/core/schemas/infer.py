"""Proposing a schema for the values of a scope, in one pass and bounded memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any
from uuid import UUID

from kycli.core.schemas import jsonschema, short
from kycli.core.schemas.types import EXACT, MAX_BYTES, MAX_DEPTH, SCALARS, check_size
from kycli.errors import SchemaError

_MEMBERS_MAX = 1000
"""An object with more members than this is a ``dict``: its members are data, not fields."""
DISTINCT_MAX = 100
"""How many different scalars are counted."""
_TEXT_MAX = 60
_DATE = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")
_TIME = re.compile(
    _DATE.pattern + r"T[0-2][0-9]:[0-5][0-9](:[0-5][0-9](\.[0-9]+)?)?(Z|[+-][0-9:]+)?"
)


class Observed:
    """What was observed of the values, or of one field of them.

    Attributes:
        count: how many values there were, null included.
        kinds: the names of their types, but null, with how many of each.
        nulls: how many were null.
        lowest, highest: of numbers.
        first, last: of texts, by code points, of each its beginning.
        shortest, longest: the lengths of texts and lists.
        distinct: hashes of the scalars; None when there were too many.
        fields: of objects, each member.
        more: whether there were members that are not in ``fields``.
        items: of lists, their items.
    """

    __slots__ = (
        *("count", "distinct", "fields", "first", "highest", "items", "kinds", "last", "longest"),
        *("lowest", "more", "nulls", "objects", "shortest"),
    )

    def __init__(self) -> None:
        self.count = 0
        self.nulls = 0
        self.objects = 0
        self.kinds: dict[str, int] = {}
        self.lowest: float | None = None
        self.highest: float | None = None
        self.first: str | None = None
        self.last: str | None = None
        self.shortest: int | None = None
        self.longest: int | None = None
        self.distinct: set[int] | None = set()
        self.fields: dict[str, Observed] = {}
        self.more = False
        self.items: Observed | None = None

    def add(self, value: Any) -> None:
        """Take a value into account."""
        self.count += 1
        if value is None:
            self.nulls += 1
            return
        name = _kind(value)
        self.kinds[name] = self.kinds.get(name, 0) + 1
        if name == "object":
            self.objects += 1
            for member, inner in value.items():
                seen = self.fields.get(member)
                if seen is None:
                    if len(self.fields) >= _MEMBERS_MAX:
                        self.more = True
                        continue
                    seen = self.fields[member] = Observed()
                seen.add(inner)
            return
        if name == "list":
            if self.items is None:
                self.items = Observed()
            for item in value:
                self.items.add(item)
        elif self.distinct is not None:
            self.distinct.add(hash((name, value)))
            if len(self.distinct) > DISTINCT_MAX:
                self.distinct = None
        if name in ("int", "float"):
            if value == value:  # and not NaN
                self.lowest = value if self.lowest is None else min(self.lowest, value)
                self.highest = value if self.highest is None else max(self.highest, value)
        elif name not in ("bool", "any"):
            self._measure(value)

    def _measure(self, value: Any) -> None:
        """Take the length of text, bytes or a list into account, and the order of texts."""
        length = len(value)
        if self.shortest is None or self.longest is None:
            self.shortest = self.longest = length
        else:
            self.shortest = min(self.shortest, length)
            self.longest = max(self.longest, length)
        if isinstance(value, str):
            text = value[:_TEXT_MAX]
            self.first = text if self.first is None else min(self.first, text)
            self.last = text if self.last is None else max(self.last, text)

    def definition(self) -> Any:
        """Return what was seen in the short form."""
        for levels in (MAX_DEPTH, 8, 4, 2, 1):  # less of what is inside, if it is too much
            form = self._definition(MAX_DEPTH - levels)
            if _is_small_enough(form):
                # Members such as "$ref" and "enum" make a short form look like JSON Schema.
                return "dict" if jsonschema.looks_like(form) else form
        return "dict?" if self.nulls else "dict"

    def _definition(self, depth: int) -> Any:
        form = self._form(depth)
        if not self.nulls:
            return form
        if isinstance(form, str):
            return f"{form}?"
        return "dict?" if isinstance(form, dict) else "list?"

    def _form(self, depth: int) -> Any:
        """Return it without what says that it may be null."""
        name = self.name()
        if depth >= MAX_DEPTH:
            return "dict" if name == "object" else name
        if name == "object":
            return self._members(depth + 1)
        if name == "list" and self.items is not None and self.items.count:
            inner = self.items._definition(depth + 1)
            return f"list[{inner}]" if isinstance(inner, str) else [inner]
        return name

    def _members(self, depth: int) -> Any:
        members = {}
        for member, seen in self.fields.items():
            if not member or member.endswith("?"):
                return "dict"  # the short form cannot name it
            form = seen._form(depth)
            mark = "?" * (seen.count < self.objects or seen.nulls > 0)
            if isinstance(form, str):
                members[member] = form + mark
            else:
                members[member + mark] = form
        return members

    def name(self) -> str:
        """Return the one type that holds all that was seen."""
        kinds = {*self.kinds, "dict"} if self.more else {*self.kinds}
        if len(kinds) == 1:
            return next(iter(kinds))
        if kinds == {"int", "float"}:
            limits = (self.lowest or 0, self.highest or 0)
            return "float" if all(-EXACT <= limit <= EXACT for limit in limits) else "any"
        if kinds == {"object", "dict"}:
            return "dict"
        if kinds and kinds <= {"str", "date", "datetime", "uuid"}:
            return "str"
        return "any"


def _is_small_enough(form: Any) -> bool:
    """Whether a definition may be set."""
    if len(json.dumps(form, ensure_ascii=False).encode()) > MAX_BYTES:
        return False
    try:
        check_size(short.parse(form))
    except SchemaError:
        return False
    return True


def infer(values: Iterable[Any]) -> Observed:
    """Return what the values have in common."""
    seen = Observed()
    for value in values:
        seen.add(value)
    return seen


def _kind(value: Any) -> str:
    kind = type(value)
    if kind is dict:
        return "object"
    if kind is list:
        return "list"
    if kind is str:
        return _text_kind(value)
    name = kind.__name__
    return name if name in SCALARS else "any"


def _text_kind(text: str) -> str:
    try:
        if len(text) == 10 and _DATE.fullmatch(text):
            date.fromisoformat(text)
            return "date"
        if 16 <= len(text) <= 40:
            if _TIME.fullmatch(text):
                datetime.fromisoformat(text)
                return "datetime"
            if len(text) == 36 and text.count("-") == 4:
                UUID(text)
                return "uuid"
    except ValueError:
        pass  # such as 2026-02-30
    return "str"
