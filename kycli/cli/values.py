"""Reading values from a command line and printing them."""

from __future__ import annotations

from kycli.errors import InvalidValueError, WrongTypeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kycli.cli.env import Environment

MISSING = object()
"""What stands for the value of a key that is not there."""

_JSON_HINT = "text needs double quotes in JSON; leave --json out to store it as it is"

FORMS = ("raw", "json", "jsonl", "b64", "meta", "null")
"""The flags that say how values are printed, of which only one can be given."""


def print_found(
    env: Environment,
    form: str,
    arguments: list[str],
    targets: list[tuple[str, str]],
    values: list[Any],
) -> None:
    """Print the values that there are, and say which are missing.

    Parameters:
        form: one of FORMS, or "" for text; with ``json``, several values are one object.
        arguments, targets, values: what was typed, the scope and key that it means, and the
            value or MISSING, of each.
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
    """Return the value of a key, or of what is inside it, or ``default``.

    What a short command is given may be a path that begins with a key. It is taken for
    one only when there is no such key, which costs a key that is there nothing. A path that
    leads nowhere is missing, whatever is in its way.
    """
    path = env.flags.get("path")
    if path is None:
        value = env.store().getkey(key, MISSING, scope=scope, **read_options(env))
        if value is not MISSING:
            return value
        if not may_be_path(env, key):
            return default
    place, exact = (key, None) if path is None else (path, key)
    try:
        return env.store().get_path(place, default, key=exact, scope=scope, **read_options(env))
    except WrongTypeError as error:
        env.in_the_way[scope, key] = str(error)
        return default


def may_be_path(env: Environment, key: str) -> bool:
    """Return whether an argument may be a key with a path behind it: addresses have --path."""
    return env.short and ("." in key or "[" in key) and "context" not in env.flags


def read_options(env: Environment) -> dict[str, Any]:
    """Return the options that say whether what is past or expired is meant."""
    return {"include_expired": "include-expired" in env.flags, "at": env.flags.get("at")}


def report_missing(env: Environment, scope: str, key: str) -> None:
    path = env.flags.get("path")
    inside = "" if path is None else f"with something at {path!r} "
    why = env.in_the_way.get((scope, key))
    env.note(f"kycli: no key {key!r} {inside}in scope {scope!r}{f': {why}' if why else ''}")


# Reading


def given_value(env: Environment, given: str) -> Any:
    """Return the value that an argument gives, read as the flags say.

    Only ``-`` stands for standard input: a value that is forgotten, or an empty variable,
    must not store what a loop of the shell is about to read.
    """
    encoded = env.choice("json", "b64")
    if given != "-":
        return read_text(env, given)
    # Lines of base64 are a third longer than what they stand for, and a little.
    data = env.read_input(1.5 if encoded == "b64" else 1)
    return read_text(env, data) if encoded else text_or_bytes(data)


def read_text(env: Environment, given: str | bytes) -> Any:
    """Return the value that a text stands for: itself, or with --json or --b64 what it encodes."""
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
        # What begins as JSON does is meant to be JSON, and only somewhere mistaken.
        text = given if isinstance(given, str) else given.decode(errors="replace")
        begins_so = text.lstrip()[:1] in tuple('{["-0123456789')
        if str(error).startswith("not JSON"):
            error.hint = None if begins_so else _JSON_HINT
        raise


def text_or_bytes(data: bytes) -> str | bytes:
    """Return bytes as text where they are UTF-8, else as they are."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data


# Printing


def plain(value: Any) -> bytes:
    """Return a value as people read it: text and bytes as they are, the rest as JSON."""
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
        alone: whether nothing else is printed, so that text may well be several lines.
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
