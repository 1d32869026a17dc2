"""Reading what the releases from 0.0.1 to 0.4.0 left behind, without changing a byte of it.

Three families of files:

- ``pickle`` (0.0.1): a dict of texts.
- ``plain`` (0.0.2 to 0.1.8): an SQLite database, often with all its data in the ``-wal``.
- ``blob`` (0.2 to 0.4): a compressed dump in SQL, encrypted under a master key or not.

``identify`` says what a file is, ``find_defaults`` where the old programs kept theirs, and
``OldStore`` reads one, whatever it is, in bounded memory.

A value comes as the old release returned it. Where that is impossible the value is not
lost: what a key does not open is given as its ciphertext, and what no value of ours can
express as the text or the bytes that were stored.
"""

from kycli.core.migration.legacy.identify import Found, find_defaults, find_in, identify
from kycli.core.migration.legacy.store import Counts, Item, OldStore, holds_encrypted
from kycli.core.migration.legacy.values import (
    HOW_TO_GIVE_KEYS,
    Decoder,
    Keyring,
    is_ciphertext,
    keys_of,
)
from kycli.core.migration.legacy.variant import Variant

__all__ = [
    "identify",
    "find_defaults",
    "find_in",
    "holds_encrypted",
    "HOW_TO_GIVE_KEYS",
    "Found",
    "Variant",
    "OldStore",
    "Item",
    "Counts",
    "Decoder",
    "Keyring",
    "is_ciphertext",
    "keys_of",
]
