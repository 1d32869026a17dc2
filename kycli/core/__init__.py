"""The engine: a store of keys in scopes on one SQLite file."""
