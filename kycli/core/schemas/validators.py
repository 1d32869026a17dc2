"""Validators: they check a value against a type tree or a JSON Schema.

A type tree becomes a Pydantic model, created when it is first needed. Pydantic matches patterns
with Rust's ``regex``, which takes linear time, so no pattern of a schema can hang a writer.
A value is validated as Python data and comes back as plain data: members of a date, time,
UUID or decimal type are text in their canonical form.
"""

from __future__ import annotations

import keyword
import re
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
    create_model,
)
from pydantic_core import PydanticSerializationError
from pydantic_core import SchemaError as CoreSchemaError

from kycli.core.schemas import jsonschema
from kycli.core.schemas.types import EXACT, MISSING, RANGED, Type, as_utc, describe, fault
from kycli.errors import FieldProblem, SchemaError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXTRA: dict[str, Literal["forbid", "ignore", "allow"]] = {
    "forbid": "forbid",
    "ignore": "ignore",
    "keep": "allow",
}
"""What becomes of unknown members, and Pydantic's word for it."""

_SHOWN = 60
"""How many characters of a wrong value a message shows."""


class Invalid(Exception):
    """A value is not what the schema says; the engine adds key and scope to it."""

    def __init__(self, problems: tuple[FieldProblem, ...]) -> None:
        super().__init__(problems)
        self.problems = problems


class TreeValidator:
    """Holds values to a type tree.

    Attributes:
        model: the Pydantic model of the tree, where it is an object; else None.
    """

    def __init__(self, kind: Type, *, strict: bool, extra: str) -> None:
        self._kind = kind
        builder = _Builder(strict, extra)
        annotation = builder.annotation(kind, "")
        self.model: type[BaseModel] | None = (
            annotation
            if isinstance(annotation, type) and issubclass(annotation, BaseModel)
            else None
        )
        self._strict = strict
        try:
            self._adapter: TypeAdapter[Any] = TypeAdapter(annotation)
        except (CoreSchemaError, PydanticUserError) as error:
            raise SchemaError(f"the schema cannot be used: {error}") from None
        self._validate = self._adapter.validator.validate_python
        self._dump = self._adapter.serializer.to_python
        builder.check_defaults(kind, "")

    def validate(self, value: Any) -> Any:
        """Return the value as it is stored: defaults filled, types coerced in lax mode.

        Raises:
            Invalid: with all that is wrong.
        """
        if isinstance(value, BaseModel):
            value = value.model_dump(mode="json")
        elif not self._strict and type(value) is str and self._kind.name != "str":
            value = _read(value)
        try:
            return self._dump(self._validate(value, strict=self._strict), by_alias=True)
        except ValidationError as error:
            raise Invalid(tuple(self._problems(error))) from None

    def _problems(self, error: ValidationError) -> Iterator[FieldProblem]:
        for found in error.errors(include_url=False, include_context=False):
            path, expected = self._expected(found["loc"], found["type"], found["msg"])
            given = None if found["type"] == "missing" else shown(found["input"])
            yield FieldProblem(path, expected, given)

    def _expected(self, loc: tuple[int | str, ...], fault: str, message: str) -> tuple[str, str]:
        kind: Type | None = self._kind
        path = ""
        for step in loc:
            if kind is None:
                break
            if isinstance(step, int):
                path += f"[{step}]"
                kind = kind.items
            elif kind.name == "object":
                path += f".{step}" if path else step
                member = kind.fields.get(step)
                kind = member.type if member else None
            elif kind.name == "dict" and step != "[key]":
                path += f".{step}" if path else step
                kind = kind.items
        if fault == "extra_forbidden":
            return path, "no such member"
        if kind is None:
            return path, message
        if kind.name == "object":
            return path, "an object"
        return path, describe(kind)


class DocumentValidator:
    """Validates against a JSON Schema that has no type tree; values are stored as given."""

    model = None

    def __init__(self, document: dict[str, Any], *, strict: bool) -> None:
        self._problems = jsonschema.checker(document)
        self._strict = strict

    def validate(self, value: Any) -> Any:
        """Return the value.

        Raises:
            Invalid: with all that is wrong.
        """
        if isinstance(value, BaseModel):
            value = value.model_dump(mode="json")
        elif type(value) is bytes:
            raise Invalid((FieldProblem("", "JSON", "bytes"),))
        elif not self._strict and type(value) is str:
            value = _read(value)
        try:
            problems = tuple(
                FieldProblem(path, rule, shown(given))
                for path, rule, given in self._problems(value)
            )
        except (ValueError, RecursionError):  # bytes inside of a document, or half a surrogate
            problems = (FieldProblem("", "JSON", shown(value)),)
        if problems:
            raise Invalid(problems)
        return value


