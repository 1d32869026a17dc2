# cython: language_level=3, binding=True
"""The engine's data plane: keys, values and expiry in one SQLite file.

Read it from top to bottom, with each part of ``engine/`` where it is included: importing APSW
(``sqlite/importing``), waiting (``connection/waiting``), SQLite's own functions
(``sqlite/functions``) and the statements that use them (``sqlite/native``), the SQL
(``sqlite/statements``), the value cache (``cache``), fork hooks (``connection/forks``), files
(``connection/files``), directory entries (``connection/entries``), a connection that threads
share (``connection/connection``), deferred writes (``deferred``), transactions
(``connection/session``), reading rows (``reading``), when keys expire (``expiry``), changing keys
(``writing``), what has changed (``watching``), methods that other modules implement (``delegates``), settings of scopes
(``declaring``), reading many keys (``listing``), and the store itself. ``engine/bulk`` holds
the code for many rows at once.

``kycli.core.layout`` describes the tables, ``kycli.core.codec`` how values become rows. Code
that a get or a save does not need is in other modules; the methods that need it import it.
"""

import os
import sys
import _thread
import _weakref

include "engine/sqlite/importing.pxi"
import apsw

from kycli.core import layout
from kycli.core.layout import LIVE, VALUE
from kycli.core.location import MEMORY
from kycli.core.durations import parse_ttl, shown
from kycli.errors import (
    BusyError,
    CannotOpenError,
    ClosedError,
    ConflictError,
    CorruptError,
    FileReplacedError,
    ForkError,
    InputError,
    InvalidKeyError,
    InvalidValueError,
    KycliError,
    MigrationNeeded,
    MisuseError,
    MissingKeyError,
    StorageError,
    UnknownChangeError,
    WrongTypeError,
)

