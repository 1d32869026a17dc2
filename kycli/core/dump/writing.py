"""Loading a dump: its records become rows, all of them or none.

A dump comes from a file that anybody may have written, so each record is checked by itself and,
where it has a history, all of it by what ``doctor`` checks.

With history, the log is copied: ids keep their order, changes their parts, times and authors.
The log is in order of time, for all scopes together, and ids are never reused. So a history can
only be loaded into a store without one. (Appended to another history, earlier times would follow
later ones, and reads of the past would be wrong.)

A schema is loaded like a value and not enforced during the load: a store may have values that do
not conform to their schema, and a dump is exact. Such values are counted.

Without history, the load is one change. It begins with a note that has the time of the load; its
parts have the times of the keys. The scope must be empty, so that versions of keys do not mix with
those of another history.
"""

from __future__ import annotations

import os
from typing import Any, NoReturn

from kycli.core.authors import host, user
from kycli.core.codec import check_key, check_scope, digest, encode
from kycli.core.dump.records import (
    MISSING,
    OPERATIONS,
    ArchivedRecord,
    AuthorRecord,
    ChangeRecord,
    IncompleteRecord,
    KeyRecord,
    Loaded,
    NoteRecord,
    ScopeRecord,
)
from kycli.core.durations import shown
from kycli.core.history.retention import MAX_DAYS
from kycli.core.layout import BYPASS, DELETED, EXPIRED, IMPORTED, INLINE_MAX, LIFETIME, SCHEMAS
from kycli.core.layout import OPERATIONS as NAMES
from kycli.core.operations.expiry_rules import has_expired
from kycli.core.sql import dump as sql
from kycli.core.sql import log, pruning, retained, schemas
from kycli.errors import ConflictError, InvalidTimeError, InvalidValueError, WrongTypeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kycli.core.dump.records import Record
    from kycli.core.schemas.enforcing import Enforcer
    from kycli.core.storage import Kycore

_NUMBERS = {name: number for number, name in NAMES.items() if name in OPERATIONS}
_MAX = 1 << 62
_LAST_TIME = 253_402_300_800_000  # of the year 9999
_AHEAD_MS = 86_400_000
"""How far the clock of the store that was dumped may have been ahead of this one."""

_DAYS = (int, float)
_SETTINGS: dict[str, Callable[[Any], bool]] = {
    "cache_ms": lambda value: type(value) is int and 0 < value < _MAX,
    "history_days": lambda value: type(value) in _DAYS and 0 <= value <= MAX_DAYS,
    "history_versions": lambda value: type(value) is int and 0 < value < 1 << 40,
    "archive_days": lambda value: type(value) in _DAYS and 0 <= value <= MAX_DAYS,
    "fold_keys": lambda value: type(value) is int and value in (0, 1),
    "created_at": lambda value: type(value) is int and 0 <= value < _LAST_TIME,
}


def load(
    store: Kycore, records: Iterable[Record], history: bool, source: str | None,
    to_scope: str | None,
) -> Loaded:  # fmt: skip
    """Load a dump in one transaction.

    Parameters:
        history: whether it has one.
        source: what the history calls it, where it is loaded as a change.
        to_scope: another name for the scope of a dump of one.
    """
    with store.transaction():
        store._enlarge_page_cache()
        loader = _WithHistory(store, to_scope) if history else _Plain(store, source, to_scope)
        for record in records:
            loader.add(record)
        loader.finish()
        pruning.restart_sweeps(store)
    return loader.done()