def dumped(model: type[BaseModel], value: Any) -> Any:
    """Return a value as a model of the caller has it, as plain data.

    Raises:
        Invalid: with all that is wrong.
    """
    try:
        return model.model_validate(value).model_dump(mode="json")
    except PydanticSerializationError as error:
        raise Invalid((FieldProblem("", "JSON", str(error)),)) from None
    except ValidationError as error:
        raise Invalid(
            tuple(
                FieldProblem(
                    jsonschema.path_text(found["loc"]), found["msg"], shown(found["input"])
                )
                for found in error.errors(include_url=False, include_context=False)
            )
        ) from None


def _read(text: str) -> Any:
    """Return the JSON that a text holds, or the text: what lax mode makes of typed text."""
    from kycli.core import values
    from kycli.errors import InvalidValueError

    try:
        return values.parse(text)
    except InvalidValueError:
        return text


def shown(value: Any) -> str:
    """Return a value as a message shows it, shortened."""
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


class _Builder:
    """Makes the annotations and models of a tree."""

    def __init__(self, strict: bool, extra: str) -> None:
        self._strict = strict
        self._config = ConfigDict(
            strict=strict, extra=EXTRA[extra], protected_namespaces=(), validate_default=False
        )

    def annotation(self, kind: Type, path: str) -> Any:
        made = self._bare(kind, path)
        return Optional[made] if kind.optional and kind.name != "any" else made  # noqa: UP045

    def _bare(self, kind: Type, path: str) -> Any:
        if kind.name == "object":
            return self._model(kind, path)
        if kind.name == "enum":
            return Annotated[Literal[kind.choices], BeforeValidator(_Choice(kind.choices))]
        if kind.name == "any":
            return Any
        if kind.name in ("list", "dict"):
            assert kind.items is not None
            items = self.annotation(kind.items, f"{path}[]")
            made: Any = list[items] if kind.name == "list" else dict[str, items]  # type: ignore[valid-type]
        else:
            made = (_STRICT if self._strict else _LAX).get(kind.name, _TYPES[kind.name])
        if kind.name == "datetime" and (kind.minimum, kind.maximum) != (None, None):
            return Annotated[made, AfterValidator(_Between(kind.minimum, kind.maximum))]
        limits: dict[str, Any] = {}
        low, high = ("ge", "le") if kind.name in RANGED else ("min_length", "max_length")
        if kind.minimum is not None:
            limits[low] = kind.minimum
        if kind.maximum is not None:
            limits[high] = kind.maximum
        if kind.pattern is not None:
            limits["pattern"] = kind.pattern
            _check_pattern(kind.pattern, path)
        return Annotated[made, Field(**limits)] if limits else made

    def _model(self, kind: Type, path: str) -> type[BaseModel]:
        members: dict[str, Any] = {}
        for number, (name, member) in enumerate(kind.fields.items()):
            annotation = self.annotation(member.type, f"{path}.{name}" if path else name)
            default = member.default
            if default is MISSING:
                default = None if member.type.optional else ...
            settings: dict[str, Any] = {"alias": name}
            if isinstance(default, (list, dict)):
                # Each value gets its own.
                members[_attribute(name, number)] = (
                    annotation,
                    Field(default_factory=_Copy(default), **settings),
                )
            else:
                members[_attribute(name, number)] = annotation, Field(default, **settings)
        made: type[BaseModel] = create_model(path or "Value", __config__=self._config, **members)
        return made

    def check_defaults(self, kind: Type, path: str) -> None:
        """Refuse a default that the member's own type does not allow."""
        if kind.items is not None:
            self.check_defaults(kind.items, f"{path}[]")
        for name, member in kind.fields.items():
            where = f"{path}.{name}" if path else name
            self.check_defaults(member.type, where)
            if member.default is MISSING:
                continue
            adapter: TypeAdapter[Any] = TypeAdapter(self.annotation(member.type, where))
            try:
                adapter.validate_python(member.default, strict=self._strict)
            except ValidationError:
                raise fault(
                    where, f"the default {member.default!r} is no {describe(member.type)}"
                ) from None


