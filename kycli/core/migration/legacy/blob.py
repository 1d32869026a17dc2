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

from kycli.core.migration.legacy.values import HOW_TO_GIVE_KEYS, Keyring
from kycli.core.migration.legacy.variant import DUMPED, QUEUE_BEFORE_0_4
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
            f"{path}: it is encrypted, and its master key is needed",
            hint=HOW_TO_GIVE_KEYS,
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
        f"{path}: {keyring.refused} it, or the file is damaged",
        hint="its master key is the one that it was last written or rotated with; "
        + HOW_TO_GIVE_KEYS,
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
        text, at = "".join(parts), 0
        if not begun:
            begun = text.startswith(_BEGIN + "\n")
            if not begun:
                rest = text
                break
            at = len(_BEGIN) + 1
        while match := _STATEMENT.match(text, at):
            values = [_literal(value) for value in _VALUES.findall(match[3])]
            if len(values) != match[2].count(",") + 1:
                break
            yield match[1], match[2], values
            at = match.end()
        rest = text[at:]
        parts, length, enough = [rest], len(rest), 2 * len(rest)
    if not begun or rest != _COMMIT:
        raise CorruptError(f"{path}: its dump holds what no release wrote: {rest[:40]!r}")


def _literal(text: str) -> str | int | None:
    if text[0] == "'":
        return text[1:-1].replace("''", "'")
    return None if text == "NULL" else int(text)


# ---------------------------------------------------------------- empty or deleted


def restore_empty_values(connection: apsw.Connection, keyring: Keyring, written_at: str) -> None:
    """Give the empty values in a loaded history back; the dump has NULL for them.

    NULL is in the history of a key for a deletion, and for a value that is the empty text.
    A deletion also put the value into the archive, in the same second. Only compacting took
    that away again, with all that were more than 15 days old; so what is younger than that,
    or than the oldest row that is there, is no deletion unless it has its row.

    Parameters:
        connection: to the loaded database.
        keyring: to compare values that are encrypted.
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

    def plain(value: Any) -> Any:
        opened = keyring.open(value) if isinstance(value, str) else None
        return value if opened is None else opened

    empty: list[tuple[int]] = []
    for key, rows in groupby(histories, itemgetter(0)):
        history = [_Event(id, plain(value), time, recent) for _, id, value, time, recent in rows]
        removed = [
            (plain(value), time)
            for value, time in connection.execute(
                "SELECT value, julianday(deleted_at) FROM archive WHERE key = ? ORDER BY id",
                (key,),
            )
        ]
        live = connection.execute("SELECT value FROM kvstore WHERE key = ?", (key,)).get
        _tell(history, removed, plain(live))
        empty += [(event.id,) for event in history if event.value is None and event.is_empty]
    connection.executemany("UPDATE audit_log SET value = '' WHERE id = ?", empty)


class _Event:
    """A row of a key's history; of NULL it is to be told whether it is a deletion."""

    def __init__(self, id: int, value: str | None, time: float, recent: bool) -> None:
        self.id, self.value, self.time, self.recent = id, value, time, recent
        self.is_empty = False


_SECOND = 1 / 86_400
# The archive has whole seconds. The history was written just after it, to the millisecond.
_SOON, _LATE = 1.02 * _SECOND, 2 * _SECOND


def _tell(history: list[_Event], removed: list[tuple[Any, float]], live: Any) -> None:
    """Decide for each NULL in a key's history whether it is an empty value.

    Only a key that is there can be deleted, and saving what is there already is no event.
    So where several follow each other they take turns, and which of them begins is what
    agrees better with the archive, and with what became of the key.

    Parameters:
        history: the key's, oldest first.
        removed: what of it is in the archive, with the times; rows are taken away as they
            are found to belong to a deletion.
        live: the key's value, or None.
    """
    # The newest first, as only there it is known what became of the key; and what agrees in
    # the value too before what agrees in nothing but the time.
    for by_time_alone in (False, True):
        for start, end in reversed(_runs(history)):
            run = history[start:end]
            before = history[start - 1] if start else None
            if by_time_alone and not (len(run) == 1 and run[0].is_empty and before):
                continue
            readings = []
            for deleted_first in (by_time_alone, True):
                score, used, empty = _turns(run, before, removed, deleted_first, by_time_alone)
                if end == len(history):
                    score += 10 * (live == "" and empty[-1]) + (live is None and not empty[-1])
                readings.append((score, used, empty))
            _, used, empty = max(readings, key=itemgetter(0))
            if by_time_alone and not used:
                continue
            for index in sorted(used, reverse=True):
                del removed[index]
            for event, is_empty in zip(run, empty, strict=True):
                event.is_empty = is_empty


def _runs(history: list[_Event]) -> list[tuple[int, int]]:
    """Return where NULLs that follow each other begin and end."""
    runs: list[tuple[int, int]] = []
    for index, event in enumerate(history):
        if event.value is None:
            if runs and runs[-1][1] == index:
                runs[-1] = (runs[-1][0], index + 1)
            else:
                runs.append((index, index + 1))
    return runs


def _turns(
    run: list[_Event],
    before: _Event | None,
    removed: list[tuple[Any, float]],
    deleted_first: bool,
    by_time_alone: bool,
) -> tuple[float, set[int], list[bool]]:
    """Return how well it agrees with the archive that a run begins with a deletion, or not.

    Returns:
        a score, the rows of the archive that belong to it, and for each row of the run
        whether it is an empty value after all.
    """
    score, used, empty = 0.0, set[int](), [True] * len(run)
    for number, event in reversed(list(enumerate(run))):
        if (number % 2 == 0) != deleted_first:
            continue
        was = "" if number else before.value if before else None
        near = [
            (index, value, event.time - time)
            for index, (value, time) in enumerate(removed)
            if index not in used and -0.01 * _SECOND <= event.time - time <= _LATE
        ]
        same = [index for index, value, late in near if value == was and late <= _SOON]
        # After going back in time a value is deleted that is not the last in the history.
        any_value = by_time_alone or before is None
        other = [index for index, value, _ in near if value and not number and any_value]
        if same or other:
            used.add((same or other)[-1])
            score += 2 if same else 1
        elif event.recent:
            score -= 1
            continue
        elif before is not None and not number:
            score += 0.5
        empty[number] = False
    return score, used, empty
