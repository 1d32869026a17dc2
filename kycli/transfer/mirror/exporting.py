"""Exporting a mirror: write a file for each key, and the manifest."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from kycli.core.names import check_scope
from kycli.errors import FileError
from kycli.transfer.mirror import manifest
from kycli.transfer.mirror.manifest import ALL, JOURNAL, MANIFEST, MERGED, Record, Selection, merged
from kycli.transfer.mirror.names import Clashes, Names
from kycli.transfer.mirror.tree import Tree, digest_of
from kycli.transfer.mirror.values import content_of

if TYPE_CHECKING:
    from kycli.core.operations.entry import Entry
    from kycli.core.storage import Kycore

_PIECE = 256
"""Keys between two calls of a progress function."""


class Exported(NamedTuple):
    """What an export to a mirror did.

    Attributes:
        keys: how many were exported.
        created: files that did not exist.
        overwritten: files that were written again.
        unchanged: files that hold their value already; they were not touched.
        removed: files of keys that are gone.
        kept: files that somebody edited since the last export; they stay as they are.
    """

    keys: int
    created: int
    overwritten: int
    unchanged: int
    removed: int
    kept: int


class MirrorExport:
    """One export of keys, as of one moment, to a directory.

    Parameters:
        path: the directory; created if it does not exist.
        selection: which keys. Files of other keys are left alone.
        force: whether files that were edited are overwritten.
        dry_run: count, and change nothing.
        progress: called with how many keys of how many are done.

    Attributes:
        first_kept: the first file that was kept, or None.
    """

    def __init__(
        self,
        store: Kycore,
        path: str | os.PathLike[str],
        selection: Selection = ALL,
        *,
        force: bool = False,
        dry_run: bool = False,
        progress: Callable[[int, int], object] | None = None,
    ) -> None:
        self.first_kept: str | None = None
        self._store = store
        self._path = os.fspath(path)
        self._selection = selection
        self._force = force
        self._dry_run = dry_run
        self._progress = progress
        self._names = Names()
        self._edited: set[tuple[str, str]] = set()  # keys that are gone, whose files stay
        self._counts = dict.fromkeys(Exported._fields, 0)
        self._total = 0

    def run(self) -> Exported:
        """Export; an interrupted export leaves a mirror that the next one completes.

        Raises:
            UsageError: when the directory is neither a mirror nor empty.
            FileError, OSError: when something cannot be written, or is in the way.
            FormatError: when the manifest is damaged.
        """
        try:
            tree = self._tree()
        except FileNotFoundError:
            if not self._dry_run:
                raise
            with self._store.snapshot():  # there is nothing yet
                count = sum(1 for _ in self._keys())
            return Exported(count, count, 0, 0, 0, 0)
        with closing(tree), self._store.snapshot():
            if not self._dry_run:
                complete(tree)
            self._names = Names(self._is_foreign(tree), tree.longest_name())
            self._prepare(tree)
            self._write(tree)
        return Exported(**self._counts)

    def _tree(self) -> Tree:
        if not self._dry_run and not os.path.lexists(self._path):
            os.mkdir(self._path, 0o700)
        tree = Tree(self._path)
        try:
            tree.lock(exclusive=not self._dry_run)
            tree.check_is_mirror(or_empty=True)
        except BaseException:
            tree.close()
            raise
        return tree

    def _is_foreign(self, tree: Tree) -> bool:
        return not self._dry_run and tree.is_foreign()

    # What the store holds

    def _scopes(self) -> list[str]:
        scopes = self._selection.scopes
        return self._store.scopes() if scopes is None else sorted(map(check_scope, scopes))

    def _keys(self) -> Iterator[tuple[str, str, None]]:
        for scope in self._scopes():
            for key in self._store.iterkeys(self._selection.prefix, scope=scope):
                yield scope, key, None

    def _entries(self) -> Iterator[tuple[str, str, Entry]]:
        for scope in self._scopes():
            for entry in self._store.entries(self._selection.prefix, scope=scope):
                yield scope, entry.key, entry

    # Before files are written

    def _prepare(self, tree: Tree) -> None:
        """Remove files of keys that are gone, and rename those whose names changed.

        After that nothing of the mirror's is in the way of a file that is to be written: a file
        where a directory must be, or the other way round.
        """
        clashes, last = Clashes(), None
        is_plain = True
        with tree.records() as records:
            for old, new in merged(records, self._keys()):
                if old is not None:
                    is_plain = is_plain and manifest.is_plain(old)
                if new is not None:
                    scope, key = new[:2]
                    self._total += 1
                elif old is not None and not self._selection.has(old.scope, old.key):
                    scope, key = old.scope, old.key
                else:
                    if old is not None and not self._dry_run and self._remove(tree, old):
                        self._edited.add((old.scope, old.key))
                    continue
                if scope != last:
                    clashes.add_scope(scope)
                    last = scope
                clashes.add(scope, key)
        self._names.clashes = clashes.found()
        if self._dry_run or (is_plain and self._names.are_plain):
            return
        with tree.records() as records:
            for old in records:
                path = self._names.path(old.scope, old.key)
                if path != old.path:
                    tree.move(old.path, path)

    def _remove(self, tree: Tree, old: Record) -> bool:
        """Remove the file of a key that is gone; return whether it was edited, and so stays."""
        status = tree.status(old.path)
        # What is no file is not the mirror's, or is a directory that it has needed since.
        if status is None or not stat.S_ISREG(status.st_mode):
            return False
        if not (self._force or _holds(tree, old, old.path, status)):
            return True
        if not self._dry_run:
            tree.remove(old.path)
        self._counts["removed"] += 1
        return False

    # The files

    def _write(self, tree: Tree) -> None:
        if self._dry_run:
            for _ in self._written(tree, lambda: None):
                pass
            return
        with tree.new_file(JOURNAL) as file:
            journal = manifest.Writer(file)
            for record in self._written(tree, journal.flush):
                journal.add(record)
            journal.flush()
            os.fsync(file.fileno())
        tree.rename_at_top(JOURNAL, MANIFEST)
        tree.sync()

    def _written(self, tree: Tree, flush: Callable[[], None]) -> Iterator[Record]:
        """Write files; yield the record of each before it is changed.

        ``flush`` has the records that were yielded written, those of files that stay included.
        """
        with tree.records() as records:
            for old, new in merged(records, self._entries()):
                if new is not None:
                    scope, _, entry = new
                    path = self._names.path(scope, entry.key)
                    content, type = content_of(entry.value)
                    record = Record(
                        *(scope, entry.key, type, entry.expires_at),
                        *(digest_of(content), len(content), entry.updated_at * 1_000_000, path),
                    )
                    found, is_due = self._judged(tree, old, record)
                    yield found
                    if is_due and not self._dry_run:
                        flush()
                        tree.put(path, content, record.time)
                    self._counts["keys"] += 1
                    if self._progress is not None and self._counts["keys"] % _PIECE == 0:
                        self._progress(self._counts["keys"], self._total)
                elif old is not None and not self._selection.has(old.scope, old.key):
                    yield old._replace(path=self._names.path(old.scope, old.key))
                elif old is not None:
                    if self._dry_run:
                        if self._remove(tree, old):
                            self._keep(old.path)
                    elif (old.scope, old.key) in self._edited:
                        # Other files that are gone may have left their place to another key.
                        self._keep(self._names.path(old.scope, old.key))

    def _judged(self, tree: Tree, old: Record | None, new: Record) -> tuple[Record, bool]:
        """Count what becomes of a file; return its record, and whether it must be written."""
        status = tree.status(new.path)
        if status is None:
            self._counts["created"] += 1
            return new, True
        if not stat.S_ISREG(status.st_mode):
            raise FileError(
                f"{tree.shown(new.path)} is not a regular file",
                hint="move it away, out of the mirror",
            )
        as_it_is = new._replace(size=status.st_size, time=status.st_mtime_ns)
        if old is not None and _is_as_left(old, status):
            held: str | None = old.digest
        else:
            held = tree.digest(new.path)
        if held == new.digest:
            self._counts["unchanged"] += 1
            return as_it_is, False
        if self._force or (old is not None and held in (old.digest, old.former)):
            self._counts["overwritten"] += 1
            return new, True
        self._keep(new.path)
        return new._replace(size=-1), False

    def _keep(self, path: str) -> None:
        self._counts["kept"] += 1
        self.first_kept = self.first_kept or os.path.join(self._path, path)


def _is_as_left(old: Record, status: os.stat_result) -> bool:
    """Whether a file has the size and time that the mirror gave it."""
    return (
        (old.size, old.time) == (status.st_size, status.st_mtime_ns)
        and not old.former
        and stat.S_ISREG(status.st_mode)
    )


def _holds(tree: Tree, old: Record, path: str, status: os.stat_result) -> bool:
    """Whether a file holds what the mirror wrote."""
    return _is_as_left(old, status) or tree.digest(path) in (old.digest, old.former)


def complete(tree: Tree) -> None:
    """Make one manifest of that of an interrupted export and the one before."""
    if not tree.has_journal():
        return
    with tree.records() as records, tree.new_file(MERGED) as file:
        writer = manifest.Writer(file)
        for record in records:
            writer.add(record)
        writer.flush()
        os.fsync(file.fileno())
    tree.rename_at_top(MERGED, MANIFEST)
    tree.remove(JOURNAL)