class _Loader:
    """What loading has in common, with a history and without."""

    def __init__(self, store: Kycore, to_scope: str | None) -> None:
        self.store = store
        self.now = store._now()
        self.base = log.newest(store)
        self.scopes: dict[str, str] = {}
        self.enforcers: dict[str, Enforcer] = {}
        self.keys = self.changes = self.archived = self.expired = self.invalid = 0
        self._to_scope = to_scope
        self._known_settings = set(sql.settings(store))
        self._adders: dict[type, Callable[[Any], None]] = {
            ScopeRecord: self.add_scope,
            KeyRecord: self.add_key,
            ArchivedRecord: self.add_archived,
        }

    def add(self, record: Record) -> None:
        add = self._adders.get(type(record))
        if add is None:
            raise InvalidValueError("a dump without history has changes")
        add(record)

    def finish(self) -> None:
        """Check what can only be known at the end."""

    def done(self) -> Loaded:
        raise NotImplementedError

    def loaded(self, change: int | None) -> Loaded:
        """Return what was loaded, as one change or with its history."""
        return Loaded(
            *(len(self.scopes.keys() - {SCHEMAS}), self.keys, self.changes, self.archived),
            *(self.expired, len(self.enforcers), self.invalid, change),
        )

    def add_scope(self, record: ScopeRecord) -> None:
        name = SCHEMAS if record.scope == SCHEMAS else check_scope(record.scope)
        if name in self.scopes:
            raise InvalidValueError(f"the scope {name!r} is declared twice")
        if name == SCHEMAS:
            scope = name
            if record.declared:
                raise InvalidValueError(f"nothing can be declared of {name!r}")
        else:
            scope = self._free_scope(name)
            self._declare(scope, record.declared)
        self.scopes[name] = scope
        if record.complete_since is not None:
            retained.advance(self.store, scope, _time(record.complete_since, "complete_since"))

    def _free_scope(self, name: str) -> str:
        """Return what a scope is called here, where it has no keys yet."""
        if self._to_scope is not None and self.scopes.keys() - {SCHEMAS}:
            raise InvalidValueError(
                "it has several scopes, which cannot all be called "
                f"{self._to_scope!r}", hint="leave --scope out",
            )  # fmt: skip
        scope = self._to_scope or name
        if sql.has_rows(self.store, scope):
            raise ConflictError(
                f"scope {scope!r} has keys or archived values already",
                hint="import into another database, or --values-only to change its keys",
            )
        return scope

    def _declare(self, scope: str, declared: dict[str, Any]) -> None:
        if type(declared) is not dict:
            raise WrongTypeError("what is declared of a scope is an object")
        there = sql.declared(self.store, scope)
        given = {name: value for name, value in declared.items() if value is not None}
        for name, value in given.items():
            is_right = _SETTINGS.get(name)
            if is_right is None or name not in self._known_settings:
                raise InvalidValueError(
                    f"{name!r} is nothing that can be declared of a scope", hint="upgrade kycli"
                )
            if not is_right(value):
                raise InvalidValueError(f"{name} of a scope cannot be {shown(value)}")
        if there:
            when = {"created_at": 0}
            if {**there, **when} != {**given, **when}:
                raise ConflictError(
                    f"scope {scope!r} is declared here with other settings",
                    hint="import into another database, or --values-only to keep these settings",
                )
        elif given:
            sql.declare(self.store, scope, {"created_at": self.now, **given})

    def add_key(self, record: KeyRecord) -> None:
        raise NotImplementedError

    def add_archived(self, record: ArchivedRecord) -> None:
        raise NotImplementedError

    def scope_and_key(self, record: Any) -> tuple[str, str]:
        """Return scope and key of a record."""
        if record.scope == SCHEMAS and SCHEMAS in self.scopes:
            return self.scope_and_key_of_schema(record)
        scope = self.scopes.get(record.scope) if type(record.scope) is str else None
        if scope is None:
            raise InvalidValueError(f"the scope {shown(record.scope)} was not declared before")
        return scope, check_key(record.key)

    def scope_and_key_of_schema(self, record: Any) -> tuple[str, str]:
        """Return scope and key of a record of a schema."""
        scope = self.scopes.get(record.key) if type(record.key) is str else None
        if scope is None or record.key == SCHEMAS:
            raise InvalidValueError(f"a schema of {shown(record.key)}, which is no scope here")
        if record.expires_at is not None:
            raise InvalidValueError("a schema does not expire")
        return SCHEMAS, scope

    def hold_to(self, scope: str, document: Any) -> None:
        """Take note of the schema of a scope, whose values come later.

        Raises:
            SchemaError: when it is none.
        """
        from kycli.core.schemas import definitions
        from kycli.core.schemas.enforcing import Enforcer

        if scope in self.enforcers:
            raise InvalidValueError(f"the scope {scope!r} has two schemas")
        self.enforcers[scope] = Enforcer(scope, definitions.checked(document))

    def past(self, time: Any, name: str) -> int:
        """Return a time that is not in the future."""
        ms = _time(time, name)
        if ms > self.now + _AHEAD_MS:
            raise InvalidTimeError(
                f"{name} {ms} is in the future",
                hint="is the clock of this machine right? --values-only ignores it",
            )
        return ms

    def put(
        self, scope: str, key: str, record: KeyRecord, seq: int, home: int,
        encoded: tuple[int, Any, int],
    ) -> None:  # fmt: skip
        """Write a live row; ``seq`` is its change, and ``home`` the one that has the value."""
        kind, stored, size = encoded
        mark: bytes | None = None
        if size > INLINE_MAX:
            mark = digest(stored)
            stored = None
        row = (
            *(scope, key, stored, kind, record.version, record.updated_at),
            *(record.expires_at, seq, home if mark else None, mark),
        )
        if scope == SCHEMAS:
            self.hold_to(key, record.value)
            sql.add_schema(self.store, row)
            return
        if not sql.add_key(self.store, row):
            raise InvalidValueError(f"the key {key!r} is there twice")
        self.keys += 1
        enforcer = self.enforcers.get(scope)
        if enforcer is not None and enforcer.problems(key, record.value):
            self.invalid += 1


