# Importing many rows. Part of storage.pyx: one extension is one file to load at start-up.

cdef enum:
    # What an import does with a key that exists.
    OVERWRITE = 0
    SKIP
    REFUSE
    NEWER

cdef tuple _POLICIES = ("overwrite", "skip", "error", "newer")

# Rows between two calls of an import's progress function.
cdef int PROGRESS_ROWS = 4096


@cython.final
cdef class _Target:
    """A scope that rows are imported into."""

    cdef str scope
    cdef _BulkWriter bulk
    cdef object enforcer        # of the schema; None: there is none
    cdef int64_t era            # of the declarations that it comes from
    cdef bint takes_ttl         # False in a namespace that is no cache
    cdef object lifetime        # of keys without one, in milliseconds; None: forever


cdef class _Importing(_Declaring):
    """The part of ``Kycore`` that writes many rows, imports and exports."""

    def save_many(self, pairs, ttl=None, *, scope=None):
        """Store many values: all of them or, when anything fails, none.

        Parameters:
            pairs: a mapping, or an iterable of ``(key, value)``, consumed as it goes, so
                that any number fits into memory; a key given twice keeps its last value.
            ttl: as for ``save``, for all of them.
            scope: default the store's.

        Returns:
            How many pairs were given.

        Raises:
            As ``save``; and whatever the iterable raises.
        """
        cdef Kycore store = <Kycore>self
        cdef _Session db = store._db
        cdef str into = store._checked_scope(scope)
        cdef int64_t count = 0
        cdef int64_t era
        cdef object lifetime = None if ttl is None else parse_ttl(ttl)
        items = iterator_over(
            pairs.items() if hasattr(type(pairs), "items") else pairs,
            "save_many takes a mapping or an iterable of pairs")
        cdef _BulkWriter outer, bulk
        with _Transaction(db, store):
            db.use_native_statements()
            store._enlarge_page_cache()
            bulk = _BulkWriter(store, into, store._lifetime_in(into, lifetime))
            outer, db.bulk = db.bulk, bulk
            enforcer = self._enforcer(into)
            era = db.declarations.era
            try:
                for pair in items:
                    try:
                        if type(pair) is not tuple and isinstance(pair, (str, bytes)):
                            raise TypeError  # though it may be of two characters
                        key, value = pair
                    except (TypeError, ValueError):
                        raise WrongTypeError(
                            f"save_many takes pairs of key and value, not {type(pair).__name__}"
                        ) from None
                    key = store._key(into, key)
                    if db.declarations.era != era:  # the iterable may have changed the schema
                        enforcer = self._enforcer(into)
                        era = db.declarations.era
                    if enforcer is not None:
                        value = enforcer.validate(key, value)
                    kind, stored, size = encode(value)
                    bulk.add(key, kind, stored, size)
                    count += 1
                bulk.flush()
            finally:
                db.bulk = outer
        store._sweep_after(count)
        return count

    # -- import and export

    def import_data(self, source, *, format=None, scope=None, ttl=None, prefix="",
                    on_conflict="overwrite", on_error="stop", rejects=None, batch=None,
                    resume=False, dry_run=False, key_column=None, value_column=None,
                    scope_column=None, time_column=None, columns=None, header=True,
                    delimiter=None, quote=None, encoding=None, table=None, values_only=False,
                    progress=None):
        """Import a file: all of it or, when anything fails, nothing.

        One change of the history, which says that the rows were imported and from where. The
        file is read as a stream, so it may be larger than the memory; gzip, xz and zstd are
        recognized.

        A file of the format ``"kycli"`` brings its scopes back as they were, with settings,
        versions and times and, where it has them, history and archived values. They must be
        empty, and for a history the whole database; then no other option holds but
        ``dry_run`` and, for a file of one scope, ``scope``.

        Parameters:
            source: a path, or a binary stream.
            format: ``"csv"``, ``"tsv"``, ``"json"``, ``"jsonl"``, ``"dotenv"``, ``"nul"``,
                ``"kycli"``, ``"sqlite"`` or ``"prontodb"``; default what the name of the
                file says.
            scope: where rows go that name no scope; default the store's.
            ttl: time to live of rows that name no time.
            prefix: text that is put before each key.
            on_conflict: what happens to a key that exists: ``"overwrite"``, ``"skip"``,
                ``"error"``, or ``"newer"`` to overwrite it if the row or, where it has no
                time, the file was changed after the key. A row without a time in a stream
                is an error then.
            on_error: ``"stop"`` to import nothing, or ``"skip"``, when a record cannot be
                read or saved.
            rejects: with ``"skip"``, a file for these records, in the input's format, with
                line number and reason.
            batch: commit so many rows at a time, and let others write in between.
            resume: go on with an import in batches that was interrupted.
            dry_run: count, and change nothing.
            key_column, value_column, scope_column: the columns, or members of records, where
                these are; default ``key`` and ``value``. Without a header, numbers from 1.
            time_column: the column that says when a row was changed, for
                ``on_conflict="newer"``: ISO 8601, or seconds or milliseconds since the
                epoch. Default ``updated_at``, if there is one.
            columns: columns that are gathered into a JSON value; ``"*"`` for all others.
            header: whether the first line names the columns.
            delimiter, quote: of a table; ``quote=""`` reads quotes as text.
            encoding: default UTF-8.
            table: of an SQLite file.
            values_only: import the keys of a ``"kycli"`` file as those of other formats.
            progress: called with how many rows were read, and how many bytes of how many.

        Returns:
            ``Imported(read, created, overwritten, unchanged, skipped, rejected, change)``.

        Raises:
            MissingFileError, FileError: a FileNotFoundError or another OSError.
            FormatError: when it is not in its format, naming the line; also for an unknown
                format.
            ConflictError: when a key exists, with ``on_conflict="error"``; or when the file
                has changed since the import that is to be resumed.
            As ``save``, naming the line.
        """
        from kycli.transfer import calls

        check_callable(progress, "progress")
        return calls.import_data(self, source, progress, {
            "format": format, "scope": scope, "ttl": ttl, "prefix": prefix,
            "on_conflict": on_conflict, "on_error": on_error, "rejects": rejects,
            "batch": batch, "resume": resume, "dry_run": dry_run, "key_column": key_column,
            "value_column": value_column, "scope_column": scope_column, "time_column": time_column,
            "columns": columns, "header": header, "delimiter": delimiter, "quote": quote,
            "encoding": encoding, "table": table, "values_only": values_only})

    def export_data(self, path, format="csv", *, scope=None, all_scopes=False, prefix=None,
                    plain=False, history=False, archive=False, progress=None):
        """Export keys and values, as of one moment; ``import_data`` reads them back as they are.

        A file appears under its name when it is complete. The ending ``.gz``, ``.xz`` or
        ``.zst`` says that it is compressed.

        Parameters:
            path: a path, or a binary stream.
            format: as for ``import_data``, except ``"sqlite"`` and ``"prontodb"``.
            scope: one, or several; default the store's.
            all_scopes: all of them.
            prefix: only keys that begin with this text.
            plain: only keys and values, as text; types and times of expiry are lost.
            history: also every change that is retained, and the archived values; for
                ``"kycli"``, as is ``archive``.
            archive: also the deleted and expired values that ``restore`` brings back.
            progress: called with how many keys, changes and archived values were written.

        Returns:
            How many keys were written.

        Raises:
            FormatError: for an unknown format.
            InvalidValueError: when the format has no way to say a key or a value.
            FileError: when the file cannot be written; then there is none, or the one before.

        >>> import os, tempfile
        >>> with Kycore(":memory:") as kv, tempfile.TemporaryDirectory() as directory:
        ...     kv["answer"] = 42
        ...     path = os.path.join(directory, "keys.csv")
        ...     kv.export_data(path), open(path).read()
        ...     kv.import_data(path, scope="copy").created, kv.getkey("answer", scope="copy")
        (1, 'key,value,type\\nanswer,42,int\\n')
        (1, 42)
        """
        from kycli.transfer import calls

        check_callable(progress, "progress")
        return calls.export_data(
            self, path, format, scope, all_scopes, prefix, plain, bool(history), bool(archive),
            progress)

    def dump(self, prefix=None, *, scope=None, all_scopes=False, history=False, archive=False):
        """Return an iterator over all there is of scopes, as records for ``load``.

        The records are the classes of ``kycli.core.dump.records``. To have all of them of one
        moment, iterate inside ``snapshot()``.

        Parameters:
            prefix: only keys that begin with this text.
            scope: one, or several; default the store's.
            all_scopes: all of them.
            history: also every change that is retained, and the archived values.
            archive: also the deleted and expired values that ``restore`` brings back.

        >>> with Kycore(":memory:") as kv, Kycore(":memory:") as other:
        ...     kv["a"] = 1
        ...     kv["a"] = 2
        ...     other.load(kv.dump(history=True), history=True).changes
        ...     [(change.value, change.operation) for change in other.get_history("a")]
        2
        [(2, 'overwritten'), (1, 'created')]
        """
        from kycli.core.dump import reading

        if all_scopes and scope is not None:
            raise MisuseError("dump takes a scope or all_scopes, not both")
        if scope is None or isinstance(scope, str):
            scope = [(<Kycore>self)._checked_scope(scope)]
        scope = list(iterator_over(scope, "scopes are a list or another iterable of scopes"))
        return reading.dump(
            self, None if all_scopes else scope, prefix, bool(history), bool(archive))

    def load(self, records, *, history=False, source=None, scope=None):
        """Load what ``dump`` gave, all or nothing; return ``Loaded`` with how much that was.

        Keys come back with versions, times and what is declared of their scopes. Where the
        records have a history, it comes back as it was, and the database must have none.
        Otherwise the scopes must be empty, and all of it is one change.

        Parameters:
            records: an iterable; what it raises ends the loading.
            history: whether the records have one.
            source: what the history calls it, where it is a change.
            scope: another name for the scope; default those in the records.

        Raises:
            ConflictError: when there are keys, or a history, already.
            InvalidValueError, WrongTypeError: when records do not fit together, or are none.
        """
        from kycli.core.dump import writing

        if scope is not None:
            scope = check_scope(scope)
        records = iterator_over(records, "load takes an iterable of records")
        return writing.load(self, records, bool(history), checked_command(source), scope)

    def traits(self, prefix=None, *, scope=None):
        """Return ``Traits(types, expires)``: what is among the keys of a scope.

        ``types`` is the set of the types of the values, ``expires`` whether some key expires.
        Reads no values.
        """
        from kycli.core.operations import traits

        return traits.traits(self, prefix, scope)

    def import_rows(self, rows, *, scope=None, ttl=None, on_conflict="overwrite", source=None,
                    change=None, checkpoint=None, rejected=None, progress=None, landed=None,
                    dry_run=False):
        """Save many rows that come from elsewhere: all of them or, when anything fails, none.

        One transaction and, unless it is inside another one, one change of the history, in
        which the operation of each row is ``"imported"``.

        Parameters:
            rows: an iterable of tuples, consumed as it goes: ``(key, value)``, or with up to
                three more items: the scope; when the key expires and when the value was last
                changed, in milliseconds since the epoch. None stands for what is not known;
                a key that never expires, not even in a cache, expires at ``math.inf``.
                A ``kycli.core.storage.Pack`` among them stands for all of its rows.
            scope: where rows go that name no scope; default the store's.
            ttl: time to live of rows that name no time, as for ``save``.
            on_conflict: what happens to a key that exists: ``"overwrite"`` (default),
                ``"skip"``, ``"error"``, or ``"newer"`` to overwrite it with a row that was
                changed later.
            source: where the rows come from; the history shows ``import SOURCE`` as the
                command. Default is the store's command.
            change: the id of a change that this continues; default a new one.
            checkpoint: ``(name, function)``; the function is called after the last row with
                the id of the change or None, and what it returns is kept under the name in
                the same transaction, for ``import_checkpoint``. None removes it.
            rejected: called with the error of each row that cannot be saved, which is then
                left out. By default the error is raised.
            progress: called with how many rows were read.
            landed: a list of one int, to which the number of rows read is added when they
                are committed, even if a signal interrupts this call just then.
            dry_run: count, and change nothing.

        Returns:
            ``Imported(read, created, overwritten, unchanged, skipped, rejected, change)``. A
            row that has expired counts as skipped; ``change`` is None when nothing changed.

        Raises:
            ConflictError: when a key exists, and ``on_conflict`` is ``"error"``.
            As ``save``; and whatever the iterable raises.

        >>> with Kycore(":memory:") as kv:
        ...     done = kv.import_rows([("a", 1), ("b", 2, "other")], source="numbers")
        ...     done.created, [(c.operation, c.command) for c in kv.get_history("a")]
        (2, [('imported', 'import numbers')])
        """
        from kycli.core.operations.importing import Imported

        cdef Kycore store = <Kycore>self
        cdef _Session db = store._db
        cdef _Import work = _Import(store, scope, ttl, on_conflict, rejected, progress)
        cdef object name = None, describe = None
        cdef bint nameless
        if checkpoint is not None:
            if type(checkpoint) is not tuple or len(checkpoint) != 2:
                raise WrongTypeError("a checkpoint is a tuple of name and function")
            name, describe = checkpoint
            check_key(name)
            if not callable(describe):
                raise WrongTypeError("a checkpoint is a tuple of name and function")
        check_callable(rejected, "rejected")
        check_callable(progress, "progress")
        if landed is not None and not (type(landed) is list and len(landed) == 1
                                       and type(landed[0]) is int):
            raise WrongTypeError("landed is a list of one int")
        source = checked_command(source)
        if source is not None:
            source = f"import {source}"
        rows = iterator_over(rows, "import_rows takes an iterable of tuples")
        if dry_run:
            nameless = db.author == 0 and db.depth == 0
            if nameless:
                db.author = -1  # a new one would be stored before the transaction begins
            try:
                with _Transaction(db, store):
                    self.import_all(db, work, rows, source or db.command or "", change, None, None)
                    raise _DryRun
            except _DryRun:
                change = None
            finally:
                if nameless:
                    db.author = 0
        else:
            with _Transaction(db, store):
                change = self.import_all(db, work, rows, source, change, name, describe)
            # Before any Python runs, in which a signal handler may raise.
            if landed is not None and db.depth == 0:
                landed[0] = landed[0] + work.read
            store._sweep_after(work.read)
        return Imported(work.read, work.created, work.overwritten, work.unchanged, work.skipped,
                        work.rejections, change if work.created or work.overwritten else None)

    cdef object import_all(self, _Session db, _Import work, rows, source, change, name, describe):
        """Import the rows inside a transaction; return the id of the change, or None."""
        cdef object before = (db.command, db.author)
        cdef _BulkWriter outer
        try:
            if source is not None:
                db.command = source
                db.author = imported("kycli.core.authors").number_of(db.connection, source)
            if change is not None:
                db.change = self.known_change(change)
            outer = db.bulk
            try:
                work.run(rows)
            finally:
                db.bulk = outer
            if name is not None:
                self.keep_checkpoint(check_key(name), describe(db.change or None))
            return db.change or None
        except apsw.Error as error:
            raise db.translated(error) from error
        finally:
            db.command, db.author = before

    def import_checkpoint(self, name):
        """Return what an import has kept under a name, or None.

        Nothing but imports shows it: it is in a scope of its own that is in no listing.
        """
        return (<Kycore>self)._read(_IMPORTS, check_key(name), None, False)

    cdef int64_t known_change(self, change) except -1:
        """Return the id of a change that goes on."""
        cdef int64_t id = check_count(change, "change")
        if not (<Kycore>self)._query(_IS_CHANGE, (id,)):
            raise UnknownChangeError(
                f"there is no change {shown(change)} that could go on",
                hint="an import returns the id of its change")
        return id

    cdef keep_checkpoint(self, str name, checkpoint):
        cdef Kycore store = <Kycore>self
        if checkpoint is None:
            store._remove(_IMPORTS, name)
        else:
            store._put(store._now(), _IMPORTS, name, *encode(checkpoint), None)


