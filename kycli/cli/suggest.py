"""Suggestions for misspelt names."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


# Names that other programs use -> the name here.
_SYNONYMS = {
    "rm": "del",
    "put": "set",
    "list": "keys",
    "list-keys": "keys",
    "show": "get",
}


def nearest(word: str, known: Iterable[str], prefix: str = "") -> str:
    """Return ``did you mean …?`` with up to three names like ``word``, or "".

    Parameters:
        prefix: what is printed before each name.
    """
    import difflib

    known = list(known)
    word = word.lower()
    if _SYNONYMS.get(word) in known:
        return f"did you mean {prefix}{_SYNONYMS[word]}?"
    near = difflib.get_close_matches(word, known, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(prefix + name for name in near)}?" if near else ""
