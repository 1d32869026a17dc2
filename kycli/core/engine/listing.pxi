# Listings: ranges of keys, read page by page in the order of the primary key, or against
# it. Part of storage.pyx: one extension is one file to load at start-up.

# A page ends after so many rows or bytes, and with it the read transaction.
cdef int PAGE_ROWS = 1000
cdef int64_t PAGE_BYTES = 1 << 20

cdef enum:
    # What a listing yields: the index of its statements in _PAGES.
    KEYS = 0
    PAIRS = 2
    ENTRIES = 4


cdef class _Listings(_Importing):
    """The part of ``Kycore`` that reads many keys, and the mapping protocol."""

    def listkeys(self, pattern=None, *, glob=None, prefix=None, after=None, reverse=False,
                 limit=None, scope=None):
        """Return the keys of a scope, sorted by code point, as a list; as ``iterkeys``.

        >>> with Kycore(":memory:") as kv:
        ...     kv.save_many((name, 1) for name in ("user:1", "user:22", "visits"))
        ...     kv.listkeys(r"user:\\d$"), kv.listkeys(glob="*2")
        ...     kv.listkeys(after="user:1"), kv.listkeys(reverse=True, limit=1)
        3
        (['user:1'], ['user:22'])
        (['user:22', 'visits'], ['visits'])
        """
        return list(self.iterkeys(prefix, pattern=pattern, glob=glob, after=after,
                                  reverse=reverse, limit=limit, scope=scope))

    def iterkeys(self, prefix=None, *, pattern=None, glob=None, after=None, reverse=False,
                 limit=None, scope=None):
        """Iterate over the keys of a scope, sorted by code point, streaming.

        Reads only the range of keys in which all that is asked for must lie: that of the
        prefix, that which the pattern itself implies, such as by its beginning, and what
        comes after ``after``.

        Parameters:
            prefix: only keys that begin with this text.
            pattern: only keys that match this regular expression from their start. The
                syntax is that of RE2, which takes time in proportion to the key, whatever
                the pattern: there are no backreferences and no lookaround, ``\\w``,
                ``\\d`` and ``\\s`` are ASCII (``\\pL``: letters of any script), and
                the end is ``$`` or ``\\z``.
            glob: only keys that match this shell pattern as a whole: ``*``, ``?``,
                ``[a-z]``, ``[!a-z]``, and a backslash before what is meant literally.
            after: only keys that come after this one in the order of the listing, so that
                a listing can be continued. The key need not exist; None or empty text
                means from the start.
            reverse: list in reverse order, the last key first.
            limit: at most so many.
            scope: default the store's.

        Raises:
            InvalidKeyError: when ``pattern`` or ``glob`` is none.
            MisuseError: when both are given.
        """
        return _Listing(self, KEYS, prefix, pattern, glob, after, reverse, limit, scope, False)

    def scan(self, prefix=None, *, pattern=None, glob=None, after=None, reverse=False,
             limit=None, scope=None):
        """Iterate over ``(key, value)``, sorted by key, streaming; parameters as ``iterkeys``.

        Rows come in pages; each page is as of one moment, and no transaction is open
        between them, so a slow reader holds nobody up. A key that is written while
        the scan is under way is seen with its old or its new value.
        """
        return _Listing(self, PAIRS, prefix, pattern, glob, after, reverse, limit, scope, False)

    def entries(self, prefix=None, *, pattern=None, glob=None, after=None, reverse=False,
                limit=None, scope=None, include_expired=False):
        """Iterate over ``Entry``, sorted by key, streaming; as ``scan``.

        Parameters:
            include_expired: also what has expired and is not yet archived.
        """
        return _Listing(self, ENTRIES, prefix, pattern, glob, after, reverse, limit, scope,
                        include_expired)

    def scan_lines(self, format, prefix=None, *, scope=None):
        """Iterate over keys and values that are all text as lines of UTF-8, sorted by key.

        As ``scan``, for programs that pass millions of them on: a key and its value are what
        ``csv`` or ``json`` would write of them, and no Python object is made of either.

        Parameters:
            format: ``"csv"``, ``"tsv"``, or ``"jsonl"`` for ``{"key":"…","value":"…"}``.
            prefix: only keys that begin with this text.

        Yields:
            ``(lines, count)``: whole lines as bytes, and how many keys they are of; or, for
            a value of more than 262144 bytes, ``(key, value)`` as they are.

        Raises:
            InvalidValueError: at a value that is no text; for an unknown format.

        >>> with Kycore(":memory:") as kv:
        ...     kv.save_many({"a": "x", "b": "1,5"})
        ...     list(kv.scan_lines("csv"))
        2
        [(b'a,x\\nb,"1,5"\\n', 2)]
        """
        return _Lines(self, format, prefix, scope)

    def removed_keys(self, prefix=None, *, after=None, reverse=False, limit=None, scope=None):
        """Return the keys that were deleted or have expired and can be restored, sorted.

        They are in the archive, and do not exist now. Parameters as of ``iterkeys``.

        >>> with Kycore(":memory:") as kv:
        ...     kv.save_many({"a": 1, "b": 2})
        ...     kv.delete("a"), kv.removed_keys()
        2
        (True, ['a'])
        """
        from kycli.core.operations import excerpts

        cdef str position = _position(after)
        first, past = range_of(prefix)
        if position is not None:
            if reverse:
                past = _nearer(past, position)
            else:
                first = max(first, _next(position))
        return excerpts.removed_keys(self, (<Kycore>self)._checked_scope(scope), first, past,
                                     bool(reverse), check_limit(limit))

    def select(self, where=None, *, order=None, limit=None, prefix=None, scope=None):
        """Iterate over the ``Entry`` of each key that meets a condition on its value.

        Without an order they are sorted by key and come in pages, as from ``entries``. With one
        they are of one moment, and all that match are found before the first is returned;
        if there are many, SQLite keeps them in a temporary file meanwhile. Values over 512
        bytes are read one by one. What cannot be read is left out.

        Parameters:
            where: the condition, such as ``"age > 30 and (city = 'Paris' or tags contains
                'vip')"``: ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``between … and …``,
                ``in (…)``, ``like``, ``glob``, ``contains``, ``is null``, with ``and``, ``or``,
                ``not`` and parentheses. A field is a path into the value (``address.zip``,
                ``tags[0]``) or ``@value``, ``@key``, ``@version``, ``@updated``, ``@expires``.
                Only values of one type compare; what is missing is null. Default all keys.
            order: fields to sort by, with commas, each with ``-`` before it for descending:
                null first, numbers, text, false, true; keys decide between equals.
            limit: at most so many.
            prefix: only keys that begin with this text.
            scope: default the store's.

        Raises:
            InvalidConditionError: when the condition or the order is none, with the place.

        >>> with Kycore(":memory:") as kv:
        ...     kv.save_many({"ada": {"age": 36}, "bob": {"age": 17}, "eve": {"age": "old"}})
        ...     [entry.key for entry in kv.select("age > 18")]
        3
        ['ada']
        """
        from kycli.core.operations import selecting

        return selecting.select(self, (<Kycore>self)._checked_scope(scope), where, order,
                                check_limit(limit), _plain(prefix))

    def explain(self, where=None, *, order=None, limit=None, prefix=None, scope=None):
        """Return how ``select`` would find its keys: whether by an index, and what SQLite does."""
        from kycli.core.operations import selecting

        return selecting.explain(self, (<Kycore>self)._checked_scope(scope), where, order,
                                 check_limit(limit), _plain(prefix))

    def create_index(self, scope, field):
        """Create an index on a field, by which ``select`` finds keys without reading all.

        Conditions with ``=``, ``in``, ``<``, ``<=``, ``>``, ``>=`` and ``between`` on the
        field use it, alone or joined to others by ``and``, and so does sorting by it. Other
        writers wait while it is built, a few seconds for a million keys; afterwards writes in
        this scope maintain it. It goes along when the scope is renamed.

        Parameters:
            scope: the scope.
            field: a path into the value, or ``"@value"``.

        Returns:
            True, or False when there is such an index.

        >>> with Kycore(":memory:") as kv:
        ...     kv.create_index("users", "age"), kv.indexes()
        (True, [FieldIndex(scope='users', field='age')])
        """
        from kycli.core.operations import selecting

        return selecting.create_index(self, check_scope(scope), field)

    def drop_index(self, scope, field):
        """Drop the index on a field.

        Returns:
            True, or False when there was none.
        """
        from kycli.core.operations import selecting

        return selecting.drop_index(self, check_scope(scope), field)

    def indexes(self, scope=None):
        """Return the indexes of a scope, or of all scopes, as ``FieldIndex(scope, field)``."""
        from kycli.core.operations import selecting

        return selecting.indexes(self, None if scope is None else check_scope(scope))

    def statistics(self, prefix=None, *, scope=None, progress=None):
        """Return what the values of a scope are: ``Statistics``, read in one pass.

        Attributes of it are ``keys``, ``expiring`` (how many of them expire), ``fields`` and
        ``more`` (whether there are fields that are not among them). Each field has ``field``,
        ``total`` (how many values have it), ``nulls``, ``types`` (with how many of each),
        ``lowest`` and ``highest`` (of numbers, else of text), ``lengths`` (the least and the
        greatest length of texts and lists) and ``distinct`` (None for more than 100).

        Parameters:
            prefix: only keys that begin with this text.
            scope: default the store's.
            progress: called with how many keys were read, of how many.
        """
        from kycli.core.schemas import statistics

        check_callable(progress, "progress")
        return statistics.statistics(
            self, (<Kycore>self)._checked_scope(scope), _plain(prefix), progress)

    def exists(self, key, *, scope=None):
        """Return whether there is such a key; the value is not read."""
        cdef Kycore store = <Kycore>self
        cdef str scope_name = store._checked_scope(scope)
        return store._db.fetch(
            _EXISTS, (store._now(), scope_name, store._key(scope_name, key))) is not None

    def count(self, prefix=None, *, scope=None):
        """Return how many keys there are; the cost grows with their number."""
        cdef Kycore store = <Kycore>self
        cdef str scope_name = store._checked_scope(scope)
        first, past = range_of(prefix)
        return store._db.fetch(_COUNT, (store._now(), scope_name, first, past))

    def get_many(self, keys, *, scope=None):
        """Return a dict of those keys that exist, all as of one moment."""
        cdef Kycore store = <Kycore>self
        cdef str scope_name = store._checked_scope(scope)
        cdef list wanted = [store._key(scope_name, key) for key in key_list(keys)]
        cdef _Session db = store._db
        cdef unsigned char header[HEADER]
        cdef bint caching
        cdef int64_t now
        cdef dict found = _all_cached(store, scope_name, wanted)
        if found is not None:
            return found
        found = {}
        # Before the transaction begins, as in _read.
        caching = store._cache.header != NULL and store._cache.copy_header(header)
        with _Transaction(db, store, True):
            db.use_native_statements()
            now = store._now()
            db.enter()
            try:
                # In a transaction of the caller the database may differ from the cache.
                caching = caching and db.depth == 1
                if caching:
                    try:
                        _catch_up(db)
                    finally:
                        db.run.changes.reset()
                    memcpy(store._cache.checked, header, HEADER)
                for key in wanted:
                    if caching:
                        entry = store._cache.find(scope_name, key)
                        if entry is not None:
                            _add_live(found, key, entry, now)
                            continue
                    row = _row_of(db, scope_name, key)
                    if row is None:
                        if caching:
                            _cache_absent(db, scope_name, key)
                        continue
                    value = decode(row[0], row[1])
                    if row[2] is None or <int64_t>row[2] > now:
                        found[key] = value
                    entry = _entry_of(value, row[2])
                    if caching and entry is not None:
                        store._cache.put(scope_name, key, entry)
            except (apsw.Error, UnicodeError) as error:
                raise db.translated(error) from error
            finally:
                db.leave()
        return found

    def cache_stats(self):
        """Return what the cache did: a dict of counts, and whether it is ``enabled`` now.

        ``hits`` and ``misses`` of ``getkey``; ``entries`` held now, and the ``bytes`` of memory
        that they take at most; ``catch_ups``: how often other commits were looked at;
        ``flushes``: how often all entries were dropped.
        """
        cdef _Cache cache = (<Kycore>self)._cache
        return {
            "enabled": cache.header != NULL, "hits": cache.hits, "misses": cache.misses,
            "entries": cache.entries, "bytes": cache.bytes,
            "catch_ups": cache.catch_ups, "flushes": cache.flushes,
        }

    # -- the mapping protocol

    def __getitem__(self, key):
        value = self.getkey(key, _MISSING)
        if value is _MISSING:
            raise MissingKeyError(f"no key {key!r} in scope {self.scope!r}")
        return value

    def __setitem__(self, key, value):
        self.save(key, value)

    def __delitem__(self, key):
        if not self.delete(key):
            raise MissingKeyError(f"no key {key!r} in scope {self.scope!r}")

    def __contains__(self, key):
        try:
            return self.getkey(key, _MISSING) is not _MISSING
        except InvalidKeyError:
            return False  # an invalid key is not in the store

    def __len__(self):
        return self.count()

    def __bool__(self):
        return next(self.iterkeys(limit=1), None) is not None

    def __iter__(self):
        return self.iterkeys()

    def keys(self):
        """Iterate over the keys of the store's scope, sorted."""
        return self.iterkeys()

    def items(self):
        """Iterate over ``(key, value)`` of the store's scope, sorted by key."""
        return self.scan()

    def values(self):
        """Iterate over the values of the store's scope, sorted by key."""
        return (value for _, value in self.scan())


