"""SQL functions for values of earlier releases, of which a migration looks at millions.

What most of them mean is told here without making a Python object. Each function answers
NULL where it is not certain, and the caller asks Python. SQLite loads this module as one of
its extensions, and so hands it the table of its functions (see ``engine/sqlite/functions.pxi``).
"""

from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy

import os

import apsw

# Positions in struct sqlite3_api_routines (sqlite3ext.h), which only ever grows at its end.
cdef enum:
    CREATE_FUNCTION = 45
    RESULT_INT64 = 83
    VALUE_BYTES = 103
    VALUE_INT64 = 107
    VALUE_TEXT = 109
    VALUE_TYPE = 113
    RESULT_ERROR_CODE = 146

cdef enum:
    SQLITE_OK = 0
    SQLITE_CONSTRAINT = 19
    SQLITE_MISMATCH = 20
    SQLITE_TEXT = 3
    PURE = 0x801        # SQLITE_UTF8 | SQLITE_DETERMINISTIC

# Kinds of values, as in layout.py.
cdef enum:
    TEXT = 0
    INT = 2
    FLOAT = 3
    BOOL = 4
    NONE = 5
    JSON = 6

cdef enum:
    KEY_MAX = 4096
    EXACT_DIGITS = 18   # digits of an integer that certainly fits
    EXACT_FLOAT = 15    # characters of a number whose digits a double keeps
    MOST_LEVELS = 24    # of lists and objects in one another
    MOST_MEMBERS = 24   # of an object, among which a name is looked for

ctypedef const unsigned char* _bytes
ctypedef void (*_sql_function)(void*, int, void**) noexcept nogil
ctypedef int (*_create_function)(
    void*, const char*, int, int, void*, _sql_function, void*, void*) noexcept nogil
ctypedef int (*_value_int)(void*) noexcept nogil
ctypedef int64_t (*_value_int64)(void*) noexcept nogil
ctypedef const char* (*_value_bytes)(void*) noexcept nogil
ctypedef void (*_result_int64)(void*, int64_t) noexcept nogil
ctypedef void (*_result_code)(void*, int) noexcept nogil

cdef void** _sqlite = NULL
cdef uint64_t _hash_seed = 0
cdef uint64_t _hash_factor = 1


cdef inline void* _sql(int position) noexcept nogil:
    return _sqlite[position]


cdef inline void _answer(void* context, int64_t number) noexcept nogil:
    (<_result_int64>_sql(RESULT_INT64))(context, number)


cdef inline _bytes _text_of(void* value, Py_ssize_t* size) noexcept nogil:
    """Return the text or the bytes of an SQL value, and how long it is."""
    cdef _bytes data = <_bytes>(<_value_bytes>_sql(VALUE_TEXT))(value)
    size[0] = (<_value_int>_sql(VALUE_BYTES))(value)
    return data


# ---------------------------------------------------------------- hashing


cdef uint64_t _mixed(uint64_t state, _bytes data, Py_ssize_t size) noexcept nogil:
    cdef uint64_t word
    while size >= 8:
        memcpy(&word, data, 8)
        state = (state ^ word) * _hash_factor
        state ^= state >> 29
        data += 8
        size -= 8
    word = 0
    if size:
        memcpy(&word, data, size)
    state = (state ^ word ^ <uint64_t>size << 56) * _hash_factor
    return state ^ state >> 32


cdef bint _is_utf8(_bytes data, Py_ssize_t size) noexcept nogil:
    """Whether Python can decode a text, which SQLite does not ask."""
    cdef _bytes end = data + size
    cdef uint64_t word
    cdef int more, lead
    while data < end:
        if end - data >= 8:
            memcpy(&word, data, 8)
            if not word & 0x8080808080808080ULL:
                data += 8
                continue
        lead = data[0]
        if lead < 0x80:
            data += 1
            continue
        more = 1 if 0xC2 <= lead < 0xE0 else 2 if 0xE0 <= lead < 0xF0 else 3
        if lead < 0xC2 or lead > 0xF4 or end - data <= more:
            return False
        # The longer forms of shorter ones, surrogates, and what is past the last character.
        if ((lead == 0xE0 and data[1] < 0xA0) or (lead == 0xED and data[1] > 0x9F)
                or (lead == 0xF0 and data[1] < 0x90) or (lead == 0xF4 and data[1] > 0x8F)):
            return False
        data += 1
        while more:
            if data[0] & 0xC0 != 0x80:
                return False
            data += 1
            more -= 1
    return True


