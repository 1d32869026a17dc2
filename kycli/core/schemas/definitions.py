"""Schema definitions: how a scope's schema is stored, and how it is used.

A scope has one schema: a list of *shapes*, each for the keys that match a pattern. A schema is
stored as a JSON document under the name of its scope, in a hidden scope. So the history records
its changes like those of any key, with a version, a time and an author.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from kycli.core.durations import shown
from kycli.core.schemas import jsonschema, short
from kycli.core.schemas.types import MAX_BYTES, Type, check_size
from kycli.errors import InvalidValueError, SchemaError

if TYPE_CHECKING:
    from kycli.core.schemas.validators import DocumentValidator, TreeValidator

ALL_KEYS = "*"
"""The pattern of a shape that is for each key that no other one is for."""
FORMS = ("short", "json-schema")
EXTRA = ("forbid", "ignore", "keep")
"""What may become of members that a schema does not know."""
SHAPES_MAX = 100


@dataclass(frozen=True, slots=True)
class Shape:
    """What the values of some keys must be.

    Attributes:
        keys: a shell pattern that a key matches as a whole.
        definition: the short form, or a JSON Schema.
        form: ``"short"`` or ``"json-schema"``.
        strict: whether types must be as they are said; else ``"36"`` is taken for an int.
        extra: what becomes of unknown members: ``"forbid"``, ``"ignore"`` (they are left out)
            or ``"keep"``.
        verified: whether all values met it when it was set; else some were kept as they were.
    """

    keys: str
    definition: Any
    form: str
    strict: bool = True
    extra: str = "forbid"
    verified: bool = True

    def tree(self) -> tuple[Type, str] | None:
        """Return the type tree and what becomes of unknown members.

        None where a JSON Schema says more than a tree can.
        """
        if self.form == "short":
            return short.parse(self.definition), self.extra
        return jsonschema.as_type(self.definition)

    def validator(self) -> TreeValidator | DocumentValidator:
        """Return what holds values to the shape."""
        from kycli.core.schemas import validators

        tree = self.tree()
        if tree is None:
            return validators.DocumentValidator(self.definition, strict=self.strict)
        return validators.TreeValidator(tree[0], strict=self.strict, extra=tree[1])


class Schema(NamedTuple):
    """The schema of a scope.

    Attributes:
        scope: its name.
        version: how often it was changed; 1 is the first.
        updated_at: when it was last changed, in milliseconds since the epoch.
        shapes: sorted such that the first that matches a key is the one for it.
    """

    scope: str
    version: int
    updated_at: int
    shapes: tuple[Shape, ...]


def shape(
    definition: Any, *, keys: str = ALL_KEYS, strict: bool = True, extra: str = "forbid"
) -> Shape:
    """Return the shape that a caller describes.

    Parameters:
        definition: the short form or a JSON Schema, as plain data or as JSON text; or a class
            of Pydantic's, of which its JSON Schema is taken.

    Raises:
        SchemaError: when it is wrong, with the place.
    """
    if extra not in EXTRA:
        raise InvalidValueError(
            f"unknown members cannot be treated as {shown(extra)}", hint=f"use {', '.join(EXTRA)}"
        )
    _check_pattern(keys)
    definition = _plain(definition)
    form = "json-schema" if jsonschema.looks_like(definition) else "short"
    if form == "json-schema":
        jsonschema.check_draft(definition)
    made = Shape(keys, definition, form, bool(strict), extra)
    tree = made.tree()
    if tree is not None:
        check_size(tree[0])
    made.validator()  # which finds what is wrong
    return made


def _plain(definition: Any) -> Any:
    """Return a definition as JSON data."""
    if isinstance(definition, type) and hasattr(definition, "model_json_schema"):
        return definition.model_json_schema()
    if isinstance(definition, (str, bytes)) and len(definition) > MAX_BYTES:
        raise _too_large()
    if isinstance(definition, bytes):
        try:
            definition = definition.decode()
        except UnicodeDecodeError as error:
            raise SchemaError(f"the schema is not UTF-8 at byte {error.start}") from None
    if isinstance(definition, str) and definition.lstrip()[:1] in ("{", "[", '"'):
        definition = _read(definition)
    try:
        text = json.dumps(definition, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise SchemaError("the schema holds half of a surrogate pair, which is no text") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise SchemaError(f"the schema is no JSON: {error}") from None
    if len(text) > MAX_BYTES:
        raise _too_large()
    return json.loads(text)  # a copy, of plain types


def _read(text: str) -> Any:
    from kycli.core import values

    try:
        return values.DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise SchemaError(
            f"the schema is no JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except (InvalidValueError, ValueError, RecursionError) as error:
        raise SchemaError(f"the schema is no JSON: {error}") from None


def _too_large() -> SchemaError:
    return SchemaError(f"the schema is larger than {MAX_BYTES >> 20} MiB")


def _check_pattern(keys: str) -> None:
    from kycli.core.operations.patterns import select

    select(None, keys)  # which finds what is wrong
    if not keys:
        raise InvalidValueError("the pattern of keys is empty", hint="for example 'user:*'")


def ordered(shapes: dict[str, Shape]) -> tuple[Shape, ...]:
    """Return shapes such that the more of a key a pattern spells out, the earlier it comes."""
    return tuple(sorted(shapes.values(), key=lambda found: (-_weight(found.keys), found.keys)))


def _weight(keys: str) -> int:
    return sum(character not in "*?[]!\\" for character in keys)


def stored(shapes: tuple[Shape, ...]) -> dict[str, Any]:
    """Return the document in which shapes are stored."""
    return {
        "shapes": [
            {
                "keys": found.keys,
                "form": found.form,
                "strict": found.strict,
                "extra": found.extra,
                "verified": found.verified,
                "definition": found.definition,
            }
            for found in shapes
        ]
    }


def checked(document: Any) -> tuple[Shape, ...]:
    """Return the shapes of a document that somebody else may have written.

    Raises:
        SchemaError: when it is not what ``stored`` returns.
    """
    made = {}
    for found in loaded(document):
        made[found.keys] = replace(
            shape(found.definition, keys=found.keys, strict=found.strict, extra=found.extra),
            verified=found.verified,
        )
    shapes = ordered(made)
    if not shapes or len(shapes) > SHAPES_MAX or stored(shapes) != document:
        raise SchemaError("a stored schema is not as kycli stores it")
    return shapes


def loaded(document: Any) -> tuple[Shape, ...]:
    """Return the shapes of a stored document.

    Raises:
        SchemaError: when it is none, as a later kycli may write it.
    """
    try:
        shapes = tuple(
            Shape(
                str(found["keys"]),
                found["definition"],
                str(found["form"]),
                bool(found["strict"]),
                str(found["extra"]),
                bool(found["verified"]),
            )
            for found in document["shapes"]
        )
        for found in shapes:
            if found.form not in FORMS or found.extra not in EXTRA:
                raise ValueError(found.form, found.extra)
            if found.form == "json-schema" and not isinstance(found.definition, dict):
                raise TypeError(found.definition)
    except (TypeError, ValueError, KeyError) as error:
        raise SchemaError(
            f"the stored schema cannot be read: {error!r}", hint="upgrade kycli"
        ) from None
    return shapes
