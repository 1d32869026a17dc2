# Methods outside the data plane. Each imports the module that does its work when called. Part of storage.pyx: one extension is one file to load at start-up.

cdef class _Delegates(_Watching):
    """The methods of ``Kycore`` that other modules implement."""

    # -- changes that depend on the current value

    def getset(self, key, value, default=None, *, ttl=None, scope=None):
        """Save a value, as ``save`` does, and return the one before, or ``default``. Atomic."""
        from kycli.core.operations import updates

        return updates.getset(self, key, value, default, ttl, scope)

    def pop(self, key, default=..., *, scope=None):
        """Delete a key, as ``delete`` does, and return its value. Atomic.

        Parameters:
            default: what to return when there is no such key.

        Raises:
            MissingKeyError: when there is no such key, and no default was given.

        >>> with Kycore(":memory:") as kv:
        ...     kv["job"] = "backup"
        ...     kv.pop("job"), kv.pop("job", "none left")
        ('backup', 'none left')
        """
        from kycli.core.operations import updates

        return updates.pop(self, key, default, scope)

    def update(self, key, function, default=..., *, attempts=100, scope=None):
        """Replace a value by the result of a function, and return the result. Atomic.

        The function is called with the value, without any lock. If the value was changed
        meanwhile, nothing is saved, and the function is called again with the new value. An
        exception of the function is passed on, and nothing is saved. The key keeps its
        lifetime. Inside a transaction nobody can change the key, and the function is called
        once.

        Parameters:
            function: takes the value and returns the new one.
            default: what it is called with when there is no such key, which is then created.
            attempts: how often it is called at most.

        Raises:
            MissingKeyError: when there is no such key, and no default was given.
            ConflictError: when the key has changed during each of the attempts.

        >>> with Kycore(":memory:") as kv:
        ...     kv.update("names", lambda names: sorted([*names, "Ada"]), [])
        ['Ada']
        """
        from kycli.core.operations import updates

        return updates.update(self, key, function, default, attempts, scope)

    def incr(self, key, by=1, *, scope=None):
        """Add to a number and return the sum. Atomic across processes.

        A missing key counts as 0. Ints are exact at any size; with a float on either
        side the sum is a float. Text that is a number counts as one, so that a counter may be
        created on the command line. The key keeps its lifetime.

        Raises:
            WrongTypeError: when the value or ``by`` is not a number; nothing is changed.
            InvalidValueError: when the sum is too large for a float.
        """
        from kycli.core.operations import updates

        return updates.incr(self, key, by, scope)

    def append(self, key, suffix, *, scope=None):
        """Append text or bytes to a value and return its new length. Atomic.

        A missing key counts as empty. Text and bytes together make bytes, the text as
        UTF-8. The key keeps its lifetime. The length is in characters of text or bytes.

        Raises:
            WrongTypeError: when the value or ``suffix`` is neither text nor bytes.
        """
        from kycli.core.operations import updates

        return updates.append(self, key, suffix, scope)

    # -- lifetimes

    def expire(self, key, ttl, *, scope=None):
        """Give an existing key a new time to live, from now; False when there is none.

        Raises:
            InvalidTTLError: a bad TTL, or a namespace that is no cache.
        """
        from kycli.core.operations import updates

        return updates.expire(self, key, ttl, scope)

    def persist(self, key, *, scope=None):
        """Make a key permanent; False when there is no such key."""
        from kycli.core.operations import updates

        return updates.persist(self, key, scope)

    def ttl(self, key, *, scope=None):
        """Return the seconds that a key has left, ``inf`` if permanent, None if missing."""
        from kycli.core.operations import updates

        return updates.ttl(self, key, scope)

    # -- copying

    def copy(self, key, to_key=None, *, scope=None, to_scope=None, overwrite=False):
        """Copy a key to another name or scope, with the lifetime it has left. Atomic.

        In a cache, a permanent key gets the default lifetime of the cache.

        Returns:
            False when there is no such key.

        Raises:
            ConflictError: when the destination exists and ``overwrite`` is false.
            InvalidTTLError: when the key expires and the destination's namespace is no cache.
        """
        from kycli.core.operations import updates

        return updates.transfer(self, key, to_key, scope, to_scope, overwrite, False)

    def move(self, key, to_key=None, *, scope=None, to_scope=None, overwrite=False):
        """Move a key to another name or scope; as ``copy``, and the old one is deleted."""
        from kycli.core.operations import updates

        return updates.transfer(self, key, to_key, scope, to_scope, overwrite, True)

    def copy_many(self, prefix=None, *, scope=None, to_scope=None, to_prefix=None,
                  on_conflict="error"):
        """Copy all keys of a scope, or those that begin with ``prefix``: all or none. Atomic.

        Values keep their type and the lifetime they have left, as with ``copy``. It is one
        change of the history.

        Parameters:
            prefix: only keys that begin with this text.
            to_scope: default the scope itself; ``to_prefix`` must then be another prefix.
            to_prefix: what to write in place of ``prefix``; default the same.
            on_conflict: what to do when there is a key at the destination: ``"error"``,
                ``"skip"`` to leave it as it is, ``"overwrite"``.

        Returns:
            How many keys were copied.

        Raises:
            ConflictError: when keys are there, and ``on_conflict`` is ``"error"``.
            InvalidTTLError: when a key expires and the destination's namespace is no cache.
            InvalidKeyError: when source and destination overlap, or a key gets too long.

        >>> with Kycore(":memory:") as kv:
        ...     _ = kv.save_many({"user:1": "Ada", "user:2": "Grace", "visits": 7})
        ...     kv.copy_many("user:", to_scope="backup"), kv.listkeys(scope="backup")
        (2, ['user:1', 'user:2'])
        """
        from kycli.core.operations import copying

        return copying.copy_many(
            self, prefix, scope, to_scope, to_prefix, on_conflict, remove=False)

    def move_many(self, prefix=None, *, scope=None, to_scope=None, to_prefix=None,
                  on_conflict="error"):
        """Move keys as ``copy_many`` copies them; what is skipped stays where it was."""
        from kycli.core.operations import copying

        return copying.copy_many(
            self, prefix, scope, to_scope, to_prefix, on_conflict, remove=True)

    # -- comparing

    def diff_scopes(self, scope, other, *, prefix=None):
        """Iterate over the keys in which two scopes differ: ``Diff``, sorted by key, streaming.

        Keys are compared by value and type, and by when they expire. Rows come in pages;
        both scopes are read as of one moment for each page. Costs in proportion to what
        the scopes hold.

        Parameters:
            prefix: only keys that begin with this text.

        Returns:
            ``Diff(key, operation, before, after)``: the operation is ``"added"``,
            ``"removed"``, ``"changed"``, or ``"lifetime"`` where only the expiry differs;
            ``before`` and ``after`` are the ``Entry`` in ``scope`` and in ``other``, or None.

        >>> with Kycore(":memory:") as kv:
        ...     _ = kv.save("url", "example.org", scope="shop.prod")
        ...     _ = kv.save("url", "localhost", scope="shop.test")
        ...     for diff in kv.diff_scopes("shop.prod", "shop.test"):
        ...         diff.key, diff.operation, diff.before.value, diff.after.value
        ('url', 'changed', 'example.org', 'localhost')
        """
        from kycli.core.history import diff

        return diff.diff_scopes(self, scope, other, prefix)

    def diff_times(self, since, until=None, *, prefix=None, scope=None):
        """Iterate over the keys in which a scope at two times differs, as ``diff_scopes``.

        Costs in proportion to what has changed since. A key that has expired counts as
        removed.

        Parameters:
            since, until: times as for ``get_history``; default of ``until`` is now.

        Raises:
            InvalidTimeError: a time that cannot be read, is in the future, is before the
                retained history, or is before a scope of that name was renamed.
        """
        from kycli.core.history import diff

        return diff.diff_times(self, since, until, prefix, scope)

    def diff_versions(self, key, version, other=None, *, scope=None):
        """Return the ``Diff`` between two versions of a key, or None where there is none.

        Parameters:
            version, other: as ``get_history`` shows them; default of ``other`` is the
                current one.

        Raises:
            MissingKeyError: when the history holds no such version.
        """
        from kycli.core.history import diff

        return diff.diff_versions(self, key, version, other, scope)

    # -- history and recovery

    def get_history(self, key=None, *, scope=None, since=None, until=None, limit=None):
        """Return the changes of a key, or of the whole scope, newest first, as a list.

        Parameters:
            key: default all keys of the scope.
            scope: default the store's.
            since, until: only changes from, or up to, a time: ISO 8601 text (UTC when it
                names no zone), seconds since the epoch, ``"10m ago"``, or a ``datetime``.
            limit: at most so many.

        Returns:
            ``Change`` tuples: ``(key, value, timestamp, operation, version, change, scope,
            expires_at, user, host, pid, command)``; the timestamp is UTC text,
            ``YYYY-MM-DD HH:MM:SS.mmm``, and the value of a removed key None.

        Raises:
            InvalidTimeError: a time that cannot be read or is in the future.

        >>> with Kycore(":memory:") as kv:
        ...     for value in ("one", "two"):
        ...         _ = kv.save("k", value)
        ...     [(change.value, change.operation) for change in kv.get_history("k")]
        [('two', 'overwritten'), ('one', 'created')]
        """
        return list(self.iter_history(key, scope=scope, since=since, until=until, limit=limit))

    def iter_history(self, key=None, *, scope=None, since=None, until=None, limit=None):
        """Iterate over changes as ``get_history`` lists them, streaming.

        Changes come in pages, and no transaction is open between them.
        """
        from kycli.core.history import changes as history

        return history.iter_history(self, key, scope, since, until, check_limit(limit))

    def restore(self, key, timestamp=None, *, version=None, scope=None):
        """Bring back the newest archived or previous value of a key, or an older one. Atomic.

        A key that is there gets the value that it had before, and keeps its lifetime. One
        that was deleted gets the time that it had left then; one that had expired lives on
        as if saved anew.

        Parameters:
            timestamp: bring back what the key was at that time, with the time that it had
                left; as for ``get_history``.
            version: bring back the value of that version.

        Returns:
            ``"restored"``, or ``"nochange"`` when the key is that already.

        Raises:
            MissingKeyError: when there is nothing to restore.
            InvalidTimeError: a time that cannot be read, is to come, or is before the
                retained history.

        >>> with Kycore(":memory:") as kv:
        ...     kv["k"] = "precious"
        ...     del kv["k"]
        ...     kv.restore("k"), kv["k"]
        ('restored', 'precious')
        """
        from kycli.core.history import recovery

        return recovery.restore(self, key, timestamp, version, scope)

    def restore_to(self, time, scope=None, all_scopes=False, dry_run=False):
        """Take a scope, or the whole database, to its state at a time. Atomic.

        One transaction and one change of the history, so that ``undo`` takes it back. Exact
        for keys that were created, changed, deleted or have expired since: an expiry that
        is still to come is as it was, and a key that has expired gets the time that it had
        left then. Costs in proportion to what has changed since. What is declared of
        scopes, such as caches, stays as it is.

        Parameters:
            time: as for ``get_history``.
            scope: default the store's.
            all_scopes: the whole database.
            dry_run: only count; ``differences`` lists.

        Returns:
            How many keys that changes.

        Raises:
            InvalidTimeError: a time that cannot be read, is to come, or is before the
                retained history, or before the scope of that name was renamed to another;
                nothing is changed.
        """
        from kycli.core.history import recovery

        return recovery.restore_to(self, time, scope, all_scopes, dry_run)

    def differences(self, time, scope=None, all_scopes=False):
        """Iterate over what ``restore_to`` would do: ``Difference(key, operation, scope)``.

        The operation is ``"restored"``, ``"deleted"``, or ``"lifetime"`` where only the
        time that a key has to live is another. Each page is as of one moment.
        """
        from kycli.core.history import recovery

        return recovery.differences(self, time, scope, all_scopes)

    def undo(self, change=None, *, scope=None, force=False):
        """Take back what one change did: every key of it is what it was before. Atomic.

        A change is one call, one ``transaction()``, one import, or one command on the
        command line. Undoing is a change too, and can be undone. An expiry counts as
        nobody's change.

        Parameters:
            change: its id, as in ``get_history``; default the newest of the scope.
            scope: where to look for the newest; default the store's.
            force: also where a key has changed since.

        Returns:
            How many keys that changes.

        Raises:
            UnknownChangeError: when there is no such change, or not whole.
            ConflictError: when a key has changed since, naming it; nothing is changed.

        >>> with Kycore(":memory:") as kv:
        ...     kv["a"] = 1
        ...     _ = kv.save_many({"a": 2, "b": 2})
        ...     kv.undo(), dict(kv.items())
        (2, {'a': 1})
        """
        from kycli.core.history import recovery

        return recovery.undo(self, change, scope, force)

    # -- retention

    def compact(self, retention_days=15, *, vacuum=None, progress=None):
        """Purge what is older than so many days from history and archive; shrink the file.

        Goes in steps of some 30 ms, between which others can write; when it is interrupted,
        what is done is done. What is there now stays, and so does the history back to that
        time: ``restore_to`` and the like reach back to it. A scope with settings of its own
        keeps to those.

        Parameters:
            retention_days: how many days are kept; 0 keeps only the current values.
            vacuum: whether to give free space back to the file system. Writers wait as long as
                that takes, and it needs twice the space of what is kept. Default: only if
                what is kept is at most 128 MiB, which takes about two seconds, and the file
                gets smaller by a sixteenth or more.
            progress: called with how much of how much is done.

        Returns:
            ``Compaction(changes, values, freed_bytes, free_bytes)``: how many changes and
            archived values went, by how much the database got smaller, and how much of it
            is free for what is written later.

        Raises:
            InvalidValueError: when ``retention_days`` is not a number of days.
            MisuseError: inside a transaction.
            BusyError, ReadOnlyError, DiskFullError: with ``vacuum=True`` also when it was
                only the file that could not be made smaller.

        >>> with Kycore(":memory:") as kv:
        ...     for n in range(100):
        ...         kv["counter"] = n
        ...     kv.compact(0).changes, kv["counter"]
        (99, 99)
        """
        from kycli.core.history import retention

        check_callable(progress, "progress")
        return retention.compact(self, retention_days, vacuum, progress)

    # -- documents

    def get_path(self, path, default=None, *, key=None, scope=None, include_expired=False,
                 at=None):
        """Return what a path into a document leads to, or ``default``.

        ``"user.profile.email"`` is the value of the key of that name if there is one.
        Otherwise it is a path, ``.profile.email``, into the value of the longest existing
        key that it begins with, such as ``user``. ``getkey`` knows no paths.

        A path is made of ``.name``, ``["any name"]``, ``[0]``, ``[-1]`` and the slices
        ``[0:5]`` and ``[::2]``, which make a list. Text that is a JSON object or list counts
        as one. ``null`` counts as nothing.

        Parameters:
            path: key and path in one; or, with ``key``, a path alone, ``"$.profile.email"``.
            default: what to return when there is no such key, or nothing at the path.
            key: the key, exactly.
            scope: default the store's.
            include_expired, at: as for ``getkey``.

        Raises:
            WrongTypeError: when the value is no document, or a step does not fit it.
            InvalidPathError: when what follows the key is no path.

        >>> with Kycore(":memory:") as kv:
        ...     _ = kv.save("user", {"tags": ["a", "b", "c"]})
        ...     kv.get_path("user.tags[-1]"), kv.get_path("$.tags[:2]", key="user")
        ('c', ['a', 'b'])
        """
        from kycli.core.documents import editing as documents

        return documents.get_path(self, path, default, key, scope, include_expired, at)

    def patch(self, path, value, *, key=None, scope=None):
        """Set one place in a document, and make the members that lead there. Atomic.

        The place is named as for ``get_path``. An index one past the end of a list adds an
        item. Where no key exists that ``path`` begins with, one is made, and its name ends
        at the first ``.`` or ``[``. The key keeps its lifetime.

        Returns:
            ``"created"``, ``"overwritten"``, or ``"nochange"`` when the value was there.

        Raises:
            WrongTypeError: when the value is no document, or a step does not fit it;
                nothing is changed, as with all errors.
            InvalidPathError: a path that cannot be read, an index too large, or a slice.

        >>> with Kycore(":memory:") as kv:
        ...     kv.patch("user.profile.age", 25), kv.patch("user.name", "Ada")
        ...     kv["user"]
        ('created', 'overwritten')
        {'profile': {'age': 25}, 'name': 'Ada'}
        """
        from kycli.core.documents import editing as documents

        return documents.patch(self, path, value, key, scope)

    def merge_patch(self, path, patch, *, key=None, scope=None):
        """Change a document, or a place in it, by a JSON merge patch (RFC 7396). Atomic.

        Members of ``patch`` are set, those that are None removed, and dicts merged in turn;
        what is missing counts as an empty dict. The place is named as for ``patch``, and
        results and errors are the same.

        >>> with Kycore(":memory:") as kv:
        ...     _ = kv.save("user", {"name": "Ada", "age": 36})
        ...     kv.merge_patch("user", {"age": None, "tags": ["x"]}), kv["user"]
        ('overwritten', {'name': 'Ada', 'tags': ['x']})
        """
        from kycli.core.documents import editing as documents

        return documents.merge_patch(self, path, patch, key, scope)

    def json_patch(self, path, operations, *, key=None, scope=None):
        """Change a document, or a place in it, by a JSON patch (RFC 6902): all or nothing.

        Parameters:
            path, key, scope: the place, as for ``get_path``.
            operations: a list of dicts with ``op``, ``path`` (a JSON pointer) and what
                else the operation takes.

        Returns:
            ``"overwritten"``, or ``"nochange"``.

        Raises:
            MissingKeyError: when there is no such key, or nothing at the path.
            InvalidValueError: when ``operations`` is no JSON patch.
            InvalidPathError: when an operation does not fit the document, and which.
            ConflictError: when a ``test`` fails.
            WrongTypeError: when the value is no document.
        """
        from kycli.core.documents import editing as documents

        return documents.json_patch(self, path, operations, key, scope)

    def push(self, key, value, unique=False, *, path=None, scope=None):
        """Add a value to the end of a list, which is made when it is missing. Atomic.

        Parameters:
            key: the key of the list, or a key and a path as for ``get_path``.
            unique: add it only when no item is equal and of the same type.
            path: where in the key's value the list is; ``key`` is then the key, exactly.

        Returns:
            ``"created"``, ``"overwritten"``, or with ``unique`` ``"nochange"``.

        Raises:
            WrongTypeError: when there is something else than a list; nothing is changed.

        >>> with Kycore(":memory:") as kv:
        ...     kv.push("tags", "a"), kv.push("tags", "a", unique=True), kv["tags"]
        ('created', 'nochange', ['a'])
        """
        from kycli.core.documents import editing as documents

        return documents.push(self, key, value, unique, path, scope)

    def remove(self, key, value, *, path=None, scope=None):
        """Take all items that are equal to a value, and of its type, out of a list. Atomic.

        Returns:
            ``"overwritten"``, or ``"nochange"`` when there is no such item, or no list.

        Raises:
            WrongTypeError: when there is something else than a list; nothing is changed.
        """
        from kycli.core.documents import editing as documents

        return documents.remove(self, key, value, path, scope)

    # -- search

    def search(self, query, *, scope=None, limit=100, keys_only=False):
        """Return the keys whose key or value matches a query, best first.

        Sees every change that was committed before it, and no key that is deleted or has
        expired. The first search of a database builds the index; each later one takes in
        what has changed since, which costs in proportion to that.

        Parameters:
            query: words, all of which must occur; ``"phrases"``; ``prefixes*``; ``AND``,
                ``OR``, ``NOT`` and parentheses; ``key:`` or ``value:`` before what must be
                in the key or in the value. Case and accents do not matter. What does not
                parse is searched as words.
            scope: default the store's.
            limit: at most so many; None for all.
            keys_only: return a list of keys, which reads no values.

        Returns:
            A dict of key and value, best first; or the list.

        Raises:
            CorruptError: when the index is damaged.

        >>> with Kycore(":memory:") as kv:
        ...     status = kv.save("note:1", "Crème brûlée"), kv.save("note:2", "apple pie")
        ...     kv.search("creme"), kv.search("key:note NOT pie", keys_only=True)
        ({'note:1': 'Crème brûlée'}, ['note:1'])
        """
        from kycli.core.search import searching as search

        checked = self._checked_scope(scope)
        hits = search.search(self, query, checked, check_limit(limit), keys_only=keys_only)
        return [hit.key for hit in hits] if keys_only else {hit.key: hit.value for hit in hits}

    def search_hits(self, query, *, scope=None, all_scopes=False, limit=100, keys_only=False,
                    snippets=False, progress=None):
        """Search as ``search`` does and return a list of ``Hit``, best first.

        Parameters:
            all_scopes: search everywhere, and not in one scope.
            keys_only: leave the values out.
            snippets: also mark what matched; see ``Hit``.
            progress: called with how much of how much is done, while the index catches up.
        """
        from kycli.core.search import searching as search

        if all_scopes and scope is not None:
            raise MisuseError("search_hits takes a scope or all_scopes, not both")
        checked = self._checked_scope(scope)
        check_callable(progress, "progress")
        return search.search(self, query, None if all_scopes else checked, check_limit(limit),
                             keys_only=keys_only, snippets=snippets, progress=progress)

    def update_index(self, *, progress=None):
        """Have the search index take in all that is committed, as the next search would.

        Goes in steps between which others can write.

        Parameters:
            progress: called with how much of how much is done.

        Returns:
            How many keys are indexed.

        >>> with Kycore(":memory:") as kv:
        ...     kv["greeting"] = "hello"
        ...     kv.update_index()
        1
        """
        from kycli.core.search import indexing

        check_callable(progress, "progress")
        return indexing.update(self, progress)

    def index_backlog(self):
        """Return how many changes the search index is yet to take in; 0 when it is current.

        For programs that show it. The next search takes them in, or ``update_index``. An index
        that is still to be built takes in every key, and counts each change there was.

        >>> with Kycore(":memory:") as kv:
        ...     kv["greeting"] = "hello"
        ...     waiting = kv.index_backlog()
        ...     kv.update_index()
        ...     waiting, kv.index_backlog()
        1
        (1, 0)
        """
        from kycli.core.search import indexing

        return indexing.backlog(self)

    def optimize_index(self, *, progress=None):
        """Have the search index catch up, merge its parts into one, and check it.

        Goes in steps between which others can write. What the check finds wrong is put
        right, by building the index anew if need be.

        Parameters:
            progress: called with how much of how much is done.

        Returns:
            How many keys are indexed.
        """
        from kycli.core.search import optimizing

        check_callable(progress, "progress")
        return optimizing.optimize(self, progress)

    # -- backups

    def backup(self, path=None, *, keep=None, overwrite=False, progress=None):
        """Copy the whole database to a file, as of one moment, while others read and write.

        The way to copy a database that is in use. The copy is checked page by page before it gets
        its name, is synced, and has mode 0600. What fails or is killed leaves no file of
        that name, or the one before. Nobody waits for it; meanwhile the ``-wal`` grows. The copy
        is a database like any other.

        Parameters:
            path: a file, whose ending ``.zst``, ``.gz`` or ``.xz`` says that it is compressed; or a
                directory, in which it gets a name with the time. Default is the directory
                ``backups`` beside the database.
            keep: how many of this database's own backups to keep in that directory; the oldest
                others are removed when the new one is complete. Default all.
            overwrite: whether a file of that name may be replaced.
            progress: called with how many bytes of how many are done.

        Returns:
            The path of the backup.

        Raises:
            CannotOpenError: when there is a file of that name, or no such directory.
            DiskFullError, StorageError: when it cannot be written.
            CorruptError: when the database is damaged.
            MisuseError: inside a transaction or snapshot.

        >>> import os, tempfile
        >>> with Kycore(":memory:") as kv, tempfile.TemporaryDirectory() as directory:
        ...     kv["answer"] = 42
        ...     with Kycore(kv.backup(os.path.join(directory, "copy.db"))) as copy:
        ...         copy["answer"]
        42
        """
        from kycli.transfer import calls

        check_callable(progress, "progress")
        return calls.backup(
            self, path, None if keep is None else check_count(keep, "keep"), overwrite, progress)

    # -- health

    def check(self, *, repair=False, progress=None):
        """Look for damage; return a list of ``Problem``, empty when all is well.

        Checks the file page by page, tables and triggers, whether keys, history and archive
        fit together, every large value by its digest, and the search index word by word
        against the keys. Reads all there is, which takes about as long as building the index,
        while others go on; only where the database is smaller than 128 MB do their writes
        wait for SQLite's own check of the file, a second or two at most.

        What is said in one place alone, such as the value of an older change, can be checked
        for whether it can be read, and for nothing else.

        Parameters:
            repair: mend what can be made from something else: the whole search index from the
                keys, SQLite's indexes, triggers, and pages that belong to no table. For
                damage to the pages of the search index the file is written anew.
            progress: called with how much of how much is done, while texts are indexed.
        """
        from kycli.core.doctor import checking as doctor

        check_callable(progress, "progress")
        return doctor.check(self, repair, progress)

    # -- asynchronous calls

    def save_async(self, key, value, *, ttl=None, scope=None, if_absent=False, if_version=None):
        """``save`` for asyncio: an awaitable that leaves the event loop free."""
        from kycli.core.operations import asynchronous

        return asynchronous.call(self, lambda: self.save(
            key, value, ttl=ttl, scope=scope, if_absent=if_absent, if_version=if_version))

    def getkey_async(self, key, default=None, *, scope=None, include_expired=False, at=None,
                     model=False):
        """``getkey`` for asyncio: an awaitable that leaves the event loop free."""
        from kycli.core.operations import asynchronous

        return asynchronous.call(self, lambda: self.getkey(
            key, default, scope=scope, include_expired=include_expired, at=at, model=model))
