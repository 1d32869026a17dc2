"""What somebody types to search, as a query of FTS5 that is always valid.

    error timeout            both words
    "connection refused"     a phrase
    err*                     words that begin so
    error OR warning         either; AND is implied, and binds tighter than OR
    error NOT debug          NOT excludes what follows it
    key:user                 only in the key; value: only in the value
    (a OR b) key:(c OR d)    groups

Operators are in capitals. What does not parse as such a query is searched as words, all of
which must occur; a word of several parts, like ``user.name`` or ``12:30``, is a phrase.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kycli.core.search.folding import words

# What FTS5 itself can take is some 100 levels, and far more words.
_DEPTH_MAX = 20
_WORDS_MAX = 1000

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<column>key|value):(?=[^\s)])
        | "(?P<phrase>(?:[^"]|"")*)"(?P<prefix>\*?)
        | (?P<bracket>[()])
        | (?P<word>[^\s()"]+)
    )""",
    re.VERBOSE,
)
_OPERATORS = ("AND", "OR", "NOT")


class _NoQueryError(Exception):
    """The text is none, by the rules of queries."""


def to_fts(query: str) -> str | None:
    """Return the FTS5 query for what somebody typed; None when it holds no word at all.

    >>> to_fts("key:err* NOT debug")
    '({key} : ("err" *) NOT "debug")'
    >>> to_fts('5" disk (broken')
    '("5" AND "disk" AND "broken")'
    """
    # What no file can store is in none.
    text = query.replace("\0", " ").encode("utf-8", "replace").decode()
    try:
        return _Parser(text).parse()
    except _NoQueryError:
        return _all(_words(text))


def _words(text: str) -> Iterator[str | None]:
    found = dict.fromkeys(re.findall(r'[^\s()"]+', text))
    for word in list(found)[:_WORDS_MAX]:
        yield _phrase(word.rstrip("*"), word.endswith("*"))


def _phrase(text: str, prefix: bool) -> str | None:
    """Return a text as a phrase, or None when there is no word in it."""
    quoted = " ".join(words(text))
    if not quoted:
        return None
    return f'"{quoted}" *' if prefix else f'"{quoted}"'


def _all(parts: Iterator[str | None] | list[str | None]) -> str | None:
    return _joined(" AND ", parts)


def _joined(operator: str, parts: Iterator[str | None] | list[str | None]) -> str | None:
    """Join what there is to search; parts without a word are as if they were not there."""
    some = [part for part in parts if part is not None]
    if not some:
        return None
    return some[0] if len(some) == 1 else f"({operator.join(some)})"


class _Parser:
    """Recursive descent: alternatives of sequences of terms."""

    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str, bool]] = []
        self.place = 0
        end = len(text.rstrip())
        position = 0
        while position < end:
            match = _TOKEN.match(text, position)
            if match is None:  # a quotation mark without its other half
                raise _NoQueryError
            position = match.end()
            kind = str(match.lastgroup)
            if kind == "prefix":
                kind = "phrase"
            token = match[kind]
            if kind == "word" and token in _OPERATORS:
                kind = token
            self.tokens.append((kind, token, bool(match["prefix"])))
        if len(self.tokens) > _WORDS_MAX:
            raise _NoQueryError

    def parse(self) -> str | None:
        found = self.alternatives(0)
        if self.place < len(self.tokens):
            raise _NoQueryError
        return found

    def next_is(self, *tokens: str) -> bool:
        if self.place == len(self.tokens):
            return False
        kind, token, _ = self.tokens[self.place]
        return (token if kind == "bracket" else kind) in tokens

    def alternatives(self, depth: int) -> str | None:
        if depth > _DEPTH_MAX:
            raise _NoQueryError
        parts = [self.sequence(depth)]
        while self.next_is("OR"):
            self.place += 1
            parts.append(self.sequence(depth))
        return _joined(" OR ", parts)

    def sequence(self, depth: int) -> str | None:
        wanted: list[str | None] = []
        excluded: list[str | None] = []
        first = True
        while first or not (self.place == len(self.tokens) or self.next_is("OR", ")")):
            joined = self.next_is("AND")
            self.place += joined
            negated = self.next_is("NOT")
            self.place += negated
            if first and (joined or negated):
                raise _NoQueryError
            (excluded if negated else wanted).append(self.term(depth))
            first = False
        found = _all(wanted)
        without = _joined(" OR ", excluded)
        return found if found is None or without is None else f"({found} NOT {without})"

    def term(self, depth: int) -> str | None:
        if self.place == len(self.tokens):
            raise _NoQueryError
        kind, token, prefix = self.tokens[self.place]
        self.place += 1
        if kind == "column":
            found = self.term(depth + 1) if depth < _DEPTH_MAX else None
            return None if found is None else f"{{{token}}} : ({found})"
        if kind == "phrase":
            return _phrase(token, prefix)
        if kind == "word":
            return _phrase(token.rstrip("*"), token.endswith("*"))
        if token != "(":
            raise _NoQueryError
        found = self.alternatives(depth + 1)
        if not self.next_is(")"):
            raise _NoQueryError
        self.place += 1
        return found
