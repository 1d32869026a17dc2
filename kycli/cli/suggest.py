"""What somebody may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], prefix: str = "") -> str:
    """Return ``did you mean …?`` with up to three names like ``word``, or "".

    Parameters:
        prefix: what is written before each name, and says nothing about likeness.
    """
    near = difflib.get_close_matches(word, list(known), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(prefix + name for name in near)}?" if near else ""
