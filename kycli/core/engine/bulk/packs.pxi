# Pairs of text as the bytes of a table. Part of storage.pyx: one extension is one file to load
# at start-up.
#
# Turning a table of millions of rows into Python objects, three for each row, takes as long as
# SQLite takes to write it. So the most common table, with one column for the key and one for
# the value, both text, is parsed here, and its bytes are bound without decoding.
#
# Only valid records are parsed here. At the first invalid record the iterator ends; the reader
# of the format, which knows its errors, continues there.

cdef enum:
    PACK_BYTES = 4194304          # that are read at once
    PACK_BYTES_MAX = 4194304      # of a record; the reader in Python takes longer ones

cdef struct _Pair:
    Py_ssize_t key       # where it begins
    Py_ssize_t value
    Py_ssize_t key_size
    Py_ssize_t value_size
    Py_ssize_t line      # lines before the record

cdef struct _SortKey:
    uint64_t head        # the first bytes behind what all keys begin with
    const char* key      # behind it
    Py_ssize_t size
    Py_ssize_t index


@cython.final
cdef class Pack:
    """Pairs of key and value in the order of a table; what ``Packs`` yields.

    ``import_rows`` takes it in the place of as many rows. Iterating over it gives these.
    """

    cdef char* data
    cdef _Pair* pairs
    cdef Py_ssize_t count
    cdef Py_ssize_t room  # for pairs
    cdef Py_ssize_t at    # the current row
    cdef Py_ssize_t lines_read

    def __dealloc__(self):
        free(self.data)
        free(self.pairs)

    def __len__(self):
        return self.count

    @property
    def line(self):
        """How many lines of the pack come before the current row."""
        return self.pairs[self.at].line if self.at < self.count else self.lines_read

    @property
    def lines(self):
        """How many lines the pack takes."""
        return self.lines_read

    def __iter__(self):
        while self.at < self.count:
            yield self.key(), self.value()
            self.at += 1

    cdef str key(self):
        cdef _Pair* pair = self.pairs + self.at
        return PyUnicode_DecodeUTF8(self.data + pair.key, pair.key_size, NULL)

    cdef str value(self):
        cdef _Pair* pair = self.pairs + self.at
        return PyUnicode_DecodeUTF8(self.data + pair.value, pair.value_size, NULL)

    cdef bint is_plain(self, Py_ssize_t count) noexcept:
        """Whether there are so many rows more that need no further look."""
        cdef _Pair* pair = self.pairs + self.at
        cdef Py_ssize_t i
        if self.at + count > self.count:
            return False
        for i in range(count):
            if (pair[i].value_size > INLINE_MAX or not 0 < pair[i].key_size <= KEY_MAX
                    or memchr(self.data + pair[i].key, 0, pair[i].key_size) != NULL):
                return False
        return True

    cdef int sort(self) except -1:
        """Sort by key; rows of the same key stay in their order."""
        cdef const char* first
        cdef Py_ssize_t common, i, j, size
        cdef unsigned char head[8]
        cdef _SortKey* keys
        cdef _Pair* sorted_pairs
        if self.is_sorted():
            return 0
        first = self.data + self.pairs[0].key
        common = self.pairs[0].key_size
        for i in range(1, self.count):
            size = min(common, self.pairs[i].key_size)
            common = 0
            while common < size and first[common] == self.data[self.pairs[i].key + common]:
                common += 1
        keys = <_SortKey*>malloc(self.count * sizeof(_SortKey))
        sorted_pairs = <_Pair*>malloc(self.count * sizeof(_Pair))
        if keys == NULL or sorted_pairs == NULL:
            free(keys)
            free(sorted_pairs)
            raise MemoryError
        for i in range(self.count):
            keys[i].key = self.data + self.pairs[i].key + common
            keys[i].size = size = self.pairs[i].key_size - common
            keys[i].index = i
            keys[i].head = 0
            for j in range(min(size, 8)):
                keys[i].head |= <uint64_t><unsigned char>keys[i].key[j] << (56 - 8 * j)
        qsort(keys, self.count, sizeof(_SortKey), _compare)
        for i in range(self.count):
            sorted_pairs[i] = self.pairs[keys[i].index]
        free(keys)
        free(self.pairs)
        self.pairs = sorted_pairs
        self.room = self.count
        return 0

    cdef bint is_sorted(self) noexcept:
        cdef _Pair* pair = self.pairs
        cdef Py_ssize_t i
        cdef int order
        for i in range(1, self.count):
            order = memcmp(self.data + pair[i - 1].key, self.data + pair[i].key,
                           min(pair[i - 1].key_size, pair[i].key_size))
            if order > 0 or order == 0 and pair[i - 1].key_size > pair[i].key_size:
                return False
        return True

    cdef int add(self, _Pair pair) except -1:
        cdef _Pair* more
        if self.count == self.room:
            self.room = max(1024, 2 * self.room)
            more = <_Pair*>realloc(self.pairs, self.room * sizeof(_Pair))
            if more == NULL:
                raise MemoryError
            self.pairs = more
        self.pairs[self.count] = pair
        self.count += 1
        return 0


