"""Decoding the bytes of an old value: JSON or text, encrypted, compressed.

The encoding depends on the release, and some values are ambiguous:

- To 0.1.4 all values are text. From 0.1.5 on a value is whatever ``json.loads`` makes of
  it, and text where that fails; so ``"42"`` and 42 are the same bytes and came back as the
  number, whatever was saved.
- From 0.1.7 on ``enc:`` and base64 is AES-256-GCM. Text that only begins like that, and is
  no base64 or too short to be a ciphertext, is the user's own.
- In 0.4 ``cmp:zlib:`` and base64 is a long text, compressed. A dump does not say which
  release wrote it, so where nothing else tells, only what is really compressed and long
  enough to be is taken for it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zlib
from collections.abc import Sequence
from typing import Any, Final

from kycli.core.codec import encode
from kycli.core.layout import BYTES, NONE, TEXT
from kycli.core.migration.legacy.variant import Variant
from kycli.errors import MasterKeyError, MissingLibraryError

HOW_TO_GIVE_KEYS: Final = "give it in KYCLI_MASTER_KEY; several keys, one a line"

_ENCRYPTED: Final = "enc:"
_COMPRESSED: Final = "cmp:zlib:"
_NONCE, _TAG = 12, 16

# Fixed in all releases from 0.1.7 on.
_SALT, _ITERATIONS = b"kycli_vault_salt", 100_000

# What the first character of a JSON text can be, blanks left out; Python's own additions
# (NaN, Infinity) are among them.
_JSON_STARTS: Final = frozenset('"-0123456789[{tfnNI \t\n\r')


def _ciphertext(text: str) -> bytes | None:
    """Return nonce, ciphertext and tag of a text that is an encrypted value, or None."""
    if not text.startswith(_ENCRYPTED):
        return None
    try:
        sealed = base64.b64decode(text[len(_ENCRYPTED) :], validate=True)
    except (binascii.Error, ValueError):
        return None
    return sealed if len(sealed) >= _NONCE + _TAG else None


def is_ciphertext(text: str) -> bool:
    """Whether a stored text has the form of a value that a release encrypted."""
    return _ciphertext(text) is not None


def keys_of(text: str) -> list[str]:
    """Return the master keys that a text gives: all of it, and each of its lines.

    Nothing keeps a key from having several lines, so the whole text is one of them.
    """
    lines = [line for line in text.splitlines() if line]
    return lines if lines == [text] else [text, *lines]


class Keyring:
    """The keys made of one or more master keys, each when it is first needed.

    Parameters:
        master_keys: as the user knows them. A file whose key was changed may need two.
    """

    def __init__(self, master_keys: str | Sequence[str] | None = None) -> None:
        if isinstance(master_keys, str):
            master_keys = [master_keys]
        # The old programs took an empty key for none.
        self._waiting = [key for key in master_keys or () if key]
        self._keys: list[bytes] = []
        self._ciphers: list[Any] = []

    def __bool__(self) -> bool:
        return bool(self._waiting or self._keys)

    @property
    def refused(self) -> str:
        """The beginning of a sentence that no key fits: ``none of the master keys opens``."""
        several = len(self._waiting) + len(self._keys) > 1
        return "none of the master keys opens" if several else "the master key does not open"

    def _all(self) -> list[bytes]:
        while self._waiting:
            try:
                secret = self._waiting[0].encode()
            except UnicodeEncodeError:
                raise MasterKeyError("the master key is not valid text") from None
            self._keys.append(hashlib.pbkdf2_hmac("sha256", secret, _SALT, _ITERATIONS))
            del self._waiting[0]
        return self._keys

    def open(self, text: str) -> str | None:
        """Return what an encrypted value holds, or None when no key opens it."""
        sealed = _ciphertext(text)
        if sealed is None or not self:
            return None
        library = _library()
        if not self._ciphers:
            self._ciphers = [library.AESGCM(key) for key in self._all()]
        for cipher in self._ciphers:
            try:
                plain: bytes = cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], None)
                return plain.decode()
            except (library.InvalidTag, UnicodeDecodeError):
                continue
        return None

    def fits(self, decryptor: Any) -> bool:
        """Whether a decryptor has been given all of a file that its key is for."""
        try:
            decryptor.finalize()
        except _library().InvalidTag:
            return False
        return True

    def stream(self, nonce: bytes, tag: bytes) -> list[Any]:
        """Return a decryptor for each key: see ``fits``."""
        library = _library()
        return [
            library.Cipher(library.AES(key), library.GCM(nonce, tag)).decryptor()
            for key in self._all()
        ]


class _Library:
    """What is used of the ``cryptography`` package."""

    def __init__(self) -> None:
        try:
            from cryptography.exceptions import InvalidTag
            from cryptography.hazmat.primitives.ciphers import Cipher
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
            from cryptography.hazmat.primitives.ciphers.algorithms import AES
            from cryptography.hazmat.primitives.ciphers.modes import GCM
        except ImportError as error:
            raise MissingLibraryError(
                "to open encrypted values kycli needs the package 'cryptography'",
                hint="install it in the same environment: pip install cryptography, "
                "or in a checkout of kycli pip install '.[encryption]'",
            ) from error
        self.AESGCM, self.AES, self.GCM = AESGCM, AES, GCM
        self.Cipher, self.InvalidTag = Cipher, InvalidTag


_loaded: _Library | None = None


def _library() -> _Library:
    global _loaded
    if _loaded is None:
        _loaded = _Library()
    return _loaded


class Decoder:
    """Turns the stored values of one file into values of ours.

    Parameters:
        variant: how the file was written.
        keyring: what opens its encrypted values.
    """

    def __init__(self, variant: Variant, keyring: Keyring | None = None) -> None:
        self._variant = variant
        self._keyring = keyring or Keyring()

    def value(self, raw: str | bytes | None) -> tuple[Any, int | None]:
        """Return the value as the old release returned it, and its kind.

        Parameters:
            raw: what is in the column; bytes where the column holds a BLOB or text that
                is not UTF-8.

        Returns:
            value and kind, one of ``layout``'s; the kind is None, and the value the
            ciphertext as stored, when no key opens it.
        """
        if raw is None:
            return None, NONE
        if isinstance(raw, bytes):
            return raw, BYTES
        text = raw
        if self._variant.may_encrypt:
            # More than once: 0.2.2 to 0.4 encrypted what they took over from 0.1.8, ciphertext
            # or not. What opens is no accident, as the tag is part of it.
            while is_ciphertext(text):
                opened = self._keyring.open(text)
                if opened is None:
                    return text, None
                text = opened
        if self._variant.may_compress:
            text = self._inflated(text)
        if not self._variant.is_json or text[:1] not in _JSON_STARTS:
            return text, TEXT
        return _from_json(text)

    def stored(self, raw: str | bytes | None) -> tuple[Any, int | None]:
        """Return the same value as a column of ours keeps it, and its kind."""
        value, kind = self.value(raw)
        if kind is None:
            return value, None
        kind, stored, _ = encode(value)
        return stored, kind

    def _inflated(self, text: str) -> str:
        if not text.startswith(_COMPRESSED):
            return text
        try:
            packed = base64.b64decode(text[len(_COMPRESSED) :], validate=True)
            data = zlib.decompress(packed)
            whole = data.decode()
        except (ValueError, zlib.error):
            return text
        # 0.4 would have compressed nothing shorter, so an earlier release keeps text here.
        return whole if len(data) >= self._variant.compressed_from else text


def _from_json(text: str) -> tuple[Any, int | None]:
    try:
        value = json.loads(text)
        kind, _, _ = encode(value)
    except (ValueError, RecursionError):
        # No JSON; or more than a value of ours can be: half of a surrogate pair, or lists
        # in lists without end. The text says the same, and it can be kept.
        return text, TEXT
    return value, kind