class _Plain(_Loader):
    """Loads what there is now, as one change of the history."""

    def __init__(self, store: Kycore, source: str | None, to_scope: str | None) -> None:
        super().__init__(store, to_scope)
        self._next = self._change = self.base + 1
        self._command = "import" if source is None else f"import {source}"
        self._author = 0

    def add_key(self, record: KeyRecord) -> None:
        scope, key = self.scope_and_key(record)
        encoded, version, at = self._checked(record)
        prev = None
        if scope == SCHEMAS:
            found = schemas.stored(self.store, key)
            if found is not None and found[0] == record.value:
                self.hold_to(key, record.value)
                return
            if found is not None:
                raise _other_schema(key)
            removal = sql.removal(self.store, scope, key)
            if removal is not None:
                prev, version = removal[0], removal[1] + 1
                record = record._replace(version=version)
        if record.seq is not None:
            raise InvalidValueError("a dump without history has changes")
        if has_expired(record.expires_at, self.now):
            self.expired += 1
            return
        kind, stored, _ = encoded
        seq = self._log(
            (scope, key, stored, kind, IMPORTED, version, prev, at, record.expires_at), True
        )
        self.put(scope, key, record, seq, seq, encoded)

    def add_archived(self, record: ArchivedRecord) -> None:
        scope, key = self.scope_and_key(record)
        if scope == SCHEMAS:
            raise InvalidValueError("a dump without history has a schema that was dropped")
        (kind, stored, _), version, at = self._checked(record)
        op = _removal(record)
        gone = self.past(record.deleted_at, "deleted_at")
        prev = self._log(
            (scope, key, stored, kind, IMPORTED, version, None, at, record.expires_at), True
        )
        seq = self._log((scope, key, None, None, op, version, prev, gone, None), op != EXPIRED)
        sql.add_archived(self.store, (
            *(scope, key, stored, kind, op, version, at, gone, record.expires_at, seq, prev),
        ))  # fmt: skip
        self.archived += 1

    def _checked(self, record: KeyRecord | ArchivedRecord) -> tuple[tuple[int, Any, int], int, int]:
        if record.expires_at is not None:
            _time(record.expires_at, "expires_at", _MAX)
        version = _count(record.version, "version", 1)
        return encode(record.value), version, self.past(record.updated_at, "updated_at")

    def _log(self, row: tuple[Any, ...], is_part: bool) -> int:
        if not self._author:
            self._author = sql.number_of_author(self.store, user(), host(), self._command)
            self._log(("", "", None, None, BYPASS, 0, None, self.now, None), True)
        id = self._next
        self._next += 1
        signed = (self._change, self._author, os.getpid()) if is_part else (None, None, None)
        sql.add_log(self.store, (id, *row, *signed))
        return id

    def finish(self) -> None:
        for scope in self.scopes.values():
            if scope not in self.enforcers and schemas.stored(self.store, scope) is not None:
                raise _other_schema(scope)

    def done(self) -> Loaded:
        return self.loaded(self._change if self._author else None)


