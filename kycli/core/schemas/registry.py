"""Setting, changing and dropping the schema of a scope.

The existing values of a scope are checked before it gets a schema. That runs without the write
lock, so other processes can write meanwhile; under the lock, only the keys that have changed since
are checked again. So once a schema is set, every value conforms to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from kycli.core.codec import check_scope
from kycli.core.durations import shown
from kycli.core.schemas import changes, definitions, jsonschema
from kycli.core.schemas.definitions import ALL_KEYS, Schema, Shape
from kycli.core.sql import log
from kycli.core.sql import schemas as sql
from kycli.errors import (
    ConflictError,
    InvalidValueError,
    MissingKeyError,
    SchemaError,
    ValidationError,
)

if TYPE_CHECKING:
    from kycli.core.storage import Kycore
    from kycli.errors import FieldProblem

    Progress = Callable[[int, int], object]

EXISTING = ("refuse", "keep", "reject", "move")
"""The ways to treat keys whose values do not conform to a new schema."""
_NAMED = 20
"""How many of these keys an error names."""
_PROGRESS_ROWS = 1000


class Invalid(NamedTuple):
    """A key whose value does not meet a schema, and why."""

    key: str
    problems: tuple[FieldProblem, ...]


class SchemaChange(NamedTuple):
    """What setting a schema did.

    Attributes:
        version: the version of the schema now; None after a dry run.
        checked: how many keys were checked.
        invalid: the keys whose values do not meet it.
        reasons: why keys had to be checked: how the schema is narrower than before. Empty when
            there was none before, or none is affected.
    """

    version: int | None
    checked: int
    invalid: list[Invalid]
    reasons: tuple[str, ...]


def read(store: Kycore, scope: str) -> Schema | None:
    """Return the schema of a scope, or None.

    Raises:
        SchemaError: when a later kycli wrote it.
    """
    found = sql.stored(store, scope)
    if found is None:
        return None
    document, version, updated_at = found
    return Schema(scope, version, updated_at, definitions.loaded(document))


def names(store: Kycore) -> list[str]:
    """Return the scopes that have a schema, sorted."""
    return sql.names(store)


def declare(
    store: Kycore,
    scope: str,
    shape: Shape,
    *,
    create: bool = False,
    existing: str = "refuse",
    move_to: str | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> SchemaChange:
    """Give a scope a shape, in place of the one for the same pattern of keys.

    Parameters:
        create: refuse when there is one for that pattern.
        existing: what becomes of keys whose values do not meet it: ``"refuse"`` the schema,
            ``"keep"`` them as they are, ``"reject"`` (delete) them, or ``"move"`` them to
            another scope.
        move_to: that scope.
        dry_run: check, and change nothing.
        progress: called with how many keys were checked, of how many.

    Raises:
        ConflictError: when there is a schema already, with ``create``, or another process
            changed it meanwhile.
        ValidationError: when values do not meet it, with ``existing="refuse"``.
    """
    if existing not in EXISTING:
        raise InvalidValueError(
            f"existing keys cannot be treated as {shown(existing)}",
            hint=f"use {', '.join(EXISTING)}",
        )
    if (existing == "move") != (move_to is not None):
        raise InvalidValueError("'move' and the scope to move keys to belong together")
    target = None if move_to is None else check_scope(move_to)
    if target == scope:
        raise ConflictError(f"the keys are in the scope {scope!r} already")
    shape = replace(shape, keys=_folded(store, scope, shape.keys))
    before = read(store, scope)
    shapes = _with(before, scope, shape, create)
    check = _Check(store, scope, shapes, _reasons(before, shape))
    if check.reasons:
        check.all_keys(progress)
    if not dry_run:
        with store.transaction():
            if _version(read(store, scope)) != _version(before):
                raise ConflictError(
                    f"another process changed the schema of {scope!r} meanwhile",
                    hint="look at the new schema first",
                )
            if check.reasons:
                check.changed_keys()
            if existing == "refuse":
                check.refuse_invalid()
            if existing == "keep" and check.invalid:
                shapes = tuple(replace(found, verified=False) for found in shapes)
            # First, so that undoing the change begins with the schema.
            _put(store, scope, shapes)
            for key in check.invalid:
                if existing == "reject":
                    store._remove(scope, key)
                elif target is not None:
                    store.move(key, scope=scope, to_scope=target)
            version = _version(read(store, scope))
    invalid = [Invalid(key, problems) for key, problems in check.invalid.items()]
    return SchemaChange(None if dry_run else version, check.checked, invalid, check.reasons)


def json_schema(store: Kycore, scope: str, keys: str | None) -> dict[str, Any] | None:
    """Return the shape of a scope for a pattern of keys as a JSON Schema, or None."""
    schema = read(store, scope)
    shapes = schema.shapes if schema is not None else ()
    for shape in shapes:
        if shape.keys == (ALL_KEYS if keys is None else _folded(store, scope, keys)):
            tree = shape.tree() if shape.form == "short" else None
            if tree is None:
                document: dict[str, Any] = shape.definition
                return document
            return jsonschema.document_of(*tree)
    return None


def adopt(store: Kycore, scope: str, shape: Shape) -> None:
    """Set a schema for all keys of a scope, unless it is set."""
    schema = read(store, scope)
    if schema is None or not any(replace(found, verified=True) == shape for found in schema.shapes):
        declare(store, scope, shape)


def drop(store: Kycore, scope: str, keys: str | None = None) -> bool:
    """Drop the schema of a scope, or only its shape for a pattern; return whether there was one."""
    with store.transaction():
        if keys is None:  # also what cannot be read
            found = sql.stored_version(store, scope)
            if found:
                _put(store, scope, ())
            return found > 0
        schema = read(store, scope)
        if schema is None:
            return False
        keys = _folded(store, scope, keys)
        # Another shape may be for keys that this one was for.
        left = tuple(
            replace(shape, verified=False) for shape in schema.shapes if shape.keys != keys
        )
        if len(left) == len(schema.shapes):
            return False
        _put(store, scope, left)
        return True


def bring_back(store: Kycore, scope: str, document: Any) -> None:
    """Give a scope a schema that it had, inside a transaction.

    Values that were saved since need not meet it, so the next change checks them.
    """
    try:
        shapes = definitions.loaded(document)
    except SchemaError:
        sql.store_schema(store, scope, document)  # of a later kycli
    else:
        _put(store, scope, tuple(replace(shape, verified=False) for shape in shapes))


def invalid_keys(store: Kycore, scope: str) -> Iterator[Invalid]:
    """Yield the keys of a scope whose values do not meet its schema.

    Raises:
        MissingKeyError: when there is no schema.
    """
    schema = read(store, scope)
    if schema is None:
        raise no_schema(scope)
    from kycli.core.schemas.enforcing import Enforcer

    enforcer = Enforcer(scope, schema.shapes)
    for key, value in store.scan(scope=scope):
        problems = enforcer.problems(key, value)
        if problems:
            yield Invalid(key, problems)


def no_schema(scope: str) -> MissingKeyError:
    """Return the error for a scope that has no schema."""
    return MissingKeyError(
        f"the scope {scope!r} has no schema",
        hint=f"to set one: kycli schema set {scope} FILE",
    )


class _Check:
    """Checks the values of a scope against shapes that it is to get.

    Attributes:
        reasons: why values have to be checked; empty when all of them meet the shapes.
        checked: how many were.
        invalid: the problems of each key whose value does not meet them.
    """

    def __init__(
        self, store: Kycore, scope: str, shapes: tuple[Shape, ...], reasons: tuple[str, ...]
    ) -> None:
        from kycli.core.schemas.enforcing import Enforcer

        self._store = store
        self._scope = scope
        self._enforcer = Enforcer(scope, shapes)
        self._position = 0
        self.reasons = reasons
        self.checked = 0
        self.invalid: dict[str, tuple[FieldProblem, ...]] = {}

    def all_keys(self, progress: Progress | None) -> None:
        """Check every key, without the write lock."""
        self._position = log.newest(self._store)
        total = self._store.count(scope=self._scope)
        for key, value in self._store.scan(scope=self._scope):
            self._check(key, value)
            if progress is not None and self.checked % _PROGRESS_ROWS == 0:
                progress(self.checked, max(self.checked, total))

    def changed_keys(self) -> None:
        """Check the keys that have changed since, under the write lock."""
        newest = log.newest(self._store)
        if log.renamed_since(self._store, self._scope, self._position):
            raise ConflictError(f"the scope {self._scope!r} was renamed meanwhile")
        for state in log.changed_since(self._store, self._position, newest, self._scope):
            self.invalid.pop(state.key, None)
            entry = self._store.get_entry(state.key, scope=self._scope)
            if entry is not None:
                self._check(state.key, entry.value)

    def _check(self, key: str, value: Any) -> None:
        self.checked += 1
        problems = self._enforcer.problems(key, value)
        if problems:
            self.invalid[key] = problems

    def refuse_invalid(self) -> None:
        """Raise when a value does not meet the shapes."""
        if not self.invalid:
            return
        named = [f"{key!r} ({problems[0]})" for key, problems in self.invalid.items()][:_NAMED]
        more = len(self.invalid) - len(named)
        raise ValidationError(
            f"{len(self.invalid)} of {self.checked} keys in scope {self._scope!r} do not meet "
            f"the schema: {', '.join(named)}{f', and {more} more' if more else ''}",
            hint="keep, delete or move them: --existing keep, reject or move",
            problems=tuple(problem for found in self.invalid.values() for problem in found),
        )


def _folded(store: Kycore, scope: str, keys: str) -> str:
    """Return a pattern as it matches the keys of a scope, which may ignore their case."""
    return keys.lower() if store._declared(scope).fold_keys else keys


def _put(store: Kycore, scope: str, shapes: tuple[Shape, ...]) -> None:
    """Write the schema of a scope; without shapes it has none."""
    sql.store_schema(store, scope, definitions.stored(shapes) if shapes else None)


def _version(schema: Schema | None) -> int:
    return 0 if schema is None else schema.version


def _with(before: Schema | None, scope: str, shape: Shape, create: bool) -> tuple[Shape, ...]:
    """Return the shapes of a scope with another one for its pattern."""
    shapes = {found.keys: found for found in before.shapes} if before is not None else {}
    if create and shape.keys in shapes:
        for_keys = "" if shape.keys == ALL_KEYS else f" for {shape.keys!r}"
        raise ConflictError(
            f"the scope {scope!r} has a schema already{for_keys}",
            hint=f"to change it: kycli schema set {scope} FILE",
        )
    shapes[shape.keys] = shape
    if len(shapes) > definitions.SHAPES_MAX:
        raise SchemaError(f"a scope has at most {definitions.SHAPES_MAX} shapes")
    return definitions.ordered(shapes)


def _reasons(before: Schema | None, shape: Shape) -> tuple[str, ...]:
    """Return why values that met a scope's schema may not meet it with another shape."""
    shapes = before.shapes if before is not None else ()
    old = next((found for found in shapes if found.keys == shape.keys), None)
    if old is None:
        return ("there was no schema for these keys",)
    if not old.verified:
        return ("values were kept that do not meet the schema before",)
    if old == shape:
        return ()
    was, now = old.tree(), shape.tree()
    if was is None or now is None:
        return ("it cannot be compared with the one before",)
    reasons = list(changes.narrowings(was[0], now[0], kept=was[1] == "keep"))
    if shape.strict and not old.strict:
        reasons.append("it is strict, and was not")
    if now[1] == "forbid":
        reasons += [f"{name} is no member any more" for name in changes.removed(was[0], now[0])]
        if was[1] == "keep":
            reasons.append("unknown members are forbidden, and were kept")
    return tuple(reasons)
