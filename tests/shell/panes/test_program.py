"""The panes in the program itself, on a terminal."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from shell.terminals import Terminal

from kycli import Kycore

Start = Callable[..., Terminal]


def test_the_trail_shows_what_another_process_does(start: Start, store: Kycore) -> None:
    store.save("first", 1)
    shell = start()
    shell.type("F3")
    shell.wait("created +first")
    for number in range(5):
        store.save(f"live{number}", "from elsewhere")
        shell.wait(f"created +live{number} +from elsewhere")


def test_a_key_is_edited_deleted_and_restored(start: Start, store: Kycore) -> None:
    store.save("user", {"name": "Ada"}, ttl=3600)
    store.save("visits", 1)
    shell = start(variables={"EDITOR": "sed -i s/Ada/Bob/"})
    shell.type("F2")
    shell.wait('"name": "Ada"')
    shell.type("e")
    shell.wait('"name": "Bob"')
    shell.wait("> ky edit --scope default -- user")
    shell.type("d")
    shell.wait("delete 'user'. y/n")
    shell.type("y")
    shell.wait("deleted 1 key")
    shell.wait(lambda: "visits" in shell.text and "Bob" not in shell.text)
    shell.type("x")
    shell.wait("removed · json")
    shell.type("r")
    shell.wait("restore 'user'. y/n")
    shell.type("y")
    shell.wait("restored 'user'")
    shell.type("x")
    shell.wait('"name": "Bob"')
    shell.type("h")
    shell.wait("history of user")
    shell.wait("the same value")
    shell.type("\x1b[B", "\x1b[B")
    shell.wait('\\+  "name": "Bob"')
    assert store["user"] == {"name": "Bob"}
    assert store.ttl("user") is not None
    commands = [change.command for change in store.get_history("user")]
    assert commands == ["ky restore", "ky del", "ky edit", ""]


def test_both_panes_follow_the_scope(start: Start, store: Kycore) -> None:
    store.save("here", 1)
    store.save("there", 2, scope="alpha.prod")
    shell = start(rows=30)
    shell.type("F3", "F2")
    shell.wait("browser · default")
    shell.type("esc")
    shell.enter("use --here alpha.prod")
    shell.wait("browser · alpha.prod")
    shell.wait("created +there")
    shell.wait(lambda: "here" not in re.sub("there|--here", "", shell.text))


def test_a_key_enters_a_pane_and_hides_it(start: Start, store: Kycore) -> None:
    store.save("k", 1)
    shell = start()
    shell.type("F3", "F2")
    shell.wait("browser · default")
    shell.type("esc")
    shell.ask("kyg k", "^1$")
    shell.type("F3", "F2", "d")
    shell.wait("delete 'k'")
    shell.type("n", "F2")
    shell.wait(lambda: "browser" not in shell.text and "audit trail" in shell.text)
    shell.ask("kyg k", "^1$")


def test_hostile_keys_and_values_do_not_reach_the_terminal(start: Start, store: Kycore) -> None:
    store.save("\x1b]0;pwned\x07", "\x1b[2J\x9b5n\u202e" * 10)
    shell = start()
    shell.type("F3", "F2")
    shell.wait(r"\\x1b\[2J")
    shell.wait(r"\\x1b\]0;pwned\\x07")
    shell.type("d")
    shell.wait("delete '.*pwned.*y/n")
    shell.type("y")
    shell.wait("deleted 1 key")
    assert store.count() == 0
    shell.settle()
    for forbidden in (b"\x1b]0;pwned", b"\x1b[2J\xc2\x9b", "\u202e".encode()):
        assert forbidden not in shell.sent


def test_sizes_colours_and_a_lost_file(start: Start, store: Kycore, database: Path) -> None:
    store.save_many({f"key{n}": "some words " * 20 for n in range(50)})
    shell = start(columns=40, rows=14, variables={"NO_COLOR": "1"})
    shell.type("F3", "F2")
    shell.wait("^ key0")
    shell.type("?", "words", "enter")
    shell.wait("search: words")
    shell.resize(40, 6)
    shell.wait(lambda: "key" in shell.text and len(shell.lines) <= 6)
    shell.resize(120, 30)
    shell.wait("some words")
    os.rename(database, f"{database}.away")
    shell.wait("there is no database")
    os.rename(f"{database}.away", database)
    shell.wait("some words")
    store.drop_scope("default")
    shell.wait("nothing found")
    shell.type("esc")
    shell.wait("there is no such scope")
    assert not re.search(rb"\x1b\[[0-9;]*(3[0-7]|9[0-7])m", shell.sent)


def test_panes_show_what_is_staged_until_it_is_rolled_back(start: Start, store: Kycore) -> None:
    store.save("k", "before")
    shell = start(rows=40)
    shell.type("F2")
    shell.wait("│ before")
    shell.type("F3")
    shell.wait("created +k +before")
    shell.type("esc")
    shell.enter("begin")
    shell.enter("set k after")
    shell.wait("│ after")
    shell.wait("overwritten +k +after")
    shell.wait(lambda: shell.text.count("1 staged, 'diff' shows them") == 2)
    shell.enter("set --scope alpha.new k 1")
    shell.wait("^ alpha.new")
    shell.enter("rollback")
    shell.wait("│ before")
    shell.wait(lambda: not re.search("overwritten|alpha.new +│|2 staged, 'diff'", shell.text))
    shell.enter("begin")
    shell.enter("set k other")
    shell.wait("overwritten +k +other")
    shell.enter("commit")
    shell.wait(lambda: "'diff' shows them" not in shell.text)
    shell.wait("│ other")
    assert not re.search("overwritten +k +after", shell.text)


def test_panes_stay_as_they_are_while_a_command_runs_in_a_transaction(
    start: Start, store: Kycore
) -> None:
    store.save_many({f"k{number}": "v" for number in range(3000)})
    shell = start(rows=40)
    shell.type("F2")
    shell.wait("│ v")
    shell.type("esc")
    shell.enter("begin")
    shell.enter("set k0 changed")
    shell.wait("│ changed")
    shell.enter("scan")  # held at the end of a screen, so it runs on
    shell.wait("-- more --")
    shell.settle(1)
    assert "│ changed" in shell.text
    shell.type("F2", "\x1b[B")
    shell.wait("a command is running; the database can be read")
    shell.type("c-c")
    shell.wait("^interrupted$")
    shell.wait("│ v")
    assert store["k0"] == "v"


def test_a_command_has_the_database_to_itself(start: Start, store: Kycore) -> None:
    store.save_many({f"k{number}": "words to be indexed" for number in range(100_000)})
    shell = start(rows=40)
    store.save("listing", f"echo; echo open: $(ls -l /proc/{shell.pid}/fd | grep -c kycli.db)")
    shell.type("F2")
    shell.wait("browser · default")
    shell.type("?", "words")
    shell.wait("indexing: ")
    shell.type("enter", "F2")
    shell.enter("exec listing")
    shell.wait("^open: 0$")
    shell.type("F2")
    shell.wait("search: words$")
    assert "│ words to be indexed" in shell.text


def test_panes_leave_room_on_a_low_screen(start: Start, store: Kycore) -> None:
    store.save_many({f"k{number:03}": number for number in range(100)})
    shell = start(rows=12)
    shell.type("F2", "F3")
    shell.wait("audit trail · default")
    assert "browser" not in shell.text
    shell.type("F2")
    shell.wait("browser · default")
    assert "audit trail" not in shell.text
    shell.resize(100, 40)
    shell.wait("audit trail · default")
    shell.resize(100, 8)
    shell.wait("no room for this pane on so low a screen browser")
    shell.type("F2")
    shell.wait("no room for this pane on so low a screen audit trail")
    shell.type("F3", "F3")
    shell.wait(lambda: "no room" not in shell.text)


def test_two_panes_leave_a_third_of_the_screen(start: Start, store: Kycore) -> None:
    store.save_many({f"k{number:03}": number for number in range(100)})
    shell = start(rows=30)
    shell.type("F3", "F2")
    shell.wait("audit trail · default")
    shell.type("esc")
    shell.ask("scan", "-- more --")
    shell.wait(r"\nk007=7\ndefault>\n browser ")
    shell.wait("End oldest  Esc prompt")


def test_a_result_is_held_where_panes_begin(start: Start, store: Kycore) -> None:
    store.save_many({f"k{number:03}": number for number in range(100)})
    shell = start(rows=24)
    shell.type("F2")
    shell.wait("browser · default")
    shell.type("esc")
    shell.enter("scan")
    shell.wait("-- more --")
    assert re.search(r"^default> scan\nk000=0$", shell.text, re.M)