class _WithHistory(_Loader):
    """Loads what there is now and all that led to it."""

    def __init__(self, store: Kycore, to_scope: str | None) -> None:
        super().__init__(store, to_scope)
        if sql.has_history(store):
            raise ConflictError(
                "this database has a history already, and two pasts are never mixed",
                hint="import into a new database (-d FILE), or the values alone (--values-only)",
            )
        self._last = 0
        self._authors: dict[int, int] = {}
        self._adders |= {
            AuthorRecord: self.add_author,
            NoteRecord: self.add_note,
            ChangeRecord: self.add_change,
            IncompleteRecord: self.add_incomplete,
        }

    def add_author(self, record: AuthorRecord) -> None:
        id, *names = record
        if _count(id, "author", 1) in self._authors:
            raise InvalidValueError(f"the author {id} is there twice")
        for name in names:
            if type(name) is not str or "\0" in name:
                raise InvalidValueError("user, host and command of an author are text")
            encode(name)
        self._authors[id] = sql.number_of_author(self.store, *names)

    def add_note(self, record: NoteRecord) -> None:
        names: tuple[str, str | None] = ("", None)
        if record.scope is not None or record.renamed_from is not None:
            names = check_scope(record.scope), check_scope(record.renamed_from)
        at = self.past(record.time, "time")
        self._log(record, ("", names[0], names[1], None, BYPASS, 0, None, at, None))

    def add_change(self, record: ChangeRecord) -> None:
        scope, key = self.scope_and_key(record)
        self._id(record.id, "id")
        op = _NUMBERS.get(record.op) if type(record.op) is str else None
        if op is None:
            raise InvalidValueError(f"a change cannot be {shown(record.op)}")
        prev = None
        if record.prev is not None:
            prev = self._id(record.prev, "prev")
            if record.prev >= record.id:
                raise InvalidValueError("a change comes before the one that it follows")
        kind, stored = self._value(record, op, prev)
        if scope == SCHEMAS and record.value is not MISSING:
            from kycli.core.schemas import definitions

            definitions.loaded(record.value)
        version = _count(record.version, "version", 1)
        at = self.past(record.time, "time")
        expires_at = record.expires_at
        if expires_at is not None:
            _time(expires_at, "expires_at", _MAX)
        self._log(record, (scope, key, stored, kind, op, version, prev, at, expires_at))
        self.changes += 1

    def _value(self, record: ChangeRecord, op: int, prev: int | None) -> tuple[int | None, Any]:
        has_value = record.value is not MISSING
        if op in (DELETED, EXPIRED):
            if has_value:
                raise InvalidValueError(f"a key that was {record.op} has no value")
            return None, None
        if has_value:
            return encode(record.value)[:2]
        if op != LIFETIME:
            raise InvalidValueError(f"a key that was {record.op} has a value")
        kind = None if prev is None else sql.kind_of(self.store, prev)
        if kind is None:
            raise InvalidValueError("a change of the lifetime alone follows no value")
        return kind, None

    def _log(self, record: ChangeRecord | NoteRecord, row: tuple[Any, ...]) -> None:
        id = self._id(record.id, "id")
        if record.id <= self._last:
            raise InvalidValueError(f"the change {record.id} does not come after {self._last}")
        self._last = record.id
        change = author = None
        if record.change is not None:
            change = self._id(record.change, "change")
            if change > id:
                raise InvalidValueError("a change is part of one that begins later")
        if record.author is not None:
            author = self._authors.get(_count(record.author, "author"))
            if author is None:
                raise InvalidValueError(f"there is no author {shown(record.author)}")
        if record.pid is not None:
            _count(record.pid, "pid")
        sql.add_log(self.store, (id, *row, change, author, record.pid))

    def add_incomplete(self, record: IncompleteRecord) -> None:
        change = self._id(record.change, "change")
        retained.mark_incomplete(self.store, change, _time(record.ended_at, "ended_at"))

    def add_key(self, record: KeyRecord) -> None:
        scope, key = self.scope_and_key(record)
        encoded = encode(record.value)
        _count(record.version, "version", 1)
        _time(record.updated_at, "updated_at")
        if record.expires_at is not None:
            _time(record.expires_at, "expires_at", _MAX)
        seq = self._id(record.seq, "seq")
        home = seq
        if encoded[2] > INLINE_MAX and sql.is_lifetime(self.store, seq):
            home = log.value_of(self.store, seq)[0]
        self.put(scope, key, record, seq, home, encoded)

    def add_archived(self, record: ArchivedRecord) -> None:
        scope, key = self.scope_and_key(record)
        kind, stored, _ = encode(record.value)
        if record.expires_at is not None:
            _time(record.expires_at, "expires_at", _MAX)
        sql.add_archived(self.store, (
            *(scope, key, stored, kind, _removal(record), _count(record.version, "version", 1)),
            *(_time(record.updated_at, "updated_at"), _time(record.deleted_at, "deleted_at")),
            *(record.expires_at, self._id(record.seq, "seq"), self._id(record.prev, "prev")),
        ))  # fmt: skip
        self.archived += scope != SCHEMAS

    def _id(self, id: Any, name: str) -> int:
        """Return what an id of the dump is called here."""
        return _count(id, name, 1) + self.base

    def finish(self) -> None:
        from kycli.core.doctor.consistency import misfits

        found = misfits(self.store)
        if found:
            more = f", and {len(found) - 1} more" if len(found) > 1 else ""
            raise InvalidValueError(
                f"its records do not fit together: {found[0].what}{more}",
                hint="--values-only imports the keys without their history",
            )

    def done(self) -> Loaded:
        return self.loaded(None)


def _other_schema(scope: str) -> ConflictError:
    return ConflictError(
        f"scope {scope!r} has another schema here",
        hint="import into another database, or --values-only to hold its keys to this schema",
    )


def _removal(record: ArchivedRecord) -> int:
    """Return the number of how an archived value was removed."""
    if record.op not in ("deleted", "expired"):
        raise InvalidValueError(f"an archived value was deleted or expired, not {record.op!r}")
    return _NUMBERS[record.op]


def _count(value: Any, name: str, least: int = 0) -> int:
    if type(value) is int and least <= value < _MAX:
        return value
    _refuse(value, name)


def _time(value: Any, name: str, past: int = _LAST_TIME) -> int:
    if type(value) is int and value < 0:
        raise InvalidTimeError(f"{name} {shown(value)} is before 1970")
    if type(value) is int and value < past:
        return value
    _refuse(value, name, "a time in milliseconds since the epoch")


def _refuse(value: Any, name: str, what: str = "such a number") -> NoReturn:
    if type(value) is not int:
        kind = "nothing" if value is None else type(value).__name__
        raise WrongTypeError(f"{name} is a whole number, not {kind}")
    raise InvalidValueError(f"{name} {shown(value)} is not {what}")
