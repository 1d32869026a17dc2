"""Patterns that keys are listed by: regular expressions and shell patterns, in linear time.

The engine is RE2. Matching takes time linear in the length of the key, so a hostile pattern,
such as ``(a+)+$``, does no harm; in exchange there are no backreferences and no lookaround.
Python's ``re`` was rejected because it can take exponential time.

RE2 also returns a lower and an upper bound of all matches, for any pattern, including
alternatives, flags and escapes. They are the range of the primary key to read, so we need no
analysis of our own. A pattern that only means "begins with this text" does not load RE2.
"""

from __future__ import annotations

from kycli.core.codec import upper_bound
from kycli.errors import InvalidKeyError, MisuseError, WrongTypeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Selection = tuple[str, str | bytes, Callable[[str], object] | None]

_SPECIAL = frozenset("\\^$.|?*+()[]{}")
_SPECIAL_IN_GLOB = frozenset("\\*?[")
_RANGE_BYTES = 256
"""How much of the least and the greatest match RE2 works out."""

_PATTERN_BYTES = 1 << 15
_PROGRAM_BYTES = 1 << 21
"""The longest pattern, and the most memory for what RE2 compiles it to.

RE2 takes quadratic time to compile some patterns, such as ``a?a?a?…``, and matching a key
takes time in proportion to what came of it: 1,000 bytes of ``a{1,1000}a{1,1000}…`` kept it
compiling for minutes.
"""

_HINT = "patterns are regular expressions of RE2; use a prefix for literal text"
_NOT_LINEAR = (*("(?=", "(?!", "(?<", "(?P", "\\k", "\\g"), *(f"\\{n}" for n in range(1, 10)))
_UNSUPPORTED = "patterns run in linear time, which leaves out backreferences and lookaround"


def select(pattern: str | None, glob: str | None) -> Selection:
    """Return ``(first, past, matches)`` for a pattern, of one kind or the other.

    All keys that match are at least ``first`` and less than ``past``, which is ``b""``
    where there is no end. ``matches`` tells which of these do, or is None when all do.

    Parameters:
        pattern: a regular expression that a key matches from its start.
        glob: a shell pattern that a key matches as a whole.

    Raises:
        InvalidKeyError: when it is no pattern, or one that RE2 does not support.
        MisuseError: when both are given.
    """
    if pattern is not None and glob is not None:
        raise MisuseError("a pattern and a glob exclude each other")
    text = glob if pattern is None else pattern
    if not isinstance(text, str):
        raise WrongTypeError(f"a pattern is text, not {type(text).__name__}")
    text = str.__str__(text)  # exactly, also for a member of a StrEnum
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidKeyError(f"the pattern {text!r} is not valid text") from None
    if size > _PATTERN_BYTES:
        raise InvalidKeyError(
            f"the pattern {text[:24]!r}… has {size:,} bytes",
            hint=f"a pattern has at most {_PATTERN_BYTES:,} bytes, and a key 4,096",
        )
    prefix = _literal_of_glob(text) if pattern is None else _literal_of(text)
    if prefix is not None:
        return prefix, upper_bound(prefix), None
    return _compiled(_from_glob(text) if pattern is None else text, text)


def _literal_of(pattern: str) -> str | None:
    """Return the prefix that a regular expression stands for, if that is all it says."""
    body = pattern.removeprefix("^")
    if body.endswith(".*") and not body.endswith("\\.*"):
        body = body[:-2]
    pieces = body.split("\\.")
    return ".".join(pieces) if all(map(_SPECIAL.isdisjoint, pieces)) else None


def _literal_of_glob(glob: str) -> str | None:
    body = glob.rstrip("*")
    return body if body != glob and _SPECIAL_IN_GLOB.isdisjoint(body) else None


def _compiled(expression: str, shown: str) -> Selection:
    import re2

    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = _PROGRAM_BYTES
    try:
        matches = re2.compile(expression, options).match
    except re2.error as error:
        raise _bad_pattern(shown, error.args[0]) from None
    try:
        # With all that may follow, since a match need not reach the end of the key.
        whole = re2.compile(f"(?:{expression})(?s:.*)", options)
        least, greatest = whole.possiblematchrange(_RANGE_BYTES)
    except re2.error:  # too large, or a \Q without its \E
        return "", b"", matches
    # RE2's bounds may end within a character, or hold what is none. What comes before
    # that is a bound, too, if every text that begins with it is within.
    first, _ = _text_at_start(least)
    last, is_whole = _text_at_start(greatest)
    return first, last + "\0" if is_whole else upper_bound(last), matches


def _text_at_start(data: bytes) -> tuple[str, bool]:
    """Return what is valid UTF-8 at the start of ``data``, and whether that is all."""
    try:
        return data.decode(), True
    except UnicodeDecodeError as error:
        return data[: error.start].decode(), False


def _bad_pattern(shown: str, reason: bytes | str) -> InvalidKeyError:
    if isinstance(reason, bytes):
        reason = reason.decode(errors="replace")
    what = reason.rpartition(": ")[2]
    if what == "\\Z":
        hint = "the end of the key is written \\z, or $"
    elif what.startswith(_NOT_LINEAR):
        hint = _UNSUPPORTED
    else:
        hint = _HINT
    return InvalidKeyError(f"bad pattern {shown!r}: {reason}", hint=hint)


def _from_glob(glob: str) -> str:
    """Return the regular expression for a shell pattern: ``*``, ``?``, ``[a-z]``, ``[!a-z]``.

    As in a shell, a backslash takes the meaning from what follows it, and a bracket that
    is never closed is one. ``*`` matches any text; there are no directories in a key.
    """
    parts = []
    at = 0
    may_close = True  # where one bracket is never closed, those behind it are not either
    while at < len(glob):
        character = glob[at]
        at += 1
        if character == "*":
            parts.append("(?s:.*)")
            while glob[at : at + 1] == "*":
                at += 1
        elif character == "?":
            parts.append("(?s:.)")
        elif character == "[" and may_close:
            members, at = _class_of_glob(glob, at)
            may_close = members != ""
            parts.append(members or _quoted(character))
        else:
            if character == "\\" and at < len(glob):
                character = glob[at]
                at += 1
            parts.append(_quoted(character))
    return "".join(parts) + "\\z"


def _class_of_glob(glob: str, at: int) -> tuple[str, int]:
    """Return the class that begins behind a bracket, or "", and the position behind it."""
    start = at
    negated = glob[at : at + 1] in ("!", "^")
    at += negated
    members: list[str] = []
    empty = ""
    is_first = True
    while at < len(glob):
        if glob[at] == "]" and not is_first:
            if empty:
                raise InvalidKeyError(f"bad pattern {glob!r}: the range {empty} is empty")
            return f"[{'^' * negated}{''.join(members)}]", at + 1
        is_first = False
        low, at = _member(glob, at)
        high = low
        if glob[at : at + 1] == "-" and glob[at + 1 : at + 2] not in ("", "]"):
            high, at = _member(glob, at + 1)
        if low > high:
            empty = empty or f"{low}-{high}"
        members.append(f"{_quoted(low)}-{_quoted(high)}")
    return "", start


def _member(glob: str, at: int) -> tuple[str, int]:
    """Return one character of a class, which may be escaped, and the position behind it."""
    if glob[at] == "\\" and at + 1 < len(glob):
        at += 1
    return glob[at], at + 1


def _quoted(character: str) -> str:
    return character if character.isalnum() else f"\\x{{{ord(character):x}}}"
