"""The errors that kycli raises, each with a hint on what to do.

There are four families, by who has to act:

- ``StorageError``: the database or the disk fails.
- ``InputError``: a key, name, TTL, address or value is invalid; each is also a
  ``ValueError`` or ``TypeError``.
- ``MisuseError``: the program uses a store in a way that cannot work.
- ``MissingKeyError``, ``ConflictError``: the data is not in the state that the call needs.

Every error has a ``hint``: what to do next, or ``None``. The command line prints the message
and the hint, and never a traceback.
"""

from __future__ import annotations


class KycliError(Exception):
    """Base of all kycli errors.

    Attributes:
        hint: one sentence on what to do, or None.
    """

    hint: str | None

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        # KeyError.__str__ would return the repr of the message.
        return str(self.args[0]) if self.args else ""


class StorageError(KycliError):
    """The database or the disk reports an error."""


class BusyError(StorageError):
    """Another process or thread held the database for longer than the timeout."""


class ReadOnlyError(StorageError):
    """The database, file or file system to write to is read-only."""


class DiskFullError(StorageError):
    """No space is left on the device; nothing was changed."""


class CorruptError(StorageError):
    """The database file is damaged."""


class NotADatabaseError(StorageError):
    """The file is not a kycli database: not SQLite, or of another program."""


class NewerFormatError(StorageError):
    """The database was written by a newer kycli than this one."""


class MigrationNeeded(StorageError):
    """The database was written by an earlier kycli and must be migrated first."""


class CannotOpenError(StorageError):
    """The database file or its directory cannot be opened or created."""


class FileReplacedError(StorageError):
    """The database file or its -wal was removed or replaced while a store had it open.

    The write of this call is not in the database, and the store cannot write any more.
    """


class InputError(KycliError, ValueError):
    """An argument of the caller is invalid."""


class MasterKeyError(InputError):
    """A master key is missing, or does not decrypt the data."""


class InvalidKeyError(InputError):
    """A key is empty, too long, contains NUL, or is not valid text."""


class InvalidScopeError(InputError):
    """The name of a scope, project, namespace or context is invalid."""


class InvalidTTLError(InputError):
    """A time to live is not a positive duration, or is not allowed here."""


class InvalidTimeError(InputError):
    """A time cannot be parsed, is in the future, or is before the retained history."""


class UnknownChangeError(InputError):
    """A change is not in the history, or not completely."""


class InvalidAddressError(InputError):
    """An address cannot be parsed as project, namespace and key."""


class InvalidPathError(InputError):
    """A path into a document cannot be parsed, or cannot exist in the document."""


class InvalidConditionError(InputError):
    """A condition on fields, a field or an order cannot be parsed."""


class InvalidValueError(InputError):
    """A value has a supported type, but cannot be stored."""


class WrongTypeError(KycliError, TypeError):
    """A value or argument has a type that the operation does not support."""


class MissingKeyError(KycliError, KeyError):
    """The key does not exist or has expired."""


class ConflictError(KycliError):
    """The key is not in the state that the call requires."""


class MisuseError(KycliError, RuntimeError):
    """The store is used in a way that cannot work."""


class ClosedError(MisuseError):
    """The store was closed."""


class ForkError(MisuseError):
    """The store was inherited from a parent process that was using it."""


class FormatError(InputError):
    """A file, or a record of it, that cannot be read as what it should be."""


class FileError(KycliError, OSError):
    """A file to import, or for an export, that the system does not give."""


class MissingFileError(FileError, FileNotFoundError):
    """A file to import that does not exist."""


class ConfigError(InputError):
    """A config file or setting is invalid."""


class UsageError(InputError):
    """A command line is invalid."""


class MissingLibraryError(KycliError, ImportError):
    """An optional library that the operation needs is not installed."""


class SchemaError(InputError):
    """The definition of a schema is wrong; the message names the place."""


class ValidationError(InputError):
    """A value is not what the schema of its scope says.

    Attributes:
        problems: all that is wrong, in the order of the value's members.
    """

    problems: tuple[FieldProblem, ...]

    def __init__(
        self, message: str, *, hint: str | None = None, problems: tuple[FieldProblem, ...] = ()
    ) -> None:
        super().__init__(message, hint=hint)
        self.problems = problems


class FieldProblem:
    """One thing that is wrong with a value.

    Attributes:
        field: the path of the member, such as ``address.zip`` or ``tags[2]``; empty for the
            value as a whole.
        expected: what the schema asks for, in words.
        given: what is there, shortened; None when nothing is.
    """

    __slots__ = ("expected", "field", "given")

    def __init__(self, field: str, expected: str, given: str | None) -> None:
        self.field = field
        self.expected = expected
        self.given = given

    def __str__(self) -> str:
        given = "it is missing" if self.given is None else f"given {self.given}"
        return f"{self.field or 'the value'}: expected {self.expected}, {given}"
