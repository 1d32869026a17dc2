"""What completion proposes, wherever the line comes from."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cli.harness import Call
from conftest import Clock
from hypothesis import given
from hypothesis.strategies import characters, text

from kycli import Kycore
from kycli.cli.commands import all_commands, short_names
from kycli.cli.completing import LIMIT, Candidate, Surroundings, complete
from kycli.cli.completing.shells import Typed, quoted_for_bash
from kycli.cli.completing.values import CHOICES
from kycli.errors import KycliError

Completing = Callable[..., list[Candidate]]


@pytest.fixture
def kv(clock: Clock) -> Iterator[Kycore]:
    with Kycore(":memory:", clock=clock) as kv:
        yield kv


@pytest.fixture
def complete_line(kv: Kycore) -> Completing:
    """Complete a line whose words are separated by single blanks, the last one by default new."""

    def call(
        line: str, program: str = "kycli", *, after: tuple[str, ...] = (), scope: str = "default"
    ) -> list[Candidate]:
        *words, current = line.split(" ")
        around = Surroundings(lambda: scope, lambda: ".", lambda path: kv)
        return complete(words, current, around, program=program, after=after)

    return call


def texts(candidates: list[Candidate]) -> list[str]:
    """Return the words; those that go on end in …."""
    return [candidate.text + "…" * candidate.partial for candidate in candidates]


# Commands and flags


def test_commands_are_those_of_the_registry(complete_line: Completing) -> None:
    proposed = texts(complete_line(""))
    assert [name for name, each in all_commands().items()
            if " " not in each.name and not each.is_short] == proposed  # fmt: skip
    assert texts(complete_line("upd")) == ["update"]
    assert texts(complete_line("delet")) == ["delete"]
    assert complete_line("nothing-") == []


def test_short_commands_are_proposed_when_they_are_meant(complete_line: Completing) -> None:
    assert "kyg" not in texts(complete_line("k"))
    assert {"kyg", "kys"} <= {*texts(complete_line("ky"))}
    assert texts(complete_line("kypa")) == ["kypatch"]


def test_parts_of_a_command(complete_line: Completing) -> None:
    assert texts(complete_line("admin l")) == ["list-caches"]
    assert texts(complete_line("config ")) == ["get", "set", "unset", "path"]
    assert texts(complete_line("help mirror ")) == ["export", "import"]


def test_flags_are_those_that_the_command_takes_and_does_not_have(
    complete_line: Completing,
) -> None:
    assert texts(complete_line("get --js")) == ["--json", "--jsonl"]
    assert texts(complete_line("get --json --js")) == ["--jsonl"]
    assert texts(complete_line("get --js", after=("--json",))) == ["--jsonl"]
    assert complete_line("projects --tt") == []
    assert "--project" not in texts(complete_line("get --scope a --"))
    assert texts(complete_line("export f --scope a --sc")) == ["--scope"]  # repeatable
    assert {"-d", "--db", "-0"} <= {*texts(complete_line("get -"))}
    assert texts(complete_line("restore k --ver")) == ["--version"]


def test_a_flag_says_what_it_means_to_its_command(complete_line: Completing) -> None:
    (flag,) = complete_line("set k --b6")
    assert (flag.kind, flag.description) == ("flag", "VALUE is base64")


@pytest.mark.parametrize("line", ["get -- --js", "run cat --js", "get --default --js", "expire -1"])
def test_what_is_no_flag_is_not_completed_as_one(complete_line: Completing, line: str) -> None:
    assert complete_line(line) == []


# Values of flags and simple arguments


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("env --format f", ["fish"]),
        ("scan --format=t", ["--format=table", "--format=tsv"]),
        ("import f --on-conflict n", ["newer"]),
        ("mirror import f --on-conflict n", ["newer"]),
        ("copy --on-conflict n", []),
        ("set k v --ttl 30", ["30s", "30m", "30h", "30d", "30w", "30M", "30y"]),
        ("expire k 1.", ["1.s", "1.m", "1.h", "1.d", "1.w", "1.M", "1.y"]),
        ("set k v --ttl soon", []),
        ("admin create-cache a.b t", ["timeout=…"]),
        ("admin create-cache a.b timeout=2", [f"timeout=2{unit}" for unit in "smhdwMy"]),
        ("admin set-scope a history_v", ["history_versions=…"]),
        ("config set dura", ["durability"]),
        ("config set durability f", ["full"]),
        ("help cond", ["conditions"]),
    ],
)
def test_values(complete_line: Completing, line: str, expected: list[str]) -> None:
    assert texts(complete_line(line)) == expected


@pytest.mark.parametrize(
    ("flag", "name"), [(flag, name) for flag, names in CHOICES.items() for name in names]
)
def test_choices_are_those_that_the_command_takes(
    flag: str, name: str, call: Call, home: Path
) -> None:
    """The program says itself what it takes, by its messages."""
    arguments = {
        "env": [], "scan": [], "import": ["in.csv"], "copy": ["--prefix", "a", "--to", "b"],
        "move": ["--prefix", "a", "--to", "b"], "copy-scope": ["default", "b"],
        "mirror import": ["d"], "create table": ["t", "--schema", "s.json"],
        "schema set": ["t", "s.json"],
    }[name]  # fmt: skip
    (home / "in.csv").write_text("key,value\n")
    (home / "s.json").write_text('{"a": "int"}')
    call("kys", "a", "1")
    call("kycli", "mirror", "export", "d")

    def refusal(value: str) -> str:
        return call("kycli", *name.split(), *arguments, f"--{flag}", value).err

    unknown = refusal("no-such-thing")
    assert "no-such-thing" in unknown
    for value in CHOICES[flag][name].split():
        said = refusal(value)
        assert f"{value!r}" not in said.partition("hint:")[0] or "unknown" not in said
        assert said.replace(value, "no-such-thing").splitlines()[:1] != unknown.splitlines()[:1]
        assert value in unknown  # the message lists what there is


def test_files(complete_line: Completing, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "data").mkdir()
    (home / "data.csv").touch()
    (home / ".hidden").touch()
    (home / "a b'\nc").touch()
    assert texts(complete_line("import ")) == ["a b'\nc", "data/…", "data.csv"]
    assert texts(complete_line("import .h")) == [".hidden"]
    assert texts(complete_line("mirror export ")) == ["data/…"]
    assert texts(complete_line("import ~/data.")) == ["~/data.csv"]
    assert texts(complete_line("get --db=dat")) == ["--db=data/…", "--db=data.csv"]
    assert texts(complete_line("get -ddata.")) == ["-ddata.csv"]
    assert complete_line("import /no/such/") == []
    os.close(os.open(b"bad\xff", os.O_CREAT))
    assert complete_line("import bad") == []


def test_programs(complete_line: Completing, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "tool-a").touch(0o755)
    (home / "tool-b").touch(0o644)
    monkeypatch.setenv("PATH", f"{home}:/no/such")
    assert texts(complete_line("run tool")) == ["tool-a"]
    assert texts(complete_line("run tool-a tool")) == ["tool-a", "tool-b"]  # files, by now


# Scopes, keys and addresses


@pytest.fixture
def scopes(kv: Kycore) -> None:
    kv.save_many({"apple": 1, "dotted.key": 2})
    kv.save_many({"host": 1, "port": 2, "x.y": 3}, scope="alpha.prod")
    kv.save("top", 1, scope="alpha")
    kv.save("inner", 1, scope="default.area")


@pytest.mark.usefixtures("scopes")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("use al", ["alpha", "alpha.prod"]),
        ("get --scope alpha.", ["alpha.prod"]),
        ("get --scope=alpha.", ["--scope=alpha.prod"]),
        ("copy --prefix a --to default", ["default", "default.area"]),
        ("get -p a", ["alpha"]),
        ("get -pa", ["-palpha"]),
        ("get -p alpha -n ", ["default", "prod"]),
        ("namespaces -p ", ["alpha", "default"]),
        ("diff alpha alpha", ["alpha.prod"]),
        ("get a", ["apple", "alpha.…", "area.…"]),
        ("get d", ["default.…"]),
        ("get area.", ["area.inner"]),
        ("get alpha.", ["alpha.default.…", "alpha.prod.…"]),
        ("get alpha.default.", ["alpha.default.top"]),
        ("get alpha.prod.", ["alpha.prod.host", "alpha.prod.port"]),
        ("get --ns-delim / alpha/prod/x", ["alpha/prod/x.y"]),
        ("get -p alpha -n prod ", ["host", "port"]),
        ("get a.b.c.d", []),
        ("get b/d.x", []),
        ("keys alpha.prod ", ["host", "port", "x.y"]),
        ("keys a", ["alpha.default", "alpha.prod", "apple"]),
        ("ky get --scope alpha.prod x", ["x.y"]),
        ("kyg dot", ["dotted.key"]),
        ("kyg a --scope", ["--scope"]),
        ("get --scope no..scope ", []),
    ],
)
def test_addresses(complete_line: Completing, line: str, expected: list[str]) -> None:
    assert texts(complete_line(line)) == expected


@pytest.mark.usefixtures("scopes")
def test_keys_follow_the_flags_behind_the_cursor(complete_line: Completing) -> None:
    assert texts(complete_line("h", "kyg", after=("--scope", "alpha.prod"))) == ["host"]
    assert texts(complete_line("", "kyg", scope="alpha.prod")) == ["host", "port", "x.y"]
    assert texts(complete_line("host ", "kyg", scope="alpha.prod")) == ["port", "x.y"]
    assert texts(complete_line("p", "kyg", scope="alpha.prod", after=("port",))) == []


def test_many_keys_are_proposed_by_what_they_begin_with(
    kv: Kycore, complete_line: Completing
) -> None:
    kv.save_many({f"user.{number}.{field}": 1 for number in range(300) for field in "ab"})
    kv.save_many({f"task{number:05}": 1 for number in range(3000)})
    kv.save_many({"user": 1, "topic": 1})
    assert texts(complete_line("", "kyg")) == ["t…", "user…"]
    assert texts(complete_line("us", "kyg")) == ["user", "user.…"]
    assert texts(complete_line("ta", "kyg")) == ["task00…", "task01…", "task02…"]
    assert texts(complete_line("user.29", "kyg"))[:2] == ["user.29.a", "user.29.b"]
    assert len(complete_line("user.2", "kyg")) <= LIMIT
    # Each key can be reached by what is proposed.
    heads = [each.text for each in complete_line("user.", "kyg")]
    assert all(any(key.startswith(head) for head in heads) for key in kv.iterkeys("user."))


def test_many_keys_that_no_address_names_cost_nothing(
    kv: Kycore, complete_line: Completing
) -> None:
    kv.save_many({f"a.{number}": 1 for number in range(5000)})
    kv.save("b", 1)
    assert texts(complete_line("get ")) == ["b", "default.…"]
    assert complete_line("get -p default ")[0].text == "b"


def test_the_last_character_there_is_makes_no_endless_loop(
    kv: Kycore, complete_line: Completing
) -> None:
    last = "\U0010ffff"
    kv.save_many({f"k.{last}{last if number % 2 else ''}{number}": 1 for number in range(900)})
    kv.save("k.z", 1)
    assert "k.…" not in texts(complete_line("k.", "kyg"))
    assert complete_line("k", "kyg") != []


def test_expired_keys_and_secrets_of_other_scopes_are_not_proposed(
    kv: Kycore, clock: Clock, complete_line: Completing
) -> None:
    kv.save("gone", 1, ttl=1)
    clock.advance(2)
    kv.save("other", 1, scope="elsewhere")
    assert texts(complete_line("go", "kyg")) + texts(complete_line("ot", "kyg")) == []


def test_a_scope_that_ignores_case_is_asked_in_lower_case(
    kv: Kycore, complete_line: Completing
) -> None:
    kv.save("user", 1)
    assert texts(complete_line("US", "kyg")) == ["user"]


def test_hostile_keys_are_proposed_as_they_are(kv: Kycore, complete_line: Completing) -> None:
    hostile = ["a\nb", "a\x1b[31m", "a 'q\" $(x)", "a" + "é" * 2000]
    kv.save_many(dict.fromkeys(hostile, 1))
    assert {*texts(complete_line("a", "kyg"))} == {*hostile}


# Paths and fields


@pytest.fixture
def documents(kv: Kycore) -> None:
    kv.save("doc", {"a": {"b": [1, {"x": 2}]}, "we.ird": 1, "n": None})
    kv.save("text", '{"q": [1]}')
    kv.save("plain", "word")


@pytest.mark.usefixtures("documents")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("kyg doc.", ["doc.a…", 'doc["we.ird"]', "doc.n"]),
        ("kyg doc.a", ["doc.a…"]),
        ("kyg doc.a.b[", ["doc.a.b[0]", "doc.a.b[1]…"]),
        ("kyg doc.a.b[1].", ["doc.a.b[1].x"]),
        ('kyg doc["w', ['doc["we.ird"]']),
        ("kypatch text.", ["text.q…"]),
        ("kypush doc.a.", ["doc.a.b…"]),
        ("kyg plain.", []),
        ("kyg doc.n.", []),
        ("kyg doc.zzz.", []),
        ("kyd doc.", []),  # takes no path
        ("get doc --path ", ["$.a…", '$["we.ird"]', "$.n"]),
        ("get doc --path=$.a.", ["--path=$.a.b…"]),
        ("get doc --path a.b[1", ["a.b[1]…"]),
        ("get missing --path ", []),
        ("scan --where a", ["a", "a.b"]),
        ("scan --order n,-a", ["n,-a", "n,-a.b"]),
        ("scan --columns @k", ["@key"]),
        ("create index default a", ["a", "a.b"]),
    ],
)
def test_paths(complete_line: Completing, line: str, expected: list[str]) -> None:
    assert texts(complete_line(line)) == expected


def test_versions_and_changes(kv: Kycore, complete_line: Completing) -> None:
    kv.save("k", 1)
    kv.save("k", 2)
    found = complete_line("restore k --version ")
    assert texts(found) == ["2", "1"]
    assert found[0].description.startswith("overwritten 20")
    assert texts(complete_line("diff --versions 1.. k")) == []
    assert [each.description.split()[-1] for each in complete_line("undo ")] == ["k", "k"]


def test_keys_that_are_gone_are_proposed_to_be_restored(
    kv: Kycore, complete_line: Completing
) -> None:
    kv.save_many({"here": 1, "gone.x": 1, "twice": 1, "back": 1})
    for key in ("gone.x", "twice", "back"):
        kv.delete(key)
    kv.save("back", 2)
    kv.save("other", 1, scope="alpha.prod")
    kv.delete("other", scope="alpha.prod")
    assert texts(complete_line("", "kyr")) == ["back", "here", "twice", "gone.x"]
    assert complete_line("t", "kyr")[0].description.startswith("deleted 20")
    assert texts(complete_line("restore t")) == ["twice"]
    assert texts(complete_line("restore alpha.prod.")) == ["alpha.prod.other"]
    assert texts(complete_line("history --scope alpha.prod o")) == ["other"]
    assert complete_line("t", "kyg") == []


# What goes wrong


def test_nothing_is_proposed_where_nothing_can_be_read() -> None:
    def fail(path: str | None) -> Kycore:
        raise KycliError("no database")

    around = Surroundings(lambda: "default", lambda: ".", fail)
    assert complete(["get"], "a", around) == []
    assert texts(complete(["get"], "--js", around)) == ["--json", "--jsonl"]
    assert complete(["get"], "a", Surroundings(lambda: "x", lambda: ".", lambda path: None)) == []


@pytest.mark.parametrize("current", ["", "-", "--", "--x=", "-z", "a.", "..", "[", "\0", "é", "'"])
@pytest.mark.parametrize(
    "words",
    [
        [], ["get"], ["get", "--"], ["get", "--scope"], ["get", "-p"], ["nothing"], ["ky"],
        ["ky", "ky"], ["help", "admin", "x"], ["-n"], ["--version"], ["run", "a"], ["get", ""],
        ["config", "set", "x"], ["--ns-delim", "xx", "get"], ["kyg", "-s"], ["admin", "admin"],
        ["create", "index", "a..b"], ["keys", "a.b.c"], ["scan", "--where"], ["get", "--path"],
    ],
)  # fmt: skip
def test_any_line_can_be_completed(
    complete_line: Completing, words: list[str], current: str
) -> None:
    for program in ("kycli", "ky", "kyg", "else"):
        assert isinstance(complete_line(" ".join([*words, current]), program), list)


# The command


def test_the_script_is_for_a_shell_there_is(call: Call) -> None:
    for shell in ("bash", "zsh", "fish"):
        done = call("kycli", "completion", shell)
        assert (done.code, done.err) == (0, "")
        assert all(name in done.out.decode().split() for name in ("kycli", "ky", *short_names()))
    assert call("kycli", "completion", "bsh").err == (
        "kycli: no completion for 'bsh'\nhint: did you mean bash or zsh?\n"
    )


@pytest.mark.parametrize("words", [["x"], ["a", "b"], ["a", "9", "c"], ["a", "1"], [""]])
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_question_of_another_version_is_refused(call: Call, shell: str, words: list[str]) -> None:
    done = call("kycli", "completion", shell, *words)
    assert done.failed_clearly or done.code == 0


def test_completion_makes_no_database_and_migrates_none(
    call: Call, database: Path, home: Path
) -> None:
    assert call("kycli", "completion", "bash", "", "kyg a", "").out == b"words\n"
    assert not database.exists()
    old = home / "old.db"
    with closing(sqlite3.connect(old)) as file, file:
        file.execute("CREATE TABLE kvstore (key TEXT PRIMARY KEY, value TEXT)")
    before = old.read_bytes()
    assert call("kycli", "completion", "bash", "", f"kyg -d {old} a", "").out == b"words\n"
    assert old.read_bytes() == before


def test_another_database_is_completed_from(call: Call, home: Path) -> None:
    call("kys", "here", "1", "-d", str(home / "other.db"))
    assert call("kycli", "completion", "bash", "", "kyg -d other.db h", "").out == (
        b"words\nhere \n"
    )
    assert call("kycli", "completion", "bash", "", "kyg h", " -d other.db").out == (
        b"words\nhere \n"
    )


@pytest.mark.parametrize(
    ("line", "words", "current", "head", "quote"),
    [
        ("kyg us", ["kyg"], "us", "", ""),
        ("A=1 kyg us", ["kyg"], "us", "", ""),
        ("x | kyg us", ["kyg"], "us", "", ""),
        ("x; kyg a\\ b c", ["kyg", "a b"], "c", "", ""),
        ("kyg 'a b' \"c$\\$d\" e", ["kyg", "a b", "c$$d"], "e", "", ""),
        ("kyg $'a\\n\\x41' b", ["kyg", "a\nA"], "b", "", ""),
        ("kyg 'a b", ["kyg"], "a b", "", "'"),
        ('kyg a"b c', ["kyg"], "ab c", "a", '"'),
        ("kyg --scope=al:b", ["kyg"], "--scope=al:b", "--scope=al:", ""),
        ("kyg a 2>err b", ["kyg", "a"], "b", "", ""),
        ("kyg a\\", ["kyg"], "a", "", ""),
        ("", [], "", "", ""),
    ],
)
def test_lines_of_bash_are_read(
    line: str, words: list[str], current: str, head: str, quote: str
) -> None:
    typed = Typed(line, " \t\n\"'@><=;|&(:")
    found = (typed.words, typed.current, typed.head, typed.quote)
    assert found == (words, current, head, quote)


@given(text(characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_a_quoted_word_is_read_as_it_was(word: str) -> None:
    quoted = quoted_for_bash(word)
    assert "\n" not in quoted
    done = subprocess.run(
        ["bash", "--norc", "-c", f"printf %s {quoted}"],
        capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert done.stdout.decode() == word