cdef void _hash_row(void* context, int count, void** values) noexcept nogil:
    """kycli_hash(key, value): 44 bits, so that sums of them fit.

    Fails with a mismatch where text is not UTF-8, and for a key that cannot be ours with a
    constraint.
    """
    cdef uint64_t state = _hash_seed
    cdef Py_ssize_t size
    cdef _bytes data
    cdef int number, kind
    for number in range(2):
        kind = (<_value_int>_sql(VALUE_TYPE))(values[number])
        data = _text_of(values[number], &size)
        if data == NULL:
            size = 0
        if kind == SQLITE_TEXT and not _is_utf8(data, size):
            (<_result_code>_sql(RESULT_ERROR_CODE))(context, SQLITE_MISMATCH)
            return
        if number == 0 and (kind != SQLITE_TEXT or not 0 < size <= KEY_MAX
                            or memchr(data, 0, size) != NULL):
            (<_result_code>_sql(RESULT_ERROR_CODE))(context, SQLITE_CONSTRAINT)
            return
        state = _mixed(state + <uint64_t>kind, data, size)
    _answer(context, <int64_t>state >> 20)


# ---------------------------------------------------------------- values


cdef inline bint _is_digit(int character) noexcept nogil:
    return 48 <= character <= 57


cdef inline bint _is_blank(int character) noexcept nogil:
    return character == 32 or character == 9 or character == 10 or character == 13


cdef _bytes _past_blanks(_bytes data, _bytes end) noexcept nogil:
    while data < end and _is_blank(data[0]):
        data += 1
    return data


cdef _bytes _past_number(_bytes data, _bytes end, int* kind) noexcept nogil:
    """Return the end of a number of JSON without exponent, and its kind; NULL for none."""
    cdef _bytes start = data
    kind[0] = INT
    if data < end and data[0] == 45:  # -
        data += 1
    if data == end or not _is_digit(data[0]):
        return NULL
    data += 1
    if data[-1] != 48:
        while data < end and _is_digit(data[0]):
            data += 1
    if end - data > 1 and data[0] == 46 and _is_digit(data[1]):  # .
        kind[0] = FLOAT
        data += 1
        while data < end and _is_digit(data[0]):
            data += 1
        if data - start > EXACT_FLOAT:
            kind[0] = -1
    elif data - start > EXACT_DIGITS:
        kind[0] = -1
    return data


cdef bint _is_written_so(_bytes data, _bytes end, int kind) noexcept nogil:
    """Whether Python writes a number in the same way."""
    if data[0] == 45:
        data += 1
        if kind == INT and data[0] == 48:
            return False  # -0
    if kind != FLOAT:
        return True
    if end - data > 5 and memcmp(data, b"0.0000", 6) == 0:
        return False  # 1e-05
    return end[-1] != 48 or end[-2] == 46


cdef _bytes _past_string(_bytes data, _bytes end) noexcept nogil:
    """Return the end of a string of JSON that means what it says; NULL for any other."""
    data += 1
    while data < end and data[0] != 34:
        if data[0] < 32 or data[0] == 92:
            return NULL
        data += 1
    return data + 1 if data < end else NULL


