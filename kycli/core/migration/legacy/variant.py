"""The variants of old files, and how each keeps its values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

PICKLE, PLAIN, BLOB = "pickle", "plain", "blob"

COMPRESSED_FROM = 1024
"""Length in bytes from which on 0.4 compresses a text, unless a workspace says otherwise."""


@dataclass(frozen=True, slots=True)
class Variant:
    """How a file was written.

    Attributes:
        family: ``"pickle"``, ``"plain"`` or ``"blob"``.
        releases: which releases write it, as people say it: ``"0.1.7 or 0.1.8"``.
        is_json: values are JSON where they can be read as that, else they are all text.
        may_encrypt: single values may be encrypted.
        may_compress: single values may be compressed.
        compressed_from: length in bytes of a text, as it was, to be taken for compressed.
    """

    family: str
    releases: str
    is_json: bool = False
    may_encrypt: bool = False
    may_compress: bool = False
    compressed_from: int = COMPRESSED_FROM


PICKLED = Variant(PICKLE, "0.0.1")

UNKNOWN = Variant(PLAIN, "0.0.2 to 0.4")

BLOBBED = Variant(
    BLOB,
    "0.2 to 0.4",
    is_json=True,
    may_encrypt=True,
    may_compress=True,
)

# The tables of the plain databases. The search index and its triggers hold nothing of their
# own; the one column that came later is always the last.
KVSTORE = ("key", "value")
EXPIRES = "expires_at"
TABLES: Mapping[str, tuple[str, ...]] = {
    "audit_log": ("id", "key", "value", "timestamp"),
    "archive": ("id", "key", "value", "deleted_at"),
}

# Of the dumps. The last four columns of a queue came with 0.4.
DUMPED: Mapping[str, tuple[str, ...]] = {
    "kvstore": (*KVSTORE, EXPIRES),
    "audit_log": ("key", "value", "timestamp"),
    "archive": ("key", "value", "deleted_at"),
    "workspace_meta": ("key", "value"),
    "queue_items": (
        *("id", "value", "priority", "created_at"),
        *("available_at", "lease_until", "receipt_id", "attempts"),
    ),
}
QUEUE_BEFORE_0_4 = DUMPED["queue_items"][:4]


def of_plain(tables: set[str], expires: bool, indexed: bool) -> Variant:
    """Return the variant of a plain database.

    Parameters:
        tables: which of its tables there are.
        expires: whether keys can expire.
        indexed: whether the history has its index.
    """
    if expires:
        return Variant(PLAIN, "0.1.7 or 0.1.8", is_json=True, may_encrypt=True)
    if "archive" in tables:
        return Variant(PLAIN, "0.1.5 or 0.1.6", is_json=True)
    if "audit_log" in tables:
        return Variant(PLAIN, "0.1.2 to 0.1.4" if indexed else "0.0.4 to 0.1.1")
    return Variant(PLAIN, "0.0.2 or 0.0.3")


def of_blob(settings: Mapping[str, str], leases: bool) -> Variant:
    """Return the variant of a dump, by what it says of its workspace.

    Parameters:
        settings: the workspace's.
        leases: whether its queue items have the columns that came with 0.4.
    """
    if leases or not settings.keys() <= {"type"}:
        # 0.4 opens whatever can be opened; each workspace may set its own threshold.
        return replace(BLOBBED, releases="0.4", compressed_from=0)
    if settings:
        return replace(BLOBBED, releases="0.3 or 0.4")
    return BLOBBED
