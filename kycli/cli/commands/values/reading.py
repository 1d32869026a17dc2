"""get: reading values, from the store or from text, and printing them."""

from __future__ import annotations

from kycli.errors import InvalidValueError, WrongTypeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kycli.cli.env import Environment

MISSING = object()
"""Stands for the value of a missing key."""

_JSON_HINT = "text needs double quotes in JSON; leave --json out to store it as it is"

FORMS = ("raw", "json", "jsonl", "b64", "meta", "null")
"""The flags for the format of printed values, which exclude each other."""


def print_values(env: Environment, arguments: list[str]) -> int:
    """``get ADDRESS...``: print the values that exist; 2 when one is missing."""
    form = env.choice(*FORMS)
    env.choice("default", "meta")
    env.choice("path", "meta")
    default = read_text(env, env.flags["default"]) if "default" in env.flags else MISSING
    targets = [env.locate(argument) for argument in arguments]
    if "at" in env.flags:
        from kycli.core.history.times import fixed_time

        env.flags["at"] = fixed_time(env.flags["at"])
    store = env.store()

    def read(scope: str, key: str) -> Any:
        if form != "meta":
            value = read_value(env, scope, key, MISSING)
            if value is MISSING and default is not MISSING:
                env.defaulted = True
                return default
            return value
        entry = store.get_entry(key, scope=scope, **read_options(env))
        return MISSING if entry is None else (entry, scope)

    if len(targets) == 1:
        values = [read(*targets[0])]
    else:
        # One snapshot for all keys. It ends before anything is printed, as a pipe may be slow.
        with store.snapshot():
            values = [read(*target) for target in targets]
    print_found(env, form, arguments, targets, values)
    return 2 if MISSING in values else 0


def print_found(
    env: Environment,
    form: str,
    arguments: list[str],
    targets: list[tuple[str, str]],
    values: list[Any],
) -> None:
    """Print the values that were found, and report the missing ones.

    Parameters:
        form: one of FORMS, or "" for text; with ``json``, several values are one object.
        arguments: as they were typed.
        targets: the scope and key of each argument.
        values: the value of each argument, or MISSING.
    """
    found = {}
    for argument, target, value in zip(arguments, targets, values, strict=True):
        if value is MISSING:
            report_missing(env, *target)
        elif form == "json" and len(arguments) > 1:
            found[argument] = value
        else:
            print_value(env, form, value, alone=len(arguments) == 1)
    if found:
        print_value(env, form, found)


def read_value(env: Environment, scope: str, key: str, default: Any) -> Any:
    """Return the value of a key, or of a path inside it, or ``default``.

    The argument of a short command may be a key with a path after it. It is read so only if
    there is no such key, so an existing key costs one look-up. A path that leads nowhere is
    missing, whatever the reason.
    """
    path = env.flags.get("path")
    if path is None:
        value = env.store().getkey(key, MISSING, scope=scope, **read_options(env))
        if value is not MISSING:
            return value
        if not may_be_path(env, key):
            return default
    path, exact = (key, None) if path is None else (path, key)
    try:
        return env.store().get_path(path, default, key=exact, scope=scope, **read_options(env))
    except WrongTypeError as error:
        env.path_errors[scope, key] = str(error)
        return default


def may_be_path(env: Environment, key: str) -> bool:
    """Return whether an argument may be a key with a path after it; addresses have --path."""
    return env.short and ("." in key or "[" in key) and "context" not in env.flags


def read_options(env: Environment) -> dict[str, Any]:
    """Return the options for reading past or expired values."""
    return {"include_expired": "include-expired" in env.flags, "at": env.flags.get("at")}


def report_missing(env: Environment, scope: str, key: str) -> None:
    path = env.flags.get("path")
    inside = "" if path is None else f"with something at {path!r} "
    why = env.path_errors.get((scope, key))
    env.note(f"kycli: no key {key!r} {inside}in scope {scope!r}{f': {why}' if why else ''}")


def plain(value: Any) -> bytes:
    """Return a value as plain output: text and bytes as they are, the rest as JSON."""
    text: str
    kind = type(value)
    if kind is str:
        text = value
    elif kind is bytes:
        return bytes(value)
    elif kind is bool or value is None:
        text = "null" if value is None else "true" if value else "false"
    elif kind is int and -(1 << 63) <= value < 1 << 63:
        text = repr(value)
    else:
        from kycli.core.values import canonical

        text = canonical(value)
    return text.encode()


def write_json(env: Environment, value: Any) -> None:
    """Print a value as one line of canonical JSON."""
    from kycli.core.values import canonical

    env.write(env.shown_json(canonical(value)) + b"\n")


def print_value(env: Environment, form: str, value: Any, *, alone: bool = False) -> None:
    """Print a value as the flags say.

    Parameters:
        alone: whether it is the only value, so that its line ends and tabs need no escape.
    """
    if form == "raw":
        env.write(plain(value))
    elif form == "b64":
        import binascii

        env.write(binascii.b2a_base64(plain(value)))
    elif form == "meta":
        from kycli.cli.output import record

        write_json(env, record(*value))
    elif form in ("json", "jsonl"):
        write_json(env, value)
    else:
        end = b"\0" if form == "null" else b"\n"
        env.write(env.shown(plain(value), keep="\n\t" if alone else "") + end)


# Values in text


def read_text(env: Environment, given: str | bytes) -> Any:
    """Return the text itself or, with --json or --b64, the value that it encodes."""
    if "json" in env.flags or "jsonl" in env.flags:
        return parsed(given)
    if "b64" in env.flags:
        from kycli.core.values import decode_base64

        return text_or_bytes(decode_base64(given))
    return given


def parsed(given: str | bytes) -> Any:
    from kycli.core.values import parse

    try:
        return parse(given)
    except InvalidValueError as error:
        # Text that begins like JSON was meant as JSON, so the hint would mislead.
        text = given if isinstance(given, str) else given.decode(errors="replace")
        looks_like_json = text.lstrip()[:1] in tuple('{["-0123456789')
        if str(error).startswith("not JSON"):
            error.hint = None if looks_like_json else _JSON_HINT
        raise


def text_or_bytes(data: bytes) -> str | bytes:
    """Return bytes as text where they are UTF-8, else as they are."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data
