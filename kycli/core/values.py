"""Lossless JSON: storing documents, printing them and parsing them.

JSON has no bytes and no NaN, so they are written as an object with one member, a *tag*:
``{"$base64": "aGk="}``, ``{"$float": "nan"}``. A value that an earlier KyCLI encrypted, and
that is not decrypted, is ``{"$opaque": "enc:…"}``. A document that looks like a tag is wrapped,
``{"$literal": {"$base64": "aGk="}}``, so that the encoding is unambiguous. Only ``str``,
``bytes``, ``int``, ``float``, ``bool``, ``None``, ``list`` and ``dict`` with text keys are
documents. Other types are refused, because they would not come back equal and of the same type.
"""

from __future__ import annotations

import base64
import json
import math
import sys
from json.encoder import encode_basestring
from typing import Any

from kycli.errors import CorruptError, InvalidValueError, StorageError, WrongTypeError

_TAGS = frozenset({"$base64", "$float", "$literal", "$opaque"})
_SPECIAL_FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}

# The recursion limit differs between releases of Python and callers, but all of them must be
# able to read what one of them wrote.
MAX_DEPTH = 200
"""The maximum nesting depth of lists and dicts in a document."""

_KINDS = "text, bytes, int, float, bool, None, and lists and dicts of these"


class Opaque:
    """A value that an earlier KyCLI encrypted, and that was migrated without its key.

    It can be copied, exported and deleted like any other value, but not read.

    Attributes:
        ciphertext: the stored text: ``enc:`` and base64.
    """

    __slots__ = ("ciphertext",)

    def __init__(self, ciphertext: str) -> None:
        self.ciphertext = ciphertext

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Opaque) and other.ciphertext == self.ciphertext

    def __hash__(self) -> int:
        return hash((Opaque, self.ciphertext))

    def __repr__(self) -> str:
        return f"Opaque({self.ciphertext!r})"


def _is_tag(document: dict[str, Any]) -> bool:
    return len(document) == 1 and not _TAGS.isdisjoint(document)


def _tagged(value: Any, depth: int = 0) -> Any:
    """Return ``value`` as plain JSON data, with tags for what JSON cannot express."""
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if kind is float:
        return value if math.isfinite(value) else {"$float": repr(value)}
    if kind is bytes:
        return {"$base64": base64.b64encode(value).decode()}
    if kind is Opaque:
        return {"$opaque": value.ciphertext}
    if depth == MAX_DEPTH and (kind is list or kind is dict):
        raise InvalidValueError(f"the document is nested more than {MAX_DEPTH} levels deep")
    if kind is list:
        return [_tagged(item, depth + 1) for item in value]
    if kind is dict:
        for key in value:
            if type(key) is not str:
                raise WrongTypeError(
                    f"a document's keys are text, not {type(key).__name__}",
                    hint="JSON would convert the key to text, so it would not come back equal",
                )
        plain = {key: _tagged(item, depth + 1) for key, item in value.items()}
        return {"$literal": plain} if _is_tag(plain) else plain
    raise unsupported(value)


def unsupported(value: Any) -> WrongTypeError:
    """Return the error for a value of an unsupported type."""
    return WrongTypeError(
        f"a value of type {type(value).__name__} cannot be stored", hint=f"a value is {_KINDS}"
    )


def _untagged(data: Any) -> Any:
    """Undo ``_tagged``."""
    if type(data) is list:
        return [_untagged(item) for item in data]
    if type(data) is not dict:
        return data
    if _is_tag(data):
        ((tag, content),) = data.items()
        if tag == "$literal" and type(content) is dict:
            return {key: _untagged(item) for key, item in content.items()}
        if tag == "$float" and type(content) is str and content in _SPECIAL_FLOATS:
            return _SPECIAL_FLOATS[content]
        if tag == "$base64" and type(content) is str:
            return decode_base64(content)
        if tag == "$opaque" and type(content) is str:
            return Opaque(content)
        raise InvalidValueError(
            f"{{{json.dumps(tag)}: …}} is not a valid {tag} tag",
            hint='wrap a document that only looks like a tag: {"$literal": {…}}',
        )
    return {key: _untagged(item) for key, item in data.items()}


def decode_base64(text: str | bytes) -> bytes:
    """Decode standard base64; white space is allowed, other characters are an error."""
    try:
        raw = text.encode("ascii") if isinstance(text, str) else text
        return base64.b64decode(b"".join(raw.split()), validate=True)
    except ValueError:
        raise InvalidValueError("not valid base64", hint="the padding is required") from None


def dumps(value: list[Any] | dict[str, Any]) -> str:
    """Return a document as compact JSON text, with its members in their order.

    Raises:
        WrongTypeError: when a part of it has a type that is not supported.
        InvalidValueError: when it is nested too deeply, or contains itself.
    """
    try:
        return json.dumps(_tagged(value), ensure_ascii=False, separators=(",", ":"))
    except InvalidValueError:
        raise
    except RecursionError:
        raise InvalidValueError("the document is nested too deeply") from None
    except ValueError as error:  # an int with more digits than Python prints
        raise InvalidValueError(f"the document cannot be stored: {error}") from None


def stored_document(text: Any) -> Any:
    """Return a document from its stored text.

    Plain SQL can write what is JSON for SQLite and not a document here: JSON5, a tag with wrong
    content, too many levels. That is returned as text.

    Raises:
        CorruptError: when the text is not a document.
        StorageError: when it contains an int with more digits than Python parses here.
    """
    try:
        return loads(text)
    except (InvalidValueError, json.JSONDecodeError, TypeError, RecursionError) as error:
        if isinstance(text, str) and text[:1] + text[-1:] in ("{}", "[]"):
            return text
        raise CorruptError(f"a stored document cannot be read: {error}") from error
    except ValueError:
        raise too_many_digits("a number in a stored document") from None


