"""schema show, check, export and infer: what is declared, and what the values are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kycli.cli.output import write_listing, write_texts
from kycli.core.names import check_scope
from kycli.core.schemas.registry import no_schema
from kycli.errors import MissingKeyError

if TYPE_CHECKING:
    from kycli.cli.env import Environment


def show(env: Environment, arguments: list[str]) -> int:
    """``schema show [SCOPE]``"""
    store = env.store()
    if not arguments:
        write_texts(env, store.schemas())
        return 0
    scope = check_scope(arguments[0])
    schema = store.schema(scope=scope)
    if schema is None:
        raise no_schema(scope)
    write_listing(
        env,
        schema.shapes,
        lambda shape: env.shown(_text(shape), keep="\n"),
        lambda shape: {
            "scope": scope,
            "version": schema.version,
            "updated_at": schema.updated_at,
            "keys": shape.keys,
            "form": shape.form,
            "strict": shape.strict,
            "extra": shape.extra,
            "definition": shape.definition,
        },
    )
    return 0


def _text(shape: Any) -> str:
    """Return a shape as people read it: what holds, and the definition as JSON."""
    said = [f"keys {shape.keys}", "strict" if shape.strict else "lax"]
    if shape.form == "short":
        said.append(f"unknown members: {shape.extra}")
    return f"# {', '.join(said)}\n{json.dumps(shape.definition, indent=2, ensure_ascii=False)}"


def check(env: Environment, arguments: list[str]) -> int:
    """``schema check SCOPE``: 1 when a value does not meet the schema."""
    count = 0

    def counted() -> Any:
        nonlocal count
        for found in env.store().check_schema(scope=check_scope(arguments[0])):
            count += 1
            yield found

    write_listing(env, counted(), lambda found: invalid_line(env, found), invalid_record)
    return 1 if count else 0


def export(env: Environment, arguments: list[str]) -> int:
    """``schema export SCOPE``: JSON Schema."""
    scope = check_scope(arguments[0])
    document = env.store().json_schema(scope=scope, keys=env.flags.get("keys"))
    if document is None:
        raise no_schema(scope)
    text = json.dumps(document, indent=2, ensure_ascii=False)
    env.write(env.shown(text, keep="\n") + b"\n")
    return 0


def infer(env: Environment, arguments: list[str]) -> int:
    """``schema infer SCOPE``: a definition in the short form."""
    scope = check_scope(arguments[0])
    definition = env.store().infer_schema(env.flags.get("prefix"), scope=scope)
    if definition is None:
        raise MissingKeyError(f"the scope {scope!r} has no keys to infer a schema from")
    text = json.dumps(definition, indent=2, ensure_ascii=False)
    env.write(env.shown(text, keep="\n") + b"\n")
    return 0


def invalid_line(env: Environment, found: Any) -> bytes:
    """Return the line for a key whose value does not meet a schema."""
    return env.shown(found.key) + b"\t" + env.shown("; ".join(map(str, found.problems)))


def invalid_record(found: Any) -> dict[str, Any]:
    """Return its JSON record."""
    return {
        "key": found.key,
        "problems": [
            {"field": problem.field, "expected": problem.expected, "given": problem.given}
            for problem in found.problems
        ],
    }
