"""The files of 0.2 to 0.4: a header, and a dump in SQL, compressed and perhaps encrypted.

The dump is never executed. Its statements are of five forms, and a reader that knows
these and nothing else fills a private database from them, piece by piece.

    KYCLI\\x01 <zlib stream>                                  without a master key
    KYCLI\\x01 <nonce, 12 bytes> <AES-256-GCM of it> <tag>    with one
"""

from __future__ import annotations

import codecs
import os
import re
import zlib
from collections.abc import Iterator
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, BinaryIO

import apsw

from kycli.core.legacy.values import Keyring
from kycli.core.legacy.variant import DUMPED, QUEUE_BEFORE_0_4
from kycli.errors import CorruptError, MasterKeyError

HEADER = b"KYCLI\x01"
_NONCE, _TAG = 12, 16
_PIECE = 1 << 18

_BEGIN, _COMMIT = "BEGIN TRANSACTION;", "COMMIT;"

# Strings double their quotes; nothing else is escaped, so they run over lines.
_VALUE = r"'(?:[^']++|'')*+'|NULL|-?\d++"
_STATEMENT = re.compile(
    r"INSERT (?:OR REPLACE )?INTO (\w+) \(([\w, ]+)\) VALUES "
    rf"\(((?:{_VALUE})(?:, (?:{_VALUE}))*+)\);\n"
)
_VALUES = re.compile(_VALUE)


def is_blob(start: bytes) -> bool:
    """Whether a file that begins so is one of these."""
    return start.startswith(HEADER)


def is_encrypted(start: bytes) -> bool:
    """Whether the file is encrypted, told by its first few hundred bytes."""
    try:
        begun = zlib.decompressobj().decompress(start[len(HEADER) :], 18)
    except zlib.error:
        return True
    return not _BEGIN.encode().startswith(begun)


def load(file: BinaryIO, path: str, keyring: Keyring, target: apsw.Connection) -> bool:
    """Read a file into a database with the tables of ``aside.scratch``.

    Parameters:
        file: open for reading.
        path: what to call it in errors.
        keyring: for an encrypted one.
        target: the database.

    Returns:
        whether queue items came with the columns that only 0.4 has.

    Raises:
        MasterKeyError: when it is encrypted and no key opens it.
        CorruptError: when it is cut off, damaged, or holds what no release wrote.
    """
    leases = False
    rows = _rows(_text(_inflated(_compressed(file, path, keyring), path), path), path)
    for (table, columns), group in groupby(rows, itemgetter(0, 1)):
        names = tuple(columns.split(", "))
        known = DUMPED.get(table)
        if known is None or names not in (known, *_earlier(table)):
            raise CorruptError(
                f"{path}: it holds the table {table} ({columns}), which no release wrote"
            )
        leases = leases or (table == "queue_items" and names == known)
        marks = ", ".join("?" * len(names))
        target.executemany(
            f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({marks})",
            (values for _, _, values in group),
        )
    return leases


def _earlier(table: str) -> list[tuple[str, ...]]:
    return [QUEUE_BEFORE_0_4] if table == "queue_items" else []


def _compressed(file: BinaryIO, path: str, keyring: Keyring) -> Iterator[bytes]:
    """Yield the compressed dump, decrypted where it is encrypted."""
    start = file.read(512)
    if not is_encrypted(start):
        yield start[len(HEADER) :]
        yield from iter(lambda: file.read(_PIECE), b"")
        return
    if not keyring:
        raise MasterKeyError(
            f"{path}: it is encrypted",
            hint="give its master key: KYCLI_MASTER_KEY",
        )
    size = os.fstat(file.fileno()).st_size
    body = len(HEADER) + _NONCE
    length = size - body - _TAG
    if length < 0:
        raise CorruptError(f"{path}: the file is cut off after {size} bytes")
    file.seek(len(HEADER))
    nonce = file.read(_NONCE)
    file.seek(size - _TAG)
    tag = file.read(_TAG)
    # Twice: nothing is believed before the whole file has been authenticated.
    for number, decryptor in enumerate(keyring.stream(nonce, tag)):
        file.seek(body)
        for piece in _pieces(file, length):
            decryptor.update(piece)
        if keyring.fits(decryptor):
            decryptor = keyring.stream(nonce, tag)[number]
            file.seek(body)
            for piece in _pieces(file, length):
                yield decryptor.update(piece)
            return
    raise MasterKeyError(
        f"{path}: the master key does not open it, or the file is damaged",
        hint="the master key is the one that the file was last written or rotated with",
    )


def _pieces(file: BinaryIO, length: int) -> Iterator[bytes]:
    while length > 0:
        piece = file.read(min(_PIECE, length))
        if not piece:
            return
        length -= len(piece)
        yield piece