cdef str _IMPORTS = layout.IMPORTS
cdef object _NEVER = float("inf")


class _DryRun(Exception):
    """Rolls an import back."""


@cython.final
cdef class _Import:
    """One call of ``import_rows``."""

    cdef Kycore store
    cdef str scope
    cdef object ttl
    cdef int policy
    cdef object on_rejected
    cdef object on_progress
    cdef dict targets            # by scope
    cdef int64_t read
    cdef int64_t created
    cdef int64_t overwritten
    cdef int64_t unchanged
    cdef int64_t skipped
    cdef int64_t rejections

    def __cinit__(self, Kycore store, scope, ttl, on_conflict, rejected, progress):
        if isinstance(on_conflict, str):
            on_conflict = plain_text(on_conflict)
        if on_conflict not in _POLICIES:
            raise InvalidValueError(
                f"unknown policy {shown(on_conflict)} for conflicts",
                hint="use overwrite, skip, error or newer",
            )
        self.store = store
        self.scope = store._scope if scope is None else check_scope(scope)
        self.ttl = None if ttl is None else parse_ttl(ttl)
        self.policy = _POLICIES.index(on_conflict)
        self.on_rejected = rejected
        self.on_progress = progress
        self.targets = {}

    cdef run(self, rows):
        cdef _Session db = self.store._db
        cdef int64_t now = self.store._now()
        cdef _Target target = self.target_of(None)
        db.use_native_statements()
        db.fetch(_BULK_CACHE, ())
        try:
            for row in rows:
                if type(row) is Pack:
                    self.run_pack(db, <Pack>row, target)
                    continue
                if self.read % BULK_ROWS == 0:
                    now = self.store._now()
                self.take(db, now, row, target)
        finally:
            for target in self.targets.values():
                target.bulk.release()
        for target in self.targets.values():
            target.bulk.flush()
            self.created += target.bulk.created
            self.overwritten += target.bulk.overwritten
            self.unchanged += target.bulk.unchanged
        if self.on_progress is not None:
            self.on_progress(self.read)

    cdef take(self, _Session db, int64_t now, row, _Target target):
        if self.read % BULK_ROWS == 0:
            PyErr_CheckSignals()
            with nogil:
                pass  # other threads take their turn
            if self.on_progress is not None and self.read % PROGRESS_ROWS == 0:
                self.on_progress(self.read)
        self.read += 1
        if self.on_rejected is None:
            self.add(db, now, row, target)
            return
        try:
            self.add(db, now, row, target)
        except (InputError, WrongTypeError, ConflictError) as error:
            self.rejections += 1
            self.on_rejected(error)

    cdef run_pack(self, _Session db, Pack pack, _Target target):
        cdef int64_t now = self.store._now()
        cdef Py_ssize_t before
        if (self.policy != OVERWRITE or self.on_rejected is not None
                or self.store._declared(target.scope).fold_keys):
            for row in pack:
                self.take(db, now, row, target)
            return
        if db.bulk is not target.bulk:
            if db.bulk is not None:
                db.bulk.flush()
            db.bulk = target.bulk
        while pack.at < pack.count:
            if (target.enforcer is None and self.on_progress is not None
                    and self.read % PROGRESS_ROWS == 0):
                self.on_progress(self.read)
            self.hold(db, target)
            if target.enforcer is not None:
                for row in pack:
                    self.take(db, now, row, target)
                return
            before = pack.at
            target.bulk.add_pack(
                pack, min(pack.count, before + PROGRESS_ROWS - self.read % PROGRESS_ROWS))
            self.read += pack.at - before

    cdef int hold(self, _Session db, _Target target) except -1:
        """Hold a target to its schema, which what is called meanwhile may have changed."""
        if target.era != db.declarations.era:
            target.enforcer = self.store._enforcer(target.scope)
            target.era = db.declarations.era
        return 0

    cdef _Target target_of(self, scope):
        cdef _Target target = self.targets.get(scope)
        if target is None:
            target = _Target()
            target.scope = self.scope if scope is None else check_scope(scope)
            target.era = -1
            self.hold(self.store._db, target)
            target.takes_ttl = True
            target.lifetime = self.ttl
            if is_named(target.scope):
                target.lifetime = self.store._lifetime_in(target.scope, None)
                target.takes_ttl = target.lifetime is not None
                if self.ttl is not None:
                    target.lifetime = self.store._lifetime_in(target.scope, self.ttl)
            target.bulk = _BulkWriter(self.store, target.scope, target.lifetime, IMPORTED)
            self.targets[scope] = target
        return target

    cdef add(self, _Session db, int64_t now, row, _Target target):
        cdef Py_ssize_t size = 0, count
        cdef object expires_at = None, updated_at = None, found
        cdef int kind
        cdef bint never = False
        cdef str key
        if type(row) is not tuple:
            raise WrongTypeError(f"a row to import is a tuple, not {type(row).__name__}")
        count = len(<tuple>row)
        if not 2 <= count <= 5:
            raise WrongTypeError(f"a row to import has 2 to 5 items, not {count}")
        if count > 2:
            if row[2] is not None:
                target = self.target_of(check_scope(row[2]))
            if count > 3:
                expires_at = row[3]
            if count > 4:
                updated_at = row[4]
                if updated_at is not None:
                    check_count(updated_at, "the time of the last change")
        key = self.store._key(target.scope, row[0])
        value = row[1]
        self.hold(db, target)
        if target.enforcer is not None:
            value = target.enforcer.validate(key, value)
        if type(value) is str:
            try:
                PyUnicode_AsUTF8AndSize(value, &size)
                kind, stored = TEXT, value
            except UnicodeEncodeError:
                kind, stored, size = encode(value)  # which raises
            if size > INLINE_MAX:
                kind, stored, size = encode(value)
        else:
            kind, stored, size = encode(value)
        if type(expires_at) is float and expires_at == _NEVER:
            expires_at = None
            never = self.ttl is None and target.lifetime is not None
        if expires_at is not None:
            if not target.takes_ttl:
                self.store._lifetime_in(target.scope, 1)  # which raises
            if _is_past(check_count(expires_at, "the time of expiry"), now):
                self.skipped += 1
                return
        elif self.policy == OVERWRITE and not never:
            if db.bulk is not target.bulk:
                if db.bulk is not None:
                    db.bulk.flush()
                db.bulk = target.bulk
            target.bulk.add(key, kind, stored, size)
            return
        elif target.lifetime is not None and not never:
            expires_at = now + <int64_t>target.lifetime
        if self.policy != OVERWRITE:
            found = self.store._live_row(now, target.scope, key)
            if found is not None:
                if self.policy == REFUSE:
                    raise ConflictError(
                        f"the key {key!r} exists already in scope {target.scope!r}",
                        hint="skip or overwrite it (--on-conflict skip, --on-conflict overwrite)",
                    )
                if self.policy == SKIP or updated_at is None or updated_at <= found[5]:
                    self.skipped += 1
                    return
        target.bulk.count(_write_row(
            db, now, target.scope, key, stored, kind, size <= INLINE_MAX, expires_at, IMPORTED))
