"""`kycli batch`: what it does with commands, and what it answers."""

from __future__ import annotations

import io
import signal
import subprocess
from pathlib import Path

import pytest
from cli.commands.programs.batches import FLAGS, Coprocess, Reply, asked, replies
from cli.harness import Call, Result, on_a_terminal, program

from kycli import Kycore

FRAMINGS = pytest.mark.parametrize("framing", FLAGS)


def batch(call: Call, framing: str, *commands: list[str], flags: str = "") -> list[Reply]:
    """Run a batch and return its replies."""
    given = b"".join(asked(framing, words) for words in commands)
    result = call("kycli", "batch", *FLAGS[framing], *flags.split(), stdin=given)
    return replies(framing, io.BytesIO(result.out))


def typed(call: Call, text: str | bytes, *flags: str) -> tuple[Result, list[Reply]]:
    """Run a batch of lines that are given as they are."""
    given = text.encode() if isinstance(text, str) else text
    result = call("kycli", "batch", *flags, stdin=given)
    return result, replies("lines", io.BytesIO(result.out))


COMMANDS = [
    ["set", "alpha.users.ada", "Ada Lovelace"],
    ["get", "alpha.users.ada", "alpha.users.none"],
    ["get", "alpha.users.none"],
    ["kys", "user.name", "Ada"],
    ["ky", "get", "user.name"],
    ["kyg", "user.name", "--json"],
    ["set", "a.b.c.d", "x"],
    ["nonsense"],
    ["set", "k"],
    ["set", "-x", "y"],
    ["set", "k", "v", "--ttl", "-5"],
    ["set", "k", "--json", "[1, 2"],
    ["set", "k", "--json", "[1, 2]"],
    ["push", "k", "3"],
    ["get", "k", "k", "-0"],
    ["incr", "user.visits"],
    ["incr", "user.visits"],
    ["keys", "--jsonl"],
    ["scan", "alpha.users"],
    ["list-scopes", "-l"],
    ["del", "user.name", "k"],
    ["del", "k"],
    ["undo"],
    ["undo", "x"],
    ["history", "k"],
    ["get"],
    ["version"],
    ["help", "get"],
    ["drop-scope", "alpha.users"],
    ["drop-scope", "alpha.users", "-y"],
    ["", ""],
]