def _inflated(pieces: Iterator[bytes], path: str) -> Iterator[bytes]:
    inflater = zlib.decompressobj()
    try:
        for piece in pieces:
            while piece:
                yield inflater.decompress(piece, _PIECE)
                piece = inflater.unconsumed_tail
            if inflater.eof:
                break
        # What zlib still holds back, when the limit fell on the end of what it was given.
        while rest := inflater.decompress(b"", _PIECE):
            yield rest
    except zlib.error as error:
        raise CorruptError(f"{path}: the file is damaged: {error}") from error
    if not inflater.eof:
        raise CorruptError(f"{path}: the file is cut off: its end is missing")


def _text(pieces: Iterator[bytes], path: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for piece in pieces:
            yield decoder.decode(piece)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise CorruptError(f"{path}: the file is damaged: it is not UTF-8") from error


def _rows(pieces: Iterator[str], path: str) -> Iterator[tuple[str, str, list[Any]]]:
    """Yield table, columns and values of each statement.

    Whole statements are taken off the front of what has been read. When none is whole,
    twice as much is read before the next look, so that a large value is not looked
    through once for each piece of it.
    """
    parts: list[str] = []
    length, enough, begun, rest = 0, len(_BEGIN) + 1, False, ""
    for piece in chain(pieces, (None,)):  # None: that was all
        if piece is not None:
            parts.append(piece)
            length += len(piece)
            if length < enough:
                continue
        text, place = "".join(parts), 0
        if not begun:
            begun = text.startswith(_BEGIN + "\n")
            if not begun:
                rest = text
                break
            place = len(_BEGIN) + 1
        while match := _STATEMENT.match(text, place):
            values = [_literal(value) for value in _VALUES.findall(match[3])]
            if len(values) != match[2].count(",") + 1:
                break
            yield match[1], match[2], values
            place = match.end()
        rest = text[place:]
        parts, length, enough = [rest], len(rest), 2 * len(rest)
    if not begun or rest != _COMMIT:
        raise CorruptError(f"{path}: its dump holds what no release wrote: {rest[:40]!r}")


def _literal(text: str) -> str | int | None:
    if text[0] == "'":
        return text[1:-1].replace("''", "'")
    return None if text == "NULL" else int(text)


def tell_empty_from_deleted(connection: apsw.Connection, written_at: str) -> None:
    """Give the empty values in a loaded history back; the dump has NULL for them.

    NULL is in the history of a key for a deletion, and for a value that is the empty text.
    A deletion also put a row into the archive, in the same second. Only compacting took
    that away again, with all that were more than 15 days old; so what is younger than that,
    or than the oldest row that is there, is no deletion unless it has its row.

    Parameters:
        connection: to the loaded database.
        written_at: when the file was written last.
    """
    histories = connection.execute(
        "SELECT key, id, value, julianday(timestamp), "
        "    julianday(timestamp) > min(julianday(?, '-15 days'), "
        "        ifnull((SELECT min(julianday(deleted_at)) FROM archive), 1e9)) "
        "FROM audit_log WHERE key IN (SELECT key FROM audit_log WHERE value IS NULL) "
        "ORDER BY key, id",
        (written_at,),
    )
    empty: list[tuple[int]] = []
    for key, rows in groupby(histories, itemgetter(0)):
        removed = list(
            connection.execute(
                "SELECT value, julianday(deleted_at) FROM archive WHERE key = ? ORDER BY id",
                (key,),
            )
        )
        empty += [(id,) for id in _emptied(list(rows), removed)]
        live = connection.execute(
            "SELECT a.id FROM kvstore k, audit_log a WHERE k.key = ?1 AND k.value = '' "
            "AND a.id = (SELECT max(id) FROM audit_log WHERE key = ?1) AND a.value IS NULL",
            (key,),
        ).get
        if live is not None:
            empty.append((live,))
    connection.executemany("UPDATE audit_log SET value = '' WHERE id = ?", empty)


_SECOND = 1 / 86_400


def _emptied(history: list[Any], removed: list[Any]) -> list[int]:
    """Return the ids of those rows of a key's history that are no deletions."""
    pending: list[tuple[int, Any, float, bool]] = []
    before: Any = None
    for _, id, value, time, recent in history:
        if value is None:
            pending.append((id, before, time, recent))
        before = value or ""
    # First those whose archived value is the one before; where the key was changed between,
    # the ciphertexts differ, and after going back in time so do the values.
    for alike in (True, False):
        for row in list(pending):
            for place, (value, time) in enumerate(removed):
                together = -0.01 * _SECOND <= row[2] - time <= 2 * _SECOND
                if together and (not alike or value == row[1]):
                    del removed[place]
                    pending.remove(row)
                    break
    return [id for id, _, _, recent in pending if recent]
