"""The pane of the audit trail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from shell.panes.driver import Driver

from kycli import Kycore
from kycli.shell.panes.trail import TrailPane


@pytest.fixture
def kv(path: str) -> Iterator[Kycore]:
    with Kycore(path, command="kys") as store:
        yield store


def test_changes_of_the_scope_are_shown_as_they_come(kv: Kycore, path: str) -> None:
    kv.save("first", {"n": 1})
    kv.save("other", 1, scope="alpha")
    driver = Driver(TrailPane, path, columns=120)
    assert "default" in driver.lines[0]
    assert "other" not in driver.text
    assert driver.lines[1][16:].split()[:3] == ["created", "first", '{"n":1}']
    assert f"kys[{os.getpid()}]" in driver.lines[1]
    kv.save("second", "two", ttl=60)
    kv.expire("first", 3600)
    kv.delete("second")
    driver.refresh()
    rows = [line.split()[2:4] for line in driver.lines[1:5]]
    assert rows == [
        ["deleted", "second"], ["lifetime", "first"], ["created", "second"], ["created", "first"]
    ]  # fmt: skip
    assert "for 1h" in driver.lines[2]
    driver.close()


def test_it_follows_the_scope(kv: Kycore, path: str) -> None:
    kv.save("here", 1)
    kv.save("there", 1, scope="alpha")
    driver = Driver(TrailPane, path)
    driver.state.scope = "alpha"
    driver.pane.follow("alpha")
    driver.refresh()
    assert "there" in driver.text
    assert "here" not in driver.text.replace("there", "")
    driver.close()


def test_nothing_is_read_when_nothing_was_committed(
    kv: Kycore, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kv["a"] = 1
    driver = Driver(TrailPane, path)
    reads: list[object] = []

    class Store:
        def commit_mark(self) -> object:
            return kv_reader.commit_mark()

        def trail(self, *arguments: object, **options: object) -> object:
            reads.append(options)
            return kv_reader.trail(*arguments, **options)  # type: ignore[arg-type]

    kv_reader = driver.state.reader()
    store = Store()
    monkeypatch.setattr(driver.state, "reader", lambda: store)
    driver.refresh()
    reads.clear()
    for _ in range(5):
        driver.refresh()
    assert reads == []
    kv["b"] = 1
    driver.refresh()
    assert len(reads) == 1
    assert "b" in driver.lines[1]
    driver.close()


def test_keys_scroll(kv: Kycore, path: str) -> None:
    kv.save_many({f"k{n:03}": n for n in range(500)})
    driver = Driver(TrailPane, path, rows=10)
    assert "k499" in driver.lines[1]
    driver.press("pagedown", "down")
    assert "k491" in driver.lines[8]
    driver.press("end")
    driver.press("end")
    driver.press("end")
    assert "k000" in driver.lines[8]
    driver.press("home")
    assert "k499" in driver.lines[1]
    driver.press("escape")
    assert driver.left == 1
    driver.close()


def test_new_changes_above_are_told(kv: Kycore, path: str) -> None:
    kv.save_many({f"k{n:03}": n for n in range(50)})
    driver = Driver(TrailPane, path, rows=10)
    driver.press("pagedown")
    kv.save_many({f"m{n:03}": n for n in range(300)})
    driver.refresh()
    assert "newer changes: Home" in driver.lines[0]
    assert "k0" in driver.text
    driver.press("home")
    assert "m299" in driver.lines[1]
    assert "newer" not in driver.lines[0]
    driver.close()


def test_a_lost_database_is_a_message(kv: Kycore, path: str) -> None:
    kv["a"] = 1
    driver = Driver(TrailPane, path)
    os.rename(path, f"{path}.away")
    driver.refresh()
    assert f"thereisnodatabase{path}" in "".join(driver.text.split())  # wherever lines end
    Path(path).write_bytes(b"this is no database, but it is as long as a header would be" * 20)
    driver.refresh()
    assert "notakyclidatabase" in "".join(driver.text.split())
    os.replace(f"{path}.away", path)
    driver.refresh()
    assert "created" in driver.text
    driver.close()


@pytest.mark.parametrize("columns", [1, 5, 12, 30, 39, 40, 69, 70, 99, 100, 200])
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 6])
def test_any_size_will_do(kv: Kycore, path: str, columns: int, rows: int) -> None:
    kv.save("日本\x1b[2J", "wide \u202e values\n" * 5)
    kv.delete("日本\x1b[2J")
    driver = Driver(TrailPane, path, columns=columns, rows=rows)
    assert len(driver.lines) == min(rows, len(driver.lines))
    assert "\x1b" not in driver.text
    driver.close()
