# For programs that display a store while others change it. Part of storage.pyx: one extension is
# one file to load at start-up.


cdef class _Watching:
    """The part of ``Kycore`` for those who look at it: what is new, and the beginnings of values."""

    def watch(self):
        """Begin to notice when the file is replaced, for ``close_if_replaced``.

        For a program that keeps stores open between the commands of its user, who may put
        another file into the place of a database, or copy one over it. Call it right after
        opening; closing the store ends it.

        Returns:
            a descriptor that can be read when something has happened to the file, for ``poll``;
            None where the system has none. It is the store's: neither read nor close it.
        """
        descriptor = (<Kycore>self)._db.watch()
        return None if descriptor < 0 else descriptor

    def close_if_replaced(self, *, told=False):
        """Close the store if its file is not the one any more that it has opened.

        It is another one when it was removed, when its name was given to another file, and when
        a program other than SQLite has written to it. Its log is removed, too, because it belongs
        to what was there before. Nothing is noticed before ``watch`` was
        called, and inside a transaction.

        Parameters:
            told: whether the descriptor of ``watch`` can be read.

        Returns:
            whether the store is closed.

        >>> with Kycore(":memory:") as kv:
        ...     kv.watch(), kv.close_if_replaced()
        (None, False)
        """
        return (<Kycore>self)._db.close_if_replaced(told)

    def commit_mark(self):
        """Return a mark that differs from earlier ones once anything has been committed.

        For programs that show what is in a database and want to know when to look again. Two
        equal marks of a store mean that no process has committed anything in between; where they
        differ, something may have been. Reads memory that all processes share, without SQL, in
        a microsecond or two. On a network file system and for a database in memory it takes a
        statement.

        Returns:
            Something to compare with ``==``, and nothing else.

        Raises:
            FileReplacedError: when the file was removed, or another one is in its place.

        >>> with Kycore(":memory:") as kv:
        ...     mark = kv.commit_mark()
        ...     unchanged = kv.commit_mark() == mark
        ...     kv["k"] = 1
        ...     unchanged, kv.commit_mark() == mark
        (True, False)
        """
        cdef _Session db = (<Kycore>self)._db
        db.enter_keeping_deferred()
        try:
            return db.mark()
        except apsw.Error as error:
            raise db.translated(error) from error
        finally:
            db.leave()

    def trail(self, key=None, *, seen=0, upto=None, limit=100, scope=None):
        """Return a page of the changes of a key or a scope, newest first, without large values.

        For programs that show the changes of a scope and follow them. Nothing is written, so an
        expiry that nobody has noted yet is missing. Takes a bounded time: at most 20,000 changes
        of all scopes are looked through, so a page may hold fewer than there are, or none; go on
        from ``rest``. Give ``newest`` as ``seen`` later on, to get what is new.

        Parameters:
            key: default all keys of the scope.
            seen: only changes after this position; default 0, from the first on.
            upto: only changes up to this position; default the newest.
            limit: at most so many.
            scope: default the store's.

        Returns:
            ``Trail(events, newest, rest, is_rewritten)``: the changes as ``Event``; the position of
            the newest change of all scopes; the position from which to go on as ``upto``, None
            when all changes after ``seen`` were looked through; and whether what was read up to
            ``seen`` may not hold any more, because a scope was renamed, the database was restored,
            or too much has changed to tell. What was pruned meanwhile is not told.

        >>> with Kycore(":memory:") as kv:
        ...     kv.save_many({"a": 1, "b": "two"})
        ...     page = kv.trail()
        ...     [(event.key, event.operation, event.value.head) for event in page.events]
        ...     kv.trail(seen=page.newest).events
        2
        [('b', 'created', 'two'), ('a', 'created', 1)]
        []
        """
        from kycli.core.history import trail

        return trail.page(
            self, (<Kycore>self)._checked_scope(scope), key, check_count(seen, "seen"),
            None if upto is None else check_count(upto, "upto"), check_limit(limit))

    def preview(self, key, *, most=65536, version=None, scope=None):
        """Return what there is of a key, with no more than the beginning of a large value.

        Takes a time that does not depend on the size of the value.

        Parameters:
            key: the key.
            most: how many bytes of the value to read, at most. A JSON document that is larger
                is text then, and not parsed.
            version: the value that the key had at this version; default the present one.
            scope: default the store's.

        Returns:
            ``Preview(key, value, version, expires_at, updated_at)``, or None when there is no such
            key, or the history does not hold that version. Its value is an
            ``Excerpt(type, head, size, is_whole)``.

        >>> with Kycore(":memory:") as kv:
        ...     kv["log"] = "line\\n" * 1000
        ...     kv.preview("log", most=6).value
        Excerpt(type='text', head='line\\nl', size=5000, is_whole=False)
        """
        from kycli.core.operations import excerpts

        return excerpts.preview(self, (<Kycore>self)._checked_scope(scope), key,
                                check_count(most, "most"),
                                None if version is None else check_count(version, "version"))
