"""Which kinds of values a range of keys has, and whether keys expire, without reading values."""

from __future__ import annotations

from typing import NamedTuple

from kycli.core.codec import check_scope, range_of
from kycli.core.layout import BIGINT, BOOL, BYTES, FLOAT, INT, JSON, NONE, OPAQUE, TEXT
from kycli.core.sql import rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kycli.core.storage import Kycore

_NAMES = {
    TEXT: "text",
    BYTES: "bytes",
    INT: "int",
    BIGINT: "int",
    FLOAT: "float",
    BOOL: "bool",
    NONE: "null",
    JSON: "json",
    OPAQUE: "opaque",
}


class Traits(NamedTuple):
    """What there is among some keys.

    Attributes:
        types: of the values: ``text``, ``bytes``, ``int``, ``float``, ``bool``, ``null``,
            ``json``, or ``opaque`` for what an earlier KyCLI encrypted.
        expires: whether some key expires.
    """

    types: frozenset[str]
    expires: bool


def traits(store: Kycore, prefix: str | None, scope: str | None) -> Traits:
    """Return what there is among the keys of a scope that begin with a prefix."""
    scope = store.scope if scope is None else check_scope(scope)
    found = rows.traits(store, scope, *range_of(prefix))
    return Traits(
        frozenset(_NAMES.get(kind, "opaque") for kind, _ in found), any(row[1] for row in found)
    )
