"""Conditions on keys and values: ``age > 30 and (city = 'Paris' or tags contains "vip")``.

A condition is parsed into a tree, which ``kycli.core.sql.fields`` compiles. A field is a path
into the value, as everywhere, or one of ``SPECIAL``. Each comparison is true or false, and
``not`` and ``!=`` are the exact opposite; what is missing is null. Only values of one type
compare: no text is greater than a number, and ``true`` is not 1.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from kycli.core.documents import paths
from kycli.errors import InvalidConditionError, InvalidPathError, WrongTypeError

SPECIAL = ("@value", "@key", "@version", "@updated", "@expires")
"""What a field can be beside a path: the whole value, and what is known of its key."""

TIMES = ("@updated", "@expires")

_TEXT_MAX = 1 << 16
_DEPTH_MAX = 100
_COMPARISONS_MAX = 250
_LISTED_MAX = 5000
_INDEX_MAX = 1 << 31
_PATTERN_MAX = 4096
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![\w.])")
_LEADING_ZERO = re.compile(r"-?0[0-9]")
_WORD = re.compile(r"[A-Za-z]+(?![\w.\[-])")
_BLANKS = re.compile(r"\s*")
_OPERATOR = re.compile(r"==|!=|<>|<=|>=|=|<|>")
_ENDS = frozenset("=<>!(),'\"")
_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_WORDS = frozenset({"and", "or", "not", "in", "is", "like", "glob", "contains", "between"})
_SAME = {"==": "=", "<>": "!="}
_FLIPPED = {"=": "=", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}
_HINT = "for example: age > 30 and (name like 'A%' or tags contains 'vip')"

Literal = str | int | float | bool | None


class Field(NamedTuple):
    """Something that is compared.

    Attributes:
        text: how it is written: one of ``SPECIAL``, or a path in the one way that ``rendered`` has.
        steps: of a path; ``()`` for what is no path.
    """

    text: str
    steps: tuple[str | int, ...] = ()


class Comparison(NamedTuple):
    """A field compared with literals.

    Attributes:
        operator: ``= < <= > >= in like glob contains``, or ``null`` for "is null".
        values: one, but any number for ``in``, and none for ``null``.
    """

    field: Field
    operator: str
    values: tuple[Literal, ...]


class Not(NamedTuple):
    item: Condition


class And(NamedTuple):
    items: tuple[Condition, ...]


class Or(NamedTuple):
    items: tuple[Condition, ...]


Condition = Comparison | Not | And | Or


class Order(NamedTuple):
    """A field that is sorted by."""

    field: Field
    descending: bool


def parse(text: str, now: int = 0) -> Condition:
    """Return the tree of a condition.

    Parameters:
        now: the time now, in milliseconds since the epoch, for ``'1h ago'``.

    Raises:
        InvalidConditionError: when it is none, with the place.

    >>> parse("age >= 30")
    Comparison(field=Field(text='age', steps=('age',)), operator='>=', values=(30,))
    """
    parser = _Parser(_plain(text, "a condition"), now)
    tree = parser.alternatives()
    if parser.at < len(parser.text):
        raise parser.bad(f"{parser.rest()!r} cannot stand here; 'and' or 'or' goes on")
    return tree


def parse_field(text: str) -> Field:
    """Return a field that is given alone."""
    parser = _Parser(_plain(text, "a field"))
    field = parser.field()
    if parser.at < len(parser.text):
        raise parser.bad(f"{parser.rest()!r} is no part of a field")
    return field


def parse_fields(text: str) -> list[Field]:
    """Return fields with commas between them."""
    return [order.field for order in _listed(_plain(text, "fields"), signs=False)]


def parse_order(text: str) -> list[Order]:
    """Return the fields to sort by: ``city,-age``; ``-`` before one means descending."""
    return _listed(_plain(text, "an order"), signs=True)


def _listed(text: str, *, signs: bool) -> list[Order]:
    parser = _Parser(text)
    found: list[Order] = []
    while True:
        parser.blanks()
        descending = signs and parser.takes("-")
        found.append(Order(parser.field(), descending))
        if parser.at == len(text):
            break
        if not parser.takes(","):
            raise parser.bad(f"{parser.rest()!r} cannot stand here; a comma goes on")
    if len(found) > _COMPARISONS_MAX:
        raise InvalidConditionError(f"more than {_COMPARISONS_MAX} fields")
    return found


def rendered(steps: tuple[str | int, ...]) -> str:
    """Return a path in the one way in which a field is written."""
    if not steps:
        return "@value"
    text = "".join(map(_rendered, steps))
    name = text[1:] if text[0] == "." else ""
    first = paths.parse(text)[0] if name else None
    if not isinstance(first, str) or first[0] in "$@-" or first[0].isdigit():
        return text
    return text if first.lower() in _WORDS | _CONSTANTS.keys() else name


def _rendered(step: str | int) -> str:
    if isinstance(step, str) and any(c.isspace() or c in _ENDS for c in step):
        return f"[{json.dumps(step, ensure_ascii=False)}]"
    return paths.render([step])


def _plain(text: str, what: str) -> str:
    if not isinstance(text, str):
        raise WrongTypeError(f"{what} is text, not {type(text).__name__}")
    text = str.__str__(text)  # exactly, also for a member of a StrEnum
    if len(text) > _TEXT_MAX:
        raise InvalidConditionError(f"{what} has at most {_TEXT_MAX:,} characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidConditionError(f"{what} is not valid text: {text[:40]!r}") from None
    return text


def _extent(text: str, at: int) -> int:
    """Return where a path ends that begins at a place; its brackets may hold anything."""
    while at < len(text) and not text[at].isspace() and text[at] not in _ENDS:
        if text[at] == "[":
            quote = text[at + 1 : at + 2]
            if quote and quote in "'\"":
                at += 2
                while at < len(text) and text[at] != quote:
                    at += 1 + (text[at] == "\\")
            at = text.find("]", at)
            if at < 0:
                return len(text)
        at += 1
    return min(at, len(text))


class _Parser:
    def __init__(self, text: str, now: int = 0) -> None:
        self.text = text
        self.now = now
        self.at = 0
        self.depth = 0
        self.comparisons = 0
        self.listed = 0
        self.blanks()

    # -- what the text consists of

    def bad(self, why: str, at: int | None = None) -> InvalidConditionError:
        position = self.at if at is None else at
        text = self.text if len(self.text) <= 80 else f"{self.text[:79]}…"
        return InvalidConditionError(f"{text!r}: at character {position + 1}, {why}", hint=_HINT)

    def rest(self) -> str:
        return self.text[self.at : self.at + 12]

    def blanks(self) -> None:
        found = _BLANKS.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def takes(self, mark: str) -> bool:
        """Skip a punctuation mark if it comes next; return whether it did."""
        if not self.text.startswith(mark, self.at):
            return False
        self.at += len(mark)
        self.blanks()
        return True

    def word(self) -> str:
        """Return the next word, in lower case, or ""."""
        found = _WORD.match(self.text, self.at)
        return found.group().lower() if found else ""

    def takes_word(self, *words: str) -> bool:
        """Skip these words if they come next; return whether they did."""
        start = self.at
        for word in words:
            if self.word() != word:
                self.at = start
                return False
            self.at += len(word)
            self.blanks()
        return True

    # -- conditions

    def alternatives(self) -> Condition:
        items = [self.conjunction()]
        while self.takes_word("or"):
            items.append(self.conjunction())
        return items[0] if len(items) == 1 else Or(tuple(items))

    def conjunction(self) -> Condition:
        items = [self.negation()]
        while self.takes_word("and"):
            items.append(self.negation())
        return items[0] if len(items) == 1 else And(tuple(items))

    def negation(self) -> Condition:
        self.depth += 1
        if self.depth > _DEPTH_MAX:
            raise self.bad(f"it is nested more than {_DEPTH_MAX} levels deep")
        tree: Condition
        if self.takes_word("not"):
            tree = Not(self.negation())
        elif self.takes("("):
            tree = self.alternatives()
            if not self.takes(")"):
                raise self.bad("')' is missing")
        else:
            tree = self.comparison()
        self.depth -= 1
        return tree

    def comparison(self) -> Condition:
        self.comparisons += 1
        if self.comparisons > _COMPARISONS_MAX:
            raise self.bad(f"there are more than {_COMPARISONS_MAX} comparisons")
        start = self.at
        if self.is_literal():
            value = self.literal()
            sign = self.sign()
            if not sign:
                raise self.bad("a comparison is missing, such as = or <")
            if self.is_literal():
                raise self.bad("one side of a comparison is a field; a name has no quotes", start)
            return self.compared(self.field(), _FLIPPED[sign], value, start)
        field = self.field()
        position = self.at
        sign = self.sign()
        if sign:
            return self.compared(field, sign, self.value_for(field), position)
        if self.takes_word("is"):
            denied = self.takes_word("not")
            if not self.takes_word("null"):
                raise self.bad("after 'is' comes 'null' or 'not null'")
            return _unless(denied, Comparison(field, "null", ()))
        denied = self.takes_word("not")
        if self.takes_word("in"):
            return _unless(denied, Comparison(field, "in", self.members(field)))
        if self.takes_word("between"):
            low = self.compared(field, ">=", self.value_for(field), position)
            if not self.takes_word("and"):
                raise self.bad("'between' needs 'and'")
            high = self.compared(field, "<=", self.value_for(field), position)
            return _unless(denied, And((low, high)))
        for operator in ("like", "glob", "contains"):
            if self.takes_word(operator):
                at = self.at
                value = self.literal()
                if operator != "contains":
                    if not isinstance(value, str):
                        raise self.bad(f"'{operator}' takes a text", at)
                    if len(value.encode()) > _PATTERN_MAX:
                        raise self.bad(f"a pattern has at most {_PATTERN_MAX:,} bytes", at)
                return _unless(denied, Comparison(field, operator, (value,)))
        what = f"a comparison is missing after {field.text[:40]}"
        if self.at == len(self.text) or self.text[self.at] == ")":
            what += "; for example = true, or is not null"
        raise self.bad(what)

    def compared(self, field: Field, sign: str, value: Literal, at: int) -> Condition:
        if sign in ("=", "!="):
            if value is None:
                return _unless(sign == "!=", Comparison(field, "null", ()))
            return _unless(sign == "!=", Comparison(field, "=", (value,)))
        if value is None or isinstance(value, bool):
            raise self.bad(f"{json.dumps(value)} is not less or greater than anything", at)
        return Comparison(field, sign, (value,))

    def sign(self) -> str:
        found = _OPERATOR.match(self.text, self.at)
        if not found:
            return ""
        self.at = found.end()
        self.blanks()
        return _SAME.get(found.group(), found.group())

    def members(self, field: Field) -> tuple[Literal, ...]:
        if not self.takes("("):
            raise self.bad("after 'in' comes a list: ('a', 'b')")
        values: list[Literal] = []
        if self.takes(")"):
            return ()
        while True:
            values.append(self.value_for(field))
            if self.takes(")"):
                break
            if not self.takes(","):
                raise self.bad("',' or ')' is missing")
        self.listed += len(values)
        if self.listed > _LISTED_MAX:
            raise self.bad(f"lists have more than {_LISTED_MAX:,} values")
        return tuple(values)

    # -- literals and fields

    def is_literal(self) -> bool:
        character = self.text[self.at : self.at + 1]
        if character and (character in "'\"-" or character.isdigit()):
            return True
        return self.word() in _CONSTANTS

    def value_for(self, field: Field) -> Literal:
        """Read a literal; for a field that is a time it may be written as a time."""
        start = self.at
        value = self.literal()
        if field.text not in TIMES or value is None:
            return value
        if isinstance(value, str):
            return _time_literal(self, value, start)
        if isinstance(value, bool):
            raise self.bad("a time is text, or milliseconds since the epoch", start)
        return value

    def literal(self) -> Literal:
        text, start = self.text, self.at
        if start == len(text):
            raise self.bad("a value is missing")
        if text[start] == "'":
            value: Literal = self.single_quoted()
        elif text[start] == '"':
            try:
                value, self.at = json.JSONDecoder().raw_decode(text, start)
                str(value).encode()
            except ValueError:  # or half of a surrogate pair
                raise self.bad("no JSON string, which ends in '\"'", start) from None
        elif self.word() in _CONSTANTS:
            word = self.word()
            value = _CONSTANTS[word]
            self.at += len(word)
        else:
            found = _NUMBER.match(text, start)
            if not found:
                if _LEADING_ZERO.match(text, start):
                    raise self.bad("a number does not begin with 0; a text has quotes")
                raise self.bad(f"{self.rest()!r} is no value; a text has quotes")
            value = _number(found.group())
            self.at = found.end()
        self.blanks()
        return value

    def single_quoted(self) -> str:
        start = self.at
        value = ""
        at = start + 1
        while (end := self.text.find("'", at)) >= 0:
            value += self.text[at:end]
            if self.text[end + 1 : end + 2] != "'":
                self.at = end + 1
                return value
            value += "'"
            at = end + 2
        raise self.bad("the quote is not closed", start)

    def field(self) -> Field:
        start = self.at
        if self.word() in _WORDS or self.word() in _CONSTANTS:
            raise self.bad(f"a field is missing before {self.word()!r}; .{self.word()} is a field")
        end = _extent(self.text, start)
        name = self.text[start:end]
        if not name:
            raise self.bad("a field is missing")
        if name[0] == "@":
            if name not in SPECIAL:
                raise self.bad(f"{name} is none of {', '.join(SPECIAL)}")
            field = Field(name)
        else:
            field = self.path(name, start)
        self.at = end
        self.blanks()
        return field

    def path(self, name: str, start: int) -> Field:
        try:
            steps = paths.parse(name)
        except InvalidPathError as error:
            raise self.bad(f"no field: {error}", start) from None
        found: list[str | int] = []
        for step in steps:
            if isinstance(step, slice):
                raise self.bad("a slice cannot be compared", start)
            if isinstance(step, int) and abs(step) >= _INDEX_MAX:
                raise self.bad("no list has so many items", start)
            if isinstance(step, str) and ("\0" in step or not _is_text(step)):
                raise self.bad("a member of this name cannot be compared", start)
            found.append(step)
        return Field(rendered(tuple(found)), tuple(found))


def _unless(denied: bool, condition: Condition) -> Condition:
    return Not(condition) if denied else condition


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _number(text: str) -> int | float:
    """Return a number; one that SQLite cannot hold as an int is a float, as it is in a query."""
    if len(text) < 20 and text.lstrip("-").isdigit():
        value = int(text)
        if -(1 << 63) <= value < 1 << 63:
            return value
    return float(text)


def _time_literal(parser: _Parser, text: str, at: int) -> int:
    from kycli.core.history.times import milliseconds
    from kycli.errors import InvalidTimeError

    try:
        return milliseconds(text, parser.now)
    except InvalidTimeError as error:
        raise parser.bad(str(error), at) from None


def lookup(field: Field, entry: Any) -> Any:
    """Return what a field is for an ``Entry``, or ``paths.MISSING``."""
    if field.text in SPECIAL:
        return {
            "@value": entry.value,
            "@key": entry.key,
            "@version": entry.version,
            "@updated": entry.updated_at,
            "@expires": entry.expires_at,
        }[field.text]
    try:
        return paths.read(entry.value, list(field.steps), "")
    except WrongTypeError:
        return paths.MISSING