cdef _bytes _past_item(_bytes data, _bytes end, int level) noexcept nogil:
    """Return the end of JSON that ``json()`` writes as Python does; NULL when not certain."""
    cdef _bytes names[MOST_MEMBERS]
    cdef Py_ssize_t sizes[MOST_MEMBERS]
    cdef _bytes start
    cdef int kind, number, other, closing
    if data == end or level > MOST_LEVELS:
        return NULL
    if data[0] == 34:
        return _past_string(data, end)
    if data[0] == 116 or data[0] == 110:
        return data + 4 if end - data > 3 and (
            memcmp(data, b"true", 4) == 0 or memcmp(data, b"null", 4) == 0) else NULL
    if data[0] == 102:
        return data + 5 if end - data > 4 and memcmp(data, b"false", 5) == 0 else NULL
    if data[0] != 91 and data[0] != 123:
        start = data
        data = _past_number(data, end, &kind)
        if data == NULL or kind < 0 or not _is_written_so(start, data, kind):
            return NULL
        # What follows is no part of the number, or it is one that was not understood.
        return data
    closing = data[0] + 2  # ] or }
    number = 0
    data = _past_blanks(data + 1, end)
    if data < end and data[0] == closing:
        return data + 1
    while data < end:
        if closing == 125:
            # A name that is there twice, or is that of a tag, is for Python.
            if number == MOST_MEMBERS or data[0] != 34:
                return NULL
            names[number] = data
            data = _past_string(data, end)
            if data == NULL or names[number][1] == 36:  # $
                return NULL
            sizes[number] = data - names[number]
            for other in range(number):
                if sizes[other] == sizes[number] and memcmp(
                        names[other], names[number], sizes[number]) == 0:
                    return NULL
            number += 1
            data = _past_blanks(data, end)
            if data == end or data[0] != 58:  # :
                return NULL
            data = _past_blanks(data + 1, end)
        data = _past_item(data, end, level + 1)
        if data == NULL:
            return NULL
        data = _past_blanks(data, end)
        if data == end or (data[0] != 44 and data[0] != closing):
            return NULL
        if data[0] == closing:
            return data + 1
        data = _past_blanks(data + 1, end)
    return NULL


cdef int _word(_bytes data, Py_ssize_t size, const char* word, Py_ssize_t length, int kind) noexcept nogil:
    """Return the kind of a text that may be a word of JSON; -1 when not certain."""
    if size < length or memcmp(data, word, length) != 0:
        return TEXT
    return kind if size == length else -1 if _is_blank(data[length]) else TEXT


cdef int _kind_of_json(_bytes data, Py_ssize_t size) noexcept nogil:
    """Return the kind of a text that is a value of 0.1.5 or later; -1 when not certain.

    As ``legacy.values`` has it: JSON where ``json.loads`` reads it, else text; what may be
    encrypted or compressed is not certain.
    """
    cdef _bytes end = data + size
    cdef _bytes after
    cdef int kind, first
    if size == 0:
        return TEXT
    first = data[0]
    if _is_digit(first) or (first == 45 and size > 1 and data[1] != 73):  # not -Infinity
        after = _past_number(data, end, &kind)
        if after == NULL:
            return TEXT
        if after == end:
            return kind
        return -1 if _is_blank(after[0]) or after[0] | 32 == 101 else TEXT  # e: an exponent
    if first == 91 or first == 123:
        after = _past_item(data, end, 0)
        return JSON if after != NULL and _past_blanks(after, end) == end else -1
    if first == 116:
        return _word(data, size, b"true", 4, BOOL)
    if first == 102:
        return _word(data, size, b"false", 5, BOOL)
    if first == 110:
        return _word(data, size, b"null", 4, NONE)
    if first == 78:
        return _word(data, size, b"NaN", 3, -1)
    if first == 73:
        return _word(data, size, b"Infinity", 8, -1)
    if first == 101:
        return -1 if size > 3 and memcmp(data, b"enc:", 4) == 0 else TEXT
    if first == 99:
        return -1 if size > 3 and memcmp(data, b"cmp:", 4) == 0 else TEXT
    return -1 if first == 34 or first == 45 or _is_blank(first) else TEXT