@FRAMINGS
def test_a_command_answers_as_on_the_command_line(
    framing: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The times in the history are the only difference."""
    monkeypatch.setenv("KYCLI_DB_PATH", str(tmp_path / "alone.db"))
    alone = [call("kycli", *words) for words in COMMANDS]
    monkeypatch.setenv("KYCLI_DB_PATH", str(tmp_path / "batch.db"))
    together = batch(call, framing, *COMMANDS)
    assert len(together) == len(COMMANDS)
    for words, one, other in zip(COMMANDS, alone, together, strict=True):
        if words[0] == "history":
            assert one.out.count(b"\n") == other.out.count(b"\n")
        else:
            assert (words, *one) == (words, *other)


@FRAMINGS
def test_a_program_can_wait_for_each_reply(framing: str) -> None:
    with Coprocess(framing) as kycli:
        assert kycli.ask("set", "k", "v") == (0, b"", "")
        assert kycli.ask("get", "k") == (0, b"v\n", "")
        assert kycli.ask("get", "none").code == 2
        assert kycli.ask("incr", "n", "41") == (0, b"41\n", "")
        assert kycli.end() == (0, "")


@FRAMINGS
def test_values_hold_what_they_hold(framing: str) -> None:
    value = "é\t'\"\\ $HOME `x` #\n\r\n-\x7f\u202e🙂 \n"
    with Coprocess(framing) as kycli:
        assert kycli.ask("set", "--", value, value).code == 0
        assert kycli.ask("get", "--raw", "--", value).out == value.encode()
        assert kycli.ask("set", "empty", "").code == 0
        assert kycli.ask("get", "--raw", "empty") == (0, b"", "")
        data = bytes(range(256))
        assert kycli.ask("set", "b", "--b64", "AP+A").code == 0
        assert kycli.ask("get", "--raw", "b").out == b"\0\xff\x80"
        if framing == "jsonl":
            assert kycli.ask("set", "data", "-", stdin=data).code == 0
            assert kycli.ask("get", "--raw", "data").out == data
            assert kycli.ask("set", "text", "a\0b").code == 0
            assert kycli.ask("get", "--raw", "text").out == b"a\0b"
        assert kycli.end() == (0, "")


def test_input_goes_to_the_command_that_it_is_for(call: Call) -> None:
    given = (
        b'{"argv":["set","k","-"],"stdin":"text"}\n'
        b'{"argv":["set","b","-"],"stdin":{"$base64":"/w=="}}\n'
        b'{"argv":["import","-","--format","csv"],"stdin":"key,value\\nx,1\\n"}\n'
        b'["set","k","-"]\n["import","-","--format","csv"]\n["get","k"]\n["get","b"]\n'
    )
    result = call("kycli", "batch", "--jsonl", stdin=given)
    answers = replies("jsonl", io.BytesIO(result.out))
    assert [answer.code for answer in answers] == [0, 0, 0, 1, 1, 0, 0]
    assert "1 created" in answers[2].err
    for answer in answers[3:5]:
        assert answer.err.startswith("kycli: there is no standard input for this command\nhint: ")
    assert [answer.out for answer in answers[5:]] == [b"text\n", b"\xff\n"]
    assert b'{"$base64":"/wo="}' in result.out


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("{", 1, "not JSON"),
        ("[" * 100_000, 1, "not JSON"),
        ('"set"', 1, "not a list of texts"),
        ('["set", 1]', 1, "not a list of texts"),
        ("{}", 1, "not a list of texts"),
        ('{"argv":["version"],"input":""}', 1, "unknown member 'input'"),
        ('{"argv":["version"],"stdin":1}', 1, '"stdin" is neither'),
        ('{"argv":["version"],"stdin":{"$base64":"?"}}', 1, "not valid base64"),
        ('["get","\\ud800"]', 1, "surrogate"),
        ('["get","\\udcc3\\udca9"]', 1, "surrogate"),
        ('{"argv":["version"],"stdin":"\\udc80"}', 1, "surrogate"),
        (b'["get","\xff"]', 1, "not UTF-8, at byte 9"),
        ("[]", 1, "line 3 is empty"),
    ],
)
def test_bad_json_is_refused_and_the_batch_goes_on(
    call: Call, line: str | bytes, code: int, said: str
) -> None:
    data = line.encode() if isinstance(line, str) else line
    given = b'["set","k","v"]\n\n' + data + b'\n["get","k"]'
    result = call("kycli", "batch", "--jsonl", stdin=given)
    first, second, third = replies("jsonl", io.BytesIO(result.out))
    assert (first.code, third) == (0, (0, b"v\n", ""))
    assert (second.code, second.out) == (code, b"")
    assert second.err.startswith("kycli: line 3")
    assert said in second.err
    assert result.code == 1
    assert result.err.startswith("kycli: 1 of 3 commands failed; the first: line 3")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("set k v", (0, b"v")),  # no newline at the end
        ("\n \t\n# set k no\nset k v # comment\r\n\r\n", (0, b"v")),
        ("kycli set k v\n", (0, b"v")),
        ("set k a#b\n", (0, b"a#b")),
        (r"set k a\ b" + "\n", (0, b"a b")),
        ("set k 'a\nb'\n", (0, b"a\nb")),
        ('set k "a\r\nb"\r\n', (0, b"a\r\nb")),
        ('set k "a\\\nb"\n', (0, b"ab")),
        ("set \\\n  k \\\r\n v\n", (0, b"v")),
        ('set k "\\$x \\"y\\" \\z \\\\"\n', (0, b'$x "y" \\z \\')),
        ("set k $'a\\tb\\x41\\101\\u20ac\\'\\e\\q'\n", (0, "a\tbAA€'\x1b\\q".encode())),
        ("set k ''\n", (0, b"")),
        ("set k a''\"b\"'c'\n", (0, b"abc")),
        ("set k $HOME`x`$(y);|&<>*?~\n", (0, b"$HOME`x`$(y);|&<>*?~")),
        ("set k a\rb\n", (0, b"a\rb")),
        ("set k a\vb\n", (0, b"a\vb")),
    ],
)
def test_lines_are_read_as_a_shell_reads_words(
    call: Call, text: str, expected: tuple[int, bytes]
) -> None:
    _, (answer,) = typed(call, text)
    assert answer == (0, b"", "")
    assert call("kyg", "--raw", "k")[:2] == expected


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"set k a\0b", "kycli: line 2: a NUL, which no line holds"),
        (b"set k $'a\\0b'", "kycli: line 2: a NUL, which no word holds"),
        (b"set k \xff", "kycli: argument 3 is not valid UTF-8"),
        (b"set k $'\\377'", "kycli: argument 3 is not valid UTF-8"),
        (b"kycli", "kycli: line 2 is empty"),
    ],
)
def test_a_bad_line_is_refused_and_the_batch_goes_on(call: Call, line: bytes, said: str) -> None:
    result, (_, bad, good) = typed(call, b"set k v\n" + line + b"\nget k\n")
    assert (bad.code, bad.out) == (1, b"")
    assert bad.err.splitlines()[0] == said
    assert good == (0, b"v\n", "")
    assert result.code == 1


@pytest.mark.parametrize(
    ("flag", "given", "said"),
    [
        ("-q", b"set k v\nset k 'a\nset k b\n", "line 2: the quote ' is not closed"),
        ("-q", b'set k v\nset k "a', 'line 2: the quote " is not closed'),
        ("-q", b"set k v\nset k b \\\n", "line 2: the command is broken off"),
        ("-0", b"3\0set\0k\0v\x003\0set\0k\0", "command 2: the input ends in the middle of it"),
        ("-0", b"3\0set\0k\0v\x003\0set\0k\0b", "command 2: the input ends in the middle of it"),
        ("-0", b"3\0set\0k\0v\x003", "command 2: the input ends in the middle of it"),
        ("-0", b"3\0set\0k\0v\0set\0k\0b\0", "command 2: 'set' is not the number of its words"),
        ("-0", b"3\0set\0k\0v\0" + b"9" * 5000, "command 2: the input ends in the middle of it"),
        ("-0", b"3\0set\0k\0v\x00-1\0", "command 2: '-1' is not the number of its words"),
        ("-0", b"3\0set\0k\0v\x0012345678\0", "command 2: '12345678' is not the number"),
        ("--jsonl", b'["set","k","v"]\n["set","k","b"', "line 2: not JSON"),
    ],
)
def test_input_that_is_broken_off_is_one_clear_error(
    call: Call, flag: str, given: bytes, said: str
) -> None:
    result = call("kycli", "batch", flag, stdin=given)
    framing = {"-q": "lines", "-0": "null", "--jsonl": "jsonl"}[flag]
    first, second = replies(framing, io.BytesIO(result.out))
    assert first.code == 0
    assert second.code == 1
    assert second.err.startswith(f"kycli: {said}")
    assert result.code == 1
    assert said in result.err
    assert call("kyg", "k").out == b"v\n"


def test_nothing_in_nothing_out(call: Call, database: Path) -> None:
    for flag in ("-q", "-0", "--jsonl", "--atomic"):
        assert call("kycli", "batch", flag) == (0, b"", "")
    assert not database.exists()


# What fails


def test_the_exit_code_says_whether_a_command_failed(call: Call) -> None:
    result, answers = typed(call, "get none\nset k v\n")
    assert ([answer.code for answer in answers], result.code, result.err) == ([2, 0], 0, "")
    result, answers = typed(call, "get none\nset k v\n", "--strict")
    assert ([answer.code for answer in answers], result.code) == ([2, 0], 1)
    assert result.err == (
        "kycli: 1 of 2 commands failed; the first: line 1: no key 'none' in scope 'default'\n"
    )
    result, answers = typed(call, "set k\nset k v\n", "--stop")
    assert ([answer.code for answer in answers], result.code) == ([1], 1)
    assert result.err.startswith("kycli: stopped at line 1: 'set' needs VALUE")
    assert call("kyg", "k").out == b"v\n"


def test_atomic_keeps_all_or_nothing(call: Call, database: Path) -> None:
    result, answers = typed(call, "set a 1\nincr n\nget none\nget a\n", "--atomic")
    assert ([answer.code for answer in answers], result.code) == ([0, 0, 2, 0], 0)
    assert answers[3].out == b"1\n"
    result, answers = typed(call, "set a 2\nset b 1\nbogus\nset c 1\n", "--atomic")
    assert ([answer.code for answer in answers], result.code) == ([0, 0, 1], 1)
    assert result.err == "kycli: nothing was kept, because of line 3: unknown command 'bogus'\n"
    assert call("kycli", "scan").out == b"a=1\nn=1\n"
    result, answers = typed(call, "set a 2\nget none\nset b 1\n", "--atomic", "--strict")
    assert (len(answers), result.code) == (2, 1)
    result, answers = typed(call, "set a 2\nset b 'x", "--atomic")
    assert result.code == 1
    assert call("kycli", "scan").out == b"a=1\nn=1\n"
    with Kycore(database) as store:
        assert len(store.get_history()) == 2


def test_each_command_is_a_change_of_its_own_unless_atomic(call: Call, database: Path) -> None:
    typed(call, "set a 1\nset b 1\ndel a\nincr n\nset b 2\n")
    with Kycore(database) as store:
        assert [(c.key, c.command) for c in reversed(store.get_history())] == [
            *(("a", "kycli set"), ("b", "kycli set"), ("a", "kycli del")),
            *(("n", "kycli incr"), ("b", "kycli set")),
        ]
        assert len({c.change for c in store.get_history()}) == 5
    assert call("kycli", "undo").code == 0
    assert call("kycli", "scan").out == b"b=1\nn=1\n"
    typed(call, "undo\nundo\n")
    assert call("kycli", "scan").out == b"b=1\nn=1\n"  # undone, and that undone again
    typed(call, "set x 1\nset y 1\n", "--atomic")
    with Kycore(database) as store:
        newest = store.get_history(limit=2)
    assert {c.command for c in newest} == {"kycli batch"}
    assert len({c.change for c in newest}) == 1
    assert call("kycli", "undo").code == 0
    assert call("kycli", "scan").out == b"b=1\nn=1\n"


@pytest.mark.parametrize(
    ("line", "needed"),
    [
        *((line, "a process of its own") for line in ("exec k", "run ls", "migrate", "kyc k")),
        ("edit k", "a terminal"),
    ],
)
def test_what_cannot_be_run_by_value_is_refused(call: Call, line: str, needed: str) -> None:
    _, (stored, answer) = typed(call, f"set k 'echo no'\n{line}\n")
    assert stored.code == 0
    assert answer.code == 1
    assert f"cannot be run in a batch\nhint: it needs {needed}\n" in answer.err


@pytest.mark.parametrize(
    "line",
    [
        *("import x.csv", "export x.csv", "compact", "optimize", "use a", "kyi x.csv"),
        *("config set current_scope a", "config unset current_scope", "update k cat"),
    ],
)
def test_what_no_transaction_can_take_back_is_refused_in_one(
    call: Call, line: str, home: Path
) -> None:
    (home / "x.csv").write_text("key,value\nx,1\n")
    call("kycli", "set", "k", "v")
    before = sorted(home.iterdir())
    result, (stored, answer) = typed(call, f"set k 2\n{line}\n", "--atomic")
    assert (stored.code, answer.code, result.code) == (0, 1, 1)
    assert "cannot be part of a transaction\nhint: run it before or after\n" in answer.err
    assert sorted(home.iterdir()) == before
    assert call("kyg", "k").out == b"v\n"
    assert typed(call, f"set k 2\n{line}\n")[1][0].code == 0


def test_a_transaction_is_of_one_database(call: Call, home: Path) -> None:
    result, answers = typed(call, "set k v\nset -d other.db k v\n", "--atomic")
    assert [answer.code for answer in answers] == [0, 1]
    assert "another database than the commands before" in answers[1].err
    assert result.code == 1
    assert not (home / "other.db").exists()
    assert call("kyg", "k").code == 2


def test_questions_need_a_terminal(call: Call) -> None:
    call("kys", "tmp.k", "v")
    _, (refused, done) = typed(call, "del --prefix tmp.\ndel --prefix tmp. -y\n")
    assert refused.code == 1
    assert "hint: -y answers yes" in refused.err
    assert (done.code, done.err) == (0, "deleted 1 key\n")
    call("kys", "tmp.k", "v")
    _, (done,) = typed(call, "del --prefix tmp.\n", "-yq")
    assert done == (0, b"", "")


def test_what_a_filter_says_is_in_the_reply(run: Call) -> None:
    result = run("kycli", "batch", stdin=b"set k a\nupdate k -- sh -c 'cat; echo b; echo no >&2'\n")
    assert result.err == ""
    assert replies("lines", io.BytesIO(result.out))[1] == (0, b"", "no\n")
    assert run("kyg", "k").out == b"ab\n"


# Where things are


def test_the_scope_is_the_current_one_as_in_a_script(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = "set k 1\nuse alpha.b\nset k 2\nconfig unset current_scope\nset k 3\n"
    _, answers = typed(call, given)
    assert [answer.code for answer in answers] == [0] * 5
    assert call("kyg", "k").out == b"3\n"
    assert call("kyg", "--scope", "alpha.b", "k").out == b"2\n"
    typed(call, "set k 4\nset x.k 5\nset -n y k 6\nset --scope z k 7\n", "--scope", "beta.b")
    for scope, value in {"beta.b": 4, "beta.x": 5, "beta.y": 6, "z": 7}.items():
        assert call("kyg", "--scope", scope, "k").out == b"%d\n" % value
    monkeypatch.setenv("KYCLI_SCOPE", "gamma")
    typed(call, "set k 8\n")
    assert call("kyg", "--scope", "gamma", "k").out == b"8\n"


def test_commands_may_name_databases(call: Call, home: Path) -> None:
    given = "set k 1\nset -d other.db k 2\nget k\nget -d other.db k\nset -d :memory: k 3\n"
    given += "get -d none.db k\nget -d :memory: k\n"
    _, answers = typed(call, given, "-d", "this.db")
    outs = [answer.out for answer in answers]
    assert outs == [b"", b"", b"1\n", b"2\n", b"", b"", b"3\n"]
    assert sorted(path.name for path in home.iterdir()) == ["other.db", "this.db"]
    lines = "".join(f"set -d {number}.db k {number}\n" for number in range(20))
    _, answers = typed(call, lines + "get -d 0.db k\n")
    assert answers[-1].out == b"0\n"


@pytest.mark.parametrize("flag", ["-q", "--atomic"])
def test_what_is_read_before_there_is_a_database_makes_none(
    call: Call, database: Path, flag: str
) -> None:
    result, answers = typed(call, "get k\ndel k -q\nkeys\n", flag)
    assert ([answer.code for answer in answers], result.code) == ([2, 2, 0], 0)
    assert not database.exists()
    _, answers = typed(call, "get k\nset k v\nget k\n", flag)
    assert [answer.out for answer in answers] == [b"", b"", b"v\n"]
    assert call("kyg", "k").out == b"v\n"


def test_a_database_that_is_replaced_is_noticed() -> None:
    with Coprocess("lines") as kycli:
        assert kycli.ask("set", "-d", "a.db", "k", "old").code == 0
        assert kycli.ask("get", "-d", "a.db", "k").out == b"old\n"
        with Kycore("b.db") as store:
            store["k"] = "new"
        Path("b.db").rename("a.db")
        for side in ("a.db-wal", "a.db-shm"):
            Path(side).unlink(missing_ok=True)
        assert kycli.ask("get", "-d", "a.db", "k").out == b"new\n"
        assert kycli.ask("set", "-d", "a.db", "k", "newer").code == 0
        assert kycli.ask("get", "-d", "a.db", "k").out == b"newer\n"
        Path("a.db").unlink()
        for side in ("a.db-wal", "a.db-shm"):
            Path(side).unlink(missing_ok=True)
        assert kycli.ask("get", "-d", "a.db", "k").code == 2
        assert kycli.ask("set", "-d", "a.db", "k", "again").code == 0
        assert kycli.end()[0] == 0
    with Kycore("a.db") as store:
        assert store["k"] == "again"


def test_others_can_write_between_commands(call: Call) -> None:
    with Coprocess("jsonl") as kycli:
        assert kycli.ask("incr", "n").out == b"1\n"
        assert call("kycli", "incr", "n").out == b"2\n"
        assert kycli.ask("get", "n").out == b"2\n"
        assert kycli.ask("incr", "n").out == b"3\n"
        assert call("kycli", "use", "alpha").code == 0
        assert kycli.ask("get", "n").code == 2


# Streams


def test_large_values_pass(call: Call) -> None:
    value = "0123456789abcde\n" * (1 << 19)
    for framing in FLAGS:
        stored, answer = batch(call, framing, ["set", "k", value + framing], ["get", "--raw", "k"])
        assert stored == (0, b"", "")
        assert answer.out == (value + framing).encode()


def test_nobody_reads_the_replies(database: Path) -> None:
    command = f"'{program('kycli')}' batch | head -n 1"
    given = "".join(f"set k{number} v\n" for number in range(10_000))
    done = subprocess.run(["bash", "-c", command], input=given, text=True, capture_output=True)
    assert (done.stdout, done.stderr) == ("0 0 0\n", "")
    with Kycore(database) as store:
        assert len(store) == 10_000


def test_replies_that_cannot_be_written_end_the_batch(database: Path) -> None:
    command = f"'{program('kycli')}' batch"
    for flag, kept in (("", 1), ("--atomic", 0)):
        done = subprocess.run(
            ["bash", "-c", f"printf 'set k v\\n' | {command} {flag} > /dev/full"],
            text=True,
            capture_output=True,
        )
        assert done.stderr.splitlines()[0].startswith("kycli: cannot write to standard output")
        assert done.returncode == 1
        with Kycore(database) as store:
            assert store.delete("k") is bool(kept)


def test_standard_input_must_be_there(run: Call) -> None:
    command = f"'{program('kycli')}' batch <&-"
    done = subprocess.run(["bash", "-c", command], text=True, capture_output=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("kycli: standard input is closed\n")


def test_a_terminal_is_sent_no_control_characters() -> None:
    shown = on_a_terminal("kycli", "batch", keys=b"set k $'a\\e[31m'\nget k\n\x04")
    assert "\na\\x1b[31m\n" in shown
    assert "\x1b" not in shown


# Signals and kills


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("flag", ["-q", "--atomic"])
def test_a_signal_ends_it_with_the_database_closed(
    number: signal.Signals, flag: str, database: Path
) -> None:
    with Coprocess("lines", flag) as kycli:
        assert kycli.ask("set", "k", "v").code == 0
        kycli.process.send_signal(number)
        assert kycli.process.wait(30) == -number
        said = kycli.stderr.read().decode()
    kept = "nothing was kept" if flag == "--atomic" else "commands done: 1"
    assert said == ("" if flag == "-q" else f"kycli: interrupted; {kept}\n")
    assert sorted(path.name for path in database.parent.iterdir()) == ["kycli.db"]
    with Kycore(database) as store:
        assert ("k" in store) is (flag == "-q")


DONE = {
    "lines": b"0 0 0\n",
    "null": b"0\0" * 3 + b"\0\0",
    "jsonl": b'{"code":0,"err":"","out":""}\n',
}


@FRAMINGS
@pytest.mark.parametrize(("flags", "after"), [((), 1), ((), 1_000), (("--atomic",), 1)])
def test_a_kill_loses_nothing_that_was_acknowledged(
    framing: str, after: int, flags: tuple[str, ...], home: Path, database: Path
) -> None:
    """It waits for the reader of its replies, so it is never done when it is killed."""
    many, done = 20_000, DONE[framing]
    requests = (asked(framing, ["set", f"k{number}", str(number)]) for number in range(many))
    (home / "requests").write_bytes(b"".join(requests))
    with (home / "requests").open("rb") as file:
        process = subprocess.Popen(
            [program("kycli"), "batch", *FLAGS[framing], *flags],
            stdin=file,
            stdout=subprocess.PIPE,
        )
    assert process.stdout is not None
    answers = process.stdout.read(after * len(done))
    process.kill()
    process.wait()
    answers += process.stdout.read()
    process.stdout.close()
    acknowledged = len(answers) // len(done)
    assert acknowledged >= after
    assert answers == (done * many)[: len(answers)]
    with Kycore(database) as store:
        kept = len(store)
        assert kept == 0 if flags else acknowledged <= kept < many
        assert all(store[f"k{number}"] == str(number) for number in range(kept))
