"""Values as the contents of files, and back."""

from __future__ import annotations

import json
from typing import Any

from kycli.core.values import canonical, dumps, parse
from kycli.errors import FormatError, InputError


def content_of(value: Any) -> tuple[bytes, str]:
    """Return what a file holds for a value, and the type that the manifest says.

    Text and bytes are as they are. Everything else is JSON and ends in a newline; documents are
    indented, with their members in their order.
    """
    kind = type(value)
    if kind is str:
        return value.encode(), ""
    if kind is bytes:
        return value, "bytes"
    if kind in (list, dict) and value:
        text = json.dumps(json.loads(dumps(value)), ensure_ascii=False, indent=2)
    else:
        text = canonical(value)
    # Half of a surrogate pair, which plain SQL can store, has no UTF-8.
    return f"{text}\n".encode(errors="backslashreplace"), "json"


def value_of(content: bytes, type: str, name: str) -> Any:
    """Return the value that a file holds.

    Parameters:
        type: as the manifest says, "" where it does not know the file.
        name: of the file, for messages.

    Raises:
        FormatError: when it should be JSON and is not.
    """
    if type == "bytes":
        return content
    if type == "json":
        try:
            return parse(content)
        except InputError as error:
            raise FormatError(
                f"{name}: {error}",
                hint="its value is JSON: mend the file, or remove it to leave the key as it is",
            ) from None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content