cdef void _quick_kind(void* context, int count, void** values) noexcept nogil:
    """kycli_quick(value, is_json): the kind of a text that is stored as it means."""
    cdef Py_ssize_t size
    cdef _bytes data
    cdef int kind = TEXT
    if (<_value_int>_sql(VALUE_TYPE))(values[0]) != SQLITE_TEXT:
        return
    if (<_value_int64>_sql(VALUE_INT64))(values[1]):
        data = _text_of(values[0], &size)
        kind = -1 if data == NULL else _kind_of_json(data, size)
    if kind >= 0:
        _answer(context, kind)


# ---------------------------------------------------------------- times


cdef inline int _digits(_bytes data, int count) noexcept nogil:
    """Return a number of so many digits; -1 when they are none."""
    cdef int number = 0
    cdef int index
    for index in range(count):
        if not _is_digit(data[index]):
            return -1
        number = number * 10 + data[index] - 48
    return number


cdef void _milliseconds(void* context, int count, void** values) noexcept nogil:
    """kycli_ms(time): YYYY-MM-DD HH:MM:SS with any fraction, in UTC; finer is cut off."""
    cdef Py_ssize_t size, index
    cdef _bytes data
    cdef int year, month, day, hour, minute, second
    cdef int64_t days
    cdef int fraction = 0
    if (<_value_int>_sql(VALUE_TYPE))(values[0]) != SQLITE_TEXT:
        return
    data = _text_of(values[0], &size)
    if (data == NULL or size < 19 or data[4] != 45 or data[7] != 45 or data[10] != 32
            or data[13] != 58 or data[16] != 58 or size == 20 or size > 29):
        return
    year, month, day = _digits(data, 4), _digits(data + 5, 2), _digits(data + 8, 2)
    hour, minute, second = _digits(data + 11, 2), _digits(data + 14, 2), _digits(data + 17, 2)
    # No month of which it would matter has less than 28 days.
    if (year < 0 or not 1 <= month <= 12 or not 1 <= day <= 28 and not _is_day(year, month, day)
            or not 0 <= hour < 24 or not 0 <= minute < 60 or not 0 <= second < 60):
        return
    if size > 19:
        if data[19] != 46:
            return
        for index in range(20, max(size, 23)):
            if index < size and not _is_digit(data[index]):
                return
            if index < 23:
                fraction = fraction * 10 + (data[index] - 48 if index < size else 0)
    # Days since the epoch of a date of the Gregorian calendar, in years that begin in March.
    if month < 3:
        year -= 1
        month += 12
    days = (365 * <int64_t>year + year // 4 - year // 100 + year // 400
            + (153 * (month - 3) + 2) // 5 + day - 1 - 719468)
    _answer(context, (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + fraction)


cdef bint _is_day(int year, int month, int day) noexcept nogil:
    cdef bint is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if month == 2:
        return 1 <= day <= 28 + is_leap
    return 1 <= day <= (30 if month == 4 or month == 6 or month == 9 or month == 11 else 31)


# ---------------------------------------------------------------- for a connection


cdef public int sqlite3_oldvalues_init(void* db, char** message, void** routines) noexcept nogil:
    """What SQLite calls when a connection loads this file as an extension."""
    global _sqlite
    cdef _create_function create = <_create_function>routines[CREATE_FUNCTION]
    _sqlite = routines
    return (
        create(db, b"kycli_hash", 2, PURE, NULL, _hash_row, NULL, NULL)
        or create(db, b"kycli_quick", 2, PURE, NULL, _quick_kind, NULL, NULL)
        or create(db, b"kycli_ms", 1, PURE, NULL, _milliseconds, NULL, NULL)
    )


def add_functions(connection):
    """Add the functions to a connection of APSW; return whether that can be done."""
    global _hash_seed, _hash_factor
    if _hash_seed == 0:
        _hash_seed = int.from_bytes(os.urandom(8), "little")
        _hash_factor = int.from_bytes(os.urandom(8), "little") | 1
    try:
        connection.enable_load_extension(True)
        try:
            connection.load_extension(__file__, "sqlite3_oldvalues_init")
        finally:
            connection.enable_load_extension(False)
    except (AttributeError, apsw.Error):
        return False
    return True
