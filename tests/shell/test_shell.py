"""The interactive shell, driven in a terminal."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
from pathlib import Path

import pytest
from shell.conftest import Start
from shell.terminals import BIN

from kycli import Kycore

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x1b[31mred\u202egnp\x9b5n\r"


def kycli(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [os.path.join(BIN, "kycli"), *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# The prompt


def test_commands_run_and_the_bar_says_where_we_are(start: Start, database: Path) -> None:
    shell = start(rows=60, waits="no database yet")
    shell.wait(lambda: shell.cursor_line == "default>")
    shell.ask("set greeting 'hello world'", r"^default>$")
    shell.wait(r"^\[Scope: default\]  1 key  .*kycli\.db  [\d.]+ m?s$")
    shell.ask("kyg greeting", "^hello world$")
    shell.ask("kycli get greeting --json", '^"hello world"$')
    shell.ask("get nope", "^kycli: no key 'nope' in scope 'default'$")
    shell.wait("exit 2$")
    shell.ask("frobnicate", "^kycli: unknown command 'frobnicate'\nhint: 'kycli help'")
    shell.ask("help get", "^Usage: kycli get ")
    shell.wait(r"^default>$")
    shell.type("c-d")
    assert shell.finish() == 0
    assert "[Scope" not in shell.text  # the interface is gone, what was printed stays
    assert "Usage: kycli get" in shell.text


def test_scopes_are_switched(start: Start, store: Kycore, home: Path) -> None:
    store.save_many({"a": 1, "b": 2})
    store.save("only", "here", scope="project_alpha")
    shell = start()
    shell.enter("use project_alpha")
    shell.wait(r"^project_alpha> ?$")
    shell.wait(r"^\[Scope: project_alpha\]  1 key ")
    shell.ask("kyl", "^only$")
    assert kycli("use").stdout == "project_alpha\n"
    shell.enter("use --here alpha.staging")
    shell.wait(r"^\[Scope: alpha.staging\]  0 keys ")
    assert kycli("use").stdout == "project_alpha\n"
    shell.ask("kyuse", "^alpha.staging\nfrom this shell$")
    shell.ask("use ../x", "^kycli: ")
    shell.wait(r"^\[Scope: alpha.staging\]")


def test_a_scope_can_be_given_and_the_variable_is_taken_in(start: Start, store: Kycore) -> None:
    store.save("k", 1, scope="alpha.prod")
    shell = start(variables={"KYCLI_SCOPE": "alpha.prod"})
    shell.enter("use beta")
    shell.wait(r"^\[Scope: beta\]")
    assert "takes precedence" not in shell.text
    shell.ask("run -- sh -c 'echo scope=$KYCLI_SCOPE'", "^scope=beta$")


def test_marks_of_the_scope(start: Start, store: Kycore) -> None:
    store.create_cache("alpha.sessions", "30m")
    store.create_table("alpha.people", {"name": "str"})
    store.save("one", {"name": "Ann"}, scope="alpha.people")
    shell = start("--scope", "alpha.people")
    shell.wait(r"1 key  schema .*pending")
    shell.enter("use --here alpha.sessions")
    shell.wait(r"\[Scope: alpha.sessions\]  0 keys  cache 30 min")
    shell.enter("optimize")
    shell.wait(lambda: "pending" not in shell.bar)


def test_what_others_commit_is_counted(start: Start, store: Kycore) -> None:
    store.save("a", 1)
    shell = start()
    shell.wait(" 1 key ")
    store.save("b", 1)
    shell.wait(" 2 keys ")


def test_a_command_goes_on_over_lines(start: Start, database: Path) -> None:
    shell = start(waits="no database")
    shell.enter("set text 'one")
    shell.wait(r"^\.\.\.")
    shell.enter("two'")
    shell.ask("kyg text", "^one\ntwo$")
    shell.type("\x1b[200~set p 1\nset q 2\nkyl\x1b[201~", "enter")  # pasted
    shell.wait(r"^p\nq\ntext$")


def test_lines_are_edited_found_again_and_suggested(start: Start, home: Path) -> None:
    shell = start(waits="no database")
    shell.enter("set colour red")
    shell.wait(" 1 key ")
    shell.enter("set db_password hunter2")
    shell.enter("  set hidden 1")
    shell.wait(" 3 keys ")
    shell.type("set c")
    shell.wait(lambda: shell.cursor_line == "default> set colour red")  # the suggestion
    shell.type("right", "c-w", "blue", "enter")
    shell.ask("kyg colour", "^blue$")
    shell.type("c-r", "nowhere")
    shell.wait("I-search backward: nowhere")
    shell.type("c-c", "c-r", "colour r")
    shell.wait("I-search backward: colour r")
    shell.wait("set colour red")
    shell.type("enter", "enter")
    shell.ask("kyg colour", "^red$")
    history = home / ".local/state/kycli/shell_history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert stat.S_IMODE(history.parent.stat().st_mode) == 0o700
    kept = history.read_text()
    assert "+set colour red\n" in kept
    assert "hunter2" not in kept
    assert "hidden" not in kept
    shell.type("c-d")
    shell.finish()
    again = start()
    again.type("up", "up", "up", "up")
    again.wait(r"^default> set colour blue$")


def test_completion(start: Start, store: Kycore, home: Path) -> None:
    store.save("user.name", "Ann")
    store.save("profile", {"address": {"city": "Oslo"}})
    store.save("k", 1, scope="alpha.prod")
    (home / "rows.csv").write_text("key,value\n")
    shell = start()
    for typed, whole in {
        "rename-s": "rename-scope ",
        "kyg us": "kyg user.name ",
        "use alpha.p": "use alpha.prod ",
        "kyl --prefi": "kyl --prefix ",
        "kyg profile.address.c": "kyg profile.address.city ",
        "import row": "import rows.csv ",
    }.items():
        shell.type(typed, "tab")
        shell.wait(f"^default> {re.escape(whole.rstrip())}$")
        shell.type("c-u", "c-c")
        shell.wait(lambda: shell.cursor_line == "default>")


def test_vi_keys(start: Start, database: Path) -> None:
    kycli("config", "set", "shell_keys", "vi")
    shell = start(waits="-- INSERT --")
    shell.type("set k one", "esc")
    shell.wait("-- NORMAL --")
    shell.type("bcwtwo", "esc", "enter")
    shell.wait(" 1 key ")
    shell.ask("kyg k", "^two$")
    shell.type("get x", "esc")
    shell.wait("-- NORMAL --")
    shell.type("c-c")
    shell.wait("-- INSERT --")  # as in a new line
    shell.type("esc", "/set k", "enter")  # looks back
    shell.wait(lambda: shell.cursor_line == "default> set k two")


def test_f1_explains_what_is_typed(start: Start, database: Path) -> None:
    shell = start(rows=50, waits="no database")
    shell.type("ttl some", "F1")
    shell.wait("^Usage: kycli ttl ")
    shell.wait(lambda: shell.cursor_line == "default> ttl some")
    shell.type("c-c", "F1")
    shell.wait("^Usage: kycli shell ")


def test_the_colours_are_the_registry_s(start: Start, database: Path) -> None:
    shell = start(waits="no database")
    shell.type("get nothing --json --nonsense")
    shell.wait("nonsense$")
    shell.settle()
    sent = shell.sent.decode()
    assert re.search(r"\x1b\[0;36;1mg?e?t", sent)
    assert re.search(r"\x1b\[0;31m[^\x1b]*-*n?o?n?s?e?n?s?e?$", sent[: sent.rindex("e") + 1])


# Transactions


def test_a_transaction_is_staged_compared_and_committed(start: Start, store: Kycore) -> None:
    store.save_many({"old": "1", "gone": "x"})
    store.save("far", "1", scope="alpha")
    shell = start()
    shell.enter("begin")
    shell.wait("transaction: 0 staged, blocks writers")
    shell.wait(r"^default\*>")
    shell.enter("set old 2")
    shell.enter("del gone")
    shell.enter("set alpha.default.far 2")
    shell.wait("transaction: 3 staged")
    shell.enter("diff")
    shell.wait(lambda: "@@ -1 +1 @@ old\n-1\n+2\n" in shell.text)
    shell.wait(lambda: "@@ -1 +0,0 @@ gone\n-x\n" in shell.text)
    shell.wait(lambda: "--- alpha, committed\n+++ alpha, in the transaction\n" in shell.text)
    assert store.getkey("old") == "1"
    shell.ask("doctor", "needs a process of its own")
    shell.ask("begin", "there is a transaction already")
    shell.ask("commit", "^committed: 3 changes$")
    shell.wait(r"^default>")
    assert store.getkey("old") == "2"
    assert store.getkey("gone") is None
    (change,) = {c.change for scope in ("default", "alpha") for c in store.get_history(scope=scope)
                 if c.command == "kycli begin"}  # fmt: skip
    assert change
    shell.ask("commit", "^kycli: no transaction to commit$")


def test_a_transaction_is_rolled_back(start: Start, store: Kycore) -> None:
    store.save("old", "1")
    shell = start()
    shell.enter("begin")
    shell.enter("set old 2")
    shell.ask("kyg old", "^2$")
    shell.ask("rollback", "^rolled back: 1 change$")
    shell.ask("kyg old", "^1$")
    assert len(store.get_history("old")) == 1


def test_the_bar_and_completion_show_what_is_staged(start: Start, store: Kycore) -> None:
    store.save_many({"kept": "1", "gone": "1", "document": {"old": 1}})
    shell = start()
    shell.enter("begin")
    shell.wait("^.* 0 staged.*  3 keys")
    shell.enter("set kinetic 1")
    shell.enter("set kelp 1")
    shell.enter("del gone")
    shell.wait("^.* 3 staged.*  4 keys")
    shell.enter("patch document '{\"fresh\": 2}'")
    shell.enter("del kelp")
    shell.wait("^.* 5 staged.*  3 keys")
    shell.type("kyg k", "tab")
    shell.wait("^ +kept\n +kinetic\n")
    shell.type("c-c")
    shell.type("kyg document.f", "tab")
    shell.wait(r"> kyg document\.fresh")
    shell.type("c-c")
    shell.enter("set --scope alpha.new k 1")
    shell.enter("use --here alpha.new")
    shell.wait(r"^\[Scope: alpha.new\] .*  1 key\b")
    shell.enter("rollback")
    shell.wait(r"^\[Scope: alpha.new\]  0 keys")


def test_many_staged_keys_are_counted(start: Start, store: Kycore) -> None:
    store.save_many({f"k{number:04}": number for number in range(1500)})
    shell = start()
    shell.enter("begin")
    shell.enter("del -y --prefix k")
    shell.wait("^.* 1,500 staged.*  0 keys")
    shell.enter("rollback")
    shell.wait("  1,500 keys")


def test_an_edit_is_staged(start: Start, store: Kycore) -> None:
    store.save("motd", "Tea at five")
    shell = start(variables={"VISUAL": "sed -i s/five/six/"})
    shell.enter("begin")
    shell.wait("transaction: 0 staged")
    shell.enter("edit motd")
    shell.wait("transaction: 1 staged")
    shell.ask("kyg motd", "^Tea at six$")
    assert store["motd"] == "Tea at five"
    shell.ask("rollback", "^rolled back: 1 change$")
    shell.ask("kyg motd", "^Tea at five$")


def test_an_editor_has_the_terminal_and_is_interrupted(start: Start, store: Kycore) -> None:
    store.save("motd", "Tea at five")
    shell = start(variables={"VISUAL": "tail -f"})
    shell.enter("begin")
    shell.wait("transaction: 0 staged")
    shell.enter("edit motd")
    shell.wait("^Tea at five$")
    assert "[Scope" not in shell.bar
    shell.type("c-c")
    shell.wait("^interrupted$")
    shell.ask("commit", "^committed: 0 changes$")


def test_a_program_that_has_the_terminal_has_it_alone(
    start: Start, store: Kycore, home: Path
) -> None:
    editor = home / "editor"
    editor.write_text("#!/bin/sh\necho EDITING\nread x </dev/tty\n")
    editor.chmod(0o755)
    store.save("k", 1)
    shell = start(variables={"EDITOR": str(editor)})
    shell.enter("edit k")
    shell.wait("^EDITING$")
    shell.settle()
    before = len(shell.sent)
    for columns in (80, 120):
        shell.resize(columns, 30)
        shell.settle(1)
    assert shell.sent[before:] == b""
    shell.type("enter")
    shell.wait("^nothing was changed$")
    shell.ask("kyg k", "^1$")


def test_the_bar_follows_what_expires(start: Start, store: Kycore) -> None:
    store.save_many({"a": 1, "b": 2})
    store.expire("a", 3)
    shell = start()
    shell.wait("  2 keys")
    shell.wait("  1 key ")
    shell.enter("begin")
    shell.enter("set c 3 --ttl 3")
    shell.wait("1 staged.*  2 keys")
    shell.wait("1 staged.*  1 key ")


def test_leaving_with_a_transaction_asks(start: Start, store: Kycore) -> None:
    store.save("old", "1")
    shell = start()
    shell.enter("begin")
    shell.enter("set old 2")
    shell.wait("1 staged")
    shell.type("c-d")
    shell.wait(r"^\[c\]ommit and leave, \[r\]oll back and leave, or \[s\]tay\?")
    shell.enter("s")
    shell.wait("still open")
    shell.wait("1 staged")
    shell.type("c-d")
    shell.wait(lambda: shell.text.count("oll back and leave") == 2)
    shell.type("c-c")
    shell.wait(r"^interrupted\ndefault\*>")
    shell.enter("exit")
    shell.wait(lambda: shell.text.count("oll back and leave") == 3)
    shell.enter("c")
    assert shell.finish() == 0
    assert store.getkey("old") == "2"


def test_a_commit_that_fails_on_leaving_ends_the_transaction(
    start: Start, store: Kycore, database: Path
) -> None:
    store.save("old", "1")
    shell = start()
    shell.enter("begin")
    shell.enter("set new 2")
    shell.wait("1 staged")
    for file in database.parent.iterdir():
        file.unlink()
    shell.type("c-d")
    shell.wait("oll back and leave")
    shell.enter("c")
    shell.wait("nothing was saved")
    shell.wait(lambda: shell.lines[-2] == "default>" and "transaction" not in shell.bar)
    shell.type("c-d")
    assert shell.finish() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_killed_shell_keeps_nothing(start: Start, store: Kycore, number: int) -> None:
    store.save("old", "1")
    shell = start()
    shell.enter("begin")
    shell.enter("set old 2")
    shell.wait("1 staged")
    os.kill(shell.pid, number)
    assert shell.finish() == -number
    store.save("mine", 1)  # nothing is locked
    assert store.getkey("old") == "1"


@pytest.mark.parametrize("line", ["edit old", "scan", "set new -"])
def test_a_shell_is_killed_while_a_command_runs(
    start: Start, store: Kycore, tmp_path: Path, line: str
) -> None:
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\necho started\nexec sleep 60\n")
    editor.chmod(0o755)
    store.save_many({"old": "1", **{f"key{number}": number for number in range(100)}})
    shell = start(variables={"EDITOR": str(editor), "VISUAL": None})
    shell.enter(line)
    shell.wait("^started$|^-- more --|^.standard input is what you type")
    os.kill(shell.pid, signal.SIGTERM)
    assert shell.finish() == -signal.SIGTERM
    assert "unexpected" not in shell.text


# Long work


@pytest.fixture
def many(store: Kycore) -> Kycore:
    store.save_many((f"key{number:06}", "x" * 20) for number in range(100_000))
    return store


def test_a_listing_streams_while_keys_are_echoed_and_ends_at_once(
    start: Start, many: Kycore
) -> None:
    kycli("config", "set", "shell_pager", "off")
    shell = start()
    shell.is_drawing = False  # millions of characters
    shell.enter("scan")
    shell.wait(lambda: b"key000001=" in shell.sent)
    shell.type("zzzz")
    shell.wait(lambda: b"zzzz" in shell.sent)
    assert b"key099999=" not in shell.sent  # it was echoed before the end
    shell.type("c-c")
    shell.wait(lambda: b"interrupted" in shell.sent)
    assert b"key099999=" not in shell.sent
    shell.is_drawing = True
    shell.type("c-l", "c-a", "kyg key000001 # ")
    shell.wait(lambda: shell.cursor_line == "default> kyg key000001 # zzzz")  # it is still there
    shell.type("enter")
    shell.wait("^x{20}$")
    shell.wait(r"100,000 keys")


def test_a_long_result_is_paged(start: Start, many: Kycore) -> None:
    shell = start(rows=20)
    shell.enter("kyl")
    shell.wait("^-- more --")
    assert "key000010" in shell.text
    assert "key000020" not in shell.text
    shell.type(" ")
    shell.wait("^key000020(?s:.*)^-- more --")
    shell.type("c-d")  # as in other pagers: it does not leave
    shell.wait("^key000040(?s:.*)^-- more --")
    shell.enter("kyg key000007")  # what comes next is wanted instead
    shell.wait("^x{20}$")
    shell.wait(lambda: "more" not in shell.text)
    shell.enter("kyl --limit 100")
    shell.wait("^-- more --")
    shell.type("end")
    shell.wait("^key000099$")
    shell.wait(lambda: "more" not in shell.text)
    shell.enter("kyl")
    shell.wait("^-- more --")
    shell.type("c-c")
    shell.wait("^interrupted$")


def test_ctrl_c_stops_a_long_write_and_nothing_is_kept(start: Start, many: Kycore) -> None:
    shell = start()
    shell.enter("begin")
    shell.enter("set mine 1")
    shell.wait("1 staged")
    shell.enter("copy-scope default other")
    shell.wait("stops")
    shell.type("c-c")
    shell.wait("^interrupted$|deleted|other")
    shell.wait("exit 130")
    shell.ask("kyl --prefix mine", "mine|^default")
    assert many.scopes() == ["default"]


def test_ctrl_c_never_ends_the_shell(start: Start, store: Kycore) -> None:
    store.save("k", "v")
    shell = start()
    for _ in range(20):
        shell.type("c-c")
    shell.type("half a line", "c-c")
    shell.wait(r"half a line\^C")
    for _ in range(10):
        shell.type("scan", "enter", "c-c")
    os.kill(shell.pid, signal.SIGINT)
    shell.type("c-c")
    shell.ask("kyg k", "^v$")


# Hostile values


def test_nothing_stored_drives_the_terminal(start: Start, store: Kycore) -> None:
    store.save("k", HOSTILE)
    store.save(f"z{HOSTILE}", "v")
    shell = start()
    for line in ("kyg k", "kyg --raw k", "scan", "history", "get 'z", "diff default nope"):
        shell.enter(line)
        shell.settle()
    shell.type("c-c", "kyg z", "tab")
    shell.settle()
    shell.type("enter")
    shell.settle()
    shell.type("up", "c-c")
    shell.type("\x1b[200~set odd 'a\u202eb\x1b]0;x\x07'\x1b[201~", "enter", "up")
    shell.settle()
    shell.type("c-c")
    shell.wait(r"^\[Scope: default\]")
    sent = shell.sent.decode("utf-8", "replace")
    assert "owned" in sent
    for bad in ("\x1b]", "\x07", "\x1b[2J", "\x1b[31mred", "\u202e", "\x9b", "\x1b[5n"):
        assert bad not in sent, repr(bad)


# The terminal itself


def test_narrow_wide_and_resized(start: Start, store: Kycore) -> None:
    scope = "a_rather_long_project.with_a_namespace"
    store.save("k", "v" * 150, scope=scope)
    shell = start("--scope", scope, columns=40, rows=12, waits=r"^\[Scope: ")
    shell.wait(r"^\[Scope: a_rather_long_project.with_a_n…$")
    shell.enter("use --here p")
    shell.enter("begin")
    shell.wait(r"^\[Scope: p\]  0 staged, \d+ s")
    shell.enter("rollback")
    shell.enter(f"use --here {scope}")
    shell.ask("kyg k", "^v{40}\nv{40}\nv{40}\nv{30}$")
    shell.type("set a_long_line_that_is_wider_than_the_screen")
    shell.wait(r"^\.\.\. ")
    shell.type("c-c")
    shell.settle()
    shell.resize(120, 30)
    shell.wait(rf"^\[Scope: {scope}\]  1 key .*kycli.db  [\d.]+ ms$")
    shell.wait(lambda: max(map(len, shell.lines)) <= 120)
    shell.settle()
    shell.resize(20, 30)
    shell.wait(r"^\[Scope: a_rather_l…$")
    shell.resize(100, 30)
    shell.wait(r"1 key")
    shell.ask("kyl", "^k$")
    shell.wait(lambda: shell.text.count("[Scope: ") <= 2)


def test_without_colour(start: Start, store: Kycore) -> None:
    store.save("k", "v")
    shell = start(variables={"NO_COLOR": "1"})
    shell.ask("get nope", "no key")
    shell.type("kyg k", "tab", "enter")
    shell.wait("^v$")
    assert not re.search(rb"\x1b\[[0-9;]*[34][0-9][;m]", shell.sent)


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_dumb_terminal_gets_lines_and_no_escape_sequence(
    start: Start, store: Kycore, term: str
) -> None:
    store.save("old", HOSTILE)
    shell = start(variables={"TERM": term}, waits="^default> ?$")
    shell.ask("kyg old", "owned")
    shell.wait(lambda: shell.cursor_line == "default>")
    shell.enter("set text 'one")
    shell.wait(lambda: shell.cursor_line == "...")
    shell.enter("two'")
    shell.wait(lambda: shell.cursor_line == "default>")
    shell.ask("kyg text", "^one\ntwo$")
    shell.wait(lambda: shell.cursor_line == "default>")
    shell.ask("use --here alpha", "^alpha> ?$")
    shell.wait(lambda: shell.cursor_line == "alpha>")
    shell.type("c-c")
    shell.wait(r"\^C\nalpha> ?$")
    shell.enter("begin")
    shell.wait(r"^alpha\*> ?$")
    shell.enter("set k 1")
    shell.type("c-d")
    shell.wait(r"^\[c\]ommit and leave")
    shell.enter("r")
    assert shell.finish() == 0
    assert b"\x1b" not in shell.sent
    assert store.getkey("k", scope="alpha") is None


# Programs, questions, files


def test_questions_programs_and_standard_input(start: Start, store: Kycore) -> None:
    store.save("hello", 'echo "hello $1"; read line; echo "got $line"; exit 7')
    store.save("k", 1, scope="alpha")
    shell = start(columns=250)
    shell.enter("kyc hello world")
    shell.wait("^hello world$")
    shell.enter("something")
    shell.wait("^got something$")
    shell.wait("exit 7$")
    shell.enter("drop-scope alpha")
    shell.wait(r"delete the scope 'alpha' with 1 key\? \[y/N\]")
    shell.enter("y")
    shell.wait("^deleted 1 key$")
    shell.enter("set typed -")
    shell.wait(r"\^D")
    shell.type("from the keyboard", "enter", "c-d")
    shell.wait(r"^\[Scope: ")
    shell.ask("get typed --json", r'^"from the keyboard\\n"$')
    shell.ask("doctor", "is sound")
    shell.enter("run -- sh -c 'echo run''ning; exec sleep 100'")
    shell.wait("^running$")
    shell.settle()
    shell.type("c-c")
    shell.wait("exit 130$")


def test_the_bar_shows_how_the_last_command_ended(start: Start, store: Kycore) -> None:
    shell = start()
    for _ in range(10):
        shell.enter("run -- sh -c 'exit 130'")
        shell.wait("exit 130$")
        shell.enter("run -- true")
        shell.wait(r"^\[Scope: .* m?s$")


def test_long_output_goes_to_the_pager_where_it_does_on_the_command_line(
    start: Start, store: Kycore
) -> None:
    for number in range(30):
        store.save("k", number)
    shell = start(rows=12, variables={"PAGER": "sh -c 'echo PAGED; head -3; read x </dev/tty'"})
    shell.enter("history")
    shell.wait("^PAGED$")
    assert "[Scope" not in shell.text
    shell.type("enter")
    shell.wait(r"^\[Scope: ")


def test_ctrl_c_in_a_pager_ends_the_command_and_not_the_shell(start: Start, many: Kycore) -> None:
    pager = "sh -c 'trap true INT; echo PAGED; until read x; do :; done </dev/tty; echo LEFT'"
    shell = start(rows=12, variables={"PAGER": pager})
    shell.enter("history")
    shell.wait("^PAGED$")
    shell.settle()
    shell.type("c-c")
    shell.settle()
    shell.type("c-c", "enter", "enter")
    shell.wait("^LEFT$")
    shell.wait(r"^\[Scope: ")
    shell.ask("kyg key000001", "^x+$")


def test_a_pager_does_not_keep_the_shell_alive(start: Start, many: Kycore, home: Path) -> None:
    """The command waits for a pager that reads nothing, when a signal ends the shell."""
    pager = home / "pager"
    pager.write_text(
        "#!/bin/sh\ntrap 'echo ENDED; exit' TERM\necho PAGED\nwhile true; do sleep 0.1; done\n"
    )
    pager.chmod(0o755)
    shell = start(rows=12, variables={"PAGER": f"{pager} -x"})
    shell.enter("history")
    shell.wait("^PAGED$")
    shell.settle()
    os.kill(shell.pid, signal.SIGTERM)
    assert shell.finish() == -signal.SIGTERM
    assert "ENDED" in shell.text


@pytest.mark.parametrize("way", ["removed", "replaced"])
def test_a_lost_database_is_said_and_the_shell_goes_on(
    start: Start, database: Path, way: str, tmp_path: Path
) -> None:
    with Kycore(database) as kv:
        kv.save("k", "old")
    shell = start(columns=250)
    shell.ask("kyg k", "^old$")
    if way == "removed":
        for file in database.parent.iterdir():
            file.unlink()
    else:
        with Kycore(tmp_path / "other.db") as kv:
            kv.save("k", "new")
        os.replace(tmp_path / "other.db", database)
        for end in ("-wal", "-shm"):
            Path(f"{database}{end}").unlink(missing_ok=True)
    shell.ask("set k 2", f"the file was {way} while this shell had it open")
    shell.wait("^hint: nothing was done")
    shell.wait("no database yet" if way == "removed" else " 1 key ")
    shell.ask("get k", "^new$" if way == "replaced" else "no key 'k'")
    shell.ask("set k 3", r"^default>$")
    shell.ask("kyg k", "^3$")


@pytest.mark.parametrize("way", ["removed", "replaced"])
def test_a_lost_log_is_said_and_the_shell_goes_on(
    start: Start, database: Path, way: str, tmp_path: Path
) -> None:
    log = Path(f"{database}-wal")
    shell = start(columns=250, waits="no database")
    shell.ask("set k 1", r"^default>$")
    shell.wait(" 1 key ")
    log.unlink()
    if way == "replaced":
        log.touch()
    shell.ask("get k", f"-wal: the file was {way} while this shell had it open")
    database.unlink()
    log.unlink(missing_ok=True)
    shell.ask("set k 3", r"^default>$")
    shell.ask("kyg k", "^3$")


def test_a_lost_database_loses_the_transaction(start: Start, database: Path) -> None:
    with Kycore(database) as kv:
        kv.save("k", "old")
    shell = start(columns=250)
    shell.enter("begin")
    shell.enter("set k 2")
    shell.wait("1 staged")
    for file in database.parent.iterdir():
        file.unlink()
    shell.ask("commit", "^kycli: .*removed")
    shell.wait(lambda: "staged" not in shell.bar)
    shell.ask("set k 3", r"^default>$|kycli: ")


def test_what_is_no_database_is_said_in_the_bar(start: Start, database: Path) -> None:
    database.write_text("this is not a database, but a long enough text\n" * 100)
    shell = start(columns=250, waits=r"^\[Scope: default\]  .*not a")
    shell.ask("kyl", "^kycli: .*not a")
    shell.ask("version", r"^kycli \d")


def test_a_config_that_breaks_does_not_end_the_shell(
    start: Start, store: Kycore, home: Path
) -> None:
    config = home / ".config/kycli/config.json"
    config.parent.mkdir(parents=True)
    shell = start(columns=250)
    shell.ask("begin", r"^default\*>$")
    shell.ask("set k 1", r"^default\*>$")
    config.write_text("{broken")
    shell.ask("get k", "^kycli: .*config.json, line 1, column 2: not JSON")
    assert shell.text.count("not JSON") == 1
    shell.type("get k", "tab", "c-c")
    shell.ask("version", r"^kycli \d")
    config.unlink()
    shell.ask("commit", "^committed: 1 change$")


def test_what_cannot_be_opened_is_said_in_the_bar(start: Start, database: Path) -> None:
    database.symlink_to(database)
    shell = start(columns=250, waits=r"^\[Scope: default\]  cannot be opened: ")
    shell.type("F2")
    shell.wait(r"^ .*cannot be opened: ")


@pytest.mark.parametrize("kind", ["a pipe", "a device", "a directory"])
def test_a_history_that_is_no_file_is_left_alone(start: Start, store: Kycore, kind: str) -> None:
    path = Path(os.environ["HOME"], ".local/state/kycli/shell_history")
    path.parent.mkdir(parents=True)
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    shell = start()
    shell.ask("set k 1", r"^default>$")
    shell.ask("kyg k", "^1$")
    shell.type("up", "up")
    shell.wait(r"^default> set k 1$\n\[Scope")


def test_the_shell_is_not_started_inside_itself(start: Start, database: Path) -> None:
    shell = start(waits="no database")
    shell.ask("kyshell", "this is the shell already")
    shell.ask("kycli shell", "this is the shell already")
