# Settings of scopes, and schemas. Part of storage.pyx: one extension is one file to
# load at start-up.


cdef class _Declaring(_Delegates):
    """The part of ``Kycore`` that knows what is declared of scopes, and declares schemas."""

    cpdef Declared _declared(self, str scope):
        """Return what is declared of a scope now, or in the block that the thread is in."""
        cdef _Session db = (<Kycore>self)._db
        cdef Declared declared = db.find_declared(scope)
        if declared is not None:
            return declared
        db.enter_beside_writes()
        try:
            return _declared_in(db, scope)
        except (apsw.Error, UnicodeError) as error:
            raise db.translated(error) from error
        finally:
            db.leave()

    def _all_declared(self):
        """Return what is declared of each scope, sorted by its name."""
        rows = (<Kycore>self)._db.fetch_all(_ALL_DECLARED, ())
        return [_declared_by(row[0], row[1:]) for row in rows]

    def _declare(self, sql, bindings):
        """Execute one statement that changes what is declared of scopes."""
        (<Kycore>self)._db.declare(sql, bindings)

    cpdef object _enforcer(self, str scope):
        """Return what holds the values of a scope to its schema, or None where it has none."""
        cdef Kycore store = <Kycore>self
        cdef _Session db = store._db
        cdef Declared declared = self._declared(scope)
        if declared.schema is None:
            return None
        enforcer = declared.enforcer
        if enforcer is None:
            db.enter_beside_writes()
            try:
                enforcer = _enforcer_of(db, declared)
            except (apsw.Error, UnicodeError) as error:
                raise db.translated(error) from error
            finally:
                db.leave()
        if store._model is not None and scope == store._scope and enforcer is not None:
            return imported("kycli.core.schemas.enforcing").ModelEnforcer(enforcer, store._model)
        return enforcer

    # -- scopes and caches

    def scopes(self):
        """Return the scopes that hold keys or are declared, sorted.

        Costs in proportion to the number of scopes, not of keys.
        """
        from kycli.core.operations import scopes

        return scopes.scopes(self)

    def drop_scope(self, scope):
        """Delete all keys of a scope, into the archive, and what is declared of it.

        Returns:
            How many keys there were.
        """
        from kycli.core.operations import scopes

        return scopes.drop_scope(self, check_scope(scope))

    def rename_scope(self, scope, to_scope):
        """Rename a scope, with its keys, history, archive and what is declared of it.

        Returns:
            How many keys it holds.

        Raises:
            MissingKeyError: when there is no such scope.
            ConflictError: when the new name is in use.
            InvalidTTLError: when keys expire and the new name is one of a namespace
                that is no cache.
        """
        from kycli.core.operations import scopes

        return scopes.rename_scope(self, check_scope(scope), check_scope(to_scope))

    def create_cache(self, scope, timeout):
        """Declare a namespace a cache: keys saved without a TTL live for ``timeout``.

        Keys that exist already stay as they are.

        Parameters:
            scope: ``"project.namespace"``.
            timeout: seconds, or text with a unit.

        Raises:
            InvalidScopeError: when ``scope`` names no namespace.
            InvalidTTLError: when ``timeout`` is no positive length of time.
            ConflictError: when it is a cache already.
        """
        from kycli.core.operations import caches

        caches.create_cache(self, check_scope(scope), parse_ttl(timeout))

    def set_cache(self, scope, timeout):
        """Change the timeout of a cache, for keys that are saved from now on.

        Raises:
            MissingKeyError: when it is no cache.
        """
        from kycli.core.operations import caches

        caches.set_cache(self, check_scope(scope), parse_ttl(timeout))

    def drop_cache(self, scope):
        """Make a cache an ordinary namespace again; its keys keep the lifetime they have.

        Raises:
            MissingKeyError: when it is no cache.
        """
        from kycli.core.operations import caches

        caches.drop_cache(self, check_scope(scope))

    def caches(self):
        """Return a dict of each cache and its timeout in seconds, sorted by name."""
        from kycli.core.operations import caches

        return caches.caches(self)

    # -- limits of the history

    def set_scope(self, scope, *, history_days=..., history_versions=..., archive_days=...):
        """Declare how far back the history and the archive of a scope go. Atomic.

        Writes of all processes enforce the limits, a step at a time, so a key may have some
        more changes for a while. A limit that is not given stays as it was; None removes it.
        Without limits everything is kept until ``compact``.

        Parameters:
            history_days: changes older than this are pruned, except for the newest of a key
                that is there.
            history_versions: how many changes of each key are kept, at least 1.
            archive_days: deleted and expired values older than this are purged.

        Raises:
            InvalidValueError: when a number is out of range; nothing is changed.
        """
        from kycli.core.history import retention

        given = {"history_days": history_days, "history_versions": history_versions,
                 "archive_days": archive_days}
        retention.set_scope(
            self, scope, {name: value for name, value in given.items() if value is not ...})

    def scope_settings(self, scope=None):
        """Return what ``set_scope`` declared of a scope, as a dict; None where it did not.

        Without ``scope``, a dict of all scopes of which anything is declared, and theirs.
        """
        from kycli.core.history import retention

        return (retention.all_settings(self) if scope is None
                else retention.scope_settings(self, scope))

    # -- schemas

    def create_table(self, scope, schema, *, keys=None, strict=True, extra="forbid",
                     existing="refuse", move_to=None, dry_run=False, progress=None):
        """Give a scope a schema that it did not have; from then on each write is held to it.

        Values are held to it by ``save``, ``save_many``, ``update``, ``incr``, ``patch``,
        ``push``, imports, copies, and whatever brings an older value back. A write that does
        not meet it raises ``ValidationError`` and changes nothing. What is stored is what was
        validated: defaults are filled in, and unless ``strict``, ``"36"`` becomes 36.

        Parameters:
            scope: the scope.
            schema: the short form (``{"name": "str(1..80)", "age": "int?"}``), a JSON Schema
                (draft 2020-12), either as data or as JSON text, or a Pydantic model class, of
                which the JSON Schema is taken.
            keys: a shell pattern; the schema is for the keys that match it as a whole. Of
                several patterns the longest that matches counts. Default all keys.
            strict: whether values must have the types that are said.
            extra: what becomes of members that an object of the short form does not list:
                ``"forbid"``, ``"ignore"`` (they are left out) or ``"keep"``.
            existing: what becomes of keys whose values do not meet it: ``"refuse"`` the
                schema, ``"keep"`` them, ``"reject"`` (delete) them, or ``"move"`` them.
            move_to: the scope to move them to.
            dry_run: check, and change nothing.
            progress: called with how many keys were checked, of how many.

        Returns:
            ``SchemaChange(version, checked, invalid, reasons)``; ``invalid`` lists key and
            problems, ``reasons`` why keys had to be checked.

        Raises:
            SchemaError: when the definition is wrong, with the place.
            ConflictError: when there is a schema for these keys already.
            ValidationError: when keys do not meet it, with ``existing="refuse"``.

        >>> with Kycore(":memory:") as kv:
        ...     kv.create_table("users", {"name": "str", "age": "int(0..150) = 0"}).version
        ...     kv.save("ada", {"name": "Ada"}, scope="users"), kv.getkey("ada", scope="users")
        1
        ('created', {'name': 'Ada', 'age': 0})
        """
        return _declare(self, True, scope, schema, keys, strict, extra, existing, move_to,
                        dry_run, progress)

    def set_schema(self, scope, schema, *, keys=None, strict=True, extra="forbid",
                   existing="refuse", move_to=None, dry_run=False, progress=None):
        """Set the schema of a scope, or change it; as ``create_table``.

        A change that each value meets, such as a new optional member, checks no values.
        Otherwise all are checked, without holding up writers, and under the write lock those
        that were written meanwhile.
        """
        return _declare(self, False, scope, schema, keys, strict, extra, existing, move_to,
                        dry_run, progress)

    def drop_schema(self, scope, *, keys=None):
        """Drop the schema of a scope, or only what it says of the keys of a pattern.

        Returns:
            True, or False when there was none.
        """
        from kycli.core.schemas import registry

        return registry.drop(self, check_scope(scope), _plain(keys))

    def schemas(self):
        """Return the scopes that have a schema, sorted."""
        from kycli.core.schemas import registry

        return registry.names(self)

    def schema(self, *, scope=None):
        """Return ``Schema(scope, version, updated_at, shapes)``, or None.

        Each shape has ``keys``, ``definition``, ``form``, ``strict`` and ``extra``. The first
        whose pattern matches a key is the one for it.
        """
        from kycli.core.schemas import registry

        return registry.read(self, (<Kycore>self)._checked_scope(scope))

    def json_schema(self, *, scope=None, keys=None):
        """Return what the values of a scope must be as a JSON Schema, or None.

        Parameters:
            keys: the pattern of the shape; default the one for all keys.
        """
        from kycli.core.schemas import registry

        return registry.json_schema(self, (<Kycore>self)._checked_scope(scope), _plain(keys))

    def check_schema(self, *, scope=None):
        """Iterate over the keys whose values do not meet the schema: ``(key, problems)``.

        Raises:
            MissingKeyError: when the scope has no schema.
        """
        from kycli.core.schemas import registry

        return registry.invalid_keys(self, (<Kycore>self)._checked_scope(scope))

    def infer_schema(self, prefix=None, *, scope=None):
        """Return a definition in the short form that every value meets; None without values.

        >>> with Kycore(":memory:") as kv:
        ...     kv.save_many({"a": {"n": 1, "on": "2026-11-21"}, "b": {"n": 2.5}})
        ...     kv.infer_schema()
        2
        {'n': 'float', 'on': 'date?'}
        """
        from kycli.core.schemas.infer import infer

        seen = infer(value for _, value in self.scan(prefix, scope=scope))
        return seen.definition() if seen.count else None


