# cython: language_level=3, binding=True
"""Keys, scopes and values that callers give, and the rows that SQLite keeps of them.

A leaf: it imports no other part of the engine but the layout, so every part may import it.
"""

import sys

from kycli.core import layout
from kycli.core.durations import shown
from kycli.errors import (
    CorruptError,
    InvalidKeyError,
    InvalidValueError,
    MisuseError,
    WrongTypeError,
)

from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport int64_t
from libc.string cimport memchr

# The numbers in codec.pxd are the layout's, known here at compile time.
if (TEXT, BYTES, INT, FLOAT, BOOL, NONE, JSON, BIGINT, OPAQUE, INLINE_MAX) != (
    layout.TEXT, layout.BYTES, layout.INT, layout.FLOAT, layout.BOOL, layout.NONE,
    layout.JSON, layout.BIGINT, layout.OPAQUE, layout.INLINE_MAX,
) or (CREATED, OVERWRITTEN, DELETED, EXPIRED, LIFETIME, RESTORED, IMPORTED) != (
    layout.CREATED, layout.OVERWRITTEN, layout.DELETED, layout.EXPIRED, layout.LIFETIME,
    layout.RESTORED, layout.IMPORTED,
):
    raise ImportError("kycli.core.codec was built from another layout: build it again")


cdef dict _loaded = {}


cdef object imported(str name):
    """Return a module that only some calls need; it is imported when the first of them comes.

    At the end of a program Python forgets its modules before the last objects are deleted,
    whose ``__del__`` may still save something. What was loaded by then is found here.

    Raises:
        MisuseError: when the program is at its end and the module was not needed before.
    """
    found = _loaded.get(name)
    if found is None:
        try:
            found = _loaded[name] = __import__(name, fromlist=("*",))
        except ImportError as error:
            if not sys.is_finalizing():
                raise
            raise MisuseError(
                "the program is at its end, where Python can load nothing more",
                hint="save what is left in a function that is registered with atexit",
            ) from error
    return found


# Scope names that were checked, and their canonical form.
cdef dict _known_scopes = {"default": "default"}


cpdef str check_scope(object scope):
    """Return a scope in canonical form; refuse what cannot be one."""
    cdef object name = None
    if isinstance(scope, str):
        scope = plain_text(scope)
        name = _known_scopes.get(scope)
    if name is None:
        name = imported("kycli.core.names").check_scope(scope)
        if len(_known_scopes) > 10_000:
            _known_scopes.clear()
        _known_scopes[scope] = name
    return name


cdef str plain_text(object text):
    """Return exactly a ``str`` for a text, which may be of a subclass, such as a StrEnum."""
    return text if type(text) is str else str.__str__(text)


cpdef str check_key(object key):
    """Return a key as plain text; refuse what cannot be one."""
    cdef Py_ssize_t size = 0
    cdef const char* text
    if not isinstance(key, str):
        raise InvalidKeyError(f"a key is text, not {type(key).__name__}")
    try:
        text = PyUnicode_AsUTF8AndSize(key, &size)
    except UnicodeEncodeError:
        raise InvalidKeyError(
            f"the key {key!r} is not valid text", hint="a key must be encodable as UTF-8"
        ) from None
    if size == 0:
        raise InvalidKeyError("the key is empty", hint="a key has at least one character")
    if size > KEY_MAX:
        raise InvalidKeyError(
            f"the key {key[:24]!r}… has {size} bytes", hint=f"a key has at most {KEY_MAX} bytes"
        )
    if memchr(text, 0, size) != NULL:
        raise InvalidKeyError(f"the key {key!r} holds a NUL character")
    return plain_text(key)


cdef bint may_fold(str key) noexcept:
    """Whether a checked key may be another one in lower case."""
    cdef Py_ssize_t size = 0
    cdef const char* text = PyUnicode_AsUTF8AndSize(key, &size)
    cdef Py_ssize_t index
    cdef unsigned char byte
    for index in range(size):
        byte = <unsigned char>text[index]
        if byte >= 0x80 or <unsigned char>(byte - 0x41) < 26:
            return True
    return False


cdef Py_ssize_t _checked_size(Py_ssize_t size) except -1:
    if size > VALUE_MAX:
        raise InvalidValueError("the value is too large", hint="a value is at most 1 GB")
    return size


