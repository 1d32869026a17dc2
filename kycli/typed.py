"""What of ``typing`` is needed when a program runs, for modules that are loaded when one starts.

To import ``typing`` takes as long as to start Python.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
    from typing import cast as cast
else:
    from collections import namedtuple

    def cast(_type, value):
        return value

    class _Fields(type):
        def __new__(meta, name, bases, members):
            """Return the class of tuples whose fields are what a class annotates."""
            if not bases:
                return super().__new__(meta, name, bases, members)
            made = namedtuple(name, members.pop("__annotations__"), module=members["__module__"])
            return type(name, (made,), {"__slots__": (), **members})

    class NamedTuple(metaclass=_Fields):
        """A tuple whose items have names, as that of ``typing``; fields have no defaults."""
