"""FTS5: parsed queries in its language, and indexes of texts in temporary databases.

SQLite is relied on for: FTS5 with the tokenizer of the search index, its ``highlight``, and
temporary databases, which go to the disk when they get large.
"""

from __future__ import annotations

from typing import Any

import apsw

from kycli.core.layout import KEY_WEIGHT, TOKENIZER
from kycli.core.search.queries import AllOf, AnyOf, InColumn, Phrase

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from kycli.core.search.queries import Query

MARK, UNMARK = "\x02", "\x03"
"""What stands before and after each match in a marked text."""

_ADD = "INSERT INTO fts (rowid, key, value) VALUES (?, ?, ?)"
_NAME = "INSERT INTO docs VALUES (?, ?, ?)"
_FIND = f"""
SELECT bm25(fts, {KEY_WEIGHT}, 1.0) AS score, docs.scope, docs.key
FROM fts (?1) CROSS JOIN docs ON docs.id = fts.rowid ORDER BY score LIMIT ?2"""
_MARKED = f"""
SELECT rowid, highlight(fts, 0, '{MARK}', '{UNMARK}'), highlight(fts, 1, '{MARK}', '{UNMARK}')
FROM fts (?)"""


def render(query: Query) -> str:
    """Return a parsed query in the language of FTS5.

    >>> render(AllOf((InColumn("key", Phrase(("a", "b"))), Phrase(("c",), prefix=True))))
    '({key} : ("a b") AND "c" *)'
    """
    if isinstance(query, Phrase):
        return f'"{" ".join(query.words)}"' + " *" * query.prefix
    if isinstance(query, InColumn):
        return f"{{{query.column}}} : ({render(query.query)})"
    if isinstance(query, AllOf):
        return f"({' AND '.join(map(render, query.parts))})"
    if isinstance(query, AnyOf):
        return f"({' OR '.join(map(render, query.parts))})"
    return f"({render(query.query)} NOT {render(query.excluded)})"


class TextIndex:
    """Folded texts of keys and values in an index of their own.

    Parameters:
        keep_texts: keep the texts, which ``marked`` needs.
    """

    def __init__(self, keep_texts: bool = False) -> None:
        self._database = apsw.Connection("")
        content = "" if keep_texts else "content = '', "
        self._database.execute(
            f'CREATE VIRTUAL TABLE fts USING fts5 (key, value, {content} tokenize = "{TOKENIZER}")'
        )

    def add(self, texts: Iterable[tuple[int, str, str]]) -> None:
        """Add texts: number, key and value."""
        with self._database:
            self._database.executemany(_ADD, texts)

    def add_keys(self, keys: Iterable[tuple[str, str, str, str]]) -> None:
        """Add the texts of keys, which ``find`` names: scope, key, text of the key and value."""
        with self._database:
            self._database.execute("CREATE TABLE docs (id INTEGER PRIMARY KEY, scope, key)")
            for number, (scope, key, key_text, text) in enumerate(keys):
                self._database.execute(_ADD, (number, key_text, text))
                self._database.execute(_NAME, (number, scope, key))

    def find(self, query: Query, most: int) -> list[tuple[Any, ...]]:
        """Return rank, scope and key of the best matches among ``add_keys``; -1 for all."""
        return self.query(_FIND, (render(query), most))

    def marked(self, query: Query) -> dict[int, tuple[str, str]]:
        """Return key and value of each text that matches, with the matches marked."""
        rows = self.query(_MARKED, (render(query),))
        return {number: (key, value) for number, key, value in rows}

    def query(self, sql: str, bindings: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Execute a statement on the index, which is called ``fts``."""
        rows: list[tuple[Any, ...]] = self._database.execute(sql, bindings).fetchall()
        return rows

    def close(self) -> None:
        self._database.close()