cdef dict _all_cached(Kycore store, str scope, list keys):
    """Return the values of those keys that exist; None unless all are cached and current."""
    cdef _Session db = store._db
    cdef int64_t now = store._now()
    cdef dict found = {}
    cdef dict entries = store._cache.scopes.get(scope)
    cdef PyObject* entry
    if (entries is None or db.depth and db.lock.is_held_here() or db.generation != _forks
            or db.deferred is not None and db.deferred.count
            or not store._cache.current()):
        return None
    for key in keys:  # no Python code runs in here, so the entries are of one moment
        entry = PyDict_GetItem(entries, key)
        if entry == NULL:
            return None
        _add_live(found, <str>key, <object>entry, now)
    store._cache.hits += len(keys)
    return found


cdef str _position(object after):
    """Return the key after which a listing goes on, or None for the start."""
    if after is None:
        return None
    if not isinstance(after, str):
        raise InvalidKeyError(f"a listing goes on after a text, not {type(after).__name__}")
    after = plain_text(after)
    try:
        after.encode()
    except UnicodeEncodeError:
        raise InvalidKeyError(f"the key {after!r} is not valid text") from None
    return after or None


@cython.final
cdef class _Listing:
    """An iterator over a range of keys, which reads a page at a time."""

    cdef Kycore store
    cdef int what           # KEYS, PAIRS or ENTRIES
    cdef bint reverse
    cdef str sql
    cdef str scope
    cdef str first          # the range from first to past, which is a text, or b"" where
    cdef object past        # there is no end
    cdef object matches     # a filter on the keys of the range; None: all of them
    cdef object limit
    cdef bint include_expired
    cdef object entry       # the class Entry, where rows are such
    cdef list page
    cdef Py_ssize_t at
    cdef bint more

    def __cinit__(self, Kycore store, int what, prefix, pattern, glob, after, bint reverse,
                  limit, scope, bint include_expired):
        cdef str position = _position(after)
        self.store = store
        self.what = what
        self.reverse = reverse
        self.sql = _PAGES[what + reverse]
        self.scope = store._checked_scope(scope)
        self.first, self.past = range_of(prefix)
        if pattern is not None or glob is not None:
            from kycli.core.operations.patterns import select

            least, end, self.matches = select(pattern, glob)
            self.first = max(self.first, least)
            self.past = _nearer(self.past, end)
        if position is not None:
            if reverse:
                self.past = _nearer(self.past, position)
            else:
                self.first = max(self.first, _next(position))
        if what == ENTRIES:
            from kycli.core.operations.entry import Entry

            self.entry = Entry
        self.limit = check_limit(limit)
        self.include_expired = include_expired
        self.page = []
        self.more = limit is None or limit > 0

    def __iter__(self):
        return self

    def __next__(self):
        cdef object row
        while self.at == len(self.page):
            if not self.more:
                raise StopIteration
            self.read_page()
        row = self.page[self.at]
        self.at += 1
        return row

    def __length_hint__(self):
        """How many rows are there already: to the end of the page, which has few bytes."""
        return len(self.page) - self.at

    cdef read_page(self):
        """Read the next page, and note where the one after it begins."""
        cdef _Session db = self.store._db
        cdef _Native statement
        # With a filter, more rows than the limit may have to be read.
        cdef int64_t most = (PAGE_ROWS if self.limit is None or self.matches is not None
                             else min(self.limit, PAGE_ROWS))
        # Nothing has expired at time -1.
        cdef int64_t now = -1 if self.include_expired else self.store._now()
        cdef str last
        self.page, self.at = [], 0
        db.enter()
        try:
            statement = db.run.native_of(db.connection, self.sql)
            if statement is None:
                last = self.read_by_apsw(db, now, most)
            else:
                last = self.read(statement, now, most)
        except (apsw.Error, UnicodeError) as error:
            raise db.translated(error) from error
        finally:
            db.leave()
        if last is None:
            self.more = False
        elif self.reverse:
            self.past = last
        else:
            self.first = _next(last)
        if self.limit is not None:
            self.limit -= len(self.page)
            self.more = self.more and self.limit > 0

    cdef str read(self, _Native statement, int64_t now, int64_t most):
        """Fill the page; return the last key that was read if there may be more rows."""
        cdef list page = self.page
        cdef int64_t size = 0, seen = 0
        cdef int bytes = 0
        cdef int kind
        cdef str key = None
        statement.bind_int(1, now)
        statement.bind_text(2, self.scope)
        statement.bind_text(3, self.first)
        statement.bind(4, self.past)
        statement.bind_int(5, most)
        try:
            found = statement.has_row()
            while found:
                key = statement.text_at(0, &bytes)
                seen += 1
                if self.matches is not None and not self.matches(key):
                    pass
                elif self.what == KEYS:
                    page.append(key)
                else:
                    kind = <int>statement.int_at(2)
                    if kind == TEXT:
                        value = statement.text_at(1, &bytes)
                    else:
                        value = statement.at(1)
                        bytes = len(value) if kind == BYTES or kind == JSON else 8
                        value = decode(value, kind)
                    page.append((key, value) if self.what == PAIRS else self.entry(
                        key, value, statement.int_at(3), statement.at(4), statement.int_at(5)))
                    size += bytes
                if size > PAGE_BYTES or self.is_full():
                    return key
                found = statement.has_row_at_once()
        finally:
            statement.reset()
        return key if seen == most else None

    cdef str read_by_apsw(self, _Session db, int64_t now, int64_t most):
        cdef list page = self.page
        cdef int64_t size = 0, seen = 0
        cdef tuple row = None
        cursor = db.connection.cursor()
        try:
            for row in cursor.execute(self.sql, (now, self.scope, self.first, self.past, most)):
                seen += 1
                if self.matches is not None and not self.matches(row[0]):
                    pass
                elif self.what == KEYS:
                    page.append(row[0])
                else:
                    value = decode(row[1], row[2])
                    page.append((row[0], value) if self.what == PAIRS else self.entry(
                        row[0], value, row[3], row[4], row[5]))
                    size += len(row[1]) if isinstance(row[1], (str, bytes)) else 8
                if size > PAGE_BYTES or self.is_full():
                    return row[0]
        finally:
            cursor.close()
        return row[0] if seen == most else None

    cdef inline bint is_full(self):
        """Whether the page holds all that is asked for, where not every row counts."""
        return self.matches is not None and self.limit is not None and (
            len(self.page) >= <int64_t>self.limit)


cdef str _next(str key):
    """Return the least text that sorts after a key."""
    return key + "\0"


cdef object _nearer(object past, object other):
    """Return the nearer of two ends, each of which may be b"" for none."""
    if isinstance(past, bytes) or isinstance(other, bytes):
        return other if isinstance(past, bytes) else past
    return min(past, other)

