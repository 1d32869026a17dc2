"""The key of a document, where it is given in one text with a path.

SQLite is relied on for: ``json_each``, by which one statement looks for many keys.
"""

from __future__ import annotations

from kycli.core.layout import LIVE, VALUE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kycli.core.storage import Kycore

# ?4 holds the lengths of all names that may be the key.
_LONGEST_KEY = f"""
SELECT k.key, {VALUE}, k.kind, k.expires_at
FROM json_each(?4) p CROSS JOIN kvstore k
WHERE k.scope = ?2 AND k.key = substr(?3, 1, p.value) AND (?5 OR {LIVE})
ORDER BY p.value DESC LIMIT 1"""


def longest_key(
    store: Kycore, now: int, scope: str, text: str, lengths: list[int], include_expired: bool
) -> tuple[str, Any, int, int | None] | None:
    """Return the longest key that a text begins with: key, stored value, kind, expiry.

    Parameters:
        lengths: how many characters the key may have.
    """
    rows: list[tuple[str, Any, int, int | None]] = store._query(
        _LONGEST_KEY, (now, scope, text, str(lengths), include_expired)
    )
    return rows[0] if rows else None
