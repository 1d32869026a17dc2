# cython: language_level=3
"""Replacing characters one by one: ``str.translate``, ten times as fast for much text."""

from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.stdint cimport uint32_t

cdef extern from "Python.h":
    object PyUnicode_FromKindAndData(int kind, const void* data, Py_ssize_t size)

cdef enum:
    KNOWN = 0x10000          # characters below have an entry: what becomes of them, 0 if not known
    NOTHING = 0x2000_0000    # is left out
    APART = 0x4000_0000      # added to a character that gets a blank before and after it
    LONGER = 0x8000_0000u    # becomes something else, which the table says


cdef class Characters:
    """What becomes of each character.

    Parameters:
        table: code point -> text, as for ``str.translate``; it answers for each code point,
            and always the same.
    """

    cdef object table
    cdef uint32_t* known

    def __cinit__(self, table):
        self.table = table
        self.known = <uint32_t*>PyMem_Malloc(KNOWN * sizeof(uint32_t))
        if self.known == NULL:
            raise MemoryError
        for code in range(KNOWN):
            self.known[code] = 0

    def __dealloc__(self):
        PyMem_Free(self.known)

    def replaced(self, str text not None):
        """Return a text with each of its characters replaced."""
        cdef Py_ssize_t size = len(text) + 64, end = 0
        cdef Py_UCS4* out = <Py_UCS4*>PyMem_Malloc(size * sizeof(Py_UCS4))
        cdef Py_UCS4* larger
        cdef Py_UCS4 char, each
        cdef uint32_t entry
        cdef str part
        if out == NULL:
            raise MemoryError
        try:
            for char in text:
                part = None
                entry = LONGER
                if char < KNOWN:
                    entry = self.known[<Py_ssize_t>char] or self.learned(char)
                if entry == LONGER:
                    part = self.table[<uint32_t>char]
                if end + 3 + (0 if part is None else len(part)) > size:
                    size = 2 * size + (0 if part is None else len(part))
                    larger = <Py_UCS4*>PyMem_Realloc(out, size * sizeof(Py_UCS4))
                    if larger == NULL:
                        raise MemoryError
                    out = larger
                if part is not None:
                    for each in part:
                        out[end] = each
                        end += 1
                elif entry & APART:
                    out[end] = out[end + 2] = c" "
                    out[end + 1] = <Py_UCS4>(entry & ~APART)
                    end += 3
                elif entry != NOTHING:
                    out[end] = <Py_UCS4>entry
                    end += 1
            return PyUnicode_FromKindAndData(4, out, end)
        finally:
            PyMem_Free(out)

    cdef uint32_t learned(self, Py_UCS4 char) except? LONGER:
        cdef str part = self.table[<uint32_t>char]
        cdef uint32_t entry = LONGER
        if len(part) == 0:
            entry = NOTHING
        elif len(part) == 1:
            entry = ord(part) or LONGER
        elif len(part) == 3 and part[0] == part[2] == " ":
            entry = ord(part[1]) | APART
        self.known[<Py_ssize_t>char] = entry
        return entry
