"""The errors that kycli raises, and what each suggests doing about it.

Four families, so that a caller can tell whose turn it is to act:

- ``StorageError``: the database or the disk said no.
- ``InputError``: a key, name, TTL, address or value that cannot be accepted;
  each is also a ``ValueError`` or ``TypeError``.
- ``MisuseError``: the program uses a store in a way that cannot work.
- ``MissingKeyError``, ``ConflictError``: the data is not what the call needs.

Every error carries a ``hint``: what to do next, or ``None``. The command line
prints both and never a traceback.
"""

from __future__ import annotations


class KycliError(Exception):
    """Base of all kycli errors.

    Attributes:
        hint: one sentence saying what to do about it, or None.
    """

    hint: str | None

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        # KeyError would print the repr of the message.
        return str(self.args[0]) if self.args else ""


class StorageError(KycliError):
    """The database or the disk beneath it refused."""


class BusyError(StorageError):
    """Another process or thread held the database for longer than the timeout."""


class ReadOnlyError(StorageError):
    """A write to a database, file or file system that is read-only."""


class DiskFullError(StorageError):
    """No space is left on the device; nothing was changed."""


class CorruptError(StorageError):
    """The database file is damaged."""


class NotADatabaseError(StorageError):
    """The file is not a kycli database: no SQLite file, or somebody else's."""


class NewerFormatError(StorageError):
    """The database was written by a newer kycli than this one."""


class MigrationNeeded(StorageError):
    """The database was written by an earlier kycli, and must be migrated to be used."""


class CannotOpenError(StorageError):
    """The database file or its directory cannot be opened or created."""


class FileReplacedError(StorageError):
    """The database file or its -wal was removed or replaced while a store had it open.

    What the call wrote is not in the database. The store cannot write any more.
    """


class InputError(KycliError, ValueError):
    """Something given by the caller cannot be accepted."""


class MasterKeyError(InputError):
    """A master key that is missing, or that does not open what it is given for."""


class InvalidKeyError(InputError):
    """A key that is empty, too long, holds NUL, or is not valid text."""


class InvalidScopeError(InputError):
    """A scope, project, namespace or context name that breaks the rules."""


class InvalidTTLError(InputError):
    """A time to live that is not a positive length of time, or not allowed here."""


class InvalidTimeError(InputError):
    """A time that cannot be read, is to come, or is before the retained history."""


class UnknownChangeError(InputError):
    """A change that the history does not hold, or not whole."""


class InvalidAddressError(InputError):
    """An address that cannot be read as project, namespace and key."""


class InvalidPathError(InputError):
    """A path into a document that cannot be read, or leads to no place that can be."""


class InvalidValueError(InputError):
    """A value of a fitting type whose content cannot be stored."""


class WrongTypeError(KycliError, TypeError):
    """A value or argument of a type that the operation cannot work with."""


class MissingKeyError(KycliError, KeyError):
    """The key does not exist or has expired."""


class ConflictError(KycliError):
    """The key is not in the state that the call asked for."""


class MisuseError(KycliError, RuntimeError):
    """The store is used in a way that cannot work."""


class ClosedError(MisuseError):
    """The store was closed."""


class ForkError(MisuseError):
    """The store was inherited from a parent process in the middle of its work."""


class ConfigError(InputError):
    """A configuration file or setting that cannot be used."""


class UsageError(InputError):
    """A command line that cannot be understood."""


class MissingLibraryError(KycliError, ImportError):
    """A library that only some operations need is not installed."""