cpdef tuple encode(object value):
    """Return ``(kind, stored, size)``: a value as SQLite keeps it, and its bytes."""
    cdef Py_ssize_t size = 0
    cdef object kind = type(value)
    if kind is str:
        try:
            PyUnicode_AsUTF8AndSize(value, &size)
        except UnicodeEncodeError:
            raise InvalidValueError(
                "the text holds half of a surrogate pair, which UTF-8 cannot express",
                hint="store it as bytes",
            ) from None
        return TEXT, value, _checked_size(size)
    if kind is int:
        if -0x8000000000000000 <= value <= 0x7FFFFFFFFFFFFFFF:
            return INT, value, 8
        try:
            text = str(value)
        except ValueError as error:
            raise InvalidValueError(f"the int cannot be stored: {error}") from None
        return BIGINT, text, len(text)
    if kind is bytes:
        return BYTES, value, _checked_size(len(value))
    if kind is bool:
        return BOOL, int(value), 1
    if kind is float:
        return FLOAT, value, 8  # SQLite keeps NaN as NULL
    if value is None:
        return NONE, None, 0
    values = imported("kycli.core.values")
    if kind is dict or kind is list:
        text = values.dumps(value)
        try:
            PyUnicode_AsUTF8AndSize(text, &size)
        except UnicodeEncodeError:
            raise InvalidValueError(
                "the document holds half of a surrogate pair, which UTF-8 cannot express"
            ) from None
        return JSON, text, _checked_size(size)
    if kind is values.Opaque:
        return OPAQUE, value.ciphertext, len(value.ciphertext.encode())
    raise values.unsupported(value)


cpdef object decode(object value, int kind):
    if kind <= INT:
        return value
    if kind == FLOAT:
        return float("nan") if value is None else value
    if kind == JSON:
        return imported("kycli.core.values").stored_document(value)
    if kind == BOOL:
        return value != 0
    if kind == NONE:
        return None
    if kind == BIGINT and isinstance(value, str) and value.lstrip("-").isdigit():
        try:
            return int(value)
        except ValueError:
            raise imported("kycli.core.values").too_many_digits("a stored number") from None
    if kind == OPAQUE:
        return imported("kycli.core.values").Opaque(value)
    raise CorruptError(f"a stored value of kind {kind} cannot be read", hint="upgrade kycli")


cdef str checked_command(object command):
    """Return the name of a command as plain text; None when it is None or empty."""
    if command is None:
        return None
    if not isinstance(command, str):
        raise WrongTypeError(f"a command's name is text, not {type(command).__name__}")
    try:
        command.encode()
    except UnicodeEncodeError:
        raise InvalidValueError(f"the command {shown(command)} is not valid text") from None
    return plain_text(command) or None


cpdef bytes digest(object stored):
    """Return what stands in ``kvstore`` for a large stored value: its BLAKE2b digest."""
    data = stored.encode() if isinstance(stored, str) else stored
    return imported("hashlib").blake2b(data, digest_size=16).digest()


cpdef object upper_bound(str prefix):
    """Return the least text that sorts after all text with ``prefix``, or a BLOB."""
    cdef int code
    while prefix:
        code = ord(prefix[-1])
        prefix = prefix[:-1]
        if code < 0x10FFFF:
            # Surrogates are no text; what follows them in order comes after U+D7FF.
            return prefix + chr(0xE000 if code == 0xD7FF else code + 1)
    return b""


cpdef bint is_same(int kind, object stored, object other) except -1:
    """Whether two values of a kind are the same, given as they are stored.

    ``-0.0`` is not ``0.0``, though to Python and SQLite they are equal.
    """
    if kind == FLOAT and stored == 0 and other == 0:
        return repr(stored) == repr(other)
    return stored == other


cpdef tuple range_of(object prefix):
    cdef str first
    if prefix is None:
        return "", b""
    if not isinstance(prefix, str):
        raise InvalidKeyError(f"a prefix is text, not {type(prefix).__name__}")
    first = plain_text(prefix)
    try:
        first.encode()
    except UnicodeEncodeError:
        raise InvalidKeyError(f"the prefix {first!r} is not valid text") from None
    return first, upper_bound(first)


cdef object check_limit(object limit):
    if limit is not None:
        check_count(limit, "limit")
    return limit


cdef int64_t check_count(object number, str what) except -1:
    if type(number) is not int:
        raise WrongTypeError(f"{what} is a whole number, not {shown(number)}")
    if not 0 <= number < 1 << 62:
        raise InvalidValueError(f"{what} is a whole number from 0 up, not {shown(number)}")
    return number


cdef list key_list(object keys):
    if isinstance(keys, str):
        raise WrongTypeError("keys are a list or another iterable of keys, not one text")
    return list(iterator_over(keys, "keys are a list or another iterable of keys"))


cdef object iterator_over(object items, str what):
    """Return an iterator; refuse what is not iterable, saying what it should be."""
    try:
        return iter(items)
    except TypeError:
        raise WrongTypeError(f"{what}, not {type(items).__name__}") from None


cdef check_callable(object function, str what):
    """Refuse what cannot be called, unless it is None."""
    if function is not None and not callable(function):
        raise WrongTypeError(f"{what} is a function, not {type(function).__name__}")


cdef int64_t time_of(object clock) except? -1:
    """Return what a clock shows, in milliseconds since the epoch."""
    now = clock()
    if type(now) is not int or not -(1 << 62) < now < 1 << 62:
        raise WrongTypeError(
            f"the clock returned {shown(now)}",
            hint="a clock returns whole milliseconds since the epoch",
        )
    return now


cdef bint is_named(str scope):
    """Whether the scope is a named namespace, where lifetimes are the namespace's."""
    return "." in scope
