"""What a server runs is what the program would have run in the caller's place."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from session.callers import ask, connect, read, request, variables
from session.clients import running_server, short_directory

from kycli import Kycore
from kycli.cli.commands import all_commands
from kycli.session import protocol
from kycli.session.worker import READING, SERVED


@pytest.fixture(scope="module")
def runtime() -> Iterator[str]:
    """The runtime directory of a server that serves all tests of this module."""
    with short_directory() as directory, running_server(directory):
        yield str(directory)


@pytest.fixture(autouse=True)
def _served(home: Path, runtime: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)


def test_values_messages_and_exit_codes_are_those_of_the_programs() -> None:
    assert ask("kys", "key", "välue\n") == ("0", [])
    assert ask("kyg", "key") == ("0", [(1, "välue\n\n".encode())])
    missing = ask("kyg", "none")
    assert missing.status == "2"
    assert missing.out == b""
    assert missing.err == "kycli: no key 'none' in scope 'default'\n"
    wrong = ask("kycli", "got", "key")
    assert wrong.status == "1"
    assert "unknown command 'got'" in wrong.err
    assert ask("kyg", b"\xff").err.startswith("kycli: argument 1 is not valid UTF-8")


def test_chunks_are_in_the_order_of_writing() -> None:
    ask("kys", "a", "1")
    ask("kys", "b", "2")
    answer = ask("kyg", "a", "none", "b")
    assert [stream for stream, _ in answer.chunks] == [1, 2, 1]
    assert answer.out == b"1\n2\n"


def test_many_requests_on_one_connection() -> None:
    with connect() as connection:
        for number in range(100):
            connection.sendall(request("kys", "key", str(number)))
            assert read(connection) == ("0", [])
            connection.sendall(request("kyg", "key"))
            assert read(connection) == ("0", [(1, b"%d\n" % number)])
        connection.sendall(b"\0\0" + request("kyg", "key", streams="pppo"))
        assert read(connection) == ("0", [(1, b"99\n")])
        assert connection.recv(1) == b""


def test_a_request_in_pieces() -> None:
    data = request("kys", "key", "x" * 300_000)
    with connect() as connection:
        for start in (0, 3, 7, 9, 30):
            connection.sendall(data[start : {0: 3, 3: 7, 7: 9, 9: 30}.get(start, len(data))])
            time.sleep(0.01)
        assert read(connection) == ("0", [])
    assert len(ask("kyg", "key").out) == 300_001


def test_each_request_has_its_own_directory_variables_and_umask(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for directory, scope in ((one, "alpha"), (two, "beta.x")):
        directory.mkdir()
        (directory / ".kyclirc").write_text(f'current_scope = "{scope}"\ndb_path = "here.db"\n')
        assert ask("kys", "key", scope, directory=str(directory), umask=0o22) == ("0", [])
    assert ask("kyg", "key", directory=str(one)).out == b"alpha\n"
    assert ask("kyg", "key", directory=str(two)).out == b"beta.x\n"
    assert ask("kyg", "key").status == "2"
    assert ask("kycli", "use", directory=str(two)).out == b"beta.x\n"
    with Kycore(one / "here.db") as store:
        assert (
            store["key"] == "alpha" if store.exists("key") else store.getkey("key", scope="alpha")
        )

    given = {**variables(), "KYCLI_SCOPE": "gamma"}
    assert ask("kys", "key", "by variable", variables=given).status == "0"
    assert ask("kyg", "key", variables=given).out == b"by variable\n"
    assert ask("kyg", "key").status == "2"


def test_a_config_that_changes_is_read_again(home: Path) -> None:
    rc = home / ".kyclirc"
    for number in range(20):
        rc.write_text(f'current_scope = "s{number}"\n')
        assert ask("kycli", "use").out == b"s%d\n" % number
    rc.unlink()
    assert ask("kycli", "use").out == b"default\n"
    rc.write_text("current_scope = \n")
    broken = ask("kycli", "use")
    assert broken.status == "1"
    assert ".kyclirc, line 1" in broken.err


def test_use_is_seen_by_the_next_request() -> None:
    assert ask("kycli", "use", "alpha.prod").status == "0"
    assert ask("kycli", "use").out == b"alpha.prod\n"
    ask("kys", "key", "value")
    assert ask("kycli", "get", "alpha.prod.key").out == b"value\n"


def test_the_history_names_the_callers_process_command_and_user(home: Path) -> None:
    ask("kys", "key", "one", pid=12345, variables={**variables(), "LOGNAME": "anna"})
    ask("kycli", "set", "key", "two", pid=54321, variables={**variables(), "LOGNAME": "otto"})
    with Kycore(home / ".local/share/kycli/kycli.db") as store:
        newest, oldest = store.get_history("key")
    assert (oldest.pid, oldest.command, oldest.user) == (12345, "kys", "anna")
    assert (newest.pid, newest.command, newest.user) == (54321, "kycli set", "otto")


def test_standard_input_is_asked_for_when_it_is_needed() -> None:
    assert ask("kys", "key", "-") == ("<", [])
    assert ask("kyg", "key").status == "2"
    assert ask("kys", "key", "-", input=b"\xff\0\n") == ("0", [])
    assert ask("kyg", "--raw", "key").out == b"\xff\0\n"
    assert ask("kys", "empty", "-", input=b"").status == "0"
    assert ask("kyg", "--raw", "empty") == ("0", [])
    closed = ask("kys", "key", "-", streams="-pp")
    assert closed.status == "1"
    assert "standard input is closed" in closed.err
    assert ask("kys", "key", "-", streams="tpp") == ("?", [])
    assert ask("kys", "a", "b", input=b"not read") == ("0", [])


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["kyc", "key"], {}),
        (["kycli", "run", "true"], {}),
        (["kycli", "batch"], {"input": b""}),
        (["kycli", "doctor"], {}),
        (["kycli", "backup"], {}),
        (["kycli", "import", "file.csv"], {}),
        (["kycli", "server", "stop"], {}),
        (["kycli", "update", "key", "--", "cat"], {}),
        (["kyv", "key"], {"streams": "ptp"}),  # a pager
        (["kycli", "drop-scope", "default"], {"streams": "ttt"}),  # a question
        (["kyg", "key", "--path", "/dev/stdin"], {}),
        (["kyg", "key"], {"directory": "/nowhere/at/all"}),
        (["kyg", "key"], {"directory": "/dev"}),
        (["kyg", "key"], {"directory": ".", "pid": 999999999}),
    ],
)
def test_what_needs_a_process_of_its_own_is_declined(
    words: list[str], options: dict[str, Any]
) -> None:
    ask("kys", "key", "echo value")
    assert ask(words[0], *words[1:], **options) == ("?", [])
    assert ask("kyg", "key").out == b"echo value\n"


def test_an_answered_question_and_a_known_width_are_no_reason_to_decline() -> None:
    ask("kys", "key", "value")
    unknown = {name: text for name, text in variables().items() if name != "COLUMNS"}
    assert ask("kycli", "stats", streams="ttt", variables=unknown).status == "?"
    wide = {**unknown, "COLUMNS": "80"}
    assert b"\033[1m" in ask("kycli", "stats", streams="ttt", variables=wide).out
    assert ask("kyg", "key", streams="ttt").out == b"value\n"
    assert ask("kycli", "drop-scope", "default", "-y", streams="ttt").status == "0"


def test_the_directory_may_be_left_to_proc(home: Path) -> None:
    (home / ".kyclirc").write_text('current_scope = "found"\n')
    assert ask("kycli", "use", directory=".").out == b"found\n"


def test_a_long_result_is_left_to_the_caller_when_nothing_was_changed() -> None:
    data = b"x" * (protocol.MAX_OUTPUT + 1)
    assert ask("kys", "key", "-", input=data).status == "0"
    assert ask("kyg", "key") == ("?", [])
    # This one has an effect, so it is not declined half-done.
    answer = ask("kys", "key", "new", "--get")
    assert answer.status == "0"
    assert len(answer.out) == len(data) + 1


def test_two_databases_at_once(tmp_path: Path) -> None:
    for number in range(12):  # more than are kept open
        path = str(tmp_path / f"{number % 6}.db")
        assert ask("kycli", "-d", path, "set", f"k{number}", str(number)).status == "0"
    for number in range(12):
        path = str(tmp_path / f"{number % 6}.db")
        assert ask("kycli", "-d", path, "get", f"k{number}").out == b"%d\n" % number
        with Kycore(path) as store:
            assert store[f"k{number}"] == str(number)


def make(path: Path, value: str) -> None:
    with Kycore(path) as store:
        for number in range(50):
            store.save(f"k{number}", "x" * number)
        store["key"] = value


def test_a_database_that_is_replaced_is_noticed(home: Path, database: Path) -> None:
    ask("kys", "key", "old")
    make(home / "other.db", "new")
    os.replace(home / "other.db", database)
    assert ask("kyg", "key").out == b"new\n"
    database.unlink()
    assert ask("kyg", "key").status == "2"
    assert ask("kys", "key", "again").status == "0"
    assert ask("kyg", "key").out == b"again\n"


def test_a_database_that_is_copied_over_is_noticed(home: Path, database: Path) -> None:
    make(home / "other.db", "copied")
    for number in range(10):
        assert ask("kys", "key", f"old {number}").status == "0"
        assert ask("kyg", "key").out == f"old {number}\n".encode()
        shutil.copyfile(home / "other.db", database)  # in place: the file is the same one
        assert ask("kyg", "key").out == b"copied\n"
        assert ask("kyg", "k7").out == b"xxxxxxx\n"
    assert ask("kys", "key", "newest").status == "0"
    with Kycore(database) as store:
        assert store["key"] == "newest"


def test_touching_a_database_loses_nothing(database: Path) -> None:
    for number in range(20):
        assert ask("kys", f"key{number}", "value").status == "0"
        os.utime(database)
        os.chmod(database, 0o600 if number % 2 else 0o640)
    assert ask("kycli", "count").out == b"20\n"


def test_a_database_in_memory_ends_with_its_command() -> None:
    memory = {**variables(), "KYCLI_DB_PATH": ":memory:"}
    assert ask("kys", "key", "value", variables=memory).status == "0"
    assert ask("kyg", "key", variables=memory).status == "2"


def test_commands_that_are_treated_apart_exist() -> None:
    assert all_commands().keys() >= READING | SERVED


def test_hostile_words(home: Path) -> None:
    for key in ("-x", "a\nb", "../..", "🦊", "x" * 4000, "\033[2J", "*"):
        assert ask("kys", "--", key, "v\0".replace("\0", "-")).status == "0"
        assert ask("kyg", "--", key).out == b"v-\n"
    assert ask("kys", "", "value").status == "1"
    assert ask("kyg", "x" * 5000).status == "1"


def test_a_reply_that_nobody_reads_holds_nobody_up() -> None:
    ask("kys", "key", "-", input=b"x" * 3_000_000)
    with connect() as not_reading:
        not_reading.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        not_reading.sendall(request("kyg", "key"))
        for _ in range(20):
            assert ask("kyg", "none").status == "2"
