"""The type tree: what a schema says about a value, independent of its notation.

``short`` parses the short form into it, ``jsonschema`` JSON Schema. ``validators`` and the listings
of fields use it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from kycli.errors import SchemaError

SCALARS = (
    "str",
    "int",
    "float",
    "bool",
    "bytes",
    "date",
    "datetime",
    "uuid",
    "decimal",
    "any",
)
RANGED = ("int", "float", "decimal", "date", "datetime")
"""Types whose limits are of the value; of ``str``, ``bytes``, ``list`` and ``dict`` they are
of the length."""

MAX_DEPTH = 50
"""How many levels of objects, lists and dicts a schema may have."""
MAX_BYTES = 1 << 20
"""The largest definition, in bytes of JSON."""
MAX_TYPES = 10_000
"""How many types a schema may have; each member is one."""
MAX_OBJECTS = 1_000
"""How many of them may be objects, which become Pydantic models, at half a millisecond each."""


EXACT = 1 << 53
"""Up to this number, and down to its negative, a float holds each int."""


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Any = _Missing()
"""Stands for a default that is not given, since None is one."""


@dataclass(frozen=True, slots=True)
class Type:
    """One type, with its limits.

    Attributes:
        name: one of ``SCALARS``, or ``list``, ``dict``, ``enum``, ``object``.
        optional: whether null is allowed, and a member may be left out.
        minimum, maximum: inclusive limits, of the value or of its length; None for none.
        pattern: a regular expression that a text must match somewhere, or None.
        items: the type of the items of a list or the values of a dict.
        choices: the values of an enum.
        fields: the members of an object.
    """

    name: str
    optional: bool = False
    minimum: Any = None
    maximum: Any = None
    pattern: str | None = None
    items: Type | None = None
    choices: tuple[Any, ...] = ()
    fields: dict[str, Field] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Field:
    """A member of an object.

    Attributes:
        default: what a value without the member gets; MISSING when it must be given.
    """

    type: Type
    default: Any = MISSING

    @property
    def required(self) -> bool:
        return self.default is MISSING and not self.type.optional


def as_utc(moment: datetime) -> datetime:
    """Return a time that can be compared with others: one without a zone is UTC."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def fault(path: str, problem: str, *, hint: str | None = None) -> SchemaError:
    """Return the error for a definition that is wrong at a path, such as ``address.zip``."""
    return SchemaError(f"the schema is wrong at {path or 'its top'}: {problem}", hint=hint)


def describe(kind: Type) -> str:
    """Return a type in the short form, as messages and ``kycli schema show`` print it.

    >>> describe(Type("int", optional=True, minimum=0, maximum=150))
    'int(0..150)?'
    """
    name = kind.name
    limits = []
    if kind.minimum is not None or kind.maximum is not None:
        low = "" if kind.minimum is None else str(kind.minimum)
        limits.append(f"{low}..{'' if kind.maximum is None else kind.maximum}")
    if kind.pattern is not None:
        limits.append("/" + kind.pattern.replace("/", "\\/") + "/")
    if name == "enum":
        limits = [_choice(choice) for choice in kind.choices]
    text = name
    if kind.items is not None:
        inner = describe(kind.items)
        text += f"[str,{inner}]" if name == "dict" else f"[{inner}]"
    if limits:
        text += f"({', '.join(limits) if name != 'enum' else ','.join(limits)})"
    return text + "?" * kind.optional


def _choice(choice: Any) -> str:
    if type(choice) is str and choice and not set(choice) & set(" ,()'\"\\=?"):
        return choice
    return repr(choice)


def check_size(kind: Type) -> None:
    """Raise unless a tree is small enough to be compiled at once.

    Raises:
        SchemaError: with what there is too much of.
    """
    types = objects = 0
    left = [kind]
    while left:
        found = left.pop()
        types += 1
        objects += found.name == "object"
        if found.items is not None:
            left.append(found.items)
        left += [member.type for member in found.fields.values()]
    for count, most, what in ((objects, MAX_OBJECTS, "objects"), (types, MAX_TYPES, "types")):
        if count > most:
            raise SchemaError(
                f"the schema has {count:,} {what}, and {most:,} are the most",
                hint="an object whose members are data is a dict, for example dict[str,int]",
            )
