"""``kycli.typed`` beside ``typing``."""

from __future__ import annotations

import pickle

import pytest

from kycli.typed import NamedTuple, cast


class Point(NamedTuple):
    """A place."""

    x: int
    y: int

    @property
    def sum(self) -> int:
        return self.x + self.y


def test_a_named_tuple_is_one() -> None:
    point = Point(1, y=2)
    assert point == (1, 2)
    assert (point.x, point[1], point.sum) == (1, 2, 3)
    assert (Point._fields, Point.__doc__) == (("x", "y"), "A place.")
    assert repr(point) == "Point(x=1, y=2)"
    assert pickle.loads(pickle.dumps(point)) == point._replace(x=1)
    assert not hasattr(point, "__dict__")
    with pytest.raises(TypeError, match="missing"):
        Point(1)  # type: ignore[call-arg]


def test_a_cast_changes_nothing() -> None:
    text = "text"
    assert id(cast("bytes", text)) == id(text)