cdef str _folded(Kycore store, str scope, str name):
    """Return the key in lower case if the scope ignores the case of keys.

    A key that exists in its own case, as some releases left them, stays as it is.
    """
    cdef Declared declared = store._db.find_declared(scope)
    if declared is None:
        declared = store._declared(scope)
    if not declared.fold_keys or _is_live(store._db, scope, name):
        return name
    return name.lower()


cdef bint _is_live(_Session db, str scope, str name) except -1:
    """Whether a key of a scope that ignores case exists in its own case."""
    db.enter_beside_writes()  # what waits to be written is in lower case
    try:
        return (db.deferred is not None and db.deferred.find(scope, name) is not None
                or db.cursor.execute(_IS_LIVE, (scope, name)).get is not None)
    except (apsw.Error, UnicodeError) as error:
        raise db.translated(error) from error
    finally:
        db.leave()


cdef tuple _enforced(Kycore store, enforcer, str scope, str key, kind, stored):
    """Return a row as the schema of its scope wants it: kind, stored value and size.

    A value that stays as it is need not meet a schema that was declared after it was saved.
    """
    value = decode(stored, kind)
    try:
        return encode(enforcer.validate(key, value))
    except KycliError:
        row = store._live_row(store._now(), scope, key)
        if row is None or row[2] != kind or not is_same(kind, row[1], stored):
            raise
        return encode(value)


cdef _adopt(Kycore store, schema):
    """Hold the store's scope to a schema; set it unless it is set."""
    from kycli.core.schemas import definitions, registry

    try:
        registry.adopt(store, store._scope, definitions.shape(_plain(schema)))
    except BaseException:
        store.close()
        raise
    if isinstance(schema, type):
        store._model = schema


cdef object _declare(store, bint create, scope, schema, keys, strict, extra, existing, move_to,
                     dry_run, progress):
    from kycli.core.schemas import definitions, registry

    check_callable(progress, "progress")
    shape = definitions.shape(
        _plain(schema), keys=definitions.ALL_KEYS if keys is None else _plain(keys),
        strict=strict, extra=_plain(extra))
    return registry.declare(
        store, check_scope(scope), shape, create=create, existing=_plain(existing),
        move_to=move_to, dry_run=dry_run, progress=progress)


cdef object _plain(given):
    """Return exactly a ``str`` for a text of a subclass, and anything else as it is."""
    return plain_text(given) if isinstance(given, str) else given
