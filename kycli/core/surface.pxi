# What is not the data plane: each method imports the module that does the work, when it
# is called. Part of storage.pyx: one extension is one file to load at start-up.

cdef class _Surface:
    """The part of ``Kycore`` whose work is done by modules of its own."""

    # -- changes that depend on what is there

    def getset(self, key, value, default=None, *, ttl=None, scope=None):
        """Save a value, as ``save`` does, and return the one before, or ``default``. Atomic."""
        from kycli.core import updates

        return updates.getset(self, key, value, default, ttl, scope)

    def incr(self, key, by=1, *, scope=None):
        """Add to a number and return the sum. Atomic across processes.

        A missing key counts as 0. Ints are exact at any size; with a float on either
        side the sum is a float. Text that is a number counts as one, so that what the
        command line stored can be counted up. The key keeps its lifetime.

        Raises:
            WrongTypeError: when the value, or ``by``, is no number; nothing is changed.
            InvalidValueError: when the sum is too large for a float.
        """
        from kycli.core import updates

        return updates.incr(self, key, by, scope)

    def append(self, key, suffix, *, scope=None):
        """Append text or bytes to a value and return its new length. Atomic.

        A missing key counts as empty. Text and bytes together make bytes, the text as
        UTF-8. The key keeps its lifetime. The length is in characters of text or bytes.

        Raises:
            WrongTypeError: when the value or ``suffix`` is neither text nor bytes.
        """
        from kycli.core import updates

        return updates.append(self, key, suffix, scope)

    # -- lifetimes

    def expire(self, key, ttl, *, scope=None):
        """Give an existing key a new time to live, from now; False when there is none.

        Raises:
            InvalidTTLError: a bad TTL, or a namespace that is no cache.
        """
        from kycli.core import updates

        return updates.expire(self, key, ttl, scope)

    def persist(self, key, *, scope=None):
        """Make a key permanent; False when there is no such key."""
        from kycli.core import updates

        return updates.persist(self, key, scope)

    def ttl(self, key, *, scope=None):
        """Return the seconds that a key has left, ``inf`` if permanent, None if missing."""
        from kycli.core import updates

        return updates.ttl(self, key, scope)

    # -- copying

    def copy(self, key, to_key=None, *, scope=None, to_scope=None, overwrite=False):
        """Copy a key to another name or scope, with the lifetime it has left. Atomic.

        In a cache that lifetime is the cache's when the key had none.

        Returns:
            False when there is no such key.

        Raises:
            ConflictError: when the destination exists and ``overwrite`` is false.
            InvalidTTLError: when the key expires and the destination's namespace is no cache.
        """
        from kycli.core import updates

        return updates.transfer(self, key, to_key, scope, to_scope, overwrite, False)

    def move(self, key, to_key=None, *, scope=None, to_scope=None, overwrite=False):
        """Move a key to another name or scope; as ``copy``, and the old one is deleted."""
        from kycli.core import updates

        return updates.transfer(self, key, to_key, scope, to_scope, overwrite, True)

    # -- scopes and caches

    def scopes(self):
        """Return the scopes that hold keys or are declared, sorted.

        Costs in proportion to the number of scopes, not of keys.
        """
        from kycli.core import scopes

        return scopes.scopes(self)

    def drop_scope(self, scope):
        """Delete all keys of a scope, into the archive, and what is declared of it.

        Returns:
            How many keys there were.
        """
        from kycli.core import scopes

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
        from kycli.core import scopes

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
        from kycli.core import scopes

        scopes.create_cache(self, check_scope(scope), parse_ttl(timeout))

    def set_cache(self, scope, timeout):
        """Change the timeout of a cache, for keys that are saved from now on.

        Raises:
            MissingKeyError: when it is no cache.
        """
        from kycli.core import scopes

        scopes.set_cache(self, check_scope(scope), parse_ttl(timeout))

    def drop_cache(self, scope):
        """Make a cache an ordinary namespace again; its keys keep the lifetime they have.

        Raises:
            MissingKeyError: when it is no cache.
        """
        from kycli.core import scopes

        scopes.drop_cache(self, check_scope(scope))

    def caches(self):
        """Return a dict of each cache and its timeout in seconds, sorted by name."""
        from kycli.core import scopes

        return scopes.caches(self)

    # -- asynchronous calls

    def save_async(self, key, value, *, ttl=None, scope=None, if_absent=False, if_version=None):
        """``save`` for asyncio: an awaitable that leaves the event loop free."""
        from kycli.core import asynchronous

        return asynchronous.call(self, lambda: self.save(
            key, value, ttl=ttl, scope=scope, if_absent=if_absent, if_version=if_version))

    def getkey_async(self, key, default=None, *, scope=None, include_expired=False):
        """``getkey`` for asyncio: an awaitable that leaves the event loop free."""
        from kycli.core import asynchronous

        return asynchronous.call(self, lambda: self.getkey(
            key, default, scope=scope, include_expired=include_expired))
