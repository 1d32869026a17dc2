"""Windows on long lists."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right

import pytest

from kycli.shell.panes.windows import KEPT, KeyWindow, Window

FIRST, LAST = -1_000_000, 1_000_000


class Keys:
    """Sorted keys, as a store lists them, and how many were read."""

    def __init__(self, keys: list[str]) -> None:
        self.keys = keys
        self.read = 0

    def page(self, after: str | None, reverse: bool, limit: int) -> list[str]:
        if reverse:
            end = len(self.keys) if after is None else bisect_left(self.keys, after)
            found = self.keys[max(0, end - limit) : end][::-1]
        else:
            start = 0 if after is None else bisect_right(self.keys, after)
            found = self.keys[start : start + limit]
        self.read += len(found)
        return found

    def exists(self, key: str) -> bool:
        return key in self.keys


def many(count: int) -> Keys:
    return Keys([f"key.{number:07}" for number in range(count)])


def test_a_window_follows_the_selected_item() -> None:
    window = Window(range(20))
    assert window.view(5) == [0, 1, 2, 3, 4]
    window.move(7)
    assert (window.selected, window.view(5)) == (7, [3, 4, 5, 6, 7])
    window.move(-2)
    assert (window.selected, window.view(5)) == (5, [3, 4, 5, 6, 7])
    window.move(100)
    assert (window.selected, window.view(5)) == (19, [15, 16, 17, 18, 19])
    assert window.view(100) == list(range(20))
    window.move(-100)
    assert window.selected == 0
    empty: Window[int] = Window()
    empty.move(1)
    empty.go_last()
    assert (empty.selected, empty.view(5)) == (None, [])


@pytest.mark.parametrize("seed", range(20))
def test_a_window_on_keys_is_the_window_on_all_of_them(seed: int) -> None:
    source = many(random.Random(seed).choice([0, 1, 3, 199, 200, 201, 2500]))
    keys = KeyWindow(source.page, source.exists)
    keys.load()
    plain = Window(source.keys)
    moves = random.Random(seed)
    for _ in range(200):
        step = moves.choice([-1, 1, 7, -7, 19, -19, 350, -350, 3000, FIRST, LAST])
        for window in (keys, plain):
            if step == FIRST:
                window.go_first()
            elif step == LAST:
                window.go_last()
            else:
                window.move(step)
        height = moves.choice([1, 5, 19, 60])
        assert keys.selected == plain.selected
        shown = keys.view(height)
        assert keys.selected is None or keys.selected in shown
        assert len(shown) == min(height, len(source.keys))
        start = source.keys.index(shown[0]) if shown else 0
        assert shown == source.keys[start : start + len(shown)]
        assert len(keys.items) <= 3 * KEPT + 3000


def test_a_window_on_millions_of_keys_reads_few() -> None:
    source = many(1_000_000)
    keys = KeyWindow(source.page, source.exists)
    keys.load("key.0500000")
    keys.view(50)
    for _ in range(100):
        keys.move(49)
        keys.view(50)
    keys.go_last()
    keys.view(50)
    assert keys.selected == "key.0999999"
    assert source.read < 8_000
    assert len(keys.items) <= KEPT + 400


def test_loading_anew_keeps_the_key_and_its_line() -> None:
    source = many(1000)
    keys = KeyWindow(source.page, source.exists)
    keys.load()
    keys.move(500)
    keys.view(20)
    keys.move(-5)
    before = keys.view(20)
    line = keys.at - keys.top
    source.keys[:0] = [f"a{n}" for n in range(50)]
    keys.load(keys.selected)
    assert keys.view(20) == before
    assert keys.at - keys.top == line


def test_a_key_that_is_gone_gives_way_to_the_next() -> None:
    source = many(10)
    keys = KeyWindow(source.page, source.exists)
    keys.load("key.0000004")
    assert keys.selected == "key.0000004"
    del source.keys[4]
    keys.load("key.0000004")
    assert keys.selected == "key.0000005"
    del source.keys[4:]
    keys.load("key.0000005")
    assert keys.selected == "key.0000003"
    del source.keys[:]
    keys.load("key.0000003")
    assert keys.selected is None
