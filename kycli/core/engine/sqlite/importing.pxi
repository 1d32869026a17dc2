# Importing APSW at start-up. Part of storage.pyx: one extension is one file to load.

def _import_lightly():
    """Import APSW without ``collections``, which takes a tenth of the time of a ``kyg``.

    APSW needs one class of ``collections.abc``, which Python has already loaded as
    ``_collections_abc``. If ``collections`` is loaded too, as in every program with threads,
    there is nothing to save.
    """
    modules = sys.modules
    if "collections" in modules or "collections.abc" in modules:
        return
    import _collections_abc

    modules["collections"] = modules["collections.abc"] = _collections_abc
    try:
        import apsw
    except (AttributeError, ImportError):
        pass  # a release of APSW that needs more: the import below loads it
    finally:
        del modules["collections"], modules["collections.abc"]


_import_lightly()
