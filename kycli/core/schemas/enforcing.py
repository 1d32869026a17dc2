"""Enforcing schemas: every operation that writes a value calls this module."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kycli.core.operations.patterns import select
from kycli.core.schemas.definitions import Shape, loaded
from kycli.core.schemas.validators import Invalid, dumped
from kycli.errors import MisuseError, ValidationError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from kycli.core.schemas.validators import DocumentValidator, TreeValidator
    from kycli.errors import FieldProblem

    Validator = TreeValidator | DocumentValidator

_NAMED = 5
"""How many problems a message names; the error has all of them."""


def compiled(scope: str, document: Any) -> Enforcer:
    """Return what holds the values of a scope to a stored schema."""
    return Enforcer(scope, loaded(document))


def instance(
    enforcer: Enforcer | ModelEnforcer | None, scope: str, key: str, value: Any
) -> BaseModel:
    """Return a value as an instance of the model that the schema of its scope has for its key.

    Raises:
        MisuseError: when there is none.
        ValidationError: when the value does not meet it.
    """
    from pydantic import ValidationError as Refused

    model = None if enforcer is None else enforcer.model(key)
    if model is None:
        raise MisuseError(
            f"the schema of {scope!r} has no model for {key!r}",
            hint="models are for objects in the short form, and for model classes",
        )
    try:
        return model.model_validate(value)
    except Refused as error:
        raise ValidationError(f"{key!r} does not meet the schema of {scope!r}: {error}") from None


class Enforcer:
    """The compiled schema of a scope."""

    def __init__(self, scope: str, shapes: tuple[Shape, ...]) -> None:
        self._scope = scope
        self._shapes: list[tuple[Callable[[str], bool], Shape, Validator | None]] = [
            (_matcher(shape.keys), shape, None) for shape in shapes
        ]

    def validator(self, key: str) -> Validator | None:
        """Return the validator for a key, or None when its values may be anything."""
        for number, (matches, shape, validator) in enumerate(self._shapes):
            if matches(key):
                if validator is None:  # compiled when the first of its keys comes
                    validator = shape.validator()
                    self._shapes[number] = matches, shape, validator
                return validator
        return None

    def validate(self, key: str, value: Any) -> Any:
        """Return the value as it is stored.

        Raises:
            ValidationError: with all that is wrong with it.
        """
        validator = self.validator(key)
        if validator is None:
            return value
        try:
            return validator.validate(value)
        except Invalid as invalid:
            raise self.refusal(key, invalid) from None

    def problems(self, key: str, value: Any) -> tuple[FieldProblem, ...]:
        """Return all that is wrong with a value."""
        validator = self.validator(key)
        if validator is not None:
            try:
                validator.validate(value)
            except Invalid as invalid:
                return invalid.problems
        return ()

    def refusal(self, key: str, invalid: Invalid) -> ValidationError:
        """Return the error for a value that is not what the schema says."""
        problems = invalid.problems
        named = "; ".join(map(str, problems[:_NAMED]))
        more = f"; and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
        return ValidationError(
            f"{key!r} does not meet the schema of {self._scope!r}: {named}{more}",
            hint=f"to see the schema: kycli schema show {self._scope}",
            problems=problems,
        )

    def model(self, key: str) -> type[BaseModel] | None:
        """Return the Pydantic model for a key, or None when its values are no objects."""
        validator = self.validator(key)
        return None if validator is None else validator.model


def _matcher(keys: str) -> Callable[[str], bool]:
    """Return a function that tests whether a key matches a shell pattern."""
    first, past, matches = select(None, keys)

    def match(key: str) -> bool:
        if key < first or (isinstance(past, str) and key >= past):
            return False
        return matches is None or bool(matches(key))

    return match


class ModelEnforcer:
    """Holds values to a schema and, in this program alone, to the model that it was made from.

    A stored schema has no validators in Python, so other programs do without those.
    """

    def __init__(self, enforcer: Enforcer, model: type[BaseModel]) -> None:
        self.enforcer = enforcer
        self._model = model

    def validate(self, key: str, value: Any) -> Any:
        """Return the value as it is stored.

        Raises:
            ValidationError: with all that is wrong with it.
        """
        validator = self.enforcer.validator(key)
        if validator is None:
            return value
        try:
            return validator.validate(dumped(self._model, validator.validate(value)))
        except Invalid as invalid:
            raise self.enforcer.refusal(key, invalid) from None

    def model(self, key: str) -> type[BaseModel] | None:
        return self._model