cimport cython
from kycli.core.codec cimport (
    BYTES, CREATED, DELETED, EXPIRED, FLOAT, IMPORTED, INLINE_MAX, JSON, KEY_MAX, LIFETIME,
    OVERWRITTEN, TEXT,
    check_callable, check_count, check_key, check_limit, check_scope, checked_command, decode,
    digest, encode, imported, is_named, is_same, iterator_over, key_list, may_fold, plain_text,
    range_of, time_of,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem
from cpython.exc cimport PyErr_CheckSignals, PyErr_Occurred
from cpython.list cimport PyList_GET_ITEM, PyList_SetItem
from cpython.ref cimport Py_INCREF, PyObject
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeUTF8
from libc.errno cimport ENOENT, ENOTDIR, errno
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, qsort, realloc
from libc.string cimport memchr, memcmp, memcpy, memset
from posix.stat cimport stat as c_stat, struct_stat
from posix.time cimport CLOCK_MONOTONIC, CLOCK_REALTIME, clock_gettime, timespec
from posix.unistd cimport close as c_close, unlink as c_unlink, usleep

# ---------------------------------------------------------------- helpers

include "engine/connection/waiting.pxi"
include "engine/sqlite/functions.pxi"
include "engine/sqlite/native.pxi"
include "engine/sqlite/statements.pxi"
include "engine/cache.pxi"
include "engine/connection/forks.pxi"
include "engine/connection/files.pxi"
include "engine/connection/entries.pxi"
include "engine/connection/connection.pxi"
include "engine/deferred.pxi"
include "engine/connection/session.pxi"
include "engine/reading.pxi"
include "engine/expiry.pxi"
include "engine/writing.pxi"
include "engine/bulk/packs.pxi"
include "engine/bulk/writing.pxi"
include "engine/watching.pxi"
include "engine/delegates.pxi"
include "engine/declaring.pxi"
include "engine/bulk/importing.pxi"
include "engine/listing.pxi"
include "engine/bulk/lines.pxi"
include "engine/bulk/indexing.pxi"


# ---------------------------------------------------------------- the store

# The docstring begins with the parameters of __init__: a compiled class tells them to
# inspect.signature and help in no other way. A test holds the two equal.
cdef class Kycore(_Listings):
    """Kycore(db_path=None, *, scope=None, durability="normal", busy_timeout_ms=5000, \
cache_entries=100_000, cache_bytes=67_108_864, clock=None, command=None, migrate=False, \
schema=None)
--

    A key-value store in one file, for any number of processes and threads.

    Every call that returned has committed, unless ``durability`` is ``"async"``. Threads
    may share a store; after a fork
    parent and child each go on with a connection of their own. Use it in ``with``,
    or call ``close()``.

    Where a call takes text, such as a key, a scope or a pattern, it takes subclasses of
    ``str`` too, such as members of a StrEnum, and uses the text that they hold. A value
    keeps its type, so values of subclasses are refused, also inside documents.

    Parameters:
        db_path: the database file, made when it does not exist, with its missing
            directories; ``":memory:"`` for one that lives and dies with the store;
            None for ``KYCLI_DB_PATH`` or ``kycli.db`` in the user's data directory.
        scope: the scope of calls that name none: ``"project"`` or
            ``"project.namespace"``; default ``"default"``.
        durability: ``"normal"`` (default): a commit survives a crash of the program,
            and a power loss may undo the last ones, never damage the file;
            ``"full"``: it survives a power loss too; ``"async"``: ``save`` acknowledges
            before the commit, which follows within 20 ms and 500 saves, and at ``flush()``,
            ``close()``, the end of the program and any call but ``save`` and ``getkey``.
        busy_timeout_ms: how long a call waits for another writer, in milliseconds;
            default 5000.
        cache_entries: how many values are cached at most; 0 switches the cache off. It
            is never stale, whichever process writes; where that cannot be known it is off.
        cache_bytes: how many bytes of memory they take at most; default 64 MiB.
        clock: a function that returns the time, in milliseconds since the epoch, for
            tests of expiry; default the system's clock.
        command: the name under which the history remembers what changed something, and
            with it all that this store changes is one change, to be undone as one;
            default none, and each call or transaction is a change of its own.
        migrate: bring a database of an earlier kycli to the format of this one first, in
            place, all or nothing. Nobody else may have it open. No copy is kept, which
            ``kycli migrate`` does.
        schema: what the values of the store's scope must be: a Pydantic model class, or
            another definition, as for ``set_schema``, which sets it unless it is set. With
            a class, values are held to its own validators too, in this program, and its
            instances can be saved.

    Raises:
        ValidationError: when values of the scope do not meet ``schema``.
        CannotOpenError, NotADatabaseError, NewerFormatError, CorruptError,
        DiskFullError: when the file cannot be used; it is left as it was.
        MigrationNeeded: when it is a database of an earlier kycli, unless ``migrate``.
        InvalidScopeError: when ``scope`` is no name.

    >>> with Kycore(":memory:") as kv:
    ...     kv.save("answer", 42)
    ...     kv.getkey("answer")
    'created'
    42
    """

    cdef _Session _db
    cdef _Cache _cache
    cdef object _clock
    cdef str _scope
    cdef _Sweeper _sweeper
    cdef object _model      # the class that values of the store's scope are held to, or None
    cdef object __weakref__

    def __cinit__(self, *arguments, **options):
        self._sweeper = _Sweeper()
        # Not opened, so that a store whose __init__ did not run counts as closed.
        self._scope = "default"
        self._cache = _Cache("default", 0, 0)
        self._db = _Session("", "normal", 0, self._cache, None)

    def __init__(self, db_path=None, *, scope=None, durability="normal",
                 busy_timeout_ms=5000, cache_entries=100_000, cache_bytes=67_108_864,
                 clock=None, command=None, migrate=False, schema=None):
        if self._db.is_open:
            raise MisuseError("the store is open already")
        if isinstance(durability, str):
            durability = plain_text(durability)
        if durability not in ("normal", "full", "async"):
            raise InvalidValueError(
                f"unknown durability {shown(durability)}", hint="use 'normal', 'full' or 'async'"
            )
        check_callable(clock, "a clock")
        location = imported("kycli.core.location")
        path = location.default_database()[0] if db_path is None else location.database_file(db_path)
        self._scope = "default" if scope is None else check_scope(scope)
        self._clock = clock
        self._cache = _Cache(
            self._scope, check_count(cache_entries, "cache_entries"),
            check_count(cache_bytes, "cache_bytes"))
        self._db = _Session(
            path, durability, check_count(busy_timeout_ms, "busy_timeout_ms"), self._cache,
            checked_command(command))
        if durability == "async":
            self._db.deferred = _Deferred(clock)
            _register_exit_commit()
        try:
            self._db.open()
        except MigrationNeeded:
            if not migrate:
                raise
            from kycli.core.migration import formats as migration

            migration.migrate(path, busy_timeout_ms=busy_timeout_ms)
            self._db.open()
        if schema is not None:
            _adopt(self, schema)

    @property
    def path(self):
        """The database file, as an absolute path, or ``":memory:"``."""
        return self._db.path

    @property
    def scope(self):
        """The scope of calls that name none."""
        return self._scope

    @property
    def closed(self):
        """Whether ``close()`` was called."""
        return not self._db.is_open

    @property
    def read_only(self):
        """Whether the file can only be read."""
        return self._db.read_only

    def close(self):
        """Close the store; closing it again does nothing.

        Raises:
            MisuseError: inside a transaction of its own.
        """
        self._db.close()

    def flush(self):
        """Commit the saves that were acknowledged and are yet to be committed.

        There are some only with ``durability="async"``; otherwise this does nothing.

        Raises:
            BusyError, DiskFullError, StorageError: none of them is committed; they are kept,
                and the next call tries again.

        >>> with Kycore(":memory:", durability="async") as kv:
        ...     kv.save("k", "v")
        ...     kv.flush()
        'created'
        """
        self._db.flush()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close()

    def __repr__(self):
        state = "" if self._db.is_open else " (closed)"
        return f"<Kycore {self._db.path!r} scope {self._scope!r}{state}>"

    def __reduce__(self):
        raise WrongTypeError(
            "a store cannot be copied or pickled", hint="open another one on the same path"
        )

    cpdef int64_t _now(self) except? -1:
        """Return the time now, in milliseconds since the epoch."""
        if self._clock is not None:
            return time_of(self._clock)
        return _clock_ms(CLOCK_REALTIME)

    cpdef str _checked_scope(self, scope):
        """Return a scope in canonical form, the store's own for None; refuse what cannot be one."""
        return self._scope if scope is None else check_scope(scope)

    cpdef str _key(self, str scope, key):
        """Return a key as it is in a scope; refuse what cannot be one."""
        cdef str name = check_key(key)
        return _folded(self, scope, name) if may_fold(name) else name

    # -- transactions

    def transaction(self):
        """Make the calls inside one ``with`` block happen together or not at all.

        Takes the write lock at once, so what is read inside cannot change before it
        is written. Blocks nest: an inner one that raises undoes only itself. Other
        threads that use the store wait until the block ends, as long as the busy
        timeout. Durable when the outermost block is left. A block belongs to the thread
        that entered it, and must not span an ``await`` or a ``yield``. When that thread
        ends inside the block, the next call rolls it back, with a ``RuntimeWarning``.

        Raises:
            BusyError: when another writer holds the lock for longer than the timeout.
            ReadOnlyError: when the database cannot be written.
            MisuseError: when blocks are left in another order than they were entered, or
                in another thread; nothing of them is kept.

        >>> with Kycore(":memory:") as kv, kv.transaction():
        ...     kv.incr("stock", -1), kv.incr("sold", 1)
        (-1, 1)
        """
        return _Transaction(self._db, self)

    def snapshot(self):
        """Read as of one moment inside one ``with`` block, whatever others write meanwhile.

        Writers are not held up, but what they write cannot be moved into the database
        file before the block ends: a long one lets the ``-wal`` file grow. Other threads
        that use the store wait until the block ends.

        Raises:
            MisuseError: from every write inside the block.

        >>> with Kycore(":memory:") as kv, kv.snapshot():
        ...     kv.getkey("left"), kv.getkey("right")
        (None, None)
        """
        return _Transaction(self._db, self, True)

    def write_as(self, command, *, pid=None):
        """Begin another change of the history, made by another command.

        For a program that runs one command after the other on one store.

        Parameters:
            command: as for the store; None makes each call a change of its own.
            pid: the process that the history names, for a program that works for others;
                None for this one.

        Raises:
            WrongTypeError, InvalidValueError: when ``pid`` is no number of a process.
            MisuseError: inside a transaction.
        """
        self._db.write_as(
            checked_command(command), 0 if pid is None else check_count(pid, "pid"))

    # -- saving

    def save(self, key, value, *, ttl=None, scope=None, if_absent=False, if_version=None):
        """Store a value under a key. Atomic; committed when it returns.

        Parameters:
            key: non-empty text of up to 4096 bytes of UTF-8, without NUL.
            value: ``str``, ``bytes``, ``int``, ``float``, ``bool``, ``None``, or a
                ``list`` or ``dict`` of these, and of no subclass.
            ttl: time to live in seconds, or text with a unit (``"30s"``, ``"1.5h"``,
                ``s m h d w M y``). None makes the key permanent, except in a cache,
                where it means the cache's timeout.
            scope: default the store's.
            if_absent: save only when there is no such key.
            if_version: save only when the key is at this version; 0 for no such key.

        Returns:
            ``"created"``; ``"overwritten"``; or ``"nochange"`` when the value was there
            already (a new lifetime is set all the same) or, with ``if_absent``, the key.

        Raises:
            InvalidKeyError, InvalidTTLError, InvalidValueError, WrongTypeError: bad input;
                also a TTL in a namespace that is no cache.
            ConflictError: when the key is at another version than ``if_version``.
            BusyError, ReadOnlyError, DiskFullError: nothing was changed.

        >>> with Kycore(":memory:") as kv:
        ...     kv.save("k", "v"), kv.save("k", "v"), kv.save("k", "w", if_version=1)
        ('created', 'nochange', 'overwritten')
        """
        cdef str scope_name = self._checked_scope(scope)
        cdef str status
        key = self._key(scope_name, key)
        if if_absent or if_version is not None:
            status = self._save_if(scope_name, key, value, ttl, if_absent, if_version)
        else:
            status = self._save(scope_name, key, value, ttl)
        self._sweep_after(1)
        return status

    cdef str _save(self, str scope, key, value, ttl):
        cdef _Session db = self._db
        # Most stores have no schema. Whether there is one is looked at under the lock in any case,
        # but a deferred save takes none.
        if ((db.declarations.any_schema or db.deferred is not None)
                and self._declared(scope).schema is not None):
            return self._save_if(scope, key, value, ttl, False, None)
        try:
            return self._save_unchecked(scope, key, value, ttl)
        except _SchemaDeclared:
            return self._save_if(scope, key, value, ttl, False, None)

    cdef str _save_unchecked(self, str scope, key, value, ttl):
        """Save in a scope that has no schema as far as is known.

        Raises:
            _SchemaDeclared: when it has one; nothing was changed.
        """
        cdef _Session db = self._db
        cdef Declared declared
        cdef int64_t now
        cdef int operation
        cdef object lifetime = None if ttl is None else parse_ttl(ttl)
        cdef object expires_at
        try:
            kind, stored, size = encode(value)
        except KycliError:
            if self._declared(scope).schema is None:
                raise
            raise _SchemaDeclared from None  # which may take what cannot be encoded, a model say
        if db.deferred is not None:
            status = self._save_deferred(scope, key, kind, stored, size, lifetime)
            if status is not None:
                return status
        db.begin_call()
        try:
            now = self._now()  # under the lock, so that times are in the order of the log
            declared = _declared_in(db, scope)
            if declared.schema is not None:
                raise _SchemaDeclared
            if is_named(scope):
                lifetime = _lifetime_by(declared, lifetime)
            expires_at = None if lifetime is None else now + <int64_t>lifetime
            operation = _change(
                db, now, scope, key, stored, kind, size <= INLINE_MAX, expires_at)
            db.commit_call()
            if operation != UNCHANGED and db.depth == 0:
                self._cache.saved(db.last_id, scope, key, _entry_of(value, expires_at))
            return _status(operation)
        except BaseException as error:
            raise db.failed_call(error)
        finally:
            db.leave()

    cdef str _save_deferred(self, str scope, key, kind, stored, size, lifetime):
        """Defer a save and return its answer; None when it cannot be deferred."""
        cdef _Session db = self._db
        if size > DEFER_VALUE_MAX or db.read_only or _at_exit:
            return None
        if db.deferred.is_due(DEFER_MS):
            db.flush()
        db.enter_keeping_deferred()
        try:
            if db.depth:
                return None
            if is_named(scope):
                lifetime = _lifetime_by(_declared_in(db, scope), lifetime)
            now = self._now()
            return _defer(db, now, scope, key, kind, stored, size,
                          None if lifetime is None else now + lifetime)
        except (apsw.Error, UnicodeError) as error:
            raise db.translated(error) from error
        finally:
            db.leave()

    cdef str _save_if(self, str scope, key, value, ttl, bint if_absent, if_version):
        cdef int64_t now
        lifetime = None if ttl is None else parse_ttl(ttl)
        if if_version is not None:
            check_count(if_version, "if_version")
        with _Transaction(self._db, self):
            enforcer = self._enforcer(scope)
            if enforcer is not None:
                value = enforcer.validate(key, value)
            kind, stored, size = encode(value)
            now = self._now()
            row = self._live_row(now, scope, key)
            if if_version is not None:
                found = 0 if row is None else row[3]
                if found != if_version:
                    raise ConflictError(
                        f"the key {key!r} is at version {found}, not {if_version}"
                        if found else f"there is no key {key!r} at version {if_version}",
                        hint="read it again and decide anew",
                    )
            if if_absent and row is not None:
                return _STATUS_NOCHANGE
            lifetime = self._lifetime_in(scope, lifetime)
            return _status(_write_row(
                self._db, now, scope, key, stored, kind, size <= INLINE_MAX,
                None if lifetime is None else now + lifetime, UNCHANGED))

    cpdef object _lifetime_in(self, str scope, lifetime):
        """Return the time to live of a key saved in a scope, in milliseconds, or None.

        In a plain scope it is the caller's, in a named namespace the namespace's.
        """
        return _lifetime_by(self._declared(scope), lifetime) if is_named(scope) else lifetime

    cpdef str _put(self, int64_t now, str scope, key, kind, stored, size, lifetime):
        """Write one row inside a transaction, for a time to live in milliseconds or None."""
        lifetime = self._lifetime_in(scope, lifetime)
        return self._write(now, scope, key, kind, stored, size,
                           None if lifetime is None else now + lifetime)

    cpdef str _write(self, int64_t now, str scope, key, kind, stored, size, expires_at,
                     int op=UNCHANGED):
        """Write one row inside a transaction, to expire at a given time or never.

        Parameters:
            op: the operation of the change, RESTORED or IMPORTED; by default CREATED or
                OVERWRITTEN, whatever it is.
        """
        cdef object enforcer = self._enforcer(scope)
        key = self._key(scope, key)
        if enforcer is not None:
            kind, stored, size = _enforced(self, enforcer, scope, key, kind, stored)
        return _status(_write_row(self._db, now, scope, key, stored, kind, size <= INLINE_MAX,
                                  expires_at, op))

    # -- reading

    cpdef tuple _live_row(self, int64_t now, str scope, key):
        """Return ``(key, value, kind, version, expires_at, updated_at, seq)`` or None."""
        row = self._db.fetch(_GET_ROW, (scope, key))
        if row is None or _has_expired(row[4], now):
            return None
        return row

    def getkey(self, key, default=None, *, scope=None, include_expired=False, at=None,
               model=False):
        """Return the value of a key, with its type, or ``default``. Never raises for absence.

        Parameters:
            key: the key.
            default: what to return when there is no such key, or it has expired.
            scope: default the store's.
            include_expired: also return what has expired and is not yet archived.
            at: read what the key was at that time; as for ``get_history``.
            model: return an instance of the Pydantic model of the scope's schema.

        Raises:
            MisuseError: with ``model`` when the schema has no model for the key.
            InvalidKeyError: when ``key`` could not be a key.
            InvalidTimeError: when ``at`` cannot be read, is to come, or is before the
                retained history.
        """
        cdef object found
        if model:
            found = self.getkey(
                key, _MISSING, scope=scope, include_expired=include_expired, at=at)
            if found is _MISSING:
                return default
            from kycli.core.schemas.enforcing import instance

            scope_name = self._checked_scope(scope)
            return instance(
                self._enforcer(scope_name), scope_name, self._key(scope_name, key), found)
        if (self._db.deferred is not None and self._db.deferred.count and not include_expired
                and at is None):
            scope_name = self._checked_scope(scope)
            row = self._db.deferred.find(scope_name, self._key(scope_name, key))
            if row is not None:
                found = self._deferred_value(row)
                return self._read(scope_name, key, default, False) if found is _NO_ENTRY else found
        # Hot path: a dict look-up, when nobody has committed anything since the last one.
        # Another thread's transaction has not changed anything in the cache yet.
        if ((self._db.depth == 0 or not self._db.lock.is_held_here())
                and self._db.generation == _forks and not include_expired
                and at is None and type(key) is str and self._cache.current()):
            found = self._cached(
                self._cache.own if scope is None
                else self._cache.scopes.get(check_scope(scope)), key)
            if found is not _NO_ENTRY:
                self._cache.hits += 1
                return default if found is _ABSENT else found
        if at is not None:
            entry = self.get_entry(key, scope=scope, include_expired=include_expired, at=at)
            return default if entry is None else entry.value
        return self._read(self._checked_scope(scope), key, default, include_expired)

    cdef inline object _cached(self, dict entries, str key):
        """Return the cached value of a key, _ABSENT, or _NO_ENTRY when there is no entry."""
        cdef PyObject* entry = NULL if entries is None else PyDict_GetItem(entries, key)
        cdef object found
        if entry == NULL:
            return _NO_ENTRY
        found = <object>entry  # a reference, because a clock in Python may drop the entry
        if type(found) is not _Expiring:
            return found
        if _is_past((<_Expiring>found).expires_at, self._now()):
            return _NO_ENTRY
        return (<_Expiring>found).value

    cdef object _deferred_value(self, tuple row):
        """Return the value of a deferred row.

        _NO_ENTRY where the database must be asked: the row is being committed, has expired, or
        is the parent process's.
        """
        cdef _Session db = self._db
        if db.deferred.committing or db.generation != _forks:
            return _NO_ENTRY
        if row[6] is not None and _has_expired(row[6], self._now()):
            return _NO_ENTRY
        return decode(row[4], row[3])

    cdef object _read(self, str scope, key, default, bint include_expired):
        """Read a key from the database and, where that is possible, cache it."""
        cdef _Session db = self._db
        cdef unsigned char header[HEADER]
        cdef bint caching = False
        cdef object row, found
        key = self._key(scope, key)
        db.enter_keeping_deferred()
        if db.deferred is not None and db.deferred.find(scope, key) is not None:
            db.leave()
            db.enter()
        try:
            db.note_use()
            if db.depth == 0 and self._cache.header != NULL and not include_expired:
                self._cache.misses += 1
                caching = self._cache.copy_header(header)  # before the transaction begins
            # A key that is not cached needs no catching up: see cache.pxi.
            if (caching and memcmp(header, self._cache.checked, HEADER) != 0
                    and self._cache.holds(scope, key)):
                try:
                    _catch_up(db)
                    memcpy(self._cache.checked, header, HEADER)
                    found = self._cached(self._cache.scopes.get(scope), key)
                    if found is not _NO_ENTRY:
                        return default if found is _ABSENT else found
                    row = _row_of(db, scope, key)
                finally:
                    db.run.changes.reset()  # ends the read transaction of catching up
            else:
                row = _row_of(db, scope, key)
            if row is None:
                if caching:
                    _cache_absent(db, scope, key)
                return default
            value, kind, expires_at = row
            if expires_at is None or include_expired or not _has_expired(expires_at, self._now()):
                value = decode(value, kind)
                if caching:
                    entry = _entry_of(value, expires_at)
                    if entry is not None:
                        self._cache.put(scope, key, entry)
                return value
        except (apsw.Error, UnicodeError) as error:
            raise db.translated(error) from error
        finally:
            db.leave()
        self._sweeper.archive_key(self, scope, key)
        return default

    def get_entry(self, key, *, scope=None, include_expired=False, at=None):
        """Return a key's ``Entry`` (value, version, expiry, last change), or None.

        With ``at`` as it was at that time.
        """
        from kycli.core.operations.entry import Entry

        cdef str scope_name = self._checked_scope(scope)
        key = self._key(scope_name, key)
        if at is not None:
            from kycli.core.history import changes as history

            return history.past_entry(self, scope_name, key, at, include_expired)
        row = self._db.fetch(_GET_ROW, (scope_name, key))
        if row is None:
            return None
        if not include_expired and _has_expired(row[4], self._now()):
            self._sweeper.archive_key(self, scope_name, key)
            return None
        return Entry(row[0], decode(row[1], row[2]), row[3], row[4], row[5])

    # -- removing

    def delete(self, key, *, scope=None):
        """Delete a key: its value goes to the archive. Atomic.

        Returns:
            True, or False when there was no such key or it had expired.
        """
        cdef str scope_name = self._checked_scope(scope)
        cdef _Session db = self._db
        cdef bint done
        key = self._key(scope_name, key)
        db.begin_call()
        try:
            done = _remove(db, self._now(), scope_name, key)
            db.commit_call()
        except BaseException as error:
            raise db.failed_call(error)
        finally:
            db.leave()
        self._sweep_after(1)
        return done

    cpdef bint _remove(self, str scope, key) except -1:
        """Archive one key inside a transaction; return whether it was alive."""
        cdef _Session db = self._db
        key = self._key(scope, key)
        db.enter()
        try:
            return _remove(db, self._now(), scope, key)
        except (apsw.Error, UnicodeError) as error:
            raise db.translated(error) from error
        finally:
            db.leave()

    def delete_many(self, keys=None, *, prefix=None, scope=None):
        """Delete the given keys, or all that begin with ``prefix``: all or none of them.

        Returns:
            How many keys there were.

        Raises:
            MisuseError: unless exactly one of ``keys`` and ``prefix`` is given; the empty
                prefix means the whole scope.
        """
        cdef str scope_name = self._checked_scope(scope)
        cdef int64_t count = 0
        if (keys is None) == (prefix is None):
            raise MisuseError("delete_many takes keys or a prefix, one of them")
        with _Transaction(self._db, self):
            if keys is not None:
                for key in key_list(keys):
                    count += self._remove(scope_name, key)
            else:
                first, past = range_of(prefix)
                while True:
                    # Nothing has expired at time -1.
                    page = self._db.fetch_all(
                        _PAGE_OF_KEYS, (-1, scope_name, first, past, PAGE_ROWS))
                    for (key,) in page:
                        count += self._remove(scope_name, key)
                    if len(page) < PAGE_ROWS:
                        break
        self._sweep_after(count)
        return count

    # -- for the modules beside the engine; only kycli.core.sql, doctor and migration hold SQL

    cpdef _sweep_after(self, int64_t written, bint at_once=False):
        """Archive some expired rows, and prune some history, after rows were written."""
        self._sweeper.sweep(self, written, at_once)

    def _query(self, sql, bindings=()):
        """Execute one statement; return its rows as a list of tuples."""
        return self._db.fetch_all(sql, bindings)

    def _check_files(self):
        """Raise FileReplacedError unless the store's file is the one that its path names."""
        self._db.enter()
        try:
            self._db.check_files()
        finally:
            self._db.leave()

    def _enlarge_page_cache(self):
        """Prepare for work that changes many pages."""
        self._db.fetch(_BULK_CACHE, ())

    def _take_in(self, sql, bindings, last, end, most, searchable, fold):
        """Index the keys that a statement names, inside a transaction; see ``sql.index.take_in``."""
        return _take_in(self, sql, bindings, last, <int64_t>(end * 1000), most, searchable, fold)

    def _changes_of_key(self, id, since, until, most):
        """Return a page of one key's changes, newest first; see ``_chain_of``."""
        cdef _Session db = self._db
        db.enter()
        try:
            return _chain_of(db, id, since, until, most)
        except (apsw.Error, UnicodeError) as error:
            raise db.translated(error) from error
        finally:
            db.leave()

    def _connection(self):
        """Return the connection itself, to be used inside a transaction of this store."""
        return self._db.connection

    def _another_connection(self, timeout_ms):
        """Open the store's file once more; SQLite waits for locks as it does for the store."""
        return imported("kycli.core.opening").connect(
            self._db.path, "normal", _BusyHandler(timeout_ms))

    def _in_transaction(self):
        """Whether the calling thread is inside a transaction of this store."""
        return self._db.depth > 0 and self._db.lock.is_held_here()

    def _in_snapshot(self):
        """Whether the calling thread is inside a snapshot of this store, where nothing is written."""
        return self._db.reading and self._in_transaction()


cdef object _MISSING = object()