@cython.final
cdef class Packs:
    """Packs(stream, key, value, width, delimiter=",", quote='"')
--

    An iterator over the rows of a table in UTF-8, as ``Pack`` after ``Pack``.

    It reads as Python's ``csv.reader`` does with ``strict=True``, and ends before the first
    record that this would refuse, that has another number of fields, or that is not complete
    at the end of the stream.

    Parameters:
        stream: a buffered binary stream, behind the header.
        key, value: the columns, counted from 0.
        width: how many fields each record has; 0 for any number that has both columns.
        delimiter: one ASCII character.
        quote: one ASCII character, or empty text when quotes are text.

    Attributes:
        rest: what was read and is in no pack, when the iterator has ended.
    """

    cdef object stream
    cdef Py_ssize_t key
    cdef Py_ssize_t value
    cdef Py_ssize_t width
    cdef int delimiter
    cdef int quote  # -1 for none
    cdef bint ended
    cdef readonly bytes rest

    def __init__(self, stream, Py_ssize_t key, Py_ssize_t value, Py_ssize_t width,
                 str delimiter=",", str quote='"'):
        if key < 0 or value < 0 or 0 < width <= max(key, value):
            raise InvalidValueError("there is no such column")
        self.stream, self.key, self.value, self.width = stream, key, value, width
        self.delimiter = _ascii(delimiter)
        self.quote = _ascii(quote) if quote else -1
        self.rest = b""

    def __iter__(self):
        return self

    def __next__(self):
        cdef Pack pack
        cdef bytes block
        cdef Py_ssize_t before, size, taken
        while not self.ended:
            block = self.stream.read1(PACK_BYTES)
            self.ended = not block
            if self.ended:
                break
            before = PyBytes_GET_SIZE(self.rest)
            size = before + PyBytes_GET_SIZE(block)
            pack = Pack.__new__(Pack)
            pack.data = <char*>malloc(size)
            if pack.data == NULL:
                raise MemoryError
            memcpy(pack.data, PyBytes_AS_STRING(self.rest), before)
            memcpy(pack.data + before, PyBytes_AS_STRING(block), size - before)
            taken = self.split(pack, size)
            self.rest = PyBytes_FromStringAndSize(pack.data + taken, size - taken)
            if pack.lines_read:
                return pack
            self.wait()
        raise StopIteration

    cdef wait(self):
        """Read on until there is twice as much of a record that is not complete.

        Looking through a long one again for each block would take time by its square.
        """
        cdef list blocks = [self.rest]
        cdef Py_ssize_t missing = PyBytes_GET_SIZE(self.rest)
        cdef bytes block
        if missing > PACK_BYTES_MAX:
            self.ended = True
        while missing > 0 and not self.ended:
            block = self.stream.read1(max(missing, PACK_BYTES))
            if not block:
                break
            blocks.append(block)
            missing -= PyBytes_GET_SIZE(block)
        self.rest = b"".join(blocks)

    cdef Py_ssize_t split(self, Pack pack, Py_ssize_t size) except -1:
        """Find the records that are complete; return where the first begins that is not."""
        cdef char* data = pack.data
        cdef const char* found
        cdef Py_ssize_t end = _valid_utf8(data, size)
        cdef Py_ssize_t at = 0, start = 0, field, begin, stop, after, line_end = -1, lines
        cdef bint with_returns = memchr(data, 13, end) != NULL
        cdef bint doubled, key_doubled = False, value_doubled = False
        cdef _Pair pair
        if end < size and size - end > 3:
            self.ended = True  # after what is text
        while True:
            start, field, lines = at, 0, 1
            if at == end:
                return start
            if data[at] == 10:  # a blank line is no record
                at += 1
                pack.lines_read += 1
                continue
            while True:
                doubled = False
                if at < end and data[at] == self.quote:
                    begin = stop = at + 1
                    while True:
                        found = <const char*>memchr(data + stop, self.quote, end - stop)
                        if found == NULL:
                            return start
                        stop = found - data
                        if stop + 1 == end:
                            return start
                        if data[stop + 1] != self.quote:
                            break
                        doubled = True
                        stop += 2
                    lines += _count(data + begin, stop - begin, 10)
                    after = stop + 1
                else:
                    begin = at
                    if line_end < at:
                        found = <const char*>memchr(data + at, 10, end - at)
                        if found == NULL:
                            return start
                        line_end = found - data
                    found = <const char*>memchr(data + at, self.delimiter, line_end - at)
                    after = stop = line_end if found == NULL else found - data
                    if with_returns:
                        found = <const char*>memchr(data + begin, 13, stop - begin)
                        if found != NULL:
                            after = stop = found - data
                if field == self.key:
                    pair.key, pair.key_size, key_doubled = begin, stop - begin, doubled
                if field == self.value:
                    pair.value, pair.value_size, value_doubled = begin, stop - begin, doubled
                field += 1
                if data[after] == self.delimiter:
                    at = after + 1
                    continue
                if data[after] == 13:
                    after += 1
                    if after == end:
                        return start
                if data[after] != 10:
                    self.ended = True
                    return start
                at = after + 1
                break
            if with_returns and field == 1 and at == start + 2 and data[start] == 13:
                pack.lines_read += 1
                continue
            if field != self.width if self.width else field <= max(self.key, self.value):
                self.ended = True
                return start
            if key_doubled:
                pair.key_size = _undouble(data + pair.key, pair.key_size, self.quote)
            if value_doubled and self.value != self.key:
                pair.value_size = _undouble(data + pair.value, pair.value_size, self.quote)
            elif value_doubled:
                pair.value_size = pair.key_size
            pair.line = pack.lines_read
            pack.lines_read += lines
            pack.add(pair)


