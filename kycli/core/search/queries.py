"""Parsing search queries. Any text is a valid query.

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
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from kycli.core.search.folding import words

# FTS5 takes some 100 levels, and far more words.
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


class Phrase(NamedTuple):
    """Words that follow each other, folded; with ``prefix`` the last may be longer."""

    words: tuple[str, ...]
    prefix: bool = False


class InColumn(NamedTuple):
    """A query that only the ``key``, or only the ``value``, has to match."""

    column: str
    query: Query


class AllOf(NamedTuple):
    """Queries all of which match."""

    parts: tuple[Query, ...]


class AnyOf(NamedTuple):
    """Queries of which at least one matches."""

    parts: tuple[Query, ...]


class Without(NamedTuple):
    """A query that matches, and another one that does not."""

    query: Query
    excluded: Query


Query: TypeAlias = "Phrase | InColumn | AllOf | AnyOf | Without"


class _NoQueryError(Exception):
    """The text is none, by the rules of queries."""


def parse(query: str) -> Query | None:
    """Parse a query; return None if it has no words.

    >>> parse("key:err*")
    InColumn(column='key', query=Phrase(words=('err',), prefix=True))
    >>> parse('5" disk')
    AllOf(parts=(Phrase(words=('5',), prefix=False), Phrase(words=('disk',), prefix=False)))
    """
    # What no file can store is in none.
    text = query.replace("\0", " ").encode("utf-8", "replace").decode()
    try:
        return _Parser(text).parse()
    except _NoQueryError:
        found = dict.fromkeys(re.findall(r'[^\s()"]+', text))
        return _joined(AllOf, map(_word, list(found)[:_WORDS_MAX]))


def _word(text: str) -> Phrase | None:
    return _phrase(text.rstrip("*"), text.endswith("*"))


def _phrase(text: str, prefix: bool) -> Phrase | None:
    """Return a text as a phrase, or None when there is no word in it."""
    found = words(text)
    return Phrase(tuple(found), prefix) if found else None


def _joined(kind: type[AllOf | AnyOf], parts: Iterable[Query | None]) -> Query | None:
    """Join queries; parts without a word are as if they were not there."""
    some = tuple(part for part in parts if part is not None)
    if not some:
        return None
    return some[0] if len(some) == 1 else kind(some)


class _Parser:
    """Recursive descent: alternatives of sequences of terms."""

    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str, bool]] = []
        self.position = 0
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

    def parse(self) -> Query | None:
        found = self.alternatives(0)
        if self.position < len(self.tokens):
            raise _NoQueryError
        return found

    def next_is(self, *tokens: str) -> bool:
        if self.position == len(self.tokens):
            return False
        kind, token, _ = self.tokens[self.position]
        return (token if kind == "bracket" else kind) in tokens

    def alternatives(self, depth: int) -> Query | None:
        if depth > _DEPTH_MAX:
            raise _NoQueryError
        parts = [self.sequence(depth)]
        while self.next_is("OR"):
            self.position += 1
            parts.append(self.sequence(depth))
        return _joined(AnyOf, parts)

    def sequence(self, depth: int) -> Query | None:
        wanted: list[Query | None] = []
        excluded: list[Query | None] = []
        first = True
        while first or not (self.position == len(self.tokens) or self.next_is("OR", ")")):
            joined = self.next_is("AND")
            self.position += joined
            negated = self.next_is("NOT")
            self.position += negated
            if first and (joined or negated):
                raise _NoQueryError
            (excluded if negated else wanted).append(self.term(depth))
            first = False
        found = _joined(AllOf, wanted)
        without = _joined(AnyOf, excluded)
        return found if found is None or without is None else Without(found, without)

    def term(self, depth: int) -> Query | None:
        if self.position == len(self.tokens):
            raise _NoQueryError
        kind, token, prefix = self.tokens[self.position]
        self.position += 1
        if kind == "column":
            found = self.term(depth + 1) if depth < _DEPTH_MAX else None
            return None if found is None else InColumn(token, found)
        if kind == "phrase":
            return _phrase(token, prefix)
        if kind == "word":
            return _word(token)
        if token != "(":
            raise _NoQueryError
        found = self.alternatives(depth + 1)
        if not self.next_is(")"):
            raise _NoQueryError
        self.position += 1
        return found
