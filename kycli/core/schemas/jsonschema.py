"""JSON Schema (draft 2020-12): conversion to a type tree, or else a validator.

A document that the short form could express becomes a ``Type``, so that defaults are filled in and
listings know the members. For any other document the library ``jsonschema-rs``, which implements
the whole draft, checks values, and they are stored as given.
The draft: https://json-schema.org/draft/2020-12
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

from kycli.core.schemas.types import MAX_DEPTH, MISSING, Field, Type, fault
from kycli.errors import MissingLibraryError, SchemaError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DRAFT = "https://json-schema.org/draft/2020-12/schema"

_NOTES = frozenset({"$schema", "$id", "$comment", "$defs", "title", "description", "examples"})
_PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}
_FORMATS = {"date": "date", "date-time": "datetime", "uuid": "uuid"}
_LIMITS = {
    "str": ("minLength", "maxLength"),
    "int": ("minimum", "maximum"),
    "float": ("minimum", "maximum"),
    "list": ("minItems", "maxItems"),
    "dict": ("minProperties", "maxProperties"),
}


_MOST_TYPES = 10_000
"""How many types a document may amount to as a tree, each reference written out.

References to references multiply: a binary tree that refers to itself has no end.
"""


def looks_like(definition: Any) -> bool:
    """Whether a definition is JSON Schema and not the short form.

    ``{"type": "str"}`` is the short form of an object with the member ``type``;
    ``{"type": "object"}`` could be both, and is JSON Schema.
    """
    if not isinstance(definition, dict):
        return False
    if "$schema" in definition or "$ref" in definition or "$defs" in definition:
        return True
    kind = definition.get("type")
    names = (*_PLAIN, "object", "array", "null")
    return (kind in names if isinstance(kind, str) else isinstance(kind, list)) or any(
        isinstance(definition.get(word), list) for word in ("anyOf", "oneOf", "allOf", "enum")
    )


class _Inexpressible(Exception):
    """The document says something that a ``Type`` does not."""


def as_type(document: dict[str, Any]) -> tuple[Type, str] | None:
    """Return the type tree of a document and what becomes of unknown members, or None.

    None when the document says more than a tree can, such as ``anyOf`` or a schema that
    contains itself.
    """
    reader = _Reader(document)
    try:
        kind = reader.type(document, 0)
    except (_Inexpressible, AttributeError, TypeError):
        return None  # malformed documents, too: ``checker`` says what is wrong with them
    if len(reader.extras) > 1:
        return None
    return kind, reader.extras.pop() if reader.extras else "keep"


class _Reader:
    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.extras: set[str] = set()
        self.count = 0

    def type(self, schema: Any, depth: int) -> Type:
        self.count += 1
        if self.count > _MOST_TYPES:
            raise _Inexpressible
        if depth > MAX_DEPTH or not isinstance(schema, dict):
            raise _Inexpressible
        said = {word: schema[word] for word in schema if word not in _NOTES and word != "default"}
        if "$ref" in said:
            if len(said) > 1:
                raise _Inexpressible
            return self.type(self.target(said["$ref"]), depth + 1)
        if "anyOf" in said:  # as Pydantic writes an optional member
            return self.nullable(said, depth)
        if "enum" in said or "const" in said:
            return _enum(said)
        kind = said.pop("type", None)
        optional = False
        if isinstance(kind, list):
            optional = "null" in kind
            kind = next(iter(set(kind) - {"null"}), None) if len(set(kind)) == 2 else None
            if not optional:
                raise _Inexpressible
        if not said and kind is None:
            return Type("any", optional=True)
        if kind == "object":
            return self.object(said, optional, depth)
        if kind == "array":
            items = self.type(said.pop("items", {}), depth + 1)
            return Type("list", optional, *_limits("list", said), None, items)
        return _scalar(kind, said, optional)

    def target(self, ref: Any) -> Any:
        if not isinstance(ref, str) or not ref.startswith("#/$defs/"):
            raise _Inexpressible
        name = ref.removeprefix("#/$defs/").replace("~1", "/").replace("~0", "~")
        return self.document.get("$defs", {}).get(name)

    def nullable(self, said: dict[str, Any], depth: int) -> Type:
        from dataclasses import replace

        options = said["anyOf"]
        if len(said) > 1 or not isinstance(options, list) or len(options) != 2:
            raise _Inexpressible
        others = [option for option in options if option != {"type": "null"}]
        if len(others) != 1:
            raise _Inexpressible
        return replace(self.type(others[0], depth + 1), optional=True)

    def object(self, said: dict[str, Any], optional: bool, depth: int) -> Type:
        more = said.pop("additionalProperties", True)
        if "properties" not in said and more is not False:
            items = self.type({} if more is True else more, depth + 1)
            return Type("dict", optional, *_limits("dict", said), None, items)
        properties = said.pop("properties", {})
        required = said.pop("required", [])
        if said or not isinstance(more, bool) or not isinstance(properties, dict):
            raise _Inexpressible
        if not isinstance(required, list) or not set(required) <= set(properties):
            raise _Inexpressible
        self.extras.add("keep" if more else "forbid")
        fields = {}
        for name, schema in properties.items():
            kind = self.type(schema, depth + 1)
            default = schema.get("default", MISSING)
            if name in required:
                # Required and nullable is not optional: the member must be there.
                if kind.optional:
                    raise _Inexpressible
                default = MISSING
            elif default is MISSING and not kind.optional:
                # May be left out, but not null: a tree says both or neither.
                raise _Inexpressible
            fields[name] = Field(kind, default)
        return Type("object", optional, fields=fields)


def _enum(said: dict[str, Any]) -> Type:
    choices = [said["const"]] if "const" in said else said["enum"]
    # Pydantic says the type of the choices, too.
    kinds: dict[Any, type] = {"string": str, "integer": int, "boolean": bool}
    kind = kinds.get(said.get("type"))
    if len(said) != 1 + ("type" in said) or not isinstance(choices, list) or not choices:
        raise _Inexpressible
    if "type" in said and any(type(choice) is not kind for choice in choices):
        raise _Inexpressible
    if not all(type(choice) in (str, int, bool) for choice in choices):
        raise _Inexpressible
    return Type("enum", choices=tuple(choices))


def _scalar(kind: Any, said: dict[str, Any], optional: bool) -> Type:
    name = _PLAIN.get(kind) if isinstance(kind, str) else None
    if name is None:
        raise _Inexpressible
    pattern = None
    if name == "str":
        style = said.pop("format", None)
        pattern = said.pop("pattern", None)
        if pattern is not None and not isinstance(pattern, str):
            raise _Inexpressible
        if style is not None:
            if style not in _FORMATS or pattern is not None or said:
                raise _Inexpressible
            return Type(_FORMATS[style], optional)
    if name == "bool" and said:
        raise _Inexpressible
    minimum, maximum = _limits(name, said) if name in _LIMITS else (None, None)
    return Type(name, optional, minimum, maximum, pattern)


def _limits(name: str, said: dict[str, Any]) -> tuple[Any, Any]:
    # The library knows what a limit of an integer means that is none itself.
    kinds = (int, float) if name == "float" else (int,)
    limits: list[Any] = []
    for word in _LIMITS[name]:
        limit = said.pop(word, MISSING)
        if limit is MISSING:
            limits.append(None)
        elif type(limit) in kinds and isfinite(limit):
            limits.append(limit)
        else:
            raise _Inexpressible
    if said:
        raise _Inexpressible
    return limits[0], limits[1]


def checker(document: dict[str, Any]) -> Callable[[Any], Iterator[tuple[str, str, Any]]]:
    """Return a function that yields what is wrong with a value: its path, the rule, what is there.

    Raises:
        SchemaError: when the document is no JSON Schema.
        MissingLibraryError: when ``jsonschema-rs`` is not installed.
    """
    try:
        import jsonschema_rs
    except ImportError as error:
        raise MissingLibraryError(
            "this JSON Schema needs the library jsonschema-rs",
            hint="pip install 'kycli[jsonschema]'",
        ) from error
    try:
        validator = jsonschema_rs.Draft202012Validator(
            document,
            validate_formats=True,
            # The engine that takes linear time; the default one can be made to hang.
            pattern_options=jsonschema_rs.RegexOptions(),
            retriever=_refuse,
        )
    except jsonschema_rs.ValidationError as error:
        raise fault(path_text(error.instance_path), error.message) from None
    except (jsonschema_rs.ReferencingError, ValueError, RecursionError) as error:
        raise SchemaError(f"the schema cannot be used: {error}") from None

    def problems(value: Any) -> Iterator[tuple[str, str, Any]]:
        for error in validator.iter_errors(value):
            yield path_text(error.instance_path), error.message, error.instance

    return problems


def check_draft(document: Any) -> None:
    """Refuse a JSON Schema of another draft, whose words may mean something else."""
    named = document.get("$schema", DRAFT) if isinstance(document, dict) else DRAFT
    if not isinstance(named, str) or named.rstrip("#") != DRAFT:
        raise fault("$schema", f"{named!r} is not draft 2020-12", hint=f"use {DRAFT}")


def _refuse(uri: str) -> Any:
    """Prevent a schema from reading files and URLs."""
    raise ValueError("a schema is complete in itself")


def path_text(steps: Any) -> str:
    """Return the path to a member as messages show it: ``tags[2]``, ``address.zip``."""
    path = ""
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step)
    return path


def document_of(kind: Type, extra: str) -> dict[str, Any]:
    """Return the JSON Schema that says what a type tree says, for ``kycli schema export``."""
    return {"$schema": DRAFT, **_document_of(kind, extra)}


def _document_of(kind: Type, extra: str) -> dict[str, Any]:
    said: dict[str, Any]
    if kind.name == "any":
        return {}
    if kind.name == "enum":
        choices = [*kind.choices, *([None] if kind.optional else [])]
        return {"enum": choices}
    if kind.name == "object":
        said = {
            "type": "object",
            "properties": {
                name: _document_of(member.type, extra)
                | ({} if member.default is MISSING else {"default": member.default})
                for name, member in kind.fields.items()
            },
            "required": [name for name, member in kind.fields.items() if member.required],
            "additionalProperties": extra != "forbid",
        }
    elif kind.name in ("list", "dict"):
        assert kind.items is not None
        inner = _document_of(kind.items, extra)
        said = (
            {"type": "array", "items": inner}
            if kind.name == "list"
            else {"type": "object", "additionalProperties": inner}
        )
    else:
        said = dict(_AS_JSON[kind.name])
    low, high = _LIMITS.get(kind.name, (None, None))
    if low and kind.minimum is not None:
        said[low] = kind.minimum
    if high and kind.maximum is not None:
        said[high] = kind.maximum
    if kind.pattern is not None:
        said["pattern"] = kind.pattern
    if kind.optional:
        said["type"] = [said["type"], "null"]
    return said


_AS_JSON: dict[str, dict[str, Any]] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "bytes": {"type": "string", "contentEncoding": "base64"},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"},
    "uuid": {"type": "string", "format": "uuid"},
    "decimal": {"type": "string", "pattern": "^-?[0-9]+(\\.[0-9]+)?$"},
}