cdef int _compare(const void* one, const void* other) noexcept nogil:
    cdef const _SortKey* a = <const _SortKey*>one
    cdef const _SortKey* b = <const _SortKey*>other
    cdef int order
    if a.head != b.head:
        return -1 if a.head < b.head else 1
    order = memcmp(a.key, b.key, a.size if a.size < b.size else b.size)
    if order:
        return order
    if a.size != b.size:
        return -1 if a.size < b.size else 1
    return -1 if a.index < b.index else 1


cdef int _ascii(str character) except -1:
    if len(character) != 1 or ord(character) > 127 or character in "\r\n\0":
        raise InvalidValueError(f"{shown(character)} is not one ASCII character")
    return ord(character)


cdef Py_ssize_t _count(const char* data, Py_ssize_t size, int byte) noexcept:
    """Return how often a byte occurs."""
    cdef const char* end = data + size
    cdef Py_ssize_t count = 0
    while True:
        data = <const char*>memchr(data, byte, end - data)
        if data == NULL:
            return count
        count += 1
        data += 1


cdef Py_ssize_t _undouble(char* data, Py_ssize_t size, int quote) noexcept:
    """Make one quote of each two, in place; return the new size."""
    cdef Py_ssize_t at = 0, to = 0
    while at < size:
        if data[at] == quote:
            at += 1
        data[to] = data[at]
        to += 1
        at += 1
    return to


cdef Py_ssize_t _valid_utf8(const char* text, Py_ssize_t size) noexcept:
    """Return how many bytes from the start are complete characters of UTF-8."""
    cdef const unsigned char* data = <const unsigned char*>text
    cdef Py_ssize_t at = 0
    cdef uint64_t word
    cdef unsigned char first, second
    cdef int more
    while at < size:
        if at + 8 <= size:
            memcpy(&word, data + at, 8)
            if not word & 0x8080808080808080ULL:
                at += 8
                continue
        first = data[at]
        if first < 0x80:
            at += 1
            continue
        if first < 0xC2 or first > 0xF4:
            return at
        more = 1 if first < 0xE0 else 2 if first < 0xF0 else 3
        if at + more >= size:
            return at
        second = data[at + 1]
        if (second & 0xC0) != 0x80 or (
            first == 0xE0 and second < 0xA0       # a shorter form exists
            or first == 0xED and second > 0x9F    # a surrogate
            or first == 0xF0 and second < 0x90
            or first == 0xF4 and second > 0x8F    # past U+10FFFF
        ):
            return at
        if more > 1 and (data[at + 2] & 0xC0) != 0x80:
            return at
        if more > 2 and (data[at + 3] & 0xC0) != 0x80:
            return at
        at += more + 1
    return at
