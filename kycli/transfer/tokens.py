"""ProntoDB's stream of tokens: ``meta:path=project.namespace; key=value; key__context=value;``.

A token is a name, ``=`` and a value, up to the next ``;``. Blanks around these are dropped. In
double quotes a name or value may hold anything, with ``\\"``, ``\\\\``, ``\\n``, ``\\r`` and
``\\t``. Names that begin with ``meta:`` set the scope and the lifetime of the keys that follow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from kycli.address import check_delimiter
from kycli.core.durations import parse_ttl
from kycli.core.names import DEFAULT, check_name, join_scope, split_scope
from kycli.core.operations.importing import NOTHING, Imported
from kycli.errors import ConflictError, FormatError, InputError, KycliError, WrongTypeError

if TYPE_CHECKING:
    from kycli.core.storage import Kycore

_META = "meta:"
_DIRECTIVES = "path (ns), project, namespace, delim, ttl"
_SPACE = re.compile(r"\s*")
_BETWEEN = re.compile(r"[\s;]*")
_NAME = re.compile(r"[^;=]*")
_VALUE = re.compile(r"[^;]*")
_QUOTED = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.S)
_ESCAPE = re.compile(r"\\(.)", re.S)
_ESCAPED = {'"': '"', "\\": "\\", "n": "\n", "r": "\r", "t": "\t"}
_ROW_ERRORS = (InputError, WrongTypeError, ConflictError)


class Token(NamedTuple):
    """A key to save; and which token of the input it is, and where that begins."""

    key: str
    value: str
    number: int
    start: int


class Run(NamedTuple):
    """Tokens in a row that go to the same scope and live as long."""

    ttl: str | None
    tokens: list[Token]


class Tokens:
    """What a stream says, read to its end before anything is saved.

    Parameters:
        data: the stream.
        scope: where keys go before the stream names a scope.
        delimiter: of paths, before the stream names another one. A key holds none.

    Attributes:
        runs: by scope, in the order in which they are named first.
        has_credentials: whether there are tokens ``meta:sec:…``, which mean nothing here.

    Raises:
        FormatError: naming the token, the line and the column.
    """

    def __init__(self, data: bytes, scope: str, delimiter: str) -> None:
        self.runs: dict[str, list[Run]] = {}
        self.has_credentials = False
        self._text = _decoded(data)
        self._scope = scope
        self._delimiter = delimiter
        self._ttl: str | None = None
        for name, value, number, start, is_plain in self._split():
            try:
                if is_plain and name.startswith(_META):
                    self._direct(name.removeprefix(_META), value)
                else:
                    self._add(Token(name, value, number, start))
            except KycliError as error:
                raise self.located(error, number, start) from None

    def located(self, error: KycliError, number: int, start: int) -> KycliError:
        """Have an error say which token it is about, and where that is."""
        line = self._text.count("\n", 0, start) + 1
        column = start - self._text.rfind("\n", 0, start)
        error.args = (f"token {number} (line {line}, column {column}): {error}",)
        return error

    def _split(self) -> Iterator[tuple[str, str, int, int, bool]]:
        """Yield each token: name, value, number, where it begins, whether the name is unquoted."""
        text = self._text
        number = 0
        position = _end(_BETWEEN, text, 0)
        while position < len(text):
            number += 1
            start = position
            try:
                is_plain = text[position] != '"'
                name, position = self._field(_NAME, position)
                if text[position : position + 1] != "=":
                    what = "no '=' after the key" if name else "no key"
                    raise FormatError(f"{what} {name!r}" if name else what, hint=_FORM)
                if not name:
                    raise FormatError("no key before '='", hint=_FORM)
                value, position = self._field(_VALUE, _end(_SPACE, text, position + 1))
                if text[position : position + 1] not in ("", ";"):
                    raise FormatError("text after the closing quote of the value", hint=_QUOTES)
            except FormatError as error:
                raise self.located(error, number, start) from None
            yield name, value, number, start, is_plain
            position = _end(_BETWEEN, text, position)

    def _field(self, pattern: re.Pattern[str], position: int) -> tuple[str, int]:
        """Return a name or value, quoted or not, and where what follows it begins."""
        if self._text[position : position + 1] != '"':
            end = _end(pattern, self._text, position)
            return self._text[position:end].strip(), end
        found = _QUOTED.match(self._text, position)
        if found is None:
            raise FormatError("a quote is not closed", hint=_QUOTES)
        return _ESCAPE.sub(_unescaped, found[1]), _end(_SPACE, self._text, found.end())

    def _direct(self, name: str, value: str) -> None:
        """Follow a directive, for the keys after it."""
        if name in ("path", "ns"):
            self._scope = self._scope_at(value)
        elif name == "project":
            self._scope = join_scope(check_name(value, "project"), DEFAULT)
        elif name == "namespace":
            project, _ = split_scope(self._scope)
            self._scope = join_scope(project, check_name(value, "namespace"))
        elif name == "delim":
            self._delimiter = check_delimiter(value)
        elif name == "ttl":
            if value:
                parse_ttl(value)
            self._ttl = value or None
        elif name.startswith("sec:"):
            self.has_credentials = True
        else:
            raise FormatError(
                f"unknown directive {_META + name!r}",
                hint=f'there are {_DIRECTIVES}; a key of that name goes in quotes: "meta:…"=value',
            )

    def _scope_at(self, path: str) -> str:
        names = path.split(self._delimiter)
        if len(names) > 2:
            raise FormatError(
                f"the path {path!r} has {len(names)} parts",
                hint=f"a path is project{self._delimiter}namespace, or project",
            )
        namespace = check_name(names[1], "namespace") if len(names) == 2 else DEFAULT
        return join_scope(check_name(names[0], "project"), namespace)

    def _add(self, token: Token) -> None:
        if self._delimiter in token.key:
            free = next((char for char in "|/:,%@" if char not in token.key), None)
            raise FormatError(
                f"the key {token.key!r} contains the delimiter {self._delimiter!r}",
                hint=f"meta:delim={free}; before it chooses another one" if free else None,
            )
        runs = self.runs.setdefault(self._scope, [])
        if not runs or runs[-1].ttl != self._ttl:
            runs.append(Run(self._ttl, []))
        runs[-1].tokens.append(token)


def save(store: Kycore, tokens: Tokens, scope: str, source: str) -> Imported:
    """Save the keys of one scope, all of them or none.

    Raises:
        As ``Kycore.import_rows``, naming the token, the line and the column.
    """
    done = NOTHING
    token: Token | None = None

    def rows(run: Run) -> Iterator[tuple[str, str]]:
        nonlocal token
        for token in run.tokens:
            yield token[:2]

    try:
        with store.transaction():
            for run in tokens.runs[scope]:
                token = run.tokens[0]
                saved = store.import_rows(rows(run), scope=scope, ttl=run.ttl, source=source)
                done = done.plus(saved)
    except _ROW_ERRORS as error:
        assert token is not None
        raise tokens.located(error, token.number, token.start) from None
    return done


_FORM = "a token is key=value; or meta:path=project.namespace;"
_QUOTES = 'in quotes, \\" is a quote and \\\\ a backslash: key="a; \\"b\\"";'


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    """Return where what a pattern matches ends; these match anything, and be it nothing."""
    found = pattern.match(text, position)
    assert found is not None
    return found.end()


def _unescaped(found: re.Match[str]) -> str:
    if found[1] not in _ESCAPED:
        raise FormatError(f"unknown escape {found[0]!r}", hint='there are \\" \\\\ \\n \\r \\t')
    return _ESCAPED[found[1]]


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise FormatError(f"not UTF-8, at line {line}, byte {column}") from None