def too_many_digits(what: str) -> StorageError:
    """Return the error for a stored int that exceeds Python's limit on digits."""
    return StorageError(
        f"{what} has more than the {sys.get_int_max_str_digits()} digits that Python reads",
        hint="PYTHONINTMAXSTRDIGITS=0 in the environment lifts the limit",
    )


_SCAN = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
"""Reads a document from where it begins; ``json.loads`` does more, and takes twice as long."""


def loads(text: str) -> Any:
    """Return the document that ``dumps`` encoded."""
    try:
        document, end = _SCAN(text, 0)
        is_whole = end == len(text)
    except (StopIteration, TypeError):
        is_whole = False
    if not is_whole:
        document = json.loads(text)  # it has blanks around it, or is wrong
    return _untagged(document) if '"$' in text else document


def _refuse_constant(name: str) -> Any:
    raise InvalidValueError(
        f"{name} is not JSON", hint='write {"$float": "nan"}, "inf" or "-inf" in its place'
    )


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise InvalidValueError(f"the number {text} is too large")
    return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise InvalidValueError(f"the member {key!r} occurs twice in one object")
            seen.add(key)
    return document


DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite
)
"""Reads JSON from outside, with the tags as they are written."""


def scan_once(text: str, at: int) -> tuple[Any, int]:
    """Return what ``DECODER`` reads at a place of a text, and where it ends.

    Raises:
        StopIteration: with the place where a value is missing.
        json.JSONDecodeError: when it is no JSON, or its end is missing.
    """
    found: tuple[Any, int] = DECODER.scan_once(text, at)  # type: ignore[attr-defined]
    return found


def decoded(data: Any) -> Any:
    """Return the value that the output of ``DECODER`` represents."""
    return _untagged(data) if type(data) in (dict, list) else data


def parse(text: str | bytes) -> Any:
    """Return the value of a JSON text from outside.

    Parses everything that ``canonical`` prints. Stricter than ``json.loads``: NaN literals and
    duplicate members are errors.

    Raises:
        InvalidValueError: when the text is not JSON or not UTF-8, with the position.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        return decoded(DECODER.decode(text))
    except InvalidValueError:
        raise
    except json.JSONDecodeError as error:
        raise InvalidValueError(
            f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}",
            hint="text needs double quotes in JSON; leave --json out to store it as it is",
        ) from None
    except UnicodeDecodeError as error:
        raise InvalidValueError(f"not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise InvalidValueError("the document is nested too deeply") from None
    except ValueError as error:  # an int with more digits than Python parses
        raise InvalidValueError(f"not usable JSON: {error}") from None


def canonical(value: Any) -> str:
    """Return any value in canonical JSON (RFC 8785), with tags for what JSON cannot express.

    Members are sorted by UTF-16 code units, there is no white space, and numbers have the
    shortest digits that round-trip. The RFC has only doubles; to keep the stored type, an
    integral float keeps its ``.0`` and an int has all its digits.

    >>> canonical({"b": [1, 1.0, 1e21], "a": b"hi"})
    '{"a":{"$base64":"aGk="},"b":[1,1.0,1e+21]}'
    """
    try:
        text = "".join(_pieces(_tagged(value)))
        # Plain SQL can store half of a surrogate pair, which JSON can express but UTF-8 cannot.
        return text if text.isascii() else text.encode(errors="backslashreplace").decode()
    except InvalidValueError:
        raise
    except RecursionError:
        raise InvalidValueError("the document is nested too deeply") from None
    except ValueError as error:
        raise InvalidValueError(f"the value cannot be printed: {error}") from None


def _pieces(data: Any) -> list[str]:
    if data is None:
        return ["null"]
    if data is True:
        return ["true"]
    if data is False:
        return ["false"]
    if type(data) is str:
        return [encode_basestring(data)]
    if type(data) is int:
        return [repr(data)]
    if type(data) is float:
        return [_number(data)]
    pieces: list[str] = []
    if type(data) is list:
        if not data:
            return ["[]"]
        for item in data:
            pieces.append(",")
            pieces += _pieces(item)
        pieces[0] = "["
        pieces.append("]")
        return pieces
    if not data:
        return ["{}"]
    for key in sorted(data, key=lambda k: k.encode("utf-16-be", "surrogatepass")):
        pieces.append(",")
        pieces.append(encode_basestring(key))
        pieces.append(":")
        pieces += _pieces(data[key])
    pieces[0] = "{"
    pieces.append("}")
    return pieces


def _number(number: float) -> str:
    """Format a finite float as ECMAScript does, but an integral one with ``.0``.

    The digits are those of ``repr``, the shortest that round-trip, as in ECMAScript. Only the
    positions of point and exponent differ: see ECMA-262, Number::toString.
    """
    sign = "-" if math.copysign(1.0, number) < 0 else ""
    if number == 0:
        return sign + "0.0"
    mantissa, _, exponent = repr(abs(number)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        return f"{sign}{digits}{'0' * (point - count)}.0"
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    power = point - 1
    rest = f".{digits[1:]}" if count > 1 else ""
    return f"{sign}{digits[0]}{rest}e{'+' if power > 0 else '-'}{abs(power)}"