class _Copy:
    """Makes a new copy of a default for each value."""

    def __init__(self, default: Any) -> None:
        self._default = default

    def __call__(self) -> Any:
        import copy

        return copy.deepcopy(self._default)


class _Choice:
    """Refuses what is equal to a choice and is of another type, such as true for 1."""

    def __init__(self, choices: tuple[Any, ...]) -> None:
        self._kinds = {type(choice) for choice in choices}

    def __call__(self, value: Any) -> Any:
        if type(value) not in self._kinds:
            raise ValueError("not of the type of a choice")
        return value


class _Between:
    """Holds a time to limits. Pydantic cannot compare one that has a zone with one without."""

    def __init__(self, minimum: datetime | None, maximum: datetime | None) -> None:
        self._minimum = minimum
        self._maximum = maximum

    def __call__(self, value: datetime) -> datetime:
        moment = as_utc(value)
        if self._minimum is not None and moment < self._minimum:
            raise ValueError("too early")
        if self._maximum is not None and moment > self._maximum:
            raise ValueError("too late")
        return value


_NUMBERED = re.compile(r"member_[0-9]+")


def _attribute(name: str, number: int) -> str:
    """Return the name of a model's attribute for a member: its own where Python can have it."""
    usable = name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("_")
    if usable and not hasattr(BaseModel, name) and not _NUMBERED.fullmatch(name):
        return name
    return f"member_{number}"


def _check_pattern(pattern: str, path: str) -> None:
    try:
        TypeAdapter(Annotated[str, Field(pattern=pattern)])
    except (CoreSchemaError, PydanticUserError) as error:
        reason = " ".join(str(error).split("\n")[1:]).strip()
        raise fault(
            path,
            f"the regular expression /{pattern}/ cannot be used: {reason}",
            hint="expressions are those of Rust's regex: no lookaround, no backreferences",
        ) from None


_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(_DATE.pattern + r"[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?(Z|[+-][0-9:]+)?")


def _from_text(pattern: re.Pattern[str] | None, read: Callable[[str], Any]) -> BeforeValidator:
    """Read text into the type, as JSON has it; anything else is left to the strict type."""

    def before(value: Any) -> Any:
        if type(value) is not str or (pattern is not None and not pattern.fullmatch(value)):
            return value
        try:
            return read(value)
        except (ValueError, ArithmeticError):
            return value

    return BeforeValidator(before)


def _no_bool(value: Any) -> Any:
    """Keep true and false from counting as a number or a time."""
    if type(value) is bool:
        raise ValueError("a truth value")
    return value


def _exact(value: Any) -> Any:
    """Keep an int from losing digits as a float."""
    if type(value) is int and not -EXACT <= value <= EXACT:
        raise ValueError("an int that a float cannot hold")
    return value


def _time_text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


_PRINTED: dict[str, tuple[Any, Any]] = {
    "date": (date, PlainSerializer(date.isoformat)),
    "datetime": (datetime, PlainSerializer(_time_text)),
    "uuid": (UUID, PlainSerializer(str)),
    "decimal": (Decimal, PlainSerializer(str)),
}
_READ: dict[str, BeforeValidator] = {
    "date": _from_text(_DATE, date.fromisoformat),
    "datetime": _from_text(_TIME, datetime.fromisoformat),
    "uuid": _from_text(None, UUID),
    "decimal": _from_text(None, Decimal),
}
_STRICT: dict[str, Any] = {
    name: Annotated[kind, printed, _READ[name]] for name, (kind, printed) in _PRINTED.items()
} | {"float": Annotated[float, BeforeValidator(_exact)]}
_LAX: dict[str, Any] = {
    name: Annotated[kind, printed, BeforeValidator(_no_bool)]
    for name, (kind, printed) in _PRINTED.items()
} | {
    "int": Annotated[int, BeforeValidator(_no_bool)],
    "float": Annotated[float, BeforeValidator(_exact), BeforeValidator(_no_bool)],
}
_TYPES: dict[str, Any] = {"str": str, "int": int, "float": float, "bool": bool, "bytes": bytes} | {
    name: kind for name, (kind, _) in _PRINTED.items()
}
