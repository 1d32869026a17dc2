"""Names of files for keys, and back.

A key is the file ``PROJECT/NAMESPACE/KEY``, or ``PROJECT/NAMESPACE/CONTEXT/KEY`` if it has a
context. Each part is the text itself, with ``%XX`` for bytes that a file system cannot store or
would change. Decoding needs no context, and different texts have different names. Encoding may
vary: if two names would collide on a file system that folds case, or a file with a directory, more
characters are written as ``%XX``. A name that would be too long ends in ``%~`` and a digest; only
the manifest has its text.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from unicodedata import is_normalized, normalize
from urllib.parse import unquote_to_bytes

from kycli.address import split_context
from kycli.core.names import join_scope, split_scope
from kycli.errors import FormatError

LONGEST = 255
"""Bytes of a name that common file systems hold."""

HASHED = "%~"
"""What precedes the digest in a name that stands for a longer one."""

_PLAIN = re.compile(r"[A-Za-z0-9_+=@:,][A-Za-z0-9_+=@:,. -]*(?<![. ])")
_FOLDED = re.compile(r"[a-z0-9_+=@,. -]")
_BROKEN = re.compile(r"%(?![0-9A-Fa-f]{2})")
_FOREIGN = '<>:"\\|?*'  # what FAT and NTFS refuse
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)

Parts = tuple[str, ...]
"""Project, namespace, the context if there is one, and the key without it."""


def parts_of(scope: str, key: str) -> Parts:
    """Return the texts that the path of a key is made of."""
    base, context = split_context(key)
    return (*split_scope(scope), base) if context is None else (*split_scope(scope), context, base)


def key_of(parts: Parts) -> tuple[str, str]:
    """Return the scope and key of the parts of a path; the names of the scope are not checked.

    Raises:
        FormatError: when no key has this context.
    """
    scope = join_scope(parts[0], parts[1])
    if len(parts) == 3:
        return scope, parts[2]
    _, _, context, base = parts
    key = f"{base}__{context}"
    if split_context(key) != (base, context):
        raise FormatError(
            f"the directory {context!r} is no context",
            hint="a context does not begin with '_' and does not contain '__'",
        )
    return scope, key


def name_of(text: str, *, foreign: bool = False) -> str:
    """Return the name of a text, however long.

    Parameters:
        foreign: whether the file system refuses what FAT and NTFS do.

    >>> name_of("user:1"), name_of("a/b"), name_of("..")
    ('user:1', 'a%2Fb', '%2E%2E')
    """
    if _PLAIN.fullmatch(text) and not foreign:
        return text
    last = len(text) - 1
    special = f"%/{_FOREIGN}" if foreign else "%/"
    name = "".join(
        _escaped(c)
        if c in special
        or not c.isprintable()
        # Hidden files and those of editors are nobody's keys, and a dash begins a flag.
        or (at == 0 and c in "-.")
        or (at == last and c in ". ~")
        else c
        for at, c in enumerate(text)
    )
    if foreign and _DEVICES.match(name):
        name = _escaped(name[0]) + name[1:]
    # A file system may hand out names in another form of Unicode.
    return name if is_normalized("NFC", name) else _without_accents(name)


def _without_accents(name: str) -> str:
    return "".join(c if c.isascii() else _escaped(c) for c in name)


def distinct_name_of(text: str, *, is_file: bool) -> str:
    """Return a name of a text that no other text has in any case of its letters.

    Parameters:
        is_file: whether it is of a file, where the text itself is the name of a directory.

    >>> distinct_name_of("Key", is_file=False), distinct_name_of("key", is_file=True)
    ('%4Bey', '%6Bey')
    """
    pieces = [c if _FOLDED.match(c) else _escaped(c) for c in text]
    if pieces[0] in "-.":
        pieces[0] = _escaped(pieces[0])
    if pieces[-1] in ". ":
        pieces[-1] = _escaped(pieces[-1])
    if is_file:
        at = next((at for at, piece in enumerate(pieces) if len(piece) == 1), None)
        if at is None:
            return HASHED + digest_of(text)
        pieces[at] = _escaped(pieces[at])
    return "".join(pieces)


def shortened(name: str, text: str, longest: int = LONGEST) -> str:
    """Return a name, or its beginning and the digest of the text if it is too long."""
    data = name.encode()
    if len(data) <= longest:
        return name
    start = data[: longest - 2 - 32].decode(errors="ignore")
    return re.sub("%.?$", "", start) + HASHED + digest_of(text)


def digest_of(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


def text_of(name: str) -> str:
    """Return the text of a name.

    Raises:
        FormatError: when no text has it, or only the manifest knows which.
    """
    # A file system may hand out names in another form than it was given.
    name = normalize("NFC", name)
    try:
        if "%" not in name:
            name.encode()
            return name
        if HASHED in name:
            raise FormatError(
                f"the name {name!r} stands for a longer one, which the manifest does not know",
                hint="remove the file; 'kycli mirror export DIR' writes it again if its key exists",
            )
        if not _BROKEN.search(name):
            return unquote_to_bytes(name).decode()
    except UnicodeError:
        pass
    raise FormatError(
        f"the name {name!r} is not the name of a key",
        hint="a name is UTF-8, and '%' is written as %25; rename the file",
    )


def is_path_of(path: str, parts: Parts) -> bool:
    """Whether a path can be made of these parts."""
    names = path.split("/")
    if len(names) != len(parts):
        return False
    try:
        return all(
            name[:1] not in ("", ".")
            and (
                name.rpartition(HASHED)[2] == digest_of(text)
                if HASHED in name
                else text_of(name) == text
            )
            for name, text in zip(names, parts, strict=True)
        )
    except FormatError:
        return False


def _escaped(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


@lru_cache(maxsize=16)  # a record is read, compared and written again
def plain_path(scope: str, key: str) -> str:
    """Return the path of a key that clashes with none, on a file system that holds it."""
    base, context = split_context(key)
    name = _plain_name(base)
    if context is not None:
        name = f"{_plain_name(context)}/{name}"
    return f"{_plain_folder(scope)}/{name}"


@lru_cache
def _plain_folder(scope: str) -> str:
    return "/".join(map(_plain_name, split_scope(scope)))


def _plain_name(text: str) -> str:
    return shortened(name_of(text), text)


class Names:
    """The paths of the keys of one export.

    Parameters:
        foreign: whether the file system refuses what FAT and NTFS do.
        longest: how many bytes a name may have.

    Attributes:
        clashes: the hashes of folded names that more than one thing would have, and whether one
            of these is a directory.
    """

    def __init__(self, foreign: bool = False, longest: int = LONGEST) -> None:
        self.clashes: dict[int, bool] = {}
        self._foreign = foreign
        self._longest = min(longest, LONGEST)

    @property
    def are_plain(self) -> bool:
        """Whether each path is the plain one."""
        return not (self.clashes or self._foreign or self._longest < LONGEST)

    def path(self, scope: str, key: str) -> str:
        """Return the path of a key."""
        if self.are_plain:
            return plain_path(scope, key)
        parts = parts_of(scope, key)
        folded = [_folded(text) for text in parts]
        names = []
        for depth, text in enumerate(parts, 1):
            name = name_of(text, foreign=self._foreign)
            with_folder = self.clashes.get(hash(tuple(folded[:depth])))
            if with_folder is not None:
                is_beside = with_folder and depth == len(parts)
                # One of them keeps the name: a directory, if there is one.
                if is_beside or folded[depth - 1] != text:
                    name = distinct_name_of(text, is_file=is_beside)
            names.append(shortened(name, text, self._longest))
        return "/".join(names)


class Clashes:
    """Finds names that would be the same where case is folded, or of a file and a directory.

    It keeps 32 bytes for each key.
    """

    def __init__(self) -> None:
        self._buckets = [array("q") for _ in range(256)]

    def add(self, scope: str, key: str) -> None:
        parts = parts_of(scope, key)
        folded = tuple(map(_folded, parts))
        self._note(folded, parts, is_folder=False)
        if len(parts) == 4:
            self._note(folded[:3], parts[:3])

    def add_scope(self, scope: str) -> None:
        project, namespace = split_scope(scope)
        self._note((_folded(project),), (project,))
        self._note((_folded(project), _folded(namespace)), (project, namespace))

    def _note(self, folded: Parts, exact: Parts, *, is_folder: bool = True) -> None:
        number = hash(folded)
        # What it is stands in the last bit.
        self._buckets[number & 255].extend((number, hash(exact) & -2 | is_folder))

    def found(self) -> dict[int, bool]:
        """Return the hashes of the folded names of which there is more than one.

        Each with whether one of these is a directory.
        """
        clashes: dict[int, bool] = {}
        for bucket in self._buckets:
            seen: dict[int, int] = {}
            numbers: Iterable[int] = iter(bucket)
            for folded, exact in zip(numbers, numbers, strict=True):
                first = seen.setdefault(folded, exact)
                if first != exact:
                    clashes[folded] = bool(clashes.get(folded) or (first | exact) & 1)
        return clashes


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    return normalize("NFD", normalize("NFD", text).casefold())
