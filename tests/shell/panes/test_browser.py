"""The browser of scopes and keys."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from shell.panes.driver import Driver

from kycli import Kycore
from kycli.shell.panes.browser import Browser
from kycli.shell.state import Transaction

Make = Callable[..., Driver]


@pytest.fixture
def kv(path: str) -> Iterator[Kycore]:
    with Kycore(path, command="kys") as store:
        store.save("user.1", {"name": "Ada", "age": 36})
        store.save("user.2", "some text")
        store.save("visits", 42)
        store.save("k", "of alpha", scope="alpha")
        yield store


@pytest.fixture
def make(kv: Kycore, path: str) -> Iterator[Make]:
    drivers: list[Driver] = []

    def made(**options: int) -> Driver:
        drivers.append(Driver(Browser, path, **options))  # type: ignore[arg-type]
        return drivers[-1]

    yield made
    for driver in drivers:
        driver.close()


def columns(driver: Driver) -> list[list[str]]:
    """Return the texts of the columns, line by line, between title and help."""
    return [[part.strip() for part in line.split("│")] for line in driver.lines[1:-1]]


def test_scopes_keys_and_a_value_stand_side_by_side(make: Make) -> None:
    driver = make()
    first, second, third = columns(driver)[:3]
    assert first == ["alpha", "user.1", "json · 23 bytes · version 1"]
    assert second == ["default", "user.2", "{"]
    assert third == ["", "visits", '"age": 36,']
    driver.press("down")
    assert columns(driver)[1][2] == "some text"


def test_scopes_are_walked_through(make: Make) -> None:
    driver = make()
    driver.press("s-tab", "up")
    assert columns(driver)[0][:2] == ["alpha", "k"]
    assert columns(driver)[1][2] == "of alpha"
    driver.press("enter", "u")
    assert driver.submitted == [["use", "alpha"]]


def test_it_follows_the_shell_to_another_scope(make: Make) -> None:
    driver = make()
    driver.press("/", "u")
    driver.state.scope = "alpha"
    driver.pane.follow("alpha")
    driver.refresh()
    assert columns(driver)[0][1] == "k"
    assert "alpha" in driver.lines[0]


def test_keys_are_found_as_they_are_typed(make: Make) -> None:
    driver = make()
    driver.press("/")
    driver.type("user.2")
    assert [line[1] for line in columns(driver)[:2]] == ["user.2", ""]
    assert "keys from: user.2" in driver.lines[-1]
    driver.press("backspace", "backspace")
    assert [line[1] for line in columns(driver)[:3]] == ["user.1", "user.2", ""]
    driver.press("down", "enter", "e")
    assert driver.submitted == [["ky", "edit", "--scope", "default", "--", "user.2"]]
    driver.press("escape")
    assert columns(driver)[2][1] == "visits"
    driver.press("/")
    driver.type("USER.2")  # as scopes that ignore case have them
    assert [line[1] for line in columns(driver)[:2]] == ["user.2", ""]


def test_words_are_found_as_they_are_typed(make: Make) -> None:
    driver = make()
    driver.press("?")
    assert "type words" in driver.lines[0]
    driver.type("som")
    assert [line[1] for line in columns(driver)[:2]] == ["user.2", ""]
    driver.type("ething")
    assert "nothing found" in driver.lines[0]
    driver.press("c-u")
    driver.type("ada")
    assert columns(driver)[0][1] == "user.1"
    driver.press("tab")
    assert "keys from: ada" in driver.lines[-1]
    assert "no such key" in driver.text
    driver.press("escape")
    assert columns(driver)[0][1] == "user.1"


def test_a_found_key_that_changes_stays_selected(make: Make, kv: Kycore) -> None:
    driver = make()
    driver.press("?")
    driver.type("text")
    kv["another"] = "text too"
    driver.refresh_until("another")
    assert {line[1] for line in columns(driver)[:2]} == {"user.2", "another"}
    assert "some text" in driver.text


def test_scopes_are_filtered(make: Make, kv: Kycore) -> None:
    kv.save("x", 1, scope="beta.prod")
    driver = make()
    driver.press("s-tab", "/")
    driver.type("prod")
    assert [line[0] for line in columns(driver)[:2]] == ["beta.prod", ""]
    assert columns(driver)[0][1] == "x"
    driver.press("escape")
    assert [line[0] for line in columns(driver)[:3]] == ["alpha", "beta.prod", "default"]


def test_deleting_asks_first(make: Make) -> None:
    driver = make()
    driver.press("d")
    assert "delete 'user.1'? y/n" in driver.lines[-1]
    driver.press("x", "e", "down")
    assert "delete 'user.1'?" in driver.lines[-1]
    driver.press("n")
    assert driver.submitted == []
    driver.press("d", "y")
    assert driver.submitted == [["ky", "del", "--scope", "default", "--", "user.1"]]


def test_removed_keys_are_shown_and_restored(make: Make, kv: Kycore) -> None:
    kv.delete("user.2")
    driver = make()
    driver.press("x")
    assert columns(driver)[0][1:] == ["user.2", "removed · text · 9 bytes · version 1"]
    assert columns(driver)[1][2] == "some text"
    driver.press("d", "e")
    assert driver.submitted == []
    driver.press("r")
    assert "restore 'user.2'? y/n" in driver.lines[-1]
    driver.press("y")
    assert driver.submitted == [["ky", "restore", "--scope", "default", "--", "user.2"]]
    kv.restore("user.2")
    driver.refresh()
    assert "no removed key" in driver.text
    driver.press("x")
    assert columns(driver)[1][1] == "user.2"


def test_the_history_of_a_key_shows_what_changed(make: Make, kv: Kycore) -> None:
    kv.save("user.1", {"name": "Ada", "age": 37})
    kv.save("user.1", b"\x00\x01")
    kv.expire("user.1", 60)
    driver = make()
    driver.press("h")
    assert "history of user.1" in driver.lines[0]
    assert [line[1][:3].split() for line in columns(driver)[:4]] == [
        ["3", "t"], ["3", "~"], ["2", "~"], ["1", "+"]
    ]  # fmt: skip
    assert "another lifetime" in driver.text
    driver.press("down")
    assert "json became bytes" in driver.text
    driver.press("down")
    changed = [line[2] for line in columns(driver) if line[2][:1] in "+-" and line[2]]
    assert changed == ['-  "age": 36,', '+  "age": 37,']
    driver.press("r")
    assert "restore version 2 of 'user.1'? y/n" in driver.lines[-1]
    driver.press("y")
    assert driver.submitted == [
        ["ky", "restore", "--scope", "default", "--version", "2", "--", "user.1"]
    ]
    driver.press("end")
    assert "the first value" in driver.text
    driver.press("c")
    assert "from version 1 to version 3, which is now" in driver.text
    assert "json became bytes" in driver.text
    driver.press("up", "c")
    assert '+  "age": 37,' in driver.text
    driver.press("down")
    kv.restore("user.1", version=2)
    driver.refresh()
    driver.press("home")
    assert "bytes became json" in driver.text
    driver.press("escape")
    assert columns(driver)[0][1] == "user.1"


def test_the_history_of_a_removed_key(make: Make, kv: Kycore) -> None:
    kv.delete("user.2")
    driver = make()
    driver.press("x", "h")
    assert "deleted; the value was" in driver.text
    assert "some text" in driver.text


def test_restoring_a_live_key_is_the_value_before(make: Make) -> None:
    driver = make()
    driver.press("r")
    assert "restore the value before of 'user.1'?" in driver.lines[-1]
    driver.press("Y")
    assert driver.submitted == [["ky", "restore", "--scope", "default", "--", "user.1"]]


def test_what_others_change_is_shown(make: Make, kv: Kycore) -> None:
    driver = make()
    kv["user.1"] = "new value"
    kv["aaa"] = 1
    driver.refresh()
    assert [line[1] for line in columns(driver)[:2]] == ["aaa", "user.1"]
    assert "new value" in driver.text
    assert "version 2" in driver.text
    kv.delete("user.1")
    driver.refresh()
    assert "some text" in driver.text
    kv.save("k", 1, scope="zeta")
    driver.refresh_until("zeta")


def test_a_dropped_scope_is_handled(make: Make, kv: Kycore) -> None:
    driver = make()
    kv.drop_scope("default")
    driver.refresh_until("there is no such scope")
    for key in ("h", "e", "d", "r", "down", "end", "home", "pagedown", "pageup"):
        driver.press(key)
    assert driver.submitted == []
    driver.press("s-tab", "up")
    assert "of alpha" in driver.text


def test_the_time_that_is_left_is_shown(kv: Kycore, make: Make) -> None:
    kv.save("user.1", "soon", ttl=3600)
    driver = make()
    assert "expires in" in driver.text
    assert "59m" in driver.text or "1h" in driver.text
    kv.save("user.1", "gone", ttl=0.2)
    driver.refresh()
    while kv.exists("user.1"):
        pass
    driver.refresh()
    assert columns(driver)[0][1] == "user.2"


def test_the_value_is_scrolled(make: Make, kv: Kycore) -> None:
    kv["user.1"] = "\n".join(f"line {n}" for n in range(100))
    driver = make(rows=12)
    driver.press("enter", "pagedown")
    assert "line 9" in driver.text
    assert "line 0" not in driver.text
    driver.press("end")
    assert columns(driver)[-1][2] == "line 99"
    assert "100%" in driver.text
    driver.press("home")
    assert "line 0" in driver.text
    driver.press("escape", "down")
    assert "some text" in driver.text
    driver.press("escape")
    assert driver.left == 1


def test_a_lost_database_is_a_message(make: Make, path: str) -> None:
    driver = make()
    os.rename(path, f"{path}.away")
    driver.refresh()
    assert f"thereisnodatabase{path}" in "".join(driver.text.split())  # wherever lines end
    for key in ("down", "h", "x", "/", "u", "enter", "?", "s-tab", "up", "escape", "escape"):
        driver.press(key)
        driver.refresh()
    os.rename(f"{path}.away", path)
    driver.refresh()
    assert "visits" in driver.text


def test_a_damaged_database_is_a_message(make: Make, path: str) -> None:
    driver = make()
    os.rename(path, f"{path}.away")
    Path(path).write_bytes(b"this is no database, but it is as long as a header would be" * 20)
    for key in ("down", "h", "x", "end"):
        driver.press(key)
        driver.refresh()
    assert "notakyclidatabase" in "".join(driver.text.split())
    os.replace(f"{path}.away", path)


def test_hostile_names_are_shown_and_never_obeyed(make: Make, kv: Kycore) -> None:
    names = [
        "\x1b[2J\x07",
        "a\nb",
        "\u202ertl",
        "日本",
        "e\u0301\u0301\u0301\u0301",
        "-y",
        "--",
        "a.b[0]",
    ]
    for name in names:
        kv.save(name, f"\x1b]0;title\x07{name}" * 3, scope="evil")
    driver = make()
    driver.pane.follow("evil")
    driver.refresh()
    shown = driver.text
    assert "\\x1b[2J\\x07" in shown
    assert "a\\nb" in shown
    assert not any(c in shown for c in "\x1b\x07\u202e")
    for name in sorted(names):
        driver.press("d", "y")
        assert driver.submitted[-1] == ["ky", "del", "--scope", "evil", "--", name]
        driver.press("down")


def test_any_size_will_do(make: Make, kv: Kycore) -> None:
    kv["user.1"] = {"日本": ["\u202e" * 50, "x" * 300]}
    driver = make()
    for wide in (1, 2, 5, 20, 40, 55, 56, 89, 90, 200):
        for high in (1, 2, 3, 4, 5, 6, 30):
            driver.size = wide, high
            for keys in (["enter"], ["escape"], ["s-tab"], ["tab"], ["h"], ["tab"], ["escape"],
                         ["/", "u"], ["escape"], ["d"], ["n"]):  # fmt: skip
                driver.press(*keys)
                assert 1 <= len(driver.lines) <= high
    assert driver.submitted == []


def test_on_a_narrow_screen_one_column_is_shown_at_a_time(make: Make) -> None:
    driver = make(columns=40, rows=10)
    assert driver.lines[1:3] == [" user.1", " user.2"]
    driver.press("enter")
    assert '"age": 36' in driver.text
    driver.press("escape", "s-tab")
    assert driver.lines[1:3] == [" alpha", " default"]


def test_a_question_is_seen_on_a_tiny_screen(make: Make) -> None:
    driver = make(columns=30, rows=2)
    driver.press("d")
    assert driver.lines[-1] == " delete 'user.1'? y/n"


def test_the_title_tells_of_staged_changes(make: Make) -> None:
    driver = make()
    driver.state.transaction = Transaction(0.0, before=0, changes=1234)
    assert driver.lines[0].strip().endswith("1,234 staged, 'diff' shows them")


def test_pasting_is_typing_while_a_search_is_typed(make: Make) -> None:
    driver = make()
    driver.type("@#")
    assert columns(driver)[0][1] == "user.1"
    driver.press("/")
    driver.type("vis")
    driver.press("tab", "c-w")
    assert driver.submitted == []
    assert "words:" in driver.lines[-1]


def test_millions_of_keys_are_not_listed(make: Make, kv: Kycore) -> None:
    kv.save_many((f"many.{n:06}", n) for n in range(20_000))
    driver = make()
    driver.press("end")
    assert "visits" in driver.text
    driver.press("/")
    driver.type("many.019")
    assert columns(driver)[0][1] == "many.019000"
    driver.press("enter", "end")
    assert "many.019999" in driver.text
