"""create table, schema set, schema drop: declaring what the values of a scope must be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kycli.cli.commands.schemas.showing import invalid_line, invalid_record
from kycli.cli.commands.values.reading import write_json
from kycli.cli.output import keys_counted
from kycli.cli.progress import progress
from kycli.core.names import check_scope
from kycli.core.schemas.types import MAX_BYTES
from kycli.errors import SchemaError, UsageError

if TYPE_CHECKING:
    from kycli.cli.env import Environment


def create_table(env: Environment, arguments: list[str]) -> int:
    """``create table SCOPE --schema FILE``"""
    return _declare(env, arguments[0], env.flags.get("schema"), create=True)


def set_schema(env: Environment, arguments: list[str]) -> int:
    """``schema set SCOPE FILE``"""
    return _declare(env, arguments[0], arguments[1] if len(arguments) > 1 else None, create=False)


def drop(env: Environment, arguments: list[str]) -> int:
    """``schema drop SCOPE``"""
    scope = check_scope(arguments[0])
    if env.store().drop_schema(scope, keys=env.flags.get("keys")):
        return 0
    env.error_line(f"kycli: the scope {scope!r} has no such schema")
    return 2


def _declare(env: Environment, name: str, file: str | None, *, create: bool) -> int:
    scope = check_scope(name)
    if (file is None) == ("model" not in env.flags):
        raise UsageError(
            "the schema is missing" if file is None else "a file and --model exclude each other",
            hint="give a file with the definition, or --model PACKAGE.MODULE:CLASS",
        )
    definition = _model(env.flags["model"]) if file is None else _read(env, file)
    existing = env.flags.get("existing", "refuse")
    if existing == "move" and "to" not in env.flags:
        raise UsageError("where to?", hint="--existing move --to SCOPE")
    store = env.store(create=True)
    with progress(env, "checking") as show:
        done = (store.create_table if create else store.set_schema)(
            scope,
            definition,
            keys=env.flags.get("keys"),
            strict="lax" not in env.flags,
            extra=env.flags.get("extra", "forbid"),
            existing=existing,
            move_to=env.flags.get("to"),
            dry_run="dry-run" in env.flags,
            progress=show,
        )
    if "json" in env.flags:
        write_json(
            env,
            {
                "version": done.version,
                "checked": done.checked,
                "invalid": [invalid_record(found) for found in done.invalid],
                "reasons": list(done.reasons),
            },
        )
    elif "dry-run" in env.flags:
        for found in done.invalid:
            env.write(invalid_line(env, found) + b"\n")
        env.note(f"{keys_counted(len(done.invalid))} of {done.checked:,} would not meet it")
    else:
        env.note(_summary(scope, done, existing))
    return 0


def _summary(scope: str, done: Any, existing: str) -> str:
    text = f"the schema of {scope!r} is at version {done.version}"
    if done.checked:
        text += f"; checked {keys_counted(done.checked)}"
    if done.invalid:
        what = {"keep": "kept", "reject": "deleted", "move": "moved"}[existing]
        text += f", {what} {len(done.invalid)}"
    return text


def _read(env: Environment, name: str) -> bytes:
    """Return the definition in a file, which is refused when it is too large for one."""
    if name == "-":
        return env.read_input()
    with open(name, "rb") as file:
        text = file.read(MAX_BYTES + 1)
    if len(text) > MAX_BYTES:
        raise SchemaError(f"{name}: the schema is larger than {MAX_BYTES >> 20} MiB")
    return text


def _model(path: str) -> Any:
    """Return the class that ``package.module:Class`` names."""
    import sys
    from importlib import import_module

    module, colon, name = path.partition(":")
    if not colon or not module or not name:
        raise UsageError(f"{path!r} is no class", hint="for example shop.models:Order")
    sys.path.insert(0, "")  # as python -m does
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise SchemaError(f"{path}: {error}") from None
    finally:
        sys.path.remove("")
    if not hasattr(found, "model_json_schema"):
        raise SchemaError(f"{path} is no Pydantic model")
    return found
