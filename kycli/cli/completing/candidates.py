"""The candidates of a completion, and the state that it works with."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kycli.core.storage import Kycore

LIMIT = 200
"""The most candidates that are proposed."""

FILES = ("file", "directory")
"""The kinds of candidates that shells complete by themselves."""


class Candidate:
    """A word that may stand where the cursor is.

    Attributes:
        text: the whole word, as the command gets it: nothing in it is quoted or escaped.
        kind: ``command``, ``flag``, ``value`` (of a flag), ``scope``, ``key``, ``keys`` (the
            beginning of several), ``path`` (into a value), ``file`` or ``directory``.
        description: a few words, or "".
        partial: whether the word goes on, so that no blank belongs behind it.
    """

    __slots__ = ("description", "kind", "partial", "text")

    def __init__(self, text: str, kind: str, description: str = "", partial: bool = False) -> None:
        self.text = text
        self.kind = kind
        self.description = description
        self.partial = partial

    def __repr__(self) -> str:
        more = "…" if self.partial else ""
        return f"<{self.kind} {self.text!r}{more} {self.description!r}>"

    def after(self, head: str) -> Candidate:
        """Return this candidate as the rest of a word that begins with ``head``."""
        return Candidate(head + self.text, self.kind, self.description, self.partial)


class Surroundings:
    """Where a command line is completed. Each part is asked for only when it is needed.

    Parameters:
        scope: returns the current scope, without flags.
        delimiter: returns what separates the parts of an address.
        store: takes the value of ``--db``, or None; returns the store to read, or None if there
            is none. Completion only reads.
    """

    __slots__ = ("delimiter", "scope", "store")

    def __init__(
        self,
        scope: Callable[[], str],
        delimiter: Callable[[], str],
        store: Callable[[str | None], Kycore | None],
    ) -> None:
        self.scope = scope
        self.delimiter = delimiter
        self.store = store


def matching(
    texts: Iterable[str], current: str, kind: str = "value", description: str = ""
) -> list[Candidate]:
    """Return those texts as candidates that begin with what was typed."""
    return [Candidate(text, kind, description) for text in texts if text.startswith(current)]
