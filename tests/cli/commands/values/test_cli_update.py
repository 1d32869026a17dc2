"""Values through a filter program, and old values that are printed."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli.harness import Call, program

from kycli import Kycore


def python(body: str) -> list[str]:
    """Return a filter in Python: ``data`` is what it reads, ``out`` what it prints."""
    script = f"import sys\ndata = sys.stdin.buffer.read()\n{body}\nsys.stdout.buffer.write(out)"
    return [sys.executable, "-c", script]


def test_a_filter_makes_the_new_value(call: Call) -> None:
    call("kys", "k", "hello")
    assert call("kycli", "update", "k", "--", "tr", "a-z", "A-Z") == (0, b"", "")
    assert call("kyg", "k", "--raw").out == b"HELLO"
    changes = [json.loads(line) for line in call("kycli", "history", "k", "--jsonl").lines]
    assert [(change["value"], change["command"]) for change in changes] == [
        ("HELLO", "kycli update"), ("hello", "kys"),
    ]  # fmt: skip


def test_flags_behind_the_command_are_its_own(call: Call) -> None:
    call("kycli", "set", "a.b.k", "b\na\nb")
    assert call("kycli", "update", "a.b.k", "sort", "-u", "--reverse").code == 0
    assert call("kycli", "get", "a.b.k").out == b"b\na\n"
    assert call("kycli", "update", "--scope", "a.b", "k", "--", "sort", "-d").code == 0
    assert call("kycli", "get", "a.b.k").out == b"a\nb\n"
    assert call("kycli", "update", "k", "--scope", "a.b", "-q", "cat", "--", "-").code == 0


def test_a_key_with_dots_of_the_current_scope(call: Call) -> None:
    call("kys", "user.name", "Ada")
    assert call("ky", "update", "user.name", "--", "tr", "-d", "A").code == 0
    assert call("kyg", "user.name").out == b"da\n"
    missed = call("kycli", "update", "user.name", "tr", "a", "b")
    assert missed.code == 2
    assert ": ky update user.name" in missed.err


@pytest.mark.parametrize(
    ("value", "command", "flags", "stored"),
    [
        (b"a\n", "cat", "", b"a\n"),
        (b"a", "cat; echo", "", b"a"),
        (b"a", "cat; echo; echo", "", b"a\n"),
        (b"a", "cat; echo", "--raw", b"a\n"),
        (b"a\n", "cat; echo", "", b"a\n\n"),
        (b"", "echo x", "", b"x"),
        (b"a", "true", "", b""),
        (b"a", "printf '\\377\\n'", "", b"\xff\n"),
        (b"\xff", "printf 'a\\n'", "", b"a\n"),
        (b"\xff\n\0", "cat", "", b"\xff\n\0"),
        (b"42", "cat; echo", "", b"42"),
        (b"a", "wc -c", "", b"1"),
    ],
)
def test_bytes_and_the_last_newline(
    call: Call, value: bytes, command: str, flags: str, stored: bytes
) -> None:
    call("kys", "k", "-", stdin=value)
    assert call("kycli", "update", "k", *flags.split(), "--", "sh", "-c", command).code == 0
    assert call("kyg", "k", "--raw").out == stored


def test_what_is_packed_can_be_unpacked(call: Call) -> None:
    for value in (b"text", b"text\n", b"\0\xff"):
        call("kys", "k", "-", stdin=value)
        assert call("kycli", "update", "k", "gzip", "-c").code == 0
        assert gzip.decompress(call("kyg", "k", "--raw").out) == value
        assert call("kycli", "update", "k", "gzip", "-dc").code == 0
        assert call("kyg", "k", "--raw").out == value


def test_a_filter_that_changes_nothing_is_no_event(call: Call, database: Path) -> None:
    values = [
        "text",
        "text\n",
        b"bytes that are text",
        b"\xff",
        5,
        2.0,
        None,
        True,
        [1, {"a": b"x"}],
    ]
    call("kys", "made", "v")
    with Kycore(database) as store:
        store.save_many((f"k{n}", value) for n, value in enumerate(values))
    for n, _ in enumerate(values):
        assert call("kycli", "update", f"k{n}", "cat") == (0, b"", "")
        assert call("kycli", "update", f"k{n}", "--json", "cat") == (0, b"", "")
        assert len(call("kycli", "history", f"k{n}").lines) == 1


def test_typed_values_are_json_on_both_sides(call: Call, database: Path) -> None:
    call("kys", "n", "--json", "5")
    call("kys", "doc", "--json", '{"b": [1, 2.0], "a": null}')
    assert call("kycli", "update", "n", *python("out = b'%d' % (int(data) + 1)")).code == 0
    assert (
        call("kycli", "update", "doc", *python("out = data.replace(b'null', b'\"x\"')")).code == 0
    )
    with Kycore(database) as store:
        assert store["n"] == 6
        assert store["doc"] == {"b": [1, 2.0], "a": "x"}
        assert type(store["doc"]["b"][1]) is float
    result = call("kycli", "update", "n", "echo", "no JSON")
    assert result.failed_clearly
    assert "what 'echo' printed" in result.err
    assert call("kyg", "n").out == b"6\n"


def test_the_same_document_in_another_order_is_no_event(call: Call) -> None:
    call("kys", "doc", "--json", '{"b": 1, "a": 2}')
    assert call("kycli", "update", "doc", "echo", ' { "a" : 2, "b" : 1 }').code == 0
    assert len(call("kycli", "history", "doc").lines) == 1
    assert call("kycli", "update", "doc", "echo", '{"a": 2.0, "b": 1}').code == 0
    assert len(call("kycli", "history", "doc").lines) == 2


def test_json_of_text_when_asked_for(call: Call, database: Path) -> None:
    call("kys", "k", "a\nb")
    assert call("kycli", "update", "k", "--json", *python("out = b'[%s]' % data")).code == 0
    with Kycore(database) as store:
        assert store["k"] == ["a\nb"]


def test_a_missing_key_is_2_unless_there_is_a_default(call: Call, database: Path) -> None:
    result = call("kycli", "update", "k", "--", "touch", "ran")
    assert (result.code, result.out) == (2, b"")
    assert "no key 'k' in scope 'default'" in result.err
    assert not os.path.exists("ran")
    assert not database.exists()
    assert call("kycli", "update", "k", "--default", "", "--", "echo", "first").code == 0
    assert call("kycli", "update", "k", "--default", "", "--", "sed", "s/$/ line/").code == 0
    assert call("kyg", "k", "--raw").out == b"first line"
    assert call("kycli", "update", "n", "--json", "--default", "1", "cat").code == 0
    assert call("kyg", "n", "--json").out == b"1\n"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["false"], "'false' exited with 1; nothing was changed"),
        (["sh", "-c", "echo new; exit 7"], "'sh' exited with 7; nothing"),
        (["sh", "-c", "echo new; kill -9 $$"], "'sh' was killed by SIGKILL; nothing"),
        (["no-such-program"], "cannot run 'no-such-program': No such file"),
        (["/"], "cannot run '/': Permission denied"),
        ([""], "name of the command is empty"),
    ],
)
def test_a_filter_that_fails_changes_nothing(call: Call, command: list[str], said: str) -> None:
    call("kys", "k", "old")
    result = call("kycli", "update", "k", "--", *command)
    assert result.failed_clearly
    assert said in result.err
    assert call("kyg", "k").out == b"old\n"
    assert call("kycli", "update", "none", "--default", "", "--", *command).failed_clearly
    assert call("kyg", "none").code == 2


def test_a_filter_need_not_read(call: Call) -> None:
    call("kys", "k", "-", stdin=b"x" * 3_000_000)
    assert call("kycli", "update", "k", "echo", "short").code == 0
    assert call("kyg", "k").out == b"short\n"


def test_large_values_go_through(call: Call) -> None:
    call("kys", "k", "-", stdin=b"ab" * 1_500_000)
    assert call("kycli", "update", "k", "tr", "a", "b").code == 0
    assert call("kyg", "k", "--raw").out == b"bb" * 1_500_000


def test_what_a_filter_prints_is_bounded(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kycli.cli.env.MAX_INPUT", 5_000_000)
    call("kys", "k", "old")
    result = call("kycli", "update", "k", "yes")
    assert result.failed_clearly
    assert "more than 5,000,000 bytes" in result.err
    assert call("kyg", "k").out == b"old\n"


def test_the_time_to_live_stays(call: Call) -> None:
    call("kys", "k", "v", "--ttl", "1h")
    assert call("kycli", "update", "k", "tr", "v", "w").code == 0
    assert int(call("kycli", "ttl", "k").out) > 3500
    assert call("kyg", "k").out == b"w\n"


def test_a_value_that_changed_meanwhile_goes_through_again(call: Call, run: Call) -> None:
    call("kys", "k", "0")
    change = f'read n; [ "$n" -ge 3 ] || "{program("kys")}" k "$((n + 1))"; echo "$n."'
    run("kycli", "set", "k", "0\n")
    result = run("kycli", "update", "k", "--raw", "--", "sh", "-c", change.replace('))"', '))\n"'))
    assert result.code == 0, result.err
    assert run("kyg", "k", "--raw").out == b"3.\n"


def test_no_update_is_lost_among_processes(call: Call) -> None:
    call("kys", "n", "--json", "0")
    step = [program("kycli"), "update", "n", "awk", "{print $1 + 1}"]
    running = [subprocess.Popen(step) for _ in range(6)]
    assert [process.wait(60) for process in running] == [0] * 6
    assert call("kyg", "n").out == b"6\n"


def test_others_write_while_the_filter_runs(call: Call, run: Call) -> None:
    call("kys", "k", "v")
    write = f'"{program("kys")}" other written && cat'
    assert run("kycli", "update", "k", "sh", "-c", write).code == 0
    assert run("kyg", "other").out == b"written\n"


def test_ctrl_c_changes_nothing(run: Call, call: Call, home: Path) -> None:
    call("kys", "k", "old")
    with subprocess.Popen(
        [program("kycli"), "update", "k", "--", "sh", "-c", "touch started; sleep 60"],
        start_new_session=True,
    ) as process:
        while not (home / "started").exists():
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) in (130, -signal.SIGINT)
    assert run("kyg", "k").out == b"old\n"


def test_standard_input_is_not_taken_from_the_loop(run: Call, call: Call) -> None:
    call("kys", "k", "v")
    script = 'printf "a\\nb\\n" | while read -r line; do "$0" update k cat; echo "$line"; done'
    done = subprocess.run(
        ["sh", "-c", script, program("kycli")], capture_output=True, check=True, timeout=60
    )
    assert done.stdout == b"a\nb\n"


# Old values


def test_set_prints_the_old_value(call: Call) -> None:
    assert call("kys", "k", "one", "--get") == (0, b"", "")
    assert call("kys", "k", "two", "--get") == (0, b"one\n", "")
    assert call("kycli", "set", "k", "three", "--get", "--raw").out == b"two"
    assert call("kys", "k", "--json", "[3]", "--get").out == b'"three"\n'
    assert call("kys", "k", "dHdv", "--b64", "--get").out == b"WzNd\n"
    assert call("kyg", "k").out == b"two\n"
    assert call("kys", "k", "x", "--get", "--if-version", "9").failed_clearly
    assert call("kyg", "k").out == b"two\n"
    assert call("kys", "k", "x", "--get", "--if-version", "5").out == b"two\n"
    assert call("kys", "k", "x", "--get", "--if-absent").failed_clearly
    assert call("kys", "k", "x", "--raw").failed_clearly


def test_set_and_del_tell_an_empty_value_from_none(call: Call) -> None:
    call("kys", "k", "")
    assert call("kys", "k", "v", "--get").out == b"\n"
    call("kys", "k", "")
    assert call("kyd", "k", "--get").out == b"\n"
    assert call("kyd", "k", "--get")[:2] == (2, b"")


def test_each_old_value_is_handed_out_once(call: Call) -> None:
    call("kys", "n", "start")
    sets = [
        subprocess.Popen(
            [program("kys"), "n", f"v{n}", "--get"], stdout=subprocess.PIPE
        )
        for n in range(6)
    ]  # fmt: skip
    seen = [process.communicate(timeout=60)[0].decode().strip() for process in sets]
    last = call("kyg", "n").out.decode().strip()
    assert sorted([*seen, last]) == sorted(["start", *(f"v{n}" for n in range(6))])


def test_del_prints_the_values(call: Call) -> None:
    call("kys", "a", "1")
    call("kys", "b", "--json", '{"x": [1]}')
    call("kys", "c", "-", stdin=b"\xff")
    result = call("kyd", "a", "none", "c", "--get")
    assert (result.code, result.out) == (2, b"1\n\xff\n")
    assert "no key 'none'" in result.err
    assert "deleted 2 keys" in result.err
    assert call("kycli", "undo").code == 0
    assert call("kycli", "del", "--get", "--json", "a", "b").out == b'{"a":"1","b":{"x":[1]}}\n'
    assert call("kycli", "undo").code == 0
    assert call("kyd", "--get", "--raw", "c").out == b"\xff"
    assert call("kyd", "--get", "-0", "a", "b").out == b'1\0{"x":[1]}\0'


def test_del_get_goes_with_keys(call: Call) -> None:
    call("kys", "a", "1")
    assert call("kyd", "--get", "--prefix", "a", "-y").failed_clearly
    assert call("kyd", "--json", "a").failed_clearly
    assert call("kyd", "--raw", "a").failed_clearly
    assert call("kyg", "a").out == b"1\n"
