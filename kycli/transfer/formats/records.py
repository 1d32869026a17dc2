"""JSON records: the meaning of their members."""

from __future__ import annotations

import codecs
import json
import math
from typing import Any

from kycli.errors import FormatError, UsageError
from kycli.transfer.formats.text_lines import encoded
from kycli.transfer.formats.typed import changed_at
from kycli.transfer.reading import ReadOptions, Row, missing_column

OURS = frozenset({"key", "value", "scope", "expires_at", "version", "updated_at"})
MARKS = ("_line", "_reason")


class Members:
    """Makes rows of records: ``{"key": …, "value": …}``, or ``[key, value]``."""

    def __init__(self, options: ReadOptions) -> None:
        self.names_columns = options.names_columns
        self.key = options.key_column or "key"
        self.value = options.value_column or "value"
        self.scope = options.scope_column
        self.columns = options.columns
        self.time = options.time_column or "updated_at"
        self.names_time = options.time_column is not None
        self.ours = OURS | {self.time}
        if options.columns and options.value_column:
            raise UsageError("--columns and --value-column exclude each other")

    def row(self, data: Any) -> Row:
        """Return the row that a record stands for.

        Raises:
            FormatError: when it stands for none.
        """
        if type(data) is list:
            if len(data) != 2:
                raise FormatError(f"a list of {len(data)} items is no pair of key and value")
            return _key(data[0]), data[1]
        if type(data) is not dict:
            raise FormatError("neither an object nor a pair of key and value")
        if self.names_columns:
            return self._by_options(data)
        if "_line" in data:
            data = {name: item for name, item in data.items() if name not in MARKS}
        try:
            key, value = data["key"], data["value"]
        except KeyError as error:
            raise missing_column(str(error.args[0]), list(data), "member") from None
        if len(data) == 2 and not self.names_time:
            return _key(key), value
        if self.names_time and self.time not in data:
            raise missing_column(self.time, list(data), "member")
        unknown = data.keys() - self.ours
        if unknown:
            raise FormatError(
                f"the member {min(unknown)!r} is neither key nor value",
                hint="--value-column NAME imports one member, --columns '*' gathers them",
            )
        return (
            *(_key(key), value),
            _text(data.get("scope"), "scope"),
            _expiry(data),
            changed_at(data.get(self.time)),
        )

    def _by_options(self, data: dict[str, Any]) -> Row:
        try:
            key = data[self.key]
            scope = None if self.scope is None else _text(data[self.scope], self.scope)
            time = changed_at(data[self.time]) if self.names_time else None
            value: Any
            if self.columns == ("*",):
                taken = (self.key, self.scope, *MARKS, *((self.time,) if self.names_time else ()))
                value = {name: item for name, item in data.items() if name not in taken}
            elif self.columns:
                value = {name: data[name] for name in self.columns}
            else:
                value = data[self.value]
        except KeyError as error:
            raise missing_column(str(error.args[0]), list(data), "member") from None
        return _key(key), value, scope, None, time


def reject(data: Any, text: str, line: int, reason: str) -> str:
    """Return a record with why it was rejected, such that an import ignores that.

    Parameters:
        data: the record as ``DECODER`` reads it, or None when it could not be read.
        text: what it is instead.
    """
    if type(data) is list and len(data) == 2:
        data = {"key": data[0], "value": data[1]}
    elif type(data) is not dict:
        data = {"_text": text}
    # Tags stay as they are: one that is wrong must not become the document that it looks like.
    return json.dumps({**data, "_line": line, "_reason": reason}, ensure_ascii=False)


def encoded_json(text: str, encoding: str | None, *, is_start: bool) -> bytes:
    """Return JSON in the encoding of an input; what that has no bytes for is escaped."""
    return encoded(text, encoding, "kycli-json", is_start=is_start)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


codecs.register_error("kycli-json", _escaped)


def _key(key: Any) -> str:
    if type(key) is str:
        return key
    if type(key) is int:  # an id
        return str(key)
    raise FormatError(f"the key is of type {type(key).__name__}, not text")


def _text(given: Any, name: str) -> str | None:
    if given is None or type(given) is str:
        return given
    raise FormatError(f"{name} is of type {type(given).__name__}, not text")


def _expiry(data: dict[str, Any]) -> float | None:
    """Return when a key expires; null stands for never."""
    if "expires_at" not in data:
        return None
    given = data["expires_at"]
    if given is None:
        return math.inf
    if type(given) is int and 0 <= given < 1 << 62:
        return given
    raise FormatError("expires_at is not milliseconds since the epoch")
